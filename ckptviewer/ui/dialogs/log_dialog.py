"""What a worker and the model in it printed."""

from __future__ import annotations

import os

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.widgets import code_view, wrapped_label

MOST_BYTES = 1 << 20


class LogDialog(QDialog):
    """Shows a log, its end in sight."""

    def __init__(self, text: str, path: str, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("What the model\u2019s process printed")
        self.text = code_view("Log", appearance, text or "It printed nothing.")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        copy = buttons.addButton("Copy", QDialogButtonBox.ButtonRole.ActionRole)
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(text))
        if path:
            show = buttons.addButton("Open the file", QDialogButtonBox.ButtonRole.ActionRole)
            show.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(path)))
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 16, 20, 14)
        column.setSpacing(10)
        if path:
            column.addWidget(wrapped_label(path, "muted"))
        column.addWidget(self.text, 1)
        column.addWidget(buttons)
        self.resize(820, 520)
        self.text.moveCursor(self.text.textCursor().MoveOperation.End)


def log_text(path: str, tail: str) -> str:
    """The end of the file, or the tail where it cannot be read; for any thread."""
    try:
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            stream.seek(max(0, size - MOST_BYTES))
            return stream.read(MOST_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError):
        return tail
