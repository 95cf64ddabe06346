"""Jobs: background work of the window, with progress, cancel, and results that cannot be stale.

This file alone knows threads. Work runs in a pool; what it reports is delivered in the GUI thread,
and only while the job is wanted: a job that was cancelled or replaced delivers nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, TypeVar

from PySide6.QtCore import SIGNAL, QObject, Qt, Signal, SignalInstance

from ckptviewer.checkpoint.errors import Cancelled, CkptviewerError
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.checkpoint.text import capitalised
from ckptviewer.ui.collecting import retire

LONGEST_WAIT_SECONDS = 0.1
Result = TypeVar("Result")
Report = Callable[[Progress], None]
Work = Callable[[CancelToken, Report], Result]


class Job(QObject, Generic[Result]):
    """One piece of work, as the GUI thread sees it.

    Exactly one of `succeeded`, `failed`, `cancelled` is emitted, in the GUI thread.
    """

    succeeded = Signal(object)
    failed = Signal(object)
    cancelled = Signal()
    progressed = Signal(object)
    ended = Signal(object)

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label = label
        self.progress = Progress(done=0, total=0, label=label)
        self.token = CancelToken()
        self.is_over = False

    def cancel(self) -> None:
        """The result is no longer wanted; nothing of it will be delivered."""
        if not self.is_over:
            self.token.cancel()
            self._end(self.cancelled)

    def deliver_progress(self, progress: Progress) -> None:
        if not self.is_over:
            self.progress = progress
            self.progressed.emit(progress)

    def deliver_result(self, result: Result) -> None:
        if not self.is_over:
            self._end(self.succeeded, result)

    def deliver_failure(self, error: BaseException) -> None:
        if not self.is_over:
            if isinstance(error, Cancelled):
                self._end(self.cancelled)
            else:
                self._end(self.failed, error)

    def _end(self, signal: SignalInstance, *values: Any) -> None:
        self.is_over = True
        signal.emit(*values)
        self.ended.emit(self)
        # Who listens often holds the job in turn, in a way that Python's collector cannot see.
        for name, each in self._signals():
            if self.receivers(SIGNAL(name)):
                each.disconnect()

    def _signals(self) -> Iterator[tuple[str, SignalInstance]]:
        for name in ("succeeded", "failed", "progressed", "ended"):
            yield f"{name}(PyObject)", getattr(self, name)
        yield "cancelled()", self.cancelled


class Courtesy:
    """Lets background work step aside: `with courtesy:` around what the GUI thread does.

    Each call of Qt's gives Python's lock away, and a thread that computes takes it. A paint of a
    thousand calls would wait a thousand times; so who computes waits for the end of the paint.
    """

    def __init__(self) -> None:
        self._free = threading.Event()
        self._free.set()
        self._depth = 0

    def __enter__(self) -> None:
        self._depth += 1
        self._free.clear()

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._free.set()

    def token(self, inner: CancelToken) -> CancelToken:
        """A token as `inner`, at which whoever asks it waits while the GUI thread is at work."""
        return _CourteousToken(inner, self._free)


class _CourteousToken(CancelToken):
    __slots__ = ("_free", "_inner")

    def __init__(self, inner: CancelToken, free: threading.Event) -> None:
        super().__init__()
        self._inner, self._free = inner, free

    def cancel(self) -> None:
        self._inner.cancel()

    @property
    def cancelled(self) -> bool:
        return self._inner.cancelled

    def raise_if_cancelled(self) -> None:
        self._free.wait(LONGEST_WAIT_SECONDS)
        self._inner.raise_if_cancelled()


class Jobs(QObject):
    """All jobs of a window. workers: where a job has its parts done side by side."""

    started = Signal(object)
    ended = Signal(object)
    _arrived = Signal(object)

    def __init__(self, threads: int = 3) -> None:
        super().__init__()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="job")
        self.workers: Executor = ThreadPoolExecutor(2, thread_name_prefix="worker")
        self.courtesy = Courtesy()
        self._running: list[Job[Any]] = []
        self._is_shut = False
        # Queued: work that is over at once must not be heard before its Job is in its owner's hand.
        self._arrived.connect(self._hear, Qt.ConnectionType.QueuedConnection)

    @property
    def running(self) -> tuple[Job[Any], ...]:
        """The jobs that are not over, oldest first."""
        return tuple(self._running)

    def start(self, label: str, work: Work[Result]) -> Job[Result]:
        """Run `work` in a thread. It should ask its CancelToken often and report its progress."""
        job: Job[Result] = Job(label)
        self._add(job)
        self._pool.submit(self._perform, job, work)
        return job

    def adopt(self, label: str, future: Future[Result]) -> Job[Result]:
        """A job for work that has been begun elsewhere."""
        job: Job[Result] = Job(label)
        self._add(job)
        future.add_done_callback(lambda done: self._settle(job, done.result))
        return job

    def ask(
        self,
        work: Callable[[], Result],
        then: Callable[[Result], None],
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Have something small done in a thread, without a word: nobody need see or cancel it.

        Nothing is delivered once the window has been closed.
        """

        def hand_over(deliver: Callable[[Any], None], value: object) -> None:
            if not self._is_shut:
                deliver(value)

        def perform() -> None:
            try:
                result = work()
            except Exception as error:
                if failed is not None:
                    self.deliver(partial(hand_over, failed, error))
            else:
                self.deliver(partial(hand_over, then, result))
            retire((self, work, then, failed))

        if not self._is_shut:
            self._pool.submit(perform)

    def shut_down(self) -> None:
        """Cancel all jobs; a thread that is stuck in a read is not waited for."""
        self._is_shut = True
        for job in self.running:
            job.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.workers.shutdown(wait=False, cancel_futures=True)

    def _add(self, job: Job[Any]) -> None:
        self._running.append(job)
        job.ended.connect(self._remove)
        self.started.emit(job)

    def _remove(self, job: Job[Any]) -> None:
        self._running.remove(job)
        self.ended.emit(job)

    def _perform(self, job: Job[Result], work: Work[Result]) -> None:
        def report(progress: Progress) -> None:
            self.deliver(lambda: job.deliver_progress(progress))

        self._settle(job, lambda: work(job.token, report))
        retire((self, job, work))

    def _settle(self, job: Job[Result], outcome: Callable[[], Result]) -> None:
        try:
            result = outcome()
        except Exception as error:  # whatever it is, the window must live and say it
            failure = error
            self.deliver(lambda: job.deliver_failure(failure))
        else:
            self.deliver(lambda: job.deliver_result(result))

    def _hear(self, deliver: Callable[[], None]) -> None:
        with self.courtesy:
            deliver()

    def deliver(self, deliver: Callable[[], None]) -> None:
        """Have something done in the GUI thread, from any other."""
        try:
            self._arrived.emit(deliver)
        except RuntimeError:  # the window is gone, and with it whoever wanted this
            return


def error_text(error: BaseException) -> tuple[str, str, str]:
    """What, where, remedy of any error, for the window."""
    if isinstance(error, CkptviewerError):
        return error.what, error.where, error.remedy
    return (
        f"something went wrong that should not: {type(error).__name__}: {error}",
        "",
        "Please report this, with the file if you can share it.",
    )


def failure_text(error: BaseException) -> str:
    """The same as a text for the place where the thing would have been, below each other."""
    what, where, remedy = error_text(error)
    return f"{capitalised(what)}.\n{where}\n\n{remedy}"
