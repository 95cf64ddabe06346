"""Whether TensorFlow restores what was exported: the model, the button, and what came of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Jobs
from ckptviewer.ui.panels.buttons import flat_button
from ckptviewer.ui.panels.export_target import problem_text
from ckptviewer.ui.panels.note import Note
from ckptviewer.ui.panels.path_box import PathBox
from ckptviewer.ui.panels.result_table import ResultTable
from ckptviewer.ui.panels.setup_parts import Fold, Section, browse_button
from ckptviewer.ui.panels.stages import Stages
from ckptviewer.ui.panels.verdict_head import VerdictHead
from ckptviewer.ui.panels.widgets import wrapped_label
from ckptviewer.ui.restore_checking import RestoreChecking, checked
from ckptviewer.ui.restore_words import HEADINGS
from ckptviewer.ui.settings import Settings

if TYPE_CHECKING:
    from ckptviewer.export.receipt import Receipt
    from ckptviewer.ui.validation_work import Consent, Finished, Looked

_WHAT = (
    "TensorFlow restores the result into its model, in a process of its own, and the receipt says "
    "what bound."
)
_CHECK, _AGAIN = "Check that TensorFlow restores it", "Check again"
_NOT_FOUND_OUT = "Whether TensorFlow restores it could not be found out."
_LETTER, _NAME, _KEY, _SHAPE, _WHY = range(5)
_WIDTHS = (34, 150, 150, 150, 150)
_MOST_ROWS = 9


class ExportCheck(QWidget):
    """Asks for a model, has TensorFlow restore into it what was exported, and tells of it.

    checked: the receipt with what bound. failed: why that could not be found out, in words.
    told: a short message.
    """

    checked = Signal(object)
    failed = Signal(str)
    told = Signal(str)

    def __init__(self, jobs: Jobs, appearance: Appearance, settings: Settings) -> None:
        super().__init__()
        self._jobs, self._appearance = jobs, appearance
        self._receipt: Receipt | None = None
        self._path = ""
        self._log = ("", "")
        self.checking = RestoreChecking(jobs, settings)
        hint = "a .keras file, a SavedModel, file.py:function"
        self.model = PathBox("Model to restore into", hint)
        self.note, self.problem = Note(), Note()
        self.button = QPushButton(_CHECK)
        self.python = flat_button("Another Python\u2026", "Run the model by another interpreter")
        self.log = flat_button("Show the log", "What the model\u2019s process printed")
        self.stages = Stages(appearance)
        self.head = VerdictHead(appearance)
        self.table = ResultTable("What TensorFlow restored", HEADINGS, _WIDTHS, appearance)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(_LETTER, header.ResizeMode.Fixed)
        header.resizeSection(_LETTER, _WIDTHS[_LETTER])
        for column in (_KEY, _WHY):
            header.setSectionResizeMode(column, header.ResizeMode.Stretch)
        self.table.setColumnHidden(_SHAPE, True)
        self.all = Fold("All variables", self.table)
        self._ask, self._result = QWidget(), QWidget()
        self._lay_out()
        self._connect()

    @property
    def is_busy(self) -> bool:
        """Whether a check is under way."""
        return self.checking.is_running

    def begin(self, receipt: Receipt, path: str) -> None:
        """Offer to check what was exported just now. path: opens it."""
        self.stop()
        self._receipt, self._path = receipt, path
        self._show_end()
        self._result.hide()
        self.model.set_path("", tell=False)
        self.note.say("")
        self.button.setText(_CHECK)
        self.button.setEnabled(False)
        self.checking.offer_models(receipt.source, receipt.destination)

    def check(self) -> None:
        """Restore it into the model that is chosen; whoever has not agreed to that is asked."""
        if self.button.isEnabled() and not self.is_busy:
            self.problem.say("")
            self.checking.start(self._path)

    def choose_python(self, path: str) -> None:
        """Run models by another interpreter, and try again."""
        self.checking.choose_python(path)
        self.check()

    def stop(self) -> None:
        """Nothing is wanted any more."""
        self.checking.stop()
        self.stages.finish()

    # How it goes on.

    def _offer(self, models: Sequence[str]) -> None:
        self.model.offer(models, os.path.dirname(self._path))
        if models and not self.model.path:
            self.model.set_path(models[0])
        elif not models:
            self.note.say("No model lies beside it: choose the one that it is of.")

    def _look(self, model: str) -> None:
        self.button.setEnabled(False)
        self.problem.say("")
        self.note.say("Looking at it\u2026" if model else "")
        if model:
            self.checking.look(self._path, model)

    def _show_looked(self, looked: Looked) -> None:
        told = looked.told
        if self._receipt is not None and any(each.dtype for each in self._receipt.kept):
            self.note.say("What was cast goes only into variables of that very dtype.")
        else:
            self.note.say(told.headline if told is not None else looked.why)
        self.button.setEnabled(True)

    def _show_no_model(self, error: BaseException) -> None:
        self.note.say(problem_text(error), error=True)

    def _consult(self, consent: Consent) -> None:
        from ckptviewer.ui.dialogs.approval_dialog import ApprovalDialog

        dialog = ApprovalDialog(consent, self._appearance, self)
        dialog.agreed.connect(lambda kept: self.checking.agree(consent, remember=kept))
        dialog.rejected.connect(lambda: self._show_note("Nothing was run."))
        self.dialog = dialog
        dialog.open()

    def _show_running(self) -> None:
        self._ask.hide()
        self._result.hide()
        self.stages.begin("Checking\u2026", "")
        self.stages.show()
        self.stages.cancel.setFocus()

    def _show_finished(self, finished: Finished) -> None:
        assert self._receipt is not None
        self._show_end()
        self._receipt = receipt = checked(self._receipt, finished)
        outcome = finished.report.outcome
        assert receipt.restore_check is not None
        sentence, good, more = verdict_of(receipt.restore_check)
        self.head.show_verdict(sentence, good, more)
        told = finished.shown.restored.get("a")
        self.table.show_rows(told.rows if told is not None else ())
        self.table.setColumnHidden(_KEY, not good)  # there is room for one of them
        self.table.setColumnHidden(_WHY, good)
        header = self.table.horizontalHeader()
        modes = header.ResizeMode
        header.setSectionResizeMode(_NAME, modes.Stretch if good else modes.Interactive)
        self.table.fit_height(_MOST_ROWS)
        self.all.setVisible(told is not None)
        self._result.show()
        self.note.say("")  # what was expected is known now
        self.button.setText(_AGAIN)
        self._show_log(outcome.log_path, "")
        self.checked.emit(receipt)
        self.told.emit(f"{sentence}.")

    def _show_failure(self, error: BaseException) -> None:
        self._show_end()
        self.problem.say(f"{_NOT_FOUND_OUT} {problem_text(error)}", error=True)
        self.button.setText(_AGAIN)
        self.python.show()
        self._show_log(getattr(error, "log_path", ""), getattr(error, "log_tail", ""))
        self.failed.emit(self.problem.said)

    def _show_cancelled(self) -> None:
        self._show_note("Cancelled: the model\u2019s process was ended.")

    def _show_note(self, text: str) -> None:
        self._show_end()
        self.problem.say(text)

    def _show_end(self) -> None:
        """It can be begun again."""
        self._ask.show()
        self.button.setEnabled(True)
        if self.stages.isVisible():
            self.button.setFocus()  # else whatever is next has it, and is scrolled to
        self.stages.finish()
        self.stages.hide()
        self.problem.say("")
        self.python.hide()
        self.log.hide()

    def _show_log(self, path: str, tail: str) -> None:
        self._log = (path, tail)
        self.log.setVisible(bool(path or tail))

    def _open_log(self) -> None:
        from ckptviewer.ui.dialogs.log_dialog import LogDialog, log_text

        path, tail = self._log
        self._jobs.ask(
            lambda: log_text(path, tail),
            lambda text: LogDialog(text, path, self._appearance, self).show(),
        )

    def _choose(self, *, directory: bool = False) -> None:
        start, title = os.path.dirname(self.model.path or self._path), "Restore into this model"
        if directory:
            path = QFileDialog.getExistingDirectory(self, title, start)
        else:
            path, _ = QFileDialog.getOpenFileName(self, title, start)
        if path:
            self.model.set_path(path)

    def _ask_for_python(self) -> None:
        title = "The Python of your training environment"
        path, _ = QFileDialog.getOpenFileName(self, title)
        if path:
            self.choose_python(path)

    # How it is made.

    def _connect(self) -> None:
        work = self.checking
        self.model.chosen.connect(self._look)
        self.button.clicked.connect(lambda _=False: self.check())
        self.python.clicked.connect(lambda _=False: self._ask_for_python())
        self.log.clicked.connect(lambda _=False: self._open_log())
        self.stages.cancel_wanted.connect(work.cancel)
        work.offered.connect(self._offer)
        work.looked.connect(self._show_looked)
        work.not_looked.connect(self._show_no_model)
        work.consent_wanted.connect(self._consult)
        work.begun.connect(self._show_running)
        work.heard.connect(self.stages.hear)
        work.finished.connect(self._show_finished)
        work.failed.connect(self._show_failure)
        work.cancelled.connect(self._show_cancelled)

    def _lay_out(self) -> None:
        choices = (
            ("A file: .keras, .h5, .meta, .pb", self._choose),
            ("A SavedModel\u2019s directory", lambda: self._choose(directory=True)),
        )
        section = Section("Does TensorFlow restore it?", browse_button("Choose the model", choices))
        result = QVBoxLayout(self._result)
        result.setContentsMargins(0, 2, 0, 4)
        result.setSpacing(6)
        for each in (self.head, self.all):
            result.addWidget(each)
        ask = QVBoxLayout(self._ask)
        ask.setContentsMargins(0, 0, 0, 0)
        ask.setSpacing(8)
        for widget in (self.model, self.note, self.problem):
            ask.addWidget(widget)
        row = QHBoxLayout()
        row.setSpacing(4)
        for button in (self.button, self.log, self.python):
            row.addWidget(button)
        row.addStretch(1)
        ask.addLayout(row)
        layout = self.stages.layout()
        if layout is not None:
            layout.setContentsMargins(0, 2, 0, 0)
        section.add(wrapped_label(_WHAT, "muted"), self._result, self._ask, self.stages)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(section, 0, Qt.AlignmentFlag.AlignTop)


def verdict_of(check: Mapping[str, Any]) -> tuple[str, bool, str]:
    """A restore check in words: the sentence, whether it is good, and what else to know."""
    by = f"TensorFlow {check['tensorflow']}" if check["tensorflow"] else "TensorFlow"
    name = os.path.basename(check["model"].rstrip("/")) or check["model"]
    good = bool(check["restores"])
    does = "restores it"
    if not good:
        is_partial = check["bound"] and (check["missing"] or check["mismatched"])
        does = "does not wholly restore it" if is_partial else "does not restore it"
    return f"{by} {does} into {name}", good, check["message"]


def with_check_of(receipt: Receipt, other: Receipt | None) -> Receipt:
    """The receipt, with the restore check of another one of the same export."""
    if other is None or other.restore_check is None:
        return receipt
    return replace(receipt, restore_check=other.restore_check)
