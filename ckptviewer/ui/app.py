"""The application: its windows, and the picture it draws of one."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import (
    QEvent,
    QMessageLogContext,
    QObject,
    Qt,
    QTimer,
    QtMsgType,
    Signal,
    qInstallMessageHandler,
)
from PySide6.QtGui import QFileOpenEvent, QIcon
from PySide6.QtWidgets import QApplication

from ckptviewer import __version__
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.collecting import Collecting
from ckptviewer.ui.crash import Crash, CrashWatch, log_directory
from ckptviewer.ui.hand_over import Claim, Request
from ckptviewer.ui.loading import loading
from ckptviewer.ui.main_window import MainWindow
from ckptviewer.ui.session import Session
from ckptviewer.ui.settings import Settings
from ckptviewer.ui.window_memory import DEFAULT_SIZE
from ckptviewer.ui.windows import Windows, apart

if TYPE_CHECKING:
    from ckptviewer.ui.dialogs.crash_dialog import CrashDialog
    from ckptviewer.ui.one_instance import OneInstance

GOOD, COULD_NOT = 0, 2
SWITCH_SECONDS = 0.0001
PLOTS_AFTER_MS = 400


class Application(QApplication):
    """Qt's application. requested: the desktop wants a file to be opened (as macOS tells it)."""

    requested = Signal(Request)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QFileOpenEvent) and event.file():
            self.requested.emit(Request(paths=(os.path.abspath(event.file()),)))
            return True
        return super().event(event)


def run_app(
    options: argparse.Namespace,
    request: Request,
    opening: Future[Session] | None,
    claim: Claim | None = None,
) -> int:
    """Show the window that is asked for; returns the exit status when the last one is closed.

    opening: the opening of the first path, which is under way already. claim: where others hand
    over what they want to see.
    """
    if options.screenshot is not None:
        qInstallMessageHandler(_print_message)
    app = Application(sys.argv[:1])
    app.setApplicationName("ckptviewer")
    app.setApplicationVersion(__version__)
    app.setDesktopFileName("ckptviewer")
    collecting = tune_python()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl+C in the terminal ends it
    for_picture = options.screenshot is not None
    # A picture must not depend on, nor change, what the user's own windows remember.
    settings = Settings(remembered=not for_picture)
    choice = options.theme or ("light" if for_picture else settings.get("theme", "system"))
    appearance = Appearance(app, choice)
    watch = CrashWatch(None if for_picture else log_directory(), app, echoes=not for_picture)
    watch.install()
    windows = Windows(appearance, settings)
    window = windows.make()
    if options.size or for_picture:  # no screen bounds a picture
        window.resize(*(options.size or DEFAULT_SIZE))
    if options.select:
        for signal_ in (window.opened, window.compared):
            signal_.connect(lambda: window.select_variable(options.select))
    picture = Picture(window, options.screenshot, compare=request.compare) if for_picture else None
    window.show()
    windows.show_in(window, apart(request.paths), opening, compare=request.compare)
    if picture is not None and not request.paths:
        picture.draw_soon()
    app.requested.connect(windows.answer)
    if picture is not None:
        watch.happened.connect(picture.give_up_for_crash)
    else:
        telling = CrashTelling(watch, appearance)
        QTimer.singleShot(0, telling.look_back)
    QTimer.singleShot(0, lambda: _load_later(app, window))
    company = Company(claim, windows) if claim is not None else None
    status = app.exec()
    collecting.stop()
    if company is not None:
        company.part()
    watch.remove()
    return picture.status if picture is not None else status


class CrashTelling(QObject):
    """Shows what a CrashWatch hears of in a dialog, before whatever window is in use."""

    def __init__(self, watch: CrashWatch, appearance: Appearance) -> None:
        super().__init__(watch)
        self._watch = watch
        self._appearance = appearance
        self._dialog: CrashDialog | None = None
        watch.happened.connect(self._tell)

    def look_back(self) -> None:
        """Begin to note crashes that end the program, and tell of an earlier one."""
        self._watch.note_faults()

    def _tell(self, crash: Crash) -> None:
        from ckptviewer.ui.dialogs.crash_dialog import CrashDialog

        if self._dialog is None and not crash.again:
            self._dialog = CrashDialog(self._appearance, QApplication.activeWindow())
            self._dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            self._dialog.setAttribute(Qt.WidgetAttribute.WA_QuitOnClose, False)
            self._dialog.destroyed.connect(self._forget)
        if self._dialog is not None:
            self._dialog.show_crash(crash)

    def _forget(self) -> None:
        self._dialog = None


def tune_python() -> Collecting:
    """Keep Python's own pauses out of the event loop; hold on to what it gives back.

    By default Python's lock is passed on every 5 ms, and its collector goes over all objects
    whenever a quarter of them are new: with thousands of variables a pause of a tenth of a second.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    return Collecting()


class Company(QObject):
    """Other processes, which hand over what they want to see; heard after the first paint."""

    def __init__(self, claim: Claim, windows: Windows) -> None:
        super().__init__()
        self._claim = claim
        self._windows = windows
        self._instance: OneInstance | None = None
        QTimer.singleShot(0, self._listen)

    def _listen(self) -> None:
        from ckptviewer.ui.one_instance import OneInstance

        self._instance = OneInstance(self._claim, self)
        self._instance.requested.connect(self._windows.answer)

    def part(self) -> None:
        """Leave the place to the next process."""
        if self._instance is not None:
            self._instance.close()
        self._claim.give_back()


def _print_message(_kind: QtMsgType, _context: QMessageLogContext, message: str) -> None:
    if "propagateSizeHints" not in message:  # what off-screen drawing cannot do, and need not
        print(message, file=sys.stderr)  # noqa: T201


def _load_later(app: QApplication, window: MainWindow) -> None:
    """What the first paint need not wait for."""

    def load_plots() -> None:
        if window.isVisible():  # it may have been closed again
            loading().begin()

    QTimer.singleShot(PLOTS_AFTER_MS, window, load_plots)
    from ckptviewer.resources import resource

    app.setWindowIcon(QIcon(str(resource("icons/ckptviewer.svg"))))


class Picture(QObject):
    """Draws a window into a file once it is complete, and ends the application."""

    def __init__(self, window: MainWindow, path: Path, *, compare: bool = False) -> None:
        """compare: it is complete once a comparison is."""
        super().__init__(window)
        self.status = COULD_NOT
        self._window = window
        self._path = path
        self._is_open = False
        window.compared.connect(self._note_open)
        if not compare:
            window.opened.connect(self._note_open)
        window.failed.connect(self._give_up)
        window.jobs.ended.connect(lambda _job: QTimer.singleShot(0, self._draw_if_complete))
        window.run_offer.settled.connect(self._draw_if_complete)

    def _note_open(self) -> None:
        self._is_open = True

    def _draw_if_complete(self) -> None:
        window = self._window
        if not self._is_open or window.jobs.running or window.run_offer.is_busy:
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

    def give_up_for_crash(self, crash: Crash) -> None:
        """End with a line that says so; a picture of a broken window helps nobody."""
        self._give_up(f"something went wrong that should not: {crash.what}")

    def _give_up(self, message: str) -> None:
        print(f"ckptviewer: {message}", file=sys.stderr)  # noqa: T201
        QApplication.exit()
