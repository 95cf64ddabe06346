"""The table of values: index headers that stay cheap for millions of rows, keys, and copying."""

from __future__ import annotations

from PySide6.QtCore import QItemSelectionModel, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QKeySequence, QPainter
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from ckptviewer.checkpoint.dtypes import Kind
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.models.values_model import ValuesModel

_WIDTHS = {Kind.STRING: 32, Kind.COMPLEX: 20, Kind.BOOL: 7}
"""Characters that a column has room for; others 11."""


class ValuesTable(QTableView):
    """A table of a ValuesModel. copy_wanted: by Ctrl+C. go_wanted: by Ctrl+G."""

    copy_wanted = Signal()
    go_wanted = Signal()

    def __init__(self, model: ValuesModel, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self.setModel(model)
        self.setFont(appearance.text_font)
        self.setAccessibleName("Values")
        self.setVerticalHeader(IndexHeader(Qt.Orientation.Vertical, appearance, self))
        self.setHorizontalHeader(IndexHeader(Qt.Orientation.Horizontal, appearance, self))
        height = self.fontMetrics().height() + 7
        self.verticalHeader().setMinimumSectionSize(height)
        self.verticalHeader().setDefaultSectionSize(height)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ContiguousSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerItem)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerItem)
        self.setWordWrap(False)
        self.setCornerButtonEnabled(False)
        self.setTabKeyNavigation(False)
        appearance.changed.connect(self._take_colours)
        self._take_colours()

    def fit_columns(self, kind: Kind, rows: int) -> None:
        """Give the columns the width that values of a kind need, and the row header that of
        indices below `rows`."""
        figure = self.fontMetrics().horizontalAdvance("0")
        self.horizontalHeader().setDefaultSectionSize(figure * _WIDTHS.get(kind, 11) + 12)
        self.verticalHeader().setFixedWidth(figure * max(3, len(str(rows))) + 16)

    def select_cell(self, row: int, column: int) -> None:
        """Bring a cell of the model into sight, and select it."""
        index = self.model().index(row, column)
        self.selectionModel().setCurrentIndex(
            index, QItemSelectionModel.SelectionFlag.ClearAndSelect
        )
        self.scrollTo(index, QAbstractItemView.ScrollHint.PositionAtCenter)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy_wanted.emit()
        elif (
            event.key() == Qt.Key.Key_G and event.modifiers() == Qt.KeyboardModifier.ControlModifier
        ):
            self.go_wanted.emit()
        else:
            super().keyPressEvent(event)

    def _take_colours(self) -> None:
        theme = self._appearance.theme
        self.setStyleSheet(
            f"QTableView {{ gridline-color: {theme.track}; border: 1px solid {theme.line}; }}"
            f" QTableView:focus {{ border-color: {theme.accent}; }}"
            f" QTableCornerButton::section {{ background: {theme.window}; border: none;"
            f" border-right: 1px solid {theme.line}; border-bottom: 1px solid {theme.line}; }}"
            f" QAbstractScrollArea::corner {{ background: {theme.base}; border: none; }}"
        )
        self.viewport().update()


class IndexHeader(QHeaderView):
    """A header of indices. Paints its sections itself: Qt's own asks, for each, whether all of a
    column is selected, cell by cell, which takes minutes where there are millions."""

    def __init__(
        self, orientation: Qt.Orientation, appearance: Appearance, parent: QWidget
    ) -> None:
        super().__init__(orientation, parent)
        self._appearance = appearance
        self.setFont(appearance.small_font)
        self.setSectionsClickable(False)
        self.setHighlightSections(False)
        down = orientation == Qt.Orientation.Vertical
        self.setAccessibleName("Row indices" if down else "Column indices")
        mode = QHeaderView.ResizeMode.Fixed if down else QHeaderView.ResizeMode.Interactive
        self.setSectionResizeMode(mode)

    def sizeHint(self) -> QSize:
        hint = super().sizeHint()
        if self.orientation() == Qt.Orientation.Horizontal:
            hint.setHeight(self.fontMetrics().height() + 10)
        return hint

    def paintSection(self, painter: QPainter, rect: QRect, section: int) -> None:
        theme = self._appearance.theme
        table = self.parentWidget()
        assert isinstance(table, QTableView)
        current = table.currentIndex()
        down = self.orientation() == Qt.Orientation.Vertical
        is_current = section == (current.row() if down else current.column())
        painter.save()
        painter.fillRect(rect, QColor(theme.selected if is_current else theme.window))
        painter.setPen(QColor(theme.line))
        painter.drawLine(rect.bottomLeft(), rect.bottomRight())
        painter.drawLine(rect.topRight(), rect.bottomRight())
        painter.setPen(QColor(theme.text if is_current else theme.muted))
        text = str(self.model().headerData(section, self.orientation()) or "")
        flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(rect.adjusted(4, 0, -6, 0), flags, text)
        painter.restore()
