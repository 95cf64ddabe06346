"""Exact statistics: of a tensor that is known value by value."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ckptviewer.analysis.histogram import Buckets, added_up
from ckptviewer.analysis.moments import Moments, moments_of_table
from ckptviewer.analysis.summary import Statistics
from ckptviewer.checkpoint.dtypes import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray


def statistics_of_values(
    values: NDArray[np.float64], counts: NDArray[np.integer], dtype: np.dtype, kind: Kind
) -> Statistics:
    """The statistics of a tensor given by its values as float64 and how often each comes.

    A value may come more than once (-0.0 and 0.0 do). dtype, kind: of the tensor; they decide
    what is denormal, and whether extremes are integers.
    """
    total = int(counts.sum())
    finite = np.isfinite(values)
    nan = pos_inf = neg_inf = 0
    if not finite.all():
        nan = int(counts[np.isnan(values)].sum())
        pos_inf = int(counts[values == np.inf].sum())
        neg_inf = int(counts[values == -np.inf].sum())
        values, counts = values[finite], counts[finite]
    points, totals = added_up(values, counts)
    moments = moments_of_table(points, totals)
    if points.size == 1:
        moments = moments.constant(float(points[0]))
    buckets = Buckets.of_points(points, totals)
    tiny = smallest_normal(dtype, kind)
    number = int if kind in (Kind.INTEGER, Kind.BOOL) else float
    return Statistics(
        count=total,
        nan=nan,
        pos_inf=pos_inf,
        neg_inf=neg_inf,
        zero=buckets.zeros,
        denormal=int(buckets.counts[np.abs(buckets.ranks) < tiny].sum()) if tiny else 0,
        min=number(buckets.low) if points.size else None,
        max=number(buckets.high) if points.size else None,
        moments=moments,
        buckets=buckets,
        distinct=len(points),
    )


def statistics_of_integers(values: np.ndarray, counts: NDArray[np.int64]) -> Statistics:
    """The statistics of integers given as distinct ascending values and how often each comes.

    Differences between integers beyond 2**53 are kept.
    """
    if not values.size:
        return Statistics()
    low, high = int(values[0]), int(values[-1])
    points, totals = added_up(values.astype(np.float64), counts)
    buckets = Buckets.of_points(points, totals)
    return Statistics(
        count=int(counts.sum()),
        zero=buckets.zeros,
        min=low,
        max=high,
        moments=moments_of_integers(values, counts),
        buckets=buckets,
        distinct=len(values),
    )


def moments_of_integers(values: np.ndarray, counts: NDArray[np.int64]) -> Moments:
    """The moments of distinct ascending integers and how often each comes."""
    low, high = int(values[0]), int(values[-1])
    if high - low >= 1 << 53 or max(abs(low), abs(high)) < 1 << 53:
        moments = moments_of_table(values.astype(np.float64), counts)
    else:
        pivot = float(low)
        differences = (values - values.dtype.type(low)).astype(np.float64) + (low - int(pivot))
        moments = moments_of_table(differences, counts).moved(pivot)
    return moments.constant(float(low)) if low == high else moments


@cache
def smallest_normal(dtype: np.dtype, kind: Kind) -> float:
    """The least positive number of the dtype that is not denormal; 0 for what has no such."""
    if kind is Kind.COMPLEX:
        dtype = np.dtype(np.float32 if dtype.itemsize == 8 else np.float64)
    elif kind is not Kind.FLOAT:
        return 0.0
    if dtype.type in (np.float16, np.float32, np.float64):
        return float(np.finfo(dtype).smallest_normal)
    import ml_dtypes

    return float(ml_dtypes.finfo(dtype).smallest_normal)  # type: ignore[no-untyped-call]
