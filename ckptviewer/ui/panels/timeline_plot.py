"""Lines over the steps of a run, with axes, and their values under the pointer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ckptviewer.checkpoint.text import count_text, elide_middle, number_text
from ckptviewer.runs.entry import CheckpointEntry
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.plots import dress_axis, hover_card, make_plain, plain_ticks

MOST_LINES = 24
_HOVERED_LINES = 14
_HUES = {
    "light": (
        "#0072b2",
        "#d55e00",
        "#009e73",
        "#cc79a7",
        "#b07d00",
        "#2f9fd8",
        "#5d6878",
        "#7a4fb5",
    ),
    "dark": (
        "#56b4e9",
        "#e69f00",
        "#3cc79b",
        "#df93c0",
        "#f0e442",
        "#6f9fff",
        "#a1acbb",
        "#ff9152",
    ),
}
"""Okabe and Ito's, made darker or lighter where they would not be seen on the ground."""

_STYLES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine)


@dataclass(frozen=True, slots=True)
class Line:
    """One line: a number for each checkpoint, NaN where there is none.

    name: what it is called in files (a variable's key). title: for people.
    """

    name: str
    values: Sequence[float]
    title: str


def line_colour(number: int, theme_name: str) -> QColor:
    """The colour of the n-th line; from the ninth on they come again, with another stroke."""
    hues = _HUES[theme_name]
    return QColor(hues[number % len(hues)])


class TimelinePlot(QWidget):
    """Draws lines. pointed: the checkpoint (its column) that was clicked."""

    pointed = Signal(int)

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        import pyqtgraph

        self._appearance = appearance
        self._pyqtgraph = pyqtgraph
        self.view = pyqtgraph.PlotWidget(background=None, enableMenu=False)
        make_plain(self.view, "Timeline")
        self.view.setMouseEnabled(x=True, y=False)
        self.view.getPlotItem().getViewBox().setAutoVisible(y=True)
        self.lines: tuple[Line, ...] = ()
        self.entries: tuple[CheckpointEntry, ...] = ()
        self.places: list[float] = []
        self.log_y = False
        self._by_step = True
        self._range: tuple[float, float] | None = None
        self._cursor = pyqtgraph.InfiniteLine(0, movable=False)
        self._hover = hover_card(self)
        self._hover.setTextFormat(Qt.TextFormat.RichText)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.view)
        self.setMinimumHeight(200)
        self.view.scene().sigMouseMoved.connect(self._show_hover)
        self.view.scene().sigMouseClicked.connect(self._click)

    def draw(
        self, entries: Sequence[CheckpointEntry], lines: Sequence[Line], *, unit: str, log_y: bool
    ) -> None:
        """Draw these; what is zoomed to stays so while the steps are the same."""
        self.entries, self.lines, self.log_y = tuple(entries), tuple(lines), log_y
        self._by_step = any(entry.step is not None for entry in entries)
        self.places = _places(entries)
        pg, theme = self._pyqtgraph, self._appearance.theme
        self.view.setBackground(theme.base)
        plot = self.view.getPlotItem()
        plot.clear()
        for number, line in enumerate(self.lines):
            heights = [_height(value, log_y) for value in line.values]
            if all(map(math.isnan, heights)):
                continue
            colour = line_colour(number, theme.name)
            style = _STYLES[number // len(_HUES["light"]) % len(_STYLES)]
            curve = pg.PlotDataItem(
                self.places,
                heights,
                pen=pg.mkPen(colour, width=1.8, style=style),
                connect="finite",
                symbol="o",
                symbolSize=5 if len(self.places) <= 200 else 3,
                symbolBrush=colour,
                symbolPen=None,
            )
            plot.addItem(curve)
        self._cursor.setPen(pg.mkPen(QColor(theme.muted), style=Qt.PenStyle.DashLine))
        self._cursor.hide()
        plot.addItem(self._cursor, ignoreBounds=True)
        self._dress_axes(plot, unit)
        ends = (self.places[0], self.places[-1]) if self.places else (0.0, 1.0)
        if ends != self._range:
            self._range = ends
            self.fit()
        plot.enableAutoRange(axis="y")

    def fit(self) -> None:
        """Show all steps."""
        if self._range is not None:
            low, high = self._range
            self.view.setXRange(low, high if high > low else low + 1, padding=0.03)

    def _dress_axes(self, plot: Any, unit: str) -> None:
        label = "step" if self._by_step else "checkpoint"
        for name, text in (("bottom", label), ("left", unit)):
            dress_axis(plot.getAxis(name), text, self._appearance)
        plot.getAxis("bottom").tickStrings = _step_ticks
        left = plot.getAxis("left")
        left.tickStrings = _log_ticks if self.log_y else plain_ticks
        left.tickValues = _log_places if self.log_y else partial(type(left).tickValues, left)
        plot.showGrid(x=False, y=True, alpha=0.12)

    def column_at(self, position: QPointF) -> int | None:
        """The checkpoint next to a place of the scene; None outside of the axes."""
        box = self.view.getPlotItem().getViewBox()
        if not self.places or not box.sceneBoundingRect().contains(position):
            return None
        at = box.mapSceneToView(position).x()
        return min(range(len(self.places)), key=lambda column: abs(self.places[column] - at))

    def hover_text(self, column: int) -> str:
        """What all lines have at a checkpoint, as rich text."""
        from html import escape

        entry = self.entries[column]
        step = "" if entry.step is None else f"step {count_text(entry.step)}  "
        rows = [f"<b>{escape(step)}</b>{escape(elide_middle(entry.name, 40))}"]
        for number, line in enumerate(self.lines[:_HOVERED_LINES]):
            value = line.values[column]
            colour = line_colour(number, self._appearance.theme.name).name()
            text = "\u2013" if math.isnan(value) else number_text(value, 5)
            name = escape(elide_middle(line.title, 44))
            rows.append(f'<span style="color:{colour}">\u25a0</span> {name}&nbsp;&nbsp;{text}')
        if len(self.lines) > _HOVERED_LINES:
            rows.append(f"and {len(self.lines) - _HOVERED_LINES} more")
        return "<br>".join(rows)

    def _show_hover(self, position: QPointF) -> None:
        column = self.column_at(position)
        if column is None:
            self._hover.hide()
            self._cursor.hide()
            return
        self._cursor.setPos(self.places[column])
        self._cursor.show()
        self._hover.setText(self.hover_text(column))
        self._hover.adjustSize()
        size = self._hover.size()
        x = int(position.x()) + 14
        if x + size.width() > self.width() - 4:
            x = int(position.x()) - 14 - size.width()
        y = min(int(position.y()) + 10, self.height() - size.height() - 4)
        self._hover.move(max(0, x), max(0, y))
        self._hover.raise_()  # the plot came to this widget after it
        self._hover.show()

    def _click(self, event: Any) -> None:
        if event.double():
            self.fit()
            return
        column = self.column_at(event.scenePos())
        if column is not None:
            self.pointed.emit(column)

    def leaveEvent(self, event: Any) -> None:
        self._hover.hide()
        self._cursor.hide()
        super().leaveEvent(event)


def _places(entries: Sequence[CheckpointEntry]) -> list[float]:
    """Where each checkpoint stands: at its step; by turns where steps are missing or repeat."""
    steps = [entry.step for entry in entries]
    known = [step for step in steps if step is not None]
    if len(known) == len(steps) and len(set(known)) == len(known):
        return [float(step) for step in known]
    if not known:
        return [float(column) for column in range(len(entries))]
    apart = (max(known) - min(known)) / max(1, len(set(known)) - 1) or 1.0
    places: list[float] = []
    first = steps.index(known[0])
    for column, step in enumerate(steps):
        if step is None:  # those without one stand before all others
            places.append(known[0] - (first - column) * apart)
        else:
            at = float(step)
            if places and at <= places[-1]:
                at = places[-1] + apart * 0.1
            places.append(at)
    return places


def _height(value: float, log_y: bool) -> float:
    if not math.isfinite(value):
        return math.nan
    if not log_y:
        return value
    return math.log10(value) if value > 0 else math.nan


def _step_ticks(values: Sequence[float], scale: float, spacing: float) -> list[str]:
    return [count_text(round(value)) if value == round(value) else "" for value in values]


def _log_places(low: float, high: float, _size: float) -> list[tuple[float, list[float]]]:
    """Ticks at powers of ten; where these are few, at their multiples, too."""
    first, last = math.floor(low), math.ceil(high)
    stride = max(1, math.ceil((last - first) / 10))
    factors = (1,) if high - low > 3 else (1, 2, 5) if high - low > 1 else (1, 2, 3, 4, 5, 6, 8)
    if high - low < 0.15:  # next to a line: powers would leave the axis bare
        return [(0.0, [low + (high - low) * part / 4 for part in range(5)])]
    places = [
        decade + math.log10(factor)
        for decade in range(first, last + 1, stride)
        for factor in factors
    ]
    return [(0.0, [place for place in places if low <= place <= high])]


def _log_ticks(values: Sequence[float], scale: float, spacing: float) -> list[str]:
    return [number_text(10.0**value, 3) if abs(value) < 300 else "" for value in values]
