"""Keys of an object-based checkpoint whose object graph is gone, followed through a model.

An .npz, a safetensors file or a name-based bundle that was made from one keeps keys such as
`model/optimizer/_trainable_variables/3/.ATTRIBUTES/VARIABLE_VALUE`. They are paths of objects, and
the model has the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from . import tracking
from .file_values import Stored

_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_LONGEST_PREFIX = 2
_MOST_PREFIXES = 200
_LISTED = ("optimizer", "_trainable_variables")

Edges = tuple[str, ...]
Shape = tuple[int, ...]
Pairs = dict[int, str]


def pairs_by_path(root: Any, stored: Mapping[str, Stored], wanted: Mapping[int, Shape]) -> Pairs:
    """Which key belongs to which variable: id of a variable's object -> key.

    wanted: id -> shape. Only what has the shape is paired; the place in the keys where the model
    hangs is the one that pairs most.
    """
    keys = {key: _path(key) for key in stored if not key.startswith("_CHECKPOINTABLE")}
    known: dict[int, tuple[Any, dict[str, Any]]] = {}
    best: Pairs = {}
    for prefix in _prefixes(keys.values()):
        pairs: Pairs = {}
        for key, path in keys.items():
            if path[: len(prefix)] != prefix:
                continue
            thing = _follow(root, path[len(prefix) :], known)
            if wanted.get(id(thing)) == stored[key].shape:
                pairs.setdefault(id(thing), key)
        if len(pairs) > len(best):
            best = pairs
    return best


def pairs_by_list(stored: Mapping[str, Stored], trainable: Sequence[tuple[int, Shape]]) -> Pairs:
    """As `pairs_by_path`, of a Keras 3 optimizer's list of the variables that it trains.

    The model need not have that optimizer: they are its trainable ones (id, shape), in their
    order. Nothing where the list does not fit from end to end.
    """
    keys: dict[int, str] = {}
    for key in stored:
        path = _path(key)
        if path[-3:-1] == _LISTED and path[-1].isdecimal() and len(path) <= 3 + _LONGEST_PREFIX:
            keys[int(path[-1])] = key
    if sorted(keys) != list(range(len(trainable))):
        return {}
    if any(stored[keys[at]].shape != shape for at, (_, shape) in enumerate(trainable)):
        return {}
    return {number: keys[at] for at, (number, _) in enumerate(trainable)}


def _path(key: str) -> Edges:
    """The edges that a key names; TensorFlow writes a dot as two, and a slash as `.S`."""
    parts = key[: -len(_SUFFIX)] if key.endswith(_SUFFIX) else key
    return tuple(
        each.replace("..", "\0").replace(".S", "/").replace("\0", ".") for each in parts.split("/")
    )


def _prefixes(paths: Iterable[Edges]) -> list[Edges]:
    found: dict[Edges, None] = {(): None}
    for path in paths:
        for length in range(1, min(_LONGEST_PREFIX, len(path) - 1) + 1):
            if len(found) < _MOST_PREFIXES:
                found[path[:length]] = None
    return list(found)


def _follow(thing: Any, path: Edges, known: dict[int, tuple[Any, dict[str, Any]]]) -> Any:
    """What the path leads to; None where it leads nowhere."""
    for name in path:
        if id(thing) not in known:
            known[id(thing)] = (thing, tracking.children(thing))
        thing = known[id(thing)][1].get(name)
        if thing is None:
            return None
    return thing
