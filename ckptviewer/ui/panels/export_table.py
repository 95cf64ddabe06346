"""The variable tree of an export on the screen: tick boxes, what is dropped is muted."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QGuiApplication, QKeyEvent, QMouseEvent, QPainter, QResizeEvent

from ckptviewer.checkpoint.text import printable
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.models.export_rows import TITLES, ExportColumn, ExportRowsModel
from ckptviewer.ui.models.variable_rows import VariableRowsModel
from ckptviewer.ui.panels.row_painting import (
    CHEVRON,
    INDENT,
    PADDING,
    RowPainter,
    draw_text,
    note_of,
    paint_chevron,
    paint_sized,
)
from ckptviewer.ui.panels.tick_box import BOX, paint_box
from ckptviewer.ui.panels.variable_table import VariableTable
from ckptviewer.ui.planned import short_names

_GAP = 8
_WIDTHS = {
    ExportColumn.SHAPE: 112,
    ExportColumn.DTYPE: 80,
    ExportColumn.SIZE: 110,
    ExportColumn.WHY: 190,
}
_NARROW_WIDTHS = {ExportColumn.SHAPE: 84, ExportColumn.SIZE: 76}
_WIDER_DTYPE = 134
_LEFT_TO_OTHERS = 470
_WHY_SHARE = 0.8
"""Of what is beyond that: names go on over shapes, but a reason that is cut off is none."""

_WIDEST_WHY = 480


class ExportTable(VariableTable):
    """Shows an ExportRowsModel. Space and a click into the box change the tick."""

    titles = TITLES
    widths = _WIDTHS
    narrow_widths = _NARROW_WIDTHS
    hidden_until_marked = None
    _why_width = _WIDTHS[ExportColumn.WHY]

    def make_painter(self, appearance: Appearance) -> ExportPainter:
        return ExportPainter(appearance, self)

    def export_model(self) -> ExportRowsModel | None:
        """The model that is shown, if one is."""
        model = self.model()
        return model if isinstance(model, ExportRowsModel) else None

    def make_room_for_casts(self, casts: bool) -> None:
        """Give two dtypes the room that they need, as long as nobody chose a width."""
        header = self.horizontalHeader()
        narrow, wide = _WIDTHS[ExportColumn.DTYPE], _WIDER_DTYPE
        if header.sectionSize(ExportColumn.DTYPE) == (narrow if casts else wide):
            header.resizeSection(ExportColumn.DTYPE, wide if casts else narrow)

    def toggle_selected(self) -> None:
        """Keep all that is selected, or drop it where all of it is kept."""
        if (model := self.export_model()) is not None:
            model.toggle(self.selected_items())

    def copy_rows(self) -> None:
        """Put the selected rows on the clipboard as tab-separated values, with a header."""
        model = self.export_model()
        if model is None:
            return
        lines = ["key\tkey_written\tdtype_written\tbytes\treason"]
        for item in self.selected_items():
            if isinstance(item, int):
                variable, kept = model.tree.variables[item], model.kept(item)
                cells = [printable(variable.key), "", "", "0"]
                if kept is not None:
                    cells[1:] = [
                        printable(kept.key_written),
                        kept.dtype or variable.dtype,
                        str(kept.written_bytes),
                    ]
                lines.append("\t".join((*cells, printable(model.outcome_text(item)))))
        QGuiApplication.clipboard().setText("\n".join(lines) + "\n")

    # Qt's events.

    def resizeEvent(self, event: QResizeEvent) -> None:
        header = self.horizontalHeader()
        if header.sectionSize(ExportColumn.WHY) == self._why_width:  # nobody chose another
            wide = int((self.width() - _LEFT_TO_OTHERS) * _WHY_SHARE)
            self._why_width = min(_WIDEST_WHY, max(_WIDTHS[ExportColumn.WHY], wide))
            header.resizeSection(ExportColumn.WHY, self._why_width)
        super().resizeEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space:
            self.toggle_selected()
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        model = self.export_model()
        index = self._index_of_box(event)
        if model is not None and index is not None and event.button() == Qt.MouseButton.LeftButton:
            item = model.item(index.row())
            selected = self.selected_items()
            # A box within a selection speaks for the selection, as in lists of mail.
            model.toggle(selected if len(selected) > 1 and item in selected else (item,))
            return
        super().mousePressEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self._index_of_box(event) is not None:
            self.mousePressEvent(event)
        else:
            super().mouseDoubleClickEvent(event)

    def _index_of_box(self, event: QMouseEvent) -> QModelIndex | None:
        """The cell in whose box the mouse is; None where it is in none."""
        model = self.export_model()
        index = self.indexAt(event.position().toPoint())
        if model is None or not index.isValid() or index.column() != ExportColumn.NAME:
            return None
        left = self.visualRect(index).left() + box_left(model, index.row())
        return index if left - 4 <= event.position().x() <= left + BOX + 4 else None


def box_left(model: ExportRowsModel, row: int) -> int:
    """Where the tick box of a row begins, from the left of its cell."""
    return PADDING + model.depth(row) * INDENT + CHEVRON + 1


class ExportPainter(RowPainter):
    """Paints all cells of the tree of an export."""

    def editorEvent(self, *_: object) -> bool:
        return False  # the table itself knows where its boxes are

    def paint_cell(
        self,
        painter: QPainter,
        cell: QRect,
        model: VariableRowsModel,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        if not isinstance(model, ExportRowsModel):
            return
        theme = self._appearance.theme
        row, column = index.row(), index.column()
        rect = cell.adjusted(PADDING, 0, -PADDING, 0)
        if column == ExportColumn.NAME:
            self._paint_ticked_name(painter, cell, model, row)
        elif column == ExportColumn.SIZE:
            self._paint_written(painter, rect, model, row)
        else:
            if column == ExportColumn.DTYPE:
                painter.setFont(self._appearance.fixed_font)
            plain = column == ExportColumn.SHAPE and not model.is_dropped(row)
            painter.setPen(QColor(theme.text if plain else theme.muted))
            right = column == ExportColumn.SHAPE
            align = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
            text = str(index.data() or "")
            if column == ExportColumn.WHY:  # its beginning says most
                text = painter.fontMetrics().elidedText(
                    text, Qt.TextElideMode.ElideRight, rect.width()
                )
            draw_text(painter, rect, text, align)

    def _paint_ticked_name(
        self, painter: QPainter, cell: QRect, model: ExportRowsModel, row: int
    ) -> None:
        theme = self._appearance.theme
        item = model.item(row)
        left = cell.left() + PADDING + model.depth(row) * INDENT
        if model.is_expandable(row):
            paint_chevron(painter, left, cell.center().y(), model.is_expanded(row), theme)
        left = cell.left() + box_left(model, row)
        box = QRectF(left, cell.center().y() - BOX / 2 + 1, BOX, BOX)
        paint_box(painter, box, model.state(item), theme, enabled=not model.is_locked)
        left += BOX + _GAP
        rect = QRect(left, cell.top(), cell.right() - left - 2, cell.height())
        kept = model.kept(item)
        new = short_names(kept)[1] if kept is not None and model.new_name(item) else ""
        room = rect.adjusted(0, 0, -rect.width() // 2 if new else 0, 0)
        painter.setPen(QColor(theme.muted if model.is_dropped(row) else theme.text))
        text = str(model.index(row, ExportColumn.NAME).data())
        width = draw_text(painter, room, text, Qt.AlignmentFlag.AlignLeft)
        note = f"\u2192 {new.replace('/', ' / ')}" if new else note_of(model, row)
        if note:
            painter.setPen(QColor(theme.accent if new else theme.muted))
            painter.setFont(self._appearance.small_font)
            draw_text(painter, rect.adjusted(width + 7, 0, 0, 0), note, Qt.AlignmentFlag.AlignLeft)

    def _paint_written(
        self, painter: QPainter, rect: QRect, model: ExportRowsModel, row: int
    ) -> None:
        """The size, with a bar for its share in all; what is dropped of it is hollow."""
        theme = self._appearance.theme
        painter.setPen(QColor(theme.muted if model.is_dropped(row) else theme.text))
        text = str(model.index(row, ExportColumn.SIZE).data())
        shares = (
            (1.0, theme.track),
            (model.share(row), theme.quiet_bar),
            (model.written_share(row), theme.bar),
        )
        paint_sized(painter, rect, text, shares)
