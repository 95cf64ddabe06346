"""Verdicts: what happened to a variable, or to a group of them, from one checkpoint to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ckptviewer.checkpoint.variable import Role


class Verdict(StrEnum):
    """What happened to a variable, or to a group, between A and B.

    The last three are of variables without a comparable partner, and of groups whose variables
    tell different things.
    """

    EQUAL = "equal"
    EQUAL_BY_CHECKSUM = "equal by checksum"
    WITHIN_TOLERANCE = "equal within tolerance"
    FROZEN = "frozen"
    FINE_TUNED = "fine-tuned"
    RETRAINED = "retrained"
    RE_INITIALISED = "re-initialised"
    ADDED = "added"
    REMOVED = "removed"
    INCOMPARABLE = "not comparable"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaFacts:
    """What a verdict on one variable rests on; figures are None while, or where, unknown.

    key_a, key_b: None where that side has no such variable.
    role: in B, or in A where B has none.
    element_count: in B (in A where B has none).
    comparable: both sides are there, are numbers, and have one shape.
    equal_by_checksum: stored checksum, dtype and shape are equal; values were not read.
    equal_by_values: every element was compared, and is equal.
    within_tolerance: every element was compared, and is within the tolerance that was set.
    relative_l2: |b-a| / |a|. cosine: of a and b. max_abs: largest |b-a|.
    mean_difference, std_difference: of B less those of A.
    std_a, std_b, mean_b, norm_a, norm_b: population standard deviation, mean, L2 norm.
    nan_difference: elements that are not finite on one side alone.
    """

    key_a: str | None
    key_b: str | None
    role: Role
    element_count: int = 0
    comparable: bool = True
    equal_by_checksum: bool = False
    equal_by_values: bool = False
    within_tolerance: bool = False
    relative_l2: float | None = None
    cosine: float | None = None
    max_abs: float | None = None
    mean_difference: float | None = None
    std_difference: float | None = None
    std_a: float | None = None
    std_b: float | None = None
    mean_b: float | None = None
    norm_a: float | None = None
    norm_b: float | None = None
    nan_difference: int = 0

    @property
    def key(self) -> str:
        """The key to show: of B, or of A where B has none."""
        return self.key_b if self.key_b is not None else self.key_a or ""

    @property
    def equal(self) -> bool:
        """Whether the content is equal, by checksum or by values."""
        return self.equal_by_checksum or self.equal_by_values
