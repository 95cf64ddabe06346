"""The values of two variables side by side: one slice of both, scrolled together."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QSplitter, QVBoxLayout, QWidget

from ckptviewer.checkpoint.variable import Variable
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Jobs
from ckptviewer.ui.panels.values import ValuesPanel
from ckptviewer.ui.session import Session

_SIDE_BY_SIDE_FROM = 720
"""Pixels of width; where there are fewer, one stands above the other."""


class PairValues(QWidget):
    """Shows A's values and B's; of tensors of one shape always the same slice of both."""

    copied = Signal(str)

    def __init__(self, jobs: Jobs, appearance: Appearance) -> None:
        super().__init__()
        self.of_a = ValuesPanel(jobs, appearance)
        self.of_b = ValuesPanel(jobs, appearance)
        self._alike = False
        self._splitter = QSplitter(Qt.Orientation.Vertical)
        self._splitter.setChildrenCollapsible(False)
        self._pages: list[QWidget] = []
        for letter, panel in (("A", self.of_a), ("B", self.of_b)):
            page = _titled(letter, panel, appearance)
            self._pages.append(page)
            self._splitter.addWidget(page)
            panel.copied.connect(self.copied)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._splitter)
        self.of_a.plane_shown.connect(self._follow)
        for bar in ("verticalScrollBar", "horizontalScrollBar"):
            one, other = getattr(self.of_a.table, bar)(), getattr(self.of_b.table, bar)()
            one.valueChanged.connect(lambda value, to=other: self._scroll(to, value))
            other.valueChanged.connect(lambda value, to=one: self._scroll(to, value))

    def show_pair(
        self, a: tuple[Session, Variable] | None, b: tuple[Session, Variable] | None
    ) -> None:
        """Show two variables, or the one that is there."""
        self._alike = a is not None and b is not None and a[1].shape == b[1].shape
        for page, panel, side in zip(self._pages, (self.of_a, self.of_b), (a, b), strict=True):
            page.setVisible(side is not None)
            panel.show_controls(panel is self.of_a or not self._alike)
            if side is None:
                panel.clear()
            else:
                panel.show_variable(*side)

    def clear(self) -> None:
        """Show nothing, and want nothing any more."""
        self.of_a.clear()
        self.of_b.clear()

    def _follow(self, plane: object, cell: object) -> None:
        if self._alike:
            self.of_b.follow(plane, cell)  # type: ignore[arg-type]

    def _scroll(self, bar: QWidget, value: int) -> None:
        if self._alike:
            bar.setValue(value)  # type: ignore[attr-defined]

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        wide = self.width() >= _SIDE_BY_SIDE_FROM
        self._splitter.setOrientation(
            Qt.Orientation.Horizontal if wide else Qt.Orientation.Vertical
        )


def _titled(letter: str, panel: QWidget, appearance: Appearance) -> QWidget:
    page = QWidget()
    label = QLabel(letter)
    label.setFont(appearance.bold_font)
    label.setContentsMargins(20, 8, 20, 0)
    column = QVBoxLayout(page)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(0)
    column.addWidget(label)
    column.addWidget(panel, 1)
    return page
