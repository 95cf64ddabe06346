"""Finding a run: all checkpoints of a directory, which one TensorFlow calls the latest, and why."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ckptviewer.checkpoint.errors import Cancelled, CkptviewerError, PathNotFoundError
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.text import natural_keys
from ckptviewer.formats.resolve import local_path, open_checkpoint
from ckptviewer.runs.entry import CheckpointEntry, Condition, FileState, Run, StepSource
from ckptviewer.runs.latest import Latest, latest_checkpoint
from ckptviewer.runs.members import Member, look_at
from ckptviewer.runs.run_findings import findings_of_run
from ckptviewer.runs.soundness import Judgement, judge
from ckptviewer.runs.step_names import NameFacts, facts_of_names

__all__ = [
    "CheckpointEntry",
    "Condition",
    "FileState",
    "Judged",
    "Run",
    "StepSource",
    "find_run",
    "run_of",
    "with_steps_inside",
]

Judged = dict[tuple[str, tuple[FileState, ...]], Judgement | None]
"""By path and files: what they were found to be, so that what stays is not opened again."""


def find_run(path: str | os.PathLike[str], *, cancel: CancelToken | None = None) -> Run:
    """The run that is meant by `path`: a directory, or anything in one.

    Only names, sizes, and a few kilobytes of each checkpoint are looked at. What
    `tf.train.latest_checkpoint` returns is told of `path` as it was given: of a prefix, None.
    Raises PathNotFoundError, UnreadableFileError, Cancelled.
    """
    asked = local_path(os.fsdecode(path))
    directory = asked if os.path.isdir(asked) else os.path.dirname(asked) or os.curdir
    if not os.path.isdir(directory):
        raise PathNotFoundError(
            "there is no such directory",
            where=asked,
            remedy="Give the directory that the checkpoints were saved in.",
        )
    members = look_at(directory).members
    if not os.path.lexists(asked) and not _begins_any(asked, members):
        raise PathNotFoundError(
            "there is no such directory, and no checkpoint beside it has a name that begins so",
            where=asked,
            remedy="Give the directory that the checkpoints were saved in.",
        )
    return run_of(directory, members, latest_checkpoint(asked), cancel=cancel)


def _begins_any(prefix: str, members: Iterable[Member]) -> bool:
    # One that was deleted has a number of its own.
    base = os.path.basename(prefix).rstrip("0123456789")
    return any(os.path.basename(member.path).startswith(base) for member in members)


def run_of(
    directory: str,
    members: Sequence[Member],
    latest: Latest,
    *,
    judged: Judged | None = None,
    cancel: CancelToken | None = None,
) -> Run:
    """The run that these members of `directory` make up; `judged` is used and filled."""
    facts = facts_of_names(member.name for member in members)
    directories = _RealDirectories()
    times = _recorded_times(latest, directories)
    meant = _meant_path(latest, directories)
    judged = {} if judged is None else judged
    entries = []
    for member in members:
        if cancel is not None:
            cancel.raise_if_cancelled()
        found = _judged(member, judged)
        if found is not None:
            path, opens_by = map(directories.real_path, (member.path, member.opens_by))
            named = meant is not None and meant in (path, opens_by)
            entries.append(_entry(member, facts[member.name], found, times.get(path), named))
    ordered = in_order(entries)
    return Run(
        path=directory,
        latest=latest.path,
        latest_reason=latest.reason,
        checkpoints=ordered,
        findings=tuple(findings_of_run(latest, ordered)),
    )


def in_order(entries: Iterable[CheckpointEntry]) -> tuple[CheckpointEntry, ...]:
    """By step, then by time, then by name; those without a step before all others."""
    listed = list(entries)
    keys = natural_keys(entry.name for entry in listed)
    order = sorted(
        range(len(listed)),
        key=lambda i: (
            -1 if (step := listed[i].step) is None else step,
            listed[i].saved_at,
            keys[i],
        ),
    )
    return tuple(listed[index] for index in order)


def with_steps_inside(run: Run, *, cancel: CancelToken | None = None) -> Run:
    """The run with the steps that counters inside tell, where names tell none.

    Each of those checkpoints is opened and closed; at most a few scalars are read. One that cannot
    be opened stays as it is, and a finding says why. Raises Cancelled.
    """
    entries, findings = [], list(run.findings)
    for entry in run.checkpoints:
        if cancel is not None:
            cancel.raise_if_cancelled()
        if entry.step is not None or not entry.sound:
            entries.append(entry)
            continue
        try:
            step = step_inside(entry)
        except Cancelled:
            raise
        except CkptviewerError as error:
            from ckptviewer.runs.run_findings import finding_of_trouble

            entry = replace(entry, condition=Condition.DAMAGED, trouble=error.what)
            findings += finding_of_trouble(entry)
            step = None
        source = StepSource.NONE if step is None else StepSource.INSIDE
        entries.append(replace(entry, step=step, step_source=source))
    return replace(run, checkpoints=in_order(entries), findings=tuple(findings))


def step_inside(entry: CheckpointEntry) -> int | None:
    """The step that `global_step`, an optimizer's count or `save_counter` tells, in this order.

    None where there is no such counter. Raises what opening raises.
    """
    from ckptviewer.analysis.resume import training_state

    with open_checkpoint(entry.opens_by) as checkpoint:
        return training_state(checkpoint).step


def _judged(member: Member, judged: Judged) -> Judgement | None:
    """What the member's files are; looked up, or found out and put into `judged`."""
    key = member.path, tuple(member.files)
    if key not in judged:
        judged[key] = judge(member)
    return judged[key]


def _entry(
    member: Member, facts: NameFacts, found: Judgement, saved_at: float | None, named_latest: bool
) -> CheckpointEntry:
    """What is known of the member; without a time told, that of the newest of its files."""
    if saved_at is None:
        saved_at = max((state.modified_ns for state in member.files), default=0) / 1e9
    return CheckpointEntry(
        name=member.name,
        path=member.path,
        opens_by=member.opens_by,
        format=found.format,
        step=facts.step,
        step_source=StepSource.NONE if facts.step is None else StepSource.NAME,
        metrics=facts.metrics,
        size_bytes=sum(state.size_bytes for state in member.files),
        saved_at=saved_at,
        files=tuple(member.files),
        condition=found.condition,
        trouble=found.trouble,
        named_latest=named_latest,
    )


class _RealDirectories(dict[str, str]):
    """Directories without symbolic links on the way, each found out once."""

    def __missing__(self, directory: str) -> str:
        real = self[directory] = os.path.realpath(directory or os.curdir)
        return real

    def real_path(self, path: str) -> str:
        """The path with its directory as it is; a link at its end is left as one."""
        directory, name = os.path.split(path)
        return os.path.join(self[directory], name)


def _recorded_times(latest: Latest, directories: _RealDirectories) -> Mapping[str, float]:
    """When checkpoints were saved, by absolute path, as the state tells: copying keeps it."""
    if latest.state is None or latest.located is None:
        return {}
    state, directory = latest.state, directories[os.path.dirname(latest.located)]
    if len(state.all_model_checkpoint_timestamps) != len(state.all_model_checkpoint_paths):
        return {}
    pairs = zip(
        state.all_model_checkpoint_paths, state.all_model_checkpoint_timestamps, strict=True
    )
    return {
        os.path.join(directory, re.split(r"[\\/]", path)[-1]): seconds
        for path, seconds in pairs
        if 0 < seconds < 1e11
    }


def _meant_path(latest: Latest, directories: _RealDirectories) -> str | None:
    """Where that lies which the state names: a bundle, or a V1 checkpoint of that prefix."""
    if latest.located is None:
        return None
    text = re.sub(r"-\?{5,}-of-\d{5,}$", "", os.fspath(latest.located))
    return directories.real_path(text)
