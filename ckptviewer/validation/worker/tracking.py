"""TensorFlow's graph of objects: what hangs on a model, and by which names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .libraries import tensorflow


def children(thing: Any) -> dict[str, Any]:
    """What hangs on one object, by the names of the edges."""
    view = getattr(tensorflow().train, "TrackableView", None)
    if view is not None:
        return dict(view.children(thing))
    if hasattr(thing, "_trackable_children"):
        return dict(thing._trackable_children())
    # Before TensorFlow 2.9.
    return {each.name: each.ref for each in getattr(thing, "_checkpoint_dependencies", [])}


def objects(root: Any) -> list[Any]:
    """All objects that are reached from `root`, nearest first, each once."""
    return list(_walk(root))


def _walk(root: Any) -> Iterator[Any]:
    seen = {id(root)}
    queue = [root]
    for thing in queue:
        yield thing
        for child in children(thing).values():
            if id(child) not in seen:
                seen.add(id(child))
                queue.append(child)
