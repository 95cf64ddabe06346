"""`ckptviewer average`: the mean of several checkpoints, written as a new one, with proof."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.text import plural, printable, size_text
from ckptviewer.cli.progress_bar import progress_bar

if TYPE_CHECKING:
    from ckptviewer.analysis.averaging import AveragedCheckpoint
    from ckptviewer.export.receipt import Receipt

_DESCRIPTION = """\
Average the weights of several checkpoints of one model, and its optimizer's
slots, in float64. All count the same; with --decay X each counts X times what
the one named after it does. Counters, the object graph and all that has no
mean are those of the last one named. DST is the prefix of a new checkpoint, or
a file that ends in .weights.h5, .safetensors or .npz. It is read back and
compared before it gets its name."""

_EPILOG = """\
examples:
  ckptviewer average model.ckpt-8000 model.ckpt-9000 averaged.ckpt
  ckptviewer average model.ckpt-8000 model.ckpt-9000 averaged.ckpt --decay 0.9

Exit status: 0 written and verified; 2 it could not be done."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "average",
        help="average several checkpoints into one",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "path", nargs="+", metavar="PATH", help="any paths of the checkpoints, oldest first"
    )
    parser.add_argument("destination", metavar="DST", help="the new one, such as dir/model.ckpt")
    parser.add_argument(
        "--decay",
        type=float,
        metavar="X",
        help="average exponentially: above 0, below 1; the last one counts most",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what is at DST")
    parser.add_argument("--json", action="store_true", help="print the receipt as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the average; 0 once it is written and verified."""
    from ckptviewer.analysis.averaging import AveragedCheckpoint, Averaging, weights_of
    from ckptviewer.export.choices import Choices
    from ckptviewer.export.execute import execute
    from ckptviewer.export.planning import make_plan
    from ckptviewer.export.writers import format_of_name

    if options.decay is None:
        weights = weights_of(len(options.path))
    else:
        weights = weights_of(len(options.path), Averaging.EXPONENTIAL, options.decay)
    with AveragedCheckpoint.open(options.path, weights) as averaged, progress_bar() as show:
        averaged.require_mean()
        plan = make_plan(averaged, Choices(format=format_of_name(options.destination)))
        receipt = execute(
            plan, averaged, options.destination, overwrite=options.overwrite, report=show
        )
        if options.json:
            print(json.dumps(_document(averaged, receipt), indent=1))
        else:
            _print_for_people(averaged, receipt)
    return 0


def _document(averaged: AveragedCheckpoint, receipt: Receipt) -> dict[str, object]:
    """The receipt, with what was averaged."""
    return receipt.as_document() | {
        "sources": [checkpoint.path for checkpoint in averaged.sources],
        "weights": list(averaged.weights),
        "averaged": [v.key for v in averaged.variables if averaged.is_averaged(v)],
        "findings": [finding.message for finding in averaged.own_findings],
    }


def _print_for_people(averaged: AveragedCheckpoint, receipt: Receipt) -> None:
    for checkpoint, weight in zip(averaged.sources, averaged.weights, strict=True):
        print(f"{weight:8.5f}  {printable(checkpoint.path)}")
    for finding in averaged.own_findings:
        print(printable(f"{finding.severity}: {finding.message} {finding.remedy}"))
    count = sum(map(averaged.is_averaged, averaged.variables))
    rest = len(receipt.kept) - count
    print(
        f"{plural(count, 'variable')} averaged, {rest} as in the last one, saved to "
        f"{printable(receipt.destination)}, verified; {size_text(receipt.bytes_after)}."
    )
