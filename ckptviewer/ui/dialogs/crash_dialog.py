"""What the user sees of an error that nobody expected; the window behind it lives on."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontMetrics, QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.crash import Crash
from ckptviewer.ui.panels.widgets import code_view

HEADLINE = "Something went wrong that should not have"
FATAL_HEADLINE = "ckptviewer ended unexpectedly the last time"
LIVES_ON = (
    "The window goes on working. An open checkpoint is only read, so nothing in it has changed."
)
PLEASE = (
    "If you report this, please add the text below. Directories, and the names of user and "
    "machine, are left out of it already."
)


class CrashDialog(QDialog):
    """Tells of crashes, one after the other, in one dialog that blocks nothing."""

    def __init__(self, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("ckptviewer: an unexpected error")
        self.setModal(False)
        self.headline = QLabel()
        self.headline.setFont(appearance.title_font)
        self.what = QLabel()
        self.lives_on = QLabel(LIVES_ON)
        please = QLabel(PLEASE)
        please.setObjectName("muted")
        self.report = code_view("Report of the error", appearance)
        self.copy = QPushButton("&Copy report")
        self.copy.setAccessibleName("Copy report")
        self.copy.clicked.connect(self._copy)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.addButton(self.copy, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(10)
        for label in (self.headline, self.what, self.lives_on, please):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
            column.addWidget(label)
        self.what.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        column.addWidget(self.report, 1)
        column.addWidget(buttons)
        self.resize(QFontMetrics(appearance.fixed_font).averageCharWidth() * 90, 440)
        self._reports: list[str] = []

    def show_crash(self, crash: Crash) -> None:
        """Tell of a crash. One that came before is counted, and brings no dialog up again."""
        if crash.again:
            if self.isVisible():
                self.what.setText(f"{crash.what} ({crash.again + 1} times)")
            return
        if not self.isVisible():
            self._reports.clear()
        self._reports.append(crash.report)
        self.headline.setText(FATAL_HEADLINE if crash.is_fatal else HEADLINE)
        self.what.setText(crash.what)
        self.lives_on.setVisible(not crash.is_fatal)
        self.report.setPlainText("\n".join(self._reports))
        self.copy.setText("&Copy report")
        self.show()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.report.toPlainText())
        self.copy.setText("&Copied")
