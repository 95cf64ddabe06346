"""What a file that is held over the window may be dropped for: a zone for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from ckptviewer.ui.appearance import Appearance

_GAP = 14


class Zone(NamedTuple):
    """A part of the window. text, more: what dropping there does, in two lines."""

    text: str
    more: str
    do: Callable[[str], None]


class DropZones(QWidget):
    """Lies over the whole window while a file is held over it."""

    def __init__(self, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent)
        self._parent = parent
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._appearance = appearance
        self._zones: Sequence[Zone] = ()
        self._current = -1
        self.hide()

    def offer(self, zones: Sequence[Zone]) -> None:
        """Show these zones, side by side."""
        self._zones = zones
        self._current = -1
        self.setGeometry(self._parent.rect())
        self.raise_()
        self.show()

    def point(self, position: QPoint) -> None:
        """The file is held over this place of the window."""
        current = self._at(position)
        if current != self._current:
            self._current = current
            self.update()

    def take(self, position: QPoint) -> Zone | None:
        """The zone that a file was dropped on; the zones go."""
        place = self._at(position)
        zones = self._zones
        self.hide()
        return zones[place] if 0 <= place < len(zones) else None

    def zone_rects(self) -> list[QRect]:
        """Where the zones are."""
        count = max(1, len(self._zones))
        room = self.rect().adjusted(_GAP, _GAP, -_GAP, -_GAP)
        width = (room.width() - (count - 1) * _GAP) // count
        return [
            QRect(room.left() + place * (width + _GAP), room.top(), width, room.height())
            for place in range(len(self._zones))
        ]

    def _at(self, position: QPoint) -> int:
        count = len(self._zones)
        return min(count - 1, max(0, position.x() * count // max(1, self.width())))

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme = self._appearance.theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ground = QColor(theme.base)
        ground.setAlphaF(0.93)
        painter.fillRect(self.rect(), ground)
        for place, (zone, rect) in enumerate(zip(self._zones, self.zone_rects(), strict=True)):
            chosen = place == self._current
            painter.setPen(
                QPen(
                    QColor(theme.accent if chosen else theme.quiet_bar),
                    2 if chosen else 1,
                    Qt.PenStyle.SolidLine if chosen else Qt.PenStyle.DashLine,
                )
            )
            painter.setBrush(QColor(theme.selected if chosen else theme.base))
            painter.drawRoundedRect(rect, 10, 10)
            middle = rect.center().y()
            painter.setPen(QColor(theme.text))
            painter.setFont(self._appearance.title_font)
            upper = QRect(rect.left() + 16, middle - 40, rect.width() - 32, 40)
            flags = Qt.AlignmentFlag.AlignHCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(upper, flags | Qt.AlignmentFlag.AlignBottom, zone.text)
            painter.setPen(QColor(theme.muted))
            painter.setFont(self._appearance.text_font)
            lower = QRect(rect.left() + 16, middle + 8, rect.width() - 32, 80)
            painter.drawText(lower, flags | Qt.AlignmentFlag.AlignTop, zone.more)
