"""What an object graph tells of a checkpoint's entries, a description each."""

from __future__ import annotations

from collections.abc import Sequence

from ckptviewer.checkpoint.roles import Description, Entry, descriptions
from ckptviewer.formats.object_graph import columns_of_object_graph


def describe_object_graph(serialized: bytes, entries: Sequence[Entry]) -> list[Description]:
    """In the order of the entries. Raises as `columns_of_object_graph` does."""
    keys, dtypes, shapes = zip(*entries, strict=True) if entries else ((), (), ())
    return descriptions(*columns_of_object_graph(serialized, keys, dtypes, shapes))
