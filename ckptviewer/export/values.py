"""The values of a variable in C order and bounded memory, also where they lie in slices."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint, Region
from ckptviewer.checkpoint.dtypes import Kind, kind_of, numpy_dtype
from ckptviewer.checkpoint.variable import Variable

if TYPE_CHECKING:
    import numpy as np

_WHOLE_BYTES = 16 * CHUNK_BYTES
"""What lies in slices is read at once up to this size, and beyond it region by region."""


def values_in_order(checkpoint: Checkpoint, variable: Variable) -> Iterator[np.ndarray]:
    """The values in C order, as flat arrays of at most 16 chunks each; verified at the end.

    Each is valid until the next is asked for. Raises as `Checkpoint.chunks` does.
    """
    if checkpoint.in_order(variable):
        yield from checkpoint.chunks(variable)
        return
    item_bytes = numpy_dtype(variable.dtype).itemsize
    small = variable.element_count * item_bytes <= _WHOLE_BYTES
    if small or kind_of(variable.dtype) is Kind.STRING:
        yield checkpoint.read(variable).reshape(-1)
        return
    for _ in checkpoint.chunks(variable):  # parts of slices come without their checksums
        pass
    for region in regions_in_order(variable.shape, CHUNK_BYTES // item_bytes):
        yield checkpoint.read(variable, region).reshape(-1)


def regions_in_order(shape: tuple[int, ...], most_elements: int) -> Iterator[Region]:
    """Regions of at most so many elements (one row at least) that make up the whole in C order."""
    if 0 in shape:
        return
    axis = 0
    while axis < len(shape) - 1 and prod(shape[axis + 1 :]) > most_elements:
        axis += 1
    step = max(1, most_elements // prod(shape[axis + 1 :]))
    for leading in product(*map(range, shape[:axis])):
        before = tuple(slice(at, at + 1) for at in leading)
        for start in range(0, shape[axis], step):
            yield (*before, slice(start, min(start + step, shape[axis])))
