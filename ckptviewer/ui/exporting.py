"""Exporting: carries a plan out in the background, and keeps what there is to say of it then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from ckptviewer.checkpoint.errors import Cancelled
from ckptviewer.checkpoint.progress import CancelToken, LinkedToken, Progress
from ckptviewer.ui.jobs import Job, Jobs, Report
from ckptviewer.ui.planned import Planned
from ckptviewer.ui.predicting import Rarely
from ckptviewer.ui.session import Session

if TYPE_CHECKING:
    from ckptviewer.export.receipt import Receipt

LOADED_UNASKED = 2_000_000_000
"""Up to so many bytes, both checkpoints are read once more to measure how long they take."""

MEASURED_AGAIN_BELOW = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An export that was carried out, as it can be repeated."""

    planned: Planned
    source: str
    overwrite: bool
    receipt: Receipt

    @property
    def command(self) -> str:
        """The command line that makes the same export."""
        from ckptviewer.export.command import command_line

        return command_line(
            self.source,
            self.receipt.destination,
            self.planned.choices,
            overwrite=self.overwrite,
        )

    @property
    def python(self) -> str:
        """The Python that restores what was written."""
        from ckptviewer.export.command import python_to_restore

        return python_to_restore(self.receipt)


class Exporting(QObject):
    """One export at a time. How it ended is told once its thread has let go of the files.

    progressed: a Progress, and in words how fast it goes. done: a Done. failed: the error.
    cancelled: nothing was written. measured: the receipt with the times to open and to load.
    saved: path of a receipt that was saved. not_saved: why it was not.
    """

    progressed = Signal(object, str)
    done = Signal(object)
    failed = Signal(object)
    cancelled = Signal()
    measured = Signal(object)
    saved = Signal(str)
    not_saved = Signal(object)

    def __init__(self, jobs: Jobs, session: Session) -> None:
        super().__init__()
        self._jobs = jobs
        self._session = session
        self._token: CancelToken | None = None
        self._measuring: Job[Receipt] | None = None

    @property
    def is_running(self) -> bool:
        return self._token is not None

    def start(self, planned: Planned, destination: str, *, overwrite: bool) -> None:
        """Carry a plan out."""
        if self.is_running:
            return
        checkpoint, courtesy, workers = self._session.checkpoint, self._jobs.courtesy, self._jobs
        inner = CancelToken()

        def work(cancel: CancelToken, report: Report) -> Receipt:
            from ckptviewer.export.execute import execute

            try:
                receipt = execute(
                    planned.plan,
                    checkpoint,
                    destination,
                    overwrite=overwrite,
                    cancel=courtesy.token(LinkedToken(cancel, inner)),
                    report=_telling(self, report),
                    executor=workers.workers,
                    state_file=True,
                    share_equal=True,
                )
            except Exception as error:
                failure = error
                self._jobs.deliver(lambda: self._end(failure))
                raise
            result = Done(
                planned=planned, source=checkpoint.path, overwrite=overwrite, receipt=receipt
            )
            self._jobs.deliver(lambda: self._end(result))
            return receipt

        self._token = inner
        self._jobs.start("Exporting", work)

    def cancel(self) -> None:
        """Ask it to stop; what is complete by then stays, and is told."""
        if self._token is not None:
            self._token.cancel()

    def measure(self, done: Done) -> None:
        """Measure how long source and result take to open and to load, unless that is much."""
        receipt = done.receipt
        if receipt.bytes_before + receipt.bytes_after > LOADED_UNASKED:
            return
        courtesy = self._jobs.courtesy

        def work(cancel: CancelToken, report: Report) -> Receipt:
            from ckptviewer.export.measuring import with_timings

            polite = courtesy.token(cancel)
            measured = with_timings(receipt, cancel=polite, report=Rarely(report))
            if receipt.bytes_before <= MEASURED_AGAIN_BELOW:
                # What else the machine does, and what Python imports on the way, is no load.
                again = [with_timings(receipt, cancel=polite) for _ in range(2)]
                measured = _quickest(measured, again)
            return measured

        self._measuring = self._jobs.start("Measuring how long it takes to load", work)
        self._measuring.succeeded.connect(self.measured)

    def save_receipt(self, receipt: Receipt, path: str) -> None:
        """Save the receipt, in the kind that the path ends with."""

        def work(_cancel: CancelToken, _report: Report) -> str:
            from ckptviewer.export.receipt_pages import write_receipt

            write_receipt(receipt, path)
            return path

        job = self._jobs.start("Saving the receipt", work)
        job.succeeded.connect(lambda saved: self.saved.emit(saved))
        job.failed.connect(self.not_saved)

    def stop(self) -> None:
        """Nothing is wanted any more."""
        self.cancel()
        if self._measuring is not None:
            self._measuring.cancel()

    def tell(self, progress: Progress, words: str) -> None:
        """Say how far it has come; in the GUI thread."""
        if self.is_running:
            self.progressed.emit(progress, words)

    def tell_later(self, progress: Progress, words: str) -> None:
        """Say how far it has come, from any thread."""
        self._jobs.deliver(lambda: self.tell(progress, words))

    def _end(self, outcome: Done | Exception) -> None:
        self._token = None
        if isinstance(outcome, Done):
            self.done.emit(outcome)
        elif isinstance(outcome, Cancelled):
            self.cancelled.emit()
        else:
            self.failed.emit(outcome)


def _quickest(receipt: Receipt, others: list[Receipt]) -> Receipt:
    times = [each.timings for each in (receipt, *others) if each.timings is not None]
    names = ("open_before", "load_before", "open_after", "load_after")
    least = {name: min(getattr(each, name) for each in times) for name in names}
    return replace(receipt, timings=replace(times[0], **least))


def _telling(exporting: Exporting, report: Report) -> Rarely:
    """Tells of progress, with its rate in words."""
    from ckptviewer.export.rate import Rate

    rate = Rate()

    def tell(progress: Progress) -> None:
        report(progress)
        exporting.tell_later(progress, rate.text(progress))

    return Rarely(tell)
