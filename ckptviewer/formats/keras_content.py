"""Which of Keras' layouts a file has, told from its first structures and not from its name."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from struct import error

from ckptviewer.checkpoint.errors import CkptviewerError, NotACheckpointError
from ckptviewer.formats.hdf5 import Contents, Hdf5File
from ckptviewer.formats.hdf5_types import attribute_names
from ckptviewer.formats.registry import Confidence
from ckptviewer.storage.byte_source import ByteSource, LocalFile

_MAX_OBJECTS = 500
_MAX_ASKED = 20
_HEAD_BYTES = 4096


class Content(Enum):
    """What an HDF5 file holds: Keras 2's layout, Keras 3's, or something that is not Keras'."""

    LEGACY = "HDF5 with Keras' attributes, of the layout of Keras 2"
    WEIGHTS = "HDF5 with a group `vars` for each layer, as Keras 3 writes weights"
    PLAIN = "plain HDF5 data, not written by Keras"


def content_of(path: Path, wanted: Content) -> tuple[Confidence, str]:
    """Whether the file at `path` is HDF5 of the wanted layout, and why. Never raises."""
    try:
        source = LocalFile(path)
    except (CkptviewerError, ValueError) as cause:
        return Confidence.NO, str(cause)
    try:
        found = classify(source)
    except NotACheckpointError as cause:
        return Confidence.NO, cause.what
    except CkptviewerError as cause:
        # A damaged HDF5 file is worth an attempt, where its name speaks for Keras.
        if path.name.endswith(_NAMES[wanted]):
            return Confidence.MAYBE, f"an HDF5 file that is damaged: {cause.what}"
        return Confidence.NO, f"an HDF5 file that is damaged: {cause.what}"
    finally:
        source.release()
    return (Confidence.CERTAIN if found is wanted else Confidence.NO), found.value


_NAMES = {Content.WEIGHTS: (".weights.h5",), Content.LEGACY: (".h5", ".hdf5", ".keras")}


def classify(source: ByteSource) -> Content:
    """Which layout an HDF5 file has; the first few hundred objects are looked at.

    Raises NotACheckpointError where it is no HDF5, DamagedFileError.
    """
    file = Hdf5File(source)
    root = file.metadata.superblock.root
    try:
        with file.metadata.counting():
            names = attribute_names(file.metadata.messages(root))
    except (error, IndexError) as cause:
        raise file.metadata.damaged("its root group is damaged") from cause
    if names & {"layer_names", "layer_names0", "model_config", "training_config"}:
        return Content.LEGACY
    count = 0
    found = False

    def is_enough(path: str) -> bool:
        nonlocal count, found
        count += 1
        *_, parent, leaf = ("", *path.split("/"))
        found = parent == "vars" and leaf.isdigit()
        return found or count > _MAX_OBJECTS

    contents = file.walk(is_enough)
    if found or _has_named_layers(file, contents):
        return Content.WEIGHTS
    return Content.LEGACY if "model_weights" in contents.groups else Content.PLAIN


def _has_named_layers(file: Hdf5File, contents: Contents) -> bool:
    """Whether layers without numbered variables show Keras' hand all the same."""
    groups = [path for path in contents.groups if path.split("/")[-1] == "vars"]
    if groups and "layers" in contents.groups:
        return True
    return any("name" in file.attributes(contents.groups[path]) for path in groups[:_MAX_ASKED])


def looks_like_json_map(path: Path) -> tuple[Confidence, str]:
    """Whether the file at `path` is a map of Keras' weights to shards, and why. Never raises."""
    try:
        source = LocalFile(path)
        try:
            head = source.read(0, min(_HEAD_BYTES, source.size))
        finally:
            source.release()
    except (CkptviewerError, ValueError) as cause:
        return Confidence.NO, str(cause)
    if head.lstrip()[:1] == b"{" and b'"weight_map"' in head and b".weights.h5" in head:
        return Confidence.CERTAIN, "a map of Keras' weights to shards"
    return Confidence.NO, "no map of Keras' weights to shards"
