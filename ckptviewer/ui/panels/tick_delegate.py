"""Tick boxes in a list: painted as those elsewhere in the window."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRectF, Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import (
    QApplication,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.tick_box import BOX, paint_box


class TickDelegate(QStyledItemDelegate):
    """Paints a cell with a box that can be ticked, where the style has it, so that clicks meet."""

    def __init__(self, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent)
        self._appearance = appearance

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        shown = QStyleOptionViewItem(option)
        self.initStyleOption(shown, index)
        style = shown.widget.style() if shown.widget is not None else QApplication.style()
        place = style.subElementRect(
            QStyle.SubElement.SE_ItemViewItemCheckIndicator, shown, shown.widget
        )
        state = shown.checkState
        shown.features &= ~QStyleOptionViewItem.ViewItemFeature.HasCheckIndicator
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, shown, painter, shown.widget)
        middle = place.center()
        box = QRectF(middle.x() - BOX / 2 + 0.5, middle.y() - BOX / 2 + 0.5, BOX, BOX)
        enabled = bool(index.flags() & Qt.ItemFlag.ItemIsEnabled)
        paint_box(painter, box, Qt.CheckState(state), self._appearance.theme, enabled=enabled)
