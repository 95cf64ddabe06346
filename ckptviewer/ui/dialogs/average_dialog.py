"""The mean of several checkpoints of a run, written as a new one with its proof."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.analysis.averaging import Averaging, weights_of
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.checkpoint.text import count_text, number_text, plural, size_text
from ckptviewer.runs.entry import CheckpointEntry, Run
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Job, Jobs, Report, error_text
from ckptviewer.ui.panels.tick_box import TickBox
from ckptviewer.ui.panels.tick_delegate import TickDelegate
from ckptviewer.ui.panels.widgets import wrapped_label

if TYPE_CHECKING:
    from ckptviewer.export.receipt import Receipt

_LAST_TICKED = 5
_ROW_HEIGHT = 24
_UNIFORM, _EXPONENTIAL = "All count the same", "Exponential: the last counts most"


class Averaged(NamedTuple):
    """What was written: the receipt, how many variables are means, and what could not be."""

    receipt: Receipt
    means: int
    notes: tuple[str, ...]


def write_average(
    paths: Sequence[str],
    weights: Sequence[float],
    destination: str,
    *,
    overwrite: bool,
    cancel: CancelToken,
    report: Report,
) -> Averaged:
    """Write the mean, read it back and compare it. Raises CkptviewerError."""
    from ckptviewer.analysis.averaging import AveragedCheckpoint
    from ckptviewer.export.choices import Choices
    from ckptviewer.export.execute import execute
    from ckptviewer.export.planning import make_plan
    from ckptviewer.export.writers import format_of_name

    with AveragedCheckpoint.open(paths, weights) as averaged:
        averaged.require_mean()
        plan = make_plan(averaged, Choices(format=format_of_name(destination)))
        receipt = execute(
            plan, averaged, destination, overwrite=overwrite, cancel=cancel, report=report
        )
        count = sum(map(averaged.is_averaged, averaged.variables))
        return Averaged(receipt, count, tuple(each.message for each in averaged.own_findings))


class AverageDialog(QDialog):
    """Asks which checkpoints, how, and where to. open_wanted: what was written is to be opened."""

    open_wanted = Signal(str)

    def __init__(
        self,
        run: Run,
        names: Collection[str],
        jobs: Jobs,
        appearance: Appearance,
        parent: QWidget,
    ) -> None:
        """names: of those that are ticked at first; the last few where it is one or none."""
        super().__init__(parent)
        self.setWindowTitle("Average checkpoints")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(680, 600)
        self._jobs = jobs
        self._job: Job[Averaged] | None = None
        self._entries = [entry for entry in run.checkpoints if entry.sound]
        if len(set(names) & {entry.name for entry in self._entries}) < 2:
            names = {entry.name for entry in self._entries[-_LAST_TICKED:]}
        self.listing = self._make_listing(names, appearance)
        self.how = QComboBox()
        self.how.addItems([_UNIFORM, _EXPONENTIAL])
        self.how.setAccessibleName("Kind of average")
        self.decay = QDoubleSpinBox()
        self.decay.setRange(0.01, 0.9999)
        self.decay.setDecimals(4)
        self.decay.lineEdit().setTextMargins(6, 0, 0, 0)
        self.decay.setSingleStep(0.05)
        self.decay.setValue(0.9)
        self.decay.setObjectName("number")
        self.decay.setPrefix("decay ")
        self.decay.setAccessibleName("Decay: what the one before counts")
        self.target = QLineEdit(os.path.join(os.path.abspath(run.path), "average", "model.ckpt"))
        self.target.setAccessibleName("Where to write it")
        self.overwrite = TickBox("Replace a checkpoint that is there", appearance)
        self.note = wrapped_label("", "muted")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.hide()
        self.start = QPushButton("Write the average")
        self.start.setObjectName("primary")
        self.open_button = QPushButton("Open it")
        self.open_button.hide()
        self.close_button = QPushButton("Close")
        self._lay_out()
        self.how.currentTextChanged.connect(lambda _text: self._show_weights())
        self.decay.valueChanged.connect(lambda _value: self._show_weights())
        self.listing.itemChanged.connect(self._note_tick)
        self.start.clicked.connect(self.write)
        self.open_button.clicked.connect(self._open)
        self.close_button.clicked.connect(self.reject)
        self._show_weights()

    def chosen(self) -> list[CheckpointEntry]:
        """Those that are ticked, by step."""
        items = (self.listing.topLevelItem(at) for at in range(len(self._entries)))
        return [
            entry
            for entry, item in zip(self._entries, items, strict=True)
            if item is not None and item.checkState(0) == Qt.CheckState.Checked
        ]

    def weights(self) -> tuple[float, ...]:
        """What each of them counts."""
        count = len(self.chosen())
        if not count:
            return ()
        if self.how.currentText() == _UNIFORM:
            return weights_of(count)
        return weights_of(count, Averaging.EXPONENTIAL, self.decay.value())

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        QTimer.singleShot(0, self, self._show_ticked)  # once the list has its height

    def _show_ticked(self) -> None:
        """Bring what is ticked into sight, the first of it in any case."""
        items = (self.listing.topLevelItem(at) for at in range(len(self._entries)))
        ticked = [each for each in items if each and each.checkState(0) == Qt.CheckState.Checked]
        for item in ticked[-1:] + ticked[:1]:
            self.listing.scrollToItem(item)

    def _note_tick(self, _item: QTreeWidgetItem, column: int) -> None:
        if not column:
            self._show_weights()

    def write(self) -> None:
        """Write it in the background."""
        paths = [entry.opens_by for entry in self.chosen()]
        weights, target = self.weights(), self.target.text().strip()
        overwrite = self.overwrite.isChecked()
        if not target:
            self._say("Say where to write it.")
            return

        def work(cancel: CancelToken, report: Report) -> Averaged:
            directory = os.path.dirname(os.path.abspath(target))
            is_new = not os.path.isdir(directory)
            try:
                os.makedirs(directory, exist_ok=True)
                return write_average(
                    paths, weights, target, overwrite=overwrite, cancel=cancel, report=report
                )
            except BaseException:
                if is_new:
                    with suppress(OSError):
                        os.rmdir(directory)
                raise

        job = self._jobs.start("Averaging", work)
        self._job = job
        self.bar.setRange(0, 0)
        self.bar.show()
        self.start.setEnabled(False)
        self.open_button.hide()
        self.close_button.setText("Cancel")
        self._say("Reading, writing, and reading back\u2026")
        job.progressed.connect(self._show_progress)
        job.succeeded.connect(self._finish)
        job.failed.connect(self._fail)
        job.cancelled.connect(lambda: self._end("Cancelled; nothing was written."))

    def reject(self) -> None:
        """Cancel what runs, or close."""
        if self._job is not None:
            self._job.cancel()
        else:
            super().reject()

    def _show_weights(self) -> None:
        self.decay.setEnabled(self.how.currentText() == _EXPONENTIAL)
        chosen = {entry.name for entry in self.chosen()}
        weights = iter(self.weights())
        self.listing.blockSignals(True)
        for at, entry in enumerate(self._entries):
            item = self.listing.topLevelItem(at)
            if item is not None:
                item.setText(3, number_text(next(weights), 4) if entry.name in chosen else "")
        self.listing.blockSignals(False)
        self.start.setEnabled(len(chosen) > 1 and self._job is None)
        self._say(
            f"{plural(len(chosen), 'checkpoint')} ticked. Weights and slots are averaged in"
            " float64; counters and all that has no mean are those of the last one."
            if len(chosen) > 1
            else "Tick two checkpoints or more."
        )

    def _show_progress(self, progress: Progress) -> None:
        if progress.total:
            self.bar.setRange(0, 1000)
            self.bar.setValue(int(progress.fraction * 1000))

    def _finish(self, averaged: Averaged) -> None:
        receipt = averaged.receipt
        self._written = receipt.destination
        self.open_button.show()
        rest = len(receipt.kept) - averaged.means
        text = (
            f"{plural(averaged.means, 'variable')} averaged, {count_text(rest)} as in the last one;"
            f" {size_text(receipt.bytes_after)} written, read back and verified."
        )
        self._end(" ".join((text, *averaged.notes)))

    _written = ""

    def _fail(self, error: BaseException) -> None:
        what, where, remedy = error_text(error)
        self._end(" ".join(filter(None, (f"{where}: {what}." if where else f"{what}.", remedy))))

    def _end(self, text: str) -> None:
        self._job = None
        self.bar.hide()
        self.start.setEnabled(len(self.chosen()) > 1)
        self.close_button.setText("Close")
        self._say(text)

    def _say(self, text: str) -> None:
        self.note.setText(text)
        self.note.setAccessibleName(text)

    def _open(self) -> None:
        self.accept()
        self.open_wanted.emit(self._written)

    def _choose_target(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self,
            "Where to write the average",
            self.target.text(),
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if path:
            self.target.setText(path)

    def _make_listing(self, names: Collection[str], appearance: Appearance) -> QTreeWidget:
        made = QTreeWidget()
        made.setAccessibleName("Checkpoints to average")
        made.setHeaderLabels(["", "Step", "Name", "Weight"])
        made.setRootIsDecorated(False)
        made.setItemDelegateForColumn(0, TickDelegate(appearance, made))
        made.setUniformRowHeights(True)
        made.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for entry in self._entries:
            step = "" if entry.step is None else count_text(entry.step)
            item = QTreeWidgetItem(["", step, entry.name, ""])
            item.setSizeHint(0, QSize(0, _ROW_HEIGHT))
            ticked = entry.name in names
            item.setCheckState(0, Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
            for column in (1, 3):
                item.setTextAlignment(column, right)
                item.setFont(column, appearance.text_font)
            made.addTopLevelItem(item)
        for column in (1, 3):
            made.headerItem().setTextAlignment(column, right)
        header = made.header()
        for column, width in ((0, 36), (1, 90), (3, 90)):
            header.resizeSection(column, width)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        header.setStretchLastSection(False)
        return made

    def _lay_out(self) -> None:
        kind = QHBoxLayout()
        kind.addWidget(self.how)
        kind.addWidget(self.decay)
        kind.addStretch(1)
        browse = QPushButton("Browse\u2026")
        browse.setAutoDefault(False)
        browse.clicked.connect(self._choose_target)
        where = QHBoxLayout()
        where.addWidget(QLabel("Write to"))
        where.addWidget(self.target, 1)
        where.addWidget(browse)
        buttons = QHBoxLayout()
        buttons.addWidget(self.overwrite)
        buttons.addStretch(1)
        for button in (self.open_button, self.start, self.close_button):
            buttons.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(10)
        column.addLayout(kind)
        column.addWidget(self.listing, 1)
        column.addLayout(where)
        column.addWidget(
            wrapped_label(
                "A name that ends in .weights.h5, .safetensors or .npz is a file of that format;"
                " any other is the prefix of a TensorFlow checkpoint.",
                "muted",
            )
        )
        column.addWidget(self.note)
        column.addWidget(self.bar)
        column.addLayout(buttons)
