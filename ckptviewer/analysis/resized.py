"""Tensors of another shape that have much in common: a vocabulary that grew, a transpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckptviewer.analysis.chunks import boxes
from ckptviewer.checkpoint.dtypes import Kind, kind_of

if TYPE_CHECKING:
    import numpy as np

    from ckptviewer.checkpoint.checkpoint import Checkpoint, Region
    from ckptviewer.checkpoint.progress import CancelToken
    from ckptviewer.checkpoint.variable import Variable

_BOX_ELEMENTS = 1 << 20
_TILE = 1024
_CORNER = 32


def resized_axis(shape_a: tuple[int, ...], shape_b: tuple[int, ...]) -> int | None:
    """The one axis in which two shapes differ; None where that is not so of exactly one."""
    if len(shape_a) != len(shape_b):
        return None
    axes = [axis for axis, (a, b) in enumerate(zip(shape_a, shape_b, strict=True)) if a != b]
    return axes[0] if len(axes) == 1 else None


def leading_equal_rows(
    a: Checkpoint,
    variable_a: Variable,
    b: Checkpoint,
    variable_b: Variable,
    cancel: CancelToken | None = None,
    *,
    axis: int = 0,
) -> int | None:
    """How many slices along `axis`, counted from the first, are equal in both tensors.

    None where their shapes differ in another axis, too, or their values cannot be compared. Of
    (30522, 768) and (30532, 768) it tells 30522 if only rows were added at the end. Values are
    compared as numbers, whatever the dtypes; NaN equals NaN. Reads in boxes of 2**20 elements
    and, for axis 0, no further than the first difference. Raises as `Checkpoint.read` does, and
    Cancelled.
    """
    shape_a, shape_b = variable_a.shape, variable_b.shape
    if len(shape_a) != len(shape_b) or not 0 <= axis < len(shape_a):
        return None
    if resized_axis(shape_a, shape_b) not in (None, axis) or not _comparable(
        variable_a, variable_b
    ):
        return None
    common = tuple(map(min, zip(shape_a, shape_b, strict=True)))
    if any(x != y for i, (x, y) in enumerate(zip(shape_a, shape_b, strict=True)) if i != axis):
        return None
    equal = common[axis]
    for box in boxes(common, _BOX_ELEMENTS):
        start = box[axis].start if axis < len(box) else 0
        if start >= equal:
            if axis == 0:
                break
            continue
        if cancel is not None:
            cancel.raise_if_cancelled()
        differing = _first_difference(a, variable_a, b, variable_b, box, axis)
        if differing is not None:
            equal = min(equal, start + differing)
    return equal


def _first_difference(
    a: Checkpoint,
    variable_a: Variable,
    b: Checkpoint,
    variable_b: Variable,
    box: Region,
    axis: int,
) -> int | None:
    """The first slice of the box along `axis` that differs, counted from the box's start."""
    import numpy as np

    # Missing trailing axes of a box mean all of what is common, which is all of both there,
    # but for the axis itself.
    while len(box) <= axis:
        size = min(variable_a.shape[len(box)], variable_b.shape[len(box)])
        box = (*box, slice(0, size))
    same = _same(a.read(variable_a, box), b.read(variable_b, box))
    others = tuple(each for each in range(same.ndim) if each != axis)
    rows = np.asarray(same.all(axis=others))
    return None if rows.all() else int(np.argmin(rows))


def is_transposed(
    a: Checkpoint,
    variable_a: Variable,
    b: Checkpoint,
    variable_b: Variable,
    cancel: CancelToken | None = None,
) -> bool:
    """Whether one matrix is the transpose of the other, value by value.

    False for what is no matrix. Reads a corner first, then tiles of 1024 x 1024, and stops at the
    first difference. Raises as `Checkpoint.read` does, and Cancelled.
    """
    shape = variable_a.shape
    if (
        len(shape) != 2
        or variable_b.shape != shape[::-1]
        or not _comparable(variable_a, variable_b)
    ):
        return False
    corner = (slice(0, min(_CORNER, shape[0])), slice(0, min(_CORNER, shape[1])))
    if not _tile_is_transposed(a, variable_a, b, variable_b, corner):
        return False
    for row in range(0, shape[0], _TILE):
        for column in range(0, shape[1], _TILE):
            if cancel is not None:
                cancel.raise_if_cancelled()
            tile = (
                slice(row, min(row + _TILE, shape[0])),
                slice(column, min(column + _TILE, shape[1])),
            )
            if not _tile_is_transposed(a, variable_a, b, variable_b, tile):
                return False
    return True


def _tile_is_transposed(
    a: Checkpoint,
    variable_a: Variable,
    b: Checkpoint,
    variable_b: Variable,
    tile: tuple[slice, slice],
) -> bool:
    return bool(_same(a.read(variable_a, tile), b.read(variable_b, tile[::-1]).T).all())


def _comparable(variable_a: Variable, variable_b: Variable) -> bool:
    """Whether element by element means something: numbers with numbers, strings with strings."""
    kinds = {kind_of(variable_a.dtype), kind_of(variable_b.dtype)}
    return Kind.OPAQUE not in kinds and (Kind.STRING not in kinds or len(kinds) == 1)


def _same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where two arrays are equal as numbers; NaN equals NaN."""
    import numpy as np

    if a.dtype == object or b.dtype == object:
        return np.asarray(a == b, bool)
    if a.dtype != b.dtype:
        wide = np.result_type(_plain(a), _plain(b))
        a, b = a.astype(wide), b.astype(wide)
    same: np.ndarray = np.asarray(a == b, bool)
    if not same.all() and a.dtype.kind not in "iub":
        same |= (a != a) & (b != b)
    return same


def _plain(values: np.ndarray) -> np.dtype:
    """A dtype of NumPy's own that holds all values of the narrow ones that are not."""
    import numpy as np

    return values.dtype if values.dtype.kind in "iubfc" else np.dtype(np.float32)
