"""A SQLite file that may be lost: one that is damaged begins anew, and nothing is raised."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

T = TypeVar("T")

_BUSY_SECONDS = 2.0
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What is in a database. version: of the tables, and of what their cells mean.

    tables: their names, those first that refer to others. statements: make them, from nothing.
    pragmas: said each time it is opened.
    """

    version: int
    tables: tuple[str, ...]
    statements: tuple[str, ...]
    pragmas: tuple[str, ...] = ()


class Damaged(Exception):
    """The database was readable, its content was not what was written."""


class Database:
    """Asks a SQLite file; `trouble` is what went wrong last, empty where nothing did.

    A file with tables of another version, or that is no good, is dropped; one that is locked, full
    or not to be written is left alone, and is as if it were empty. From several threads, and from
    several processes at once.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        self.path = path
        self.trouble = ""
        self._schema = schema
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        try:
            self._connection = self._open()
        except (sqlite3.Error, OSError) as error:
            self._note(error)

    def ask(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Work with the database, one thread at a time; None where it cannot be done.

        The connection commits each statement of its own, see `transaction`. `work` may raise
        sqlite3.Error, or Damaged for content that was not written so.
        """
        with self._lock:
            if self._connection is None:
                return None
            try:
                return work(self._connection)
            except (sqlite3.Error, Damaged) as error:
                self._note(error)
                return None

    def close(self) -> None:
        """Give the file back; afterwards it is as if it were empty. Closing twice is harmless."""
        with self._lock:
            self._drop_connection()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _note(self, error: Exception) -> None:
        """Tell what went wrong, and begin anew where the file itself is no good."""
        self.trouble = str(error)
        if _will_pass(error):
            return
        self._drop_connection()
        try:
            for suffix in ("", "-wal", "-shm", "-journal"):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
            self._connection = self._open()
        except (sqlite3.Error, OSError) as again:
            self.trouble = str(again)

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            for pragma in self._schema.pragmas:
                connection.execute(f"PRAGMA {pragma}")
            if _version_of(connection) != self._schema.version:
                _make_tables(connection, self._schema)
            for table in self._schema.tables:
                connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()
        except BaseException:
            connection.close()
            raise
        return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def storable(text: str) -> str:
    """The text in a form that UTF-8 can hold: keys and paths may bear bytes that are none."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _will_pass(error: Exception) -> bool:
    """Whether the database itself may be sound: it is locked, or there is no room or right."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, OSError) or (code is not None and code & 0xFF in _PASSING)


def _version_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _make_tables(connection: sqlite3.Connection, schema: Schema) -> None:
    with transaction(connection):  # two windows may come here at once: the second finds them made
        if _version_of(connection) == schema.version:
            return
        for table in schema.tables:
            connection.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in schema.statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {schema.version}")
