"""A checkpoint as the worker takes it: by its path, or as a temporary bundle of the same keys."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import UnwritableFileError
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY
from ckptviewer.checkpoint.text import size_text
from ckptviewer.checkpoint.variable import Role, Variable
from ckptviewer.formats.bundle_writer import Tensor, why_unwritable, write_bundle
from ckptviewer.validation.protocol import BindMode, CheckpointSpec, NamePair

if TYPE_CHECKING:
    import numpy as np

_READ_BY_TENSORFLOW = frozenset(("tf-bundle", "tf-v1", "saved-model"))
_BUNDLE_NAME = "handed-over"


def needs_bundle(checkpoint: Checkpoint) -> bool:
    """Whether TensorFlow cannot read its values by key itself: another format, or no file."""
    return checkpoint.format_name not in _READ_BY_TENSORFLOW or not _is_stored(checkpoint)


def hand_over(
    checkpoint: Checkpoint,
    directory: str | os.PathLike[str],
    *,
    mode: BindMode = BindMode.AUTO,
    names: Sequence[NamePair] = (),
    cast: bool = True,
    cancel: CancelToken | None = None,
    report: Callable[[Progress], None] | None = None,
) -> CheckpointSpec:
    """What a request says of `checkpoint`; where it must, its values are written to `directory`.

    The directory exists, is of this checkpoint alone, and goes when the worker is done.
    Raises UnwritableFileError, Cancelled, and what reading raises.
    """
    bundle = ""
    if needs_bundle(checkpoint):
        bundle = os.path.join(os.fspath(directory), _BUNDLE_NAME)
        kept = [each for each in checkpoint.variables if _can_go(each)]
        _require_space(directory, sum(each.stored_bytes for each in kept))
        write_bundle(bundle, _tensors(checkpoint, kept, cancel or CancelToken(), report))
    return CheckpointSpec(
        path=worker_path_of(checkpoint),
        format=checkpoint.format_name,
        bundle=bundle,
        labels={each.key: each.name for each in checkpoint.variables if each.name != each.key},
        mode=mode,
        names=tuple(names),
        cast=cast,
    )


def worker_path_of(checkpoint: Checkpoint) -> str:
    """The path by which TensorFlow or Keras opens the checkpoint, absolute."""
    path = os.path.abspath(checkpoint.path)
    if checkpoint.format_name == "saved-model":
        directory = Path(path) if Path(path).is_dir() else Path(path).parent
        return str(directory / "variables" / "variables")
    return path.removesuffix(".index") if checkpoint.format_name == "tf-bundle" else path


def _is_stored(checkpoint: Checkpoint) -> bool:
    """Whether its path leads to its very files; what is computed has none of its own."""
    from ckptviewer.formats.bundle_checkpoint import BundleCheckpoint
    from ckptviewer.formats.saved_model import SavedModelCheckpoint
    from ckptviewer.formats.tf_v1 import V1Checkpoint

    return isinstance(checkpoint, (BundleCheckpoint, SavedModelCheckpoint, V1Checkpoint))


def _can_go(variable: Variable) -> bool:
    if variable.dtype == "variant":
        return False
    if variable.role is Role.METADATA and variable.key != OBJECT_GRAPH_KEY:
        return False
    return not why_unwritable(variable.key, variable.dtype, variable.shape)


def _require_space(directory: str | os.PathLike[str], needed: int) -> None:
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise UnwritableFileError(
            f"TensorFlow does not read this format; handing it over takes {size_text(needed)}, and "
            f"{size_text(free)} are free",
            where=os.fspath(directory),
            remedy="Free some space, or let TMPDIR name another disk.",
        )


def _tensors(
    checkpoint: Checkpoint,
    variables: Sequence[Variable],
    cancel: CancelToken,
    report: Callable[[Progress], None] | None,
) -> Iterator[Tensor]:
    total = sum(each.stored_bytes for each in variables)
    done = 0
    for variable in variables:
        cancel.raise_if_cancelled()
        if report is not None:
            report(Progress(done=done, total=total, label=f"Handing over {variable.key}"))
        stored = checkpoint.stored_chunks(variable)
        chunks: Iterator[memoryview] | Iterator[np.ndarray]
        checksum = None
        if stored is not None:
            checksum = checkpoint.checksum(variable)
            chunks = _watched(stored, cancel)
        else:
            chunks = _values(checkpoint, variable, cancel)
        yield Tensor(
            key=variable.key,
            dtype=variable.dtype,
            shape=variable.shape,
            chunks=chunks,
            checksum=checksum,
        )
        done += variable.stored_bytes


def _watched(pieces: Iterator[memoryview], cancel: CancelToken) -> Iterator[memoryview]:
    for piece in pieces:
        cancel.raise_if_cancelled()
        yield piece


def _values(
    checkpoint: Checkpoint, variable: Variable, cancel: CancelToken
) -> Iterator[np.ndarray]:
    if not checkpoint.in_order(variable):
        yield checkpoint.read(variable).reshape(-1)
        return
    for piece in checkpoint.chunks(variable):
        cancel.raise_if_cancelled()
        yield piece
