"""The inner loops compiled by Numba; imported through `kernel` alone, which knows when.

A block that stays in the first cache is gone over four times: extremes by integer comparisons
(the bits of a float in an order of their own), sums, powers about the block's mean, buckets.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numba import njit
from platformdirs import user_cache_path

from ckptviewer.analysis import moments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ckptviewer.analysis.kernel import Sums

BLOCK = 4096
"""Elements to a block; divides SEGMENT_ELEMENTS, so that blocks never depend on the chunks."""

# Sums may be taken in any order, which is what lets the processor add eight at a time; NaN and
# infinities keep their meaning.
_ANY_ORDER = {"reassoc", "nsz", "contract"}
_plain = njit(nogil=True)
_vector = njit(nogil=True, fastmath=_ANY_ORDER)

two_product = _plain(moments.two_product)
two_sum = _plain(moments.two_sum)


def _linked(function: Any) -> Any:
    """A function of `moments`, compiled so that it calls the compiled ones."""
    names = {"two_product": two_product, "two_sum": two_sum}
    return _plain(type(function)(function.__code__, {**function.__globals__, **names}))


_piece = _linked(moments.piece)
_combine = _linked(moments.combine)


@_plain
def _scan(bits, mask, sign):  # type: ignore[no-untyped-def]
    """Least and greatest value in the order of the bits, least and greatest magnitude."""
    first = bits[0]
    low = first ^ ((first >> sign) & mask)
    high = low
    small = first & mask
    large = small
    for i in range(bits.size):
        b = bits[i]
        magnitude = b & mask
        ordered = b ^ ((b >> sign) & mask)
        low = min(low, ordered)
        high = max(high, ordered)
        small = min(small, magnitude)
        large = max(large, magnitude)
    return low, high, small, large


@_plain
def _count_below(bits, mask, limit):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(bits.size):
        count += (bits[i] & mask) < limit
    return count


@_vector
def _sums(values):  # type: ignore[no-untyped-def]
    total = 0.0
    absolute = 0.0
    for i in range(values.size):
        x = np.float64(values[i])
        total += x
        absolute += abs(x)
    return total, absolute


@_vector
def _powers(values, mean):  # type: ignore[no-untyped-def]
    s1 = 0.0
    s2 = 0.0
    s3 = 0.0
    s4 = 0.0
    for i in range(values.size):
        d = np.float64(values[i]) - mean
        square = d * d
        s1 += d
        s2 += square
        s3 += square * d
        s4 += square * square
    return s1, s2, s3, s4


@_plain
def _keep_finite(values, bits, mask, infinity, facts, kept):  # type: ignore[no-untyped-def]
    """Copy the finite values to `kept`, count the others; how many were copied."""
    count = 0
    for i in range(values.size):
        magnitude = bits[i] & mask
        if magnitude < infinity:
            kept[count] = values[i]
            count += 1
        elif magnitude > infinity:
            facts[0] += 1
        elif bits[i] > 0:
            facts[1] += 1
        else:
            facts[2] += 1
    return count


@_plain
def _count_buckets(patterns, shift, table, times):  # type: ignore[no-untyped-def]
    if times:  # all alike
        table[patterns[0] >> shift] += np.uint32(patterns.size)
        return
    for i in range(patterns.size):
        table[patterns[i] >> shift] += np.uint32(1)


def _accumulate(  # type: ignore[no-untyped-def]
    values, bits, patterns, kept, kept_bits, kept_patterns, limits, shift, table, facts, extremes,
    state,
):  # fmt: skip
    """Add all of `values` to table, facts, extremes (in the order of the bits) and state.

    bits, patterns: the same memory as signed and as unsigned integers; `kept` likewise is room
    for a block. limits: mask of the magnitude, infinity, least normal, shift of the sign.
    """
    mask, infinity, normal, sign = limits[0], limits[1], limits[2], limits[3]
    done = (
        state[0], state[1], state[2], state[3], state[4], state[5], state[6],
    )  # fmt: skip
    for start in range(0, values.size, BLOCK):
        x = values[start : start + BLOCK]
        b = bits[start : start + BLOCK]
        p = patterns[start : start + BLOCK]
        low, high, small, large = _scan(b, mask, sign)
        if large >= infinity:
            count = _keep_finite(x, b, mask, infinity, facts, kept)
            if count == 0:
                continue
            x = kept[:count]
            b = kept_bits[:count]
            p = kept_patterns[:count]
            low, high, small, large = _scan(b, mask, sign)
        if small < normal:
            zeros = _count_below(b, mask, limits[4])
            facts[3] += zeros
            facts[4] += _count_below(b, mask, normal) - zeros
        extremes[0] = min(extremes[0], low)
        extremes[1] = max(extremes[1], high)
        n = np.float64(x.size)
        if low == high:
            value = np.float64(x[0])
            product, error = two_product(n, value)
            block = (n, product, error, 0.0, 0.0, 0.0, n * abs(value))
        else:
            total, absolute = _sums(x)
            mean = total / n
            s1, s2, s3, s4 = _powers(x, mean)
            block = _piece(n, mean, s1, s2, s3, s4, absolute)
        done = _combine(done, block)
        _count_buckets(p, shift, table, low == high)
    for i in range(7):
        state[i] = done[i]


def _count_16_bits(patterns, table, second):  # type: ignore[no-untyped-def]
    """Count patterns of 16 bits in two tables by turns: the same twice in a row does not wait."""
    for i in range(0, patterns.size - 1, 2):
        table[patterns[i]] += np.uint32(1)
        second[patterns[i + 1]] += np.uint32(1)
    if patterns.size % 2:
        table[patterns[patterns.size - 1]] += np.uint32(1)


def _cached(function: Any) -> Any:
    """`function`, to be compiled once a machine: the code is kept in the user's cache directory.

    Numba notices that this file changed; that `moments` did, its name in the path tells.
    """
    linked = (moments.piece, moments.combine, moments.two_product, moments.two_sum)
    code = repr([(f.__code__.co_code, f.__code__.co_consts) for f in linked])
    folder: Path = user_cache_path("ckptviewer", appauthor=False) / "compiled"
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = str(folder / f"{zlib.crc32(code.encode()):08x}")
    try:
        return njit(nogil=True, cache=True)(function)
    except (RuntimeError, OSError):  # nowhere to write, or no source to compare with (frozen)
        return njit(nogil=True)(function)
    finally:
        config.CACHE_DIR = before


_accumulate_compiled = _cached(_accumulate)
_count_16_bits_compiled = _cached(_count_16_bits)

_LIMITS_32 = np.array([0x7FFFFFFF, 0x7F800000, 0x00800000, 31, 1], np.int32)
_LIMITS_64 = np.array([0x7FFFFFFFFFFFFFFF, 0x7FF0000000000000, 0x0010000000000000, 63, 1], np.int64)


def accumulate(values: np.ndarray, sums: Sums) -> None:
    """Add float32 or float64 values to `sums`, as `kernel_numpy.accumulate` does."""
    narrow = values.dtype == np.float32
    signed, unsigned = (np.int32, np.uint32) if narrow else (np.int64, np.uint64)
    limits = _LIMITS_32 if narrow else _LIMITS_64
    kept = np.empty(BLOCK, values.dtype)
    info = np.iinfo(signed)
    extremes = np.array([info.max, info.min], signed)
    facts = np.zeros(5, np.int64)
    state = np.array(sums.state)
    _accumulate_compiled(
        values, values.view(signed), values.view(unsigned), kept, kept.view(signed),
        kept.view(unsigned), limits, unsigned(16 if narrow else 44), sums.table, facts, extremes,
        state,
    )  # fmt: skip
    nan, pos_inf, neg_inf, zero, denormal = facts.tolist()
    sums.nan += nan
    sums.pos_inf += pos_inf
    sums.neg_inf += neg_inf
    sums.zero += zero
    sums.denormal += denormal
    n, high, low, m2, m3, m4, absolute = state.tolist()
    sums.state = (n, high, low, m2, m3, m4, absolute)
    if extremes[0] <= extremes[1]:
        ordered = extremes ^ ((extremes >> limits[3]) & limits[0])
        least, greatest = ordered.view(values.dtype).tolist()
        sums.low = min(sums.low, least)
        sums.high = max(sums.high, greatest)


def count_patterns(patterns: NDArray[np.uint16], table: NDArray[np.uint32]) -> None:
    """Add to `table` how often each pattern of 16 bits comes."""
    second = np.zeros_like(table)
    _count_16_bits_compiled(patterns, table, second)
    table += second
