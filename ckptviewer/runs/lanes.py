"""Lanes: a few variables followed through several checkpoints by one worker, each read once."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from ckptviewer.analysis.chunks import boxes, segments
from ckptviewer.checkpoint.errors import Cancelled, CkptviewerError, DamagedFileError
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.runs.entry import CheckpointEntry
from ckptviewer.runs.measuring import (
    BLOCK_ELEMENTS,
    Measuring,
    Point,
    point_of,
    slow_pair,
    unchanged,
)
from ckptviewer.runs.timeline_cache import Listed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ckptviewer.checkpoint.checkpoint import Checkpoint
    from ckptviewer.checkpoint.variable import Variable
    from ckptviewer.storage.cache import Cache

WHOLE_BYTES = 16 << 20
"""A variable up to this size is held while its next values are read; larger ones are streamed."""

Blocks = Iterator["np.ndarray"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """What was measured of some variables of one checkpoint.

    index: of the checkpoint. points: a row of Point's fields for each of `keys`; NaN where there is
    none. pairs: the same of Pair's. errors: why a variable could not be read, by key.
    """

    index: int
    keys: tuple[str, ...]
    points: NDArray[np.float64]
    pairs: NDArray[np.float64]
    errors: dict[str, CkptviewerError]


class Column:
    """One checkpoint: what is known of it, and its values, opened when they are first needed."""

    def __init__(self, entry: CheckpointEntry) -> None:
        self.entry = entry
        self.before: Column | None = None
        self.listed = Listed.of((), np.empty(0, np.int64))
        self.points: NDArray[np.float64] = np.empty((0, 0))
        self.pairs: NDArray[np.float64] = np.empty((0, 0))
        self._checkpoint: Checkpoint | None = None
        self._lock = threading.Lock()

    @property
    def checkpoint(self) -> Checkpoint:
        """The open checkpoint; keeps no file open between reads. Raises what opening raises."""
        from ckptviewer.formats.resolve import open_checkpoint

        with self._lock:
            if self._checkpoint is None:
                self._checkpoint = open_checkpoint(self.entry.opens_by)
                self._checkpoint.release()
            return self._checkpoint

    def release(self) -> None:
        """Keep no file open."""
        if self._checkpoint is not None:
            self._checkpoint.release()

    def open_and_list(self) -> Listed:
        """Open it and list its variables with their checksums. Raises what opening raises."""
        checkpoint = self.checkpoint
        variables = tuple(checkpoint.variables)
        stored = [checkpoint.checksum(variable) for variable in variables]
        checksums = np.array([-1 if each is None else each for each in stored], np.int64)
        self.listed = Listed.of(variables, checksums)
        return self.listed

    def is_known(self, row: int, with_pair: bool) -> bool:
        """Whether nothing is left to do for a row."""
        if math.isnan(self.points[row, 0]):
            return False
        if not with_pair or self.row_before(row) is None:
            return True
        return not math.isnan(self.pairs[row, 0])

    def row_before(self, row: int) -> int | None:
        """The row of the same variable in the column before, if shape and dtype are the same."""
        if self.before is None:
            return None
        variable = self.listed.variables[row]
        other = self.before.listed.rows.get(variable.key)
        if other is None:
            return None
        earlier = self.before.listed.variables[other]
        same = (earlier.shape, earlier.dtype) == (variable.shape, variable.dtype)
        return other if same else None

    def is_unchanged(self, row: int, other: int) -> bool:
        """Whether checksums say that the variable is what it was in the column before."""
        assert self.before is not None
        checksum = self.listed.checksums[row]
        return bool(checksum >= 0 and checksum == self.before.listed.checksums[other])

    def take_statistics(self, cache: Cache, wanted: Sequence[Variable]) -> None:
        """Take points from statistics that were measured before, for other purposes."""
        from ckptviewer.analysis.remembered import Remembered

        rows = self.listed.rows
        unknown = [v.key for v in wanted if math.isnan(self.points[rows[v.key], 0])]
        if not unknown:
            return
        try:
            known = Remembered(self.checkpoint, cache).known(unknown)
        except CkptviewerError:
            return
        for key, statistics in known.items():
            if not statistics.sampled:
                self.points[rows[key]] = point_of(statistics)

    def cells(self, index: int, rows: Sequence[int]) -> Cells:
        """What is known of these rows."""
        return Cells(
            index=index,
            keys=tuple(self.listed.variables[row].key for row in rows),
            points=self.points[list(rows)],
            pairs=self.pairs[list(rows)],
            errors={},
        )


@dataclass(frozen=True, slots=True)
class Work:
    """Rows of one column that are to be measured."""

    index: int
    column: Column
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LaneTask:
    """Variables of one lane in columns that follow each other."""

    lane: int
    works: tuple[Work, ...]
    pairs: bool
    cancel: CancelToken


def perform(task: LaneTask) -> list[Cells]:
    """Measure; each variable that cannot be read gives an error. Raises Cancelled alone."""
    held: dict[str, np.ndarray] = {}
    done: list[Cells] = []
    for work in task.works:
        errors: dict[str, CkptviewerError] = {}
        new: dict[str, np.ndarray] = {}
        for row in work.rows:
            task.cancel.raise_if_cancelled()
            key = work.column.listed.variables[row].key
            try:
                values = _measure(work.column, row, held.pop(key, None), task)
                if values is not None:
                    new[key] = values
            except Cancelled:
                raise
            except CkptviewerError as error:
                errors[key] = error
            except Exception as error:  # one variable must not take the others with it
                text = f"measuring it failed: {type(error).__name__}: {error}"
                errors[key] = CkptviewerError(text, where=key)
        held = new
        work.column.release()
        if work.column.before is not None:
            work.column.before.release()
        cells = work.column.cells(work.index, work.rows)
        cells.errors.update(errors)
        done.append(cells)
    return done


def _measure(
    column: Column, row: int, held: np.ndarray | None, task: LaneTask
) -> np.ndarray | None:
    """Fill the row's point and pair in; returns its values, if they are small enough to hold.

    held: the values in the column before, if somebody holds them.
    """
    other = column.row_before(row)
    before = column.before
    if other is not None and before is not None and column.is_unchanged(row, other):
        known = Point(*before.points[other].tolist())
        if not math.isnan(known.elements):
            column.points[row] = known
            column.pairs[row] = unchanged(known)
            return held
    with_pair = task.pairs and other is not None and before is not None
    variable = column.listed.variables[row]
    measuring = Measuring()
    if _bytes_of(variable) > WHOLE_BYTES:
        _measure_stream(column, row, other if with_pair else None, task)
        return None
    values = column.checkpoint.read(variable).reshape(-1)
    if not with_pair or before is None or other is None:
        measuring.add(values)
        column.points[row] = measuring.point()
        return values
    if held is None:
        held = _values_before(before, other)
    measuring.add(values, held)
    column.points[row] = measuring.point()
    if held is not None:
        earlier = _point_before(before, other, iter((held,)))
        pair = measuring.pair(earlier) or slow_pair(_cut(values, held))
        column.pairs[row] = pair
    return values


def _values_before(before: Column, other: int) -> np.ndarray | None:
    """The values in the column before; None where they cannot be read."""
    try:
        return before.checkpoint.read(before.listed.variables[other]).reshape(-1)
    except CkptviewerError:
        return None


def _point_before(before: Column, other: int, values: Iterable[np.ndarray]) -> Point:
    """The point of the column before: known, or measured now."""
    known = Point(*before.points[other].tolist())
    if not math.isnan(known.elements):
        return known
    measuring = Measuring()
    for part in values:
        measuring.add(part)
    return measuring.point()


def _measure_stream(column: Column, row: int, other: int | None, task: LaneTask) -> None:
    """The same for what is too large to hold: both are read, block beside block."""
    variable, before = column.listed.variables[row], column.before
    if other is not None and before is not None:
        try:
            _measure_beside(column, row, before, other, task)
            return
        except Cancelled:
            raise
        except CkptviewerError:
            pass  # one of the two cannot be read: if it is this one, that is told below
    measuring = Measuring()
    for block in _blocks(column.checkpoint, variable, task.cancel):
        measuring.add(block)
    column.points[row] = measuring.point()


def _measure_beside(column: Column, row: int, before: Column, other: int, task: LaneTask) -> None:
    variable, earlier = column.listed.variables[row], before.listed.variables[other]

    def both() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return _beside(
            _blocks(column.checkpoint, variable, task.cancel),
            _blocks(before.checkpoint, earlier, task.cancel),
        )

    measuring = Measuring()
    for values, others in both():
        measuring.add(values, others)
    again = _blocks(before.checkpoint, earlier, task.cancel)
    pair = measuring.pair(_point_before(before, other, again))
    column.pairs[row] = slow_pair(both()) if pair is None else pair
    column.points[row] = measuring.point()


def _beside(one: Blocks, other: Blocks) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for values, others in zip_longest(one, other):
        if values is None or others is None or values.size != others.size:
            raise DamagedFileError("its values have another length than its shape says")
        yield values, others


def _blocks(checkpoint: Checkpoint, variable: Variable, cancel: CancelToken) -> Blocks:
    """The values in C order and in blocks of one size, whatever the reader gives."""
    if checkpoint.in_order(variable):
        source: Iterable[np.ndarray] = checkpoint.chunks(variable)
    else:
        source = (
            checkpoint.read(variable, region).reshape(-1)
            for region in boxes(variable.shape, 8 * BLOCK_ELEMENTS)
        )
    for block in segments(source, BLOCK_ELEMENTS):
        cancel.raise_if_cancelled()
        yield block


def _cut(one: np.ndarray, other: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, one.size, BLOCK_ELEMENTS):
        yield one[start : start + BLOCK_ELEMENTS], other[start : start + BLOCK_ELEMENTS]


def _bytes_of(variable: Variable) -> int:
    from ckptviewer.checkpoint.dtypes import numpy_dtype

    return variable.element_count * numpy_dtype(variable.dtype).itemsize
