"""The doctor's look at Keras' archives: a zip has a checksum of each member; Keras checks it."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import COPY_FILE, Cancelled, CkptviewerError
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.text import printable
from ckptviewer.storage.byte_source import ByteSource, LocalFile
from ckptviewer.storage.zip_member import open_member, read_archive

_CHUNK_BYTES = 4 << 20


def archive_findings(checkpoint: Checkpoint, cancel: CancelToken) -> Iterator[Finding]:
    """A finding for each member of a `.keras` archive that does not match its checksum.

    Reads the file once, in chunks. What is cut short, encrypted or lost was told on opening.
    Raises Cancelled.
    """
    path = checkpoint.path
    if checkpoint.format_name != "keras-archive" or not os.path.isfile(path):
        return
    try:
        source = LocalFile(path)
    except (CkptviewerError, OSError):
        return
    try:
        archive = read_archive(source)
        for member in archive.members.values() if archive.is_complete else ():
            opened = open_member(source, member)
            if opened.size != member.size:
                continue
            found = _crc_of(opened, cancel)
            if found != member.crc:
                yield Finding(
                    code="checksum-mismatch",
                    severity=Severity.ERROR,
                    message=f"{printable(member.name)} in the archive does not match its checksum "
                    f"(stored {member.crc:08x}, found {found:08x}): Keras refuses the file, and "
                    "any of its values may be wrong.",
                    remedy=COPY_FILE,
                )
    except Cancelled:
        raise
    except CkptviewerError:  # what cannot be read is told of by those who need it
        return
    finally:
        source.release()


def _crc_of(source: ByteSource, cancel: CancelToken) -> int:
    buffer = memoryview(bytearray(min(_CHUNK_BYTES, source.size)))
    crc = 0
    for start in range(0, source.size, _CHUNK_BYTES):
        cancel.raise_if_cancelled()
        part = buffer[: min(_CHUNK_BYTES, source.size - start)]
        source.read_into(part, start)
        crc = zlib.crc32(part, crc)
    return crc
