"""All histograms of a checkpoint side by side, in one sheet that scrolls and can be saved."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from PySide6.QtCore import QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QFrame

from ckptviewer.analysis.sketch import Sketch
from ckptviewer.checkpoint.text import shape_text
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.session import Session
from ckptviewer.ui.shortening import shortened

CELL = QSize(176, 112)
_MARGIN = 12
_TALLEST_PICTURE = 30_000


class HistogramSheet(QAbstractScrollArea):
    """A small histogram for each variable, in the order of the tree. chosen: a row was clicked."""

    chosen = Signal(object)

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self._session: Session | None = None
        self._all: list[int] = []
        self._rows: list[int] = []
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        appearance.changed.connect(self.viewport().update)

    def show_session(self, session: Session | None) -> None:
        """Show another checkpoint, or none."""
        self._session = session
        variables = session.checkpoint.variables if session else ()
        rows = [row for row, variable in enumerate(variables) if variable.element_count > 1]
        # What inference needs comes first; the slots of an optimizer outnumber it.
        self._all = sorted(rows, key=lambda row: not _is_own(variables[row]))
        self.show_rows(None)

    def show_rows(self, rows: Collection[int] | None) -> None:
        """Show those of these rows of the checkpoint's list that have histograms; None: all."""
        self._rows = self._all if rows is None else [row for row in self._all if row in rows]
        which = "all variables" if rows is None else "what is selected"
        self.setAccessibleName(f"Histograms of {which}")
        self.verticalScrollBar().setValue(0)
        self._arrange()

    def shown(self) -> list[int]:
        """The rows of the checkpoint's list that are shown."""
        return list(self._rows)

    def refresh(self) -> None:
        """More has been measured."""
        self.viewport().update()

    def save_picture(self, path: str) -> bool:
        """Save the whole sheet as a picture, as far as pictures can be tall; whether it could."""
        columns = self._columns()
        lines = -(-len(self._rows) // columns)
        height = min(lines * CELL.height() + 2 * _MARGIN, _TALLEST_PICTURE)
        image = QImage(self.viewport().width(), max(1, height), QImage.Format.Format_RGB32)
        painter = QPainter(image)
        self._paint(painter, 0, height)
        painter.end()
        return image.save(path)

    def _columns(self) -> int:
        return max(1, (self.viewport().width() - _MARGIN) // CELL.width())

    def _cell_width(self) -> int:
        """Cells share the whole width."""
        return (self.viewport().width() - _MARGIN) // self._columns()

    def _arrange(self) -> None:
        lines = -(-len(self._rows) // self._columns())
        whole = lines * CELL.height() + 2 * _MARGIN
        bar = self.verticalScrollBar()
        bar.setRange(0, max(0, whole - self.viewport().height()))
        bar.setPageStep(self.viewport().height())
        bar.setSingleStep(CELL.height() // 2)
        self.viewport().update()

    def _row_at(self, position: QPoint) -> int | None:
        column = (position.x() - _MARGIN) // self._cell_width()
        line = (position.y() + self.verticalScrollBar().value() - _MARGIN) // CELL.height()
        number = line * self._columns() + column
        inside = 0 <= column < self._columns() and 0 <= number < len(self._rows)
        return self._rows[number] if inside else None

    # Qt's events.

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def scrollContentsBy(self, _dx: int, _dy: int) -> None:
        self.viewport().update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        row = self._row_at(event.position().toPoint())
        if row is not None:
            self.chosen.emit(row)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        self._paint(painter, self.verticalScrollBar().value(), self.viewport().height())

    def _paint(self, painter: QPainter, top: int, height: int) -> None:
        painter.fillRect(painter.viewport(), QColor(self._appearance.theme.base))
        session = self._session
        if session is None:
            return
        if not self._rows:
            painter.setPen(QColor(self._appearance.theme.muted))
            painter.setFont(self._appearance.text_font)
            nothing = "No variable has more than one value."
            painter.drawText(painter.viewport(), Qt.AlignmentFlag.AlignCenter, nothing)
            return
        columns, wide = self._columns(), self._cell_width()
        first = max(0, (top - _MARGIN) // CELL.height()) * columns
        last = ((top + height - _MARGIN) // CELL.height() + 1) * columns
        for number in range(first, min(last, len(self._rows))):
            line, column = divmod(number, columns)
            corner = QPoint(_MARGIN + column * wide, _MARGIN + line * CELL.height() - top)
            row = self._rows[number]
            variable = session.checkpoint.variables[row]
            self._paint_cell(
                painter,
                QRect(corner, QSize(wide, CELL.height())),
                variable,
                session.sketches.get(row),
            )

    def _paint_cell(
        self, painter: QPainter, cell: QRect, variable: Variable, sketch: Sketch | None
    ) -> None:
        theme = self._appearance.theme
        room = cell.adjusted(0, 0, -10, -10)
        painter.setFont(self._appearance.small_font)
        metrics = painter.fontMetrics()
        line = metrics.height()
        name = shortened(variable.name, metrics, room.width())
        painter.setPen(QColor(theme.text))
        painter.drawText(room, Qt.AlignmentFlag.AlignTop, name)
        below = room.adjusted(0, line, 0, 0)
        painter.setPen(QColor(theme.muted))
        painter.drawText(
            below, Qt.AlignmentFlag.AlignTop, f"{shape_text(variable.shape)} {variable.dtype}"
        )
        plot = QRectF(room.adjusted(0, 2 * line + 3, 0, -line - 2))
        painter.fillRect(QRectF(plot.left(), plot.bottom(), plot.width(), 1), QColor(theme.line))
        if sketch is None:
            return
        if not sketch.heights:
            painter.drawText(plot, Qt.AlignmentFlag.AlignCenter, sketch.text)
        step = plot.width() / max(1, len(sketch.heights))
        colour = QColor(theme.bar if _is_own(variable) else theme.quiet_bar)
        for number, share in enumerate(sketch.heights):
            tall = max(1.0, share * plot.height()) if share else 0.0
            left = plot.left() + number * step
            painter.fillRect(QRectF(left, plot.bottom() - tall, step - 1, tall), colour)
        if sketch.mark is not None:
            painter.setPen(QColor(theme.error))
        text = sketch.mark.text if sketch.mark else sketch.summary.partition(",")[0]
        painter.drawText(room, Qt.AlignmentFlag.AlignBottom, text)

    def minimumSizeHint(self) -> QSize:
        return CELL

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self._arrange()


def _is_own(variable: Variable) -> bool:
    """Whether it is the model's own, and no average or slot of something else."""
    return variable.in_model and variable.slot_of is None
