"""The numbers of a comparison on an executor: in which order, in what pieces, and when to stop.

As `scheduling` does for one checkpoint: large tensors are read in parts, small ones in batches,
and what is on the screen comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass

from ckptviewer.analysis.backlog import Assembly, FileFlag, Scheduled, placed
from ckptviewer.analysis.chunks import PART_ELEMENTS, boxes
from ckptviewer.analysis.comparison import Comparison, Pair, VariableDelta, needs_values, settled
from ckptviewer.analysis.difference import Tolerance
from ckptviewer.analysis.difference_sums import PairSums
from ckptviewer.analysis.scheduling import Origin, can_be_split, opened
from ckptviewer.analysis.side_by_side import Measured, Sides, described, measure, part_sums
from ckptviewer.checkpoint.checkpoint import Checkpoint, Region
from ckptviewer.checkpoint.errors import Cancelled, CkptviewerError
from ckptviewer.checkpoint.progress import CancelToken

Result = Measured | PairSums | CkptviewerError
"""Of a whole pair, of a part of one (empty where its checksum was checked), or why not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A piece of work for one worker; can be pickled where the sources are Origins.

    pairs: to compare whole, one after the other; or one, of which `region` is compared, or of
    which the side `verify` ("a" or "b") is read for its checksum alone.
    flag: path of a file that says, once it is there, that the work is no longer wanted.
    """

    source_a: Checkpoint | Origin
    source_b: Checkpoint | Origin
    pairs: tuple[Pair, ...]
    tolerance: Tolerance
    region: Region | None = None
    part: int = -1
    verify: str = ""
    flag: str = ""
    cancel: CancelToken | None = None


def perform(task: Task) -> list[tuple[Pair, Result]]:
    """Do a task; each pair gives its result. Raises Cancelled alone."""
    cancel = task.cancel or FileFlag(task.flag)
    results: list[tuple[Pair, Result]] = []
    for pair in task.pairs:
        cancel.raise_if_cancelled()
        try:
            results.append((pair, _perform(task, pair, cancel)))
        except Cancelled:
            raise
        except CkptviewerError as error:
            results.append((pair, error))
        except Exception as error:  # one pair must not take the others of its batch with it
            text = f"comparing it failed: {type(error).__name__}: {error}"
            results.append((pair, CkptviewerError(text, where=pair[1] or "")))
    return results


def _perform(task: Task, pair: Pair, cancel: CancelToken) -> Result:
    a, b = _source(task.source_a), _source(task.source_b)
    sides = _sides(a, b, pair, task.tolerance, cancel)
    if task.verify:
        held, variable = (
            (sides.a, sides.variable_a) if task.verify == "a" else (sides.b, sides.variable_b)
        )
        for _ in held.chunks(variable):
            cancel.raise_if_cancelled()
        return PairSums()
    return measure(sides) if task.region is None else part_sums(sides, task.region)


def _source(source: Checkpoint | Origin) -> Checkpoint:
    return opened(source) if isinstance(source, Origin) else source


def _sides(
    a: Checkpoint, b: Checkpoint, pair: Pair, tolerance: Tolerance, cancel: CancelToken
) -> Sides:
    key_a, key_b = pair
    if key_a is None or key_b is None:
        raise ValueError(f"{pair} is not a pair")
    return Sides(
        a=a,
        b=b,
        variable_a=a[key_a],
        variable_b=b[key_b],
        tolerance=tolerance,
        cancel=cancel,
    )


class ComparisonSchedule(Scheduled[Pair, VariableDelta, Task, list[tuple[Pair, Result]]]):
    """The rows of a comparison with their numbers, to be had one after the other.

    `run` may be used once. `prefer` and `progress` may be called from other threads meanwhile.
    Progress is over both sides' bytes.
    """

    label = "comparison"

    def __init__(
        self,
        a: Checkpoint,
        b: Checkpoint,
        comparison: Comparison,
        *,
        deltas: Iterable[VariableDelta] | None = None,
        origins: tuple[Origin, Origin] | None = None,
        cancel: CancelToken | None = None,
    ) -> None:
        """
        comparison: of `compare_indexes`. deltas: the rows to read, if not those that its options
        ask for (see `needs_values`); all must be there on both sides.
        origins: of A and B, needed for an executor of processes.
        cancel: stops the run; it is noticed within a few hundredths of a second.
        """
        self._a, self._b = a, b
        self._sources: tuple[Checkpoint | Origin, Checkpoint | Origin] = origins or (a, b)
        self._tolerance = comparison.options.tolerance
        if deltas is None:
            deltas = (each for each in comparison.deltas if needs_values(each, comparison.options))
        self._deltas = {delta.pair: delta for delta in deltas}
        self._assembling: dict[Pair, Assembly[PairSums]] = {}
        items = [(pair, delta.stored_bytes, delta) for pair, delta in self._deltas.items()]
        super().__init__(items, perform, _failed, cancel, in_processes=origins is not None)

    def run(self, executor: Executor, workers: int = 2) -> Iterator[VariableDelta]:
        """Yield each row with its numbers, or its problem, as soon as it is there.

        workers: how many tasks the executor works on at a time. Raises Cancelled once the token is
        cancelled; what was under way ends by itself shortly after. Closing the generator is the
        same as cancelling.
        """
        with closing(self._under_way.run(executor, workers)) as finished:
            for task, results in finished:
                yield from self._settled(task, results)

    def tasks_for(self, batch: list[VariableDelta]) -> list[Task]:
        if len(batch) == 1 and _lies_in_parts(batch[0]):
            return self._parts_of(batch[0])
        return [self._task(pairs=tuple(delta.pair for delta in batch))]

    def _parts_of(self, delta: VariableDelta) -> list[Task]:
        """Reading parts cannot check the checksum of the whole: where there is one, a piece of its
        own reads all of that side once more."""
        pieces = [
            self._task(pairs=(delta.pair,), verify=side)
            for side, held, variable in (
                ("a", self._a, delta.variable_a),
                ("b", self._b, delta.variable_b),
            )
            if variable is not None and held.checksum(variable) is not None
        ]
        pieces += [
            self._task(pairs=(delta.pair,), region=region, part=number)
            for number, region in enumerate(boxes(delta.variable.shape, PART_ELEMENTS))
        ]
        self._assembling[delta.pair] = Assembly(PairSums(), len(pieces), _merged)
        return pieces

    def _task(
        self,
        *,
        pairs: tuple[Pair, ...],
        region: Region | None = None,
        part: int = -1,
        verify: str = "",
    ) -> Task:
        flag, cancel = self._stopping
        return Task(
            source_a=self._sources[0],
            source_b=self._sources[1],
            pairs=pairs,
            tolerance=self._tolerance,
            region=region,
            part=part,
            verify=verify,
            flag=flag,
            cancel=cancel,
        )

    def _settled(self, task: Task, results: list[tuple[Pair, Result]]) -> Iterator[VariableDelta]:
        for pair, result in results:
            assembly = self._assembling.get(pair)
            if assembly is None:
                if isinstance(result, PairSums) or task.part >= 0 or task.verify:
                    continue  # a piece of one that failed already
                yield self._finished(pair, result)
            elif isinstance(result, PairSums):
                if (total := assembly.add(task.part, result)) is not None:
                    del self._assembling[pair]
                    yield self._finished(pair, self._described(pair, total))
            else:
                del self._assembling[pair]
                self._forget(pair)
                yield self._finished(pair, result)

    def _forget(self, pair: Pair) -> None:
        self._backlog.drop(lambda task: task.pairs == (pair,))

    def _described(self, pair: Pair, total: PairSums) -> Measured:
        sides = _sides(self._a, self._b, pair, self._tolerance, self._under_way.stopped)
        return described(sides, total.result(self._tolerance), look_turned=False)

    def _finished(self, pair: Pair, result: Measured | CkptviewerError) -> VariableDelta:
        delta = self._deltas[pair]
        self._done += delta.stored_bytes
        return settled(delta, result)


def _failed(task: Task, error: CkptviewerError) -> list[tuple[Pair, Result]]:
    return [(pair, placed(error, pair[1] or "")) for pair in task.pairs]


def _merged(total: PairSums, part: PairSums) -> PairSums:
    total.merge(part)
    return total


def _lies_in_parts(delta: VariableDelta) -> bool:
    """Whether the pair is of one shape, and parts of it can be read as fast as the whole."""
    variable_a, variable_b = delta.variable_a, delta.variable_b
    if variable_a is None or variable_b is None or variable_a.shape != variable_b.shape:
        return False
    return can_be_split(variable_a) and can_be_split(variable_b)
