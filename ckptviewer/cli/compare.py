"""`ckptviewer compare`: what is the same in two checkpoints, and what became of the rest."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.text import number_text, printable, shape_text
from ckptviewer.cli.directory_pairs import same_place
from ckptviewer.cli.progress_bar import progress_bar
from ckptviewer.cli.reports import require_place

if TYPE_CHECKING:
    from ckptviewer.analysis.comparison import Comparison, ComparisonOptions, VariableDelta
    from ckptviewer.analysis.verdicts import Judgement
    from ckptviewer.checkpoint.checkpoint import Checkpoint

_MOST_WORKERS = 8
_COMPILE_BYTES = 1 << 28

_DESCRIPTION = """\
Compare two checkpoints, of the same format or not: which variables are the
same, changed, added, removed, renamed, reshaped or retyped, and by how much
they differ. What is equal by checksum is not read, unless --values is given;
the values of all else are."""

_EPILOG = """\
examples:
  ckptviewer compare model.ckpt-9000 model.ckpt-9500
  ckptviewer compare model.ckpt-9000 model.keras --model-only
  ckptviewer compare old.ckpt new.ckpt --rename '^encoder/=backbone/'
  ckptviewer compare old.ckpt new.ckpt --atol 1e-6 --html report.html

Exit status: 0 all the same, or only renamed; 1 different; 2 they could not be
compared."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "compare",
        help="tell what differs between two checkpoints, and by how much",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("a", metavar="A", help="any path of the first checkpoint")
    parser.add_argument("b", metavar="B", help="any path of the second")
    for name, text in (
        ("--atol", "absolute tolerance (default 0): the same is |b-a| <= ATOL + RTOL*|a|"),
        ("--rtol", "relative tolerance (default 0)"),
    ):
        parser.add_argument(name, type=_tolerance, default=0.0, metavar="X", help=text)
    parser.add_argument(
        "--rename",
        action="append",
        default=[],
        metavar="REGEX=REPL",
        help="rename A's keys into B's before they are matched, by a rule or a set of rules "
        "(tf1-to-tf2, tf2-to-tf1, ...); repeatable",
    )
    for name, text in (
        ("--model-only", "compare the model alone: no optimizer state, no counters"),
        ("--values", "also read and compare what is equal by checksum"),
        ("--all", "also compare metadata, such as the object graph"),
        ("--json", "print one JSON document"),
    ):
        parser.add_argument(name, action="store_true", help=text)
    for name, text in (
        ("html", "also write a report: one page with pictures"),
        ("markdown", "also write a report for a pull request"),
        ("csv", "also write a table: a line a variable"),
    ):
        parser.add_argument(f"--{name}", metavar="FILE", help=text)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the comparison; 0 where the checkpoints are the same, 1 where they differ."""
    from ckptviewer.formats.resolve import open_checkpoint

    wanted = asked_for(options)
    path_a, path_b = same_place(options.a, options.b)
    with open_checkpoint(path_a) as a, open_checkpoint(path_b) as b:
        for report in filter(None, (options.html, options.markdown, options.csv)):
            require_place(report, (a, b))
        comparison = compare(a, b, wanted)
        _require_an_answer(comparison)
        _write_reports(comparison, a, b, options)
    if options.json:
        from ckptviewer.analysis.comparison_document import as_document

        print(json.dumps(as_document(comparison), indent=1))
    else:
        print_for_people(comparison)
    for delta in comparison.problems:
        print(f"ckptviewer: {printable(delta.key)}: {printable(delta.problem)}", file=sys.stderr)
    return 0 if comparison.identical else 1


def asked_for(options: argparse.Namespace) -> ComparisonOptions:
    """What the options say. Raises BadRuleError."""
    from ckptviewer.analysis.comparison import ComparisonOptions
    from ckptviewer.analysis.difference import Tolerance
    from ckptviewer.checkpoint.rename_sets import rules_of

    return ComparisonOptions(
        tolerance=Tolerance(options.atol, options.rtol),
        rules=tuple(rule for text in options.rename for rule in rules_of(text)),
        model_only=options.model_only,
        include_metadata=options.all,
        values=options.values,
    )


def compare(a: Checkpoint, b: Checkpoint, options: ComparisonOptions) -> Comparison:
    """The comparison with its numbers; a progress bar shows on a terminal."""
    from concurrent.futures import ThreadPoolExecutor

    from ckptviewer.analysis import difference_kernel
    from ckptviewer.analysis.comparison import first_answer
    from ckptviewer.analysis.comparison_schedule import ComparisonSchedule

    comparison = first_answer(a, b, options)
    schedule = ComparisonSchedule(a, b, comparison)
    if schedule.progress.total > _COMPILE_BYTES:
        difference_kernel.prepare(timeout_seconds=0)  # what is not there yet is made meanwhile
    workers = min(os.cpu_count() or 1, _MOST_WORKERS)
    settled: list[VariableDelta] = []
    with ThreadPoolExecutor(workers) as executor, progress_bar() as show:
        for delta in schedule.run(executor, workers):
            settled.append(delta)
            show(schedule.progress)
    return comparison.refined(settled)


def print_for_people(comparison: Comparison) -> None:
    """A table of what differs and of what was renamed, a line of counts, and the answer."""
    from ckptviewer.analysis.comparison_document import conclusion_text, summary_text

    for letter, side in (("A", comparison.a), ("B", comparison.b)):
        print(f"{letter}  {printable(side.path)}: {side.format_name}")
    print()
    _print_table(comparison)
    print(summary_text(comparison))
    print(conclusion_text(comparison))


def _print_table(comparison: Comparison) -> None:
    from ckptviewer.analysis.comparison import Status
    from ckptviewer.analysis.comparison_document import ORDER, verdicts_of

    shown = [
        delta for delta in comparison.deltas if delta.status is not Status.SAME or delta.problem
    ]
    if not shown:
        return
    shown.sort(key=lambda delta: ORDER.index(delta.status))
    verdicts = verdicts_of(comparison)
    rows = [
        ("", "VARIABLE", "SHAPE", "MAX |B-A|", "REL L2", "COSINE", ""),
        *(_row(delta, verdicts[delta.pair]) for delta in shown),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    for status, key, shape, *numbers, note in rows:
        cells = (f"{cell:>{width}}" for cell, width in zip(numbers, widths[3:], strict=True))
        head = f"{status:{widths[0]}}  {key:{widths[1]}}  {shape:>{widths[2]}}"
        print("  ".join((head, *cells, note)).rstrip())
    print()


def _row(delta: VariableDelta, judged: Judgement | None) -> tuple[str, ...]:
    from ckptviewer.analysis.comparison import Basis, Status

    key_a, key_b = delta.pair
    key = printable(delta.key)
    if key_a is not None and key_b is not None and key_a != key_b:
        key = f"{printable(key_a)} → {key}"
    numbers = ["", "", ""]
    if (difference := delta.difference) is not None:
        values = (difference.max_abs, difference.relative_l2, difference.cosine)
        numbers = [number_text(value) for value in values]
    notes = [delta.note] if delta.note else []
    if judged is not None and delta.status is Status.CHANGED and delta.difference is not None:
        notes.insert(0, str(judged.verdict))
    if delta.problem:
        notes = ["could not be compared"]
    elif delta.unchanged and delta.basis is Basis.CHECKSUM:
        notes.append("equal by checksum")
    return str(delta.status), key, _shapes(delta), *numbers, "; ".join(notes)


def _shapes(delta: VariableDelta) -> str:
    a, b = delta.variable_a, delta.variable_b
    if a is None or b is None:
        return shape_text(delta.variable.shape)
    told = shape_text(b.shape)
    if a.shape != b.shape:
        told = f"{shape_text(a.shape)} → {told}"
    return told if a.dtype == b.dtype else f"{told} {a.dtype} → {b.dtype}"


def _require_an_answer(comparison: Comparison) -> None:
    """Raise CkptviewerError where nothing was compared: that is no Yes and no No."""
    if not comparison.deltas:
        raise CkptviewerError(
            "there is no variable to compare in either checkpoint",
            remedy="--all compares metadata, too."
            if not comparison.options.model_only
            else "Without --model-only all variables are compared.",
        )
    if comparison.could_not:
        first = comparison.deltas[0]
        raise CkptviewerError(
            f"no variable could be compared; the first is {first.key}: {first.problem}"
        )


def _write_reports(
    comparison: Comparison, a: Checkpoint, b: Checkpoint, options: argparse.Namespace
) -> None:
    from ckptviewer.analysis import comparison_report as report

    if options.html is not None:
        report.store(options.html, report.as_html(comparison, a, b))
    if options.markdown is not None:
        report.store(options.markdown, report.as_markdown(comparison))
    if options.csv is not None:
        report.store(options.csv, report.as_csv(comparison))


def _tolerance(text: str) -> float:
    number = float(text)
    if not math.isfinite(number) or number < 0:
        raise argparse.ArgumentTypeError(f"{text} is not a finite number of 0 or more")
    return number
