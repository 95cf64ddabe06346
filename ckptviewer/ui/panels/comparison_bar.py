"""The strip above the merged tree: statuses to show, order, tolerance, options."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QWidget

from ckptviewer.ui.open_comparison import MEASURES
from ckptviewer.ui.panels.buttons import ChoiceButton, menu_button
from ckptviewer.ui.panels.status_chips import StatusChips

AS_TREE = "tree"
_TOLERANCES = ("0", "1e-8", "1e-6", "1e-5", "1e-4", "1e-3", "1e-2")
_SWITCHES = (
    ("The model's variables only", "model_only"),
    ("Read what is equal by checksum, too", "values"),
    ("Compare metadata, too", "include_metadata"),
)


class ComparisonBar(QWidget):
    """Chooses how a comparison is made and shown.

    switched: an option of the comparison by its name, and whether it is on.
    """

    switched = Signal(str, bool)
    rules_wanted = Signal()
    thresholds_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("strip")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.chips = StatusChips()
        self.sort = ChoiceButton("Sort", [AS_TREE, *MEASURES], AS_TREE)
        self.tolerance = ChoiceButton("Tolerance", _TOLERANCES, "0")
        self.tolerance.setToolTip("Absolute tolerance: what is no further apart is the same")
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 5, 8, 5)
        row.setSpacing(4)
        row.addWidget(self.chips, 1)
        for button in (self.sort, self.tolerance, self._make_options()):
            row.addWidget(button)

    def _make_options(self) -> QToolButton:
        button = menu_button("Options", "What is compared, and how it is judged")
        menu = button.menu()
        for text, name in _SWITCHES:
            action = menu.addAction(text)
            action.setCheckable(True)
            action.toggled.connect(partial(self.switched.emit, name))
        menu.addSeparator()
        menu.addAction("Rename rules\u2026").triggered.connect(lambda: self.rules_wanted.emit())
        menu.addAction("Thresholds\u2026").triggered.connect(lambda: self.thresholds_wanted.emit())
        return button
