"""Retention: which checkpoints of a run may go, why the others stay, and what that frees.

Nothing is removed here: a plan is looked at first, and carried out by `removal`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.formats.checkpoint_state import STATE_FILE_NAME
from ckptviewer.runs.entry import CheckpointEntry, Condition, Run
from ckptviewer.runs.naming_states import named_inside
from ckptviewer.runs.step_names import UNLABELLED

_LESS_IS_BETTER = re.compile(
    r"loss|err|perplex|ppl|mae|mse|rmse|mape|nll|wer|cer|fid|eer|entropy|distance|kl", re.IGNORECASE
)
_MORE_IS_BETTER = re.compile(
    r"acc|auc|f1|f_?score|prec|recall|iou|dice|map|bleu|rouge|score|reward|return|psnr|ssim|corr|r2",
    re.IGNORECASE,
)


class Best(StrEnum):
    """Whether the least or the greatest of a metric is the best."""

    MIN = "min"
    MAX = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is kept: all that any of these rules says.

    keep_last: so many sound ones with the highest steps. keep_every: those whose step is a multiple
    of it. keep_best: the best by this metric of the names, `val_loss` or `score:max`.
    keep_names: those that were ticked. Rules that are None, or empty, say nothing.
    """

    keep_last: int | None = None
    keep_every: int | None = None
    keep_best: str | None = None
    keep_names: frozenset[str] = frozenset()

    @property
    def says_anything(self) -> bool:
        """Whether there is a rule at all; without one, nothing is removed."""
        numbers = self.keep_last is not None or self.keep_every is not None
        return numbers or self.keep_best is not None or bool(self.keep_names)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEntry:
    """A checkpoint that stays, and why: clauses."""

    entry: CheckpointEntry
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalPlan:
    """What would go: nothing is done until `removal.execute_removal`.

    kept, removed: in the run's order. bytes_freed: on the disk; a file that has another name
    elsewhere frees nothing.
    """

    run: Run
    kept: tuple[KeptEntry, ...]
    removed: tuple[CheckpointEntry, ...]
    bytes_freed: int


def plan_retention(run: Run, policy: Policy) -> RemovalPlan:
    """What a policy keeps and what may go.

    Kept besides: what model_checkpoint_path names; what may be being written; what has no step
    where others have one; and the newest, where no rule keeps anything. Raises CkptviewerError
    where the metric is in no name, or does not tell which is better.
    """
    if not policy.says_anything:
        raise CkptviewerError(
            "nothing says what to keep",
            where=run.path,
            remedy="Say for example --keep-last 5.",
        )
    reasons: dict[str, list[str]] = {entry.name: [] for entry in run.checkpoints}
    sound = [entry for entry in run.checkpoints if entry.sound]
    for entry, reason in _by_rules(sound, policy, run.path):
        reasons[entry.name].append(reason)
    if not any(reasons.values()) and sound:
        reasons[sound[-1].name].append("the newest, as no rule keeps any")
    inside = named_inside(run.checkpoints)
    for entry in run.checkpoints:
        if entry.name in policy.keep_names:
            reasons[entry.name].append("ticked")
        if entry.name in inside:
            reasons[entry.name].append(_NAMED_INSIDE)
        reasons[entry.name] += _protection(entry, sound)
    removed = [entry for entry in run.checkpoints if not reasons[entry.name]]
    kept = [
        KeptEntry(entry=entry, reasons=tuple(reasons[entry.name]))
        for entry in run.checkpoints
        if reasons[entry.name]
    ]
    freed = sum(map(_freed_bytes, removed))
    return RemovalPlan(run=run, kept=tuple(kept), removed=tuple(removed), bytes_freed=freed)


_NAMED = f"model_checkpoint_path of the file `{STATE_FILE_NAME}` names it"
_NAMED_INSIDE = f"model_checkpoint_path of the file `{STATE_FILE_NAME}` beside it names it"


def _by_rules(
    sound: Sequence[CheckpointEntry], policy: Policy, where: str
) -> Iterable[tuple[CheckpointEntry, str]]:
    if policy.keep_last:
        placed = [entry for entry in sound if entry.step is not None] or list(sound)
        for entry in placed[-policy.keep_last :]:
            yield entry, f"one of the last {policy.keep_last}"
    if policy.keep_every:
        for entry in sound:
            if entry.step is not None and entry.step % policy.keep_every == 0:
                yield entry, f"its step is a multiple of {policy.keep_every}"
    if policy.keep_best is not None:
        entry, text = best_by_metric(sound, policy.keep_best, where)
        yield entry, text


def _protection(entry: CheckpointEntry, sound: Sequence[CheckpointEntry]) -> list[str]:
    """Why an entry stays whatever the rules say."""
    reasons = []
    if entry.named_latest:
        reasons.append(_NAMED)
    if entry.condition is Condition.INCOMPLETE:
        reasons.append("incomplete: it may be being saved")
    if entry.step is None and any(other.step is not None for other in sound):
        reasons.append("it has no step to go by")
    return reasons


def best_by_metric(
    entries: Sequence[CheckpointEntry], metric: str, where: str = ""
) -> tuple[CheckpointEntry, str]:
    """The best by a metric of the names, the later of equals, and why: a clause.

    metric: a label, or the end of one (`loss` of `val_loss`), with `:min` or `:max` where the label
    does not tell. Where names have one number without a label, it is taken. Raises CkptviewerError.
    """
    label, _, direction = metric.partition(":")
    found = [(value, entry) for entry in entries if (value := _metric_of(entry, label)) is not None]
    if not found:
        labels = sorted({name for entry in entries for name in entry.metrics})
        known = f"The names have: {', '.join(labels)}." if labels else "No name has a metric."
        raise CkptviewerError(f"no name has the metric {label!r}", where=where, remedy=known)
    better = _direction(label, direction, where)
    pick = min if better is Best.MIN else max
    value = pick(value for value, _ in found)
    entry = [entry for each, entry in found if each == value][-1]
    return entry, f"the best by {label} ({value:g}, {better})"


def _metric_of(entry: CheckpointEntry, label: str) -> float | None:
    if label in entry.metrics:
        return entry.metrics[label]
    ends = [name for name in entry.metrics if name.lower().endswith("_" + label.lower())]
    if len(ends) == 1:
        return entry.metrics[ends[0]]
    return entry.metrics.get(UNLABELLED)


def _direction(label: str, direction: str, where: str) -> Best:
    if direction in ("min", "max"):
        return Best(direction)
    less, more = _LESS_IS_BETTER.search(label), _MORE_IS_BETTER.search(label)
    if direction or bool(less) == bool(more):
        raise CkptviewerError(
            f"whether the least or the greatest {label} is the best is not known",
            where=where,
            remedy=f"Say {label}:min or {label}:max.",
        )
    return Best.MIN if less else Best.MAX


def _freed_bytes(entry: CheckpointEntry) -> int:
    total = 0
    for state in entry.files:
        with suppress(OSError):
            status = os.lstat(state.path)
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                total += status.st_size
    return total
