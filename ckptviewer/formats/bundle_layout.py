"""What the records of an index say but for checksums, taken apart once for all saves of a run.

A training saves other values under the same names again and again: of two such indexes all bytes
are equal but those of the checksums. They are compared, and what is equal is not parsed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ckptviewer.checkpoint.text import natural_keys
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.bundle_index import EntryTable, Parsed, parse_records
from ckptviewer.formats.sstable import Entry

if TYPE_CHECKING:
    import numpy as np

Key = TypeVar("Key", bytes, str)

LARGEST_REMEMBERED_BYTES = 512 << 10
"""Larger indexes are read block by block, and parsed each time: what is remembered takes ten times
the bytes or more."""

_MOST_RECORDS = 10_000
_MOST_REMEMBERED = 4


class Told(NamedTuple):
    """What was told of the variables of a layout, and by which serialized object graph.

    graph: None where names alone told it.
    """

    graph: bytes | None
    variables: tuple[Variable, ...]


class BundleLayout:
    """What all indexes have in common that differ in checksums alone.

    told: what was told last of its variables, unless that is large; None where nothing was.
    """

    def __init__(self, table: EntryTable[bytes]) -> None:
        """`table` has all records of one of the indexes, slices included."""
        self._table = table
        self.told: Told | None = None

    def remember(self, told: Told) -> Told:
        """Put it in the place of what was told before, and give it back. From any thread."""
        if len(told.graph or b"") <= LARGEST_REMEMBERED_BYTES:
            self.told = told
        return told

    @cached_property
    def needed_bytes(self) -> dict[int, int]:
        """How long each data file has to be.

        What is stored in slices has no bytes of its own, and its data file means nothing.
        """
        import numpy as np

        numbers = self._table.numbers
        own = np.ones(len(self._table), bool)
        own[[row for row, _, _ in self._table.sliced()]] = False
        shards, places = np.unique(numbers.shards[own], return_inverse=True)
        ends = np.zeros(len(shards), np.int64)
        np.maximum.at(ends, places, (numbers.offsets + numbers.sizes)[own])
        return dict(zip(shards.tolist(), ends.tolist(), strict=True))

    def entries(self, checksums: np.ndarray) -> EntryTable[str]:
        """The variables in natural order of their keys; `checksums` of all records."""
        table = self._entries[0]
        if checksums is self._table.numbers.checksums:
            return table
        return table.with_checksums(checksums[self._entry_rows])

    def slices(self, checksums: np.ndarray) -> EntryTable[bytes]:
        """The slices of partitioned variables by their encoded keys."""
        table, rows = self._slices
        return table.with_checksums(checksums[rows]) if rows else table

    @cached_property
    def _slices(self) -> tuple[EntryTable[bytes], list[int]]:
        raw = list(self._table)
        rows = [row for row, key in enumerate(raw) if key[:1] == b"\0"]
        return self._table.arranged([raw[row] for row in rows], rows), rows

    @cached_property
    def _entries(self) -> tuple[EntryTable[str], list[int]]:
        # Slices come first, since their keys begin with a zero byte. Keys are bytes to TensorFlow:
        # what is no UTF-8 must survive the way there and back.
        first = len(self._slices[1])
        keys = [key.decode("utf-8", "surrogateescape") for key in list(self._table)[first:]]
        sortable = natural_keys(keys)
        order = sorted(range(len(keys)), key=sortable.__getitem__)
        rows = [row + first for row in order]
        return self._table.arranged([keys[row] for row in order], rows), rows

    @cached_property
    def _entry_rows(self) -> np.ndarray:
        import numpy as np

        return np.array(self._entries[1], np.intp)


class Records(NamedTuple):
    """The records of one index. checksums: int64, in the index's order."""

    layout: BundleLayout
    checksums: np.ndarray


class _Pattern:
    """The records of an index, its checksums taken out, and their layout."""

    def __init__(self, keys: list[bytes], values: list[bytes], records: Parsed) -> None:
        import numpy as np

        self.layout = BundleLayout(records.table)
        self._keys = keys
        self._lengths = list(map(len, values))
        self._rows = np.flatnonzero(records.end_in_checksum)
        ends = np.cumsum(np.array(self._lengths, np.int64))[self._rows]
        self._places = ends[:, np.newaxis] + np.arange(-4, 0)
        self._checksums = records.table.numbers.checksums
        self._rest, _ = self._split(values)

    def matched(self, keys: list[bytes], values: list[bytes]) -> Records | None:
        """The records, if they are those of this pattern but for their checksums."""
        if keys != self._keys or list(map(len, values)) != self._lengths:
            return None
        rest, found = self._split(values)
        if rest != self._rest:
            return None
        checksums = self._checksums.copy()  # of other records the same, as all their bytes are
        checksums[self._rows] = found
        return Records(self.layout, checksums)

    def _split(self, values: list[bytes]) -> tuple[bytearray, np.ndarray]:
        """All bytes, with zeros in the place of checksums, and the checksums."""
        import numpy as np

        rest = bytearray().join(values)
        data = np.frombuffer(rest, np.uint8)
        found = data[self._places]
        data[self._places] = 0
        return rest, found.view("<u4").reshape(-1)


class _Recent:
    """The patterns of the indexes read last, the latest first; replaced whole, by any thread."""

    def __init__(self) -> None:
        self.patterns: tuple[_Pattern, ...] = ()

    def put_first(self, pattern: _Pattern) -> None:
        others = (each for each in self.patterns if each is not pattern)
        self.patterns = (pattern, *others)[:_MOST_REMEMBERED]


_recent = _Recent()


def read_records(pairs: Sequence[Entry]) -> Records:
    """What the records of an index say; its layout may be one that is known already.

    Raises DamagedFileError.
    """
    keys, values = [key for key, _ in pairs], [value for _, value in pairs]
    if len(keys) > _MOST_RECORDS or len(b"".join(keys + values)) > LARGEST_REMEMBERED_BYTES:
        parsed = parse_records(keys, values)
        return Records(BundleLayout(parsed.table), parsed.table.numbers.checksums)
    for place, pattern in enumerate(_recent.patterns):
        records = pattern.matched(keys, values)
        if records is not None:
            if place:
                _recent.put_first(pattern)
            return records
    parsed = parse_records(keys, values)
    pattern = _Pattern(keys, values, parsed)
    _recent.put_first(pattern)
    return Records(pattern.layout, parsed.table.numbers.checksums)
