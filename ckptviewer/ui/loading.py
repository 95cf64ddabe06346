"""Loading what the window will want, while nobody waits: a little at each turn of the event loop.

In the GUI thread alone. Qt for Python makes each of its classes when it is first asked for, and now
and then the process dies where that happens in two threads at once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cache
from importlib import import_module

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import QCoreApplication, QObject, QTimer

PLOTS = "pyqtgraph"

_TURN_SECONDS = 0.004
_AHEAD_OF_PLOTS = (
    "PySide6.QtOpenGL",
    "PySide6.QtOpenGLWidgets",
    "PySide6.QtSvg",
    "PySide6.QtTest",
    "cProfile",
    "colorama",
    "decimal",
    "inspect",
    "locale",
    "multiprocessing",
    "numpy",
    "pydoc",
    "xml.etree.ElementTree",
)
"""What they import, as far as it is there. They also ask for all classes of Qt, one by one."""

_BEHIND_PLOTS = (
    "ckptviewer.checkpoint.rename_sets",
    "ckptviewer.export.choices",
    "ckptviewer.export.execute",
    "ckptviewer.export.writers",
    "ckptviewer.ui.validation_work",
    "ckptviewer.ui.exporting",
    "ckptviewer.ui.proposals",
    "ckptviewer.ui.panels.export_options",
    "ckptviewer.ui.panels.export_check",
    "ckptviewer.ui.panels.export_view",
)
"""The page of an export, those before it first that it stands on."""


@cache
def loading() -> Loading:
    """That of this application."""
    return Loading(QCoreApplication.instance())


class Loading(QObject):
    """Loads the plots, then the page of an export; each turn takes some milliseconds."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._steps = _steps()
        self._waiting: list[Callable[[], None]] = []
        self._courtesy: AbstractContextManager[None] = nullcontext()
        self._goes_on = False
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._take_turn)

    @property
    def under_way(self) -> bool:
        """Whether there is something left to load, and nobody has to ask for it."""
        return self._timer.isActive()

    def begin(self) -> None:
        """Load all of it, whenever the event loop has nothing else to do."""
        self._goes_on = True
        self._timer.start(0)

    def when_plots_are_there(
        self, act: Callable[[], None], courtesy: AbstractContextManager[None]
    ) -> None:
        """Do this now or, where they are not loaded yet, as soon as they are.

        courtesy: background work steps aside for what is done in it.
        """
        if _loaded(PLOTS):
            act()
            return
        self._courtesy = courtesy
        self._waiting.append(act)
        self._timer.start(0)

    def _take_turn(self) -> None:
        with self._courtesy:
            if self._waiting and _loaded(PLOTS):
                self._waiting.pop(0)()  # drawing takes long enough for a turn of its own
            elif self._waiting or self._goes_on:
                self._take_steps()
            else:
                self._timer.stop()
        if not self._waiting:
            self._courtesy = nullcontext()

    def _take_steps(self) -> None:
        end = time.perf_counter() + _TURN_SECONDS
        for step in self._steps:
            if step == PLOTS or time.perf_counter() >= end:
                return
        self._goes_on = False


def _loaded(name: str) -> bool:
    return name in sys.modules


def _steps() -> Iterator[str]:
    """Loads one thing after the other; tells which."""
    for name in _AHEAD_OF_PLOTS:
        with suppress(ImportError):
            import_module(name)
        yield name
    for module in (QtCore, QtGui, QtWidgets):
        for name in dir(module):
            getattr(module, name)
            yield name
    for name in (PLOTS, *_BEHIND_PLOTS):
        import_module(name)
        yield name
