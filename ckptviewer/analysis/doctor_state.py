"""The doctor's look at the file `checkpoint`: whether its paths hold, and what it should say."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from ckptviewer.checkpoint.errors import CkptviewerError, DamagedFileError
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.text import plural, printable
from ckptviewer.formats.candidates import latest_first
from ckptviewer.formats.checkpoint_state import (
    STATE_FILE_NAME,
    CheckpointState,
    locate_latest,
    read_checkpoint_state,
    render_checkpoint_state,
)
from ckptviewer.formats.nearby import Listing

STATE_CODES = frozenset(
    ("absolute-checkpoint-state", "damaged-checkpoint-state", "stale-checkpoint-state")
)

_MOST_PATHS = 1000


def state_finding(listing: Listing) -> Finding | None:
    """What is wrong with the file `checkpoint` of a directory, its repaired text in the remedy."""
    if STATE_FILE_NAME not in listing.files:
        return None
    directory = Path(listing.directory)
    try:
        state = read_checkpoint_state(directory / STATE_FILE_NAME)
    except DamagedFileError as error:
        return _finding(
            "damaged-checkpoint-state",
            Severity.WARNING,
            f"The file `checkpoint`, which names the latest checkpoint, is damaged: {error.what}.",
            _repaired(CheckpointState(), listing),
        )
    except CkptviewerError:
        return None
    recorded = printable(state.model_checkpoint_path) or "none"
    located, stale = locate_latest(state, directory)
    repaired = _repaired(state, listing)
    if located is None:
        what = f"names {recorded} as the latest, which is not there"
        return _finding(
            "stale-checkpoint-state", Severity.WARNING, f"The file `checkpoint` {what}.", repaired
        )
    if stale:
        what = (
            f"names {recorded}; TensorFlow looks there, and not for the checkpoint of that name "
            "beside the file"
        )
        return _finding(
            "stale-checkpoint-state", Severity.WARNING, f"The file `checkpoint` {what}.", repaired
        )
    lost = sum(not _located(path, directory) for path in state.all_model_checkpoint_paths)
    if lost:
        what = f"lists {plural(lost, 'checkpoint')} that {'is' if lost == 1 else 'are'} not there"
        return _finding(
            "stale-checkpoint-state", Severity.INFO, f"The file `checkpoint` {what}.", repaired
        )
    if any(map(_is_absolute, (state.model_checkpoint_path, *state.all_model_checkpoint_paths))):
        what = "names its checkpoints by absolute paths, which break when the directory is moved"
        return _finding(
            "absolute-checkpoint-state", Severity.INFO, f"The file `checkpoint` {what}.", repaired
        )
    return None


def _finding(code: str, severity: Severity, message: str, repaired: str) -> Finding:
    remedy = f"Replace its text by:\n{repaired}" if repaired else ""
    return Finding(code=code, severity=severity, message=message, remedy=remedy)


def _repaired(state: CheckpointState, listing: Listing) -> str:
    """The text that the file should have: relative paths of what is there; empty without any."""
    directory = Path(listing.directory)
    recorded = state.all_model_checkpoint_paths[:_MOST_PATHS]
    places = [_located(path, directory) for path in recorded]
    latest = _located(state.model_checkpoint_path, directory)
    if not latest:
        newest = latest_first(listing.directory, listing.prefixes, ".index", 1)[0]
        latest = newest[0] if newest else ""
    if not latest:
        return ""
    kept = [place for place in places if place]
    times = state.all_model_checkpoint_timestamps[:_MOST_PATHS]
    if len(times) == len(places) and latest in kept:
        times = tuple(time for place, time in zip(places, times, strict=True) if place)
    else:
        times = ()
    if latest not in kept:
        kept.append(latest)
    return render_checkpoint_state(
        replace(
            state,
            model_checkpoint_path=latest,
            all_model_checkpoint_paths=tuple(kept),
            all_model_checkpoint_timestamps=times,
        )
    )


def _located(path: str, directory: Path) -> str:
    """Where the checkpoint that was recorded as `path` is, as TensorFlow would write it now."""
    found, _ = locate_latest(CheckpointState(model_checkpoint_path=path), directory)
    if found is None:
        return ""
    text = os.path.relpath(found, directory)
    return os.fspath(found) if text.startswith(os.pardir) else text


def _is_absolute(path: str) -> bool:
    return os.path.isabs(path) or re.match(r"[A-Za-z]:[\\/]", path) is not None
