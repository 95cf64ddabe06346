"""The command palette: every action of the window by a few letters of its name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QAction, QKeyEvent, QShowEvent
from PySide6.QtWidgets import (
    QDialog,
    QLabel,
    QLineEdit,
    QMenu,
    QMenuBar,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
)

from ckptviewer.checkpoint.text import elide_middle

if TYPE_CHECKING:
    from ckptviewer.ui.main_window import MainWindow

_WIDTH = 560
_ROWS = 12
_KEYS = (Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown)


class Palette(QDialog):
    """Lists what can be done now; typing narrows, Return does it, Escape leaves."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setObjectName("popup")
        self.setWindowTitle("Command palette")
        self.setAccessibleName("Command palette")
        self._actions = [*actions_of(window.menuBar()), *self._recent(window)]
        self.edit = QLineEdit()
        self.edit.setPlaceholderText("What do you want to do?")
        self.edit.setAccessibleName("Command")
        self.edit.installEventFilter(self)
        self.listing = QTreeWidget()
        self.listing.setAccessibleName("Commands")
        self.listing.setColumnCount(2)
        self.listing.setHeaderHidden(True)
        self.listing.setRootIsDecorated(False)
        self.listing.setUniformRowHeights(True)
        self.listing.setObjectName("commands")
        self.listing.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        header = self.listing.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, header.ResizeMode.Stretch)
        header.setSectionResizeMode(1, header.ResizeMode.ResizeToContents)
        self._nothing = QLabel("Nothing of that name can be done now.")
        self._nothing.setObjectName("muted")
        self._nothing.setContentsMargins(10, 4, 10, 8)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        for widget in (self.edit, self.listing, self._nothing):
            column.addWidget(widget)
        self.edit.textChanged.connect(self._narrow)
        self.edit.returnPressed.connect(self._do)
        self.listing.itemClicked.connect(lambda _item: self._do())
        self.listing.ensurePolished()  # rows are measured before they are shown
        width = min(_WIDTH, window.width() - 40)
        self.setFixedWidth(width)
        self._narrow("")
        self.move(window.mapToGlobal(window.rect().topLeft()).x() + (window.width() - width) // 2,
                  window.mapToGlobal(window.rect().topLeft()).y() + 70)  # fmt: skip

    def names(self) -> list[str]:
        """What is listed, the first first."""
        items = (self.listing.topLevelItem(row) for row in range(self.listing.topLevelItemCount()))
        return [item.text(0) for item in items if item is not None]

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.edit.setFocus(Qt.FocusReason.PopupFocusReason)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and self._goes_to_listing(event):
            self.listing.keyPressEvent(event)
            return True
        return super().eventFilter(watched, event)

    @staticmethod
    def _goes_to_listing(event: QKeyEvent) -> bool:
        return event.type() == QEvent.Type.KeyPress and event.key() in _KEYS

    def _narrow(self, text: str) -> None:
        words = text.lower().split()
        self.listing.clear()
        found = []
        for place, (name, action) in enumerate(self._actions):
            rank = _rank(name.lower(), words)
            if rank is not None:
                found.append((rank, place, name, action))
        found.sort(key=lambda each: each[:2])
        for _, place, name, action in found:
            item = QTreeWidgetItem([name, action.shortcut().toString()])
            item.setData(0, Qt.ItemDataRole.UserRole, place)
            self.listing.addTopLevelItem(item)
        first = self.listing.topLevelItem(0)
        if first is not None:
            self.listing.setCurrentItem(first)
        self._nothing.setVisible(first is None)
        self.listing.setVisible(first is not None)
        height = self.listing.sizeHintForRow(0) if first is not None else 0
        self.listing.setFixedHeight(min(_ROWS, max(1, len(found))) * height + 6)
        self.adjustSize()

    def _do(self) -> None:
        item = self.listing.currentItem()
        if item is None:
            return
        _, action = self._actions[item.data(0, Qt.ItemDataRole.UserRole)]
        self.close()
        QTimer.singleShot(0, action, action.trigger)

    def _recent(self, window: MainWindow) -> Iterator[tuple[str, QAction]]:
        for path in window.settings.recent_files:
            action = QAction(path, window)
            action.triggered.connect(partial(window.open_path, path))
            yield f"Open {elide_middle(path, 60)}", action


def actions_of(bar: QMenuBar, *, disabled: bool = False) -> Iterator[tuple[str, QAction]]:
    """Every action that can be done now, with its menus before its name ("View: Theme: Dark").

    disabled: those that cannot be done now, too.
    """
    for action in bar.actions():
        menu = action.menu()
        if isinstance(menu, QMenu):
            yield from _actions_in(menu, (), disabled)


def _actions_in(
    menu: QMenu, above: tuple[str, ...], disabled: bool
) -> Iterator[tuple[str, QAction]]:
    path = (*above, _plain(menu.title()))
    for action in menu.actions():
        below = action.menu()
        if isinstance(below, QMenu):
            yield from _actions_in(below, path, disabled)
        elif not action.isSeparator() and (disabled or action.isEnabled()):
            yield ": ".join((*path, _plain(action.text()))), action


def _plain(text: str) -> str:
    return text.replace("&&", "\0").replace("&", "").replace("\0", "&")


def _rank(name: str, words: list[str]) -> int | None:
    """How well a name matches: 0 where each word begins a word of it; None for not at all."""
    worst = 0
    for word in words:
        if f" {word}" in f" {name}":
            continue
        if word in name:
            worst = max(worst, 1)
        elif _has_letters(name, word):
            worst = max(worst, 2)
        else:
            return None
    return worst


def _has_letters(name: str, word: str) -> bool:
    letters = iter(name)
    return all(letter in letters for letter in word)
