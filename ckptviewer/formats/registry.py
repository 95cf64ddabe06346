"""The formats we read: the contract of each, and the list of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from importlib import import_module
from pathlib import Path

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.storage.byte_source import LocalFile


class Confidence(IntEnum):
    """How sure a format is that a path is its own."""

    NO = 0
    MAYBE = 1
    CERTAIN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a format says of a path.

    confidence: NO, MAYBE (some signs), or CERTAIN (its content was looked at).
    reason: one clause for people ("a table file whose first key is a bundle header").
    path: what `Format.open` takes to open it; the canonical path of the checkpoint.
    missing_library: the library that has to be installed first; empty where nothing is missing.
    """

    confidence: Confidence
    reason: str
    path: Path
    missing_library: str = ""


class Format(ABC):
    """How one on-disk format is recognised and opened.

    name: as on the command line ("tf-bundle"). title: for people ("TensorFlow checkpoint, V2").
    """

    name: str
    title: str

    @abstractmethod
    def probe(self, path: Path) -> Match:
        """Whether `path` is of this format, by its content and not by its extension.

        Cheap: at most a few kilobytes are read and no heavy library is imported. `path` may be any
        file or directory, or not exist (a bundle's prefix names no file). Never raises for what
        it finds: an unreadable file is a NO with its reason.
        """

    @abstractmethod
    def open(self, path: Path) -> Checkpoint:
        """Open `path`, as given by a Match.

        What is damaged but can be listed becomes findings of the checkpoint; raises a
        CkptviewerError (DamagedFileError, ...) where nothing can be shown.
        """


def match_by(judge: Callable[[LocalFile], tuple[Confidence, str, Path]], path: Path) -> Match:
    """What `judge` says of the open file at `path`, and of which path; NO where it cannot be read.

    judge: as a format's own; raises CkptviewerError for what is no file of its kind.
    """
    try:
        source = LocalFile(path)
    except (CkptviewerError, ValueError) as error:
        return Match(confidence=Confidence.NO, reason=str(error), path=path)
    try:
        confidence, reason, found = judge(source)
    except CkptviewerError as error:
        confidence, reason, found = Confidence.NO, error.what, path
    finally:
        source.release()
    return Match(confidence=confidence, reason=reason, path=found)


_FORMATS = (
    ("ckptviewer.formats.tf_bundle", "TensorBundleFormat"),
    ("ckptviewer.formats.saved_model", "SavedModelFormat"),
    ("ckptviewer.formats.keras_weights", "KerasWeightsFormat"),
    ("ckptviewer.formats.keras_h5", "KerasH5Format"),
    ("ckptviewer.formats.keras_archive", "KerasArchiveFormat"),
    ("ckptviewer.formats.safetensors", "SafetensorsFormat"),
    ("ckptviewer.formats.npz", "NpzFormat"),
    ("ckptviewer.formats.tf_v1", "TfV1Format"),
)


def formats() -> Iterator[Format]:
    """All formats, the likeliest first; each module is imported only when its turn comes."""
    for module, name in _FORMATS:
        yield getattr(import_module(module), name)()


def best_match(path: Path) -> tuple[Format, Match] | None:
    """The format that is surest of `path`, with what it says; None where all say NO.

    Stops at the first that is certain.
    """
    best: tuple[Format, Match] | None = None
    for format_ in formats():
        match = format_.probe(path)
        if match.confidence is Confidence.CERTAIN:
            return format_, match
        if match.confidence > (best[1].confidence if best else Confidence.NO):
            best = format_, match
    return best
