"""The result of a validation at a glance: the verdict in words, its checks, what fails, metrics."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ckptviewer.checkpoint.text import count_text, number_text, plural
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.models.table_rows import Cell, Heading, Row
from ckptviewer.ui.panels.buttons import flat_button
from ckptviewer.ui.panels.result_table import ResultTable
from ckptviewer.ui.panels.verdict_head import VerdictHead
from ckptviewer.ui.panels.widgets import (
    FactGrid,
    FindingCard,
    clear_layout,
    scrolled,
    section_label,
    wrapped_label,
)

if TYPE_CHECKING:
    from ckptviewer.ui.validation_work import Finished
    from ckptviewer.validation.history import Earlier
    from ckptviewer.validation.protocol import Outcome
    from ckptviewer.validation.report import ValidationReport
    from ckptviewer.validation.verdict import Check

_FAILING = (
    Heading(text="Variable that fails"),
    Heading(text="Check"),
    Heading(text="\u0394 mean", number=True),
    Heading(text="\u0394 std", number=True),
    Heading(text="Why"),
)
_TOLD_AS_FINDINGS = frozenset(("differs-from-file", "unchanged-by-restore"))


class ResultOverview(QWidget):
    """Shows one finished validation. log_wanted: what the worker printed is to be shown."""

    log_wanted = Signal()
    restore_wanted = Signal()

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self.head = VerdictHead(appearance)
        self._checks = QGridLayout()
        self._checks.setHorizontalSpacing(12)
        self._checks.setVerticalSpacing(7)
        self._checks.setColumnStretch(2, 1)
        card = QFrame()
        card.setObjectName("card")
        inner = QVBoxLayout(card)
        inner.setContentsMargins(16, 12, 16, 12)
        inner.addLayout(self._checks)
        self.failing = ResultTable(
            "Variables that fail", _FAILING, (200, 110, 96, 96, 300), appearance
        )
        self.metrics = ResultTable("Metrics", (Heading(text="Metric"),), (200,), appearance)
        self._metrics_place = QVBoxLayout()
        self._metrics_place.addWidget(self.metrics)
        self._facts = FactGrid(4, appearance)
        self._gains = QVBoxLayout()
        self._gains.setSpacing(3)
        self._findings = QVBoxLayout()
        self._findings.setSpacing(6)
        self._restore = flat_button("Will it restore?", "Show what binds, and what would help")
        self._restore.clicked.connect(lambda _=False: self.restore_wanted.emit())
        self._log = flat_button("Show the log", "What the model's process printed")
        self._log.clicked.connect(lambda _=False: self.log_wanted.emit())
        foot = QHBoxLayout()
        foot.addWidget(self._restore)
        foot.addWidget(self._log)
        foot.addStretch(1)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(20, 16, 20, 16)
        column.setSpacing(14)
        column.addWidget(self.head)
        column.addWidget(card)
        column.addWidget(self.failing)
        column.addLayout(self._metrics_place)
        column.addWidget(self._facts)
        column.addLayout(self._gains)
        column.addLayout(self._findings)
        column.addLayout(foot)
        column.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolled(page, "Result"))

    def show_finished(self, finished: Finished) -> None:
        """Show a validation that came to its end."""
        report = finished.report
        self.head.show_verdict(verdict_sentence(report), report.passes, _what(report))
        self._show_checks(report)
        rows = list(_failing_rows(report))
        self.failing.show_rows(rows)
        self.failing.fit_height(10)
        self.failing.setColumnHidden(4, not any(row.cells[4].text for row in rows))
        self.failing.setVisible(bool(rows))
        self._show_metrics(report, finished.earlier)
        self._facts.show_facts(_facts(report.outcome))
        clear_layout(self._gains)
        if report.gains:
            self._gains.addWidget(section_label("What B gained over A, in medians"))
        for gain in report.gains:
            self._gains.addWidget(wrapped_label(f"{gain.name}: {gain.text}"))
        clear_layout(self._findings)
        for finding in report.findings:
            if finding.code in _TOLD_AS_FINDINGS and not finding.variable:
                continue
            self._findings.addWidget(FindingCard(finding, self._appearance))
        bad = any(not c.passes and c.name in ("restore", "read-back") for c in report.checks)
        self._restore.setVisible(bad)

    def _show_checks(self, report: ValidationReport) -> None:
        clear_layout(self._checks)
        theme = self._appearance.theme
        top = Qt.AlignmentFlag.AlignTop
        for row, check in enumerate(report.checks):
            mark = QLabel("\u2713" if check.passes else "\u2715")
            mark.setStyleSheet(
                f"color: {theme.good if check.passes else theme.error}; font-weight: 700;"
            )
            mark.setAccessibleName("passes" if check.passes else "fails")
            name = QLabel(_name(check, report))
            name.setTextFormat(Qt.TextFormat.PlainText)
            name.setFont(self._appearance.bold_font)
            self._checks.addWidget(mark, row, 0, top)
            self._checks.addWidget(name, row, 1, top)
            self._checks.addWidget(wrapped_label(check.message), row, 2)

    def _show_metrics(self, report: ValidationReport, earlier: Sequence[Earlier]) -> None:
        """The columns are those that there is something for: so the table is made anew."""
        measured = report.outcome.measurements
        sides = [side for side in ("a", "b") if side in measured]
        names = list(dict.fromkeys(name for side in sides for name in measured[side].values))
        required = {each.metric: str(each) for each in report.thresholds.requirements}
        last = next((each for each in earlier if each.metrics), None)
        headings = [Heading(text="Metric")]
        headings += [
            Heading(text=side.upper() if report.against else "Value", number=True) for side in sides
        ]
        if required:
            headings.append(Heading(text="Required", number=True))
        if last is not None:
            when = _when(last.at)
            which = "this checkpoint" if last.same_checkpoint else last.checkpoint_path
            headings.append(Heading(text="Last time", number=True, tool_tip=f"{when}, {which}"))
        rows = []
        for name in names:
            values = [measured[side].values.get(name) for side in sides]
            cells = [Cell(name), *(_number(value) for value in values)]
            if required:
                met = [c for c in report.checks if c.name == required.get(name)]
                colour = "error" if met and not met[0].passes else ""
                cells.append(Cell(required.get(name, "").removeprefix(name), colour=colour))
            if last is not None:
                cells.append(_number(last.metrics.get(name)))
            rows.append(Row(cells=tuple(cells), what=name))
        self._metrics_place.removeWidget(self.metrics)
        self.metrics.deleteLater()
        widths = (200, *(120 for _ in headings[1:]))
        self.metrics = ResultTable("Metrics", headings, widths, self._appearance)
        self.metrics.show_rows(rows)
        self.metrics.fit_height()
        self.metrics.setVisible(bool(rows))
        self._metrics_place.addWidget(self.metrics)


def verdict_sentence(report: ValidationReport) -> str:
    """The verdict in words."""
    if report.passes:
        count = len(report.checks)
        return f"Pass: {'both checks hold' if count == 2 else f'all {count} checks hold'}."
    failed = [_name(check, report) for check in report.checks if not check.passes]
    if not failed:
        return "Fail: there was nothing to check."
    count = len({row.what for row in _failing_rows(report)})
    listed = failed[0] if len(failed) == 1 else f"{', '.join(failed[:-1])} and {failed[-1]}"
    named = f"; {plural(count, 'variable')} named below" if count else ""
    return f"Fail: {listed} {'does' if len(failed) == 1 else 'do'} not hold{named}."


def _name(check: Check, report: ValidationReport) -> str:
    side = f" ({check.side.upper()})" if check.side and report.against else ""
    return check.name + side


def _what(report: ValidationReport) -> str:
    name = os.path.basename(report.checkpoint.rstrip("/"))
    model = os.path.basename(report.model.rstrip("/"))
    other = os.path.basename(report.against.rstrip("/"))
    versions = ""
    if report.outcome.libraries is not None:
        versions = f", TensorFlow {report.outcome.libraries.tensorflow}"
        if report.outcome.libraries.keras:
            versions += f", Keras {report.outcome.libraries.keras}"
    pair = f"A {name} and B {other}" if other else name
    return f"{pair}, restored into {model}{versions}, in {report.outcome.seconds:.1f} s."


def _failing_rows(report: ValidationReport) -> Iterator[Row]:
    """Each variable that fails a check, with what is known of it."""
    numbers = {each.name: each for each in report.statistics}
    for check in report.checks:
        if check.passes or check.name == "agreement":
            continue
        reasons = _reasons(report.outcome, check.name, check.side or "a")
        for name in check.failing:
            mean = std = Cell("")
            why = reasons.get(name, "")
            if check.name == "statistics" and name in numbers:
                row = numbers[name]
                mean, std = _number(row.mean_difference, 5), _number(row.std_difference, 5)
                why = row.problem
                if row.problem:
                    mean = std = Cell("")
            cells = (Cell(name), Cell(_name(check, report)), mean, std, Cell(why, colour="muted"))
            yield Row(cells=cells, kind=check.name, what=name)


def _reasons(outcome: Outcome, check: str, side: str) -> dict[str, str]:
    restored, read_back = outcome.restored.get(side), outcome.read_back.get(side)
    if check == "restore" and restored is not None:
        found = {each.name: "nothing in the checkpoint is bound to it" for each in restored.missing}
        return found | {each.name: each.reason for each in restored.mismatched}
    if check == "read-back" and read_back is not None:
        return {
            each.name: read_back_words(each.equal, each.changed) for each in read_back.variables
        }
    return {}


def read_back_words(equal: bool | None, changed: bool) -> str:
    """What reading a variable back told."""
    if equal:
        return "equal to the file" if changed else "equal to the file, as it was before"
    if equal is None:
        return (
            "unchanged by restore" if not changed else "changed, and nothing of the file is bound"
        )
    return "differs from the file" if changed else "unchanged by restore, differs from the file"


def _facts(outcome: Outcome) -> Iterator[tuple[str, str, str]]:
    for side, found in sorted(outcome.measurements.items()):
        of = f" {side.upper()}" if len(outcome.measurements) > 1 else ""
        yield f"Examples{of}", count_text(found.examples), ""
        latency, rate = found.latency_seconds, found.throughput
        tip = f"Median of batches of {found.batch_size}, without the first"
        yield f"Latency of a batch{of}", "\u2013" if latency is None else _time(latency), tip
        yield (
            f"Throughput{of}",
            f"{count_text(round(rate))} / s" if rate else "\u2013",
            "Without the first batch",
        )
        first = found.first_batch_seconds
        tip = "With tracing and compiling"
        yield f"First batch{of}", "\u2013" if first is None else _time(first), tip
        if found.nonfinite_outputs:
            yield f"NaN or Inf{of}", plural(found.nonfinite_outputs, "output"), ""


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _number(value: float | None, digits: int = 6) -> Cell:
    exact = "" if value is None else repr(value)
    return Cell(number_text(value, digits), value=value, exact=exact)


def _when(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M")
