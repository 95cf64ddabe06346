"""A table of results on the screen: sorted by a click, copied as tab-separated values."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRectF, Qt
from PySide6.QtGui import QColor, QGuiApplication, QKeySequence, QPainter, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from ckptviewer.checkpoint.text import printable
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.models.table_rows import Heading, Row, TableModel

_ROW_HEIGHT = 27
_PADDING = 5


class ResultTable(QTableView):
    """Shows rows of plain results; Ctrl+C copies those that are selected."""

    def __init__(
        self,
        name: str,
        headings: Sequence[Heading],
        widths: Sequence[int],
        appearance: Appearance,
        *,
        stretched: int = 0,
    ) -> None:
        """name: for people who hear it. widths: of the columns; `stretched` takes what is left."""
        super().__init__()
        self._appearance = appearance
        self.rows = TableModel(headings, appearance, self)
        self.setModel(self.rows)
        self.setAccessibleName(name)
        self.setFont(appearance.text_font)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setSortingEnabled(True)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setItemDelegate(_Bars(appearance, self))
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSortIndicatorClearable(True)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        header.setMinimumSectionSize(36)
        for column, width in enumerate(widths):
            header.resizeSection(column, width)
        header.setSectionResizeMode(stretched, QHeaderView.ResizeMode.Stretch)
        QShortcut(QKeySequence.StandardKey.Copy, self, self.copy_rows).setContext(
            Qt.ShortcutContext.WidgetShortcut
        )
        appearance.changed.connect(self.viewport().update)

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show other rows."""
        self.rows.show_rows(rows)

    def fit_height(self, most: int = 12) -> None:
        """Be as high as the rows, up to `most` of them."""
        count = min(most, max(1, self.rows.rowCount()))
        head = max(28, self.horizontalHeader().sizeHint().height())
        self.setFixedHeight(head + count * _ROW_HEIGHT + 3)

    def selected_rows(self) -> list[Row]:
        """The rows that are selected, from the top; all where none is."""
        places = sorted({index.row() for index in self.selectionModel().selectedRows()})
        return [self.rows.row(at) for at in places] or self.rows.rows()

    def copy_rows(self) -> None:
        """Put the selected rows on the clipboard as tab-separated values, with a header."""
        lines = ["\t".join(heading.text for heading in self.rows.headings)]
        lines += [
            "\t".join(printable(cell.exact or cell.text) for cell in row.cells)
            for row in self.selected_rows()
        ]
        QGuiApplication.clipboard().setText("\n".join(lines) + "\n")


class _Bars(QStyledItemDelegate):
    """Paints a bar behind what has a share."""

    def __init__(self, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent)
        self._appearance = appearance

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        self.initStyleOption(option, index)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, QColor(self._appearance.theme.selected))
        share = index.data(Qt.ItemDataRole.UserRole)
        if isinstance(share, float) and share > 0:
            rect = QRectF(option.rect).adjusted(3, 5, -3, -5)
            colour = QColor(self._appearance.theme.bar)
            colour.setAlphaF(0.28)
            width = rect.width() * min(1.0, share)
            rect.setLeft(rect.right() - width)
            painter.save()
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour)
            painter.drawRoundedRect(rect, 3, 3)
            painter.restore()
        option.rect = option.rect.adjusted(_PADDING, 0, -_PADDING, 0)
        super().paint(painter, option, index)
