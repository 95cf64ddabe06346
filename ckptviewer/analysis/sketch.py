"""Sketches: what a row of the tree shows of a variable's values, in a few dozen numbers."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

from ckptviewer.analysis.health import Mark, mark_of
from ckptviewer.analysis.summary import Statistics
from ckptviewer.checkpoint.text import number_text
from ckptviewer.checkpoint.variable import Variable

SKETCH_BINS = 24


class Measures(NamedTuple):
    """What variables can be ranked by; None where it does not apply.

    not_finite: how many elements are NaN or infinite. zeros: how many are exactly zero; sparsity:
    their share.
    rms: the root of the mean square, which compares variables of different sizes.
    """

    not_finite: int
    zeros: int
    l2_norm: float | None
    rms: float | None
    sparsity: float | None
    kurtosis: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """What is left of a variable's statistics for its row.

    heights: of the bars of its histogram from min to max, 0 to 1; empty where `text` says it all.
    text: the value of a scalar or constant; empty otherwise.
    summary: range, mean and std in words. mark: what is noticeable, if anything is.
    measures: None where the values could not be read.
    """

    heights: tuple[float, ...]
    text: str
    summary: str
    mark: Mark | None
    measures: Measures | None = None


def sketch_of(variable: Variable, statistics: Statistics) -> Sketch:
    """The sketch of a variable from its statistics."""
    mark = mark_of(variable, statistics)
    measures = _measures(statistics)
    if statistics.lengths is not None:
        distinct = f"{number_text(statistics.distinct)} distinct" if statistics.count > 1 else ""
        return Sketch(heights=(), text=distinct, summary="", mark=mark, measures=measures)
    if not statistics.finite:
        return Sketch(heights=(), text="", summary="", mark=mark, measures=measures)
    if statistics.constant:
        value = number_text(statistics.min)
        text = value if statistics.count == 1 else f"all {value}"
        return Sketch(heights=(), text=text, summary=text, mark=mark, measures=measures)
    counts = statistics.buckets.rebin(SKETCH_BINS).counts
    top = max(1, int(counts.max()))
    return Sketch(
        heights=tuple((counts / top).tolist()),
        text="",
        summary=f"{number_text(statistics.min)} \u2026 {number_text(statistics.max)}, "
        f"mean {number_text(statistics.mean)}, std {number_text(statistics.std)}",
        mark=mark,
        measures=measures,
    )


def _measures(statistics: Statistics) -> Measures:
    norm = statistics.l2_norm
    return Measures(
        not_finite=statistics.nan + statistics.inf,
        zeros=statistics.zero,
        l2_norm=norm,
        rms=None if norm is None or not statistics.finite else norm / sqrt(statistics.finite),
        sparsity=statistics.zero / statistics.count if statistics.count > 1 else None,
        kurtosis=statistics.kurtosis,
    )
