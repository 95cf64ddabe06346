"""How the cells of the variable tree are painted: chevrons, size bars, pills, marks."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import (
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from ckptviewer.analysis.sketch import Sketch
from ckptviewer.checkpoint.findings import Severity
from ckptviewer.checkpoint.text import count_text
from ckptviewer.checkpoint.tree import Group
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.models.variable_rows import Column, VariableRowsModel
from ckptviewer.ui.panels.widgets import SEVERITY_MARKS
from ckptviewer.ui.shortening import shortened
from ckptviewer.ui.theme import Theme, role_colour

INDENT = 15
CHEVRON = 14
PADDING = 8
SIZE_BAR = 46


class RowPainter(QStyledItemDelegate):
    """Paints all cells of the variable tree."""

    def __init__(self, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent)
        self._appearance = appearance
        self.row_under_pointer = -1

    def sizeHint(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        width = option.fontMetrics.horizontalAdvance(str(index.data() or ""))
        return QSize(width + 2 * PADDING, row_height(option.fontMetrics))

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        model = index.model()
        if not isinstance(model, VariableRowsModel):
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        # Qt itself knows of the one cell that is under the pointer only.
        self._paint_ground(painter, option, index.row() == self.row_under_pointer)
        painter.setFont(self._appearance.text_font)
        if index.column() != Column.NAME:  # names are painted when all grounds are there
            self.paint_cell(painter, option.rect, model, index)
        painter.restore()

    def _paint_ground(
        self, painter: QPainter, option: QStyleOptionViewItem, is_under_pointer: bool
    ) -> None:
        theme = self._appearance.theme
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, QColor(theme.selected))
        elif is_under_pointer:
            painter.fillRect(option.rect, QColor(theme.hover))

    def paint_names(
        self, painter: QPainter, table: QTableView, model: VariableRowsModel, rows: range
    ) -> None:
        """Paint the names of rows above their other cells: they go on over what is empty there."""
        columns = columns_from_left(table)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for row in rows:
            painter.setFont(self._appearance.text_font)
            index = model.index(row, Column.NAME)
            cell = table.visualRect(index)
            cell.setWidth(name_room(model, row, columns, painter.fontMetrics()))
            self.paint_cell(painter, cell, model, index)

    def paint_cell(
        self,
        painter: QPainter,
        cell: QRect,
        model: VariableRowsModel,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        """Paint what stands in a cell; its ground is there."""
        row, column = index.row(), index.column()
        rect = cell.adjusted(PADDING, 0, -PADDING, 0)
        if column == Column.NAME:
            self._paint_name(painter, cell, model, row)
        elif column == Column.SIZE:
            self._paint_size(painter, rect, model, row)
        elif column == Column.ROLE:
            self._paint_role(painter, rect, model, row)
        elif column == Column.HEALTH:
            self._paint_health(painter, rect, model, row)
        elif column == Column.DISTRIBUTION:
            self._paint_distribution(painter, rect, model, row)
        else:
            is_dtype = column == Column.DTYPE
            if is_dtype:
                painter.setFont(self._appearance.fixed_font)
            is_group = isinstance(model.item(row), Group)
            theme = self._appearance.theme
            painter.setPen(QColor(theme.muted if is_dtype or is_group else theme.text))
            align = Qt.AlignmentFlag.AlignLeft if is_dtype else Qt.AlignmentFlag.AlignRight
            draw_text(painter, rect, str(index.data() or ""), align)

    def _paint_name(
        self, painter: QPainter, cell: QRect, model: VariableRowsModel, row: int
    ) -> None:
        theme = self._appearance.theme
        left = cell.left() + PADDING + model.depth(row) * INDENT
        if model.is_expandable(row):
            paint_chevron(painter, left, cell.center().y(), model.is_expanded(row), theme)
        rect = QRect(left + CHEVRON, cell.top(), cell.right() - left - CHEVRON - 2, cell.height())
        text = str(model.index(row, Column.NAME).data())
        painter.setPen(QColor(theme.text))
        width = draw_text(painter, rect, text, Qt.AlignmentFlag.AlignLeft)
        note = note_of(model, row)
        if note:
            painter.setPen(QColor(theme.muted))
            painter.setFont(self._appearance.small_font)
            room = rect.adjusted(width + 7, 0, 0, 0)
            if painter.fontMetrics().horizontalAdvance(note) <= room.width():
                draw_text(painter, room, note, Qt.AlignmentFlag.AlignLeft)

    def _paint_size(
        self, painter: QPainter, rect: QRect, model: VariableRowsModel, row: int
    ) -> None:
        theme = self._appearance.theme
        painter.setPen(QColor(theme.text))
        text = str(model.index(row, Column.SIZE).data())
        paint_sized(painter, rect, text, ((1.0, theme.track), (model.share(row), theme.bar)))

    def _paint_role(
        self, painter: QPainter, rect: QRect, model: VariableRowsModel, row: int
    ) -> None:
        variable = model.variable(row)
        if variable is None:
            return
        colour = role_colour(self._appearance.theme, variable.role)
        painter.setFont(self._appearance.small_font)
        metrics = painter.fontMetrics()
        text = metrics.elidedText(
            str(variable.role), Qt.TextElideMode.ElideRight, rect.width() - 16
        )
        pill = QRectF(
            rect.left() + 0.5,
            rect.center().y() - metrics.height() / 2 - 0.5,
            metrics.horizontalAdvance(text) + 15,
            metrics.height() + 2,
        )
        outline = QColor(colour)
        outline.setAlphaF(0.55)
        painter.setPen(QPen(outline, 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(pill, pill.height() / 2, pill.height() / 2)
        painter.setPen(colour)
        painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, text)

    def _paint_health(
        self, painter: QPainter, rect: QRect, model: VariableRowsModel, row: int
    ) -> None:
        mark = model.mark(row)
        if mark is None:
            return
        text, severity = mark
        theme = self._appearance.theme
        colour = theme.error if severity is Severity.ERROR else theme.warning
        painter.setPen(QColor(colour))
        painter.setFont(self._appearance.bold_font)
        text = f"{SEVERITY_MARKS[severity]} {text}"
        draw_text(painter, rect, text, Qt.AlignmentFlag.AlignLeft)

    def _paint_distribution(
        self, painter: QPainter, rect: QRect, model: VariableRowsModel, row: int
    ) -> None:
        sketch = model.sketch(row)
        if sketch is None:
            return
        theme, variable = self._appearance.theme, model.variable(row)
        in_model = variable is not None and variable.in_model and variable.slot_of is None
        colour = QColor(theme.bar if in_model else theme.quiet_bar)
        self.paint_sketch(painter, rect, sketch, colour)

    def paint_sketch(self, painter: QPainter, rect: QRect, sketch: Sketch, colour: QColor) -> None:
        """Paint a small histogram, or the text that stands for it."""
        if sketch.heights:
            self.paint_bars(painter, rect, sketch.heights, colour)
            return
        painter.setPen(QColor(self._appearance.theme.muted))
        painter.setFont(self._appearance.small_font)
        draw_text(painter, rect, sketch.text, Qt.AlignmentFlag.AlignLeft)

    def paint_bars(
        self, painter: QPainter, rect: QRect, heights: Sequence[float], colour: QColor
    ) -> None:
        """Paint a small histogram; heights from 0 to 1."""
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        room = rect.adjusted(0, 4, 0, -4)
        step = max(2, room.width() // len(heights))
        for number, height in enumerate(heights):
            # What is there must be seen: even one element gets a pixel.
            tall = max(1, round(height * room.height())) if height else 0
            left = room.left() + number * step
            painter.drawRect(left, room.bottom() + 1 - tall, max(1, step - 1), tall)


def columns_from_left(table: QTableView) -> list[tuple[int, int]]:
    """The columns as they stand side by side: which it is, and its width; without hidden ones."""
    header = table.horizontalHeader()
    columns = [header.logicalIndex(place) for place in range(header.count())]
    return [(column, width) for column in columns if (width := header.sectionSize(column))]


def name_room(
    model: VariableRowsModel, row: int, columns: Sequence[tuple[int, int]], metrics: QFontMetrics
) -> int:
    """How many pixels a name may take: a group's goes on over empty cells, up to the next text.

    A shape stands at the right of its cell, so there is room to its left. columns: as of
    `columns_from_left`, the name's first.
    """
    room = columns[0][1]
    is_group = isinstance(model.item(row), Group)
    for column, width in columns[1:]:
        text = str(model.index(row, column).data() or "")
        if text and column == Column.SHAPE:
            room += max(0, width - metrics.horizontalAdvance(text) - 2 * PADDING)
        if text or not is_group:  # a variable's other cells are empty only until it is read
            break
        room += width
    return room


def note_of(model: VariableRowsModel, row: int) -> str:
    """What stands behind a name: how many variables a group has, how many slots are folded."""
    item = model.item(row)
    if isinstance(item, Group):
        return count_text(item.variable_count)
    slots = model.tree.slots.get(item)
    return f"+{len(slots)}" if slots and not model.is_expanded(row) else ""


def paint_sized(
    painter: QPainter, rect: QRect, text: str, shares: Sequence[tuple[float, str]]
) -> None:
    """Paint a size, and to its left where there is room a bar: shares of its length, with colours.

    A later one lies above those before it.
    """
    width = draw_text(painter, rect, text, Qt.AlignmentFlag.AlignRight)
    room = min(SIZE_BAR, rect.width() - max(width, painter.fontMetrics().averageCharWidth() * 8))
    if room < 12:
        return
    painter.setPen(Qt.PenStyle.NoPen)
    for share, colour in shares:
        if share:
            bar = QRectF(rect.left(), rect.center().y() - 1.5, max(1.5, (room - 6) * share), 4)
            painter.setBrush(QColor(colour))
            painter.drawRoundedRect(bar, 2, 2)


def row_height(metrics: QFontMetrics) -> int:
    """The height of a row for a font: airy enough to read, dense enough to see much."""
    return metrics.height() + 9


def paint_chevron(painter: QPainter, left: int, middle: int, expanded: bool, theme: Theme) -> None:
    x, y = left + 4.0, middle + 0.5
    points = [(-2.0, -4.0), (2.0, 0.0), (-2.0, 4.0)]
    if expanded:
        points = [(-4.0, -2.0), (0.0, 2.0), (4.0, -2.0)]
    pen = QPen(QColor(theme.muted), 1.5)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPolyline(QPolygonF([QPointF(x + dx, y + dy) for dx, dy in points]))


def draw_text(painter: QPainter, rect: QRect, text: str, align: Qt.AlignmentFlag) -> int:
    """Draw one line, shortened where it does not fit; returns its width."""
    metrics = painter.fontMetrics()
    shown = shortened(text, metrics, rect.width())
    painter.drawText(rect, align | Qt.AlignmentFlag.AlignVCenter, shown)
    return metrics.horizontalAdvance(shown)
