"""The formats that are written: which writer makes each, and what it can hold.

A writer is a function of a module in `formats/`. It is given the path under which the last of its
files will stand in a directory of its own, and tensors whose chunks it reads once, each to its
end, in whatever order it likes. It makes flushed files that were not there, and returns their
paths; whoever opens the last of them opens all. Of tensors for other formats than bundles
`checksum` is None: chunks are arrays of the tensor's dtype, flat, in C order; strings are object
arrays of bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ckptviewer.checkpoint.errors import NotACheckpointError
from ckptviewer.formats.bundle_writer import Tensor, data_files, why_unwritable, write_bundle

if TYPE_CHECKING:
    from ckptviewer.checkpoint.checkpoint import Checkpoint
    from ckptviewer.checkpoint.variable import Variable
    from ckptviewer.storage.atomic import Flushing


class Write(Protocol):
    """Writes tensors as files that must not exist; returns their paths, flushed, the last opens.

    path: of the file in its staging directory (for a bundle its prefix).
    shard_bytes: begin another data file rather than exceed this; None: one file.
    taken: base names that none of the files but the last may have, as files of an older
        checkpoint of this name bear them in the target's directory.
    flushing, share_equal: as for `write_bundle`; what knows no better flushes at once.
    Raises UnwritableFileError, and what reading the content raises.
    """

    def __call__(
        self,
        path: str,
        tensors: Sequence[Tensor],
        *,
        shard_bytes: int | None = None,
        taken: Collection[str] = (),
        flushing: Flushing | None = None,
        share_equal: bool = False,
    ) -> list[str]: ...


class WhyUnwritable(Protocol):
    """Why a tensor cannot be written in the format, one clause; empty where it can."""

    def __call__(self, key: str, dtype: str, shape: tuple[int, ...], /) -> str: ...


class FilesThere(Protocol):
    """The files that stand in the way of a checkpoint of this path: those of an older one."""

    def __call__(self, path: str, /) -> list[str]: ...


class KeysOf(Protocol):
    """How variables are called in a format that has names of its own.

    Returns the new key of each that has one, by its key, and for the others why they have none.
    """

    def __call__(
        self, checkpoint: Checkpoint, variables: Sequence[Variable], /
    ) -> tuple[dict[str, str], dict[str, str]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """One format that can be written.

    format: its name on the command line. title: for people. suffix: how names of its files end.
    write, why_unwritable, files_there: see there.
    keys_of: where the format has names of its own (Keras' `layers/dense/vars/0`); else None.
    """

    format: str
    title: str
    suffix: str
    write: Write
    why_unwritable: WhyUnwritable
    files_there: FilesThere
    keys_of: KeysOf | None = None


FORMATS = ("tf-bundle", "keras-weights-h5", "safetensors", "npz")
"""What can be written, the first by default."""

_SUFFIXES = {".safetensors": "safetensors", ".npz": "npz", ".h5": "keras-weights-h5"}

_MODULES = {
    # Each has a constant WRITTEN: a mapping with the fields of Writer, but `format`.
    "keras-weights-h5": "ckptviewer.formats.keras_weights_writer",
    "safetensors": "ckptviewer.formats.safetensors_writer",
    "npz": "ckptviewer.formats.npz_writer",
}


def writer_of(format_name: str) -> Writer:
    """The writer of a format. Raises NotACheckpointError for what is not written."""
    if format_name == "tf-bundle":
        return Writer(
            format=format_name,
            title="TensorFlow checkpoint, V2",
            suffix="",
            write=_write_bundle,
            why_unwritable=why_unwritable,
            files_there=_bundle_there,
        )
    if format_name not in _MODULES:
        raise NotACheckpointError(
            f"{format_name} is no format that is written",
            remedy=f"Choose one of {', '.join(FORMATS)}.",
        )
    fields = dict(import_module(_MODULES[format_name]).WRITTEN)
    fields["write"] = _flushing_at_once(fields["write"])
    return Writer(format=format_name, **fields)


def _flushing_at_once(write: Callable[..., list[str]]) -> Write:
    """A writer that flushes by itself, and writes what it is given."""

    def wrapped(
        path: str,
        tensors: Sequence[Tensor],
        *,
        shard_bytes: int | None = None,
        taken: Collection[str] = (),
        flushing: Flushing | None = None,
        share_equal: bool = False,
    ) -> list[str]:
        return write(path, tensors, shard_bytes=shard_bytes, taken=taken)

    return wrapped


def format_of_name(path: str) -> str:
    """The format that the name of a file to be written means; a bundle's for any other name.

    Raises NotACheckpointError for a name that only a Keras model bears.
    """
    lower = os.path.basename(path).lower()
    if lower.endswith(".keras"):
        raise NotACheckpointError(
            "a .keras archive holds a model's code and configuration, and is not written",
            where=path,
            remedy="Write the weights alone, as a file that ends in .weights.h5.",
        )
    return next((name for end, name in _SUFFIXES.items() if lower.endswith(end)), FORMATS[0])


def with_suffix(name: str, suffix: str) -> str:
    """A file's name with the suffix of its format; `model.h5` becomes `model.weights.h5`.

    Keras takes weights from a file by the end of its name.
    """
    if not suffix or name.lower().endswith(suffix):
        return name
    if name.lower().endswith(".h5") and suffix.endswith(".h5"):
        name = name[: -len(".h5")]
    return name + suffix


def open_written(format_name: str, path: str) -> Checkpoint:
    """Open what was written, the last of its files, with the reader of its format."""
    from ckptviewer.formats.resolve import open_checkpoint

    if format_name == "tf-bundle":
        from ckptviewer.formats.tf_bundle import TensorBundleFormat

        return TensorBundleFormat().open(Path(path))
    return open_checkpoint(path)


def _write_bundle(
    path: str,
    tensors: Sequence[Tensor],
    *,
    shard_bytes: int | None = None,
    taken: Collection[str] = (),
    flushing: Flushing | None = None,
    share_equal: bool = False,
) -> list[str]:
    counts = {int(name[-5:]) for name in taken if name[-5:].isdecimal()}
    return write_bundle(
        path,
        tensors,
        shard_bytes=shard_bytes,
        taken_counts=counts,
        flushing=flushing,
        share_equal=share_equal,
    )


def _bundle_there(path: str) -> list[str]:
    """The files of a bundle of this prefix, an index that is a broken link included."""
    index = path + ".index"
    return [*([index] if os.path.lexists(index) else []), *data_files(path)]
