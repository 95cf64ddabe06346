"""The page of the question "will it restore?": a checkpoint against a model, nothing run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QMenu, QStackedLayout, QToolButton, QWidget

from ckptviewer.checkpoint.text import elide_middle
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Job, Jobs, error_text
from ckptviewer.ui.panels.pages import OpeningPage, ProblemPage
from ckptviewer.ui.panels.restore_panel import RestorePanel
from ckptviewer.ui.panels.view import View
from ckptviewer.ui.restore_words import Told
from ckptviewer.ui.session import Session
from ckptviewer.ui.validation_work import only_loaded, simulate

if TYPE_CHECKING:
    from ckptviewer.analysis.restore_report import RestoreReport


class RestoreView(View):
    """Tells what of a window's checkpoint binds to a model, or to what wrote another checkpoint.

    answered: it is told. failed: why it is not, in one line. choose_wanted: another model.
    validate_wanted: a validation with this model.
    """

    answered = Signal()
    failed = Signal(str)
    choose_wanted = Signal()
    validate_wanted = Signal(str)
    filter_hint = "Filter: words of a variable, a key, a reason"
    menu_title = "&Restore"

    def __init__(self, jobs: Jobs, appearance: Appearance, session: Session, model: str) -> None:
        """session: the window's own, which stays its own. model: any path of one."""
        super().__init__()
        self._jobs = jobs
        self._path, self._model = session.checkpoint.path, model
        self._job: Job[tuple[RestoreReport, Told]] | None = None
        self.panel = RestorePanel(appearance)
        self.panel.copied.connect(self.told)
        self._opening, self._problem = OpeningPage(appearance), ProblemPage(appearance)
        self._opening.cancel_wanted.connect(self._cancel)
        self._problem.try_again.connect(self.reload)
        self._problem.open_file.connect(self.choose_wanted)
        self._stack = QStackedLayout(self)
        for page in (self._opening, self._problem, self.panel):
            self._stack.addWidget(page)
        self._tools = self._make_tools()
        self.reload()

    def title(self) -> str:
        name = os.path.basename(self._path.rstrip("/")) or self._path
        return f"{name}: will it restore?"

    def tools(self) -> Sequence[QWidget]:
        return self._tools

    def fill_menu(self, menu: QMenu) -> None:
        for text, do in (
            ("Copy the &Python", self.panel.copy_python),
            ("Copy the &rename rules", self.panel.copy_rules),
            ("Copy r&ows", self.panel.table.copy_rows),
            ("&Another model\u2026", self.choose_wanted.emit),
            ("&Validate with this model\u2026", self._validate),
        ):
            menu.addAction(text).triggered.connect(lambda _=False, do=do: do())

    def apply_filter(self, text: str) -> None:
        self.panel.apply_filter(text)

    def enter(self) -> None:
        self.panel.table.setFocus()

    def reload(self) -> None:
        self._cancel()
        checkpoint, model = self._path, self._model
        why = only_loaded(model)
        if why:
            more = f"{why} Validate with it: nothing is left unsaid then."
            self.panel.show_unknown("Only the loaded model can tell what binds.", more)
            self._stack.setCurrentWidget(self.panel)
            return
        self._opening.show_path(model)
        self._stack.setCurrentWidget(self._opening)
        self._job = self._jobs.start(
            "Comparing with the model", lambda _cancel, _report: simulate(checkpoint, model)
        )
        self._job.succeeded.connect(self._show_report)
        self._job.failed.connect(self._show_problem)
        self._job.cancelled.connect(self._show_cancelled)

    def leave(self) -> None:
        self._cancel()

    def _show_report(self, made: tuple[RestoreReport, Told]) -> None:
        self._job = None
        self.panel.show_report(*made)
        self._stack.setCurrentWidget(self.panel)
        self.enter()
        self.answered.emit()

    def _show_problem(self, error: BaseException) -> None:
        self._job = None
        self._problem.show_problem(*error_text(error))
        self._stack.setCurrentWidget(self._problem)
        self.failed.emit(self._problem.text())

    def _show_cancelled(self) -> None:
        self.panel.show_unknown("Cancelled.", "F5 tries again.")
        self._stack.setCurrentWidget(self.panel)

    def _cancel(self) -> None:
        if self._job is not None:
            job, self._job = self._job, None
            job.cancel()

    def _validate(self) -> None:
        self.validate_wanted.emit(self._model)

    def _make_tools(self) -> list[QWidget]:
        model = QToolButton()
        model.setText(f"into  {elide_middle(os.path.basename(self._model.rstrip('/')), 40)}")
        model.setToolTip("Choose another model, or another checkpoint")
        model.setAccessibleName(f"Into {self._model}")
        model.clicked.connect(lambda _=False: self.choose_wanted.emit())
        validate = QToolButton()
        validate.setObjectName("flat")
        validate.setText("Validate\u2026")
        validate.setToolTip("Load this model, restore, and run data through it")
        validate.clicked.connect(lambda _=False: self._validate())
        return [model, validate]
