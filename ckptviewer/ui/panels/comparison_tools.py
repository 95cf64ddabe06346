"""The tools of a comparison in the bar of the window: what A and B are, swap, report."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QMenu, QToolButton, QWidget

from ckptviewer.checkpoint.text import elide_middle
from ckptviewer.ui.panels.buttons import menu_button

_LONGEST_NAME = 36


class ComparisonTools(QObject):
    """Keeps the buttons. swap_wanted, choose_wanted: one was pressed."""

    swap_wanted = Signal()
    choose_wanted = Signal()

    def __init__(self, fill_report_menu: Callable[[QMenu], None], parent: QObject) -> None:
        super().__init__(parent)
        self._names = (QToolButton(), QToolButton())
        self._names[1].clicked.connect(self.choose_wanted)
        swap = QToolButton()
        swap.setText("\u21c4")
        swap.setToolTip("Swap A and B (Ctrl+Shift+X)")
        swap.setAccessibleName("Swap A and B")
        swap.clicked.connect(self.swap_wanted)
        report = menu_button("Report", "Save what was found, or copy it")
        fill_report_menu(report.menu())
        self.widgets: list[QWidget] = [self._names[0], swap, self._names[1], report]

    def show_names(self, names: tuple[str, str], paths: tuple[str, str]) -> None:
        """Show what A and B are."""
        for letter, button, name, path in zip("AB", self._names, names, paths, strict=True):
            button.setText(f"{letter}  {elide_middle(name, _LONGEST_NAME)}")
            button.setToolTip(path)
            button.setAccessibleName(f"{letter}: {path}")
