"""OrderedCode: the byte strings under which slices of partitioned variables are stored.

Source of the encoding: tensorflow/core/lib/strings/ordered_code.h and
tensorflow/core/util/saved_tensor_slice_util.cc.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

Extent = tuple[int, int]
"""Start and length along one axis; (0, -1) means the whole axis."""

_ESCAPED = re.compile(rb"[\x00\xff]")
_HEADER_BITS = (
    (0, 0),
    (0x80, 0),
    (0xC0, 0),
    (0xE0, 0),
    (0xF0, 0),
    (0xF8, 0),
    (0xFC, 0),
    (0xFE, 0),
    (0xFF, 0),
    (0xFF, 0x80),
    (0xFF, 0xC0),
)


def encode_slice_key(name: str, extents: Sequence[Extent]) -> bytes:
    """The table key of the slice of the variable `name` that `extents` describe."""
    text = name.encode("utf-8", "surrogateescape")  # names are bytes to TensorFlow
    parts = [_unsigned(0), _string(text), _unsigned(len(extents))]
    for start, length in extents:
        parts += (_signed(start), _signed(length))
    return b"".join(parts)


def _string(text: bytes) -> bytes:
    return _ESCAPED.sub(_escape, text) + b"\x00\x01"


def _escape(match: re.Match[bytes]) -> bytes:
    return b"\x00\xff" if match.group() == b"\x00" else b"\xff\x00"


def _unsigned(value: int) -> bytes:
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes((len(data),)) + data


def _signed(value: int) -> bytes:
    magnitude = ~value if value < 0 else value
    length = magnitude.bit_length() // 7 + 1
    if length == 1:
        return bytes(((value & 0xFF) ^ 0x80,))
    data = bytearray(value.to_bytes(10, "big", signed=True)[10 - length :])
    first, second = _HEADER_BITS[length]
    data[0] ^= first
    data[1] ^= second
    return bytes(data)
