"""The inspector: shows what is selected, and has it read in the background."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QStackedLayout, QWidget

from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.errors import ChangedFileError
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.text import plural
from ckptviewer.checkpoint.tree import Group, Item
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Job, Jobs, Report, failure_text
from ckptviewer.ui.panels.checkpoint_panel import CheckpointPanel
from ckptviewer.ui.panels.variable_panel import VariablePanel
from ckptviewer.ui.session import Session

if TYPE_CHECKING:
    from ckptviewer.analysis.histogram import Histogram
    from ckptviewer.analysis.resume import TrainingState
    from ckptviewer.analysis.statistics import Statistics

LARGEST_READ_TWICE = 1 << 28
"""Bytes up to which a variable is read again unasked, for exact edges of its histogram."""


class Inspector(QWidget):
    """Shows the checkpoint, a group, or a variable. file_changed: it was rewritten under us."""

    file_changed = Signal()

    def __init__(self, jobs: Jobs, appearance: Appearance) -> None:
        super().__init__()
        self.setObjectName("page")
        self._jobs = jobs
        self._session: Session | None = None
        self._variable: Variable | None = None
        self._training: TrainingState | None = None
        self._reading: Job[Any] | None = None
        self.checkpoint_panel = CheckpointPanel(jobs, appearance)
        self.overview = self.checkpoint_panel.summary
        self.variable_panel = VariablePanel(jobs, appearance)
        self.variable_panel.distribution.exact_wanted.connect(self._read_exactly)
        self.variable_panel.file_changed.connect(self.file_changed)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self.checkpoint_panel)
        self._stack.addWidget(self.variable_panel)

    def show_session(self, session: Session | None) -> None:
        """Show another checkpoint, as a whole; None: nothing is open."""
        self._stop_reading()
        self._session, self._variable, self._training = session, None, None
        self.variable_panel.clear()
        self.checkpoint_panel.show_session(session)
        if session is None:
            return
        self.show_items(())

        def find_out(cancel: CancelToken, _report: Report) -> TrainingState:
            from ckptviewer.analysis.resume import training_state

            return training_state(session.checkpoint)

        job = self._jobs.start("Reading the step", find_out)
        job.succeeded.connect(lambda training: self._show_training(session, training))

    def show_items(self, items: Sequence[Item], matches: Collection[int] | None = None) -> None:
        """Show what is selected in the tree; nothing selected means the whole checkpoint.

        matches: of a group only these rows are meant, where a filter hides the others.
        """
        session = self._session
        if session is None:
            return
        variables = session.tree.variables
        if len(items) == 1 and isinstance(items[0], int):
            self._show_variable(variables[items[0]])
            return
        self._stop_reading()
        self._variable = None
        self._stack.setCurrentWidget(self.checkpoint_panel)
        if not items:
            self.checkpoint_panel.show_selection(None)
            self.overview.show_checkpoint(session.checkpoint, self._training)
            return
        rows = [row for row in rows_of(session, items) if matches is None or row in matches]
        chosen = [variables[row] for row in rows]
        several = all(isinstance(item, int) for item in items)
        self.checkpoint_panel.show_selection(frozenset(rows), several=several)
        keys = {variable.key for variable in chosen}
        findings = [f for f in session.checkpoint.findings if f.variable in keys]
        only = items[0]
        if len(items) == 1 and isinstance(only, Group):
            title = only.path.replace("/", " / ")
        else:
            title = f"{plural(len(chosen), 'variable')} selected"
        self.overview.show_variables(title, chosen, findings)

    def _show_training(self, session: Session, training: TrainingState) -> None:
        if session is self._session:
            self._training = training
            if self._variable is None and self._stack.currentWidget() is self.checkpoint_panel:
                self.overview.add_training(training)

    def _show_variable(self, variable: Variable) -> None:
        session = self._session
        assert session is not None
        if variable is self._variable:
            return
        self._stop_reading()
        self._variable = variable
        panel = self.variable_panel
        panel.show_variable(session, variable)
        self._stack.setCurrentWidget(panel)
        if kind_of(variable.dtype) is Kind.OPAQUE:
            panel.distribution.show_message(
                f"Values of dtype {variable.dtype} are opaque: they can be copied, not shown."
            )
            return
        known = session.statistics(variable)
        if known is not None:
            panel.distribution.show_statistics(variable, known)
            return
        panel.distribution.show_message("Reading\u2026")

        def read(cancel: CancelToken, report: Report) -> Statistics:
            from ckptviewer.analysis.statistics import statistics_of

            if session.remembered is not None:
                known = session.remembered.known((variable.key,))
                if known:
                    return known[variable.key]
            return statistics_of(session.checkpoint, variable, cancel=cancel, progress=report)

        job = self._read("Statistics", read)
        job.succeeded.connect(lambda statistics: self._show_statistics(variable, statistics))
        job.failed.connect(self._show_failure)
        job.cancelled.connect(lambda: self._show_cancelled(job))

    def _show_statistics(self, variable: Variable, statistics: Statistics) -> None:
        if self._session is not None:
            self._session.keep_statistics(variable, statistics)
            self.variable_panel.distribution.show_statistics(variable, statistics)

    def _show_cancelled(self, job: Job[Any]) -> None:
        if job is self._reading:  # whoever replaced it has something else to say
            self.variable_panel.distribution.show_message("Cancelled.")

    def _show_failure(self, error: BaseException) -> None:
        self.variable_panel.distribution.show_message(failure_text(error))
        if isinstance(error, ChangedFileError):
            self.file_changed.emit()

    def _read_exactly(self, edges: Any, scale: Any) -> None:
        session, variable = self._session, self._variable
        if session is None or variable is None or variable.stored_bytes > LARGEST_READ_TWICE:
            return

        def read(cancel: CancelToken, report: Report) -> Histogram:
            from ckptviewer.analysis.statistics import exact_histogram

            return exact_histogram(
                session.checkpoint, variable, edges, scale=scale, cancel=cancel, progress=report
            )

        job = self._read("Histogram", read)
        job.succeeded.connect(self.variable_panel.distribution.show_exact)
        job.failed.connect(self._show_failure)

    def _read(self, label: str, work: Any) -> Job[Any]:
        self._stop_reading()
        self._reading = self._jobs.start(label, work)
        return self._reading

    def _stop_reading(self) -> None:
        job, self._reading = self._reading, None
        if job is not None:
            job.cancel()


def rows_of(session: Session, items: Sequence[Item]) -> list[int]:
    """The rows of all variables that the items stand for, groups and folded slots included."""
    rows: dict[int, None] = {}
    wanted = {item for item in items if isinstance(item, Group)}
    if wanted:
        for row, group in enumerate(session.tree.group_of):
            above: Group | None = group
            while above is not None and above not in wanted:
                above = above.parent
            if above is not None:
                rows[row] = None
    rows.update((item, None) for item in items if isinstance(item, int))
    return list(rows)
