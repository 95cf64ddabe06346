"""Removing checkpoints of a run, to the system's trash or for good, so that nothing else is lost.

Files are removed whole checkpoints at a time, a checkpoint's index first, after the file
`checkpoint` was rewritten without them: whenever this is interrupted, TensorFlow finds what it
found before, and what is half removed is no checkpoint to it any more.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

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
    locate_latest,
    read_checkpoint_state,
    render_checkpoint_state,
)
from ckptviewer.runs.entry import CheckpointEntry
from ckptviewer.runs.members import state_of
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
    rewritten = _rewrite_state(plan)
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
            what = f"{len(done)} of {len(plan.removed)} checkpoints are removed, and"
            raise UnwritableFileError(
                f"{what} this one could not be: {error.strerror or error}",
                where=entry.path,
                remedy="Check the permissions of the directory."
                + (" Where there is no trash, remove for good." if to_trash else ""),
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
    state, _ = _state(plan.run.path)
    named = _named_by(state, plan.run.path) if state else None
    for entry in plan.removed:
        if entry.named_latest or (named is not None and _is(entry, named)):
            raise ChangedFileError(
                f"the file `{STATE_FILE_NAME}` names it as the latest; nothing was removed",
                where=entry.path,
                remedy="Look at the run again.",
            )


def _state(directory: str) -> tuple[CheckpointState | None, str]:
    """The state file's content, None where there is none that can be read; and its path."""
    path = os.path.join(directory, STATE_FILE_NAME)
    try:
        return read_checkpoint_state(Path(path)), path
    except CkptviewerError:  # not there, or nobody can read it: it stays as it is
        return None, path


def _named_by(state: CheckpointState, directory: str) -> str | None:
    located, _ = locate_latest(state, Path(directory))
    return None if located is None else os.fspath(located)


def _is(entry: CheckpointEntry, prefix: str) -> bool:
    """Whether `prefix`, as a state names it, is this entry."""
    text = re.sub(r"-\?{5,}-of-\d{5,}$", "", prefix)
    directory, base = os.path.split(text)
    for path in (entry.path, entry.opens_by):
        with suppress(OSError):
            other, name = os.path.split(path)
            if name == base and os.path.samefile(other or ".", directory or "."):
                return True
    return False


def _rewrite_state(plan: RemovalPlan) -> bool:
    """Take what goes out of the state file's list, in one step; whether there was any of it."""
    directory = plan.run.path
    state, path = _state(directory)
    if state is None or not state.all_model_checkpoint_paths:
        return False
    stays = [not _names_removed(each, plan) for each in state.all_model_checkpoint_paths]
    if all(stays):
        return False
    times: tuple[float, ...] = state.all_model_checkpoint_timestamps
    if len(times) == len(stays):
        times = tuple(time for time, stay in zip(times, stays, strict=True) if stay)
    paths = zip(state.all_model_checkpoint_paths, stays, strict=True)
    new = replace(
        state,
        all_model_checkpoint_paths=tuple(each for each, stay in paths if stay),
        all_model_checkpoint_timestamps=times,
    )
    with Staging(path) as staging:
        with NewFile(os.path.join(staging.path, STATE_FILE_NAME)) as file:
            file.write(render_checkpoint_state(new).encode("utf-8", "surrogateescape"))
            file.flush()
        staging.publish([file.path], replace_last=True)
    return True


def _names_removed(recorded: str, plan: RemovalPlan) -> bool:
    alone = CheckpointState(model_checkpoint_path=recorded)
    located = _named_by(alone, plan.run.path)
    return located is not None and any(_is(entry, located) for entry in plan.removed)


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
