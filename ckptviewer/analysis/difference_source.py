"""The inner loops of a comparison of float32 values, as Numba compiles them.

A block that stays in the first cache is gone over by integer comparisons of the bits, then by sums
of powers of both sides about the means of the blocks before, and of their differences.

Run as a module it writes the machine code to the path that it is given; see `kernel_source`.
"""

# mypy: disallow-untyped-calls = False
from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numba import carray, cfunc, njit, types  # type: ignore[attr-defined]

from ckptviewer.analysis import kernel_source
from ckptviewer.analysis.difference_compiled import BLOCK, CompiledPairs
from ckptviewer.analysis.kernel_compiled import store
from ckptviewer.analysis.kernel_source import FAR, _combine, _piece, two_sum

_plain = njit(error_model="numpy")
# Only finite values come here: neither their order nor NaN matter.
_finite = njit(error_model="numpy", fastmath=True)


@_plain
def _scan(a, b, mask):  # type: ignore[no-untyped-def]
    """Of the bits of both: the greatest magnitude, how many differ, and how many in sign."""
    narrow = a.dtype.type
    large = narrow(0)
    unequal = np.int32(0)
    turned = np.int32(0)
    for i in range(a.size):
        x, y = a[i], b[i]
        large = max(large, narrow(x & mask), narrow(y & mask))
        unequal += np.int32(x != y)
        turned += np.int32((x ^ y) < 0)
    return large, unequal, turned


@_plain
def _count_turned(a, b, mask):  # type: ignore[no-untyped-def]
    """Of the bits of both: how many differ in sign, and are not zero; how many are both zero."""
    flips = np.int32(0)
    zeros = np.int32(0)
    for i in range(a.size):
        x, y = a[i], b[i]
        turned = (x ^ y) < 0
        zero_x, zero_y = (x & mask) == 0, (y & mask) == 0
        flips += np.int32(turned & ~zero_x & ~zero_y)
        zeros += np.int32(turned & zero_x & zero_y)
    return flips, zeros


@_plain
def _count_beyond(a, b, atol, rtol):  # type: ignore[no-untyped-def]
    count = np.int32(0)
    for i in range(a.size):
        x = np.float64(a[i])
        count += np.int32(abs(np.float64(b[i]) - x) > atol + rtol * abs(x))
    return count


@_plain
def _any_larger(a, b, largest):  # type: ignore[no-untyped-def]
    count = np.int32(0)
    for i in range(a.size):
        count += np.int32(abs(np.float64(b[i]) - np.float64(a[i])) > largest)
    return count > 0


@_plain
def _largest(a, b, largest):  # type: ignore[no-untyped-def]
    """The largest |b-a|, or `largest`. Looking whether there is any comes first: LLVM makes vectors
    of that loop, and not of this one."""
    if not _any_larger(a, b, largest):
        return largest
    for i in range(a.size):
        largest = max(largest, abs(np.float64(b[i]) - np.float64(a[i])))
    return largest


@_finite
def _differences(a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    absolute = 0.0
    square = 0.0
    for i in range(a.size):
        d = np.float64(b[i]) - np.float64(a[i])
        total += d
        absolute += abs(d)
        square += d * d
    return total, absolute, square


@_finite
def _powers(values, pivot):  # type: ignore[no-untyped-def]
    s1 = 0.0
    s2 = 0.0
    s3 = 0.0
    s4 = 0.0
    for i in range(values.size):
        d = np.float64(values[i]) - pivot
        square = d * d
        s1 += d
        s2 += square
        s3 += square * d
        s4 += square * square
    return s1, s2, s3, s4


@_plain
def _side(values, pivot):  # type: ignore[no-untyped-def]
    """The state of a block, the sum of its squares, and a pivot for the next."""
    n = np.float64(values.size)
    s1, s2, s3, s4 = _powers(values, pivot)
    off = s1 / n
    if n * off * off > FAR * (s2 - n * off * off):
        pivot += off
        s1, s2, s3, s4 = _powers(values, pivot)
        off = s1 / n
    state = _piece(n, pivot, s1, s2, s3, s4, 0.0)
    return state, s2 + pivot * (2.0 * s1 + n * pivot), pivot + off


@_plain
def _loaded(state):  # type: ignore[no-untyped-def]
    return (state[0], state[1], state[2], state[3], state[4], state[5], state[6])


@_plain
def _add(  # type: ignore[no-untyped-def]
    a, b, bits_a, bits_b, limits, tolerance, counts, sums, state_a, state_b
):
    """Add blocks up to the first that has NaN or an infinity; counts[3] says how many pairs.

    bits_a, bits_b: the same memory as signed integers. limits: mask of the magnitude, infinity.
    counts: unequal, sign flips, beyond. sums: largest |d| so far, sums of |d|, d (two parts), d*d,
    a*a, b*b.
    """
    mask, infinity = limits[0], limits[1]
    tolerant = tolerance[0] > 0.0 or tolerance[1] > 0.0
    done_a = _loaded(state_a)
    done_b = _loaded(state_b)
    pivot_a = np.float64(a[0])
    pivot_b = np.float64(b[0])
    for start in range(0, a.size, BLOCK):
        x = a[start : start + BLOCK]
        y = b[start : start + BLOCK]
        p = bits_a[start : start + BLOCK]
        q = bits_b[start : start + BLOCK]
        large, unequal, turned = _scan(p, q, mask)
        if large >= infinity:
            break
        counts[3] += x.size
        side_a, square_a, pivot_a = _side(x, pivot_a)
        done_a = _combine(done_a, side_a)
        sums[5] += square_a
        if unequal == 0:
            done_b = _combine(done_b, side_a)
            sums[6] += square_a
            continue
        side_b, square_b, pivot_b = _side(y, pivot_b)
        done_b = _combine(done_b, side_b)
        sums[6] += square_b
        counts[0] += unequal
        zeros = np.int32(0)
        if turned:
            flips, zeros = _count_turned(p, q, mask)
            counts[1] += flips
        if tolerant:
            counts[2] += _count_beyond(x, y, tolerance[0], tolerance[1])
        else:
            counts[2] += unequal - zeros
        sums[0] = _largest(x, y, sums[0])
        total, absolute, square = _differences(x, y)
        sums[1] += absolute
        sums[2], rest = two_sum(sums[2], total)
        sums[3] += rest
        sums[4] += square
    for i in range(7):
        state_a[i] = done_a[i]
        state_b[i] = done_b[i]


def _entry() -> Any:
    def entry(  # type: ignore[no-untyped-def]
        a, b, bits_a, bits_b, n, limits, tolerance, counts, sums, state_a, state_b
    ):
        _add(
            carray(a, n), carray(b, n), carray(bits_a, n), carray(bits_b, n), carray(limits, 2),
            carray(tolerance, 2), carray(counts, 4), carray(sums, 7), carray(state_a, 7),
            carray(state_b, 7),
        )  # fmt: skip

    to = types.CPointer
    real, whole = to(types.float64), to(types.int64)
    return cfunc(
        types.void(
            to(types.float32), to(types.float32), to(types.int32), to(types.int32), types.intp,
            to(types.int32), real, whole, real, real, real,
        ),
        error_model="numpy",
    )(entry)  # fmt: skip


def entries() -> dict[str, Any]:
    """The entry points by their short names."""
    return {"pairs": _entry()}


if __name__ == "__main__":
    store(sys.argv[1], *kernel_source.build(entries()), CompiledPairs)
