"""What went wrong in a run: its findings, the worst first, and the one that is chosen in full."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ckptviewer.checkpoint.findings import Finding, worst_first
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.finding_list import FindingList
from ckptviewer.ui.panels.widgets import FindingCard, clear_layout, section_label

_MOST_SHOWN = 500


class RunFindings(QWidget):
    """Lists findings. chosen: the key of the variable of the one that was chosen."""

    chosen = Signal(str)

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self._theme_shown = ""
        self.found: tuple[Finding, ...] = ()
        self.list = FindingList(appearance)
        self.list.hide()
        self._title = section_label("Findings")
        self._card = QVBoxLayout()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self._title)
        column.addWidget(self.list, 1)
        column.addLayout(self._card)
        column.addStretch()
        self.list.chosen.connect(self._show_one)
        appearance.changed.connect(self._show_again)

    def show_findings(self, findings: Iterable[Finding]) -> None:
        """Show these; what is chosen stays so where they are the same as before."""
        found, theme = worst_first(findings), self._appearance.theme.name
        if self.found == found and self._theme_shown == theme:
            return
        self.found, self._theme_shown = found, theme
        self.list.show_findings(found[:_MOST_SHOWN])
        self._title.setText(f"Findings  {len(found)}" if found else "No findings so far")
        self.list.setVisible(bool(found))

    def _show_again(self) -> None:
        self.show_findings(self.found)

    def _show_one(self, finding: Finding | None) -> None:
        clear_layout(self._card)
        if finding is None:
            return
        self._card.addWidget(FindingCard(finding, self._appearance))
        if finding.variable:
            self.chosen.emit(finding.variable)
