"""The cells of a plane of a tensor, as a Qt table: read in blocks as they come into sight."""

from __future__ import annotations

from collections import OrderedDict
from math import isfinite
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QColor

from ckptviewer.analysis.slicing import Plane, index_text
from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.text import count_text, elide_middle, number_text, printable
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Job, Jobs, Report
from ckptviewer.ui.plain_text import as_plain

if TYPE_CHECKING:
    import numpy as np

BLOCK_ROWS, BLOCK_COLUMNS = 64, 32
MOST_BLOCKS = 512
MOST_WANTED = 24
"""Blocks that came into sight before these are out of sight again, and are not read."""

PAGE = 5_000_000
"""Rows, and columns, that are in the table at once; more would overflow Qt's coordinates."""

WAITING = "\u00b7\u00b7\u00b7"
MOST_STRING = 200

AnyIndex = QModelIndex | QPersistentModelIndex
Block = tuple[int, int]


class ValuesModel(QAbstractTableModel):
    """A plane of a variable. failed: a block could not be read; why. loaded: some blocks have been.

    Blocks are read in a job, those that were asked for last first, and kept while they are few. A
    plane of very many rows or columns is shown a page at a time: `first_row`, `first_column`.
    """

    failed = Signal(object)
    loaded = Signal()

    def __init__(self, jobs: Jobs, appearance: Appearance) -> None:
        super().__init__()
        self._jobs = jobs
        self._appearance = appearance
        self._checkpoint: Checkpoint | None = None
        self._variable: Variable | None = None
        self._kind = Kind.OPAQUE
        self.plane: Plane | None = None
        self.first_row = 0
        self.first_column = 0
        self._blocks: OrderedDict[Block, np.ndarray] = OrderedDict()
        self._wanted: OrderedDict[Block, None] = OrderedDict()
        self._job: Job[dict[Block, np.ndarray]] | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._load)
        self._take_colours()
        appearance.changed.connect(self._take_colours)

    def show_plane(
        self,
        checkpoint: Checkpoint,
        variable: Variable,
        plane: Plane,
        cell: tuple[int, int] = (0, 0),
    ) -> None:
        """Show another plane, on the page that has the cell."""
        first = (cell[0] // PAGE * PAGE, cell[1] // PAGE * PAGE)
        same_variable = variable is self._variable and checkpoint is self._checkpoint
        if same_variable and (plane, *first) == (self.plane, self.first_row, self.first_column):
            return
        self.beginResetModel()
        if not same_variable or plane != self.plane:
            self._forget()
        self._checkpoint, self._variable, self.plane = checkpoint, variable, plane
        self._kind = kind_of(variable.dtype)
        self.first_row, self.first_column = first
        self.endResetModel()

    def clear(self) -> None:
        """Show nothing; what is being read is not wanted any more."""
        self.beginResetModel()
        self._forget()
        self._checkpoint = self._variable = self.plane = None
        self.first_row = self.first_column = 0
        self.endResetModel()

    def value(self, row: int, column: int) -> Any:
        """The value of a cell of the plane; None while it is not there. Asks for nothing."""
        place = (row // BLOCK_ROWS, column // BLOCK_COLUMNS)
        block = self._blocks.get(place)
        if block is None:
            return None
        self._blocks.move_to_end(place)
        return block[row % BLOCK_ROWS, column % BLOCK_COLUMNS]

    def cell(self, index: AnyIndex) -> tuple[int, int]:
        """Row and column in the plane of an index of the model."""
        return index.row() + self.first_row, index.column() + self.first_column

    # What Qt asks.

    def rowCount(self, parent: AnyIndex = QModelIndex()) -> int:
        if self.plane is None or parent.isValid() or not self.plane.columns:
            return 0
        return max(0, min(PAGE, self.plane.rows - self.first_row))

    def columnCount(self, parent: AnyIndex = QModelIndex()) -> int:
        if self.plane is None or parent.isValid() or not self.plane.rows:
            return 0
        return max(0, min(PAGE, self.plane.columns - self.first_column))

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if role != Qt.ItemDataRole.DisplayRole or section < 0 or self.plane is None:
            return None
        down = orientation == Qt.Orientation.Vertical
        if (self.plane.row_axis if down else self.plane.column_axis) is None:
            return "" if down else "value"
        return str(section + (self.first_row if down else self.first_column))

    def data(self, index: AnyIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        # Asked some thousand times for one paint: what is common comes first.
        if role == _ALIGNMENT:
            return _LEFT if self._kind is Kind.STRING else _RIGHT
        if role not in _ROLES or self.plane is None or not index.isValid():
            return None
        row, column = index.row() + self.first_row, index.column() + self.first_column
        value = self.value(row, column)
        if role == _DISPLAY:
            if value is None:
                self._want((row // BLOCK_ROWS, column // BLOCK_COLUMNS))
                return WAITING
            return cell_text(value, self._kind)
        if role == _FOREGROUND:
            return self._colour(value)
        place = index_text(self.plane.index_at(row, column))
        exact = WAITING if value is None else elide_middle(exact_text(value), 1000)
        if role == Qt.ItemDataRole.ToolTipRole:
            return as_plain(f"{place} = {exact}")
        return f"{place} {exact}"

    def _colour(self, value: Any) -> QColor:
        """Quiet for zeros and what is not there yet, loud for what is no number."""
        text, muted, error = self._colours
        if value is None:
            return muted
        if self._kind is Kind.STRING:
            return text
        if not value:
            return muted
        if self._kind is Kind.FLOAT:
            return text if isfinite(value) else error
        if self._kind is Kind.COMPLEX:
            return text if isfinite(value.real) and isfinite(value.imag) else error
        return text

    def _take_colours(self) -> None:
        theme = self._appearance.theme
        self._colours = QColor(theme.text), QColor(theme.muted), QColor(theme.error)

    # Blocks.

    def _want(self, block: Block) -> None:
        self._wanted[block] = None
        self._wanted.move_to_end(block)
        while len(self._wanted) > MOST_WANTED:
            self._wanted.popitem(last=False)
        if self._job is None and not self._soon.isActive():
            self._soon.start()

    def _load(self) -> None:
        checkpoint, variable, plane = self._checkpoint, self._variable, self.plane
        wanted = [block for block in self._wanted if block not in self._blocks]
        self._wanted.clear()
        if checkpoint is None or variable is None or plane is None or not wanted:
            return

        def read(cancel: CancelToken, _report: Report) -> dict[Block, np.ndarray]:
            return read_blocks(checkpoint, variable, plane, wanted, cancel)

        job = self._jobs.start("Values", read)
        self._job = job
        job.succeeded.connect(lambda blocks: self._take(job, blocks))
        job.failed.connect(lambda error: self._fail(job, error))
        job.cancelled.connect(lambda: self._leave(job))

    def _take(self, job: object, blocks: dict[Block, np.ndarray]) -> None:
        if job is not self._job:
            return
        self._job = None
        self._blocks.update(blocks)
        while len(self._blocks) > MOST_BLOCKS:
            self._blocks.popitem(last=False)
        rows, columns = self.rowCount(), self.columnCount()
        for (down, across), values in blocks.items():
            top = down * BLOCK_ROWS - self.first_row
            left = across * BLOCK_COLUMNS - self.first_column
            bottom = min(top + values.shape[0], rows) - 1
            right = min(left + values.shape[1], columns) - 1
            if 0 <= bottom and 0 <= right and top < rows and left < columns:
                self.dataChanged.emit(
                    self.index(max(0, top), max(0, left)), self.index(bottom, right)
                )
        self.loaded.emit()
        if self._wanted:
            self._soon.start()

    def _fail(self, job: object, error: BaseException) -> None:
        if job is self._job:
            self._job = None
            self._wanted.clear()
            self.failed.emit(error)

    def _leave(self, job: object) -> None:
        if job is self._job:
            self._job = None

    def _forget(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.cancel()
        self._soon.stop()
        self._blocks.clear()
        self._wanted.clear()


_DISPLAY = int(Qt.ItemDataRole.DisplayRole)
_FOREGROUND = int(Qt.ItemDataRole.ForegroundRole)
_ALIGNMENT = int(Qt.ItemDataRole.TextAlignmentRole)
_ROLES = frozenset(
    (
        _DISPLAY,
        _FOREGROUND,
        int(Qt.ItemDataRole.ToolTipRole),
        int(Qt.ItemDataRole.AccessibleTextRole),
    )
)
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


def read_blocks(
    checkpoint: Checkpoint,
    variable: Variable,
    plane: Plane,
    blocks: list[Block],
    cancel: CancelToken,
) -> dict[Block, np.ndarray]:
    """The values of some blocks of a plane; neighbours in a row are read at once."""
    lines: OrderedDict[int, list[int]] = OrderedDict()
    for down, across in blocks:
        lines.setdefault(down, []).append(across)
    found: dict[Block, np.ndarray] = {}
    for down, acrosses in lines.items():
        cancel.raise_if_cancelled()
        top = down * BLOCK_ROWS
        rows = (top, min(top + BLOCK_ROWS, plane.rows))
        first, last = min(acrosses), max(acrosses)
        if last - first >= len(acrosses) + 2:  # far apart: each for itself
            runs = [(across, across) for across in acrosses]
        else:
            runs = [(first, last)]
        for low, high in runs:
            left = low * BLOCK_COLUMNS
            columns = (left, min((high + 1) * BLOCK_COLUMNS, plane.columns))
            values = plane.arrange(checkpoint.read(variable, plane.region(rows, columns)))
            for across in range(low, high + 1):
                at = (across - low) * BLOCK_COLUMNS
                found[down, across] = values[:, at : at + BLOCK_COLUMNS].copy()
    return found


def cell_text(value: Any, kind: Kind) -> str:
    """A value as the table shows it: numbers with six significant digits, text for what is none."""
    if kind is Kind.STRING:
        return elide_middle(string_text(value[: 4 * MOST_STRING]), MOST_STRING)
    if kind is Kind.BOOL:
        return "True" if value else "False"
    if kind is Kind.INTEGER:
        return count_text(int(value))
    if kind is Kind.COMPLEX:
        imaginary = number_text(float(value.imag), 4)
        sign = "" if imaginary[:1] in ("\u2212", "+") else "+"
        return f"{number_text(float(value.real), 4)}{sign}{imaginary}j"
    return number_text(float(value), 6)


def exact_text(value: Any) -> str:
    """A value to the last digit, as Python reads it; bytes as text."""
    if isinstance(value, bytes):
        return string_text(value)
    if isinstance(value, str):
        return printable(value)
    if hasattr(value, "dtype") and value.dtype.name in ("float32", "float64", "bool"):
        return str(value)
    if hasattr(value, "dtype") and value.dtype.kind in "c":
        return str(value).strip("()")
    number = value.item() if hasattr(value, "item") else value
    return str(number)


def string_text(value: bytes | str) -> str:
    """Bytes as text on one line; what is no UTF-8 shows as escapes."""
    text = value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")
    return printable(text)
