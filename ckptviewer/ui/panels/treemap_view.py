"""The treemap of a checkpoint's bytes on the screen."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QHelpEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from ckptviewer.analysis.treemap import LABEL_HEIGHT, Cell, treemap
from ckptviewer.checkpoint.text import exact_size_text
from ckptviewer.checkpoint.tree import Group, VariableTree
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Job, Jobs
from ckptviewer.ui.theme import role_colour

_SETTLE_MS = 30


class TreemapView(QWidget):
    """Shows the bytes of a VariableTree. chosen: a group or variable that was clicked."""

    chosen = Signal(object)

    def __init__(self, jobs: Jobs, appearance: Appearance) -> None:
        super().__init__()
        self._jobs = jobs
        self._appearance = appearance
        self._tree: VariableTree | None = None
        self._cells: list[Cell] = []
        self._under_pointer: Cell | None = None
        self._job: Job[list[Cell]] | None = None
        self.setMouseTracking(True)
        self.setMinimumHeight(220)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Map of bytes")
        self.setAccessibleDescription("Bytes by group; the tree shows the same sizes as numbers.")
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self._arrange)
        appearance.changed.connect(self.update)

    def show_tree(self, tree: VariableTree | None) -> None:
        """Show another checkpoint, or none."""
        self._tree = tree
        self._cells, self._under_pointer = [], None
        self.update()
        self._settle.start()

    def cells(self) -> list[Cell]:
        """What is drawn, outer ones first."""
        return self._cells

    def _arrange(self) -> None:
        tree = self._tree
        if self._job is not None:
            self._job.cancel()
            self._job = None
        if tree is None or not self.isVisible():
            return
        width, height = float(self.width()), float(self.height())
        self._job = self._jobs.start("Map", lambda cancel, _: treemap(tree, width, height, cancel))
        self._job.succeeded.connect(lambda cells: self._take(tree, cells))

    def _take(self, tree: VariableTree, cells: list[Cell]) -> None:
        if tree is self._tree:
            self._cells = cells
            self._job = None
            self.update()

    def _cell_at(self, position: QPointF) -> Cell | None:
        found = None
        for cell in self._cells:  # inner ones come later
            inside_x = cell.left <= position.x() < cell.left + cell.width
            if inside_x and cell.top <= position.y() < cell.top + cell.height:
                found = cell
        return found

    # Qt's events.

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self._settle.start()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._settle.start()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        cell = self._cell_at(event.position())
        if cell is not self._under_pointer:
            self._under_pointer = cell
            self.setCursor(
                Qt.CursorShape.PointingHandCursor if cell else Qt.CursorShape.ArrowCursor
            )
            self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self._under_pointer = None
        self.update()
        super().leaveEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        cell = self._cell_at(event.position())
        if cell is not None:
            self.chosen.emit(cell.item)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            cell = self._cell_at(QPointF(event.pos()))
            QToolTip.showText(event.globalPos(), self._tool_tip(cell) if cell else "", self)
            return True
        return super().event(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        tree = self._tree
        if tree is None:
            return
        painter = QPainter(self)
        theme = self._appearance.theme
        small = self._appearance.small_font
        painter.setFont(small)
        metrics = painter.fontMetrics()
        if not tree.root.stored_bytes:
            painter.setPen(QColor(theme.muted))
            painter.setFont(self._appearance.text_font)
            painter.drawText(
                self.rect(), Qt.AlignmentFlag.AlignCenter, "There are no bytes to map."
            )
        for cell in self._cells:
            box = QRectF(cell.left, cell.top, cell.width, cell.height)
            if isinstance(cell.item, Group):
                painter.fillRect(box, QColor(theme.track if cell.depth % 2 else theme.raised))
                if cell.has_label:
                    painter.setPen(QColor(theme.muted))
                    room = box.adjusted(4, 0, -4, 0)
                    room.setHeight(LABEL_HEIGHT)
                    text = metrics.elidedText(
                        cell.item.name.replace("/", " / "),
                        Qt.TextElideMode.ElideMiddle,
                        int(room.width()),
                    )
                    painter.drawText(room, Qt.AlignmentFlag.AlignVCenter, text)
                continue
            colour = role_colour(theme, tree.variables[cell.item].role)
            painter.fillRect(box, colour)
            if box.width() > 40 and box.height() > metrics.height() + 2:
                painter.setPen(QColor(theme.base))
                room = box.adjusted(4, 0, -3, 0)
                text = metrics.elidedText(
                    tree.label(cell.item), Qt.TextElideMode.ElideMiddle, int(room.width())
                )
                painter.drawText(room, Qt.AlignmentFlag.AlignCenter, text)
        if self._under_pointer is not None:
            cell = self._under_pointer
            painter.setPen(QPen(QColor(theme.text), 2))
            painter.drawRect(QRectF(cell.left + 1, cell.top + 1, cell.width - 2, cell.height - 2))

    def _tool_tip(self, cell: Cell) -> str:
        assert self._tree is not None
        total = max(1, self._tree.root.stored_bytes)
        if isinstance(cell.item, Group):
            name, size = cell.item.path, cell.item.stored_bytes
        else:
            variable = self._tree.variables[cell.item]
            name, size = f"{variable.name}  ({variable.role})", variable.stored_bytes
        return f"{name}\n{exact_size_text(size)}, {size / total:.1%} of all"
