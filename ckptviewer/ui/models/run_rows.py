"""The checkpoints of a run as a Qt model, and what of its variables can be drawn as another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any

from PySide6.QtCore import QAbstractListModel, QAbstractTableModel, QModelIndex, Qt
from PySide6.QtGui import QColor, QFont

from ckptviewer.checkpoint.text import count_text, exact_size_text, plural, shape_text, size_text
from ckptviewer.runs.entry import CheckpointEntry, Condition, StepSource
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.models.variable_rows import Index
from ckptviewer.ui.open_run import Followed, Known
from ckptviewer.ui.plain_text import as_plain


class RunColumn(IntEnum):
    """The columns of the table of checkpoints."""

    STEP = 0
    NAME = 1
    SAVED = 2
    SIZE = 3
    METRIC = 4
    STATE = 5


TITLES = ("Step", "Name", "Saved", "Size", "Metric", "State")
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_RIGHT_COLUMNS = frozenset((RunColumn.STEP, RunColumn.SIZE))
_STATES = {Condition.DAMAGED: "\u2715 damaged", Condition.INCOMPLETE: "\u25b2 half-written"}
_INDENT = "   "


def state_text(entry: CheckpointEntry) -> str:
    """What is to be known of a checkpoint, with a mark: damaged, half-written, latest."""
    words = [_STATES[entry.condition]] if not entry.sound else []
    words += ["\u2713 latest"] if entry.named_latest else []
    return "  ".join(words)


def metric_text(entry: CheckpointEntry) -> str:
    """The numbers in a checkpoint's name that are not its step."""
    return "  ".join(
        f"{value:g}" if len(entry.metrics) == 1 else f"{label} {value:g}"
        for label, value in entry.metrics.items()
    )


def time_text(seconds: float, form: str = "%b %d %H:%M") -> str:
    """A time on this machine's clock; a year is named where it is not this one."""
    try:
        when = datetime.fromtimestamp(seconds)
    except (OverflowError, OSError, ValueError):
        return "?"
    if form == "%b %d %H:%M" and when.year != datetime.now().year:
        form = "%Y %b %d"
    return when.strftime(form)


class RunRowsModel(QAbstractTableModel):
    """The checkpoints by step; rows come and go one by one, so that what is selected stays so."""

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self.entries: list[CheckpointEntry] = []

    def show_entries(self, entries: Sequence[CheckpointEntry]) -> None:
        """Show these from now on."""
        wanted = {entry.name for entry in entries}
        for row in range(len(self.entries) - 1, -1, -1):
            if self.entries[row].name not in wanted:
                self.beginRemoveRows(QModelIndex(), row, row)
                del self.entries[row]
                self.endRemoveRows()
        present = {entry.name for entry in self.entries}
        if [entry.name for entry in self.entries] != [e.name for e in entries if e.name in present]:
            self.beginResetModel()
            self.entries = list(entries)
            self.endResetModel()
            return
        for row, entry in enumerate(entries):
            if entry.name not in present:
                self.beginInsertRows(QModelIndex(), row, row)
                self.entries.insert(row, entry)
                self.endInsertRows()
            elif self.entries[row] != entry:
                self.entries[row] = entry
                last = self.index(row, RunColumn.STATE)
                self.dataChanged.emit(self.index(row, RunColumn.STEP), last)

    def row_of(self, name: str) -> int | None:
        """Where the checkpoint of that name stands."""
        return next((row for row, each in enumerate(self.entries) if each.name == name), None)

    def text(self, entry: CheckpointEntry, column: RunColumn) -> str:
        """What stands in a cell."""
        if column is RunColumn.STEP:
            return "" if entry.step is None else count_text(entry.step)
        if column is RunColumn.NAME:
            return entry.name
        if column is RunColumn.SAVED:
            return time_text(entry.saved_at)
        if column is RunColumn.SIZE:
            return size_text(entry.size_bytes)
        return metric_text(entry) if column is RunColumn.METRIC else state_text(entry)

    # Qt's questions.

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.entries)

    def columnCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(RunColumn)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(RunColumn):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return TITLES[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if section in _RIGHT_COLUMNS else _LEFT
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self.entries):
            return None
        entry, column = self.entries[index.row()], RunColumn(index.column())
        if role == Qt.ItemDataRole.DisplayRole:
            return self.text(entry, column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return as_plain(_tip(entry, column))
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if column in _RIGHT_COLUMNS else _LEFT
        if role == Qt.ItemDataRole.FontRole:
            return self._appearance.text_font
        if role == Qt.ItemDataRole.ForegroundRole:
            return self._colour(entry, column)
        return None

    def _colour(self, entry: CheckpointEntry, column: RunColumn) -> QColor | None:
        theme = self._appearance.theme
        if column is RunColumn.STATE:
            if entry.condition is Condition.DAMAGED:
                return QColor(theme.error)
            return QColor(theme.good if entry.sound else theme.warning)
        if not entry.sound or column in (RunColumn.SAVED, RunColumn.SIZE):
            return QColor(theme.muted)
        return None


def _tip(entry: CheckpointEntry, column: RunColumn) -> str:
    if column is RunColumn.STEP and entry.step_source is not StepSource.NONE:
        where = "in its name" if entry.step_source is StepSource.NAME else "in a counter inside"
        return f"step {entry.step}, {where}"
    if column is RunColumn.STEP:
        return "Neither its name nor a counter inside tells its step."
    if column is RunColumn.SAVED:
        return time_text(entry.saved_at, "%Y-%m-%d %H:%M:%S")
    if column is RunColumn.SIZE:
        return f"{exact_size_text(entry.size_bytes)}, {plural(len(entry.files), 'file')}"
    if column is RunColumn.METRIC:
        return "\n".join(f"{label} {value:g}" for label, value in entry.metrics.items())
    if column is RunColumn.STATE:
        named = "model_checkpoint_path of the file `checkpoint` names it"
        return "\n".join(filter(None, (entry.trouble, named if entry.named_latest else "")))
    return entry.path


class SeriesRowsModel(QAbstractListModel):
    """Roles, groups and variables, one below the other; `colours` are those of the lines drawn."""

    def __init__(self, known: Known, appearance: Appearance) -> None:
        super().__init__()
        self.known = known
        self._appearance = appearance
        self._matches: frozenset[int] | None = None
        self._colours: Mapping[str, QColor] = {}
        self.choices: list[Followed] = list(known.choices)

    def set_matches(self, rows: frozenset[int] | None) -> None:
        """Show only variables of these rows, and what they are below of; None: all."""
        self.beginResetModel()
        self._matches = rows
        self.choices = [
            choice
            for choice in self.known.choices
            if rows is None or any(row in rows for row in choice.rows)
        ]
        self.endResetModel()

    def set_colours(self, colours: Mapping[str, QColor]) -> None:
        """These, by name, are drawn, each in its colour."""
        if colours == self._colours:
            return
        self._colours = colours
        if self.choices:
            self.dataChanged.emit(self.index(0), self.index(len(self.choices) - 1))

    def row_of(self, name: str) -> int | None:
        """Where the choice of that name stands."""
        return next((row for row, each in enumerate(self.choices) if each.name == name), None)

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.choices)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self.choices):
            return None
        choice = self.choices[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return _INDENT * choice.depth + self._label(choice).replace("/", " / ")
        if role == Qt.ItemDataRole.ToolTipRole:
            return as_plain(self._tip(choice))
        if role == Qt.ItemDataRole.DecorationRole:
            return self._colours.get(choice.name, QColor(0, 0, 0, 0))
        if role == Qt.ItemDataRole.FontRole:
            return self._font(choice)
        if role == Qt.ItemDataRole.ForegroundRole and (choice.is_group or choice.role):
            return QColor(self._appearance.theme.muted)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return choice.name
        return None

    def _label(self, choice: Followed) -> str:
        if choice.role is not None:
            return f"all of role {choice.label} ({count_text(len(choice.rows))})"
        return (
            f"{choice.label} ({count_text(len(choice.rows))})" if choice.is_group else choice.label
        )

    def _font(self, choice: Followed) -> QFont:
        return self._appearance.text_font

    def _tip(self, choice: Followed) -> str:
        if choice.role is not None or choice.is_group:
            count = plural(len(choice.rows), "variable")
            return f"{choice.name}\n{count}, taken as one vector"
        variable = self.known.variables[choice.rows[0]]
        return f"{variable.key}\n{shape_text(variable.shape)}  {variable.dtype}  {variable.role}"
