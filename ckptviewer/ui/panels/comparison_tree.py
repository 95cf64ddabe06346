"""The left side of the page of a comparison: the merged tree, filtered and in the order chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ckptviewer.checkpoint.tree import Item
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Job, Jobs
from ckptviewer.ui.models.delta_rows import DeltaRowsModel
from ckptviewer.ui.open_comparison import OpenComparison
from ckptviewer.ui.panels.browser import FILTERED_IN_PLACE, SETTLE_MS
from ckptviewer.ui.panels.comparison_bar import AS_TREE, ComparisonBar
from ckptviewer.ui.panels.delta_table import DeltaTable
from ckptviewer.ui.panels.widgets import nothing_label


class ComparisonTree(QWidget):
    """Shows the rows of a comparison. in_sight: the numbers of those that are, once they rest."""

    in_sight = Signal(list)

    def __init__(self, jobs: Jobs, appearance: Appearance) -> None:
        super().__init__()
        self._jobs = jobs
        self._compared: OpenComparison | None = None
        self._working: dict[str, Job[Any]] = {}
        self._filter_text = ""
        self.bar = ComparisonBar()
        self.chips = self.bar.chips
        self.table = DeltaTable(appearance)
        self.table.setAccessibleName("Compared variables")
        self._nothing = nothing_label("No variable matches.  Esc clears the filter.")
        self._lay_out()
        self._settling = QTimer(self)
        self._settling.setSingleShot(True)
        self._settling.setInterval(SETTLE_MS)
        self._settling.timeout.connect(self._tell_in_sight)
        self.table.verticalScrollBar().valueChanged.connect(self._settling.start)
        self.chips.chosen.connect(lambda _statuses: self._apply())
        self.bar.sort.chosen.connect(self._sort_by)

    def show_comparison(self, compared: OpenComparison) -> None:
        """Show another comparison, with the filter and in the order as they are."""
        self._compared = compared
        model = DeltaRowsModel(compared)
        model.modelReset.connect(self._settling.start)
        model.rowsInserted.connect(self._settling.start)
        self.table.show_model(model)
        self._sort_by(self.bar.sort.choice)
        self._apply()
        self.refresh()
        self._settling.start()

    def apply_filter(self, text: str) -> None:
        """Show only what matches a text of the filter language."""
        self._filter_text = text
        self._apply()

    def refresh(self) -> None:
        """More is known of the rows: show it."""
        if self._compared is not None:
            self.chips.show_counts(self._compared.known.counts)
            self.table.refresh()

    def filter_again(self) -> None:
        """More is known of the rows: some may have another status now."""
        if self.chips.statuses:
            self._apply()

    def sort_again(self) -> None:
        """All is known of the rows: put them in order by it."""
        model = self.table.delta_model()
        if model is not None and model.is_flat:
            self._sort_by(self.bar.sort.choice)

    def go_to(self, item: Item) -> None:
        """Bring a group or the row of a variable into sight, and select it."""
        model = self.table.delta_model()
        if model is not None and model.reveal(item) is not None:
            self.table.show_item(item)

    def select_variable(self, key: str) -> bool:
        """Bring a variable into sight and select it; whether one has that key or name."""
        deltas = self._compared.deltas if self._compared is not None else ()
        for row, delta in enumerate(deltas):
            if key in (*delta.pair, delta.variable.name):
                self.go_to(row)
                return True
        return False

    def _apply(self) -> None:
        """Show what the filter and the chosen statuses leave."""
        compared, text, statuses = self._compared, self._filter_text, self.chips.statuses
        if compared is not None:
            self._away("filter", compared, lambda: compared.rows_matching(text, statuses),
                       self._show_matches)  # fmt: skip

    def _show_matches(self, rows: list[int] | None) -> None:
        model = self.table.delta_model()
        if model is None:
            return
        selected = self.table.selected_items()
        model.set_matches(rows)
        self._nothing.setVisible(not model.rowCount())
        for item in selected[:1]:
            if model.row_of_item(item) is not None:
                self.table.show_item(item)

    def _sort_by(self, choice: str) -> None:
        compared = self._compared
        if compared is None:
            return
        if choice == AS_TREE:
            self._show_order(None, None)
        else:
            self._away("order", compared, lambda: compared.ranked(choice),
                       lambda order: self._show_order(choice, order))  # fmt: skip

    def _show_order(self, choice: str | None, order: list[int] | None) -> None:
        model = self.table.delta_model()
        if model is None:
            return
        selected = self.table.selected_items()
        model.show_order(choice, order)
        if selected and model.reveal(selected[0]) is not None:
            self.table.show_item(selected[0])

    def _away(
        self,
        place: str,
        compared: OpenComparison,
        work: Callable[[], Any],
        show: Callable[[Any], None],
    ) -> None:
        """Do it at once where there are few rows, else in a thread; what it replaces is dropped."""
        before = self._working.pop(place, None)
        if before is not None:
            before.cancel()
        if len(compared.deltas) <= FILTERED_IN_PLACE:
            show(work())
            return
        job = self._jobs.start("Arranging", lambda _cancel, _report: work())
        self._working[place] = job
        job.succeeded.connect(lambda result: show(result) if compared is self._compared else None)

    def _tell_in_sight(self) -> None:
        self.in_sight.emit([i for i in self.table.items_in_sight() if isinstance(i, int)])

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.bar)
        column.addWidget(self.table, 1)
        column.addWidget(self._nothing)
