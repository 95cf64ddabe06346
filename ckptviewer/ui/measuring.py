"""Measuring: the statistics of all rows in the background, those in sight first."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from ckptviewer.analysis.sketch import Sketch, sketch_of
from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.ui.jobs import Job, Jobs, Report
from ckptviewer.ui.session import Session

if TYPE_CHECKING:
    from ckptviewer.analysis.remembered import Remembered
    from ckptviewer.analysis.statistics import Statistics
    from ckptviewer.storage.cache import Cache

READ_UNASKED_BYTES = 2_000_000_000
"""Of a larger checkpoint only the rows in sight are measured unasked."""

MEASURED_UNASKED = 20_000
"""Of a checkpoint with more variables, too: what so many small ones take is not reading."""

_TELL_SECONDS = 0.15
_KEPT_TOGETHER = 64


class Measuring(QObject):
    """Fills the sketches of a session.

    measured: the rows (of the checkpoint's list) that have got a sketch, or an error, just now.
    paused: nothing is being measured any more, for now. reads_unasked: "sight" for the rows in
    sight alone, "some" for all of what is not too large, "all"; counts from the next start.
    """

    measured = Signal(list)
    paused = Signal()

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs
        self.reads_unasked = "some"
        self._session: Session | None = None
        self._job: Job[None] | None = None
        self._schedule: Any = None
        self._cache: Cache | None = None
        self._wanted: list[int] = []
        self._all_wanted = False
        self._begin_again = False

    def start(self, session: Session) -> None:
        """Measure another checkpoint; what was measured of the last one is dropped."""
        self.stop()
        self._session = session
        self._wanted = []
        self._all_wanted = self._reads_all(session)
        if self._all_wanted:
            self._measure(range(len(session.checkpoint.variables)))

    @property
    def all_wanted(self) -> bool:
        """Whether all variables have been measured, or will be unless somebody cancels."""
        return self._all_wanted

    def measure_all(self) -> None:
        """Measure all variables, however large the checkpoint is."""
        session = self._session
        if session is None:
            return
        self._all_wanted = True
        if self._job is not None:
            self._begin_again = True
            self._job.cancel()
        else:
            self._measure(range(len(session.checkpoint.variables)))
            self.prefer(self._wanted)

    def _reads_all(self, session: Session) -> bool:
        if self.reads_unasked != "some":
            return self.reads_unasked == "all"
        few = len(session.checkpoint.variables) <= MEASURED_UNASKED
        return few and session.total_bytes <= READ_UNASKED_BYTES

    def stop(self) -> None:
        """Measure nothing more."""
        if self._job is not None:
            self._job.cancel()
        self._job, self._schedule, self._session = None, None, None
        self._begin_again = False

    def close(self) -> None:
        """Stop, and give the cache back."""
        self.stop()
        if self._cache is not None:
            self._cache.close()

    def prefer(self, rows: Sequence[int]) -> None:
        """These rows are in sight: do them next, or at all."""
        session = self._session
        if session is None:
            return
        self._wanted = list(rows)
        missing = [row for row in rows if row not in session.sketches]
        if self._schedule is not None:
            self._schedule.prefer([session.checkpoint.variables[row].key for row in missing])
        elif self._job is None and missing and not self._all_wanted:
            self._measure(missing)

    def _measure(self, rows: Sequence[int]) -> None:
        session = self._session
        assert session is not None
        variables = session.checkpoint.variables
        chosen = {
            variables[row].key: row
            for row in rows
            if row not in session.sketches and kind_of(variables[row].dtype) is not Kind.OPAQUE
        }
        if not chosen:
            self.paused.emit()
            return

        def work(cancel: CancelToken, report: Report) -> None:
            for rows_done in self._run(session, chosen, cancel, report):
                self._jobs.deliver(partial(self._tell, session, rows_done))

        job = self._jobs.start("Statistics", work)
        self._job = job
        job.ended.connect(self._forget)

    def _run(
        self, session: Session, chosen: dict[str, int], cancel: CancelToken, report: Report
    ) -> Iterator[list[int]]:
        """Fill the session's sketches; yields the rows that got theirs, now and then."""
        from ckptviewer.analysis.scheduling import Schedule

        checkpoint = session.checkpoint
        remembered = self._remembered(session)
        known = remembered.known(chosen)
        for key, statistics in known.items():
            session.sketches[chosen[key]] = sketch_of(checkpoint[key], statistics)
        yield [chosen[key] for key in known]
        missing = [checkpoint[key] for key in chosen if key not in known]
        token = self._jobs.courtesy.token(cancel)
        schedule = Schedule(checkpoint, missing, cancel=token)
        self._schedule = schedule
        done: list[int] = []
        measured: dict[str, Statistics] = {}
        told = time.monotonic()
        try:
            for key, outcome in schedule.run(self._jobs.workers):
                token.raise_if_cancelled()
                row = chosen[key]
                if isinstance(outcome, CkptviewerError):
                    session.sketches[row] = Sketch(heights=(), text="", summary="", mark=None)
                    session.problems.setdefault(key, outcome.what)
                else:
                    session.sketches[row] = sketch_of(checkpoint[key], outcome)
                    measured[key] = outcome
                done.append(row)
                if time.monotonic() - told > _TELL_SECONDS:
                    told = time.monotonic()
                    report(schedule.progress)
                    yield done
                    done = []
                if len(measured) >= _KEPT_TOGETHER:
                    remembered.keep(measured)
                    measured = {}
        finally:
            remembered.keep(measured)
        yield done

    def _remembered(self, session: Session) -> Remembered:
        if session.remembered is None:
            from ckptviewer.analysis.remembered import Remembered
            from ckptviewer.storage.cache import Cache

            if self._cache is None:
                self._cache = Cache()
            session.remembered = Remembered(session.checkpoint, self._cache)
        return session.remembered

    def _tell(self, session: Session, rows: list[int]) -> None:
        if session is self._session and rows:
            self.measured.emit(rows)

    def _forget(self, job: Job[None]) -> None:
        if job is not self._job:
            return
        self._job, self._schedule = None, None
        if self._begin_again:
            self._begin_again = False
            self.measure_all()
            return
        if job.token.cancelled:
            self._all_wanted = False
        else:
            self.prefer(self._wanted)  # others may have come into sight meanwhile
        self.paused.emit()
