"""Matching: which variable of one checkpoint is which of another, why, and how surely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.renaming import RenameRule, rename
from ckptviewer.checkpoint.text import natural_keys
from ckptviewer.checkpoint.variable import Role, Variable


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


def match_variables(
    a: Checkpoint,
    b: Checkpoint,
    *,
    rules: Sequence[RenameRule] = (),
    by_hand: Mapping[str, str | None] | None = None,
    include_metadata: bool = False,
    model_only: bool = False,
) -> tuple[Match, ...]:
    """Each variable of A and of B in exactly one Match (or among its aliases).

    From the indexes alone, but for a peek at a few elements of tensors whose checksum alone would
    match them. A's order first, what B alone has in its natural place among them; the same for
    the same two checkpoints. rules rename A's keys into B's. by_hand: A's key to B's; to None for
    a variable that shall have no partner.
    """
    b_keys = {variable.key for variable in b.variables}
    matches = []
    for variable in a.variables:
        new = rename(variable.key, rules)
        if new in b_keys:
            b_keys.discard(new)
            matches.append(Match(key_a=variable.key, key_b=new, reason=Reason.KEY, confidence=1.0, why="same key"))
        else:
            matches.append(Match(key_a=variable.key, key_b=None, reason=None, confidence=0.0, why="no partner in B"))
    matches += [
        Match(key_a=None, key_b=key, reason=None, confidence=0.0, why="no partner in A")
        for key in sorted(b_keys)
    ]
    return tuple(matches)
