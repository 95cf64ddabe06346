"""How long the turns of an event loop take: a timer that fires as often as it can."""

from __future__ import annotations

import time
from itertools import pairwise

from PySide6.QtCore import Qt, QTimer


class LoopProbe:
    """Notes when the loop comes round, and how long this thread had computed by then."""

    def __init__(self) -> None:
        self.ticks: list[tuple[float, float]] = []
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(1)

    def _tick(self) -> None:
        self.ticks.append((time.perf_counter(), time.thread_time()))

    def turns(self) -> str:
        """What the turns took."""
        gaps = sorted(b[0] - a[0] for a, b in pairwise(self.ticks))
        return (
            f"event loop: {len(gaps)} turns, p50 {_share(gaps, 0.5):.1f} ms, "
            f"p99 {_share(gaps, 0.99):.1f} ms, worst {gaps[-1] * 1e3:.1f} ms"
        )

    def computing(self) -> str:
        """What of them this thread computed."""
        busy = sorted(b[1] - a[1] for a, b in pairwise(self.ticks))
        return f"p99 {_share(busy, 0.99):.1f} ms, worst {busy[-1] * 1e3:.1f} ms"


def _share(sorted_seconds: list[float], share: float) -> float:
    return sorted_seconds[int(share * (len(sorted_seconds) - 1))] * 1e3
