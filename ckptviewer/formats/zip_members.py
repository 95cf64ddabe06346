"""Members of a zip archive as a stream for one reader, checked against their checksums.

Stored ones can be read anywhere and by several threads at once, each with its own; deflated ones in
bounded memory.
"""

from __future__ import annotations

import zlib

from ckptviewer.checkpoint.errors import (
    COPY_FILE,
    ChecksumError,
    DamagedFileError,
    TruncatedFileError,
)
from ckptviewer.storage.byte_source import ByteSource
from ckptviewer.storage.zip_directory import (
    DEFLATED,
    LARGEST_DEFLATE_RATIO,
    STORED,
    Member,
    local_header,
)

_STEP_BYTES = 256 << 10


def data_offset(source: ByteSource, member: Member, first: bytes = b"") -> int:
    """Where the member's bytes begin, once its header and its sizes are found to be possible.

    first: the file's bytes from the member's header on, if they were read already.
    Raises TruncatedFileError, DamagedFileError.
    """
    header = local_header(source, member, first)
    if not header.magic:
        raise DamagedFileError("its header in the archive is damaged")
    if header.encrypted:
        raise DamagedFileError("it is encrypted")
    if member.method not in (STORED, DEFLATED):
        raise DamagedFileError(f"it is packed by method {member.method}, which NumPy never uses")
    if member.method == STORED and member.size != member.packed_bytes:
        raise DamagedFileError("it is said to be stored as it is, in another size than its own")
    if member.size > LARGEST_DEFLATE_RATIO * member.packed_bytes + 64:
        raise DamagedFileError(
            f"its {member.packed_bytes:,} bytes cannot unpack to {member.size:,}"
        )
    end = header.start + member.packed_bytes
    if end > source.size:
        raise TruncatedFileError(f"it ends at byte {end:,}, and the file at {source.size:,}")
    return header.start


def open_member(source: ByteSource, member: Member, start: int) -> MemberBytes:
    """The member's unpacked bytes, for one reader; `start` is what `data_offset` told."""
    return (StoredBytes if member.method == STORED else InflatedBytes)(source, member, start)


class MemberBytes(ByteSource):
    """The unpacked bytes of a member, for one reader at a time.

    Read from start to end, they are checked against their CRC-32.
    """

    def __init__(self, source: ByteSource, member: Member, start: int) -> None:
        self.name = f"{source.name}, {member.name}"
        self.size = member.size
        self._source = source
        self._member = member
        self._start = start
        self._crc = 0
        self._checked = 0

    def _check(self, data: bytes | memoryview) -> None:
        """Take the next bytes into the checksum; raises ChecksumError behind the last."""
        self._crc = zlib.crc32(data, self._crc)
        self._checked += len(data)
        if self._checked == self.size and self._crc != self._member.crc:
            raise ChecksumError(
                f"its bytes do not match their checksum (stored {self._member.crc:08x}, "
                f"found {self._crc:08x})",
                where=self.name,
                remedy=f"The file was damaged after it was written. {COPY_FILE}",
            )


class StoredBytes(MemberBytes):
    """A member that is stored as it is: any part of it costs only itself."""

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> None:
        self.require(offset, len(buffer))
        self._source.read_into(buffer, self._start + offset)
        if offset == self._checked:
            self._check(memoryview(buffer))


class InflatedBytes(MemberBytes):
    """A deflated member: reading on is cheap, reading back starts again."""

    def __init__(self, source: ByteSource, member: Member, start: int) -> None:
        super().__init__(source, member, start)
        self._rewind()

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> None:
        self.require(offset, len(buffer))
        if offset < self._checked:
            self._rewind()
        while self._checked < offset:
            self._next(min(_STEP_BYTES, offset - self._checked))
        view = memoryview(buffer)
        done = 0
        while done < len(view):
            data = self._next(len(view) - done)
            view[done : done + len(data)] = data
            done += len(data)

    def _rewind(self) -> None:
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._packed_done = 0
        self._crc = self._checked = 0

    def _next(self, most: int) -> bytes:
        """Some of the bytes that come next: at least one, at most `most`."""
        while True:
            packed = self._inflate.unconsumed_tail
            if not packed:
                left = self._member.packed_bytes - self._packed_done
                packed = self._source.read(self._start + self._packed_done, min(_STEP_BYTES, left))
                self._packed_done += len(packed)
            try:
                # Without input, too: zlib may hold back bytes that it has unpacked already.
                data = self._inflate.decompress(packed, min(most, _STEP_BYTES))
            except zlib.error as error:
                raise self._damaged("its packed bytes are damaged") from error
            if data:
                self._check(data)
                return data
            if self._inflate.eof or not packed:
                raise self._damaged(f"it unpacks to {self._checked:,} bytes, not {self.size:,}")

    def _damaged(self, what: str) -> DamagedFileError:
        return DamagedFileError(
            what,
            where=self.name,
            remedy=f"The file was damaged after it was written. {COPY_FILE}",
        )
