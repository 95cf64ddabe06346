"""Histograms: counts so fine that most binnings can be made from them without reading again.

A float32 is counted by its upper 16 bits (sign, exponent, 7 bits of mantissa), a float64 or a
wide integer by the upper 20 bits of its float64: buckets 0.4 to 0.8 % or 0.2 to 0.4 % wide. Numbers
of 8 and 16 bits, and short tensors, are counted value by value: exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

Scale = Literal["linear", "log"]

DEFAULT_BINS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """How many numbers lie between one edge and the next, as `np.histogram` counts them.

    edges: float64, ascending, one more than `counts`. counts: int64. The last bin takes its right
    edge too. With scale "log" the bins are over magnitudes and zeros are in none.
    resolution: a number farther than this from every edge is in its right bin; 0 means exact.
    """

    edges: Floats
    counts: Counts
    resolution: float = 0.0
    scale: Scale = "linear"

    @property
    def exact(self) -> bool:
        """Whether each count is that of the numbers themselves."""
        return self.resolution == 0

    @property
    def total(self) -> int:
        """How many numbers are in the bins."""
        return int(self.counts.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """An estimate of a quantile as `np.quantile` defines it (linear between two numbers).

    fraction: 0 to 1. The true one is within `error` of `value`.
    """

    fraction: float
    value: float
    error: float


class Scheme(StrEnum):
    """What a bucket is."""

    POINTS = "points"
    FLOAT32 = "float32"
    FLOAT64 = "float64"

    @property
    def bits(self) -> int:
        """How many of the upper bits name a bucket."""
        return {Scheme.FLOAT32: 16, Scheme.FLOAT64: 20}[self]


class Buckets:
    """The finite numbers of a tensor, counted in fine buckets; immutable, mergeable.

    scheme: POINTS, or the upper bits of float32 or float64.
    ranks: the buckets that are not empty, ascending in value. For POINTS the distinct numbers
        themselves (float64); else uint32: magnitude bits above the middle for positive numbers,
        below it for negative ones.
    counts: int64, how many numbers in each; zeros are apart.
    zeros: how many zeros of either sign.
    low, high: the least and the greatest of all, zeros among them; NaN where there is none.
    """

    def __init__(
        self,
        scheme: Scheme,
        ranks: NDArray[np.float64] | NDArray[np.uint32],
        counts: Counts,
        zeros: int,
        low: float,
        high: float,
    ) -> None:
        self.scheme = scheme
        self.ranks = ranks
        self.counts = counts
        self.zeros = zeros
        self.low = low
        self.high = high

    def __reduce__(self) -> tuple[object, ...]:
        # The bounds that were computed on the way are not worth sending.
        arguments = (self.scheme, self.ranks, self.counts, self.zeros, self.low, self.high)
        return (Buckets, arguments)

    @classmethod
    def empty(cls) -> Buckets:
        """The buckets of no number at all."""
        none = np.empty(0, np.float64)
        return cls(Scheme.POINTS, none, np.empty(0, np.int64), 0, math.nan, math.nan)

    @classmethod
    def of_points(cls, values: Floats, counts: Counts) -> Buckets:
        """From distinct ascending finite numbers and how often each comes; 0 counts may be."""
        present = counts > 0
        values, counts = values[present], counts[present].astype(np.int64)
        if not values.size:
            return cls.empty()
        low, high = float(values[0]) + 0.0, float(values[-1]) + 0.0
        zero = values == 0
        zeros = int(counts[zero].sum())
        return cls(Scheme.POINTS, values[~zero], counts[~zero], zeros, low, high)

    @classmethod
    def of_patterns(
        cls,
        scheme: Scheme,
        patterns: NDArray[np.integer],
        counts: NDArray[np.integer],
        zeros: int,
        low: float,
        high: float,
    ) -> Buckets:
        """From the ascending patterns of upper bits that occur and how often, zeros included."""
        half = 1 << (scheme.bits - 1)
        negative = int(np.searchsorted(patterns, half))
        # Negative numbers stand behind the positive ones, the smallest magnitude first.
        ranks = np.concatenate(
            (2 * half - 1 - patterns[negative:][::-1], half + patterns[:negative]), dtype=np.int64
        )
        totals = np.concatenate((counts[negative:][::-1], counts[:negative]), dtype=np.int64)
        # Zeros share their patterns with the smallest denormals; take them out of these.
        rest = zeros
        for rank in (half, half - 1):
            at = np.searchsorted(ranks, rank)
            if rest and at < len(ranks) and ranks[at] == rank:
                taken = min(rest, int(totals[at]))
                totals[at] -= taken
                rest -= taken
        present = totals > 0
        return cls(scheme, ranks[present].astype(np.uint32), totals[present], zeros, low, high)

    @cached_property
    def total(self) -> int:
        """How many numbers there are, zeros included."""
        return int(self.counts.sum()) + self.zeros

    @cached_property
    def bounds(self) -> tuple[Floats, Floats]:
        """The lower and upper bound of each bucket, cut at the least and the greatest number."""
        if self.scheme is Scheme.POINTS:
            points = self.ranks.astype(np.float64)
            return points, points
        half = 1 << (self.scheme.bits - 1)
        ranks = self.ranks.astype(np.int64)
        positive = ranks >= half
        magnitude = np.where(positive, ranks - half, half - 1 - ranks)
        near, far = _magnitude_bounds(self.scheme, magnitude)
        lower = np.where(positive, near, -far)
        upper = np.where(positive, far, -near)
        return np.maximum(lower, self.low), np.minimum(upper, self.high)

    def merge(self, other: Buckets) -> Buckets:
        """The buckets of both sets of numbers together, in the coarser of the two schemes."""
        if not other.total:
            return self
        if not self.total:
            return other
        scheme = max(self.scheme, other.scheme, key=_COARSENESS.__getitem__)
        a, b = self.coarsened(scheme), other.coarsened(scheme)
        ranks, counts = added_up(
            np.concatenate((a.ranks, b.ranks)), np.concatenate((a.counts, b.counts))
        )
        return Buckets(
            scheme, ranks, counts, a.zeros + b.zeros, min(a.low, b.low), max(a.high, b.high)
        )

    def coarsened(self, scheme: Scheme) -> Buckets:
        """The same numbers in a scheme that is coarser; itself where it is that already."""
        if scheme is self.scheme:
            return self
        lower, upper = self.bounds
        values = np.where(lower >= 0, lower, upper)
        if scheme is Scheme.FLOAT32:
            with np.errstate(over="ignore"):
                narrow = np.clip(values, -_FLOAT32_MAX, _FLOAT32_MAX).astype(np.float32)
            all_patterns = (narrow.view(np.uint32) >> 16).astype(np.int64)
        else:
            all_patterns = (values.view(np.uint64) >> np.uint64(44)).astype(np.int64)
        patterns, counts = added_up(all_patterns, self.counts)
        coarse = Buckets.of_patterns(scheme, patterns, counts, 0, self.low, self.high)
        coarse.zeros = self.zeros
        return coarse

    def rebin(
        self,
        bins: int = DEFAULT_BINS,
        lo: float | None = None,
        hi: float | None = None,
        scale: Scale = "linear",
    ) -> Histogram:
        """A histogram of `bins` equal bins from `lo` to `hi`; numbers outside are in none.

        The range is that of the numbers unless given; with scale "log" it is one of magnitudes
        and the bins are equal in the logarithm. Where an edge cuts a bucket, its numbers are
        taken as evenly spread; `resolution` says how far that may be wrong.
        """
        edges = self.edges(bins, lo, hi, scale)
        return self.rebin_at(edges, scale)

    def rebin_at(self, edges: Floats | Sequence[float], scale: Scale = "linear") -> Histogram:
        """As `rebin`, with the edges given."""
        edges = np.asarray(edges, np.float64)
        lower, upper, counts = self._magnitudes if scale == "log" else (*self.bounds, self.counts)
        below = _cumulated(lower, upper, counts, edges)
        if scale == "linear":
            below += np.where(edges > 0, self.zeros, 0)
            if edges[-1] == 0:
                below[-1] += self.zeros
        return Histogram(
            edges,
            np.diff(np.rint(below)).astype(np.int64),
            _resolution(lower, upper, edges),
            scale,
        )

    def edges(
        self,
        bins: int = DEFAULT_BINS,
        lo: float | None = None,
        hi: float | None = None,
        scale: Scale = "linear",
    ) -> Floats:
        """The edges that `rebin` takes for these arguments; a range of no width is widened."""
        if scale == "log":
            lower, upper, _ = self._magnitudes
            lo = lo or (float(lower[0]) if lower.size else 1.0) or 5e-324
            hi = hi or (float(upper[-1]) if upper.size else 1.0)
            if lo >= hi:
                lo, hi = max(lo / 2, 5e-324), min(lo * 2, _FLOAT64_MAX)
            return _spaced(math.log(lo), math.log(hi), bins, lo, hi)
        lo = self.low if lo is None else lo
        hi = self.high if hi is None else hi
        if math.isnan(lo) or math.isnan(hi):
            lo, hi = 0.0, 1.0
        if lo >= hi:
            lo, hi = lo - 0.5, lo + 0.5
        edges = linear_edges(lo, hi, bins)
        if not (edges[1:] > edges[:-1]).all():  # too few numbers between them for so many bins
            room = bins * math.ulp(max(abs(lo), abs(hi)))
            edges = linear_edges(max(lo - room, -_FLOAT64_MAX), min(hi + room, _FLOAT64_MAX), bins)
        return edges

    def quantile(self, fraction: float) -> Quantile | None:
        """The quantile at `fraction` (0 to 1) with a bound of its error; None of no numbers."""
        if not self.total:
            return None
        position = (self.total - 1) * min(1.0, max(0.0, fraction))
        first = math.floor(position)
        share = position - first
        lower, upper, cumulated = self._with_zeros
        indices = np.searchsorted(cumulated, [first, min(first + 1, self.total - 1)], side="right")
        low = float((1 - share) * lower[indices[0]] + share * lower[indices[1]])
        high = float((1 - share) * upper[indices[0]] + share * upper[indices[1]])
        if math.isfinite(high - low) and math.isfinite(high + low):
            return Quantile(fraction=fraction, value=(low + high) / 2, error=(high - low) / 2)
        return Quantile(fraction=fraction, value=low / 2 + high / 2, error=high / 2 - low / 2)

    @cached_property
    def _with_zeros(self) -> tuple[Floats, Floats, Counts]:
        lower, upper = self.bounds
        counts = self.counts
        if self.zeros:
            at = int(np.searchsorted(upper, 0.0, side="right"))
            lower, upper = np.insert(lower, at, 0.0), np.insert(upper, at, 0.0)
            counts = np.insert(counts, at, self.zeros)
        return lower, upper, np.cumsum(counts)

    @cached_property
    def _magnitudes(self) -> tuple[Floats, Floats, Counts]:
        """Bounds and counts of the buckets of |x|, zeros left out."""
        lower, upper = self.bounds
        near = np.minimum(np.abs(lower), np.abs(upper))
        far = np.maximum(np.abs(lower), np.abs(upper))
        if self.scheme is not Scheme.POINTS:  # cut ends differ by sign; whole ones are equal
            half = 1 << (self.scheme.bits - 1)
            ranks = self.ranks.astype(np.int64)
            magnitude = np.where(ranks >= half, ranks - half, half - 1 - ranks)
            near, far = _magnitude_bounds(self.scheme, magnitude)
            if self.ranks.size:
                far = np.minimum(far, max(abs(self.low), abs(self.high)))
        unique, first, where = np.unique(near, return_index=True, return_inverse=True)
        counts = np.zeros(len(unique), np.int64)
        np.add.at(counts, where.reshape(-1), self.counts)
        return unique, far[first], counts


_FLOAT32_MAX = float(np.finfo(np.float32).max)
_FLOAT64_MAX = float(np.finfo(np.float64).max)
_COARSENESS = {Scheme.POINTS: 0, Scheme.FLOAT64: 1, Scheme.FLOAT32: 2}


def added_up(values: np.ndarray, counts: NDArray[np.integer]) -> tuple[np.ndarray, Counts]:
    """The distinct values, ascending, and for each the sum of its counts."""
    if (values[1:] > values[:-1]).all():
        return values, counts.astype(np.int64)
    distinct, where = np.unique(values, return_inverse=True)
    totals = np.zeros(len(distinct), np.int64)
    np.add.at(totals, where.reshape(-1), counts.astype(np.int64))
    return distinct, totals


def linear_edges(lo: float, hi: float, bins: int) -> Floats:
    """`bins + 1` equally spaced edges; as `np.linspace`, and right where hi - lo overflows."""
    if math.isfinite(hi - lo):
        with np.errstate(over="ignore"):  # of the last, which is set to `hi`
            return np.linspace(lo, hi, bins + 1)
    share = np.linspace(0.0, 1.0, bins + 1)
    return (1.0 - share) * lo + share * hi


def _spaced(lo_log: float, hi_log: float, bins: int, lo: float, hi: float) -> Floats:
    edges = np.exp(np.linspace(lo_log, hi_log, bins + 1))
    edges[0], edges[-1] = lo, hi
    return edges


def _magnitude_bounds(scheme: Scheme, magnitude: NDArray[np.int64]) -> tuple[Floats, Floats]:
    if scheme is Scheme.FLOAT32:
        near = (magnitude.astype(np.uint32) << np.uint32(16)).view(np.float32)
        far = ((magnitude + 1).astype(np.uint32) << np.uint32(16)).view(np.float32)
        return near.astype(np.float64), np.minimum(far.astype(np.float64), _FLOAT32_MAX)
    near64 = (magnitude.astype(np.uint64) << np.uint64(44)).view(np.float64)
    far64 = ((magnitude + 1).astype(np.uint64) << np.uint64(44)).view(np.float64)
    return near64, np.minimum(far64, _FLOAT64_MAX)


def _cumulated(lower: Floats, upper: Floats, counts: Counts, edges: Floats) -> Floats:
    """How many numbers lie below each edge (at or below the last), as float64 not yet rounded."""
    cumulated = np.concatenate(([0], np.cumsum(counts))).astype(np.float64)
    whole = np.searchsorted(upper, edges, side="right")
    points = lower == upper
    # A point on an edge belongs to the bin on its right.
    at_edge = np.searchsorted(upper, edges, side="left")
    on_edge = (whole > at_edge) & np.append(points, False)[np.minimum(at_edge, len(lower))]
    on_edge[-1] = False
    whole = np.where(on_edge, at_edge, whole)
    below = cumulated[whole]
    if not lower.size:
        return below
    index = np.minimum(whole, len(lower) - 1)
    width = upper[index] - lower[index]
    inside = (whole < len(lower)) & (width > 0) & (edges > lower[index])
    above = np.subtract(edges, lower[index], out=np.zeros(len(edges)), where=inside)
    share = np.divide(above, width, out=np.zeros(len(edges)), where=inside)
    return np.where(inside, below + share * counts[index], below)


def _resolution(lower: Floats, upper: Floats, edges: Floats) -> float:
    """The width of the widest bucket that an inner edge, or an end that cuts, touches."""
    if not lower.size:
        return 0.0
    index = np.minimum(np.searchsorted(upper, edges, side="left"), len(lower) - 1)
    touched = (lower[index] <= edges) & (edges <= upper[index])
    touched &= (edges > lower[0]) & (edges < upper[-1])
    return float(np.max(np.where(touched, upper[index] - lower[index], 0.0)))
