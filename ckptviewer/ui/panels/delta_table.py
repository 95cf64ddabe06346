"""The merged tree of a comparison on the screen."""

from __future__ import annotations

from PySide6.QtGui import QGuiApplication

from ckptviewer.analysis.comparison import VariableDelta
from ckptviewer.checkpoint.text import printable
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.models.delta_rows import TITLES, DeltaColumn, DeltaRowsModel
from ckptviewer.ui.panels.delta_painting import DeltaPainter
from ckptviewer.ui.panels.variable_table import VariableTable

_WIDTHS = {
    DeltaColumn.SHAPE: 112,
    DeltaColumn.OF_A: 96,
    DeltaColumn.OF_B: 96,
    DeltaColumn.CHANGE: 124,
    DeltaColumn.VERDICT: 142,
}
_NARROW_WIDTHS = {
    DeltaColumn.SHAPE: 96,
    DeltaColumn.OF_A: 66,
    DeltaColumn.OF_B: 66,
    DeltaColumn.CHANGE: 88,
    DeltaColumn.VERDICT: 104,
}
_COPIED = ("max_abs", "mean_abs", "relative_l2", "cosine", "mean_difference", "std_difference")


class DeltaTable(VariableTable):
    """Shows a DeltaRowsModel."""

    titles = TITLES
    widths = _WIDTHS
    narrow_widths = _NARROW_WIDTHS
    hidden_until_marked = None

    def make_painter(self, appearance: Appearance) -> DeltaPainter:
        return DeltaPainter(appearance, self)

    def delta_model(self) -> DeltaRowsModel | None:
        """The model that is shown, if one is."""
        model = self.model()
        return model if isinstance(model, DeltaRowsModel) else None

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


def _line(delta: VariableDelta, verdict: str) -> str:
    key_a, key_b = delta.pair
    numbers = [getattr(delta.difference, name, None) for name in _COPIED]
    cells = [str(delta.status), printable(key_a or ""), printable(key_b or "")]
    cells.append(str(delta.basis or ""))
    cells += ["" if number is None else repr(number) for number in numbers]
    return "\t".join((*cells, verdict))
