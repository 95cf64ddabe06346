"""The page of an open checkpoint: its head line, the variable tree, the inspector."""

from __future__ import annotations

import os
from collections.abc import Sequence

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QAction, QActionGroup, QGuiApplication
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.text import count_text, plural, size_text
from ckptviewer.checkpoint.tree import Item, VariableTree, ViewBy
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Job, Jobs, Report
from ckptviewer.ui.measuring import Measuring
from ckptviewer.ui.models.variable_rows import VariableRowsModel
from ckptviewer.ui.panels.inspector import Inspector
from ckptviewer.ui.panels.overview import FORMAT_TITLES
from ckptviewer.ui.panels.top_bar import FILTER_HINT
from ckptviewer.ui.panels.variable_table import VariableTable
from ckptviewer.ui.panels.view import View
from ckptviewer.ui.panels.widgets import FactLine, nothing_label, parted
from ckptviewer.ui.session import Session

SETTLE_MS = 60
"""What scrolls by faster than this is not worth measuring first."""

FILTERED_IN_PLACE = 20_000
"""Up to so many variables a filter is quicker applied than handed to a thread."""

_NO_MATCH = "No variable matches the filter.  Esc clears it."
_NO_VARIABLES = "There are no variables in it."


class Browser(View):
    """Tree to the left, inspector to the right.

    reload_wanted: the file was changed. findings_told: all findings that are known by now.
    """

    reload_wanted = Signal()
    findings_told = Signal(object)
    filter_hint = FILTER_HINT

    def __init__(self, jobs: Jobs, appearance: Appearance) -> None:
        super().__init__()
        self._jobs = jobs
        self._session: Session | None = None
        self._filter_text = ""
        self._filtering: Job[list[int] | None] | None = None
        self._tools: list[QWidget] = []
        self.view_by = ViewBy.NAME
        self._name = QLabel()
        self._name.setTextFormat(Qt.TextFormat.PlainText)
        self._name.setObjectName("title")
        self._name.setFont(appearance.bold_font)
        self._facts = FactLine()
        self._facts.setObjectName("muted")
        self._view_button = QToolButton()
        self._view_button.setObjectName("flat")
        self._view_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._view_button.setToolTip("What the tree is made from")
        self.view_menu = QMenu(self)
        self._view_group = QActionGroup(self)
        self._make_view_menu()
        self.table = VariableTable(appearance)
        self._banner = self._make_banner()
        self._nothing = nothing_label(_NO_MATCH)
        self.inspector = Inspector(jobs, appearance)
        self.splitter = parted(
            Qt.Orientation.Horizontal,
            (self._left_side(), 63, 830),
            (self.inspector, 37, 450),
        )
        self.inspector.setMinimumWidth(320)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.splitter)
        self.measuring = Measuring(jobs)
        self.measuring.measured.connect(self._show_measured)
        self.measuring.paused.connect(self._tell_measuring)
        self.inspector.checkpoint_panel.chosen.connect(self.go_to)
        self.inspector.checkpoint_panel.key_chosen.connect(self.select_variable)
        self.inspector.checkpoint_panel.measure_all_wanted.connect(self._measure_all)
        self.inspector.checkpoint_panel.findings.changed.connect(self._note_findings)
        self._in_sight = QTimer(self)
        self._in_sight.setSingleShot(True)
        self._in_sight.setInterval(SETTLE_MS)
        self._in_sight.timeout.connect(self._measure_in_sight)
        self.table.verticalScrollBar().valueChanged.connect(self._in_sight.start)
        self.table.selection_changed.connect(self._show_selection)
        self.inspector.file_changed.connect(self.tell_file_changed)
        self.choose_view(ViewBy.NAME)

    # As a view.

    def title(self) -> str:
        path = self._session.checkpoint.path.rstrip("/") if self._session else ""
        return os.path.basename(path) or path

    def tools(self) -> Sequence[QWidget]:
        return self._tools

    def offer(self, actions: Sequence[QAction]) -> None:
        """Show buttons for what can be done with the checkpoint as a whole."""
        self._tools = [_tool_button(action) for action in actions]

    def enter(self) -> None:
        self.table.setFocus()

    def reload(self) -> None:
        self.reload_wanted.emit()

    # What is shown.

    def show_session(self, session: Session) -> None:
        """Show another checkpoint."""
        self._session = session
        self._banner.hide()
        checkpoint = session.checkpoint
        path = checkpoint.path.rstrip("/")
        folder = os.path.basename(os.path.dirname(os.path.abspath(path)))
        self._name.setText(f"{folder} / {os.path.basename(path)}" if folder else path)
        self._show_counts()
        if session.tree.view_by is not self.view_by:
            session.tree = VariableTree(checkpoint.variables, self.view_by)
        self._show_tree()
        self.inspector.show_session(session)
        self.measuring.start(session)
        self._tell_measuring()
        if len(checkpoint.variables) > FILTERED_IN_PLACE:  # the first keystroke shall not wait
            self._jobs.start("Indexing", lambda _cancel, _report: session.texts)
        if self._filter_text:
            self.apply_filter(self._filter_text)

    def show_overview(self) -> None:
        """Show the checkpoint as a whole in the inspector."""
        self.table.clearSelection()
        self.inspector.show_items(())

    def tell_file_changed(self) -> None:
        """Say that what is shown is no longer what the file holds, and offer to read it again."""
        self._banner.show()

    def select_variable(self, key: str) -> bool:
        """Bring a variable into sight and select it; whether there is one of that key or name."""
        model = self.table.rows_model()
        if self._session is None or model is None:
            return False
        for row, variable in enumerate(self._session.checkpoint.variables):
            if key in (variable.key, variable.name):
                self.go_to(row)
                return True
        return False

    def go_to(self, item: Item) -> None:
        """Bring a group or the row of a variable into sight, and select it."""
        model = self.table.rows_model()
        if model is not None and model.reveal(item) is not None:
            self.table.show_item(item)

    def choose_view(self, view_by: ViewBy) -> None:
        """Make the tree from something else."""
        self.view_by = view_by
        self._view_button.setText(f"View by: {view_by} \u25be")
        self._view_button.setAccessibleName(f"View by {view_by}")
        for action in self._view_group.actions():
            action.setChecked(action.data() == str(view_by))
        session = self._session
        if session is None or session.tree.view_by is view_by:
            return

        def make(_cancel: CancelToken, _report: Report) -> VariableTree:
            return VariableTree(session.checkpoint.variables, view_by)

        job = self._jobs.start("Arranging", make)
        job.succeeded.connect(lambda tree: self._take_tree(session, tree))

    def apply_filter(self, text: str) -> None:
        """Show only what matches a text of the filter language."""
        self._filter_text = text
        session = self._session
        if session is None:
            return
        if self._filtering is not None:
            self._filtering.cancel()
            self._filtering = None
        if len(session.checkpoint.variables) <= FILTERED_IN_PLACE:
            self._show_matches(session.rows_matching(text))
            return
        job = self._jobs.start("Filter", lambda _c, _r: session.rows_matching(text))
        self._filtering = job
        job.succeeded.connect(self._show_matches)

    def expand_all(self) -> None:
        """Open all groups."""
        self.table.expand_all()

    def collapse_all(self) -> None:
        """Close all groups."""
        self.table.collapse_all()

    def copy_keys(self) -> None:
        """Put the keys of the selected variables on the clipboard, a line each."""
        if self._session is not None:
            variables = self._session.checkpoint.variables
            items = self.table.selected_items()
            keys = [variables[item].key for item in items if isinstance(item, int)]
            QGuiApplication.clipboard().setText("\n".join(keys))

    def _show_selection(self, items: list[Item]) -> None:
        model = self.table.rows_model()
        self.inspector.show_items(items, model.matches() if model else None)

    def _note_findings(self) -> None:
        findings = self.inspector.checkpoint_panel.findings.findings
        if self._session is not None:
            self._session.note_findings(findings)
            self.table.refresh()
            self.findings_told.emit(findings)

    def _show_measured(self, _rows: list[int]) -> None:
        self.table.refresh()
        self.inspector.checkpoint_panel.refresh()

    def _measure_all(self) -> None:
        self.measuring.measure_all()
        self._tell_measuring()

    def _tell_measuring(self) -> None:
        self.inspector.checkpoint_panel.tell_measuring(self.measuring.all_wanted)

    def _measure_in_sight(self) -> None:
        rows = [item for item in self.table.items_in_sight() if isinstance(item, int)]
        self.measuring.prefer(rows)

    def _take_tree(self, session: Session, tree: VariableTree) -> None:
        if session is self._session and tree.view_by is self.view_by:
            selected = self.table.selected_items()
            session.tree = tree
            self._show_tree()
            if self._filter_text:
                self.apply_filter(self._filter_text)
            if len(selected) == 1 and isinstance(selected[0], int):
                self.select_variable(session.checkpoint.variables[selected[0]].key)

    def _show_tree(self) -> None:
        assert self._session is not None
        session = self._session
        model = VariableRowsModel(session.tree, session.problems, session.sketches)
        model.rowsInserted.connect(self._in_sight.start)
        model.modelReset.connect(self._in_sight.start)
        self.table.show_model(model)
        self._in_sight.start()
        self.inspector.checkpoint_panel.show_tree(session.tree)
        is_empty = not session.checkpoint.variables
        self._nothing.setText(_NO_VARIABLES if is_empty else _NO_MATCH)
        self._nothing.setVisible(is_empty)

    def _show_matches(self, rows: list[int] | None) -> None:
        model = self.table.rows_model()
        if model is None:
            return
        selected = self.table.selected_items()
        model.set_matches(rows)
        is_empty = rows is not None and not rows
        self._nothing.setVisible(is_empty or not model.tree.variables)
        self._show_counts()
        for item in selected[:1]:
            if isinstance(item, int) and model.row_of_item(item) is not None:
                self.table.show_item(item)

    def _show_counts(self) -> None:
        session = self._session
        if session is None:
            return
        variables = session.checkpoint.variables
        model = self.table.rows_model()
        matches = model.match_count() if model is not None and self._filter_text else None
        total = size_text(session.total_bytes)
        count = plural(len(variables), "variable")
        if matches is not None:
            count = f"{count_text(matches)} of {count}"
        kind = FORMAT_TITLES.get(session.checkpoint.format_name, "")
        self._facts.show_facts(count, total, kind)

    # How it is made.

    def _left_side(self) -> QWidget:
        side = QWidget()
        column = QVBoxLayout(side)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        strip = QWidget()
        strip.setObjectName("strip")
        strip.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        row = QHBoxLayout(strip)
        row.setContentsMargins(12, 6, 8, 6)
        row.setSpacing(14)
        row.addWidget(self._name)
        row.addWidget(self._facts, 1)
        row.addWidget(self._view_button)
        column.addWidget(strip)
        column.addWidget(self._banner)
        column.addWidget(self.table, 1)
        column.addWidget(self._nothing)
        return side

    def _make_view_menu(self) -> None:
        for view_by in ViewBy:
            action = self.view_menu.addAction(view_by.value.capitalize())
            action.setCheckable(True)
            action.setData(str(view_by))
            action.triggered.connect(lambda _checked=False, v=view_by: self.choose_view(v))
            self._view_group.addAction(action)
        self._view_button.setMenu(self.view_menu)

    def _make_banner(self) -> QFrame:
        banner = QFrame()
        banner.setObjectName("card")
        row = QHBoxLayout(banner)
        row.setContentsMargins(12, 6, 8, 6)
        row.addWidget(QLabel("\u25b2 The file was changed since it was opened."), 1)
        reload = QPushButton("Reload")
        reload.clicked.connect(self.reload_wanted)
        row.addWidget(reload)
        banner.hide()
        return banner


def _tool_button(action: QAction) -> QToolButton:
    button = QToolButton()
    button.setDefaultAction(action)
    action.setIconText(action.text().replace("&", ""))  # else Qt takes the dots away: it asks
    button.setObjectName("flat")

    def follow() -> None:
        if button.parent() is not None:  # else it would be a window
            button.setVisible(action.isVisible())

    action.visibleChanged.connect(follow)
    return button
