"""The inspector of one row of a comparison: both sides over each other, their difference."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QTabWidget, QVBoxLayout, QWidget

from ckptviewer.analysis.comparison import Basis, VariableDelta
from ckptviewer.analysis.difference_checkpoint import DifferenceCheckpoint, has_difference
from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Job, Jobs, Report, failure_text
from ckptviewer.ui.models.delta_rows import shapes_text
from ckptviewer.ui.open_comparison import OpenComparison
from ckptviewer.ui.panels.distribution import DistributionPanel
from ckptviewer.ui.panels.image import ImagePanel
from ckptviewer.ui.panels.overlay import OverlayPanel
from ckptviewer.ui.panels.pair_values import PairValues
from ckptviewer.ui.panels.widgets import ElidedLabel, FactList, name_tabs, scrolled, wrapped_label
from ckptviewer.ui.session import Session

if TYPE_CHECKING:
    from ckptviewer.analysis.histogram import Histogram
    from ckptviewer.analysis.statistics import Statistics

SURE_ENOUGH = 0.5
"""A match below this confidence is called a guess."""

_NO_DIFFERENCE = "There is no difference element by element: the shapes or dtypes do not allow it."


class DeltaPanel(QWidget):
    """Shows one row of a comparison.

    copied: what was put on the clipboard or into a file, in words. match_wanted: the match of this
    row is to be corrected by hand.
    """

    copied = Signal(str)
    match_wanted = Signal(object)

    def __init__(self, jobs: Jobs, appearance: Appearance) -> None:
        super().__init__()
        self._jobs = jobs
        self._compared: OpenComparison | None = None
        self._row = -1
        self._difference: Session | None = None
        self._reading: dict[str, Job[Any]] = {}
        self._filled: set[QWidget] = set()
        self._title = ElidedLabel()
        self._title.setFont(appearance.title_font)
        self._subtitle = wrapped_label("", "muted")
        self.overlay = OverlayPanel(appearance)
        self.difference = DistributionPanel(appearance)
        self.map = ImagePanel(jobs, appearance)
        self.values = PairValues(jobs, appearance)
        self._details = FactList(appearance)
        self.difference.exact_wanted.connect(self._read_exactly)
        self.difference.saved.connect(self.copied)
        self.values.copied.connect(self.copied)
        self.tabs = QTabWidget()
        name_tabs(self.tabs, "Views of the difference")
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(self.overlay, "Overlay")
        self.tabs.addTab(self.difference, "Difference")
        self.tabs.addTab(self.map, "Map")
        self.tabs.addTab(self.values, "Values")
        self.tabs.addTab(scrolled(self._details_page(), "Match"), "Match")
        self.tabs.currentChanged.connect(lambda _tab: self._fill_tab())
        head = QVBoxLayout()
        head.setContentsMargins(20, 16, 20, 8)
        head.setSpacing(4)
        head.addWidget(self._title)
        head.addWidget(self._subtitle)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self.tabs, 1)

    def show_row(self, compared: OpenComparison, row: int) -> None:
        """Show a row of a comparison."""
        if compared is self._compared and row == self._row:
            self.refresh()
            return
        self.clear()
        self._compared, self._row = compared, row
        delta = compared.deltas[row]
        if delta.paired and has_difference(_of(delta, "a"), _of(delta, "b")):
            made = DifferenceCheckpoint(
                compared.a.checkpoint, compared.b.checkpoint, _of(delta, "a"), _of(delta, "b")
            )
            self._difference = Session(made.path, made, compared.a.tree.view_by)
        self.refresh()
        self._fill_tab()

    def refresh(self) -> None:
        """More is known of the row that is shown: its numbers, or its verdict."""
        if self._compared is None:
            return
        delta, judgement = self._compared.deltas[self._row], self._compared.judgements[self._row]
        self._title.show_text(delta.variable.name.replace("/", " / "))
        dtype = delta.variable.dtype
        parts = [shapes_text(delta), f"{dtype} in both" if _one_dtype(delta) else ""]
        parts.append(f"{judgement.verdict}: {judgement.why}" if judgement is not None else "")
        parts += [delta.note, delta.problem]
        self._subtitle.setText("  \u00b7  ".join(part for part in parts if part))
        self.overlay.show_delta(delta)
        self._details.show_facts(_match_facts(delta).items())

    def clear(self) -> None:
        """Let go of what is shown; what is still being read of it is not wanted any more."""
        for job in self._reading.values():
            job.cancel()
        self._reading.clear()
        self._filled.clear()
        self._compared, self._row, self._difference = None, -1, None
        self.map.clear()
        self.values.clear()

    def _fill_tab(self) -> None:
        """Read for the tab in sight; what nobody looks at is not read."""
        compared, panel = self._compared, self.tabs.currentWidget()
        if compared is None or panel is None or panel in self._filled:
            return
        self._filled.add(panel)
        delta = compared.deltas[self._row]
        if panel is self.overlay:
            self._fill_overlay(compared, delta)
        elif panel is self.values:
            self.values.show_pair(
                (compared.a, _of(delta, "a")) if delta.variable_a is not None else None,
                (compared.b, _of(delta, "b")) if delta.variable_b is not None else None,
            )
        elif panel is self.difference:
            self._fill_difference()
        elif panel is self.map:
            if self._difference is None:
                self.map.show_message(_NO_DIFFERENCE)
            else:
                variable = self._difference.checkpoint.variables[0]
                self.map.show_variable(self._difference, variable)

    def _fill_overlay(self, compared: OpenComparison, delta: VariableDelta) -> None:
        if not delta.paired:
            side = "B" if delta.variable_a is None else "A"
            self.overlay.show_message(f"It is in {side} alone; there is nothing to lay over it.")
            return
        kinds = {kind_of(_of(delta, side).dtype) for side in "ab"}
        if Kind.OPAQUE in kinds:
            self.overlay.show_message("Values of this dtype are opaque: they cannot be shown.")
            return
        self.overlay.show_message("Reading\u2026")

        def read(cancel: CancelToken, _report: Report) -> tuple[Statistics, Statistics]:
            return (
                _statistics(compared.a, _of(delta, "a"), cancel),
                _statistics(compared.b, _of(delta, "b"), cancel),
            )

        job = self._start("overlay", "Statistics", read)
        job.succeeded.connect(lambda sides: self.overlay.show_statistics(*sides))
        job.failed.connect(lambda error: self.overlay.show_message(failure_text(error)))

    def _fill_difference(self) -> None:
        session = self._difference
        if session is None:
            self.difference.show_message(_NO_DIFFERENCE)
            return
        variable = session.checkpoint.variables[0]
        self.difference.show_message("Reading\u2026")

        def read(cancel: CancelToken, report: Report) -> Statistics:
            from ckptviewer.analysis.statistics import statistics_of

            return statistics_of(session.checkpoint, variable, cancel=cancel, progress=report)

        job = self._start("difference", "Difference", read)
        job.succeeded.connect(partial(self.difference.show_statistics, variable))
        job.failed.connect(lambda error: self.difference.show_message(failure_text(error)))

    def _read_exactly(self, edges: Any, scale: Any) -> None:
        from ckptviewer.ui.panels.inspector import LARGEST_READ_TWICE

        session = self._difference
        if session is None or session.total_bytes > LARGEST_READ_TWICE:
            return
        variable = session.checkpoint.variables[0]

        def read(cancel: CancelToken, report: Report) -> Histogram:
            from ckptviewer.analysis.statistics import exact_histogram

            return exact_histogram(
                session.checkpoint, variable, edges, scale=scale, cancel=cancel, progress=report
            )

        job = self._start("exact", "Histogram", read)
        job.succeeded.connect(self.difference.show_exact)
        job.failed.connect(lambda error: self.difference.show_message(failure_text(error)))

    def _start(self, place: str, label: str, work: Any) -> Job[Any]:
        before = self._reading.pop(place, None)
        if before is not None:
            before.cancel()
        job = self._jobs.start(label, work)
        self._reading[place] = job
        return job

    def _details_page(self) -> QWidget:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(20, 14, 20, 16)
        column.setSpacing(10)
        column.addWidget(self._details)
        correct = QPushButton("Correct this match\u2026")
        correct.setToolTip("Choose by hand which variable of B belongs to this one of A")
        correct.clicked.connect(self._ask_for_match)
        row = QHBoxLayout()
        row.addWidget(correct)
        row.addStretch(1)
        column.addLayout(row)
        column.addStretch(1)
        return page

    def _ask_for_match(self) -> None:
        if self._compared is not None:
            self.match_wanted.emit(self._compared.deltas[self._row])


def _of(delta: VariableDelta, side: str) -> Variable:
    variable = delta.variable_a if side == "a" else delta.variable_b
    assert variable is not None
    return variable


def _one_dtype(delta: VariableDelta) -> bool:
    return delta.paired and _of(delta, "a").dtype == _of(delta, "b").dtype


def _statistics(session: Session, variable: Variable, cancel: CancelToken) -> Statistics:
    from ckptviewer.analysis.statistics import statistics_of

    if session.remembered is not None:
        known = session.remembered.known((variable.key,))
        if known:
            return known[variable.key]
    return statistics_of(session.checkpoint, variable, cancel=cancel)


def _match_facts(delta: VariableDelta) -> dict[str, str]:
    key_a, key_b = delta.pair
    facts = {"Status": str(delta.status)}
    facts["In A"] = key_a if key_a is not None else "not there"
    facts["In B"] = key_b if key_b is not None else "not there"
    if delta.match.reason is not None:
        facts["Matched by"] = str(delta.match.reason)
        sure = delta.match.confidence
        facts["Confidence"] = f"{sure:.0%}{', a guess' if sure < SURE_ENOUGH else ''}"
    if delta.match.why:
        facts["Why"] = delta.match.why
    for side, aliases in (("A", delta.match.aliases_a), ("B", delta.match.aliases_b)):
        if aliases:
            facts[f"Also in {side} as"] = "\n".join(aliases)
    if delta.basis is not None:
        stated = {Basis.CHECKSUM: "by checksum, without reading", Basis.VALUES: "from all values"}
        facts["Compared"] = stated[delta.basis]
    for side, variable in (("A", delta.variable_a), ("B", delta.variable_b)):
        if variable is not None:
            facts[f"Role in {side}"] = str(variable.role)
    return facts
