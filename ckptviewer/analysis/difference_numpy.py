"""The inner loops of a comparison: pairs of values go into sums, block by block, in float64."""

from __future__ import annotations

import math
import threading
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ckptviewer.analysis.difference_sums import PairSums
from ckptviewer.analysis.moments import State, combine, piece

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ckptviewer.analysis.difference import Tolerance

    Floats = NDArray[np.float64]

BLOCK = 1 << 16
"""Pairs to a block: what it needs stays in the second cache."""

_FAR = 16.0
"""Sums about a pivot more than so many variances from the mean (squared) have lost digits."""

_DOT_ROW = 4096
"""Dot products are taken in rows so short that BLAS starts no threads for them."""


class _Scratch(threading.local):
    """Room for a block, a thread its own."""

    def __init__(self) -> None:
        self.a, self.b, self.d, self.more = (np.empty(BLOCK) for _ in range(4))


@cache
def _scratch() -> _Scratch:
    return _Scratch()


def add(a: np.ndarray, b: np.ndarray, sums: PairSums, tolerance: Tolerance) -> None:
    """Add pairs of numbers (flat arrays of one length, of any numeric dtypes) to `sums`."""
    one = _add_complex if "c" in (a.dtype.kind, b.dtype.kind) else _add_real
    if a.dtype != b.dtype and a.dtype.kind in "iu" and b.dtype.kind in "iu":
        common = np.result_type(a.dtype, b.dtype)  # holds both exactly, or is float64
        a, b = a.astype(common), b.astype(common)
    with np.errstate(all="ignore"):
        for start in range(0, a.size, BLOCK):
            one(a[start : start + BLOCK], b[start : start + BLOCK], sums, tolerance)


def add_strings(a: np.ndarray, b: np.ndarray, sums: PairSums) -> None:
    """Count in which places two object arrays of bytes differ."""
    sums.numeric = False
    sums.count += a.size
    unequal = sum(x != y for x, y in zip(a.tolist(), b.tolist(), strict=True))
    sums.unequal += unequal
    sums.beyond += unequal


def bits_of(values: np.ndarray) -> np.ndarray:
    """The same memory as unsigned integers; of complex numbers two for each element."""
    width = values.dtype.itemsize // (2 if values.dtype.kind == "c" else 1)
    return values.view(f"u{width}")


def _add_real(a: np.ndarray, b: np.ndarray, sums: PairSums, tolerance: Tolerance) -> None:
    n = a.size
    scratch = _scratch()
    wide_a, wide_b = scratch.a[:n], scratch.b[:n]
    sums.count += n
    np.copyto(wide_a, a, casting="unsafe")
    unequal = -1
    if a.dtype == b.dtype:
        unequal = int(np.count_nonzero(bits_of(a) != bits_of(b)))
        sums.unequal += unequal
        if not unequal and _add_identical(wide_a, sums):
            return
    np.copyto(wide_b, b, casting="unsafe")
    d = _subtract(a, b, wide_a, wide_b, scratch.d[:n])
    if not math.isfinite(_dot(d, d)):
        _add_with_others(wide_a, wide_b, sums, tolerance, count_unequal=unequal < 0)
        return
    if unequal < 0:
        sums.unequal += int(np.count_nonzero(d))
    sums.flips += _sign_flips(wide_a, wide_b)
    _add_differences(wide_a, d, sums, tolerance)
    state_a, square_a = _powers(wide_a)
    state_b, square_b = _powers(wide_b)
    _add_sides(sums, state_a, state_b, square_a, square_b)


def _subtract(a: np.ndarray, b: np.ndarray, wide_a: Floats, wide_b: Floats, d: Floats) -> Floats:
    """B - a in float64; of integers of 64 bits exactly before it is rounded."""
    if a.dtype == b.dtype and a.dtype.kind in "iu" and a.dtype.itemsize == 8:
        up = b >= a
        bits_a, bits_b = bits_of(a), bits_of(b)
        np.copyto(d, np.where(up, bits_b - bits_a, bits_a - bits_b), casting="unsafe")
        np.negative(d, out=d, where=~up)
        return d
    return np.subtract(wide_b, wide_a, out=d)


def _add_identical(wide: Floats, sums: PairSums) -> bool:
    """Add a block that is the same on both sides; False where it has more than finite values."""
    if not math.isfinite(_dot(wide, wide)):
        return False
    sums.pairs += wide.size
    state, square = _powers(wide)
    _add_sides(sums, state, state, square, square)
    return True


def _add_differences(wide_a: Floats, d: Floats, sums: PairSums, tolerance: Tolerance) -> None:
    """Add what the differences of finite pairs tell; `d` is overwritten."""
    sums.pairs += d.size
    sums.add_d(float(d.sum()))
    sums.square_d += _dot(d, d)
    np.abs(d, out=d)
    sums.max_abs = max(sums.max_abs, float(d.max()))
    sums.sum_abs += float(d.sum())
    if tolerance.given:
        limit = np.abs(wide_a, out=_scratch().more[: d.size])
        limit *= tolerance.rtol
        limit += tolerance.atol
        sums.beyond += int(np.count_nonzero(d > limit))
    else:
        sums.beyond += int(np.count_nonzero(d))


def _add_sides(
    sums: PairSums, state_a: State, state_b: State, square_a: float, square_b: float
) -> None:
    sums.state_a = combine(sums.state_a, state_a)
    sums.state_b = combine(sums.state_b, state_b)
    sums.square_a += square_a
    sums.square_b += square_b


def _sign_flips(wide_a: Floats, wide_b: Floats) -> int:
    turned = (wide_a.view(np.int64) ^ wide_b.view(np.int64)) < 0
    count = int(np.count_nonzero(turned))
    if not count:
        return 0
    zero = (wide_a == 0) | (wide_b == 0)
    return count - int(np.count_nonzero(turned & zero))


def _powers(wide: Floats) -> tuple[State, float]:
    """The moments of finite values, and the sum of their squares; `wide` is overwritten."""
    n = float(wide.size)
    square = _scratch().more[: wide.size]
    pivot = float(wide[0])
    s1, s2 = _about(pivot, wide, square)
    shift = s1 / n
    if s1 * shift > _FAR * (s2 - s1 * shift):
        pivot += shift
        s1, s2 = _about(shift, wide, square)
    state = piece(n, pivot, s1, s2, _dot(wide, square), _dot(square, square), 0.0)
    return state, s2 + pivot * (2.0 * s1 + n * pivot)


def _about(pivot: float, wide: Floats, square: Floats) -> tuple[float, float]:
    """Take `pivot` from all values; their sum then, and the sum of their squares."""
    wide -= pivot
    np.multiply(wide, wide, out=square)
    return float(wide.sum()), _dot(wide, wide)


def _add_with_others(
    wide_a: Floats, wide_b: Floats, sums: PairSums, tolerance: Tolerance, *, count_unequal: bool
) -> None:
    """Add a block that has NaN or infinities, or values whose squares leave float64."""
    finite_a, finite_b = np.isfinite(wide_a), np.isfinite(wide_b)
    nan_a, nan_b = np.isnan(wide_a), np.isnan(wide_b)
    both = finite_a & finite_b
    apart = ~both & ~(nan_a & nan_b) & (wide_a != wide_b)
    others = int(np.count_nonzero(apart))
    sums.nan_a += int(np.count_nonzero(nan_a))
    sums.nan_b += int(np.count_nonzero(nan_b))
    sums.inf_a += wide_a.size - int(np.count_nonzero(finite_a | nan_a))
    sums.inf_b += wide_b.size - int(np.count_nonzero(finite_b | nan_b))
    sums.nonfinite_unequal += others
    sums.beyond += others
    pair_a, pair_b = wide_a[both], wide_b[both]
    if count_unequal:
        sums.unequal += others + int(np.count_nonzero(pair_a != pair_b))
    for side, finite in ((wide_a, finite_a), (wide_b, finite_b)):
        kept = side[finite]
        state = _powers(kept)[0] if kept.size else None
        if state and side is wide_a:
            sums.state_a = combine(sums.state_a, state)
        elif state:
            sums.state_b = combine(sums.state_b, state)
    if pair_a.size:
        sums.flips += _sign_flips(pair_a, pair_b)
        sums.square_a += _dot(pair_a, pair_a)
        sums.square_b += _dot(pair_b, pair_b)
        _add_differences(pair_a, pair_b - pair_a, sums, tolerance)


def _add_complex(a: np.ndarray, b: np.ndarray, sums: PairSums, tolerance: Tolerance) -> None:
    """Complex numbers: distances in the plane, moments of magnitudes, as statistics have them."""
    sums.signed = False
    sums.count += a.size
    unequal = -1
    if a.dtype == b.dtype:
        unequal = int(np.count_nonzero((bits_of(a) != bits_of(b)).reshape(-1, 2).any(axis=1)))
    a, b = a.astype(np.complex128), b.astype(np.complex128)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    sums.unequal += unequal if unequal >= 0 else int(np.count_nonzero(~same))
    finite_a, finite_b = np.isfinite(a), np.isfinite(b)
    both = finite_a & finite_b
    others = int(np.count_nonzero(~both & ~same))
    sums.nan_a += int(np.count_nonzero(np.isnan(a)))
    sums.nan_b += int(np.count_nonzero(np.isnan(b)))
    sums.inf_a += int(np.count_nonzero(~finite_a & ~np.isnan(a)))
    sums.inf_b += int(np.count_nonzero(~finite_b & ~np.isnan(b)))
    sums.nonfinite_unequal += others
    sums.beyond += others
    if finite_a.any():
        sums.state_a = combine(sums.state_a, _powers(np.abs(a[finite_a]))[0])
    if finite_b.any():
        sums.state_b = combine(sums.state_b, _powers(np.abs(b[finite_b]))[0])
    if not both.any():
        return
    size_a, size_b = np.abs(a[both]), np.abs(b[both])
    distance = np.abs(b[both] - a[both])
    sums.square_a += _dot(size_a, size_a)
    sums.square_b += _dot(size_b, size_b)
    _add_differences(size_a, distance, sums, tolerance)


def _dot(a: Floats, b: Floats) -> float:
    """The sum of products."""
    whole = a.size // _DOT_ROW * _DOT_ROW
    total = float(np.dot(a[whole:], b[whole:]))
    if whole:
        rows = np.vecdot(a[:whole].reshape(-1, _DOT_ROW), b[:whole].reshape(-1, _DOT_ROW))
        total += float(rows.sum())
    return total
