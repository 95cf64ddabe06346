"""What reads a file at a position for compiled loops, which have no Python to ask."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Any

from ckptviewer.storage.positioned import seek_and_read

READ = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64
)
"""The type of POSIX's `pread`: descriptor, address, number of bytes, offset; what was read."""


@cache
def read_function() -> int:
    """The address of a function that reads at a position, of the type `READ`.

    What it returns is less than 1 where nothing was read, for whatever reason.
    """
    wide_enough = ctypes.sizeof(ctypes.c_long) >= ctypes.sizeof(ctypes.c_int64)
    if os.name == "posix" and wide_enough:
        return address_of(ctypes.CDLL(None).pread)
    return address_of(by_seeking())


@cache
def by_seeking() -> Any:
    """The same for systems without `pread`; takes Python's lock."""

    def read(descriptor: int, place: int, count: int, offset: int) -> int:
        try:
            data = seek_and_read(descriptor, count, offset)
            ctypes.memmove(place, data, len(data))
        except BaseException:  # nothing may be raised through compiled code
            return -1
        return len(data)

    return READ(read)


def address_of(function: Any) -> int:
    """Where the function begins; valid as long as it lives."""
    return ctypes.cast(function, ctypes.c_void_p).value or 0
