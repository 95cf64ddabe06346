"""Carrying out an ExportPlan: written aside, flushed, verified, and only then put in place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint
from ckptviewer.checkpoint.errors import TargetExistsError, UnwritableFileError
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.checkpoint.text import printable
from ckptviewer.export.content import Content, Part
from ckptviewer.export.plan import ExportPlan, bytes_of, files_of_source
from ckptviewer.export.receipt import Receipt
from ckptviewer.export.state_file import note_in_state_file
from ckptviewer.export.values import values_in_order
from ckptviewer.export.verify import Proof, verify
from ckptviewer.export.writers import Writer, open_written, with_suffix, writer_of
from ckptviewer.formats.bundle_writer import Tensor
from ckptviewer.formats.resolve import local_path
from ckptviewer.storage.atomic import Flushing, Staging, remove_files

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import numpy as np

Report = Callable[[Progress], None]

_COPIED_BYTES = CHUNK_BYTES // 4
"""What is read, summed and written in one go: it stays in the processor's cache meanwhile."""


def bundle_prefix(destination: str | os.PathLike[str]) -> str:
    """The absolute prefix that is meant by `destination`; `model.index` means `model`.

    Raises PathNotFoundError for what is no path of this machine.
    """
    path = local_path(os.fspath(destination))
    prefix = path[: -len(".index")] if path.endswith(".index") else path
    # The last separator says that a directory is meant.
    return os.path.join(os.path.abspath(os.path.dirname(prefix)), os.path.basename(prefix))


def final_path(destination: str | os.PathLike[str], format_name: str) -> str:
    """The absolute path of what an export to `destination` makes: of a bundle its prefix.

    A name without the format's suffix gets it. Raises PathNotFoundError.
    """
    writer = writer_of(format_name)
    if not writer.suffix:
        return bundle_prefix(destination)
    path = local_path(os.fspath(destination))
    directory, base = os.path.abspath(os.path.dirname(path)), os.path.basename(path)
    if base and not os.path.isdir(path):
        base = with_suffix(base, writer.suffix)
    return os.path.join(directory, base)


def check_destination(
    source: Checkpoint, path: str, *, overwrite: bool, writer: Writer | None = None
) -> None:
    """Raise what speaks against writing there, before any work is done.

    path: as `final_path` gives it. writer: of the format; a bundle's without one.
    Raises UnwritableFileError (no name, no directory, or the source's own files) and
    TargetExistsError.
    """
    writer = writer or writer_of("tf-bundle")
    directory, base = os.path.split(path)
    if not base or os.path.isdir(path):
        raise UnwritableFileError(
            "it is a directory, and a checkpoint's name is needed",
            where=path,
            remedy=f"Say for example {os.path.join(path, 'model' + writer.suffix)}.",
        )
    if not os.path.isdir(directory or "."):
        raise UnwritableFileError(
            "there is no such directory", where=directory, remedy="Make it first."
        )
    there = writer.files_there(path)
    own = files_of_source(source)
    if any(_is_same_file(mine, other) for mine in own for other in there):
        raise UnwritableFileError(
            "this is the checkpoint that is read, and it is never written",
            where=path,
            remedy="Choose another name.",
        )
    if there and not overwrite:
        raise TargetExistsError(
            "there is a checkpoint of this name already",
            where=path,
            remedy="Choose another name, or say --overwrite.",
        )


def check_kept(plan: ExportPlan) -> None:
    """Raise UnwritableFileError if the plan keeps nothing."""
    if plan.kept:
        return
    first = plan.dropped[0] if plan.dropped else None
    why = f" (of {printable(first.key)}: {printable(first.reason)})" if first else ""
    raise UnwritableFileError(
        f"nothing is kept, so there is nothing to write{why}",
        where=plan.source,
        remedy="`ckptviewer export --dry-run` says of each variable why; keep at least one.",
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
    executor: Executor | None = None,
    state_file: bool = False,
    share_equal: bool = False,
) -> Receipt:
    """Write what the plan keeps of `source` to `destination`; returns the proof.

    Until all is written, flushed and found equal to its source, nothing bears its final name. An
    old checkpoint there opens until the new one's last file replaces its own.

    shard_bytes: begin another data file rather than exceed this; None: as the plan says.
    executor: flushes while this writes and verifies; one worker is enough.
    state_file: note a bundle in the directory's `checkpoint` file; see `note_in_state_file`.
    share_equal: write the bytes of equal tensors once, where the format can.
    Raises as `check_destination`, UnwritableFileError, Cancelled, and what reading raises: then
    what was there before is there still.
    """
    writer = writer_of(plan.format)
    path = final_path(destination, plan.format)
    check_destination(source, path, overwrite=overwrite, writer=writer)
    check_kept(plan)
    content = Content(plan, source)
    steps = _Steps(plan.written_bytes, cancel, report)
    there = writer.files_there(path)
    with Staging(path) as staging, Flushing(executor) as flushing:
        staging.require_space(plan.expected_bytes)
        staged = writer.write(
            os.path.join(staging.path, os.path.basename(path)),
            _tensors(content, steps),
            shard_bytes=shard_bytes or plan.shard_bytes,
            taken=[os.path.basename(each) for each in there],
            flushing=flushing,
            share_equal=share_equal,
        )
        proof, duplicates = _verified(content, staged, steps)
        flushing.wait()
        files = {os.path.basename(each): os.path.getsize(each) for each in staged}
        bytes_after = bytes_of(staged)
        final = staging.publish(staged, replace_last=overwrite)
        remove_files([each for each in writer.files_there(path) if each not in final])
    noted = note_in_state_file(path) if state_file and plan.format == "tf-bundle" else ""
    return Receipt(
        source=plan.source,
        destination=path,
        format=plan.format,
        kept=plan.kept,
        dropped=plan.dropped,
        bytes_before=plan.bytes_before,
        bytes_after=bytes_after,
        verified=True,
        added=tuple(content.added),
        checksums=proof.checksums,
        losses=proof.losses,
        duplicates=duplicates,
        files=files,
        state_file=noted,
        findings=plan.findings,
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


def _tensors(content: Content, step: _Steps) -> list[Tensor]:
    """What the plan keeps, as the writer takes it."""
    stored = content.plan.format == "tf-bundle"
    return [_tensor(content, part, step, stored) for part in content.parts()]


def _tensor(content: Content, part: Part, step: _Steps, stored: bool) -> Tensor:
    view, variable, key = content.view, part.variable, part.kept.key
    chunks: Iterable[memoryview] | Iterable[np.ndarray]
    raw = checksum = None
    if stored and part.made is None:
        raw = view.stored_chunks(variable, _COPIED_BYTES)
    if part.made is not None:
        chunks = [part.made]
    elif raw is not None:
        checksum = view.checksum(variable)
        chunks = _counted(raw, key, step)
    else:
        chunks = _counted_values(values_in_order(view, variable), key, step)
    return Tensor(
        key=part.kept.key_written,
        dtype=variable.dtype,
        shape=variable.shape,
        chunks=chunks,
        checksum=checksum,
    )


def _counted(pieces: Iterator[memoryview], key: str, step: _Steps) -> Iterator[memoryview]:
    step(0, key)
    for piece in pieces:
        yield piece
        step(len(piece), key)


def _counted_values(pieces: Iterator[np.ndarray], key: str, step: _Steps) -> Iterator[np.ndarray]:
    step(0, key)
    for piece in pieces:
        yield piece
        step(piece.nbytes, key)


def _verified(content: Content, staged: list[str], step: _Steps) -> tuple[Proof, dict[str, str]]:
    """Read back what was written; also which keys share their bytes with another."""
    step.verb = "Verifying"
    with open_written(content.plan.format, staged[-1]) as written:
        proof = verify(content, written, step)
        total = sum([variable.stored_bytes for variable in written.variables])
        if content.plan.format != "tf-bundle" or total <= bytes_of(staged[:-1]):
            return proof, {}
        places: dict[tuple[str, str], str] = {}
        duplicates = {}
        for variable in written.variables:
            place = written.details(variable)
            first = places.setdefault((place["Data file"], place["Offset"]), variable.key)
            if first != variable.key and variable.stored_bytes:
                duplicates[variable.key] = first
        return proof, duplicates


def _is_same_file(one: str | os.PathLike[str], other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
