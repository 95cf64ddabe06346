"""Pages in the place of a checkpoint: welcome, opening, and what went wrong."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.checkpoint.progress import Progress
from ckptviewer.checkpoint.text import capitalised, elide_middle
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.widgets import clear_layout, section_label, wrapped_label
from ckptviewer.ui.plain_text import as_plain

MOST_RECENT_SHOWN = 6
_FIRST_STEPS = (
    "Drop a checkpoint here: any of its files, its directory, or a directory of a whole training.",
    "Type in the filter box to find variables, and click one to see its values.",
    "Drop a second checkpoint onto it to compare them, or a model to see whether it restores.",
    "Opening a file runs nothing in it and changes nothing; Ctrl+K lists all there is to do.",
)


class WelcomePage(QWidget):
    """What to do with an empty window. path_chosen: one of the recent files."""

    open_file = Signal()
    open_directory = Signal()
    open_demo = Signal()
    path_chosen = Signal(str)

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self.setObjectName("page")
        inner = _centred_column(self, 560)
        title = QLabel("Open a checkpoint")
        title.setFont(appearance.title_font)
        inner.addWidget(title)
        for sentence in _FIRST_STEPS:
            inner.addWidget(wrapped_label(sentence, "muted"))
        inner.addSpacing(10)
        row = QHBoxLayout()
        for text, signal, primary in (
            ("Open file\u2026", self.open_file, True),
            ("Open directory\u2026", self.open_directory, False),
            ("Show the demo", self.open_demo, False),
        ):
            button = QPushButton(text)
            if primary:
                button.setObjectName("primary")
            button.clicked.connect(signal)
            row.addWidget(button)
        row.addStretch(1)
        inner.addLayout(row)
        inner.addSpacing(18)
        self._recent_title = section_label("Recent")
        inner.addWidget(self._recent_title)
        self._recent = QVBoxLayout()
        self._recent.setSpacing(0)
        inner.addLayout(self._recent)

    def show_recent(self, paths: Sequence[str]) -> None:
        """Offer the files that were opened lately."""
        clear_layout(self._recent)
        self._recent_title.setVisible(bool(paths))
        for path in paths[:MOST_RECENT_SHOWN]:
            button = QPushButton(elide_middle(_short(path), 70))
            button.setObjectName("recent")
            button.setToolTip(as_plain(path))
            button.setStyleSheet("text-align: left; border: none; padding: 6px 8px;")
            button.setCursor(Qt.CursorShape.PointingHandCursor)
            button.clicked.connect(partial(self.path_chosen.emit, path))
            self._recent.addWidget(button)


class OpeningPage(QWidget):
    """A checkpoint is being opened."""

    cancel_wanted = Signal()

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self.setObjectName("page")
        inner = _centred_column(self, 420)
        self._title = QLabel()
        self._title.setTextFormat(Qt.TextFormat.PlainText)
        self._title.setFont(appearance.title_font)
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setRange(0, 0)
        cancel = QPushButton("Cancel")
        cancel.clicked.connect(self.cancel_wanted)
        inner.addWidget(self._title)
        inner.addWidget(self._bar)
        inner.addSpacing(6)
        inner.addWidget(cancel, 0, Qt.AlignmentFlag.AlignLeft)

    def show_path(self, path: str) -> None:
        """Say what is being opened."""
        self._title.setText(f"Opening {elide_middle(os.path.basename(path) or path, 50)}")
        self._bar.setRange(0, 0)

    def show_progress(self, progress: Progress) -> None:
        """Say how far it has come."""
        if progress.total:
            self._bar.setRange(0, 1000)
            self._bar.setValue(int(progress.fraction * 1000))


class ProblemPage(QWidget):
    """Why there is no checkpoint to see: what, where, and the remedy."""

    open_file = Signal()
    try_again = Signal()

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self.setObjectName("page")
        inner = _centred_column(self, 600)
        title = QLabel("This could not be opened")
        title.setFont(appearance.title_font)
        inner.addWidget(title)
        card = QFrame()
        card.setObjectName("card")
        column = QVBoxLayout(card)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(6)
        self._parts = QVBoxLayout()
        self._parts.setSpacing(8)
        column.addLayout(self._parts)
        inner.addWidget(card)
        inner.addSpacing(8)
        row = QHBoxLayout()
        again = QPushButton("Try again")
        again.setObjectName("primary")
        again.clicked.connect(self.try_again)
        other = QPushButton("Open another\u2026")
        other.clicked.connect(self.open_file)
        copy = QPushButton("Copy this message")
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.text()))
        for button in (again, other, copy):
            row.addWidget(button)
        row.addStretch(1)
        inner.addLayout(row)
        self._text = ""

    def text(self) -> str:
        """The whole message in one line."""
        return self._text

    def show_problem(self, what: str, where: str, remedy: str) -> None:
        """Show what happened, where, and what to do about it."""
        sentence = capitalised(what)
        sentence += "" if sentence.endswith((".", "!", "?")) else "."
        self._text = " ".join(
            part for part in (f"{where}:" if where else "", sentence, remedy) if part
        )
        clear_layout(self._parts)
        for text, name in ((sentence, "section"), (where, "muted"), (remedy, "")):
            if text:
                self._parts.addWidget(wrapped_label(text, name))


def _centred_column(page: QWidget, width: int) -> QVBoxLayout:
    """A column of at most `width` pixels in the middle of a page."""
    outer = QVBoxLayout(page)
    outer.setContentsMargins(24, 24, 24, 24)
    box = QWidget()
    box.setMaximumWidth(width)
    box.setMinimumWidth(min(width, 320))
    inner = QVBoxLayout(box)
    inner.setContentsMargins(0, 0, 0, 0)
    inner.setSpacing(8)
    row = QHBoxLayout()
    row.addStretch(1)
    row.addWidget(box, 20)
    row.addStretch(1)
    outer.addStretch(2)
    outer.addLayout(row)
    outer.addStretch(3)
    return inner


def _short(path: str) -> str:
    home = os.path.expanduser("~")
    return "~" + path[len(home) :] if home != "/" and path.startswith(home + os.sep) else path
