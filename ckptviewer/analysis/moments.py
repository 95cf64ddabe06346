"""Moments: sums of powers about the mean that merge without losing what is small.

Each piece of a tensor is summed about its own mean in float64 and the pieces are combined by
Pébay's formulas (Sandia report SAND2008-6212). The sum itself is kept as an unevaluated pair of
float64 numbers, so that a mean of 1e9 with a deviation of 1e-6 keeps both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_SPLITTER = 134217729.0  # 2**27 + 1, Dekker's

State = tuple[float, float, float, float, float, float, float]
"""count, sum, rest of the sum, m2, m3, m4, sum of absolute values."""

EMPTY: State = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def two_product(a: float, b: float) -> tuple[float, float]:
    """The product and its rounding error, exactly (Dekker)."""
    product = a * b
    t = _SPLITTER * a
    a_high = t - (t - a)
    a_low = a - a_high
    t = _SPLITTER * b
    b_high = t - (t - b)
    b_low = b - b_high
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def two_sum(a: float, b: float) -> tuple[float, float]:
    """The sum and its rounding error, exactly (Knuth)."""
    total = a + b
    t = total - a
    return total, (a - (total - t)) + (b - t)


def piece(
    count: float, pivot: float, s1: float, s2: float, s3: float, s4: float, absolute: float
) -> State:
    """The state of one piece from its sums of powers about `pivot`, a number near its mean."""
    shift = s1 / count
    square = shift * shift
    m2 = s2 - count * square
    m3 = s3 - 3.0 * shift * s2 + 2.0 * count * square * shift
    m4 = s4 - 4.0 * shift * s3 + 6.0 * square * s2 - 3.0 * count * square * square
    high, low = two_product(count, pivot)
    high, rest = two_sum(high, s1)
    return count, high, low + rest, max(m2, 0.0), m3, max(m4, 0.0), absolute


def combine(a: State, b: State) -> State:
    """The state of two pieces together; m2 to m4 are taken about the common mean."""
    na, ah, al, a2, a3, a4, aa = a
    nb, bh, bl, b2, b3, b4, ba = b
    if nb == 0.0:
        return a
    if na == 0.0:
        return b
    mean_a = ah / na
    product, error = two_product(mean_a, na)
    rest_a = ((ah - product) - error + al) / na
    mean_b = bh / nb
    product, error = two_product(mean_b, nb)
    rest_b = ((bh - product) - error + bl) / nb
    delta = (mean_b - mean_a) + (rest_b - rest_a)
    n = na + nb
    share_a = na / n
    share_b = nb / n
    d2 = delta * delta
    weight = na * share_b
    m2 = a2 + b2 + d2 * weight
    m3 = (
        a3
        + b3
        + d2 * delta * weight * (share_a - share_b)
        + 3.0 * delta * (share_a * b2 - share_b * a2)
    )
    m4 = (
        a4
        + b4
        + d2 * d2 * weight * (share_a * share_a - share_a * share_b + share_b * share_b)
        + 6.0 * d2 * (share_a * share_a * b2 + share_b * share_b * a2)
        + 4.0 * delta * (share_a * b3 - share_b * a3)
    )
    high, low = two_sum(ah, bh)
    low = low + (al + bl)
    total, rest = two_sum(high, low)
    return n, total, rest, m2, m3, m4, aa + ba


@dataclass(frozen=True, slots=True)
class Moments:
    """The first four moments of a set of finite numbers, and the sum of their absolute values.

    state: see State. exponent: all is in units of 2**exponent; it is 0 but for numbers so large
    or so small that their fourth powers leave the range of float64.
    """

    state: State = EMPTY
    exponent: int = 0

    @property
    def count(self) -> int:
        """How many numbers."""
        return int(self.state[0])

    @property
    def mean(self) -> float | None:
        """The arithmetic mean; None of nothing."""
        n, high, low, *_ = self.state
        return self._scaled((high + low) / n) if n else None

    @property
    def std(self) -> float | None:
        """The population's standard deviation; None of nothing."""
        n, _, _, m2, *_ = self.state
        return self._scaled(math.sqrt(m2 / n)) if n else None

    @property
    def skewness(self) -> float | None:
        """The population's skewness; None where all numbers are equal."""
        n, _, _, m2, m3, *_ = self.state
        return m3 / n / (m2 / n) ** 1.5 if self._spread else None

    @property
    def kurtosis(self) -> float | None:
        """The population's excess kurtosis; None where all numbers are equal."""
        n, _, _, m2, _, m4, _ = self.state
        return m4 / n / (m2 / n) ** 2 - 3.0 if self._spread else None

    @property
    def l1_norm(self) -> float:
        """The sum of absolute values."""
        return self._scaled(self.state[6])

    @property
    def l2_norm(self) -> float:
        """The square root of the sum of squares."""
        n, high, low, m2, *_ = self.state
        if not n:
            return 0.0
        mean = (high + low) / n
        return self._scaled(math.sqrt(m2 + n * mean * mean))

    def merge(self, other: Moments) -> Moments:
        """The moments of both sets together."""
        if not other.state[0]:
            return self
        if not self.state[0]:
            return other
        exponent = max(self.exponent, other.exponent)
        a, b = self._in_units_of(exponent), other._in_units_of(exponent)
        return Moments(combine(a, b), exponent)

    def moved(self, by: float) -> Moments:
        """The moments of the same numbers with `by` added to each; the exponent must be 0.

        Only right where all numbers, moved, have one sign: that is what the l1 norm relies on.
        """
        n, high, low, m2, m3, m4, _ = self.state
        product, error = two_product(n, by)
        total, rest = two_sum(product, high)
        rest += error + low
        return Moments((n, total, rest, m2, m3, m4, abs(total + rest)))

    def constant(self, value: float) -> Moments:
        """The same, knowing that all numbers are `value`: what rounding left is taken out."""
        scaled = math.ldexp(value, -self.exponent)
        n = self.state[0]
        high, low = two_product(n, scaled)
        return Moments((n, high, low, 0.0, 0.0, 0.0, n * abs(scaled)), self.exponent)

    @property
    def _spread(self) -> bool:
        n, _, _, m2, *_ = self.state
        return n > 0 and m2 > 0 and (m2 / n) ** 2 > 0

    def _scaled(self, value: float) -> float:
        try:
            return math.ldexp(value, self.exponent)
        except OverflowError:
            return math.copysign(math.inf, value)

    def _in_units_of(self, exponent: int) -> State:
        shift = self.exponent - exponent
        if not shift:
            return self.state
        n, high, low, m2, m3, m4, absolute = self.state
        return (
            n,
            math.ldexp(high, shift),
            math.ldexp(low, shift),
            math.ldexp(m2, 2 * shift),
            math.ldexp(m3, 3 * shift),
            math.ldexp(m4, 4 * shift),
            math.ldexp(absolute, shift),
        )


def moments_of_table(values: np.ndarray, counts: np.ndarray) -> Moments:
    """The moments of numbers given as distinct finite float64 `values` and how often each comes.

    Exact but for the last bits, whatever the order in which the numbers came.
    """
    import numpy as np

    n = int(counts.sum())
    if not n:
        return Moments()
    weights = counts.astype(np.float64)
    largest = float(np.abs(values).max())
    exponent = exponent_for(largest, largest)
    if exponent:
        values = np.ldexp(values, -exponent)
    absolute = float(np.dot(weights, np.abs(values)))
    pivot = float(np.sum(values * weights)) / n
    d = values - pivot
    weighted = weights * d
    s1 = float(np.sum(weighted))
    square = weighted * d
    s2 = float(np.sum(square))
    s3 = float(np.sum(square * d))
    s4 = float(np.sum(square * d * d))
    return Moments(piece(n, pivot, s1, s2, s3, s4, absolute), exponent)


def exponent_for(low: float | None, high: float | None) -> int:
    """The power of two to divide numbers from `low` to `high` by before their moments are taken.

    0 where their fourth powers stay well within float64, as they do but for extreme float64s.
    """
    largest = max(abs(low or 0.0), abs(high or 0.0))
    if not largest or 2.0**-240 < largest < 2.0**240:
        return 0
    return math.frexp(largest)[1]
