"""Planning: the plan of an export follows the choices, at once where it can, else in a thread."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.ui.jobs import Job, Jobs, Report
from ckptviewer.ui.planned import Planned, Tick, make_planned
from ckptviewer.ui.session import Session

if TYPE_CHECKING:
    from ckptviewer.export.choices import Choices

PLANNED_IN_PLACE = 2_000
"""Up to so many variables a plan is quicker made than handed to a thread."""


class Planning(QObject):
    """Makes plans, one at a time; choices that change meanwhile are planned next.

    planned: the plan for the choices as they are now. failed: why there is none for them.
    """

    planned = Signal(object)
    failed = Signal(object)

    def __init__(self, jobs: Jobs, session: Session, choices: Choices) -> None:
        super().__init__()
        self._jobs = jobs
        self._session = session
        self._choices = choices
        self._ticks: list[Tick] = []
        self._job: Job[Planned] | None = None
        self._is_stale = False
        self.current: Planned | None = None

    @property
    def is_settled(self) -> bool:
        """Whether `current` is the plan for the choices as they are now."""
        return self._job is None and not self._is_stale

    def choose(self, choices: Choices) -> None:
        """Plan by other choices; ticks that were made since the last plan go with the old ones."""
        self._ticks.clear()
        self._choices = choices
        self._plan()

    def choose_but_ticks(self, choices: Choices) -> None:
        """Plan by other choices, and let the ticks and the selection be what they are."""
        old = self._choices
        self._choices = replace(choices, ticks=old.ticks, selected=old.selected)
        self._plan()

    def tick(self, tick: Tick) -> None:
        """Plan with another tick."""
        self._ticks.append(tick)
        self._plan()

    def stop(self) -> None:
        """Nothing is wanted any more."""
        job, self._job = self._job, None
        if job is not None:
            job.cancel()

    def _plan(self) -> None:
        self._is_stale = True
        if self._job is not None:
            return
        self._is_stale = False
        session, choices, ticks = self._session, self._choices, tuple(self._ticks)
        if len(session.checkpoint.variables) <= PLANNED_IN_PLACE:
            try:
                planned = make_planned(session.checkpoint, session.tree, choices, ticks)
            except CkptviewerError as error:
                self._fail(error)
            else:
                self._take(planned, choices, len(ticks))
            return

        def work(_cancel: CancelToken, _report: Report) -> Planned:
            return make_planned(session.checkpoint, session.tree, choices, ticks)

        job = self._jobs.start("Planning", work)
        self._job = job
        job.succeeded.connect(lambda planned: self._take(planned, choices, len(ticks)))
        job.failed.connect(self._fail)
        job.cancelled.connect(self._let_go)

    def _take(self, planned: Planned, choices: Choices, ticks: int) -> None:
        self._job = None
        if self._choices is choices:
            self._choices = planned.choices
            del self._ticks[:ticks]
        if self._is_stale:
            self._plan()
            return
        self.current = planned
        self.planned.emit(planned)

    def _fail(self, error: BaseException) -> None:
        self._job = None
        if self._is_stale:
            self._plan()
            return
        self.current = None
        self.failed.emit(error)

    def _let_go(self) -> None:
        """Somebody cancelled all that was running, and meant something else."""
        if self._job is not None:
            self._job = None
            self._plan()
