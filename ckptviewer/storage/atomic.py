"""Files that appear under their final names whole, all of them together, or not at all.

They are written into a directory of their own beside the target, flushed, and only then given
their names. The last one to get its name is the commit point: until then nothing refers to the
others, and an interrupted run leaves what was there before.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

from ckptviewer.checkpoint.errors import TargetExistsError, UnwritableFileError
from ckptviewer.checkpoint.text import size_text

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

PARTIAL_SUFFIX = ".ckptviewer-partial"
"""How the names of the directories end that hold what is not finished."""

_BEGIN = 32 << 20  # flushing smaller parts of a file makes the disk seek

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class NewFile:
    """A file that is being written from its beginning; it must not be there yet."""

    def __init__(self, path: str) -> None:
        """Raises UnwritableFileError."""
        self.path = path
        self.size = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with _told(path):
            self._descriptor = os.open(path, flags, 0o666)

    @classmethod
    def begun(cls, path: str) -> Self:
        """A file that a library has made and closed already. Raises UnwritableFileError."""
        file = cls.__new__(cls)
        file.path = path
        with _told(path):
            file._descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_BINARY", 0))
            file.size = os.lseek(file._descriptor, 0, os.SEEK_END)
        return file

    def write(self, data: bytes | memoryview) -> None:
        """Append all of `data`. Raises UnwritableFileError."""
        view = memoryview(data).cast("B") if len(data) else memoryview(b"")
        with _told(self.path):
            while view:
                count = os.write(self._descriptor, view)
                self.size += count
                view = view[count:]

    def write_again(self, offset: int, data: bytes | memoryview) -> None:
        """Put `data` in the place of bytes that were written before. Raises UnwritableFileError."""
        view = memoryview(data).cast("B")
        if offset < 0 or offset + len(view) > self.size:
            raise ValueError(f"{len(view)} bytes at {offset} of {self.size}")
        with _told(self.path):
            try:
                os.lseek(self._descriptor, offset, os.SEEK_SET)
                while view:
                    view = view[os.write(self._descriptor, view) :]
            finally:
                os.lseek(self._descriptor, 0, os.SEEK_END)

    def cut(self, size: int) -> None:
        """Take away what was written from byte `size` on. Raises UnwritableFileError."""
        with _told(self.path):
            os.ftruncate(self._descriptor, size)
            os.lseek(self._descriptor, size, os.SEEK_SET)
        self.size = size

    def flush(self) -> None:
        """Have the system put it on the disk. Raises UnwritableFileError."""
        with _told(self.path):
            os.fsync(self._descriptor)

    def duplicate(self) -> int:
        """Another handle on it, which the caller closes. Raises UnwritableFileError."""
        with _told(self.path):
            return os.dup(self._descriptor)

    def close(self) -> None:
        """Give the handle back; closing twice is harmless. Raises UnwritableFileError."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with _told(self.path):  # a network share may tell of a full disk only now
                os.close(descriptor)

    def rename(self, path: str) -> None:
        """Call it by another name, which nothing bears. Raises UnwritableFileError."""
        with _told(path):
            os.rename(self.path, path)
        self.path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            with suppress(UnwritableFileError):
                self.close()


class Flushing:
    """Puts files on the disk, meanwhile other work goes on if there is an executor for that.

    Without one, `add` flushes at once. The context waits for what is under way.
    """

    def __init__(self, executor: Executor | None = None) -> None:
        self._executor = executor
        self._under_way: list[Future[None]] = []
        self._flushed_bytes: dict[str, int] = {}

    def begin(self, file: NewFile) -> None:
        """Have the disk begin with a file that is still being written."""
        if self._executor is None or file.size - self._flushed_bytes.get(file.path, 0) < _BEGIN:
            return
        if all(future.done() for future in self._under_way):
            self.add(file)

    def add(self, file: NewFile) -> None:
        """Flush what is written of a file. Raises UnwritableFileError where it does so at once."""
        if self._executor is None:
            file.flush()
            return
        self._flushed_bytes[file.path] = file.size
        handle, path = file.duplicate(), file.path
        try:
            self._under_way.append(self._executor.submit(_flush_and_close, handle, path))
        except BaseException:
            os.close(handle)
            raise

    def wait(self) -> None:
        """Wait until all is on the disk. Raises UnwritableFileError if something is not."""
        for future in self._under_way:
            future.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for future in self._under_way:
            future.exception()  # not cancelled: what was submitted closes its handle


def _flush_and_close(descriptor: int, path: str) -> None:
    try:
        with _told(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Staging:
    """A directory beside `target` for files that are not finished; gone when the context ends.

    path: of the directory. What processes that were killed have left there for the same target is
    removed; their handles tell whether they still run.
    """

    def __init__(self, target: str) -> None:
        """Raises UnwritableFileError."""
        self.target = target
        self.directory, base = os.path.split(os.path.abspath(target))
        self._lock = -1
        _remove_abandoned(self.directory, base)
        with _told(self.directory):
            self.path = tempfile.mkdtemp(PARTIAL_SUFFIX, f".{base}.", self.directory)
        try:
            self._lock = _locked(self.path)
        except BaseException:
            self._remove()
            raise

    def require_space(self, needed_bytes: int) -> None:
        """Raise UnwritableFileError unless the disk has room for so many bytes."""
        with _told(self.directory):
            free = shutil.disk_usage(self.directory).free
        if free < needed_bytes:
            raise UnwritableFileError(
                f"{size_text(needed_bytes)} are needed there, and {size_text(free)} are free",
                where=self.directory,
                remedy="Free some space, or write to another disk.",
            )

    def publish(self, paths: Sequence[str], *, replace_last: bool) -> list[str]:
        """Put files of this directory beside it, in this order; returns their final paths.

        The last is the commit point and replaces a file of its name if `replace_last`; all else
        must not be there. Raises TargetExistsError, UnwritableFileError; then none of the files
        is there, except where the message says that only the last flush failed.
        """
        moves = [(path, os.path.join(self.directory, os.path.basename(path))) for path in paths]
        *first, (last, final) = moves
        try:
            for staged, path in first:
                _place(staged, path)
            _flush_directory(self.directory)
            if replace_last:
                with _told(final):
                    os.replace(last, final)
            else:
                _place(last, final)
        except BaseException:
            if not _is_placed(last, final):
                for staged, path in first:
                    if _is_placed(staged, path):
                        with suppress(OSError):
                            os.unlink(path)
            raise
        try:
            _flush_directory(self.directory)
        except UnwritableFileError as error:
            raise UnwritableFileError(
                f"it is written and in place, but flushing its directory failed: {error.what}",
                where=final,
                remedy="Check the disk before you rely on it.",
            ) from error
        return [path for _, path in moves]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def _remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def remove_files(paths: Sequence[str]) -> None:
    """Remove files that nothing refers to any more; one that cannot be removed does no harm."""
    for path in paths:
        with suppress(OSError):
            os.unlink(path)


@contextmanager
def told_by_library(where: str) -> Iterator[None]:
    """Turn what a library raises where the system lets it not write into UnwritableFileError.

    HDF5's library puts the system's error into the text of its own.
    """
    with _told(where):
        try:
            yield
        except (OSError, RuntimeError) as error:
            found = re.search(r"errno = (\d+)", str(error))
            number = int(found[1]) if found else getattr(error, "errno", None) or errno.EIO
            raise OSError(number, os.strerror(number)) from error


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Turn the system's errors into ones that say what to do."""
    try:
        yield
    except OSError as error:
        if isinstance(error, UnwritableFileError | TargetExistsError):
            raise
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
        raise UnwritableFileError(
            "the disk is full" if full else f"writing failed: {error.strerror or error}",
            where=where,
            remedy="Free some space, or write to another disk."
            if full
            else "Check the permissions of the directory and the disk that it lies on.",
        ) from error


def _place(staged: str, path: str) -> None:
    """Give a file its name, unless there is a file of that name already.

    A link is made, since renaming would replace what another process has put there meanwhile.
    """
    with _told(path):
        try:
            os.link(staged, path)
        except FileExistsError:
            raise _exists(path) from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if os.path.lexists(path):
                raise _exists(path) from None
            os.rename(staged, path)


def _is_placed(staged: str, path: str) -> bool:
    """Whether `path` is the file that was written as `staged`, now or before it was renamed."""
    try:
        return not os.path.lexists(staged) or os.path.samefile(staged, path)
    except OSError:
        return False


def _exists(path: str) -> TargetExistsError:
    return TargetExistsError(
        "there is a file of this name already",
        where=path,
        remedy="Choose another name, or say --overwrite.",
    )


def _flush_directory(directory: str) -> None:
    """Have the system put the names of its files on the disk. Raises UnwritableFileError."""
    if os.name == "nt":  # has no handle on a directory that could be flushed
        return
    with _told(directory):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _locked(directory: str) -> int:
    """A handle that says as long as it is open that somebody works here; -1 without locks."""
    if sys.platform == "win32":
        return -1
    import fcntl

    with _told(directory):
        descriptor = os.open(directory, os.O_RDONLY)
        with suppress(OSError):  # some network shares have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor


def _remove_abandoned(directory: str, base: str) -> None:
    """Remove what killed processes left behind for the same target."""
    if sys.platform == "win32":  # has no such locks: it stays until somebody removes it
        return
    import fcntl

    ours = re.compile(re.escape(f".{base}.") + "[a-z0-9_]{8}" + re.escape(PARTIAL_SUFFIX))
    try:
        names = [name for name in os.listdir(directory) if ours.fullmatch(name)]
    except OSError:
        return
    for name in names:
        path = os.path.join(directory, name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _take_back(path, directory)
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue  # somebody is at work there
        finally:
            os.close(descriptor)


def _take_back(staged: str, directory: str) -> None:
    """Remove what a run that was killed before its commit point had put in place already.

    After the commit point nothing is left in `staged` that is not in place.
    """
    names = os.listdir(staged)
    moves = [(os.path.join(staged, name), os.path.join(directory, name)) for name in names]
    placed = [path for source, path in moves if _is_placed(source, path)]
    if len(placed) < len(moves):
        remove_files(placed)
