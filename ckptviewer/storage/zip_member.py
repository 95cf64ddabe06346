"""The members of a zip archive, read in place; what is left of an archive that was cut short."""

from __future__ import annotations

import zlib
from collections import Counter
from typing import NamedTuple

from ckptviewer.checkpoint.errors import (
    COPY_FILE,
    DamagedFileError,
    NotACheckpointError,
    UnreadableFileError,
)
from ckptviewer.storage.byte_source import ByteSource, MemoryBytes
from ckptviewer.storage.zip_directory import (
    DEFLATED,
    LARGEST_DEFLATE_RATIO,
    LOCAL_BYTES,
    LOCAL_MAGIC,
    STORED,
    LostDirectoryError,
    Member,
    local_header,
    read_directory,
    scan_members,
)

# 15,000 members or so; zipfile takes many times the bytes of a directory to list it.
_MAX_DIRECTORY_BYTES = 1 << 20
# Deflated members are unpacked into memory: no more than that, or this many times the archive.
_FREE_BYTES = 128 << 20
_MAX_EXPANSION = 16
_STEP_BYTES = 1 << 20


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
    if source.size < LOCAL_BYTES or source.read(0, len(LOCAL_MAGIC)) != LOCAL_MAGIC:
        raise NotACheckpointError("it does not begin as a zip archive", where=source.name)
    try:
        found = read_directory(source, _MAX_DIRECTORY_BYTES)
    except LostDirectoryError as error:
        found = scan_members(source, _MAX_DIRECTORY_BYTES)
        if not found:
            raise DamagedFileError(
                "the archive's directory is lost, and no member can be found",
                where=source.name,
                remedy=COPY_FILE,
            ) from error
        # Of equal names the first is surely whole.
        return Archive({each.name: each for each in reversed(found)}, (), is_complete=False)
    counts = Counter(member.name for member in found)
    repeated = tuple(name for name, count in counts.items() if count > 1)
    return Archive({member.name: member for member in found}, repeated)


def data_offset(archive: ByteSource, member: Member) -> int:
    """Where a member's bytes begin. Raises DamagedFileError where its local header is not there."""
    header = local_header(archive, member)
    if not header.magic:
        raise DamagedFileError(
            f"there is no member {member.name} at byte {member.offset:,}",
            where=archive.name,
            remedy=COPY_FILE,
        )
    return header.start


def open_member(archive: ByteSource, member: Member) -> ByteSource:
    """Random access to a member: in place where it is stored, else unpacked into memory.

    Raises DamagedFileError (also for one that would unpack to many times the archive's size),
    UnreadableFileError where it is encrypted or packed in a way that is not read here.
    """
    if member.encrypted:
        raise UnreadableFileError(
            f"its member {member.name} is encrypted",
            where=archive.name,
            remedy="Decrypt the archive first.",
        )
    if member.method == STORED:
        return ZipMember(archive, member)
    if member.method != DEFLATED:
        raise UnreadableFileError(
            f"its member {member.name} is packed by method {member.method}, which is not read here",
            where=archive.name,
            remedy="Unpack the archive and pack it again, stored or deflated.",
        )
    return MemoryBytes(_inflate(archive, member), f"{archive.name} ({member.name})")


def _inflate(archive: ByteSource, member: Member) -> bytes:
    limit = max(_FREE_BYTES, _MAX_EXPANSION * archive.size)
    if member.size > min(limit, (member.packed_bytes + 64) * LARGEST_DEFLATE_RATIO):
        raise DamagedFileError(
            f"its member {member.name} of {member.packed_bytes:,} bytes would unpack to "
            f"{member.size:,}",
            where=archive.name,
            remedy="If you trust the archive, unpack it and open what is in it.",
        )
    start = data_offset(archive, member)
    left = min(member.packed_bytes, archive.size - start)
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    parts: list[bytes] = []
    have = 0
    try:
        while left > 0 and have < member.size and not unpacker.eof:
            step = min(left, _STEP_BYTES)
            data = unpacker.unconsumed_tail + archive.read(start, step)
            start, left = start + step, left - step
            parts.append(unpacker.decompress(data, member.size - have))
            have += len(parts[-1])
    except zlib.error:
        pass  # what came out before is intact, and the reader of it will miss the rest
    return b"".join(parts)
