"""The doctor's look at files: what lies beside a checkpoint, and what kept it from opening."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import (
    CkptviewerError,
    DamagedFileError,
    NotACheckpointError,
    PathNotFoundError,
)
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.text import exact_size_text, printable
from ckptviewer.formats.nearby import (
    BUNDLE_DATA_FILE,
    Listing,
    base_of,
    enumerate_names,
    list_directory,
)
from ckptviewer.storage.atomic import PARTIAL_SUFFIX

POINTER_HEAD = b"version https://git-lfs"

_BUNDLES = ("tf-bundle", "saved-model")
_PART = re.compile(r"part-\d{5,}-of-\d{5,}(\.index|\.data-\d+-of-\d+)?")
_UNFINISHED_FILE = re.compile(r".+\.tempstate\d*|checkpoint\.tmp[0-9a-f]+")
_UNFINISHED_DIRECTORY = re.compile(r".*_temp(_[0-9a-f]+)?")
_SHARD_COUNT = re.compile(r"-of-(\d{5,})$")
_MOST_DIRECTORIES = 100
_LARGEST_POINTER = 1024
_PULL = "Fetch the file with `git lfs pull`."


def bundle_prefix(checkpoint: Checkpoint) -> str:
    """The prefix of the tensor bundle that holds its values; empty where none does."""
    if checkpoint.format_name == "tf-bundle":
        return checkpoint.path
    if checkpoint.format_name == "saved-model":
        directory = checkpoint.path
        if not os.path.isdir(directory):
            directory = os.path.dirname(directory)
        return os.path.join(directory, "variables", "variables")
    return ""


def listing_beside(path: str) -> Listing | None:
    """What lies in the directory of `path`; None where that cannot be told."""
    try:
        return list_directory(os.path.dirname(path))
    except CkptviewerError:
        return None


def pointers(prefix: str, listing: Listing) -> dict[int, str]:
    """Number and name of each of the bundle's data files that is a Git LFS pointer."""
    base = os.path.basename(prefix)
    names = [f for f in listing.files if BUNDLE_DATA_FILE.search(f) and base_of(f) == base]
    return {
        int(name.rpartition(".data-")[2].partition("-of-")[0]): name
        for name in sorted(names)
        if _is_pointer(os.path.join(listing.directory, name))
    }


def pointer_finding(name: str) -> Finding:
    """The finding for a file that is a Git LFS pointer."""
    return Finding(
        code="lfs-pointer",
        severity=Severity.ERROR,
        message=f"{printable(name)} is a Git LFS pointer and not the file itself; none of its "
        "values are here.",
        remedy=_PULL,
    )


def half_written(listing: Listing, prefix: str = "") -> Iterator[Finding]:
    """A finding for what saves that were not finished have left in the directory.

    prefix: of the bundle that was opened; it may itself be such a part.
    """
    if _PART.fullmatch(os.path.basename(prefix)):
        yield Finding(
            code="half-written-save",
            severity=Severity.WARNING,
            message="This is one worker's part of a save that was not finished: its parts were "
            "never merged into one checkpoint.",
            remedy="Open the last checkpoint that was saved completely; what is here can be "
            "exported.",
        )
    found = [f for f in listing.files if _UNFINISHED_FILE.fullmatch(f)]
    if not _PART.fullmatch(os.path.basename(prefix)):
        found += [f for f in listing.files if _PART.fullmatch(f)]
    found += [name + "/" for name in listing.directories if name.endswith(PARTIAL_SUFFIX)]
    directories = filter(_UNFINISHED_DIRECTORY.fullmatch, listing.directories)
    for _, name in zip(range(_MOST_DIRECTORIES), directories, strict=False):
        if _holds_parts(os.path.join(listing.directory, name)):
            found.append(name + "/")
    if found:
        yield Finding(
            code="half-written-save",
            severity=Severity.WARNING,
            message=f"A save or an export was not finished and has left {enumerate_names(found)}.",
            remedy="If nothing is writing here now, delete them; the save they belong to is lost.",
        )


def unused_data_files(checkpoint: Checkpoint, prefix: str, listing: Listing) -> Iterator[Finding]:
    """A finding for data files of the bundle's name that are of another number of shards."""
    if not prefix or not checkpoint.variables:
        return
    named = checkpoint.details(checkpoint.variables[0]).get("Data file", "")
    used = _SHARD_COUNT.search(named)
    if used is None:
        return
    base = os.path.basename(prefix)
    others = [
        name
        for name in listing.files
        if BUNDLE_DATA_FILE.search(name)
        and base_of(name) == base
        and (count := _SHARD_COUNT.search(name)) is not None
        and int(count[1]) != int(used[1])
    ]
    if others:
        yield Finding(
            code="unused-data-file",
            severity=Severity.INFO,
            message=f"The index does not use {enumerate_names(others)}: left by another save under "
            "this name, of another number of shards.",
            remedy="Delete what is left over, once this checkpoint is known to be the right one.",
        )


def unused_bytes(checkpoint: Checkpoint) -> Iterator[Finding]:
    """A finding for each data file of a bundle that is longer than what the index puts into it."""
    prefix = bundle_prefix(checkpoint)
    if not prefix or any(variable.shard < 0 for variable in checkpoint.variables):
        return  # slices of partitioned variables tell no shard
    if any(finding.code == "damaged-index" for finding in checkpoint.findings):
        return  # what lost entries held looks unused
    stored: dict[int, int] = defaultdict(int)
    samples = {}
    for variable in checkpoint.variables:
        stored[variable.shard] += variable.stored_bytes
        samples[variable.shard] = variable
    for shard, variable in sorted(samples.items()):
        name = checkpoint.details(variable).get("Data file", "")
        try:
            size = os.stat(os.path.join(os.path.dirname(prefix), name)).st_size
        except (OSError, ValueError):
            continue
        if name and size > stored[shard]:
            yield Finding(
                code="unused-bytes",
                severity=Severity.WARNING,
                message=f"Data file {printable(name)} has {exact_size_text(size - stored[shard])} "
                "that belong to no variable; it may be of another save than the index.",
                remedy="Copy index and data files again, from one save.",
            )


def failure_findings(path: str, error: CkptviewerError) -> Iterator[Finding]:
    """Findings for what could not be opened at all, as far as `error` is the doctor's to explain.

    None where the path is no checkpoint or is not there: that is for the caller to raise.
    """
    path = os.path.expanduser(path).rstrip("/") or path
    listing = _directory_of(path)
    for candidate in (path, f"{path}.index"):
        if _is_pointer(candidate):
            yield pointer_finding(os.path.basename(candidate))
            return
    if isinstance(error, DamagedFileError) or _is_index_of_data(error, listing):
        code = "damaged-index" if error.where.endswith(".index") else "damaged-file"
        message = f"{error.where or printable(path)}: {error.what}; nothing in it can be shown."
        yield Finding(code=code, severity=Severity.ERROR, message=message, remedy=error.remedy)
    elif isinstance(error, PathNotFoundError) and BUNDLE_DATA_FILE.search(error.where):
        yield Finding(
            code="missing-index",
            severity=Severity.ERROR,
            message=f"{error.where}: {error.what}.",
            remedy=error.remedy,
        )
    if listing is not None and isinstance(error, NotACheckpointError | PathNotFoundError):
        yield from _unfinished_alone(path, listing)


def _is_index_of_data(error: CkptviewerError, listing: Listing | None) -> bool:
    """Whether what is no checkpoint is an index by its name, with data files of its own."""
    if not isinstance(error, NotACheckpointError) or not error.where.endswith(".index"):
        return False
    base = os.path.basename(base_of(error.where))
    files = listing.files if listing else ()
    return any(BUNDLE_DATA_FILE.search(name) and base_of(name) == base for name in files)


def _unfinished_alone(path: str, listing: Listing) -> Iterator[Finding]:
    """As `half_written`, where there is nothing else, so that it is an error."""
    base = os.path.basename(path)
    for finding in half_written(listing):
        if os.path.isdir(path) or f"{base}_temp" in finding.message or base in finding.message:
            yield Finding(
                code=finding.code,
                severity=Severity.ERROR,
                message=finding.message,
                remedy="Resume from an earlier checkpoint; the save that these belong to is lost.",
            )


def _directory_of(path: str) -> Listing | None:
    try:
        return list_directory(path if os.path.isdir(path) else os.path.dirname(path))
    except CkptviewerError:
        return None


def _holds_parts(directory: str) -> bool:
    """Whether parts of a save are in it, or nothing at all yet."""
    try:
        listing = list_directory(directory)
    except CkptviewerError:
        return False
    names = [*listing.files, *listing.directories]
    return not names or any(name.startswith("part-") for name in names)


def _is_pointer(path: str) -> bool:
    file = Path(path)
    try:
        if not file.is_file() or file.stat().st_size > _LARGEST_POINTER:
            return False
        with open(file, "rb") as stream:
            return stream.read(len(POINTER_HEAD)) == POINTER_HEAD
    except (OSError, ValueError):
        return False
