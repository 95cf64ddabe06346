"""What a cast would lose: three numbers, or how far their reading has come."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QProgressBar, QPushButton, QVBoxLayout, QWidget

from ckptviewer.checkpoint.progress import Progress
from ckptviewer.checkpoint.text import count_text, number_text, plural, size_text
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.note import Note
from ckptviewer.ui.panels.widgets import FactGrid
from ckptviewer.ui.predicting import Outlook


class CastPrediction(QFrame):
    """Overflow, underflow and the largest relative error. read_wanted: whatever it takes."""

    read_wanted = Signal()

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self.setObjectName("card")
        self.outlook: Outlook | None = None
        self._numbers = FactGrid(3, appearance)
        self._facts: list[tuple[str, str, str]] = []
        self.note = Note()
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setRange(0, 1000)
        self._read = QPushButton()
        self._read.clicked.connect(self.read_wanted)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 9, 12, 9)
        column.setSpacing(6)
        for widget in (self._numbers, self.note, self._bar, self._read):
            column.addWidget(widget)
        self.hide()

    def show_nothing(self) -> None:
        """Nothing is cast."""
        self.outlook = None
        self.hide()

    def show_progress(self, progress: Progress) -> None:
        """The values are being read."""
        self._show(self._bar, "Reading what would be cast\u2026")
        self._bar.setValue(int(1000 * progress.fraction))

    def ask(self, unread_bytes: int) -> None:
        """So much would have to be read that nobody does it unasked."""
        self._read.setText(f"Read {size_text(unread_bytes)} to find out")
        self._show(self._read, "What the cast would lose is not known yet.")

    def show_problem(self, text: str) -> None:
        """The values could not be read."""
        self._show(None, text)

    def show_outlook(self, outlook: Outlook | None) -> None:
        """Show what all casts lose together, and what loses most."""
        if outlook is None:
            self.show_nothing()
            return
        if outlook.unread_bytes:
            self.ask(outlook.unread_bytes)
            return
        whole = outlook.whole
        facts = [
            ("Overflow", count_text(whole.overflow), "Finite values that would become infinite"),
            ("Become zero", count_text(whole.underflow), "Other values that would become zero"),
            (
                "Largest relative error",
                number_text(whole.relative_error, 2),
                f"Of the others, in {outlook.worst}",
            ),
        ]
        note = f"Of {plural(whole.count, 'value')} as {outlook.dtype}"
        if whole.overflow:
            keys = outlook.overflowing
            note += (
                f". \u25b2 {plural(whole.overflow, 'value')} of "
                f"{plural(len(keys), 'variable')} would become infinite, of {keys[0]} first: "
                "leave these out of the cast, or take bfloat16, whose range is that of float32"
            )
        self._show(self._numbers, f"{note}.")
        if facts != self._facts:
            self._facts = facts
            self._numbers.show_facts(facts)
        self.outlook = outlook

    def _show(self, shown: QWidget | None, note: str) -> None:
        self.outlook = None
        for widget in (self._numbers, self._bar, self._read):
            widget.setVisible(widget is shown)
        self.note.say(note)
        self.show()
