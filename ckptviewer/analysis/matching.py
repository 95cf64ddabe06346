"""Matching: which variable of one checkpoint is which of another, why, and how surely."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

from ckptviewer.analysis.known_renames import list_rank, pair_by_scopes, pair_known_renames
from ckptviewer.analysis.matching_aliases import find_aliases
from ckptviewer.analysis.matching_checksums import pair_by_checksum
from ckptviewer.analysis.matching_shapes import pair_by_shape
from ckptviewer.analysis.matching_slots import pair_by_optimizer_list, pair_by_slot_owner
from ckptviewer.analysis.pairing import Match as Match
from ckptviewer.analysis.pairing import Pairing
from ckptviewer.analysis.pairing import Reason as Reason
from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.collector import collection_paused
from ckptviewer.checkpoint.renaming import RenameRule, rename
from ckptviewer.checkpoint.variable import Role, Variable


def match_variables(
    a: Checkpoint,
    b: Checkpoint,
    *,
    rules: Sequence[RenameRule] = (),
    by_hand: Mapping[str, str | None] | None = None,
    include_metadata: bool = False,
    model_only: bool = False,
) -> tuple[Match, ...]:
    """Each variable of A and of B in exactly one Match, or among the aliases of one.

    From the indexes alone, but for a peek at a few elements of what only its checksum or shape
    matches. In natural order: what is in A by its key there, the rest by its key in B; the same
    for the same two checkpoints.

    rules: rename A's keys (or names) into B's; where several keys would become one, none is
    matched by rule. by_hand: A's key to B's, or to None for a variable that shall have no
    partner; keys that are not there are passed over. include_metadata: the object graph, too.
    model_only: nothing but variables whose role is one of the model's.

    In this order: by hand, rules, keys, names, checksums, owners of slots, known renames, shape
    and order. A key that counts entries of a list (`variables/3`) says less than a name. What one
    side repeats (a SavedModel has tensors under several keys) comes as an alias of what has the
    partner.
    """
    with collection_paused():
        pairing = Pairing(
            a,
            b,
            _taking_part(a.variables, include_metadata, model_only),
            _taking_part(b.variables, include_metadata, model_only),
        )
        _pair_by_hand(pairing, by_hand or {})
        _pair_by_rules(pairing, rules)
        held_back = _pair_by_key(pairing)
        _pair_by_name(pairing)
        if pairing.is_done():
            return pairing.matches()
        find_aliases(pairing)
        pair_by_checksum(pairing)
        pair_by_slot_owner(pairing)
        pair_known_renames(pairing)
        pair_by_slot_owner(pairing)
        pair_by_optimizer_list(pairing)
        for row_a, row_b in held_back:
            if pairing.both_free(row_a, row_b) and pairing.same_shape(row_a, row_b):
                why = "the same key, which counts entries of a list"
                pairing.add(row_a, row_b, Reason.KEY, 0.6, why)
        if pair_by_shape(pairing):
            pair_by_scopes(pairing, confidence=0.5)
            pair_by_slot_owner(pairing)
        find_aliases(pairing, by_content=True)
        return pairing.matches()


def _taking_part(
    variables: Sequence[Variable], include_metadata: bool, model_only: bool
) -> list[Variable]:
    if model_only:
        return [variable for variable in variables if variable.in_model]
    if include_metadata:
        return list(variables)
    return [variable for variable in variables if variable.role is not Role.METADATA]


def _rows(variables: Sequence[Variable]) -> dict[str, int]:
    return {variable.key: row for row, variable in enumerate(variables)}


def _pair_by_hand(pairing: Pairing, by_hand: Mapping[str, str | None]) -> None:
    if not by_hand:
        return
    rows_a, rows_b = _rows(pairing.of_a), _rows(pairing.of_b)
    latest = {key_b: key_a for key_a, key_b in by_hand.items() if key_b is not None}
    for key_a, key_b in by_hand.items():
        row_a = rows_a.get(key_a)
        if row_a is None:
            continue
        if key_b is None:
            pairing.notes_a[row_a] = "set apart by hand"
        elif key_b in rows_b and latest[key_b] == key_a:
            pairing.add(row_a, rows_b[key_b], Reason.HAND, 1.0, "matched by hand")


def _pair_by_rules(pairing: Pairing, rules: Sequence[RenameRule]) -> None:
    """By key first, then by name; of several that a rule makes one, none."""
    if not rules:
        return
    for text in (attrgetter("key"), attrgetter("name")):
        free_a, free_b = pairing.free_a(), pairing.free_b()
        targets = _singles((text(pairing.of_b[row]), row) for row in free_b)
        renamed = (
            (new, row)
            for row in free_a
            if (new := rename(old := text(pairing.of_a[row]), rules)) != old
        )
        for new, row_a in _singles(renamed).items():
            row_b = targets.get(new, -1)
            if row_a >= 0 and row_b >= 0:
                why = f"a rule makes it {new}"
                pairing.add(row_a, row_b, Reason.RULE, 1.0, why)


def _singles(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Row by text; -1 for a text that several rows have."""
    found: dict[str, int] = {}
    for text, row in pairs:
        found[text] = -1 if text in found else row
    return found


def _pair_by_key(pairing: Pairing) -> list[tuple[int, int]]:
    """Pair equal keys, unless the names say otherwise.

    Returns pairs that were held back, as their key only counts entries of a list and their names
    differ. Where names put variables elsewhere than keys do, that is decided for all of them at
    once: by names, if so more shapes agree.
    """
    if not pairing.grounds and not pairing.notes_a and _same_throughout(pairing):
        pairing.add_all(enumerate(range(len(pairing.of_a))), Reason.KEY, 1.0, "the same key")
        return []
    rows_b = _rows(pairing.of_b)
    sure: list[tuple[int, int]] = []
    doubtful: list[tuple[int, int]] = []
    held_back: list[tuple[int, int]] = []
    of_a, of_b = pairing.of_a, pairing.of_b
    for row_a in pairing.free_a():
        variable = of_a[row_a]
        row_b = rows_b.get(variable.key, -1)
        if row_b < 0 or pairing.partner_b[row_b] >= 0:
            continue
        if variable.name == of_b[row_b].name:
            sure.append((row_a, row_b))
        elif list_rank(variable.key):
            held_back.append((row_a, row_b))
        else:
            doubtful.append((row_a, row_b))
    pairing.add_all(sure, Reason.KEY, 1.0, "the same key")
    pairing.add_all(_decided(pairing, doubtful), Reason.KEY, 1.0, "the same key")
    return held_back


def _same_throughout(pairing: Pairing) -> bool:
    """Whether both sides have the same keys and names in the same order, as is most common."""
    for text in (attrgetter("key"), attrgetter("name")):
        if list(map(text, pairing.of_a)) != list(map(text, pairing.of_b)):
            return False
    return True


def _decided(pairing: Pairing, doubtful: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of pairs with one key and two names those that the names do not put elsewhere."""
    if not doubtful:
        return doubtful
    by_name = _singles((variable.name, row) for row, variable in enumerate(pairing.of_b))
    agree_by_key = agree_by_name = 0
    elsewhere: set[int] = set()
    for row_a, row_b in doubtful:
        other = by_name.get(pairing.of_a[row_a].name, -1)
        if other >= 0 and pairing.may_pair(row_a, other):
            elsewhere.add(row_a)
            agree_by_key += pairing.same_shape(row_a, row_b)
            agree_by_name += pairing.same_shape(row_a, other)
    if agree_by_name <= agree_by_key:
        return doubtful
    return [pair for pair in doubtful if pair[0] not in elsewhere]


def _pair_by_name(pairing: Pairing) -> None:
    """Pair equal names, where they are unique among what has no partner."""
    free_a, free_b = pairing.free_a(), pairing.free_b()
    if free_a and free_b:
        pairing.pair_unique(
            {row: pairing.of_a[row].name for row in free_a},
            {row: pairing.of_b[row].name for row in free_b},
            Reason.NAME,
            0.98,
            "the same name under another key",
            same_shape=False,
        )
