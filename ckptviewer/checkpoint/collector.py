"""The cyclic garbage collector, held while anybody wants it held."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class _Hold:
    """Switches the collector off until as many have released it as held it, in any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._holders = 0
        self._was_enabled = True

    def take(self) -> None:
        with self._lock:
            if not self._holders:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._holders += 1

    def release(self) -> None:
        """Undo one `take`; the last leaves the collector as the first found it."""
        with self._lock:
            self._holders -= 1
            if not self._holders and self._was_enabled:
                gc.enable()


collector_hold = _Hold()


@contextmanager
def collection_paused() -> Iterator[None]:
    """Hold the collector: it would go over each new object again and again, and free none."""
    collector_hold.take()
    try:
        yield
    finally:
        collector_hold.release()
