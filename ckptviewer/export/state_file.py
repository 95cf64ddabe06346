"""The `checkpoint` file beside a bundle, by which tf.train.latest_checkpoint finds it."""

from __future__ import annotations

import os
from pathlib import Path

from ckptviewer.checkpoint.errors import CkptviewerError, PathNotFoundError
from ckptviewer.formats.checkpoint_state import (
    STATE_FILE_NAME,
    CheckpointState,
    locate_latest,
    read_checkpoint_state,
    render_checkpoint_state,
)
from ckptviewer.storage.atomic import NewFile, Staging


def note_in_state_file(prefix: str) -> str:
    """Have the directory's `checkpoint` file name the bundle `prefix`; returns the file's path.

    Only where there is none, or where nothing is there any more of what it names: a file that
    names checkpoints of a training stays as it is, and "" is returned. So it is where the file
    cannot be written: the bundle opens without it.
    """
    directory, base = os.path.split(prefix)
    path = os.path.join(directory, STATE_FILE_NAME)
    if not _may_be_written(path):
        return ""
    state = CheckpointState(model_checkpoint_path=base, all_model_checkpoint_paths=(base,))
    try:
        text = render_checkpoint_state(state).encode()
        with Staging(path) as staging:
            with NewFile(os.path.join(staging.path, STATE_FILE_NAME)) as file:
                file.write(text)
                file.flush()
            staging.publish([file.path], replace_last=os.path.exists(path))
    except (CkptviewerError, UnicodeEncodeError):
        return ""
    return path


def _may_be_written(path: str) -> bool:
    try:
        state = read_checkpoint_state(Path(path))
    except PathNotFoundError:
        return not os.path.lexists(path)
    except CkptviewerError:
        return False  # whatever it is, it is somebody's
    directory = Path(path).parent
    named = [state.model_checkpoint_path, *state.all_model_checkpoint_paths]
    return not any(
        locate_latest(CheckpointState(model_checkpoint_path=each), directory)[0]
        for each in filter(None, named)
    )
