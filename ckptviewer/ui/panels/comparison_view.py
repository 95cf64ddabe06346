"""The page of a comparison: the merged tree to the left, what is selected to the right."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QMenu, QStackedLayout, QWidget

from ckptviewer.analysis.comparison import ComparisonOptions
from ckptviewer.analysis.difference import Tolerance
from ckptviewer.analysis.saved_comparison import SavedComparison
from ckptviewer.analysis.thresholds import Thresholds
from ckptviewer.checkpoint.tree import Item
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.comparing import Comparing
from ckptviewer.ui.jobs import Job, Jobs, error_text
from ckptviewer.ui.measuring import Measuring
from ckptviewer.ui.open_comparison import OpenComparison
from ckptviewer.ui.panels.comparison_overview import ComparisonOverview
from ckptviewer.ui.panels.comparison_tools import ComparisonTools
from ckptviewer.ui.panels.comparison_tree import ComparisonTree
from ckptviewer.ui.panels.delta_panel import DeltaPanel
from ckptviewer.ui.panels.pages import OpeningPage, ProblemPage
from ckptviewer.ui.panels.view import View
from ckptviewer.ui.panels.widgets import parted
from ckptviewer.ui.reporting import Reporting
from ckptviewer.ui.session import Session, open_session


class ComparisonView(View):
    """Compares the checkpoint of a window (A) with another one (B).

    complete: all numbers are there. choose_wanted: another B is to be asked for.
    """

    complete = Signal()
    failed = Signal(str)
    choose_wanted = Signal()
    filter_hint = "Filter: words, status:changed, role:weight"
    menu_title = "&Compare"

    def __init__(
        self, jobs: Jobs, appearance: Appearance, own: Session, measuring: Measuring, path: str
    ) -> None:
        """own: the window's session, which stays its own. measuring: what measures that one."""
        super().__init__()
        self._jobs = jobs
        self._own, self._path = own, path
        self._other: Session | None = None
        self._swapped = False
        self._opening: Job[Session] | None = None
        self.options = ComparisonOptions()
        self.thresholds = Thresholds()
        self.compared: OpenComparison | None = None
        self._finished = False
        self.comparing = Comparing(jobs)
        self._measuring_own, self._measuring_other = measuring, Measuring(jobs)
        self.reporting = Reporting(jobs, self)
        self._tools = ComparisonTools(self.reporting.fill_menu, self)
        self.tree = ComparisonTree(jobs, appearance)
        self.overview = ComparisonOverview(appearance)
        self.panel = DeltaPanel(jobs, appearance)
        self._opening_page, self._problem = OpeningPage(appearance), ProblemPage(appearance)
        self._lay_out()
        self._connect()
        self._open()

    # As a view.

    def title(self) -> str:
        return f"{_name(self._paths()[0])} \u21c4 {_name(self._paths()[1])}"

    def tools(self) -> Sequence[QWidget]:
        return self._tools.widgets

    def fill_menu(self, menu: QMenu) -> None:
        for text, shortcut, do in (
            ("&Next difference", "F8", lambda: self.go_to_difference(1)),
            ("&Previous difference", "F7", lambda: self.go_to_difference(-1)),
            ("&Swap A and B", "Ctrl+Shift+X", self.swap),
            ("Compare with an&other\u2026", "", self.choose_wanted.emit),
            ("&Whole comparison", "Ctrl+Shift+I", self.show_overview),
            ("Copy &rows", "", self.tree.table.copy_rows),
            ("&Expand groups", "", self.tree.table.expand_all),
            ("&Collapse groups", "", self.tree.table.collapse_all),
        ):
            action = menu.addAction(text)
            if shortcut:
                action.setShortcut(QKeySequence(shortcut))
            action.triggered.connect(lambda _checked=False, do=do: do())
        menu.addSeparator()
        self.reporting.fill_menu(menu)

    def apply_filter(self, text: str) -> None:
        self.tree.apply_filter(text)

    def enter(self) -> None:
        self.tree.table.setFocus()

    def reload(self) -> None:
        if self._other is not None:
            self.comparing.stop()
            self._measuring_other.stop()
            self.panel.clear()
            self._other.close()
            self._other = None
        self._open()

    def leave(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
        self.comparing.stop()
        self._measuring_other.close()
        self.panel.clear()
        if self._other is not None:
            self._other.close()
            self._other = None

    # What can be done with it.

    def swap(self) -> None:
        """Let A be B, and B be A."""
        self._swapped = not self._swapped
        rules = self.options.rules
        if rules or self.options.by_hand:  # they speak of A's keys
            self.told.emit("Rename rules and matches by hand were for the other direction.")
        self.options = replace(self.options, rules=(), by_hand={})
        self.compare()

    def compare(self) -> None:
        """Compare anew, with the options as they are now."""
        if self._other is None:
            return
        own, other = self._own, self._other
        self.panel.clear()
        a, b = (other, own) if self._swapped else (own, other)
        self.comparing.start(a, b, self.options)
        self._show_names()

    def go_to_difference(self, step: int) -> None:
        """Select the next (1) or the previous (-1) variable that differs."""
        if not self.tree.table.go_to_difference(step):
            self.told.emit("No further difference.")

    def select_variable(self, key: str) -> bool:
        """Bring a variable into sight and select it; whether one has that key or name."""
        return self.tree.select_variable(key)

    def show_overview(self) -> None:
        """Show the comparison as a whole in the inspector."""
        self.tree.table.clearSelection()

    def set_tolerance(self, text: str) -> None:
        """Take another absolute tolerance."""
        self.options = replace(self.options, tolerance=Tolerance(float(text), 0.0))
        self.compare()

    def change(self, **changes: object) -> None:
        """Compare with other options."""
        self.options = replace(self.options, **changes)  # type: ignore[arg-type]
        self.compare()

    def correct_match(self, key_a: str, key_b: str | None) -> None:
        """Match a variable of A by hand: with one of B, or with none."""
        self.change(by_hand={**self.options.by_hand, key_a: key_b})

    def set_thresholds(self, thresholds: Thresholds) -> None:
        """Judge by other thresholds."""
        self.thresholds = thresholds
        if self.compared is not None:
            self.compared.thresholds = thresholds
            self.comparing.judge()

    def ask_for_rules(self) -> None:
        """Let rename rules be typed."""
        from ckptviewer.ui.dialogs.matching_dialog import RulesDialog

        if self.compared is not None:
            dialog = RulesDialog(self.compared, self._jobs, self.tree.table.appearance, self)
            dialog.chosen.connect(lambda rules: self.change(rules=rules))
            dialog.open()

    def ask_for_match(self, delta: object) -> None:
        """Let the match of one row be corrected."""
        from ckptviewer.analysis.comparison import VariableDelta
        from ckptviewer.ui.dialogs.matching_dialog import MatchDialog

        if self.compared is not None and isinstance(delta, VariableDelta):
            dialog = MatchDialog(self.compared, delta, self)
            dialog.chosen.connect(self.correct_match)
            dialog.open()

    def ask_for_thresholds(self) -> None:
        """Show the thresholds, and let them be changed."""
        from ckptviewer.ui.dialogs.thresholds_dialog import ThresholdsDialog

        dialog = ThresholdsDialog(self.thresholds, self)
        dialog.chosen.connect(self.set_thresholds)
        dialog.open()

    def take_saved(self, saved: SavedComparison) -> None:
        """Compare as a saved comparison says, once both sides are open."""
        self.thresholds = saved.thresholds
        self.options = ComparisonOptions(
            tolerance=Tolerance(saved.atol, saved.rtol),
            rules=saved.rules,
            by_hand=saved.by_hand,
            model_only=saved.model_only,
            include_metadata=saved.include_metadata,
        )

    # How it goes on.

    def _paths(self) -> tuple[str, str]:
        paths = (self._own.checkpoint.path, self._path)
        return (paths[1], paths[0]) if self._swapped else paths

    def _open(self) -> None:
        path, view_by = self._path, self._own.tree.view_by
        job = self._jobs.start("Opening", lambda _cancel, _report: open_session(path, view_by))
        self._opening = job
        self._opening_page.show_path(path)
        self._stack.setCurrentWidget(self._opening_page)
        job.succeeded.connect(self._take_other)
        job.failed.connect(self._show_problem)
        self._show_names()

    def _take_other(self, session: Session) -> None:
        self._opening = None
        self._other = session
        self._path = session.checkpoint.path
        self._measuring_other.start(session)
        self.compare()
        self.retitled.emit()

    def _show_answer(self, compared: OpenComparison) -> None:
        self.compared = compared
        compared.thresholds = self.thresholds
        self.reporting.show_comparison(compared)
        self.tree.show_comparison(compared)
        was_waiting = self._stack.currentWidget() is not self._splitter
        self._stack.setCurrentWidget(self._splitter)
        if was_waiting:  # the keyboard went elsewhere while there was no tree
            self.tree.table.setFocus()
        self._side.setCurrentWidget(self.overview)
        self._finished = False
        self.overview.show_comparison(compared, finished=False)

    def _learn(self, rows: list[int]) -> None:
        if self.compared is None:
            return
        selected = self.tree.table.selected_items()
        self._refresh()
        if len(selected) == 1 and (not rows or selected[0] in rows):
            self.panel.refresh()
        self.tree.filter_again()

    def _finish(self) -> None:
        self.tree.sort_again()
        self._finished = True
        self._refresh()
        self.complete.emit()

    def _refresh(self) -> None:
        if self.compared is not None:
            self.tree.refresh()
            self.overview.show_comparison(self.compared, finished=self._finished)

    def _show_problem(self, error: BaseException) -> None:
        self._problem.show_problem(*error_text(error))
        self._stack.setCurrentWidget(self._problem)
        self.failed.emit(self._problem.text())

    def _show_selection(self, items: list[Item]) -> None:
        if self.compared is None:
            return
        if len(items) == 1 and isinstance(items[0], int):
            self.panel.show_row(self.compared, items[0])
            self._side.setCurrentWidget(self.panel)
        else:
            self._side.setCurrentWidget(self.overview)

    def _prefer(self, rows: list[int]) -> None:
        if self.compared is None:
            return
        self.comparing.prefer(rows)
        sides = ("b", "a") if self._swapped else ("a", "b")
        self._measuring_own.prefer(self.compared.rows_of_side(rows, sides[0]))
        self._measuring_other.prefer(self.compared.rows_of_side(rows, sides[1]))

    def _show_names(self) -> None:
        a, b = self._paths()
        self._tools.show_names((_name(a), _name(b)), (a, b))
        self.retitled.emit()

    # How it is made.

    def _connect(self) -> None:
        self.comparing.answered.connect(self._show_answer)
        self.comparing.learned.connect(self._learn)
        self.comparing.failed.connect(self._show_problem)
        self.comparing.finished.connect(self._finish)
        for measuring in (self._measuring_own, self._measuring_other):
            measuring.measured.connect(self._show_measured)
        self.tree.in_sight.connect(self._prefer)
        self.tree.table.selection_changed.connect(self._show_selection)
        self._tools.swap_wanted.connect(self.swap)
        self._tools.choose_wanted.connect(self.choose_wanted)
        self.tree.bar.switched.connect(lambda name, on: self.change(**{name: on}))
        self.tree.bar.rules_wanted.connect(self.ask_for_rules)
        self.tree.bar.thresholds_wanted.connect(self.ask_for_thresholds)
        self.tree.bar.tolerance.chosen.connect(self.set_tolerance)
        self.overview.chosen.connect(self.tree.go_to)
        self.overview.thresholds_wanted.connect(self.ask_for_thresholds)
        self.panel.match_wanted.connect(self.ask_for_match)
        self.panel.copied.connect(self.told)
        self.reporting.told.connect(self.told)
        self._opening_page.cancel_wanted.connect(self._jobs_cancel)
        self._problem.try_again.connect(self.reload)
        self._problem.open_file.connect(self.choose_wanted)

    def _show_measured(self, _rows: list[int]) -> None:
        self.tree.table.refresh()

    def _jobs_cancel(self) -> None:
        if self._opening is not None:
            self._opening.cancel()

    def _lay_out(self) -> None:
        right = QWidget()
        right.setObjectName("page")
        right.setMinimumWidth(320)
        self._side = QStackedLayout(right)
        self._side.addWidget(self.overview)
        self._side.addWidget(self.panel)
        self._splitter = parted(
            Qt.Orientation.Horizontal,
            (self.tree, 63, 830),
            (right, 37, 450),
        )
        self._stack = QStackedLayout(self)
        for page in (self._opening_page, self._problem, self._splitter):
            self._stack.addWidget(page)


def _name(path: str) -> str:
    path = path.rstrip("/")
    folder, name = os.path.split(os.path.abspath(path))
    return f"{os.path.basename(folder)}/{name}" if folder != "/" else name
