"""The distributions of both sides over each other, and the numbers of their difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPixmap
from PySide6.QtWidgets import QHBoxLayout, QLabel, QStackedLayout, QVBoxLayout, QWidget

from ckptviewer.analysis.comparison import VariableDelta
from ckptviewer.checkpoint.text import count_text, number_text
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.buttons import ChoiceButton
from ckptviewer.ui.panels.delta_painting import side_colour
from ckptviewer.ui.panels.distribution import BIN_CHOICES
from ckptviewer.ui.panels.flow_row import FlowRow
from ckptviewer.ui.panels.histogram_plot import HistogramPlot
from ckptviewer.ui.panels.widgets import FactGrid, scrolled, wrapped_label

if TYPE_CHECKING:
    from ckptviewer.analysis.histogram import Scale
    from ckptviewer.analysis.statistics import Statistics

_SWATCH = 10


class OverlayPanel(QWidget):
    """Shows the statistics of both sides in one plot, and a grid of numbers below it."""

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self._sides: tuple[Statistics, Statistics] | None = None
        self._plot: HistogramPlot | None = None
        self._bins = ChoiceButton("Bins", [str(count) for count in BIN_CHOICES], "64")
        self._x_scale = ChoiceButton("X", ["linear", "log |x|"], "linear")
        self._y_scale = ChoiceButton("Y", ["linear", "log"], "linear")
        self._legend = [_legend_label() for _ in range(4)]
        self._controls = QWidget()
        row = FlowRow(2, self._controls, last_at_right=True)
        for button in (self._bins, self._x_scale, self._y_scale):
            row.addWidget(button)
            button.chosen.connect(self._draw)
        row.addWidget(self._make_legend())
        self._plot_place = QVBoxLayout()
        self._note = wrapped_label("", "muted")
        self._facts = FactGrid(4, appearance)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(20, 10, 20, 16)
        column.setSpacing(12)
        column.addWidget(self._controls)
        column.addLayout(self._plot_place)
        column.addWidget(self._note)
        column.addWidget(self._facts)
        column.addStretch(1)
        outer = QStackedLayout(self)
        outer.addWidget(scrolled(page, "Overlay"))
        appearance.changed.connect(self._draw)

    def _make_legend(self) -> QWidget:
        legend = QWidget()
        row = QHBoxLayout(legend)
        row.setContentsMargins(6, 0, 0, 0)
        for label in self._legend:
            row.addWidget(label)
        return legend

    def show_delta(self, delta: VariableDelta) -> None:
        """Show the numbers of a row, as far as they are known."""
        self._facts.show_facts(_facts(delta))

    def show_message(self, text: str) -> None:
        """Show why there is no plot."""
        self._sides = None
        self._note.setText(text)
        self._note.show()
        self._controls.hide()
        if self._plot is not None:
            self._plot.hide()

    def show_statistics(self, a: Statistics, b: Statistics) -> None:
        """Draw the distributions of both sides."""
        self._sides = (a, b)
        self._draw()

    def _draw(self) -> None:
        import numpy as np

        if self._sides is None:
            return
        a, b = (side.lengths or side for side in self._sides)
        if not a.finite or not b.finite:
            self.show_message("On one side no element is a finite number.")
            return
        if a.constant and b.constant and a.min == b.min:
            self.show_message(f"All elements are {number_text(a.min)}, on both sides.")
            return
        scale: Scale = "log" if self._x_scale.choice != "linear" else "linear"
        bins = int(self._bins.choice)
        own = [side.buckets.edges(bins, scale=scale) for side in (a, b)]
        low, high = min(edges[0] for edges in own), max(edges[-1] for edges in own)
        edges = a.buckets.edges(bins, float(low), float(high), scale)
        if self._plot is None:
            self._plot = HistogramPlot(self._appearance)
            self._plot_place.addWidget(self._plot)
        self._plot.show()
        self._controls.show()
        theme = self._appearance.theme
        colours = (side_colour(theme, "a"), side_colour(theme, "b"))
        histograms = [side.buckets.rebin_at(np.asarray(edges), scale) for side in (a, b)]
        lengths = self._sides[0].lengths is not None
        self._plot.draw_sides(
            histograms[0],
            histograms[1],
            colours,
            log_y=self._y_scale.choice == "log",
            unit="length in bytes" if lengths else "value",
        )
        for place, colour in enumerate(colours):
            self._legend[2 * place].setPixmap(_swatch(colour))
            self._legend[2 * place + 1].setText("AB"[place])
        resolution = max(histogram.resolution for histogram in histograms)
        text = f"Elements within {number_text(resolution, 2)} of an edge may be one bin off."
        self._note.setText(text if resolution else "")
        self._note.setVisible(bool(resolution))


def _legend_label() -> QLabel:
    label = QLabel()
    label.setObjectName("muted")
    return label


def _swatch(colour: QColor) -> QPixmap:
    pixmap = QPixmap(_SWATCH, _SWATCH)
    pixmap.fill(Qt.GlobalColor.transparent)
    pixmap.fill(colour)
    return pixmap


def _facts(delta: VariableDelta) -> list[tuple[str, str, str]]:
    """Label, value and tooltip of each number of a row."""
    difference = delta.difference
    if difference is None:
        return []
    numbers = [
        ("Relative L2", difference.relative_l2),
        ("Cosine", difference.cosine),
        ("max |\u0394|", difference.max_abs),
        ("mean |\u0394|", difference.mean_abs),
        ("\u0394 mean", difference.mean_difference),
        ("\u0394 std", difference.std_difference),
        ("\u0394 skewness", difference.skewness_difference),
        ("\u0394 kurtosis", difference.kurtosis_difference),
        ("RMSE", difference.rmse),
    ]
    facts = [
        (label, number_text(value), "" if value is None else repr(value))
        for label, value in numbers
    ]
    flips, count = difference.sign_flips, difference.count
    if flips is not None:
        facts.append(
            ("Sign flips", _share(flips, count), f"{count_text(flips)} of {count_text(count)}")
        )
    beyond = difference.beyond if difference.tolerance.given else difference.unequal
    label = "Beyond tolerance" if difference.tolerance.given else "Not equal"
    facts.append((label, _share(beyond, count), f"{count_text(beyond)} of {count_text(count)}"))
    if difference.nan_a or difference.nan_b or difference.inf_a or difference.inf_b:
        facts += [
            ("NaN", f"{count_text(difference.nan_a)} \u2192 {count_text(difference.nan_b)}", ""),
            ("Inf", f"{count_text(difference.inf_a)} \u2192 {count_text(difference.inf_b)}", ""),
        ]
    return facts


def _share(part: int, whole: int) -> str:
    return "0" if not part else f"{part / max(1, whole):.2%}"
