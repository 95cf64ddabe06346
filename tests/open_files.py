"""Which files this process has open, as Linux tells."""

from __future__ import annotations

import os
from pathlib import Path


def open_files() -> list[str]:
    """The path of each descriptor; of deleted files with " (deleted)"."""
    paths = []
    for name in os.listdir("/proc/self/fd"):
        try:
            paths.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue  # closed meanwhile: the descriptor that listed the directory itself
    return paths


def open_below(directory: Path) -> list[str]:
    """Those in a directory and below."""
    return [path for path in open_files() if path.startswith(f"{directory}{os.sep}")]
