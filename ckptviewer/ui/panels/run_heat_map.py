"""All variables of a run over all of its steps, as coloured cells that can be clicked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from PySide6.QtCore import QLineF, QPoint, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QLabel

from ckptviewer.checkpoint.text import count_text
from ckptviewer.runs.timeline_table import Series
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.open_run import Known
from ckptviewer.ui.panels.run_cells import codes_of, palette_of, words_of
from ckptviewer.ui.shortening import shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

_ROW = 18
_HEADER = 26
_LABELS = 250
_LEAST_WIDTH, _MOST_WIDTH = 8, 44
_LETTERS_FROM = 11


class Cell(NamedTuple):
    """A place in the heat map: line among those shown, column among the checkpoints."""

    line: int
    column: int


class RunHeatMap(QAbstractScrollArea):
    """Paints the cells in sight. chosen: a cell was clicked. scrolled: others are in sight."""

    chosen = Signal(object)
    scrolled = Signal()

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self.known: Known | None = None
        self.series = Series.NORM
        self.rows: Sequence[int] = ()
        self.current: Cell | None = None
        self._shades: Any = None
        self._shaded_for = ""
        self.setFrameShape(self.Shape.NoFrame)
        self.setAccessibleName("Heat map of all variables over all checkpoints")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.viewport().setMouseTracking(True)
        self._hover = QLabel(self)
        self._hover.setObjectName("card")
        self._hover.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._hover.setTextFormat(Qt.TextFormat.PlainText)
        self._hover.setMargin(6)
        self._hover.hide()
        for bar in (self.verticalScrollBar(), self.horizontalScrollBar()):
            bar.valueChanged.connect(lambda _value: self._note_scroll())
        appearance.changed.connect(self.viewport().update)

    def show_known(self, known: Known, matches: frozenset[int] | None) -> None:
        """Show these variables, of those rows alone unless `matches` is None."""
        before, at = self.known, self.current
        was: tuple[str, str] | None = None
        if before is not None and at is not None:
            was = before.keys[self.rows[at.line]], before.table.entries[at.column].name
        self.known = known
        self.set_matches(matches)
        if was is not None:
            self.current = self._cell_of(*was)

    def set_matches(self, matches: frozenset[int] | None) -> None:
        """Show only variables of these rows; None: all."""
        order = self.known.in_order if self.known is not None else []
        self.rows = [row for row in order if matches is None or row in matches]
        self.current = None
        self._measure()
        self.viewport().update()

    def _cell_of(self, key: str, name: str) -> Cell | None:
        """The cell of a variable and a checkpoint; None where they are not shown."""
        assert self.known is not None
        lines = (line for line, row in enumerate(self.rows) if self.known.keys[row] == key)
        columns = (at for at, each in enumerate(self.known.table.entries) if each.name == name)
        line, column = next(lines, None), next(columns, None)
        return None if line is None or column is None else Cell(line, column)

    def show_series(self, series: Series) -> None:
        """Colour by another measure."""
        self.series = series
        self.viewport().update()

    def rows_in_sight(self) -> list[int]:
        """The rows of the variables that are painted."""
        return list(self.rows[slice(*self._lines_in_sight())])

    def cell_at(self, place: QPoint) -> Cell | None:
        """The cell under a place of the viewport."""
        if self.known is None or place.y() < _HEADER or place.x() < _LABELS:
            return None
        line = (place.y() - _HEADER + self.verticalScrollBar().value()) // _ROW
        column = int((place.x() - _LABELS + self.horizontalScrollBar().value()) // self._width())
        if not (0 <= line < len(self.rows) and 0 <= column < len(self.known.table.entries)):
            return None
        return Cell(line, column)

    def place_of(self, cell: Cell) -> QRectF:
        """Where a cell is in the viewport."""
        width = self._width()
        return QRectF(
            _LABELS + cell.column * width - self.horizontalScrollBar().value(),
            _HEADER + cell.line * _ROW - self.verticalScrollBar().value(),
            width,
            _ROW,
        )

    def text_of(self, cell: Cell) -> str:
        """All there is to know of a cell, a line each."""
        assert self.known is not None
        key = self.known.keys[self.rows[cell.line]]
        return words_of(self.known.table, self.series, key, cell.column)

    # Painting.

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        painter.fillRect(self.viewport().rect(), QColor(self._appearance.theme.base))
        if self.known is not None and self.rows:
            self._paint(painter, self.known)
        painter.end()

    def _paint(self, painter: QPainter, known: Known) -> None:
        theme = self._appearance.theme
        first, last = self._lines_in_sight()
        rows = self.rows[first:last]
        keys = [known.keys[row] for row in rows]
        columns = range(*self._columns_in_sight())
        codes, letters = codes_of(known.table, self.series, keys, theme)
        painter.save()
        painter.setClipRect(QRect(_LABELS, _HEADER, self.viewport().width(), self.height()))
        if codes.size:
            self._paint_cells(painter, codes, first, columns)
        gap = 1.0
        painter.setFont(self._appearance.badge_font)
        if self._width() >= _LETTERS_FROM:
            for row, column, text, colour in letters:
                if column in columns:
                    painter.setPen(QColor(colour))
                    place = self.place_of(Cell(first + row, column)).adjusted(0, 0, -gap, -gap)
                    painter.drawText(place, Qt.AlignmentFlag.AlignCenter, text)
        if self.current is not None:
            painter.setPen(QColor(theme.text))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.place_of(self.current).adjusted(0, 0, -gap - 0.5, -1.5))
        painter.restore()
        self._paint_labels(painter, known, first, rows)
        self._paint_header(painter, known, columns)

    def _paint_cells(
        self, painter: QPainter, codes: np.ndarray, first: int, columns: range
    ) -> None:
        """All cells are one picture, and the lines between them one call: each call costs."""
        import numpy as np

        theme = self._appearance.theme
        pixels = np.ascontiguousarray(self._palette()[codes])
        height, width = codes.shape
        image = QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_RGB32)
        top_left = self.place_of(Cell(first, 0)).topLeft()
        bottom_right = self.place_of(Cell(first + height - 1, width - 1)).bottomRight()
        area = QRectF(top_left, bottom_right)
        painter.drawImage(area, image)
        painter.setPen(QColor(theme.base))
        down = [
            QLineF(x, area.top(), x, area.bottom())
            for x in (self.place_of(Cell(first, column)).right() - 0.5 for column in columns)
        ]
        across = [
            QLineF(area.left(), y, area.right(), y)
            for y in (area.top() + (at + 1) * _ROW - 0.5 for at in range(height))
        ]
        painter.drawLines(across + down)

    def _palette(self) -> np.ndarray:
        theme = self._appearance.theme
        if self._shaded_for != theme.name:
            self._shaded_for = theme.name
            self._shades = palette_of(theme)
        return self._shades

    def _paint_labels(
        self, painter: QPainter, known: Known, first: int, rows: Sequence[int]
    ) -> None:
        theme = self._appearance.theme
        painter.setClipRect(QRect(0, _HEADER, _LABELS, self.height()))
        painter.setFont(self._appearance.text_font)
        metrics = painter.fontMetrics()
        for at, row in enumerate(rows):
            top = self.place_of(Cell(first + at, 0)).top()
            text = known.variables[row].name or known.keys[row]
            text = shortened(text, metrics, _LABELS - 18)
            is_current = self.current is not None and self.current.line == first + at
            painter.setPen(QColor(theme.accent if is_current else theme.text))
            place = QRectF(10, top, _LABELS - 14, _ROW)
            painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, text)

    def _paint_header(self, painter: QPainter, known: Known, columns: range) -> None:
        theme = self._appearance.theme
        painter.setClipRect(QRect(0, 0, self.viewport().width(), _HEADER))
        painter.fillRect(QRect(0, 0, self.viewport().width(), _HEADER), QColor(theme.window))
        painter.setFont(self._appearance.small_font)
        painter.setPen(QColor(theme.muted))
        painter.drawText(
            QRectF(10, 0, _LABELS, _HEADER), Qt.AlignmentFlag.AlignVCenter, "Variable \\ step"
        )
        painter.setClipRect(QRect(_LABELS, 0, self.viewport().width(), _HEADER))
        metrics = painter.fontMetrics()
        free_from = -math.inf
        for column in columns:
            entry = known.table.entries[column]
            text = count_text(entry.step) if entry.step is not None else "\u2013"
            place = self.place_of(Cell(0, column))
            size = metrics.horizontalAdvance(text)
            middle = max(place.center().x(), _LABELS + size / 2)
            if middle - size / 2 < free_from:
                continue
            free_from = middle + size / 2 + 8
            painter.drawText(
                QRectF(middle - size, 0, 2 * size, _HEADER), Qt.AlignmentFlag.AlignCenter, text
            )

    # Where things are.

    def _width(self) -> float:
        count = len(self.known.table.entries) if self.known is not None else 0
        room = self.viewport().width() - _LABELS - 8
        return max(_LEAST_WIDTH, min(_MOST_WIDTH, room / count)) if count else _MOST_WIDTH

    def _lines_in_sight(self) -> tuple[int, int]:
        first = self.verticalScrollBar().value() // _ROW
        return first, min(len(self.rows), first + self.viewport().height() // _ROW + 2)

    def _columns_in_sight(self) -> tuple[int, int]:
        count = len(self.known.table.entries) if self.known is not None else 0
        width = self._width()
        first = int(self.horizontalScrollBar().value() // width)
        return first, min(count, first + int((self.viewport().width() - _LABELS) // width) + 2)

    def _measure(self) -> None:
        port = self.viewport()
        count = len(self.known.table.entries) if self.known is not None else 0
        down, across = self.verticalScrollBar(), self.horizontalScrollBar()
        down.setPageStep(max(1, port.height() - _HEADER))
        down.setSingleStep(_ROW)
        down.setRange(0, max(0, len(self.rows) * _ROW + _HEADER - port.height()))
        across.setPageStep(max(1, port.width() - _LABELS))
        across.setSingleStep(int(self._width()))
        across.setRange(0, max(0, int(count * self._width()) + _LABELS + 8 - port.width()))

    def _note_scroll(self) -> None:
        self._hover.hide()
        self.viewport().update()
        self.scrolled.emit()

    # Qt's events.

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._measure()
        self.scrolled.emit()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        cell = self.cell_at(event.position().toPoint())
        self._hover.setVisible(cell is not None)
        self.viewport().setCursor(
            Qt.CursorShape.PointingHandCursor
            if cell is not None and cell.column
            else Qt.CursorShape.ArrowCursor
        )
        if cell is not None:
            self._say(self.text_of(cell), event.position())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        cell = self.cell_at(event.position().toPoint())
        if cell is not None and event.button() == Qt.MouseButton.LeftButton:
            self._choose(cell)

    def leaveEvent(self, event: object) -> None:
        self._hover.hide()
        super().leaveEvent(event)  # type: ignore[arg-type]

    def keyPressEvent(self, event: QKeyEvent) -> None:
        moves = {
            Qt.Key.Key_Left: (0, -1),
            Qt.Key.Key_Right: (0, 1),
            Qt.Key.Key_Up: (-1, 0),
            Qt.Key.Key_Down: (1, 0),
            Qt.Key.Key_PageUp: (-20, 0),
            Qt.Key.Key_PageDown: (20, 0),
        }
        key = Qt.Key(event.key())
        if key in moves and self.known is not None and self.rows:
            self._move(*moves[key])
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.current is not None:
            self._choose(self.current)
        else:
            super().keyPressEvent(event)

    def _move(self, down: int, across: int) -> None:
        assert self.known is not None
        at = self.current or Cell(self._lines_in_sight()[0], 0)
        line = min(max(0, at.line + down), len(self.rows) - 1)
        column = min(max(0, at.column + across), len(self.known.table.entries) - 1)
        self.current = Cell(line, column)
        self._bring_into_sight(self.current)
        self._say(self.text_of(self.current), self.place_of(self.current).bottomRight())
        self._hover.show()
        self.viewport().update()

    def _bring_into_sight(self, cell: Cell) -> None:
        place, port = self.place_of(cell), self.viewport()
        down, across = self.verticalScrollBar(), self.horizontalScrollBar()
        if place.top() < _HEADER:
            down.setValue(cell.line * _ROW)
        elif place.bottom() > port.height():
            down.setValue(int(down.value() + place.bottom() - port.height()))
        if place.left() < _LABELS:
            across.setValue(int(cell.column * self._width()))
        elif place.right() > port.width():
            across.setValue(int(across.value() + place.right() - port.width()))

    def _choose(self, cell: Cell) -> None:
        self.current = cell
        self.viewport().update()
        self.chosen.emit(cell)

    def _say(self, text: str, at: QPointF) -> None:
        self._hover.setText(text)
        self._hover.adjustSize()
        size = self._hover.size()
        x = min(int(at.x()) + 16, self.width() - size.width() - 4)
        y = int(at.y()) + 18
        if y + size.height() > self.height():
            y = int(at.y()) - size.height() - 8
        self._hover.move(max(0, x), max(0, y))
