"""What was worked out before, kept in the user's cache directory: a bounded SQLite database.

It holds bytes for (identity of a file set, key): whoever stores them knows what they mean. A
cache may only ever save time: whatever is wrong with it (damaged, locked, no room, no directory),
it is empty, and nothing is raised.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sqlite3
import time
import zlib
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from ckptviewer.storage.database import Damaged, Database, Schema, storable, transaction

SCHEMA = 1
"""Raise it when the tables, or what the bytes mean, change: old databases are dropped."""

LIMIT_BYTES = 256 << 20

_SETTLE_SECONDS = 2.0
_KEYS_AT_ONCE = 500
_MOST_USES = 10_000
_USE_SECONDS = 3600.0
"""Who only reads need not write, and wait for the disk, to say what was said an hour ago."""

_SHARD = re.compile(r"-[?*\d]+-of-[?*\d]+$")
_SCHEMA = Schema(
    version=SCHEMA,
    tables=("entry", "owner"),
    statements=(
        """CREATE TABLE owner (
    id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE, used REAL NOT NULL,
    bytes INTEGER NOT NULL DEFAULT 0)""",
        """CREATE TABLE entry (
    owner INTEGER NOT NULL REFERENCES owner (id), key TEXT NOT NULL, value BLOB NOT NULL,
    crc INTEGER NOT NULL, PRIMARY KEY (owner, key)) WITHOUT ROWID""",
    ),
    # A file that is only being made has nothing to lose: it need not wait for the disk.
    pragmas=("synchronous = OFF", "journal_mode = WAL"),
)


def default_path() -> Path:
    """Where the cache lies on this system; CKPTVIEWER_CACHE names another file."""
    if named := os.environ.get("CKPTVIEWER_CACHE"):
        return Path(named)
    from platformdirs import user_cache_path

    return user_cache_path("ckptviewer", appauthor=False) / "results.sqlite"


def files_of(path: str | os.PathLike[str]) -> list[Path]:
    """All files that a checkpoint's path stands for, by their names alone.

    The file itself; of a directory the files in it, two levels deep; and whatever lies beside it
    under its name with a suffix (`.index`, `.data-00000-of-00001`, shards `_00001.weights.h5`).
    """
    given = Path(path)
    found: set[Path] = set()
    if given.is_dir():
        found |= {item for item in (*given.glob("*"), *given.glob("*/*")) if item.is_file()}
    elif given.is_file():
        found.add(given)
    stem = given.name
    for suffix in (".index", ".weights.json", ".safetensors.index.json"):
        stem = stem.removesuffix(suffix)
    stem = _SHARD.sub("", stem)
    with contextlib.suppress(OSError), os.scandir(given.parent) as entries:
        for entry in entries:
            rest = entry.name[len(stem) :]
            beside = entry.name.startswith(stem) and rest.startswith((".", "_", "-0"))
            if (beside or not stem) and entry.is_file():
                found.add(Path(entry.path))
    return sorted(found)


def identity_of(path: str | os.PathLike[str]) -> str:
    """A name for the present content of a checkpoint's files; another one once any has changed.

    Made of path, device, inode, size, and the times of the last change of content and of inode,
    so that a file that was rewritten in place, its times set back, differs too.
    """
    digest = hashlib.blake2b(digest_size=20)
    digest.update(os.fsencode(os.path.abspath(path)))
    for file in files_of(path):
        with contextlib.suppress(OSError):
            status = os.stat(file)
            numbers = (
                status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns,
                status.st_ctime_ns,
            )  # fmt: skip
            digest.update(os.fsencode(file) + repr(numbers).encode())
    return digest.hexdigest()


def has_settled(path: str | os.PathLike[str]) -> bool:
    """Whether the files have not been written to just now.

    Clocks of file systems are coarse: a file may change twice and bear the same time.
    """
    newest = 0.0
    for file in files_of(path):
        with contextlib.suppress(OSError):
            status = os.stat(file)
            newest = max(newest, status.st_mtime, status.st_ctime)
    return time.time() - newest > _SETTLE_SECONDS


class Cache(Database):
    """Bytes by (identity, key); the identities used longest ago go when there is no room.

    May be used from several threads, and by several processes at once.
    """

    def __init__(self, path: Path | None = None, *, limit_bytes: int = LIMIT_BYTES) -> None:
        """limit_bytes: of all values together. Never raises; see `trouble`."""
        self._limit = limit_bytes
        self._used: dict[str, float] = {}
        super().__init__(path or default_path(), _SCHEMA)

    def get_many(self, identity: str, keys: Iterable[str]) -> dict[str, bytes]:
        """The values of those keys that there are."""
        wanted = {storable(key): key for key in keys}
        found = self.ask(lambda connection: self._select(connection, identity, list(wanted)))
        return {wanted[key]: value for key, value in (found or {}).items()}

    def get_all(self, identities: Iterable[str], most_bytes: int) -> dict[str, dict[str, bytes]]:
        """All values of each identity, by their keys as they are stored; of the unknown none.

        Identities that have more than `most_bytes` are left out: they have to be asked for by key.
        """
        wanted = list(identities)
        found: dict[str, dict[str, bytes]] = {}
        for start in range(0, len(wanted), _KEYS_AT_ONCE):
            part = wanted[start : start + _KEYS_AT_ONCE]
            ask = partial(self._select_all, identities=part, most_bytes=most_bytes)
            found |= self.ask(ask) or {}
        return found

    def put_many(self, identity: str, values: Mapping[str, bytes]) -> None:
        """Keep the values; older identities go, if they must, to make room."""
        self.put_all({identity: values})

    def put_all(self, values: Mapping[str, Mapping[str, bytes]]) -> None:
        """Keep the values of several identities: all of them or, where that fails, none."""
        kept = {
            identity: each
            for identity, each in values.items()
            if each and sum(map(len, each.values())) <= self._limit
        }
        if kept:
            self.ask(lambda connection: self._insert(connection, kept))

    def close(self) -> None:
        """As Database.close; that something was used is noted, if that was not done just before."""
        if self._used:
            self.ask(self._write_old_uses)
        super().close()

    def _open(self) -> sqlite3.Connection:
        connection = super()._open()
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _select(
        self, connection: sqlite3.Connection, identity: str, keys: list[str]
    ) -> dict[str, bytes]:
        found = _select(connection, identity, keys)
        if found:
            self._note_uses(connection, [identity])
        return found

    def _select_all(
        self, connection: sqlite3.Connection, identities: list[str], most_bytes: int
    ) -> dict[str, dict[str, bytes]]:
        marks = ",".join("?" * len(identities))
        owners = connection.execute(
            f"SELECT id, identity, bytes FROM owner WHERE identity IN ({marks})", identities
        ).fetchall()
        large = {identity for _, identity, size in owners if size > most_bytes}
        names = {owner: identity for owner, identity, _ in owners if identity not in large}
        found: dict[str, dict[str, bytes]] = {
            identity: {} for identity in identities if identity not in large
        }
        if names:
            marks = ",".join("?" * len(names))
            rows = connection.execute(
                f"SELECT key, value, crc, owner FROM entry WHERE owner IN ({marks})", [*names]
            )
            for key, value, crc, owner in rows.fetchall():
                found[names[owner]][key] = _proved(value, crc)
            self._note_uses(connection, names.values())
        return found

    def _note_uses(self, connection: sqlite3.Connection, identities: Iterable[str]) -> None:
        """That these are used now; to write it at once would make a writer of each reader."""
        self._used |= dict.fromkeys(identities, time.time())
        if len(self._used) >= _MOST_USES:
            self._write_old_uses(connection)

    def _write_old_uses(self, connection: sqlite3.Connection) -> None:
        with transaction(connection):
            self._write_uses(connection, _USE_SECONDS)

    def _write_uses(self, connection: sqlite3.Connection, least_seconds: float) -> None:
        """Note what was used; not of what is known to have been used so short a time before."""
        used, self._used = self._used, {}
        connection.executemany(
            "UPDATE owner SET used = ? WHERE identity = ? AND used < ?",
            [(when, identity, when - least_seconds) for identity, when in used.items()],
        )

    def _insert(
        self, connection: sqlite3.Connection, values: Mapping[str, Mapping[str, bytes]]
    ) -> None:
        with transaction(connection):
            self._write_uses(connection, 0.0)
            changed = [_insert(connection, identity, each) for identity, each in values.items()]
            if any(changed):
                _make_room(connection, self._limit)

    def clear(self) -> None:
        """Forget everything."""
        self.ask(_delete_all)


def _select(connection: sqlite3.Connection, identity: str, keys: list[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        part = keys[start : start + _KEYS_AT_ONCE]
        marks = ",".join("?" * len(part))
        rows = connection.execute(
            "SELECT key, value, crc FROM entry "
            f"WHERE owner = (SELECT id FROM owner WHERE identity = ?) AND key IN ({marks})",
            (identity, *part),
        )
        for key, value, crc in rows.fetchall():
            found[key] = _proved(value, crc)
    return found


def _proved(value: object, crc: int) -> bytes:
    if not isinstance(value, bytes) or zlib.crc32(value) != crc:
        raise Damaged("a value does not match its checksum")
    return value


def _insert(connection: sqlite3.Connection, identity: str, values: Mapping[str, bytes]) -> bool:
    """Whether any of the values was not there already."""
    owner = _owner(connection, identity)
    written = connection.executemany(
        "INSERT INTO entry (owner, key, value, crc) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (owner, key) DO UPDATE SET value = excluded.value, crc = excluded.crc "
        "WHERE value != excluded.value OR crc != excluded.crc",
        [(owner, storable(key), value, zlib.crc32(value)) for key, value in values.items()],
    )
    if not written.rowcount:
        return False
    connection.execute(
        "UPDATE owner SET bytes = (SELECT coalesce(sum(length(value)), 0) FROM entry "
        "WHERE entry.owner = owner.id) WHERE id = ?",
        (owner,),
    )
    return True


def _owner(connection: sqlite3.Connection, identity: str) -> int:
    """The number of an identity, which is used now."""
    now = time.time()
    row = connection.execute("SELECT id FROM owner WHERE identity = ?", (identity,)).fetchone()
    if row is None:
        sql = "INSERT INTO owner (identity, used) VALUES (?, ?)"
        return int(connection.execute(sql, (identity, now)).lastrowid or 0)
    connection.execute("UPDATE owner SET used = ? WHERE id = ?", (now, row[0]))
    return int(row[0])


def _make_room(connection: sqlite3.Connection, limit: int) -> None:
    """Forget the identities used longest ago; the newest, too, where it alone is too much."""
    if connection.execute("SELECT total(bytes) FROM owner").fetchone()[0] <= limit:
        return
    rows = connection.execute("SELECT id, bytes FROM owner ORDER BY used DESC, id DESC").fetchall()
    total = 0
    surplus = []
    for owner, size in rows:
        total += size
        if total > limit:
            surplus.append((owner,))
    connection.executemany("DELETE FROM entry WHERE owner = ?", surplus)
    connection.executemany("DELETE FROM owner WHERE id = ?", surplus)


def _delete_all(connection: sqlite3.Connection) -> None:
    with transaction(connection):
        connection.execute("DELETE FROM entry")
        connection.execute("DELETE FROM owner")
    connection.execute("VACUUM")
