"""Tensors that lie in a file as one run of bytes in C order: whole, by region, by chunks."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Region
from ckptviewer.storage.byte_source import ByteSource

if TYPE_CHECKING:
    import numpy as np

Box = tuple[tuple[int, int], ...]
"""Start and stop along each axis, within the shape."""


def box_of(region: Region | None, shape: tuple[int, ...]) -> Box:
    """The box that `region` selects from `shape`, clipped to it. Raises ValueError for steps."""
    region = region or ()
    if len(region) > len(shape):
        raise ValueError(f"{len(region)} slices for {len(shape)} axes")
    box = []
    for axis, size in enumerate(shape):
        start, stop, step = region[axis].indices(size) if axis < len(region) else (0, size, 1)
        if step != 1:
            raise ValueError("a region takes steps of 1 only")
        box.append((start, max(start, stop)))
    return tuple(box)


def box_shape(box: Box) -> tuple[int, ...]:
    """The shape of what lies in the box."""
    return tuple(stop - start for start, stop in box)


def read_dense(
    source: ByteSource,
    offset: int,
    shape: tuple[int, ...],
    dtype: np.dtype,
    box: Box,
    out: np.ndarray,
) -> None:
    """Fill `out` (shape of the box, native byte order) from a tensor stored at byte `offset`.

    dtype: as stored, its byte order included. Whole rows are read where the box leaves gaps, at
    most CHUNK_BYTES at a time. Raises TruncatedFileError, ChangedFileError.
    """
    import numpy as np

    source.require(offset, prod(shape) * dtype.itemsize)
    if out.size == 0:
        return
    if _is_one_run(box, shape):
        first = _flat_start(box, shape)
        target = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
        raw = target.reshape(-1).view(np.uint8)
        source.read_into(raw.data, offset + first * dtype.itemsize)
        if not dtype.isnative:
            target.byteswap(inplace=True)
        if target is not out:
            out[...] = target
        return
    (start, stop), *rest = box
    inner = shape[1:]
    row_bytes = prod(inner) * dtype.itemsize
    if row_bytes > CHUNK_BYTES:
        for row in range(start, stop):
            at = offset + row * row_bytes
            read_dense(source, at, inner, dtype, tuple(rest), out[row - start])
        return
    rows = max(1, CHUNK_BYTES // row_bytes)
    buffer = np.empty((min(rows, stop - start), *inner), dtype)
    window = tuple(slice(low, high) for low, high in rest)
    for row in range(start, stop, rows):
        count = min(rows, stop - row)
        raw = buffer[:count].reshape(-1).view(np.uint8)
        source.read_into(raw.data, offset + row * row_bytes)
        out[row - start : row - start + count] = buffer[(slice(count), *window)]


def dense_chunks(
    source: ByteSource, offset: int, count: int, dtype: np.dtype, chunk_bytes: int
) -> Iterator[tuple[np.ndarray, memoryview]]:
    """The `count` elements stored at byte `offset`, in flat pieces: values, and bytes as stored.

    Both share one buffer for all pieces. For values of foreign byte order the bytes are only valid
    before the values are used.
    """
    import numpy as np

    source.require(offset, count * dtype.itemsize)
    step = max(1, chunk_bytes // dtype.itemsize)
    buffer = np.empty(min(step, count), dtype)
    for first in range(0, count, step):
        part = buffer[: min(step, count - first)]
        raw = part.view(np.uint8).data
        source.read_into(raw, offset + first * dtype.itemsize)
        yield part, raw


def _is_one_run(box: Box, shape: tuple[int, ...]) -> bool:
    """Whether the box is contiguous: at most one partial axis, behind axes of one index each."""
    partial = [axis for axis, (low, high) in enumerate(box) if high - low != shape[axis]]
    return not partial or all(high - low == 1 for low, high in box[: partial[-1]])


def _flat_start(box: Box, shape: tuple[int, ...]) -> int:
    position = 0
    for (low, _), size in zip(box, shape, strict=True):
        position = position * size + low
    return position
