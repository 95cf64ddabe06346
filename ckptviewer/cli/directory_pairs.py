"""Two directories with a checkpoint somewhere in each, as `git difftool --dir-diff` gives them."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ckptviewer.checkpoint.errors import CkptviewerError, NotACheckpointError
from ckptviewer.checkpoint.text import printable

_MOST_DIRECTORIES = 2000
_MOST_NAMED = 5


def same_place(a: str, b: str) -> tuple[str, str]:
    """The paths of what is to be compared in A and B.

    They are those of A and B, but for two directories that are no checkpoints: then of the one
    checkpoint that lies at the same place inside both, or else of the only one in each. Raises
    NotACheckpointError where there is none, or more than one.
    """
    if not (_is_mere_directory(a) and _is_mere_directory(b)):
        return a, b
    inside_a, inside_b = set(_checkpoints_inside(a)), set(_checkpoints_inside(b))
    common = sorted(inside_a & inside_b)
    if len(common) == 1:
        return os.path.join(a, common[0]), os.path.join(b, common[0])
    if not common and len(inside_a) == len(inside_b) == 1:
        return os.path.join(a, inside_a.pop()), os.path.join(b, inside_b.pop())
    if not common:
        empty = a if not inside_a else b
        raise NotACheckpointError(
            "neither it nor the other directory is a checkpoint, and no place inside has one in "
            "both",
            where=empty,
            remedy="Name the two checkpoints themselves.",
        )
    named = ", ".join(printable(place) for place in common[:_MOST_NAMED])
    more = ", ..." if len(common) > _MOST_NAMED else ""
    raise NotACheckpointError(
        f"several places inside have a checkpoint: {named}{more}",
        where=a,
        remedy="Name one of them; for git difftool, after `--`.",
    )


def _is_mere_directory(path: str) -> bool:
    return os.path.isdir(path) and not _has_checkpoint(path)


def _has_checkpoint(directory: str) -> bool:
    from ckptviewer.formats.resolve import resolve

    try:
        resolve(directory)
    except CkptviewerError:
        return False
    return True


def _checkpoints_inside(root: str) -> Iterator[str]:
    """The directories below `root` that are checkpoints or hold some, relative to it."""
    for number, (directory, names, _) in enumerate(os.walk(root)):
        if number >= _MOST_DIRECTORIES:
            return
        if directory != root and _has_checkpoint(directory):
            yield os.path.relpath(directory, root)
            names.clear()
        names.sort()
