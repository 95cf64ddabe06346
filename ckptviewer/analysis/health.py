"""Health of one variable, as its statistics tell: what would worry whoever trains with it."""

from __future__ import annotations

from dataclasses import dataclass

from ckptviewer.analysis.summary import Statistics
from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.findings import Severity
from ckptviewer.checkpoint.text import count_text, number_text
from ckptviewer.checkpoint.variable import Role, Variable

FEWEST_TO_JUDGE = 4
"""Of fewer elements nothing unusual can be said: a bias of one zero is no dead layer."""

FLOAT16_OVERFLOW = 65520.0
"""The least magnitude that float16 rounds to infinity."""

FLOAT16_UNDERFLOW = 2.0**-25
"""The greatest magnitude that float16 rounds to zero."""

_UNDERFLOW_PATTERNS = {"float32": (127 - 25) << 7, "float64": (1023 - 25) << 8}
"""The upper bits (16 of float32, 20 of float64) of FLOAT16_UNDERFLOW."""

_WIDER_THAN_FLOAT16 = frozenset(("float32", "float64", "bfloat16"))
_JUDGED_ROLES = frozenset((Role.WEIGHT, Role.MOVING_AVERAGE, Role.OTHER))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What is noticeable about a variable.

    code: the code of the finding that tells more of it, and a word for the filter: "nan", "inf",
    "all-zero", "constant", "fresh-statistics", "negative-variance".
    text: for the tree, in a few characters ("3 NaN"). severity: error or warning.
    """

    code: str
    text: str
    severity: Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Float16Loss:
    """What a cast to float16 would do to a tensor.

    overflow: how many values would become infinite; at least that many, if not `exact`.
    underflow: how many that are not zero would become zero. nonzero: how many are not zero.
    """

    overflow: int
    underflow: int
    nonzero: int
    exact: bool


def mark_of(variable: Variable, statistics: Statistics) -> Mark | None:
    """The most serious thing that the statistics of `variable` show; None where all is well."""
    return next(iter(marks_of(variable, statistics)), None)


def marks_of(variable: Variable, statistics: Statistics) -> list[Mark]:
    """All that the statistics of `variable` show, the most serious first."""
    marks = []
    if statistics.nan:
        text = f"{count_text(statistics.nan)} NaN"
        marks.append(Mark(code="nan", text=text, severity=Severity.ERROR))
    if statistics.inf:
        text = f"{count_text(statistics.inf)} Inf"
        marks.append(Mark(code="inf", text=text, severity=Severity.ERROR))
    if variable.role is Role.MOVING_STATISTIC:
        mark = _mark_of_moving_statistic(variable.name.lower(), statistics)
    else:
        mark = _mark_of_constant(variable, statistics)
    return [*marks, mark] if mark else marks


def float16_loss(variable: Variable, statistics: Statistics) -> Float16Loss | None:
    """What casting `variable` to float16 would lose; None where that makes no sense.

    Counted from the fine buckets: exact but for the one bucket that the upper limit goes through.
    """
    if variable.dtype not in _WIDER_THAN_FLOAT16 or not statistics.finite:
        return None
    overflow, exact = _overflow(statistics)
    return Float16Loss(
        overflow=overflow,
        underflow=_underflow(statistics),
        nonzero=statistics.finite - statistics.buckets.zeros,
        exact=exact,
    )


def _overflow(statistics: Statistics) -> tuple[int, bool]:
    import numpy as np

    low, high = statistics.min or 0, statistics.max or 0
    if max(abs(low), abs(high)) < FLOAT16_OVERFLOW:
        return 0, True
    lower, upper = (np.abs(bound) for bound in statistics.buckets.bounds)
    sure = np.minimum(lower, upper) >= FLOAT16_OVERFLOW
    maybe = np.maximum(lower, upper) >= FLOAT16_OVERFLOW
    ends = (abs(low) >= FLOAT16_OVERFLOW) + (abs(high) >= FLOAT16_OVERFLOW and low != high)
    count = int(statistics.buckets.counts[sure].sum())
    return max(count, ends), bool((sure == maybe).all())


def _underflow(statistics: Statistics) -> int:
    import numpy as np

    buckets = statistics.buckets
    if buckets.scheme.value == "points":
        small = np.abs(buckets.ranks) <= FLOAT16_UNDERFLOW
        return int(buckets.counts[small].sum())
    # Buckets are powers of two cut evenly, and this limit is a bound of one: those near the middle.
    half = 1 << (buckets.scheme.bits - 1)
    limit = _UNDERFLOW_PATTERNS[buckets.scheme.value]
    first, last = np.searchsorted(buckets.ranks, (half - limit, half + limit))
    return int(buckets.counts[first:last].sum())


def _mark_of_constant(variable: Variable, statistics: Statistics) -> Mark | None:
    judged = variable.role in _JUDGED_ROLES and len(variable.shape) > 1
    if not judged or kind_of(variable.dtype) is not Kind.FLOAT:
        return None
    if statistics.count < FEWEST_TO_JUDGE or not statistics.constant:
        return None
    if statistics.min == 0:
        return Mark(code="all-zero", text="all zero", severity=Severity.WARNING)
    text = f"all {number_text(statistics.min, 3)}"
    return Mark(code="constant", text=text, severity=Severity.WARNING)


def _mark_of_moving_statistic(name: str, statistics: Statistics) -> Mark | None:
    is_variance = "var" in name[name.rfind("/") + 1 :]
    if is_variance and statistics.min is not None and statistics.min < 0:
        return Mark(code="negative-variance", text="negative", severity=Severity.ERROR)
    initial = 1 if is_variance else 0
    if statistics.constant and statistics.count > 1 and statistics.min == initial:
        text = f"still {initial}.0"
        return Mark(code="fresh-statistics", text=text, severity=Severity.WARNING)
    return None
