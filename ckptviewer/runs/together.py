"""Variables followed through several checkpoints by compiled loops, which read by themselves.

Where training moves many variables, asking for each of each save takes longer than its sums, and
threads that ask wait for each other. One call goes through all of a lane, a piece of a variable
from one save after the other, while what is before stays in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from ckptviewer.analysis import update_kernel
from ckptviewer.analysis.update_compiled import Followed
from ckptviewer.checkpoint.errors import Cancelled, CkptviewerError
from ckptviewer.runs.measuring import Pair, Point, are_far
from ckptviewer.storage.reading_loops import read_function

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ckptviewer.analysis.update_compiled import CompiledUpdates
    from ckptviewer.checkpoint.progress import CancelToken
    from ckptviewer.checkpoint.variable import Variable
    from ckptviewer.runs.column import Column, Work

MOST_ELEMENTS = 4 << 20
"""Larger variables are measured one by one, in blocks: their values are not held."""

_MOST_FILES = 256
_SHARE_OF_FILES = 4
_ITEM_BYTES = 4
_ALIGNED_ELEMENTS = 16
_ELEMENTS, _NAN, _INF, _NORM = map(Point._fields.index, ("elements", "nan", "inf", "norm"))


def goes_together(variable: Variable) -> bool:
    """Whether a variable may be among those that are measured together, by itself."""
    return variable.dtype == "float32" and variable.element_count <= MOST_ELEMENTS


def most_files() -> int:
    """How many files may be open at once, next to those of the other lanes and of the window."""
    try:
        import resource
    except ImportError:  # Windows allows thousands
        return _MOST_FILES
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(_MOST_FILES, allowed // _SHARE_OF_FILES) if allowed >= 0 else _MOST_FILES


def measure_together(
    works: Sequence[Work], held: dict[str, np.ndarray], cancel: CancelToken
) -> list[set[int]]:
    """Fill points and pairs in of the rows that can be measured so; which, for each work.

    works: of columns that follow each other. held: values of the column before the first, flat, by
    key, as far as they are at hand; then those of the last save to which a variable was followed.
    Raises Cancelled alone: what cannot be read, or is not finite, is left to who does it singly.
    """
    nothing: list[set[int]] = [set() for _ in works]
    column = works[0].column
    rows = [row for row in works[0].rows if goes_together(column.listed.variables[row])]
    if not rows or (column.before is not None and not column.before.listed.variables):
        return nothing
    if sum(len(work.column.entry.files) for work in works) > most_files():
        return nothing
    lane = _Lane(works, np.array(rows, np.intp))
    loops = update_kernel.compiled_for(int(lane.sizes.sum()) * _ITEM_BYTES * len(works))
    if loops is None or not loops.takes_many:
        return nothing
    spoiled: Iterable[str] = lane.keys
    done = nothing
    try:
        with ExitStack() as files:
            lane.borrow(held, files)
            sums = lane.follow(held, loops, cancel)
        done, spoiled = lane.measured(sums)
    except Cancelled:
        raise
    except (CkptviewerError, MemoryError):
        pass  # a file was changed while it was read: nothing of it counts
    for key in spoiled:
        held.pop(key, None)
    return done


class _Lane:
    """Variables of the first work, and how far they can be followed through all of them.

    Matrices have a row for each work, and a column for each variable.
    """

    def __init__(self, works: Sequence[Work], rows: NDArray[np.intp]) -> None:
        column = works[0].column
        variables = [column.listed.variables[row] for row in rows.tolist()]
        self._works = works
        self.keys = [variable.key for variable in variables]
        self.sizes = np.array([variable.element_count for variable in variables], np.int64)
        shape = len(works), len(rows)
        self._rows = np.full(shape, -1, np.intp)
        self._rows[0] = rows
        self._followed = np.zeros(shape, bool)
        self._same = np.zeros(shape, bool)
        # Readings have a row more: the first is of the column before, where its values are needed.
        self._reads = np.zeros((shape[0] + 1, shape[1]), bool)
        self._places = np.zeros((3, *self._reads.shape), np.int64)
        self._new = np.zeros(len(rows), bool)

    def borrow(self, held: dict[str, np.ndarray], files: ExitStack) -> None:
        """Find out what is to be read, and where it lies in open files.

        Makes room in `held` for what was not held.
        """
        before = self._works[0].column.before
        is_held = np.array([_fits(held.get(k), n) for k, n in self._sized()], bool)
        follows = self._are_known() if before is not None else np.ones(len(self.keys), bool)
        for place, work in enumerate(self._works):
            if place and not self._go_on(place):
                break
            rows = self._rows[place]
            follows &= rows >= 0
            if work.column.before is not None:
                others = work.column.befores[rows]
                follows &= others == self._rows[place - 1] if place else others >= 0
                self._same[place] = follows & work.column.are_unchanged(rows, others)
            wanted = follows & ~self._same[place]
            self._borrow(place + 1, work.column, rows, wanted, files)
            follows &= self._same[place] | self._reads[place + 1]
            self._followed[place] = follows
        if before is not None:
            wanted = self._reads.any(axis=0) & ~is_held
            rows = self._works[0].column.befores[self._rows[0]]
            self._borrow(0, before, rows, wanted, files)
            lost = wanted & ~self._reads[0]
            self._reads[:, lost] = self._followed[:, lost] = False
        self._new = self._reads.any(axis=0) & ~is_held
        held |= self._room()

    def _room(self) -> dict[str, np.ndarray]:
        """Memory for the values of what was not held; in one piece, which is had much faster."""
        new = np.flatnonzero(self._new)
        sizes = self.sizes[new] + -self.sizes[new] % _ALIGNED_ELEMENTS
        ends = sizes.cumsum().tolist()
        room = np.empty(sum(sizes.tolist()), np.float32)
        starts = [0, *ends[:-1]]
        return {
            self.keys[at]: room[start : start + self.sizes.item(at)]
            for at, start in zip(new.tolist(), starts, strict=False)
        }

    def _sized(self) -> zip[tuple[str, int]]:
        return zip(self.keys, self.sizes.tolist(), strict=True)

    def _are_known(self) -> NDArray[np.bool_]:
        """Of which variables the point before is known, and has finite values alone."""
        column = self._works[0].column
        assert column.before is not None
        others = column.befores[self._rows[0]]
        known = column.before.points[others]
        finite: NDArray[np.bool_] = (known[:, _NAN] == 0) & (known[:, _INF] == 0)
        finite &= (known[:, _ELEMENTS] == self.sizes) & (others >= 0)
        return finite

    def _go_on(self, place: int) -> bool:
        """Find the rows of a work that is not the first; whether it follows the one before it."""
        work, last = self._works[place], self._works[place - 1]
        if work.column.before is not last.column:
            return False
        if work.rows == last.rows and work.column.listed.variables is last.column.listed.variables:
            self._rows[place] = self._rows[place - 1]
        else:
            among, rows = set(work.rows), work.column.listed.rows
            found = [rows.get(key, -1) for key in self.keys]
            self._rows[place] = [row if row in among else -1 for row in found]
        return True

    def _borrow(
        self,
        place: int,
        column: Column,
        rows: NDArray[np.intp],
        wanted: NDArray[np.bool_],
        files: ExitStack,
    ) -> None:
        """Where the variables that are wanted lie in a checkpoint, as far as that can be told."""
        places = column.places if wanted.any() else None
        if places is None:
            return
        numbers = places.files[rows]
        wanted = wanted & (numbers >= 0) & (places.sizes[rows] == self.sizes * _ITEM_BYTES)
        ends = places.offsets[rows] + places.sizes[rows]
        for number in set(numbers[wanted].tolist()):
            at = wanted & (numbers == number)
            try:
                lent = column.checkpoint.lent(number, ends[at].max().item())
                descriptor = files.enter_context(lent)
            except CkptviewerError:
                continue  # who reads the variables one by one can tell which it is
            self._reads[place, at] = True
            self._places[0, place, at] = descriptor
        self._places[1:, place] = places.offsets[rows], places.crcs[rows]

    def follow(
        self, held: Mapping[str, np.ndarray], loops: CompiledUpdates, cancel: CancelToken
    ) -> NDArray[Any]:
        """Read and measure: MANY's rows, by variables. Raises Cancelled."""
        counts = self._reads.sum(axis=0)
        read = np.flatnonzero(counts)
        variables, readings = np.nonzero(self._reads.T)
        descriptors, offsets, _ = self._places[:, readings, variables]
        return loops.follow(
            Followed(
                sizes=self.sizes[read],
                befores=np.array([_address(held[self.keys[at]]) for at in read], np.int64),
                ends=counts[read].cumsum(),
                descriptors=descriptors,
                offsets=offsets,
            ),
            read_function(),
            cancel.raise_if_cancelled,
        )

    def measured(self, sums: NDArray[Any]) -> tuple[list[set[int]], list[str]]:
        """Fill in what was read right, up to the first that was not.

        Gives for each work the rows that are done, and the keys of which something was not right.
        """
        variables, readings = np.nonzero(self._reads.T)
        with np.errstate(all="ignore"):
            points = _points(sums)
            earlier = self._norms_before(variables, points[:, _NORM])
            pairs = _pairs(sums["square"], points[:, _NORM], earlier)
            has_pair = np.isfinite(sums["square"]) & ~are_far(earlier, points[:, _NORM])
        has_pair |= self._new[variables] & _are_first(variables)  # before them there was nothing
        crcs = self._places[2, readings, variables]
        right = np.ones(self._reads.shape, bool)
        right[readings, variables] = (
            (sums["added"] == self.sizes[variables]) & (sums["crc"] == crcs) & has_pair
        )
        numbers = np.zeros(self._reads.shape, np.intp)
        numbers[readings, variables] = np.arange(len(variables))
        followed = np.logical_and.accumulate(right)[1:] & self._followed
        done = []
        for place, (work, good) in enumerate(zip(self._works, followed, strict=True)):
            column, rows = work.column, self._rows[place]
            read, same = good & ~self._same[place], good & self._same[place]
            column.points[rows[read]] = points[numbers[place + 1, read]]
            if column.before is not None:
                column.pairs[rows[read]] = pairs[numbers[place + 1, read]]
                if same.any():
                    column.take_unchanged(rows[same])
            done.append(set(rows[good].tolist()))
        return done, [self.keys[at] for at in np.flatnonzero(~right.all(axis=0))]

    def _norms_before(
        self, variables: NDArray[np.intp], norms: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The norm in the save before, of each reading; where there is none anything."""
        before = np.roll(norms, 1)
        column = self._works[0].column
        if column.before is not None:
            first = _are_first(variables)
            others = column.befores[self._rows[0, variables[first]]]
            before[first] = column.before.points[others, _NORM]
        return before


def _are_first(variables: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which readings are the first of their variable."""
    first: NDArray[np.bool_] = np.diff(variables, prepend=-1) > 0
    return first


def _fits(values: np.ndarray | None, size: int) -> bool:
    """Whether these may be replaced by so many: the loops would write beyond others."""
    return values is not None and values.dtype == np.float32 and values.size == size


def _points(sums: NDArray[Any]) -> NDArray[np.float64]:
    """A Point's fields in each row; see Measuring.point."""
    count, low, high = sums["added"], sums["low"], sums["high"]
    mean = np.where(low == high, low, sums["mean"])
    spread = np.where(low == high, 0.0, sums["spread"])
    norm = np.sqrt(spread + count * mean * mean)
    told = {
        "elements": count, "nan": 0, "inf": 0, "zero": sums["zero"], "min": low, "max": high,
        "mean": mean, "std": np.sqrt(spread / count), "norm": norm,
    }  # fmt: skip
    return _rows(len(sums), Point._fields, told)


def _pairs(
    square: NDArray[np.float64], after: NDArray[np.float64], before: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A Pair's fields in each row; see Measuring.pair."""
    dot = (after * after + before * before - square) / 2
    told = {"delta": np.sqrt(square), "dot": dot, "before": before, "after": after}
    return _rows(len(square), Pair._fields, told)


def _rows(count: int, fields: tuple[str, ...], told: Mapping[str, Any]) -> NDArray[np.float64]:
    rows = np.empty((count, len(fields)))
    for column, name in enumerate(fields):
        rows[:, column] = told[name]
    return rows


def _address(values: np.ndarray) -> int:
    address: int = values.__array_interface__["data"][0]
    return address
