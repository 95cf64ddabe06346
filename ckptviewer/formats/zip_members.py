"""Members of a zip archive, read in place: nothing is unpacked, and nothing is trusted.

Source of the format: PKWARE's APPNOTE.TXT. The directory is read by `zipfile`; the members are read
here, so that stored ones can be read anywhere and by several threads at once, and deflated ones in
bounded memory.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import NamedTuple
from zipfile import BadZipFile, ZipFile

from ckptviewer.checkpoint.errors import (
    COPY_FILE,
    ChecksumError,
    CkptviewerError,
    DamagedFileError,
    TruncatedFileError,
)
from ckptviewer.storage.byte_source import ByteSource

LOCAL_MAGIC = b"PK\x03\x04"
END_MAGIC = b"PK\x05\x06"
STORED, DEFLATED = 0, 8
_LOCAL_BYTES = 30
_ENCRYPTED, _SIZES_FOLLOW = 0x1, 0x8
_LARGEST_DIRECTORY_BYTES = 64 << 20
_LARGEST_DEFLATE_RATIO = 1032  # no deflated stream grows more than this
_STEP_BYTES = 256 << 10


class ZipMember(NamedTuple):
    """One member, as the directory describes it.

    method: STORED, DEFLATED, or one that is not read here. packed_bytes, size: its bytes in the
    file, and unpacked. crc: CRC-32 of the unpacked bytes. offset: where its local header begins.
    """

    name: str
    method: int
    encrypted: bool
    packed_bytes: int
    size: int
    crc: int
    offset: int


def read_directory(source: ByteSource) -> list[ZipMember]:
    """The members in the order of the archive's directory.

    Raises DamagedFileError where there is no sound directory (an archive that was cut short has
    none, as it stands at the end).
    """
    try:
        # zipfile asks for little else than the directory, and _SourceFile limits what it gets.
        with ZipFile(_SourceFile(source)) as archive:
            return [
                ZipMember(
                    each.filename,
                    each.compress_type,
                    bool(each.flag_bits & _ENCRYPTED),
                    each.compress_size,
                    each.file_size,
                    each.CRC,
                    each.header_offset,
                )
                for each in archive.infolist()
            ]
    except CkptviewerError:
        raise
    except (BadZipFile, NotImplementedError, ValueError, struct.error, OverflowError) as error:
        raise DamagedFileError(
            "the directory at the end of this archive is missing or damaged",
            where=source.name,
            remedy=COPY_FILE,
        ) from error


def scan_members(source: ByteSource) -> list[ZipMember]:
    """What can be told of an archive without its directory, from the headers before its members.

    Ends at the first header that is no longer sound or that tells no sizes. Never raises for what
    it finds; the last member may reach beyond the end of the file.
    """
    members: list[ZipMember] = []
    position = 0
    while position + _LOCAL_BYTES <= source.size:
        header = source.read(position, _LOCAL_BYTES)
        (_, flags, method, crc, packed, size, name_bytes, extra_bytes) = _LOCAL.unpack(header)
        start = position + _LOCAL_BYTES + name_bytes + extra_bytes
        if header[:4] != LOCAL_MAGIC or flags & _SIZES_FOLLOW or start > source.size:
            break
        tail = source.read(position + _LOCAL_BYTES, name_bytes + extra_bytes)
        large = _zip64_sizes(tail[name_bytes:])
        if large and 0xFFFFFFFF in (packed, size):
            size, packed = large
        try:
            name = tail[:name_bytes].decode("utf-8" if flags & 0x800 else "cp437")
        except UnicodeDecodeError:
            break
        encrypted = bool(flags & _ENCRYPTED)
        members.append(ZipMember(name, method, encrypted, packed, size, crc, position))
        position = start + packed
    return members


_LOCAL = struct.Struct("<4s2xHH4xIIIHH")


def _zip64_sizes(extra: bytes) -> tuple[int, int] | None:
    """Unpacked and packed size from the zip64 field of a local header's extra bytes."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == 1 and length >= 16 and len(extra) >= 20:
            size, packed = struct.unpack_from("<QQ", extra, 4)
            return size, packed
        extra = extra[4 + length :]
    return None


def data_offset(source: ByteSource, member: ZipMember, first: bytes | None = None) -> int:
    """Where the member's bytes begin, once its header and its sizes are found to be possible.

    first: the file's bytes from the member's header on, if they were read already.
    Raises TruncatedFileError, DamagedFileError.
    """
    if first is None or len(first) < _LOCAL_BYTES:
        first = source.read(member.offset, _LOCAL_BYTES)
    magic, flags, *_, name_bytes, extra_bytes = _LOCAL.unpack_from(first)
    if magic != LOCAL_MAGIC:
        raise DamagedFileError("its header in the archive is damaged")
    if member.encrypted or flags & _ENCRYPTED:
        raise DamagedFileError("it is encrypted")
    if member.method not in (STORED, DEFLATED):
        raise DamagedFileError(f"it is packed by method {member.method}, which NumPy never uses")
    if member.method == STORED and member.size != member.packed_bytes:
        raise DamagedFileError("it is said to be stored as it is, in another size than its own")
    if member.size > _LARGEST_DEFLATE_RATIO * member.packed_bytes + 64:
        raise DamagedFileError(
            f"its {member.packed_bytes:,} bytes cannot unpack to {member.size:,}"
        )
    start = int(member.offset + _LOCAL_BYTES + name_bytes + extra_bytes)
    if start + member.packed_bytes > source.size:
        raise TruncatedFileError(
            f"it ends at byte {start + member.packed_bytes:,}, and the file at {source.size:,}"
        )
    return start


def open_member(source: ByteSource, member: ZipMember, start: int) -> MemberBytes:
    """The member's unpacked bytes, for one reader; `start` is what `data_offset` told."""
    return (StoredBytes if member.method == STORED else InflatedBytes)(source, member, start)


class MemberBytes(ByteSource):
    """The unpacked bytes of a member, for one reader at a time.

    Read from start to end, they are checked against their CRC-32.
    """

    def __init__(self, source: ByteSource, member: ZipMember, start: int) -> None:
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

    def __init__(self, source: ByteSource, member: ZipMember, start: int) -> None:
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


class _SourceFile(io.RawIOBase):
    """As much of a file object as `zipfile` needs to read a directory, over a ByteSource."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._position = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size}
        if base[whence] + offset < 0:
            raise OSError("seek before the start")  # what zipfile expects of a file too short
        self._position = base[whence] + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._source.size - self._position)
        size = left if size < 0 else min(size, left)
        if size > _LARGEST_DIRECTORY_BYTES:
            raise DamagedFileError(
                f"its directory is said to have {size:,} bytes", where=self._source.name
            )
        data = self._source.read(self._position, size)
        self._position += size
        return data
