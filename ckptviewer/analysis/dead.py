"""Dead rows and columns: units of a layer all of whose weights are exactly zero.

A unit that was pruned away, an embedding that no token ever reached, or an activation that died
shows as a slice of zeros across the first or the last axis. Most variables hold fewer zeros than
such a slice has elements: their statistics rule it out, and they are not read again.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

from ckptviewer.analysis.chunks import boxes
from ckptviewer.checkpoint.dtypes import Kind, kind_of

if TYPE_CHECKING:
    import numpy as np

    from ckptviewer.checkpoint.checkpoint import Checkpoint
    from ckptviewer.checkpoint.progress import CancelToken
    from ckptviewer.checkpoint.variable import Variable

_PIECE_ELEMENTS = 1 << 20
_LARGEST_AXIS = 1 << 24


class Dead(NamedTuple):
    """Slices of a tensor that hold zeros alone.

    rows, columns: how many across the first and across the last axis.
    """

    rows: int
    columns: int


def may_be_dead(variable: Variable, zeros: int) -> bool:
    """Whether a tensor with so many zeros can have a dead row or column at all."""
    shape = variable.shape
    if len(shape) < 2 or not variable.element_count or max(shape[0], shape[-1]) > _LARGEST_AXIS:
        return False
    if kind_of(variable.dtype) not in (Kind.FLOAT, Kind.INTEGER, Kind.COMPLEX):
        return False
    smallest = min(prod(shape[1:]), prod(shape[:-1]))
    return smallest > 1 and zeros >= smallest


def dead_of(
    checkpoint: Checkpoint,
    variable: Variable,
    zeros: int | None = None,
    *,
    cancel: CancelToken | None = None,
) -> Dead:
    """Count the dead rows and columns of a tensor of two axes or more.

    zeros: how many zeros it has, where that is known already; it spares the reading then that
    cannot find anything. Memory is a few megabytes. Raises what reading raises, and Cancelled.
    """
    import numpy as np

    shape = variable.shape
    if zeros is not None:
        if not may_be_dead(variable, zeros):
            return Dead(0, 0)
        if zeros == variable.element_count:
            return Dead(shape[0], shape[-1])
    rows = np.zeros(shape[0], bool)
    columns = np.zeros(shape[-1], bool)
    for box in boxes(shape, _PIECE_ELEMENTS):
        if cancel is not None:
            cancel.raise_if_cancelled()
        alive = checkpoint.read(variable, box) != 0
        first, last = box[0], box[-1] if len(box) == len(shape) else slice(0, shape[-1])
        rows[first] |= _any_along(alive, 0)
        columns[last] |= _any_along(alive, alive.ndim - 1)
    return Dead(int((~rows).sum()), int((~columns).sum()))


def _any_along(alive: np.ndarray, kept: int) -> np.ndarray:
    import numpy as np

    axes = tuple(axis for axis in range(alive.ndim) if axis != kept)
    return np.asarray(alive.any(axis=axes))
