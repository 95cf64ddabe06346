"""What is said when a path leads to no checkpoint: what it is, where, and what to open instead."""

from __future__ import annotations

import os
from pathlib import Path

from ckptviewer.checkpoint.errors import (
    CkptviewerError,
    NotACheckpointError,
    PathNotFoundError,
)
from ckptviewer.checkpoint.text import printable
from ckptviewer.formats.foreign import identify, identify_directory
from ckptviewer.formats.nearby import (
    BUNDLE_DATA_FILE,
    Listings,
    base_of,
    offer,
    offer_subdirectories,
)


def nothing_there(path: str, listings: Listings) -> CkptviewerError:
    """The error for a path that is nothing, or a directory that has no checkpoint."""
    if os.path.isdir(path):
        listing = listings[path]
        foreign = identify_directory((*listing.files, *listing.directories))
        return NotACheckpointError(
            f"it is {foreign.what}",
            where=printable(path),
            remedy=offer_subdirectories(listing).strip() or foreign.remedy,
        )
    data_file = _data_file_of(path, listings)
    if data_file:
        return index_missing(data_file, listings)
    what = "there is no such file, directory or checkpoint"
    if os.path.islink(path):
        what = f"it is a link to {printable(os.readlink(path))}, which is not there"
    return PathNotFoundError(what, where=printable(path), remedy=offer(path, listings))


def not_a_checkpoint(path: str) -> NotACheckpointError:
    """The error for a file that no format takes. Raises UnreadableFileError."""
    foreign = identify(Path(path))
    if foreign is not None:
        return NotACheckpointError(
            f"it is {foreign.what}", where=printable(path), remedy=foreign.remedy
        )
    return NotACheckpointError(
        "it is not a checkpoint of any known format",
        where=printable(path),
        remedy="Open a TensorFlow checkpoint by its `.index` file, a SavedModel by its directory, "
        "or a file of weights by its own name.",
    )


def index_missing(path: str, listings: Listings) -> PathNotFoundError:
    """The error for a data file without the index."""
    base = base_of(path)
    return PathNotFoundError(
        f"its index {printable(os.path.basename(base))}.index is missing, without which nobody "
        "knows which tensors this data file holds",
        where=printable(path),
        remedy=f"Copy the index from where the checkpoint was saved. {offer(base, listings)}",
    )


def graph_alone(path: str, listings: Listings) -> CkptviewerError:
    """The error for a `.meta` file, where the checkpoint is not beside it."""
    foreign = identify(Path(path))
    if foreign is not None and "MetaGraphDef" not in foreign.what:
        return not_a_checkpoint(path)
    base = base_of(path)
    return PathNotFoundError(
        "it holds a graph without values, and the checkpoint with the values, "
        f"{printable(os.path.basename(base))}.index, is not beside it",
        where=printable(path),
        remedy=offer(base, listings),
    )


def _data_file_of(path: str, listings: Listings) -> str:
    """The first data file of the bundle whose prefix or part is `path`; empty where none is."""
    directory, name = os.path.split(base_of(path))
    try:
        files = listings[directory].files
    except CkptviewerError:
        return ""
    data_files = [f for f in files if BUNDLE_DATA_FILE.search(f) and base_of(f) == name]
    return os.path.join(directory, min(data_files)) if data_files else ""
