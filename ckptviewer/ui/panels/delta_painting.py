"""How the cells of the merged tree are painted: letters of status, two histograms, bars."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QPainter

from ckptviewer.analysis.comparison import LETTERS, Status
from ckptviewer.checkpoint.text import count_text
from ckptviewer.checkpoint.tree import Group
from ckptviewer.ui.models.delta_rows import DeltaColumn, DeltaRowsModel
from ckptviewer.ui.models.variable_rows import VariableRowsModel
from ckptviewer.ui.panels.row_painting import (
    CHEVRON,
    INDENT,
    PADDING,
    RowPainter,
    draw_text,
    paint_chevron,
)
from ckptviewer.ui.theme import Theme

BADGE = 18
CHANGE_BAR = 64

STATUS_COLOURS = {
    Status.CHANGED: "accent",
    Status.ADDED: "good",
    Status.REMOVED: "error",
    Status.RENAMED: "violet",
    Status.RESHAPED: "warning",
    Status.RETYPED: "warning",
}
"""Which colour of the theme a status takes; what is the same is muted."""


def status_colour(theme: Theme, status: Status | None) -> QColor:
    """The colour of a status; of a mixed group the muted one."""
    return QColor(getattr(theme, STATUS_COLOURS.get(status, "muted") if status else "muted"))


def side_colour(theme: Theme, side: str) -> QColor:
    """The colour of A ("a") or B ("b") in all pictures of a comparison."""
    return QColor(theme.bar if side == "a" else theme.side_b)


class DeltaPainter(RowPainter):
    """Paints all cells of the merged tree."""

    def paint_cell(
        self,
        painter: QPainter,
        cell: QRect,
        model: VariableRowsModel,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        if not isinstance(model, DeltaRowsModel):
            return
        theme = self._appearance.theme
        row, column = index.row(), index.column()
        rect = cell.adjusted(PADDING, 0, -PADDING, 0)
        if column == DeltaColumn.NAME:
            self._paint_delta_name(painter, cell, model, row)
        elif column in (DeltaColumn.OF_A, DeltaColumn.OF_B):
            self._paint_side(painter, rect, model, row, "a" if column == DeltaColumn.OF_A else "b")
        elif column == DeltaColumn.CHANGE:
            self._paint_change(painter, rect, model, row)
        else:
            muted = column == DeltaColumn.VERDICT or isinstance(model.item(row), Group)
            painter.setPen(QColor(theme.muted if muted else theme.text))
            right = column == DeltaColumn.SHAPE
            align = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
            draw_text(painter, rect, str(index.data() or ""), align)

    def _paint_delta_name(
        self, painter: QPainter, cell: QRect, model: DeltaRowsModel, row: int
    ) -> None:
        theme = self._appearance.theme
        left = cell.left() + PADDING + model.depth(row) * INDENT
        if not model.is_flat:
            if model.is_expandable(row):
                paint_chevron(painter, left, cell.center().y(), model.is_expanded(row), theme)
            left += CHEVRON
        self._paint_badge(painter, left, cell, model.status(row))
        left += BADGE + 7
        rect = QRect(left, cell.top(), cell.right() - left - 2, cell.height())
        former = model.former_name(model.item(row))
        text = str(model.index(row, DeltaColumn.NAME).data())
        painter.setFont(self._appearance.text_font)
        painter.setPen(QColor(theme.text))
        room = rect.adjusted(0, 0, -rect.width() // 3 if former else 0, 0)
        width = draw_text(painter, room, text, Qt.AlignmentFlag.AlignLeft)
        note = f"\u2190 {former.replace('/', ' / ')}" if former else ""
        item = model.item(row)
        if isinstance(item, Group):
            note = count_text(item.variable_count)
        if note:
            painter.setPen(QColor(theme.muted))
            painter.setFont(self._appearance.small_font)
            draw_text(painter, rect.adjusted(width + 7, 0, 0, 0), note, Qt.AlignmentFlag.AlignLeft)

    def _paint_badge(
        self, painter: QPainter, left: int, cell: QRect, status: Status | None
    ) -> None:
        theme = self._appearance.theme
        badge = QRectF(left, cell.center().y() - BADGE / 2 + 1, BADGE, BADGE - 1)
        painter.setFont(self._appearance.small_font)
        if status is None:
            return
        if status is Status.SAME:
            painter.setPen(QColor(theme.muted))
            painter.drawText(badge, Qt.AlignmentFlag.AlignCenter, LETTERS[status])
            return
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(status_colour(theme, status))
        painter.drawRoundedRect(badge, 4, 4)
        painter.setFont(self._appearance.badge_font)
        painter.setPen(QColor(theme.base))
        painter.drawText(badge, Qt.AlignmentFlag.AlignCenter, LETTERS[status])

    def _paint_side(
        self, painter: QPainter, rect: QRect, model: DeltaRowsModel, row: int, side: str
    ) -> None:
        item = model.item(row)
        sketch = model.compared.sketch(item, side) if isinstance(item, int) else None
        if sketch is not None:
            self.paint_sketch(painter, rect, sketch, side_colour(self._appearance.theme, side))

    def _paint_change(
        self, painter: QPainter, rect: QRect, model: DeltaRowsModel, row: int
    ) -> None:
        theme = self._appearance.theme
        change = model.change(row)
        if change is None:
            return
        text = str(model.index(row, DeltaColumn.CHANGE).data() or "")
        left = rect.left()
        share = model.change_share(row)
        if share:
            width = max(2.0, min(CHANGE_BAR, rect.width() / 2) * share)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(side_colour(theme, "b"))
            painter.drawRoundedRect(QRectF(left, rect.center().y() - 3, width, 7), 2, 2)
            left += int(width) + 7
        painter.setPen(QColor(theme.text if change else theme.muted))
        room = QRect(left, rect.top(), rect.right() - left + 1, rect.height())
        draw_text(painter, room, text, Qt.AlignmentFlag.AlignLeft)
