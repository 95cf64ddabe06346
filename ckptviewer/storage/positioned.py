"""Reading a file at a position, whatever the system has for it."""

from __future__ import annotations

import os
import threading

_CAN_PREADV = hasattr(os, "preadv")
_MOST_BYTES = 1 << 24
_lock = threading.Lock()


def read_some(descriptor: int, view: memoryview, offset: int) -> int:
    """Fill `view` from its front with bytes from `offset` on; how many: 0 at the end of the file.

    From several threads at once. Raises OSError.
    """
    if _CAN_PREADV:
        return os.preadv(descriptor, [view], offset)
    data = seek_and_read(descriptor, len(view), offset)
    view[: len(data)] = data
    return len(data)


def seek_and_read(descriptor: int, count: int, offset: int) -> bytes:
    """Some bytes from `offset` on, as one step; for systems without anything better."""
    with _lock:  # for all descriptors: that of a file may be lent
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, min(count, _MOST_BYTES))
