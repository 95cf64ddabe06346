"""The line at the bottom: what runs, with Cancel; findings; how long opening took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QStatusBar, QWidget

from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.text import count_text, plural, size_text
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Job, Jobs
from ckptviewer.ui.panels.buttons import flat_button
from ckptviewer.ui.panels.widgets import SEVERITY_MARKS
from ckptviewer.ui.session import Session

PATIENCE_MS = 250
"""A job that ends within this time never shows: what flickers disturbs."""


class StatusLine(QStatusBar):
    """Shows the oldest running job, and facts of the open checkpoint."""

    findings_wanted = Signal()

    def __init__(self, jobs: Jobs, appearance: Appearance) -> None:
        super().__init__()
        self._jobs = jobs
        self.setSizeGripEnabled(False)
        self._working = QWidget()
        row = QHBoxLayout(self._working)
        row.setContentsMargins(8, 0, 0, 0)
        row.setSpacing(10)
        self._label = QLabel()
        self._label.setObjectName("muted")
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setFixedWidth(140)
        self._amount = QLabel()
        self._amount.setObjectName("muted")
        self._amount.setFont(appearance.text_font)
        self._cancel = flat_button("Cancel", "Cancel what is running (Esc)")
        self._cancel.clicked.connect(self.cancel_running)
        for widget in (self._label, self._bar, self._amount, self._cancel):
            row.addWidget(widget)
        row.addStretch(1)
        self._working.hide()
        self.addWidget(self._working)
        self._findings = flat_button("", "Show the findings")
        self._findings.clicked.connect(self.findings_wanted)
        self._findings.hide()
        self._opened = QLabel()
        self._opened.setObjectName("muted")
        self.addPermanentWidget(self._findings)
        self.addPermanentWidget(self._opened)
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(PATIENCE_MS)
        self._patience.timeout.connect(self._show_working)
        jobs.started.connect(self._follow)
        jobs.ended.connect(self._leave)

    def show_session(self, session: Session) -> None:
        """Show what there is to say of a checkpoint that was opened."""
        self.show_findings(session.checkpoint.findings)
        self._opened.setText(f"opened in {session.seconds:.2f} s   ")

    def show_findings(self, findings: Iterable[Finding]) -> None:
        """Count the findings that are known by now."""
        counts = Counter(finding.severity for finding in findings)
        parts = [
            f"{SEVERITY_MARKS[severity]} {plural(counts[severity], severity.value)}"
            for severity in (Severity.ERROR, Severity.WARNING)
            if counts[severity]
        ]
        self._findings.setText("  \u00b7  ".join(parts))
        self._findings.setVisible(bool(parts))

    def say(self, text: str) -> None:
        """Show a short message for a moment."""
        self.showMessage(text, 3000)

    def cancel_running(self) -> None:
        """Cancel all that runs."""
        for job in self._jobs.running:
            job.cancel()

    def _follow(self, job: Job[Any]) -> None:
        job.progressed.connect(lambda _progress: self._update())
        if not self._working.isVisible() and not self._patience.isActive():
            self._patience.start()

    def _leave(self, _job: Job[Any]) -> None:
        if not self._jobs.running:
            self._patience.stop()
            self._working.hide()
        else:
            self._update()

    def _show_working(self) -> None:
        if self._jobs.running:
            self._working.show()
            self._update()

    def _update(self) -> None:
        if not self._jobs.running or not self._working.isVisible():
            return
        progress = self._jobs.running[0].progress
        self._label.setText(self._jobs.running[0].label)
        if progress.total:
            self._bar.setRange(0, 1000)
            self._bar.setValue(int(progress.fraction * 1000))
            self._amount.setText(
                f"{size_text(progress.done)} of {size_text(progress.total)}"
                if progress.unit == "bytes"
                else f"{count_text(progress.done)} of {count_text(progress.total)} {progress.unit}"
            )
        else:
            self._bar.setRange(0, 0)
            self._amount.clear()
