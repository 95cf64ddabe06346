"""What goes out of a comparison: reports, the command line, and the comparison itself as a file."""

from __future__ import annotations

import os
from functools import partial

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QMenu, QMessageBox, QWidget

from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.text import capitalised
from ckptviewer.ui.jobs import Jobs, Report, error_text
from ckptviewer.ui.open_comparison import OpenComparison

_KINDS = {
    "HTML page with pictures": ".html",
    "Markdown": ".md",
    "CSV": ".csv",
    "JSON": ".json",
}


class Reporting(QObject):
    """Saves what a view shows of a comparison. told: how it went, in one sentence."""

    told = Signal(str)

    def __init__(self, jobs: Jobs, parent: QWidget) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self._parent = parent
        self._compared: OpenComparison | None = None

    def show_comparison(self, compared: OpenComparison) -> None:
        """Report on this one from now on."""
        self._compared = compared

    def fill_menu(self, menu: QMenu) -> None:
        """Put the actions of reporting into a menu."""
        for kind, ending in _KINDS.items():
            action = menu.addAction(f"Save report: {kind}\u2026")
            action.triggered.connect(partial(self._ask, ending))
        menu.addSeparator()
        copy = menu.addAction("Copy as command &line")
        copy.triggered.connect(lambda _=False: self.copy_command())
        keep = menu.addAction("Save this co&mparison\u2026")
        keep.setToolTip("What is compared and how, with rules and matches by hand")
        keep.triggered.connect(partial(self._ask, ".comparison.json"))

    def copy_command(self) -> None:
        """Put the command line that makes the same comparison on the clipboard."""
        from ckptviewer.analysis.comparison_command import command_line

        known = self._compared
        if known is not None:
            text = command_line(known.a.checkpoint.path, known.b.checkpoint.path, known.options)
            QGuiApplication.clipboard().setText(text)
            self.told.emit("Copied the command line")

    def save(self, path: str) -> None:
        """Save in the background, in the kind that the path ends with."""
        known = self._compared
        if known is None:
            return

        def work(_cancel: CancelToken, _report: Report) -> str:
            from ckptviewer.analysis import comparison_report

            comparison_report.store(path, _text(known, path))
            return path

        job = self._jobs.start("Saving the report", work)
        job.succeeded.connect(lambda saved: self.told.emit(f"Saved {saved}"))
        job.failed.connect(self._tell_failure)

    def _ask(self, ending: str, _checked: bool = False) -> None:
        known = self._compared
        if known is None:
            return
        names = [os.path.basename(side.checkpoint.path.rstrip("/")) for side in (known.a, known.b)]
        path, _ = QFileDialog.getSaveFileName(
            self._parent, "Save", f"{'-'.join(names)[:120]}{ending}", f"(*{ending})"
        )
        if path:
            self.save(path if path.lower().endswith(ending) else path + ending)

    def _tell_failure(self, error: BaseException) -> None:
        what, where, remedy = error_text(error)
        box = QMessageBox(
            QMessageBox.Icon.Warning,
            "Report",
            f"{capitalised(what)}.",
            parent=self._parent,
        )
        box.setInformativeText("\n".join(filter(None, (where, remedy))))
        box.open()


def _text(known: OpenComparison, path: str) -> str:
    from ckptviewer.analysis import comparison_report
    from ckptviewer.analysis.comparison_document import as_csv
    from ckptviewer.analysis.saved_comparison import SavedComparison, SavedSide
    from ckptviewer.storage.cache import identity_of

    comparison = known.comparison
    if path.endswith(".comparison.json"):
        sides = [
            SavedSide(path=side.checkpoint.path, identity=identity_of(side.checkpoint.path))
            for side in (known.a, known.b)
        ]
        return SavedComparison(
            a=sides[0],
            b=sides[1],
            rules=known.options.rules,
            by_hand=known.options.by_hand,
            atol=known.options.tolerance.atol,
            rtol=known.options.tolerance.rtol,
            model_only=known.options.model_only,
            include_metadata=known.options.include_metadata,
            thresholds=known.thresholds,
        ).to_json()
    if path.endswith(".html"):
        return comparison_report.as_html(comparison, known.a.checkpoint, known.b.checkpoint)
    if path.endswith(".md"):
        return comparison_report.as_markdown(comparison)
    return as_csv(comparison) if path.endswith(".csv") else comparison_report.as_json(comparison)
