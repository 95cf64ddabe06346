"""From any path that a person may have in hand to the checkpoint that is meant.

A name only tells where to look; whether something is a checkpoint, and of which format, its content
says. What was chosen on a person's behalf is told by a finding.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import CkptviewerError, MissingLibraryError, PathNotFoundError
from ckptviewer.checkpoint.findings import Finding
from ckptviewer.formats import registry
from ckptviewer.formats.registry import Confidence, Format, Match

if TYPE_CHECKING:
    from ckptviewer.formats.directory_search import Trail

Found = tuple[Format, Match]

_REMOTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_FILE_URL = re.compile(r"file:(?://([^/]*))?(/.*)", re.IGNORECASE | re.DOTALL)
_V1_PATTERN = re.compile(r"-[?*]+-of-[?*\d]+$")
_MOST_PROBES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Which checkpoint is meant by a path.

    asked: the path as it was given.
    path: what `format.open` takes.
    format: the format that recognised it.
    reason: why it is this one, for people.
    findings: what was chosen on the way, and what else is there.
    missing_library: must be installed before it can be opened; empty where nothing is missing.
    """

    asked: str
    path: Path
    format: Format
    reason: str
    findings: tuple[Finding, ...] = ()
    missing_library: str = ""


def resolve(path: str | os.PathLike[str]) -> Resolved:
    """The checkpoint that is meant by `path`: a file or directory of it, or something near it.

    An `.index` file, which a double click hands over, is probed and nothing else is looked at.
    Raises PathNotFoundError with what is there instead, NotACheckpointError with what it is,
    UnreadableFileError.
    """
    asked = os.fsdecode(path)
    if asked.endswith(".index") and _can_be_a_path(asked):
        found = registry.best_match(Path(asked))
        if found is not None and found[1].confidence is Confidence.CERTAIN:
            return _resolved(asked, found)
    return _search(asked)


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Open what `path` means; its findings tell what was chosen. Raises CkptviewerError."""
    resolved = resolve(path)
    if resolved.missing_library:
        raise MissingLibraryError(
            f"it is a file of the format {resolved.format.title}, and the library "
            f"{resolved.missing_library} that reads it is not installed",
            where=os.fspath(resolved.path),
            remedy=f"Install it with `pip install {resolved.missing_library}`.",
        )
    checkpoint = resolved.format.open(resolved.path)
    checkpoint.findings = (*checkpoint.findings, *resolved.findings)
    return checkpoint


def local_path(asked: str) -> str:
    """The path of this machine that `asked` spells: `~` and file URLs are understood.

    Raises PathNotFoundError for what cannot be a path, and for what lies elsewhere (`gs://`).
    """
    if not asked or not _can_be_a_path(asked):
        raise PathNotFoundError(
            "it has a character that no path can have" if asked else "no path was given",
            where=ascii(asked)[1:-1],
            remedy="Give the path of a checkpoint, for example of its `.index` file.",
        )
    url = _FILE_URL.fullmatch(asked)
    if url and url[1] in (None, "", "localhost"):
        from urllib.parse import unquote

        path = unquote(url[2], errors="surrogateescape")
        return local_path(path[1:] if os.name == "nt" else path)
    remote = _REMOTE.match(asked)
    if remote:
        raise PathNotFoundError(
            f"it lies elsewhere ({remote[1]}), and only files of this machine can be opened",
            where=ascii(asked)[1:-1],
            remedy="Copy all files of the checkpoint to this machine first.",
        )
    if asked.startswith("~") and not os.path.lexists(asked):
        return os.path.expanduser(asked)
    return asked


def _can_be_a_path(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _resolved(asked: str, found: Found, trail: Trail | None = None) -> Resolved:
    format_, match = found
    return Resolved(
        asked=asked,
        path=match.path,
        format=format_,
        reason=f"{trail.how}: {match.reason}" if trail and trail.how else match.reason,
        findings=tuple(trail.findings) if trail else (),
        missing_library=match.missing_library,
    )


def _search(asked: str) -> Resolved:
    from ckptviewer.formats.directory_search import Trail, find_in_directory
    from ckptviewer.formats.nearby import base_of
    from ckptviewer.formats.unresolved import nothing_there

    trail = Trail()
    given = local_path(asked)
    path = given.rstrip(os.sep + (os.altsep or "")) or given
    found: Found | None = None
    if os.path.isdir(path):
        found = find_in_directory(path, trail)
        if found and path == given:
            _tell_of_prefix_beside(path, trail)
    elif os.path.exists(path):
        found = _by_file(path, trail)
    base = base_of(path)
    found = (
        found
        or _by_prefix(path, trail)
        or _by_prefix(base, trail)
        or _by_counter(base, trail)
        or _by_template(base, trail)
    )
    if found:
        return _resolved(asked, found, trail)
    pasted = _pasted(asked, given)
    if pasted:
        return pasted
    raise nothing_there(path, trail.listings)


def _by_file(path: str, trail: Trail) -> Found:
    """What is meant by an existing file: what it is, or what it is a part of."""
    from ckptviewer.formats.checkpoint_state import STATE_FILE_NAME
    from ckptviewer.formats.directory_search import (
        accept,
        find_by_state,
        find_saved_model,
        is_state_file,
    )
    from ckptviewer.formats.nearby import BUNDLE_DATA_FILE, SAVED_MODEL_FILES, base_of
    from ckptviewer.formats.unresolved import graph_alone, index_missing, not_a_checkpoint

    directory, name = os.path.split(path)
    is_data, is_graph = BUNDLE_DATA_FILE.search(name), name.endswith(".meta")
    found: Found | None = None
    if is_data or is_graph:
        found = _by_prefix(base_of(path), trail)
    elif name == STATE_FILE_NAME and is_state_file(path, or_empty=True):
        return find_by_state(path, trail)
    elif name in SAVED_MODEL_FILES:
        found = find_saved_model(directory, trail)
    found = found or accept(path)
    if not found and is_state_file(path):
        return find_by_state(path, trail)
    if not found and is_graph:
        found = _by_counter(base_of(path), trail) or _raise(graph_alone(path, trail.listings))
    if not found and is_data:
        raise index_missing(path, trail.listings)
    return found or _raise(not_a_checkpoint(path))


def _by_prefix(prefix: str, trail: Trail) -> Found | None:
    """A tensor bundle of that very prefix, or a V1 checkpoint in one file or in several."""
    from ckptviewer.formats.directory_search import accept
    from ckptviewer.formats.unresolved import not_a_checkpoint

    if os.path.isfile(prefix + ".index"):
        return accept(prefix + ".index") or _raise(not_a_checkpoint(prefix + ".index"))
    pattern = _V1_PATTERN.search(prefix)
    if pattern:
        return _by_shards(prefix[: pattern.start()], trail)
    return accept(prefix) if os.path.isfile(prefix) else None


def _by_shards(prefix: str, trail: Trail) -> Found | None:
    """A V1 checkpoint in several files: `export-00000-of-00003` and so on."""
    from ckptviewer.formats.directory_search import accept
    from ckptviewer.formats.nearby import V1_SHARD

    directory, name = os.path.split(prefix)
    matches = map(V1_SHARD.fullmatch, _files(directory, trail))
    shards = [match.group() for match in matches if match and match["prefix"] == name]
    return accept(os.path.join(directory, min(shards))) if shards else None


def _by_counter(prefix: str, trail: Trail) -> Found | None:
    """`my_ckpt` for `my_ckpt-3`: `tf.train.Checkpoint.save` appends a counter."""
    from ckptviewer.checkpoint.text import printable
    from ckptviewer.formats.candidates import latest_first
    from ckptviewer.formats.nearby import base_of, enumerate_names

    directory, name = os.path.split(prefix)
    if not name:
        return None
    counted = re.compile(re.escape(name) + r"-[0-9]+").fullmatch
    bases = map(base_of, _files(directory, trail))
    names = sorted({base for base in bases if counted(base)})
    for taken in latest_first(directory, names, ".index")[0]:
        found = _by_prefix(os.path.join(directory, taken), trail)
        if found:
            others = enumerate_names(other for other in names if other != taken)
            trail.how = "its name with a counter appended"
            trail.note(
                "counter-added",
                f"{printable(name)} was saved with a counter: {printable(taken)} was opened"
                + (f"; also there: {others}." if others else "."),
            )
            return found
    return _by_shards(prefix, trail)


def _by_template(path: str, trail: Trail) -> Found | None:
    """`cp-{epoch:02d}.ckpt`, as Keras' ModelCheckpoint was given it."""
    from ckptviewer.checkpoint.text import printable
    from ckptviewer.formats.candidates import fill_placeholders
    from ckptviewer.formats.nearby import enumerate_names

    paths = fill_placeholders(path, trail.listings)
    for taken in paths[:_MOST_PROBES]:
        found = _by_prefix(taken, trail)
        if found:
            others = enumerate_names(os.path.basename(other) for other in paths if other != taken)
            trail.how = "what its placeholders stand for"
            trail.note(
                "placeholder-filled",
                f"{printable(os.path.basename(path))} is a template: "
                f"{printable(os.path.basename(taken))} was opened"
                + (f"; also there: {others}." if others else "."),
            )
            return found
    return None


def _pasted(asked: str, path: str) -> Resolved | None:
    """A path with the blanks or quotation marks around it that came along when it was copied."""
    bare = path.strip(" \t\r\n\"'")
    if bare == path or not bare:
        return None
    try:
        resolved = resolve(bare)
    except CkptviewerError:
        return None
    return replace(resolved, asked=asked)


def _tell_of_prefix_beside(path: str, trail: Trail) -> None:
    from ckptviewer.checkpoint.text import printable

    if os.path.isfile(path + ".index"):
        name = printable(os.path.basename(path))
        trail.note(
            "also-a-prefix",
            f"{name} is a directory, which was opened, and beside it lies the checkpoint "
            f"{name}.index.",
            remedy="To see that one, open its `.index` file.",
        )


def _files(directory: str, trail: Trail) -> list[str]:
    """The names of the files in `directory`; none where it cannot be listed."""
    try:
        return list(trail.listings[directory].files)
    except CkptviewerError:
        return []


def _raise(error: CkptviewerError) -> NoReturn:
    raise error
