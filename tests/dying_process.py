"""A process that has itself killed before one of its system calls: what stays must be whole."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

WATCHED = ("mkdir", "write", "fsync", "rename", "link", "replace", "unlink", "rmdir")


def die_at(step: int) -> None:
    """Have this process killed before its system call of this number, of those that write."""
    calls = 0

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return call

    for name in WATCHED:
        setattr(os, name, watched(getattr(os, name)))
