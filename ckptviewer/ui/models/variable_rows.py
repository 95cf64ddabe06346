"""The rows of the variable tree that are in sight, as a flat Qt model.

A flat table of the visible rows stands in for Qt's own tree on purpose: Qt's tree view asks its
model about every row below an expanded node, which takes seconds for 200,000 variables. Here an
expanded group is a slice of a list, and the view only asks for what it paints.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

from ckptviewer.analysis.sketch import Sketch
from ckptviewer.checkpoint.findings import Severity
from ckptviewer.checkpoint.text import (
    count_text,
    exact_size_text,
    plural,
    shape_text,
    size_text,
)
from ckptviewer.checkpoint.tree import Group, Item, VariableTree
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.ui.models.opened_groups import opened_at_first, opened_for_matches
from ckptviewer.ui.plain_text import as_plain

Index = QModelIndex | QPersistentModelIndex


class Column(IntEnum):
    """The columns of the tree, in their usual order."""

    NAME = 0
    SHAPE = 1
    DTYPE = 2
    SIZE = 3
    ROLE = 4
    DISTRIBUTION = 5
    HEALTH = 6


TITLES = {
    Column.NAME: "Name",
    Column.SHAPE: "Shape",
    Column.DTYPE: "Dtype",
    Column.SIZE: "Size",
    Column.ROLE: "Role",
    Column.DISTRIBUTION: "Distribution",
    Column.HEALTH: "Health",
}
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


class VariableRowsModel(QAbstractTableModel):
    """Groups and variables that are in sight; expanding and filtering changes which these are.

    Other trees of variables have columns, titles, and which of them stand at the right, of their
    own; the first column is the name's, the second the shape's.
    """

    columns: type[IntEnum] = Column
    titles: Mapping[Any, str] = TITLES
    at_the_right: frozenset[Any] = frozenset((Column.SHAPE, Column.SIZE))

    def __init__(
        self,
        tree: VariableTree,
        problems: Mapping[str, str] | None = None,
        sketches: Mapping[int, Sketch] | None = None,
    ) -> None:
        """problems: key of a variable to why it cannot be read, in a few words.

        sketches: row of the checkpoint's list to what is known of its values. Both may grow while
        they are shown; `refresh` tells the views so.
        """
        super().__init__()
        self.tree = tree
        self.problems: Mapping[str, str] = {} if problems is None else problems
        self.sketches: Mapping[int, Sketch] = {} if sketches is None else sketches
        self.total_bytes = max(1, tree.root.stored_bytes)
        self._expanded = opened_at_first(tree)
        self._expanded_before_filter: set[Item] | None = None
        self._matches: frozenset[int] | None = None
        self._match_count: int | None = None
        self._match_counts: Mapping[Group, int] = {}
        self._items: list[Item] = []
        self._depths: list[int] = []
        self._rebuild()

    # What the views and delegates ask for, beyond Qt's roles.

    def item(self, row: int) -> Item:
        """The group, or the row in the checkpoint's list, that is shown in `row`."""
        return self._items[row]

    def depth(self, row: int) -> int:
        """How far `row` is indented, in steps."""
        return self._depths[row]

    def variable(self, row: int) -> Variable | None:
        """The variable shown in `row`; None for a group."""
        item = self._items[row]
        return self.tree.variables[item] if isinstance(item, int) else None

    def is_expandable(self, row: int) -> bool:
        """Whether something hangs below `row`."""
        item = self._items[row]
        return isinstance(item, Group) or item in self.tree.slots

    def is_expanded(self, row: int) -> bool:
        """Whether what hangs below `row` is in sight."""
        return self._items[row] in self._expanded

    def row_of_item(self, item: Item) -> int | None:
        """The row that shows `item`; None while it is not in sight."""
        try:
            return self._items.index(item)
        except ValueError:
            return None

    def parent_row(self, row: int) -> int | None:
        """The row of what `row` hangs under."""
        depth = self._depths[row]
        for above in range(row - 1, -1, -1):
            if self._depths[above] < depth:
                return above
        return None

    def matches(self) -> frozenset[int] | None:
        """The rows of the checkpoint's list that the filter leaves; None where it leaves all."""
        return self._matches

    def match_count(self) -> int | None:
        """How many variables match the filter; None without one."""
        return self._match_count

    def sketch(self, row: int) -> Sketch | None:
        """What is known of the values of the variable in `row`."""
        item = self._items[row]
        return self.sketches.get(item) if isinstance(item, int) else None

    def mark(self, row: int) -> tuple[str, Severity] | None:
        """What is noticeable about the variable in `row`: a few words, and how serious it is."""
        variable = self.variable(row)
        if variable is not None and variable.key in self.problems:
            return self.problems[variable.key], Severity.ERROR
        sketch = self.sketch(row)
        return (sketch.mark.text, sketch.mark.severity) if sketch and sketch.mark else None

    def has_marks(self) -> bool:
        """Whether anything is noticeable about any variable, in sight or not."""
        return bool(self.problems) or any(s.mark for s in list(self.sketches.values()))

    def refresh(self, first: int, last: int) -> None:
        """Tell the views that more is known of the rows from `first` to `last`."""
        last = min(last, len(self._items) - 1)
        if first <= last:
            self.dataChanged.emit(
                self.index(first, Column.DISTRIBUTION), self.index(last, Column.HEALTH)
            )

    def share(self, row: int) -> float:
        """The share of `row` in all bytes, 0 to 1."""
        return self._bytes(self._items[row]) / self.total_bytes

    # What changes which rows are in sight.

    def set_expanded(self, row: int, expanded: bool) -> None:
        """Show or hide what hangs below `row`."""
        item = self._items[row]
        if expanded == (item in self._expanded) or not self.is_expandable(row):
            return
        depth = self._depths[row]
        if expanded:
            self._expanded.add(item)
            items, depths = self._below(item, depth + 1)
            if items:
                self.beginInsertRows(QModelIndex(), row + 1, row + len(items))
                self._items[row + 1 : row + 1] = items
                self._depths[row + 1 : row + 1] = depths
                self.endInsertRows()
        else:
            self._expanded.discard(item)
            end = row + 1
            while end < len(self._depths) and self._depths[end] > depth:
                end += 1
            if end > row + 1:
                self.beginRemoveRows(QModelIndex(), row + 1, end - 1)
                del self._items[row + 1 : end]
                del self._depths[row + 1 : end]
                self.endRemoveRows()
        index = self.index(row, Column.NAME)
        self.dataChanged.emit(index, index)

    def expand_all(self, *, slots: bool = False) -> None:
        """Show everything; slots only on demand."""
        self.beginResetModel()
        self._expanded.update(self.tree.groups())
        if slots:
            self._expanded.update(self.tree.slots)
        self._rebuild()
        self.endResetModel()

    def collapse_all(self) -> None:
        """Show the top level only."""
        self.beginResetModel()
        self._expanded.clear()
        self._rebuild()
        self.endResetModel()

    def set_matches(self, rows: Sequence[int] | None) -> None:
        """Show only these rows of the checkpoint's list, and the groups they are in; None: all."""
        self.beginResetModel()
        self._match_count = None if rows is None else len(rows)
        if rows is None or len(rows) == len(self.tree.variables):
            self._matches = None
            if self._expanded_before_filter is not None:
                self._expanded = self._expanded_before_filter
                self._expanded_before_filter = None
        else:
            if self._expanded_before_filter is None:
                self._expanded_before_filter = set(self._expanded)
            self._matches = frozenset(rows)
            self._match_counts = self.tree.matching_counts(rows)
            self._expanded = opened_for_matches(
                self.tree, self._matches, self._match_counts, self._expanded_before_filter
            )
        self._rebuild()
        self.endResetModel()

    def reveal(self, wanted: Item) -> int | None:
        """Expand what hides a group, or a variable (a row of the checkpoint's list); its row here.

        None where the filter hides it.
        """
        above: list[Item] = []
        if isinstance(wanted, int):
            owner = self.tree.owner_row(wanted)
            if owner is not None:
                above.append(owner)
            group: Group | None = self.tree.group_of[wanted]
        else:
            group = wanted.parent
        while group is not None and group.path:
            above.append(group)
            group = group.parent
        for item in reversed(above):
            row = self.row_of_item(item)
            if row is None:
                return None
            self.set_expanded(row, True)
        return self.row_of_item(wanted)

    # Qt's questions.

    def rowCount(self, parent: Index = QModelIndex()) -> int:
        return 0 if parent.isValid() else len(self._items)

    def columnCount(self, parent: Index = QModelIndex()) -> int:
        return 0 if parent.isValid() else len(self.columns)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self.columns):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self.title(self.columns(section))
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if section in self.at_the_right else _LEFT
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self._items):
            return None
        column = self.columns(index.column())
        item = self._items[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self.text(item, column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return as_plain(self.tool_tip(item, column))
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if column in self.at_the_right else _LEFT
        if role == Qt.ItemDataRole.AccessibleTextRole and column == Column.NAME:
            return self.accessible_name(index.row(), item)
        return None

    def title(self, column: Any) -> str:
        """What stands above a column."""
        return self.titles[column]

    def text(self, item: Item, column: Any) -> str:
        """What stands in a cell, in words."""
        if column is Column.NAME:
            text = item.name if isinstance(item, Group) else self.tree.label(item)
            return text.replace("/", " / ")
        if column is Column.SIZE:
            return size_text(self._bytes(item))
        if isinstance(item, Group):
            if column is Column.SHAPE and self._matches is not None:
                return f"{count_text(self._match_counts.get(item, 0))} match"
            return ""
        variable = self.tree.variables[item]
        if column is Column.SHAPE:
            return shape_text(variable.shape)
        if column is Column.DTYPE:
            return variable.dtype
        if column is Column.ROLE:
            return str(variable.role)
        sketch = self.sketches.get(item)
        if column is Column.DISTRIBUTION:
            return (sketch.text or sketch.summary) if sketch else ""
        if variable.key in self.problems:
            return self.problems[variable.key]
        return sketch.mark.text if sketch and sketch.mark else ""

    def tool_tip(self, item: Item, column: Any) -> str:
        """What more there is to say of a cell."""
        if isinstance(item, Group):
            return (
                f"{item.path}\n{plural(item.variable_count, 'variable')}, "
                f"{plural(item.element_count, 'parameter')}, {exact_size_text(item.stored_bytes)}"
            )
        variable = self.tree.variables[item]
        if column is Column.SIZE:
            share = variable.stored_bytes / self.total_bytes
            return f"{exact_size_text(variable.stored_bytes)}, {share:.2%} of all"
        if column is Column.SHAPE:
            return f"{variable.shape}, {plural(variable.element_count, 'element')}"
        if column in (Column.HEALTH, Column.DISTRIBUTION):
            return self.text(item, column)
        names = [variable.key] if variable.key == variable.name else [variable.name, variable.key]
        return "\n".join(names)

    def accessible_name(self, row: int, item: Item) -> str:
        """The name of a row for people who hear it."""
        state = ""
        if self.is_expandable(row):
            state = ", expanded" if self.is_expanded(row) else ", collapsed"
        level = f"level {self._depths[row] + 1}"
        return f"{self.text(item, Column.NAME)}, {level}{state}"

    def _bytes(self, item: Item) -> int:
        if isinstance(item, Group):
            return item.stored_bytes
        return self.tree.variables[item].stored_bytes

    # Which rows are in sight.

    def _rebuild(self) -> None:
        self._items, self._depths = self._below(self.tree.root, 0)

    def _children(self, item: Item) -> Sequence[Item]:
        matches = self._matches
        if isinstance(item, int):
            slots = self.tree.slots.get(item, [])
            return slots if matches is None else [slot for slot in slots if slot in matches]
        if matches is None:
            return item.children
        return [child for child in item.children if self._is_in_sight(child, matches)]

    def _is_in_sight(self, item: Item, matches: Collection[int]) -> bool:
        if isinstance(item, Group):
            return item in self._match_counts
        return item in matches or any(slot in matches for slot in self.tree.slots.get(item, ()))

    def _below(self, item: Item, depth: int) -> tuple[list[Item], list[int]]:
        """The visible rows below `item`, and their depths."""
        items: list[Item] = []
        depths: list[int] = []
        stack: list[Iterator[Item]] = [iter(self._children(item))]
        expanded = self._expanded
        while stack:
            for child in stack[-1]:
                items.append(child)
                depths.append(depth)
                if child in expanded:
                    stack.append(iter(self._children(child)))
                    depth += 1
                    break
            else:
                stack.pop()
                depth -= 1
        return items, depths
