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
from ckptviewer.analysis.crc_source import crc_of_8_bytes, crc_of_words, joined_quarters
from ckptviewer.analysis.eight_source import (
    EIGHT,
    all_eight,
    at_address,
    eight,
    minus,
    plus,
    put_eight,
    read_at,
    times_plus,
    total,
    word,
)
from ckptviewer.analysis.kernel_compiled import HAS_CRC, store
from ckptviewer.analysis.kernel_source import FAR, _count_below, _ordered, _scan
from ckptviewer.analysis.update_compiled import BLOCK, MANY, PIECE, CompiledUpdates

_plain = njit(error_model="numpy")
_floats_at, _signed_at, _unsigned_at = map(at_address, (types.float32, types.int32, types.uint32))
_counts_at, _doubles_at, _words_at = map(at_address, (types.int64, types.float64, types.uint64))
_fields: Any = MANY.fields
_COUNTS, _EXTREMES, _SUMS, _CRC = (_fields[name][1] for name in ("added", "low", "mean", "crc"))
_ROW_BYTES = MANY.itemsize
_ITEM_BYTES = 4
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
def _add_eight(sums, values, before, start, pivot):  # type: ignore[no-untyped-def]
    s1, s2, square = sums
    x = eight(values, start)
    change = minus(x, eight(before, start))
    put_eight(before, values, start)
    d = minus(x, pivot)
    return plus(s1, d), times_plus(d, d, s2), times_plus(change, change, square)


@_plain
def _replacing_and_crc(values, patterns, before, pivot, crc):  # type: ignore[no-untyped-def]
    """The sums of a whole block that takes the place of that before, and its crc32c gone on.

    Each step, of a sum as of the checksum, waits for the one before: so several go side by side.
    """
    quarter = values.size // 4
    about, zero = all_eight(pivot), all_eight(0.0)
    sums = (zero, zero, zero)
    others = (zero, zero, zero)
    second, third, fourth = np.uint64(0), np.uint64(0), np.uint64(0)
    for start in range(0, quarter, EIGHT):
        for i in range(start, start + EIGHT, 2):
            crc = crc_of_8_bytes(crc, word(patterns, i))
            second = crc_of_8_bytes(second, word(patterns, quarter + i))
            third = crc_of_8_bytes(third, word(patterns, 2 * quarter + i))
            fourth = crc_of_8_bytes(fourth, word(patterns, 3 * quarter + i))
        for i in (start, quarter + start):
            sums = _add_eight(sums, values, before, i, about)
            others = _add_eight(others, values, before, 2 * quarter + i, about)
    crc = joined_quarters(crc, second, third, fourth)
    s1, s2, square = plus(sums[0], others[0]), plus(sums[1], others[1]), plus(sums[2], others[2])
    return total(s1), total(s2), total(square), crc


@_plain
def _sums_of_block(values, patterns, before, mode, pivot, crc):  # type: ignore[no-untyped-def]
    """Sums, squares and squares of the differences of a block; for the rest see `_add`."""
    if crc is None:
        if mode == 2:
            return _sums_replacing(values, before, pivot)
        if mode == 1:
            return _sums_beside(values, before, pivot)
        s1, s2 = _sums(values, pivot)
        return s1, s2, 0.0
    if values.size == BLOCK:
        s1, s2, square, crc[0] = _replacing_and_crc(values, patterns, before, pivot, crc[0])
        return s1, s2, square
    crc[0] = crc_of_words(patterns, crc[0])
    return _sums_replacing(values, before, pivot)


@_plain
def _add(  # type: ignore[no-untyped-def]
    values, bits, patterns, before, mode, limits, counts, extremes, sums, crc
):
    """Add blocks up to the first that has NaN or an infinity, to what was added before.

    bits, patterns: the values' memory as signed integers, and as unsigned for the crc. mode: 0
    without `before`, 1 with it, 2 to put the values in its place. limits: mask of the magnitude,
    infinity, shift of the sign. Goes on with counts (all, zeros), extremes (in the order of the
    bits) and sums (mean, squares about it, squares of the differences). crc: the crc32c of what is
    added goes on there, as the processor keeps it, in mode 2; or None.
    """
    mask, infinity, sign = limits[0], limits[1], limits[2]
    done, zeros = counts[0], counts[1]
    lowest, highest = extremes[0], extremes[1]
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
        m = np.float64(done)
        pivot = mean if done else np.float64(x[0])
        p = patterns[start : start + BLOCK]
        s1, s2, square = _sums_of_block(x, p, y, mode, pivot, crc)
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


@_plain
def _filled(read, descriptor, room, count, offset):  # type: ignore[no-untyped-def]
    """Whether so many bytes of a file, from `offset` on, are now at the address `room`."""
    while count > 0:
        got = read_at(read, descriptor, room, count, offset)
        if got <= 0:
            return False
        room, count, offset = room + got, count - got, offset + got
    return True


@_plain
def _take(room, before, size, limits, row):  # type: ignore[no-untyped-def]
    """`_add` in mode 2, with addresses: of the values, of those before, of a row of `MANY`."""
    _add(
        carray(_floats_at(room), size), carray(_signed_at(room), size),
        carray(_unsigned_at(room), size), carray(_floats_at(before), size), 2, limits,
        carray(_counts_at(row + _COUNTS), 2), carray(_signed_at(row + _EXTREMES), 2),
        carray(_doubles_at(row + _SUMS), 3), carray(_words_at(row + _CRC), 1),
    )  # fmt: skip


@_plain
def _follow(variables, cells, at, room, read, limits, found):  # type: ignore[no-untyped-def]
    """Go on through variables, of each a piece from one save after the other.

    What is before stays in the processor's cache so. See CompiledUpdates.follow; at: the variable
    and the value in it to go on with, and how many bytes to read at most, to be replaced.
    """
    while at[0] < variables.shape[1] and at[2] > 0:
        k, start = at[0], at[1]
        first = variables[2, k - 1] if k else 0
        size = min(variables[0, k] - start, PIECE)
        place = start * _ITEM_BYTES
        for cell in range(first, variables[2, k]):
            row = found + cell * _ROW_BYTES
            added = carray(_counts_at(row + _COUNTS), 1)
            if added[0] != start or not _filled(
                read, cells[0, cell], room, size * _ITEM_BYTES, cells[1, cell] + place
            ):
                break  # nor can those after it be told: what was before them is not there
            _take(room, variables[1, k] + place, size, limits, row)
            at[2] -= size * _ITEM_BYTES
            if added[0] != start + size:
                break
        at[1] = start + size
        if at[1] >= variables[0, k]:
            at[0], at[1] = k + 1, 0


def _entry() -> Any:
    def entry(  # type: ignore[no-untyped-def]
        values, bits, before, n, mode, limits, counts, extremes, sums
    ):
        b = carray(bits, n)
        _add(
            carray(values, n), b, b, carray(before, n), mode, carray(limits, 3),
            carray(counts, 2), carray(extremes, 2), carray(sums, 3), None,
        )  # fmt: skip

    to = types.CPointer
    return cfunc(
        types.void(
            to(types.float32), to(types.int32), to(types.float32), types.intp, types.intp,
            to(types.int32), to(types.int64), to(types.int32), to(types.float64),
        ),
        error_model="numpy",
    )(entry)  # fmt: skip


def _entry_of_many() -> Any:
    def entry(variables, n, cells, m, at, room, read, limits, found):  # type: ignore[no-untyped-def]
        _follow(
            carray(variables, (3, n)), carray(cells, (2, m)), carray(at, 3), room, read,
            carray(limits, 3), found,
        )  # fmt: skip

    word, words = types.intp, types.CPointer(types.intp)
    return cfunc(
        types.void(words, word, words, word, words, word, word, types.CPointer(types.int32), word),
        error_model="numpy",
    )(entry)


def entries() -> dict[str, Any]:
    """The entry points by their short names."""
    return (
        {"updates": _entry(), "following": _entry_of_many()} if HAS_CRC else {"updates": _entry()}
    )


if __name__ == "__main__":
    store(sys.argv[1], *kernel_source.build(entries()), CompiledUpdates)
