"""What a worker and the model in it print, kept in a file of bounded size."""

from __future__ import annotations

import os
import tempfile
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import IO

KEPT_LOGS = 20
_HEAD_BYTES = 8 << 20
_TAIL_BYTES = 1 << 20
_PIECE = 1 << 16
_TAIL_LINES = 40


def logs_directory() -> Path:
    """Where logs lie; CKPTVIEWER_LOGS names another place."""
    if named := os.environ.get("CKPTVIEWER_LOGS"):
        return Path(named)
    from platformdirs import user_log_path

    return user_log_path("ckptviewer", appauthor=False)


class WorkerLog:
    """The first 8 MiB of what is printed go to a file, and at the end the last MiB.

    path: of the file; empty where none could be made, and then only the tail is kept.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._file: IO[bytes] | None = None
        self.path = ""
        self._written = 0
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._lock = threading.Lock()
        with suppress(OSError):
            self.path, self._file = _made(path)

    def fill(self, pipe: IO[bytes]) -> None:
        """Take all that comes, until it ends."""
        with suppress(OSError, ValueError):
            while data := os.read(pipe.fileno(), _PIECE):
                self.add(data)

    def add(self, data: bytes) -> None:
        """Take a piece."""
        with self._lock:
            if self._file is not None and self._written < _HEAD_BYTES:
                with suppress(OSError):
                    self._file.write(data)
                    self._file.flush()
            self._written += len(data)
            self._tail.append(data)
            self._tail_bytes += len(data)
            while self._tail_bytes - len(self._tail[0]) >= _TAIL_BYTES:
                self._tail_bytes -= len(self._tail.popleft())

    def tail(self) -> str:
        """The last lines, for showing beside an error."""
        with self._lock:
            data = b"".join(self._tail)[-_PIECE:]
        return "\n".join(data.decode("utf-8", "replace").splitlines()[-_TAIL_LINES:])

    def last_line(self) -> str:
        """The last line that says something."""
        lines = [line.strip() for line in self.tail().splitlines() if line.strip()]
        return lines[-1][:300] if lines else ""

    def close(self) -> None:
        """Finish the file; closing twice is harmless."""
        with self._lock, suppress(OSError):
            if self._file is None:
                return
            if self._written > _HEAD_BYTES:
                left_out = self._written - _HEAD_BYTES - self._tail_bytes
                if left_out > 0:
                    self._file.write(f"\n[{left_out:,} bytes are left out]\n".encode())
                self._file.write(b"".join(self._tail))
            self._file.close()
            self._file = None


def _made(path: str | os.PathLike[str] | None) -> tuple[str, IO[bytes]]:
    if path is not None:
        return os.fspath(path), open(path, "wb")
    directory = logs_directory()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _remove_old(directory)
        handle, name = tempfile.mkstemp(".log", "validation-", directory)
    except OSError:
        handle, name = tempfile.mkstemp(".log", "ckptviewer-validation-")
    return name, os.fdopen(handle, "wb")


def _remove_old(directory: Path) -> None:
    """Keep the newest logs only."""
    dated = []
    for path in directory.glob("validation-*.log"):
        with suppress(OSError):
            dated.append((path.stat().st_mtime, path))
    for _, path in sorted(dated, reverse=True)[KEPT_LOGS - 1 :]:
        with suppress(OSError):
            path.unlink()
