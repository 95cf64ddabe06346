"""The history of validations: what was measured before, by the content of what was measured.

An SQLite file in the user's data directory. It may only ever help: one that is damaged is dropped
and begun anew, one that is locked or read-only is as if it were empty, and nothing is raised.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY
from ckptviewer.storage.cache import files_of
from ckptviewer.storage.database import Damaged, Database, Schema, storable, transaction

if TYPE_CHECKING:
    from ckptviewer.checkpoint.checkpoint import Checkpoint

SCHEMA = 1
MOST_KEPT = 10_000
_WHOLE_BYTES = 256 << 20
_MOST_READ_BYTES = 1 << 30
_SAMPLE_BYTES = 4 << 20
_SMALL_SAMPLE_BYTES = 4 << 10
_PIECE_BYTES = 1 << 20
_MOST_FILES = 10_000
_LATEST = 1e11  # the year 5138
_SCHEMA = Schema(
    version=SCHEMA,
    tables=("validation",),
    statements=(
        """CREATE TABLE validation (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, checkpoint TEXT NOT NULL, model TEXT NOT NULL,
    data TEXT NOT NULL, verdict TEXT NOT NULL, checkpoint_path TEXT NOT NULL,
    against_path TEXT NOT NULL, document TEXT NOT NULL)""",
        "CREATE INDEX by_what ON validation (model, data, at)",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class What:
    """What was validated, by content: see `content_of_checkpoint` and `content_of_files`.

    data: of the validation data and how it is read; empty without data.
    """

    checkpoint: str
    model: str
    data: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """One earlier validation. at: seconds since the epoch. document: the report's, whole.

    same_checkpoint: whether it was of the very checkpoint that was asked about.
    """

    at: float
    verdict: str
    checkpoint_path: str
    against_path: str
    document: dict[str, Any]
    same_checkpoint: bool

    @property
    def metrics(self) -> dict[str, float | None]:
        """The metrics of checkpoint A."""
        found = self.document.get("metrics")
        return {
            name: None if value is None else float(value)
            for name, value in (found.items() if isinstance(found, dict) else ())
            if value is None or isinstance(value, (int, float))
        }


def default_path() -> Path:
    """Where the history lies on this system; CKPTVIEWER_HISTORY names another file."""
    if named := os.environ.get("CKPTVIEWER_HISTORY"):
        return Path(named)
    from platformdirs import user_data_path

    return user_data_path("ckptviewer", appauthor=False) / "validations.sqlite"


def content_of_checkpoint(checkpoint: Checkpoint) -> str:
    """A name for the content of a checkpoint, the same wherever it lies.

    Of the checksums in the file where every variable has one; otherwise of the files' bytes, as
    `content_of_files` takes them.
    """
    digest = hashlib.blake2b(digest_size=20)
    for variable in checkpoint.variables:
        if variable.key == OBJECT_GRAPH_KEY:
            continue
        crc = checkpoint.checksum(variable)
        if crc is None:
            return content_of_files([checkpoint.path])
        digest.update(repr((variable.key, variable.dtype, variable.shape, crc)).encode())
    return digest.hexdigest()


def content_of_files(paths: Iterable[str | os.PathLike[str]], *, how: str = "") -> str:
    """A name for the content of files and directories, the same wherever they lie.

    how: what else tells one use of them from another. A file beyond 256 MiB, and every file once
    a gigabyte was read, counts by its beginning, its end, its size and its time. What cannot be
    read counts as empty.
    """
    budget = _MOST_READ_BYTES
    digest = hashlib.blake2b(how.encode("utf-8", "backslashreplace"), digest_size=20)
    for path in paths:
        given = Path(path)
        try:
            files = files_of(given) if not given.is_file() else [given]
            if given.is_dir():
                files = sorted(each for each in given.rglob("*") if each.is_file())[:_MOST_FILES]
        except OSError:
            files = []
        for file in files:
            name = file.relative_to(given) if given.is_dir() else Path(file.suffix)
            digest.update(repr(name.as_posix()).encode("utf-8", "backslashreplace"))
            with contextlib.suppress(OSError):
                budget -= _digest_file(file, digest, budget)
    return digest.hexdigest()


def _digest_file(file: Path, digest: hashlib.blake2b, budget: int) -> int:
    """Add the file's content to the digest; returns how many bytes were read."""
    size = file.stat().st_size
    with open(file, "rb") as stream:
        if size <= min(_WHOLE_BYTES, budget):
            while piece := stream.read(_PIECE_BYTES):
                digest.update(piece)
            return size
        sample = _SAMPLE_BYTES if budget > 0 else _SMALL_SAMPLE_BYTES
        digest.update(repr((size, file.stat().st_mtime_ns)).encode())
        digest.update(stream.read(sample))
        stream.seek(max(0, size - sample))
        digest.update(stream.read(sample))
        return 2 * sample


class History(Database):
    """Earlier validations, the newest first. Never raises, see `trouble`."""

    def __init__(self, path: Path | None = None) -> None:
        super().__init__(path or default_path(), _SCHEMA)

    def add(self, what: What, document: dict[str, Any], *, at: float | None = None) -> None:
        """Keep a report's document."""
        row = (
            time.time() if at is None else at,
            what.checkpoint,
            what.model,
            what.data,
            str(document.get("verdict")),
            storable(str(document.get("checkpoint") or "")),
            storable(str(document.get("against") or "")),
            json.dumps(document),
        )

        def insert(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                connection.execute(
                    "INSERT INTO validation (at, checkpoint, model, data, verdict, "
                    "checkpoint_path, against_path, document) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    row,
                )
                connection.execute(
                    "DELETE FROM validation WHERE id NOT IN "
                    "(SELECT id FROM validation ORDER BY at DESC, id DESC LIMIT ?)",
                    (MOST_KEPT,),
                )

        self.ask(insert)

    def earlier(self, what: What, limit: int = 20) -> tuple[Earlier, ...]:
        """Earlier validations with this model and this data, of whatever checkpoint."""

        def select(connection: sqlite3.Connection) -> tuple[Earlier, ...]:
            rows = connection.execute(
                "SELECT at, verdict, checkpoint_path, against_path, document, checkpoint "
                "FROM validation WHERE model = ? AND data = ? ORDER BY at DESC, id DESC LIMIT ?",
                (what.model, what.data, limit),
            ).fetchall()
            return tuple(
                Earlier(
                    at=_time(at),
                    verdict=str(verdict),
                    checkpoint_path=str(checkpoint_path),
                    against_path=str(against_path),
                    document=_document(document),
                    same_checkpoint=checkpoint == what.checkpoint,
                )
                for at, verdict, checkpoint_path, against_path, document, checkpoint in rows
            )

        return self.ask(select) or ()

    def clear(self) -> None:
        """Forget everything."""
        self.ask(lambda connection: connection.execute("DELETE FROM validation"))


def _time(value: object) -> float:
    """Seconds of which a date can be made."""
    if not isinstance(value, (int, float)) or not 0 <= value < _LATEST:
        raise Damaged("a time in it is no time")
    return float(value)


def _document(text: object) -> dict[str, Any]:
    try:
        found = json.loads(str(text))
    except (ValueError, RecursionError) as error:
        raise Damaged("a report in it is no JSON") from error
    if not isinstance(found, dict):
        raise Damaged("a report in it is no object")
    return found
