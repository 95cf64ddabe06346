"""ExportPlan: what an export will keep and drop and why, to be reviewed before it runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.dtypes import BY_NAME
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.variable import Variable

_INDEX_BYTES_A_VARIABLE = 256


class Kept(NamedTuple):
    """A variable that is written. A named tuple, as Variable is: there may be very many.

    key, key_written: its key in the source, and in what is written.
    written_bytes: what its content will take, as far as that is known before it is read.
    reason: why it is kept, one clause; empty where nobody asked.
    dtype: in which it is written; empty: as it is.
    taken_from: key of the variable whose values are written; empty: its own.
    """

    key: str
    key_written: str
    written_bytes: int
    reason: str = ""
    dtype: str = ""
    taken_from: str = ""


class Dropped(NamedTuple):
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
        variables that are dropped; None where it is kept as it is, or there is none, or it is
        made when the plan is carried out (`slims_graph`).
    slims_graph: whether the object graph is written without what is dropped.
    silent: keys of dropped variables that a model has, and is not asked to restore.
    aside: keys of kept variables for whose sake alone no optimizer stays in the object graph.
    adds_save_counter: whether a save_counter is written that the source has not.
    shard_bytes: as for writers.
    findings: what to know before it is carried out.
    """

    source: str
    format: str
    kept: tuple[Kept, ...]
    dropped: tuple[Dropped, ...]
    bytes_before: int
    object_graph: bytes | None = None
    slims_graph: bool = False
    silent: frozenset[str] = frozenset()
    aside: frozenset[str] = frozenset()
    adds_save_counter: bool = False
    shard_bytes: int | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def written_bytes(self) -> int:
        """What the content of all that is kept will take."""
        return sum([each.written_bytes for each in self.kept])

    @property
    def expected_bytes(self) -> int:
        """What the files will take, index or headers included, and a little more."""
        return self.written_bytes + _INDEX_BYTES_A_VARIABLE * (len(self.kept) + 1)

    @property
    def casts(self) -> list[Kept]:
        """What is written in another dtype."""
        return [each for each in self.kept if each.dtype]

    @property
    def warnings(self) -> list[Finding]:
        """The findings to be shown before this is carried out."""
        return [each for each in self.findings if each.severity is not Severity.INFO]

    @property
    def needs_confirmation(self) -> bool:
        """Whether it rests on a guess that somebody should agree to."""
        return any(each.code == "trainability-unknown" for each in self.findings)


def written_bytes(variable: Variable) -> int:
    """What the content of a variable takes in a bundle; of strings, what it takes in its file."""
    return bytes_in(variable, variable.dtype)


def bytes_in(variable: Variable, dtype: str) -> int:
    """What the content of a variable takes in a bundle if it has this dtype."""
    known = BY_NAME.get(dtype)
    if known is None or not known.item_bytes:
        return variable.stored_bytes
    return variable.element_count * known.item_bytes


def files_of_source(checkpoint: Checkpoint) -> list[str]:
    """The files that hold a checkpoint; of a computed one, those of what it is computed from."""
    from ckptviewer.checkpoint.computed import ComputedCheckpoint
    from ckptviewer.formats.bundle_checkpoint import BundleCheckpoint
    from ckptviewer.storage.cache import files_of

    while isinstance(checkpoint, ComputedCheckpoint):
        checkpoint = checkpoint.source
    several = getattr(checkpoint, "sources", ())  # what is computed of several, such as an average
    if several:
        return [path for each in several for path in files_of_source(each)]
    if isinstance(checkpoint, BundleCheckpoint):
        return [path for path in checkpoint.files() if os.path.isfile(path)]
    if os.path.isfile(checkpoint.path) and not checkpoint.path.endswith(".json"):
        return [checkpoint.path]  # what lies beside it under a longer name is another thing
    return list(map(os.fspath, files_of(checkpoint.path)))


def bytes_of(paths: Sequence[str]) -> int:
    """The size of files, all together; what is gone counts nothing."""
    return sum(os.path.getsize(path) for path in paths if os.path.isfile(path))
