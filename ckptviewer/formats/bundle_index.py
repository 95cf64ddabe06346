"""The index of a V2 tensor bundle: its header, and an entry for each variable and slice.

Source of the format: tensorflow/core/protobuf/tensor_bundle.proto. The messages are taken apart by
hand here, since an index may hold a million of them and this is the hot path of opening a file.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from ckptviewer.checkpoint.dtypes import BY_NAME, BY_NUMBER
from ckptviewer.checkpoint.errors import DamagedFileError
from ckptviewer.formats.ordered_code import Extent
from ckptviewer.formats.sstable import Entry
from ckptviewer.formats.wire import LENGTH, fields

if TYPE_CHECKING:
    import numpy as np

Slices = tuple[tuple[Extent, ...], ...]
Described = tuple[str, tuple[int, ...]]
Key = TypeVar("Key", bytes, str)
NewKey = TypeVar("NewKey", bytes, str)

_LARGEST_NUMBER = 1 << 56
_USUAL_HEADER_BYTES = 64
_LARGEST_RANK = 254  # TensorShape::MaxDimensions


class Header(NamedTuple):
    """Number of data files, byte order of the values, and the version of the writer's format."""

    shards: int
    big_endian: bool
    version: int


class BundleEntry(NamedTuple):
    """What the index says of one tensor, or of one slice of a partitioned variable.

    dtype: TensorFlow's name. shape: of the tensor (of the slice, for a slice).
    shard, offset, size: which data file, from which byte on, how many bytes.
    checksum: masked crc32c of the stored bytes.
    slices: for a partitioned variable the extents of its slices, which have entries of their own.
    """

    dtype: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    slices: Slices = ()


class Numbers(NamedTuple):
    """A column of int64 for each number of the entries."""

    shards: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    checksums: np.ndarray


def parse_header(value: bytes) -> Header:
    """The header, which stands under the empty key. Raises DamagedFileError."""
    # Those of all saves of a training are equal; what is no usual header is not remembered.
    return _usual_header(value) if len(value) <= _USUAL_HEADER_BYTES else _parse_header(value)


def _parse_header(value: bytes) -> Header:
    shards, big_endian, version = 0, False, 0
    for number, field in _fields(value):
        if number == 1 and isinstance(field, int):
            shards = field
        elif number == 2 and isinstance(field, int):
            big_endian = field == 1
        elif number == 3 and isinstance(field, bytes):
            version = next((v for n, v in _fields(field) if n == 1 and isinstance(v, int)), 0)
    if not 1 <= shards < 100_000:
        raise DamagedFileError(f"its header says that it has {shards} data files")
    return Header(shards, big_endian, version)


_usual_header = lru_cache(maxsize=16)(_parse_header)


class EntryTable(Mapping[Key, BundleEntry], Generic[Key]):
    """The entries of an index by key, kept as columns: a million of them stay small and quick.

    descriptions: dtype and shape of each; sizes, shards, offsets, checksums: int64 arrays.
    """

    def __init__(
        self,
        keys: Sequence[Key],
        descriptions: Sequence[Described],
        numbers: Numbers,
        sliced: Mapping[int, Slices],
    ) -> None:
        """`sliced` has the extents of slices for the rows that are partitioned variables."""
        self.descriptions = descriptions
        self.numbers = numbers
        self._rows: dict[Key, int] = dict(zip(keys, range(len(keys)), strict=True))
        if len(self._rows) != len(keys):
            raise DamagedFileError("the same key stands in it more than once")
        self._sliced = sliced
        self._plain: list[np.ndarray] = []

    def __getitem__(self, key: Key) -> BundleEntry:
        row = self._rows[key]
        dtype, shape = self.descriptions[row]
        shards, offsets, sizes, checksums = self.numbers
        return BundleEntry(
            dtype,
            shape,
            shards.item(row),
            offsets.item(row),
            sizes.item(row),
            checksums.item(row),
            self._sliced.get(row, ()),
        )

    def __iter__(self) -> Iterator[Key]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self, keys: Iterable[Key]) -> list[int]:
        """Where the keys stand in the columns; -1 for those that do not."""
        return [self._rows.get(key, -1) for key in keys]

    @property
    def plain(self) -> np.ndarray:
        """For each row whether its values lie in one piece, of the length that its shape needs."""
        if not self._plain:  # told once for all tables that differ in checksums alone
            self._plain.append(_plain(self.descriptions, self.numbers.sizes, self._sliced))
        return self._plain[0]

    @property
    def has_sliced(self) -> bool:
        """Whether partitioned variables are among them."""
        return bool(self._sliced)

    def sliced(self) -> Iterator[tuple[int, Key, BundleEntry]]:
        """Row, key and entry of each partitioned variable."""
        keys = list(self._rows) if self._sliced else []
        return ((row, keys[row], self[keys[row]]) for row in self._sliced)

    def with_checksums(self, checksums: np.ndarray) -> EntryTable[Key]:
        """The same entries with other checksums; all else is shared."""
        table = copy(self)
        table.numbers = self.numbers._replace(checksums=checksums)
        return table

    def arranged(self, keys: Sequence[NewKey], rows: Sequence[int]) -> EntryTable[NewKey]:
        """A table of some rows, in the order of `rows`, under the names `keys`."""
        import numpy as np

        place = {row: number for number, row in enumerate(rows)} if self._sliced else {}
        sliced = {place[row]: value for row, value in self._sliced.items() if row in place}
        descriptions = [self.descriptions[row] for row in rows]
        at = np.array(rows, np.intp)
        return EntryTable(keys, descriptions, Numbers(*(c[at] for c in self.numbers)), sliced)


def _plain(
    descriptions: Sequence[Described], sizes: np.ndarray, sliced: Container[int]
) -> np.ndarray:
    import numpy as np

    def is_plain(row: int, size: int) -> bool:
        dtype, shape = descriptions[row]
        known = BY_NAME.get(dtype)
        if row in sliced or known is None or not known.item_bytes:
            return False
        return 0 < size == prod(shape) * known.item_bytes

    return np.array([is_plain(row, size) for row, size in enumerate(sizes.tolist())], bool)


class Parsed(NamedTuple):
    """The entries of an index, and for each whether its record ends with its checksum."""

    table: EntryTable[bytes]
    end_in_checksum: np.ndarray


def parse_entries(pairs: Sequence[Entry]) -> EntryTable[bytes]:
    """The entries for the values of `pairs`, by their keys. Raises DamagedFileError."""
    return parse_records([key for key, _ in pairs], [value for _, value in pairs]).table


def parse_records(keys: Sequence[bytes], values: Sequence[bytes]) -> Parsed:
    """As `parse_entries`, with what is to be known of the records themselves.

    An entry begins with dtype and shape, and few pairs of these occur in a checkpoint: those bytes
    are looked up. The numbers behind them are taken apart for all entries at once. What does not
    look like the usual entry (slices, unknown fields) is parsed by itself.
    """
    import numpy as np

    lengths = np.fromiter(map(len, values), np.int64, len(values))
    ends = np.cumsum(lengths)
    data = np.frombuffer(b"".join(values) + bytes(16), np.uint8)
    starts = ends - lengths
    shape_bytes = data[starts + 3].astype(np.int64)
    usual = (data[starts] == 0x08) & (data[starts + 2] == 0x12)
    usual &= (data[starts + 1] < 0x80) & (shape_bytes < 0x80) & (lengths >= 4 + shape_bytes)
    numbers, position, summed = _parse_numbers(
        data, np.minimum(starts + 4 + shape_bytes, ends), ends
    )
    usual &= position == ends

    described = _Described({b"": ("", ())})
    widths = np.where(usual, 4 + shape_bytes, 0).tolist()
    try:
        starting = zip(values, widths, strict=True)
        descriptions = [described[value[:width]] for value, width in starting]
    except DamagedFileError:
        for key, value in zip(keys, values, strict=True):
            _named(key, value)  # raises with the right name
        raise
    sliced: dict[int, Slices] = {}
    for row in np.flatnonzero(~usual).tolist():
        entry = _named(keys[row], values[row])
        descriptions[row] = (entry.dtype, entry.shape)
        for column, number in zip(numbers, entry[2:6], strict=True):
            column[row] = number
        if entry.slices:
            sliced[row] = entry.slices
    return Parsed(EntryTable(keys, descriptions, numbers, sliced), usual & summed)


class _Described(dict[bytes, Described]):
    """The first bytes of an entry to its dtype and shape; parsed once each."""

    def __missing__(self, start: bytes) -> Described:
        entry = _parse_entry(start)
        described = self[start] = (entry.dtype, entry.shape)
        return described


def _parse_numbers(
    data: np.ndarray, position: np.ndarray, ends: np.ndarray
) -> tuple[Numbers, np.ndarray, np.ndarray]:
    """Shard, offset, size and checksum of all entries, where each ended, and which have the last.

    Only fields that stand in ascending order are taken; a position short of its end says that there
    is something else. Numbers of more than 8 bytes stop the parse, too: no file is that large.
    """
    import numpy as np

    columns = []
    for tag in (0x18, 0x20, 0x28):
        column = np.zeros(len(position), np.int64)
        rows = np.flatnonzero((position < ends) & (data[position] == tag))
        at = position[rows] + 1
        for shift in range(0, 56, 7):
            if not rows.size:
                break
            byte = data[at].astype(np.int64)
            column[rows] |= (byte & 0x7F) << shift
            at += 1
            done = byte < 0x80
            position[rows[done]] = at[done]
            rows, at = rows[~done], at[~done]
        columns.append(column)
    summed = (position + 5 <= ends) & (data[position] == 0x35)
    rows = np.flatnonzero(summed)
    checksum = np.zeros(len(position), np.int64)
    for byte_number in range(4):
        byte = data[position[rows] + 1 + byte_number].astype(np.int64)
        checksum[rows] |= byte << (8 * byte_number)
    position[rows] += 5
    shards, offsets, sizes = columns
    return Numbers(shards, offsets, sizes, checksum), position, summed


def _named(key: bytes, value: bytes) -> BundleEntry:
    try:
        return _parse_entry(value)
    except DamagedFileError as error:
        raise DamagedFileError(f"the entry of {key!r} is damaged: {error.what}") from error


def _parse_entry(value: bytes) -> BundleEntry:
    dtype = ""
    shape: tuple[int, ...] = ()
    shard = offset = size = checksum = 0
    slices: list[tuple[Extent, ...]] = []
    for number, field in _fields(value):
        if isinstance(field, bytes):
            if number == 2:
                shape = _parse_shape(field)
            elif number == 7:
                slices.append(_parse_slice(field))
        elif number == 1:
            known = BY_NUMBER.get(field)
            dtype = known.name if known else f"dtype-{field}"
        elif number == 3:
            shard = field
        elif number == 4:
            offset = field
        elif number == 5:
            size = field
        elif number == 6:
            checksum = field
    if not dtype:
        raise DamagedFileError("an entry names no dtype")
    if max(offset, size, shard) >= _LARGEST_NUMBER:
        raise DamagedFileError("an entry points to where no file reaches")
    return BundleEntry(dtype, shape, shard, offset, size, checksum, tuple(slices))


def _parse_shape(data: bytes) -> tuple[int, ...]:
    sizes = []
    for number, field in _fields(data):
        if number == 2 and isinstance(field, bytes):
            size = next((v for n, v in _fields(field) if n == 1 and isinstance(v, int)), 0)
            if size >= 1 << 63:
                raise DamagedFileError("an axis has a negative size")
            sizes.append(size)
    if len(sizes) > _LARGEST_RANK:
        raise DamagedFileError(f"it has {len(sizes)} axes")
    return tuple(sizes)


def _parse_slice(data: bytes) -> tuple[Extent, ...]:
    extents = []
    for number, field in _fields(data):
        if number == 1 and isinstance(field, bytes):
            parts = {n: v for n, v in _fields(field) if isinstance(v, int)}
            extents.append((parts.get(1, 0), parts.get(2, -1)))
    return tuple(extents)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and content of each field of a protobuf message. Raises DamagedFileError."""
    for number, wire, value, content in fields(memoryview(data)):
        yield number, bytes(content) if wire == LENGTH else value
