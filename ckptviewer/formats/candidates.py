"""Which of many checkpoints is the latest, and which ones a template stands for."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from heapq import nlargest

from ckptviewer.checkpoint.errors import PathNotFoundError, UnreadableFileError
from ckptviewer.checkpoint.text import natural_keys
from ckptviewer.formats.nearby import Listing, Listings, base_of

_DIGITS = re.compile(r"\d+")
_PLACEHOLDER = re.compile(r"\{(\w*)[^{}:/\\]*(?::([^{}/\\]*))?\}")
_WHOLE_NUMBERS = ("epoch", "batch", "step", "global_step")
_MOST_PLACEHOLDERS = 16
_MOST_DIRECTORIES = 64


def latest_first(
    directory: str, names: Sequence[str], suffix: str = "", count: int = 8
) -> tuple[list[str], str]:
    """The `count` latest of the checkpoints `names`, and by what they were ordered.

    Names that differ only in their numbers (`model.ckpt-9`, `model.ckpt-10`) go by these; others
    by the time at which `name + suffix` was last modified.
    """
    if len({_DIGITS.sub("#", name) for name in names}) == 1:
        return _largest(names, lambda _: 0, count), "the highest by number"

    def modified(name: str) -> int:
        try:
            return os.stat(os.path.join(directory, name + suffix)).st_mtime_ns
        except OSError:
            return 0

    return _largest(names, modified, count), "the newest"


def fill_placeholders(path: str, listings: Listings) -> list[str]:
    """The checkpoints that the template `path` (`cp-{epoch:02d}.ckpt`) stands for.

    The highest epoch comes first. Whole numbers stand where the placeholder asks for them, else
    anything does. Empty where `path` has no placeholder or nothing matches.
    """
    count = len(_PLACEHOLDER.findall(path))
    if not 0 < count <= _MOST_PLACEHOLDERS:
        return []
    found = _filled(path, listings)
    return _largest(found, lambda _: 0, len(found))


def _largest(names: Sequence[str], first: Callable[[str], int], count: int) -> list[str]:
    """The `count` last of the names by `first`, then by natural order; the last one first."""
    keyed = zip(map(first, names), natural_keys(names), names, strict=True)
    return [name for _, _, name in nlargest(count, keyed)]


def _filled(path: str, listings: Listings) -> list[str]:
    names: list[str] = []
    while _PLACEHOLDER.search(path):
        path, name = os.path.split(path)
        names.append(name)
    found = [path]
    while names:
        name = names.pop()
        if _PLACEHOLDER.search(name):
            found = found[:_MOST_DIRECTORIES]
            found = [m for directory in found for m in _matches(directory, name, listings, names)]
        else:
            found = [os.path.join(directory, name) for directory in found]
    return found


def _matches(directory: str, name: str, listings: Listings, behind: Sequence[str]) -> list[str]:
    """What the template `name` stands for in `directory`; directories, if names stand `behind`."""
    try:
        listing = listings[directory]
    except (PathNotFoundError, UnreadableFileError):
        return []
    matches = _template(name).fullmatch
    names = listing.directories if behind else _candidates(listing)
    return [os.path.join(directory, entry) for entry in names if matches(entry)]


def _candidates(listing: Listing) -> list[str]:
    return listing.prefixes + [name for name in listing.files if base_of(name) == name]


def _template(name: str) -> re.Pattern[str]:
    parts = []
    position = 0
    for match in _PLACEHOLDER.finditer(name):
        parts.append(re.escape(name[position : match.start()]))
        field, specification = match.groups()
        whole = field in _WHOLE_NUMBERS or (specification or "").endswith("d")
        parts.append(r"\d+" if whole else r".+")
        position = match.end()
    return re.compile("".join(parts) + re.escape(name[position:]), re.DOTALL)
