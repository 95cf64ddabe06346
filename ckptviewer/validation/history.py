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
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY
from ckptviewer.storage.cache import files_of

if TYPE_CHECKING:
    from ckptviewer.checkpoint.checkpoint import Checkpoint

T = TypeVar("T")

SCHEMA = 1
MOST_KEPT = 10_000
_BUSY_SECONDS = 2.0
_WHOLE_BYTES = 256 << 20
_MOST_READ_BYTES = 1 << 30
_SAMPLE_BYTES = 4 << 20
_SMALL_SAMPLE_BYTES = 4 << 10
_PIECE_BYTES = 1 << 20
_MOST_FILES = 10_000
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
}
_TABLE = """CREATE TABLE validation (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, checkpoint TEXT NOT NULL, model TEXT NOT NULL,
    data TEXT NOT NULL, verdict TEXT NOT NULL, checkpoint_path TEXT NOT NULL,
    against_path TEXT NOT NULL, document TEXT NOT NULL)"""
_INDEX = "CREATE INDEX by_what ON validation (model, data, at)"


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
        return dict(found) if isinstance(found, dict) else {}


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


class History:
    """Earlier validations, the newest first. From one thread only; never raises, see `trouble`."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or default_path()
        self.trouble = ""
        self._connection: sqlite3.Connection | None = None
        try:
            self._connection = self._open()
        except (sqlite3.Error, OSError) as error:
            self._note(error)

    def add(self, what: What, document: dict[str, Any], *, at: float | None = None) -> None:
        """Keep a report's document."""
        row = (
            time.time() if at is None else at,
            what.checkpoint,
            what.model,
            what.data,
            str(document.get("verdict")),
            _text(document.get("checkpoint")),
            _text(document.get("against")),
            json.dumps(document),
        )

        def insert(connection: sqlite3.Connection) -> None:
            with connection:
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

        self._do(insert)

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
                    at=float(at),
                    verdict=str(verdict),
                    checkpoint_path=str(checkpoint_path),
                    against_path=str(against_path),
                    document=_document(document),
                    same_checkpoint=checkpoint == what.checkpoint,
                )
                for at, verdict, checkpoint_path, against_path, document, checkpoint in rows
            )

        return self._do(select) or ()

    def clear(self) -> None:
        """Forget everything."""

        def delete(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute("DELETE FROM validation")

        self._do(delete)

    def close(self) -> None:
        """Give the file back. Closing twice is harmless."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        if self._connection is None:
            return None
        try:
            return work(self._connection)
        except (sqlite3.Error, _Damaged) as error:
            self._note(error)
            return None

    def _note(self, error: Exception) -> None:
        """Tell what went wrong, and begin anew where the file itself is no good."""
        self.trouble = str(error)
        code = getattr(error, "sqlite_errorcode", None)
        if isinstance(error, OSError) or (code is not None and code & 0xFF in _PASSING):
            return
        self.close()
        try:
            for suffix in ("", "-wal", "-shm", "-journal"):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
            self._connection = self._open()
        except (sqlite3.Error, OSError) as again:
            self.trouble = str(again)

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != SCHEMA:
                with connection:
                    connection.execute("DROP TABLE IF EXISTS validation")
                    connection.execute(_TABLE)
                    connection.execute(_INDEX)
                    connection.execute(f"PRAGMA user_version = {SCHEMA}")
            connection.execute("SELECT count(*) FROM validation").fetchone()
        except BaseException:
            connection.close()
            raise
        return connection


class _Damaged(Exception):
    """The database was readable, its content was not what was written."""


def _document(text: object) -> dict[str, Any]:
    try:
        found = json.loads(str(text))
    except ValueError as error:
        raise _Damaged("a report in it is no JSON") from error
    if not isinstance(found, dict):
        raise _Damaged("a report in it is no object")
    return found


def _text(value: object) -> str:
    """Text that SQLite can hold: paths may bear bytes that are no UTF-8."""
    text = str(value or "")
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
