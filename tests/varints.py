"""Varints, for tests that write protobuf and tables by hand; TensorFlow is not imported for it."""

from __future__ import annotations


def varint(value: int) -> bytes:
    """LEB128, as tables and protobuf have it, of any number that is not negative."""
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*data, value))
