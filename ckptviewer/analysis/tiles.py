"""Tiles: a tensor as many small pictures side by side: its kernels, or its rows folded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isqrt, prod, sqrt
from typing import TYPE_CHECKING

from ckptviewer.analysis.pictures import Picture, as_pixels
from ckptviewer.analysis.slicing import Plane
from ckptviewer.checkpoint.text import count_text, plural

if TYPE_CHECKING:
    from ckptviewer.checkpoint.checkpoint import Checkpoint, Region
    from ckptviewer.checkpoint.variable import Variable

MOST_SIDE = 2048
LARGEST_TILE = 1 << 16
"""What has more elements than this is a picture of its own, no tile."""

_WIDER_THAN_HIGH = 1.25
_MOST_UNEQUAL = 3
"""A grid that is so much longer one way than the other is wrapped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mosaic:
    """How tiles lie on a canvas, a pixel for each element and one between tiles.

    height, width: of a tile. down, across: tiles on the canvas. count: tiles that are shown; the
    last line may not be full. total: tiles that there are.
    shape: of the tensor. tile_axes: its axes that run down and across a tile; a single one is
    folded into lines of `width`, `length` elements in all. grid_axes: those along which tiles
    follow each other: two make the grid's rows and columns, one is wrapped. at: where others stand.
    """

    height: int
    width: int
    length: int
    down: int
    across: int
    count: int
    total: int
    shape: tuple[int, ...]
    tile_axes: tuple[int, ...]
    grid_axes: tuple[int, ...]
    at: tuple[int, ...]
    wrapped: bool = True

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width of it all, in pixels."""
        return self.down * (self.height + 1) - 1, self.across * (self.width + 1) - 1

    @property
    def note(self) -> str:
        """What is left out, in words; empty where nothing is."""
        if self.count < self.total and not self.wrapped:
            down, across = (count_text(self.shape[axis]) for axis in self.grid_axes)
            shown = f"{count_text(self.down)} \u00d7 {count_text(self.across)}"
            return f"The first {shown} of {down} \u00d7 {across} tiles."
        if self.count < self.total:
            return f"The first {count_text(self.count)} of {plural(self.total, 'tile')}."
        whole = self.shape[self.tile_axes[0]]
        if len(self.tile_axes) == 1 and self.length < whole:
            return f"The first {count_text(self.length)} of {count_text(whole)} elements."
        return ""

    def index_of(self, y: int, x: int) -> tuple[int, ...] | None:
        """The index in the tensor of a pixel; None between tiles and behind the last."""
        line, y = divmod(y, self.height + 1)
        column, x = divmod(x, self.width + 1)
        if y == self.height or x == self.width or not (0 <= line < self.down):
            return None
        if not 0 <= column < self.across:
            return None
        index = list(self.at)
        if len(self.tile_axes) == 2:
            index[self.tile_axes[0]], index[self.tile_axes[1]] = y, x
        else:
            place = y * self.width + x
            if place >= self.length:
                return None
            index[self.tile_axes[0]] = place
        place = line * self.across + column
        if place >= self.count:
            return None
        if self.wrapped:
            for axis in reversed(self.grid_axes):
                place, index[axis] = divmod(place, self.shape[axis])
        else:
            index[self.grid_axes[0]], index[self.grid_axes[1]] = line, column
        return tuple(index)

    def region(self) -> Region:
        """The box of the tensor that holds what is shown."""
        box = [slice(place, place + 1) for place in self.at]
        for axis in self.tile_axes:
            box[axis] = slice(0, self.shape[axis])
        if len(self.tile_axes) == 1:
            box[self.tile_axes[0]] = slice(0, self.length)
        for axis in self.grid_axes:
            box[axis] = slice(0, self.shape[axis])
        if not self.wrapped:
            box[self.grid_axes[0]] = slice(0, self.down)
            box[self.grid_axes[1]] = slice(0, self.across)
        elif self.grid_axes:
            inner = prod(self.shape[axis] for axis in self.grid_axes[1:])
            box[self.grid_axes[0]] = slice(0, ceil(self.count / inner))
        return tuple(box)

    def read(self, checkpoint: Checkpoint, variable: Variable) -> Picture:
        """The picture. Raises as `Checkpoint.read` does."""
        import numpy as np

        values = as_pixels(checkpoint.read(variable, self.region()))
        order = [*self.grid_axes, *self.tile_axes]
        order += [axis for axis in range(len(self.shape)) if axis not in order]
        tiles = values.transpose(order).reshape(-1, self.length)[: self.count]
        # Laid out with a gap behind and below each tile; the last ones are cut off.
        laid = np.zeros((self.down * self.across, self.height + 1, self.width + 1), values.dtype)
        gaps = np.ones(laid.shape, bool)
        per_tile = tiles.shape[1]
        inner = np.zeros((self.count, self.height * self.width), values.dtype)
        inner[:, :per_tile] = tiles
        empty = np.ones(inner.shape[1], bool)
        empty[:per_tile] = False
        laid[: self.count, :-1, :-1] = inner.reshape(self.count, self.height, self.width)
        gaps[: self.count, :-1, :-1] = empty.reshape(self.height, self.width)
        height, width = self.canvas
        grid = (self.down, self.across, self.height + 1, self.width + 1)
        flat = (self.down * (self.height + 1), self.across * (self.width + 1))
        laid, gaps = (
            layer.reshape(grid).swapaxes(1, 2).reshape(flat)[:height, :width]
            for layer in (laid, gaps)
        )
        return Picture(values=laid, gaps=gaps, rows=(0, height), columns=(0, width))


def kernel_axes(shape: Sequence[int]) -> tuple[tuple[int, int], tuple[int, ...]] | None:
    """Which axes make a kernel and which number the kernels; None where there are no kernels.

    Of four axes the first two are the kernel's, as TensorFlow stores it (height, width, in, out),
    unless only the last two look like one, as in (out, in, height, width): square, and odd up to
    11. Of three, the first two; of more, the four last ones count.
    """
    axes = len(shape)
    if axes < 3 or 0 in shape:
        return None
    tile: tuple[int, int] = (0, 1)
    grid: tuple[int, ...] = (2,)
    if axes > 3:
        first = axes - 4
        tile, grid = (first, first + 1), (first + 2, first + 3)
        if _is_window(shape[first + 2 :]) and not _is_window(shape[first : first + 2]):
            tile, grid = (first + 2, first + 3), tile
        # Where one channel is all there is, the kernels of the other are wrapped.
        grid = tuple(axis for axis in grid if shape[axis] > 1) or grid[:1]
    if shape[tile[0]] * shape[tile[1]] > LARGEST_TILE:
        return None
    return tile, grid


def _is_window(sizes: Sequence[int]) -> bool:
    return sizes[0] == sizes[1] and sizes[0] in (1, 3, 5, 7, 9, 11)


def kernels(shape: Sequence[int], at: Sequence[int]) -> Mosaic | None:
    """All kernels of a convolution side by side; None where the shape is none of a convolution.

    at: where the other axes stand, of more than four.
    """
    found = kernel_axes(shape)
    if found is None:
        return None
    tile, grid = found
    height, width = shape[tile[0]], shape[tile[1]]
    total = prod(shape[axis] for axis in grid)
    down = min(shape[grid[0]], max(1, MOST_SIDE // (height + 1)))
    across = 1 if len(grid) == 1 else min(shape[grid[1]], max(1, MOST_SIDE // (width + 1)))
    count = down * across
    sides = sorted((down * (height + 1), across * (width + 1)))
    wrapped = len(grid) == 1 or sides[1] > _MOST_UNEQUAL * sides[0]
    if wrapped:
        down, across, count = _wrapped(total, height, width)
    return Mosaic(
        height=height,
        width=width,
        length=height * width,
        down=down,
        across=across,
        count=count,
        total=total,
        shape=tuple(shape),
        tile_axes=tile,
        grid_axes=grid,
        at=tuple(0 if axis in tile + grid else place for axis, place in enumerate(at)),
        wrapped=wrapped,
    )


def folded(plane: Plane, *, columns: bool = False, width: int = 0) -> Mosaic | None:
    """Each row of a plane (or each column) folded into lines of `width`; None without a row.

    width 0: as square as goes, without a rest if possible.
    """
    if plane.rows * plane.columns == 0 or not plane.shape:
        return None
    folding, following = plane.column_axis, plane.row_axis
    if columns:
        folding, following = following, folding
    if folding is None:
        return None
    whole = plane.shape[folding]
    length = min(whole, MOST_SIDE * MOST_SIDE)
    width = min(width or square_width(length), length)
    height = ceil(length / width)
    total = 1 if following is None else plane.shape[following]
    down, across, count = _wrapped(total, height, width)
    return Mosaic(
        height=height,
        width=width,
        length=length,
        down=down,
        across=across,
        count=count,
        total=total,
        shape=plane.shape,
        tile_axes=(folding,),
        grid_axes=() if following is None else (following,),
        at=plane.at,
    )


def square_width(length: int) -> int:
    """The width of the lines that make `length` elements the most square: 784 gives 28."""
    for height in range(isqrt(length), 0, -1):
        if length % height == 0:
            width = length // height
            if width <= 3 * height:
                return width
            break
    return max(1, ceil(sqrt(length)))


def _wrapped(total: int, height: int, width: int) -> tuple[int, int, int]:
    """Lines of tiles, tiles a line, and tiles that are shown."""
    most_down = max(1, MOST_SIDE // (height + 1))
    most_across = max(1, MOST_SIDE // (width + 1))
    wanted = ceil(sqrt(total * (height + 1) / (width + 1) * _WIDER_THAN_HIGH))
    across = max(1, min(total, wanted, most_across))
    down = min(ceil(total / across), most_down)
    return down, across, min(total, down * across)
