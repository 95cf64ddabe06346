"""Cells of plain tables, with some air between the columns."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QSize
from PySide6.QtGui import QFontMetrics, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from ckptviewer.ui.shortening import shortened

_PADDING = 6


class NameCells(QStyledItemDelegate):
    """Paints cells as usual, but shortens names so that what tells them apart is left."""

    def __init__(
        self, parent: QWidget, shorten: Callable[[str, QFontMetrics, int], str] = shortened
    ) -> None:
        """shorten: what makes a text fit."""
        super().__init__(parent)
        self._shorten = shorten

    def initStyleOption(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        super().initStyleOption(option, index)
        view = option.widget
        if view is not None and option.rect.width() > 0:
            place = QStyle.SubElement.SE_ItemViewItemText
            room = view.style().subElementRect(place, option, view).width() - 2 * _PADDING
            option.text = self._shorten(option.text, option.fontMetrics, room)


class PaddedCells(QStyledItemDelegate):
    """Paints cells as usual, but keeps a number off the name that follows it."""

    def sizeHint(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        return super().sizeHint(option, index) + QSize(2 * _PADDING, 0)

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, option.palette.highlight())
        option.rect = option.rect.adjusted(_PADDING, 0, -_PADDING, 0)
        super().paint(painter, option, index)
