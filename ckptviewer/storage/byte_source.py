"""ByteSource: random access to bytes, safe against files that change while they are read."""

from __future__ import annotations

import os
import stat
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ckptviewer.checkpoint.errors import (
    ChangedFileError,
    CkptviewerError,
    PathNotFoundError,
    TruncatedFileError,
    UnreadableFileError,
)
from ckptviewer.storage.positioned import read_some

_CAN_ADVISE = hasattr(os, "posix_fadvise")


class ByteSource(ABC):
    """Random access to a sequence of bytes of known length.

    name: what to call it in messages.
    size: its length in bytes.
    """

    name: str
    size: int

    @abstractmethod
    def read_into(self, buffer: bytearray | memoryview, offset: int) -> None:
        """Fill `buffer` with the bytes from `offset` on.

        The buffer may be of any shape, if it is contiguous. May be called from several threads at
        once. Raises TruncatedFileError where the source ends before the buffer is full,
        ChangedFileError where it is no longer what was opened.
        """

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset` on; the range is checked before memory is taken for it."""
        self.require(offset, length)
        buffer = bytearray(length)
        self.read_into(buffer, offset)
        return bytes(buffer)

    def require(self, offset: int, length: int) -> None:
        """Raise TruncatedFileError unless the bytes from `offset` to `offset + length` exist."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise TruncatedFileError(
                f"bytes {offset:,} to {offset + length:,} are asked for, "
                f"and the file has {self.size:,}",
                where=self.name,
                remedy="The file is cut short or belongs to another save; copy it again.",
            )

    def release(self) -> None:
        """Give system resources back; the next read takes them again."""


class MemoryBytes(ByteSource):
    """Bytes that are in memory already."""

    def __init__(self, data: bytes, name: str = "memory") -> None:
        self.name = name
        self.size = len(data)
        self._data = data

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> None:
        view = _flat(buffer)
        self.require(offset, len(view))
        view[:] = self._data[offset : offset + len(view)]

    def read(self, offset: int, length: int) -> bytes:
        self.require(offset, length)
        return self._data[offset : offset + length]


class LocalFile(ByteSource):
    """A file of this machine, read with `preadv`.

    Memory mapping is avoided on purpose: a mapped file that is truncated by the training that
    wrote it kills the reader with SIGBUS. The file is opened at the first read and again after
    `release`; each time its identity (device, inode, size, time of change) must be the one that
    was seen first, else ChangedFileError is raised.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises PathNotFoundError, UnreadableFileError (a directory is unreadable, too)."""
        self.name = os.fspath(path)
        self._lock = threading.Lock()
        self._descriptor = -1
        self._users = 0
        self._release_wanted = False
        self._identity: tuple[int, ...] | None = None
        self.size = 0
        self._open()

    @property
    def path(self) -> Path:
        """Where it lies."""
        return Path(self.name)

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> None:
        view = _flat(buffer)
        self.require(offset, len(view))
        descriptor = self._acquire()
        try:
            done = 0
            while done < len(view):
                count = read_some(descriptor, view[done:], offset + done)
                if count <= 0:
                    at = offset + done
                    raise self._changed(f"it was cut to {at:,} bytes since it was opened")
                done += count
            self._require_unchanged(descriptor)
        except OSError as error:
            if isinstance(error, CkptviewerError):
                raise
            raise self._failed(f"reading at byte {offset:,} failed", error) from error
        finally:
            self._give_back()

    @contextmanager
    def lent(self, end: int) -> Iterator[int]:
        """Its descriptor, to be read by position up to `end`, while no release closes it.

        Best read forwards: the system reads ahead. Raises as reading does; on leaving
        ChangedFileError where what was read counts for nothing.
        """
        self.require(0, end)
        descriptor = self._acquire()
        try:
            if _CAN_ADVISE:
                with suppress(OSError):
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
            yield descriptor
            self._require_unchanged(descriptor)
        finally:
            self._give_back()

    def release(self) -> None:
        with self._lock:
            if self._users:
                self._release_wanted = True
            else:
                self._close()

    def _require_unchanged(self, descriptor: int) -> None:
        try:
            identity = _identity(os.fstat(descriptor))
        except OSError as error:  # a network share has lost it
            raise self._failed("looking at it failed", error) from error
        if identity != self._identity:
            raise self._changed("it was rewritten while it was read")

    def _acquire(self) -> int:
        with self._lock:
            if self._descriptor < 0:
                self._open()
            self._users += 1
            return self._descriptor

    def _give_back(self) -> None:
        with self._lock:
            self._users -= 1
            if self._release_wanted and not self._users:
                self._close()

    def _open(self) -> None:
        try:
            # A named pipe must not block the opening of it: it is refused below.
            flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
            descriptor = os.open(self.name, flags)
        except FileNotFoundError as error:
            if self._identity is not None:
                raise self._changed("it was deleted since it was opened") from error
            raise PathNotFoundError("there is no such file", where=self.name) from error
        except ValueError as error:  # a zero byte in it, or what the system cannot encode
            raise PathNotFoundError("no file can have this name", where=self.name) from error
        except OSError as error:
            raise UnreadableFileError.refused("it cannot be opened", self.name, error) from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise UnreadableFileError("it is not a regular file", where=self.name)
        identity = _identity(status)
        if self._identity is not None and identity != self._identity:
            os.close(descriptor)
            raise self._changed("it was replaced or rewritten since it was opened")
        self._identity = identity
        self.size = status.st_size
        self._descriptor = descriptor
        self._release_wanted = False

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self._release_wanted = False

    def _failed(self, what: str, error: OSError) -> UnreadableFileError:
        return UnreadableFileError(
            f"{what}: {error.strerror or error}",
            where=self.name,
            remedy="Check the disk or the network share it lies on.",
        )

    def _changed(self, what: str) -> ChangedFileError:
        return ChangedFileError(what, where=self.name, remedy="Reload the checkpoint.")

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        # A forgotten handle must not keep a deleted file's bytes on the disk. When Python ends, the
        # module `os` may be gone before this.
        if getattr(self, "_descriptor", -1) >= 0:
            close(self._descriptor)


def at_hand(source: ByteSource, most_bytes: int) -> ByteSource:
    """The same bytes: in memory, as they are now, if there are no more than so many.

    Each read of a file sees to it that the file is unchanged: one read of all is much faster than
    several of parts. Raises as reading does.
    """
    if source.size > most_bytes:
        return source
    return MemoryBytes(source.read(0, source.size), source.name)


def _flat(buffer: bytearray | memoryview) -> memoryview:
    view = memoryview(buffer)
    return view.cast("B") if view.nbytes else memoryview(bytearray())


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
