"""A comparison as a whole: the answer, the restoration check, and what became of each group."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.analysis.restoration import RestorationCheck, RestorationFailure
from ckptviewer.checkpoint.text import count_text, number_text, plural
from ckptviewer.checkpoint.tree import Group
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.open_comparison import OpenComparison
from ckptviewer.ui.panels.padded_cells import NameCells
from ckptviewer.ui.panels.widgets import FactList, scrolled, section_label, wrapped_label
from ckptviewer.ui.plain_text import as_plain

_MOST_LISTED = 500
_WORDS = ("Verdict",)
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class ComparisonOverview(QWidget):
    """Shows what to say of two checkpoints. chosen: a row, or a group, that was clicked.

    thresholds_wanted: the user wants to see or change them.
    """

    chosen = Signal(object)
    thresholds_wanted = Signal()

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self._title = wrapped_label("")
        self._title.setFont(appearance.title_font)
        self._summary = wrapped_label("", "muted")
        self._sides = FactList(appearance)
        self.check = _CheckCard(appearance)
        self.check.thresholds_wanted.connect(self.thresholds_wanted)
        self._failures = _listing(["Fails the check", "\u0394 mean", "\u0394 std"])
        self._failures_title = section_label("Beyond the thresholds")
        self._groups = _listing(["Group", "Differ", "Verdict"])
        self._groups_title = section_label("What became of each group")
        for listing in (self._failures, self._groups):
            listing.itemClicked.connect(self._tell)
            listing.itemActivated.connect(self._tell)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(20, 16, 20, 16)
        column.setSpacing(10)
        for widget in (self._title, self._summary, self._sides, self.check):
            column.addWidget(widget)
        for title, listing in (
            (self._failures_title, self._failures),
            (self._groups_title, self._groups),
        ):
            column.addSpacing(4)
            column.addWidget(title)
            column.addWidget(listing)
            title.hide()
            listing.hide()
        column.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolled(page, "Overview of the comparison"))

    def show_comparison(self, compared: OpenComparison, *, finished: bool) -> None:
        """Show what is known by now. finished: all numbers are there."""
        known = compared.known
        pending = known.pending
        if pending and not finished:
            self._title.setText(f"Compared by checksum; reading {plural(pending, 'variable')}")
        else:
            self._title.setText(known.conclusion)
        self._summary.setText(known.summary)
        self._sides.show_facts([(letter, session.checkpoint.path) for letter, session in (
            ("A", compared.a), ("B", compared.b))])  # fmt: skip
        self.check.show_check(known.check, pending=not finished)
        # What differs by checksum does not fail before it is read; the card says that it is.
        self._list_failures(compared, known.check.failures if finished else ())
        self._list_groups(compared)

    def _list_failures(
        self, compared: OpenComparison, failures: Sequence[RestorationFailure]
    ) -> None:
        items = []
        for failure in failures[:_MOST_LISTED]:
            numbers = (failure.mean_difference, failure.std_difference)
            texts = [number_text(value, 3) if value is not None else "" for value in numbers]
            row = compared.row_of((failure.key_a, failure.key_b))
            name = compared.deltas[row].variable.name if row is not None else failure.key
            item = QTreeWidgetItem([name.replace("/", " / "), *texts])
            for column in (1, 2):
                item.setTextAlignment(column, _RIGHT)
            item.setToolTip(0, as_plain(f"{failure.key}\n{failure.why}"))
            item.setData(0, Qt.ItemDataRole.UserRole, row)
            items.append(item)
        _fill(self._failures, items)
        for widget in (self._failures, self._failures_title):
            widget.setVisible(bool(items))

    def _list_groups(self, compared: OpenComparison) -> None:
        items: list[QTreeWidgetItem] = []
        for group, state in compared.groups.items():
            if len(items) >= _MOST_LISTED or group.parent is not compared.tree.root:
                continue
            verdict = str(state.judgement.verdict) if state.judgement is not None else ""
            different = f"{count_text(state.different)} of {count_text(group.variable_count)}"
            item = QTreeWidgetItem([group.path.replace("/", " / "), different, verdict])
            item.setTextAlignment(1, _RIGHT)
            item.setToolTip(2, state.judgement.why if state.judgement is not None else "")
            item.setData(0, Qt.ItemDataRole.UserRole, group)
            items.append(item)
        _fill(self._groups, items)
        for widget in (self._groups, self._groups_title):
            widget.setVisible(bool(items))

    def _tell(self, item: QTreeWidgetItem) -> None:
        data = item.data(0, Qt.ItemDataRole.UserRole)
        if isinstance(data, (int, Group)):
            self.chosen.emit(data)


class _CheckCard(QFrame):
    """The restoration check in words."""

    thresholds_wanted = Signal()

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self.setObjectName("card")
        self._appearance = appearance
        self._mark = QLabel()
        self._title = wrapped_label("", "section")
        self._text = wrapped_label("", "muted")
        button = QPushButton("Thresholds\u2026")
        button.clicked.connect(self.thresholds_wanted)
        words = QVBoxLayout()
        words.setSpacing(3)
        words.addWidget(self._title)
        words.addWidget(self._text)
        words.addSpacing(5)
        words.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 10, 12, 10)
        row.setSpacing(10)
        row.addWidget(self._mark, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)

    def show_check(self, check: RestorationCheck, *, pending: bool) -> None:
        """Show how the check went."""
        theme = self._appearance.theme
        if pending:
            mark, colour, title = "\u2026", theme.muted, "Restoration check: reading"
        elif check.passed:
            mark, colour, title = "\u2713", theme.good, "Restoration check passes"
        else:
            mark, colour, title = "\u2717", theme.error, "Restoration check fails"
        self._mark.setText(mark)
        self._mark.setStyleSheet(f"color: {colour}; font-weight: 700;")
        self._title.setText(title)
        rule = (
            "|\u0394 mean| and |\u0394 std| under the thresholds, for every variable of the model."
        )
        self._text.setText(rule if pending else f"{check.summary}\n{rule}")

    def text(self) -> str:
        """The outcome, as it is shown."""
        return self._title.text()


def _listing(titles: list[str]) -> QTreeWidget:
    listing = QTreeWidget()
    listing.setHeaderLabels(titles)
    listing.setAccessibleName(titles[0])
    listing.setRootIsDecorated(False)
    listing.setUniformRowHeights(True)
    listing.setFrameShape(QTreeWidget.Shape.NoFrame)
    listing.setItemDelegateForColumn(0, NameCells(listing))
    listing.header().setStretchLastSection(False)
    listing.header().setSectionResizeMode(0, listing.header().ResizeMode.Stretch)
    for column in range(1, len(titles)):
        if titles[column] not in _WORDS:
            listing.headerItem().setTextAlignment(column, _RIGHT)
        listing.header().setSectionResizeMode(column, listing.header().ResizeMode.ResizeToContents)
    return listing


def _fill(listing: QTreeWidget, items: list[QTreeWidgetItem]) -> None:
    listing.clear()
    listing.addTopLevelItems(items)
    rows = min(10, len(items))
    height = listing.sizeHintForRow(0) if items else 0
    listing.setFixedHeight(listing.header().sizeHint().height() + rows * max(24, height) + 4)
