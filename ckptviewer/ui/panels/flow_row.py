"""A row of widgets that goes on in the next line where it is too narrow for all of them."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtWidgets import QLayout, QLayoutItem, QWidget


class FlowRow(QLayout):
    """Widgets beside each other, as many as there is room for, the rest in lines below.

    last_at_right: whether the last one stands at the right of its line.
    """

    def __init__(
        self, spacing: int, parent: QWidget | None = None, *, last_at_right: bool = False
    ) -> None:
        """spacing: pixels between widgets, and between lines."""
        super().__init__(parent)
        self._last_at_right = last_at_right
        self._items: list[QLayoutItem] = []
        self.setContentsMargins(0, 0, 0, 0)
        self.setSpacing(spacing)

    # What Qt asks of a layout.

    def addItem(self, item: QLayoutItem) -> None:
        self._items.append(item)

    def count(self) -> int:
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientation:
        return Qt.Orientation(0)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return self._arrange(width)[1]

    def sizeHint(self) -> QSize:
        sizes = [item.sizeHint() for item in self._shown()]
        gaps = self.spacing() * max(0, len(sizes) - 1)
        return QSize(
            sum(size.width() for size in sizes) + gaps,
            max((size.height() for size in sizes), default=0),
        )

    def minimumSize(self) -> QSize:
        least = QSize()
        for item in self._shown():
            least = least.expandedTo(item.minimumSize())
        return least

    def setGeometry(self, rect: QRect) -> None:
        super().setGeometry(rect)
        for item, place in self._arrange(rect.width())[0]:
            item.setGeometry(place.translated(rect.topLeft()))

    def _shown(self) -> list[QLayoutItem]:
        return [item for item in self._items if not item.isEmpty()]

    def _arrange(self, width: int) -> tuple[list[tuple[QLayoutItem, QRect]], int]:
        """Where everything goes in so many pixels, and how high all lines are together."""
        lines: list[list[tuple[QLayoutItem, QSize]]] = []
        left = 0
        for item in self._shown():
            size = item.sizeHint()
            if not lines or left + size.width() > width:
                lines.append([])
                left = 0
            lines[-1].append((item, size))
            left += size.width() + self.spacing()
        placed, top = [], 0
        for line in lines:
            left, height = 0, max(size.height() for _, size in line)
            for item, size in line:
                at = QPoint(left, top + (height - size.height()) // 2)
                placed.append((item, QRect(at, size)))
                left += size.width() + self.spacing()
            top += height + self.spacing()
        if placed and self._last_at_right:
            item, place = placed[-1]
            place.moveLeft(max(place.left(), width - place.width()))
        return placed, max(0, top - self.spacing())
