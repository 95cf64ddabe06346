"""What writers of one file share: a tensor's content as little-endian bytes, or as strings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.dtypes import BY_NAME, numpy_dtype
from ckptviewer.checkpoint.errors import DamagedFileError, UnwritableFileError

if TYPE_CHECKING:
    import numpy as np

    from ckptviewer.formats.bundle_writer import Tensor


def byte_count(tensor: Tensor) -> int:
    """Bytes that the values of a tensor take, which is not one of strings."""
    return prod(tensor.shape) * BY_NAME[tensor.dtype].item_bytes


def dense_bytes(tensor: Tensor) -> Iterator[memoryview]:
    """The values in C order, little-endian, piece by piece; a dtype of fixed width alone.

    Each piece is valid until the next is asked for. Raises what reading the content raises,
    DamagedFileError where it is more or less than the shape needs (with the last piece at the
    latest), ValueError where its values are of another dtype.
    """
    needed, given = byte_count(tensor), 0
    for piece in tensor.chunks:
        view = piece if isinstance(piece, memoryview) else _as_bytes(tensor, piece)
        given += view.nbytes
        if given > needed:
            break
        yield view
    if given != needed:
        amount = f"more than {needed:,} bytes" if given > needed else f"{given:,} bytes"
        raise _wrong_size(tensor, amount)


def strings_of(tensor: Tensor) -> list[bytes]:
    """All elements of a tensor of strings, which must be given as values.

    Raises what reading the content raises, DamagedFileError where they are not as many as its
    shape needs.
    """
    strings: list[bytes] = []
    for piece in tensor.chunks:
        if isinstance(piece, memoryview):
            raise ValueError(f"{tensor.key}: strings are taken as values alone")
        strings += piece.reshape(-1).tolist()
    if len(strings) != prod(tensor.shape):
        raise _wrong_size(tensor, f"{len(strings):,} strings")
    return strings


def refuse_shards(shard_bytes: int | None, path: str) -> None:
    """Raise UnwritableFileError where several files are asked for."""
    if shard_bytes is not None:
        raise UnwritableFileError(
            "this format is written as one file",
            where=path,
            remedy="Leave out the size of shards, or write a tensor bundle.",
        )


def files_there(path: str) -> list[str]:
    """The file of this path, a broken link included; none where there is none."""
    return [path] if os.path.lexists(path) else []


def _as_bytes(tensor: Tensor, values: np.ndarray) -> memoryview:
    import numpy as np

    if values.dtype != numpy_dtype(tensor.dtype):
        raise ValueError(f"{tensor.key}: values of {values.dtype} for {tensor.dtype}")
    if sys.byteorder == "big":
        values = values.byteswap()
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data


def _wrong_size(tensor: Tensor, found: str) -> DamagedFileError:
    return DamagedFileError(
        f"its source gave {found}, which is not what its shape needs", where=tensor.key
    )
