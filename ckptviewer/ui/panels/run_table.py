"""The checkpoints of a run in a table, and what can be done with those that are selected."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QItemSelectionModel, QPoint, Qt, Signal
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QMenu, QTableView

from ckptviewer.checkpoint.text import printable
from ckptviewer.runs.entry import CheckpointEntry
from ckptviewer.ui.models.run_rows import TITLES, RunColumn, RunRowsModel, time_text
from ckptviewer.ui.panels.padded_cells import PaddedCells

_WIDTHS = {RunColumn.STEP: 72, RunColumn.SAVED: 108, RunColumn.SIZE: 76, RunColumn.STATE: 86}
_NARROW = _WIDTHS | {RunColumn.STEP: 54, RunColumn.STATE: 74}
_LEAST_NAME, _SCROLL_BAR = 84, 14


class RunTable(QTableView):
    """Shows the checkpoints by step; those that are selected stay so when others come and go.

    open_wanted: a checkpoint's path. compare_wanted: the paths of two, the older one first.
    window_wanted: a path, for a window of its own. clean_up_wanted, average_wanted: it is to be
    asked which.
    """

    open_wanted = Signal(str)
    compare_wanted = Signal(str, str)
    window_wanted = Signal(str)
    clean_up_wanted = Signal()
    average_wanted = Signal()

    def __init__(self, rows: RunRowsModel) -> None:
        super().__init__()
        self._rows = rows
        self._has_metric = False
        self.setModel(rows)
        self.setAccessibleName("Checkpoints of the run")
        self.setMinimumWidth(sum(_NARROW.values()) + _LEAST_NAME + _SCROLL_BAR)
        self.setItemDelegate(PaddedCells(self))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(26)
        self._lay_out_columns()
        self.actions_of_run = self._make_actions()
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._offer_actions)
        self.selectionModel().selectionChanged.connect(lambda *_: self._enable())
        self.doubleClicked.connect(lambda _index: self.open_selected())
        for keys, do in (
            (QKeySequence(QKeySequence.StandardKey.Copy), self.copy_rows),
            (QKeySequence(Qt.Key.Key_Return), self.open_selected),
        ):
            shortcut = QShortcut(keys, self, do)
            shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
        self._enable()

    def show_entries(self, entries: Sequence[CheckpointEntry]) -> None:
        """Show these checkpoints; where the last one was in sight, it is so again."""
        bar = self.verticalScrollBar()
        at_end = bar.value() >= bar.maximum()
        self._rows.show_entries(entries)
        if at_end:
            self.scrollToBottom()
        has_metric = any(entry.metrics for entry in entries)
        if has_metric != self._has_metric:
            self._has_metric = has_metric
            self.setColumnHidden(RunColumn.METRIC, not has_metric)
            self._fit_names()
        self._enable()

    def show_checkpoint(self, name: str) -> None:
        """Select a checkpoint, and bring it into sight."""
        row = self._rows.row_of(name)
        if row is not None:
            index, flags = self._rows.index(row, 0), QItemSelectionModel.SelectionFlag
            self.selectionModel().setCurrentIndex(index, flags.ClearAndSelect | flags.Rows)
            self.scrollTo(index)

    def selected(self) -> list[CheckpointEntry]:
        """The checkpoints that are selected, by step."""
        rows = sorted(index.row() for index in self.selectionModel().selectedRows())
        return [self._rows.entries[row] for row in rows]

    def open_selected(self) -> None:
        """Open the checkpoint that is selected."""
        entries = self.selected()
        if len(entries) == 1:
            self.open_wanted.emit(entries[0].opens_by)

    def compare_selected(self) -> None:
        """Compare the two that are selected."""
        entries = self.selected()
        if len(entries) == 2:
            self.compare_wanted.emit(entries[0].opens_by, entries[1].opens_by)

    def copy_rows(self) -> None:
        """Put the selected rows on the clipboard as tab-separated values, with a header."""
        lines = ["\t".join(("step", "name", "saved_at", "size_bytes", "metrics", "condition"))]
        for entry in self.selected():
            metrics = " ".join(f"{label}={value!r}" for label, value in entry.metrics.items())
            step = "" if entry.step is None else str(entry.step)
            saved = time_text(entry.saved_at, "%Y-%m-%d %H:%M:%S")
            cells = (step, printable(entry.name), saved, str(entry.size_bytes), metrics)
            lines.append("\t".join((*cells, str(entry.condition))))
        QGuiApplication.clipboard().setText("\n".join(lines) + "\n")

    def _copy_paths(self) -> None:
        QGuiApplication.clipboard().setText("\n".join(entry.path for entry in self.selected()))

    def _open_window(self) -> None:
        for entry in self.selected()[:1]:
            self.window_wanted.emit(entry.opens_by)

    def _make_actions(self) -> list[QAction]:
        made = []
        for text, tip, do in (
            ("&Open", "Open the selected checkpoint", self.open_selected),
            ("Co&mpare", "Compare the two selected checkpoints", self.compare_selected),
            (
                "C&lean up\u2026",
                "Remove checkpoints that are not needed",
                self.clean_up_wanted.emit,
            ),
            ("&Average\u2026", "Write the mean of several checkpoints", self.average_wanted.emit),
            ("Open in another &window", "", self._open_window),
            ("Copy &paths", "", self._copy_paths),
        ):
            action = QAction(text, self)
            action.setIconText(text.replace("&", ""))  # with its dots, which say that it asks
            action.setToolTip(tip or text.replace("&", ""))
            action.triggered.connect(lambda _checked=False, do=do: do())
            made.append(action)
        return made

    def _enable(self) -> None:
        count = len(self.selected())
        entries = self._rows.entries
        open_, compare, clean_up, average, window, copy = self.actions_of_run
        for action, enabled in (
            (open_, count == 1),
            (compare, count == 2),
            (clean_up, len(entries) > 0),
            (average, sum(entry.sound for entry in entries) > 1),
            (window, count == 1),
            (copy, count > 0),
        ):
            action.setEnabled(enabled)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fit_names()
        super().resizeEvent(event)

    def _fit_names(self) -> None:
        """Names can be read in a narrow table, too: others give way as long as nobody chose."""
        header = self.horizontalHeader()
        room = self.viewport().width()
        is_narrow = room < sum(_WIDTHS.values()) + _LEAST_NAME
        before, now = (_WIDTHS, _NARROW) if is_narrow else (_NARROW, _WIDTHS)
        for column, width in before.items():
            if header.sectionSize(column) == width:
                header.resizeSection(column, now[column])
        others = sum(
            header.sectionSize(column) for column in RunColumn if column is not RunColumn.NAME
        )
        fits = room - others >= _LEAST_NAME
        modes = QHeaderView.ResizeMode
        header.setSectionResizeMode(RunColumn.NAME, modes.Stretch if fits else modes.Interactive)
        if not fits:
            header.resizeSection(RunColumn.NAME, _LEAST_NAME)

    def _lay_out_columns(self) -> None:
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setStretchLastSection(False)
        for column in RunColumn:
            if column in _WIDTHS:
                header.resizeSection(column, _WIDTHS[column])
        header.setSectionResizeMode(RunColumn.NAME, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(RunColumn.METRIC, QHeaderView.ResizeMode.ResizeToContents)
        self.setColumnHidden(RunColumn.METRIC, True)
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(self._offer_columns)

    def _offer_actions(self, at: QPoint) -> None:
        menu = QMenu(self)
        menu.addActions(self.actions_of_run)
        menu.exec(self.viewport().mapToGlobal(at))

    def _offer_columns(self, at: QPoint) -> None:
        menu = QMenu(self)
        for column in RunColumn:
            if column is not RunColumn.NAME:
                action = menu.addAction(TITLES[column])
                action.setCheckable(True)
                action.setChecked(not self.isColumnHidden(column))
                action.toggled.connect(
                    lambda shown, column=column: self.setColumnHidden(column, not shown)
                )
        menu.exec(self.horizontalHeader().mapToGlobal(at))
