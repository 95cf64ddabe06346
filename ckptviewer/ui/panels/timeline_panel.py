"""The timeline: what is to be followed to the left, its lines over the steps to the right."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from functools import partial
from html import escape
from typing import TYPE_CHECKING

from PySide6.QtCore import QItemSelectionModel, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListView,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.text import elide_middle
from ckptviewer.checkpoint.variable import MODEL_ROLES
from ckptviewer.runs.timeline_table import Series
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Jobs
from ckptviewer.ui.models.run_rows import SeriesRowsModel
from ckptviewer.ui.open_run import Followed, Known
from ckptviewer.ui.panels.buttons import ChoiceButton, flat_button, menu_button
from ckptviewer.ui.panels.tick_box import TickBox
from ckptviewer.ui.panels.timeline_plot import MOST_LINES, Line, TimelinePlot, line_colour
from ckptviewer.ui.panels.widgets import parted
from ckptviewer.ui.running import Running

if TYPE_CHECKING:
    from ckptviewer.runs.entry import CheckpointEntry

_NAMED_LINES = 8
_REDRAW_MS = 800

MEASURES = {
    "norm": Series.NORM,
    "mean": Series.MEAN,
    "standard deviation": Series.STD,
    "minimum": Series.MIN,
    "maximum": Series.MAX,
    "share of zeros": Series.SPARSITY,
    "NaN": Series.NAN,
    "update |\u0394w| / |w|": Series.UPDATE,
    "cosine to the save before": Series.COSINE,
}
"""What can be drawn, by the name it has here."""

HEAT_MEASURE = "update |\u0394w| / |w|"
"""What the heat map shows at first: frozen and exploding layers stand out in it."""


class TimelinePanel(QWidget):
    """Draws what is chosen. pointed: the name of the checkpoint that was clicked."""

    pointed = Signal(str)
    told = Signal(str)

    def __init__(self, jobs: Jobs, appearance: Appearance, running: Running) -> None:
        super().__init__()
        self._jobs = jobs
        self._appearance = appearance
        self._running = running
        self.known: Known | None = None
        self.chosen: list[str] = []
        self._is_asking = self._is_stale = False
        self._entries: tuple[CheckpointEntry, ...] = ()
        self.measure = ChoiceButton("Measure", list(MEASURES), "norm")
        self.log_y = TickBox("Log scale", appearance)
        self.log_y.setAccessibleName("Logarithmic scale")
        self.list = QListView()
        self.list.setObjectName("lines")
        self.list.setAccessibleName("What is drawn")
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.setUniformItemSizes(True)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setIconSize(QSize(10, 10))
        self.list.setFrameShape(QListView.Shape.NoFrame)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_REDRAW_MS)
        self._settle.timeout.connect(self._redraw)
        self.plot: TimelinePlot | None = None
        self.legend = QLabel()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setWordWrap(True)
        self.legend.setContentsMargins(12, 4, 8, 2)
        self.note = QLabel("Reading the checkpoints\u2026")
        self.note.setObjectName("muted")
        self.note.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.note.setWordWrap(True)
        self._lay_out()
        self.measure.chosen.connect(lambda _choice: self._redraw())
        self.log_y.toggled.connect(lambda _on: self._redraw())
        appearance.changed.connect(self._redraw)

    @property
    def series(self) -> Series:
        """What is drawn of each."""
        return MEASURES[self.measure.choice]

    def show_known(self, known: Known, matches: frozenset[int] | None) -> None:
        """Other variables are known; what was chosen stays so where it is there still."""
        self.known = known
        model = SeriesRowsModel(known, self._appearance)
        if matches is not None:
            model.set_matches(matches)
        self.list.setModel(model)
        self.list.selectionModel().selectionChanged.connect(lambda *_: self._take_selection())
        names = {choice.name for choice in known.choices}
        chosen = [name for name in self.chosen if name in names] or _at_first(known)
        self._select(chosen)

    def refresh(self) -> None:
        """More numbers are known: they are drawn about once a second."""
        if not self._settle.isActive():
            self._settle.start()

    def draw(self) -> None:
        """Draw what is chosen, now."""
        self._settle.stop()
        self._redraw()

    def set_matches(self, rows: frozenset[int] | None) -> None:
        """Offer only variables of these rows; what is drawn stays so."""
        model = self._model()
        if model is not None:
            model.set_matches(rows)
            self._select(self.chosen)

    def choose(self, names: Sequence[str]) -> bool:
        """Draw these alone, and bring the first into sight; whether there are any."""
        model = self._model()
        if model is None:
            return False
        known = [name for name in names if model.row_of(name) is not None]
        if known:
            self._select(known)
        return bool(known)

    def say(self, text: str) -> None:
        """Show a text in the place of the lines."""
        self.legend.clear()
        self.note.setText(text)
        self._stack.setCurrentWidget(self.note)

    def _model(self) -> SeriesRowsModel | None:
        model = self.list.model()
        return model if isinstance(model, SeriesRowsModel) else None

    def _select(self, names: Sequence[str]) -> None:
        model = self._model()
        assert model is not None
        self.chosen = list(names)
        selection = self.list.selectionModel()
        selection.blockSignals(True)
        selection.clear()
        for number, name in enumerate(names):
            row = model.row_of(name)
            if row is None:
                continue
            selection.select(model.index(row), QItemSelectionModel.SelectionFlag.Select)
            if not number:
                selection.setCurrentIndex(
                    model.index(row), QItemSelectionModel.SelectionFlag.NoUpdate
                )
                self.list.scrollTo(model.index(row))
        selection.blockSignals(False)
        self.list.viewport().update()
        self._redraw()

    def _take_selection(self) -> None:
        model = self._model()
        if model is None:
            return
        rows = sorted(index.row() for index in self.list.selectionModel().selectedIndexes())
        self.chosen = [model.choices[row].name for row in rows]
        self._redraw()

    def _followed(self) -> list[Followed]:
        known = self.known
        if known is None:
            return []
        wanted = set(self.chosen[:MOST_LINES])
        return [choice for choice in known.choices if choice.name in wanted]

    def _redraw(self) -> None:
        known = self.known
        if known is None:
            return
        if self._is_asking:
            self._is_stale = True
            return
        choices, series = self._followed(), self.series
        if not choices:
            self.say("Choose variables, groups or roles to draw; Ctrl adds one.")
            return
        self._is_asking, self._is_stale = True, False

        def show(lines: list[list[float]]) -> None:
            self._is_asking = False
            self._show_lines(known, choices, lines)
            if self._is_stale:
                self._redraw()

        self._running.lines(known, series, choices, show)

    def _show_lines(
        self, known: Known, choices: Sequence[Followed], numbers: Sequence[Sequence[float]]
    ) -> None:
        if self.plot is None:
            self.plot = TimelinePlot(self._appearance)
            self.plot.pointed.connect(self._point)
            self._stack.addWidget(self.plot)
        self._entries = known.table.entries
        lines = [
            Line(choice.name, values, (choice.title or choice.name).replace("/", " / "))
            for choice, values in zip(choices, numbers, strict=True)
        ]
        theme = self._appearance.theme.name
        model = self._model()
        if model is not None:
            model.set_colours(
                {choice.name: line_colour(n, theme) for n, choice in enumerate(choices)}
            )
        self.plot.draw(self._entries, lines, unit=self.measure.choice, log_y=self.log_y.isChecked())
        self._stack.setCurrentWidget(self.plot)
        self._hidden.setText(self._hidden_text(lines))
        self.legend.setText(_legend_of(lines, theme))

    def _hidden_text(self, lines: Sequence[Line]) -> str:
        parts = []
        if len(self.chosen) > MOST_LINES:
            parts.append(f"The first {MOST_LINES} of {len(self.chosen)} are drawn.")
        below = sum(value <= 0 for line in lines for value in line.values if not math.isnan(value))
        if self.log_y.isChecked() and below:
            parts.append("What is not above 0 has no place on a log scale.")
        return "  ".join(parts)

    def _fit(self) -> None:
        if self.plot is not None:
            self.plot.fit()

    def _point(self, column: int) -> None:
        if column < len(self._entries):
            self.pointed.emit(self._entries[column].name)

    # Saving.

    def csv(self) -> bytes:
        """What is drawn, as comma-separated values: step, checkpoint, then a column a line."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        lines = self.plot.lines if self.plot is not None else ()
        writer.writerow(("step", "checkpoint", *(line.name for line in lines)))
        for column, entry in enumerate(self._entries):
            values = [line.values[column] for line in lines]
            cells = [repr(value) if math.isfinite(value) else "" for value in values]
            step = "" if entry.step is None else entry.step
            writer.writerow((step, entry.name, *cells))
        return text.getvalue().encode("utf-8", "surrogateescape")

    def png(self) -> bytes:
        """What is drawn, as a picture."""
        from ckptviewer.ui.panels.plot_saving import png_of

        assert self.plot is not None
        return png_of(self.plot.view, QColor(self._appearance.theme.base))

    def save(self, kind: str) -> None:
        """Ask where to, and save the plot as "png" or its numbers as "csv"."""
        if self.plot is None:
            return
        path, _ = QFileDialog.getSaveFileName(
            self, "Save the timeline", f"timeline-{self.series}.{kind}"
        )
        if path:
            self.save_as(path, kind)

    def save_as(self, path: str, kind: str) -> None:
        """Save the plot as "png" or its numbers as "csv" under a path."""
        from ckptviewer.ui.panels.plot_saving import write_file

        try:
            write_file(path, self.png() if kind == "png" else self.csv())
        except CkptviewerError as error:
            self.told.emit(str(error))
        else:
            self.told.emit(f"Saved to {path}")

    # How it is made.

    def _lay_out(self) -> None:
        kinds = (("PNG, pixels\u2026", "png"), ("CSV, numbers\u2026", "csv"))
        choices = [(text, partial(self.save, kind)) for text, kind in kinds]
        save = menu_button("Save as", "Save the plot as a picture, or its numbers", choices)
        fit = flat_button("Fit", "Show all steps (a double click does, too); the wheel zooms")
        fit.clicked.connect(self._fit)
        self._hidden = QLabel()
        self._hidden.setObjectName("muted")
        row = QHBoxLayout()
        row.setContentsMargins(8, 5, 8, 5)
        row.addWidget(self.measure)
        row.addWidget(self.log_y)
        row.addSpacing(8)
        row.addWidget(self._hidden, 1)
        row.addWidget(fit)
        row.addWidget(save)
        holder, pages = QWidget(), QWidget()
        self._stack = QStackedLayout(pages)
        self._stack.addWidget(self.note)
        drawn = QVBoxLayout(holder)
        drawn.setContentsMargins(0, 0, 0, 0)
        drawn.setSpacing(0)
        drawn.addWidget(self.legend)
        drawn.addWidget(pages, 1)
        splitter = parted(
            Qt.Orientation.Horizontal,
            (self.list, 0, 230),
            (holder, 1, 580),
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(row)
        column.addWidget(splitter, 1)


def _at_first(known: Known) -> list[str]:
    """What is drawn before anybody has chosen: the model's roles, else all there are."""
    roles = [choice for choice in known.choices if choice.role is not None]
    of_model = [choice.name for choice in roles if choice.role in MODEL_ROLES]
    return of_model or [choice.name for choice in roles[:1]]


def _legend_of(lines: Sequence[Line], theme: str) -> str:
    """The names of the first lines with their colours, as rich text."""
    parts = [
        f'<span style="color:{line_colour(number, theme).name()}">\u25a0</span>&nbsp;'
        + escape(elide_middle(line.title, 40)).replace(" ", "&nbsp;")
        for number, line in enumerate(lines[:_NAMED_LINES])
    ]
    if len(lines) > _NAMED_LINES:
        parts.append(f"and {len(lines) - _NAMED_LINES} more")
    return " &nbsp; ".join(parts)
