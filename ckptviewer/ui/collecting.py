"""Where objects of Qt die: in the GUI thread, and nowhere else.

Python's collector runs in whatever thread makes the next object. Let it meet the remains of a
closed window in a background thread, and Qt's destructor waits there for Python's lock while the
GUI thread holds that and waits for Qt's: neither goes on. So the collector is switched off, and
called from a timer; and what a background thread may be the last to hold is handed back.
"""

from __future__ import annotations

import gc
from typing import ClassVar

from PySide6.QtCore import QObject, QTimer

_TICK_MS = 500
_YOUNG, _MIDDLE, _OLD = 700, 10, 60
"""New objects, and collections of each age, after which the next older ones are looked at."""

_retired: list[object] = []


class Collecting(QObject):
    """Collects garbage from the GUI thread until it is stopped. One to a process."""

    running: ClassVar[bool] = False

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._going: list[object] = []
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self.tick)
        self._timer.start()
        gc.disable()
        Collecting.running = True

    def tick(self) -> None:
        """Collect what is due; let go of what was handed back before the last tick."""
        self._going = _retired[:]
        del _retired[: len(self._going)]
        young, middle, old = gc.get_count()
        if young > _YOUNG:
            gc.collect(0)
        if middle > _MIDDLE:
            gc.collect(1)
        if old > _OLD:
            gc.collect(2)

    def stop(self) -> None:
        """Leave it to Python again."""
        self._timer.stop()
        Collecting.running = False
        gc.enable()


def retire(last: object) -> None:
    """Have something die in the GUI thread; for a background thread that may be last to hold it."""
    if Collecting.running:
        _retired.append(last)
