"""Which files of a directory make up which checkpoint: by their names alone, none is opened."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from ckptviewer.checkpoint.errors import PathNotFoundError, UnreadableFileError
from ckptviewer.checkpoint.text import printable
from ckptviewer.formats.nearby import (
    BUNDLE_DATA_FILE,
    SAVED_MODEL_FILES,
    V1_SHARD,
    Listing,
    base_of,
)
from ckptviewer.runs.entry import FileState

MOST_SUBDIRECTORIES = 20_000
_MOST_FILES_OF_ONE = 100_000
_DEEPEST = 8

_UNFINISHED = re.compile(r"\.tempstate\d+$|_temp(?:_[0-9a-f]+)?(?:/|$)|\.ckptviewer-partial(?:/|$)")
_KERAS_SHARD = re.compile(r"(?P<stem>.+)_\d{5}\.weights\.h5")
_SAFE_SHARD = re.compile(r"(?P<stem>.+)-\d{5}-of-\d{5}\.safetensors")
_SAFE_MAP = ".safetensors.index.json"
_NUMBER = re.compile(r"\d")
_LEFT_OUT = (".npy", ".json")


@dataclass(slots=True)
class Member:
    """The files that one checkpoint seems to be made of.

    name: relative to the run. path, opens_by: as of CheckpointEntry.
    is_directory: whether all of `path` belongs to it, a SavedModel.
    missing: what has to be there and is not, one clause; empty where nothing is.
    """

    name: str
    path: str
    opens_by: str
    is_directory: bool = False
    files: list[FileState] = field(default_factory=list)
    missing: str = ""


@dataclass(slots=True)
class Look:
    """One look at a run's directory.

    members: in no order. state_file: the file `checkpoint`, None where there is none.
    """

    directory: str
    members: list[Member]
    state_file: FileState | None = None


def look_at(directory: str) -> Look:
    """What is in `directory` now; what vanishes while it is looked at is not there.

    Raises PathNotFoundError, UnreadableFileError.
    """
    files, directories = _entries(directory)
    look = Look(directory, [], files.get("checkpoint"))
    if any(name in files for name in SAVED_MODEL_FILES):
        name = os.path.basename(os.path.abspath(directory))
        look.members.append(_saved_model(directory, name))
        return look
    look.members += _members(directory, "", files)
    for name in islice(directories, MOST_SUBDIRECTORIES):
        if _UNFINISHED.search(name) or name.startswith("."):
            continue
        inside = os.path.join(directory, name)
        try:
            files, _ = _entries(inside)
        except (PathNotFoundError, UnreadableFileError):
            continue
        if any(file in files for file in SAVED_MODEL_FILES):
            look.members.append(_saved_model(inside, name))
        elif _NUMBER.search(name):  # a directory a step
            members = list(_members(inside, f"{name}/", files))
            if len(members) == 1 and "checkpoint" in files:  # a state file of its own
                members[0].files.append(files["checkpoint"])
            look.members += members
    return look


def _entries(directory: str) -> tuple[dict[str, FileState], list[str]]:
    """The regular files of a directory by name, and the names of its directories."""
    files: dict[str, FileState] = {}
    directories: list[str] = []
    try:
        with os.scandir(directory or os.curdir) as entries:
            for entry in entries:
                if entry.name.startswith("._"):
                    continue
                try:
                    if entry.is_dir():
                        directories.append(entry.name)
                    elif entry.is_file():
                        files[entry.name] = state_of(os.path.join(directory, entry.name))
                except OSError:
                    continue  # it has vanished, or leads nowhere
    except (FileNotFoundError, NotADirectoryError) as error:
        raise PathNotFoundError("there is no such directory", where=printable(directory)) from error
    except (OSError, ValueError) as error:
        what = "the directory cannot be read"
        raise UnreadableFileError.refused(what, printable(directory), error) from error
    return files, directories


def state_of(path: str) -> FileState:
    """The file at `path` as it is now. Raises OSError."""
    status = os.stat(path)
    return FileState(
        path,
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _members(directory: str, before: str, files: dict[str, FileState]) -> Iterator[Member]:
    """The checkpoints that the files of one directory make up."""
    files = {name: state for name, state in files.items() if not _UNFINISHED.search(name)}
    taken: set[str] = set()
    for member, names in (*_bundles(directory, before, files), *_others(directory, before, files)):
        member.files = [files[name] for name in sorted(names)]
        if member.files and taken.isdisjoint(names):
            taken.update(names)
            yield member


Grouped = tuple[Member, set[str]]


def _bundles(directory: str, before: str, files: dict[str, FileState]) -> Iterator[Grouped]:
    """V2 checkpoints: an index, data files, and perhaps a graph."""
    parts: defaultdict[str, set[str]] = defaultdict(set)
    for name in files:
        if name.endswith(".index") or BUNDLE_DATA_FILE.search(name):
            parts[base_of(name)].add(name)
    for prefix, names in parts.items():
        index = f"{prefix}.index"
        if f"{prefix}.meta" in files:
            names.add(f"{prefix}.meta")
        path = os.path.join(directory, prefix)
        yield (
            Member(
                name=before + (prefix or ".index"),
                path=path if prefix else os.path.join(directory, ".index"),
                opens_by=os.path.join(directory, index),
                missing="" if index in names else "its index is missing",
            ),
            names,
        )


def _others(directory: str, before: str, files: dict[str, FileState]) -> Iterator[Grouped]:
    """All other formats: what is spread over several files first, then single files."""
    sharded: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for name in files:
        if match := _KERAS_SHARD.fullmatch(name):
            sharded[f"{match['stem']}.weights.json", ""].add(name)
        elif match := _SAFE_SHARD.fullmatch(name):
            sharded[f"{match['stem']}.safetensors", "first"].add(name)
        elif match := V1_SHARD.fullmatch(name):
            sharded[match["prefix"], "first"].add(name)
    for (name, opens), names in sharded.items():
        first = min(names) if opens else name
        if not opens and name not in files:
            continue  # `model_00001.weights.h5` may be a name like another
        beside = (name, f"{name}.meta", name.removesuffix(".safetensors") + _SAFE_MAP)
        names.update(other for other in beside if other in files and (opens or other == name))
        missing = _missing_shards(names) if opens else ""
        yield _single(directory, before, name, first, missing), names
    listing = Listing(directory=directory, files=list(files), directories=())
    for name in listing.weight_files:
        if not name.lower().endswith(_LEFT_OUT) or name.endswith(".weights.json"):
            graph = {f"{name}.meta"} & files.keys()
            yield _single(directory, before, name, name, ""), {name, *graph}


def _single(directory: str, before: str, name: str, first: str, missing: str) -> Member:
    path = os.path.join(directory, name)
    return Member(
        name=before + name,
        path=path,
        opens_by=os.path.join(directory, first),
        missing=missing,
    )


def _missing_shards(names: set[str]) -> str:
    """Which shard a set of names like `x-00000-of-00002` wants; empty where it is whole."""
    found = [re.search(r"-(\d+)-of-(\d+)", name) for name in names]
    pairs = {(int(match[1]), int(match[2])) for match in found if match}
    counts = {count for _, count in pairs}
    if len(counts) == 1 and len(pairs) != min(counts):
        return f"{min(counts) - len(pairs)} of its {min(counts)} files are missing"
    return ""


def _saved_model(directory: str, name: str) -> Member:
    """A SavedModel: all that lies in its directory."""
    member = Member(name=name, path=directory, opens_by=directory, is_directory=True)
    for root, directories, files in os.walk(directory):
        depth = root[len(directory) :].count(os.sep)
        if depth >= _DEEPEST or len(member.files) > _MOST_FILES_OF_ONE:
            directories.clear()
        directories[:] = sorted(d for d in directories if not d.startswith("."))
        for file in files:
            try:
                member.files.append(state_of(os.path.join(root, file)))
            except OSError:
                continue
    member.files.sort()
    variables = os.path.join(directory, "variables")
    if os.path.isdir(variables):
        inside = {os.path.basename(s.path) for s in member.files if variables in s.path}
        if any(map(BUNDLE_DATA_FILE.search, inside)) and "variables.index" not in inside:
            member.missing = "the index of its variables is missing"
    return member
