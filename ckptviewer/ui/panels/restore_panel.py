"""The restore report on the screen: the answer, all variables by their fate, what would help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.checkpoint.findings import Severity
from ckptviewer.checkpoint.text import count_text
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.buttons import chip_button, flat_button
from ckptviewer.ui.panels.result_table import ResultTable
from ckptviewer.ui.panels.verdict_head import VerdictHead
from ckptviewer.ui.panels.widgets import (
    FindingCard,
    clear_layout,
    code_view,
    name_tabs,
    nothing_label,
    parted,
    scrolled,
    wrapped_label,
)
from ckptviewer.ui.restore_words import (
    HEADINGS,
    LETTERS,
    MEANINGS,
    Fate,
    Told,
)

if TYPE_CHECKING:
    from ckptviewer.analysis.restore_report import RestoreReport
    from ckptviewer.validation.protocol import Restored

_WIDTHS = (34, 190, 245, 178, 250)


class RestorePanel(QWidget):
    """Shows one restore. copied: what was put on the clipboard, in words."""

    copied = Signal(str)

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self.report: RestoreReport | None = None
        self.told: Told | None = None
        self.head = VerdictHead(appearance)
        self._notes = QVBoxLayout()
        self._notes.setSpacing(6)
        self._fates = {fate: self._fate_button(fate) for fate in Fate}
        self._needed = chip_button(
            "The model\u2019s only", "Leave out optimizers, counters and metrics"
        )
        self._needed.toggled.connect(self._apply)
        self.table = ResultTable("Variables of both sides", HEADINGS, _WIDTHS, appearance)
        self.table.horizontalHeader().setSectionResizeMode(
            0, self.table.horizontalHeader().ResizeMode.Fixed
        )
        self.table.horizontalHeader().resizeSection(0, _WIDTHS[0])
        for names in (1, 2):
            self.table.horizontalHeader().setSectionResizeMode(
                names, self.table.horizontalHeader().ResizeMode.Stretch
            )
        self.table.horizontalHeader().setStretchLastSection(True)
        self._copy = flat_button("Copy rows", "Copy the rows that are shown, or selected")
        self._copy.clicked.connect(lambda _=False: self.table.copy_rows())
        self._filler = QWidget()
        self._nothing = nothing_label("No variable matches.")
        self.python = code_view("Python that restores", appearance)
        self.rules = code_view("Rename rules", appearance)
        self._statements = QVBoxLayout()
        self.help_ = self._make_help()
        self._lay_out()

    # What is shown.

    def show_report(self, report: RestoreReport, told: Told) -> None:
        """Show what the two files tell; `told` is made of it, in another thread."""
        self.report = report
        self._show(told)
        clear_layout(self._notes)
        for finding in report.findings:
            if finding.severity is not Severity.INFO and finding.message != told.headline:
                self._notes.addWidget(FindingCard(finding, self._appearance))
        self._show_help(report)

    def show_restored(self, restored: Restored, told: Told) -> None:
        """Show what happened in the worker; `told` is made of it, in another thread."""
        self.report = None
        clear_layout(self._notes)
        self._show(told)
        clear_layout(self._statements)
        for each in restored.assertions:
            self._statements.addWidget(_said(each.name, each.passed, each.message))
        self._statements.addStretch(1)
        for at in range(self.help_.count()):
            self.help_.setTabVisible(at, at == self.help_.count() - 1)
        self.help_.setVisible(bool(restored.assertions))

    def show_unknown(self, headline: str, more: str = "") -> None:
        """Say that nothing can be told, and why."""
        self.report = None
        clear_layout(self._notes)
        self._show(Told(headline=headline, good=None, more=more, rows=(), counts={}, needed={}))
        self._nothing.hide()

    def apply_filter(self, text: str) -> None:
        """Show only the variables with all these words."""
        self.table.rows.filter_words(text)
        self._tell_nothing()

    def choose(self, *fates: Fate) -> None:
        """Show the variables of these fates alone; of all where none is given."""
        for fate, button in self._fates.items():
            button.setChecked(fate in fates)

    def _show(self, told: Told) -> None:
        self.told = told
        self.head.show_verdict(told.headline, told.good, told.more)
        for fate, button in self._fates.items():
            count = told.counts.get(fate, 0)
            button.setText(f"{LETTERS[fate]} {count_text(count)} {fate}")
            button.setAccessibleName(f"{count} {fate}")
            button.setVisible(bool(count) or button.isChecked())
        self._needed.setVisible(told.needed != told.counts)
        self.table.rows.show_rows(told.rows, told.texts)
        self.table.setVisible(bool(told.rows))
        self._filler.setVisible(not told.rows)
        self._copy.setVisible(bool(told.rows))
        self.help_.setVisible(self.report is not None)
        self._apply()

    def _show_help(self, report: RestoreReport) -> None:
        python = report.partial or report.fix or report.call
        self.python.setPlainText(python)
        self.rules.setPlainText("\n".join(map(str, report.rename_rules)))
        clear_layout(self._statements)
        if report.raises and report.call not in [each.call for each in report.statements]:
            self._statements.addWidget(_said(report.call, False, f"raises {report.raises}"))
        for each in report.statements:
            self._statements.addWidget(_said(each.call, each.passes, each.message))
        silent = _restore_of_nothing(report.checkpoint)
        if silent:
            self._statements.addWidget(wrapped_label(silent, "muted"))
        self._statements.addStretch(1)
        titles = {
            _python_title(report): True,
            f"Rename rules ({len(report.rename_rules)})": bool(report.rename_rules),
            "What TensorFlow says": bool(report.statements or report.raises or silent),
        }
        for at, (title, there) in enumerate(titles.items()):
            self.help_.setTabText(at, title)
            self.help_.setTabVisible(at, there)

    def _apply(self) -> None:
        if self.told is None:
            return
        fates = [fate for fate, button in self._fates.items() if button.isChecked()]
        wanted = fates or list(Fate)
        needed = (True,) if self._needed.isChecked() else (True, False)
        everything = not fates and len(needed) == 2
        kinds = None if everything else frozenset((f, n) for f in wanted for n in needed)
        self.table.rows.filter_kinds(kinds)
        self._tell_nothing()

    def _tell_nothing(self) -> None:
        total, shown = self.table.rows.total, self.table.rows.rowCount()
        self._nothing.setVisible(bool(total) and not shown)

    def copy_python(self) -> None:
        """Put the Python on the clipboard."""
        QGuiApplication.clipboard().setText(self.python.toPlainText())
        self.copied.emit("Copied the Python that restores")

    def copy_rules(self) -> None:
        """Put the rename rules on the clipboard, a line each."""
        QGuiApplication.clipboard().setText(self.rules.toPlainText() + "\n")
        self.copied.emit("Copied the rename rules")

    # How it is made.

    def _fate_button(self, fate: Fate) -> QToolButton:
        button = chip_button(tool_tip=f"Show only what is {fate}: {MEANINGS[fate]}")
        button.toggled.connect(self._apply)
        return button

    def _make_help(self) -> QTabWidget:
        tabs = QTabWidget()
        name_tabs(tabs, "What follows from it")
        tabs.setDocumentMode(True)
        for edit, title, button in (
            (self.python, "Python", self._button("Copy", "Copy the Python", self.copy_python)),
            (self.rules, "Rename rules", self._button("Copy", "Copy the rules", self.copy_rules)),
        ):
            page = QWidget()
            row = QHBoxLayout(page)
            row.setContentsMargins(12, 8, 12, 8)
            row.addWidget(edit, 1)
            row.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
            tabs.addTab(page, title)
        said = QWidget()
        self._statements.setContentsMargins(14, 10, 14, 10)
        self._statements.setSpacing(8)
        said.setLayout(self._statements)
        tabs.addTab(scrolled(said, "What TensorFlow says"), "What TensorFlow says")
        return tabs

    def _button(self, text: str, tip: str, do: object) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.clicked.connect(lambda _=False: do())  # type: ignore[operator]
        return button

    def _lay_out(self) -> None:
        head = QWidget()
        top = QVBoxLayout(head)
        top.setContentsMargins(16, 14, 16, 4)
        top.setSpacing(8)
        top.addWidget(self.head)
        top.addLayout(self._notes)
        chips = QHBoxLayout()
        chips.setSpacing(2)
        for button in self._fates.values():
            chips.addWidget(button)
        chips.addStretch(1)
        chips.addWidget(self._needed)
        chips.addWidget(self._copy)
        top.addLayout(chips)
        upper = QWidget()
        column = QVBoxLayout(upper)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(head)
        column.addWidget(self.table, 10)
        column.addWidget(self._nothing)
        column.addWidget(self._filler, 1)
        splitter = parted(
            Qt.Orientation.Vertical,
            (upper, 3, 460),
            (self.help_, 1, 200),
        )
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(splitter)


def _python_title(report: RestoreReport) -> str:
    if report.partial:
        return "Python for a partial restore"
    if report.restores_model:
        return "Python that restores it"
    return "Python that restores what it can" if report.fix else "The call"


def _said(call: str, passes: bool, message: str) -> QWidget:
    label = wrapped_label(f"{chr(0x2713) if passes else chr(0x2715)}  {call}: {message}")
    label.setAccessibleName(f"{'passes' if passes else 'fails'}: {call}: {message}")
    return label


def _restore_of_nothing(path: str) -> str:
    from ckptviewer.analysis.restore import restore_of_nothing

    return restore_of_nothing(path)
