"""Which variables stand out: ranked by what was measured of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from ckptviewer.analysis.sketch import Measures
from ckptviewer.checkpoint.text import count_text, number_text
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.widgets import ChoiceButton, wrapped_label
from ckptviewer.ui.session import Session

MOST_RANKED = 200
_SETTLE_MS = 250

Measure = Callable[[Measures], float | None]
MEASURES: dict[str, tuple[Measure, Callable[[float], str]]] = {
    "NaN and Inf": (lambda m: m.not_finite or None, lambda value: count_text(int(value))),
    "root mean square": (lambda m: m.rms, number_text),
    "L2 norm": (lambda m: m.l2_norm, number_text),
    "share of zeros": (lambda m: m.sparsity or None, lambda value: f"{value:.2%}"),
    "excess kurtosis": (lambda m: m.kurtosis, number_text),
}


class RankingPanel(QWidget):
    """Lists the variables that stand out most. chosen: the row of one that was clicked."""

    chosen = Signal(object)

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self._session: Session | None = None
        self._by = ChoiceButton("Rank by", list(MEASURES), "root mean square")
        self._by.chosen.connect(self._rank)
        self._note = wrapped_label("", "muted")
        self._list = QTreeWidget()
        self._list.setAccessibleName("Variables that stand out")
        self._list.setHeaderLabels(["Variable", "Value"])
        self._list.setRootIsDecorated(False)
        self._list.setUniformRowHeights(True)
        self._list.setFrameShape(QTreeWidget.Shape.NoFrame)
        self._list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self._list.currentItemChanged.connect(self._tell)
        row = QHBoxLayout()
        row.addWidget(self._by)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 10, 14, 10)
        column.addLayout(row)
        column.addWidget(self._list, 1)
        column.addWidget(self._note)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self._rank)

    def show_session(self, session: Session | None) -> None:
        """Show another checkpoint, or none."""
        self._session = session
        self._rank()

    def refresh(self) -> None:
        """More has been measured."""
        if self.isVisible() and not self._settle.isActive():
            self._settle.start()

    def names(self) -> list[str]:
        """The names that are listed, the first first."""
        items = (self._list.topLevelItem(n) for n in range(self._list.topLevelItemCount()))
        return [item.text(0) for item in items if item is not None]

    def _rank(self) -> None:
        session = self._session
        self._list.blockSignals(True)
        self._list.clear()
        self._list.blockSignals(False)
        if session is None:
            return
        measure, words = MEASURES[self._by.choice]
        ranked = []
        for row, sketch in list(session.sketches.items()):
            if session.checkpoint.variables[row].element_count < 2:
                continue
            value = measure(sketch.measures) if sketch.measures else None
            if value is not None:
                ranked.append((value, row))
        ranked.sort(reverse=True)
        for value, row in ranked[:MOST_RANKED]:
            item = QTreeWidgetItem([session.checkpoint.variables[row].name, words(value)])
            item.setData(0, Qt.ItemDataRole.UserRole, row)
            item.setToolTip(0, session.checkpoint.variables[row].key)
            item.setFont(1, self._appearance.text_font)
            item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self._list.addTopLevelItem(item)
        self._list.setColumnWidth(0, max(120, self._list.width() - 130))
        measured, all_ = len(session.sketches), len(session.checkpoint.variables)
        if not ranked:
            self._note.setText("No variable that was measured has any.")
        elif measured < all_:
            self._note.setText(
                f"Of {count_text(measured)} measured variables of {count_text(all_)}."
            )
        else:
            self._note.setText("")

    def _tell(self, item: QTreeWidgetItem | None, _before: object) -> None:
        if item is not None:
            self.chosen.emit(item.data(0, Qt.ItemDataRole.UserRole))

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self._rank()
