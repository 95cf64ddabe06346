"""Validating in the background: looking at files, asking for consent, running the worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.ui.jobs import Job, Jobs, Report
from ckptviewer.ui.validation_work import (
    Aim,
    Consent,
    Finished,
    Task,
    ask_worker,
    check,
    look,
    see,
    shown_of,
)

if TYPE_CHECKING:
    from ckptviewer.validation.protocol import Event, Outcome

_WORKERS = 2


class Validating(QObject):
    """Does the work of a validation's page; one task at a time.

    looked, not_looked: at a model: a Looked, or the error. seen, not_seen: data: a SeenData, or the
    error. consent_wanted: a Consent; `go_on` takes it back. begun: the Task that runs now.
    heard: an event of the worker. finished: a Finished. inspected, ranked: an Outcome.
    failed: the error, with what there is of an outcome in it. cancelled: it was.
    """

    looked = Signal(object)
    not_looked = Signal(object)
    seen = Signal(object)
    not_seen = Signal(object)
    consent_wanted = Signal(object)
    begun = Signal(object)
    heard = Signal(object)
    finished = Signal(object)
    inspected = Signal(object)
    ranked = Signal(object)
    failed = Signal(object)
    cancelled = Signal()

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs
        self._looking: Job[Any] | None = None
        self._seeing: Job[Any] | None = None
        self._running: Job[Any] | None = None
        self._others: list[Job[Any]] = []

    @property
    def is_running(self) -> bool:
        """Whether a task is being checked or run."""
        return self._running is not None

    # Looking at files; nothing of a model is run.

    def look(self, checkpoint: str, model: str) -> None:
        """Look at what the text names as a model, and tell what would bind."""
        self.forget_model()
        job = self._jobs.start("Looking at the model", lambda _c, _r: look(checkpoint, model))
        self._looking = job
        job.succeeded.connect(self.looked)
        job.failed.connect(self.not_looked)

    def forget_model(self) -> None:
        """What is being looked at is not wanted any more."""
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def see(self, paths: Sequence[str], target: str = "") -> None:
        """Look at data."""
        self.forget_data()
        wanted = tuple(paths)
        job = self._jobs.start("Looking at the data", lambda _c, _r: see(wanted, target))
        self._seeing = job
        job.succeeded.connect(self.seen)
        job.failed.connect(self.not_seen)

    def forget_data(self) -> None:
        """The data that is being looked at is not wanted any more."""
        if self._seeing is not None:
            self._seeing.cancel()
            self._seeing = None

    def aside(
        self,
        work: Callable[[CancelToken], Any],
        then: Callable[[Any], None],
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Do something aside, and hand its result over, or why it failed, while that is wanted."""
        job = self._jobs.start("Files", lambda cancel, _report: work(cancel))
        self._others.append(job)
        job.succeeded.connect(then)
        if failed is not None:
            job.failed.connect(failed)
        job.ended.connect(self._others.remove)

    # Running.

    def start(self, task: Task) -> None:
        """Check all that can be without running anything, and ask for consent."""
        if self.is_running:
            return
        job = self._jobs.start("Checking", lambda cancel, _report: check(task, cancel))
        self._take(job)
        job.succeeded.connect(self._ask)

    def go_on(self, consent: Consent, *, remember: bool) -> None:
        """The user agrees; remember: for this very content."""
        if self.is_running:
            return
        task = consent.task
        work = partial(self._perform, consent, remember and not consent.remembered)
        job: Job[Any] = self._jobs.start(task.label or task.aim.value, work)
        self._take(job)
        self.begun.emit(task)
        result = {
            Aim.VALIDATE: self.finished,
            Aim.INSPECT: self.inspected,
            Aim.IMPACT: self.ranked,
        }[task.aim]
        job.succeeded.connect(result)

    def cancel(self) -> None:
        """End what runs; its process is gone within a second."""
        if self._running is not None:
            self._running.cancel()

    def stop(self) -> None:
        """Nothing is wanted any more."""
        self.forget_model()
        self.forget_data()
        self.cancel()
        for job in list(self._others):
            job.cancel()

    def _take(self, job: Job[Any]) -> None:
        self._running = job
        # First of all: whoever hears of the end may start the next.
        job.succeeded.connect(self._let_go)
        job.failed.connect(self._let_go)
        job.cancelled.connect(self._let_go)
        job.failed.connect(self.failed)
        job.cancelled.connect(self.cancelled)

    def _let_go(self, _result: object = None) -> None:
        self._running = None

    def _ask(self, consent: Consent) -> None:
        if consent.remembered:
            self.go_on(consent, remember=False)
        else:
            self.consent_wanted.emit(consent)

    def _perform(
        self, consent: Consent, remember: bool, cancel: CancelToken, report: Report
    ) -> Finished | Outcome:
        if remember:
            from ckptviewer.validation.approvals import Approvals

            # Where it cannot be remembered it is asked for again, that is all.
            with suppress(CkptviewerError, ValueError):
                Approvals().remember(consent.review.digest, consent.task.recipe.model.path)

        def hear(event: Event) -> None:
            self._jobs.deliver(partial(self._hear, cancel, event))

        if consent.task.aim is not Aim.VALIDATE:
            return ask_worker(consent.task, cancel, report, hear)
        return self._validate(consent, cancel, report, hear)

    def _validate(
        self,
        consent: Consent,
        cancel: CancelToken,
        report: Report,
        hear: Callable[[Event], None],
    ) -> Finished:
        from ckptviewer.validation.validating import remember, validate

        assert consent.validation is not None
        made = validate(
            consent.validation,
            self._jobs.workers,
            _WORKERS,
            cancel=cancel,
            report=report,
            on_event=hear,
            gain_runs=consent.task.gain_runs,
        )
        cancel.raise_if_cancelled()
        earlier = remember(made, consent.task.recipe)
        return Finished(
            task=consent.task, report=made, earlier=tuple(earlier), shown=shown_of(made.outcome)
        )

    def _hear(self, cancel: CancelToken, event: Event) -> None:
        if not cancel.cancelled:
            self.heard.emit(event)
