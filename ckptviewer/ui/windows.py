"""The windows of the application: which one shows what is to be opened."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import Future

from PySide6.QtCore import QObject, Qt

from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.hand_over import Request
from ckptviewer.ui.main_window import MainWindow
from ckptviewer.ui.session import Session
from ckptviewer.ui.settings import Settings
from ckptviewer.ui.tabs import TabbedWindow, tabs_of

_FILES_OF_A_BUNDLE = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")


class Windows(QObject):
    """The open windows of the application."""

    def __init__(self, appearance: Appearance, settings: Settings) -> None:
        super().__init__()
        self._appearance = appearance
        self._settings = settings
        self._windows: list[MainWindow] = []
        self._tabbed: list[TabbedWindow] = []

    def make(self) -> MainWindow:
        """A new window; it is kept until it is closed."""
        window = MainWindow(self._appearance, self._settings)
        window.path_wanted.connect(self.show_path)
        window.closed.connect(self._windows.remove)
        self._windows.append(window)
        return window

    def show(self, window: MainWindow) -> None:
        """Show a window: as a tab beside the last one where that is wanted, else by itself."""
        others = [each for each in self._windows if each is not window]
        if tabs_of(window) is not None:
            return
        if window.isVisible() or not others or self._settings.get("opens_in", "new") != "tab":
            window.show()
            return
        last = next((each for each in others if each.isActiveWindow()), others[-1])
        tabs = tabs_of(last)
        if tabs is None:
            tabs = TabbedWindow(last)
            tabs.closed.connect(self._tabbed.remove)
            self._tabbed.append(tabs)
        tabs.add(window)

    def show_path(self, path: str) -> None:
        """Show a path in a window, or a tab, of its own."""
        window = self.make()
        self.show(window)
        window.open_path(path)

    def answer(self, request: Request) -> None:
        """Show what another process, or the desktop, asks for, and bring it to the front."""
        paths = apart(request.paths)
        window = self._showing(paths[0]) if len(paths) == 1 else None
        if window is None:
            window = self._showing("") or self.make()
            self.show(window)
            self.show_in(window, paths, compare=request.compare)
        come_to_front(window, request.token)

    def show_in(
        self,
        window: MainWindow,
        paths: Sequence[str],
        opening: Future[Session] | None = None,
        *,
        compare: bool = False,
    ) -> None:
        """Show paths: two as a comparison where that is asked for, else one in each window.

        opening: the opening of the first path, if it is under way.
        """
        if compare and len(paths) == 2:
            window.compare_paths(*paths)
            return
        for path in paths[:1]:
            window.open_path(path, opening)
        for path in paths[1:]:
            self.show_path(path)

    def _showing(self, path: str) -> MainWindow | None:
        """The window in which a path is open; for "", one in which nothing is."""
        wanted = stem(path)
        return next((window for window in self._windows if stem(window.asked) == wanted), None)


def stem(path: str) -> str:
    """What the paths of all files of one bundle have in common, absolute; "" for ""."""
    return _FILES_OF_A_BUNDLE.sub("", os.path.abspath(path)) if path else ""


def apart(paths: Sequence[str]) -> list[str]:
    """The paths without those that are other files of a checkpoint which is there already."""
    kept: dict[str, str] = {}
    for path in paths:
        kept.setdefault(stem(path), path)
    return list(kept.values())


def come_to_front(window: MainWindow, token: str) -> None:
    """Raise a window; the desktop lets it come to the front by the token that it gave."""
    if token:
        os.environ["XDG_ACTIVATION_TOKEN"] = token  # Qt's part for Wayland looks there
    tabs = tabs_of(window)
    if tabs is not None:
        tabs.bring(window)
    top = window.window()
    top.setWindowState(top.windowState() & ~Qt.WindowState.WindowMinimized)
    top.raise_()
    top.activateWindow()
    os.environ.pop("XDG_ACTIVATION_TOKEN", None)
