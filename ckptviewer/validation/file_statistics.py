"""How far two checkpoints differ in means and deviations, variable by variable of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor

from ckptviewer.analysis.scheduling import Schedule
from ckptviewer.analysis.summary import Statistics
from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.progress import Progress

Pair = tuple[str, str]
Differences = dict[Pair, tuple[float | None, float | None] | str]
"""Of mean and of deviation, B's less A's; or why there are none."""


def differences(
    a: Checkpoint,
    b: Checkpoint,
    pairs: Iterable[Pair],
    executor: Executor,
    workers: int,
    report: Callable[[Progress], None] | None = None,
) -> Differences:
    """The differences of each pair of keys. What is equal by checksum is not read.

    A variable whose number of values that are not finite differs has no difference, but a reason.
    """
    wanted = list(dict.fromkeys(pairs))
    found: Differences = {}
    unequal = []
    for pair in wanted:
        if _equal_by_checksum(a, b, pair):
            found[pair] = (0.0, 0.0)
        else:
            unequal.append(pair)
    measured_a = _measured(a, [key for key, _ in unequal], executor, workers, report)
    measured_b = _measured(b, [key for _, key in unequal], executor, workers, report)
    for pair in unequal:
        found[pair] = _difference(measured_a[pair[0]], measured_b[pair[1]])
    return found


def _equal_by_checksum(a: Checkpoint, b: Checkpoint, pair: Pair) -> bool:
    one, other = a[pair[0]], b[pair[1]]
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    checksum = a.checksum(one)
    return checksum is not None and checksum == b.checksum(other)


def _measured(
    checkpoint: Checkpoint,
    keys: list[str],
    executor: Executor,
    workers: int,
    report: Callable[[Progress], None] | None,
) -> dict[str, Statistics | CkptviewerError]:
    variables = [checkpoint[key] for key in dict.fromkeys(keys)]
    schedule = Schedule(checkpoint, variables)
    found = {}
    for key, result in schedule.run(executor, workers):
        found[key] = result
        if report is not None:
            report(schedule.progress)
    return found


def _difference(
    a: Statistics | CkptviewerError, b: Statistics | CkptviewerError
) -> tuple[float | None, float | None] | str:
    for letter, each in (("A", a), ("B", b)):
        if isinstance(each, CkptviewerError):
            return f"it cannot be read in {letter}: {each.what}"
    assert isinstance(a, Statistics)
    assert isinstance(b, Statistics)
    if (a.nan, a.pos_inf, a.neg_inf) != (b.nan, b.pos_inf, b.neg_inf):
        return f"{a.nan + a.inf} of its values are not finite in A, and {b.nan + b.inf} in B"
    if a.mean is None or b.mean is None or a.std is None or b.std is None:
        same = a.count == b.count and a.mean is b.mean is None
        return (0.0, 0.0) if same else "it has no mean"
    return b.mean - a.mean, b.std - a.std
