"""Planes: the 2-D views of a tensor, from the box to read to the index of a cell and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Region

if TYPE_CHECKING:
    import numpy as np

Span = tuple[int, int]
"""The first of some rows or columns, and the one behind the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Which two axes of a tensor run down and across, and where the others stand.

    shape: of the tensor. row_axis, column_axis: None where there is one row, or one column, only.
    at: an index for each axis; what it says of the two axes that run does not matter.
    """

    shape: tuple[int, ...]
    row_axis: int | None
    column_axis: int | None
    at: tuple[int, ...]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return 1 if self.row_axis is None else self.shape[self.row_axis]

    @property
    def columns(self) -> int:
        """How many columns there are."""
        return 1 if self.column_axis is None else self.shape[self.column_axis]

    @property
    def fixed_axes(self) -> list[int]:
        """The axes that stand still."""
        running = (self.row_axis, self.column_axis)
        return [axis for axis in range(len(self.shape)) if axis not in running]

    def region(self, rows: Span, columns: Span) -> Region:
        """The box of the tensor that holds these rows and columns."""
        box = [slice(index, index + 1) for index in self.at]
        if self.row_axis is not None:
            box[self.row_axis] = slice(*rows)
        if self.column_axis is not None:
            box[self.column_axis] = slice(*columns)
        return tuple(box)

    def arrange(self, values: np.ndarray) -> np.ndarray:
        """What was read of a region, as rows and columns; shares its memory where that goes."""
        running = [axis for axis in (self.row_axis, self.column_axis) if axis is not None]
        order = [*running, *self.fixed_axes]
        down = 1 if self.row_axis is None else values.shape[self.row_axis]
        across = 1 if self.column_axis is None else values.shape[self.column_axis]
        return values.transpose(order).reshape(down, across)

    def index_at(self, row: int, column: int) -> tuple[int, ...]:
        """The index in the tensor of a cell."""
        index = list(self.at)
        if self.row_axis is not None:
            index[self.row_axis] = row
        if self.column_axis is not None:
            index[self.column_axis] = column
        return tuple(index)

    def cell_of(self, index: Sequence[int]) -> tuple[int, int]:
        """Row and column of an index of the tensor, in the plane through it."""
        row = 0 if self.row_axis is None else index[self.row_axis]
        column = 0 if self.column_axis is None else index[self.column_axis]
        return row, column

    def through(self, index: Sequence[int]) -> Plane:
        """The plane of the same axes in which an index of the tensor lies."""
        at = tuple(
            0 if axis in (self.row_axis, self.column_axis) else place
            for axis, place in enumerate(index)
        )
        return replace(self, at=at)

    def turned(self) -> Plane:
        """The plane with rows and columns exchanged."""
        return replace(self, row_axis=self.column_axis, column_axis=self.row_axis)


def plane_of(
    shape: Sequence[int],
    row_axis: int | None = None,
    column_axis: int | None = None,
    at: Sequence[int] = (),
) -> Plane:
    """A plane of a tensor; axes that are not given: the last two, so that rows lie in one run.

    A vector runs down. Raises ValueError for axes and indices that the shape does not have.
    """
    axes = len(shape)
    if row_axis is None and column_axis is None:
        row_axis = max(0, axes - 2) if axes else None
        column_axis = axes - 1 if axes > 1 else None
    given = [axis for axis in (row_axis, column_axis) if axis is not None]
    if len(set(given)) != len(given) or not all(0 <= axis < axes for axis in given):
        raise ValueError(f"axes {row_axis} and {column_axis} of {axes}")
    plane = Plane(shape=tuple(shape), row_axis=row_axis, column_axis=column_axis, at=(0,) * axes)
    if at:
        check_index(shape, at)
        plane = plane.through(at)
    return plane


def check_index(shape: Sequence[int], index: Sequence[int]) -> None:
    """Raise ValueError, in words for people, unless the tensor has an element at `index`."""
    if len(index) != len(shape):
        raise ValueError(f"The tensor has {len(shape)} axes, and these are {len(index)} indices")
    for axis, (place, size) in enumerate(zip(index, shape, strict=True)):
        if not 0 <= place < size:
            has = f"indices 0 to {size - 1}" if size else "no index: its size is 0"
            raise ValueError(f"Axis {axis} has {has}")


def parse_index(text: str, shape: Sequence[int]) -> tuple[int, ...]:
    """An index as people write it: "3, 17", "[3, 17]", "3 17"; negative ones count from the end.

    Raises ValueError, in words for people.
    """
    words = text.translate(str.maketrans("[](),;\u2212", "      -")).split()
    try:
        index = [int(word) for word in words]
    except ValueError:
        raise ValueError("An index is a whole number for each axis, such as 3, 17") from None
    if len(index) == len(shape):
        index = [i + size if i < 0 else i for i, size in zip(index, shape, strict=True)]
    check_index(shape, index)
    return tuple(index)


def index_text(index: Sequence[int]) -> str:
    """An index as Python and NumPy write it: "[3, 17]"."""
    return f"[{', '.join(map(str, index))}]"


def touched_bytes(shape: Sequence[int], item_bytes: int, region: Region) -> int:
    """About how many bytes are read for a region of a tensor that lies in C order.

    A reader takes what lies between the wanted rows along with them, as long as it is little.
    """
    wanted = [len(range(*part.indices(size))) for part, size in zip(region, shape, strict=True)]
    if 0 in wanted:
        return 0
    times = item_bytes
    for axis, count in enumerate(wanted):
        partial = [a for a in range(axis, len(shape)) if wanted[a] != shape[a]]
        if not partial or all(wanted[a] == 1 for a in range(axis, partial[-1])):
            return times * prod(wanted[axis:])
        row_bytes = item_bytes * prod(shape[axis + 1 :])
        if row_bytes <= CHUNK_BYTES:
            return times // item_bytes * count * row_bytes
        times *= count
    return times
