"""Removing checkpoints of a run, to the system's trash or for good, so that nothing else is lost.

Files are removed whole checkpoints at a time, a checkpoint's index first, after the file
`checkpoint` was rewritten without them: whenever this is interrupted, TensorFlow finds what it
found before, and what is half removed is no checkpoint to it any more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from ckptviewer.checkpoint.errors import (
    ChangedFileError,
    CkptviewerError,
    MissingLibraryError,
    UnwritableFileError,
)
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.formats.checkpoint_state import (
    STATE_FILE_NAME,
    CheckpointState,
    render_checkpoint_state,
)
from ckptviewer.runs.entry import CheckpointEntry
from ckptviewer.runs.members import state_of
from ckptviewer.runs.naming_states import (
    inner_directories,
    is_entry,
    named_by,
    named_inside,
    state_in,
)
from ckptviewer.runs.retention import RemovalPlan
from ckptviewer.storage.atomic import NewFile, Staging

Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What was done. to_trash: False where it is gone for good."""

    removed: tuple[CheckpointEntry, ...]
    bytes_freed: int
    to_trash: bool
    state_rewritten: bool = False


def execute_removal(
    plan: RemovalPlan,
    *,
    to_trash: bool = True,
    cancel: CancelToken | None = None,
    report: Report | None = None,
) -> Removal:
    """Remove what the plan says, to the system's trash or for good.

    Before anything is touched, all of it must be as it was when it was planned, and the file
    `checkpoint` must not name any of it by now. Raises ChangedFileError then, with nothing done;
    MissingLibraryError without a trash; UnwritableFileError and Cancelled, between two checkpoints:
    what is told as removed by then is.
    """
    remove = _trash_function() if to_trash else _remove_for_good
    _require_unchanged(plan)
    if not plan.removed:
        return Removal(removed=(), bytes_freed=0, to_trash=to_trash)
    states = _States(plan)
    rewritten = states.rewrite_without(plan.removed)
    done: list[CheckpointEntry] = []
    for entry in plan.removed:
        if cancel is not None:
            cancel.raise_if_cancelled()
        if report is not None:
            count = len(plan.removed)
            report(Progress(done=len(done), total=count, unit="checkpoints", label=entry.name))
        try:
            remove(_in_removal_order(entry))
            _drop_empty_directories(entry, plan.run.path)
        except OSError as error:
            with suppress(CkptviewerError, OSError):  # what stays is listed again
                states.rewrite_without([e for e in plan.removed if not os.path.lexists(e.opens_by)])
            what = f"{len(done)} of {len(plan.removed)} checkpoints are removed, and"
            raise UnwritableFileError(
                f"{what} this one could not be: {error.strerror or error}",
                where=entry.path,
                remedy="Check the permissions of the directory."
                + (" Where there is no trash, remove for good (--delete)." if to_trash else ""),
            ) from error
        done.append(entry)
    return Removal(
        removed=tuple(done),
        bytes_freed=plan.bytes_freed,
        to_trash=to_trash,
        state_rewritten=rewritten,
    )


def _require_unchanged(plan: RemovalPlan) -> None:
    for entry in plan.removed:
        for known in entry.files:
            try:
                same = state_of(known.path) == known
            except OSError:
                same = False
            if not same:
                raise ChangedFileError(
                    "it has changed since the removal was planned; nothing was removed",
                    where=known.path,
                    remedy="Look at the run again.",
                )
    state = state_in(plan.run.path)
    named = named_by(state, plan.run.path) if state else None
    inside = named_inside(plan.removed)
    for entry in plan.removed:
        is_named = entry.named_latest or entry.name in inside
        if is_named or (named is not None and is_entry(entry, named)):
            raise ChangedFileError(
                f"the file `{STATE_FILE_NAME}` names it as the latest; nothing was removed",
                where=entry.path,
                remedy="Look at the run again.",
            )


class _States:
    """The state files that list what goes: rewritten first, and again where removing fails."""

    def __init__(self, plan: RemovalPlan) -> None:
        """What they list is looked up now, while all of it is there."""
        self._states: dict[str, tuple[CheckpointState, list[str]]] = {}
        for directory in (plan.run.path, *inner_directories(plan.removed)):
            state = state_in(directory)
            if state is not None and state.all_model_checkpoint_paths:
                paths = state.all_model_checkpoint_paths
                names = [_entry_named(each, directory, plan.removed) for each in paths]
                self._states[directory] = (state, names)

    def rewrite_without(self, removed: Sequence[CheckpointEntry]) -> bool:
        """Take what goes out of each list, each in one step; whether there was any of it."""
        gone = {entry.name for entry in removed}
        changed = False
        for directory, (state, names) in self._states.items():
            new = _without(state, [name not in gone for name in names])
            if new != state_in(directory):
                _write_state(directory, new)
                changed = True
        return changed


def _entry_named(recorded: str, directory: str, entries: Sequence[CheckpointEntry]) -> str:
    """The name of the entry that a state lists so; empty where it is none of these."""
    located = named_by(CheckpointState(model_checkpoint_path=recorded), directory)
    if located is None:
        return ""
    return next((entry.name for entry in entries if is_entry(entry, located)), "")


def _without(state: CheckpointState, stays: Sequence[bool]) -> CheckpointState:
    times: tuple[float, ...] = state.all_model_checkpoint_timestamps
    if len(times) == len(stays):
        times = tuple(time for time, stay in zip(times, stays, strict=True) if stay)
    paths = zip(state.all_model_checkpoint_paths, stays, strict=True)
    return replace(
        state,
        all_model_checkpoint_paths=tuple(each for each, stay in paths if stay),
        all_model_checkpoint_timestamps=times,
    )


def _write_state(directory: str, state: CheckpointState) -> None:
    with Staging(os.path.join(directory, STATE_FILE_NAME)) as staging:
        with NewFile(os.path.join(staging.path, STATE_FILE_NAME)) as file:
            file.write(render_checkpoint_state(state).encode("utf-8", "surrogateescape"))
            file.flush()
        staging.publish([file.path], replace_last=True)


def _in_removal_order(entry: CheckpointEntry) -> list[str]:
    """What it is opened by first: without that it is no checkpoint any more; graphs last."""
    paths = [state.path for state in entry.files]
    if entry.format == "saved-model" and os.path.isdir(entry.path):
        return [entry.path]
    return sorted(paths, key=lambda path: (path != entry.opens_by, path.endswith(".meta"), path))


def _remove_for_good(paths: Sequence[str]) -> None:
    """Raises OSError. Of a directory first what makes it a SavedModel goes, then the rest."""
    for path in paths:
        if not os.path.isdir(path) or os.path.islink(path):
            with suppress(FileNotFoundError):
                os.unlink(path)
            continue
        for name in ("saved_model.pb", "saved_model.pbtxt"):
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(path, name))
        for root, directories, files in os.walk(path, topdown=False):
            for name in files:
                os.unlink(os.path.join(root, name))
            for name in directories:
                below = os.path.join(root, name)
                (os.unlink if os.path.islink(below) else os.rmdir)(below)
        os.rmdir(path)


def _trash_function() -> Callable[[Sequence[str]], None]:
    try:
        from send2trash import send2trash  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingLibraryError(
            "the library Send2Trash, which knows this system's trash, is not installed",
            remedy="Install it with `pip install Send2Trash`, or remove for good.",
        ) from error

    def trash(paths: Sequence[str]) -> None:
        # One after the other: what makes a checkpoint of them has to go first.
        for path in paths:
            if os.path.lexists(path):
                send2trash(os.path.abspath(path))

    return trash


def _drop_empty_directories(entry: CheckpointEntry, run_path: str) -> None:
    """A directory a step that has become empty goes, too."""
    directory = os.path.dirname(entry.path)
    if "/" in entry.name and os.path.abspath(directory) != os.path.abspath(run_path):
        with suppress(OSError):
            os.rmdir(directory)
