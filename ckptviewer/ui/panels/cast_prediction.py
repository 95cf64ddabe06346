"""What a cast would lose: three numbers, or how far their reading has come."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QProgressBar, QPushButton, QVBoxLayout, QWidget

from ckptviewer.checkpoint.casting import CastLoss
from ckptviewer.checkpoint.progress import Progress
from ckptviewer.checkpoint.text import count_text, number_text, plural, size_text
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.note import Note
from ckptviewer.ui.panels.widgets import FactGrid


class CastPrediction(QFrame):
    """Overflow, underflow and the largest relative error. read_wanted: whatever it takes."""

    read_wanted = Signal()

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self.setObjectName("card")
        self.losses: Mapping[str, CastLoss] | None = None
        self._numbers = FactGrid(3, appearance)
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
        self.losses = None
        self.hide()

    def show_progress(self, progress: Progress | None) -> None:
        """The values are being read."""
        self._show(self._bar, "Reading what would be cast\u2026")
        self._bar.setValue(int(1000 * progress.fraction) if progress is not None else 0)

    def ask(self, unread_bytes: int) -> None:
        """So much would have to be read that nobody does it unasked."""
        self._read.setText(f"Read {size_text(unread_bytes)} to find out")
        self._show(self._read, "What the cast would lose is not known yet.")

    def show_problem(self, text: str) -> None:
        """The values could not be read."""
        self._show(None, text)

    def show_losses(self, losses: Mapping[str, CastLoss], dtype: str) -> None:
        """Show what all casts lose together, and what loses most."""
        self.losses = losses
        whole = sum(losses.values(), CastLoss())
        worst = max(losses, key=lambda key: losses[key].relative_error, default="")
        facts = [
            ("Overflow", count_text(whole.overflow), "Finite values that would become infinite"),
            ("Become zero", count_text(whole.underflow), "Other values that would become zero"),
            (
                "Largest relative error",
                number_text(whole.relative_error, 2),
                f"Of the others, in {worst}" if worst else "",
            ),
        ]
        note = f"Of {plural(whole.count, 'value')} as {dtype}"
        if whole.overflow:
            keys = [key for key, loss in losses.items() if loss.overflow]
            note += (
                f". \u25b2 {plural(whole.overflow, 'value')} of "
                f"{plural(len(keys), 'variable')} would become infinite, of {keys[0]} first: "
                "leave these out of the cast, or take bfloat16, whose range is that of float32"
            )
        self._show(self._numbers, f"{note}.")
        self._numbers.show_facts(facts)

    def _show(self, shown: QWidget | None, note: str) -> None:
        if shown is not self._numbers:
            self.losses = None
        for widget in (self._numbers, self._bar, self._read):
            widget.setVisible(widget is shown)
        self.note.say(note)
        self.show()
