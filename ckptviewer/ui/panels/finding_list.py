"""Findings as a list: a line each, with a mark in the colour of how much it matters."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem

from ckptviewer.checkpoint.findings import Finding
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.padded_cells import NameCells
from ckptviewer.ui.panels.widgets import SEVERITY_MARKS, severity_colour
from ckptviewer.ui.plain_text import as_plain
from ckptviewer.ui.shortening import shortened_sentence


class FindingList(QTreeWidget):
    """Lists findings in the order given. chosen: another Finding is the current one; None: none."""

    chosen = Signal(object)

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self.setAccessibleName("Findings")
        self.setHeaderHidden(True)
        self.setColumnCount(2)
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setItemDelegateForColumn(1, NameCells(self, shortened_sentence))
        self.header().setStretchLastSection(True)
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Fixed)
        self.setColumnWidth(0, 30)
        self.currentItemChanged.connect(self._tell)

    def show_findings(self, findings: Iterable[Finding]) -> None:
        """Show these, in the colours of the theme as it is now; none of them is the current one."""
        self.clear()
        self.addTopLevelItems([self._item(finding) for finding in findings])

    def current(self) -> Finding | None:
        """The one that is chosen."""
        return _finding_of(self.currentItem())

    def choose(self, finding: Finding) -> bool:
        """Make it the current one; whether it is in the list."""
        for row in range(self.topLevelItemCount()):
            item = self.topLevelItem(row)
            if item is not None and _finding_of(item) == finding:
                self.setCurrentItem(item)
                return True
        return False

    def _tell(self, item: QTreeWidgetItem | None, _before: object) -> None:
        self.chosen.emit(_finding_of(item))

    def _item(self, finding: Finding) -> QTreeWidgetItem:
        said = f"{finding.severity}: {finding.message}"
        item = QTreeWidgetItem([SEVERITY_MARKS[finding.severity], finding.message])
        item.setData(0, Qt.ItemDataRole.UserRole, finding)
        item.setToolTip(0, f"{finding.severity}: {finding.code}")
        item.setToolTip(1, as_plain(f"{finding.message}\n{finding.remedy}".rstrip()))
        item.setData(1, Qt.ItemDataRole.AccessibleTextRole, said)
        item.setForeground(0, QColor(severity_colour(finding.severity, self._appearance.theme)))
        return item


def _finding_of(item: QTreeWidgetItem | None) -> Finding | None:
    return None if item is None else item.data(0, Qt.ItemDataRole.UserRole)
