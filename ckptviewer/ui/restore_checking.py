"""The restore check of an export in the window: TensorFlow restores what was written.

Put together here, as exporting and validating know nothing of each other.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.ui.jobs import Job, Jobs, Report
from ckptviewer.ui.likely_files import likely_files
from ckptviewer.ui.settings import Settings
from ckptviewer.ui.validating import Validating
from ckptviewer.ui.validation_work import Aim, Consent, Finished, Looked, Task

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from ckptviewer.export.receipt import Receipt
    from ckptviewer.validation.protocol import ModelSpec


_LABEL = "Restoring with TensorFlow"


class RestoreChecking(QObject):
    """Has TensorFlow restore one checkpoint into a model, in a process of its own.

    offered: paths of models that it is likely of. looked, not_looked: at a model: a Looked, or the
    error. consent_wanted: a Consent; `agree` takes it back. begun: it runs now. heard: an event of
    the worker. finished: a Finished. failed: the error. cancelled: it was.
    """

    offered = Signal(object)
    looked = Signal(object)
    not_looked = Signal(object)
    consent_wanted = Signal(object)
    begun = Signal()
    heard = Signal(object)
    finished = Signal(object)
    failed = Signal(object)
    cancelled = Signal()

    def __init__(self, jobs: Jobs, settings: Settings) -> None:
        """settings: remember the interpreter, which is the one of the validations."""
        super().__init__()
        self._jobs, self._settings = jobs, settings
        self._validating = Validating(jobs)
        self._model: ModelSpec | None = None
        self._searching: Job[str] | None = None
        work = self._validating
        work.looked.connect(self._take_looked)
        work.not_looked.connect(self.not_looked)
        work.consent_wanted.connect(self.consent_wanted)
        work.begun.connect(lambda _task: self.begun.emit())
        work.heard.connect(self.heard)
        work.finished.connect(self.finished)
        work.failed.connect(self.failed)
        work.cancelled.connect(self.cancelled)

    @property
    def is_running(self) -> bool:
        """Whether it is being checked, or is about to be."""
        return self._searching is not None or self._validating.is_running

    def offer_models(self, source: str, written: str) -> None:
        """Look for models beside the source of an export and beside what it wrote."""

        def look(_cancel: CancelToken) -> tuple[str, ...]:
            found = (*likely_files(source).models, *likely_files(written).models)
            return tuple(dict.fromkeys(path for path in found if path != written))

        self._validating.aside(look, self.offered.emit)

    def look(self, written: str, model: str) -> None:
        """Look at a model's files, and tell what would bind; nothing is run."""
        self._model = None
        self._validating.look(written, model)

    def start(self, written: str) -> None:
        """Check what was written against the model that was looked at last."""
        model = self._model
        if model is None or self.is_running:
            return
        remembered, pool = self._settings.get("python", ""), self._jobs.workers

        def search(cancel: CancelToken, _report: Report) -> str:
            return _python(remembered, [model.path, written], pool, cancel)

        job = self._jobs.start("Looking for a Python with TensorFlow", search)
        self._searching = job
        job.succeeded.connect(lambda python: self._go_on(written, model, python))
        job.failed.connect(self._give_up)
        job.cancelled.connect(self._give_up)

    def choose_python(self, path: str) -> None:
        """Run models by another interpreter from now on."""
        self._settings.set("python", path)
        self._settings.save()

    def agree(self, consent: Consent, *, remember: bool) -> None:
        """The user agrees that it runs; remember: for this very content."""
        self._validating.go_on(consent, remember=remember)

    def cancel(self) -> None:
        """End what runs; its process is gone within a second."""
        if self._searching is not None:
            self._searching.cancel()
        self._validating.cancel()

    def stop(self) -> None:
        """Nothing is wanted any more."""
        self.cancel()
        self._validating.stop()

    def _take_looked(self, looked: Looked) -> None:
        self._model = looked.spec
        self.looked.emit(looked)

    def _go_on(self, written: str, model: ModelSpec, python: str) -> None:
        from ckptviewer.validation.recipe import Recipe

        self._searching = None
        recipe = Recipe(checkpoint=written, model=model, python=python)
        self._validating.start(Task(aim=Aim.VALIDATE, recipe=recipe, label=_LABEL))

    def _give_up(self, error: BaseException | None = None) -> None:
        self._searching = None
        if error is None:
            self.cancelled.emit()
        else:
            self.failed.emit(error)


def checked(receipt: Receipt, finished: Finished) -> Receipt:
    """The receipt with what bound of what it is the receipt of."""
    from ckptviewer.export.restored import with_restore_check

    libraries = finished.report.outcome.libraries
    tensorflow = libraries.tensorflow if libraries is not None else None
    return with_restore_check(receipt, finished.report.as_document(), tensorflow)


def _python(remembered: str, near: list[str], pool: Executor, cancel: CancelToken) -> str:
    """The interpreter to run it by: the one that somebody chose, else one that has TensorFlow.

    Empty for our own, which is also tried where none has it: its failure says what is missing.
    """
    from ckptviewer.validation import interpreters
    from ckptviewer.validation.launcher import default_python

    if remembered and os.path.isfile(remembered):
        return remembered
    own = default_python()
    if own and interpreters.ask_interpreter(own).is_usable:
        return ""
    found = interpreters.find_interpreters(near=near, pool=pool, cancel=cancel)
    return next((each.path for each in found if each.is_usable), "")
