"""How many variables have each status; a click shows these alone."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QWidget

from ckptviewer.analysis.comparison import LETTERS, Status
from ckptviewer.checkpoint.text import count_text
from ckptviewer.ui.panels.buttons import chip_button

_ORDER = (
    Status.SAME,
    Status.CHANGED,
    Status.ADDED,
    Status.REMOVED,
    Status.RENAMED,
    Status.RESHAPED,
    Status.RETYPED,
)


class StatusChips(QWidget):
    """A button for each status that occurs. chosen: the statuses to show; none means all."""

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        self._buttons: dict[Status, QToolButton] = {}
        for status in _ORDER:
            button = chip_button()
            button.toggled.connect(self._tell)
            self._buttons[status] = button
            row.addWidget(button)
        row.addStretch(1)

    @property
    def statuses(self) -> frozenset[Status]:
        """The statuses that are chosen."""
        return frozenset(status for status, button in self._buttons.items() if button.isChecked())

    def show_counts(self, counts: Mapping[Status, int]) -> None:
        """Show how many variables have each status."""
        for status, button in self._buttons.items():
            count = counts.get(status, 0)
            button.setText(f"{LETTERS[status]} {count_text(count)} {status}")
            button.setToolTip(f"Show only what is {status}")
            button.setAccessibleName(f"{count} {status}")
            button.setVisible(bool(count) or button.isChecked())

    def choose(self, *statuses: Status) -> None:
        """Choose these statuses, and no other."""
        for status, button in self._buttons.items():
            button.setChecked(status in statuses)

    def _tell(self) -> None:
        self.chosen.emit(self.statuses)
