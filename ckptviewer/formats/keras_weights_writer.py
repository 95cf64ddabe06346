"""Writing Keras 3's `.weights.h5`, which `model.load_weights` takes, in bounded memory.

h5py writes the groups, and reserves for each dataset one run of bytes, as Keras' files have it;
the values are then written there piece by piece. What goes where, see keras_layout. bfloat16 is
stored as Keras stores it: two opaque bytes, and an attribute `dtype` that says what they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.dtypes import Kind, kind_of, numpy_dtype
from ckptviewer.checkpoint.errors import DamagedFileError
from ckptviewer.formats.bundle_writer import Tensor
from ckptviewer.formats.keras_keys import PLACED, keys_of
from ckptviewer.formats.npy_header import field_of
from ckptviewer.formats.tensor_bytes import byte_count, dense_bytes, files_there, refuse_shards
from ckptviewer.storage.atomic import NewFile, told_by_library

if TYPE_CHECKING:
    import h5py  # type: ignore[import-untyped, unused-ignore]

_LARGEST_RANK = 32  # H5S_MAX_RANK


def why_unwritable(key: str, dtype: str, shape: tuple[int, ...]) -> str:
    """Why a file of Keras' weights cannot hold such a variable, one clause; empty where it can.

    key: path of the dataset ("layers/dense/vars/0").
    """
    if not PLACED.fullmatch(key):
        return "its key is no path of those under which Keras looks for weights"
    try:
        key.encode()
    except UnicodeEncodeError:
        return "its key is no Unicode text, and names in HDF5 files are"
    if kind_of(dtype) is Kind.STRING:
        return "Keras keeps no strings among its weights"
    if kind_of(dtype) is Kind.OPAQUE or (field_of(dtype) and dtype != "bfloat16"):
        return f"Keras has no way to keep dtype {dtype} in HDF5"
    if len(shape) > _LARGEST_RANK:
        return f"it has {len(shape)} axes, and HDF5 takes {_LARGEST_RANK}"
    return ""


def write_keras_weights(
    path: str,
    tensors: Iterable[Tensor],
    *,
    shard_bytes: int | None = None,
    taken: Collection[str] = (),
) -> list[str]:
    """Write a file that must not exist; returns its path, flushed.

    Dtypes and shapes of all tensors are asked for first, then the content of each.

    Raises UnwritableFileError (`shard_bytes` too: it is one file), what reading the content raises,
    DamagedFileError where the content is not what shape and dtype need, ValueError for what
    `why_unwritable` tells and repeated keys.
    """
    refuse_shards(shard_bytes, path)
    everything = list(tensors)
    _check(everything)
    NewFile(path).close()  # must not be there yet
    with told_by_library(path):
        offsets = _reserve(path, everything)
    with NewFile.begun(path) as file:
        for tensor, offset in zip(everything, offsets, strict=True):
            for piece in dense_bytes(tensor):
                file.write_again(offset, piece)
                offset += piece.nbytes
        file.flush()
    return [path]


def _check(tensors: Sequence[Tensor]) -> None:
    keys: set[str] = set()
    for tensor in tensors:
        reason = why_unwritable(tensor.key, tensor.dtype, tensor.shape)
        if reason or tensor.key in keys:
            raise ValueError(f"{tensor.key}: {reason or 'the key is repeated'}")
        keys.add(tensor.key)
    for key in keys:
        above, _, _ = key.rpartition("/")
        while above:
            if above in keys:
                raise ValueError(f"{key}: {above} is a variable itself")
            above, _, _ = above.rpartition("/")


def _reserve(path: str, tensors: Sequence[Tensor]) -> list[int]:
    """Write all but the values; returns where those of each tensor go."""
    import h5py  # type: ignore[import-untyped, unused-ignore]

    with h5py.File(path, "w") as file:
        created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        created.set_layout(h5py.h5d.CONTIGUOUS)
        created.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        created.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
        links.set_create_intermediate_group(True)
        links.set_char_encoding(h5py.h5t.CSET_UTF8)
        return [_reserve_one(file, tensor, created, links) for tensor in tensors]


def _reserve_one(
    file: h5py.File, tensor: Tensor, created: h5py.h5p.PropDCID, links: h5py.h5p.PropLCID
) -> int:
    import h5py  # type: ignore[import-untyped, unused-ignore]

    stored = numpy_dtype(tensor.dtype)
    kind = h5py.h5t.py_create(stored.newbyteorder("<"), logical=True)
    space = (
        h5py.h5s.create_simple(tensor.shape) if tensor.shape else h5py.h5s.create(h5py.h5s.SCALAR)
    )
    dataset = h5py.h5d.create(file.id, tensor.key.encode(), kind, space, created, links)
    if tensor.dtype == "bfloat16":
        h5py.Dataset(dataset).attrs["dtype"] = "bfloat16"
    offset = dataset.get_offset()
    if offset is None and byte_count(tensor):
        raise DamagedFileError("the library of HDF5 reserved no bytes for it", where=tensor.key)
    return offset or 0


WRITTEN = {
    "title": "Keras weights",
    "suffix": ".weights.h5",
    "write": write_keras_weights,
    "why_unwritable": why_unwritable,
    "files_there": files_there,
    "keys_of": keys_of,
}
"""How this format is written: the fields of a Writer."""
