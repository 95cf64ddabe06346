"""How fast long work goes, and how long it will still take, for people."""

from __future__ import annotations

import time
from collections.abc import Callable

from ckptviewer.checkpoint.progress import Progress
from ckptviewer.checkpoint.text import size_text

_LEAST_SECONDS = 0.3
_KEPT_SHARE = 0.7


class Rate:
    """Tells of reports of progress in bytes what they mean in time.

    The rate is that of late: what went before counts less the longer ago it was.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._done = 0
        self.bytes_per_second = 0.0

    def text(self, progress: Progress) -> str:
        """Such as "640 MB/s, 12 s left"; empty as long as nothing is known."""
        now = self._clock()
        seconds = now - self._since
        if seconds >= _LEAST_SECONDS:
            fresh = (progress.done - self._done) / seconds
            old = self.bytes_per_second
            self.bytes_per_second = _KEPT_SHARE * old + (1 - _KEPT_SHARE) * fresh if old else fresh
            self._since, self._done = now, progress.done
        if self.bytes_per_second <= 0:
            return ""
        left = max(0, progress.total - progress.done) / self.bytes_per_second
        return f"{size_text(int(self.bytes_per_second))}/s, {_seconds_text(left)} left"


def _seconds_text(seconds: float) -> str:
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
