"""TFRecord files by their framing, and the features of the first tf.train.Example in them.

Sources: tensorflow/core/lib/io/record_writer.h (length, its masked crc32c, the record, its masked
crc32c), tensorflow/core/example/example.proto and feature.proto.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from ckptviewer.checkpoint.errors import DamagedFileError, TruncatedFileError
from ckptviewer.formats.sstable import masked_crc32c
from ckptviewer.formats.wire import FIXED32, LENGTH, VARINT, fields
from ckptviewer.storage.byte_source import ByteSource

MOST_COUNTED = 1_000_000
_FRAME_BYTES = 12
_TAIL_BYTES = 4
_LARGEST_EXAMPLE = 64 << 20
_UNPACKED_BYTES = 64 << 20
_PACKED_READ_BYTES = 64 << 20
_REMEDY = "Copy the file again; was it written with a compression, then say which."
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM")
_PICTURE_BYTES = 4
_KINDS = {1: "string", 2: "float32", 3: "int64"}


@dataclass(frozen=True, slots=True)
class FoundFeature:
    """A feature of an example. count: how many values the first example has of it.

    picture: whether the first of them is an encoded picture.
    """

    name: str
    dtype: str
    count: int
    picture: bool = False


@dataclass(frozen=True, slots=True)
class Records:
    """What a TFRecord file holds.

    count: of its records; None where it is compressed or has too many to be counted.
    compression: "", "GZIP" or "ZLIB". features: of the first record; None where that is no
    tf.train.Example.
    """

    count: int | None
    compression: str
    features: tuple[FoundFeature, ...] | None


def read_records(source: ByteSource) -> Records:
    """What the file holds; every frame is checked, and the first record's bytes.

    Raises DamagedFileError, TruncatedFileError, and what reading raises.
    """
    if source.size == 0:
        return Records(0, "", None)
    head = source.read(0, min(source.size, _FRAME_BYTES))
    compression = _compression(head)
    if compression:
        data = _unpacked(source, compression)
        record = _record(data, source.name)
        return Records(None, compression, features_of(record))
    length = _length(head, 0, source)
    if length > _LARGEST_EXAMPLE:
        raise _damaged(source, f"its first record has {length:,} bytes")
    source.require(0, _FRAME_BYTES + length + _TAIL_BYTES)
    record = _record(source.read(0, _FRAME_BYTES + length + _TAIL_BYTES), source.name)
    return Records(_count(source), "", features_of(record))


def _compression(head: bytes) -> str:
    if len(head) >= _FRAME_BYTES and _crc_fits(head):
        return ""
    if head[:2] == b"\x1f\x8b":
        return "GZIP"
    if len(head) > 1 and head[0] & 0x0F == 8 and int.from_bytes(head[:2], "big") % 31 == 0:
        return "ZLIB"
    return ""


def _crc_fits(frame: bytes) -> bool:
    return masked_crc32c(frame[:8]) == int.from_bytes(frame[8:_FRAME_BYTES], "little")


def _length(frame: bytes, offset: int, source: ByteSource) -> int:
    if len(frame) < _FRAME_BYTES:
        raise TruncatedFileError(
            f"it ends in the middle of a record at byte {offset:,}",
            where=source.name,
            remedy=_REMEDY,
        )
    if not _crc_fits(frame):
        raise _damaged(source, f"there is no record at byte {offset:,}: its length is damaged")
    return int.from_bytes(frame[:8], "little")


def _count(source: ByteSource) -> int | None:
    offset = count = 0
    while offset < source.size:
        if count == MOST_COUNTED:
            return None
        frame = source.read(offset, min(_FRAME_BYTES, source.size - offset))
        end = offset + _FRAME_BYTES + _length(frame, offset, source) + _TAIL_BYTES
        if end > source.size:
            raise TruncatedFileError(
                f"record {count + 1} ends at byte {end:,}, and the file at {source.size:,}",
                where=source.name,
                remedy=_REMEDY,
            )
        offset = end
        count += 1
    return count


def _unpacked(source: ByteSource, compression: str) -> bytes:
    """The first megabytes of what a compressed file holds."""
    unpack = zlib.decompressobj(31 if compression == "GZIP" else 15)
    packed = source.read(0, min(source.size, _PACKED_READ_BYTES))
    try:
        data = unpack.decompress(packed, _FRAME_BYTES)
        if len(data) == _FRAME_BYTES and _crc_fits(data):
            wanted = int.from_bytes(data[:8], "little") + _TAIL_BYTES
            if wanted <= _UNPACKED_BYTES:
                data += unpack.decompress(unpack.unconsumed_tail, wanted)
    except zlib.error as error:
        raise _damaged(source, f"it cannot be unpacked: {error}") from error
    return data


def _record(data: bytes, name: str) -> bytes:
    """The first record in `data`, which begins with its frame."""
    if len(data) < _FRAME_BYTES or not _crc_fits(data):
        raise DamagedFileError("it does not begin with a record", where=name, remedy=_REMEDY)
    end = _FRAME_BYTES + int.from_bytes(data[:8], "little")
    record, tail = data[_FRAME_BYTES:end], data[end : end + _TAIL_BYTES]
    if len(tail) < _TAIL_BYTES:
        raise TruncatedFileError("its first record is cut short", where=name, remedy=_REMEDY)
    if masked_crc32c(record) != int.from_bytes(tail, "little"):
        raise DamagedFileError(
            "its first record does not match its checksum", where=name, remedy=_REMEDY
        )
    return record


def features_of(record: bytes) -> tuple[FoundFeature, ...] | None:
    """The features of a serialized tf.train.Example, by name; None where it is none."""
    found: dict[str, FoundFeature] = {}
    try:
        for number, wire, _, features in fields(memoryview(record)):
            if number != 1 or wire != LENGTH:
                return None
            for entry, entry_wire, _, pair in fields(features):
                if entry != 1 or entry_wire != LENGTH:
                    return None
                feature = _feature(pair)
                found[feature.name] = feature
    except (DamagedFileError, UnicodeDecodeError):
        return None
    return tuple(found[name] for name in sorted(found))


def _feature(pair: memoryview) -> FoundFeature:
    name, dtype, count, first = "", "", 0, b""
    for number, _, _, content in fields(pair):
        if number == 1:
            name = bytes(content).decode("utf-8")
        elif number == 2:
            for kind, _, _, values in fields(content):
                dtype = _KINDS.get(kind, "")
                count = 0
                for each in fields(values):
                    count += _values(dtype, *each)
                    if count == 1 and dtype == "string":
                        first = bytes(each[3][:_PICTURE_BYTES])
    return FoundFeature(name, dtype, count, first.startswith(_PICTURES))


def _values(dtype: str, number: int, wire: int, value: int, content: memoryview) -> int:
    """How many values one field of a list holds: one, or packed ones."""
    if number != 1:
        return 0
    if wire != LENGTH or dtype == "string":
        return int(wire in (LENGTH, VARINT, FIXED32))
    if dtype == "float32":
        return len(content) // 4
    return sum(byte < 0x80 for byte in content)


def _damaged(source: ByteSource, what: str) -> DamagedFileError:
    return DamagedFileError(what, where=source.name, remedy=_REMEDY)
