"""TimelineTable: what a timeline has told so far, and the series that are drawn and printed of it.

A row a variable, a column a checkpoint. A group or a role is a set of rows taken as one vector.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.text import natural_keys
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.runs.entry import CheckpointEntry
from ckptviewer.runs.measuring import NO_PAIR, NOTHING, Pair, Point
from ckptviewer.runs.timeline import Cells, ColumnListed, Event

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]


class Series(StrEnum):
    """What can be followed over the steps.

    NORM, MEAN, STD, MIN, MAX are over finite values. NAN counts the NaN. SPARSITY is the share of
    zeros. UPDATE is the norm of the difference from the save before, over the norm of what it was;
    COSINE that of the angle between the two.
    """

    NORM = "norm"
    MEAN = "mean"
    STD = "std"
    MIN = "min"
    MAX = "max"
    NAN = "nan"
    SPARSITY = "sparsity"
    UPDATE = "update"
    COSINE = "cosine"

    @property
    def needs_pairs(self) -> bool:
        """Whether neighbours have to be compared for it."""
        return self in (Series.UPDATE, Series.COSINE)


class TimelineTable:
    """Takes in what a Timeline yields, in one thread; NaN where nothing is known, or nothing is.

    entries: the columns. errors: why cells are missing: by column for a whole checkpoint, by
    (column, key) for one variable.
    """

    def __init__(self, entries: Sequence[CheckpointEntry]) -> None:
        self.entries = tuple(entries)
        self.errors: dict[int | tuple[int, str], CkptviewerError] = {}
        self._row_of: dict[str, int] = {}
        self._variables: list[Variable] = []
        self._points = np.empty((0, len(self.entries), len(NOTHING)))
        self._pairs = np.empty((0, len(self.entries), len(NO_PAIR)))
        self._listed: dict[int, frozenset[str]] = {}
        self._last: tuple[tuple[Variable, ...], frozenset[str]] = (), frozenset()
        self._sorted: list[int] = []

    def take(self, event: Event) -> None:
        """Take in a column, or cells."""
        if isinstance(event, ColumnListed):
            self._take_column(event)
        else:
            self._take_cells(event)

    def __len__(self) -> int:
        """How many variables there are so far."""
        return len(self._variables)

    @property
    def variables(self) -> list[Variable]:
        """One of each key that any checkpoint has, in natural order: as the last one has it."""
        return [self._variables[row] for row in self._order()]

    def variable(self, key: str) -> Variable:
        """The variable of that key. Raises KeyError."""
        return self._variables[self._row_of[key]]

    def has(self, key: str, column: int) -> bool:
        """Whether that checkpoint has the variable."""
        return key in self._listed.get(column, ())

    def point(self, key: str, column: int) -> Point:
        """All that is known of one cell."""
        return Point(*self._points[self._row_of[key], column].tolist())

    def pair(self, key: str, column: int) -> Pair:
        """The same of it and the column before."""
        return Pair(*self._pairs[self._row_of[key], column].tolist())

    def series(self, series: Series, key: str) -> Matrix:
        """One variable's numbers: a float64 for each column."""
        found: Matrix = self.matrix(series, (key,))[0]
        return found

    def matrix(self, series: Series, keys: Iterable[str] | None = None) -> Matrix:
        """The heat map: float64, a row for each key (of `variables` unless given), all columns."""
        rows = self._order() if keys is None else [self._row_of[key] for key in keys]
        return _cells(series, self._points[rows], self._pairs[rows])

    def not_finite(self, keys: Iterable[str]) -> Matrix:
        """How many NaN and infinities each cell has: a row for each key, all columns."""
        points = self._points[[self._row_of[key] for key in keys]]
        return np.asarray(points[..., _FIELDS["nan"]] + points[..., _FIELDS["inf"]])

    def together(self, series: Series, keys: Iterable[str]) -> Matrix:
        """Several variables taken as one vector, a group or a role: a float64 for each column.

        A column counts those that the checkpoint has and that could be read; an update and a
        cosine those that the one before has, too.
        """
        rows = [self._row_of[key] for key in keys]
        return _pooled(series, self._points[rows], self._pairs[rows])

    def _order(self) -> list[int]:
        if len(self._sorted) != len(self._variables):
            keys = natural_keys(variable.key for variable in self._variables)
            self._sorted = sorted(range(len(keys)), key=keys.__getitem__)
        return self._sorted

    def _take_column(self, event: ColumnListed) -> None:
        if event.error is not None:
            self.errors[event.index] = event.error
        if event.variables != self._last[0]:  # mostly they are those of the column before
            self._take_variables(event.variables)
            self._last = event.variables, frozenset(each.key for each in event.variables)
        self._listed[event.index] = self._last[1]

    def _take_variables(self, variables: Iterable[Variable]) -> None:
        for variable in variables:
            row = self._row_of.setdefault(variable.key, len(self._variables))
            if row == len(self._variables):
                self._variables.append(variable)
            else:
                self._variables[row] = variable
        missing = len(self._variables) - len(self._points)
        if missing > 0:
            missing = max(missing, len(self._points))  # to double it is to copy seldom
            self._points = _grown(self._points, missing)
            self._pairs = _grown(self._pairs, missing)

    def _take_cells(self, cells: Cells) -> None:
        rows = [self._row_of[key] for key in cells.keys]
        self._points[rows, cells.index] = cells.points
        self._pairs[rows, cells.index] = cells.pairs
        for key, error in cells.errors.items():
            self.errors[cells.index, key] = error


def _grown(cells: Matrix, rows: int) -> Matrix:
    more = np.full((rows, *cells.shape[1:]), math.nan)
    return np.concatenate([cells, more])


_FIELDS = {name: at for at, name in enumerate(Point._fields)}
_PAIR_FIELDS = {name: at for at, name in enumerate(Pair._fields)}


def _cells(series: Series, points: Matrix, pairs: Matrix) -> Matrix:
    """The series of each row by itself."""
    if series in (Series.UPDATE, Series.COSINE):
        delta, dot, before, after = (pairs[..., at] for at in range(len(_PAIR_FIELDS)))
        return _update(delta, before) if series is Series.UPDATE else _cosine(dot, before, after)
    if series is Series.SPARSITY:
        with np.errstate(all="ignore"):
            shares: Matrix = points[..., _FIELDS["zero"]] / points[..., _FIELDS["elements"]]
        return shares
    return points[..., _FIELDS[series.value]].copy()


def _pooled(series: Series, points: Matrix, pairs: Matrix) -> Matrix:
    """The series of all rows as one vector."""
    if series in (Series.UPDATE, Series.COSINE):
        delta, dot, before, after = (pairs[..., at] for at in range(len(_PAIR_FIELDS)))
        roots = [np.sqrt(_total(each * each)) for each in (delta, before, after)]
        if series is Series.UPDATE:
            return _update(roots[0], roots[1])
        return _cosine(_total(dot), roots[1], roots[2])
    elements, nan, inf, zero, low, high, mean, std, norm = (
        points[..., at] for at in range(len(_FIELDS))
    )
    numbers = elements - nan - inf
    with np.errstate(all="ignore"):
        if series is Series.NORM:
            return np.asarray(np.sqrt(_total(norm * norm)))
        if series is Series.NAN:
            return _total(nan)
        if series is Series.SPARSITY:
            return np.asarray(_total(zero) / _total(elements))
        if series in (Series.MIN, Series.MAX):
            reduce = np.fmin if series is Series.MIN else np.fmax
            extremes: Matrix = reduce.reduce(
                low if series is Series.MIN else high, axis=0, initial=math.nan
            )
            return extremes
        count = _total(np.where(np.isnan(mean), 0.0, numbers))
        pooled: Matrix = _total(numbers * mean) / count
        if series is Series.MEAN:
            return pooled
        about = _total(numbers * (std * std + (mean - pooled) ** 2))
        return np.asarray(np.sqrt(about / count))


def _total(cells: Matrix) -> Matrix:
    """The sum of each column over what is known; NaN where nothing is."""
    known = ~np.isnan(cells)
    total = np.where(known, cells, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total, math.nan)


def _update(delta: Matrix, before: Matrix) -> Matrix:
    """What did not change, zeros included, has an update of 0."""
    with np.errstate(all="ignore"):
        return np.where(delta == 0, 0.0, delta / before)


def _cosine(dot: Matrix, before: Matrix, after: Matrix) -> Matrix:
    with np.errstate(all="ignore"):
        cosine = dot / (before * after)
    return np.where(np.isfinite(cosine), np.clip(cosine, -1.0, 1.0), math.nan)
