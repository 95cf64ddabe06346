"""`ckptviewer run`: the checkpoints of a training, which is the latest, and how variables moved."""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ckptviewer.checkpoint.findings import Finding
from ckptviewer.checkpoint.text import plural, printable, size_text

if TYPE_CHECKING:
    from ckptviewer.checkpoint.variable import Variable
    from ckptviewer.runs.entry import CheckpointEntry, Run
    from ckptviewer.runs.timeline_table import TimelineTable

_SERIES = ("norm", "mean", "std", "min", "max", "nan", "sparsity", "update", "cosine")
_MOST_WORKERS = 8

_DESCRIPTION = """\
List the checkpoints in a directory by step, and say what
tf.train.latest_checkpoint returns for it, and why. With --series, follow each
variable over the steps; a variable that did not change, by its checksum, is
not read again."""

_EPILOG = """\
examples:
  ckptviewer run runs/7
  ckptviewer run runs/7 --findings
  ckptviewer run runs/7 --series norm --include '*/kernel' --csv > norms.csv

Exit status: 0 it was listed, whatever was found; 2 it could not be read."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "run",
        help="list a training's checkpoints; follow its variables",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", metavar="DIR", help="where the training saves")
    parser.add_argument(
        "--series",
        choices=_SERIES,
        metavar="WHAT",
        help=f"{', '.join(_SERIES)}: print one number a variable and step, such as its norm; "
        "sparsity: the share of zeros; update: the norm of the change since the save before, by "
        "the norm it had; cosine: of the angle to the save before",
    )
    parser.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="GLOB",
        help="only variables whose key or name matches; repeatable",
    )
    parser.add_argument(
        "--findings",
        action="store_true",
        help="also read the variables, and say where NaN, dead, exploding or frozen layers appear",
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print one JSON document")
    output.add_argument("--csv", action="store_true", help="with --series: print CSV")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the run, or a series; 0 once it could be printed."""
    from ckptviewer.runs.run import find_run, with_steps_inside

    if options.csv and not options.series:
        print("ckptviewer: --csv prints a series: say which with --series", file=sys.stderr)
        return 2
    found = with_steps_inside(find_run(options.directory))
    if options.series:
        return _print_series(found, options)
    more: list[Finding] = []
    if options.findings:
        from ckptviewer.runs.timeline_findings import timeline_findings

        more = timeline_findings(measure(found.checkpoints, options.include, pairs=True))
    if options.json:
        print(json.dumps(as_document(found, more), indent=1))
    else:
        _print_for_people(found, more)
    return 0


def as_document(found: Run, more: Sequence[Finding] = ()) -> dict[str, Any]:
    """The run as scripts rely on it."""
    return {
        "path": found.path,
        "latest": found.latest,
        "latest_reason": found.latest_reason,
        "checkpoints": [entry_document(entry) for entry in found.checkpoints],
        "findings": [finding.as_document() for finding in (*found.findings, *more)],
    }


def entry_document(entry: CheckpointEntry) -> dict[str, Any]:
    """A checkpoint of a run as scripts rely on it; saved_at in seconds since 1970."""
    return {
        "name": entry.name,
        "path": entry.path,
        "step": entry.step,
        "size_bytes": entry.size_bytes,
        "saved_at": entry.saved_at,
        "format": entry.format or None,
        "metrics": dict(entry.metrics),
        "condition": str(entry.condition),
    }


def measure(
    entries: Sequence[CheckpointEntry], include: Sequence[str], *, pairs: bool
) -> TimelineTable:
    """Follow the variables over these checkpoints; a progress bar shows on a terminal."""
    from concurrent.futures import ThreadPoolExecutor

    from ckptviewer.checkpoint.selection import matching
    from ckptviewer.cli.progress_bar import progress_bar
    from ckptviewer.runs.timeline import Timeline
    from ckptviewer.runs.timeline_table import TimelineTable
    from ckptviewer.storage.cache import Cache

    def choose(variables: Sequence[Variable]) -> Sequence[Variable]:
        return matching(variables, include)

    workers = min(os.cpu_count() or 1, _MOST_WORKERS)
    table = TimelineTable(entries)
    with Cache() as cache, ThreadPoolExecutor(workers) as executor, progress_bar() as show:
        timeline = Timeline(entries, choose=choose if include else None, pairs=pairs, cache=cache)
        for event in timeline.run(executor, workers):
            table.take(event)
            show(timeline.progress)
    return table


def _print_series(found: Run, options: argparse.Namespace) -> int:
    from ckptviewer.runs.timeline_table import Series

    series = Series(options.series)
    entries = [entry for entry in found.checkpoints if entry.sound]
    table = measure(entries, options.include, pairs=series.needs_pairs)
    if options.include and not table.variables:
        print("ckptviewer: no variable matches --include", file=sys.stderr)
    keys = [variable.key for variable in table.variables]
    matrix = table.matrix(series, keys)
    rows = [
        (entry.step, [_number(value) for value in matrix[:, column].tolist()])
        for column, entry in enumerate(entries)
    ]
    if options.json:
        print(json.dumps(_series_document(found, options.series, keys, entries, rows), indent=1))
    elif options.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(("step", *keys))
        writer.writerows((step, *values) for step, values in rows)
    else:
        _print_table(options.series, keys, entries, rows)
    for where, error in table.errors.items():
        column, key = where if isinstance(where, tuple) else (where, "")
        name = entries[column].name
        text = f"{name}: {key}: {error.what}" if key else f"{name}: {error.what}"
        print(f"ckptviewer: {printable(text)}", file=sys.stderr)
    return 0


def _series_document(
    found: Run,
    series: str,
    keys: Sequence[str],
    entries: Sequence[CheckpointEntry],
    rows: Sequence[tuple[int | None, list[float | None]]],
) -> dict[str, Any]:
    return {
        "path": found.path,
        "series": series,
        "checkpoints": [entry.name for entry in entries],
        "steps": [step for step, _ in rows],
        "variables": [
            {"key": key, "values": [values[at] for _, values in rows]}
            for at, key in enumerate(keys)
        ],
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _print_table(
    series: str,
    keys: Sequence[str],
    entries: Sequence[CheckpointEntry],
    rows: Sequence[tuple[int | None, list[float | None]]],
) -> None:
    """A line a variable, its first and last value: a terminal is not wide enough for more."""
    print(f"{series} over {plural(len(entries), 'checkpoint')}; --csv prints all values\n")
    table = [("KEY", "FIRST", "LAST", "LEAST", "GREATEST")]
    for at, key in enumerate(keys):
        values = [row[at] for _, row in rows if row[at] is not None]
        known = [value for value in values if value is not None]
        ends = (known[0], known[-1], min(known), max(known)) if known else ()
        numbers = [f"{value:.5g}" for value in ends] or [""] * 4
        table.append((printable(key), numbers[0], numbers[1], numbers[2], numbers[3]))
    widths = [max(len(row[column]) for row in table) for column in range(5)]
    for row in table:
        cells = (f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        print(f"{row[0]:{widths[0]}}", *cells, sep="  ")


def _print_for_people(found: Run, more: Sequence[Finding]) -> None:
    count = plural(len(found.checkpoints), "checkpoint")
    total = size_text(sum(entry.size_bytes for entry in found.checkpoints))
    print(f"{printable(found.path)}: {count}, {total}")
    print(f"tf.train.latest_checkpoint returns {_latest_text(found)}")
    print(printable(found.latest_reason) + "\n")
    table = [("STEP", "NAME", "SIZE", "SAVED", "")]
    for entry in found.checkpoints:
        marks = [f"{label}={value:g}" for label, value in entry.metrics.items()]
        marks += ["latest"] if entry.named_latest else []
        marks += [] if entry.sound else [str(entry.condition)]
        table.append(
            (
                "" if entry.step is None else str(entry.step),
                printable(entry.name),
                size_text(entry.size_bytes),
                _time_text(entry.saved_at),
                " ".join(marks),
            )
        )
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    for step, name, size, saved, marks_text in table:
        line = (
            f"{step:>{widths[0]}}  {name:{widths[1]}}  {size:>{widths[2]}}  "
            f"{saved:{widths[3]}}  {marks_text}"
        )
        print(line.rstrip())
    findings = (*found.findings, *more)
    if findings:
        print()
    for finding in findings:
        print(printable(f"{finding.severity}: {finding.message} {finding.remedy}".rstrip()))


def _latest_text(found: Run) -> str:
    return "None" if found.latest is None else printable(found.latest)


def _time_text(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return "?"
