"""Rescuing from the window: what is intact of the open checkpoint, as a new one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.text import capitalised, plural, size_text
from ckptviewer.ui.jobs import Jobs, Report, error_text
from ckptviewer.ui.session import Session

if TYPE_CHECKING:
    from ckptviewer.export.receipt import Receipt


class Rescuing(QObject):
    """Asks where to, writes in the background, and tells how it went. told: in one sentence."""

    told = Signal(str)

    def __init__(self, jobs: Jobs, window: QWidget) -> None:
        super().__init__(window)
        self._jobs = jobs
        self._window = window

    def ask(self, session: Session) -> None:
        """Ask for a name, and save what is intact under it."""
        source = session.checkpoint.path.rstrip("/")
        path, _ = QFileDialog.getSaveFileName(
            self._window,
            "Save what is intact as a new checkpoint",
            f"{source}-rescued",
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if path:
            self.save(session, path)

    def save(self, session: Session, path: str) -> None:
        """Save what is intact under `path`; an existing checkpoint is left alone."""

        def work(cancel: CancelToken, report: Report) -> Receipt:
            from ckptviewer.export.rescue import rescue

            return rescue(session.checkpoint, path, cancel=cancel, report=report)

        job = self._jobs.start("Saving what is intact", work)
        job.succeeded.connect(self._tell_receipt)
        job.failed.connect(self._tell_failure)
        job.cancelled.connect(lambda: self.told.emit("Cancelled; nothing was written."))

    def _tell_receipt(self, receipt: Receipt) -> None:
        if not receipt.kept:
            self._warn("No variable is intact; nothing was written.", "")
            return
        dropped = f", {plural(len(receipt.dropped), 'damaged one')} left out"
        self.told.emit(
            f"Saved {plural(len(receipt.kept), 'variable')} "
            f"({size_text(receipt.bytes_after)}) to {os.path.basename(receipt.destination)}, "
            f"read back and verified{dropped if receipt.dropped else ''}."
        )

    def _tell_failure(self, error: BaseException) -> None:
        what, where, remedy = error_text(error)
        self._warn(f"{capitalised(what)}.", "\n".join(filter(None, (where, remedy))))

    def _warn(self, text: str, more: str) -> None:
        self.told.emit(text)
        box = QMessageBox(
            QMessageBox.Icon.Warning, "Save what is intact", text, parent=self._window
        )
        box.setInformativeText(more)
        box.open()
