"""The values of a variable: any 2-D slice of it as a table, and ways to its landmarks."""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.analysis.landmarks import Landmark, find
from ckptviewer.analysis.slicing import Plane, index_text, parse_index, plane_of
from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.errors import ChangedFileError
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.text import count_text, elide_middle
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Job, Jobs, Report, failure_text
from ckptviewer.ui.models.values_model import PAGE, ValuesModel, exact_text
from ckptviewer.ui.panels.buttons import flat_button, menu_button
from ckptviewer.ui.panels.slice_picker import SlicePicker
from ckptviewer.ui.panels.values_table import ValuesTable
from ckptviewer.ui.panels.widgets import ElidedLabel, MessagePage
from ckptviewer.ui.session import Session

MOST_COPIED = 1_000_000
_NONE_OF_IT = {
    Landmark.LARGEST: "No element is a finite number.",
    Landmark.SMALLEST: "No element is a finite number.",
    Landmark.NAN: "There is no NaN in it.",
    Landmark.INFINITE: "There is no Inf in it.",
}
_JUMPS = {
    Landmark.LARGEST: "Largest value",
    Landmark.SMALLEST: "Smallest value",
    Landmark.NAN: "First NaN",
    Landmark.INFINITE: "First Inf",
}


class ValuesPanel(QWidget):
    """Shows the values of one variable. copied: what was put on the clipboard, in words.

    file_changed: reading told that the file is another one now. plane_shown: another plane, and
    the cell of it that is in sight.
    """

    copied = Signal(str)
    file_changed = Signal()
    plane_shown = Signal(object, object)

    def __init__(self, jobs: Jobs, appearance: Appearance) -> None:
        super().__init__()
        self._jobs = jobs
        self._session: Session | None = None
        self._variable: Variable | None = None
        self._job: Job[Any] | None = None
        self.model = ValuesModel(jobs, appearance)
        self.table = ValuesTable(self.model, appearance)
        self.picker = SlicePicker()
        self.go_to = QLineEdit()
        self.go_to.setAccessibleName("Go to index")
        self.go_to.setToolTip("An index for each axis, then Enter (Ctrl+G)")
        self.go_to.setClearButtonEnabled(True)
        self.go_to.setAcceptDrops(False)  # a file that is dropped here is to be opened
        self.go_to.returnPressed.connect(self._go_to_text)
        self._jump = menu_button(
            "Jump to",
            "Look through the whole tensor for a value, and go there",
            [(text, partial(self.jump_to, landmark)) for landmark, text in _JUMPS.items()],
        )
        self._controls = QWidget()
        self._pager = QWidget()
        self._page_text = QLabel()
        self._page_text.setObjectName("muted")
        self.note = ElidedLabel()
        self.note.setObjectName("muted")
        self._message = MessagePage()
        self._lay_out()
        self.picker.plane_chosen.connect(self._show_plane)
        self.table.copy_wanted.connect(self.copy)
        self.table.go_wanted.connect(self.ask_index)
        self.table.selectionModel().currentChanged.connect(self._tell_current)
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._tell_current())
        self.model.loaded.connect(self._tell_current)
        self.model.failed.connect(self._show_failure)

    def show_variable(self, session: Session, variable: Variable) -> None:
        """Show the values of a variable; they are read as they come into sight."""
        if variable is self._variable and session is self._session:
            return
        self.clear()
        self._session, self._variable = session, variable
        kind = kind_of(variable.dtype)
        if kind is Kind.OPAQUE:
            self._show_message(
                f"Values of dtype {variable.dtype} are opaque: they can be copied, not shown."
            )
            return
        if not variable.element_count:
            self._show_message("The tensor is empty: one of its axes has size 0.")
            return
        plane = plane_of(variable.shape)
        self._jump.setVisible(kind is not Kind.STRING)
        self.go_to.setVisible(bool(variable.shape))
        self.go_to.clear()
        self.go_to.setPlaceholderText(f"Go to index, e.g. {', '.join('0' * len(variable.shape))}")
        self._stack.setCurrentIndex(1)
        self._show_plane(plane)
        self.table.fit_columns(kind, plane.rows)
        self.table.select_cell(0, 0)

    def clear(self) -> None:
        """Show nothing, and want nothing any more."""
        self._stop()
        self._session = self._variable = None
        self.model.clear()
        self._show_message("")

    def follow(self, plane: Plane, cell: tuple[int, int]) -> None:
        """Show the same plane of a tensor of the same shape, as another panel does."""
        if plane != self.model.plane or self.model.cell(self.table.currentIndex()) != cell:
            self._show_plane(plane, cell)

    def show_controls(self, shown: bool) -> None:
        """Whether the slice is chosen here; else it follows that of another panel."""
        self.picker.setVisible(shown)
        self._controls.setVisible(shown)

    def ask_index(self) -> None:
        """Let an index be typed."""
        self.go_to.setFocus()
        self.go_to.selectAll()

    def go_to_index(self, index: tuple[int, ...]) -> None:
        """Show the plane through an index of the tensor, with it in sight and selected."""
        plane, session, variable = self.model.plane, self._session, self._variable
        if plane is None or session is None or variable is None:
            return
        plane = plane.through(index)
        cell = plane.cell_of(index)
        self._show_plane(plane, cell)
        self.table.select_cell(cell[0] - self.model.first_row, cell[1] - self.model.first_column)

    def jump_to(self, landmark: Landmark) -> None:
        """Look for a value in the whole tensor, and go there."""
        session, variable = self._session, self._variable
        if session is None or variable is None:
            return

        def look(cancel: CancelToken, report: Report) -> tuple[int, ...] | None:
            return find(session.checkpoint, variable, landmark, cancel=cancel, progress=report)

        job = self._start(f"Looking for {landmark}", look)
        self.note.show_text("Looking\u2026")
        job.succeeded.connect(lambda index: self._arrive(landmark, index))
        job.cancelled.connect(self._tell_current)

    def copy(self) -> None:
        """Put the selected cells on the clipboard as tab-separated values, to the last digit."""
        session, variable, plane = self._session, self._variable, self.model.plane
        ranges = self.table.selectionModel().selection()
        if session is None or variable is None or plane is None or not ranges.count():
            return
        chosen = ranges.first()
        count = chosen.width() * chosen.height()
        if count > MOST_COPIED:
            self.note.show_text(
                f"{count_text(count)} values are too many to copy at once:"
                f" up to {count_text(MOST_COPIED)} go."
            )
            return
        top, left = self.model.cell(chosen.topLeft())
        region = plane.region((top, top + chosen.height()), (left, left + chosen.width()))

        def read(cancel: CancelToken, _report: Report) -> str:
            values = plane.arrange(session.checkpoint.read(variable, region))
            lines = []
            for row in values:
                cancel.raise_if_cancelled()
                lines.append("\t".join(exact_text(value) for value in row))
            return "\n".join(lines) + "\n"

        job = self._start("Copying", read)
        job.succeeded.connect(lambda text: self._put_on_clipboard(text, count))

    # How it goes on.

    def _show_plane(self, plane: Plane, cell: tuple[int, int] = (0, 0)) -> None:
        session, variable = self._session, self._variable
        if session is None or variable is None:
            return
        before = self.model.plane
        current = self.model.cell(self.table.currentIndex())
        self.picker.show_plane(plane)
        self.model.show_plane(session.checkpoint, variable, plane, cell)
        self._show_page()
        self.table.fit_columns(kind_of(variable.dtype), plane.rows)
        if before is not None and before.fixed_axes == plane.fixed_axes and min(current) >= 0:
            row, column = current[0] - self.model.first_row, current[1] - self.model.first_column
            if row in range(self.model.rowCount()) and column in range(self.model.columnCount()):
                self.table.select_cell(row, column)
        self._tell_current()
        self.plane_shown.emit(plane, cell)

    def _show_page(self) -> None:
        plane = self.model.plane
        if plane is None:
            return
        parts = []
        for name, first, shown, whole in (
            ("Rows", self.model.first_row, self.model.rowCount(), plane.rows),
            ("Columns", self.model.first_column, self.model.columnCount(), plane.columns),
        ):
            if shown < whole:
                last = count_text(first + shown - 1)
                parts.append(f"{name} {count_text(first)} to {last} of {count_text(whole)}")
        self._page_text.setText("; ".join(parts))
        self._pager.setVisible(bool(parts))

    def _turn_page(self, step: int) -> None:
        """The page of rows before or behind this one; of columns, where all rows are here."""
        plane, session, variable = self.model.plane, self._session, self._variable
        if plane is None or session is None or variable is None:
            return
        row, column = self.model.first_row, self.model.first_column
        if plane.rows > PAGE:
            row += step * PAGE
        else:
            column += step * PAGE
        if row in range(plane.rows) and column in range(plane.columns):
            self.model.show_plane(session.checkpoint, variable, plane, (row, column))
            self._show_page()
            self.table.fit_columns(kind_of(variable.dtype), plane.rows)
            self.table.select_cell(0, 0)

    def _go_to_text(self) -> None:
        if self._variable is None:
            return
        try:
            index = parse_index(self.go_to.text(), self._variable.shape)
        except ValueError as error:
            self.note.show_text(f"{error}.")
            return
        self.go_to_index(index)
        self.table.setFocus()

    def _arrive(self, landmark: Landmark, index: tuple[int, ...] | None) -> None:
        if index is None:
            self.note.show_text(_NONE_OF_IT[landmark])
        else:
            self.go_to_index(index)
            self.table.setFocus()

    def _put_on_clipboard(self, text: str, count: int) -> None:
        QGuiApplication.clipboard().setText(text)
        words = f"Copied {count_text(count)} value{'' if count == 1 else 's'}"
        self.note.show_text(f"{words}.")
        self.copied.emit(words)

    def _tell_current(self, *_: object) -> None:
        index, plane = self.table.currentIndex(), self.model.plane
        if plane is None or not index.isValid():
            self.note.show_text("")
            return
        cell = self.model.cell(index)
        value = self.model.value(*cell)
        text = index_text(plane.index_at(*cell))
        if value is not None:
            text += f" = {elide_middle(exact_text(value), 1000)}"
        chosen = self.table.selectionModel().selection()
        if chosen.count() and chosen.first().width() * chosen.first().height() > 1:
            box = chosen.first()
            text += f"    {count_text(box.height())} \u00d7 {count_text(box.width())} selected"
        self.note.show_text(text)

    def _start(self, label: str, work: Any) -> Job[Any]:
        self._stop()
        job = self._jobs.start(label, work)
        self._job = job
        job.failed.connect(self._show_failure)
        return job

    def _stop(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.cancel()

    def _show_failure(self, error: BaseException) -> None:
        self._show_message(failure_text(error))
        if isinstance(error, ChangedFileError):
            self.file_changed.emit()

    def _show_message(self, text: str) -> None:
        self._message.say(text)
        self._stack.setCurrentIndex(0)

    def _lay_out(self) -> None:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(20, 10, 20, 10)
        column.setSpacing(8)
        column.addWidget(self.picker)
        row = QHBoxLayout(self._controls)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.go_to, 1)
        row.addWidget(self._jump)
        column.addWidget(self._controls)
        pages = QHBoxLayout(self._pager)
        pages.setContentsMargins(0, 0, 0, 0)
        back = flat_button("\u2039", "The page before")
        back.clicked.connect(partial(self._turn_page, -1))
        onward = flat_button("\u203a", "The next page")
        onward.clicked.connect(partial(self._turn_page, 1))
        for widget in (back, self._page_text, onward):
            pages.addWidget(widget)
        pages.addStretch(1)
        column.addWidget(self._pager)
        column.addWidget(self.table, 1)
        column.addWidget(self.note)
        self._stack = QStackedLayout(self)
        self._stack.setContentsMargins(0, 0, 0, 0)
        self._stack.addWidget(self._message)
        self._stack.addWidget(page)
