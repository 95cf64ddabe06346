"""Several files in one input: their lengths, clamped to what is there, then their bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence


def join_parts(parts: Sequence[bytes]) -> bytes:
    """All but the last with its length in front."""
    return b"".join(struct.pack("<H", len(p)) + p for p in parts[:-1]) + parts[-1]


def split_parts(data: bytes, count: int) -> list[bytes]:
    """The `count` parts of an input, whatever its bytes are: lengths are at most what is there."""
    parts = []
    for _ in range(count - 1):
        length = int.from_bytes(data[:2], "little")
        parts.append(data[2 : 2 + length])
        data = data[2 + length :]
    return [*parts, data]
