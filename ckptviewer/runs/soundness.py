"""Whether a checkpoint's files look complete: a few kilobytes of each are read, no values."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from ckptviewer.checkpoint.collector import collection_paused
from ckptviewer.checkpoint.errors import (
    CkptviewerError,
    NotACheckpointError,
    PathNotFoundError,
    TruncatedFileError,
)
from ckptviewer.formats import registry
from ckptviewer.formats.foreign import identify
from ckptviewer.formats.registry import Confidence
from ckptviewer.runs.entry import Condition
from ckptviewer.runs.members import Member
from ckptviewer.storage.byte_source import LocalFile, at_hand

LARGEST_INDEX_BYTES = 8 << 20
"""Of a larger index only its ends are looked at: all else is found when it is opened."""

_OWN_NAMES = (".keras", ".weights.h5", ".index")
_HDF5_NAMES = (".h5", ".hdf5", ".keras")
_ZIPPED = ("keras-archive", "npz")


class Judgement(NamedTuple):
    """The format's name, and what the files look like; trouble is one clause."""

    format: str
    condition: Condition
    trouble: str = ""


def judge(member: Member) -> Judgement | None:
    """What a checkpoint's files look like; None where they are something else than a checkpoint.

    No handle is kept. Files that vanish meanwhile make it incomplete. Raises nothing.
    """
    if member.missing:
        return Judgement(_likely_format(member), Condition.INCOMPLETE, member.missing)
    if member.opens_by.endswith(".index") and not member.is_directory:
        with collection_paused():
            return _judge_bundle(member.opens_by)
    found = registry.best_match(Path(member.opens_by))
    if found is None:
        return _judge_unknown(member)
    format_, match = found
    if match.confidence is not Confidence.CERTAIN:
        return Judgement(format_.name, Condition.DAMAGED, match.reason)
    try:
        if member.is_directory:
            index = os.path.join(member.path, "variables", "variables.index")
            inner = _judge_bundle(index) if os.path.isfile(index) else None
            if inner is not None and inner.trouble:
                return Judgement(format_.name, inner.condition, inner.trouble)
        elif member.opens_by.endswith(".weights.json"):
            return _judge_map(member.opens_by, format_.name)
        else:
            if format_.name in _ZIPPED:
                _require_whole_zip(member.opens_by)
            if member.opens_by.endswith(_HDF5_NAMES):
                _require_whole_hdf5(member.opens_by)
    except CkptviewerError as error:
        return Judgement(format_.name, Condition.DAMAGED, error.what)
    except OSError as error:
        return Judgement(format_.name, Condition.INCOMPLETE, error.strerror or str(error))
    return Judgement(format_.name, Condition.SOUND)


def _judge_bundle(index: str) -> Judgement:
    """An index that ends as a table does, and data files as long as it says."""
    from ckptviewer.formats.bundle_checkpoint import shard_path
    from ckptviewer.formats.bundle_index import parse_header
    from ckptviewer.formats.bundle_layout import LARGEST_REMEMBERED_BYTES, read_records
    from ckptviewer.formats.sstable import Table
    from ckptviewer.formats.tf_bundle import TensorBundleFormat

    name = TensorBundleFormat.name
    try:
        source = LocalFile(index)
    except PathNotFoundError:
        return Judgement(name, Condition.INCOMPLETE, "its index is missing")
    except CkptviewerError as error:
        return Judgement(name, Condition.DAMAGED, error.what)
    try:
        table = Table(at_hand(source, LARGEST_REMEMBERED_BYTES))
        handles = table.handles()
        pairs = table.entries(handles[0]) if handles else []
        if not pairs or pairs[0][0] != b"":
            foreign = identify(Path(index))
            what = f"its index is {foreign.what}" if foreign else "its index is not a bundle's"
            return Judgement(name, Condition.DAMAGED, what)
        shards = parse_header(pairs[0][1]).shards
        if source.size <= LARGEST_INDEX_BYTES:
            for handle in handles[1:]:
                pairs += table.entries(handle)
            needed = read_records(pairs[1:]).layout.needed_bytes
        else:
            needed = dict.fromkeys(range(shards), 0)
    except CkptviewerError as error:
        return Judgement(name, Condition.DAMAGED, f"its index: {error.what}")
    finally:
        source.release()
    prefix = index.removesuffix(".index")
    for shard, end in needed.items():
        path = shard_path(prefix, shard, shards)
        try:
            size = os.path.getsize(path)
        except OSError:
            what = f"its data file {os.path.basename(path)} is missing"
            return Judgement(name, Condition.INCOMPLETE, what)
        if size < end:
            what = f"its data file {os.path.basename(path)} ends at byte {size:,} of {end:,}"
            return Judgement(name, Condition.DAMAGED, what)
    return Judgement(name, Condition.SOUND)


def _judge_map(path: str, name: str) -> Judgement:
    """A sharded `.weights.json`: every file that it names is there."""
    from ckptviewer.formats.keras_config import bounded_json

    source = LocalFile(path)
    try:
        document = bounded_json(source.read(0, source.size), path)
    finally:
        source.release()
    shards = document.get("weight_map", {}) if isinstance(document, dict) else {}
    values = shards.values() if isinstance(shards, dict) else ()
    wanted: set[str] = set()
    for value in values:
        wanted.update(each for each in (value if isinstance(value, list) else [value]))
    for shard in sorted(each for each in wanted if isinstance(each, str)):
        if not os.path.isfile(os.path.join(os.path.dirname(path), os.path.basename(shard))):
            return Judgement(name, Condition.INCOMPLETE, f"its file {shard} is missing")
    return Judgement(name, Condition.SOUND)


def _require_whole_zip(path: str) -> None:
    """Raise TruncatedFileError where a zip archive has lost its end, which lists what it holds."""
    import zipfile

    with open(path, "rb") as file:
        if file.read(2) == b"PK" and not zipfile.is_zipfile(file):
            raise TruncatedFileError("it is a zip archive without its end", where=path)


def _require_whole_hdf5(path: str) -> None:
    """Raise DamagedFileError where an HDF5 file is shorter than it says; others pass."""
    from ckptviewer.formats.hdf5_metadata import Metadata

    source = LocalFile(path)
    try:
        end = Metadata(source).superblock.end
        if source.size < end:
            raise TruncatedFileError(f"it ends at byte {source.size:,} of {end:,}", where=path)
    except NotACheckpointError:
        pass  # a zip
    finally:
        source.release()


def _judge_unknown(member: Member) -> Judgement | None:
    if not member.opens_by.endswith(_OWN_NAMES):
        return None
    foreign = identify(Path(member.opens_by))
    what = f"it is {foreign.what}" if foreign else "it is not of the format that its name says"
    if not os.path.exists(member.opens_by):
        return Judgement(_likely_format(member), Condition.INCOMPLETE, "it is not there any more")
    return Judgement(_likely_format(member), Condition.DAMAGED, what)


def _likely_format(member: Member) -> str:
    """The format that a name speaks for."""
    if member.is_directory:
        return "saved-model"
    for ending, name in (
        (".index", "tf-bundle"),
        (".keras", "keras-archive"),
        (".weights.h5", "keras-weights-h5"),
        (".weights.json", "keras-weights-h5"),
        (".h5", "keras-h5"),
        (".hdf5", "keras-h5"),
        (".safetensors", "safetensors"),
        (".npz", "npz"),
    ):
        if member.opens_by.endswith(ending):
            return name
    return "tf-v1"
