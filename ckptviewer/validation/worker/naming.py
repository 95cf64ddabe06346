"""Which value belongs to which variable, where only names, shapes and dtypes can tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .file_values import FileValues
from .model import Variable


class Pair(NamedTuple):
    """A key and a variable that belong together. rule: one clause for people."""

    key: str
    variable: Variable
    rule: str


def pairs_asked_for(
    names: Sequence[dict[str, str]], variables: Sequence[Variable], values: FileValues
) -> tuple[list[Pair], list[dict[str, str]]]:
    """A name map of the request, and what of it cannot be (as the protocol's Mismatched)."""
    by_name = {each.name: each for each in variables}
    pairs: list[Pair] = []
    wrong: list[dict[str, str]] = []
    for pair in names:
        key, name = pair["key"], pair["name"]
        if name not in by_name:
            reason = "the model has no variable of this name"
        elif key not in values.keys:
            reason = "the checkpoint has no such key"
        else:
            pairs.append(Pair(key, by_name[name], "the name map"))
            continue
        wrong.append({"key": key, "name": name, "reason": reason})
    return pairs, wrong


def pairs_by_name(
    variables: Sequence[Variable], values: FileValues, known: Sequence[Pair] = ()
) -> list[Pair]:
    """Pairs found by equal names, then by the ends of names, then by a shape that is there once.

    known: pairs that are settled already; they come first.
    """
    keys = [key for key in values.keys if values.is_model_like(key)]
    pairs: list[Pair] = []
    free = list(variables)
    taken: set[str] = set()

    def take(found: list[Pair]) -> None:
        nonlocal free
        pairs.extend(found)
        taken.update(pair.key for pair in found)
        mine = {id(pair.variable) for pair in found}
        free = [each for each in free if id(each) not in mine]

    take(list(known))
    take(_equal(free, {key: key for key in keys if key not in taken}, "the same name"))
    names = {key: values.names[key] for key in keys if key not in taken}
    take(_equal(free, names, "the name that the checkpoint has for it"))
    take(_by_ends(free, [key for key in keys if key not in taken], values))
    take(_by_shape(free, [key for key in keys if key not in taken], values))
    return pairs


def parts_of(name: str) -> tuple[str, ...]:
    """The parts of a name, without what only says how it is stored."""
    name = name.split("/.ATTRIBUTES/")[0]
    name = name[:-2] if name.endswith(":0") else name
    return tuple(part.lstrip("_") for part in name.split("/") if part)


def _equal(variables: Sequence[Variable], names: dict[str, str], rule: str) -> list[Pair]:
    by_parts: dict[tuple[str, ...], list[str]] = {}
    for key, name in names.items():
        by_parts.setdefault(parts_of(name), []).append(key)
    found = []
    for variable in variables:
        keys = by_parts.get(parts_of(variable.stored_name), [])
        if len(keys) == 1:
            found.append(Pair(keys[0], variable, rule))
    return _once(found)


def _by_ends(variables: Sequence[Variable], keys: list[str], values: FileValues) -> list[Pair]:
    """The one key of this shape whose name ends as the variable's does, at the greatest length."""
    by_shape: dict[Any, list[str]] = {}
    for key in keys:
        by_shape.setdefault(values.keys[key].shape, []).append(key)
    found = []
    for variable in variables:
        mine = parts_of(variable.stored_name)
        scored = []
        for key in by_shape.get(variable.stored_shape, []):
            names = {parts_of(key), parts_of(values.names[key])}
            scored.append((max(_common_end(mine, other) for other in names), key))
        best = max((score for score, _ in scored), default=0)
        best_keys = [key for score, key in scored if score == best]
        if best and len(best_keys) == 1:
            found.append(Pair(best_keys[0], variable, "the end of its name, and its shape"))
    return _once(found)


def _by_shape(variables: Sequence[Variable], keys: list[str], values: FileValues) -> list[Pair]:
    # A slot has the shape of its variable, and would be taken for it where that is missing.
    keys = [key for key in keys if not any("optimizer" in part for part in parts_of(key))]
    found = []
    for variable in variables:
        same = [key for key in keys if values.keys[key].shape == variable.stored_shape]
        mine = [each for each in variables if each.stored_shape == variable.stored_shape]
        if len(same) == len(mine) == 1:
            found.append(Pair(same[0], variable, "the only one of its shape"))
    return found


def _common_end(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    count = 0
    for a, b in zip(reversed(one), reversed(other)):
        if a != b:
            break
        count += 1
    return count


def _once(found: list[Pair]) -> list[Pair]:
    """Without keys that several variables claim, unless as parts of one."""
    claims: dict[str, int] = {}
    for pair in found:
        claims[pair.key] = claims.get(pair.key, 0) + 1
    return [pair for pair in found if claims[pair.key] == 1 or pair.variable.region is not None]
