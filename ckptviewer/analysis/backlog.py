"""Work for an executor: what waits, in which order it is taken, and how it is stopped.

Only a few tasks are under way at a time, so that what is asked for first can still come first, and
stopping is quick.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from itertools import islice
from pathlib import Path
from typing import Generic, TypeVar

from ckptviewer.checkpoint.errors import Cancelled, CkptviewerError
from ckptviewer.checkpoint.progress import CancelToken, LinkedToken, Progress

BATCH_BYTES = 4 << 20
BATCH_VARIABLES = 256
"""Small variables go to a worker together, up to these limits."""

_POLL_SECONDS = 0.02

Key = TypeVar("Key")
Item = TypeVar("Item")
AnyTask = TypeVar("AnyTask")
Result = TypeVar("Result")
Whole = TypeVar("Whole")


class FileFlag(CancelToken):
    """A token that is cancelled from another process, by a file."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    @property
    def cancelled(self) -> bool:
        return os.path.exists(self._path)

    def raise_if_cancelled(self) -> None:
        if self.cancelled:
            raise Cancelled


class Backlog(Generic[Key, Item, AnyTask]):
    """What is still to be done: largest first, but what is preferred before it.

    Safe from several threads.
    """

    def __init__(
        self,
        items: Iterable[tuple[Key, int, Item]],
        tasks_for: Callable[[list[Item]], Sequence[AnyTask]],
    ) -> None:
        """
        items: with their keys, and the bytes that are read for each.
        tasks_for: what is to be done for items that go well into one task: one, or several for an
        item that is worked on in parts.
        """
        ordered = sorted(items, key=lambda item: -item[1])
        self._waiting = {key: (size, item) for key, size, item in ordered}
        self._tasks_for = tasks_for
        self._preferred: deque[Key] = deque()
        self._pieces: deque[AnyTask] = deque()
        self._lock = threading.Lock()

    def prefer(self, keys: Iterable[Key]) -> None:
        """Do these next, in this order. Replaces what was preferred."""
        with self._lock:
            self._preferred = deque(key for key in keys if key in self._waiting)

    def next(self) -> AnyTask | None:
        """Take the next task; None once there is none."""
        with self._lock:
            while self._preferred:
                if batch := self._batch(self._preferred):
                    return self._first_of(batch)
            if self._pieces:
                return self._pieces.popleft()
            batch = self._batch(deque(islice(self._waiting, BATCH_VARIABLES)))
            return self._first_of(batch) if batch else None

    def drop(self, unwanted: Callable[[AnyTask], bool]) -> None:
        """Forget parts of items that no longer matter."""
        with self._lock:
            self._pieces = deque(task for task in self._pieces if not unwanted(task))

    def _batch(self, keys: deque[Key]) -> list[Item]:
        """Take items off the front of `keys` that go well into one task."""
        batch: list[Item] = []
        total = 0
        while keys and len(batch) < BATCH_VARIABLES:
            if keys[0] not in self._waiting:
                keys.popleft()
                continue
            size, item = self._waiting[keys[0]]
            if batch and total + size > BATCH_BYTES:
                break
            del self._waiting[keys.popleft()]
            batch.append(item)
            total += size
        return batch

    def _first_of(self, batch: list[Item]) -> AnyTask:
        """Put the parts of an item in front of all other pieces, and take the first."""
        self._pieces.extendleft(reversed(self._tasks_for(batch)))
        return self._pieces.popleft()


class UnderWay(Generic[AnyTask, Result]):
    """The tasks that an executor works on, and how they are told to stop.

    stopped: for tasks in this process: cancelled with the run, and once it is over; whoever asks it
    goes at the pace of the run's own token.
    flag: for those in other processes: path of a file that is there then; empty before `run`.
    """

    def __init__(
        self,
        perform: Callable[[AnyTask], Result],
        next_task: Callable[[], AnyTask | None],
        failed: Callable[[AnyTask, CkptviewerError], Result],
        cancel: CancelToken,
        *,
        in_processes: bool,
    ) -> None:
        """
        perform: is submitted with each task. failed: what to say of one whose worker died.
        cancel: stops the run; it is noticed within a few hundredths of a second.
        """
        self.stopped = LinkedToken(cancel)
        self.flag = ""
        self._perform = perform
        self._next_task = next_task
        self._failed = failed
        self._cancel = cancel
        self._in_processes = in_processes
        self._tasks: dict[Future[Result], AnyTask] = {}

    def run(
        self, executor: Executor, workers: int
    ) -> Generator[tuple[AnyTask, Result], None, None]:
        """Yield each task with its result as soon as it is there; may be used once.

        Raises Cancelled. Closing the generator is the same as cancelling.
        """
        if self._in_processes:
            self.flag = os.path.join(tempfile.mkdtemp(prefix="ckptviewer-"), "cancelled")
        try:
            yield from self._run(executor, 2 * workers)
        finally:
            self._stop()

    def _run(self, executor: Executor, most: int) -> Iterator[tuple[AnyTask, Result]]:
        tasks = self._tasks
        while True:
            while len(tasks) < most and (task := self._next_task()) is not None:
                try:
                    tasks[executor.submit(self._perform, task)] = task
                except BrokenExecutor as error:
                    yield task, self._failed(task, _broken(error))
            if not tasks:
                return
            done, _ = wait(tasks, _POLL_SECONDS, FIRST_COMPLETED)
            self._cancel.raise_if_cancelled()
            for future in [future for future in tasks if future in done]:  # in their order
                task = tasks.pop(future)
                try:
                    result = future.result()
                except BrokenExecutor as error:
                    result = self._failed(task, _broken(error))
                yield task, result

    def _stop(self) -> None:
        """Let what is under way end soon. The flag stays until it has, and goes then."""
        self.stopped.cancel()
        if self.flag and self._tasks:
            Path(self.flag).touch()
        running = [future for future in self._tasks if not future.cancel()]
        left = len(running)
        lock = threading.Lock()

        def ended(_: object) -> None:
            nonlocal left
            with lock:
                left -= 1
                if left:
                    return
            self._drop_flag()

        if not running:
            self._drop_flag()
        for future in running:
            future.add_done_callback(ended)

    def _drop_flag(self) -> None:
        if self.flag:
            shutil.rmtree(os.path.dirname(self.flag), ignore_errors=True)


class Scheduled(Generic[Key, Item, AnyTask, Result]):
    """Work on many items, to be had piece by piece: what waits, and what an executor works on.

    A class for one kind of work says what is to be done (`tasks_for`), and makes of its results
    what it tells. `prefer` and `progress` may be called from other threads while it runs.
    """

    label = ""

    def __init__(
        self,
        items: Sequence[tuple[Key, int, Item]],
        perform: Callable[[AnyTask], Result],
        failed: Callable[[AnyTask, CkptviewerError], Result],
        cancel: CancelToken | None,
        *,
        in_processes: bool,
    ) -> None:
        """
        items: with their keys, and the bytes that are read for each. perform, failed, cancel: as of
        UnderWay.
        """
        self._backlog = Backlog(items, self.tasks_for)
        self._under_way = UnderWay(
            perform,
            self._backlog.next,
            failed,
            cancel or CancelToken(),
            in_processes=in_processes,
        )
        self._local = not in_processes
        self._total = sum(size for _, size, _ in items)
        self._done = 0

    @property
    def progress(self) -> Progress:
        """How many of the bytes have been read."""
        return Progress(done=self._done, total=self._total, unit="bytes", label=self.label)

    def prefer(self, keys: Iterable[Key]) -> None:
        """Do these next, in this order: what is on the screen now. Replaces what was preferred."""
        self._backlog.prefer(keys)

    def tasks_for(self, batch: list[Item]) -> list[AnyTask]:
        """What is to be done for items that go well into one task."""
        raise NotImplementedError

    @property
    def _stopping(self) -> tuple[str, CancelToken | None]:
        """How a task is told to stop: by a flag, and in this process by a token."""
        return self._under_way.flag, self._under_way.stopped if self._local else None


class Assembly(Generic[Whole]):
    """The parts of one large item, put together in their order as they come."""

    def __init__(self, total: Whole, pieces: int, merged: Callable[[Whole, Whole], Whole]) -> None:
        """total: of no part. pieces: parts, and others that only have to be done."""
        self._total = total
        self._pieces_left = pieces
        self._merged = merged
        self._early: dict[int, Whole] = {}
        self._next = 0

    def add(self, part: int, result: Whole) -> Whole | None:
        """Take in a part (-1: a piece that is none); the whole once all pieces are there."""
        self._pieces_left -= 1
        if part >= 0:
            self._early[part] = result
        while self._next in self._early:
            self._total = self._merged(self._total, self._early.pop(self._next))
            self._next += 1
        return None if self._pieces_left else self._total


def placed(error: CkptviewerError, where: str) -> CkptviewerError:
    """The same error, of one variable."""
    return CkptviewerError(error.what, where=where, remedy=error.remedy)


def _broken(error: BrokenExecutor) -> CkptviewerError:
    return CkptviewerError(
        f"a worker ended before its work was done ({error or type(error).__name__})",
        remedy="It may have run out of memory; try again.",
    )
