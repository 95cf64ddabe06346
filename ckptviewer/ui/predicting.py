"""Predicting: what casts would lose, read in the background, and only once."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from ckptviewer.checkpoint.casting import CastLoss
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.export.plan import ExportPlan, Kept
from ckptviewer.ui.jobs import Job, Jobs, Report
from ckptviewer.ui.session import Session

READ_UNASKED = 2_000_000_000

Cast = tuple[str, str]
"""Key of the variable whose values are cast, and the dtype that they are cast to."""


class Predicting(QObject):
    """Knows what each cast loses that was asked for. changed: more is known."""

    changed = Signal()
    failed = Signal(object)

    def __init__(self, jobs: Jobs, session: Session) -> None:
        super().__init__()
        self._jobs = jobs
        self._session = session
        self._known: dict[Cast, CastLoss] = {}
        self._plan: ExportPlan | None = None
        self._job: Job[dict[Cast, CastLoss]] | None = None
        self._job_casts: frozenset[Cast] = frozenset()
        self._may_read_all = False
        self.progress: Progress | None = None
        self.unread_bytes = 0

    @property
    def is_running(self) -> bool:
        return self._job is not None

    def predict(self, plan: ExportPlan | None) -> None:
        """Find out what the casts of a plan lose; up to 2 GB are read unasked."""
        self._plan = plan
        missing = self._missing()
        if self._job is not None:
            if missing and {_cast(each) for each in missing} <= self._job_casts:
                return  # what is being read will tell
            self._stop()
        by_key = self._session.checkpoint.by_key
        self.unread_bytes = sum(by_key[_cast(each)[0]].stored_bytes for each in missing)
        if missing and (self._may_read_all or self.unread_bytes <= READ_UNASKED):
            self._start(missing)
        self.changed.emit()

    def read_all(self) -> None:
        """Read whatever it takes: somebody asked for it."""
        self._may_read_all = True
        self.predict(self._plan)

    def losses(self) -> dict[str, CastLoss] | None:
        """What each variable that is cast loses, by key; None while some of it is not known."""
        if self._plan is None or self._missing():
            return None
        return {each.key: self._known[_cast(each)] for each in self._plan.casts}

    def stop(self) -> None:
        """Nothing is wanted any more."""
        self._plan = None
        self._stop()

    def _missing(self) -> list[Kept]:
        casts = self._plan.casts if self._plan is not None else []
        return [each for each in casts if _cast(each) not in self._known]

    def _start(self, missing: list[Kept]) -> None:
        assert self._plan is not None
        part = replace(self._plan, kept=tuple(missing))
        checkpoint, courtesy = self._session.checkpoint, self._jobs.courtesy

        def work(cancel: CancelToken, report: Report) -> dict[Cast, CastLoss]:
            from ckptviewer.export.casting import predict_cast

            losses = predict_cast(part, checkpoint, cancel=courtesy.token(cancel), report=report)
            return {_cast(each): losses[each.key] for each in missing}

        job = self._jobs.start("Trying the cast", work)
        self._job, self._job_casts = job, frozenset(map(_cast, missing))
        self.progress = None
        job.progressed.connect(self._show_progress)
        job.succeeded.connect(self._take)
        job.failed.connect(self._fail)
        job.cancelled.connect(self._let_go)

    def _take(self, losses: dict[Cast, CastLoss]) -> None:
        self._job = None
        self._known.update(losses)
        self.changed.emit()

    def _fail(self, error: BaseException) -> None:
        self._job = None
        self.failed.emit(error)

    def _let_go(self) -> None:
        if self._job is not None:
            self._job = None
            self.changed.emit()

    def _show_progress(self, progress: Progress) -> None:
        self.progress = progress
        self.changed.emit()

    def _stop(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.cancel()


def _cast(each: Kept) -> Cast:
    return each.taken_from or each.key, each.dtype
