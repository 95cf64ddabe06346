"""`ckptviewer rescue`: save what is intact of a damaged checkpoint."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.text import plural, printable, size_text

if TYPE_CHECKING:
    from ckptviewer.export.receipt import Receipt

_DESCRIPTION = """\
Write all variables that can be read without an error to a new TensorFlow
checkpoint, under their keys. It is read back and compared with the source
before it gets its name; the source is not touched."""

_EPILOG = """\
example:
  ckptviewer rescue broken.ckpt saved.ckpt

Exit status: 0 written and verified, even if variables were lost; 1 nothing is
intact, and nothing was written; 2 it could not be done."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "rescue",
        help="save what is intact of a damaged checkpoint",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", metavar="PATH", help="any path of the checkpoint")
    parser.add_argument(
        "destination", metavar="DST", help="prefix of the new one, such as dir/model.ckpt"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what is at DST")
    parser.add_argument("--json", action="store_true", help="print the receipt as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write what is intact; 1 where nothing is."""
    from ckptviewer.export.rescue import rescue
    from ckptviewer.formats.resolve import open_checkpoint

    with open_checkpoint(options.path) as checkpoint:
        receipt = rescue(checkpoint, options.destination, overwrite=options.overwrite)
        if options.json:
            print(json.dumps(receipt.as_document(), indent=1))
        else:
            _print_for_people(receipt)
        for finding in checkpoint.findings:
            # What stood in a damaged block of a name-based index has no name to be listed by.
            if finding.code == "damaged-index":
                print(f"ckptviewer: {printable(finding.message)}", file=sys.stderr)
    return 0 if receipt.verified else 1


def _print_for_people(receipt: Receipt) -> None:
    for each in receipt.dropped:
        print(printable(f"lost: {each.key}: {each.reason}"))
    lost = plural(len(receipt.dropped), "variable")
    if not receipt.verified:
        print(f"Nothing is intact ({lost} lost); nothing was written.")
        return
    print(
        f"{plural(len(receipt.kept), 'variable')} saved to {printable(receipt.destination)}, "
        f"verified; {lost} lost. {size_text(receipt.bytes_before)} before, "
        f"{size_text(receipt.bytes_after)} after."
    )
