"""The fields of a validation's set-up, and how they lie."""

from __future__ import annotations

import os

from PySide6.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.buttons import flat_button
from ckptviewer.ui.panels.path_box import PathBox
from ckptviewer.ui.panels.setup_data import DataReading
from ckptviewer.ui.panels.setup_parts import (
    Choice,
    FieldNote,
    Fold,
    Inputs,
    Number,
    Section,
    browse_button,
)
from ckptviewer.ui.panels.tick_box import TickBox
from ckptviewer.ui.panels.widgets import scrolled
from ckptviewer.ui.validation_work import RANDOM

_NO_DATA = {RANDOM: "random input, for agreement alone", "": "none: restore and read back only"}
_NO_OTHER = {"": "none"}
_MOST = 2_000_000_000


class SetupFields(QWidget):
    """All fields, empty; asks for files, and leaves it to others what comes of what was chosen."""

    def __init__(
        self, checkpoint: str, appearance: Appearance, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._checkpoint = checkpoint
        self._several: tuple[str, ...] = ()
        self.model = PathBox("Model", "SavedModel, .keras, .h5, .meta, or file.py:function")
        self.model_note = FieldNote()
        self.inspect = flat_button("Look inside\u2026", "Load the model, and ask for its inputs")
        self.signature = Choice("Signature")
        self.custom_objects = QLineEdit()
        self.input_tensors, self.output_tensors = QLineEdit(), QLineEdit()
        self.safe_mode = TickBox("Safe mode: no code from the model\u2019s file", appearance)
        self.safe_mode.setChecked(True)
        self.data = PathBox("Validation data", "npz, npy, CSV, TFRecord, a folder", _NO_DATA)
        self.data_note = FieldNote()
        self.inputs = Inputs(self._take_inputs)
        self.reading = DataReading(self._take_inputs)
        self.batch_size = Number("Batch size", 1, 1_000_000, 32)
        self.limit = Number("Examples at most", 0, _MOST, 0, "all")
        self.scale, self.offset = QLineEdit(), QLineEdit()
        self.metrics, self.required = QLineEdit(), QLineEdit()
        self.loss, self.predictions = QLineEdit(), QLineEdit()
        self.against = PathBox("Second checkpoint (B)", "a checkpoint to agree with", _NO_OTHER)
        self.agreement, self.statistics = QLineEdit("0.99"), QLineEdit("1e-5")
        self.gains = TickBox("Measure what B gained in size and time", appearance)
        self.python = PathBox("Python", "the Python of your training environment")
        self.python_note = FieldNote()
        self.seconds = Number("Time limit in seconds", 0, 10_000_000, 0, "30 minutes")
        self.memory = Number("Memory limit in MB", 0, _MOST, 0, "90 % of all")
        self.run = QPushButton("Run validation")
        self.run.setObjectName("primary")
        self.run.setToolTip("Load the model, restore, read back, run the data (F5)")
        self._lay_out()

    def _take_inputs(self) -> None:
        """Another key was chosen for an input, or for the truth, or how the data is read."""

    def _show_against(self, path: str) -> None:
        """What belongs to a second checkpoint is shown where there is one."""
        self._thresholds.setVisible(bool(path))
        self.gains.setVisible(bool(path))

    # Asking for files.

    def _directory(self) -> str:
        return os.path.dirname(os.path.abspath(self._checkpoint))

    def _browse(self, box: PathBox, title: str, *, directory: bool = False) -> None:
        start = os.path.dirname(box.path) if os.path.isabs(box.path) else self._directory()
        if directory:
            path = QFileDialog.getExistingDirectory(self, title, start)
        else:
            path, _ = QFileDialog.getOpenFileName(self, title, start)
        if path:
            box.set_path(path)

    def _browse_data(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(
            self, "Validation data: one file, x and y as .npy, or several of a kind",
            self._directory(), "Data (*.npz *.npy *.csv *.tsv *.tfrecord* *.gz);;All files (*)",
        )  # fmt: skip
        if paths:
            self._several = tuple(paths) if len(paths) > 1 else ()
            self.data.set_path(os.pathsep.join(paths))

    # How it is made.

    def _lay_out(self) -> None:
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        page = QWidget()
        outer.addWidget(scrolled(page, "Set-up"), 1)
        column = QVBoxLayout(page)
        column.setContentsMargins(18, 14, 18, 14)
        column.setSpacing(16)
        for section in (
            self._model_section(),
            self._data_section(),
            self._metrics_section(),
            self._against_section(),
            self._python_section(),
        ):
            column.addWidget(section)
        column.addStretch(1)
        foot = QWidget()
        foot.setObjectName("bar")
        row = QHBoxLayout(foot)
        row.setContentsMargins(18, 10, 18, 10)
        row.addWidget(self.run, 1)
        outer.addWidget(foot)
        self._show_against("")

    def _model_section(self) -> Section:
        ask = "Choose the model"
        section = Section(
            "Model",
            browse_button(
                ask,
                (
                    ("A file: .keras, .h5, .meta, .pb", lambda: self._browse(self.model, ask)),
                    (
                        "A directory: SavedModel",
                        lambda: self._browse(self.model, ask, directory=True),
                    ),
                ),
            ),
        )
        self.custom_objects.setPlaceholderText("file.py with layers and functions")
        self.inspect.setEnabled(False)
        more = _grid(("Signature", self.signature), ("Custom objects", self.custom_objects))
        more.addWidget(self.safe_mode, 2, 0, 1, 2)
        for edit, name in ((self.input_tensors, "Inputs"), (self.output_tensors, "Outputs")):
            edit.setAccessibleName(f"{name} of the graph")
            edit.setPlaceholderText("as its signature says; x:0, y:0")
        self._tensors = _holder(
            _grid(("Input tensors", self.input_tensors), ("Output tensors", self.output_tensors))
        )
        self._tensors.hide()
        more.addWidget(self._tensors, 3, 0, 1, 2)
        self._model_more = Fold("More of the model", _holder(more))
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._model_more.button)
        row.addStretch(1)
        row.addWidget(self.inspect)
        section.add(self.model, self.model_note)
        section.column.addLayout(row)
        section.add(self._model_more)
        return section

    def _data_section(self) -> Section:
        folder = "Choose a folder with a folder of images for each class"
        section = Section(
            "Validation data",
            browse_button(
                "Choose the validation data",
                (
                    ("Files\u2026", self._browse_data),
                    (
                        "A folder of images\u2026",
                        lambda: self._browse(self.data, folder, directory=True),
                    ),
                ),
            ),
        )
        row = QHBoxLayout()
        row.setSpacing(8)
        for title, field in (("Batch", self.batch_size), ("Examples", self.limit)):
            row.addWidget(_muted(title))
            row.addWidget(field, 1)
        for edit, name, hint in (
            (self.scale, "Scale", "1"),
            (self.offset, "Offset", "0"),
        ):
            edit.setAccessibleName(name)
            edit.setPlaceholderText(hint)
        more = _grid(("Multiply inputs by", self.scale), ("then add", self.offset))
        section.add(self.data, self.data_note, self.inputs, self.reading)
        section.column.addLayout(row)
        section.add(Fold("Preprocessing", _holder(more)))
        return section

    def _metrics_section(self) -> Section:
        section = Section("Metrics")
        self.metrics.setPlaceholderText("as the output asks for: accuracy, loss\u2026")
        self.metrics.setToolTip("Names of keras.metrics: accuracy, top_5_accuracy, AUC, mse, loss")
        self.required.setPlaceholderText("nothing; for example accuracy>=0.95")
        self.metrics.setAccessibleName("Metrics")
        self.required.setAccessibleName("Required")
        section.add(_holder(_grid(("Measure", self.metrics), ("Require", self.required))))
        self.loss.setPlaceholderText("as the model was compiled with, or by the output")
        self.loss.setAccessibleName("Loss")
        self.predictions.setPlaceholderText("nowhere; for example predictions.npz")
        self.predictions.setAccessibleName("File for the predictions")
        more = _grid(("Loss", self.loss), ("Save predictions to", self.predictions))
        section.add(Fold("More of the metrics", _holder(more)))
        return section

    def _against_section(self) -> Section:
        ask = "Choose a second checkpoint (B)"
        section = Section(
            "Agree with (B)", browse_button(ask, ((ask, lambda: self._browse(self.against, ask)),))
        )
        self.agreement.setAccessibleName("Agreement above")
        self.statistics.setAccessibleName("Statistics within")
        self._thresholds = _holder(
            _grid(
                ("Agreement above", self.agreement),
                ("|\u0394 mean|, |\u0394 std| below", self.statistics),
            )
        )
        section.add(self.against, self._thresholds, self.gains)
        return section

    def _python_section(self) -> Section:
        ask = "Choose the Python of your training environment"
        section = Section(
            "Runs under", browse_button(ask, ((ask, lambda: self._browse(self.python, ask)),))
        )
        limits = _grid(("Time limit, seconds", self.seconds), ("Memory limit, MB", self.memory))
        section.add(self.python, self.python_note, Fold("Limits", _holder(limits)))
        return section


def _grid(*rows: tuple[str, QWidget]) -> QGridLayout:
    grid = QGridLayout()
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(10)
    grid.setVerticalSpacing(6)
    grid.setColumnStretch(1, 1)
    for at, (title, field) in enumerate(rows):
        grid.addWidget(_muted(title), at, 0)
        grid.addWidget(field, at, 1)
    return grid


def _muted(text: str) -> QLabel:
    label = QLabel(text)
    label.setObjectName("muted")
    return label


def _holder(grid: QGridLayout) -> QWidget:
    holder = QWidget()
    holder.setLayout(grid)
    return holder
