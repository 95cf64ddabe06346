"""All keys of the window on one sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.ui.dialogs.palette import actions_of
from ckptviewer.ui.panels.widgets import scrolled, section_label

if TYPE_CHECKING:
    from ckptviewer.ui.main_window import MainWindow

IN_THE_TREE = (
    ("Move", "\u2191  \u2193  Page up  Page down"),
    ("Open or close a group, or the slots of a variable", "\u2192  \u2190  Return"),
    ("Open all groups", "*"),
    ("Select several", "Shift or Ctrl with the arrows"),
    ("From the filter to the tree", "\u2193  Return"),
    ("Clear the filter, cancel what is running", "Esc"),
)
_IN_TABS = (("Next tab", "Ctrl+Page down"), ("Tab before", "Ctrl+Page up"))
_IN_VALUES = (("Go to an index", "Ctrl+G"), ("Copy the selected values", "Ctrl+C"))


class ShortcutsDialog(QDialog):
    """Shows the keys of all actions that have one, and those that are no actions."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Keys")
        groups: dict[str, list[tuple[str, str]]] = {}
        for name, action in actions_of(window.menuBar(), disabled=True):
            keys = "  ".join(each.toString() for each in action.shortcuts())
            if keys:
                menu, _, rest = name.partition(": ")
                groups.setdefault(menu, []).append((rest, keys))
        groups["In a tree"] = list(IN_THE_TREE)
        groups["In a table of values"] = list(_IN_VALUES)
        if window.window() is not window:
            groups["Tabs"] = list(_IN_TABS)
        page = QWidget()
        columns = QHBoxLayout(page)
        columns.setContentsMargins(20, 16, 20, 8)
        columns.setSpacing(36)
        halves = [QVBoxLayout(), QVBoxLayout()]
        for half in halves:
            half.setSpacing(6)
        filled = [0, 0]
        for title, keys_of in groups.items():
            side = 0 if filled[0] <= filled[1] else 1
            filled[side] += len(keys_of) + 2
            halves[side].addWidget(section_label(title), 0)
            halves[side].addWidget(_sheet(keys_of))
            halves[side].addSpacing(10)
        for half in halves:
            half.addStretch(1)
            columns.addLayout(half, 1)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        buttons.setContentsMargins(20, 0, 20, 14)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(scrolled(page, "Keys"), 1)
        column.addWidget(buttons)
        self.resize(min(780, window.width() - 40), min(560, window.height() - 60))


def _sheet(keys_of: list[tuple[str, str]]) -> QWidget:
    sheet = QWidget()
    grid = QGridLayout(sheet)
    grid.setContentsMargins(0, 4, 0, 0)
    grid.setHorizontalSpacing(18)
    grid.setVerticalSpacing(5)
    grid.setColumnStretch(0, 1)
    for row, (name, keys) in enumerate(keys_of):
        what, which = QLabel(name.rstrip("\u2026")), QLabel(keys)
        which.setObjectName("muted")
        what.setAccessibleName(f"{name}: {keys}")
        grid.addWidget(what, row, 0)
        grid.addWidget(which, row, 1)
    return sheet
