"""Writing tables of sorted keys, byte for byte as TensorFlow writes them without compression.

Source of the format: tensorflow/core/lib/io (table_builder.cc, block_builder.cc), and `sstable`
beside this file, which reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ckptviewer.formats.sstable import FOOTER_BYTES, MAGIC, Entry, masked_crc32c

BLOCK_BYTES = 1 << 18
"""TensorFlow closes a block once it has reached this size."""

RESTART_INTERVAL = 16
"""Every so many entries a key is spelled out, so that a reader may begin there."""


def table_parts(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The bytes of the table of `entries`, in pieces of about a block each.

    Keys must ascend bytewise, without repetition; raises ValueError where they do not.
    """
    handles: list[Entry] = []
    written = 0
    block = _Block(RESTART_INTERVAL)
    finished: tuple[bytes, bytes] | None = None  # last key and handle of the block before
    last: bytes | None = None
    for key, value in entries:
        if last is not None and key <= last:
            raise ValueError("the keys of a table ascend")
        if finished is not None:
            handles.append((_separator(finished[0], key), finished[1]))
            finished = None
        block.add(key, value)
        last = key
        if block.size >= BLOCK_BYTES:
            content = block.finish()
            finished = (key, _handle(written, len(content)))
            part = _sealed(content)
            written += len(part)
            yield part
            block = _Block(RESTART_INTERVAL)
    if last is not None and block.count:
        content = block.finish()
        finished = (last, _handle(written, len(content)))
        part = _sealed(content)
        written += len(part)
        yield part
    if finished is not None:
        handles.append((_successor(finished[0]), finished[1]))
    yield _ending(handles, written)


def varint(value: int) -> bytes:
    """`value`, not negative, in groups of seven bits, the lowest first."""
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


class _Block:
    """A block being built: entries that share the beginnings of their keys."""

    def __init__(self, restart_interval: int) -> None:
        self.count = 0
        self._interval = restart_interval
        self._data = bytearray()
        self._restarts = [0]
        self._last = b""

    @property
    def size(self) -> int:
        """What it would take if it were finished now, in bytes."""
        return len(self._data) + 4 * len(self._restarts) + 4

    def add(self, key: bytes, value: bytes) -> None:
        shared = 0
        if self.count % self._interval:
            shared = _shared(self._last, key)
        elif self.count:
            self._restarts.append(len(self._data))
        self._data += varint(shared) + varint(len(key) - shared) + varint(len(value))
        self._data += key[shared:]
        self._data += value
        self._last = key
        self.count += 1

    def finish(self) -> bytes:
        restarts = b"".join(each.to_bytes(4, "little") for each in self._restarts)
        return bytes(self._data) + restarts + len(self._restarts).to_bytes(4, "little")


def _ending(handles: list[Entry], written: int) -> bytes:
    """The empty block of meta data, the block of handles, and the footer."""
    metaindex = _Block(RESTART_INTERVAL).finish()
    index = _Block(1)
    for key, handle in handles:
        index.add(key, handle)
    content = index.finish()
    sealed = _sealed(metaindex)
    footer = _handle(written, len(metaindex)) + _handle(written + len(sealed), len(content))
    return sealed + _sealed(content) + footer.ljust(FOOTER_BYTES - len(MAGIC), b"\0") + MAGIC


def _sealed(content: bytes) -> bytes:
    """A block with its trailer: no compression, and the checksum."""
    content += b"\0"
    return content + masked_crc32c(content).to_bytes(4, "little")


def _handle(offset: int, size: int) -> bytes:
    return varint(offset) + varint(size)


def _shared(one: bytes, other: bytes) -> int:
    """How many bytes both begin with."""
    size = min(len(one), len(other))
    if one[:size] == other[:size]:
        return size
    return next(position for position in range(size) if one[position] != other[position])


def _separator(low: bytes, high: bytes) -> bytes:
    """A short key that is at least `low` and less than `high`."""
    shared = _shared(low, high)
    if shared < min(len(low), len(high)):
        byte = low[shared]
        if byte < 0xFF and byte + 1 < high[shared]:
            return low[:shared] + bytes((byte + 1,))
    return low


def _successor(key: bytes) -> bytes:
    """A short key that is at least `key`."""
    for position, byte in enumerate(key):
        if byte != 0xFF:
            return key[:position] + bytes((byte + 1,))
    return key
