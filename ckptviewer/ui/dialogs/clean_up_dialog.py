"""Removing checkpoints of a run: the rules, and at once what would go, what stays, and why."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.checkpoint.text import count_text, plural, size_text
from ckptviewer.runs.entry import Run
from ckptviewer.runs.removal import Removal, execute_removal
from ckptviewer.runs.retention import Policy, RemovalPlan, plan_retention
from ckptviewer.runs.step_names import UNLABELLED
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Job, Jobs, Report, error_text
from ckptviewer.ui.panels.tick_box import TickBox
from ckptviewer.ui.panels.tick_delegate import TickDelegate
from ckptviewer.ui.panels.widgets import wrapped_label
from ckptviewer.ui.plain_text import as_plain

_SETTLE_MS = 120
_ROW_HEIGHT = 24
_MOST_KEPT = 1_000_000
_MOST_STEPS = 1_000_000_000
_DIRECTIONS = {"by its name": "", "the least": ":min", "the greatest": ":max"}


class CleanUpDialog(QDialog):
    """Asks what to keep, shows what would go, and removes it. removed: what was done, in words."""

    removed = Signal(str)

    def __init__(self, run: Run, jobs: Jobs, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Clean up the run")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(860, 620)
        self._run = run
        self._jobs = jobs
        self._appearance = appearance
        self.plan: RemovalPlan | None = None
        self._job: Job[Removal] | None = None
        self._is_asking = self._is_stale = self._is_gone = False
        self._make_rules()
        self.listing = self._make_listing()
        self.note = wrapped_label("", "section")
        self.problem = wrapped_label("", "error")
        self.problem.hide()
        self.for_good = TickBox("Remove for good, not to the trash", appearance)
        self.for_good.toggled.connect(lambda _on: self._show_plan())
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.hide()
        self.remove = QPushButton("Move to the trash")
        self.remove.setObjectName("primary")
        self.remove.setDefault(False)
        self.remove.setAutoDefault(False)
        self.remove.setEnabled(False)
        self.remove.clicked.connect(self.ask)
        self.close_button = QPushButton("Close")
        self.close_button.setAutoDefault(True)
        self.close_button.clicked.connect(self.reject)
        self._lay_out()
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self._preview)
        self._preview()

    # Rules.

    def policy(self) -> Policy:
        """What is to be kept, as the rules stand."""
        ticked = frozenset(
            item.data(0, Qt.ItemDataRole.UserRole)
            for item in self._items()
            if item.checkState(0) == Qt.CheckState.Checked
        )
        best = self.best_metric.currentText()
        best += _DIRECTIONS[self.best_direction.currentText()]
        return Policy(
            keep_last=self.last_count.value() if self.keep_last.isChecked() else None,
            keep_every=self.every_steps.value() if self.keep_every.isChecked() else None,
            keep_best=best if self.keep_best.isChecked() else None,
            keep_names=ticked,
        )

    def _make_rules(self) -> None:
        labels = sorted({name for entry in self._run.checkpoints for name in entry.metrics})
        has_steps = any(entry.step is not None for entry in self._run.checkpoints)
        self.keep_last = TickBox("Keep the last", self._appearance)
        self.last_count = _spin(1, _MOST_KEPT, 5, "Keep the last so many")
        self.keep_every = TickBox("Keep each whose step is a multiple of", self._appearance)
        self.every_steps = _spin(1, _MOST_STEPS, _usual_stride(self._run), "Keep every so many")
        self.keep_best = TickBox("Keep the best by", self._appearance)
        self.best_metric = QComboBox()
        self.best_metric.addItems(labels)
        self.best_metric.setAccessibleName("Metric in the names")
        self.best_direction = QComboBox()
        self.best_direction.addItems(list(_DIRECTIONS))
        self.best_direction.setAccessibleName("Which value is the best")
        if labels == [UNLABELLED]:
            self.best_direction.setCurrentText("the least")
        self.keep_last.setChecked(True)
        for widget in (self.keep_best, self.best_metric, self.best_direction):
            widget.setEnabled(bool(labels))
            if not labels:
                widget.setToolTip("No name has a metric, as weights.03-0.21.weights.h5 has.")
        self.every_steps.setEnabled(has_steps)
        self.keep_every.setEnabled(has_steps)
        if not has_steps:
            self.keep_every.setToolTip("No checkpoint tells its step.")
        for box in (self.keep_last, self.keep_every, self.keep_best):
            box.toggled.connect(lambda _on: self._settle.start())
        for spin in (self.last_count, self.every_steps):
            spin.valueChanged.connect(lambda _value: self._settle.start())
        for combo in (self.best_metric, self.best_direction):
            combo.currentTextChanged.connect(lambda _text: self._settle.start())

    def _make_listing(self) -> QTreeWidget:
        made = QTreeWidget()
        made.setAccessibleName("What stays and what goes")
        made.setHeaderLabels(["Keep", "Step", "Name", "Size", "", "Why"])
        made.setRootIsDecorated(False)
        made.setItemDelegateForColumn(0, TickDelegate(self._appearance, made))
        made.setUniformRowHeights(True)
        made.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for entry in self._run.checkpoints:
            step = "" if entry.step is None else count_text(entry.step)
            item = QTreeWidgetItem(["", step, entry.name, size_text(entry.size_bytes), "", ""])
            item.setData(0, Qt.ItemDataRole.UserRole, entry.name)
            item.setCheckState(0, Qt.CheckState.Unchecked)
            item.setSizeHint(0, QSize(0, _ROW_HEIGHT))
            item.setToolTip(0, "Keep this one, whatever the rules say")
            item.setToolTip(2, as_plain(entry.path))
            for column in (1, 3):
                item.setTextAlignment(column, right)
                item.setFont(column, self._appearance.text_font)
            made.addTopLevelItem(item)
        for column in (1, 3):
            made.headerItem().setTextAlignment(column, right)
        header = made.header()
        for column, width in ((0, 46), (1, 80), (3, 80), (4, 70)):
            header.resizeSection(column, width)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(5, QHeaderView.ResizeMode.Stretch)
        made.itemChanged.connect(lambda _item, column: column == 0 and self._settle.start())
        return made

    def _items(self) -> list[QTreeWidgetItem]:
        found = (self.listing.topLevelItem(at) for at in range(self.listing.topLevelItemCount()))
        return [item for item in found if item is not None]

    # Preview.

    def _preview(self) -> None:
        """Sizes are looked up on the disk, so it is done in a thread."""
        if self._is_asking:
            self._is_stale = True
            return
        self._is_asking, self._is_stale = True, False
        policy = self.policy()
        if not policy.says_anything:
            self._take(None)
            self._tell("Choose a rule, or tick what is to be kept; without one nothing goes.")
            return
        self._jobs.ask(partial(plan_retention, self._run, policy), self._take, self._refuse)

    def _take(self, plan: RemovalPlan | None) -> None:
        self._is_asking = False
        if self._is_gone:
            return
        if self._is_stale:
            self._preview()
            return
        self.plan = plan
        self.problem.hide()
        self._show_plan()

    def _refuse(self, error: BaseException) -> None:
        self._take(None)
        if not self._is_gone:
            self._tell(_sentence(error))

    def _tell(self, text: str) -> None:
        self.problem.setText(text)
        self.problem.show()

    def _show_plan(self) -> None:
        plan, theme = self.plan, self._appearance.theme
        going = {entry.name for entry in plan.removed} if plan is not None else set()
        reasons = {each.entry.name: each.reasons for each in plan.kept} if plan else {}
        self.listing.blockSignals(True)
        for item in self._items():
            name = item.data(0, Qt.ItemDataRole.UserRole)
            goes = name in going
            why = "; ".join(reasons.get(name, ()))
            item.setText(4, "\u2715 goes" if goes else "\u2713 stays")
            item.setForeground(4, QColor(theme.error if goes else theme.good))
            item.setText(5, why)
            item.setToolTip(5, as_plain(why))
            item.setForeground(5, QColor(theme.muted))
        self.listing.blockSignals(False)
        count = len(going)
        self.remove.setEnabled(bool(count) and self._job is None)
        where = "Remove for good\u2026" if self.for_good.isChecked() else "Move to the trash"
        self.remove.setText(f"{where} ({count})" if count else where)
        freed = plan.bytes_freed if plan is not None else 0
        stays = len(self._run.checkpoints) - count
        self.note.setText(
            f"{plural(count, 'checkpoint')} would go and free {size_text(freed)};"
            f" {count_text(stays)} would stay."
        )

    # Removal.

    def ask(self) -> None:
        """Remove what the preview shows; for good only after two questions."""
        plan = self.plan
        if plan is None or not plan.removed:
            return
        if self.for_good.isChecked() and not self._agreed(plan):
            return
        self.carry_out(plan, to_trash=not self.for_good.isChecked())

    def _agreed(self, plan: RemovalPlan) -> bool:
        count, freed = plural(len(plan.removed), "checkpoint"), size_text(plan.bytes_freed)
        return self._confirm(f"Remove {count} ({freed}) for good?") and self._confirm(
            f"They cannot be had back: {plan.removed[0].name} to {plan.removed[-1].name}. Really?"
        )

    def _confirm(self, question: str) -> bool:
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self, "Remove for good", question, buttons.Yes | buttons.Cancel, buttons.Cancel
        )
        return answer == buttons.Yes

    def carry_out(self, plan: RemovalPlan, *, to_trash: bool) -> None:
        """Remove what a plan says, in the background."""

        def work(cancel: CancelToken, report: Report) -> Removal:
            return execute_removal(plan, to_trash=to_trash, cancel=cancel, report=report)

        job = self._jobs.start("Removing checkpoints", work)
        self._job = job
        self.bar.setRange(0, max(1, len(plan.removed)))
        self.bar.show()
        self.remove.setEnabled(False)
        self.close_button.setText("Cancel")
        job.progressed.connect(self._show_progress)
        job.succeeded.connect(self._finish)
        job.failed.connect(self._fail)
        job.cancelled.connect(partial(self._end, "Cancelled; what had been removed by then is."))

    def reject(self) -> None:
        """Cancel what runs, or close."""
        if self._job is not None:
            self._job.cancel()
            return
        self._is_gone = True
        super().reject()

    def _show_progress(self, progress: Progress) -> None:
        self.bar.setValue(progress.done)

    def _finish(self, removal: Removal) -> None:
        where = "moved to the trash" if removal.to_trash else "removed for good"
        count, freed = plural(len(removal.removed), "checkpoint"), size_text(removal.bytes_freed)
        when = " once the trash is emptied" if removal.to_trash else ""
        self._job = None
        self._is_gone = True
        self.removed.emit(f"{count} {where}; {freed} freed{when}.")
        super().accept()

    def _fail(self, error: BaseException) -> None:
        self._end(_sentence(error))

    def _end(self, text: str) -> None:
        """Nothing, or not all, was removed: what is left is planned anew."""
        self._job = None
        self.bar.hide()
        self.close_button.setText("Close")
        self.removed.emit(text)
        self._jobs.ask(self._look_again, self._take_run)
        self._tell(text)

    def _look_again(self) -> Any:
        from ckptviewer.runs.run import find_run

        found = {entry.name for entry in find_run(self._run.path).checkpoints}
        stay = tuple(entry for entry in self._run.checkpoints if entry.name in found)
        return replace(self._run, checkpoints=stay)

    def _take_run(self, run: Run) -> None:
        if self._is_gone:
            return
        self._run = run
        names = {entry.name for entry in run.checkpoints}
        for item in self._items():
            if item.data(0, Qt.ItemDataRole.UserRole) not in names:
                self.listing.takeTopLevelItem(self.listing.indexOfTopLevelItem(item))
        text = self.problem.accessibleName()
        self._preview()
        self._tell(text)

    def _lay_out(self) -> None:
        rules = QGridLayout()
        rules.setHorizontalSpacing(10)
        rules.setVerticalSpacing(6)
        rules.addWidget(self.keep_last, 0, 0)
        rules.addWidget(self.last_count, 0, 1)
        rules.addWidget(self.keep_every, 1, 0)
        rules.addWidget(self.every_steps, 1, 1)
        rules.addWidget(self.keep_best, 2, 0)
        rules.addWidget(self.best_metric, 2, 1)
        rules.addWidget(self.best_direction, 2, 2)
        rules.setColumnStretch(3, 1)
        buttons = QHBoxLayout()
        buttons.addWidget(self.for_good)
        buttons.addStretch(1)
        buttons.addWidget(self.remove)
        buttons.addWidget(self.close_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(10)
        column.addWidget(
            wrapped_label(
                "All that any rule keeps stays. What model_checkpoint_path names, and what may be"
                " being saved, stays in any case; all files of a checkpoint go together.",
                "muted",
            )
        )
        column.addLayout(rules)
        column.addWidget(self.listing, 1)
        for widget in (self.note, self.problem, self.bar):
            column.addWidget(widget)
        column.addLayout(buttons)


def _spin(least: int, most: int, value: int, name: str) -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(least, most)
    spin.setValue(value)
    spin.setGroupSeparatorShown(True)
    spin.setObjectName("number")
    spin.setFixedWidth(110)
    spin.lineEdit().setTextMargins(6, 0, 0, 0)
    spin.setAccessibleName(name)
    return spin


def _usual_stride(run: Run) -> int:
    """Ten times the distance of two saves: a first proposal."""
    steps = [entry.step for entry in run.checkpoints if entry.step is not None]
    apart = sorted(b - a for a, b in pairwise(steps) if b > a)
    return 10 * apart[len(apart) // 2] if apart else 1000


def _sentence(error: BaseException) -> str:
    what, where, remedy = error_text(error)
    return " ".join(filter(None, (f"{where}: {what}." if where else f"{what}.", remedy)))
