"""What happens with files that are dropped on a window."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent

from ckptviewer.ui.models_at_hand import show_restore
from ckptviewer.ui.panels.drop_zones import DropZones, Zone

if TYPE_CHECKING:
    from ckptviewer.ui.main_window import MainWindow


class Dropping(QObject):
    """Offers zones for one file over an open checkpoint; any others are opened."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.zones = DropZones(window.appearance, window)

    def enter(self, event: QDragEnterEvent) -> None:
        """Files are held over the window."""
        paths = _local_paths(event)
        if paths:
            event.acceptProposedAction()
            window = self._window
            if len(paths) == 1 and window.view is not None and window.session is not None:
                self.zones.offer(self.offered())

    def move(self, event: QDragMoveEvent) -> None:
        """They are moved over it."""
        if _local_paths(event):
            event.acceptProposedAction()
            self.zones.point(event.position().toPoint())

    def drop(self, event: QDropEvent) -> None:
        """They are let go."""
        paths = _local_paths(event)
        shown = self.zones.isVisible()
        zone = self.zones.take(event.position().toPoint()) if shown else None
        if not paths:
            return
        event.acceptProposedAction()
        if zone is not None:
            zone.do(paths[0])
            return
        self._window.open_path(paths[0])
        for path in paths[1:]:
            self._window.path_wanted.emit(path)

    def offered(self) -> list[Zone]:
        """What one file may be dropped for while a checkpoint is open."""
        window = self._window
        assert window.session is not None
        name = os.path.basename(window.session.checkpoint.path.rstrip("/"))
        return [
            Zone("Open it", "in the place of what is open", window.open_path),
            Zone("Compare with it", f"A is {name}, B what you drop", window.compare_with),
            Zone(
                "Will it restore?",
                f"what of {name} binds to a model that you drop; nothing is run",
                partial(show_restore, window),
            ),
        ]


def _local_paths(event: QDropEvent) -> list[str]:
    urls = event.mimeData().urls()
    return [url.toLocalFile() for url in urls if url.isLocalFile()]
