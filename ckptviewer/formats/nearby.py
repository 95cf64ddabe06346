"""What lies in a directory, by name: to find a checkpoint there, or to offer what there is instead.

A directory is listed once a search, since it may hold 100,000 files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import nlargest
from itertools import islice, takewhile

from ckptviewer.checkpoint.errors import PathNotFoundError, UnreadableFileError
from ckptviewer.checkpoint.text import count_text, natural_sorted, printable

SAVED_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")
BUNDLE_DATA_FILE = re.compile(r"\.data-\d{5,}-of-\d{5,}$")
V1_SHARD = re.compile(r"(?P<prefix>.+)-\d{5,}-of-\d{5,}")

_BUNDLE_PART = re.compile(r"\.(?:index|meta|data(?:-[\d?]*(?:-of-[\d?]*)?)?)?$")
_WEIGHTS = re.compile(
    r".*\.(?:keras|h5|hdf5|safetensors|npz|npy|weights\.json)|.*ckpt(?!.*\.[a-z]{2,}$).*|"
    r".+-\d{5,}-of-\d{5,}",
    re.IGNORECASE | re.DOTALL,
)
_SUBDIRECTORIES = 20
_SUBDIRECTORY_ENTRIES = 1000


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The names in a directory, of one look at it; AppleDouble files (`._x`) are left out.

    directory: its path, as it was given.
    files, directories: names, in no order; links count as what they lead to.
    """

    directory: str
    files: Sequence[str]
    directories: Sequence[str]

    @cached_property
    def prefixes(self) -> list[str]:
        """The names of its tensor bundles; the empty name is one of them where `.index` is."""
        return [name[: -len(".index")] for name in self.files if name.endswith(".index")]

    @cached_property
    def weight_files(self) -> list[str]:
        """Files whose names say that they hold weights, in another format than a bundle."""
        return [
            name
            for name in self.files
            if _WEIGHTS.fullmatch(name) and base_of(name) == name and not name.startswith(".")
        ]

    @property
    def checkpoints(self) -> list[str]:
        """What people may want to open, by name."""
        return [prefix or ".index" for prefix in self.prefixes] + self.weight_files


class Listings(dict[str, Listing]):
    """Directory to its listing, each listed when it is first asked for.

    Asking raises PathNotFoundError, UnreadableFileError.
    """

    def __missing__(self, directory: str) -> Listing:
        listing = self[directory] = list_directory(directory)
        return listing


def list_directory(directory: str) -> Listing:
    """The names in `directory`. Raises PathNotFoundError, UnreadableFileError."""
    files: list[str] = []
    directories: list[str] = []
    try:
        with os.scandir(directory or os.curdir) as entries:
            for entry in entries:
                if not entry.name.startswith("._"):
                    (directories if _leads_to_directory(entry) else files).append(entry.name)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise PathNotFoundError("there is no such directory", where=printable(directory)) from error
    except OSError as error:
        what = "the directory cannot be read"
        raise UnreadableFileError.refused(what, printable(directory), error) from error
    return Listing(directory=directory, files=files, directories=directories)


def base_of(path: str) -> str:
    """`path` without what marks a file of a bundle: `.index`, `.meta`, `.data-00000-of-00001`.

    A full stop at the end goes, too: there the completion of a shell stops.
    """
    return _BUNDLE_PART.sub("", path)


def enumerate_names(names: Iterable[str], limit: int = 5) -> str:
    """At most `limit` of the names, in natural order: "a, b, c and 13 more"."""
    ordered = natural_sorted(list(names), str)
    text = ", ".join(map(printable, ordered[:limit]))
    more = len(ordered) - limit
    return f"{text} and {count_text(more)} more" if more > 0 else text


def offer(path: str, listings: Listings) -> str:
    """What to open instead of `path`, which is not there: a remedy of one or two sentences."""
    directory, name = os.path.split(path)
    if not os.path.isdir(directory or os.curdir):
        return _offer_directory(directory)
    try:
        listing = listings[directory]
    except (PathNotFoundError, UnreadableFileError) as error:
        return f"{error.what[0].upper()}{error.what[1:]}."
    sentences = []
    near = _nearest(name, [*listing.checkpoints, *listing.directories])
    if near:
        sentences.append(f"Did you mean {printable(near)}?")
    where = "That directory" if directory else "The current directory"
    if any(name in SAVED_MODEL_FILES for name in listing.files):
        sentences.append(f"{where} is a SavedModel itself: open that.")
    elif listing.checkpoints:
        sentences.append(f"{where} has: {enumerate_names(listing.checkpoints)}.")
    else:
        sentences.append(f"{where} has no checkpoint.{offer_subdirectories(listing)}")
    return " ".join(sentences)


def offer_subdirectories(listing: Listing) -> str:
    """A sentence, with a space before it, on subdirectories that have checkpoints; or nothing."""
    with_checkpoints = []
    for name in natural_sorted(listing.directories, str)[:_SUBDIRECTORIES]:
        try:
            with os.scandir(os.path.join(listing.directory, name)) as entries:
                names = [entry.name for entry in islice(entries, _SUBDIRECTORY_ENTRIES)]
        except OSError:
            continue
        sub = Listing(directory=name, files=names, directories=())
        if sub.checkpoints or any(file in names for file in (*SAVED_MODEL_FILES, "checkpoint")):
            with_checkpoints.append(name)
    if not with_checkpoints:
        return ""
    return f" Its subdirectories with checkpoints: {enumerate_names(with_checkpoints)}."


def _leads_to_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link into a directory that cannot be searched
        return False


def _offer_directory(directory: str) -> str:
    """Says which directory on the way is missing, and what resembles it."""
    missing = directory
    above = os.path.dirname(missing)
    while above != missing and not os.path.isdir(above or os.curdir):
        missing, above = above, os.path.dirname(above)
    if os.path.exists(missing):
        return f"{printable(missing)} is a file, not a directory."
    try:
        near = _nearest(os.path.basename(missing), list_directory(above).directories)
    except (PathNotFoundError, UnreadableFileError):
        near = ""
    text = f"There is no directory {printable(missing)}"
    return f"{text}; did you mean {printable(os.path.join(above, near))}?" if near else f"{text}."


def _nearest(name: str, names: Sequence[str]) -> str:
    """The name that resembles `name` most; empty where none does.

    Comparing is slow: of many, only those that begin and end most alike are compared.
    """
    from difflib import get_close_matches

    wanted = base_of(name).lower()
    by_lower = {base_of(other).lower() or other: other for other in names}
    closest = nlargest(500, by_lower, key=lambda other: _alike(wanted, other))
    near = get_close_matches(wanted, closest, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else ""


def _alike(one: str, other: str) -> int:
    """How many characters both begin with, and end with."""
    ends = (zip(one, other, strict=False), zip(reversed(one), reversed(other), strict=False))
    return sum(1 for end in ends for _ in takewhile(lambda pair: pair[0] == pair[1], end))
