"""The findings of a checkpoint: what opening showed, and what an examination of all data tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.text import plural, size_text
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Job, Jobs, Report, error_text
from ckptviewer.ui.panels.widgets import (
    FindingCard,
    clear_layout,
    flat_button,
    scrolled,
    wrapped_label,
)
from ckptviewer.ui.session import Session

MOST_CARDS = 100
_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


class FindingsPanel(QWidget):
    """Lists findings. chosen: the row of a variable that one is about."""

    chosen = Signal(object)

    def __init__(self, jobs: Jobs, appearance: Appearance) -> None:
        super().__init__()
        self._jobs = jobs
        self._appearance = appearance
        self._session: Session | None = None
        self._findings: list[Finding] = []
        self._job: Job[list[Finding]] | None = None
        self._state = wrapped_label("", "muted")
        self._examine = QPushButton("Examine all data")
        self._examine.setToolTip("Read everything once: checksums, NaN, duplicates, and more")
        self._examine.clicked.connect(self.examine)
        row = QHBoxLayout()
        row.addWidget(self._state, 1)
        row.addWidget(self._examine)
        self._cards = QVBoxLayout()
        self._cards.setSpacing(8)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 6, 0)
        column.addLayout(self._cards)
        column.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(16, 12, 10, 12)
        outer.setSpacing(10)
        outer.addLayout(row)
        outer.addWidget(scrolled(page), 1)
        appearance.changed.connect(self._show)

    def show_session(self, session: Session | None) -> None:
        """Show what opening told of another checkpoint, or nothing."""
        if self._job is not None:
            self._job.cancel()
            self._job = None
        self._session = session
        self._findings = list(session.checkpoint.findings) if session else []
        total = size_text(session.total_bytes) if session else ""
        self._state.setText(f"What opening showed; the {total} of values were not checked for it.")
        self._examine.setEnabled(session is not None)
        self._show()

    def examine(self) -> None:
        """Read all data once, and list what there is to say of it."""
        session = self._session
        if session is None:
            return

        def work(cancel: CancelToken, report: Report) -> list[Finding]:
            from ckptviewer.analysis.doctor import examine

            token = self._jobs.courtesy.token(cancel)
            return list(
                examine(
                    session.checkpoint,
                    cancel=token,
                    progress=report,
                    executor=self._jobs.workers,
                )
            )

        self._examine.setEnabled(False)
        self._state.setText("Examining\u2026")
        job = self._jobs.start("Examination", work)
        self._job = job
        job.succeeded.connect(lambda found: self._take(session, found))
        job.failed.connect(lambda error: self._tell(session, " ".join(error_text(error)).strip()))
        job.cancelled.connect(lambda: self._tell(session, "The examination was cancelled."))

    def findings(self) -> Sequence[Finding]:
        """What is listed, the worst first."""
        return sorted(self._findings, key=lambda f: (_RANK[f.severity], f.variable is not None))

    def _take(self, session: Session, found: list[Finding]) -> None:
        if session is self._session:
            self._findings = found
            errors = sum(finding.severity is Severity.ERROR for finding in found)
            verdict = "healthy" if not errors else plural(errors, "error")
            self._tell(session, f"All data was read: {verdict}, {plural(len(found), 'finding')}.")
            self._show()

    def _tell(self, session: Session, text: str) -> None:
        if session is self._session:
            self._job = None
            self._state.setText(text)
            self._examine.setEnabled(True)

    def _show(self) -> None:
        clear_layout(self._cards)
        ordered = self.findings()
        for finding in ordered[:MOST_CARDS]:
            card = FindingCard(finding, self._appearance)
            self._cards.addWidget(card)
            self._offer_variable(card, finding)
        if len(ordered) > MOST_CARDS:
            rest = plural(len(ordered) - MOST_CARDS, "more finding")
            self._cards.addWidget(
                wrapped_label(f"{rest}: `ckptviewer doctor` prints all.", "muted")
            )
        if not ordered:
            self._cards.addWidget(wrapped_label("Nothing to report.", "muted"))

    def _offer_variable(self, card: FindingCard, finding: Finding) -> None:
        session = self._session
        if session is None or finding.variable not in session.checkpoint.by_key:
            return
        show = flat_button("Show", f"Show {finding.variable}")
        layout: Any = card.layout()
        layout.addWidget(show)
        show.clicked.connect(lambda: self._choose(finding.variable))

    def _choose(self, key: str | None) -> None:
        if self._session is not None:
            variables = self._session.checkpoint.variables
            row = next((n for n, variable in enumerate(variables) if variable.key == key), None)
            if row is not None:
                self.chosen.emit(row)
