"""What is summed up over the pairs of two variables, and the numbers that come of it."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field, fields

from ckptviewer.analysis.difference import Difference, Tolerance
from ckptviewer.analysis.moments import EMPTY, Moments, State, combine, two_sum


@dataclass(slots=True, kw_only=True)
class PairSums:
    """Sums over pairs; those of parts of a tensor can be merged.

    count ... nonfinite_unequal: as of Difference. pairs: those that are finite on both sides; the
    sums from `max_abs` to `square_b` go over these: of |d| (d = b-a), d (as a pair of float64
    numbers, the second what rounding took from the first), d*d, a*a, b*b.
    state_a, state_b: moments of what is finite on each side, see `moments.State`.
    numeric: whether there are numbers at all, which strings are not. signed: whether they have
    signs, which complex ones do not.
    """

    count: int = 0
    unequal: int = 0
    beyond: int = 0
    flips: int = 0
    nan_a: int = 0
    nan_b: int = 0
    inf_a: int = 0
    inf_b: int = 0
    nonfinite_unequal: int = 0
    pairs: int = 0
    max_abs: float = 0.0
    sum_abs: float = 0.0
    sum_d: tuple[float, float] = (0.0, 0.0)
    square_d: float = 0.0
    square_a: float = 0.0
    square_b: float = 0.0
    state_a: State = field(default=EMPTY)
    state_b: State = field(default=EMPTY)
    numeric: bool = True
    signed: bool = True

    def add_d(self, value: float, rest: float = 0.0) -> None:
        """Add to the sum of b-a without losing what is small."""
        high, low = two_sum(self.sum_d[0], value)
        self.sum_d = high, self.sum_d[1] + low + rest

    def merge(self, other: PairSums) -> None:
        """Take in the sums over further pairs."""
        self.add_d(*other.sum_d)
        self.max_abs = max(self.max_abs, other.max_abs)
        self.state_a = combine(self.state_a, other.state_a)
        self.state_b = combine(self.state_b, other.state_b)
        self.numeric = self.numeric and other.numeric
        self.signed = self.signed and other.signed
        for name in _ADDED:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def result(
        self, tolerance: Tolerance, *, equal_rows: int | None = None, transposed: bool = False
    ) -> Difference:
        """The numbers, as far as they apply and are finite."""
        numbers: dict[str, float | None] = {}
        if self.numeric:
            numbers = self._of_pairs() | self._of_sides()
        return Difference(
            count=self.count,
            unequal=self.unequal,
            beyond=self.beyond,
            tolerance=tolerance,
            sign_flips=self.flips if self.numeric and self.signed else None,
            nan_a=self.nan_a,
            nan_b=self.nan_b,
            inf_a=self.inf_a,
            inf_b=self.inf_b,
            nonfinite_unequal=self.nonfinite_unequal,
            equal_rows=equal_rows,
            transposed=transposed,
            **{name: _finite(number) for name, number in numbers.items()},
        )

    def _of_pairs(self) -> dict[str, float | None]:
        n = self.pairs
        if not n:
            return {}
        numbers: dict[str, float | None] = {"max_abs": self.max_abs, "mean_abs": self.sum_abs / n}
        if self.max_abs and self.square_d < sys.float_info.min:
            return numbers  # the squares of such tiny differences leave float64
        return numbers | {
            "rmse": math.sqrt(self.square_d / n),
            "relative_l2": _ratio(math.sqrt(self.square_d), math.sqrt(self.square_a)),
            "cosine": self._cosine(),
        }

    def _cosine(self) -> float | None:
        """From |b-a|² = |a|² + |b|² - 2ab: three sums of squares cannot cancel into nonsense."""
        norms = math.sqrt(self.square_a) * math.sqrt(self.square_b)
        if not norms or not math.isfinite(norms + self.square_d):  # the squares leave float64
            return None
        product = (self.square_a + self.square_b - self.square_d) / 2
        return max(-1.0, min(1.0, product / norms))

    def _of_sides(self) -> dict[str, float | None]:
        a, b = Moments(self.state_a), Moments(self.state_b)
        mean = _minus(b.mean, a.mean)
        if self.signed and self.pairs and a.count == b.count == self.pairs:
            mean = (self.sum_d[0] + self.sum_d[1]) / self.pairs
        return {
            "mean_difference": mean,
            "std_difference": _minus(b.std, a.std),
            "skewness_difference": _minus(_skewness(b), _skewness(a)),
            "kurtosis_difference": _minus(_kurtosis(b), _kurtosis(a)),
            "mean_a": a.mean,
            "mean_b": b.mean,
            "std_a": a.std,
            "std_b": b.std,
            "norm_a": a.l2_norm if a.count else None,
            "norm_b": b.l2_norm if b.count else None,
        }


_APART = {"max_abs", "sum_d", "state_a", "state_b", "numeric", "signed"}
_ADDED = tuple(each.name for each in fields(PairSums) if each.name not in _APART)


def _skewness(moments: Moments) -> float | None:
    try:
        return moments.skewness
    except OverflowError:  # values whose powers leave float64
        return None


def _kurtosis(moments: Moments) -> float | None:
    try:
        return moments.kurtosis
    except OverflowError:
        return None


def _minus(b: float | None, a: float | None) -> float | None:
    return None if a is None or b is None else b - a


def _ratio(value: float, base: float) -> float | None:
    if base:
        return value / base
    return None if value else 0.0


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
