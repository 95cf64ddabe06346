"""A table of plain results: cells that were made before, in an order, less what a filter hides."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
)
from PySide6.QtGui import QColor

from ckptviewer.checkpoint.text import natural_keys
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.plain_text import as_plain

Index = QModelIndex | QPersistentModelIndex
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


class Cell(NamedTuple):
    """What stands in one place of a table.

    value: what it is sorted by, where that is not the text. colour: a name of the theme's colours
    ("error"). share: 0 to 1, of a bar behind the text; None without one. exact: what is copied,
    where that is not the text.
    """

    text: str
    value: float | None = None
    tool_tip: str = ""
    colour: str = ""
    share: float | None = None
    exact: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row. kind: by which rows can be left out. what: what the row stands for."""

    cells: tuple[Cell, ...]
    kind: Hashable = ""
    what: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """A column. number: right-aligned, and sorted by value."""

    text: str
    number: bool = False
    tool_tip: str = ""


class TableModel(QAbstractTableModel):
    """Rows as they were given, until they are sorted or filtered. `data` reads no files."""

    def __init__(
        self,
        headings: Sequence[Heading],
        appearance: Appearance,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.headings = tuple(headings)
        self._appearance = appearance
        self._all: Sequence[Row] = ()
        self._texts: list[str] | None = None
        self._shown: list[int] = []
        self._words: tuple[str, ...] = ()
        self._kinds: frozenset[Hashable] | None = None
        self._sorted_by: tuple[int, Qt.SortOrder] | None = None

    # What is shown.

    def show_rows(self, rows: Sequence[Row], texts: list[str] | None = None) -> None:
        """Show other rows, by the filter and in the order that are in force.

        texts: `row_texts` of the rows, where another thread has made them already.
        """
        self._all, self._texts = rows, texts
        self._arrange()

    def filter_words(self, text: str) -> None:
        """Show only rows that have all words, in any column, in any order; -word excludes."""
        words = tuple(text.lower().split())
        if words != self._words:
            self._words = words
            self._arrange()

    def filter_kinds(self, kinds: frozenset[Hashable] | None) -> None:
        """Show only rows of these kinds; None: of all."""
        if kinds != self._kinds:
            self._kinds = kinds
            self._arrange()

    def rows(self) -> list[Row]:
        """The rows that are shown, from the top."""
        return [self._all[at] for at in self._shown]

    def row(self, at: int) -> Row:
        """The row at a place."""
        return self._all[self._shown[at]]

    @property
    def total(self) -> int:
        """How many rows there are, shown or not."""
        return len(self._all)

    def _arrange(self) -> None:
        self.beginResetModel()
        shown: Sequence[int] = range(len(self._all))
        if self._kinds is not None:
            kinds = self._kinds
            shown = [at for at in shown if self._all[at].kind in kinds]
        if self._words:
            texts = self._haystacks()
            for word in self._words:
                if word.startswith("-") and len(word) > 1:
                    shown = [at for at in shown if word[1:] not in texts[at]]
                else:
                    shown = [at for at in shown if word in texts[at]]
        self._shown = self._in_order(list(shown))
        self.endResetModel()

    def _haystacks(self) -> list[str]:
        if self._texts is None:
            self._texts = row_texts(self._all)
        return self._texts

    def _in_order(self, shown: list[int]) -> list[int]:
        if self._sorted_by is None:
            return shown
        column, order = self._sorted_by
        backwards = order == Qt.SortOrder.DescendingOrder
        if self.headings[column].number:
            known = [at for at in shown if self._all[at].cells[column].value is not None]
            rest = [at for at in shown if self._all[at].cells[column].value is None]
            known.sort(key=lambda at: self._all[at].cells[column].value or 0.0, reverse=backwards)
            return known + rest
        keys = natural_keys(self._all[at].cells[column].text for at in shown)
        places = sorted(range(len(shown)), key=keys.__getitem__, reverse=backwards)
        return [shown[place] for place in places]

    # As Qt asks for it.

    def rowCount(self, parent: Index = QModelIndex()) -> int:
        return 0 if parent.isValid() else len(self._shown)

    def columnCount(self, parent: Index = QModelIndex()) -> int:
        return 0 if parent.isValid() else len(self.headings)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        cell = self._all[self._shown[index.row()]].cells[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return cell.text
        if role == Qt.ItemDataRole.ToolTipRole:
            return as_plain(cell.tool_tip or cell.exact or cell.text)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if self.headings[index.column()].number else _LEFT
        if role == Qt.ItemDataRole.ForegroundRole and cell.colour:
            return QColor(getattr(self._appearance.theme, cell.colour))
        if role == Qt.ItemDataRole.UserRole:
            return cell.share
        return None

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self.headings):
            return None
        heading = self.headings[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return heading.text
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if heading.number else _LEFT
        return heading.tool_tip or None if role == Qt.ItemDataRole.ToolTipRole else None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; -1: as the rows were given."""
        wanted = (column, order) if 0 <= column < len(self.headings) else None
        if wanted != self._sorted_by:
            self._sorted_by = wanted
            self._arrange()


def row_texts(rows: Sequence[Row]) -> list[str]:
    """What the words of a filter are looked for in."""
    return ["\t".join([cell.exact or cell.text for cell in row.cells]).lower() for row in rows]
