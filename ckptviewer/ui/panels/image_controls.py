"""What is chosen of a picture: which layout of which slice, and how numbers become colours."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QHBoxLayout, QSpinBox, QVBoxLayout, QWidget

from ckptviewer.analysis.pictures import Reduction
from ckptviewer.analysis.slicing import Plane, plane_of
from ckptviewer.analysis.tiles import Mosaic, folded, kernels
from ckptviewer.ui.panels.buttons import ChoiceButton, flat_button
from ckptviewer.ui.panels.slice_picker import SlicePicker

PLANE, KERNELS, ROWS, COLUMNS = "plane", "kernels", "rows as tiles", "columns as tiles"
RANGES = {"max |x|": 1.0, "99.9 %": 0.999, "99 %": 0.99}


class ImageControls(QWidget):
    """The choices above a picture.

    read_wanted: another part, or layout, of the tensor was chosen. colours_wanted: other colours.
    """

    read_wanted = Signal()
    colours_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.plane: Plane | None = None
        self.layout_choice = ChoiceButton("Show", [PLANE], PLANE)
        self.tile_width = QSpinBox()
        self.tile_width.setRange(1, 2048)
        self.tile_width.setKeyboardTracking(False)
        self.tile_width.lineEdit().setAcceptDrops(False)
        self.tile_width.setPrefix("width ")
        self.tile_width.setAccessibleName("Width of a tile")
        self.tile_width.setToolTip("It is folded into lines of so many elements")
        self.range = ChoiceButton("Range", list(RANGES), "max |x|")
        self.range.setToolTip("Which magnitude has the strongest colour")
        self.reduction = ChoiceButton("Pixel", ["largest |x|", "mean"], "largest |x|")
        self.reduction.setToolTip("What a pixel shows of the elements that it stands for")
        self.fit = flat_button("Fit", "Show the whole picture (Home)")
        self.picker = SlicePicker()
        self._row = QHBoxLayout()
        for widget in (self.layout_choice, self.tile_width, self.range, self.reduction):
            self._row.addWidget(widget)
        self._row.addStretch(1)
        self._row.addWidget(self.fit)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(self._row)
        column.addWidget(self.picker)
        self.tile_width.valueChanged.connect(lambda _width: self.read_wanted.emit())
        self.range.chosen.connect(lambda _choice: self.colours_wanted.emit())
        self.reduction.chosen.connect(lambda _choice: self.read_wanted.emit())
        self.picker.plane_chosen.connect(self._choose_plane)

    @property
    def share(self) -> float:
        """The share of the magnitudes that the colours tell apart."""
        return RANGES[self.range.choice]

    @property
    def chosen_reduction(self) -> Reduction:
        """How several elements become one pixel."""
        return "mean" if self.reduction.choice == "mean" else "largest |x|"

    def offer(self, shape: Sequence[int]) -> None:
        """Offer what can be shown of a tensor; its kernels first, if it has any."""
        plane = plane_of(shape)
        layouts = [COLUMNS]
        if plane.column_axis is not None:
            layouts = [PLANE, ROWS, COLUMNS]
        if kernels(shape, plane.at) is not None:
            layouts.insert(0, KERNELS)
        before, self.layout_choice = self.layout_choice, ChoiceButton("Show", layouts, layouts[0])
        self.layout_choice.setToolTip("A 2-D slice of the tensor, or many small pictures")
        self.layout_choice.chosen.connect(self._choose_layout)
        self.layout_choice.setVisible(len(layouts) > 1)
        self._row.replaceWidget(before, self.layout_choice)
        before.hide()
        before.deleteLater()
        self.plane = plane
        self._take_layout()

    def mosaic(self, width: int | None = None) -> Mosaic | None:
        """The tiles that are chosen; None where a plane is. width: of a tile, 0: square."""
        plane, layout = self.plane, self.layout_choice.choice
        if plane is None or layout == PLANE:
            return None
        if layout == KERNELS:
            return kernels(plane.shape, plane.at)
        width = self.tile_width.value() if width is None else width
        return folded(plane, columns=layout == COLUMNS, width=width)

    def _choose_layout(self, _layout: str) -> None:
        self._take_layout()
        self.read_wanted.emit()

    def _choose_plane(self, plane: Plane) -> None:
        self.plane = plane
        self._take_layout()
        self.read_wanted.emit()

    def _take_layout(self) -> None:
        """Show what there is to choose in the layout."""
        plane, layout = self.plane, self.layout_choice.choice
        assert plane is not None
        axes = len(plane.shape)
        if layout == KERNELS:
            plane = plane_of(plane.shape, axes - 2, axes - 1, plane.at)
            self.plane = plane
        self.picker.show_plane(plane)
        if layout == KERNELS:
            self.picker.limit_to(range(axes - 4))
        self.tile_width.setVisible(layout in (ROWS, COLUMNS))
        mosaic = self.mosaic(width=0)
        if mosaic is not None:
            with QSignalBlocker(self.tile_width):
                self.tile_width.setValue(mosaic.width)
