"""Watching the files of an open checkpoint: training goes on while people look."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import QFileSystemWatcher, QObject, QTimer, Signal

from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.ui.jobs import Job, Jobs, Report

MOST_WATCHED = 64
"""Systems allow few watches; what is beyond is noticed when the window is looked at again."""

_SETTLE_MS = 300

Stamp = tuple[int, ...] | None


class FileWatch(QObject):
    """Tells when files are rewritten, replaced or deleted. changed: told once, until `start`."""

    changed = Signal()

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs
        self._watcher: QFileSystemWatcher | None = None
        self._stamps: Mapping[Path, Stamp] = {}
        self._looking: Job[Mapping[Path, Stamp]] | None = None
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self.look)

    def start(self, path: str) -> None:
        """Watch the files of another checkpoint from now on, and no others."""
        self.stop()

        def find(_cancel: CancelToken, _report: Report) -> Mapping[Path, Stamp]:
            from ckptviewer.storage.cache import files_of

            return _stamps(files_of(path))

        self._looking = self._jobs.start("Watching", find)
        self._looking.succeeded.connect(self._watch)

    def stop(self) -> None:
        """Watch nothing."""
        if self._looking is not None:
            self._looking.cancel()
        self._looking = None
        self._settle.stop()
        self._stamps = {}
        if self._watcher is not None:
            self._watcher.deleteLater()
            self._watcher = None

    def look(self) -> None:
        """Compare the files with what they were, now."""
        files = list(self._stamps)
        if files and (self._looking is None or self._looking.is_over):
            self._looking = self._jobs.start("Watching", lambda _c, _r: _stamps(files))
            self._looking.succeeded.connect(self._compare)

    def _watch(self, stamps: Mapping[Path, Stamp]) -> None:
        self._stamps = stamps
        if stamps:
            self._watcher = QFileSystemWatcher(self)
            self._watcher.fileChanged.connect(lambda _path: self._settle.start())
            self._watcher.addPaths([str(path) for path in list(stamps)[:MOST_WATCHED]])

    def _compare(self, stamps: Mapping[Path, Stamp]) -> None:
        if stamps != self._stamps:
            self.stop()
            self.changed.emit()


def _stamps(files: list[Path]) -> Mapping[Path, Stamp]:
    return {file: _stamp(file) for file in files}


def _stamp(file: Path) -> Stamp:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
