"""What a window remembers of itself: its place and size, and how its tree was seen last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QSize

from ckptviewer.checkpoint.tree import ViewBy

if TYPE_CHECKING:
    from ckptviewer.ui.main_window import MainWindow

DEFAULT_SIZE = (1280, 800)
_FRAME = (4, 36)
"""About what the frame of a window takes, and its title."""


def restore_window(window: MainWindow) -> None:
    """Have a new window look as the last one did."""
    settings, browser = window.settings, window.browser
    window.resize(first_size(window.screen().availableSize()))
    geometry = settings.get("window_geometry", "")
    if geometry:
        window.restoreGeometry(QByteArray.fromBase64(geometry.encode()))
    sizes = settings.get("splitter", [])
    if len(sizes) == 2 and all(isinstance(size, int) for size in sizes):
        browser.splitter.setSizes(sizes)
    view_by = settings.get("view_by", str(ViewBy.NAME))
    if view_by in set(ViewBy):
        browser.choose_view(ViewBy(view_by))


def first_size(room: QSize) -> QSize:
    """The size of the first window on a screen with so much room: all of it is to be seen."""
    frame = QSize(*_FRAME)
    return QSize(*DEFAULT_SIZE).boundedTo(room - frame)


def remember_window(window: MainWindow) -> None:
    """Keep how a window looks for the next one."""
    settings, browser = window.settings, window.browser
    settings.set("window_geometry", window.window().saveGeometry().toBase64().toStdString())
    settings.set("splitter", browser.splitter.sizes())
    settings.set("view_by", str(browser.view_by))
    settings.save()
