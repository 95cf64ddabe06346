"""Lays a model's objects over the object graph of a checkpoint, as tf.train.Checkpoint will.

It tells beforehand what TensorFlow binds, and finds where in the checkpoint the model hangs:
`Checkpoint(model=m)` and `Checkpoint(m)` differ by an edge, which restores nothing if it is wrong.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from . import tracking
from .file_values import FileValues
from .libraries import tensorflow

_DEEPEST_ROOT = 2
_MOST_ROOTS = 200


_Known = dict[int, tuple[Any, dict[str, Any]]]
"""Objects by their ids, held lest another gets the id, with what hangs on them."""


class Overlay(NamedTuple):
    """path: edges from the checkpoint's root to where the model hangs. pairs: id of a variable's
    object -> key."""

    path: tuple[str, ...]
    pairs: dict[int, str]


def best_overlay(root: Any, values: FileValues, wanted: dict[int, tuple[int, ...]]) -> Overlay:
    """Where the model fits best: most of the variables `wanted` (id -> shape), nearest the root."""
    best, best_score = Overlay((), {}), -1
    known: _Known = {}
    for path, node in _roots(values.graph):
        pairs = _pairs(root, values.graph, node, known)
        found = {each: key for each, key in pairs.items() if each in wanted and key in values.keys}
        fitting = sum(values.keys[key].shape == wanted[each] for each, key in found.items())
        score = 2 * fitting + len(found)
        if score > best_score:
            best, best_score = Overlay(path, found), score
    return best


def _roots(graph: Any) -> list[tuple[tuple[str, ...], int]]:
    found: list[tuple[tuple[str, ...], int]] = [((), 0)]
    for path, node in found:
        if len(path) == _DEEPEST_ROOT or len(found) > _MOST_ROOTS:
            break
        for child in graph.nodes[node].children:
            if 0 < child.node_id < len(graph.nodes):
                found.append(((*path, child.local_name), child.node_id))
    return found


def _children(thing: Any, known: _Known) -> dict[str, Any]:
    if id(thing) not in known:
        known[id(thing)] = (thing, tracking.children(thing))
    return known[id(thing)][1]


def _pairs(root: Any, graph: Any, start: int, known: _Known) -> dict[int, str]:
    pairs: dict[int, str] = {}
    seen = {id(root)}
    queue = [(root, start)]
    for thing, number in queue:
        node = graph.nodes[number]
        for attribute in node.attributes:
            if attribute.name == "VARIABLE_VALUE":
                pairs.setdefault(id(thing), attribute.checkpoint_key)
        if not node.children:
            continue
        there = _children(thing, known)
        for child in node.children:
            other = there.get(child.local_name)
            if other is not None and id(other) not in seen and child.node_id < len(graph.nodes):
                seen.add(id(other))
                queue.append((other, child.node_id))
    return pairs


def checkpoint_for(root: Any, path: tuple[str, ...]) -> Any:
    """A tf.train.Checkpoint in which the model hangs where the file has it."""
    checkpoint = tensorflow().train.Checkpoint
    if not path:
        return checkpoint(root)
    for name in reversed(path):
        root = checkpoint(**{name: root})
    return root
