"""What everybody must be able to read and reach: contrast, names for the ear, words for actions."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise

import pytest
from PySide6.QtGui import QAction, QColor, QKeySequence
from PySide6.QtWidgets import (
    QAbstractButton,
    QLineEdit,
    QMenu,
    QTabBar,
    QTableView,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from ckptviewer.checkpoint.variable import Role
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.theme import DARK, LIGHT, Theme, role_colour
from tests.ui.conftest import Open

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
GROUNDS = ("window", "base", "raised", "selected")
TEXTS = ("text", "muted", "accent", "good", "warning", "error", "violet")


def luminance(colour: str) -> float:
    """Relative luminance, by the Web Content Accessibility Guidelines."""

    def linear(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    c = QColor(colour)
    return 0.2126 * linear(c.redF()) + 0.7152 * linear(c.greenF()) + 0.0722 * linear(c.blueF())


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_what_the_guidelines_say() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@THEMES
def test_every_text_can_be_read_on_every_ground(theme: Theme) -> None:
    low = {
        (text, ground): round(found, 2)
        for text in TEXTS
        for ground in (*GROUNDS, "hover")
        if (found := contrast(getattr(theme, text), getattr(theme, ground))) < 4.5
    }
    assert low == {}


@THEMES
def test_roles_can_be_read_where_the_tree_shows_them(theme: Theme) -> None:
    for role in Role:
        for ground in ("base", "selected", "hover"):
            assert contrast(role_colour(theme, role).name(), getattr(theme, ground)) >= 4.5


@THEMES
def test_primary_button_can_be_read(theme: Theme) -> None:
    assert contrast(theme.base, theme.accent) >= 4.5


@THEMES
def test_bars_stand_out_from_their_track(theme: Theme) -> None:
    for ground in ("base", "track"):
        assert contrast(theme.bar, getattr(theme, ground)) >= 3


@THEMES
def test_colours_are_colours(theme: Theme) -> None:
    for field in fields(theme):
        value = getattr(theme, field.name)
        if field.name != "name":
            assert QColor(value).name() == value


def test_themes_differ_in_every_ground() -> None:
    for ground in GROUNDS:
        assert luminance(getattr(LIGHT, ground)) > 0.5 > luminance(getattr(DARK, ground))


def everything(window: QWidget) -> list[QWidget]:
    return [w for w in window.findChildren(QWidget) if not w.objectName().startswith("qt_")]


def test_every_button_says_what_it_does(opened: Open) -> None:
    window = opened()
    buttons = window.findChildren(QAbstractButton)
    assert buttons
    for button in buttons:
        if button.objectName().startswith("qt_") or isinstance(button.parent(), QTabBar):
            continue  # Qt's own: extension buttons of bars
        if isinstance(button.parent(), QLineEdit | QTableView):
            continue  # Qt's own: the cross in the filter, the corner of a table
        text = button.text().strip("\u25be \u25b8\u2026\u2715")
        assert text or (button.accessibleName() and button.toolTip()), button
        if isinstance(button, QToolButton):
            assert button.accessibleName() or text, button


def test_what_takes_the_keyboard_has_a_name(opened: Open) -> None:
    window = opened()
    assert window.top_bar.filter.accessibleName()
    assert window.browser.table.accessibleName()


def all_actions(window: QWidget) -> list[QAction]:
    menus = window.findChildren(QMenu)
    return [action for menu in menus for action in menu.actions() if not action.isSeparator()]


def test_all_actions_have_words(opened: Open) -> None:
    window = opened()
    actions = all_actions(window)
    assert len(actions) > 15
    for action in actions:
        assert action.text().strip()


def test_no_two_actions_share_a_shortcut(opened: Open) -> None:
    window = opened()
    taken = [
        (shortcut.toString(), action.text())
        for action in {id(a): a for a in all_actions(window)}.values()
        for shortcut in action.shortcuts()
        if shortcut != QKeySequence()
    ]
    keys = sorted(key for key, _ in taken)
    assert keys
    assert all(one != other for one, other in pairwise(keys)), taken


def test_what_needs_a_checkpoint_is_disabled_without_one(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    assert all(action.isEnabled() for action in window.actions_.of_browser)
    window.show_welcome()
    assert not any(action.isEnabled() for action in window.actions_.of_browser)


def test_menus_of_a_menu_have_keys_of_their_own(opened: Open) -> None:
    window = opened()
    for menu in [a.menu() for a in window.menuBar().actions()]:
        assert isinstance(menu, QMenu)
        letters = [
            action.text().split("&", 1)[1][0].lower()
            for action in menu.actions()
            if "&" in action.text()
        ]
        assert len(set(letters)) == len(letters), menu.title()


def test_choosing_the_same_theme_again_changes_nothing(
    appearance: Appearance, qtbot: QtBot
) -> None:
    with qtbot.assertNotEmitted(appearance.changed):
        appearance.choose("light")
    with qtbot.waitSignal(appearance.changed):
        appearance.choose("dark")
    assert appearance.theme is DARK
    appearance.choose("system")
    assert appearance.theme in (LIGHT, DARK)
    appearance.choose("no such theme")
    assert appearance.theme in (LIGHT, DARK)
