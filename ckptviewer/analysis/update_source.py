"""The inner loops of a training's series for float32 values, as Numba compiles them.

A block that stays in the first cache is gone over by integer comparisons of the bits, then by sums
in float64 of its values about the mean so far, and of their differences from those before.

Run as a module it writes the machine code to the path that it is given; see `kernel_source`.
"""

# mypy: disallow-untyped-calls = False
from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numba import carray, cfunc, njit, types  # type: ignore[attr-defined]

from ckptviewer.analysis import kernel_source
from ckptviewer.analysis.kernel_compiled import store
from ckptviewer.analysis.kernel_source import FAR, _count_below, _ordered, _scan
from ckptviewer.analysis.update_compiled import BLOCK, CompiledUpdates

_plain = njit(error_model="numpy")
_vector = njit(error_model="numpy", fastmath={"reassoc", "nsz", "contract"})


@_vector
def _sums(values, pivot):  # type: ignore[no-untyped-def]
    s1 = 0.0
    s2 = 0.0
    for i in range(values.size):
        d = np.float64(values[i]) - pivot
        s1 += d
        s2 += d * d
    return s1, s2


def _beside(replaces: bool) -> Any:
    """Sums of values, and of their differences from those before, which they may replace."""

    @_vector
    def sums(values, before, pivot):  # type: ignore[no-untyped-def]
        s1 = 0.0
        s2 = 0.0
        square = 0.0
        for i in range(values.size):
            value = values[i]
            x = np.float64(value)
            d = x - pivot
            s1 += d
            s2 += d * d
            change = x - np.float64(before[i])
            square += change * change
            if replaces:
                before[i] = value
        return s1, s2, square

    return sums


_sums_beside = _beside(replaces=False)
_sums_replacing = _beside(replaces=True)


@_plain
def _add(values, bits, before, mode, limits, counts, extremes, sums):  # type: ignore[no-untyped-def]
    """Add blocks up to the first that has NaN or an infinity.

    bits: the values' memory as signed integers. mode: 0 without `before`, 1 with it, 2 to put the
    values in its place. limits: mask of the magnitude, infinity, shift of the sign. Fills counts
    (done, zeros; the third is how many went before) and extremes (in the order of the bits), and
    adds to sums (mean, squares about it, squares of the differences).
    """
    mask, infinity, sign = limits[0], limits[1], limits[2]
    done, zeros, earlier = 0, 0, counts[2]
    lowest, highest = np.int32(0x7FFFFFFF), np.int32(-0x80000000)
    mean, spread, squares = sums[0], sums[1], sums[2]
    for start in range(0, values.size, BLOCK):
        x = values[start : start + BLOCK]
        b = bits[start : start + BLOCK]
        y = before[start : start + BLOCK]
        low, high, small, large = _scan(b, mask)
        if large >= infinity:
            break
        if small == 0:
            zeros += _count_below(b, mask, 1)
        lowest = min(lowest, _ordered(low, mask, sign))
        highest = max(highest, _ordered(high, mask, sign))
        n = np.float64(x.size)
        m = np.float64(earlier + done)
        pivot = mean if earlier + done else np.float64(x[0])
        square = 0.0
        if mode == 2:
            s1, s2, square = _sums_replacing(x, y, pivot)
        elif mode == 1:
            s1, s2, square = _sums_beside(x, y, pivot)
        else:
            s1, s2 = _sums(x, pivot)
        squares += square
        off = s1 / n
        if n * off * off > FAR * (s2 - n * off * off):
            pivot += off
            s1, s2 = _sums(x, pivot)
            off = s1 / n
        # Chan's update of mean and sum of squares about it.
        shift = pivot + off - mean
        spread += max(s2 - n * off * off, 0.0) + shift * shift * m * n / (m + n)
        mean += shift * n / (m + n)
        done += x.size
    counts[0], counts[1] = done, zeros
    extremes[0], extremes[1] = lowest, highest
    sums[0], sums[1], sums[2] = mean, spread, squares


def _entry() -> Any:
    def entry(  # type: ignore[no-untyped-def]
        values, bits, before, n, mode, limits, counts, extremes, sums
    ):
        _add(
            carray(values, n), carray(bits, n), carray(before, n), mode, carray(limits, 3),
            carray(counts, 3), carray(extremes, 2), carray(sums, 3),
        )  # fmt: skip

    to = types.CPointer
    return cfunc(
        types.void(
            to(types.float32), to(types.int32), to(types.float32), types.intp, types.intp,
            to(types.int32), to(types.int64), to(types.int32), to(types.float64),
        ),
        error_model="numpy",
    )(entry)  # fmt: skip


def entries() -> dict[str, Any]:
    """The entry points by their short names."""
    return {"updates": _entry()}


if __name__ == "__main__":
    store(sys.argv[1], *kernel_source.build(entries()), CompiledUpdates)
