"""Comparing in the background: the first answer at once, then the numbers, those in sight first."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, Signal

from ckptviewer.analysis.comparison import ComparisonOptions
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.ui.jobs import Job, Jobs, Report
from ckptviewer.ui.open_comparison import Judged, OpenComparison, compared
from ckptviewer.ui.session import Session

_TELL_SECONDS = 0.2
_JUDGED_OFTEN = 2000
"""Up to so many rows verdicts are given as the numbers come; of more, at the end."""


class Comparing(QObject):
    """Compares two sessions for a view.

    answered: the OpenComparison, as the indexes tell. learned: more is known of these rows of it.
    failed: why there is no answer. finished: all numbers are there.
    """

    answered = Signal(object)
    learned = Signal(list)
    failed = Signal(object)
    finished = Signal()

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs
        self._job: Job[Any] | None = None
        self._schedule: Any = None
        self._compared: OpenComparison | None = None

    def start(self, a: Session, b: Session, options: ComparisonOptions) -> None:
        """Compare; what was compared before is dropped."""
        self.stop()
        job = self._jobs.start("Matching", lambda _cancel, _report: compared(a, b, options))
        self._job = job
        job.succeeded.connect(self._answer)
        job.failed.connect(self.failed)

    def stop(self) -> None:
        """Compare nothing more."""
        if self._job is not None:
            self._job.cancel()
        self._job, self._schedule, self._compared = None, None, None

    def prefer(self, rows: Sequence[int]) -> None:
        """These rows are in sight: read them next."""
        if self._schedule is not None and self._compared is not None:
            self._schedule.prefer([self._compared.deltas[row].pair for row in rows])

    def judge(self) -> None:
        """Give verdicts again, by the thresholds as they are now."""
        known = self._compared
        if known is not None:
            job = self._jobs.start("Verdicts", lambda _cancel, _report: known.judged())
            job.succeeded.connect(partial(self._take_verdicts, known))

    def _answer(self, made: OpenComparison) -> None:
        self._compared = made
        self.answered.emit(made)
        job = self._jobs.start("Comparing", partial(self._read, made))
        self._job = job
        job.succeeded.connect(lambda _: self.finished.emit())
        job.failed.connect(self.failed)

    def _read(self, made: OpenComparison, cancel: CancelToken, report: Report) -> None:
        from ckptviewer.analysis import difference_kernel
        from ckptviewer.analysis.comparison_schedule import ComparisonSchedule
        from ckptviewer.analysis.kernel import NUMPY_BYTES

        schedule = ComparisonSchedule(
            made.a.checkpoint,
            made.b.checkpoint,
            made.comparison,
            cancel=self._jobs.courtesy.token(cancel),
        )
        self._schedule = schedule
        if schedule.progress.total > NUMPY_BYTES:
            difference_kernel.prepare(timeout_seconds=0)
        rows: list[int] = []
        told = time.monotonic()
        often = len(made.deltas) <= _JUDGED_OFTEN
        for delta in schedule.run(self._jobs.workers):
            rows += made.take((delta,))
            if time.monotonic() - told > _TELL_SECONDS:
                report(schedule.progress)
                self._tell(made, rows, made.judged() if often else None)
                rows, told = [], time.monotonic()
        self._schedule = None
        report(schedule.progress)
        self._tell(made, rows, made.judged())

    def _tell(self, made: OpenComparison, rows: list[int], judged: Judged | None) -> None:
        def tell() -> None:
            if made is not self._compared:
                return
            if judged is not None:
                made.take_verdicts(judged)
            self.learned.emit(rows)

        self._jobs.deliver(tell)

    def _take_verdicts(self, made: OpenComparison, judged: Judged) -> None:
        if made is self._compared:
            made.take_verdicts(judged)
            self.learned.emit([])
