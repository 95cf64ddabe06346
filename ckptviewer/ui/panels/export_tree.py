"""The left side of the page of an export: the tree with its ticks, what stands above it, filter."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ckptviewer.checkpoint.tree import Item
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Job, Jobs
from ckptviewer.ui.models.export_rows import ExportRowsModel
from ckptviewer.ui.panels.browser import FILTERED_IN_PLACE
from ckptviewer.ui.panels.export_side import ExportStrip
from ckptviewer.ui.panels.export_table import ExportTable
from ckptviewer.ui.panels.widgets import nothing_label
from ckptviewer.ui.session import Session


class ExportTree(QWidget):
    """Shows what is kept and what is dropped, and takes ticks. rename_wanted: of what is selected.

    The model tells of ticks itself.
    """

    rename_wanted = Signal()

    def __init__(self, jobs: Jobs, appearance: Appearance, session: Session) -> None:
        super().__init__()
        self._jobs, self._session = jobs, session
        self._filtering: Job[list[int] | None] | None = None
        self.strip = ExportStrip(appearance)
        self.table = ExportTable(appearance)
        self.table.setAccessibleName("Variables to keep")
        self.model = ExportRowsModel(session.tree, session.problems)
        self.table.show_model(self.model)
        self._nothing = nothing_label("No variable matches the filter.  Esc clears it.")
        self._lay_out()
        self._offer_actions()
        self.strip.keep_shown.clicked.connect(lambda: self.tick_shown(True))
        self.strip.drop_shown.clicked.connect(lambda: self.tick_shown(False))

    def apply_filter(self, text: str) -> None:
        """Show what matches, at once where that is quick."""
        self.stop()
        session = self._session
        if len(session.checkpoint.variables) <= FILTERED_IN_PLACE:
            self._show_matches(session.rows_matching(text))
            return
        self._filtering = self._jobs.start("Filter", lambda _c, _r: session.rows_matching(text))
        self._filtering.succeeded.connect(self._show_matches)

    def select_variable(self, key: str) -> bool:
        """Select the variable with this key or name; whether there is one."""
        for row, variable in enumerate(self._session.checkpoint.variables):
            if key in (variable.key, variable.name):
                if self.model.reveal(row) is not None:
                    self.table.show_item(row)
                return True
        return False

    def start_from(self, items: list[Item]) -> None:
        """Have these in sight, and a single one selected."""
        for item in items:
            self.model.reveal(item)
        if len(items) == 1:
            self.table.show_item(items[0])

    def tick_shown(self, wanted: bool) -> None:
        """Keep, or drop, all that the filter leaves."""
        self.model.tick(self._session.tree.root.children, wanted)

    def lock(self, locked: bool) -> None:
        """Let nothing be ticked, or anything again."""
        self.model.lock(locked)
        for button in (self.strip.keep_shown, self.strip.drop_shown):
            button.setEnabled(not locked)

    def stop(self) -> None:
        """What is being filtered is not wanted any more."""
        if self._filtering is not None:
            self._filtering.cancel()
            self._filtering = None

    def _show_matches(self, rows: list[int] | None) -> None:
        selected = self.table.selected_items()
        self.model.set_matches(rows)
        self._nothing.setVisible(rows is not None and not rows)
        for button in (self.strip.keep_shown, self.strip.drop_shown):
            button.setVisible(bool(rows))
        for item in selected[:1]:
            if self.model.row_of_item(item) is not None:
                self.table.show_item(item)

    def _offer_actions(self) -> None:
        for text, do in (
            ("Keep or drop", self.table.toggle_selected),
            ("Rename\u2026", self.rename_wanted.emit),
            ("Copy rows", self.table.copy_rows),
        ):
            action = QAction(text, self.table)
            action.triggered.connect(lambda _checked=False, do=do: do())
            self.table.addAction(action)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.strip)
        column.addWidget(self.table, 1)
        column.addWidget(self._nothing)
