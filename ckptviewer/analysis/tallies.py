"""Tallies: what is kept while the chunks of one tensor go by, for each kind of dtype."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ckptviewer.analysis import kernel
from ckptviewer.analysis.chunks import SEGMENT_ELEMENTS
from ckptviewer.analysis.exact import (
    moments_of_integers,
    smallest_normal,
    statistics_of_integers,
    statistics_of_values,
)
from ckptviewer.analysis.histogram import Buckets, Scheme, added_up
from ckptviewer.analysis.moments import Moments
from ckptviewer.analysis.summary import Statistics
from ckptviewer.checkpoint.dtypes import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHORT_ELEMENTS = 256
"""A tensor of at most this many elements is counted value by value."""

DISTINCT_LIMIT = 4096
"""Wide integers, and strings, are told apart up to this many different ones."""


class Tally(ABC):
    """Takes the elements of one tensor, or of a part of one, and sums them up.

    crc: the crc32c of the bytes of all that was added, where the tally was made to tell it.
    """

    crc: int | None = None

    @abstractmethod
    def add(self, values: np.ndarray) -> None:
        """Count `values`, flat; all but the last call give a multiple of SEGMENT_ELEMENTS."""

    @abstractmethod
    def result(self) -> Statistics:
        """The statistics of all that was added. Nothing may be added afterwards."""


def tally_for(
    dtype: np.dtype, kind: Kind, count: int, exponent: int = 0, crc: int | None = None
) -> Tally:
    """The tally for a tensor of `count` elements of a NumPy dtype and its kind.

    Moments are taken in units of 2**exponent; see `exponent_for`. crc: of the bytes that went
    before; only where `takes_crc`.
    """
    if kind is Kind.STRING:
        return StringTally()
    if count <= SHORT_ELEMENTS and kind in (Kind.FLOAT, Kind.COMPLEX):
        return ShortTally(dtype, kind)
    if dtype.itemsize <= 2:
        return CodeTally(dtype, kind)
    if kind is Kind.INTEGER:
        return IntegerTally(dtype)
    return FloatTally(dtype, kind, exponent, crc)


def takes_crc(dtype: np.dtype, count: int) -> bool:
    """Whether the tally for such a tensor can tell the crc32c of its bytes, at no cost."""
    return dtype == np.float32 and count > SHORT_ELEMENTS


class CodeTally(Tally):
    """Elements of 8 or 16 bits: each pattern is counted, and everything follows exactly."""

    def __init__(self, dtype: np.dtype, kind: Kind) -> None:
        self._dtype = dtype
        self._kind = kind
        self._odd: NDArray[np.uint8] | None = None
        self._few: NDArray[np.uint16] | None = None
        self._table: NDArray[np.uint32] | None = None

    def add(self, values: np.ndarray) -> None:
        raw = np.ascontiguousarray(values).view(np.uint8)
        if raw.size % 2:  # bytes are counted in pairs, twice as fast; only the last call is odd
            self._odd = raw[-1:].copy()
            raw = raw[:-1]
        patterns = raw.view(np.uint16)
        if values.size < SEGMENT_ELEMENTS // 32 and self._table is None:
            self._few = patterns.copy()
            return
        if self._table is None:
            self._table = _borrow_table(16)
        kernel.count_patterns(patterns, self._table)

    def result(self) -> Statistics:
        counts = self._counts()
        values, order = _codes(self._dtype, self._kind)
        counts = counts[order]
        present = counts != 0
        return statistics_of_values(values[present], counts[present], self._dtype, self._kind)

    def _counts(self) -> NDArray[np.int64]:
        """How often each code comes, of all that the dtype has."""
        if self._dtype.itemsize == 2:
            return self._pairs()
        counts: NDArray[np.int64]
        if self._table is None:
            few = np.empty(0, np.uint8) if self._few is None else self._few.view(np.uint8)
            counts = np.bincount(few, minlength=256)
        else:
            pairs = self._pairs().reshape(256, 256)
            counts = pairs.sum(axis=0) + pairs.sum(axis=1)
        if self._odd is not None:
            counts[self._odd] += 1
        if self._kind is Kind.BOOL:  # any byte but 0 is true
            counts[1] += counts[2:].sum()
            counts[2:] = 0
        return counts

    def _pairs(self) -> NDArray[np.int64]:
        if self._table is None:
            few = np.empty(0, np.uint16) if self._few is None else self._few
            return np.bincount(few, minlength=1 << 16)
        counts = self._table.astype(np.int64)
        self._table[:] = 0
        _keep_table(self._table)
        return counts


@cache
def _codes(dtype: np.dtype, kind: Kind) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The values of all codes of an 8 or 16 bit dtype, ascending, NaN last; and their order."""
    bits = 8 * dtype.itemsize
    patterns = np.arange(1 << bits, dtype=np.uint8 if bits == 8 else np.uint16)
    if kind is Kind.BOOL:
        values = np.minimum(patterns, 1).astype(np.float64)
    else:
        with np.errstate(invalid="ignore"):
            values = patterns.view(dtype).astype(np.float64)
    order = np.argsort(values, kind="stable")
    return values[order], order


class ShortTally(Tally):
    """A few floating-point or complex numbers: kept as they are."""

    def __init__(self, dtype: np.dtype, kind: Kind) -> None:
        self._dtype = dtype
        self._kind = kind
        self._values = np.empty(0)

    def add(self, values: np.ndarray) -> None:
        wide = magnitudes(values) if self._kind is Kind.COMPLEX else values.astype(np.float64)
        self._values = np.append(self._values, wide)

    def result(self) -> Statistics:
        once = np.ones(self._values.size, np.int64)
        return statistics_of_values(self._values, once, self._dtype, self._kind)


class FloatTally(Tally):
    """float32, float64 and complex numbers: fine buckets, and moments in float64."""

    def __init__(
        self, dtype: np.dtype, kind: Kind, exponent: int = 0, crc: int | None = None
    ) -> None:
        self.crc = crc
        self._kind = kind
        self._exponent = exponent
        self._scheme = Scheme.FLOAT32 if dtype == np.float32 else Scheme.FLOAT64
        self._sums = kernel.Sums(_borrow_table(self._scheme.bits), crc)
        self._count = 0
        self._tiny = smallest_normal(dtype, kind)
        self._denormal_magnitudes = 0

    def add(self, values: np.ndarray) -> None:
        values = np.ascontiguousarray(values)
        self._count += values.size
        if self._kind is Kind.COMPLEX:
            values = magnitudes(values)
            small = (values > 0) & (values < self._tiny)
            self._denormal_magnitudes += int(np.count_nonzero(small))
        if values.size:
            kernel.accumulate(values, self._sums, self._exponent)
            self.crc = self._sums.crc

    def result(self) -> Statistics:
        sums = self._sums
        patterns, counts = _give_back_table(sums.table)
        low = high = None
        moments = Moments(sums.state, self._exponent)
        buckets = Buckets.empty()
        if moments.count:
            low, high = sums.low + 0.0, sums.high + 0.0  # never -0.0
            if low == high:
                moments = moments.constant(low)
                buckets = Buckets.of_points(np.array([low]), np.array([moments.count]))
            else:
                buckets = Buckets.of_patterns(self._scheme, patterns, counts, sums.zero, low, high)
        return Statistics(
            count=self._count,
            nan=sums.nan,
            pos_inf=sums.pos_inf,
            neg_inf=sums.neg_inf,
            zero=sums.zero,
            denormal=sums.denormal if self._kind is Kind.FLOAT else self._denormal_magnitudes,
            min=low,
            max=high,
            moments=moments,
            buckets=buckets,
            distinct=1 if moments.count and low == high else None,
        )


class IntegerTally(Tally):
    """Integers of 32 and 64 bits: value by value while few are different, else as float64."""

    def __init__(self, dtype: np.dtype) -> None:
        self._values = np.empty(0, dtype)
        self._counts = np.empty(0, np.int64)
        self._sums: kernel.Sums | None = None
        self._low: int = 0
        self._high: int = 0
        self._count = 0

    def add(self, values: np.ndarray) -> None:
        if not values.size:
            return
        values = np.ascontiguousarray(values)
        start = 0
        while self._sums is None and start < values.size:
            segment = values[start : start + SEGMENT_ELEMENTS]
            seen, counts = np.unique(segment, return_counts=True)
            self._values, self._counts = added_up(
                np.concatenate((self._values, seen)), np.concatenate((self._counts, counts))
            )
            start += segment.size
            if len(self._values) > DISTINCT_LIMIT:
                self._sums = self._as_sums()
        if self._sums is not None and start < values.size:
            rest = values[start:]
            self._count += rest.size
            self._low = min(self._low, int(rest.min()))
            self._high = max(self._high, int(rest.max()))
            kernel.accumulate_integers(rest, self._sums)

    def result(self) -> Statistics:
        if self._sums is None:
            return statistics_of_integers(self._values, self._counts)
        sums = self._sums
        patterns, counts = _give_back_table(sums.table)
        buckets = Buckets.of_patterns(
            Scheme.FLOAT64, patterns, counts, sums.zero, sums.low, sums.high
        )
        return Statistics(
            count=self._count,
            zero=sums.zero,
            min=self._low,
            max=self._high,
            moments=Moments(sums.state),
            buckets=buckets,
        )

    def _as_sums(self) -> kernel.Sums:
        """What is known value by value, as if it had gone through the kernel."""
        sums = kernel.Sums(_borrow_table(Scheme.FLOAT64.bits))
        self._low, self._high = int(self._values[0]), int(self._values[-1])
        self._count = int(self._counts.sum())
        wide = self._values.astype(np.float64)
        sums.low, sums.high = float(wide[0]), float(wide[-1])
        sums.zero = int(self._counts[wide == 0].sum())
        np.add.at(sums.table, wide.view(np.uint64) >> np.uint64(44), self._counts.astype(np.uint32))
        sums.state = moments_of_integers(self._values, self._counts).state
        return sums


class StringTally(Tally):
    """Byte strings: how long they are, and how many different ones."""

    def __init__(self) -> None:
        self._lengths = IntegerTally(np.dtype(np.int64))
        self._seen: set[int] | None = set()
        self._count = 0

    def add(self, values: np.ndarray) -> None:
        self._count += values.size
        self._lengths.add(np.fromiter(map(len, values), np.int64, values.size))
        if self._seen is not None:
            self._seen.update(map(hash, values))
            if len(self._seen) > DISTINCT_LIMIT:
                self._seen = None

    def result(self) -> Statistics:
        return Statistics(
            count=self._count,
            distinct=None if self._seen is None else len(self._seen),
            lengths=self._lengths.result(),
        )


def magnitudes(values: np.ndarray) -> NDArray[np.float64]:
    """The absolute values of complex numbers as float64."""
    with np.errstate(over="ignore", under="ignore"):
        result: NDArray[np.float64] = np.hypot(values.real.astype(np.float64), values.imag)
        return result


_tables = threading.local()


def _borrow_table(bits: int) -> NDArray[np.uint32]:
    """A table of zeros; a thread keeps one of each size at hand, as making them takes long."""
    table: NDArray[np.uint32] | None = _tables.__dict__.pop(f"of_{bits}", None)
    return np.zeros(1 << bits, np.uint32) if table is None else table


def _keep_table(table: NDArray[np.uint32]) -> None:
    setattr(_tables, f"of_{len(table).bit_length() - 1}", table)


def _give_back_table(table: NDArray[np.uint32]) -> tuple[np.ndarray, NDArray[np.int64]]:
    """What a table holds, as ascending patterns and their counts; it is all zeros then."""
    patterns = np.flatnonzero(table != 0)
    counts = table[patterns].astype(np.int64)
    table[patterns] = 0
    _keep_table(table)
    return patterns, counts
