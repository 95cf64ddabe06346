"""Tables of sorted keys: the files in which TensorFlow keeps its indexes and V1 checkpoints.

Source of the format: tensorflow/core/lib/io (table_builder.cc, format.cc), which is LevelDB's.
A table is a sequence of blocks, each followed by one byte of compression type and a masked crc32c;
then an index block that holds a handle (offset, size) a block; then a footer of 48 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ckptviewer.checkpoint.errors import (
    ChecksumError,
    DamagedFileError,
    MissingLibraryError,
    TruncatedFileError,
)
from ckptviewer.storage.byte_source import ByteSource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOOTER_BYTES = 48
MAGIC = bytes.fromhex("57fb808b247547db")
_TRAILER_BYTES = 5
_NO_COMPRESSION, _SNAPPY = 0, 1
_MASK_OFFSET = 0xA282EAD8

# Writers spell out every 16th key: honest keys take at most 16 times their block, more where it is
# compressed. Without a limit a megabyte could stand for terabytes of keys.
_LARGEST_KEYS_RATIO = 64
_KEYS_ALLOWANCE = 1 << 20

# A Snappy copy of 3 bytes yields at most 64: no honest block grows more than this.
_SNAPPY_LARGEST_RATIO = 22

Entry = tuple[bytes, bytes]
"""A key and its value."""


class BlockHandle(NamedTuple):
    """Where a block lies: offset and size in bytes, its trailer not counted."""

    offset: int
    size: int


def is_table(source: ByteSource) -> bool:
    """Whether the source ends as a table does."""
    return source.size >= FOOTER_BYTES and source.read(source.size - len(MAGIC), 8) == MAGIC


def masked_crc32c(data: bytes | bytearray | memoryview, crc: int = 0) -> int:
    """The crc32c of `data`, continuing from `crc`, in the masked form in which it is stored."""
    from crc32c import crc32c

    return mask(crc32c(data, crc))


def mask(crc: int) -> int:
    """A crc as it is stored: rotated and offset, so that crcs of crcs are no weak spot."""
    return (((crc >> 15) | (crc << 17)) + _MASK_OFFSET) & 0xFFFFFFFF


def unmask(stored: NDArray[np.int64]) -> NDArray[np.int64]:
    """The crcs that are stored so: `mask` undone, for many at once."""
    rotated = (stored - _MASK_OFFSET) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """The varint at `position` and the position behind it. Raises DamagedFileError."""
    value = shift = 0
    while True:
        try:
            byte = data[position]
        except IndexError:
            raise DamagedFileError("a number runs beyond its record") from None
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise DamagedFileError("a number has more than 64 bits")


class Table:
    """A table, open for reading.

    Raises on opening: TruncatedFileError, DamagedFileError. Blocks are verified when read.
    """

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        if source.size < FOOTER_BYTES:
            raise TruncatedFileError(
                f"it has {source.size} bytes, and the footer alone takes {FOOTER_BYTES}",
                where=source.name,
                remedy="The file is cut short; copy it again.",
            )
        footer = source.read(source.size - FOOTER_BYTES, FOOTER_BYTES)
        if not footer.endswith(MAGIC):
            raise TruncatedFileError(
                "it does not end with a table's footer",
                where=source.name,
                remedy="The file is cut short or something else was appended; copy it again.",
            )
        _, position = self._handle(footer, 0)
        self.index, _ = self._handle(footer, position)

    def handles(self) -> list[BlockHandle]:
        """The handles of all data blocks, in order. Raises DamagedFileError.

        Blocks must follow one another without overlap, so that no small file can make us read
        the same bytes again and again.
        """
        handles = []
        end = 0
        for _, value in self.entries(self.index):
            handle, _ = self._handle(value, 0)
            if handle.offset < end:
                raise self._damaged(f"the block at byte {handle.offset:,} overlaps the one before")
            end = handle.offset + handle.size + _TRAILER_BYTES
            handles.append(handle)
        return handles

    def first(self) -> Entry | None:
        """The first key with its value, or None where there is none; raises as `entries` does.

        The checksum of its block is verified; what comes behind is not taken apart.
        """
        handles = self.handles()
        if not handles:
            return None
        where = f"{self.source.name}, block at {handles[0].offset:,}"
        return _first_of_block(self.block(handles[0]), where)

    def entries(self, handle: BlockHandle) -> list[Entry]:
        """Keys and values of one block, verified. Raises ChecksumError, DamagedFileError."""
        where = f"{self.source.name}, block at {handle.offset:,}"
        limit = _LARGEST_KEYS_RATIO * handle.size + _KEYS_ALLOWANCE
        return decode_block(self.block(handle), where, limit)

    def __iter__(self) -> Iterator[Entry]:
        """All keys and values in the order of the keys; raises at the first damaged block."""
        for handle in self.handles():
            yield from self.entries(handle)

    def block(self, handle: BlockHandle) -> bytes:
        """The content of a block: checksum verified, decompressed."""
        raw = self.source.read(handle.offset, handle.size + _TRAILER_BYTES)
        stored = int.from_bytes(raw[-4:], "little")
        content = memoryview(raw)[:-4]
        if masked_crc32c(content) != stored:
            raise ChecksumError(
                f"the block at byte {handle.offset:,} does not match its checksum",
                where=self.source.name,
                remedy="The file was damaged after it was written; copy it again.",
            )
        if raw[-5] == _NO_COMPRESSION:
            return raw[:-_TRAILER_BYTES]
        if raw[-5] == _SNAPPY:
            return self._decompress(raw[:-_TRAILER_BYTES], handle)
        raise self._damaged(f"the block at {handle.offset:,} has unknown compression {raw[-5]}")

    def _decompress(self, data: bytes, handle: BlockHandle) -> bytes:
        try:
            from cramjam import DecompressionError, snappy
        except ImportError as error:
            raise MissingLibraryError(
                "its index is compressed with Snappy, and no library reads that here",
                where=self.source.name,
                remedy="Install it with `pip install cramjam`.",
            ) from error
        length, _ = read_varint(data, 0)
        if length > _SNAPPY_LARGEST_RATIO * len(data) + 64:
            raise self._damaged(
                f"the block at byte {handle.offset:,} claims to grow from {len(data):,} "
                f"to {length:,} bytes"
            )
        try:
            content = bytes(snappy.decompress_raw(data))
        except (DecompressionError, ValueError) as error:
            raise self._damaged(
                f"the block at byte {handle.offset:,} cannot be decompressed"
            ) from error
        if len(content) != length:
            raise self._damaged(f"the block at byte {handle.offset:,} has not its stated length")
        return content

    def _handle(self, data: bytes, position: int) -> tuple[BlockHandle, int]:
        offset, position = read_varint(data, position)
        size, position = read_varint(data, position)
        if offset + size + _TRAILER_BYTES > self.source.size:
            raise TruncatedFileError(
                f"a block is said to end at byte {offset + size + _TRAILER_BYTES:,}, "
                f"and the file has {self.source.size:,}",
                where=self.source.name,
                remedy="The file is cut short or damaged; copy it again.",
            )
        return BlockHandle(offset, size), position

    def _damaged(self, what: str) -> DamagedFileError:
        return DamagedFileError(
            what, where=self.source.name, remedy="The file is damaged; copy it again."
        )


def decode_block(data: bytes, where: str, shared_bytes_limit: int = 1 << 62) -> list[Entry]:
    """Keys and values of a block's content. Raises DamagedFileError.

    shared_bytes_limit: how many bytes keys may take from the keys before them, all together.

    An entry is: length shared with the key before, length of the rest, length of the value (three
    varints), the rest of the key, the value. Behind the entries stand restart points (uint32) and
    their number; reading from start to end does not need them.
    """
    limit = _end_of_entries(data, where)
    entries: list[Entry] = []
    append = entries.append
    key = b""
    position = all_shared = 0
    while position < limit:
        # Nearly all lengths fit one byte each: this is the hot path of opening a checkpoint.
        # Three bytes can always be read here, since the restart points take at least four.
        shared, rest, value_size = data[position], data[position + 1], data[position + 2]
        if shared | rest | value_size < 0x80:
            position += 3
        else:
            shared, position = read_varint(data, position)
            rest, position = read_varint(data, position)
            value_size, position = read_varint(data, position)
        value_at = position + rest
        end = value_at + value_size
        if end > limit or shared > len(key):
            raise DamagedFileError("an entry reaches beyond its block", where=where)
        all_shared += shared
        if all_shared > shared_bytes_limit:
            raise DamagedFileError("its keys take far more memory than the file", where=where)
        key = key[:shared] + data[position:value_at]
        append((key, data[value_at:end]))
        position = end
    return entries


def _first_of_block(data: bytes, where: str) -> Entry | None:
    limit = _end_of_entries(data, where)
    if not limit:
        return None
    shared, position = read_varint(data, 0)
    rest, position = read_varint(data, position)
    value_size, position = read_varint(data, position)
    value_at = position + rest
    if shared or value_at + value_size > limit:
        raise DamagedFileError("an entry reaches beyond its block", where=where)
    return data[position:value_at], data[value_at : value_at + value_size]


def _end_of_entries(data: bytes, where: str) -> int:
    """Where the restart points of a block begin."""
    limit = len(data) - 4 - 4 * int.from_bytes(data[-4:], "little")
    if len(data) < 4 or limit < 0:
        raise DamagedFileError("a block is too small for its restart points", where=where)
    return limit
