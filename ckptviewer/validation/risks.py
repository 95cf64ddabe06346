"""What would run if a model were loaded, found in its files without running any of it.

Operations are found by their names in the graph and its functions, layers by their names in Keras'
configuration. Nothing found is no promise: Keras' safe mode was bypassed more than once
(CVE-2025-9905, CVE-2025-9906), and the worker's process is an isolation, not a sandbox.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ckptviewer.checkpoint.errors import CkptviewerError, PathNotFoundError
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.text import plural, size_text
from ckptviewer.storage.byte_source import LocalFile
from ckptviewer.validation.protocol import ModelKind, ModelSpec

_HASHED_PIECE = 4 << 20
MOST_PLACES = 5


class Level(StrEnum):
    """How much a risk matters, the worst first."""

    CODE = "code"  # runs Python that comes with the model
    FILES = "files"  # reads or writes files, or talks to the network
    UNKNOWN = "unknown"  # could not be looked at
    USUAL = "usual"  # what every saved model has


_ORDER = list(Level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """One thing that the model would do.

    code: stable kebab-case name. message: one sentence. places: the first few operations, layers or
    files. count: how many there are.
    """

    code: str
    level: Level
    message: str
    places: tuple[str, ...] = ()
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What a person should know before a model is loaded.

    what_runs: one sentence that says whose code will run. risks: the worst first.
    digest: of everything that runs, by which a consent is remembered; empty where it cannot be
    told, and then it is asked for each time. files: what the digest is of.
    """

    what_runs: str
    risks: tuple[Risk, ...]
    digest: str
    files: tuple[str, ...]

    @property
    def is_risky(self) -> bool:
        """Whether more than what every model does was found."""
        return any(risk.level is not Level.USUAL for risk in self.risks)


def review_model(model: ModelSpec, cancel: CancelToken | None = None) -> Review:
    """Look through a model's files. Raises PathNotFoundError, UnreadableFileError, Cancelled.

    What is damaged is told as a risk, for TensorFlow may read it all the same.
    """
    token = cancel or CancelToken()
    files = _files(model)
    for path in files:
        if not os.path.isfile(path):
            raise PathNotFoundError(
                "there is no such file", where=path, remedy="Choose the model again."
            )
    risks = [*_python_risks(model), *_content_risks(model, files, token)]
    risks.sort(key=lambda risk: _ORDER.index(risk.level))
    return Review(
        what_runs=_what_runs(model),
        risks=tuple(risks),
        digest=_digest(model, files, token) if files else "",
        files=tuple(files),
    )


def _files(model: ModelSpec) -> list[str]:
    """The files whose content decides what runs, those of the model first."""
    found = []
    if model.kind is ModelKind.SAVED_MODEL:
        found.append(_saved_model_file(model.path))
        keras = os.path.join(os.path.dirname(found[0]), "keras_metadata.pb")
        if os.path.isfile(keras):
            found.append(keras)
    elif model.kind is ModelKind.FACTORY:
        source = factory_file(model)
        if source is None:
            return []
        found.append(source)
    elif model.kind is ModelKind.KERAS and os.path.isdir(model.path):
        found += [os.path.join(model.path, name) for name in ("config.json", "metadata.json")]
    else:
        found.append(model.path)
    if model.custom_objects:
        found.append(model.custom_objects)
    return found


def _saved_model_file(path: str) -> str:
    if os.path.isfile(path):
        return path
    binary = os.path.join(path, "saved_model.pb")
    text = os.path.join(path, "saved_model.pbtxt")
    return text if os.path.isfile(text) and not os.path.isfile(binary) else binary


def factory_file(model: ModelSpec) -> str | None:
    """The Python file that a factory's name means; None where it would have to be imported."""
    where = model.path.rpartition(":")[0]
    if where.endswith(".py"):
        return where
    relative = Path(*where.split("."))
    for directory in (*model.python_path, os.getcwd()):
        for candidate in (relative.with_suffix(".py"), relative / "__init__.py"):
            path = Path(directory) / candidate
            if path.is_file():
                return str(path)
    return None


def _digest(model: ModelSpec, files: Sequence[str], cancel: CancelToken) -> str:
    """SHA-256 over the files' content, the kind of model and the function that is called."""
    digest = hashlib.sha256(f"{model.kind.value}\0{model.safe_mode}\0".encode())
    if model.kind is ModelKind.FACTORY:
        digest.update(model.path.rpartition(":")[2].encode("utf-8", "surrogateescape"))
    buffer = bytearray(_HASHED_PIECE)
    for path in files:
        source = LocalFile(path)
        try:
            digest.update(f"\0{source.size}\0".encode())
            for start in range(0, source.size, _HASHED_PIECE):
                cancel.raise_if_cancelled()
                piece = memoryview(buffer)[: min(_HASHED_PIECE, source.size - start)]
                source.read_into(piece, start)
                digest.update(piece)
        finally:
            source.release()
    return digest.hexdigest()


def _what_runs(model: ModelSpec) -> str:
    end = (
        "in a process of its own, with your rights: it is isolated from this program, not locked up"
    )
    if model.kind is ModelKind.FACTORY:
        return f"The Python code of {model.path}, and all that it imports, runs {end}."
    also = f", and the Python file {model.custom_objects}" if model.custom_objects else ""
    if model.kind is ModelKind.KERAS:
        mode = "in safe mode" if model.safe_mode else "WITHOUT safe mode"
        return f"Keras loads {model.path} {mode}{also}; both run {end}."
    return f"TensorFlow runs the graph in {model.path}{also} {end}."


def _python_risks(model: ModelSpec) -> Iterable[Risk]:
    if model.kind is ModelKind.FACTORY:
        source = factory_file(model)
        yield Risk(
            code="runs-python",
            level=Level.CODE,
            message=f"The function {model.path.rpartition(':')[2]}() is called, and its file "
            f"{_size_of(source)} runs with all that it imports.",
            places=(source or model.path,),
        )
    if model.custom_objects:
        yield Risk(
            code="runs-python",
            level=Level.CODE,
            message=f"The Python file with custom objects {_size_of(model.custom_objects)} runs.",
            places=(model.custom_objects,),
        )
    if model.kind is ModelKind.KERAS and not model.safe_mode:
        yield Risk(
            code="no-safe-mode",
            level=Level.CODE,
            message="Safe mode is off: Keras runs the code that the model's file holds.",
        )


def _size_of(path: str | None) -> str:
    try:
        return f"({size_text(os.path.getsize(path))})" if path else f"(found by {sys.executable})"
    except OSError:
        return ""


def _content_risks(model: ModelSpec, files: Sequence[str], cancel: CancelToken) -> Iterable[Risk]:
    from ckptviewer.validation.graph_risks import graph_risks
    from ckptviewer.validation.keras_risks import keras_risks

    if model.kind is ModelKind.FACTORY:
        return []
    try:
        if model.kind is ModelKind.KERAS:
            return keras_risks(model.path)
        return graph_risks(files[0], model.kind, cancel)
    except (CkptviewerError, ValueError) as error:
        if isinstance(error, PathNotFoundError):
            raise
        cancel.raise_if_cancelled()
        return [
            Risk(
                code="not-looked-at",
                level=Level.UNKNOWN,
                message=f"What it holds could not be looked at: {error}.".replace("..", "."),
                places=(files[0],),
            )
        ]


def gathered(found: dict[tuple[str, Level, str], list[str]]) -> list[Risk]:
    """Risks from their places, by code, level and message with `{count}` in it."""
    risks = []
    for (code, level, message), places in found.items():
        risks.append(
            Risk(
                code=code,
                level=level,
                message=message.replace("{count}", plural(len(places), "operation")),
                places=tuple(places[:MOST_PLACES]),
                count=len(places),
            )
        )
    return risks
