"""ExportPlan: what an export will keep and drop and why, to be reviewed before it runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.dtypes import BY_NAME
from ckptviewer.checkpoint.variable import Variable


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A variable that is written.

    key, key_written: its key in the source, and in what is written.
    written_bytes: what its content will take, as far as that is known before it is read.
    """

    key: str
    key_written: str
    written_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A variable that is left out, and why: one clause."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPlan:
    """What an export will do.

    source: path of the checkpoint. format: name of the format that is written.
    kept, dropped: its variables, in their order.
    bytes_before: size of the source's files.
    object_graph: what is written in the place of the source's object graph, where that names
        variables that are dropped; None where it is kept as it is, or there is none.
    """

    source: str
    format: str
    kept: tuple[Kept, ...]
    dropped: tuple[Dropped, ...]
    bytes_before: int
    object_graph: bytes | None = None

    @property
    def written_bytes(self) -> int:
        """What the content of all that is kept will take."""
        return sum(each.written_bytes for each in self.kept)


def written_bytes(variable: Variable) -> int:
    """What the content of a variable takes in a bundle; of strings, what it takes in its file."""
    known = BY_NAME.get(variable.dtype)
    if known is None or not known.item_bytes:
        return variable.stored_bytes
    return variable.element_count * known.item_bytes


def files_of_source(checkpoint: Checkpoint) -> list[str]:
    """The files that hold a checkpoint."""
    from ckptviewer.formats.tf_bundle import BundleCheckpoint
    from ckptviewer.storage.cache import files_of

    if isinstance(checkpoint, BundleCheckpoint):
        return [path for path in checkpoint.files() if os.path.isfile(path)]
    if os.path.isfile(checkpoint.path) and not checkpoint.path.endswith(".json"):
        return [checkpoint.path]  # what lies beside it under a longer name is another thing
    return list(map(os.fspath, files_of(checkpoint.path)))


def bytes_of(paths: Sequence[str]) -> int:
    """The size of files, all together; what is gone counts nothing."""
    return sum(os.path.getsize(path) for path in paths if os.path.isfile(path))
