"""The distribution of a variable: its histogram, and the numbers that sum it up."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QFileDialog,
    QStackedLayout,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.text import count_text, number_text
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.buttons import ChoiceButton, menu_button
from ckptviewer.ui.panels.flow_row import FlowRow
from ckptviewer.ui.panels.histogram_plot import HistogramPlot
from ckptviewer.ui.panels.plot_saving import csv_of, png_of, svg_of, write_file
from ckptviewer.ui.panels.tick_box import TickBox
from ckptviewer.ui.panels.widgets import FactGrid, scrolled, wrapped_label

if TYPE_CHECKING:
    from ckptviewer.analysis.histogram import Histogram, Scale
    from ckptviewer.analysis.statistics import Statistics

BIN_CHOICES = (16, 32, 64, 128, 256, 512)
_MARKED_QUANTILES = ((0.01, "p1"), (0.5, "median"), (0.99, "p99"))


class DistributionPanel(QWidget):
    """Shows Statistics.

    exact_wanted: edges and scale of a histogram that the statistics' own buckets are too coarse
    for; whoever can read the variable again answers with `show_exact`.
    saved: what was written where, in words.
    """

    exact_wanted = Signal(object, str)
    saved = Signal(str)

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self._statistics: Statistics | None = None
        self._variable: Variable | None = None
        self._plot: HistogramPlot | None = None
        self._message = wrapped_label("", "muted")
        self._message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._stack = QStackedLayout()
        message_page = QWidget()
        message_column = QVBoxLayout(message_page)
        message_column.setContentsMargins(24, 24, 24, 24)
        message_column.addWidget(self._message)
        page = QWidget()
        self._stack.addWidget(message_page)
        self._stack.addWidget(scrolled(page, "Distribution"))
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addLayout(self._stack)

        column = QVBoxLayout(page)
        column.setContentsMargins(20, 10, 20, 16)
        column.setSpacing(12)
        self._controls = QWidget()
        controls = FlowRow(2, self._controls, last_at_right=True)
        self._bins = ChoiceButton("Bins", [str(count) for count in BIN_CHOICES], "64")
        self._x_scale = ChoiceButton("X", ["linear", "log |x|"], "linear")
        self._y_scale = ChoiceButton("Y", ["linear", "log"], "linear")
        self._quantiles = TickBox("Quantiles", appearance)
        self._quantiles.setChecked(True)
        for button in (self._bins, self._x_scale, self._y_scale):
            controls.addWidget(button)
            button.chosen.connect(self._redraw)
        controls.addWidget(self._quantiles)
        controls.addWidget(self._make_save_button())
        self._quantiles.toggled.connect(self._redraw)
        self._plot_place = QVBoxLayout()
        self._note = wrapped_label("", "muted")
        self._note.setFont(appearance.small_font)
        self._facts = FactGrid(4, appearance)
        column.addWidget(self._controls)
        column.addLayout(self._plot_place)
        column.addWidget(self._note)
        column.addWidget(self._facts)
        column.addStretch(1)
        appearance.changed.connect(self._redraw)

    def show_message(self, text: str) -> None:
        """Show why there is nothing to see, or what is being done about it."""
        self._statistics = None
        self._message.setText(text)
        self._stack.setCurrentIndex(0)

    def show_statistics(self, variable: Variable, statistics: Statistics) -> None:
        """Show what one pass over `variable` told."""
        self._variable, self._statistics = variable, statistics
        self._facts.show_facts(_facts(variable, statistics))
        self._stack.setCurrentIndex(1)
        self._redraw()

    def show_exact(self, histogram: Histogram) -> None:
        """Show a histogram for which the variable was read again."""
        if self._statistics is not None and self._plot is not None:
            self._draw(histogram)

    def ask_where_to_save(self, kind: str) -> None:
        """Ask for a file, and save the histogram in sight there. kind: "PNG", "SVG" or "CSV"."""
        if self._variable is None or self._plot is None:
            return
        name = re.sub(r"[^\w.-]+", "-", self._variable.name).strip("-.") or "histogram"
        ending = f".{kind.lower()}"
        path, _ = QFileDialog.getSaveFileName(
            self, f"Save the histogram as {kind}", name[-100:] + ending, f"{kind} (*{ending})"
        )
        if path:
            self.save(path if path.lower().endswith(ending) else path + ending)

    def save(self, path: str) -> None:
        """Save the histogram in sight, in the format that the path ends with; says what failed."""
        plot, variable = self._plot, self._variable
        if plot is None or plot.histogram is None or variable is None:
            return
        ground = QColor(self._appearance.theme.base)
        if path.lower().endswith(".csv"):
            data = csv_of(plot.histogram)
        elif path.lower().endswith(".svg"):
            data = svg_of(plot.view, ground, variable.name)
        else:
            data = png_of(plot.view, ground)
        try:
            write_file(path, data)
        except CkptviewerError as error:
            self._show_note(f"It was not saved. {error}")
        else:
            self._show_note(f"Saved as {path}")
            self.saved.emit(f"Saved the histogram as {path}")

    def _make_save_button(self) -> QToolButton:
        kinds = (("PNG", "PNG, pixels"), ("SVG", "SVG, lines"), ("CSV", "CSV, numbers"))
        ask = self.ask_where_to_save
        choices = [(f"{text}\u2026", partial(ask, kind)) for kind, text in kinds]
        return menu_button("Save as", "Save the histogram as a picture, or its numbers", choices)

    def _redraw(self) -> None:
        statistics = self._statistics
        if statistics is None or self._variable is None:
            return
        shown = statistics.lengths or statistics
        drawable = shown.finite > 0 and not shown.constant
        self._controls.setVisible(drawable)
        if self._plot is not None:
            self._plot.setVisible(drawable)
        if not drawable:
            self._show_note(_why_nothing_is_drawn(statistics))
            return
        if self._plot is None:
            self._plot = HistogramPlot(self._appearance)
            self._plot_place.addWidget(self._plot)
        scale: Scale = "log" if self._x_scale.choice != "linear" else "linear"
        edges = shown.buckets.edges(int(self._bins.choice), scale=scale)
        histogram = shown.buckets.rebin_at(edges, scale)
        self._draw(histogram)
        if not histogram.exact and statistics.lengths is None:
            self.exact_wanted.emit(edges, scale)

    def _draw(self, histogram: Histogram) -> None:
        assert self._statistics is not None
        assert self._plot is not None
        shown = self._statistics.lengths or self._statistics
        marks = []
        if self._quantiles.isChecked():
            for fraction, name in _MARKED_QUANTILES:
                quantile = shown.quantile(fraction)
                if quantile is not None:
                    marks.append((quantile.value, name))
        self._plot.draw(
            histogram,
            marks,
            log_y=self._y_scale.choice == "log",
            unit="length in bytes" if self._statistics.lengths else "value",
        )
        self._show_note(_resolution_text(histogram))

    def _show_note(self, text: str) -> None:
        self._note.setText(text)
        self._note.setVisible(bool(text))


def _resolution_text(histogram: Histogram) -> str:
    if histogram.exact:
        return ""
    return f"Elements within {number_text(histogram.resolution, 2)} of an edge may be one bin off."


def _why_nothing_is_drawn(statistics: Statistics) -> str:
    if statistics.count == 0:
        return "The tensor is empty: one of its axes has size 0."
    if statistics.lengths is not None:
        return "All strings have the same length."
    if statistics.finite == 0:
        return "No element is a finite number."
    if statistics.count == 1:
        return "A single number."
    return f"All {count_text(statistics.finite)} finite elements are equal."


def _facts(variable: Variable, statistics: Statistics) -> list[tuple[str, str, str]]:
    """Label, value and tooltip of what sums the statistics up."""
    if statistics.lengths is not None:
        lengths = statistics.lengths
        return [
            ("Strings", count_text(statistics.count), ""),
            ("Distinct", number_text(statistics.distinct), ""),
            ("Shortest", f"{number_text(lengths.min)} bytes", ""),
            ("Longest", f"{number_text(lengths.max)} bytes", ""),
        ]
    suffix = " of |z|" if kind_of(variable.dtype) is Kind.COMPLEX else ""
    numbers = [
        ("Mean" + suffix, statistics.mean),
        ("Std", statistics.std),
        ("Min" + suffix, statistics.min),
        ("Max" + suffix, statistics.max),
        ("Skewness", statistics.skewness),
        ("Excess kurtosis", statistics.kurtosis),
        ("L2 norm", statistics.l2_norm),
        ("L1 norm", statistics.l1_norm),
    ]
    facts = [
        (label, number_text(value), "" if value is None else repr(value))
        for label, value in numbers
    ]
    for label, count in (
        ("Zeros", statistics.zero),
        ("NaN", statistics.nan),
        ("Inf", statistics.inf),
        ("Denormal", statistics.denormal),
    ):
        share = f" ({count / statistics.count:.1%})" if count else ""
        facts.append(
            (
                label,
                count_text(count) + share,
                f"{count_text(count)} of {count_text(statistics.count)}",
            )
        )
    if statistics.distinct is not None:
        facts.append(("Distinct", count_text(statistics.distinct), ""))
    return facts
