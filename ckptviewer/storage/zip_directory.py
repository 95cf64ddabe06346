"""What a zip archive holds: by its directory, or without it by the headers before its members.

Source of the format: PKWARE's APPNOTE.TXT. The directory is read by `zipfile`; nothing that it says
of a member is trusted before that member's own header was looked at.
"""

from __future__ import annotations

import io
import struct
from typing import NamedTuple
from zipfile import ZipFile

from ckptviewer.checkpoint.errors import COPY_FILE, CkptviewerError, DamagedFileError
from ckptviewer.storage.byte_source import ByteSource

LOCAL_MAGIC = b"PK\x03\x04"
END_MAGIC = b"PK\x05\x06"
STORED, DEFLATED = 0, 8
LOCAL_BYTES = 30
LARGEST_DEFLATE_RATIO = 1032  # no deflated stream grows more than this
LARGEST_DIRECTORY_BYTES = 64 << 20
_LOCAL = struct.Struct("<4s2xHH4xIIIHH")
_ENCRYPTED, _SIZES_FOLLOW, _UTF_8 = 0x1, 0x8, 0x800
_IN_64_BITS = 0xFFFFFFFF


class Member(NamedTuple):
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


class LostDirectoryError(DamagedFileError):
    """An archive has no sound directory, as one that was cut short; its members may be there."""


class LocalHeader(NamedTuple):
    """What stands before a member's bytes. magic: whether it begins as such a header does.

    start: where the member's bytes begin.
    """

    magic: bool
    encrypted: bool
    start: int


def read_directory(
    source: ByteSource, largest_bytes: int = LARGEST_DIRECTORY_BYTES
) -> list[Member]:
    """The members in the order of the archive's directory.

    Raises LostDirectoryError, and DamagedFileError where it has more than `largest_bytes`.
    """
    try:
        # zipfile asks for little else than the directory, and _SourceFile limits what it gets.
        with ZipFile(_SourceFile(source, largest_bytes)) as archive:
            return [
                Member(
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
    except Exception as error:  # zipfile promises no one type of error for damage
        raise LostDirectoryError(
            "the directory at the end of this archive is missing or damaged",
            where=source.name,
            remedy=COPY_FILE,
        ) from error


def scan_members(source: ByteSource, largest_bytes: int = LARGEST_DIRECTORY_BYTES) -> list[Member]:
    """What can be told of an archive without its directory, from the headers before its members.

    Ends at the first header that is no longer sound or that tells no sizes, and once the headers
    have `largest_bytes`. Never raises for what it finds; the last member may reach beyond the end
    of the file.
    """
    members: list[Member] = []
    position = headers = 0
    while position + LOCAL_BYTES <= source.size and headers < largest_bytes:
        header = source.read(position, LOCAL_BYTES)
        magic, flags, method, crc, packed, size, name_bytes, extra_bytes = _LOCAL.unpack(header)
        start = position + LOCAL_BYTES + name_bytes + extra_bytes
        if magic != LOCAL_MAGIC or flags & _SIZES_FOLLOW or start > source.size:
            break
        tail = source.read(position + LOCAL_BYTES, name_bytes + extra_bytes)
        large = _zip64_sizes(tail[name_bytes:])
        if large and _IN_64_BITS in (packed, size):
            size, packed = large
        try:
            name = tail[:name_bytes].decode("utf-8" if flags & _UTF_8 else "cp437")
        except UnicodeDecodeError:
            break
        encrypted = bool(flags & _ENCRYPTED)
        members.append(Member(name, method, encrypted, packed, size, crc, position))
        headers += start - position
        position = start + packed
    return members


def local_header(source: ByteSource, member: Member, first: bytes = b"") -> LocalHeader:
    """The header before the member's bytes. Raises what reading raises.

    first: the file's bytes from there on, if they were read already.
    """
    if len(first) < LOCAL_BYTES:
        first = source.read(member.offset, LOCAL_BYTES)
    magic, flags, *_, name_bytes, extra_bytes = _LOCAL.unpack_from(first)
    return LocalHeader(
        magic == LOCAL_MAGIC,
        member.encrypted or bool(flags & _ENCRYPTED),
        int(member.offset + LOCAL_BYTES + name_bytes + extra_bytes),
    )


def _zip64_sizes(extra: bytes) -> tuple[int, int] | None:
    """Unpacked and packed size from the zip64 field of a local header's extra bytes."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == 1 and length >= 16 and len(extra) >= 20:
            size, packed = struct.unpack_from("<QQ", extra, 4)
            return size, packed
        extra = extra[4 + length :]
    return None


class _SourceFile(io.RawIOBase):
    """As much of a file object as `zipfile` needs to read a directory, over a ByteSource."""

    def __init__(self, source: ByteSource, largest_bytes: int) -> None:
        self._source = source
        self._largest_bytes = largest_bytes
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
        if size > self._largest_bytes:
            raise DamagedFileError(
                f"the archive's directory of {size:,} bytes is too long", where=self._source.name
            )
        data = self._source.read(self._position, size)
        self._position += size
        return data
