"""The page of a run: its checkpoints to the left, how the variables moved to the right."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QHBoxLayout,
    QMenu,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.checkpoint.findings import Finding
from ckptviewer.checkpoint.text import plural, size_text
from ckptviewer.runs.entry import Run
from ckptviewer.runs.watch import Changes
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Jobs, error_text
from ckptviewer.ui.models.run_rows import RunRowsModel
from ckptviewer.ui.open_run import Known
from ckptviewer.ui.panels.buttons import ChoiceButton
from ckptviewer.ui.panels.run_findings import RunFindings
from ckptviewer.ui.panels.run_heat_map import Cell, RunHeatMap
from ckptviewer.ui.panels.run_shades import HeatLegend
from ckptviewer.ui.panels.run_table import RunTable
from ckptviewer.ui.panels.timeline_panel import HEAT_MEASURE, MEASURES, TimelinePanel
from ckptviewer.ui.panels.view import View
from ckptviewer.ui.panels.widgets import ElidedLabel, name_tabs, parted, wrapped_label
from ckptviewer.ui.running import Running


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
        self._of_timeline: tuple[Finding, ...] = ()
        self._matches: frozenset[int] | None = None
        self._filter = ""
        self._known: Known | None = None
        self._down = 0
        self.wanted_variable = ""  # the key of the one whose cell was clicked last
        self.model = RunRowsModel(appearance)
        self.table = RunTable(self.model)
        self.latest = ElidedLabel()
        self.reason = wrapped_label("", "muted")
        self.writing = wrapped_label("", "muted")
        self.writing.hide()
        self.findings = RunFindings(appearance)
        self.timeline = TimelinePanel(jobs, appearance, self.running)
        self.heat_map = RunHeatMap(appearance)
        self.heat_measure = ChoiceButton("Colour by", list(MEASURES), HEAT_MEASURE)
        self.legend = HeatLegend(appearance)
        self.tabs = QTabWidget()
        name_tabs(self.tabs, "Timeline and heat map")
        self._go_on = QToolButton()
        self._tools = self._make_tools()
        self._lay_out()
        self._connect()
        self._show_heat_measure(self.heat_measure.choice)
        self.running.start()

    # As a view.

    def title(self) -> str:
        return f"{os.path.basename(os.path.abspath(self.directory))} (training run)"

    def tools(self) -> Sequence[QWidget]:
        return self._tools

    def fill_menu(self, menu: QMenu) -> None:
        menu.addActions(self.table.actions_of_run)
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
            names = {entry.name for entry in self.table.selected()}
            dialog = AverageDialog(self.run, names, self._jobs, self._appearance, self)
            dialog.open_wanted.connect(self.open_wanted)
            dialog.open()

    # How it goes on.

    def _take_changes(self, changes: Changes) -> None:
        first = not self.model.entries
        self.run = changes.run
        self.table.show_entries(changes.run.checkpoints)
        if first:
            self.table.show_checkpoint(self._first_shown(changes.run))
        elif changes.appeared or changes.vanished:
            self.told.emit(_news(changes))
        self._show_latest(changes.run)
        writing = ", ".join(changes.unsettled[:3])
        self.writing.setText(f"\u2026 {writing} is being written" if writing else "")
        self.writing.setVisible(bool(writing))
        if not changes.run.checkpoints and not writing:
            self.timeline.say("There is no checkpoint in this directory.")
        self._show_findings()

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
        self.table.show_checkpoint(entries[cell.column].name)
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
        self.findings.show_findings((*of_run, *self._of_timeline))

    # How it is made.

    def _connect(self) -> None:
        self.running.changed.connect(self._take_changes)
        self.running.listed.connect(self._take_known)
        self.running.learned.connect(self._learn)
        self.running.told.connect(self._finish)
        self.running.paused.connect(self._pause)
        self.running.failed.connect(self._show_failure)
        self.table.open_wanted.connect(self.open_wanted)
        self.table.compare_wanted.connect(self.compare_wanted)
        self.table.window_wanted.connect(self.window_wanted)
        self.table.clean_up_wanted.connect(self.clean_up)
        self.table.average_wanted.connect(self.average)
        self.timeline.pointed.connect(self.table.show_checkpoint)
        self.timeline.told.connect(self.told)
        self.heat_measure.chosen.connect(self._show_heat_measure)
        self.heat_map.chosen.connect(self._compare_cell)
        self.heat_map.scrolled.connect(self._prefer)
        self.findings.chosen.connect(self.select_variable)
        self._go_on.clicked.connect(self._resume)

    def _make_tools(self) -> list[QWidget]:
        tools: list[QWidget] = []
        for action in self.table.actions_of_run[:4]:
            button = QToolButton()
            button.setDefaultAction(action)
            button.setAccessibleName(action.toolTip())
            tools.append(button)
        return tools

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
        rest.addWidget(self.findings, 1)
        left = parted(
            Qt.Orientation.Vertical,
            (self.table, 1, 440),
            (below, 0, 220),
        )
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
        splitter = parted(
            Qt.Orientation.Horizontal,
            (left, 36, 480),
            (self.tabs, 64, 800),
        )
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
