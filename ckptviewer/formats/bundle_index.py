"""The index of a V2 tensor bundle: its header, and an entry for each variable and slice.

Source of the format: tensorflow/core/protobuf/tensor_bundle.proto. The messages are taken apart by
hand here, since an index may hold a million of them and this is the hot path of opening a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ckptviewer.checkpoint.dtypes import BY_NUMBER
from ckptviewer.checkpoint.errors import DamagedFileError
from ckptviewer.formats.ordered_code import Extent
from ckptviewer.formats.sstable import Entry, read_varint

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
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
    slices: tuple[tuple[Extent, ...], ...] = ()


def parse_header(value: bytes) -> Header:
    """The header, which stands under the empty key. Raises DamagedFileError."""
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


def parse_entries(pairs: Sequence[Entry]) -> list[BundleEntry]:
    """The entries for the values of `pairs`, in order. Raises DamagedFileError.

    An entry begins with its dtype and its shape, and few pairs of these occur in a checkpoint: so
    those bytes are looked up, and only the numbers behind them are taken apart.
    """
    known: dict[bytes, tuple[str, tuple[int, ...]]] = {}
    entries: list[BundleEntry] = []
    append = entries.append
    new = BundleEntry.__new__
    for key, value in pairs:
        try:
            end = value[3] + 4
            if value[0] != 0x08 or value[2] != 0x12 or value[1] | value[3] >= 0x80:
                append(_parse_entry(value))
                continue
            start = value[:end]
            described = known.get(start)
            if described is None:
                entry = _parse_entry(start)
                described = known[start] = (entry.dtype, entry.shape)
            shard = offset = size = checksum = 0
            length = len(value)
            while end < length:
                tag = value[end]
                end += 1
                if tag == 0x35:
                    if end + 4 > length:
                        raise DamagedFileError("a checksum runs beyond its record")
                    checksum = int.from_bytes(value[end : end + 4], "little")
                    end += 4
                    continue
                number = value[end]
                end += 1
                if number >= 0x80:
                    number, end = read_varint(value, end - 1)
                if tag == 0x20:
                    offset = number
                elif tag == 0x28:
                    size = number
                elif tag == 0x18:
                    shard = number
                else:
                    break
            else:
                append(new(BundleEntry, *described, shard, offset, size, checksum))
                continue
            append(_parse_entry(value))
        except (DamagedFileError, IndexError) as error:
            what = error.what if isinstance(error, DamagedFileError) else "it ends too early"
            raise DamagedFileError(f"the entry of {key!r} is damaged: {what}") from error
    return entries


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
        raise DamagedFileError("it names no dtype")
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
    position = 0
    while position < len(data):
        tag, position = read_varint(data, position)
        wire = tag & 7
        if wire == _VARINT:
            value, position = read_varint(data, position)
            yield tag >> 3, value
            continue
        size = 8 if wire == _FIXED64 else 4
        if wire == _LENGTH:
            size, position = read_varint(data, position)
        elif wire not in (_FIXED32, _FIXED64):
            raise DamagedFileError(f"it has a field of unknown wire type {wire}")
        content = data[position : position + size]
        if len(content) != size:
            raise DamagedFileError("a field runs beyond its record")
        position += size
        yield tag >> 3, content if wire == _LENGTH else int.from_bytes(content, "little")
