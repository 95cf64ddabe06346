"""Where an export goes, the button that starts it, and how far it has come."""

from __future__ import annotations

import os
from datetime import datetime

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.checkpoint.text import capitalised, plural, size_text
from ckptviewer.export.choices import Choices
from ckptviewer.export.plan import bytes_of
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Job, Jobs, Report, error_text
from ckptviewer.ui.panels.note import Note
from ckptviewer.ui.panels.tick_box import TickBox
from ckptviewer.ui.panels.widgets import ElidedLabel
from ckptviewer.ui.proposals import Target, look_at, proposed_path
from ckptviewer.ui.session import Session

SETTLE_MS = 150


class ExportTarget(QWidget):
    """Asks where to, and starts. export_wanted: the button was pressed. cancel_wanted: the other.

    looked: more is known of the place. suffix_typed: a name that belongs to another format.
    """

    export_wanted = Signal()
    cancel_wanted = Signal()
    looked = Signal()
    suffix_typed = Signal(str)

    def __init__(self, jobs: Jobs, appearance: Appearance, session: Session) -> None:
        super().__init__()
        self.setObjectName("foot")
        self._jobs, self._session = jobs, session
        self._choices: Choices | None = None
        self._proposed = ""
        self._looking: Job[tuple[str, Target, int]] | None = None
        self._needed_bytes = 0
        self.target: Target | None = None
        self.path = QLineEdit()
        self.path.setAccessibleName("Destination")
        self.path.setToolTip("A name without a directory is beside the source")
        self.browse = QPushButton("Browse\u2026")
        self.there = QFrame()
        self.there_text = Note()
        self.overwrite = TickBox("Replace it, once the new one is verified", appearance)
        self.problem = Note()
        self.note = Note()
        self.button = QPushButton("Export")
        self.button.setObjectName("primary")
        self.cancel = QPushButton("Cancel")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.doing = ElidedLabel()
        self.rate = QLabel()
        self._idle, self._busy = QWidget(), QWidget()
        self._lay_out(appearance)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self._look)
        self.path.textEdited.connect(self._take_typed)
        self.browse.clicked.connect(self._choose)
        self.button.clicked.connect(self.export_wanted)
        self.cancel.clicked.connect(self.cancel_wanted)
        self.overwrite.toggled.connect(lambda _on: self.looked.emit())

    @property
    def is_own(self) -> bool:
        """Whether somebody typed or chose a place; else it is proposed anew with each choice."""
        return self.path.text() != self._proposed

    @property
    def is_settled(self) -> bool:
        """Whether what is known of the place is known of the one that is typed now."""
        return self._looking is None and not self._settle.isActive()

    def show_choices(self, choices: Choices) -> None:
        """Propose a place for what is chosen, unless somebody chose one, and look at it."""
        old, self._choices = self._choices, choices
        if old is not None and _place_of(old) == _place_of(choices):
            return
        if old is not None and self.is_own and old.format != choices.format:
            from ckptviewer.export.writers import writer_of

            suffix, new = writer_of(old.format).suffix, writer_of(choices.format).suffix
            name = self.path.text()
            if suffix and name.lower().endswith(suffix):
                name = name[: -len(suffix)]
            self.path.setText(name if new and name.lower().endswith(new) else name + new)
        self._look()

    def show_needed(self, needed_bytes: int) -> None:
        """Compare what will be written with what is free."""
        self._needed_bytes = needed_bytes
        self._show_target()

    def set_path(self, path: str) -> None:
        """Take a place as if it were typed."""
        self.path.setText(path)
        self._take_typed()

    def show_problem(self, text: str) -> None:
        """Say what keeps it from being exported; empty for nothing."""
        self.problem.say(text, error=True)

    def show_busy(self, busy: bool) -> None:
        """It is being exported now, or no longer."""
        self._idle.setVisible(not busy)
        self._busy.setVisible(busy)
        self.cancel.setEnabled(True)
        self.cancel.setText("Cancel")
        if busy:
            self.bar.setValue(0)
            self.doing.show_text("Beginning\u2026")
            self.rate.clear()
            self.show_problem("")
            self.cancel.setFocus()

    def show_cancelling(self) -> None:
        """It has been asked to stop."""
        self.cancel.setEnabled(False)
        self.cancel.setText("Cancelling\u2026")

    def show_progress(self, progress: Progress, words: str) -> None:
        """Say how far it has come, and how fast it goes."""
        self.bar.setValue(int(1000 * progress.fraction))
        self.doing.show_text(progress.label)
        self.rate.setText(words)
        self.rate.setAccessibleName(f"{progress.fraction:.0%}, {words}")

    def refuse_overwriting(self) -> None:
        """Somebody has to say that what is there may be replaced."""
        self.overwrite.setFocus()
        self.show_problem("Tick that it may be replaced, or choose another name.")

    def finish_typing(self) -> None:
        """Look at once at what is typed."""
        if self._settle.isActive():
            self._look()

    def look_again(self) -> None:
        """Something may be there now that was not."""
        self._look()

    def stop(self) -> None:
        """Nothing is wanted any more."""
        self._settle.stop()
        job, self._looking = self._looking, None
        if job is not None:
            job.cancel()

    def _take_typed(self) -> None:
        from ckptviewer.export.writers import format_of_name

        self.overwrite.setChecked(False)  # that was said of another name
        self.show_problem("")
        named = format_of_name(self.path.text())
        if self._choices is not None and named not in ("tf-bundle", self._choices.format):
            self.suffix_typed.emit(named)
        self._settle.start()

    def _look(self) -> None:
        self._settle.stop()
        choices = self._choices
        if choices is None:
            return
        if self._looking is not None:
            self._looking.cancel()
        checkpoint, typed = self._session.checkpoint, self.path.text() if self.is_own else ""

        def work(_cancel: CancelToken, _report: Report) -> tuple[str, Target, int]:
            path = typed or proposed_path(checkpoint, choices)
            target = look_at(checkpoint, path, choices.format)
            return path, target, bytes_of(target.files)

        job = self._jobs.start("Looking at the destination", work)
        self._looking = job
        job.succeeded.connect(lambda found: self._take(typed, *found))
        job.cancelled.connect(self._forget)
        job.failed.connect(self._forget)

    def _forget(self, _error: object = None) -> None:
        self._looking = None

    def _take(self, typed: str, path: str, target: Target, there_bytes: int) -> None:
        self._looking = None
        if not typed:
            self._proposed = path
            self.path.setText(path)
            self.path.setCursorPosition(len(path))
        self.target = target
        if target.files:
            self.there_text.say(
                f"\u25b2 There is a checkpoint of this name: {plural(len(target.files), 'file')}, "
                f"{size_text(there_bytes)}{_saved_text(target.files[-1])}."
            )
        self.there.setVisible(bool(target.files) and target.problem is None)
        self._show_target()
        self.looked.emit()

    def _show_target(self) -> None:
        target = self.target
        if target is None:
            return
        if target.problem is not None:
            self.note.say(problem_text(target.problem), error=True)
        elif 0 < target.free_bytes < self._needed_bytes:
            self.note.say(
                f"{size_text(self._needed_bytes)} are needed there, and "
                f"{size_text(target.free_bytes)} are free.",
                error=True,
            )
        else:
            self.note.say(f"{size_text(target.free_bytes)} free there")

    def _choose(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self,
            "Export to",
            self.path.text(),
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if path:
            self.set_path(path)

    def _lay_out(self, appearance: Appearance) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 12, 20, 14)
        column.setSpacing(7)
        row = QHBoxLayout()
        row.setSpacing(8)
        label = QLabel("&To")
        label.setObjectName("muted")
        label.setBuddy(self.path)
        label.setMinimumWidth(label.sizeHint().width() + 4)  # a mnemonic's underline needs room
        row.addWidget(label)
        row.addWidget(self.path, 1)
        row.addWidget(self.browse)
        idle = QVBoxLayout(self._idle)
        idle.setContentsMargins(0, 0, 0, 0)
        idle.setSpacing(7)
        idle.addLayout(row)
        self.there.setObjectName("card")
        inner = QVBoxLayout(self.there)
        inner.setContentsMargins(12, 8, 12, 8)
        inner.addWidget(self.there_text)
        inner.addWidget(self.overwrite)
        self.there.hide()
        idle.addWidget(self.there)
        row = QHBoxLayout()
        row.addWidget(self.note, 1)
        row.addWidget(self.button)
        idle.addWidget(self.problem)
        idle.addLayout(row)
        busy = QVBoxLayout(self._busy)
        busy.setContentsMargins(0, 0, 0, 0)
        busy.setSpacing(7)
        self.rate.setObjectName("muted")
        self.rate.setFont(appearance.text_font)
        row = QHBoxLayout()
        row.addWidget(self.rate, 1)
        row.addWidget(self.cancel)
        for each in (self.doing, self.bar):
            busy.addWidget(each)
        busy.addLayout(row)
        self._busy.hide()
        column.addWidget(self._idle)
        column.addWidget(self._busy)


def problem_text(error: BaseException) -> str:
    """What, where and the remedy, in one paragraph."""
    what, where, remedy = error_text(error)
    sentence = capitalised(what)
    sentence += "" if sentence.endswith((".", "!", "?")) else "."
    if isinstance(error, CkptviewerError) and where:
        sentence = f"{sentence[:-1]} ({where})."
    return f"{sentence} {remedy}".strip()


def _place_of(choices: Choices) -> tuple[object, ...]:
    dtype = choices.cast.dtype if choices.cast is not None else ""
    return choices.preset, dtype, choices.format


def _saved_text(path: str) -> str:
    try:
        saved = datetime.fromtimestamp(os.path.getmtime(path))
    except (OSError, ValueError, OverflowError):
        return ""
    return f", saved {saved:%Y-%m-%d %H:%M}"
