"""The page of a run: its checkpoints to the left, how the variables moved to the right."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QAction, QColor, QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMenu,
    QSplitter,
    QTableView,
    QTabWidget,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.text import plural, printable, size_text
from ckptviewer.runs.entry import CheckpointEntry, Run
from ckptviewer.runs.watch import Changes
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Jobs, error_text
from ckptviewer.ui.models.run_rows import TITLES, RunColumn, RunRowsModel, time_text
from ckptviewer.ui.open_run import Known
from ckptviewer.ui.panels.padded_cells import PaddedCells
from ckptviewer.ui.panels.run_heat_map import Cell, RunHeatMap
from ckptviewer.ui.panels.run_shades import HeatLegend
from ckptviewer.ui.panels.timeline_panel import HEAT_MEASURE, MEASURES, TimelinePanel
from ckptviewer.ui.panels.view import View
from ckptviewer.ui.panels.widgets import (
    SEVERITY_MARKS,
    ChoiceButton,
    ElidedLabel,
    FindingCard,
    clear_layout,
    name_tabs,
    wrapped_label,
)
from ckptviewer.ui.plain_text import as_plain
from ckptviewer.ui.running import Running

_WIDTHS = {RunColumn.STEP: 72, RunColumn.SAVED: 108, RunColumn.SIZE: 76, RunColumn.STATE: 86}
_MOST_FINDINGS = 500
_ORDER = (Severity.ERROR, Severity.WARNING, Severity.INFO)


class RunView(View):
    """Shows a run, and follows it while training goes on.

    complete: all numbers of the timeline are there. open_wanted: a checkpoint's path.
    compare_wanted: the paths of two, the older one first. window_wanted: a path, for a window of
    its own.
    """

    complete = Signal()
    open_wanted = Signal(str)
    compare_wanted = Signal(str, str)
    window_wanted = Signal(str)
    filter_hint = "Filter: words, role:weight, size>1M"
    menu_title = "&Run"

    def __init__(self, jobs: Jobs, appearance: Appearance, directory: str) -> None:
        super().__init__()
        self._jobs = jobs
        self._appearance = appearance
        self.directory = directory
        self.run: Run | None = None
        self.running = Running(jobs, directory)
        self.findings: tuple[Finding, ...] = ()
        self._of_timeline: tuple[Finding, ...] = ()
        self._matches: frozenset[int] | None = None
        self._filter = ""
        self._known: Known | None = None
        self._has_metric = False
        self._findings_theme = ""
        self._down = 0
        self.wanted_variable = ""  # the key of the one whose cell was clicked last
        self.model = RunRowsModel(appearance)
        self.table = self._make_table()
        self.latest = ElidedLabel()
        self.reason = wrapped_label("", "muted")
        self.writing = wrapped_label("", "muted")
        self.writing.hide()
        self.finding_list = self._make_finding_list()
        self._card = QVBoxLayout()
        self.finding_title = QLabel("Findings")
        self.finding_title.setObjectName("section")
        self.timeline = TimelinePanel(jobs, appearance, self.running)
        self.heat_map = RunHeatMap(appearance)
        self.heat_measure = ChoiceButton("Colour by", list(MEASURES), HEAT_MEASURE)
        self.legend = HeatLegend(appearance)
        self.tabs = QTabWidget()
        name_tabs(self.tabs, "Timeline and heat map")
        self._go_on = QToolButton()
        self._actions = self._make_actions()
        self._tools = self._make_tools()
        self._lay_out()
        self._connect()
        self._show_heat_measure(self.heat_measure.choice)
        self._enable()
        self.running.start()

    # As a view.

    def title(self) -> str:
        return f"{os.path.basename(os.path.abspath(self.directory))} (training run)"

    def tools(self) -> Sequence[QWidget]:
        return self._tools

    def fill_menu(self, menu: QMenu) -> None:
        menu.addActions(self._actions)
        menu.addSeparator()
        for text, kind in (("Save the plot\u2026", "png"), ("Save its numbers\u2026", "csv")):
            save = menu.addAction(text)
            save.triggered.connect(lambda _=False, kind=kind: self.timeline.save(kind))

    def apply_filter(self, text: str) -> None:
        self._filter = text
        if self._known is not None:
            self._matches = self._known.rows_matching(text)
            self.timeline.set_matches(self._matches)
            self.heat_map.set_matches(self._matches)

    def select_variable(self, key: str) -> bool:
        if self._known is None:
            return False
        wanted = next((v.key for v in self._known.variables if key in (v.key, v.name)), None)
        if wanted is None or not self.timeline.choose([wanted]):
            return False
        self.tabs.setCurrentWidget(self.timeline)
        return True

    def enter(self) -> None:
        self.table.setFocus()

    def reload(self) -> None:
        self.running.look()
        self.running.follow()

    def leave(self) -> None:
        self.running.stop()

    def state(self) -> dict[str, Any]:
        """What is chosen here, to be chosen again when the run is shown again."""
        return {
            "tab": self.tabs.currentIndex(),
            "measure": self.timeline.measure.choice,
            "log": self.timeline.log_y.isChecked(),
            "chosen": list(self.timeline.chosen),
            "heat": self.heat_measure.choice,
            "down": self.heat_map.verticalScrollBar().value(),
        }

    def take_state(self, state: dict[str, Any]) -> None:
        """Choose what was chosen before."""
        self.tabs.setCurrentIndex(state["tab"])
        self.timeline.measure.choose(state["measure"])
        self.timeline.log_y.setChecked(state["log"])
        self.timeline.chosen = list(state["chosen"])
        self.heat_measure.choose(state["heat"])
        self._down = state["down"]

    # What can be done with it.

    def selected(self) -> list[CheckpointEntry]:
        """The checkpoints that are selected, by step."""
        rows = sorted(index.row() for index in self.table.selectionModel().selectedRows())
        return [self.model.entries[row] for row in rows]

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

    def clean_up(self) -> None:
        """Ask which checkpoints may go."""
        from ckptviewer.ui.dialogs.clean_up_dialog import CleanUpDialog

        if self.run is not None:
            dialog = CleanUpDialog(self.run, self._jobs, self._appearance, self)
            dialog.removed.connect(self.running.look)
            dialog.removed.connect(self.told)
            dialog.open()

    def average(self) -> None:
        """Ask which checkpoints to average: those that are selected, unless others are ticked."""
        from ckptviewer.ui.dialogs.average_dialog import AverageDialog

        if self.run is not None:
            names = {entry.name for entry in self.selected()}
            dialog = AverageDialog(self.run, names, self._jobs, self._appearance, self)
            dialog.open_wanted.connect(self.open_wanted)
            dialog.open()

    def show_checkpoint(self, name: str) -> None:
        """Select a checkpoint in the table."""
        row = self.model.row_of(name)
        if row is not None:
            self.table.selectRow(row)
            self.table.scrollTo(self.model.index(row, 0))

    # How it goes on.

    def _take_changes(self, changes: Changes) -> None:
        first = not self.model.entries
        self.run = changes.run
        bar = self.table.verticalScrollBar()
        at_end = bar.value() >= bar.maximum()
        self.model.show_entries(changes.run.checkpoints)
        if at_end:
            self.table.scrollToBottom()
        has_metric = any(entry.metrics for entry in changes.run.checkpoints)
        if has_metric != self._has_metric:
            self._has_metric = has_metric
            self.table.setColumnHidden(RunColumn.METRIC, not has_metric)
        if first:
            self.show_checkpoint(self._first_shown(changes.run))
        elif changes.appeared or changes.vanished:
            self.told.emit(_news(changes))
        self._show_latest(changes.run)
        writing = ", ".join(changes.unsettled[:3])
        self.writing.setText(f"\u2026 {writing} is being written" if writing else "")
        self.writing.setVisible(bool(writing))
        if not changes.run.checkpoints and not writing:
            self.timeline.say("There is no checkpoint in this directory.")
        self._show_findings()
        self._enable()

    def _first_shown(self, run: Run) -> str:
        entry = run.named_latest or run.newest
        return entry.name if entry is not None else ""

    def _show_latest(self, run: Run) -> None:
        text = "None" if run.latest is None else run.latest
        self.latest.show_text(f"tf.train.latest_checkpoint \u2192 {text}")
        count = plural(len(run.checkpoints), "checkpoint")
        total = size_text(sum(entry.size_bytes for entry in run.checkpoints))
        self.reason.setText(f"{run.latest_reason}  {count}, {total}.")

    def _take_known(self, known: Known) -> None:
        self._known = known
        self._matches = known.rows_matching(self._filter)
        self.timeline.show_known(known, self._matches)
        self.heat_map.show_known(known, self._matches)
        if self._down:
            self.heat_map.verticalScrollBar().setValue(self._down)
            self._down = 0
        self._prefer()

    def _learn(self) -> None:
        self.timeline.refresh()
        self.heat_map.viewport().update()

    def _finish(self, findings: Sequence[Finding]) -> None:
        self._of_timeline = tuple(findings)
        self._show_findings()
        self.timeline.draw()
        self.heat_map.viewport().update()
        self._go_on.hide()
        if self._known is not None and not self._known.variables:
            self.timeline.say("No variable could be read from these checkpoints.")
        self.complete.emit()

    def _pause(self) -> None:
        self._go_on.show()

    def _resume(self) -> None:
        self._go_on.hide()
        self.running.follow()

    def _show_failure(self, error: BaseException) -> None:
        what, where, remedy = error_text(error)
        self.timeline.say("\n".join(filter(None, (what, where, remedy))))
        self._go_on.show()

    def _prefer(self) -> None:
        known = self._known
        if known is None:
            return
        rows = set(self.heat_map.rows_in_sight())
        for choice in known.choices:
            if choice.name in self.timeline.chosen:
                rows.update(choice.rows)
        self.running.prefer(frozenset(known.keys[row] for row in rows))

    def _compare_cell(self, cell: Cell) -> None:
        known = self._known
        if known is None:
            return
        entries = known.table.entries
        self.show_checkpoint(entries[cell.column].name)
        before = next((at for at in range(cell.column - 1, -1, -1) if entries[at].sound), None)
        if before is None or not entries[cell.column].sound:
            self.told.emit("There is no checkpoint before it to compare with.")
            return
        self.wanted_variable = known.keys[self.heat_map.rows[cell.line]]
        self.compare_wanted.emit(entries[before].opens_by, entries[cell.column].opens_by)

    def _show_heat_measure(self, choice: str) -> None:
        self.heat_map.show_series(MEASURES[choice])
        self.legend.show_series(MEASURES[choice])

    def _show_findings(self) -> None:
        of_run = self.run.findings if self.run is not None else ()
        found = sorted((*of_run, *self._of_timeline), key=lambda f: _ORDER.index(f.severity))
        if self.findings == tuple(found) and self._findings_theme == self._appearance.theme.name:
            return
        self.findings = tuple(found)
        self._findings_theme = self._appearance.theme.name
        theme = self._appearance.theme
        colours = {
            Severity.ERROR: theme.error,
            Severity.WARNING: theme.warning,
            Severity.INFO: theme.accent,
        }
        self.finding_list.clear()
        for finding in self.findings[:_MOST_FINDINGS]:
            item = QTreeWidgetItem([SEVERITY_MARKS[finding.severity], finding.message])
            item.setData(0, Qt.ItemDataRole.UserRole, finding)
            item.setToolTip(1, as_plain(f"{finding.message}\n{finding.remedy}"))
            item.setForeground(0, QColor(colours[finding.severity]))
            item.setData(
                1, Qt.ItemDataRole.AccessibleTextRole, f"{finding.severity}: {finding.message}"
            )
            self.finding_list.addTopLevelItem(item)
        self.finding_title.setText(
            f"Findings  {len(self.findings)}" if self.findings else "No findings so far"
        )
        self.finding_list.setVisible(bool(self.findings))

    def _go_to_finding(self, item: QTreeWidgetItem | None) -> None:
        finding = None if item is None else item.data(0, Qt.ItemDataRole.UserRole)
        clear_layout(self._card)
        if finding is None:
            return
        self._card.addWidget(FindingCard(finding, self._appearance))
        if finding.variable:
            self.select_variable(finding.variable)

    def _enable(self) -> None:
        count = len(self.selected())
        run = self.run
        sound = [entry for entry in run.checkpoints if entry.sound] if run is not None else []
        open_, compare, clean_up, average, window, copy = self._actions
        for action, enabled in (
            (open_, count == 1),
            (compare, count == 2),
            (clean_up, run is not None and len(run.checkpoints) > 0),
            (average, len(sound) > 1),
            (window, count == 1),
            (copy, count > 0),
        ):
            action.setEnabled(enabled)

    # How it is made.

    def _connect(self) -> None:
        self.running.changed.connect(self._take_changes)
        self.running.listed.connect(self._take_known)
        self.running.learned.connect(self._learn)
        self.running.told.connect(self._finish)
        self.running.paused.connect(self._pause)
        self.running.failed.connect(self._show_failure)
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._enable())
        self.table.doubleClicked.connect(lambda _index: self.open_selected())
        for keys, do in (
            (QKeySequence(QKeySequence.StandardKey.Copy), self.copy_rows),
            (QKeySequence(Qt.Key.Key_Return), self.open_selected),
        ):
            shortcut = QShortcut(keys, self.table, do)
            shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
        self.timeline.pointed.connect(self.show_checkpoint)
        self.timeline.told.connect(self.told)
        self.heat_measure.chosen.connect(self._show_heat_measure)
        self.heat_map.chosen.connect(self._compare_cell)
        self.heat_map.scrolled.connect(self._prefer)
        self.finding_list.currentItemChanged.connect(lambda item, _: self._go_to_finding(item))
        self._go_on.clicked.connect(self._resume)
        self._appearance.changed.connect(self._show_findings)

    def _make_actions(self) -> list[QAction]:
        made = []
        for text, keys, tip, do in (
            ("&Open", "", "Open the selected checkpoint", self.open_selected),
            ("Co&mpare", "", "Compare the two selected checkpoints", self.compare_selected),
            ("C&lean up\u2026", "", "Remove checkpoints that are not needed", self.clean_up),
            ("&Average\u2026", "", "Write the mean of several checkpoints", self.average),
            ("Open in another &window", "", "", self._open_window),
            ("Copy &paths", "", "", self._copy_paths),
        ):
            action = QAction(text, self)
            action.setIconText(text.replace("&", ""))  # with its dots, which say that it asks
            action.setToolTip(tip or text.replace("&", ""))
            if keys:
                action.setShortcut(keys)
            action.triggered.connect(lambda _checked=False, do=do: do())
            made.append(action)
        return made

    def _open_window(self) -> None:
        for entry in self.selected()[:1]:
            self.window_wanted.emit(entry.opens_by)

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

    def _make_tools(self) -> list[QWidget]:
        tools: list[QWidget] = []
        for action in self._actions[:4]:
            button = QToolButton()
            button.setDefaultAction(action)
            button.setAccessibleName(action.toolTip())
            tools.append(button)
        return tools

    def _make_table(self) -> QTableView:
        table = QTableView()
        table.setModel(self.model)
        table.setAccessibleName("Checkpoints of the run")
        table.setItemDelegate(PaddedCells(table))
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        table.setTabKeyNavigation(False)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(26)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setStretchLastSection(False)
        for column in RunColumn:
            if column in _WIDTHS:
                header.resizeSection(column, _WIDTHS[column])
        header.setSectionResizeMode(RunColumn.NAME, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(RunColumn.METRIC, QHeaderView.ResizeMode.ResizeToContents)
        table.setColumnHidden(RunColumn.METRIC, True)
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(self._offer_columns)
        table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        table.customContextMenuRequested.connect(self._offer_actions)
        return table

    def _offer_actions(self, at: QPoint) -> None:
        menu = QMenu(self)
        menu.addActions(self._actions)
        menu.exec(self.table.viewport().mapToGlobal(at))

    def _offer_columns(self, at: QPoint) -> None:
        menu = QMenu(self)
        for column in RunColumn:
            if column is not RunColumn.NAME:
                action = menu.addAction(TITLES[column])
                action.setCheckable(True)
                action.setChecked(not self.table.isColumnHidden(column))
                action.toggled.connect(
                    lambda shown, column=column: self.table.setColumnHidden(column, not shown)
                )
        menu.exec(self.table.horizontalHeader().mapToGlobal(at))

    def _make_finding_list(self) -> QTreeWidget:
        made = QTreeWidget()
        made.setAccessibleName("Findings")
        made.setHeaderHidden(True)
        made.setColumnCount(2)
        made.setRootIsDecorated(False)
        made.setUniformRowHeights(True)
        made.setTextElideMode(Qt.TextElideMode.ElideRight)
        made.header().setStretchLastSection(True)
        made.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Fixed)
        made.setColumnWidth(0, 30)
        made.hide()
        return made

    def _lay_out(self) -> None:
        strip = QWidget()
        strip.setObjectName("strip")
        strip.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        head = QVBoxLayout(strip)
        head.setContentsMargins(14, 8, 14, 8)
        head.setSpacing(2)
        self.latest.setObjectName("title")
        head.addWidget(self.latest)
        head.addWidget(self.reason)
        below = QWidget()
        below.setObjectName("page")
        rest = QVBoxLayout(below)
        rest.setContentsMargins(10, 8, 6, 6)
        rest.setSpacing(4)
        rest.addWidget(self.writing)
        rest.addWidget(self.finding_title)
        rest.addWidget(self.finding_list, 1)
        rest.addLayout(self._card)
        left = QSplitter(Qt.Orientation.Vertical)
        left.setHandleWidth(1)
        left.setChildrenCollapsible(False)
        left.addWidget(self.table)
        left.addWidget(below)
        left.setStretchFactor(0, 1)
        left.setSizes([440, 220])
        self._go_on.setText("Go on reading")
        self._go_on.setToolTip("The timeline was stopped before all variables were read")
        self._go_on.hide()
        heat = QWidget()
        row = QHBoxLayout()
        row.setContentsMargins(8, 5, 8, 5)
        row.addWidget(self.heat_measure)
        row.addWidget(self.legend, 1)
        column = QVBoxLayout(heat)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(row)
        column.addWidget(self.heat_map, 1)
        self.heat_page = heat
        self.tabs.addTab(self.timeline, "Timeline")
        self.tabs.addTab(heat, "Heat map")
        self.tabs.setCornerWidget(self._go_on)
        self.tabs.setDocumentMode(True)
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setHandleWidth(1)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(left)
        splitter.addWidget(self.tabs)
        splitter.setStretchFactor(0, 36)
        splitter.setStretchFactor(1, 64)
        splitter.setSizes([480, 800])
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(strip)
        whole.addWidget(splitter, 1)


def _news(changes: Changes) -> str:
    parts = []
    if changes.appeared:
        parts.append(f"{plural(len(changes.appeared), 'new checkpoint')}")
    if changes.vanished:
        parts.append(f"{len(changes.vanished)} removed")
    return ", ".join(parts)
