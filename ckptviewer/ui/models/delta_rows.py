"""The rows of a comparison as a Qt model: the merged tree, or all rows sorted by a measure."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from PySide6.QtCore import Qt

from ckptviewer.analysis.comparison import Basis, Status, VariableDelta
from ckptviewer.checkpoint.text import capitalised, count_text, number_text, plural, shape_text
from ckptviewer.checkpoint.tree import Group, Item
from ckptviewer.ui.models.variable_rows import VariableRowsModel
from ckptviewer.ui.open_comparison import MEASURES, NOT_TRAINED, OpenComparison, rows_below


class DeltaColumn(IntEnum):
    """The columns of the merged tree, in their usual order."""

    NAME = 0
    SHAPE = 1
    OF_A = 2
    OF_B = 3
    CHANGE = 4
    VERDICT = 5


TITLES = {
    DeltaColumn.NAME: "Name",
    DeltaColumn.SHAPE: "Shape",
    DeltaColumn.OF_A: "A",
    DeltaColumn.OF_B: "B",
    DeltaColumn.CHANGE: "Relative L2",
    DeltaColumn.VERDICT: "Verdict",
}

_SHOWN_ALIKE = frozenset((Status.SAME,))


class DeltaRowsModel(VariableRowsModel):
    """The merged tree; `show_order` makes a flat list of it, what changed most first."""

    columns = DeltaColumn
    titles = TITLES
    at_the_right = frozenset((DeltaColumn.SHAPE,))

    def __init__(self, compared: OpenComparison) -> None:
        self.compared = compared
        self.measure_name = "relative L2"
        self._flat: list[int] | None = None
        super().__init__(compared.tree)

    @property
    def is_flat(self) -> bool:
        """Whether all rows stand in one list."""
        return self._flat is not None

    def delta(self, row: int) -> VariableDelta | None:
        """The row of the comparison that is shown in `row`; None for a group."""
        item = self.item(row)
        return self.compared.deltas[item] if isinstance(item, int) else None

    def status(self, row: int) -> Status | None:
        """The status to show for `row`; of a group only where all below have the same."""
        item = self.item(row)
        if isinstance(item, int):
            return self.compared.deltas[item].status
        state = self.compared.groups.get(item)
        return state.status if state is not None else None

    def change(self, row: int) -> float | None:
        """By how much the variable in `row` changed, in the measure that is shown."""
        delta = self.delta(row)
        return MEASURES[self.measure_name](delta) if delta is not None else None

    def change_share(self, row: int) -> float:
        """The same as a share of the largest change of all, 0 to 1."""
        change = self.change(row)
        largest = self.compared.known.largest.get(self.measure_name, 0.0)
        return min(1.0, change / largest) if change and largest else 0.0

    def show_order(self, name: str | None, order: list[int] | None = None) -> None:
        """Show all rows in one list, in this order by a measure; without a name: the tree."""
        self.beginResetModel()
        self._flat = None
        if name is not None:
            self.measure_name = name
            self._flat = self.compared.ranked(name) if order is None else order
        self._rebuild()
        self.endResetModel()
        self.headerDataChanged.emit(
            Qt.Orientation.Horizontal, DeltaColumn.CHANGE, DeltaColumn.CHANGE
        )

    def next_difference(self, row: int, step: int) -> Item | None:
        """The next item from `row` on, in sight or not, that is not the same; None: no more."""
        order = self._in_order()
        item = self.item(row) if 0 <= row < self.rowCount() else None
        if isinstance(item, Group):
            below = set(rows_below(self.tree, item))
            position = next((n for n, each in enumerate(order) if each in below), 0)
            position -= 1 if step > 0 else 0
        elif item is None:
            position = -1 if step > 0 else len(order)
        else:
            position = order.index(item)
        position += step
        while 0 <= position < len(order):
            found = order[position]
            shown = self._matches is None or found in self._matches
            if shown and self.compared.deltas[found].status not in _SHOWN_ALIKE:
                return found
            position += step
        return None

    def _in_order(self) -> list[int]:
        if self._flat is not None:
            return self._flat
        rows: list[int] = []
        pending: list[Item] = [self.tree.root]
        while pending:
            item = pending.pop()
            if isinstance(item, int):
                rows.append(item)
                rows += self.tree.slots.get(item, ())
            else:
                pending += reversed(item.children)
        return rows

    # What VariableRowsModel asks.

    def is_expandable(self, row: int) -> bool:
        return not self.is_flat and super().is_expandable(row)

    def refresh(self, first: int, last: int) -> None:
        last = min(last, self.rowCount() - 1)
        if first <= last:
            self.dataChanged.emit(
                self.index(first, DeltaColumn.NAME), self.index(last, DeltaColumn.VERDICT)
            )

    def _rebuild(self) -> None:
        if self._flat is None:
            super()._rebuild()
            return
        matches = self._matches
        self._items = [row for row in self._flat if matches is None or row in matches]
        self._depths = [0] * len(self._items)

    def reveal(self, wanted: Item) -> int | None:
        return self.row_of_item(wanted) if self.is_flat else super().reveal(wanted)

    # Qt's questions.

    def title(self, column: Any) -> str:
        return capitalised(self.measure_name) if column is DeltaColumn.CHANGE else TITLES[column]

    def accessible_name(self, row: int, item: Item) -> str:
        return f"{self.text(item, DeltaColumn.NAME)}, {self.status(row) or 'mixed'}"

    def text(self, item: Item, column: Any) -> str:
        if isinstance(item, Group):
            return self._group_text(item, column)
        delta = self.compared.deltas[item]
        if column is DeltaColumn.NAME:
            if self.is_flat:
                return (delta.variable.name or delta.key).replace("/", " / ")
            return self.tree.label(item).replace("/", " / ")
        if column is DeltaColumn.SHAPE:
            return shapes_text(delta)
        if column is DeltaColumn.CHANGE:
            value = MEASURES[self.measure_name](delta)
            return "" if value is None else number_text(value, 3)
        if column is DeltaColumn.VERDICT:
            return self.verdict_text(item)
        sketch = self.compared.sketch(item, "a" if column is DeltaColumn.OF_A else "b")
        return (sketch.text or sketch.summary) if sketch else ""

    def former_name(self, item: Item) -> str:
        """The other key of what was renamed; empty where it has one key only."""
        if isinstance(item, Group):
            return ""
        key_a, key_b = self.compared.deltas[item].pair
        return key_a if key_a is not None and key_b is not None and key_a != key_b else ""

    def verdict_text(self, row: int) -> str:
        """What is to say of a row of the comparison, in a few words."""
        delta = self.compared.deltas[row]
        if delta.problem:
            return "could not be compared"
        judgement = self.compared.judgements[row]
        if delta.note and delta.status in (Status.RESHAPED, Status.RETYPED):
            return delta.note
        if judgement is not None and delta.paired and delta.variable.role in NOT_TRAINED:
            judgement = None if not delta.unchanged else judgement
        if judgement is not None:
            by_checksum = delta.basis is Basis.CHECKSUM and "checksum" not in judgement.verdict
            return f"{judgement.verdict}, by checksum" if by_checksum else str(judgement.verdict)
        if delta.pending:
            return "reading\u2026"
        if delta.unchanged and delta.basis is Basis.CHECKSUM:
            return "equal by checksum"
        return delta.note or str(delta.status)

    def _group_text(self, group: Group, column: DeltaColumn) -> str:
        if column is DeltaColumn.NAME:
            return group.name.replace("/", " / ")
        state = self.compared.groups.get(group)
        if state is None:
            return ""
        if column is DeltaColumn.SHAPE and state.different:
            return f"{count_text(state.different)} differ"
        if column is DeltaColumn.VERDICT and state.judgement is not None:
            return str(state.judgement.verdict)
        return ""

    def tool_tip(self, item: Item, column: Any) -> str:
        if isinstance(item, Group):
            return f"{item.path}\n{plural(item.variable_count, 'variable')}"
        delta = self.compared.deltas[item]
        if column is DeltaColumn.VERDICT:
            judgement = self.compared.judgements[item]
            why = judgement.why if judgement is not None else ""
            return "\n".join(
                filter(None, (self.verdict_text(item), why, delta.note, delta.problem))
            )
        if column is DeltaColumn.NAME:
            key_a, key_b = delta.pair
            lines = [f"{delta.status}"]
            lines += [f"A  {key_a}"] if key_a is not None else []
            lines += [f"B  {key_b}"] if key_b is not None else []
            if delta.paired and delta.match.reason is not None:
                guess = "a guess: " if delta.match.confidence < 0.5 else "matched: "
                lines.append(f"{guess}{delta.match.why or delta.match.reason}")
            return "\n".join(lines)
        return self.text(item, column)


def shapes_text(delta: VariableDelta) -> str:
    """The shape of a row, or both where they differ; dtypes where these do."""
    a, b = delta.variable_a, delta.variable_b
    if a is None or b is None:
        return shape_text(delta.variable.shape)
    if a.shape != b.shape:
        return f"{shape_text(a.shape)} \u2192 {shape_text(b.shape)}"
    if a.dtype != b.dtype:
        return f"{a.dtype} \u2192 {b.dtype}"
    return shape_text(b.shape)
