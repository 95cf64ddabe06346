"""`ckptviewer stats`: counts, extremes, moments and a histogram of each variable."""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import sys
from typing import TYPE_CHECKING, Any

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.text import printable
from ckptviewer.cli.progress_bar import progress_bar

if TYPE_CHECKING:
    from ckptviewer.analysis.histogram import Histogram
    from ckptviewer.analysis.summary import Statistics
    from ckptviewer.checkpoint.checkpoint import Checkpoint
    from ckptviewer.checkpoint.variable import Variable

_FIELDS = (
    "count", "nan", "inf", "pos_inf", "neg_inf", "zero", "denormal", "min", "max", "mean", "std",
    "skewness", "kurtosis", "l1_norm", "l2_norm",
)  # fmt: skip
_MOST_WORKERS = 8
_COMPILE_BYTES = 1 << 29

Measured = dict[str, "Statistics | CkptviewerError"]

_DESCRIPTION = """\
Read all values once and print, for each variable, counts of elements, NaN, Inf
and zeros, extremes, moments, norms and a histogram. Moments are population
moments over finite values; a complex number counts by its magnitude. A
variable that cannot be read is named with the reason."""

_EPILOG = """\
examples:
  ckptviewer stats model.ckpt-9000
  ckptviewer stats model.ckpt-9000 --include 'encoder/*' --csv > encoder.csv

Exit status: 0 it was measured; 2 it could not be opened."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "stats",
        help="statistics and a histogram of each variable",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", metavar="PATH", help="any path of the checkpoint")
    parser.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="GLOB",
        help="only variables whose key or name matches; repeatable",
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument(
        "--json", action="store_true", help="print one JSON document, with histograms"
    )
    output.add_argument(
        "--csv", action="store_true", help="print a line a variable, without histograms"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the statistics; 0 once they could be printed, whatever they say."""
    from ckptviewer.checkpoint.selection import matching
    from ckptviewer.formats.resolve import open_checkpoint

    with open_checkpoint(options.path) as checkpoint:
        variables = matching(checkpoint.variables, options.include)
        if options.include and not variables:
            print("ckptviewer: no variable matches --include", file=sys.stderr)
        measured = measure(checkpoint, variables)
        if options.json:
            print(json.dumps(as_document(checkpoint, variables, measured), indent=1))
        elif options.csv:
            _print_csv(variables, measured)
        else:
            _print_table(variables, measured)
    for key, result in measured.items():
        if isinstance(result, CkptviewerError) and not options.json:
            print(f"ckptviewer: {printable(key)}: {result.what}", file=sys.stderr)
    return 0


def measure(checkpoint: Checkpoint, variables: list[Variable]) -> Measured:
    """The statistics of each, or why there are none; a progress bar shows on a terminal."""
    from concurrent.futures import ThreadPoolExecutor

    from ckptviewer.analysis import kernel
    from ckptviewer.analysis.scheduling import Schedule

    if sum(variable.stored_bytes for variable in variables) > _COMPILE_BYTES:
        kernel.prepare(timeout_seconds=0)  # what is not there yet is made meanwhile
    schedule = Schedule(checkpoint, variables)
    workers = min(os.cpu_count() or 1, _MOST_WORKERS)
    measured: Measured = {}
    with ThreadPoolExecutor(workers) as executor, progress_bar() as show:
        for key, result in schedule.run(executor, workers):
            measured[key] = result
            show(schedule.progress)
    return measured


def as_document(
    checkpoint: Checkpoint, variables: list[Variable], measured: Measured
) -> dict[str, Any]:
    """The statistics as scripts rely on them. May read variables again for their histograms."""
    return {
        "path": checkpoint.path,
        "format": checkpoint.format_name,
        "variables": [
            variable_document(checkpoint, variable, measured[variable.key])
            for variable in variables
        ],
    }


def variable_document(
    checkpoint: Checkpoint, variable: Variable, result: Statistics | CkptviewerError
) -> dict[str, Any]:
    """One variable's statistics; all null, and `error` says why, where it cannot be read."""
    head: dict[str, Any] = {
        "key": variable.key,
        "dtype": variable.dtype,
        "shape": list(variable.shape),
    }
    if isinstance(result, CkptviewerError):
        nothing = dict.fromkeys((*_FIELDS, "distinct", "quantiles", "lengths", "histogram"))
        return head | nothing | {"sampled": False, "error": str(result)}
    document = head | {field: _number(getattr(result, field)) for field in _FIELDS}
    document["distinct"] = result.distinct
    document["quantiles"] = _quantiles(result)
    document["lengths"] = None
    if result.lengths is not None:
        document["lengths"] = {
            field: _number(getattr(result.lengths, field)) for field in ("min", "max", "mean")
        }
    document["histogram"] = None
    if result.finite:
        try:
            document["histogram"] = _histogram(checkpoint, variable, result)
        except CkptviewerError as error:
            document["error"] = str(error)
    document["sampled"] = result.sampled
    return document


def _histogram(checkpoint: Checkpoint, variable: Variable, result: Statistics) -> dict[str, Any]:
    from ckptviewer.analysis.statistics import histogram_of

    histogram: Histogram = histogram_of(checkpoint, variable, result)
    return {
        "edges": histogram.edges.tolist(),
        "counts": histogram.counts.tolist(),
        "resolution": histogram.resolution,
    }


def _quantiles(result: Statistics) -> list[dict[str, float | None]] | None:
    from ckptviewer.analysis.statistics import QUANTILES

    found = [result.quantile(fraction) for fraction in QUANTILES]
    return [
        {
            "fraction": quantile.fraction,
            "value": _number(quantile.value),
            "error": _number(quantile.error),
        }
        for quantile in found
        if quantile is not None
    ] or None


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _print_csv(variables: list[Variable], measured: Measured) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("key", "dtype", "shape", *_FIELDS, "distinct"))
    for variable in variables:
        result = measured[variable.key]
        numbers: list[Any] = [None] * (len(_FIELDS) + 1)
        if not isinstance(result, CkptviewerError):
            numbers = [_number(getattr(result, field)) for field in (*_FIELDS, "distinct")]
        shape = "x".join(map(str, variable.shape))
        writer.writerow((variable.key, variable.dtype, shape, *numbers))


def _print_table(variables: list[Variable], measured: Measured) -> None:
    head = ("KEY", "COUNT", "MIN", "MAX", "MEAN", "STD", "ZERO", "NAN", "INF")
    rows: list[tuple[str, ...]] = [head]
    for variable in variables:
        result = measured[variable.key]
        if isinstance(result, CkptviewerError):
            rows.append((printable(variable.key), "unreadable", *[""] * (len(head) - 2)))
            continue
        floats = (result.min, result.max, result.mean, result.std)
        counts = (result.zero, result.nan, result.inf)
        rows.append(
            (printable(variable.key), str(result.count), *map(_short, floats), *map(str, counts))
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        cells = (f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        print(f"{row[0]:{widths[0]}}", *cells, sep="  ")


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)
