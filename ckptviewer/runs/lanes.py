"""Lanes: a few variables followed through several checkpoints by one worker, each read once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ckptviewer.analysis.chunks import boxes, segments
from ckptviewer.checkpoint.dtypes import numpy_dtype
from ckptviewer.checkpoint.errors import Cancelled, CkptviewerError, DamagedFileError
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.runs.column import Cells, Column, Work
from ckptviewer.runs.measuring import CHUNK_ELEMENTS, UNIT_ELEMENTS, Measuring, Point, slow_pair
from ckptviewer.runs.together import measure_together

if TYPE_CHECKING:
    from ckptviewer.checkpoint.checkpoint import Checkpoint
    from ckptviewer.checkpoint.variable import Variable

WHOLE_BYTES = 16 << 20
"""A variable up to this size is held while its next values are read; larger ones are streamed."""

Blocks = Iterator["np.ndarray"]


@dataclass(frozen=True, slots=True)
class LaneTask:
    """Variables of one lane in columns that follow each other.

    keeps_open: whether files are left open for the next lane; who made the task releases them.
    """

    lane: int
    works: tuple[Work, ...]
    pairs: bool
    cancel: CancelToken
    held: Held
    keeps_open: bool


class Held:
    """The values that a lane has read last: those that the next column is measured beside."""

    def __init__(self) -> None:
        self._values: dict[str, np.ndarray] = {}
        self._column: Column | None = None

    def of(self, column: Column | None) -> dict[str, np.ndarray]:
        """What is held of this column, by key."""
        return self._values if column is self._column else {}

    def replace(self, column: Column | None, values: dict[str, np.ndarray]) -> None:
        """Hold these, of this column, and nothing else."""
        self._values, self._column = values, column


def perform(task: LaneTask) -> list[Cells]:
    """Measure; each variable that cannot be read gives an error. Raises Cancelled alone."""
    done: list[Cells] = []
    together: list[set[int]] = [set() for _ in task.works]
    if task.pairs:
        held = task.held.of(task.works[0].column.before)
        together = measure_together(task.works, held, task.cancel)
        task.held.replace(task.works[0].column.before, held)
    for work, rows_done in zip(task.works, together, strict=True):
        errors: dict[str, CkptviewerError] = {}
        held = task.held.of(work.column.before)
        variables = work.column.listed.variables
        done_keys = [variables[row].key for row in rows_done]
        new = {key: held[key] for key in done_keys if key in held}
        for row in work.rows:
            if row in rows_done:
                continue
            task.cancel.raise_if_cancelled()
            key = variables[row].key
            values = held.pop(key, None)
            try:
                values = _measure(work.column, row, values, task)
                if values is not None:
                    new[key] = values
            except Cancelled:
                raise
            except CkptviewerError as error:
                errors[key] = error
            except Exception as error:  # one variable must not take the others with it
                text = f"measuring it failed: {type(error).__name__}: {error}"
                errors[key] = CkptviewerError(text, where=key)
        task.held.replace(work.column, new)
        if not task.keeps_open:
            work.column.release()
        cells = work.column.cells(work.index, work.rows)
        cells.errors.update(errors)
        done.append(cells)
    return done


def _measure(
    column: Column, row: int, held: np.ndarray | None, task: LaneTask
) -> np.ndarray | None:
    """Fill the row's point and pair in; returns its values, where they are held.

    held: the values in the column before, if somebody holds them; it is written to.
    """
    other = column.row_before(row)
    before = column.before
    if held is not None and held.dtype != numpy_dtype(column.listed.variables[row].dtype):
        held = None  # it was listed from an earlier file of this name
    if other is not None and before is not None:
        rows = np.array([row])
        if column.are_unchanged(rows, np.array([other])) and not np.isnan(before.points[other, 0]):
            column.take_unchanged(rows)
            return held
    if not task.pairs or other is None or before is None:
        column.points[row] = _measure_alone(column, row, task)
        return None
    if held is not None and held.size == 1 and _measure_scalar(column, row, held):
        return held
    held = _held_before(before, other) if held is None else held
    try:
        _measure_beside(column, row, before, other, held, task)
        return held
    except Cancelled:
        raise
    except CkptviewerError:  # one of the two cannot be read: if it is this one, that is told now
        column.points[row] = _measure_alone(column, row, task)
        return None


def _measure_scalar(column: Column, row: int, held: np.ndarray) -> bool:
    """Fill a row in where its one value, and that before, are finite; whether they are.

    Most variables that are no weights are such: counters of steps, rates.
    """
    variable = column.listed.variables[row]
    if numpy_dtype(variable.dtype).kind == "c":
        return False
    values = column.checkpoint.read(variable).reshape(-1)
    if values.shape != held.shape or values.dtype != held.dtype:
        return False  # it was listed from an earlier file of this name
    value, earlier = float(values[0]), float(held[0])
    if not math.isfinite(value) or not math.isfinite(earlier):
        return False
    held[:] = values
    size = abs(value)
    column.points[row] = (1.0, 0.0, 0.0, value == 0.0, value, value, value, 0.0, size)
    column.pairs[row] = (abs(value - earlier), value * earlier, abs(earlier), size)
    return True


def _held_before(before: Column, other: int) -> np.ndarray | None:
    """The values in the column before; None where they are too large to hold, or unreadable."""
    variable = before.listed.variables[other]
    if _bytes_of(variable) > WHOLE_BYTES:
        return None
    try:
        return before.checkpoint.read(variable).reshape(-1)
    except CkptviewerError:
        return None


def _measure_alone(column: Column, row: int, task: LaneTask) -> Point:
    """The point of a row. Raises what reading raises."""
    measuring = Measuring()
    for block in _blocks(column.checkpoint, column.listed.variables[row], task.cancel):
        measuring.add(block)
    return measuring.point()


def _measure_beside(
    column: Column, row: int, before: Column, other: int, held: np.ndarray | None, task: LaneTask
) -> None:
    """Fill the row's point and pair in, and put its values into `held`, block by block.

    What is held is of the column before until then; without it that is read again.
    """
    variable, earlier = column.listed.variables[row], before.listed.variables[other]
    measuring = Measuring()
    known = Point(*before.points[other].tolist())
    if math.isnan(known.elements):
        known = _measure_alone(before, other, task)
    at = 0
    blocks = _blocks(column.checkpoint, variable, task.cancel)
    if held is None:
        again = _blocks(before.checkpoint, earlier, task.cancel)
        for values, others in _beside(blocks, again):
            measuring.add(values, others)
    else:
        for values in blocks:
            place = held[at : at + values.size]
            if place.size < values.size or place.dtype != values.dtype:
                raise _wrong_length()
            measuring.add(values, place, replace=True)
            at += values.size
        if at < held.size:
            raise _wrong_length()
    pair = measuring.pair(known)
    if pair is None:
        both = (
            _blocks(each.checkpoint, v, task.cancel)
            for each, v in ((column, variable), (before, earlier))
        )
        pair = slow_pair(_beside(*both))
    column.points[row] = measuring.point()
    column.pairs[row] = pair


def _beside(one: Blocks, other: Blocks) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    others = np.empty(0)
    for values in one:
        place = 0
        while place < values.size:
            if not others.size:
                others = next(other, others)
                if not others.size:
                    raise _wrong_length()
            size = min(values.size - place, others.size)
            yield values[place : place + size], others[:size]
            others = others[size:]
            place += size
    if others.size or next(other, None) is not None:
        raise _wrong_length()


def _wrong_length() -> DamagedFileError:
    return DamagedFileError("its values have another length or dtype than it was listed with")


def _blocks(checkpoint: Checkpoint, variable: Variable, cancel: CancelToken) -> Blocks:
    """The values in C order, in blocks that are whole units whatever the reader gives."""
    if checkpoint.in_order(variable):
        item_bytes = numpy_dtype(variable.dtype).itemsize
        source: Iterable[np.ndarray] = checkpoint.chunks(variable, CHUNK_ELEMENTS * item_bytes)
    else:
        source = (
            checkpoint.read(variable, region).reshape(-1)
            for region in boxes(variable.shape, 2 * CHUNK_ELEMENTS)
        )
    for block in segments(source, UNIT_ELEMENTS):
        cancel.raise_if_cancelled()
        yield block


def _bytes_of(variable: Variable) -> int:
    return variable.element_count * numpy_dtype(variable.dtype).itemsize
