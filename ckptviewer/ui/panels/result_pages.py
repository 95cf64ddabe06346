"""The pages of a result: classes, worst examples, read-back, A and B, earlier validations."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ckptviewer.checkpoint.text import count_text, number_text, plural
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.models.table_rows import Cell, Heading, Row
from ckptviewer.ui.panels.confusion import ConfusionMatrix
from ckptviewer.ui.panels.result_overview import read_back_words
from ckptviewer.ui.panels.result_table import ResultTable
from ckptviewer.ui.panels.verdict_head import VerdictHead
from ckptviewer.ui.panels.widgets import FactGrid, parted, wrapped_label

if TYPE_CHECKING:
    from ckptviewer.validation.history import Earlier
    from ckptviewer.validation.protocol import (
        Agreement,
        Measurements,
        ReadBack,
        VariableReadBack,
    )
    from ckptviewer.validation.report import ValidationReport
    from ckptviewer.validation.verdict import StatisticsRow


def _numbers(*titles: str) -> list[Heading]:
    return [Heading(text=title, number=True) for title in titles]


class _Page(QWidget):
    """A page with a note above its table."""

    def __init__(self, table: ResultTable) -> None:
        super().__init__()
        self.table = table
        self.note = wrapped_label("", "muted")
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(16, 12, 16, 8)
        self.column.setSpacing(10)
        self.column.addWidget(self.note)
        self.column.addWidget(table, 1)

    def say(self, text: str) -> None:
        self.note.setText(text)
        self.note.setAccessibleName(text)


class ClassesPage(QWidget):
    """Precision, recall and F1 of each class, and the confusion matrix."""

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        headings = [
            Heading(text="Class"),
            *_numbers("Examples", "Right", "Recall", "Precision", "F1"),
        ]
        self.table = ResultTable("Classes", headings, (70, 76, 62, 78, 78, 68), appearance)
        self.matrix = ConfusionMatrix(appearance)
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(14, 14, 14, 10)
        column.addWidget(self.matrix, 1)
        splitter = parted(
            Qt.Orientation.Horizontal,
            (self.table, 0, 450),
            (right, 0, 450),
        )
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(splitter)

    def show_measured(self, measured: Measurements) -> None:
        """Show one checkpoint's classes."""
        rows = []
        for each in measured.classes:
            shares = [_share(each.recall), _share(each.precision), _share(each.f1)]
            counts = [Cell(count_text(n), value=n) for n in (each.count, each.correct)]
            rows.append(Row(cells=(Cell(each.label), *counts, *shares), what=each.label))
        self.table.show_rows(rows)
        self.matrix.show_counts(measured.confusion, [each.label for each in measured.classes])
        self.matrix.setVisible(bool(measured.confusion))


class ExamplesPage(_Page):
    """The examples that cost most."""

    def __init__(self, appearance: Appearance) -> None:
        headings = [
            Heading(text="Example", number=True, tool_tip="Its place in the data, from 0"),
            Heading(text="Truth"),
            Heading(text="Prediction"),
            *_numbers("Confidence", "Loss"),
        ]
        widths = (90, 160, 160, 110, 110)
        super().__init__(ResultTable("Worst examples", headings, widths, appearance, stretched=2))

    def show_measured(self, measured: Measurements) -> None:
        """Show one checkpoint's worst examples."""
        rows = []
        for each in measured.worst:
            wrong = "error" if each.truth != each.prediction else ""
            cells = (
                Cell(count_text(each.index), value=each.index),
                Cell(each.truth),
                Cell(each.prediction, colour=wrong),
                _share(each.confidence, bar=False),
                _number(each.loss),
            )
            rows.append(Row(cells=cells, what=each.index))
        self.table.show_rows(rows)
        count = plural(len(rows), "example")
        of = plural(measured.examples, "example")
        self.say(f"The {count} of {of} that cost most, the worst first.")


class ReadBackPage(_Page):
    """Each variable of the model, before and after the restore, and as the file has it."""

    def __init__(self, appearance: Appearance) -> None:
        headings = [
            Heading(text="Variable"),
            Heading(text="Read back"),
            *_numbers("Mean", "in the file", "Std", "in the file", "Skewness", "Kurtosis"),
        ]
        widths = (170, 180, 92, 92, 86, 86, 88, 88)
        super().__init__(ResultTable("Variables read back", headings, widths, appearance))
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)

    def show_rows(self, rows: Sequence[Row], *, both: bool) -> None:
        """Show what `read_back_rows` made of one checkpoint, or of both."""
        self.table.show_rows(rows)
        equal = sum(bool(row.kind) for row in rows)
        of = " of A and B" if both else ""
        hold = f"{equal} of {plural(len(rows), 'variable')}{of} hold, byte for byte,"
        self.say(f"{hold} what the file has (after a cast, where the model has another dtype).")


class AgreementPage(QWidget):
    """How far A and B agree: in what they predict, and in the statistics of each variable."""

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self.head = VerdictHead(appearance)
        self._facts = FactGrid(4, appearance)
        headings = [
            Heading(text="Variable"),
            *_numbers("\u0394 mean", "\u0394 std"),
            Heading(text="Within the threshold"),
        ]
        self.table = ResultTable("Variables in A and B", headings, (240, 120, 120, 200), appearance)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 14, 16, 8)
        column.setSpacing(12)
        column.addWidget(self.head)
        column.addWidget(self._facts)
        column.addWidget(self.table, 1)

    def show_report(self, report: ValidationReport) -> None:
        """Show both verdicts, each variable that fails first."""
        checks = {c.name: c for c in report.checks if c.name in ("statistics", "agreement")}
        good = all(check.passes for check in checks.values())
        sentence = "A and B agree." if good else "A and B do not agree."
        self.head.show_verdict(sentence, good, " ".join(c.message for c in checks.values()))
        self._facts.show_facts(_agreement_facts(report.outcome.agreement))
        limit = report.thresholds.statistics
        rows = [_statistics_row(each, limit) for each in report.statistics]
        rows.sort(key=lambda row: bool(row.kind))
        self.table.show_rows(rows)


class EarlierPage(_Page):
    """What was measured before with this model and data."""

    def __init__(self, appearance: Appearance) -> None:
        headings = (
            Heading(text="When"),
            Heading(text="Verdict"),
            Heading(text="Checkpoint"),
            Heading(text="Agreed with"),
            Heading(text="Metrics"),
        )
        widths = (130, 74, 170, 150, 240)
        super().__init__(
            ResultTable("Earlier validations", headings, widths, appearance, stretched=4)
        )

    def show_earlier(self, earlier: Sequence[Earlier]) -> None:
        """Show them, the newest first."""
        rows = []
        for each in earlier:
            when = datetime.fromtimestamp(each.at).strftime("%Y-%m-%d %H:%M")
            name = os.path.basename(each.checkpoint_path.rstrip("/"))
            if each.same_checkpoint:
                name += " (this one)"
            values = ", ".join(f"{k} {number_text(v, 4)}" for k, v in each.metrics.items())
            cells = (
                Cell(when),
                Cell(each.verdict, colour="good" if each.verdict == "pass" else "error"),
                Cell(name, tool_tip=each.checkpoint_path),
                Cell(os.path.basename(each.against_path.rstrip("/")), tool_tip=each.against_path),
                Cell(values),
            )
            rows.append(Row(cells=cells, what=each))
        self.table.show_rows(rows)
        what = "validation" if len(rows) == 1 else "validations"
        self.say(
            f"{len(rows)} earlier {what} with this model and data."
            if rows
            else "Nothing was validated before with this model and data."
        )


def read_back_rows(read_backs: Sequence[ReadBack]) -> list[Row]:
    """A row for each variable, what is wrong first; for any thread."""
    rows = []
    for back in read_backs:
        of = f" ({back.checkpoint.upper()})" if len(read_backs) > 1 else ""
        for each in back.variables:
            good = bool(each.equal)
            words = read_back_words(each.equal, each.changed)
            file = each.file
            cells = (
                Cell(each.name + of, tool_tip=f"{each.name}\n{each.key or 'nothing is bound'}"),
                Cell(words, colour="" if good else "error"),
                _moment(each, "mean"),
                _number(file.mean if file is not None else None, 4),
                _moment(each, "std"),
                _number(file.std if file is not None else None, 4),
                _moment(each, "skewness"),
                _moment(each, "kurtosis"),
            )
            rows.append(Row(cells=cells, kind=good, what=each.name))
    rows.sort(key=lambda row: bool(row.kind))
    return rows


def _statistics_row(each: StatisticsRow, limit: float) -> Row:
    passes = each.passes(limit)
    told = each.problem or ("yes" if passes else f"no: {limit:g} or more")
    cells = (
        Cell(each.name),
        _number(each.mean_difference),
        _number(each.std_difference),
        Cell(told, colour="" if passes else "error"),
    )
    return Row(cells=cells, kind=passes, what=each.name)


def _agreement_facts(agreement: Agreement | None) -> list[tuple[str, str, str]]:
    facts = []
    for each in agreement.outputs if agreement is not None else ():
        of = f" of {each.output}" if agreement is not None and len(agreement.outputs) > 1 else ""
        name = "Same largest output" if each.argmax is not None else "Close values"
        share = "\u2013" if each.agreement is None else f"{each.agreement:.4%}"
        facts.append((f"{name}{of}", share, f"of {count_text(each.examples)} examples"))
        facts.append(("max |\u0394|", number_text(each.max_abs), repr(each.max_abs)))
        facts.append(("mean |\u0394|", number_text(each.mean_abs), repr(each.mean_abs)))
        if each.differing:
            shown = ", ".join(map(str, each.differing[:6]))
            more = "\u2026" if len(each.differing) > 6 else ""
            facts.append(("Differ in examples", shown + more, "Their places in the data"))
        if each.nonfinite:
            tip = "Values that are NaN or infinite in both A and B: they agree on nothing"
            facts.append((f"NaN or Inf in both{of}", count_text(each.nonfinite), tip))
    return facts


def _share(value: float | None, *, bar: bool = True) -> Cell:
    if value is None:
        return Cell("\u2013", tool_tip="nothing to divide by")
    return Cell(
        f"{value:.1%}", value=value, tool_tip=repr(value), share=float(value) if bar else None
    )


def _moment(each: VariableReadBack, name: str) -> Cell:
    """A moment after the restore; the tooltip has it before, and in the file."""
    before, after = getattr(each.before, name), getattr(each.after, name)
    file = getattr(each.file, name) if each.file is not None else None
    tip = f"{name} before: {before}\nafter: {after}\nin the file: {file}"
    return Cell(number_text(after, 4), value=after, tool_tip=tip, exact=repr(after))


def _number(value: float | None, digits: int = 5) -> Cell:
    exact = "" if value is None else repr(value)
    return Cell(number_text(value, digits), value=value, exact=exact)
