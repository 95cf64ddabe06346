"""Tick boxes, in the tree and beside options: alike in light and dark, on every platform."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QCheckBox

from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.theme import Theme

BOX = 14
_GAP = 8


def paint_box(
    painter: QPainter, box: QRectF, state: Qt.CheckState, theme: Theme, *, enabled: bool = True
) -> None:
    """Paint a square box in one of its three states."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    if state is Qt.CheckState.Unchecked:
        painter.setPen(QPen(QColor(theme.quiet_bar), 1.2))
        painter.setBrush(QColor(theme.base))
        painter.drawRoundedRect(box.adjusted(0.6, 0.6, -0.6, -0.6), 3, 3)
    else:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.accent if enabled else theme.quiet_bar))
        painter.drawRoundedRect(box, 3, 3)
        pen = QPen(QColor(theme.base), 1.8)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        points = [(0.24, 0.53), (0.43, 0.71), (0.77, 0.31)]
        if state is Qt.CheckState.PartiallyChecked:
            points = [(0.27, 0.5), (0.73, 0.5)]
        size = box.width()
        painter.drawPolyline(
            QPolygonF([QPointF(box.left() + x * size, box.top() + y * size) for x, y in points])
        )
    painter.restore()


class TickBox(QCheckBox):
    """A check box with its text, painted as the boxes of the tree are."""

    def __init__(self, text: str, appearance: Appearance) -> None:
        super().__init__(text)
        self._appearance = appearance
        appearance.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        width = BOX + _GAP + metrics.horizontalAdvance(self.text()) + 4
        return QSize(width, max(metrics.height(), BOX) + 6)

    def minimumSizeHint(self) -> QSize:
        return QSize(BOX + _GAP + 60, self.sizeHint().height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme = self._appearance.theme
        painter = QPainter(self)
        box = QRectF(0.5, (self.height() - BOX) / 2, BOX, BOX)
        paint_box(painter, box, self.checkState(), theme, enabled=self.isEnabled())
        text = self.rect().adjusted(BOX + _GAP, 0, 0, 0)
        painter.setPen(QColor(theme.text if self.isEnabled() else theme.muted))
        shown = self.fontMetrics().elidedText(
            self.text(), Qt.TextElideMode.ElideRight, text.width()
        )
        align = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(text, align, shown)
        if self.hasFocus():
            width = self.fontMetrics().horizontalAdvance(shown)
            below = text.center().y() + self.fontMetrics().height() // 2 + 1
            painter.setPen(QPen(QColor(theme.accent), 1.4))
            painter.drawLine(text.left(), below, text.left() + width, below)
