"""Tensors that one file stores under several keys: which of them stand for others.

TensorFlow's SavedModels of Keras models hold a variable under `variables/3`, `_all_variables/17`
and its own path. Where such a repeat has no partner of its own, it is an alias of the one that has.
Equal content alone is not enough: a target network starts as a copy, and is no alias.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from ckptviewer.analysis.known_renames import list_rank, without_list
from ckptviewer.analysis.matching_checksums import Content, content_of
from ckptviewer.analysis.pairing import Pairing
from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.variable import Variable

_ALL = 2


def find_aliases(pairing: Pairing, *, by_content: bool = False) -> None:
    """Take what only repeats another variable out of what still wants a partner.

    A repeat is an entry of a list of variables, on a side where a variable with a partner, or one
    whose key tells more, has the same checksum, dtype and shape. It stands for the one of its own
    name or object path; where there is none, with `by_content` for any that has a partner, as
    nothing else is left to be done with it.
    """
    _find(pairing.a, pairing.of_a, pairing.partner_a, pairing.free_a(), pairing.alias_a, by_content)
    _find(pairing.b, pairing.of_b, pairing.partner_b, pairing.free_b(), pairing.alias_b, by_content)


def _find(
    checkpoint: Checkpoint,
    variables: Sequence[Variable],
    partners: Sequence[int],
    free: Sequence[int],
    aliases: dict[int, int],
    by_content: bool,
) -> None:
    listed: dict[int, Content] = {}
    for row in free:
        if list_rank(variables[row].key):
            content = content_of(checkpoint, variables[row])
            if content is not None:
                listed[row] = content
    if not listed:
        return
    originals = _originals(checkpoint, variables, partners, aliases, set(listed.values()))
    for row, content in listed.items():
        variable = variables[row]
        labels: list[object] = [without_list(variable.name)]
        labels += [("path", variable.object_path)] if variable.object_path else []
        labels += [None] if by_content else []
        for label in labels:
            own = originals.get((content, label))
            if own is not None and own != row and _says_more(own, row, variables, partners):
                aliases[row] = own
                break
    _find_repeated_lists(variables, listed, aliases)


def _find_repeated_lists(
    variables: Sequence[Variable], listed: Mapping[int, Content], aliases: dict[int, int]
) -> None:
    """What no name tells: a content that the list of all holds as often as the other lists do."""
    taken = set(aliases.values())
    in_all: dict[Content, list[int]] = {}
    in_others: dict[Content, list[int]] = {}
    for row, content in listed.items():
        if row not in aliases and row not in taken:
            lists = in_all if list_rank(variables[row].key) == _ALL else in_others
            lists.setdefault(content, []).append(row)
    for content, rows in in_all.items():
        others = in_others.get(content, [])
        if len(rows) == len(others):
            aliases.update(zip(rows, others, strict=True))


def _originals(
    checkpoint: Checkpoint,
    variables: Sequence[Variable],
    partners: Sequence[int],
    aliases: Mapping[int, int],
    wanted: Container[Content],
) -> dict[tuple[Content, object], int]:
    """By content, and name or object path, the row that has a partner, or whose key tells most.

    Under None in the place of a name: any row of that content that has a partner.
    """
    found: dict[tuple[Content, object], int] = {}
    ranked: dict[tuple[Content, object], int] = {}
    for row, variable in enumerate(variables):
        content = content_of(checkpoint, variable)
        if content is None or content not in wanted or row in aliases:
            continue
        rank = -1 if partners[row] >= 0 else list_rank(variable.key)
        labels: list[object] = [without_list(variable.name)]
        labels += [("path", variable.object_path)] if variable.object_path else []
        labels += [None] if rank < 0 else []
        for label in labels:
            if rank < ranked.get((content, label), _ALL):
                found[content, label], ranked[content, label] = row, rank
    return found


def _says_more(row: int, than: int, variables: Sequence[Variable], partners: Sequence[int]) -> bool:
    return partners[row] >= 0 or list_rank(variables[row].key) < list_rank(variables[than].key)
