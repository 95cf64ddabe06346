"""Statistics of many variables on an executor: in which order, in what pieces, and when to stop.

A schedule cuts the work into tasks of a few milliseconds to a tenth of a second: variables in
parts where they are large, in batches where they are small. Only a few tasks are under way at a
time, so that what is asked for first can still come first, and stopping is quick.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ckptviewer.analysis.chunks import PART_ELEMENTS
from ckptviewer.analysis.statistics import part_regions, statistics_of, statistics_of_part
from ckptviewer.analysis.summary import Statistics
from ckptviewer.checkpoint.dtypes import BY_NAME
from ckptviewer.checkpoint.errors import Cancelled, ChangedFileError, CkptviewerError
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.storage.cache import identity_of

if TYPE_CHECKING:
    from ckptviewer.checkpoint.checkpoint import Checkpoint, Region
    from ckptviewer.checkpoint.variable import Variable

BATCH_BYTES = 4 << 20
BATCH_VARIABLES = 256
"""Small variables go to a worker together, up to these limits."""

Outcome = tuple[str, Statistics | CkptviewerError]
"""The key of a variable, and its statistics or why there are none."""

_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a worker in another process opens the checkpoint again; can be pickled.

    path, format_name: as of the Checkpoint. identity: of its files, see `identity_of`; a worker
    that finds another one raises ChangedFileError.
    """

    path: str
    format_name: str
    identity: str

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Origin:
        """The origin of an open checkpoint whose format can be opened by its path."""
        return cls(
            path=checkpoint.path,
            format_name=checkpoint.format_name,
            identity=identity_of(checkpoint.path),
        )

    def open(self) -> Checkpoint:
        """Open the checkpoint. Raises what opening raises, and ChangedFileError."""
        from ckptviewer.formats.registry import formats

        if identity_of(self.path) != self.identity:
            raise ChangedFileError(
                "it was replaced or rewritten since it was opened",
                where=self.path,
                remedy="Reload the checkpoint.",
            )
        for format_ in formats():
            if format_.name == self.format_name:
                match = format_.probe(Path(self.path))
                return format_.open(match.path)
        raise CkptviewerError(f"no format is called {self.format_name}", where=self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A piece of work for one worker; can be pickled where `source` is an Origin.

    source: the checkpoint itself for threads, its Origin for processes.
    keys: variables to measure whole, one after the other; or one, of which `region` is measured
    (with None and `verify`, all of it is read for its checksum alone).
    flag: path of a file that says, once it is there, that the work is no longer wanted.
    """

    source: Checkpoint | Origin
    keys: tuple[str, ...]
    region: Region | None = None
    part: int = -1
    verify: bool = False
    flag: str = ""
    cancel: CancelToken | None = None


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


def perform(task: Task) -> list[Outcome]:
    """Do a task; each variable gives its outcome. Raises Cancelled alone."""
    cancel = task.cancel or FileFlag(task.flag)
    outcomes: list[Outcome] = []
    for key in task.keys:
        cancel.raise_if_cancelled()
        try:
            outcomes.append((key, _measure(task, key, cancel)))
        except Cancelled:
            raise
        except CkptviewerError as error:
            outcomes.append((key, error))
        except Exception as error:  # one variable must not take the others of its batch with it
            text = f"its statistics failed: {type(error).__name__}: {error}"
            outcomes.append((key, CkptviewerError(text, where=key)))
    return outcomes


def _measure(task: Task, key: str, cancel: CancelToken) -> Statistics:
    checkpoint = opened(task.source) if isinstance(task.source, Origin) else task.source
    variable = checkpoint[key]
    if task.verify:
        for _ in checkpoint.chunks(variable):
            cancel.raise_if_cancelled()
        return Statistics()
    if task.region is not None:
        return statistics_of_part(checkpoint, variable, task.region, cancel=cancel)
    return statistics_of(checkpoint, variable, cancel=cancel)


@lru_cache(maxsize=4)
def opened(origin: Origin) -> Checkpoint:
    """The checkpoint, opened once in this process; of both sides, where two are compared."""
    return origin.open()


class Schedule:
    """The statistics of some variables of one checkpoint, to be had one after the other.

    `run` may be used once. `prefer` and `progress` may be called from other threads meanwhile.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        variables: Sequence[Variable],
        *,
        origin: Origin | None = None,
        cancel: CancelToken | None = None,
    ) -> None:
        """
        origin: needed for an executor of processes; without it tasks hold the checkpoint itself.
        cancel: stops the run; it is noticed within a few hundredths of a second.
        """
        self._checkpoint = checkpoint
        self._source: Checkpoint | Origin = origin or checkpoint
        self._cancel = cancel or CancelToken()
        self._stopped = CancelToken()
        ordered = sorted(variables, key=lambda variable: -variable.stored_bytes)
        self._waiting = {variable.key: variable for variable in ordered}
        self._preferred: deque[str] = deque()
        self._pieces: deque[Task] = deque()
        self._assembling: dict[str, _Assembly] = {}
        self._lock = threading.Lock()
        self._total = sum(variable.stored_bytes for variable in variables)
        self._done = 0
        self._flag = ""

    @property
    def progress(self) -> Progress:
        """How many of the bytes have been read."""
        return Progress(done=self._done, total=self._total, unit="bytes", label="statistics")

    def prefer(self, keys: Iterable[str]) -> None:
        """Do these next, in this order: what is on the screen now. Replaces what was preferred."""
        with self._lock:
            self._preferred = deque(key for key in keys if key in self._waiting)

    def run(self, executor: Executor, workers: int = 2) -> Iterator[Outcome]:
        """Yield each variable's outcome as soon as it is there.

        workers: how many tasks the executor works on at a time. Raises Cancelled once the token is
        cancelled; what was under way ends by itself shortly after. Closing the generator is the
        same as cancelling.
        """
        if isinstance(self._source, Origin):
            self._flag = os.path.join(tempfile.mkdtemp(prefix="ckptviewer-"), "cancelled")
        under_way: dict[Future[list[Outcome]], Task] = {}
        try:
            yield from self._run(executor, 2 * workers, under_way)
        finally:
            self._stop(list(under_way))

    def _run(
        self, executor: Executor, most: int, under_way: dict[Future[list[Outcome]], Task]
    ) -> Iterator[Outcome]:
        while True:
            while len(under_way) < most and (task := self._next()) is not None:
                try:
                    under_way[executor.submit(perform, task)] = task
                except BrokenExecutor as error:
                    yield from self._broken(task, error)
            if not under_way:
                return
            done, _ = wait(under_way, _POLL_SECONDS, FIRST_COMPLETED)
            self._cancel.raise_if_cancelled()
            for future in [future for future in under_way if future in done]:  # in their order
                task = under_way.pop(future)
                try:
                    outcomes = future.result()
                except BrokenExecutor as error:
                    yield from self._broken(task, error)
                    continue
                yield from self._settled(task, outcomes)

    def _next(self) -> Task | None:
        with self._lock:
            while self._preferred:
                batch = self._batch(self._preferred)
                if batch:
                    return self._task_for(batch)
            if self._pieces:
                return self._pieces.popleft()
            batch = self._batch(deque(_first(self._waiting, BATCH_VARIABLES)))
            return self._task_for(batch) if batch else None

    def _batch(self, keys: deque[str]) -> list[Variable]:
        """Take variables off the front of `keys` that go well into one task."""
        batch: list[Variable] = []
        size = 0
        while keys and len(batch) < BATCH_VARIABLES:
            variable = self._waiting.get(keys[0])
            if variable is None:
                keys.popleft()
                continue
            if batch and size + variable.stored_bytes > BATCH_BYTES:
                break
            keys.popleft()
            del self._waiting[variable.key]
            batch.append(variable)
            size += variable.stored_bytes
        return batch

    def _task_for(self, batch: list[Variable]) -> Task:
        if len(batch) == 1 and can_be_split(batch[0]):
            self._split(batch[0])
            return self._pieces.popleft()
        return self._task(keys=tuple(variable.key for variable in batch))

    def _split(self, variable: Variable) -> None:
        """Put the parts of a large variable in front of all other pieces.

        Reading parts cannot check the checksum of the whole: where there is one, a piece of its
        own reads all once more for that.
        """
        regions = part_regions(variable)
        pieces = [
            self._task(keys=(variable.key,), region=region, part=number)
            for number, region in enumerate(regions)
        ]
        verified = self._checkpoint.checksum(variable) is not None
        if verified:
            pieces.insert(0, self._task(keys=(variable.key,), verify=True))
        self._assembling[variable.key] = _Assembly(len(regions), len(pieces))
        self._pieces.extendleft(reversed(pieces))

    def _task(
        self,
        *,
        keys: tuple[str, ...],
        region: Region | None = None,
        part: int = -1,
        verify: bool = False,
    ) -> Task:
        local = not isinstance(self._source, Origin)
        return Task(
            source=self._source,
            keys=keys,
            region=region,
            part=part,
            verify=verify,
            flag="" if local else self._flag,
            cancel=self._stopped if local else None,
        )

    def _settled(self, task: Task, outcomes: list[Outcome]) -> Iterator[Outcome]:
        for key, result in outcomes:
            variable = self._checkpoint[key]
            assembly = self._assembling.get(key)
            if assembly is None:
                if task.part < 0 and not task.verify:  # else a piece of one that failed already
                    self._done += variable.stored_bytes
                    yield key, result
                continue
            if isinstance(result, CkptviewerError):
                self._abandon(key)
                self._done += variable.stored_bytes
                yield key, result
            elif (total := assembly.add(task.part, result)) is not None:
                del self._assembling[key]
                self._done += variable.stored_bytes
                yield key, total

    def _abandon(self, key: str) -> None:
        del self._assembling[key]
        with self._lock:
            self._pieces = deque(piece for piece in self._pieces if piece.keys != (key,))

    def _broken(self, task: Task, error: BrokenExecutor) -> Iterator[Outcome]:
        text = f"a worker ended before its work was done ({error or type(error).__name__})"
        remedy = "It may have run out of memory; try again."
        yield from self._settled(
            task, [(key, CkptviewerError(text, where=key, remedy=remedy)) for key in task.keys]
        )

    def _stop(self, under_way: list[Future[list[Outcome]]]) -> None:
        """Let what is under way end soon. The flag stays until it has, and goes then."""
        self._stopped.cancel()
        if self._flag and under_way:
            Path(self._flag).touch()
        running = [future for future in under_way if not future.cancel()]
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
        if self._flag:
            shutil.rmtree(os.path.dirname(self._flag), ignore_errors=True)


class _Assembly:
    """The parts of one large variable, put together in their order as they come."""

    def __init__(self, parts: int, pieces: int) -> None:
        self._total = Statistics()
        self._early: dict[int, Statistics] = {}
        self._next = 0
        self._parts = parts
        self._pieces_left = pieces

    def add(self, part: int, result: Statistics) -> Statistics | None:
        """Take in a part (-1: the checksum was right); the whole once all pieces are there."""
        self._pieces_left -= 1
        if part >= 0:
            self._early[part] = result
        while self._next in self._early:
            self._total = self._total.merge(self._early.pop(self._next))
            self._next += 1
        return None if self._pieces_left else self._total


def can_be_split(variable: Variable) -> bool:
    """Whether parts of it can be read as fast as the whole: large, and stored as it is."""
    dtype = BY_NAME.get(variable.dtype)
    if dtype is None or variable.element_count <= PART_ELEMENTS:
        return False
    return variable.stored_bytes == variable.element_count * dtype.item_bytes > 0


def _first(keys: Iterable[str], count: int) -> Iterator[str]:
    for _, key in zip(range(count), keys, strict=False):
        yield key
