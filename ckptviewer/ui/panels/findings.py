"""The findings of a checkpoint: the worst first, each with what to do; and the button for all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.checkpoint.findings import Finding, Severity, worst_first
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.checkpoint.text import plural, size_text
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Job, Jobs, Report, error_text
from ckptviewer.ui.panels.buttons import flat_button
from ckptviewer.ui.panels.finding_list import FindingList
from ckptviewer.ui.panels.widgets import SEVERITY_MARKS, FindingCard, clear_layout, wrapped_label
from ckptviewer.ui.session import Session

EXAMINED_UNASKED = 20_000
"""Of more variables even the cheap looks take long enough to be felt: they wait for the button."""

MOST_SHOWN = 2000
"""More rows than this nobody reads; what is left out is counted."""

_NAMES = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_TELL_SECONDS = 0.1
_EVERYTHING = "Files, checksums and all values were examined."


class FindingsPanel(QWidget):
    """Lists findings and examines all values on request.

    chosen: the key of the variable of a finding that was clicked. changed: there are other
    findings than before; see `findings`.
    """

    chosen = Signal(str)
    changed = Signal()

    def __init__(self, jobs: Jobs, appearance: Appearance) -> None:
        super().__init__()
        self.findings: tuple[Finding, ...] = ()
        self._jobs = jobs
        self._appearance = appearance
        self._session: Session | None = None
        self._job: Job[None] | None = None
        self._found: list[Finding] = []
        self._reads_values = False
        self._note = wrapped_label("", "muted")
        self._examine = QPushButton("Examine all values")
        self._examine.setToolTip("Read all data once: checksums, NaN, dead layers, duplicates")
        self._examine.clicked.connect(self._toggle)
        self._copy = flat_button("Copy", "Copy the findings that are shown")
        self._copy.clicked.connect(self.copy)
        self._filters = {severity: self._filter_button(severity) for severity in Severity}
        self._list = FindingList(appearance)
        self._list.setFrameShape(FindingList.Shape.NoFrame)
        self._list.chosen.connect(self._choose)
        self._nothing = wrapped_label("", "muted")
        self._nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._card = QVBoxLayout()
        self._lay_out()
        appearance.changed.connect(self._show)
        QShortcut(QKeySequence.StandardKey.Copy, self._list, self.copy).setContext(
            Qt.ShortcutContext.WidgetShortcut
        )

    def show_session(self, session: Session | None) -> None:
        """Show another checkpoint, or none; what costs nothing is looked at on its own."""
        self.stop()
        self._session = session
        self._set(session.checkpoint.findings if session else ())
        self._examine.setEnabled(session is not None)
        self._examine.setText("Examine all values")
        self._say("")
        if session is not None and len(session.checkpoint.variables) <= EXAMINED_UNASKED:
            self._start(read_values=False)

    def examine(self) -> None:
        """Read all values of the checkpoint, and show findings as they come."""
        if self._session is not None:
            self.stop()
            self._start(read_values=True)

    def stop(self) -> None:
        """Examine no further."""
        if self._job is not None:
            self._job.cancel()

    def shown(self) -> list[Finding]:
        """The findings in the list, from the top."""
        wanted = [
            finding for finding in self.findings if self._filters[finding.severity].isChecked()
        ]
        return wanted[:MOST_SHOWN]

    def copy(self) -> None:
        """Put what is shown on the clipboard: severity, code, variable, message, remedy by tabs."""
        lines = [
            "\t".join((f.severity, f.code, f.variable or "", f.message, " ".join(f.remedy.split())))
            for f in self.shown()
        ]
        QGuiApplication.clipboard().setText("\n".join(lines))

    def _filter_button(self, severity: Severity) -> QToolButton:
        button = flat_button("", f"Show {_NAMES[severity]}s")
        button.setCheckable(True)
        button.setChecked(True)
        button.toggled.connect(self._show)
        return button

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(4)
        for button in self._filters.values():
            row.addWidget(button)
        row.addStretch(1)
        row.addWidget(self._copy)
        below = QHBoxLayout()
        below.addWidget(self._note, 1)
        below.addWidget(self._examine)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 10, 20, 12)
        column.setSpacing(8)
        column.addLayout(row)
        column.addWidget(self._list, 1)
        column.addWidget(self._nothing, 1)
        column.addLayout(self._card)
        column.addLayout(below)

    def _toggle(self) -> None:
        if self._job is not None and self._reads_values:
            self.stop()
        else:
            self.examine()

    def _start(self, *, read_values: bool) -> None:
        session = self._session
        assert session is not None
        self._found = []
        self._reads_values = read_values

        def work(cancel: CancelToken, report: Report) -> None:
            self._run(session, cancel, report, read_values)

        job = self._jobs.start("Examining" if read_values else "Looking at files", work)
        self._job = job
        job.progressed.connect(self._tell_progress)
        job.succeeded.connect(self._finish)
        job.failed.connect(self._tell_failure)
        job.cancelled.connect(partial(self._say, ""))
        job.ended.connect(self._forget)
        if read_values:
            self._examine.setText("Stop")
            self._say("Examining\u2026")

    def _run(
        self, session: Session, cancel: CancelToken, report: Report, read_values: bool
    ) -> None:
        """In a thread: hand over findings as they come, a few at a time."""
        from ckptviewer.analysis.doctor import examine

        batch: list[Finding] = []
        told = time.monotonic()
        for finding in examine(
            session.checkpoint,
            cancel=self._jobs.courtesy.token(cancel),
            progress=report,
            read_values=read_values,
            executor=self._jobs.workers,
        ):
            batch.append(finding)
            if time.monotonic() - told > _TELL_SECONDS:
                self._jobs.deliver(partial(self._add, cancel, batch))
                batch, told = [], time.monotonic()
        self._jobs.deliver(partial(self._add, cancel, batch))

    def _add(self, cancel: CancelToken, findings: list[Finding]) -> None:
        if cancel.cancelled or self._job is None or self._job.token is not cancel:
            return
        self._found += findings
        # Until the new ones are all there, old ones stay: nothing may seem to have healed.
        self._set(dict.fromkeys((*self._found, *self.findings)))

    def _finish(self) -> None:
        self._set(self._found)
        self._say(_EVERYTHING if self._reads_values else "Only files and index were looked at.")

    def _forget(self, job: Job[None]) -> None:
        if job is self._job:
            self._job = None
            self._examine.setText(
                "Examine again" if self._note_is_final() else "Examine all values"
            )

    def _note_is_final(self) -> bool:
        return self._note.accessibleName() == _EVERYTHING

    def _tell_progress(self, progress: Progress) -> None:
        if self._reads_values and progress.total:
            done, total = size_text(progress.done), size_text(progress.total)
            self._say(f"Examining\u2026 {done} of {total}")

    def _tell_failure(self, error: BaseException) -> None:
        what, where, remedy = error_text(error)
        self._say(" ".join(filter(None, (f"{where}: {what}." if where else f"{what}.", remedy))))

    def _say(self, text: str) -> None:
        self._note.setText(text)
        self._note.setAccessibleName(text)

    def _set(self, findings: Sequence[Finding] | dict[Finding, None]) -> None:
        self.findings = worst_first(findings)
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        for severity, button in self._filters.items():
            count = sum(finding.severity is severity for finding in self.findings)
            button.setText(f"{SEVERITY_MARKS[severity]} {plural(count, _NAMES[severity])}")
            button.setAccessibleName(f"Show {plural(count, _NAMES[severity])}")
            # What is not shown is struck through: not by its colour alone.
            hidden = f"color: {self._appearance.theme.muted}; text-decoration: line-through;"
            button.setStyleSheet("" if button.isChecked() else hidden)
        current, shown = self._list.current(), self.shown()
        self._list.blockSignals(True)
        self._list.show_findings(shown)
        is_kept = current is not None and self._list.choose(current)
        self._list.blockSignals(False)
        self._list.setVisible(bool(shown))
        self._nothing.setVisible(self._list.isHidden())
        self._nothing.setText(
            "None of the kinds that are switched on above." if self.findings else "No findings."
        )
        self._show_card(current if is_kept else None)

    def _choose(self, finding: Finding | None) -> None:
        self._show_card(finding)
        if finding is not None and finding.variable is not None:
            self.chosen.emit(finding.variable)

    def _show_card(self, finding: Finding | None) -> None:
        clear_layout(self._card)
        if finding is not None:
            self._card.addWidget(FindingCard(finding, self._appearance))
        elif len(self.findings) > MOST_SHOWN:
            rest = plural(len(self.findings) - MOST_SHOWN, "more finding")
            self._card.addWidget(wrapped_label(f"And {rest}; `ckptviewer doctor` lists all."))
