"""Where objects of Qt die: in the GUI thread, and nowhere else.

Python's collector runs in whatever thread makes the next object. Let it meet the remains of a
closed window in a background thread, and Qt's destructor waits there for Python's lock while the
GUI thread holds that and waits for Qt's: neither goes on. So the collector is switched off, and
called from a timer; and what a background thread may be the last to hold is handed back.
"""

from __future__ import annotations

import gc
from collections import deque
from typing import ClassVar

from PySide6.QtCore import QObject, QTimer

from ckptviewer.checkpoint.collector import collector_hold

_TICK_MS = 100
TICKS_KEPT = 25
"""How long a background thread may take to let go of what it has handed back."""
_YOUNG, _MIDDLE, _OLD = 700, 10, 300
"""New objects, and collections of each age, after which the next older ones are looked at."""

_retired: list[object] = []


class Collecting(QObject):
    """Collects garbage from the GUI thread until it is stopped. One to a process."""

    running: ClassVar[bool] = False

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._is_stopped = False
        self._going: deque[list[object]] = deque(maxlen=TICKS_KEPT)
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self.tick)
        self._timer.start()
        collector_hold.take()
        Collecting.running = True

    def tick(self) -> None:
        """Collect what is due; let go of what was handed back some ticks ago."""
        batch = _retired[:]
        del _retired[: len(batch)]
        self._going.append(batch)
        young, middle, old = gc.get_count()
        if young > _YOUNG:
            gc.collect(0)
        if middle > _MIDDLE:
            gc.collect(1)
        if old > _OLD:
            gc.collect(2)

    def let_go(self) -> None:
        """Let go at once of all that was handed back: no thread is left that could hold it."""
        self._going.clear()
        _retired.clear()

    def stop(self) -> None:
        """Leave it to Python again, once."""
        if self._is_stopped:
            return
        self._is_stopped = True
        self._timer.stop()
        Collecting.running = False
        collector_hold.release()


def retire(last: object) -> None:
    """Have something die in the GUI thread; for a background thread that may be last to hold it."""
    if Collecting.running:
        _retired.append(last)
