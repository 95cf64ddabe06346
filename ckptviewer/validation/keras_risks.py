"""Layers and objects in a Keras model's configuration that run code or read files.

The configuration is read as plain JSON; nothing is ever made of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ckptviewer.checkpoint.errors import DamagedFileError, NotACheckpointError
from ckptviewer.formats.hdf5 import Hdf5File
from ckptviewer.formats.hdf5_metadata import SIGNATURE
from ckptviewer.formats.keras_archive import CONFIG
from ckptviewer.formats.keras_config import MAX_JSON_BYTES, bounded_json
from ckptviewer.storage.byte_source import ByteSource, LocalFile
from ckptviewer.storage.zip_directory import LostDirectoryError, read_directory
from ckptviewer.storage.zip_member import Archive, open_member, read_archive
from ckptviewer.validation.risks import Level, Risk, gathered

_OWN_MODULES = ("keras", "tf_keras", "tensorflow.keras", "tensorflow.python.keras", "builtins")
_PICKLES = {"TorchModuleWrapper"}
_LOADS_MODELS = {"TFSMLayer"}
_RUNS_FUNCTIONS = {"JaxLayer", "FlaxLayer"}
_VOCABULARIES = {"StringLookup", "IntegerLookup", "TextVectorization", "IndexLookup"}
_MOST_OBJECTS = 2_000_000

_LAMBDA = (
    "holds-code",
    Level.CODE,
    "Lambda layers hold Python code ({count}); safe mode refuses them, and without it they run.",
)
_PICKLE = ("holds-pickle", Level.CODE, "A pickle is loaded, which can run anything ({count}).")
_MODEL = ("loads-model", Level.FILES, "Another SavedModel is loaded from a path ({count}).")
_FOREIGN = ("runs-foreign-code", Level.CODE, "A function of another library is run ({count}).")
_CUSTOM = (
    "custom-objects",
    Level.CODE,
    "Classes or functions that are not Keras' own are needed ({count}): Keras imports their module "
    "where it finds it, or takes them from a Python file of yours.",
)
_FILE = ("reads-files", Level.FILES, "Files are read when it is loaded ({count}).")
_BAD_FUNCTION = (
    "names-function",
    Level.CODE,
    "A function of a module that has nothing to do with models is named ({count}); this is how "
    "safe mode was bypassed (CVE-2025-9906).",
)
_SUSPECT_FUNCTIONS = ("enable_unsafe_deserialization", "get_file", "load_model", "load_weights")


def keras_risks(path: str) -> list[Risk]:
    """What a Keras model's configuration would run. Raises DamagedFileError, NotACheckpointError,
    UnreadableFileError.
    """
    found: dict[tuple[str, Level, str], list[str]] = {}
    for key, place in _found(_configuration(path)):
        found.setdefault(key, []).append(place)
    return [
        Risk(
            code=risk.code,
            level=risk.level,
            message=risk.message.replace("operation", "object"),
            places=risk.places,
            count=risk.count,
        )
        for risk in gathered(found)
    ]


def _configuration(path: str) -> Any:
    if Path(path).is_dir():
        return _json(LocalFile(Path(path) / CONFIG))
    source = LocalFile(path)
    try:
        archive = _archive_in(source)
        if archive is not None:
            member = archive.members.get(CONFIG)
            if member is None:
                raise NotACheckpointError(f"the archive has no {CONFIG}", where=path)
            return _json(open_member(source, member))
        text = Hdf5File(source).root_attributes().get("model_config")
        if not isinstance(text, (str, bytes)):
            raise NotACheckpointError(
                "it has weights only, and no model",
                where=path,
                remedy="Choose a whole model, or a Python function that makes one.",
            )
        return bounded_json(text, path)
    finally:
        source.release()


def _archive_in(source: ByteSource) -> Archive | None:
    """The archive that the file is; None where it is none.

    Raises DamagedFileError for what could be taken for one and for HDF5 as well: the file's name
    and the version of Keras decide then what is loaded.
    """
    if source.read(0, min(2, source.size)) != b"PK":
        with suppress(LostDirectoryError):
            read_directory(source)
            raise _two_things(source)
        return None
    archive = read_archive(source)
    # The weights in an archive are HDF5, and may by chance begin where a file of HDF5 may.
    is_keras = source.name.endswith(".keras")
    if not archive.is_complete or (not is_keras and _holds_hdf5(source)):
        raise _two_things(source)
    return archive


def _holds_hdf5(source: ByteSource) -> bool:
    """Whether a library that looks for HDF5 finds it: it may stand behind a block of the user's."""
    at = 0
    while at + len(SIGNATURE) <= source.size and source.read(at, len(SIGNATURE)) != SIGNATURE:
        at = max(512, at * 2)
    return at + len(SIGNATURE) <= source.size


def _two_things(source: ByteSource) -> DamagedFileError:
    return DamagedFileError(
        "it may be taken for an archive, and for something else", where=source.name
    )


def _json(source: ByteSource) -> Any:
    try:
        if source.size > MAX_JSON_BYTES:
            raise DamagedFileError("its configuration is too long", where=source.name)
        return bounded_json(source.read(0, source.size), source.name)
    finally:
        source.release()


def _found(configuration: Any) -> Iterator[tuple[tuple[str, Level, str], str]]:
    """Each risky object, and what it is called."""
    pending = [configuration]
    seen = 0
    while pending and seen < _MOST_OBJECTS:
        value = pending.pop()
        seen += 1
        if isinstance(value, list):
            pending += reversed(value)
        elif isinstance(value, dict):
            yield from _of_object(value)
            pending += reversed(value.values())


def _of_object(value: dict[str, Any]) -> Iterator[tuple[tuple[str, Level, str], str]]:
    name = value.get("class_name")
    if not isinstance(name, str):
        return
    config = value.get("config")
    place = _place(name, value)
    short = name.rpartition(">")[2]
    module = value.get("module")
    registered = value.get("registered_name")
    if short == "Lambda" or name == "__lambda__":
        if name != "__lambda__" or not isinstance(config, dict) or "code" in config:
            yield _LAMBDA, place
    elif short in _PICKLES:
        yield _PICKLE, place
    elif short in _LOADS_MODELS:
        yield _MODEL, place
    elif short in _RUNS_FUNCTIONS:
        yield _FOREIGN, place
    elif name == "function" and isinstance(config, str):
        if config in _SUSPECT_FUNCTIONS or _is_foreign(module):
            yield _BAD_FUNCTION, f"{module}.{config}" if module else config
    elif _is_foreign(module) or ">" in name or _is_custom(registered, module):
        yield _CUSTOM, place
    if short in _VOCABULARIES and isinstance(config, dict):
        vocabulary = config.get("vocabulary")
        if isinstance(vocabulary, str) and vocabulary:
            yield _FILE, f"{place} reads {vocabulary}"


def _place(name: str, value: dict[str, Any]) -> str:
    config = value.get("config")
    inner = config.get("name") if isinstance(config, dict) else None
    return f"{name} {inner!r}"[:200] if isinstance(inner, str) else name[:200]


def _is_foreign(module: Any) -> bool:
    return isinstance(module, str) and not any(
        module == own or module.startswith(f"{own}.") for own in _OWN_MODULES
    )


def _is_custom(registered: Any, module: Any) -> bool:
    """A registered name with a package, as `keras.saving.register_keras_serializable` gives."""
    return module is None and isinstance(registered, str) and ">" in registered
