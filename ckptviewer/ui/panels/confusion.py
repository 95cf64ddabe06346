"""The confusion matrix, painted: the truth down, the prediction across, a number in each cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QFontMetricsF,
    QHelpEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from ckptviewer.checkpoint.text import count_text
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.plain_text import as_plain
from ckptviewer.ui.theme import blended, ink_on

_LARGEST_CELL, _SMALLEST_NUMBERED = 46.0, 20.0
_LONGEST_LABEL = 110.0
_GAP = 8.0


class ConfusionMatrix(QWidget):
    """Shows counts by class. Each row is shaded by its shares: what is right in blue, what is
    wrong in orange; numbers say it as well."""

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self._counts: Sequence[Sequence[int]] = ()
        self._labels: Sequence[str] = ()
        self._hovered: tuple[int, int] | None = None
        self.setMouseTracking(True)
        self.setAccessibleName("Confusion matrix")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(220, 220)
        appearance.changed.connect(self.update)

    def show_counts(self, counts: Sequence[Sequence[int]], labels: Sequence[str]) -> None:
        """Show a square of counts; rows are the truth. labels: of the classes."""
        self._counts, self._labels = counts, labels
        self._hovered = None
        right = sum(row[at] for at, row in enumerate(counts))
        total = sum(map(sum, counts))
        self.setAccessibleDescription(f"{right} of {total} examples are on the diagonal")
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        side = int(len(self._counts) * 32 + 80)
        return QSize(min(side, 560), min(side, 560))

    def cell_text(self, row: int, column: int) -> str:
        """What a cell is, in words."""
        count = self._counts[row][column]
        of = sum(self._counts[row])
        share = f" ({count / of:.1%})" if of else ""
        truth, predicted = self._label(row), self._label(column)
        return f"{count_text(count)} of {count_text(of)}{share} that are {truth}: {predicted}"

    # Painting.

    def paintEvent(self, _event: QPaintEvent) -> None:
        if not self._counts:
            return
        theme = self._appearance.theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self._appearance.small_font)
        area, cell = self._area()
        numbered = cell >= _SMALLEST_NUMBERED
        painter.setPen(Qt.PenStyle.NoPen)
        for row, counts in enumerate(self._counts):
            of = sum(counts)
            for column, count in enumerate(counts):
                rect = QRectF(area.left() + column * cell, area.top() + row * cell, cell, cell)
                inset = 1.0 if numbered else 0.0
                painter.setBrush(self._shade(count, of, right=row == column))
                painter.setPen(Qt.PenStyle.NoPen)
                painter.drawRect(rect.adjusted(inset, inset, -inset, -inset))
                if numbered and count:
                    shade = self._shade(count, of, right=row == column)
                    painter.setPen(ink_on(blended(shade, QColor(theme.base))))
                    painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, str(count))
        self._paint_labels(painter, area, cell)
        if self._hovered is not None:
            row, column = self._hovered
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(theme.text), 1.5))
            painter.drawRect(
                QRectF(area.left() + column * cell, area.top() + row * cell, cell, cell)
            )

    def _paint_labels(self, painter: QPainter, area: QRectF, cell: float) -> None:
        theme = self._appearance.theme
        metrics = QFontMetricsF(self._appearance.small_font)
        painter.setPen(QColor(theme.muted))
        every = max(1, math.ceil(metrics.height() / cell))
        for at in range(0, len(self._counts), every):
            rect = QRectF(0, area.top() + at * cell, area.left() - _GAP, cell * every)
            if every > 1:
                rect.setHeight(metrics.height())
            label = metrics.elidedText(
                self._label(at), Qt.TextElideMode.ElideMiddle, area.left() - _GAP - metrics.height()
            )
            painter.drawText(
                rect, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, label
            )
        widest = max(
            (metrics.horizontalAdvance(self._label(at)) for at in range(len(self._counts))),
            default=0.0,
        )
        across = max(1, math.ceil((min(widest, 60.0) + 4) / cell))
        for at in range(0, len(self._counts), across):
            rect = QRectF(
                area.left() + at * cell, area.bottom() + 4, cell * across, metrics.height()
            )
            label = metrics.elidedText(
                self._label(at), Qt.TextElideMode.ElideMiddle, rect.width() + 1
            )
            where = Qt.AlignmentFlag.AlignHCenter if across == 1 else Qt.AlignmentFlag.AlignLeft
            painter.drawText(rect, where | Qt.AlignmentFlag.AlignVCenter, label)
        below = QRectF(
            area.left(), area.bottom() + metrics.height() + 6, area.width(), metrics.height()
        )
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, "predicted")
        painter.save()
        painter.translate(metrics.height() * 0.7, area.center().y())
        painter.rotate(-90)
        painter.drawText(
            QRectF(-60, -metrics.height() / 2, 120, metrics.height()),
            Qt.AlignmentFlag.AlignCenter,
            "truth",
        )
        painter.restore()

    def _shade(self, count: int, of: int, *, right: bool) -> QColor:
        theme = self._appearance.theme
        if not count or not of:
            return QColor(theme.raised)
        colour = QColor(theme.bar if right else theme.side_b)
        # A few wrong ones among many must be seen: the root lifts small shares.
        colour.setAlphaF(0.16 + 0.84 * (count / of) ** (1.0 if right else 0.5))
        return colour

    def _area(self) -> tuple[QRectF, float]:
        """Where the cells are, and how large each is."""
        metrics = QFontMetricsF(self._appearance.small_font)
        widest = max((metrics.horizontalAdvance(text) for text in self._labels), default=0.0)
        left = min(widest, _LONGEST_LABEL) + _GAP + metrics.height() * 1.5
        below = 2 * metrics.height() + 10
        room = min(self.width() - left - 2, self.height() - below)
        cell = min(_LARGEST_CELL, max(1.0, room / max(1, len(self._counts))))
        side = cell * len(self._counts)
        return QRectF(left, 0, side, side), cell

    def _label(self, at: int) -> str:
        return self._labels[at] if at < len(self._labels) else str(at)

    # Reading by the mouse.

    def _at(self, place: QPointF) -> tuple[int, int] | None:
        if not self._counts:
            return None
        area, cell = self._area()
        if not area.contains(place):
            return None
        most = len(self._counts) - 1
        row = min(most, int((place.y() - area.top()) / cell))
        return row, min(most, int((place.x() - area.left()) / cell))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        hovered = self._at(event.position())
        if hovered != self._hovered:
            self._hovered = hovered
            self.update()
            if hovered is not None:
                QToolTip.showText(
                    event.globalPosition().toPoint(), as_plain(self.cell_text(*hovered)), self
                )

    def leaveEvent(self, _event: object) -> None:
        self._hovered = None
        self.update()

    def event(self, event: object) -> bool:
        if isinstance(event, QHelpEvent):
            hovered = self._at(QPointF(event.pos()))
            if hovered is not None:
                QToolTip.showText(event.globalPos(), as_plain(self.cell_text(*hovered)), self)
            return True
        return super().event(event)  # type: ignore[arg-type]
