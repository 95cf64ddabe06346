"""Which checkpoint of a directory is meant: by its file `checkpoint`, by number, or by age."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ckptviewer.checkpoint.errors import DamagedFileError, PathNotFoundError
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.text import count_text, printable
from ckptviewer.formats import registry
from ckptviewer.formats.candidates import latest_first
from ckptviewer.formats.checkpoint_state import (
    STATE_FILE_NAME,
    locate_latest,
    looks_like_checkpoint_state,
    read_checkpoint_state,
)
from ckptviewer.formats.foreign import TABLE, identify
from ckptviewer.formats.nearby import (
    SAVED_MODEL_FILES,
    Listing,
    Listings,
    enumerate_names,
    offer,
)
from ckptviewer.formats.registry import Confidence, Format, Match
from ckptviewer.formats.unresolved import not_a_checkpoint

Found = tuple[Format, Match]

_DEEPEST = 2
_MOST_VERSIONS = 8
_MOST_PROBES = 32


@dataclass(slots=True)
class Trail:
    """What is remembered of one search.

    how: why the checkpoint that was found is meant, a clause; empty where it is plain.
    findings: what was chosen on the way.
    listings: the directories that were looked at.
    """

    how: str = ""
    findings: list[Finding] = field(default_factory=list)
    listings: Listings = field(default_factory=Listings)

    def note(
        self, code: str, message: str, *, severity: Severity = Severity.INFO, remedy: str = ""
    ) -> None:
        self.findings.append(Finding(code=code, severity=severity, message=message, remedy=remedy))


def accept(path: str) -> Found | None:
    """The format that takes the file `path`.

    Raises NotACheckpointError where a file is an index by its name alone, and known to be something
    else (a Git LFS pointer, a web page, an empty file).
    """
    found = registry.best_match(Path(path))
    if found and found[0].name == "tf-bundle" and found[1].confidence is Confidence.MAYBE:
        index = found[1].path
        if identify(index) not in (None, TABLE):
            raise not_a_checkpoint(os.fspath(index))
    return found


def is_state_file(path: str, *, or_empty: bool = False) -> bool:
    """Whether the file `path` is a checkpoint state by its content; `or_empty`: or is blank."""
    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    return looks_like_checkpoint_state(head) or (or_empty and not head.strip())


def find_in_directory(path: str, trail: Trail, depth: int = 0) -> Found | None:
    """The checkpoint that is meant by the directory `path`; None where it has none.

    A SavedModel first, then what its state names, then the highest by number or the newest, then
    the subdirectory `variables`, then the highest version. Raises UnreadableFileError.
    """
    mark = len(trail.findings)
    listing = trail.listings[path]
    found: Found | None = None
    if any(name in listing.files for name in SAVED_MODEL_FILES):
        found = find_saved_model(path, trail)
    elif os.path.basename(os.path.abspath(path)) == "variables":
        found = _by_directory_format(os.path.dirname(os.path.abspath(path)))
    if not found:
        named = ""
        if STATE_FILE_NAME in listing.files:
            named = _named_latest(os.path.join(path, STATE_FILE_NAME), trail)
        found = _latest_of(listing, named, trail) or _in_subdirectory(listing, trail, depth)
    if not found:
        del trail.findings[mark:]
    return found


def find_saved_model(directory: str, trail: Trail) -> Found | None:
    """A SavedModel: by its own format, else the tensor bundle that it keeps its values in."""
    found = _by_directory_format(directory)
    index = os.path.join(directory, "variables", "variables.index")
    if not found and os.path.isfile(index):
        found = accept(index)
        if found:
            trail.how = "the values of a SavedModel"
    return found


def find_by_state(path: str, trail: Trail) -> Found:
    """What the state file `path` names; where that is gone, the latest in its directory.

    Raises PathNotFoundError.
    """
    directory = os.path.dirname(path)
    named = _named_latest(path, trail)
    found = accept(_openable(named)) if named else None
    if named and not found:
        _tell_unknown(named, trail)
    if found:
        trail.how = f"the latest by the file `{printable(os.path.basename(path))}`"
    else:
        found = _latest_of(trail.listings[directory], "", trail)
    if found:
        return found
    told = [finding.message.removesuffix(".") for finding in trail.findings]
    raise PathNotFoundError(
        told[-1][0].lower() + told[-1][1:],
        where=printable(path),
        remedy=offer(os.path.join(directory, "model.ckpt"), trail.listings),
    )


def _by_directory_format(directory: str) -> Found | None:
    for format_ in registry.formats():
        # A bundle is no directory, and would take the one of that name beside it.
        if format_.name != "tf-bundle":
            match = format_.probe(Path(directory))
            if match.confidence is Confidence.CERTAIN:
                return format_, match
    return None


def _latest_of(listing: Listing, named: str, trail: Trail) -> Found | None:
    """The latest checkpoint of a directory: the one `named`, else by number or by age."""
    damaged: dict[str, Found] = {}
    for path, names, why in _in_order(listing, named):
        found = registry.best_match(Path(path))
        if found and found[1].confidence is Confidence.CERTAIN:
            _tell_damaged(damaged, trail)
            _tell_choice(path, names, why, trail)
            return found
        if found:
            damaged[path] = found
        elif named and path == _openable(named):
            _tell_unknown(path, trail)
    return accept(next(iter(damaged))) if damaged else None


def _in_order(listing: Listing, named: str) -> Iterator[tuple[str, Sequence[str], str]]:
    """Paths to try, with the names that they were chosen from and the reason; bundles first."""
    if named:
        yield (
            _openable(named),
            listing.prefixes or listing.weight_files,
            f"which the file `{STATE_FILE_NAME}` names as the latest",
        )
    for names, suffix in ((listing.prefixes, ".index"), (listing.weight_files, "")):
        ordered, why = latest_first(listing.directory, names, suffix, _MOST_PROBES)
        paths = [os.path.join(listing.directory, name + suffix) for name in ordered]
        if not suffix:  # only what was looked into is said to be a checkpoint
            paths = [path for path in paths if registry.best_match(Path(path))]
            names = [os.path.basename(path) for path in paths]
        yield from ((path, names, why) for path in paths)


def _tell_damaged(damaged: Mapping[str, Found], trail: Trail) -> None:
    for path, (_, match) in damaged.items():
        trail.note(
            "damaged-checkpoint",
            f"{printable(os.path.basename(path))} was passed over: {match.reason}.",
            severity=Severity.WARNING,
            remedy="Open it by its own name to see what is wrong with it.",
        )


def _tell_unknown(path: str, trail: Trail) -> None:
    trail.note(
        "stale-checkpoint-state",
        f"The file `{STATE_FILE_NAME}` names {printable(os.path.basename(path))} as the latest, "
        "which is not a checkpoint of any known format.",
        severity=Severity.WARNING,
        remedy="Open it by its own name to see what it is.",
    )


def _tell_choice(path: str, names: Sequence[str], why: str, trail: Trail) -> None:
    name = os.path.basename(path)
    taken = name if name in names else name.removesuffix(".index")
    others = [other or ".index" for other in names if other != taken]
    if others:
        trail.how = why.removeprefix("which ")
        trail.note(
            "several-checkpoints",
            f"The directory has {count_text(len(others) + 1)} checkpoints: "
            f"{printable(taken) or '.index'} was opened, {why}; also there: "
            f"{enumerate_names(others)}.",
            remedy="To see another one, open it by its own name.",
        )


def _in_subdirectory(listing: Listing, trail: Trail, depth: int) -> Found | None:
    """`variables/` of a SavedModel, or the highest of TensorFlow Serving's versions."""
    if depth >= _DEEPEST:
        return None
    if "variables" in listing.directories:
        found = find_in_directory(os.path.join(listing.directory, "variables"), trail, depth + 1)
        if found:
            return found
    versions = [name for name in listing.directories if re.fullmatch("[0-9]+", name)]
    versions.sort(key=int, reverse=True)
    for version in versions[:_MOST_VERSIONS]:
        found = find_in_directory(os.path.join(listing.directory, version), trail, depth + 1)
        if found:
            if len(versions) > 1:
                others = enumerate_names(name for name in versions if name != version)
                trail.note(
                    "several-versions",
                    f"The directory has {count_text(len(versions))} versions: {version} was "
                    f"opened, the highest that has a checkpoint; also there: {others}.",
                    remedy="To see another one, open its directory.",
                )
            return found
    return None


def _named_latest(path: str, trail: Trail) -> str:
    """The prefix that the state file `path` names and that is there; else empty, with a finding."""
    name = printable(os.path.basename(path))
    try:
        state = read_checkpoint_state(Path(path))
    except DamagedFileError as error:
        trail.note(
            "damaged-checkpoint-state",
            f"The file `{name}`, which names the latest checkpoint, is damaged: {error.what}.",
            severity=Severity.WARNING,
        )
        return ""
    recorded = printable(state.model_checkpoint_path)
    located, stale = locate_latest(state, Path(os.path.dirname(path)))
    if located is None:
        what = f"names {recorded} as the latest, and it is not there" if recorded else "names none"
        trail.note(
            "stale-checkpoint-state",
            f"The file `{name}`, which names the latest checkpoint, {what}.",
            severity=Severity.WARNING,
        )
        return ""
    if stale:
        trail.note(
            "stale-checkpoint-state",
            f"The file `{name}` names {recorded}; the checkpoint of that name in its own "
            "directory was opened.",
            remedy="It was moved or copied; TensorFlow would look for it at the path named.",
        )
    return os.fspath(located)


def _openable(prefix: str) -> str:
    """The file by which the located `prefix` is recognised."""
    if prefix.endswith(".index") and os.path.isfile(prefix):
        return prefix
    if os.path.isfile(prefix + ".index"):
        return prefix + ".index"
    return re.sub(r"-\?{5}(-of-\d{5,})$", r"-00000\1", prefix)
