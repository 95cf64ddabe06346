"""The inner loops in plain NumPy: what runs until compiled code is there, or instead of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ckptviewer.analysis.chunks import SEGMENT_ELEMENTS
from ckptviewer.analysis.moments import Moments, State, piece

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ckptviewer.analysis.kernel import Sums

_BLAS_ROW = 4096
"""Dot products are taken in rows so short that BLAS starts no threads for them."""


def accumulate(values: np.ndarray, sums: Sums, exponent: int = 0) -> None:
    """Add float32 or float64 values to `sums`; moments in units of 2**exponent.

    values: flat and contiguous; NaN and infinities are counted and left out.
    """
    if math.isfinite(values.min()) and math.isfinite(values.max()):
        _accumulate_finite(values, sums, exponent)
        return
    for start in range(0, values.size, SEGMENT_ELEMENTS):  # by segments, as their sums are
        finite = _finite(values[start : start + SEGMENT_ELEMENTS], sums)
        if finite.size:
            _accumulate_finite(finite, sums, exponent)


def _accumulate_finite(values: np.ndarray, sums: Sums, exponent: int) -> None:
    sums.low = min(sums.low, float(values.min()))
    sums.high = max(sums.high, float(values.max()))
    count_upper_bits(values, sums)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for start in range(0, values.size, SEGMENT_ELEMENTS):
            segment = values[start : start + SEGMENT_ELEMENTS].astype(np.float64)
            if exponent:
                np.ldexp(segment, -exponent, out=segment)
            sums.add_state(powers(segment))


def accumulate_integers(values: np.ndarray, sums: Sums) -> None:
    """Add integers to `sums`, as float64; those beyond 2**53 keep their differences exactly."""
    wide = values.astype(np.float64)
    sums.low = min(sums.low, float(wide.min()))
    sums.high = max(sums.high, float(wide.max()))
    count_upper_bits(wide, sums)
    for start in range(0, values.size, SEGMENT_ELEMENTS):
        segment = values[start : start + SEGMENT_ELEMENTS]
        low, high = int(segment.min()), int(segment.max())
        if high - low >= 1 << 53 or max(abs(low), abs(high)) < 1 << 53:
            sums.add_state(powers(segment.astype(np.float64)))
            continue
        pivot = float(low)
        differences = (segment - segment.dtype.type(low)).astype(np.float64)
        differences += low - int(pivot)  # what float() took away
        sums.add_state(Moments(powers(differences)).moved(pivot).state)


def powers(values: NDArray[np.float64]) -> State:
    """The state of one segment of finite values; `values` is overwritten."""
    n = values.size
    scratch = np.abs(values)
    absolute = float(scratch.sum())
    mean = float(values.sum()) / n
    np.subtract(values, mean, out=values)
    s1 = float(values.sum())
    np.multiply(values, values, out=scratch)
    return piece(
        n,
        mean,
        s1,
        _dot(values, values),
        _dot(values, scratch),
        _dot(scratch, scratch),
        absolute,
    )


def count_upper_bits(values: np.ndarray, sums: Sums) -> None:
    """Add finite float32 or float64 values to the table, zeros and denormals to their counts."""
    if values.dtype == np.float32:
        patterns = (values.view(np.uint32) >> np.uint32(16)).astype(np.intp)
        normal, smallest = 1 << 7, float(np.finfo(np.float32).smallest_normal)
    else:
        patterns = (values.view(np.uint64) >> np.uint64(44)).astype(np.intp)
        normal, smallest = 1 << 8, float(np.finfo(np.float64).smallest_normal)
    counts = np.bincount(patterns)
    sums.table[: len(counts)] += counts.astype(sums.table.dtype)
    # Zeros and denormals have patterns of their own; most tensors have none of them.
    half = len(sums.table) // 2
    if counts[:normal].any() or counts[half : half + normal].any():
        zeros = int(values.size - np.count_nonzero(values))
        sums.zero += zeros
        sums.denormal += int(np.count_nonzero(np.abs(values) < smallest)) - zeros


def count_patterns(patterns: NDArray[np.uint16], table: NDArray[np.uint32]) -> None:
    """Add to `table` how often each pattern of 16 bits comes."""
    table += np.bincount(patterns.astype(np.intp), minlength=1 << 16).astype(np.uint32)


def _finite(values: np.ndarray, sums: Sums) -> np.ndarray:
    sums.nan += int(np.count_nonzero(np.isnan(values)))
    sums.pos_inf += int(np.count_nonzero(values == np.inf))
    sums.neg_inf += int(np.count_nonzero(values == -np.inf))
    kept: np.ndarray = values[np.isfinite(values)]
    return kept


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    whole = a.size // _BLAS_ROW * _BLAS_ROW
    total = float(np.vecdot(a[whole:], b[whole:]))
    if whole:
        rows = np.vecdot(a[:whole].reshape(-1, _BLAS_ROW), b[:whole].reshape(-1, _BLAS_ROW))
        total += float(rows.sum())
    return total
