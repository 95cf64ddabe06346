"""Statistics of many variables on an executor: in which order, in what pieces, and when to stop.

A schedule cuts the work into tasks of a few milliseconds to a tenth of a second: variables in
parts where they are large, in batches where they are small. `backlog` has them done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ckptviewer.analysis.backlog import Assembly, FileFlag, Scheduled, placed
from ckptviewer.analysis.chunks import PART_ELEMENTS
from ckptviewer.analysis.statistics import part_regions, statistics_of, statistics_of_part
from ckptviewer.analysis.summary import Statistics
from ckptviewer.checkpoint.dtypes import BY_NAME
from ckptviewer.checkpoint.errors import Cancelled, ChangedFileError, CkptviewerError
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.storage.cache import identity_of

if TYPE_CHECKING:
    from ckptviewer.checkpoint.checkpoint import Checkpoint, Region
    from ckptviewer.checkpoint.variable import Variable

Outcome = tuple[str, Statistics | CkptviewerError]
"""The key of a variable, and its statistics or why there are none."""


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


class Schedule(Scheduled[str, "Variable", Task, list[Outcome]]):
    """The statistics of some variables of one checkpoint, to be had one after the other.

    `run` may be used once. `prefer` and `progress` may be called from other threads meanwhile.
    """

    label = "statistics"

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
        self._assembling: dict[str, Assembly[Statistics]] = {}
        items = [(variable.key, variable.stored_bytes, variable) for variable in variables]
        super().__init__(items, perform, _failed, cancel, in_processes=origin is not None)

    def run(self, executor: Executor, workers: int = 2) -> Iterator[Outcome]:
        """Yield each variable's outcome as soon as it is there.

        workers: how many tasks the executor works on at a time. Raises Cancelled once the token is
        cancelled; what was under way ends by itself shortly after. Closing the generator is the
        same as cancelling.
        """
        with closing(self._under_way.run(executor, workers)) as finished:
            for task, outcomes in finished:
                yield from self._settled(task, outcomes)

    def tasks_for(self, batch: list[Variable]) -> list[Task]:
        if len(batch) == 1 and can_be_split(batch[0]):
            return self._parts_of(batch[0])
        return [self._task(keys=tuple(variable.key for variable in batch))]

    def _parts_of(self, variable: Variable) -> list[Task]:
        """Reading parts cannot check the checksum of the whole: where there is one, a piece of its
        own reads all once more for that."""
        regions = part_regions(variable)
        pieces = [
            self._task(keys=(variable.key,), region=region, part=number)
            for number, region in enumerate(regions)
        ]
        verified = self._checkpoint.checksum(variable) is not None
        if verified:
            pieces.insert(0, self._task(keys=(variable.key,), verify=True))
        self._assembling[variable.key] = Assembly(Statistics(), len(pieces), Statistics.merge)
        return pieces

    def _task(
        self,
        *,
        keys: tuple[str, ...],
        region: Region | None = None,
        part: int = -1,
        verify: bool = False,
    ) -> Task:
        flag, cancel = self._stopping
        return Task(
            source=self._source,
            keys=keys,
            region=region,
            part=part,
            verify=verify,
            flag=flag,
            cancel=cancel,
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
        self._backlog.drop(lambda piece: piece.keys == (key,))


def _failed(task: Task, error: CkptviewerError) -> list[Outcome]:
    return [(key, placed(error, key)) for key in task.keys]


def can_be_split(variable: Variable) -> bool:
    """Whether parts of it can be read as fast as the whole: large, and stored as it is."""
    dtype = BY_NAME.get(variable.dtype)
    if dtype is None or variable.element_count <= PART_ELEMENTS:
        return False
    return variable.stored_bytes == variable.element_count * dtype.item_bytes > 0
