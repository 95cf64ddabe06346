"""Tensors that lie in a file as one run of bytes in C order: whole, by region, by chunks."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from math import prod
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Region
from ckptviewer.checkpoint.errors import (
    COPY_CHECKPOINT,
    DamagedFileError,
    OpaqueVariableError,
    UnreadableFileError,
)
from ckptviewer.storage.byte_source import ByteSource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Box = tuple[tuple[int, int], ...]
"""Start and stop along each axis, within the shape."""

LARGEST_RANK = 64  # NumPy's own limit
_MOST_CORNERS = 1 << 21
_MOST_SPARE = 2


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


def overlap(one: Box, other: Box) -> Box:
    """What two boxes have in common; empty along the axes where that is nothing."""
    starts = [max(a, b) for (a, _), (b, _) in zip(one, other, strict=True)]
    stops = [min(a, b) for (_, a), (_, b) in zip(one, other, strict=True)]
    return tuple((start, max(start, stop)) for start, stop in zip(starts, stops, strict=True))


def shifted(box: Box, frame: Box) -> Box:
    """The box as it lies within the frame, whose start counts as zero."""
    return tuple((low - at, high - at) for (low, high), (at, _) in zip(box, frame, strict=True))


def new_array(shape: tuple[int, ...], dtype: np.dtype, where: str) -> np.ndarray:
    """An array for values of `where` that the file was found to hold; its content is undefined.

    Raises OpaqueVariableError (more axes than NumPy has), DamagedFileError (no element, and other
    axes beyond any memory), UnreadableFileError (more than this machine's memory).
    """
    import numpy as np

    if len(shape) > LARGEST_RANK:
        raise OpaqueVariableError(
            f"it has {len(shape)} axes, and an array has at most {LARGEST_RANK}",
            where=where,
            remedy="Its values can still be read in chunks, in their order.",
        )
    try:
        return np.empty(shape, dtype)
    except ValueError as error:
        raise DamagedFileError(
            "its shape is larger than any memory", where=where, remedy=COPY_CHECKPOINT
        ) from error
    except MemoryError as error:
        raise UnreadableFileError(
            "its values are more than memory can hold",
            where=where,
            remedy="Read it in regions or in chunks.",
        ) from error


def fill_exactly(shape: tuple[int, ...], boxes: Sequence[Box]) -> bool:
    """Whether boxes that lie within `shape` leave no gap and do not overlap.

    The corners of each box count +1 and -1 by turns, as the whole's count -1 and +1. All of them
    cancel out exactly if the boxes make the whole: what is constant between its corners is known by
    its steps at the corners. Costs 2 to the number of cut axes for each box; what would cost too
    much is no cut that anybody makes, and counts as a No.
    """
    if 0 in shape:
        return True
    whole: Box = tuple((0, size) for size in shape)
    cut = [axis for axis, full in enumerate(whole) if any(box[axis] != full for box in boxes)]
    if len(boxes) << len(cut) > _MOST_CORNERS:
        return False
    counts: dict[tuple[int, ...], int] = {}
    for box, sign in ((whole, -1), *((box, 1) for box in boxes)):
        for ends in product((0, 1), repeat=len(cut)):
            corner = tuple(box[axis][end] for axis, end in zip(cut, ends, strict=True))
            turn = -sign if sum(ends) % 2 else sign
            counts[corner] = counts.get(corner, 0) + turn
    return not any(counts.values())


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
    source.require(offset, count * dtype.itemsize)
    step = max(1, chunk_bytes // dtype.itemsize)
    with spare_buffer(min(step, count) * dtype.itemsize) as room:
        for first in range(0, count, step):
            part = room[: min(step, count - first) * dtype.itemsize]
            source.read_into(part.data, offset + first * dtype.itemsize)
            yield part.view(dtype), part.data


class _Spare(threading.local):
    """Buffers at hand, each thread its own: another core's would have to come from there first."""

    def __init__(self) -> None:
        self.buffers: list[NDArray[np.uint8]] = []


_spare = _Spare()


@contextmanager
def spare_buffer(length: int) -> Iterator[NDArray[np.uint8]]:
    """`length` bytes to read into, for the time of the block; their content is arbitrary.

    Buffers of the usual size are used again and again: fresh memory costs the system as long to
    give as a checksum takes.
    """
    import numpy as np

    if not CHUNK_BYTES // 4 < length <= CHUNK_BYTES:
        yield np.empty(length, np.uint8)
        return
    spare = _spare.buffers
    buffer = spare.pop() if spare else np.empty(CHUNK_BYTES, np.uint8)
    try:
        yield buffer[:length]
    finally:
        if len(spare) < _MOST_SPARE:
            spare.append(buffer)


def _is_one_run(box: Box, shape: tuple[int, ...]) -> bool:
    """Whether the box is contiguous: at most one partial axis, behind axes of one index each."""
    partial = [axis for axis, (low, high) in enumerate(box) if high - low != shape[axis]]
    return not partial or all(high - low == 1 for low, high in box[: partial[-1]])


def _flat_start(box: Box, shape: tuple[int, ...]) -> int:
    position = 0
    for (low, _), size in zip(box, shape, strict=True):
        position = position * size + low
    return position
