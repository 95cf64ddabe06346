"""The menu of the ready-made sets of rename rules."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QMenu, QWidget

from ckptviewer.checkpoint.rename_sets import RULE_SETS


class ReadyMadeRules(QMenu):
    """Offers the sets by their titles. chosen: the rules of one, as lines to be typed."""

    chosen = Signal(list)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        for each in RULE_SETS.values():
            lines = [str(rule) for rule in each.rules]
            action = self.addAction(each.title)
            action.triggered.connect(lambda _checked=False, lines=lines: self.chosen.emit(lines))
