"""Findings of checkpoints that several files make up, by a map that says which has what."""

from __future__ import annotations

from collections.abc import Sequence

from ckptviewer.checkpoint.errors import CkptviewerError, PathNotFoundError
from ckptviewer.checkpoint.findings import Finding, Severity


def lost_shard(
    name: str, what: str, keys: Sequence[str], error: CkptviewerError, remedy: str
) -> Finding:
    """A shard is not there, or cannot be read.

    what: is lost with it ("3 variables"). keys: of these, or of the groups that they are in.
    """
    missing = isinstance(error, PathNotFoundError)
    why = "is missing" if missing else f"cannot be read: {error.what}"
    some = ", ".join(keys[:3]) + (", …" if len(keys) > 3 else "")
    return Finding(
        code="missing-shard" if missing else "damaged-shard",
        severity=Severity.ERROR,
        message=f"The shard {name} {why}; {what} ({some}) are not shown.",
        remedy=remedy,
    )


def foreign_shard(name: str, missing: Sequence[str], remedy: str) -> Finding:
    """A shard has not all that the map says; missing: what it lacks, at least one."""
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return Finding(
        code="foreign-shard",
        severity=Severity.ERROR,
        message=f"The shard {name} lacks {missing[0]}{more}, which the map says are in it; it may "
        "belong to another save.",
        remedy=remedy,
    )


def twice(key: str, one: str, other: str, which: str) -> Finding:
    """A variable is in two shards; which: the one whose values are shown ("the latter's")."""
    return Finding(
        code="duplicate-variable",
        severity=Severity.WARNING,
        message=f"{key} is in {one} as well as in {other}; {which} is shown.",
        remedy="Remove shards of older saves from the directory.",
        variable=key,
    )
