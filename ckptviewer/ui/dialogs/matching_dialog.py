"""Rename rules with a live preview of what they match, and one match corrected by hand."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.analysis.comparison import VariableDelta
from ckptviewer.analysis.rename_preview import RenamePreview, parse_rules, preview
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.text import count_text, plural, shape_text
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Job, Jobs, Report
from ckptviewer.ui.open_comparison import OpenComparison
from ckptviewer.ui.panels.ready_made_rules import ReadyMadeRules
from ckptviewer.ui.panels.widgets import primary_ok, wrapped_label

_SETTLE_MS = 150
_MOST_SHOWN = 300
_EXAMPLE = "^old_scope/=new_scope/\nweights$=kernel"


class RulesDialog(QDialog):
    """Asks for rename rules, one a line. chosen: the rules to match by from now on."""

    chosen = Signal(object)

    def __init__(
        self, compared: OpenComparison, jobs: Jobs, appearance: Appearance, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Rename rules")
        self.resize(720, 560)
        self._jobs = jobs
        self._job: Job[RenamePreview] | None = None
        self._keys_a = [variable.key for variable in compared.a.checkpoint.variables]
        self._keys_b = [variable.key for variable in compared.b.checkpoint.variables]
        self.edit = QPlainTextEdit("\n".join(map(str, compared.options.rules)))
        self.edit.setFont(appearance.fixed_font)
        self.edit.setPlaceholderText(_EXAMPLE)
        self.edit.setAccessibleName("Rules, one a line")
        self.edit.setTabChangesFocus(True)
        self.edit.setFixedHeight(120)
        self.note = wrapped_label("", "muted")
        self.listing = QTreeWidget()
        self.listing.setHeaderLabels(["Key in A", "Becomes", ""])
        self.listing.setAccessibleName("What the rules change")
        self.listing.setRootIsDecorated(False)
        self.listing.setUniformRowHeights(True)
        self.listing.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        for column in (0, 1):
            self.listing.header().setSectionResizeMode(
                column, self.listing.header().ResizeMode.Stretch
            )
        self.listing.header().setStretchLastSection(False)
        self._buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        primary_ok(self._buttons)
        self._buttons.accepted.connect(self.accept)
        self._buttons.rejected.connect(self.reject)
        self._add_ready_made()
        column_ = QVBoxLayout(self)
        column_.setContentsMargins(20, 18, 20, 16)
        column_.setSpacing(10)
        column_.addWidget(
            wrapped_label(
                "Each line renames A's keys into B's: a regular expression, =, and what takes its"
                " place. They are applied one after the other, before anything else is matched.",
                "muted",
            )
        )
        for widget in (self.edit, self.note):
            column_.addWidget(widget)
        column_.addWidget(self.listing, 1)
        column_.addWidget(self._buttons)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self._preview)
        self.edit.textChanged.connect(self._settle.start)
        self._preview()

    def _add_ready_made(self) -> None:
        button = self._buttons.addButton("Ready-made \u25be", QDialogButtonBox.ButtonRole.ResetRole)
        self.ready_made = ReadyMadeRules(button)
        self.ready_made.chosen.connect(self._append)
        button.setMenu(self.ready_made)

    def _append(self, rules: Sequence[str]) -> None:
        lines = [line for line in self._lines() if line.strip()]
        self.edit.setPlainText("\n".join([*lines, *rules]))

    def accept(self) -> None:
        """Use the rules as they are typed; one that cannot be used is told, and nothing changes."""
        rules, problems = parse_rules(self._lines())
        if any(problems):
            self.note.setText(next(filter(None, problems)))
            return
        self.chosen.emit(tuple(rule for rule in rules if rule is not None))
        super().accept()

    def _lines(self) -> list[str]:
        return self.edit.toPlainText().splitlines()

    def _preview(self) -> None:
        if self._job is not None:
            self._job.cancel()
        lines = self._lines()

        def work(_cancel: CancelToken, _report: Report) -> RenamePreview:
            return preview(self._keys_a, self._keys_b, lines)

        self._job = self._jobs.start("Preview", work)
        self._job.succeeded.connect(self._show_preview)

    def _show_preview(self, found: RenamePreview) -> None:
        self.listing.clear()
        items = []
        for row in found.rows[:_MOST_SHOWN]:
            state = "collides" if row.collides else "in B" if row.found else "not in B"
            items.append(QTreeWidgetItem([row.key, row.new_key, state]))
        self.listing.addTopLevelItems(items)
        problem = next(filter(None, found.problems), "")
        told = f"{plural(len(found.rows), 'key')} renamed, "
        told += f"{count_text(found.found)} of them into keys of B"
        if found.lost:
            told += f", {count_text(found.lost)} away from keys of B"
        if found.collisions:
            told += f"; {plural(len(found.collisions), 'collision')}"
        if found.unused:
            lines = ", ".join(str(place + 1) for place in found.unused)
            told += f"; what changes nothing: line {lines}"
        self.note.setText(problem or f"{told}.")


class MatchDialog(QDialog):
    """Asks which variable of B belongs to one of A. chosen: A's key, and B's or None for none."""

    chosen = Signal(object, object)

    def __init__(self, compared: OpenComparison, delta: VariableDelta, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Correct a match")
        self.resize(560, 520)
        self._key_a = delta.pair[0]
        self._candidates = _candidates(compared, delta)
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter by name")
        self.filter.setAccessibleName("Filter by name")
        self.filter.textChanged.connect(self._fill)
        self.listing = QListWidget()
        self.listing.setAccessibleName("Variables of the other side")
        self.listing.itemActivated.connect(lambda _item: self.accept())
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        primary_ok(buttons)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        side = "A" if self._key_a is None else "B"
        title = QLabel(f"Which variable of {side} belongs to {delta.key}?")
        title.setWordWrap(True)
        title.setTextFormat(Qt.TextFormat.PlainText)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(10)
        for widget in (title, self.filter, self.listing, buttons):
            column.addWidget(widget)
        self._key_b = delta.pair[1]
        self._fill()

    def accept(self) -> None:
        """Take what is selected."""
        item = self.listing.currentItem()
        if item is None:
            return
        key = item.data(Qt.ItemDataRole.UserRole)
        if self._key_a is not None:
            self.chosen.emit(self._key_a, key)
        elif key is not None:
            self.chosen.emit(key, self._key_b)
        super().accept()

    def _fill(self) -> None:
        words = self.filter.text().lower().split()
        self.listing.clear()
        if self._key_a is not None:
            self.listing.addItem(_item("None: it has no partner", None))
        for key, text in self._candidates:
            if all(word in text.lower() for word in words):
                self.listing.addItem(_item(text, key))
                if self.listing.count() > _MOST_SHOWN:
                    break
        self.listing.setCurrentRow(min(1, self.listing.count() - 1))


def _candidates(compared: OpenComparison, delta: VariableDelta) -> Sequence[tuple[str, str]]:
    """The keys of the other side, those of the same shape first."""
    other = compared.a if delta.pair[0] is None else compared.b
    shape = delta.variable.shape
    variables = sorted(other.checkpoint.variables, key=lambda variable: variable.shape != shape)
    return [
        (variable.key, f"{variable.key}    {shape_text(variable.shape)} {variable.dtype}")
        for variable in variables
    ]


def _item(text: str, key: str | None) -> QListWidgetItem:
    item = QListWidgetItem(text)
    item.setData(Qt.ItemDataRole.UserRole, key)
    return item
