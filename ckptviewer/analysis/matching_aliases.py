"""Tensors that one file stores under several keys: which of them stand for others.

TensorFlow's SavedModels of Keras models hold a variable under `variables/3`, `_all_variables/17`
and its own path. Where such a repeat has no partner of its own, it is an alias of the one that has.
Equal content alone is not enough: a target network starts as a copy, and is no alias.
"""

from __future__ import annotations

from collections.abc import Sequence

from ckptviewer.analysis.known_renames import list_rank, without_list
from ckptviewer.analysis.matching_checksums import Content, content_of
from ckptviewer.analysis.pairing import Pairing
from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.variable import Variable


def find_aliases(pairing: Pairing, *, by_content: bool = False) -> None:
    """Take what only repeats a variable with a partner out of what still wants one.

    A repeat is an entry of a list of variables, on a side where the same checksum, dtype and shape
    have a partner. It stands for the one of its own name or object path; where there is none, with
    `by_content` for any of the same content, as nothing else is left to be done with it.
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
    wanted = set(listed.values())
    matched: dict[Content, list[int]] = {}
    for row, partner in enumerate(partners):
        if partner >= 0:
            content = content_of(checkpoint, variables[row])
            if content in wanted:
                matched.setdefault(content, []).append(row)
    for row, content in listed.items():
        rows = matched.get(content)
        if rows:
            own = _same_name(variables[row], variables, rows)
            if own is not None:
                aliases[row] = own
            elif by_content:
                aliases[row] = rows[0]


def _same_name(variable: Variable, variables: Sequence[Variable], rows: list[int]) -> int | None:
    name = without_list(variable.name)
    for row in rows:
        other = variables[row]
        if without_list(other.name) == name:
            return row
        if variable.object_path and variable.object_path == other.object_path:
            return row
    return None
