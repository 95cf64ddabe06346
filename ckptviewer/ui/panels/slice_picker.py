"""The slice picker: which axes run down and across, and where the others stand."""

from __future__ import annotations

from collections.abc import Container
from functools import partial

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QSpinBox, QVBoxLayout, QWidget

from ckptviewer.analysis.slicing import Plane, plane_of
from ckptviewer.checkpoint.text import count_text
from ckptviewer.ui.panels.buttons import ChoiceButton
from ckptviewer.ui.panels.widgets import clear_layout

_A_LINE = 3


class SlicePicker(QWidget):
    """Shows a plane and lets it be changed. plane_chosen: another plane of the same tensor was.

    rows, columns: which axis runs; None where there is no choice. places: a spin box for each axis
    that stands, if it has more than one index.
    """

    plane_chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.plane: Plane | None = None
        self.rows: ChoiceButton | None = None
        self.columns: ChoiceButton | None = None
        self.places: dict[int, QSpinBox] = {}
        self._axes = QHBoxLayout()
        self._axes.setSpacing(6)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(14)
        self._grid.setVerticalSpacing(6)
        self._grid.setColumnStretch(_A_LINE, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(self._axes)
        column.addLayout(self._grid)

    def show_plane(self, plane: Plane) -> None:
        """Show a plane; tells nobody."""
        before, self.plane = self.plane, plane
        running = (plane.shape, plane.row_axis, plane.column_axis)
        if before is None or running != (before.shape, before.row_axis, before.column_axis):
            self._make_axes(plane)
            self._make_places(plane)
        for axis, spin in self.places.items():
            with QSignalBlocker(spin):
                spin.setValue(plane.at[axis])
        self.limit_to(range(len(plane.shape)), axes=True)

    def limit_to(self, places: Container[int], *, axes: bool = False) -> None:
        """Offer only the places of these axes; axes: and which of them run."""
        for button in (self.rows, self.columns):
            if button is not None:
                button.setVisible(axes)
        for axis, spin in self.places.items():
            spin.setVisible(axis in places)
        offered = axes and self.rows is not None
        self.setVisible(offered or any(axis in places for axis in self.places))

    def _make_axes(self, plane: Plane) -> None:
        clear_layout(self._axes)
        self.rows = self.columns = None
        if plane.row_axis is None or plane.column_axis is None:
            return
        names = [f"axis {axis} ({count_text(size)})" for axis, size in enumerate(plane.shape)]
        self.rows = ChoiceButton("Rows", names, names[plane.row_axis])
        self.rows.setToolTip("The axis that runs down")
        self.columns = ChoiceButton("Columns", names, names[plane.column_axis])
        self.columns.setToolTip("The axis that runs across")
        self.rows.chosen.connect(lambda name: self._choose_rows(names.index(name)))
        self.columns.chosen.connect(lambda name: self._choose_columns(names.index(name)))
        self._axes.addWidget(self.rows)
        self._axes.addWidget(self.columns)
        self._axes.addStretch(1)

    def _make_places(self, plane: Plane) -> None:
        clear_layout(self._grid)
        self.places = {}
        for number, axis in enumerate(a for a in plane.fixed_axes if plane.shape[a] > 1):
            spin = QSpinBox()
            spin.setRange(0, min(plane.shape[axis] - 1, 2**31 - 1))
            spin.setKeyboardTracking(False)
            spin.lineEdit().setAcceptDrops(False)
            spin.setPrefix(f"axis {axis}: ")
            spin.setSuffix(f" of {count_text(plane.shape[axis])}")
            spin.setAccessibleName(f"Index along axis {axis}")
            spin.setToolTip(f"Index along axis {axis}, 0 to {count_text(plane.shape[axis] - 1)}")
            spin.valueChanged.connect(partial(self._move, axis))
            self._grid.addWidget(spin, number // _A_LINE, number % _A_LINE)
            self.places[axis] = spin

    def _move(self, axis: int, place: int) -> None:
        plane = self.plane
        if plane is not None:
            at = [place if a == axis else old for a, old in enumerate(plane.at)]
            self._choose(plane_of(plane.shape, plane.row_axis, plane.column_axis, at))

    def _choose_rows(self, axis: int) -> None:
        plane = self.plane
        if plane is not None:  # the other one takes what this one had
            columns = plane.row_axis if axis == plane.column_axis else plane.column_axis
            self._choose(plane_of(plane.shape, axis, columns, plane.at))

    def _choose_columns(self, axis: int) -> None:
        plane = self.plane
        if plane is not None:
            rows = plane.column_axis if axis == plane.row_axis else plane.row_axis
            self._choose(plane_of(plane.shape, rows, axis, plane.at))

    def _choose(self, plane: Plane) -> None:
        if plane != self.plane:
            self.show_plane(plane)
            self.plane_chosen.emit(plane)
