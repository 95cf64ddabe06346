"""A checkpoint of a run while it is measured: what is known of it, row by row, and its values."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.runs.entry import CheckpointEntry
from ckptviewer.runs.measuring import Point, point_of, unchanged
from ckptviewer.runs.timeline_cache import Listed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ckptviewer.checkpoint.checkpoint import Checkpoint, Places
    from ckptviewer.checkpoint.variable import Variable
    from ckptviewer.storage.cache import Cache


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
        """Keep no file open, nor of the column before, which may have been read again."""
        for column in (self, self.before):
            if column is not None and column._checkpoint is not None:
                column._checkpoint.release()

    def open_and_list(self) -> Listed:
        """Open it and list its variables with their checksums. Raises what opening raises."""
        checkpoint = self.checkpoint
        variables = tuple(checkpoint.variables)
        stored = checkpoint.checksums(variables)
        checksums = np.array([-1 if each is None else each for each in stored], np.int64)
        self.listed = Listed.of(variables, checksums)
        return self.listed

    @cached_property
    def places(self) -> Places | None:
        """Where the values of all variables lie, as far as that can be told."""
        try:
            return self.checkpoint.places(self.listed.variables)
        except CkptviewerError:
            return None  # whoever reads them can tell what is wrong

    def as_stored(self, variables: Sequence[Variable]) -> Sequence[Variable]:
        """Variables in the order in which they lie in the files, as far as that is known."""
        if len(variables) < 2:
            return variables
        try:
            return self.checkpoint.as_stored(variables)
        except CkptviewerError:
            return variables  # whoever reads them can tell what is wrong

    def known(self, with_pair: bool) -> NDArray[np.bool_]:
        """For each row whether nothing is left to do."""
        measured: NDArray[np.bool_] = ~np.isnan(self.points[:, 0])
        if with_pair and self.before is not None:
            measured &= ~np.isnan(self.pairs[:, 0]) | (self.befores < 0)
        return measured

    def row_before(self, row: int) -> int | None:
        """The row of the same variable in the column before, if shape and dtype are the same."""
        if self.before is None:
            return None
        other = self.befores.item(row)
        return other if other >= 0 else None

    @cached_property
    def befores(self) -> NDArray[np.intp]:
        """What `row_before` says of each row while there is a column before; -1 for None."""
        assert self.before is not None
        mine, theirs = self.listed.variables, self.before.listed.variables
        if mine is theirs:
            return np.arange(len(mine))
        rows = [self.before.listed.rows.get(variable.key, -1) for variable in mine]
        return np.array(
            [
                row
                if row >= 0
                and (theirs[row].shape, theirs[row].dtype) == (variable.shape, variable.dtype)
                else -1
                for row, variable in zip(rows, mine, strict=True)
            ],
            np.intp,
        )

    def are_unchanged(self, rows: NDArray[np.intp], others: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Whether checksums say that these variables are what they were in the column before."""
        assert self.before is not None
        checksums = self.listed.checksums[rows]
        same: NDArray[np.bool_] = checksums == self.before.listed.checksums[others]
        return same & (checksums >= 0)

    def take_unchanged(self, rows: NDArray[np.intp]) -> None:
        """Take points from the column before, and pairs of equals."""
        assert self.before is not None
        points = self.before.points[self.befores[rows]]
        self.points[rows] = points
        self.pairs[rows] = unchanged(points[:, Point._fields.index("norm")])

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
