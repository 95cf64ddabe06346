"""The merged tree of a comparison on the screen."""

from __future__ import annotations

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QHeaderView, QMenu

from ckptviewer.analysis.comparison import VariableDelta
from ckptviewer.checkpoint.text import printable
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.models.delta_rows import TITLES, DeltaColumn, DeltaRowsModel
from ckptviewer.ui.models.variable_rows import VariableRowsModel
from ckptviewer.ui.panels.delta_painting import DeltaPainter
from ckptviewer.ui.panels.variable_table import VariableTable

_WIDTHS = {
    DeltaColumn.SHAPE: 112,
    DeltaColumn.OF_A: 96,
    DeltaColumn.OF_B: 96,
    DeltaColumn.CHANGE: 124,
    DeltaColumn.VERDICT: 142,
}
_COPIED = ("max_abs", "mean_abs", "relative_l2", "cosine", "mean_difference", "std_difference")


class DeltaTable(VariableTable):
    """Shows a DeltaRowsModel."""

    def make_painter(self, appearance: Appearance) -> DeltaPainter:
        return DeltaPainter(appearance, self)

    def delta_model(self) -> DeltaRowsModel | None:
        """The model that is shown, if one is."""
        model = self.model()
        return model if isinstance(model, DeltaRowsModel) else None

    def show_model(self, model: VariableRowsModel) -> None:
        first = self.model() is None
        self.setModel(model)
        if first:
            header = self.horizontalHeader()
            for column, width in _WIDTHS.items():
                header.resizeSection(column, width)
            header.setSectionResizeMode(DeltaColumn.NAME, QHeaderView.ResizeMode.Stretch)
            self.fit_names()
        self.selectionModel().selectionChanged.connect(self._tell_selection)

    def refresh(self) -> None:
        if (model := self.rows_model()) is not None:
            model.refresh(*self.rows_in_sight())

    def go_to_difference(self, step: int) -> bool:
        """Select the next (1) or previous (-1) variable that is not the same; whether one is."""
        model = self.delta_model()
        if model is None:
            return False
        item = model.next_difference(self.currentIndex().row(), step)
        if item is None or model.reveal(item) is None:
            return False
        self.show_item(item)
        return True

    def copy_rows(self) -> None:
        """Put the selected rows on the clipboard as tab-separated values, with a header."""
        model = self.delta_model()
        if model is None:
            return
        lines = ["\t".join(("status", "key_a", "key_b", "basis", *_COPIED, "verdict"))]
        for item in self.selected_items():
            if isinstance(item, int):
                verdict = model.verdict_text(item)
                lines.append(_line(model.compared.deltas[item], verdict))
        QGuiApplication.clipboard().setText("\n".join(lines) + "\n")

    def _offer_columns(self) -> None:
        menu = QMenu(self)
        for column, title in TITLES.items():
            if column is DeltaColumn.NAME:
                continue
            action = menu.addAction(title)
            action.setCheckable(True)
            action.setChecked(not self.isColumnHidden(column))
            action.toggled.connect(lambda shown, c=column: self.setColumnHidden(c, not shown))
        menu.exec(self.cursor().pos())


def _line(delta: VariableDelta, verdict: str) -> str:
    key_a, key_b = delta.pair
    numbers = [getattr(delta.difference, name, None) for name in _COPIED]
    cells = [str(delta.status), printable(key_a or ""), printable(key_b or "")]
    cells.append(str(delta.basis or ""))
    cells += ["" if number is None else repr(number) for number in numbers]
    return "\t".join((*cells, verdict))
