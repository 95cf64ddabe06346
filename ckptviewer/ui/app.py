"""The application: its windows, and the picture it draws of one."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import Future
from importlib import import_module
from pathlib import Path

from PySide6.QtCore import QMessageLogContext, QObject, QTimer, QtMsgType, qInstallMessageHandler
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication

from ckptviewer import __version__
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Report
from ckptviewer.ui.main_window import MainWindow
from ckptviewer.ui.session import Session
from ckptviewer.ui.settings import Settings

GOOD, COULD_NOT = 0, 2
SWITCH_SECONDS = 0.0001
PLOTS_AFTER_MS = 400


class Windows(QObject):
    """The open windows of the application."""

    def __init__(self, appearance: Appearance, settings: Settings) -> None:
        super().__init__()
        self._appearance = appearance
        self._settings = settings
        self._windows: list[MainWindow] = []

    def make(self) -> MainWindow:
        """A new window; it is kept until it is closed."""
        window = MainWindow(self._appearance, self._settings)
        window.path_wanted.connect(self.show_path)
        window.closed.connect(self._windows.remove)
        self._windows.append(window)
        return window

    def show_path(self, path: str) -> None:
        """Show a path in a window of its own."""
        window = self.make()
        window.show()
        window.open_path(path)


def run_app(
    options: argparse.Namespace, paths: Sequence[str], opening: Future[Session] | None
) -> int:
    """Show the window for `paths`; returns the exit status when the last one is closed.

    opening: the opening of the first path, which is under way already.
    """
    if options.screenshot is not None:
        qInstallMessageHandler(_print_message)
    app = QApplication(sys.argv[:1])
    app.setApplicationName("ckptviewer")
    app.setApplicationVersion(__version__)
    app.setDesktopFileName("ckptviewer")
    # Python passes its lock on every 5 ms by default; the event loop must not wait that long.
    sys.setswitchinterval(SWITCH_SECONDS)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl+C in the terminal ends it
    for_picture = options.screenshot is not None
    # A picture must not depend on, nor change, what the user's own windows remember.
    settings = Settings(remembered=not for_picture)
    choice = options.theme or ("light" if for_picture else settings.get("theme", "system"))
    windows = Windows(Appearance(app, choice), settings)
    window = windows.make()
    if options.size:
        window.resize(*options.size)
    if options.select:
        window.opened.connect(lambda: window.browser.select_variable(options.select))
    picture = Picture(window, options.screenshot) if for_picture else None
    window.show()
    if paths:
        window.open_path(paths[0], opening)
    elif picture is not None:
        picture.draw_soon()
    for path in paths[1:]:
        windows.show_path(path)
    QTimer.singleShot(0, lambda: _load_later(app, window))
    status = app.exec()
    return picture.status if picture is not None else status


def _print_message(_kind: QtMsgType, _context: QMessageLogContext, message: str) -> None:
    if "propagateSizeHints" not in message:  # what off-screen drawing cannot do, and need not
        print(message, file=sys.stderr)  # noqa: T201


def _load_plots(_cancel: CancelToken, _report: Report) -> None:
    """Import the plots before the first one is wanted."""
    import_module("pyqtgraph")


def _load_later(app: QApplication, window: MainWindow) -> None:
    """What the first paint need not wait for."""

    def load_plots() -> None:
        if window.isVisible():  # it may have been closed again
            window.jobs.start("Plots", _load_plots)

    QTimer.singleShot(PLOTS_AFTER_MS, window, load_plots)
    from ckptviewer.resources import resource

    app.setWindowIcon(QIcon(str(resource("icons/ckptviewer.svg"))))


class Picture(QObject):
    """Draws a window into a file once it is complete, and ends the application."""

    def __init__(self, window: MainWindow, path: Path) -> None:
        super().__init__(window)
        self.status = COULD_NOT
        self._window = window
        self._path = path
        self._is_open = False
        window.opened.connect(self._note_open)
        window.failed.connect(self._give_up)
        window.jobs.ended.connect(lambda _job: QTimer.singleShot(0, self._draw_if_complete))

    def _note_open(self) -> None:
        self._is_open = True

    def _draw_if_complete(self) -> None:
        if not self._is_open or self._window.jobs.running:
            return
        self._is_open = False
        self.draw_soon()

    def draw_soon(self) -> None:
        """Draw what is in sight now."""
        # Layouts that follow from what was just shown settle in the next turns of the event loop.
        QTimer.singleShot(150, self._draw)

    def _draw(self) -> None:
        if self._window.grab().save(str(self._path), "PNG"):
            self.status = GOOD
        else:
            print(f"ckptviewer: {self._path}: the picture cannot be written", file=sys.stderr)  # noqa: T201
        QApplication.exit()

    def _give_up(self, message: str) -> None:
        print(f"ckptviewer: {message}", file=sys.stderr)  # noqa: T201
        QApplication.exit()
