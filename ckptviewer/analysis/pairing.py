"""Pairing: the state of matching two checkpoints, while one step after another adds pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.text import natural_keys
from ckptviewer.checkpoint.variable import MODEL_ROLES, Role, Variable


class Reason(StrEnum):
    """What two variables were matched by."""

    KEY = "key"
    NAME = "name"
    RULE = "rule"
    HAND = "hand"
    CHECKSUM = "checksum"
    SLOT_OWNER = "slot-owner"
    KNOWN_RENAME = "known-rename"
    SHAPE = "shape-and-order"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One variable of A with its partner in B, or a variable of one side alone.

    key_a, key_b: None where that side has no partner; never both.
    reason: what they were matched by; None where there is no partner.
    confidence: 0 to 1; how sure it is that they are the same variable. 0 without a partner.
    why: one clause for people: "same key", "no partner in B".
    aliases_a, aliases_b: further keys of A (of B) that repeat the very tensor of `key_a`
    (`key_b`): a SavedModel stores a tensor under each path that leads to it. They are in no other
    Match, and have no partners of their own on the other side.
    """

    key_a: str | None
    key_b: str | None
    reason: Reason | None
    confidence: float
    why: str
    aliases_a: tuple[str, ...] = ()
    aliases_b: tuple[str, ...] = ()


_STATE_ROLES = frozenset((Role.OPTIMIZER_STATE, Role.COUNTER))
_CLASSES = {
    role: "model" if role in MODEL_ROLES else "state" if role in _STATE_ROLES else str(role)
    for role in Role
}

Grounds = tuple[Reason, float, str]
"""Reason, confidence and why."""


class Pairing:
    """Which rows of A and B belong together so far.

    a, b: the checkpoints. of_a, of_b: their variables that take part.
    partner_a, partner_b: row of the partner by row; -1 without one.
    grounds: of each pair, by row of A. notes_a: why a row of A shall have no partner, by row.
    alias_a, alias_b: row of what a row repeats, by row.
    names_a, names_b: canonical names by row, as far as they were needed.
    """

    def __init__(
        self, a: Checkpoint, b: Checkpoint, of_a: Sequence[Variable], of_b: Sequence[Variable]
    ) -> None:
        self.a, self.b = a, b
        self.of_a, self.of_b = of_a, of_b
        self.partner_a = [-1] * len(of_a)
        self.partner_b = [-1] * len(of_b)
        self.grounds: dict[int, Grounds] = {}
        self.notes_a: dict[int, str] = {}
        self.alias_a: dict[int, int] = {}
        self.alias_b: dict[int, int] = {}
        self.names_a: dict[int, tuple[str, ...]] = {}
        self.names_b: dict[int, tuple[str, ...]] = {}

    def add(self, row_a: int, row_b: int, reason: Reason, confidence: float, why: str) -> None:
        """Pair two rows, neither of which has a partner."""
        self.partner_a[row_a] = row_b
        self.partner_b[row_b] = row_a
        self.grounds[row_a] = (reason, confidence, why)

    def add_all(
        self, pairs: Iterable[tuple[int, int]], reason: Reason, confidence: float, why: str
    ) -> None:
        """Pair many rows on the same grounds."""
        grounds = (reason, confidence, why)
        for row_a, row_b in pairs:
            self.partner_a[row_a] = row_b
            self.partner_b[row_b] = row_a
            self.grounds[row_a] = grounds

    def free_a(self) -> list[int]:
        """Rows of A without a partner that may have one."""
        taken = self.notes_a.keys() | self.alias_a.keys()
        return [row for row, other in enumerate(self.partner_a) if other < 0 and row not in taken]

    def free_b(self) -> list[int]:
        """Rows of B without a partner that may have one."""
        return [
            row for row, other in enumerate(self.partner_b) if other < 0 and row not in self.alias_b
        ]

    def is_done(self) -> bool:
        """Whether every variable has its partner."""
        return -1 not in self.partner_a and -1 not in self.partner_b

    def both_free(self, row_a: int, row_b: int) -> bool:
        """Whether both rows may still be paired."""
        if self.partner_a[row_a] >= 0 or self.partner_b[row_b] >= 0:
            return False
        return not (row_a in self.notes_a or row_a in self.alias_a or row_b in self.alias_b)

    def same_shape(self, row_a: int, row_b: int) -> bool:
        """Whether the two have one shape."""
        return self.of_a[row_a].shape == self.of_b[row_b].shape

    def may_pair(self, row_a: int, row_b: int) -> bool:
        """Whether both are for the same: nothing but keys pairs a weight with an optimizer's."""
        return class_of(self.of_a[row_a]) == class_of(self.of_b[row_b])

    def pair_unique(
        self,
        labels_a: Mapping[int, object],
        labels_b: Mapping[int, object],
        reason: Reason,
        confidence: float,
        why: str,
        *,
        same_shape: bool = True,
    ) -> int:
        """Pair free rows whose labels are equal and unique among the free; returns how many.

        labels_a, labels_b: label by row; rows that have partners by now take no part. The class
        of the role, and with `same_shape` the shape, count as parts of the label.
        """
        rows_b = _unique(labels_b, self.of_b, self.partner_b, same_shape)
        if not rows_b:
            return 0
        count = 0
        for label, row_a in _unique(labels_a, self.of_a, self.partner_a, same_shape).items():
            row_b = rows_b.get(label, -1)
            if row_a >= 0 and row_b >= 0:
                self.add(row_a, row_b, reason, confidence, why)
                count += 1
        return count

    def matches(self) -> tuple[Match, ...]:
        """The outcome: A's rows in order, those of B alone at their natural places among them."""
        repeats_a = _repeats(self.alias_a, self.of_a)
        repeats_b = _repeats(self.alias_b, self.of_b)
        found: list[Match] = []
        for row_a, variable in enumerate(self.of_a):
            if row_a in self.alias_a:
                continue
            row_b = self.partner_a[row_a]
            if row_b < 0:
                why = self.notes_a.get(row_a, "no partner in B")
                found.append(_alone(variable.key, None, why, repeats_a.get(row_a, ())))
                continue
            reason, confidence, why = self.grounds[row_a]
            found.append(
                Match(
                    key_a=variable.key,
                    key_b=self.of_b[row_b].key,
                    reason=reason,
                    confidence=confidence,
                    why=why,
                    aliases_a=repeats_a.get(row_a, ()),
                    aliases_b=repeats_b.get(row_b, ()),
                )
            )
        added = [
            _alone(
                None,
                self.of_b[row_b].key,
                "no partner in A",
                repeats_b.get(row_b, ()),
            )
            for row_b, row_a in enumerate(self.partner_b)
            if row_a < 0 and row_b not in self.alias_b
        ]
        return tuple(_merged(found, added) if added else found)


def class_of(variable: Variable) -> str:
    """What a variable is for, as far as matching cares: "model", "state", or its role."""
    return _CLASSES[variable.role]


def _unique(
    labels: Mapping[int, object],
    variables: Sequence[Variable],
    partners: Sequence[int],
    same_shape: bool,
) -> dict[object, int]:
    """Row by label; -1 for a label that several rows have."""
    found: dict[object, int] = {}
    for row, label in labels.items():
        if partners[row] >= 0:
            continue
        variable = variables[row]
        whole = (label, _CLASSES[variable.role], variable.shape if same_shape else None)
        found[whole] = -1 if whole in found else row
    return found


def _repeats(aliases: dict[int, int], variables: Sequence[Variable]) -> dict[int, tuple[str, ...]]:
    repeats: dict[int, list[str]] = {}
    for row in sorted(aliases):
        repeats.setdefault(aliases[row], []).append(variables[row].key)
    return {row: tuple(keys) for row, keys in repeats.items()}


def _alone(key_a: str | None, key_b: str | None, why: str, aliases: tuple[str, ...]) -> Match:
    return Match(
        key_a=key_a,
        key_b=key_b,
        reason=None,
        confidence=0.0,
        why=why,
        aliases_a=aliases if key_b is None else (),
        aliases_b=aliases if key_a is None else (),
    )


def _merged(found: list[Match], added: list[Match]) -> list[Match]:
    """Both in natural order: what is in A by its key there, the rest by its key in B."""
    both = found + added
    keys = natural_keys(
        match.key_a if match.key_a is not None else match.key_b or "" for match in both
    )
    return [both[index] for index in sorted(range(len(both)), key=keys.__getitem__)]
