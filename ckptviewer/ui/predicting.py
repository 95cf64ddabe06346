"""Predicting: what casts would lose, read in the background, and only once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from PySide6.QtCore import QObject, Signal

from ckptviewer.checkpoint.casting import CastLoss
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.export.plan import Kept
from ckptviewer.ui.jobs import Job, Jobs, Report
from ckptviewer.ui.planned import Planned
from ckptviewer.ui.session import Session

READ_UNASKED = 2_000_000_000
TELLING_SECONDS = 0.05
_BATCH_VARIABLES = 500
_BATCH_BYTES = 64_000_000

Cast = tuple[str, str]
"""Key of the variable whose values are cast, and the dtype that they are cast to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What all casts of a plan lose.

    dtype: that they cast to. unread_bytes: what would have to be read to know; all else is empty
    then. losses: by key. whole: together. worst: key of what loses most of its values' size.
    overflowing: keys of what would have infinite values.
    """

    dtype: str
    unread_bytes: int = 0
    losses: Mapping[str, CastLoss] = field(default_factory=dict)
    whole: CastLoss = field(default_factory=CastLoss)
    worst: str = ""
    overflowing: Sequence[str] = ()


class Predicting(QObject):
    """Finds out what each cast loses that is asked for.

    predicted: an Outlook; None where nothing is cast. progressed: how far reading has come.
    failed: what kept it from being read.
    """

    predicted = Signal(object)
    progressed = Signal(object)
    failed = Signal(object)

    def __init__(self, jobs: Jobs, session: Session) -> None:
        super().__init__()
        self._jobs = jobs
        self._session = session
        self._known: dict[Cast, CastLoss] = {}
        self._planned: Planned | None = None
        self._job: Job[Outlook] | None = None
        self._may_read_all = False

    def predict(self, planned: Planned | None) -> None:
        """Find out what the casts of a plan lose; up to 2 GB are read unasked."""
        self._stop()
        self._planned = planned
        if planned is None or not planned.casts:
            self.predicted.emit(None)
            return
        casts, plan, known = planned.casts, planned.plan, self._known
        checkpoint, courtesy = self._session.checkpoint, self._jobs.courtesy
        limit = None if self._may_read_all else READ_UNASKED

        def work(cancel: CancelToken, report: Report) -> Outlook:
            from ckptviewer.export.casting import predict_cast

            polite, rarely = courtesy.token(cancel), Rarely(report)
            by_key = checkpoint.by_key
            missing = [each for each in casts if _cast(each) not in known]
            total = sum(by_key[_cast(each)[0]].stored_bytes for each in missing)
            if limit is not None and total > limit:
                return Outlook(dtype=casts[0].dtype, unread_bytes=total)
            done = 0
            for batch, size in _batches(missing, by_key):
                # What is known of a batch stays known, whatever is chosen meanwhile.
                part = replace(plan, kept=tuple(batch))
                report_part = partial(_tell_part, rarely, done, total)
                losses = predict_cast(part, checkpoint, cancel=polite, report=report_part)
                known.update((_cast(each), losses[each.key]) for each in batch)
                done += size
            return _outlook(casts, known)

        job = self._jobs.start("Trying the cast", work)
        self._job = job
        job.progressed.connect(self.progressed)
        job.succeeded.connect(self._take)
        job.failed.connect(self._fail)

    def read_all(self) -> None:
        """Read whatever it takes: somebody asked for it."""
        self._may_read_all = True
        self.predict(self._planned)

    def stop(self) -> None:
        """Nothing is wanted any more."""
        self._planned = None
        self._stop()

    def _take(self, outlook: Outlook) -> None:
        self._job = None
        self.predicted.emit(outlook)

    def _fail(self, error: BaseException) -> None:
        self._job = None
        self.failed.emit(error)

    def _stop(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.cancel()


class Rarely:
    """Passes progress on, not more often than an eye sees it."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._last = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last >= TELLING_SECONDS:
            self._last = now
            self._report(progress)


def _tell_part(report: Report, before: int, total: int, progress: Progress) -> None:
    report(Progress(done=before + progress.done, total=total, label=progress.label))


def _batches(
    casts: Sequence[Kept], by_key: Mapping[str, Variable]
) -> Iterator[tuple[list[Kept], int]]:
    """The casts in pieces that are soon read, each with its bytes."""
    batch: list[Kept] = []
    size = 0
    for each in casts:
        batch.append(each)
        size += by_key[_cast(each)[0]].stored_bytes
        if len(batch) >= _BATCH_VARIABLES or size >= _BATCH_BYTES:
            yield batch, size
            batch, size = [], 0
    if batch:
        yield batch, size


def _outlook(casts: Sequence[Kept], known: Mapping[Cast, CastLoss]) -> Outlook:
    losses = {each.key: known[_cast(each)] for each in casts}
    found = losses.values()
    return Outlook(
        dtype=casts[0].dtype,
        losses=losses,
        whole=CastLoss(
            count=sum([loss.count for loss in found]),
            overflow=sum([loss.overflow for loss in found]),
            underflow=sum([loss.underflow for loss in found]),
            relative_error=max([loss.relative_error for loss in found]),
        ),
        worst=max(losses, key=lambda key: losses[key].relative_error),
        overflowing=[key for key, loss in losses.items() if loss.overflow],
    )


def _cast(each: Kept) -> Cast:
    return each.taken_from or each.key, each.dtype
