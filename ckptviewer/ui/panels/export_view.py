"""The page of an export: the tree with its ticks to the left, the options to the right."""

from __future__ import annotations

import os
from dataclasses import replace

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QInputDialog, QMenu, QSplitter, QVBoxLayout

from ckptviewer.checkpoint.errors import NameCollisionError, TargetExistsError
from ckptviewer.checkpoint.text import count_text, elide_middle, plural
from ckptviewer.checkpoint.tree import Item
from ckptviewer.export.choices import Preset
from ckptviewer.export.command import pair_rule
from ckptviewer.export.plan import Kept
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.exporting import Done, Exporting
from ckptviewer.ui.jobs import Jobs
from ckptviewer.ui.panels.export_side import ExportSide
from ckptviewer.ui.panels.export_target import problem_text
from ckptviewer.ui.panels.export_tree import ExportTree
from ckptviewer.ui.panels.view import View
from ckptviewer.ui.planned import Planned, Tick, rows_of
from ckptviewer.ui.planning import Planning
from ckptviewer.ui.predicting import Predicting
from ckptviewer.ui.proposals import proposed_choices
from ckptviewer.ui.session import Session
from ckptviewer.ui.settings import Settings


class ExportView(View):
    """Puts an export of the window's checkpoint together, carries it out, and tells of it.

    open_wanted, compare_wanted, validate_wanted: path of what was written. reopen_wanted: the
    source is to be read again. exported: a Done. failed: in words.
    """

    open_wanted = Signal(str)
    compare_wanted = Signal(str)
    validate_wanted = Signal(str)
    reopen_wanted = Signal()
    exported = Signal(object)
    failed = Signal(str)
    filter_hint = "Filter: words, role:weight, size>1M"
    menu_title = "E&xport"

    def __init__(
        self, jobs: Jobs, appearance: Appearance, session: Session, settings: Settings
    ) -> None:
        """session: the window's, which stays its own. settings: remember the interpreter."""
        super().__init__()
        self._jobs, self._session = jobs, session
        self._last_tick: Tick | None = None
        self._is_wanted = False
        choices = proposed_choices(session.checkpoint)
        self.planning = Planning(jobs, session, choices)
        self.predicting = Predicting(jobs, session)
        self.exporting = Exporting(jobs, session)
        self._tree = ExportTree(jobs, appearance, session)
        self.strip, self.table = self._tree.strip, self._tree.table
        self.model = self._tree.model
        self._side = ExportSide(jobs, appearance, session, settings, choices)
        self.balance, self.options = self._side.balance, self._side.options
        self.target, self.result = self._side.target, self._side.result
        self._lay_out()
        self.strip.name.setText(self.title())
        self._connect()
        appearance.changed.connect(self._dress)
        self.planning.choose(choices)

    # As a view.

    def title(self) -> str:
        done = self.result.done
        if done is not None and self._side.is_result_shown:
            return f"Exported {os.path.basename(done.receipt.destination)}"
        return f"Export {os.path.basename(self._session.checkpoint.path.rstrip('/'))}"

    def fill_menu(self, menu: QMenu) -> None:
        for text, shortcut, do in (
            ("&Export", "Ctrl+Return", self.export),
            ("&Toggle the selected", "", self.table.toggle_selected),
            ("&Rename the selected\u2026", "F2", self.ask_for_name),
            ("&Keep what is shown", "", lambda: self._tree.tick_shown(True)),
            ("&Drop what is shown", "", lambda: self._tree.tick_shown(False)),
            ("Undo own t&icks", "", self._forget_ticks),
            ("C&heck that TensorFlow restores it", "", self.check_restore),
            ("Copy ro&ws", "", self.table.copy_rows),
            ("E&xpand groups", "", self.table.expand_all),
            ("&Collapse groups", "", self.table.collapse_all),
        ):
            action = menu.addAction(text)
            if shortcut:
                action.setShortcut(QKeySequence(shortcut))
            action.triggered.connect(lambda _checked=False, do=do: do())

    def apply_filter(self, text: str) -> None:
        self._tree.apply_filter(text)

    def select_variable(self, key: str) -> bool:
        return self._tree.select_variable(key)

    def enter(self) -> None:
        if self._side.is_result_shown:
            self.result.setFocus()
        else:
            self.table.enter()

    def reload(self) -> None:
        if not self.exporting.is_running:
            self.reopen_wanted.emit()

    def leave(self) -> None:
        if self.exporting.is_running:
            self.told.emit("The export was cancelled.")
        self.exporting.stop()
        self.planning.stop()
        self.predicting.stop()
        self.target.stop()
        self.result.check.stop()
        self._tree.stop()

    # What can be done with it.

    def start_from(self, items: list[Item]) -> None:
        """Take these as what `selected` means, until others are selected here."""
        self._tree.start_from(items)

    def export(self) -> None:
        """Write what is planned, once it is, unless something has to be said first."""
        if self._side.is_result_shown or self.exporting.is_running:
            return
        self.options.finish_typing()
        self.target.finish_typing()
        planned = self.planning.current
        problem = self._problem()
        if problem:
            self.target.show_problem(problem)
            return
        self._is_wanted = not (self.planning.is_settled and self.target.is_settled)
        target = self.target.target
        if planned is None or target is None or self._is_wanted:
            return
        overwrite = bool(target.files) and self.target.overwrite.isChecked()
        if target.files and not overwrite:
            self.target.refuse_overwriting()
            return
        self._show_running(True)
        self.exporting.start(planned, target.path, overwrite=overwrite)

    def ask_for_name(self) -> None:
        """Ask how the selected variable is to be called, and rename it by a rule of its own."""
        items = self.table.selected_items()
        if len(items) != 1 or not isinstance(items[0], int) or self.model.is_locked:
            self.told.emit("Select one variable to rename it.")
            return
        key = self._session.tree.variables[items[0]].key
        kept = self.model.kept(items[0])
        dialog = QInputDialog(self)
        dialog.setWindowTitle("Rename")
        dialog.setLabelText(f"Write {elide_middle(key, 60)} as")
        dialog.setTextValue(kept.key_written if kept is not None else key)
        dialog.resize(560, dialog.sizeHint().height())
        dialog.textValueSelected.connect(lambda text: self.rename(key, text))
        dialog.open()

    def rename(self, key: str, new_key: str) -> None:
        """Write one variable under another key."""
        if new_key and new_key != key:
            self.options.add_rule(pair_rule(key, new_key))

    def cancel(self) -> None:
        """Stop the export that is under way."""
        if self.exporting.is_running:
            self.target.show_cancelling()
            self.exporting.cancel()

    def check_restore(self) -> None:
        """Have TensorFlow restore what was exported."""
        if self._side.is_result_shown:
            self.result.check.check()
        else:
            self.told.emit("Export it first: then TensorFlow can restore it.")

    # How it goes on.

    def _problem(self) -> str:
        """Why it cannot begin; empty where it can."""
        planned, target = self.planning.current, self.target.target
        if self.options.problem:
            return self.options.problem
        if not self.planning.is_settled or not self.target.is_settled:
            return ""  # whoever has to wait for the plan is asked when it is there
        if planned is None or target is None:
            return self.target.problem.said or "There is no plan that could be carried out."
        if not planned.plan.kept:
            return "Nothing is kept: tick at least one variable."
        if target.problem is not None:
            return problem_text(target.problem)
        if planned.plan.needs_confirmation and not self.options.confirm.isChecked():
            self.options.confirm.setFocus()
            return (
                "The file does not say of all variables whether they are trainable: tick above "
                "that roles decide."
            )
        return ""

    def _go_on(self) -> None:
        """What was waited for is there, perhaps."""
        if self._is_wanted and self.planning.is_settled and self.target.is_settled:
            self.export()

    def _plan_anew(self) -> None:
        self.planning.choose_but_ticks(self.options.choices())

    def _begin_from(self, preset: Preset) -> None:
        choices = self.options.choices()
        if preset is Preset.SELECTED:
            rows = rows_of(self._session.tree, self.table.selected_items())
            keys = (self._session.tree.variables[row].key for row in rows)
            choices = replace(choices, selected=frozenset(keys))
        self.options.confirm.setChecked(False)
        self._is_wanted = False
        self.planning.choose(choices)

    def _forget_ticks(self) -> None:
        self.planning.choose(self.options.choices())

    def _tick(self, tick: Tick) -> None:
        self._last_tick, self._is_wanted = tick, False
        self.planning.tick(tick)
        if not self.planning.is_settled and self.planning.current is not None:
            self._show_balance(self.planning.current)

    def _show_planned(self, planned: Planned) -> None:
        plan = planned.plan
        self.model.show_planned(planned)
        self.table.make_room_for_casts(bool(planned.casts))
        self._show_balance(planned)
        self.options.show_findings(plan.findings, needs_confirmation=plan.needs_confirmation)
        self.options.show_ticks(len(planned.choices.ticks))
        self.options.show_renamed(planned)
        self.target.show_choices(planned.choices)
        self.target.show_needed(planned.expected_bytes)
        self.target.show_problem("")
        self.target.button.setEnabled(bool(plan.kept))
        self.strip.facts.show_text(
            f"{count_text(len(plan.kept))} kept, {count_text(len(plan.dropped))} dropped"
        )
        self.predicting.predict(planned)
        self._tell_futile_tick(planned)
        self._go_on()

    def _show_balance(self, planned: Planned) -> None:
        """Show what a plan saves, with ticks that are not planned yet as far as they tell."""
        more, bytes_more = self.model.expected_change()
        after = max(0, planned.expected_bytes + bytes_more)
        count = len(self._session.checkpoint.variables)
        self.balance.show_bytes(planned.plan.bytes_before, after, len(planned.kept) + more, count)

    def _tell_futile_tick(self, planned: Planned) -> None:
        tick, self._last_tick = self._last_tick, None
        if tick is None or len(tick.items) != 1 or not isinstance(tick.items[0], int):
            return
        outcome = planned.outcomes[tick.items[0]]
        if isinstance(outcome, Kept) is not tick.wanted:
            state = "It is dropped" if tick.wanted else "It is kept"
            self.told.emit(f"{state} all the same: {outcome.reason}.")

    def _show_no_plan(self, error: BaseException) -> None:
        self._is_wanted = False
        self.balance.show_nothing()
        self.predicting.predict(None)
        self.target.button.setEnabled(False)
        self.model.lock(False)
        self.options.show_findings((), needs_confirmation=False)
        if isinstance(error, NameCollisionError) and self.options.rename.toPlainText().strip():
            self.options.show_rename_problem(problem_text(error))
        else:
            self.target.show_problem(problem_text(error))

    def _show_running(self, running: bool) -> None:
        self._tree.lock(running)
        self.options.setEnabled(not running)
        self.target.show_busy(running)

    def _show_done(self, done: Done) -> None:
        self._show_running(False)
        self.model.lock(True)
        self.result.show_done(done)
        self._side.show_result(True)
        self.strip.name.setText(self.title())
        self.retitled.emit()
        name = os.path.basename(done.receipt.destination)
        self.told.emit(f"Exported {plural(len(done.receipt.kept), 'variable')} to {name}")
        self.exporting.measure(done)
        self.exported.emit(done)

    def _show_failure(self, error: BaseException) -> None:
        self._show_running(False)
        self.target.look_again()
        if isinstance(error, TargetExistsError):  # it came to be there in this very moment
            self.target.show_problem("There is a checkpoint of this name now: look below.")
        else:
            self.target.show_problem(f"Nothing was written. {problem_text(error)}")
        self.failed.emit(self.target.problem.said)

    def _show_cancelled(self) -> None:
        self._show_running(False)
        self.target.look_again()
        self.target.problem.say("Cancelled; nothing was written.")  # as was wanted: no error

    def _change_again(self) -> None:
        self.result.check.stop()
        self.model.lock(False)
        self.target.look_again()
        self._side.show_result(False)
        self.strip.name.setText(self.title())
        self.retitled.emit()
        self.table.enter()

    def _dress(self) -> None:
        planned = self.planning.current
        if planned is not None:
            self._show_planned(planned)
        self.result.dress()

    # How it is made.

    def _connect(self) -> None:
        self.model.ticked.connect(self._tick)
        self.planning.planned.connect(self._show_planned)
        self.planning.failed.connect(self._show_no_plan)
        self.predicting.predicted.connect(self.options.prediction.show_outlook)
        self.predicting.progressed.connect(self.options.prediction.show_progress)
        self.predicting.failed.connect(
            lambda error: self.options.prediction.show_problem(problem_text(error))
        )
        self.options.changed.connect(self._plan_anew)
        self.options.preset_chosen.connect(self._begin_from)
        self.options.ticks_forgotten.connect(self._forget_ticks)
        self.options.confirm.toggled.connect(lambda _on: self.target.show_problem(""))
        self.options.prediction.read_wanted.connect(self.predicting.read_all)
        self.target.suffix_typed.connect(self.options.choose_format)
        self.target.export_wanted.connect(self.export)
        self.target.looked.connect(self._go_on)
        self.target.cancel_wanted.connect(self.cancel)
        self.exporting.progressed.connect(self.target.show_progress)
        self.exporting.done.connect(self._show_done)
        self.exporting.failed.connect(self._show_failure)
        self.exporting.cancelled.connect(self._show_cancelled)
        self.exporting.measured.connect(self.result.show_measured)
        self.exporting.saved.connect(lambda path: self.told.emit(f"Saved {path}"))
        self.exporting.not_saved.connect(
            lambda error: self.result.problem.say(problem_text(error), error=True)
        )
        self.result.open_wanted.connect(self.open_wanted)
        self.result.compare_wanted.connect(self.compare_wanted)
        self.result.validate_wanted.connect(self.validate_wanted)
        self.result.again_wanted.connect(self._change_again)
        self.result.told.connect(self.told)
        self.result.save_wanted.connect(self.exporting.save_receipt)
        self._tree.rename_wanted.connect(self.ask_for_name)

    def _lay_out(self) -> None:
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setHandleWidth(1)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(self._tree)
        splitter.addWidget(self._side)
        splitter.setStretchFactor(0, 63)
        splitter.setStretchFactor(1, 37)
        splitter.setSizes([820, 460])
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(splitter)
