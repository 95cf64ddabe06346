"""Timeline: how each variable moved over the checkpoints of a run, read as little as possible.

A variable whose stored checksum is that of the save before is not read again; what was measured
once comes from the cache. Everything else is read once, beside the values of the save before.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.progress import CancelToken, LinkedToken, Progress
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.runs.column import Cells, Column, Work
from ckptviewer.runs.entry import CheckpointEntry
from ckptviewer.runs.lanes import Held, LaneTask, perform
from ckptviewer.runs.measuring import is_measured
from ckptviewer.runs.timeline_cache import (
    PAIR_FIELDS,
    POINT_FIELDS,
    SETTLE_SECONDS,
    Listed,
    TimelineCache,
)
from ckptviewer.runs.together import goes_together, most_files

if TYPE_CHECKING:
    from ckptviewer.storage.cache import Cache

__all__ = ["Cells", "Choice", "ColumnListed", "Event", "Timeline"]

COLUMNS_AT_ONCE = 16
"""So many checkpoints are open at a time; a task goes through as many."""

FIRST_COLUMNS = 8
"""The first group is smaller, that workers need not wait for it; then each is twice as large."""

LEAST_LANE_BYTES, MOST_LANE_BYTES = 4 << 20, 16 << 20
"""What a lane has of a checkpoint, between these: for each worker one, if that is possible."""

SHARED_BYTES = 4 << 20
"""Where less is read at once on the average, nothing is shared out among workers: handing Python's
lock to and fro each time would take more than a second core gives."""

HELD_BYTES = 128 << 20
"""Of checkpoints up to this size all values are held from one group of columns to the next, and
files stay open until all lanes of a group have been through."""

_LANE_VARIABLES = 256
_ANY = sys.maxsize
_HOLD_SECONDS = 1.0
_POLL_SECONDS = 0.02

Choice = Callable[[Sequence[Variable]], Sequence[Variable]]
"""Of the variables of one checkpoint those that are wanted."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ColumnListed:
    """A checkpoint's variables are known: those that are wanted and have numbers.

    index: of the checkpoint in `Timeline.entries`.
    variables: in natural order of their keys; none where it cannot be opened.
    error: why it cannot be opened.
    """

    index: int
    entry: CheckpointEntry
    variables: tuple[Variable, ...]
    error: CkptviewerError | None = None


Event = ColumnListed | Cells
"""What a timeline yields: a column before its cells."""


@dataclass(slots=True)
class _Column:
    """One checkpoint while its cells are made."""

    index: int
    entry: CheckpointEntry
    before: _Column | None
    work: Column
    wanted: tuple[Variable, ...]
    left: int = 0

    def let_go(self) -> None:
        """Drop the column before; else each would hold all that went before it."""
        self.before = None
        self.work.before = None


@dataclass(slots=True)
class _Plan:
    """Tasks that wait, and what is under way."""

    waiting: deque[LaneTask] = field(default_factory=deque)
    under_way: dict[Future[list[Cells]], LaneTask] = field(default_factory=dict)
    busy_lanes: set[int] = field(default_factory=set)
    alone: bool = False
    """Whether the thread that asks does all by itself."""


class Timeline:
    """The points and pairs of some variables over some checkpoints, to be had one by one.

    `run` may be used once. What it yields goes into a TimelineTable, in any thread.
    """

    def __init__(
        self,
        entries: Sequence[CheckpointEntry],
        *,
        choose: Choice | None = None,
        pairs: bool = True,
        cache: Cache | None = None,
        cancel: CancelToken | None = None,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        """
        entries: in their order; those that are not sound are columns with an error.
        choose: which variables; all that have numbers unless given.
        pairs: whether updates and cosines are wanted, for which neighbours are compared.
        settle_seconds: what was written less long ago is not remembered.
        """
        self.entries = tuple(entries)
        self._choose = choose
        self._pairs = pairs
        self._store = TimelineCache(cache, settle_seconds, _HOLD_SECONDS)
        self._cache = cache
        self._cancel = cancel or CancelToken()
        self._stopped = LinkedToken(self._cancel)
        self._columns: dict[int, _Column] = {}
        self._lanes: dict[str, int] = {}
        self._lane_sizes: list[tuple[int, int]] = []
        self._held_by: dict[int, Held] = {}
        self._holds = False
        self._done = 0
        self._listed = 0
        self._listed_columns = 0

    @property
    def progress(self) -> Progress:
        """How many of the cells, a variable of a checkpoint each, are there."""
        known = max(1, self._listed_columns)
        total = self._listed * len(self.entries) // known
        return Progress(done=self._done, total=total, unit="variables", label="timeline")

    def run(self, executor: Executor, workers: int = 2) -> Iterator[Event]:
        """Yield each column, and cells as soon as they are there.

        executor: of threads. workers: how many tasks it works on at a time. Raises Cancelled once
        the token is cancelled; closing the generator is the same. A checkpoint that is deleted or
        damaged gives a column, or cells, with an error. No handle is kept.
        """
        plan = _Plan()
        try:
            before: _Column | None = None
            for group in _groups(len(self.entries)):
                columns: list[_Column] = []
                self._store.look_up(self.entries[index] for index in group)
                for index in group:
                    self._cancel.raise_if_cancelled()
                    listed, column = self._column(index, before)
                    yield listed
                    if column is not None:
                        columns.append(column)
                        before = column
                        yield from self._remembered(column)
                    yield from self._advance(plan, executor, workers, until=_ANY)
                self._plan_tasks(plan, columns, workers)
                # The next columns are opened while the last tasks of these are under way.
                yield from self._advance(plan, executor, workers, until=2 * workers)
            yield from self._advance(plan, executor, workers, until=0)
        finally:
            self._stopped.cancel()
            for future in plan.under_way:
                future.cancel()
            for column in self._columns.values():
                column.work.release()
            self._store.flush()

    def _column(self, index: int, before: _Column | None) -> tuple[ColumnListed, _Column | None]:
        """The column of one checkpoint: remembered, or opened."""
        entry = self.entries[index]
        try:
            if not entry.sound:
                raise CkptviewerError(entry.trouble, where=entry.name)
            stored, pairs = self._store.get(entry, before.entry if before else None)
            work = Column(entry)
            if stored is None:
                listed = work.open_and_list()
                points = np.full((len(listed.variables), POINT_FIELDS), math.nan)
            else:
                listed, points = stored.listed, stored.points
                work.listed = listed
            if pairs is None:
                pairs = np.full((len(listed.variables), PAIR_FIELDS), math.nan)
        except CkptviewerError as error:
            return ColumnListed(index=index, entry=entry, variables=(), error=error), None
        work.points, work.pairs = points, pairs
        work.before = before.work if before else None
        wanted = self._wanted(listed)
        self._listed += len(wanted)
        self._listed_columns += 1
        listed_event = ColumnListed(index=index, entry=entry, variables=wanted)
        return listed_event, _Column(index, entry, before, work, wanted)

    def _wanted(self, listed: Listed) -> tuple[Variable, ...]:
        variables = [variable for variable in listed.variables if is_measured(variable)]
        return tuple(self._choose(variables) if self._choose else variables)

    def _remembered(self, column: _Column) -> Iterator[Cells]:
        """The cells that are known already, and what is left to do noted in `column`."""
        if not self._pairs and self._cache is not None:
            column.work.take_statistics(self._cache, column.wanted)
        is_known = column.work.known(self._pairs).tolist()
        rows = [column.work.listed.rows[variable.key] for variable in column.wanted]
        known = [row for row in rows if is_known[row]]
        if known:
            self._done += len(known)
            yield column.work.cells(column.index, known)

    def _plan_tasks(self, plan: _Plan, columns: Sequence[_Column], workers: int) -> None:
        """Tasks for what is left of these columns: each a lane of variables through all of them."""
        lanes: dict[int, list[Work]] = {}
        sizes = [sum(variable.stored_bytes for variable in each.wanted) for each in columns]
        largest = max(sizes, default=0)
        files = sum(len(column.entry.files) for column in columns)
        self._holds = largest <= HELD_BYTES and files <= most_files()
        share = min(max(largest / workers, LEAST_LANE_BYTES), MOST_LANE_BYTES)
        for column in columns:
            by_lane: dict[int, list[int]] = {}
            rows = column.work.listed.rows
            is_known = column.work.known(self._pairs).tolist()
            left = [variable for variable in column.wanted if not is_known[rows[variable.key]]]
            # What lies together in the file is read together, if it is in one lane.
            new = [variable for variable in left if variable.key not in self._lanes]
            for variable in column.work.as_stored(new):
                self._put_in_lane(variable, share)
            for variable in left:
                by_lane.setdefault(self._lanes[variable.key], []).append(rows[variable.key])
            column.left = len(by_lane)
            if by_lane:
                self._columns[column.index] = column
            else:
                column.let_go()
            for lane, chosen in by_lane.items():
                work = Work(column.index, column.work, tuple(chosen))
                lanes.setdefault(lane, []).append(work)
        if lanes:
            singly = sum(not goes_together(each) for column in columns for each in column.wanted)
            plan.alone = sum(sizes) < SHARED_BYTES * (len(lanes) + singly)
        for lane, works in sorted(lanes.items()):
            held = self._held_by.setdefault(lane, Held()) if self._holds else Held()
            task = LaneTask(lane, tuple(works), self._pairs, self._stopped, held, self._holds)
            plan.waiting.append(task)

    def _put_in_lane(self, variable: Variable, share: float) -> None:
        """Choose the lane that a variable belongs to, at each step. share: bytes for a lane."""
        count, size = self._lane_sizes[-1] if self._lane_sizes else (0, 0)
        if not count or count >= _LANE_VARIABLES or size + variable.stored_bytes / 2 > share:
            self._lane_sizes.append((0, 0))
            count = size = 0
        self._lane_sizes[-1] = count + 1, size + variable.stored_bytes
        self._lanes[variable.key] = len(self._lane_sizes) - 1

    def _advance(
        self, plan: _Plan, executor: Executor, workers: int, until: int
    ) -> Iterator[Cells]:
        """Work until no more than so many tasks are left, waiting or under way."""
        while plan.alone and plan.waiting and not plan.under_way:
            task = plan.waiting.popleft()
            yield from self._finished(task, perform(task))
        while True:
            for future in [future for future in plan.under_way if future.done()]:
                task = plan.under_way.pop(future)
                plan.busy_lanes.discard(task.lane)
                yield from self._finished(task, future.result())
            self._submit(plan, executor, 2 * workers)
            if len(plan.waiting) + len(plan.under_way) <= until:
                return
            wait(plan.under_way, _POLL_SECONDS, FIRST_COMPLETED)
            self._cancel.raise_if_cancelled()

    def _submit(self, plan: _Plan, executor: Executor, most: int) -> None:
        """Hand tasks over; a lane goes on only when its columns before are done."""
        put_off: list[LaneTask] = []
        while plan.waiting and len(plan.under_way) < most:
            task = plan.waiting.popleft()
            if task.lane in plan.busy_lanes:
                put_off.append(task)
                continue
            plan.busy_lanes.add(task.lane)
            plan.under_way[executor.submit(perform, task)] = task
        plan.waiting.extendleft(reversed(put_off))

    def _finished(self, task: LaneTask, found: list[Cells]) -> Iterator[Cells]:
        for cells in found:
            self._done += len(cells.keys)
            yield cells
        self._settle(task)

    def _settle(self, task: LaneTask) -> None:
        """Remember the columns that are complete, and let go of them."""
        for work in task.works:
            column = self._columns[work.index]
            column.left -= 1
            if not column.left:
                del self._columns[work.index]
                column.work.release()
                self._store.keep(
                    column.entry,
                    column.before.entry if column.before else None,
                    column.work.listed,
                    column.work.points,
                    column.work.pairs if self._pairs else None,
                )
                column.let_go()


def _groups(count: int) -> Iterator[range]:
    """Numbers up to `count`, in groups of checkpoints that are gone through together."""
    start, size = 0, FIRST_COLUMNS
    while start < count:
        yield range(start, min(start + size, count))
        start, size = start + size, min(2 * size, COLUMNS_AT_ONCE)
