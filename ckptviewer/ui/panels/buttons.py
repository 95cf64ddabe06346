"""Buttons that several panels have: flat ones, such that open a menu, chips, choices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtGui import QActionGroup
from PySide6.QtWidgets import QMenu, QToolButton

OPENS_A_MENU = " \u25be"
"""Stands behind the text of a button that opens a menu."""


def flat_button(text: str, tool_tip: str) -> QToolButton:
    """A button without a frame."""
    button = QToolButton()
    button.setObjectName("flat")
    button.setText(text)
    button.setToolTip(tool_tip)
    button.setAccessibleName(tool_tip)
    return button


def menu_button(
    text: str,
    tool_tip: str,
    choices: Iterable[tuple[str, Callable[[], object]]] = (),
    *,
    menu: QMenu | None = None,
) -> QToolButton:
    """A button without a frame that opens a menu, and looks like it.

    choices: texts of a menu of its own, and what each does. menu: another one instead.
    """
    button = flat_button(text + OPENS_A_MENU, tool_tip)
    if menu is None:
        menu = QMenu(button)
        for choice, do in choices:
            menu.addAction(choice).triggered.connect(lambda _=False, do=do: do())
    _open_menu_at_once(button, menu)
    return button


def chip_button(text: str = "", tool_tip: str = "") -> QToolButton:
    """A small button that stays pressed: it narrows what is shown, or chooses one of a few."""
    button = QToolButton()
    button.setObjectName("chip")
    button.setText(text)
    button.setToolTip(tool_tip)
    button.setCheckable(True)
    return button


class ChoiceButton(QToolButton):
    """A choice of a few, as a flat button that says what is chosen. chosen: another one was."""

    chosen = Signal(str)

    def __init__(self, name: str, choices: Sequence[str], choice: str) -> None:
        super().__init__()
        self.setObjectName("flat")
        self._name = name
        self.choice = choice
        menu = QMenu(self)
        group = QActionGroup(self)
        for text in choices:
            action = menu.addAction(text)
            action.setCheckable(True)
            action.setChecked(text == choice)
            action.triggered.connect(partial(self.choose, text))
            group.addAction(action)
        _open_menu_at_once(self, menu)
        self._show_choice()

    def choose(self, choice: str) -> None:
        """Choose one of the choices."""
        if choice != self.choice:
            self.choice = choice
            self._show_choice()
            self.chosen.emit(choice)

    def _show_choice(self) -> None:
        self.setText(f"{self._name} {self.choice}{OPENS_A_MENU}")
        self.setAccessibleName(f"{self._name}: {self.choice}")
        self.setToolTip(self._name)


def _open_menu_at_once(button: QToolButton, menu: QMenu) -> None:
    button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
    button.setMenu(menu)
