"""Protobuf messages taken apart field by field, in memory or in a file, without a schema.

Source of the encoding: protobuf's "Encoding" guide. For messages that are mostly skipped (a graph
of gigabytes) or mostly bulk (the values of a tensor), which no generated class should copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ckptviewer.checkpoint.errors import DamagedFileError
from ckptviewer.storage.byte_source import ByteSource

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
_LARGEST_TAG = 0xFFFFFFFF
_WINDOW_BYTES = 1 << 16


class Span(NamedTuple):
    """A length-delimited field in a source: its number, and where its content begins and ends."""

    number: int
    start: int
    stop: int


def varint(data: memoryview | bytes, position: int) -> tuple[int, int]:
    """The varint at `position`, modulo 2**64, and the position behind it.

    Raises DamagedFileError.
    """
    if position < len(data) and data[position] < 0x80:  # nearly all are that small
        return data[position], position + 1
    value = 0
    for shift in range(0, 7 * _LONGEST_VARINT, 7):
        if position >= len(data):
            raise DamagedFileError("a number runs beyond its record")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
    raise DamagedFileError("a number has more than 64 bits")


def fields(message: memoryview) -> Iterator[tuple[int, int, int, memoryview]]:
    """Number, wire type, number's value and content of each field of a message.

    Of value and content, one means something: the content where the wire type is LENGTH.
    Raises DamagedFileError.
    """
    position, size = 0, len(message)
    nothing = message[:0]
    while position < size:
        tag, position = varint(message, position)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, position = varint(message, position)
            yield number, wire, value, nothing
            continue
        if wire == LENGTH:
            length, position = varint(message, position)
        elif wire in (FIXED32, FIXED64):
            length = 4 if wire == FIXED32 else 8
        else:
            raise DamagedFileError(f"a field is of unknown wire type {wire}")
        if length > size - position:
            raise DamagedFileError("a field runs beyond its record")
        content = message[position : position + length]
        position += length
        if wire == LENGTH:
            yield number, wire, 0, content
        else:
            yield number, wire, int.from_bytes(content, "little"), nothing


def signed(value: int) -> int:
    """A varint's value as the signed 64-bit integer that it may stand for."""
    return value - (1 << 64) if value >= 1 << 63 else value


def spans(
    source: ByteSource, start: int, stop: int, *, most_fields: int = 1 << 62
) -> Iterator[Span]:
    """The length-delimited fields of the message in `source` from `start` to `stop`.

    Their contents are not read. most_fields: of any kind, as no such message has more.
    Raises DamagedFileError (TruncatedFileError where a field reaches beyond the message), and what
    reading raises.
    """
    position, window_start, window = start, start, b""
    count = 0
    while position < stop:
        count += 1
        if count > most_fields:
            raise DamagedFileError(f"it has more than {most_fields:,} fields", where=source.name)
        if position + 2 * _LONGEST_VARINT > window_start + len(window):
            window_start = position
            window = source.read(position, min(_WINDOW_BYTES, stop - position))
        tag, at = varint(window, position - window_start)
        if tag > _LARGEST_TAG:  # some readers would take it for another field
            raise DamagedFileError(f"there is no field at byte {position:,}", where=source.name)
        wire = tag & 7
        length = 0
        if wire == VARINT:
            _, at = varint(window, at)
        elif wire == LENGTH:
            length, at = varint(window, at)
        elif wire in (FIXED32, FIXED64):
            length = 4 if wire == FIXED32 else 8
        else:
            raise DamagedFileError(
                f"a field is of unknown wire type {wire} at byte {position:,}", where=source.name
            )
        content = window_start + at
        position = content + length
        if position > stop:
            source.require(content, length)  # the truer word where the file itself ends
            raise DamagedFileError(
                f"a field runs beyond its record at byte {content:,}", where=source.name
            )
        if wire == LENGTH:
            yield Span(tag >> 3, content, position)
