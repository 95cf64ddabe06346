"""A line or more of text that comes, changes and goes."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import QLabel


class Note(QLabel):
    """Wrapped text, muted or an error; hidden while there is nothing to say.

    It takes nothing for markup, and offers to copy its text.
    """

    def __init__(self) -> None:
        super().__init__()
        self.said = ""
        self.setObjectName("muted")
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self.setMinimumWidth(60)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        copy = QAction("Copy", self)
        copy.triggered.connect(lambda: QGuiApplication.clipboard().setText(self.said))
        self.addAction(copy)
        self.hide()

    @property
    def is_error(self) -> bool:
        """Whether it says what is wrong."""
        return bool(self.said) and self.objectName() == "error"

    def say(self, text: str, *, error: bool = False) -> None:
        """Show another text; without one it goes."""
        self.said = text
        shown = f"\u2715 {text}" if error and text else text
        self.setText(shown.replace("/", "/\u200b").replace("_", "_\u200b"))
        self.setAccessibleName(text)
        name = "error" if error else "muted"
        if self.objectName() != name:
            self.setObjectName(name)
            self.style().unpolish(self)
            self.style().polish(self)
        self.setVisible(bool(text))
