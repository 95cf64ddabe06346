"""Which of a run's checkpoints `checkpoint` files name: its own, and those in its directories."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.formats.checkpoint_state import (
    STATE_FILE_NAME,
    CheckpointState,
    locate_latest,
    read_checkpoint_state,
)
from ckptviewer.runs.entry import CheckpointEntry


def state_in(directory: str) -> CheckpointState | None:
    """What the state file of a directory says; None where there is none that can be read."""
    try:
        return read_checkpoint_state(Path(directory, STATE_FILE_NAME))
    except CkptviewerError:  # not there, or nobody can read it: it stays as it is
        return None


def named_by(state: CheckpointState, directory: str) -> str | None:
    """The prefix that a state names as the latest, stale paths mended; None where it is gone."""
    located, _ = locate_latest(state, Path(directory))
    return None if located is None else os.fspath(located)


def is_entry(entry: CheckpointEntry, prefix: str) -> bool:
    """Whether `prefix`, as a state names it, is this entry."""
    text = re.sub(r"-\?{5,}-of-\d{5,}$", "", prefix)
    directory, base = os.path.split(text)
    for path in (entry.path, entry.opens_by):
        with suppress(OSError):
            other, name = os.path.split(path)
            if name == base and os.path.samefile(other or ".", directory or "."):
                return True
    return False


def inner_directories(entries: Iterable[CheckpointEntry]) -> list[str]:
    """Directories in a run that have a state file which is no part of a single checkpoint.

    The state file of a directory with one checkpoint belongs to it, and goes with it.
    """
    found: dict[str, None] = {}
    for entry in entries:
        if "/" not in entry.name or entry.format == "saved-model":
            continue
        directory = os.path.dirname(entry.path)
        state = os.path.join(directory, STATE_FILE_NAME)
        if os.path.isfile(state) and all(file.path != state for file in entry.files):
            found[directory] = None
    return list(found)


def named_inside(entries: Iterable[CheckpointEntry]) -> set[str]:
    """Names of the entries that the state file of their own directory names as the latest."""
    entries = list(entries)
    names: set[str] = set()
    for directory in inner_directories(entries):
        state = state_in(directory)
        prefix = named_by(state, directory) if state else None
        if prefix is not None:
            names.update(entry.name for entry in entries if is_entry(entry, prefix))
    return names
