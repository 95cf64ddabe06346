"""Keras 3's model archives: `.keras`, a zip of a configuration and a file of weights.

The weights are read in place, inside the archive. The configuration is read as plain JSON: layers'
names, what is trainable, the optimizer; nothing is ever made of it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import (
    COPY_FILE,
    CkptviewerError,
    DamagedFileError,
    MissingShardError,
    NotACheckpointError,
)
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.formats.hdf5 import Hdf5File
from ckptviewer.formats.keras_config import (
    FREE_JSON_BYTES,
    MAX_JSON_BYTES,
    bounded_json,
    describe_model,
    describe_training,
    model_of,
    optimizer_of,
)
from ckptviewer.formats.keras_weights import open_weights
from ckptviewer.formats.registry import Confidence, Format, Match
from ckptviewer.storage.byte_source import ByteSource, LocalFile
from ckptviewer.storage.zip_member import Archive, open_member, read_archive

CONFIG = "config.json"
METADATA = "metadata.json"
WEIGHTS = "model.weights.h5"
NPZ_WEIGHTS = "model.weights.npz"

_Opener = Callable[[str], ByteSource | None]
"""Gives a part of the archive by its name, None where there is none."""


class KerasArchiveFormat(Format):
    """A whole model of Keras 3: a zip archive, or the same files in a directory."""

    name = "keras-archive"
    title = "Keras 3 model"

    def probe(self, path: Path) -> Match:
        confidence, reason = _probe(path)
        return Match(confidence=confidence, reason=reason, path=path)

    def open(self, path: Path) -> Checkpoint:
        findings: list[Finding] = []
        if path.is_dir():
            return _open(path, lambda name: _file_in(path, name), findings, MAX_JSON_BYTES)
        source = LocalFile(path)
        try:
            archive = read_archive(source)
            findings += _findings_of(archive, path)

            def part(name: str) -> ByteSource | None:
                member = archive.members.get(name)
                return None if member is None else open_member(source, member)

            return _open(path, part, findings, source.size)
        finally:
            source.release()


def _probe(path: Path) -> tuple[Confidence, str]:
    try:
        if path.is_dir():
            names = {name for name in (CONFIG, METADATA, WEIGHTS) if (path / name).is_file()}
            if len(names) == 3:
                return Confidence.CERTAIN, "a directory with a Keras model's three files"
            return Confidence.NO, "a directory without a Keras model's files"
        source = LocalFile(path)
    except (OSError, ValueError) as error:
        return Confidence.NO, str(error)
    try:
        archive = read_archive(source)
    except CkptviewerError as error:
        return Confidence.NO, error.what
    finally:
        source.release()
    names = archive.members.keys() & {CONFIG, METADATA, WEIGHTS, NPZ_WEIGHTS}
    if CONFIG in names and len(names) > 1:
        return Confidence.CERTAIN, "a zip archive with a Keras model's configuration"
    if names and not archive.is_complete:
        return Confidence.CERTAIN, "the beginning of a zip archive with a Keras model"
    if WEIGHTS in names:
        return Confidence.MAYBE, "a zip archive with a Keras model's weights"
    return Confidence.NO, "a zip archive, but not of a Keras model"


def _file_in(directory: Path, name: str) -> ByteSource | None:
    return LocalFile(directory / name) if (directory / name).is_file() else None


def _open(path: Path, part: _Opener, findings: list[Finding], stored_bytes: int) -> Checkpoint:
    """stored_bytes: size of the archive; what unpacks to many times that is not read as JSON."""
    config = _json(part, CONFIG, path, findings, stored_bytes)
    metadata = _json(part, METADATA, path, findings, stored_bytes)
    weights = part(WEIGHTS)
    if weights is None:
        if part(NPZ_WEIGHTS) is not None:
            raise NotACheckpointError(
                f"its weights are in {NPZ_WEIGHTS}, as pickled objects, which are never loaded",
                where=str(path),
                remedy="Save the model with its weights in HDF5, as Keras does by default.",
            )
        raise MissingShardError(f"the archive has no {WEIGHTS}", where=str(path), remedy=COPY_FILE)
    file = Hdf5File(weights)
    contents = file.walk()
    version = metadata.get("keras_version")
    compiled = config.get("compile_config")
    model = model_of(config)
    facts = describe_model(model) | describe_training(compiled)
    saved = metadata.get("date_saved")
    if isinstance(saved, str):
        facts["Saved"] = saved.replace("@", " ")[:40]
    return open_weights(
        [file],
        [contents],
        path=str(path),
        format_name=KerasArchiveFormat.name,
        written_by=f"Keras {version}" if isinstance(version, str) else None,
        findings=findings,
        facts=facts,
        model=model,
        optimizer=optimizer_of(compiled.get("optimizer")) if isinstance(compiled, dict) else None,
    )


def _json(
    part: _Opener, name: str, path: Path, findings: list[Finding], stored_bytes: int
) -> dict[str, Any]:
    """The object in one of the archive's JSON files; empty, with a finding, where it is damaged."""
    try:
        source = part(name)
        if source is None:
            raise DamagedFileError("it is missing", where=str(path))
        if source.size > max(FREE_JSON_BYTES, 4 * stored_bytes):
            raise DamagedFileError(f"{source.size:,} bytes are too many", where=str(path))
        value = bounded_json(source.read(0, source.size), f"{path} ({name})")
        source.release()
        if isinstance(value, dict):
            return value
        raise DamagedFileError("it holds no object", where=str(path))
    except CkptviewerError as error:
        findings.append(
            Finding(
                code="damaged-config",
                severity=Severity.ERROR,
                message=f"{name} cannot be read: {error.what}; names and what is trainable are "
                "told from the weights alone.",
                remedy=COPY_FILE,
            )
        )
        return {}


def _findings_of(archive: Archive, path: Path) -> list[Finding]:
    findings = []
    if not archive.is_complete:
        findings.append(
            Finding(
                code="truncated-archive",
                severity=Severity.ERROR,
                message=f"{path.name} ends before its directory, as after a copy that was cut "
                "short; what it holds up to there is shown.",
                remedy=COPY_FILE,
            )
        )
    if archive.repeated:
        names = ", ".join(archive.repeated[:3])
        findings.append(
            Finding(
                code="duplicate-member",
                severity=Severity.WARNING,
                message=f"{path.name} has several members called {names}; the last is shown.",
                remedy="Save the model again; readers differ in which one they take.",
            )
        )
    return findings
