"""The members of a zip archive, read in place; what is left of an archive that was cut short."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections import Counter
from struct import Struct, error
from typing import NamedTuple

from ckptviewer.checkpoint.errors import (
    COPY_FILE,
    CkptviewerError,
    DamagedFileError,
    NotACheckpointError,
    UnreadableFileError,
)
from ckptviewer.storage.byte_source import ByteSource, MemoryBytes

LOCAL_SIGNATURE = b"PK\x03\x04"
_LOCAL = Struct("<4sHHHHHIIIHH")
_ZIP64 = Struct("<QQ")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _SIZES_BEHIND = 1, 8
_IN_64_BITS = 0xFFFFFFFF
# 15,000 members or so; zipfile takes many times the bytes of a directory to list it.
_MAX_DIRECTORY_BYTES = 1 << 20
# Deflated members are unpacked into memory: no more than that, or this many times the archive.
_FREE_BYTES = 128 << 20
_MAX_EXPANSION = 16


class Member(NamedTuple):
    """One member of an archive.

    header_offset: where its local header begins. size: unpacked. stored_bytes: as it lies there.
    method: 0 stored, 8 deflated. crc: of its unpacked bytes; -1 where it is not known.
    """

    name: str
    header_offset: int
    size: int
    stored_bytes: int
    method: int
    is_encrypted: bool = False
    crc: int = -1


class Archive(NamedTuple):
    """What an archive holds: members by name; the names that occur more than once.

    is_complete: False where its directory is lost, and the members were found by their own headers.
    """

    members: dict[str, Member]
    repeated: tuple[str, ...] = ()
    is_complete: bool = True


class ZipMember(ByteSource):
    """The bytes of a member that is stored as it is, read from the archive itself."""

    def __init__(self, archive: ByteSource, member: Member) -> None:
        """Raises DamagedFileError where there is no such member at its place.

        A member that reaches behind the archive's end is as long as what is left of it.
        """
        self.name = f"{archive.name} ({member.name})"
        self._archive = archive
        self._start = data_offset(archive, member)
        self.size = max(0, min(member.size, archive.size - self._start))

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> None:
        self.require(offset, memoryview(buffer).nbytes)
        self._archive.read_into(buffer, self._start + offset)

    def release(self) -> None:
        self._archive.release()


def read_archive(source: ByteSource) -> Archive:
    """The directory of a zip archive; where it is lost, the members that can still be found.

    Raises NotACheckpointError where it is no zip archive, DamagedFileError where nothing is left.
    """
    if source.size < 30 or source.read(0, 4) != LOCAL_SIGNATURE:
        raise NotACheckpointError("it does not begin as a zip archive", where=source.name)
    try:
        with zipfile.ZipFile(_File(source)) as archive:
            found = [
                Member(
                    info.filename,
                    info.header_offset,
                    info.file_size,
                    info.compress_size,
                    info.compress_type,
                    bool(info.flag_bits & _ENCRYPTED),
                    info.CRC,
                )
                for info in archive.infolist()
            ]
    except CkptviewerError:
        raise
    except Exception:
        # zipfile promises no one type of error for damage; the members may still be there.
        return _scan(source)
    members = {member.name: member for member in found}
    counts = Counter(member.name for member in found)
    return Archive(members, tuple(name for name, count in counts.items() if count > 1))


def _scan(source: ByteSource) -> Archive:
    """Members that follow each other from the archive's beginning, by their local headers."""
    members: dict[str, Member] = {}
    at = 0
    budget = _MAX_DIRECTORY_BYTES
    while at + _LOCAL.size <= source.size and budget > 0:
        try:
            member, start = _read_local(source, at)
        except DamagedFileError:
            break
        budget -= start - at
        members.setdefault(member.name, member)
        at = start + member.stored_bytes
    if not members:
        raise DamagedFileError(
            "the archive's directory is lost, and no member can be found",
            where=source.name,
            remedy=COPY_FILE,
        )
    return Archive(members, (), is_complete=False)


def _read_local(source: ByteSource, at: int) -> tuple[Member, int]:
    """The member whose local header is at `at`, and where its bytes begin."""
    try:
        signature, _, flags, method, _, _, crc, stored, size, name_size, extra_size = _LOCAL.unpack(
            source.read(at, _LOCAL.size)
        )
        if signature != LOCAL_SIGNATURE or flags & _SIZES_BEHIND:
            raise DamagedFileError("no local header", where=source.name)
        name = source.read(at + _LOCAL.size, name_size).decode("utf-8", "replace")
        extra = source.read(at + _LOCAL.size + name_size, extra_size)
        if size == _IN_64_BITS and extra[:2] == b"\x01\x00":
            size, stored = _ZIP64.unpack_from(extra, 4)
    except error as cause:
        raise DamagedFileError("no local header", where=source.name) from cause
    start = at + _LOCAL.size + name_size + extra_size
    return Member(name, at, size, stored, method, bool(flags & _ENCRYPTED), crc), start


def data_offset(archive: ByteSource, member: Member) -> int:
    """Where a member's bytes begin. Raises DamagedFileError where its local header is not there."""
    signature, *_, name_size, extra_size = _LOCAL.unpack(
        archive.read(member.header_offset, _LOCAL.size)
    )
    if signature != LOCAL_SIGNATURE:
        raise DamagedFileError(
            f"there is no member {member.name} at byte {member.header_offset:,}",
            where=archive.name,
            remedy=COPY_FILE,
        )
    return member.header_offset + _LOCAL.size + int(name_size) + int(extra_size)


def open_member(archive: ByteSource, member: Member) -> ByteSource:
    """Random access to a member: in place where it is stored, else unpacked into memory.

    Raises DamagedFileError (also for one that would unpack to many times the archive's size),
    UnreadableFileError where it is encrypted or packed in a way that is not read here.
    """
    if member.is_encrypted:
        raise UnreadableFileError(
            f"its member {member.name} is encrypted",
            where=archive.name,
            remedy="Decrypt the archive first.",
        )
    if member.method == _STORED:
        return ZipMember(archive, member)
    if member.method != _DEFLATED:
        raise UnreadableFileError(
            f"its member {member.name} is packed by method {member.method}, which is not read here",
            where=archive.name,
            remedy="Unpack the archive and pack it again, stored or deflated.",
        )
    return MemoryBytes(_inflate(archive, member), f"{archive.name} ({member.name})")


def _inflate(archive: ByteSource, member: Member) -> bytes:
    limit = max(_FREE_BYTES, _MAX_EXPANSION * archive.size)
    if member.size > min(limit, (member.stored_bytes + 64) * 1032):
        raise DamagedFileError(
            f"its member {member.name} of {member.stored_bytes:,} bytes would unpack to "
            f"{member.size:,}",
            where=archive.name,
            remedy="If you trust the archive, unpack it and open what is in it.",
        )
    start = data_offset(archive, member)
    left = min(member.stored_bytes, archive.size - start)
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    parts: list[bytes] = []
    have = 0
    try:
        while left > 0 and have < member.size and not unpacker.eof:
            step = min(left, 1 << 20)
            data = unpacker.unconsumed_tail + archive.read(start, step)
            start, left = start + step, left - step
            parts.append(unpacker.decompress(data, member.size - have))
            have += len(parts[-1])
    except zlib.error:
        pass  # what came out before is intact, and the reader of it will miss the rest
    return b"".join(parts)


class _File(io.RawIOBase):
    """A byte source as the file that `zipfile` wants, for reading the directory alone."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.size}[whence]
        if base + offset < 0:
            raise OSError("a seek before the beginning")
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._source.size - self._at)
        count = left if size < 0 else min(size, left)
        if count > _MAX_DIRECTORY_BYTES:
            raise DamagedFileError(
                f"the archive's directory of {count:,} bytes is too long",
                where=self._source.name,
            )
        data = self._source.read(self._at, count)
        self._at += count
        return data
