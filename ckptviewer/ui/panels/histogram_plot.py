"""Histograms with axes: one with its quantiles, or two of them over each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ckptviewer.checkpoint.text import number_text, plural
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.plots import dress_axis, hover_card, make_plain, plain_ticks

if TYPE_CHECKING:
    from ckptviewer.analysis.histogram import Histogram

PLOT_HEIGHT = 300
_LABEL_TOP, _LABEL_STEP, _LABEL_WIDTH = 0.955, 0.07, 0.22
_FILL_ALPHA = 90


class HistogramPlot(QWidget):
    """A histogram with axes, quantile marks, and values under the pointer."""

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        import pyqtgraph

        self._appearance = appearance
        self._pyqtgraph = pyqtgraph
        self.view = pyqtgraph.PlotWidget(background=None, enableMenu=False)
        make_plain(self.view, "Histogram")
        self.view.setMouseEnabled(x=False, y=False)
        self._histogram: Histogram | None = None
        self._second: Histogram | None = None
        self._hover = hover_card(self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.view)
        self.setFixedHeight(PLOT_HEIGHT)
        self.view.scene().sigMouseMoved.connect(self._show_hover)

    @property
    def histogram(self) -> Histogram | None:
        """What is drawn."""
        return self._histogram

    def draw(
        self,
        histogram: Histogram,
        marks: Sequence[tuple[float, str]],
        *,
        log_y: bool,
        unit: str,
    ) -> None:
        """Draw a histogram; marks: value and name of each vertical line."""
        import numpy as np

        pg = self._pyqtgraph
        theme = self._appearance.theme
        self._histogram, self._second = histogram, None
        self.view.setBackground(theme.base)
        plot = self.view.getPlotItem()
        plot.clear()
        log_x = histogram.scale == "log"
        edges = np.log10(histogram.edges) if log_x else histogram.edges
        heights = _heights(histogram, log_y)
        bars = pg.BarGraphItem(
            x0=edges[:-1], x1=edges[1:], y0=0, height=heights, pen=None, brush=QColor(theme.bar)
        )
        plot.addItem(bars)
        top = float(heights.max()) * 1.12 or 1.0
        self._dress_axes(plot, log_x=log_x, log_y=log_y, unit=unit)
        pen = pg.mkPen(QColor(theme.muted), style=Qt.PenStyle.DashLine)
        width = float(edges[-1] - edges[0])
        last, position = -np.inf, _LABEL_TOP
        for value, name in marks:
            if log_x and value <= 0:
                continue
            at = float(np.log10(value)) if log_x else value
            if edges[0] <= at <= edges[-1]:
                # Names of marks that stand close would lie on one another: one goes lower.
                close = at - last < _LABEL_WIDTH * width
                position = position - _LABEL_STEP if close else _LABEL_TOP
                last = at
                line = pg.InfiniteLine(
                    at,
                    pen=pen,
                    label=name,
                    labelOpts={"position": position, "color": theme.muted, "movable": False},
                )
                plot.addItem(line)
        plot.setXRange(float(edges[0]), float(edges[-1]), padding=0.02)
        plot.setYRange(0, top, padding=0)

    def draw_sides(
        self, a: Histogram, b: Histogram, colours: tuple[QColor, QColor], *, log_y: bool, unit: str
    ) -> None:
        """Draw two histograms with the same edges over each other, as filled outlines."""
        import numpy as np

        pg = self._pyqtgraph
        self._histogram, self._second = a, b
        self.view.setBackground(self._appearance.theme.base)
        plot = self.view.getPlotItem()
        plot.clear()
        log_x = a.scale == "log"
        edges = np.log10(a.edges) if log_x else a.edges
        top = 0.0
        for histogram, colour in zip((a, b), colours, strict=True):
            heights = _heights(histogram, log_y)
            top = max(top, float(heights.max()))
            fill = QColor(colour)
            fill.setAlpha(_FILL_ALPHA)
            curve = pg.PlotCurveItem(
                x=edges,
                y=heights,
                stepMode="center",
                fillLevel=0,
                brush=fill,
                pen=pg.mkPen(colour, width=1.5),
            )
            plot.addItem(curve)
        self._dress_axes(plot, log_x=log_x, log_y=log_y, unit=unit)
        plot.setXRange(float(edges[0]), float(edges[-1]), padding=0.02)
        plot.setYRange(0, top * 1.12 or 1.0, padding=0)

    def _dress_axes(self, plot: Any, *, log_x: bool, log_y: bool, unit: str) -> None:
        for name, label, is_log in (
            ("bottom", f"|{unit}|" if log_x else unit, log_x),
            ("left", "elements", log_y),
        ):
            axis = plot.getAxis(name)
            dress_axis(axis, label, self._appearance)
            axis.tickStrings = _log_ticks if is_log else plain_ticks
        if log_y:
            plot.getAxis("left").tickStrings = _log_count_ticks
        plot.showGrid(x=False, y=True, alpha=0.12)

    def _show_hover(self, position: QPointF) -> None:
        import numpy as np

        histogram = self._histogram
        view_box = self.view.getPlotItem().getViewBox()
        if histogram is None or not view_box.sceneBoundingRect().contains(position):
            self._hover.hide()
            return
        at = view_box.mapSceneToView(position).x()
        x = 10.0**at if histogram.scale == "log" else at
        bin_ = int(np.searchsorted(histogram.edges, x, side="right")) - 1
        if not 0 <= bin_ < len(histogram.counts):
            self._hover.hide()
            return
        low, high = (number_text(float(edge)) for edge in histogram.edges[bin_ : bin_ + 2])
        lines = [f"{low} \u2026 {high}"]
        if self._second is None:
            lines.append(_bin_text(histogram, bin_))
        else:
            lines += [f"A  {_bin_text(histogram, bin_)}", f"B  {_bin_text(self._second, bin_)}"]
        self._hover.setText("\n".join(lines))
        self._hover.adjustSize()
        x_pixel = min(int(position.x()) + 14, self.width() - self._hover.width() - 4)
        self._hover.move(max(0, x_pixel), max(0, int(position.y()) - self._hover.height() - 8))
        self._hover.raise_()  # the plot came to this widget after it
        self._hover.show()

    def leaveEvent(self, event: Any) -> None:
        self._hover.hide()
        super().leaveEvent(event)


def _heights(histogram: Histogram, log_y: bool) -> Any:
    import numpy as np

    counts = histogram.counts.astype(np.float64)
    if not log_y:
        return counts
    return np.where(counts > 0, np.log10(np.maximum(counts, 1)) + 0.3, 0)


def _bin_text(histogram: Histogram, bin_: int) -> str:
    count = int(histogram.counts[bin_])
    return f"{plural(count, 'element')}, {count / max(1, histogram.total):.2%}"


def _log_ticks(values: Sequence[float], scale: float, spacing: float) -> list[str]:
    return [number_text(10.0**value, 2) if abs(value) < 300 else "" for value in values]


def _log_count_ticks(values: Sequence[float], scale: float, spacing: float) -> list[str]:
    # Bars of one element must be seen: the axis begins 0.3 decades below one.
    return [
        number_text(round(10.0 ** (value - 0.3)), 2) if value >= 0.3 else "" for value in values
    ]
