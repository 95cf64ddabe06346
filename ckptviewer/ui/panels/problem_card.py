"""A problem in the place of what it kept from coming: one sentence, the remedy, what to do."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ckptviewer.checkpoint.text import capitalised
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import error_text
from ckptviewer.ui.panels.buttons import flat_button
from ckptviewer.ui.panels.widgets import clear_layout, wrapped_label


class ProblemCard(QWidget):
    """Hidden until there is a problem. log_wanted: its log. again_wanted: try again."""

    log_wanted = Signal()
    again_wanted = Signal()

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self._text = ""
        self._mark = QLabel("\u2715")
        self._words = QVBoxLayout()
        self._words.setSpacing(3)
        self.log = QPushButton("Show the log")
        self.log.setToolTip("What the model\u2019s process printed")
        self.log.clicked.connect(lambda _=False: self.log_wanted.emit())
        again = QPushButton("Try again")
        again.clicked.connect(lambda _=False: self.again_wanted.emit())
        self._again = again
        close = flat_button("\u2715", "Dismiss")
        close.clicked.connect(lambda _=False: self.hide())
        column = QVBoxLayout()
        column.setSpacing(9)
        column.addLayout(self._words)
        buttons = QHBoxLayout()
        buttons.addWidget(self.log)
        buttons.addWidget(again)
        buttons.addStretch(1)
        column.addLayout(buttons)
        card = QFrame()
        card.setObjectName("card")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(14, 12, 14, 4)
        outer.addWidget(card)
        row = QHBoxLayout(card)
        row.setContentsMargins(14, 11, 8, 11)
        row.setSpacing(12)
        top = Qt.AlignmentFlag.AlignTop
        row.addWidget(self._mark, 0, top)
        row.addLayout(column, 1)
        row.addWidget(close, 0, top)
        self.hide()

    def show_error(self, error: BaseException) -> None:
        """Show what went wrong."""
        what, where, remedy = error_text(error)
        sentence = capitalised(what)
        sentence += "" if sentence.endswith((".", "!", "?")) else "."
        self._show(sentence, where, remedy, bad=True)
        self.log.setVisible(bool(getattr(error, "log_path", "") or getattr(error, "log_tail", "")))
        self._again.show()

    def show_note(self, sentence: str) -> None:
        """Show what is no problem, but has to be known."""
        self._show(sentence, "", "", bad=False)
        self.log.hide()
        self._again.hide()

    def text(self) -> str:
        """All of what is shown, in one line."""
        return self._text

    def _show(self, sentence: str, where: str, remedy: str, *, bad: bool) -> None:
        theme = self._appearance.theme
        self._mark.setText("\u2715" if bad else "\u2139")
        self._mark.setStyleSheet(
            f"color: {theme.error if bad else theme.accent}; font-weight: 700;"
        )
        self._text = " ".join(filter(None, (sentence, where, remedy)))
        clear_layout(self._words)
        for text, name in ((sentence, "section"), (where, "muted"), (remedy, "")):
            if text:
                self._words.addWidget(wrapped_label(text, name))
        self.setAccessibleName(self._text)
        self.show()
