"""Chunks: how a tensor is walked through in pieces whose bounds do not depend on the reader."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from ckptviewer.checkpoint.checkpoint import Region

SEGMENT_ELEMENTS = 1 << 16
"""Sums are taken over pieces of this many elements, counted from the first element of a part."""

PART_ELEMENTS = 1 << 24
"""A tensor larger than this may be worked on in parts, by several workers at once."""


def segments(
    chunks: Iterable[np.ndarray], elements: int = SEGMENT_ELEMENTS
) -> Iterator[np.ndarray]:
    """The same elements in flat arrays whose lengths are multiples of `elements`, but the last.

    What a reader hands over is passed on without a copy as far as it is aligned; the rest waits in
    a buffer of `elements`. Each array is valid until the next is asked for. So results that are
    summed piece by piece do not depend on how the reader cuts the tensor.
    """
    import numpy as np

    waiting: np.ndarray | None = None
    filled = 0
    for chunk in chunks:
        flat = chunk.reshape(-1)
        start = 0
        if filled and waiting is not None:
            start = min(elements - filled, flat.size)
            waiting[filled : filled + start] = flat[:start]
            filled += start
            if filled < elements:
                continue
            yield waiting
            filled = 0
        stop = start + (flat.size - start) // elements * elements
        if stop > start:
            yield flat[start:stop]
        if stop < flat.size:
            if waiting is None:
                waiting = np.empty(elements, flat.dtype)
            filled = flat.size - stop
            waiting[:filled] = flat[stop:]
    if filled and waiting is not None:
        yield waiting[:filled]


def boxes(shape: tuple[int, ...], elements: int) -> Iterator[Region]:
    """Boxes of at most `elements` elements that follow each other in C order and fill `shape`.

    Each box is contiguous in memory. They depend on the shape alone.
    """
    sizes = [1] * (len(shape) + 1)
    for axis in range(len(shape) - 1, -1, -1):
        sizes[axis] = sizes[axis + 1] * shape[axis]
    if not sizes[0]:
        return
    axis = 0
    while axis < len(shape) and sizes[axis + 1] > elements:
        axis += 1
    if axis == len(shape):  # a scalar, or every element is a box of its own
        axis = len(shape) - 1
    if axis < 0:
        yield ()
        return
    step = max(1, elements // sizes[axis + 1])
    index = [0] * axis
    while True:
        head = tuple(slice(i, i + 1) for i in index)
        for start in range(0, shape[axis], step):
            yield (*head, slice(start, min(start + step, shape[axis])))
        for outer in range(axis - 1, -1, -1):
            index[outer] += 1
            if index[outer] < shape[outer]:
                break
            index[outer] = 0
        else:
            return
