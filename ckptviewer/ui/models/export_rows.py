"""The rows of the variable tree with their ticks: what an export keeps of each, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import IntEnum
from typing import Any

from PySide6.QtCore import Qt, Signal

from ckptviewer.checkpoint.text import (
    capitalised,
    count_text,
    exact_size_text,
    plural,
    shape_text,
    size_text,
)
from ckptviewer.checkpoint.tree import Group, Item, VariableTree
from ckptviewer.export.plan import Kept
from ckptviewer.ui.models.variable_rows import Index, VariableRowsModel
from ckptviewer.ui.planned import Planned, Tick, rows_of


class ExportColumn(IntEnum):
    """The columns of the tree of an export, in their usual order."""

    NAME = 0
    SHAPE = 1
    DTYPE = 2
    SIZE = 3
    WHY = 4


TITLES = {
    ExportColumn.NAME: "Keep",
    ExportColumn.SHAPE: "Shape",
    ExportColumn.DTYPE: "Dtype",
    ExportColumn.SIZE: "Size",
    ExportColumn.WHY: "Why",
}
MARKED_AT_ONCE = 5_000
"""A tick of up to so many rows shows before its plan is made."""

_WORDS = {
    Qt.CheckState.Checked: "kept",
    Qt.CheckState.Unchecked: "dropped",
    Qt.CheckState.PartiallyChecked: "partly kept",
}


class ExportRowsModel(VariableRowsModel):
    """The tree with a tick box for each variable and group. ticked: somebody wants a Tick."""

    columns = ExportColumn
    titles = TITLES
    at_the_right = frozenset((ExportColumn.SHAPE, ExportColumn.SIZE))

    ticked = Signal(object)

    def __init__(self, tree: VariableTree, problems: Mapping[str, str] | None = None) -> None:
        """problems: as for VariableRowsModel."""
        self.planned: Planned | None = None
        self.is_locked = False
        self._expected: dict[int, bool] = {}
        self._kept_of_matches: Planned | None = None
        self._match_kept: dict[Group, int] = {}
        super().__init__(tree, problems)

    def show_planned(self, planned: Planned) -> None:
        """Show another plan."""
        self.planned = planned
        self._expected.clear()
        self._kept_of_matches = None
        self._tell_all()

    def lock(self, locked: bool) -> None:
        """While it is locked, no tick changes."""
        self.is_locked = locked
        self._tell_all()

    def state(self, item: Item) -> Qt.CheckState:
        """Whether an item is kept; of a group that is filtered, what is in sight of it."""
        if isinstance(item, int):
            return Qt.CheckState.Checked if self._is_kept(item) else Qt.CheckState.Unchecked
        kept, count = self._counts(item)
        if kept == 0 and count:
            return Qt.CheckState.Unchecked
        return Qt.CheckState.Checked if kept == count else Qt.CheckState.PartiallyChecked

    def toggle(self, items: Collection[Item]) -> None:
        """Keep all of these, or drop them where all are kept already."""
        if items and not self.is_locked:
            wanted = any(self.state(item) is not Qt.CheckState.Checked for item in items)
            self.tick(items, wanted)

    def tick(self, items: Collection[Item], wanted: bool) -> None:
        """Keep or drop items; of groups what the filter leaves in sight."""
        if self.is_locked:
            return
        tick = Tick(tuple(items), wanted, self._matches)
        count = sum(1 if isinstance(item, int) else item.variable_count for item in items)
        if count <= MARKED_AT_ONCE:
            self._expected.update(dict.fromkeys(rows_of(self.tree, *tick[::2]), wanted))
            self._tell_all()
        self.ticked.emit(tick)

    def expected_change(self) -> tuple[int, int]:
        """How many more are kept by ticks that are not planned yet, and about how many bytes."""
        count = size = 0
        kept = self.planned.kept if self.planned is not None else frozenset()
        for row, wanted in self._expected.items():
            if wanted is not (row in kept):
                sign = 1 if wanted else -1
                count += sign
                size += sign * self.tree.variables[row].stored_bytes
        return count, size

    def outcome_text(self, row: int) -> str:
        """Why a variable (a row of the checkpoint's list) is kept or dropped."""
        reason = self.planned.outcomes[row].reason if self.planned is not None else ""
        problem = self.problems.get(self.tree.variables[row].key)
        if problem and self._is_kept(row):
            return f"\u2715 {problem}: it cannot be exported ({reason})"
        return reason

    def new_name(self, item: Item) -> str:
        """What a variable is written as, where that is another name; else empty."""
        kept = self.kept(item)
        return kept.key_written if kept is not None and kept.key_written != kept.key else ""

    def kept(self, item: Item) -> Kept | None:
        """What is written of a variable; None of one that is dropped, and of a group."""
        if self.planned is None or not isinstance(item, int):
            return None
        outcome = self.planned.outcomes[item]
        return outcome if isinstance(outcome, Kept) else None

    def written_share(self, row: int) -> float:
        """The part of `row` that is kept, as a share of all bytes."""
        if self.planned is None:
            return 0.0
        item = self.item(row)
        kept = self.kept(item)
        size = self.planned.written.get(item, 0) if isinstance(item, Group) else 0
        if kept is not None:
            size = kept.written_bytes
        return min(self.share(row), size / self.total_bytes)

    def is_dropped(self, row: int) -> bool:
        """Whether nothing of `row` is kept."""
        return self.state(self.item(row)) is Qt.CheckState.Unchecked

    def refresh(self, first: int, last: int) -> None:
        last = min(last, self.rowCount() - 1)
        if first <= last:
            self.dataChanged.emit(
                self.index(first, ExportColumn.NAME), self.index(last, ExportColumn.WHY)
            )

    def _tell_all(self) -> None:
        self.refresh(0, self.rowCount() - 1)

    def _is_kept(self, row: int) -> bool:
        expected = self._expected.get(row)
        if expected is not None:
            return expected
        return self.planned is not None and row in self.planned.kept

    def _counts(self, group: Group) -> tuple[int, int]:
        """How many of a group are kept, and how many there are, of those in sight."""
        if self.planned is None:
            return 0, group.variable_count
        if self._expected and group.variable_count <= MARKED_AT_ONCE:
            rows = rows_of(self.tree, (group,), self._matches)
            return sum(map(self._is_kept, rows)), len(rows)
        if self._matches is None:
            return self.planned.counts.get(group, 0), group.variable_count
        if self._kept_of_matches is not self.planned:
            self._match_kept = self.tree.matching_counts(self.planned.kept & self._matches)
            self._kept_of_matches = self.planned
        return self._match_kept.get(group, 0), self._match_counts.get(group, 0)

    def _rebuild(self) -> None:
        self._kept_of_matches = None  # others match now
        super()._rebuild()

    # Qt's questions.

    def flags(self, index: Index) -> Qt.ItemFlag:
        flags = super().flags(index)
        if index.isValid() and index.column() == ExportColumn.NAME and not self.is_locked:
            flags |= Qt.ItemFlag.ItemIsUserCheckable
        return flags

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if role != Qt.ItemDataRole.CheckStateRole or not index.isValid() or self.is_locked:
            return False
        wanted = Qt.CheckState(value) is not Qt.CheckState.Unchecked
        self.tick((self.item(index.row()),), wanted)
        return True

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        is_ticked = role == Qt.ItemDataRole.CheckStateRole and index.column() == ExportColumn.NAME
        if is_ticked and index.isValid() and index.row() < self.rowCount():
            return self.state(self.item(index.row()))
        return super().data(index, role)

    def accessible_name(self, row: int, item: Item) -> str:
        return f"{super().accessible_name(row, item)}, {_WORDS[self.state(item)]}"

    def text(self, item: Item, column: Any) -> str:
        if column is ExportColumn.NAME:
            text = item.name if isinstance(item, Group) else self.tree.label(item)
            return text.replace("/", " / ")
        if isinstance(item, Group):
            return self._group_text(item, column)
        variable = self.tree.variables[item]
        kept = self.kept(item)
        if column is ExportColumn.SHAPE:
            return shape_text(variable.shape)
        if column is ExportColumn.DTYPE:
            new = kept.dtype if kept is not None else ""
            return f"{variable.dtype} \u2192 {new}" if new else variable.dtype
        if column is ExportColumn.SIZE:
            return size_text(kept.written_bytes if kept is not None else variable.stored_bytes)
        return self.outcome_text(item)

    def _group_text(self, group: Group, column: ExportColumn) -> str:
        if column is ExportColumn.SIZE:
            return size_text(group.stored_bytes)
        if column is ExportColumn.WHY and self.planned is not None:
            kept, count = self._counts(group)
            if kept == count:
                return "all kept"
            return f"{count_text(kept)} of {count_text(count)} kept" if kept else "all dropped"
        return ""

    def tool_tip(self, item: Item, column: Any) -> str:
        if isinstance(item, Group):
            return f"{item.path}\n{plural(item.variable_count, 'variable')}"
        variable = self.tree.variables[item]
        if column is ExportColumn.SIZE:
            kept = self.kept(item)
            stored = f"{exact_size_text(variable.stored_bytes)} in the source"
            if kept is None:
                return stored
            return f"{exact_size_text(kept.written_bytes)} are written; {stored}"
        if column is ExportColumn.WHY:
            state = _WORDS[self.state(item)]
            return f"{capitalised(state)}: {self.outcome_text(item)}\n{variable.role}"
        if column is not ExportColumn.NAME:
            return self.text(item, column)
        lines = [variable.key] if variable.key == variable.name else [variable.name, variable.key]
        new = self.new_name(item)
        return "\n".join([*lines, f"written as {new}"] if new else lines)
