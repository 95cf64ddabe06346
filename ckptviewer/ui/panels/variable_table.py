"""The variable tree on the screen: a table of the rows in sight, driven like a tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from PySide6.QtCore import QEvent, QItemSelection, QItemSelectionModel, QModelIndex, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QContextMenuEvent,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QMenu, QTableView, QWidget

from ckptviewer.checkpoint.text import printable
from ckptviewer.checkpoint.tree import Item
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.models.variable_rows import TITLES, Column, VariableRowsModel
from ckptviewer.ui.panels.row_painting import CHEVRON, INDENT, PADDING, RowPainter, row_height

_WIDTHS = {
    Column.NAME: 300,
    Column.SHAPE: 112,
    Column.DTYPE: 76,
    Column.SIZE: 118,
    Column.ROLE: 124,
    Column.DISTRIBUTION: 114,
    Column.HEALTH: 110,
}

_NARROW_WIDTHS = {
    Column.SHAPE: 80,
    Column.DTYPE: 68,
    Column.SIZE: 72,
    Column.ROLE: 92,
    Column.DISTRIBUTION: 88,
}

LEAST_NAME, WIDEST_NAME = 166, 820


class VariableTable(QTableView):
    """Shows a VariableRowsModel.

    selection_changed: the items that are selected now. activated_item: Return or a double click.
    """

    selection_changed = Signal(list)

    titles: Mapping[Any, str] = TITLES
    """Of the columns, the name's first."""

    widths: Mapping[Any, int] = _WIDTHS
    """Of the columns in pixels, before anybody chose others; the name takes what is left."""

    narrow_widths: Mapping[Any, int] = _NARROW_WIDTHS
    """Of those that give way where the window is narrow, as long as nobody chose others."""

    hidden_until_marked: int | None = Column.HEALTH
    """The column that shows once a variable has a mark; None where there is none of that kind."""

    def __init__(
        self,
        appearance: Appearance,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.appearance = appearance
        self.setAccessibleName("Variables")
        self._fitted: dict[int, int] = {}
        self._painter = self.make_painter(appearance)
        self.setItemDelegate(self._painter)
        self.entered.connect(lambda index: self._hover(index.row()))
        self.viewportEntered.connect(lambda: self._hover(-1))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerItem)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setMouseTracking(True)
        self.setTabKeyNavigation(False)
        self.setCornerButtonEnabled(False)
        rows = self.verticalHeader()
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        height = row_height(self.fontMetrics())
        rows.setMinimumSectionSize(height)
        rows.setDefaultSectionSize(height)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionsMovable(True)
        header.setFirstSectionMovable(False)
        header.setMinimumSectionSize(48)
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(self._offer_columns)
        self.copy_action = QAction("Copy", self)
        self.copy_action.triggered.connect(self.copy_rows)
        appearance.changed.connect(self.viewport().update)

    def make_painter(self, appearance: Appearance) -> RowPainter:
        """What paints the cells."""
        return RowPainter(appearance, self)

    def rows_model(self) -> VariableRowsModel | None:
        """The model that is shown, if one is."""
        model = self.model()
        return model if isinstance(model, VariableRowsModel) else None

    def show_model(self, model: VariableRowsModel) -> None:
        """Show another model; the first time columns get their widths."""
        first = self.model() is None
        self.setModel(model)
        if first:
            header = self.horizontalHeader()
            for column, width in self.widths.items():
                header.resizeSection(column, width)
            self._fitted = dict(self.widths)
            header.setSectionResizeMode(Column.NAME, QHeaderView.ResizeMode.Stretch)
            self.fit_names()
        if self.hidden_until_marked is not None:
            self.setColumnHidden(self.hidden_until_marked, True)
        self.selectionModel().selectionChanged.connect(self._tell_selection)
        self.refresh()

    def rows_in_sight(self) -> tuple[int, int]:
        """The first and the last row that the viewport shows; the last is -1 without any."""
        model = self.rows_model()
        count = model.rowCount() if model else 0
        first = max(0, self.rowAt(0))
        last = self.rowAt(self.viewport().height() - 1)
        return first, count - 1 if last < 0 else last

    def items_in_sight(self) -> list[Item]:
        """The groups and variables that the viewport shows."""
        model = self.rows_model()
        if model is None:
            return []
        first, last = self.rows_in_sight()
        return [model.item(row) for row in range(first, last + 1)]

    def refresh(self) -> None:
        """More is known of some rows: show it where it is in sight."""
        model = self.rows_model()
        if model is None:
            return
        model.refresh(*self.rows_in_sight())
        marks = self.hidden_until_marked
        if marks is not None and self.isColumnHidden(marks) and model.has_marks():
            self.setColumnHidden(marks, False)
            self.fit_names()

    def selected_items(self) -> list[Item]:
        """The groups and variables that are selected, from top to bottom."""
        model = self.rows_model()
        if model is None:
            return []
        rows = sorted(index.row() for index in self.selectionModel().selectedRows())
        return [model.item(row) for row in rows]

    def show_item(self, item: Item) -> None:
        """Select an item that is in sight, and scroll to it."""
        model = self.rows_model()
        row = model.row_of_item(item) if model else None
        if model is not None and row is not None:
            self._go_to(row)
            index = model.index(row, Column.NAME)
            self.scrollTo(index, QAbstractItemView.ScrollHint.EnsureVisible)

    def enter(self) -> None:
        """Take the keyboard; something is selected then, the first row unless another is."""
        self.setFocus()
        model = self.rows_model()
        if model is not None and model.rowCount() and not self.selected_items():
            self._go_to(0)

    def expand_all(self) -> None:
        """Open all groups; what is selected stays so."""
        if model := self.rows_model():
            self._keeping_selection(model.expand_all)

    def collapse_all(self) -> None:
        """Close all groups; what is selected stays so where it is in sight."""
        if model := self.rows_model():
            self._keeping_selection(model.collapse_all)

    def copy_rows(self) -> None:
        """Put the selected rows on the clipboard as tab-separated values, with a header."""
        model = self.rows_model()
        if model is None:
            return
        lines = ["key\tname\tshape\tdtype\tstored_bytes\trole"]
        for item in self.selected_items():
            if isinstance(item, int):
                v = model.tree.variables[item]
                shape = "x".join(map(str, v.shape))
                names = f"{printable(v.key)}\t{printable(v.name)}"
                lines.append(f"{names}\t{shape}\t{v.dtype}\t{v.stored_bytes}\t{v.role}")
            else:
                lines.append(f"{item.path}\t{item.path}\t\t\t{item.stored_bytes}\t")
        QGuiApplication.clipboard().setText("\n".join(lines) + "\n")

    # Qt's events.

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        model = self.rows_model()
        first, last = self.rowAt(event.rect().top()), self.rowAt(event.rect().bottom())
        if model is not None and first >= 0:
            last = model.rowCount() - 1 if last < 0 else last
            painter = QPainter(self.viewport())
            self._painter.paint_names(painter, self, model, range(first, last + 1))
            painter.end()

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Leave:
            self._hover(-1)
        return super().viewportEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.fit_names()
        super().resizeEvent(event)

    def fit_names(self) -> None:
        """Names take what is left; on a wide screen numbers stay within sight of them.

        In a narrow one names can still be told apart, and the last columns are scrolled to.
        """
        header = self.horizontalHeader()
        if not header.count():
            return
        self._give_way()
        others = sum(header.sectionSize(column) for column in range(1, header.count()))
        left = self.viewport().width() - others
        fits = LEAST_NAME <= left <= WIDEST_NAME
        modes = QHeaderView.ResizeMode
        header.setSectionResizeMode(0, modes.Stretch if fits else modes.Interactive)
        if not fits:
            header.resizeSection(0, min(max(left, LEAST_NAME), WIDEST_NAME))

    def _give_way(self) -> None:
        """Make columns as narrow as names need it, and as wide again where there is room."""
        header = self.horizontalHeader()
        shown = [column for column in self.narrow_widths if not self.isColumnHidden(column)]
        free = [
            column for column in shown if self._fitted.get(column) == header.sectionSize(column)
        ]
        kept = set(range(1, header.count())) - set(free)
        room = self.viewport().width() - LEAST_NAME - sum(map(header.sectionSize, kept))
        least = sum(self.narrow_widths[column] for column in free)
        most = sum(self.widths[column] for column in free)
        share = min(1.0, max(0.0, (room - least) / max(1, most - least)))
        for column in free:
            narrow, wide = self.narrow_widths[column], self.widths[column]
            self._fitted[column] = narrow + int((wide - narrow) * share)
            header.resizeSection(column, self._fitted[column])

    def keyPressEvent(self, event: QKeyEvent) -> None:
        model = self.rows_model()
        row = self.currentIndex().row()
        key = event.key()
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy_rows()
        elif key == Qt.Key.Key_Asterisk:
            self.expand_all()
        elif model is None or row < 0:
            super().keyPressEvent(event)
        elif key == Qt.Key.Key_Right and model.is_expandable(row):
            if model.is_expanded(row):
                self._go_to(row + 1)
            else:
                model.set_expanded(row, True)
        elif key == Qt.Key.Key_Left:
            if model.is_expandable(row) and model.is_expanded(row):
                model.set_expanded(row, False)
            else:
                parent = model.parent_row(row)
                if parent is not None:
                    self._go_to(parent)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._toggle(row)
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        model = self.rows_model()
        index = self.indexAt(event.position().toPoint())
        if (
            model is not None
            and event.button() == Qt.MouseButton.LeftButton
            and index.isValid()
            and index.column() == Column.NAME
            and model.is_expandable(index.row())
            and self._is_on_chevron(model, index, event.position().x())
        ):
            model.set_expanded(index.row(), not model.is_expanded(index.row()))
            return
        super().mousePressEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        index = self.indexAt(event.position().toPoint())
        model = self.rows_model()
        if model is not None and index.isValid() and model.is_expandable(index.row()):
            if not self._is_on_chevron(model, index, event.position().x()):
                self._toggle(index.row())
            return
        super().mouseDoubleClickEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if self.rows_model() is None:
            return
        menu = QMenu(self)
        menu.addActions(self.actions())
        menu.exec(event.globalPos())

    def _hover(self, row: int) -> None:
        """The pointer is on another row: all of it shows that, not one cell of it."""
        for each in {row, self._painter.row_under_pointer} - {-1}:
            wide, high = self.viewport().width(), self.rowHeight(each)
            self.viewport().update(0, self.rowViewportPosition(each), wide, high)
        self._painter.row_under_pointer = row

    def _show_column(self, column: int, shown: bool) -> None:
        self.setColumnHidden(column, not shown)
        self.fit_names()

    def _is_on_chevron(self, model: VariableRowsModel, index: QModelIndex, x: float) -> bool:
        left = self.visualRect(index).left() + PADDING + model.depth(index.row()) * INDENT
        return left - 5 <= x <= left + CHEVRON

    def _toggle(self, row: int) -> None:
        model = self.rows_model()
        if model is not None:
            model.set_expanded(row, not model.is_expanded(row))

    def _keeping_selection(self, change: Callable[[], None]) -> None:
        selected = self.selected_items()
        change()
        if len(selected) == 1:
            self.show_item(selected[0])

    def _go_to(self, row: int) -> None:
        model = self.rows_model()
        if model is not None and 0 <= row < model.rowCount():
            # Alone, even while a key that extends selections is still down from a shortcut.
            flags = QItemSelectionModel.SelectionFlag
            self.selectionModel().setCurrentIndex(
                model.index(row, Column.NAME), flags.ClearAndSelect | flags.Rows
            )

    def _tell_selection(self, _new: QItemSelection, _old: QItemSelection) -> None:
        self.selection_changed.emit(self.selected_items())

    def _offer_columns(self) -> None:
        menu = QMenu(self)
        for column, title in self.titles.items():
            if column == Column.NAME:
                continue
            action = menu.addAction(title)
            action.setCheckable(True)
            action.setChecked(not self.isColumnHidden(column))
            action.toggled.connect(partial(self._show_column, column))
        menu.exec(self.cursor().pos())
