"""The inner loops in plain NumPy: what runs until compiled code is there, or instead of it."""

from __future__ import annotations

import math
import threading
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ckptviewer.analysis.chunks import SEGMENT_ELEMENTS
from ckptviewer.analysis.moments import Moments, State, piece

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ckptviewer.analysis.kernel import Sums

_RUN_ELEMENTS = 8 * SEGMENT_ELEMENTS
"""So much is gone through at a time."""

_NEAR = 4096.0
"""A mean so much smaller than the root of the mean square (squared) counts as zero."""

_ONE = np.uint32(1)
_HALF = np.uint32(16)
_BLAS_ROW = 4096
"""Dot products are taken in rows so short that BLAS starts no threads for them."""


class _Scratch(threading.local):
    """Room for a segment, a thread its own: asking for it each time takes longer than the work."""

    def __init__(self) -> None:
        self.floats = np.empty(SEGMENT_ELEMENTS)
        self.more_floats = np.empty(SEGMENT_ELEMENTS)
        self.patterns = np.empty(SEGMENT_ELEMENTS, np.uint32)
        self.keys = np.empty(SEGMENT_ELEMENTS, np.intp)
        self.more_keys = np.empty(SEGMENT_ELEMENTS, np.intp)


@cache
def _scratch() -> _Scratch:
    return _Scratch()


def accumulate(values: np.ndarray, sums: Sums, exponent: int = 0) -> None:
    """Add float32 or float64 values to `sums`; moments in units of 2**exponent.

    values: flat and contiguous; NaN and infinities are counted and left out.
    """
    for start in range(0, values.size, _RUN_ELEMENTS):
        _accumulate_run(values[start : start + _RUN_ELEMENTS], sums, exponent)


def _accumulate_run(values: np.ndarray, sums: Sums, exponent: int) -> None:
    starts = range(0, values.size, SEGMENT_ELEMENTS)
    segments = [values[start : start + SEGMENT_ELEMENTS] for start in starts]
    lowest = [float(segment.min()) for segment in segments]  # NaN, where there is one
    highest = [float(segment.max()) for segment in segments]
    if not all(map(math.isfinite, lowest)) or not all(map(math.isfinite, highest)):
        segments = [finite for segment in segments if (finite := _finite(segment, sums)).size]
        lowest = [float(segment.min()) for segment in segments]
        highest = [float(segment.max()) for segment in segments]
        for segment in segments:
            _count(segment, sums)
    else:
        _count(values, sums)
    if not segments:
        return
    sums.low = min(sums.low, *lowest)
    sums.high = max(sums.high, *highest)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for segment in segments:
            wide = _scratch().floats[: segment.size]
            np.copyto(wide, segment)
            if exponent:
                np.ldexp(wide, -exponent, out=wide)
            sums.add_state(powers(wide))


def _count(values: np.ndarray, sums: Sums) -> None:
    if values.dtype == np.float32:
        _count_float32(values, sums)
        return
    for start in range(0, values.size, SEGMENT_ELEMENTS):
        _count_float64(values[start : start + SEGMENT_ELEMENTS], sums)


def accumulate_integers(values: np.ndarray, sums: Sums) -> None:
    """Add integers to `sums`, as float64; those beyond 2**53 keep their differences exactly."""
    wide = values.astype(np.float64)
    sums.low = min(sums.low, float(wide.min()))
    sums.high = max(sums.high, float(wide.max()))
    for start in range(0, values.size, SEGMENT_ELEMENTS):
        segment = values[start : start + SEGMENT_ELEMENTS]
        _count_float64(wide[start : start + SEGMENT_ELEMENTS], sums)
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
    scratch = np.abs(values, out=_scratch().more_floats[:n])
    absolute = float(scratch.sum())
    s1 = float(values.sum())
    mean = s1 / n
    s2 = _dot(values, values)
    pivot = 0.0
    if not n * mean * mean * _NEAR <= s2:  # about zero, their sums of powers would lose digits
        pivot = mean
        np.subtract(values, pivot, out=values)
        s1 = float(values.sum())
        s2 = _dot(values, values)
    np.multiply(values, values, out=scratch)
    return piece(n, pivot, s1, s2, _dot(values, scratch), _dot(scratch, scratch), absolute)


def _count_float32(values: NDArray[np.float32], sums: Sums) -> None:
    """Add finite values to the table, zeros and denormals to their own counts, too."""
    small = _count_small_patterns(sums.table, 1 << 7)
    for start in range(0, values.size, SEGMENT_ELEMENTS):
        patterns = values[start : start + SEGMENT_ELEMENTS].view(np.uint32)
        upper_halves = _scratch().patterns[: patterns.size]
        np.right_shift(patterns, _HALF, out=upper_halves)
        _count_segment(upper_halves, sums.table)
    if _count_small_patterns(sums.table, 1 << 7) > small:
        _count_small(values, sums)


def _count_float64(values: NDArray[np.float64], sums: Sums) -> None:
    """Add up to a segment of finite values to the table; see `_count_float32`.

    Few magnitudes occur in it: a table of these alone, one half for each sign, stays in the cache.
    """
    half = len(sums.table) // 2
    scratch = _scratch()
    patterns, magnitudes = (room[: values.size] for room in (scratch.keys, scratch.more_keys))
    np.right_shift(values.view(np.uint64), np.uint64(44), out=patterns, casting="unsafe")
    np.bitwise_and(patterns, half - 1, out=magnitudes)
    low = int(magnitudes.min())
    width = int(magnitudes.max()) + 1 - low
    patterns >>= half.bit_length() - 1
    patterns *= width
    patterns += magnitudes
    patterns -= low
    counts = np.bincount(patterns, minlength=2 * width).astype(sums.table.dtype)
    sums.table[low : low + width] += counts[:width]
    sums.table[half + low : half + low + width] += counts[width:]
    if low < 1 << 8:  # the exponent's bits are all zero
        _count_small(values, sums)


def _count_small_patterns(table: NDArray[np.uint32], normal: int) -> int:
    half = len(table) // 2
    return int(table[:normal].sum()) + int(table[half : half + normal].sum())


def _count_small(values: np.ndarray, sums: Sums) -> None:
    zeros = int(values.size - np.count_nonzero(values))
    smallest = float(np.finfo(values.dtype).smallest_normal)
    sums.zero += zeros
    sums.denormal += int(np.count_nonzero(np.abs(values) < smallest)) - zeros


def count_patterns(patterns: NDArray[np.uint16], table: NDArray[np.uint32]) -> None:
    """Add to `table` how often each pattern of 16 bits comes."""
    for start in range(0, patterns.size, SEGMENT_ELEMENTS):
        _count_segment(patterns[start : start + SEGMENT_ELEMENTS], table)


def _count_segment(buckets: NDArray[np.unsignedinteger], table: NDArray[np.uint32]) -> None:
    """Add up to a segment of 16-bit numbers to the table that counts them."""
    keys = _scratch().keys[: buckets.size]
    np.copyto(keys, buckets, casting="unsafe")  # what add.at would do, and more slowly
    np.add.at(table, keys, _ONE)


def _finite(values: np.ndarray, sums: Sums) -> np.ndarray:
    sums.nan += int(np.count_nonzero(np.isnan(values)))
    sums.pos_inf += int(np.count_nonzero(values == np.inf))
    sums.neg_inf += int(np.count_nonzero(values == -np.inf))
    kept: np.ndarray = values[np.isfinite(values)]
    return kept


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    whole = a.size // _BLAS_ROW * _BLAS_ROW
    rest = float(np.vecdot(a[whole:], b[whole:])) if whole < a.size else 0.0
    rows = np.vecdot(a[:whole].reshape(-1, _BLAS_ROW), b[:whole].reshape(-1, _BLAS_ROW))
    return rest + float(rows.sum())
