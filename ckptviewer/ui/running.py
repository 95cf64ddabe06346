"""Following a run: new saves as they come, and the timeline in the background."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal

from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.ui.jobs import Job, Jobs, Report
from ckptviewer.ui.loading import loading
from ckptviewer.ui.open_run import Followed, Known, RunMemory

if TYPE_CHECKING:
    from ckptviewer.checkpoint.findings import Finding
    from ckptviewer.runs.entry import Run
    from ckptviewer.runs.timeline_table import Series
    from ckptviewer.runs.watch import Changes, Watch

LOOK_MS = 1000
"""So often the directory is looked at."""

_TELL_SECONDS = 0.3
_LIST_SECONDS = 2.0


class Running(QObject):
    """Looks at a run's directory every second, and follows its variables.

    changed: Changes, at the first look and whenever something is different. listed: Known, the
    variables that there are. learned: there are more numbers. told: findings of the timeline, all
    numbers are there. failed: why the directory cannot be looked at. paused: the timeline was
    cancelled, and is not complete.
    """

    changed = Signal(object)
    listed = Signal(object)
    learned = Signal()
    told = Signal(object)
    failed = Signal(object)
    paused = Signal()

    def __init__(self, jobs: Jobs, directory: str) -> None:
        super().__init__()
        self._jobs = jobs
        self.directory = directory
        self.run: Run | None = None
        self._job: Job[Any] | None = None
        self._memory = RunMemory()
        self._steps = RunMemory()  # the look and the timeline are in different threads
        self._watch: Watch | None = None
        self._unsettled: tuple[str, ...] = ()
        self._first: frozenset[str] = frozenset()
        self._is_looking = self._is_stopped = self._is_stale = False
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self.look)

    def start(self) -> None:
        """Look for the first time, and go on."""
        self._timer.start()
        self.look()

    def stop(self) -> None:
        """Look and follow no more."""
        self._is_stopped = True
        self._timer.stop()
        self.pause()

    def pause(self) -> None:
        """Follow no further, for now."""
        job, self._job = self._job, None
        if job is not None:
            job.cancel()

    def look(self) -> None:
        """Look at the directory now, unless that is being done."""
        if self._is_looking or self._is_stopped:
            return
        self._is_looking = True
        self._jobs.ask(self._look, self._take_look, self._fail)

    def prefer(self, keys: frozenset[str]) -> None:
        """These variables are in sight: a timeline that begins later begins with them."""
        self._first = keys

    def follow(self) -> None:
        """Follow the variables of the run as it is now; what is known already is not read."""
        run = self.run
        if run is None or self._is_stopped:
            return
        if self._job is not None:  # begun anew at each save, it might never come to an end
            self._is_stale = True
            return
        self._is_stale = False
        job = self._jobs.start("Timeline", partial(self._follow, run, self._first))
        self._job = job
        job.succeeded.connect(self._finish)
        job.failed.connect(self._fail)
        job.ended.connect(self._leave)

    def lines(
        self,
        known: Known,
        series: Series,
        choices: Sequence[Followed],
        then: Callable[[list[list[float]]], None],
    ) -> None:
        """Have the numbers of these worked out, and handed to `then`, who draws them."""

        def hand_over(lines: list[list[float]]) -> None:
            loading().when_plots_are_there(
                lambda: None if self._is_stopped else then(lines), self._jobs.courtesy
            )

        self._jobs.ask(partial(known.lines, series, tuple(choices)), hand_over)

    # In a thread.

    def _look(self) -> Changes | None:
        from dataclasses import replace

        from ckptviewer.runs.watch import Watch

        if self._watch is None:
            self._watch = Watch(self.directory)
        changes = self._watch.poll()
        before, self._unsettled = self._unsettled, changes.unsettled
        if not changes.any and changes.unsettled == before:
            return None
        return replace(changes, run=self._steps.with_steps(changes.run))

    def _follow(self, run: Run, first: frozenset[str], cancel: CancelToken, report: Report) -> Any:
        from ckptviewer.runs.timeline_findings import timeline_findings
        from ckptviewer.runs.timeline_table import TimelineTable
        from ckptviewer.storage.cache import Cache

        table = TimelineTable(run.checkpoints)
        listed_count, told, listed_at = -1, time.monotonic(), 0.0
        courteous = self._jobs.courtesy.token(cancel)
        with Cache() as cache:
            for progress in self._memory.follow(
                run.checkpoints,
                table,
                self._jobs.workers,
                first=first,
                cache=cache,
                cancel=courteous,
            ):
                now = time.monotonic()
                count = len(table)
                if count != listed_count and now - listed_at > _LIST_SECONDS:
                    listed_count, listed_at = count, now
                    self._tell(cancel, self.listed.emit, Known(table))
                if now - told > _TELL_SECONDS:
                    told = now
                    report(progress)
                    self._tell(cancel, self.learned.emit)
        if len(table) != listed_count:
            self._tell(cancel, self.listed.emit, Known(table))
        return timeline_findings(table)

    def _tell(self, cancel: CancelToken, emit: Callable[..., None], *values: object) -> None:
        def tell() -> None:
            if not cancel.cancelled and not self._is_stopped:
                emit(*values)

        self._jobs.deliver(tell)

    # Back in the GUI thread.

    def _take_look(self, changes: Changes | None) -> None:
        self._is_looking = False
        if changes is None or self._is_stopped:
            return
        before, self.run = self.run, changes.run
        self.changed.emit(changes)
        if before is None or before.checkpoints != changes.run.checkpoints:
            self.follow()

    def _finish(self, findings: list[Finding]) -> None:
        if not self._is_stopped:
            self.told.emit(findings)

    def _leave(self, job: Job[Any]) -> None:
        if job is self._job:
            self._job = None
        if self._is_stopped:
            return
        if self._is_stale:
            self.follow()
        elif job.token.cancelled:
            self.paused.emit()

    def _fail(self, error: BaseException) -> None:
        self._is_looking = False
        if not self._is_stopped:
            self.failed.emit(error)
