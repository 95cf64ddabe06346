"""Tallies: what is kept while the chunks of one tensor go by, for each kind of dtype."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from ckptviewer.analysis.chunks import SEGMENT_ELEMENTS
from ckptviewer.analysis.histogram import Buckets, Scheme
from ckptviewer.analysis.moments import (
    EMPTY,
    Moments,
    State,
    combine,
    moments_of_table,
    piece,
    two_product,
    two_sum,
)
from ckptviewer.analysis.summary import Statistics
from ckptviewer.checkpoint.dtypes import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHORT_ELEMENTS = 256
"""A tensor of at most this many elements is counted value by value."""

DISTINCT_LIMIT = 4096
"""Wide integers, and strings, are told apart up to this many different ones."""


class Tally(ABC):
    """Takes the elements of one tensor, or of a part of one, and sums them up."""

    @abstractmethod
    def add(self, values: np.ndarray) -> None:
        """Count `values`, flat; all but the last call give a multiple of SEGMENT_ELEMENTS."""

    @abstractmethod
    def result(self) -> Statistics:
        """The statistics of all that was added."""


def tally_for(dtype: np.dtype, kind: Kind, count: int, exponent: int = 0) -> Tally:
    """The tally for a tensor of `count` elements of a NumPy dtype and its kind.

    Moments are taken in units of 2**exponent; see `exponent_for`.
    """
    if kind is Kind.STRING:
        return StringTally()
    if kind is Kind.COMPLEX or dtype.itemsize > 2:
        return WideTally(dtype, kind, count, exponent)
    return CodeTally(dtype, kind)


class CodeTally(Tally):
    """Elements of 8 or 16 bits: each pattern is counted, and everything follows exactly."""

    def __init__(self, dtype: np.dtype, kind: Kind) -> None:
        self._dtype = dtype
        self._kind = kind
        self._table = np.zeros(1 << 16, np.int64)
        self._odd = np.zeros(1 << 8, np.int64)

    def add(self, values: np.ndarray) -> None:
        raw = np.ascontiguousarray(values).view(np.uint8)
        if raw.size % 2:  # bytes are counted in pairs, twice as fast
            self._odd[raw[-1]] += 1
            raw = raw[:-1]
        patterns = raw.view(np.uint16)
        self._table += np.bincount(patterns.astype(np.intp), minlength=1 << 16)

    def result(self) -> Statistics:
        if self._dtype.itemsize == 1:
            pairs = self._table.reshape(256, 256)
            counts = pairs.sum(axis=0) + pairs.sum(axis=1) + self._odd
            patterns = np.arange(256, dtype=np.uint8)
        else:
            counts = self._table
            patterns = np.arange(1 << 16, dtype=np.uint16)
        if self._kind is Kind.BOOL:
            counts = np.array([counts[0], counts[1:].sum()])
            patterns = patterns[:2]
        present = np.flatnonzero(counts)
        counts = counts[present]
        with np.errstate(invalid="ignore"):
            values = patterns[present].view(self._dtype).astype(np.float64)
        return statistics_of_values(values, counts, self._dtype, self._kind)


def statistics_of_values(
    values: NDArray[np.float64], counts: NDArray[np.int64], dtype: np.dtype, kind: Kind
) -> Statistics:
    """The statistics of a tensor given by its values as float64 and how often each comes.

    A value may come more than once (-0.0 and 0.0 do). `dtype` decides what is denormal.
    """
    finite = np.isfinite(values)
    tiny = smallest_normal(dtype, kind)
    magnitude = np.abs(values)
    zero = int(counts[values == 0].sum())
    points, where = np.unique(values[finite], return_inverse=True)
    totals = np.zeros(len(points), np.int64)
    np.add.at(totals, where.reshape(-1), counts[finite])
    moments = moments_of_table(points, totals)
    buckets = Buckets.of_points(points, totals)
    number = int if kind in (Kind.INTEGER, Kind.BOOL) else float
    low = number(points[0] + 0.0) if points.size else None
    if points.size == 1:
        moments = moments.constant(float(points[0]))
    return Statistics(
        count=int(counts.sum()),
        nan=int(counts[np.isnan(values)].sum()),
        pos_inf=int(counts[values == np.inf].sum()),
        neg_inf=int(counts[values == -np.inf].sum()),
        zero=zero,
        denormal=int(counts[(magnitude > 0) & (magnitude < tiny)].sum()),
        min=low,
        max=number(points[-1] + 0.0) if points.size else None,
        moments=moments,
        buckets=buckets,
        distinct=len(points),
    )


def smallest_normal(dtype: np.dtype, kind: Kind) -> float:
    """The least positive number of the dtype that is not denormal; 0 for what has no such."""
    if kind is Kind.COMPLEX:
        dtype = np.dtype(np.float32 if dtype.itemsize == 8 else np.float64)
    elif kind is not Kind.FLOAT:
        return 0.0
    if dtype.kind == "f":
        return float(np.finfo(dtype).smallest_normal)
    import ml_dtypes

    return float(ml_dtypes.finfo(dtype).smallest_normal)  # type: ignore[no-untyped-call]


class WideTally(Tally):
    """Elements of 32 bits and more: fine buckets, and moments in float64."""

    def __init__(self, dtype: np.dtype, kind: Kind, count: int, exponent: int = 0) -> None:
        self._dtype = dtype
        self._kind = kind
        self._exponent = exponent
        self._scheme = Scheme.FLOAT32 if dtype == np.float32 else Scheme.FLOAT64
        self._short: list[np.ndarray] | None = [] if count <= SHORT_ELEMENTS else None
        self._table = np.zeros(1 << self._scheme.bits, np.int64) if count > SHORT_ELEMENTS else None
        self._count = self._nan = self._pos_inf = self._neg_inf = 0
        self._zero = self._denormal = 0
        self._low: int | float | None = None
        self._high: int | float | None = None
        self._state: State = EMPTY
        self._distinct: tuple[np.ndarray, np.ndarray] | None = None
        if kind is Kind.INTEGER:
            self._distinct = np.empty(0, dtype), np.empty(0, np.int64)
        room = min(count, SEGMENT_ELEMENTS)
        self._first = np.empty(room)
        self._second = np.empty(room)

    def add(self, values: np.ndarray) -> None:
        if not values.size:
            return
        self._count += values.size
        if self._kind is Kind.COMPLEX:
            wide = np.float64 if self._dtype.itemsize == 8 else values.real.dtype
            with np.errstate(over="ignore"):
                values = np.hypot(values.real.astype(wide), values.imag)
        if self._kind is Kind.INTEGER:
            self._see_extremes(values)
            self._tell_apart(values)
        else:
            values = self._finite(values)
            if not values.size:
                return
            self._see_extremes(values)
        self._count_patterns(values)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            for start in range(0, values.size, SEGMENT_ELEMENTS):
                self._sum(values[start : start + SEGMENT_ELEMENTS])

    def result(self) -> Statistics:
        low, high = self._low, self._high
        moments = Moments(self._state, self._exponent)
        if low is not None and low == high:
            moments = moments.constant(float(low))
        buckets = self._buckets()
        distinct = None
        if self._distinct is not None:
            distinct = len(self._distinct[0])
        elif buckets.scheme is Scheme.POINTS:
            distinct = len(buckets.ranks) + (buckets.zeros > 0)
        return Statistics(
            count=self._count,
            nan=self._nan,
            pos_inf=self._pos_inf,
            neg_inf=self._neg_inf,
            zero=self._zero,
            denormal=self._denormal,
            min=low,
            max=high,
            moments=moments,
            buckets=buckets,
            distinct=distinct,
        )

    def _buckets(self) -> Buckets:
        if self._low is None or self._high is None:
            return Buckets.empty()
        if self._low == self._high:
            finite = np.array([self._state[0]])
            return Buckets.of_points(np.array([self._low], np.float64), finite)
        if self._distinct is not None:
            points, where = np.unique(self._distinct[0].astype(np.float64), return_inverse=True)
            counts = np.zeros(len(points), np.int64)
            np.add.at(counts, where.reshape(-1), self._distinct[1])
            return Buckets.of_points(points, counts)
        if self._table is None:
            points, counts = np.unique(np.concatenate(self._short or []), return_counts=True)
            return Buckets.of_points(points, counts)
        return Buckets.of_table(
            self._scheme, self._table, self._zero, float(self._low), float(self._high)
        )

    def _finite(self, values: np.ndarray) -> np.ndarray:
        """The finite ones among floating-point values, the others counted."""
        low, high = values.min(), values.max()
        if math.isfinite(low) and math.isfinite(high):
            return values
        finite = np.isfinite(values)
        self._nan += int(np.count_nonzero(np.isnan(values)))
        self._pos_inf += int(np.count_nonzero(values == np.inf))
        self._neg_inf += int(np.count_nonzero(values == -np.inf))
        kept: np.ndarray = values[finite]
        return kept

    def _see_extremes(self, values: np.ndarray) -> None:
        low, high = values.min().item(), values.max().item()
        if isinstance(low, float):
            low, high = low + 0.0, high + 0.0  # never -0.0
        self._low = low if self._low is None else min(self._low, low)
        self._high = high if self._high is None else max(self._high, high)

    def _tell_apart(self, values: np.ndarray) -> None:
        """Keep the distinct integers and how often each comes, while they are few."""
        for start in range(0, values.size, SEGMENT_ELEMENTS):
            if self._distinct is None:
                return
            known, known_counts = self._distinct
            seen, counts = np.unique(values[start : start + SEGMENT_ELEMENTS], return_counts=True)
            together, where = np.unique(np.concatenate((known, seen)), return_inverse=True)
            totals = np.zeros(len(together), np.int64)
            np.add.at(totals, where.reshape(-1), np.concatenate((known_counts, counts)))
            self._distinct = (together, totals) if len(together) <= DISTINCT_LIMIT else None

    def _count_patterns(self, values: np.ndarray) -> None:
        if self._table is None:
            assert self._short is not None
            self._short.append(values.astype(np.float64))
            self._count_small(values)
            return
        if self._scheme is Scheme.FLOAT32:
            patterns = np.ascontiguousarray(values).view(np.uint32) >> np.uint32(16)
        else:
            wide = np.ascontiguousarray(values, np.float64)
            patterns = wide.view(np.uint64) >> np.uint64(44)
        counts = np.bincount(patterns.astype(np.intp))
        self._table[: len(counts)] += counts
        # Zeros and denormals have patterns of their own; most tensors have none of them.
        half = len(self._table) // 2
        normal = 1 << (self._scheme.bits - (9 if self._scheme is Scheme.FLOAT32 else 12))
        if counts[:normal].any() or counts[half : half + normal].any() or self._kind != Kind.FLOAT:
            self._count_small(values)

    def _count_small(self, values: np.ndarray) -> None:
        self._zero += int(values.size - np.count_nonzero(values))
        tiny = smallest_normal(self._dtype, self._kind)
        if tiny:
            small = np.count_nonzero(np.abs(values) < values.dtype.type(tiny))
            self._denormal += int(small - (values.size - np.count_nonzero(values)))

    def _sum(self, values: np.ndarray) -> None:
        """Add the sums of powers of up to one segment to the state."""
        n = values.size
        d, powers = self._first[:n], self._second[:n]
        pivot = 0.0
        if self._kind is Kind.INTEGER:
            np.copyto(d, values)
            absolute = float(np.abs(d, out=powers).sum())
            pivot = _integer_pivot(values, d)
        else:
            np.copyto(d, values)
            if self._exponent:
                np.ldexp(d, -self._exponent, out=d)
            absolute = float(np.abs(d, out=powers).sum())
        mean = float(d.sum()) / n
        np.subtract(d, mean, out=d)
        s1 = float(d.sum())
        np.multiply(d, d, out=powers)
        state = piece(n, mean, s1, _dot(d, d), _dot(d, powers), _dot(powers, powers), absolute)
        if pivot:
            product, error = two_product(float(n), pivot)
            high, rest = two_sum(product, state[1])
            state = (n, high, rest + error + state[2], *state[3:])
        self._state = combine(self._state, state)


def _integer_pivot(values: np.ndarray, d: NDArray[np.float64]) -> float:
    """Make `d` the differences to a number near the integers, exactly, and return that number.

    Where they are so far apart that this gains nothing, `d` stays as it is and 0 is returned.
    """
    low, high = int(values.min()), int(values.max())
    if high - low >= 1 << 53 or max(abs(low), abs(high)) < 1 << 53:
        return 0.0
    pivot = float(low)
    rest = low - int(pivot)  # float() rounded; what it took away is given back below
    np.copyto(d, values - values.dtype.type(low))
    d += rest
    return pivot


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The sum of products; in rows so short that BLAS starts no threads for them."""
    row = 4096
    whole = a.size // row * row
    total = float(np.vecdot(a[whole:], b[whole:]))
    if whole:
        rows = np.vecdot(a[:whole].reshape(-1, row), b[:whole].reshape(-1, row))
        total += float(rows.sum())
    return total


class StringTally(Tally):
    """Byte strings: how long they are, and how many different ones."""

    def __init__(self) -> None:
        self._lengths = WideTally(np.dtype(np.int64), Kind.INTEGER, 1 << 62)
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
