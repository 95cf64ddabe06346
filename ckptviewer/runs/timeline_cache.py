"""Timelines remembered: what was measured of each checkpoint, and of each pair of neighbours.

Kept by the identity of the files, as bytes that need no pickle. The variables of checkpoints of
one run are the same mostly: they are kept once, by a digest of their own.
"""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ckptviewer.checkpoint.variable import Role, Variable
from ckptviewer.runs.entry import CheckpointEntry
from ckptviewer.runs.measuring import Pair, Point
from ckptviewer.runs.members import state_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ckptviewer.storage.cache import Cache

VERSION = 2
"""Raise it whenever the same checkpoint would give other numbers."""

SETTLE_SECONDS = 2.0
"""Clocks of file systems are coarse: what was written just now may change and bear one time."""

POINT_FIELDS, PAIR_FIELDS = len(Point._fields), len(Pair._fields)
_LEVEL = 1
_FEW_BYTES = 16 << 10
_MOST_HELD_BYTES = 4 << 20
_MOST_LOOKED_UP_BYTES = 256 << 10
_VARIABLES = f"timeline-variables {VERSION}"


@dataclass(frozen=True, slots=True, eq=False)
class Listed:
    """The variables of one checkpoint.

    checksums: int64, -1 where a variable has none. rows: key to position.
    """

    variables: tuple[Variable, ...]
    checksums: NDArray[np.int64]
    rows: dict[str, int]

    @classmethod
    def of(cls, variables: tuple[Variable, ...], checksums: NDArray[np.int64]) -> Listed:
        rows = {variable.key: row for row, variable in enumerate(variables)}
        return cls(variables, checksums, rows)


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """What is remembered of one checkpoint: a row of `points` that was not measured is NaN."""

    listed: Listed
    points: NDArray[np.float64]


class TimelineCache:
    """Reads and keeps what timelines measure. Nothing is raised: what is wrong is not there."""

    def __init__(
        self,
        cache: Cache | None,
        settle_seconds: float = SETTLE_SECONDS,
        hold_seconds: float = 0.0,
    ) -> None:
        """
        settle_seconds: what was written less long ago is not remembered.
        hold_seconds: what is kept may wait so long for more, to be written in one; who asks for
            that has to `flush` in the end.
        """
        self._cache = cache
        self._settle_seconds = settle_seconds
        self._hold_seconds = hold_seconds
        self._looked_up: dict[str, dict[str, bytes]] = {}
        self._held: dict[str, dict[str, bytes]] = {}
        self._held_bytes = 0
        self._held_since = 0.0
        self._encoded: tuple[tuple[Variable, ...], str, bytes] | None = None
        self._decoded: tuple[str, tuple[Variable, ...]] | None = None

    def look_up(self, entries: Iterable[CheckpointEntry]) -> None:
        """Ask for what is remembered of these at once, in the place of the last that were."""
        if self._cache is not None:
            identities = map(_identity, entries)
            self._looked_up = self._cache.get_all(identities, _MOST_LOOKED_UP_BYTES)

    def get(
        self, entry: CheckpointEntry, before: CheckpointEntry | None
    ) -> tuple[Stored | None, NDArray[np.float64] | None]:
        """What is remembered of `entry`, and of it beside `before`."""
        if self._cache is None:
            return None, None
        pair = _pair_key(before)
        identity = _identity(entry)
        found = self._looked_up.pop(identity, None)
        if found is None:
            found = self._cache.get_many(identity, ("head", "points", pair))
        try:
            stored = self._stored(found)
            rows = len(stored.points) if stored else 0
            pairs = _array(found[pair], rows, PAIR_FIELDS) if stored and pair in found else None
        except (zlib.error, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None, None
        return stored, pairs

    def _stored(self, found: dict[str, bytes]) -> Stored | None:
        if "head" not in found or "points" not in found or self._cache is None:
            return None
        head = zlib.decompress(found["head"])
        digest = head[:40].decode("ascii")
        variables = self._variables(digest)
        if variables is None:
            return None
        checksums = np.frombuffer(head, "<i8", -1, 40).astype(np.int64)
        points = _array(found["points"], len(variables), POINT_FIELDS)
        if len(checksums) != len(variables):
            return None
        return Stored(Listed.of(variables, checksums), points)

    def _variables(self, digest: str) -> tuple[Variable, ...] | None:
        """The table of variables of that digest; mostly that of the checkpoint before."""
        assert self._cache is not None
        if self._decoded is None or self._decoded[0] != digest:
            data = self._cache.get_many(_VARIABLES, (digest,)).get(digest)
            if data is None:
                return None
            self._decoded = digest, _decoded(data)
        return self._decoded[1]

    def keep(
        self,
        entry: CheckpointEntry,
        before: CheckpointEntry | None,
        listed: Listed,
        points: NDArray[np.float64],
        pairs: NDArray[np.float64] | None,
    ) -> None:
        """Remember what was measured; not where the files were, or are just being, changed."""
        if self._cache is None or not self._is_settled(entry):
            return
        digest, table = self._table_of(listed.variables)
        head = digest.encode() + listed.checksums.astype("<i8").tobytes()
        values = {"head": _packed(head), "points": _packed(points.astype("<f8").tobytes())}
        if pairs is not None:
            values[_pair_key(before)] = _packed(pairs.astype("<f8").tobytes())
        if not self._held:
            self._held_since = time.monotonic()
        self._held.setdefault(_VARIABLES, {})[digest] = table
        self._held[_identity(entry)] = values
        self._held_bytes += sum(map(len, values.values()))
        waited = time.monotonic() - self._held_since
        if waited >= self._hold_seconds or self._held_bytes > _MOST_HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is held back."""
        if self._cache is not None and self._held:
            self._cache.put_all(self._held)
        self._held, self._held_bytes = {}, 0

    def _table_of(self, variables: tuple[Variable, ...]) -> tuple[str, bytes]:
        """Digest and bytes of a table of variables; mostly that of the checkpoint before."""
        if self._encoded is None or self._encoded[0] != variables:
            table = _encoded(variables)
            digest = hashlib.blake2b(table, digest_size=20).hexdigest()
            self._encoded = variables, digest, table
        return self._encoded[1:]

    def _is_settled(self, entry: CheckpointEntry) -> bool:
        newest = max((max(s.modified_ns, s.changed_ns) for s in entry.files), default=0) / 1e9
        if time.time() - newest <= self._settle_seconds:
            return False
        try:
            return all(state_of(state.path) == state for state in entry.files)
        except OSError:
            return False


def _identity(entry: CheckpointEntry) -> str:
    return f"timeline {VERSION} {entry.signature}"


def _pair_key(before: CheckpointEntry | None) -> str:
    return f"pair {before.signature}" if before else "alone"


def _packed(data: bytes) -> bytes:
    """Deflated, where that saves more than it costs."""
    return zlib.compress(data, _LEVEL if len(data) > _FEW_BYTES else 0)


def _array(data: bytes, rows: int, columns: int) -> NDArray[np.float64]:
    """Raises ValueError where it is not of this size."""
    flat = np.frombuffer(zlib.decompress(data), "<f8").astype(np.float64)
    return flat.reshape(rows, columns)


def _encoded(variables: tuple[Variable, ...]) -> bytes:
    return zlib.compress(json.dumps(variables).encode(), _LEVEL)


@lru_cache(maxsize=4)
def _decoded(data: bytes) -> tuple[Variable, ...]:
    return tuple(
        Variable(
            key=key,
            name=name,
            dtype=dtype,
            shape=tuple(shape),
            stored_bytes=stored_bytes,
            role=Role(role),
            slot_of=slot_of,
            slot_name=slot_name,
            trainable=trainable,
            object_path=object_path,
            shard=shard,
        )
        for key, name, dtype, shape, stored_bytes, role, slot_of, slot_name, trainable,
        object_path, shard in json.loads(zlib.decompress(data))
    )  # fmt: skip
