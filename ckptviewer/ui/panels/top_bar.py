"""The bar at the top: opening, the tools of the view that is shown, and the filter."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QToolButton, QWidget

from ckptviewer.ui.appearance import Appearance

FILTER_HINT = "Filter: words, role:weight, dtype:float16, size>1M"
_FILTER_HELP = """\
Words match in any order, in upper or lower case; -word excludes; "two words" belong together.
role:optimizer-slot   dtype:float32,bfloat16   shape:3x3   rank:2   trainable:yes   shard:0
size>1M   size<=4k   elements>1000   damaged"""


class FilterBox(QLineEdit):
    """Where the filter is typed. Down goes to the tree, Escape clears."""

    leave_downwards = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.leave_downwards.emit()
        elif event.key() == Qt.Key.Key_Escape:
            if self.text():
                self.clear()
            else:
                self.leave_downwards.emit()
        else:
            super().keyPressEvent(event)


class TopBar(QWidget):
    """The bar at the top of the window."""

    leave_downwards = Signal()

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self.setObjectName("bar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 7, 10, 7)
        row.setSpacing(8)
        self.open_button = QToolButton()
        self.open_button.setText("Open\u2026")
        self.open_button.setToolTip("Open a checkpoint (Ctrl+O)")
        self.open_button.setAccessibleName("Open")
        self.open_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.filter = FilterBox()
        self.filter.setPlaceholderText(FILTER_HINT)
        self.filter.setAccessibleName("Filter")
        self.filter.setToolTip(_FILTER_HELP)
        self.filter.setClearButtonEnabled(True)
        self.filter.setMinimumWidth(220)
        self.filter.setMaximumWidth(460)
        self.filter.leave_downwards.connect(self.leave_downwards)
        self.back_button = QToolButton()
        self.back_button.setText("\u2039 Back")
        self.back_button.setToolTip("Back to the checkpoint (Alt+Left)")
        self.back_button.setAccessibleName("Back")
        self.back_button.hide()
        self._tools = QHBoxLayout()
        self._tools.setSpacing(8)
        row.addWidget(self.open_button)
        row.addWidget(self.back_button)
        row.addLayout(self._tools)
        row.addStretch(1)
        row.addWidget(self.filter, 2)

    def show_tools(self, tools: Sequence[QWidget]) -> None:
        """Show the tools of a view in the place of those of the last one."""
        while (item := self._tools.itemAt(0)) and (widget := item.widget()):
            self._tools.removeWidget(widget)  # an item that is taken stays for good
            widget.hide()
            widget.setParent(None)
        for tool in tools:
            self._tools.addWidget(tool)
            action = tool.defaultAction() if isinstance(tool, QToolButton) else None
            tool.setVisible(action is None or action.isVisible())
        in_order = (self.open_button, self.back_button, *tools, self.filter)
        for one, following in pairwise(in_order):  # what is added later would come last
            QWidget.setTabOrder(one, following)

    def show_filter(self, text: str, hint: str) -> None:
        """Show what a view is filtered by; without a hint it cannot be filtered."""
        self.filter.setEnabled(bool(hint))
        self.filter.setPlaceholderText(hint or FILTER_HINT)
        self.filter.blockSignals(True)
        self.filter.setText(text)
        self.filter.blockSignals(False)
