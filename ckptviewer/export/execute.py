"""Carrying out an ExportPlan: written aside, flushed, verified, and only then put in place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import TargetExistsError, UnwritableFileError
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY
from ckptviewer.export.plan import ExportPlan, bytes_of, files_of_source
from ckptviewer.export.receipt import Receipt
from ckptviewer.export.values import values_in_order
from ckptviewer.export.verify import verify
from ckptviewer.formats.bundle_writer import Tensor, data_files, write_bundle
from ckptviewer.formats.resolve import local_path
from ckptviewer.storage.atomic import Staging, remove_files

if TYPE_CHECKING:
    import numpy as np

Report = Callable[[Progress], None]

_INDEX_BYTES_A_VARIABLE = 256


def bundle_prefix(destination: str | os.PathLike[str]) -> str:
    """The absolute prefix that is meant by `destination`; `model.index` means `model`.

    Raises PathNotFoundError for what is no path of this machine.
    """
    path = local_path(os.fspath(destination))
    prefix = path[: -len(".index")] if path.endswith(".index") else path
    # The last separator says that a directory is meant.
    return os.path.join(os.path.abspath(os.path.dirname(prefix)), os.path.basename(prefix))


def check_destination(source: Checkpoint, prefix: str, *, overwrite: bool) -> None:
    """Raise what speaks against writing a bundle there, before any work is done.

    Raises UnwritableFileError (no name, no directory, or the source's own files) and
    TargetExistsError.
    """
    directory, base = os.path.split(prefix)
    if not base or os.path.isdir(prefix):
        raise UnwritableFileError(
            "it is a directory, and a checkpoint's name is needed",
            where=prefix,
            remedy=f"Say for example {os.path.join(prefix, 'model')}.",
        )
    if not os.path.isdir(directory or "."):
        raise UnwritableFileError(
            "there is no such directory", where=directory, remedy="Make it first."
        )
    there = _files_there(prefix)
    for own in files_of_source(source):
        if any(_is_same_file(own, path) for path in there):
            raise UnwritableFileError(
                "this is the checkpoint that is read, and it is never written",
                where=prefix,
                remedy="Choose another name.",
            )
    if there and not overwrite:
        raise TargetExistsError(
            "there is a checkpoint of this name already",
            where=prefix,
            remedy="Choose another name, or say --overwrite.",
        )


def execute(
    plan: ExportPlan,
    source: Checkpoint,
    destination: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    shard_bytes: int | None = None,
    cancel: CancelToken | None = None,
    report: Report | None = None,
) -> Receipt:
    """Write what the plan keeps of `source` to the bundle `destination`; returns the proof.

    Until all is written, flushed and found equal to its source, nothing bears its final name. An
    old checkpoint there opens until the new one's index replaces its own.

    shard_bytes: begin another data file rather than exceed this.
    Raises as `check_destination`, UnwritableFileError, Cancelled, and what reading raises: then
    what was there before is there still.
    """
    prefix = bundle_prefix(destination)
    check_destination(source, prefix, overwrite=overwrite)
    progress = _Steps(plan.written_bytes, cancel, report)
    with Staging(prefix) as staging:
        needed = plan.written_bytes + _INDEX_BYTES_A_VARIABLE * (len(plan.kept) + 1)
        staging.require_space(needed)
        staged = write_bundle(
            os.path.join(staging.path, os.path.basename(prefix)),
            _tensors(plan, source, progress),
            shard_bytes=shard_bytes,
            taken_counts=set(data_files(prefix).values()),
        )
        _verify(plan, source, staged[-1], progress)
        bytes_after = bytes_of(staged)
        final = staging.publish(staged, replace_last=overwrite)
        remove_files([path for path in data_files(prefix) if path not in final])
    return Receipt(
        source=plan.source,
        destination=prefix,
        format=plan.format,
        kept=plan.kept,
        dropped=plan.dropped,
        bytes_before=plan.bytes_before,
        bytes_after=bytes_after,
        verified=True,
    )


class _Steps:
    """Tells of progress, and stops the work where it is cancelled."""

    def __init__(self, total: int, cancel: CancelToken | None, report: Report | None) -> None:
        self._total = 2 * total
        self._done = 0
        self._cancel = cancel
        self._report = report
        self.verb = "Writing"

    def __call__(self, count: int, key: str) -> None:
        if self._cancel is not None:
            self._cancel.raise_if_cancelled()
        self._done += count
        if self._report is not None:
            label = f"{self.verb} {key}"
            self._report(Progress(done=self._done, total=self._total, label=label))


def _tensors(plan: ExportPlan, source: Checkpoint, step: _Steps) -> Iterator[Tensor]:
    """What the plan keeps, as the writer takes it."""
    from numpy import array

    for kept in plan.kept:
        variable = source[kept.key]
        step(0, kept.key)
        checksum = None
        stored = None if _is_pruned(plan, kept.key) else source.stored_chunks(variable)
        chunks: Iterator[memoryview] | Iterator[np.ndarray]
        if _is_pruned(plan, kept.key):
            chunks = iter([array([plan.object_graph], object)])
        elif stored is not None:
            checksum = source.checksum(variable)
            chunks = _counted(stored, kept.key, step)
        else:
            chunks = _counted_values(values_in_order(source, variable), kept.key, step)
        yield Tensor(
            key=kept.key_written,
            dtype=variable.dtype,
            shape=variable.shape,
            chunks=chunks,
            checksum=checksum,
        )


def _is_pruned(plan: ExportPlan, key: str) -> bool:
    return key == OBJECT_GRAPH_KEY and plan.object_graph is not None


def _counted(pieces: Iterator[memoryview], key: str, step: _Steps) -> Iterator[memoryview]:
    for piece in pieces:
        yield piece
        step(len(piece), key)


def _counted_values(pieces: Iterator[np.ndarray], key: str, step: _Steps) -> Iterator[np.ndarray]:
    for piece in pieces:
        yield piece
        step(piece.nbytes, key)


def _verify(plan: ExportPlan, source: Checkpoint, index: str, step: _Steps) -> None:
    from ckptviewer.formats.tf_bundle import TensorBundleFormat

    step.verb = "Verifying"
    with TensorBundleFormat().open(Path(index)) as written:
        verify(source, written, plan, step)


def _files_there(prefix: str) -> list[str]:
    """The files of a bundle of this name, an index that is a broken link included."""
    index = prefix + ".index"
    return [*([index] if os.path.lexists(index) else []), *data_files(prefix)]


def _is_same_file(one: str | os.PathLike[str], other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
