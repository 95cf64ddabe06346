"""Difference: in numbers, by how much the values of one variable differ from another's.

Notation: a and b are the values on either side, n the number of pairs that are compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far b may be from a and still count as the same: |b-a| <= atol + rtol*|a|.

    Both are 0 unless given; then only the same bits are the same. With a tolerance 0.0 and -0.0
    are equal, and so are NaN and NaN, and infinities of one sign. Raises ValueError for what is
    negative or not finite.
    """

    atol: float = 0.0
    rtol: float = 0.0

    def __post_init__(self) -> None:
        if not all(math.isfinite(number) and number >= 0 for number in (self.atol, self.rtol)):
            raise ValueError("a tolerance is a finite number, 0 or more")

    @property
    def given(self) -> bool:
        """Whether anything but the same bits counts as the same."""
        return self.atol > 0 or self.rtol > 0


EXACT = Tolerance()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """All that a pass over two variables tells of how they differ.

    The numbers are taken in float64, whatever the dtypes; of complex numbers over real and
    imaginary parts, each an element of its own. Those about pairs go over the pairs that are
    finite on both sides, those about one side over what is finite there. A number is None where it
    does not apply (of strings, of nothing) or is not finite.

    count: pairs that were compared.
    unequal: pairs whose values are not the same, bit for bit where the dtypes are the same (so 0.0
        and -0.0 are not, NaN and the same NaN are); as numbers where they are not.
    beyond: pairs that are further apart than `tolerance`, which is what `unequal` counts too where
        none is given, but that 0.0 and -0.0, NaN and NaN are not. One that is not finite on one
        side alone, or another infinity, is beyond every tolerance.
    max_abs, mean_abs, rmse: of |b-a|. relative_l2: |b-a| / |a|, None where only a is all zero.
    cosine: of the angle between a and b, -1 to 1; None where one is all zero.
    sign_flips: pairs of which one is above zero and the other below.
    mean_difference, std_difference, skewness_difference, kurtosis_difference: b's less a's.
    mean_a ... norm_b: mean, population standard deviation and L2 norm of each side.
    nan_a, nan_b, inf_a, inf_b: how many there are on either side.
    nonfinite_unequal: pairs that differ in being NaN, Inf or -Inf.
    equal_rows: of tensors resized along the first axis, how many leading rows are equal.
    transposed: b was compared turned round, its axes swapped.
    """

    count: int
    unequal: int
    beyond: int
    tolerance: Tolerance = EXACT
    max_abs: float | None = None
    mean_abs: float | None = None
    rmse: float | None = None
    relative_l2: float | None = None
    cosine: float | None = None
    sign_flips: int | None = None
    mean_difference: float | None = None
    std_difference: float | None = None
    skewness_difference: float | None = None
    kurtosis_difference: float | None = None
    mean_a: float | None = None
    mean_b: float | None = None
    std_a: float | None = None
    std_b: float | None = None
    norm_a: float | None = None
    norm_b: float | None = None
    nan_a: int = 0
    nan_b: int = 0
    inf_a: int = 0
    inf_b: int = 0
    nonfinite_unequal: int = 0
    equal_rows: int | None = None
    transposed: bool = False

    @property
    def equal(self) -> bool:
        """Whether all pairs are the same."""
        return not self.unequal

    @property
    def within(self) -> bool:
        """Whether all pairs are the same, or within the tolerance that was given."""
        return self.equal or (self.tolerance.given and not self.beyond)

    @property
    def beyond_share(self) -> float:
        """The share of pairs beyond tolerance, 0 to 1; 0 of nothing."""
        return self.beyond / self.count if self.count else 0.0
