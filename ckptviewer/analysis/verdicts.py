"""Verdicts: what happened to a variable, or to a group of them, from one checkpoint to another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import hypot, isfinite, prod, sqrt

from ckptviewer.analysis.thresholds import Thresholds as Thresholds
from ckptviewer.checkpoint.roles import VALUE_SUFFIX
from ckptviewer.checkpoint.text import number_text, plural
from ckptviewer.checkpoint.variable import MODEL_ROLES, Role


class Verdict(StrEnum):
    """What happened to a variable, or to a group, between A and B.

    Added, removed, not comparable: variables without a comparable partner. Mixed: groups whose
    variables tell different things.
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


ALIKE = (Verdict.EQUAL, Verdict.EQUAL_BY_CHECKSUM, Verdict.WITHIN_TOLERANCE, Verdict.FROZEN)
"""Verdicts that say that nothing changed."""

_TRAINED = frozenset((Role.WEIGHT, Role.BIAS, Role.NORMALIZATION))
_LEAST_ELEMENTS = 64
_FIXED_STDS = (0.01, 0.02, 0.05, 0.05 / sqrt(3), 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaFacts:
    """What a verdict on one variable rests on; figures are None while, or where, unknown.

    key_a, key_b: None where that side has no such variable.
    name: for people, parts set apart by "/"; tells which layer it is of. Empty: the key does.
    role: in B, or in A where B has none.
    shape: in B (in A where B has none). element_count: of it.
    comparable: both sides are there, are numbers, and have one shape.
    equal_by_checksum: stored checksum, dtype and shape are equal; values were not read.
    equal_by_values: every element was compared, and is equal.
    within_tolerance: every element was compared, and is within the tolerance that was set.
    relative_l2: |b-a| / |a|. cosine: of a and b. max_abs: largest |b-a|.
    mean_difference, std_difference: of B less those of A.
    std_a, std_b, mean_b, norm_a, norm_b: population standard deviation, mean, L2 norm.
    nan_difference: elements that are not finite on one side alone, or differ in what they are.
    """

    key_a: str | None
    key_b: str | None
    role: Role
    name: str = ""
    shape: tuple[int, ...] = ()
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

    @property
    def layer(self) -> str:
        """The layer it is of: its name, or key, without its last part."""
        return (self.name or self.key).removesuffix(VALUE_SUFFIX).rpartition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict with its grounds.

    why: one clause for people, figures included.
    """

    verdict: Verdict
    why: str


DEFAULTS = Thresholds()


def judge(facts: DeltaFacts, thresholds: Thresholds = DEFAULTS) -> Judgement | None:
    """What happened to one variable, seen alone; None while its figures are not known yet.

    Whether an equal one was frozen shows only beside the others: see `judge_all`.
    """
    plain = _plain_verdict(facts)
    if plain is not None:
        return plain
    if facts.norm_a == 0 and facts.norm_b:
        return Judgement(verdict=Verdict.RETRAINED, why="it was all zeros")
    reset = _reset_verdict(facts, thresholds)
    if reset is not None:
        return reset
    change, cosine = facts.relative_l2, facts.cosine
    if change is None or not isfinite(change):
        return None
    why = f"changed by {_percent(change)} of its norm"
    if cosine is not None:
        why += f", cosine {number_text(cosine)}"
    if facts.nan_difference:
        why += f"; {plural(facts.nan_difference, 'element')} not finite on one side only"
    same_way = cosine is None or cosine >= thresholds.fine_tuned_cosine
    if change <= thresholds.fine_tuned_relative_l2 and same_way:
        return Judgement(verdict=Verdict.FINE_TUNED, why=why)
    initializer = _initializer(facts, thresholds)
    if initializer:
        why += f"; its standard deviation is that of {initializer}"
        return Judgement(verdict=Verdict.RE_INITIALISED, why=why)
    return Judgement(verdict=Verdict.RETRAINED, why=why)


def _plain_verdict(facts: DeltaFacts) -> Judgement | None:
    """The verdict where no figure is needed for it."""
    if facts.key_a is None:
        return Judgement(verdict=Verdict.ADDED, why="it is in B alone")
    if facts.key_b is None:
        return Judgement(verdict=Verdict.REMOVED, why="it is in A alone")
    if facts.equal_by_values:
        return Judgement(verdict=Verdict.EQUAL, why="every element is equal")
    if facts.equal_by_checksum:
        return Judgement(verdict=Verdict.EQUAL_BY_CHECKSUM, why="the stored checksums are equal")
    if facts.within_tolerance:
        why = "every element is within the tolerance"
        if facts.max_abs is not None:
            why += f"; the largest difference is {number_text(facts.max_abs)}"
        return Judgement(verdict=Verdict.WITHIN_TOLERANCE, why=why)
    if not facts.comparable:
        why = "shapes or dtypes do not let its elements be compared"
        return Judgement(verdict=Verdict.INCOMPARABLE, why=why)
    return None


def _reset_verdict(facts: DeltaFacts, thresholds: Thresholds) -> Judgement | None:
    """Re-initialised, where B holds the constant that initializers give and A did not."""
    if facts.std_b != 0 or not facts.std_a or facts.element_count < 2:
        return None
    if facts.mean_b not in (0.0, 1.0):
        return None
    why = f"every element is {number_text(facts.mean_b)} now, as initializers leave it"
    return Judgement(verdict=Verdict.RE_INITIALISED, why=why)


def _initializer(facts: DeltaFacts, thresholds: Thresholds) -> str:
    """The initializer that B's values look drawn from, independently of A's; "" for none."""
    count = facts.element_count or prod(facts.shape)
    if count < _LEAST_ELEMENTS or facts.cosine is None or not facts.std_b:
        return ""
    if abs(facts.cosine) > max(thresholds.re_initialised_cosine, 3 / sqrt(count)):
        return ""
    if facts.relative_l2 is not None and facts.norm_a and facts.norm_b:
        # Of two independent draws |b-a| is the hypotenuse: about sqrt(2) of equal norms.
        expected = hypot(facts.norm_a, facts.norm_b) / facts.norm_a
        if abs(facts.relative_l2 - expected) > 0.15 * expected:
            return ""
    if facts.mean_b is not None and abs(facts.mean_b) > 5 * facts.std_b / sqrt(count):
        return ""
    tolerance = max(thresholds.initializer_std, 4 / sqrt(2 * count))
    for name, std in _initializer_stds(facts.shape):
        if abs(facts.std_b - std) <= tolerance * std:
            return name
    return ""


def _initializer_stds(shape: Sequence[int]) -> list[tuple[str, float]]:
    """The standard deviations that common initializers give a tensor of that shape.

    Source of the fans: keras/src/initializers/random_initializers.py, `compute_fans`.
    """
    found = []
    if len(shape) >= 2:
        receptive = prod(shape[:-2])
        fan_in, fan_out = shape[-2] * receptive, shape[-1] * receptive
        if fan_in and fan_out:
            found = [
                ("Glorot's initializer", sqrt(2 / (fan_in + fan_out))),
                ("He's initializer", sqrt(2 / fan_in)),
                ("LeCun's initializer", sqrt(1 / fan_in)),
                ("an orthogonal initializer", 1 / sqrt(max(receptive * shape[-2], shape[-1]))),
                ("PyTorch's initializer", sqrt(1 / (3 * fan_in))),
            ]
    return found + [(f"an initializer of {number_text(std, 2)}", std) for std in _FIXED_STDS]


def judge_all(
    facts: Sequence[DeltaFacts], thresholds: Thresholds = DEFAULTS
) -> list[Judgement | None]:
    """What happened to each variable, seen beside the others; same order.

    A variable of the model that is equal was frozen, where others of the model changed, but none
    that is trained in its own layer: a bias that stayed zero beside a kernel that moved is equal.
    """
    judged = [judge(each, thresholds) for each in facts]
    changed = {
        each.layer
        for each, judgement in zip(facts, judged, strict=True)
        if each.role in _TRAINED and judgement is not None and judgement.verdict in _CHANGED
    }
    if not changed:
        return judged
    why = "it is equal, while other layers of the model changed"
    frozen = Judgement(verdict=Verdict.FROZEN, why=why)
    return [
        frozen
        if judgement is not None
        and each.equal
        and each.key_a is not None
        and each.key_b is not None
        and each.role in MODEL_ROLES
        and each.layer not in changed
        else judgement
        for each, judgement in zip(facts, judged, strict=True)
    ]


_CHANGED = frozenset((Verdict.FINE_TUNED, Verdict.RETRAINED, Verdict.RE_INITIALISED))


def judge_group(
    facts: Sequence[DeltaFacts],
    judgements: Sequence[Judgement | None],
    thresholds: Thresholds = DEFAULTS,
) -> Judgement | None:
    """What happened to a group as a whole; None for an empty one, or while anything is unknown.

    judgements: of its variables, as `judge_all` gave them. What all agree on; else what covers the
    share of elements that the thresholds ask for; else "mixed". That nothing changed is only said
    where nothing did. The optimizer's variables count where the group has no other.
    """
    pairs = [pair for pair in zip(facts, judgements, strict=True) if pair[0].role in MODEL_ROLES]
    pairs = pairs or list(zip(facts, judgements, strict=True))
    if not pairs or any(judgement is None for _, judgement in pairs):
        return None
    counts: Counter[Verdict] = Counter()
    elements: Counter[Verdict] = Counter()
    for each, judgement in pairs:
        assert judgement is not None
        counts[judgement.verdict] += 1
        # What was all zeros before says little of how the rest changed.
        elements[judgement.verdict] += 0 if each.norm_a == 0 else max(1, each.element_count)
    why = ", ".join(f"{verdict} {counts[verdict]}" for verdict in Verdict if counts[verdict])
    if len(counts) == 1:
        return Judgement(verdict=next(iter(counts)), why=why)
    if all(verdict in ALIKE for verdict in counts):
        return Judgement(verdict=_weakest(counts), why=why)
    verdict, most = max(elements.items(), key=lambda item: item[1])
    if verdict in _CHANGED and most >= thresholds.group_share * sum(elements.values()):
        return Judgement(verdict=verdict, why=why)
    return Judgement(verdict=Verdict.MIXED, why=why)


def _weakest(counts: Counter[Verdict]) -> Verdict:
    """Of verdicts that all say that nothing changed the one that claims least."""
    for verdict in (Verdict.WITHIN_TOLERANCE, Verdict.EQUAL_BY_CHECKSUM, Verdict.EQUAL):
        if counts[verdict]:
            return verdict
    return Verdict.FROZEN


def _percent(share: float) -> str:
    return f"{number_text(100 * share, 3)} %"
