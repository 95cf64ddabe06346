"""View: what fills the window below its bar. A checkpoint is one, a comparison another."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QMenu, QWidget


class View(QWidget):
    """A whole page of the window, with tools of its own in the bar and a menu of its own.

    The window shows one at a time; leaving it shows the one before. retitled: `title` is another
    now. told: a short message for the status line.
    """

    retitled = Signal()
    told = Signal(str)

    filter_hint = ""
    """What the filter box says while it is empty; without it there is nothing to filter."""

    menu_title = ""
    """Of the menu that `fill_menu` fills ("&Compare"); empty where there is none."""

    def title(self) -> str:
        """What the window's title begins with."""
        return ""

    def tools(self) -> Sequence[QWidget]:
        """Widgets for the bar at the top; the view keeps them, the bar shows them."""
        return ()

    def fill_menu(self, menu: QMenu) -> None:
        """Put the actions of this view into its menu."""

    def apply_filter(self, text: str) -> None:
        """Show only what matches a text of the filter language."""

    def select_variable(self, key: str) -> bool:
        """Bring a variable into sight and select it; whether one has that key or name."""
        return False

    def enter(self) -> None:
        """It is shown now: take the keyboard's focus to where work begins."""
        self.setFocus()

    def reload(self) -> None:
        """Read again what it shows."""

    def leave(self) -> None:
        """It will not be shown again: stop all work and give back what is held."""
