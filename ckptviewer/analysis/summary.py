"""Statistics: what one pass over a tensor tells; frozen, and mergeable over its pieces."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ckptviewer.analysis.moments import Moments

if TYPE_CHECKING:
    from ckptviewer.analysis.histogram import Buckets, Quantile

Number = int | float


def _no_buckets() -> Buckets:
    from ckptviewer.analysis.histogram import Buckets

    return Buckets.empty()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Statistics:
    """What one pass over a tensor, or over a piece of one, tells of its values.

    Moments, extremes and buckets are over the finite values; a complex number counts by its
    magnitude. What does not apply (the mean of nothing, the skewness of a constant) is None.

    count: elements. nan, pos_inf, neg_inf, zero, denormal: how many of them are that; a complex
        number with an infinite part is infinite, else with a NaN part NaN.
    min, max: exact; int for integers and booleans (False is 0), float otherwise.
    moments: see Moments. buckets: the fine counts that histograms and quantiles are made from.
    distinct: number of distinct finite values (of strings: of all); None where not counted: it is
        for bool, string, dtypes of up to 16 bits, short tensors, and integers with few.
    lengths: of a string tensor the statistics of the lengths in bytes; else None.
    sampled: whether only some of the elements were read.
    """

    count: int = 0
    nan: int = 0
    pos_inf: int = 0
    neg_inf: int = 0
    zero: int = 0
    denormal: int = 0
    min: Number | None = None
    max: Number | None = None
    moments: Moments = field(default_factory=Moments)
    buckets: Buckets = field(default_factory=_no_buckets)
    distinct: int | None = None
    lengths: Statistics | None = None
    sampled: bool = False

    @property
    def inf(self) -> int:
        """How many are infinite, of either sign."""
        return self.pos_inf + self.neg_inf

    @property
    def finite(self) -> int:
        """How many are numbers and finite: those that moments and buckets speak of."""
        return self.moments.count

    @property
    def constant(self) -> bool:
        """Whether all elements are one and the same finite number."""
        return self.finite == self.count > 0 and self.min == self.max

    @property
    def mean(self) -> float | None:
        """The arithmetic mean of the finite values."""
        return self.moments.mean

    @property
    def std(self) -> float | None:
        """Their standard deviation, as of a whole population."""
        return self.moments.std

    @property
    def skewness(self) -> float | None:
        """Their skewness, as of a whole population; None where all are equal."""
        return self.moments.skewness

    @property
    def kurtosis(self) -> float | None:
        """Their excess kurtosis, as of a whole population; None where all are equal."""
        return self.moments.kurtosis

    @property
    def l1_norm(self) -> float | None:
        """The sum of their absolute values; None for strings."""
        return None if self.lengths is not None else self.moments.l1_norm

    @property
    def l2_norm(self) -> float | None:
        """The square root of the sum of their squares; None for strings."""
        return None if self.lengths is not None else self.moments.l2_norm

    def quantile(self, fraction: float) -> Quantile | None:
        """The quantile at `fraction`, with a bound of its error; None where nothing is finite."""
        return self.buckets.quantile(fraction)

    def merge(self, other: Statistics) -> Statistics:
        """The statistics of both pieces together.

        Counts, extremes and buckets are exact in any order; moments agree but for the last bits.
        """
        from ckptviewer.analysis.histogram import Scheme

        if not other.count:
            return self
        if not self.count:
            return other
        buckets = self.buckets.merge(other.buckets)
        moments = self.moments.merge(other.moments)
        low = _least(self.min, other.min)
        high = _greatest(self.max, other.max)
        if low is not None and low == high:
            moments = moments.constant(float(low))
        counted = self.distinct is not None and other.distinct is not None
        exact = counted and buckets.scheme is Scheme.POINTS and self.lengths is None
        lengths = self.lengths or other.lengths
        if self.lengths and other.lengths:
            lengths = self.lengths.merge(other.lengths)
        return Statistics(
            count=self.count + other.count,
            nan=self.nan + other.nan,
            pos_inf=self.pos_inf + other.pos_inf,
            neg_inf=self.neg_inf + other.neg_inf,
            zero=self.zero + other.zero,
            denormal=self.denormal + other.denormal,
            min=low,
            max=high,
            moments=moments,
            buckets=buckets,
            distinct=len(buckets.ranks) + (buckets.zeros > 0) if exact else None,
            lengths=lengths,
            sampled=self.sampled or other.sampled,
        )


def _least(a: Number | None, b: Number | None) -> Number | None:
    return a if b is None else b if a is None else min(a, b)


def _greatest(a: Number | None, b: Number | None) -> Number | None:
    return a if b is None else b if a is None else max(a, b)
