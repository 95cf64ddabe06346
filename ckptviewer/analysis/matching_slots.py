"""Matching optimizers' slots: whose owners are partners, and which are called the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from ckptviewer.analysis.pairing import Pairing, Reason
from ckptviewer.checkpoint.variable import Variable

_ADAM = {"m": "first moment", "v": "second moment"}
_SYNONYMS: tuple[dict[str, str], ...] = (
    _ADAM,
    {"momentum": "first moment", "velocity": "second moment"},
    {"adam_m": "first moment", "adam_v": "second moment"},
    {"lamb_m": "first moment", "lamb_v": "second moment"},
)
_LISTED = re.compile(
    r"(?:^|/)optimizer(?P<inner>/[a-z_]*)?/_?(?:vars|variables)/(?P<place>\d{1,9})(?:/|$)"
)
_AVERAGES = frozenset(("average", "ema", "ExponentialMovingAverage", "MovingAverage", "shadow"))


def pair_by_slot_owner(pairing: Pairing) -> int:
    """Pair slots of owners that are partners; returns how many.

    As sure as that their owners are partners. Slots of one name first; then what optimizers'
    generations call the same (`m` and `v`, `Adam` and `Adam_1`, `momentum` and `velocity` are
    Adam's moments).
    """
    slots_a = _slots(pairing.free_a(), pairing.of_a)
    slots_b = _slots(pairing.free_b(), pairing.of_b)
    if not slots_a or not slots_b:
        return 0
    owners = {
        variable.key: row_a
        for row_a, variable in enumerate(pairing.of_a)
        if pairing.partner_a[row_a] >= 0
    }
    count = 0
    for owner_a, rows in slots_a.items():
        row = owners.get(owner_a)
        if row is None:
            continue
        others = slots_b.get(pairing.of_b[pairing.partner_a[row]].key)
        if others:
            confidence = min(0.95, pairing.grounds[row][1])
            count += _pair_slots(pairing, rows, others, confidence)
    return count


def pair_by_optimizer_list(pairing: Pairing) -> int:
    """Pair what has the same place in the optimizer's list of variables; returns how many.

    Keras writes the same list as `optimizer/vars/3` and as `optimizer/_variables/3`.
    """
    return pairing.pair_unique(
        _places(pairing.free_a(), pairing.of_a),
        _places(pairing.free_b(), pairing.of_b),
        Reason.KNOWN_RENAME,
        0.7,
        "the same place in the optimizer's list of variables",
    )


def _places(rows: Iterable[int], variables: Sequence[Variable]) -> dict[int, object]:
    found = {row: _LISTED.search(variables[row].key) for row in rows}
    return {row: (at["inner"], int(at["place"])) for row, at in found.items() if at is not None}


def _slots(rows: Sequence[int], variables: Sequence[Variable]) -> dict[str, dict[str, int]]:
    """Row by name of the slot, by key of the owner; names that an owner has twice are left out."""
    slots: dict[str, dict[str, int]] = {}
    for row in rows:
        owner = variables[row].slot_of
        if owner is not None:
            of_owner = slots.setdefault(owner, {})
            name = variables[row].slot_name
            of_owner[name] = -1 if name in of_owner else row
    return slots


def _pair_slots(
    pairing: Pairing, slots_a: Mapping[str, int], slots_b: Mapping[str, int], confidence: float
) -> int:
    count = 0
    for names_a, names_b in (
        ({name: name for name in slots_a}, {name: name for name in slots_b}),
        (_meanings(slots_a), _meanings(slots_b)),
    ):
        by_meaning = {names_b[name]: row for name, row in slots_b.items() if name in names_b}
        for name, row_a in slots_a.items():
            row_b = by_meaning.get(names_a.get(name, ""), -1)
            if row_a >= 0 and row_b >= 0 and pairing.both_free(row_a, row_b):
                why = f"slot {name} of a variable that has a partner"
                pairing.add(row_a, row_b, Reason.SLOT_OWNER, confidence, why)
                count += 1
    return count


def _meanings(names: Mapping[str, int]) -> dict[str, str]:
    """What the slots of one owner are for, as far as their names together tell."""
    meanings = {name: "average" for name in names if name in _AVERAGES}
    for synonyms in _SYNONYMS:
        if synonyms.keys() <= names.keys():
            return meanings | synonyms
    for name in names:
        if f"{name}_1" in names and "dam" in name:  # Adam, Adam_1; LazyAdam, LazyAdam_1
            return meanings | {name: "first moment", f"{name}_1": "second moment"}
    return meanings
