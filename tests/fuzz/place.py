"""Where inputs are written for the parsers to open: in memory, where the system offers that."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
DIRECTORY = Path(tempfile.mkdtemp(prefix="fuzz-", dir=_MEMORY))

atexit.register(shutil.rmtree, DIRECTORY, ignore_errors=True)
