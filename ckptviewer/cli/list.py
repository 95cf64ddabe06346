"""`ckptviewer list`: which variables are in a checkpoint."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.text import plural, printable, size_text
from ckptviewer.checkpoint.variable import Variable

_DESCRIPTION = """\
List the variables of a checkpoint: key, shape, dtype, stored size, and role
(weight, bias, optimizer-slot, counter, ...). No values are read."""

_EPILOG = """\
examples:
  ckptviewer list model.ckpt-9000
  ckptviewer list model.ckpt-9000 --json

Exit status: 0 it was listed, findings or not; 2 it could not be opened."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "list",
        help="list the variables: key, shape, dtype, size, role",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", metavar="PATH", help="any path of the checkpoint")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the listing; 0 once it could be printed, findings or not."""
    from ckptviewer.formats.resolve import open_checkpoint

    with open_checkpoint(options.path) as checkpoint:
        if options.json:
            print(json.dumps(as_document(checkpoint), indent=1))
        else:
            print_for_people(checkpoint)
    return 0


def as_document(checkpoint: Checkpoint) -> dict[str, Any]:
    """The listing as scripts rely on it."""
    return {
        "path": checkpoint.path,
        "format": checkpoint.format_name,
        "written_by": checkpoint.written_by,
        "variables": [
            {
                "key": variable.key,
                "name": variable.name,
                "dtype": variable.dtype,
                "shape": list(variable.shape),
                "stored_bytes": variable.stored_bytes,
                "role": str(variable.role),
                "slot_of": variable.slot_of,
                "trainable": variable.trainable,
            }
            for variable in checkpoint.variables
        ],
        "findings": [finding.as_document() for finding in checkpoint.findings],
    }


def print_for_people(checkpoint: Checkpoint) -> None:
    """A line of facts, a table, and the findings."""
    variables = checkpoint.variables
    total = size_text(sum(variable.stored_bytes for variable in variables))
    writer = f", written by {checkpoint.written_by}" if checkpoint.written_by else ""
    print(f"{printable(checkpoint.path)}: {checkpoint.format_name}{printable(writer)}")
    print(f"{plural(len(variables), 'variable')}, {total}\n")
    _print_table(variables)
    if checkpoint.findings:
        print()
    for finding in checkpoint.findings:
        print(printable(f"{finding.severity}: {finding.message} {finding.remedy}".rstrip()))


def _print_table(variables: Sequence[Variable]) -> None:
    rows = [("KEY", "SHAPE", "DTYPE", "SIZE", "ROLE")]
    rows += [
        (
            printable(variable.key),
            "×".join(map(str, variable.shape)) or "scalar",
            variable.dtype,
            size_text(variable.stored_bytes),
            str(variable.role),
        )
        for variable in variables
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for key, shape, dtype, size, role in rows:
        print(
            f"{key:{widths[0]}}  {shape:>{widths[1]}}  {dtype:{widths[2]}}  "
            f"{size:>{widths[3]}}  {role}"
        )
