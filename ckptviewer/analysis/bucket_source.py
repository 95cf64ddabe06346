"""Counting values in buckets by the first bits of their patterns, as Numba compiles it.

One store for each value is what that takes, and what its loops wait for; so what else is asked of a
whole block is done in the meantime: sums of powers, and the crc32c of its bytes.
"""

# mypy: disallow-untyped-calls = False
from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ckptviewer.analysis.crc_source import crc_of_8_bytes, joined
from ckptviewer.analysis.eight_source import (
    EIGHT,
    all_eight,
    eight,
    magnitude,
    minus,
    plus,
    times,
    times_plus,
    total,
    word,
)
from ckptviewer.analysis.kernel_compiled import BLOCK

_plain = njit(error_model="numpy")


@_plain
def shift_of(patterns):  # type: ignore[no-untyped-def]
    """By how many bits a pattern of this width is shifted to become its bucket."""
    return patterns.dtype.type(16 if patterns.itemsize == 4 else 44)


@_plain
def count_buckets(patterns, table, alike):  # type: ignore[no-untyped-def]
    shift = shift_of(patterns)
    if alike:
        table[patterns[0] >> shift] += np.uint32(patterns.size)
        return
    for i in range(patterns.size):
        table[patterns[i] >> shift] += np.uint32(1)


@_plain
def count_16_bits(words, table):  # type: ignore[no-untyped-def]
    """Count patterns of 16 bits, four to a word."""
    mask = np.uint64(0xFFFF)
    for i in range(words.size):
        four = words[i]
        first = four & mask
        if four == first * np.uint64(0x0001_0001_0001_0001):  # each would wait for the one before
            table[first] += np.uint32(4)
            continue
        table[first] += np.uint32(1)
        table[(four >> np.uint64(16)) & mask] += np.uint32(1)
        table[(four >> np.uint64(32)) & mask] += np.uint32(1)
        table[four >> np.uint64(48)] += np.uint32(1)


@_plain
def _add_powers(sums, values, start, pivot):  # type: ignore[no-untyped-def]
    s1, s2, s3, s4, absolute = sums
    x = eight(values, start)
    d = minus(x, pivot)
    square = times(d, d)
    return (
        plus(s1, d), plus(s2, square), times_plus(square, d, s3), times_plus(square, square, s4),
        plus(absolute, magnitude(x)),
    )  # fmt: skip


@_plain
def _count_eight(patterns, start, table):  # type: ignore[no-untyped-def]
    shift = shift_of(patterns)
    for i in range(start, start + EIGHT):
        table[patterns[i] >> shift] += np.uint32(1)


@_plain
def _count_eight_and_crc(patterns, start, table, crc):  # type: ignore[no-untyped-def]
    for i in range(start, start + EIGHT, 2):
        two = word(patterns, i)
        table[(two >> np.uint64(16)) & np.uint64(0xFFFF)] += np.uint32(1)
        table[two >> np.uint64(48)] += np.uint32(1)
        crc = crc_of_8_bytes(crc, two)
    return crc


def powers_and_buckets(with_crc: bool) -> Any:
    """A function of a whole block that counts its buckets and returns the sums of its powers.

    These are of the differences from a pivot, the first to the fourth power, and of the magnitudes;
    behind them the crc32c, where it is to go on, of 32-bit patterns: of the two halves side by
    side, as a step of it waits for the one before.
    """

    @_plain
    def add(values, patterns, pivot, table, crc):  # type: ignore[no-untyped-def]
        half = BLOCK // 2
        second = np.uint64(0)
        about, zero = all_eight(pivot), all_eight(0.0)
        sums = (zero, zero, zero, zero, zero)
        for i in range(0, half, EIGHT):
            for start in (i, half + i):
                sums = _add_powers(sums, values, start, about)
            if with_crc:
                crc = _count_eight_and_crc(patterns, i, table, crc)
                second = _count_eight_and_crc(patterns, half + i, table, second)
            else:
                _count_eight(patterns, i, table)
                _count_eight(patterns, half + i, table)
        s1, s2, s3, s4, absolute = sums
        if with_crc:
            crc = joined(crc, second)
        return total(s1), total(s2), total(s3), total(s4), total(absolute), crc

    return add
