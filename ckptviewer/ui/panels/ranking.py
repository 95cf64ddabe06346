"""Which variables stand out: ranked by what was measured of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from ckptviewer.analysis.dead import Dead, dead_of, may_be_dead
from ckptviewer.analysis.sketch import Measures
from ckptviewer.checkpoint.errors import Cancelled, CkptviewerError
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.checkpoint.text import count_text, number_text, plural
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Job, Jobs, Report
from ckptviewer.ui.panels.buttons import ChoiceButton
from ckptviewer.ui.panels.padded_cells import NameCells
from ckptviewer.ui.panels.widgets import wrapped_label
from ckptviewer.ui.session import Session

MOST_RANKED = 200
_SETTLE_MS = 250

_DEAD = "dead rows and columns"
_TELL_EVERY = 8

Measure = Callable[[Measures], float | None]
MEASURES: dict[str, tuple[Measure, Callable[[float], str]]] = {
    "NaN and Inf": (lambda m: m.not_finite or None, lambda value: count_text(int(value))),
    "root mean square": (lambda m: m.rms, number_text),
    "L2 norm": (lambda m: m.l2_norm, number_text),
    "share of zeros": (lambda m: m.sparsity or None, lambda value: f"{value:.2%}"),
    _DEAD: (lambda _m: None, lambda value: count_text(int(value))),
    "excess kurtosis": (lambda m: m.kurtosis, number_text),
}


class RankingPanel(QWidget):
    """Lists the variables that stand out most. chosen: the row of one that was clicked."""

    chosen = Signal(object)

    def __init__(self, jobs: Jobs, appearance: Appearance) -> None:
        super().__init__()
        self._jobs = jobs
        self._appearance = appearance
        self._looking: Job[None] | None = None
        self._session: Session | None = None
        self._by = ChoiceButton("Rank by", list(MEASURES), "root mean square")
        self._by.chosen.connect(self._rank)
        self._note = wrapped_label("", "muted")
        self._list = QTreeWidget()
        self._list.setAccessibleName("Variables that stand out")
        self._list.setHeaderLabels(["Variable", "Value"])
        self._list.setRootIsDecorated(False)
        self._list.setUniformRowHeights(True)
        self._list.setFrameShape(QTreeWidget.Shape.NoFrame)
        self._list.headerItem().setTextAlignment(
            1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        )
        self._list.setItemDelegateForColumn(0, NameCells(self._list))
        header = self._list.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, header.ResizeMode.Stretch)
        header.setSectionResizeMode(1, header.ResizeMode.ResizeToContents)
        self._list.currentItemChanged.connect(self._tell)
        row = QHBoxLayout()
        row.addWidget(self._by)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 10, 20, 12)
        column.addLayout(row)
        column.addWidget(self._list, 1)
        column.addWidget(self._note)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self._rank)

    def show_session(self, session: Session | None) -> None:
        """Show another checkpoint, or none."""
        if self._looking is not None:
            self._looking.cancel()
        self._session = session
        self._rank()

    def refresh(self) -> None:
        """More has been measured."""
        if self.isVisible() and not self._settle.isActive():
            self._settle.start()

    def names(self) -> list[str]:
        """The names that are listed, the first first."""
        items = (self._list.topLevelItem(n) for n in range(self._list.topLevelItemCount()))
        return [item.text(0) for item in items if item is not None]

    def _rank(self) -> None:
        session = self._session
        self._list.blockSignals(True)
        self._list.clear()
        self._list.blockSignals(False)
        if session is None:
            return
        if self._by.choice == _DEAD:
            self._look_for_dead(session)
            ranked = _ranked_by_dead(session)
        else:
            ranked = _ranked(session, MEASURES[self._by.choice][0])
        words = MEASURES[self._by.choice][1]
        ranked.sort(reverse=True)
        for value, row in ranked[:MOST_RANKED]:
            text = _dead_text(session.dead[row]) if self._by.choice == _DEAD else words(value)
            item = QTreeWidgetItem([session.checkpoint.variables[row].name, text])
            item.setData(0, Qt.ItemDataRole.UserRole, row)
            item.setToolTip(0, session.checkpoint.variables[row].key)
            item.setFont(1, self._appearance.text_font)
            item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self._list.addTopLevelItem(item)
        if self._by.choice == _DEAD and self._looking is not None:
            self._note.setText("Looking for them\u2026")
        elif not ranked:
            self._note.setText("No variable that was measured has any.")
        else:
            self._note.setText("")

    def _look_for_dead(self, session: Session) -> None:
        """Read those variables that hold enough zeros to have dead rows or columns."""
        if self._looking is not None:
            return
        variables = session.checkpoint.variables
        wanted = [
            (row, sketch.measures.zeros)
            for row, sketch in list(session.sketches.items())
            if row not in session.dead
            and sketch.measures is not None
            and may_be_dead(variables[row], sketch.measures.zeros)
        ]
        if not wanted:
            return

        def work(cancel: CancelToken, report: Report) -> None:
            token = self._jobs.courtesy.token(cancel)
            for done, (row, zeros) in enumerate(wanted):
                if done % _TELL_EVERY == 0:
                    report(Progress(done=done, total=len(wanted), unit="variables"))
                try:
                    found = dead_of(session.checkpoint, variables[row], zeros, cancel=token)
                except Cancelled:
                    raise
                except CkptviewerError:  # its row says already that it cannot be read
                    found = Dead(0, 0)
                session.dead[row] = found

        job = self._jobs.start("Dead rows and columns", work)
        self._looking = job
        job.ended.connect(self._looked)

    def _looked(self, job: Job[None]) -> None:
        if job is self._looking:
            self._looking = None
            if not job.token.cancelled:
                self._rank()

    def _tell(self, item: QTreeWidgetItem | None, _before: object) -> None:
        if item is not None:
            self.chosen.emit(item.data(0, Qt.ItemDataRole.UserRole))

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self._rank()


def _ranked(session: Session, measure: Measure) -> list[tuple[float, int]]:
    ranked = []
    for row, sketch in list(session.sketches.items()):
        if session.checkpoint.variables[row].element_count < 2:
            continue
        value = measure(sketch.measures) if sketch.measures else None
        if value is not None:
            ranked.append((value, row))
    return ranked


def _ranked_by_dead(session: Session) -> list[tuple[float, int]]:
    return [
        (float(dead.rows + dead.columns), row)
        for row, dead in list(session.dead.items())
        if dead.rows or dead.columns
    ]


def _dead_text(dead: Dead) -> str:
    parts = [plural(dead.rows, "row")] if dead.rows else []
    parts += [plural(dead.columns, "column")] if dead.columns else []
    return ", ".join(parts)
