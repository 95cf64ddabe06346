"""The page after an export: what was verified, the numbers of the receipt, where to go on."""

from __future__ import annotations

import os
from dataclasses import replace

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.checkpoint.findings import Severity
from ckptviewer.checkpoint.text import count_text, exact_size_text, plural, size_text
from ckptviewer.export.receipt import Receipt
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.exporting import Done
from ckptviewer.ui.jobs import Jobs
from ckptviewer.ui.panels.export_balance import Balance
from ckptviewer.ui.panels.export_check import ExportCheck, verdict_of, with_check_of
from ckptviewer.ui.panels.note import Note
from ckptviewer.ui.panels.overview import FORMAT_TITLES
from ckptviewer.ui.panels.widgets import (
    FactList,
    FindingCard,
    clear_layout,
    code_view,
    scrolled,
    section_label,
    wrapped_label,
)
from ckptviewer.ui.settings import Settings

MOST_LINES = 16
_RECEIPTS = "Page (*.html);;Markdown (*.md);;JSON (*.json)"


class ExportResult(QWidget):
    """What came of an export.

    open_wanted: path of the result. compare_wanted: the same, to be compared with the source.
    validate_wanted: the same, to be restored into its model.
    again_wanted: back to the choices. told: a short message. save_wanted: receipt and its path.
    """

    open_wanted = Signal(str)
    compare_wanted = Signal(str)
    validate_wanted = Signal(str)
    again_wanted = Signal()
    told = Signal(str)
    save_wanted = Signal(object, str)

    def __init__(self, jobs: Jobs, appearance: Appearance, settings: Settings) -> None:
        super().__init__()
        self.setObjectName("page")
        self._appearance = appearance
        self.done: Done | None = None
        self.receipt: Receipt | None = None
        self.title = QLabel()
        self.title.setFont(appearance.title_font)
        self.proof = wrapped_label("")
        self.balance = Balance(appearance)
        self.balance.title.setFont(appearance.bold_font)
        self.facts = FactList(appearance)
        self.check = ExportCheck(jobs, appearance, settings)
        self.check.checked.connect(self._show_receipt)
        self.check.told.connect(self.told)
        self.problem = Note()
        self._cards = QVBoxLayout()
        self._cards.setSpacing(8)
        self.python = code_view("The Python that restores it", appearance)
        self.buttons: dict[str, QPushButton] = {}
        page = QWidget()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolled(page, "Result of the export"))
        self._lay_out(QVBoxLayout(page))

    def show_done(self, done: Done) -> None:
        """Show what an export did, and offer to check it."""
        self.done, self.receipt = done, done.receipt
        self.check.begin(done.receipt, path_to_open(done.receipt))
        self.dress()
        self.buttons["Open the result"].setFocus()

    def dress(self) -> None:
        """Show it in the colours and fonts of now."""
        done, receipt = self.done, self.receipt
        if done is None or receipt is None:
            return
        self.title.setText("\u2713 Written and verified")
        self.title.setStyleSheet(f"color: {self._appearance.theme.good};")
        text = proof_text(receipt)
        self.proof.setText(text)
        self.proof.setAccessibleName(text)
        count = len(receipt.kept) + len(receipt.dropped)
        self.balance.show_bytes(receipt.bytes_before, receipt.bytes_after, len(receipt.kept), count)
        self.facts.show_facts(facts_of(receipt))
        self.problem.say("")
        clear_layout(self._cards)
        for finding in receipt.findings:
            if finding.severity is not Severity.INFO:
                self._cards.addWidget(FindingCard(finding, self._appearance))
        python = done.python.rstrip()
        self.python.setPlainText(python)
        lines = min(MOST_LINES, python.count("\n") + 1)
        self.python.setFixedHeight(lines * self.python.fontMetrics().lineSpacing() + 34)

    def show_measured(self, receipt: Receipt) -> None:
        """Show how long source and result take to open and to load, too."""
        if self.receipt is not None and receipt.destination == self.receipt.destination:
            self._show_receipt(with_check_of(receipt, self.receipt))

    def copy_command(self) -> None:
        """Put the command line that makes the same export on the clipboard."""
        if self.done is not None:
            QGuiApplication.clipboard().setText(self.done.command)
            self.told.emit("Copied the command line")

    def copy_python(self) -> None:
        """Put the Python that restores it on the clipboard."""
        if self.done is not None:
            QGuiApplication.clipboard().setText(self.done.python)
            self.told.emit("Copied the Python that restores it")

    def show_in_folder(self) -> None:
        """Open the directory of the result in the system's file manager."""
        if self.receipt is not None:
            directory = os.path.dirname(self.receipt.destination)
            if not QDesktopServices.openUrl(QUrl.fromLocalFile(directory)):
                self.problem.say(
                    f"No program shows directories here; it is in {directory}.", error=True
                )

    def ask_for_receipt(self) -> None:
        """Ask where to save the receipt."""
        if self.receipt is None:
            return
        path, kind = QFileDialog.getSaveFileName(
            self, "Save the receipt", f"{self.receipt.destination}.receipt.html", _RECEIPTS
        )
        if path:
            ending = kind[kind.find("*") + 1 : -1]
            if not os.path.splitext(path)[1] and ending:
                path += ending
            self.save_wanted.emit(self.receipt, path)

    def _show_receipt(self, receipt: Receipt) -> None:
        """Show the numbers of the receipt, of which there are more now."""
        if receipt.timings is None and self.receipt is not None:
            receipt = replace(receipt, timings=self.receipt.timings)
        self.receipt = receipt
        self.facts.show_facts(facts_of(receipt))

    def _open(self) -> None:
        if self.receipt is not None:
            self.open_wanted.emit(path_to_open(self.receipt))

    def _compare(self) -> None:
        if self.receipt is not None:
            self.compare_wanted.emit(path_to_open(self.receipt))

    def _validate(self) -> None:
        if self.receipt is not None:
            self.validate_wanted.emit(path_to_open(self.receipt))

    def _lay_out(self, column: QVBoxLayout) -> None:
        column.setContentsMargins(20, 18, 20, 20)
        column.setSpacing(9)
        column.addWidget(self.title)
        column.addWidget(self.proof)
        column.addSpacing(4)
        column.addWidget(self.balance)
        column.addSpacing(6)
        grid = QGridLayout()
        grid.setSpacing(8)
        for number, (text, do) in enumerate(
            (
                ("Open the result", self._open),
                ("Compare with the source", self._compare),
                ("Validate the result\u2026", self._validate),
                ("Show in folder", self.show_in_folder),
                ("Save receipt\u2026", self.ask_for_receipt),
                ("Copy as command line", self.copy_command),
                ("Copy the Python", self.copy_python),
            )
        ):
            button = QPushButton(text)
            button.clicked.connect(lambda _checked=False, do=do: do())
            self.buttons[text] = button
            grid.addWidget(button, number // 2, number % 2)
        self.buttons["Open the result"].setObjectName("primary")
        self.buttons["Copy the Python"].setToolTip("Copy the Python that restores it")
        column.addLayout(grid)
        column.addWidget(self.problem)
        column.addSpacing(6)
        column.addWidget(self.check)
        column.addSpacing(6)
        column.addWidget(section_label("Receipt"))
        column.addWidget(self.facts)
        column.addLayout(self._cards)
        column.addSpacing(6)
        column.addWidget(section_label("Restoring it"))
        column.addWidget(self.python)
        again = QPushButton("Change something and export again")
        again.clicked.connect(self.again_wanted)
        column.addSpacing(4)
        column.addWidget(again, 0, Qt.AlignmentFlag.AlignLeft)
        column.addStretch(1)


def path_to_open(receipt: Receipt) -> str:
    """The path that opens what was written, whatever else bears a similar name."""
    if receipt.format == "tf-bundle":
        return f"{receipt.destination}.index"
    if len(receipt.files) > 1:
        return os.path.join(os.path.dirname(receipt.destination), list(receipt.files)[-1])
    return receipt.destination


def proof_text(receipt: Receipt) -> str:
    """What was proven, in a sentence or two."""
    cast = [each for each in receipt.kept if each.dtype]
    same = len(receipt.kept) - len(cast)
    parts = []
    if same:
        parts.append(f"{plural(same, 'variable is', 'variables are')} bitwise as in the source")
    if cast:
        worst = max((loss.relative_error for loss in receipt.losses.values()), default=0.0)
        parts.append(
            f"{plural(len(cast), 'variable is', 'variables are')} the source's, cast to "
            f"{cast[0].dtype}: off by {worst:.2g} of their values at most"
        )
    return f"Read back before it got its name: {', '.join(parts)}."


def facts_of(receipt: Receipt) -> list[tuple[str, str]]:
    """Label and value of each number of the receipt."""
    renamed = sum(each.key != each.key_written for each in receipt.kept)
    cast = sum(bool(each.dtype) for each in receipt.kept)
    averaged = sum(bool(each.taken_from) for each in receipt.kept)
    sizes = {name: size_text(size).replace(" ", "\u00a0") for name, size in receipt.files.items()}
    files = [f"{name} ({size})" for name, size in sizes.items()]
    if len(files) > 6:
        files[5:] = [f"and {count_text(len(files) - 5)} more"]
    facts = [
        ("Written to", receipt.destination),
        ("Format", FORMAT_TITLES.get(receipt.format, receipt.format)),
        ("Files", "\n".join(files)),
        ("Kept", plural(len(receipt.kept), "variable")),
        ("Dropped", plural(len(receipt.dropped), "variable")),
    ]
    for label, count in (
        ("Renamed", renamed),
        ("Cast", cast),
        ("Averages used", averaged),
        ("Written once", len(receipt.duplicates)),
    ):
        if count:
            facts.append((label, plural(count, "variable")))
    if receipt.added:
        facts.append(("Added", ", ".join(receipt.added)))
    facts.append(
        ("Bytes", f"{exact_size_text(receipt.bytes_before)} to "
         f"{exact_size_text(receipt.bytes_after)}")
    )  # fmt: skip
    if receipt.state_file:
        facts.append(("Noted in", receipt.state_file))
    times = receipt.timings
    if times is not None:
        facts.append(("Opens in", f"{_ms(times.open_after)}, the source in "
                      f"{_ms(times.open_before)}"))  # fmt: skip
        facts.append(("Loads in", f"{_ms(times.load_after)}, the source in "
                      f"{_ms(times.load_before)}"))  # fmt: skip
    check = receipt.restore_check
    if check is not None:
        sentence, _good, more = verdict_of(check)
        facts.append(("Restore check", f"{sentence}: {more}"))
    return facts


def _ms(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
