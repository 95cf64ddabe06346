"""Buttons that panels share: what opens a menu looks like it, and does what its choices say."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication, QHBoxLayout, QPushButton, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.buttons import OPENS_A_MENU, chip_button, menu_button
from ckptviewer.ui.panels.setup_parts import browse_button
from ckptviewer.ui.panels.widgets import code_view
from tests.ui.conftest import Open


def test_a_menu_button_does_what_is_chosen(qtbot: QtBot) -> None:
    done: list[str] = []
    choices = [(text, lambda text=text: done.append(text)) for text in ("first", "second")]
    button = menu_button("Save as", "Save it", choices)
    qtbot.addWidget(button)
    assert button.text() == "Save as \u25be"
    assert button.toolTip() == button.accessibleName() == "Save it"
    for action in button.menu().actions():
        action.trigger()
    assert done == ["first", "second"]


def test_browsing_asks_at_once_where_there_is_one_kind_of_file(qtbot: QtBot) -> None:
    asked: list[int] = []
    one = browse_button("Choose", [("A file", lambda: asked.append(1))])
    several = browse_button("Choose", [("A file", lambda: None), ("A directory", lambda: None)])
    for button in (one, several):
        qtbot.addWidget(button)
    one.click()
    assert asked == [1]
    assert one.text().endswith("\u2026")
    assert several.text().endswith(OPENS_A_MENU)


def test_all_buttons_of_the_window_that_open_a_menu_look_like_it(opened: Open) -> None:
    window = opened()
    window.select_variable("digits/hidden/kernel")
    buttons = window.findChildren(QToolButton)
    of_qt = "qt_menubar_ext_button"
    found = [each for each in buttons if each.menu() and each.objectName() != of_qt]
    assert len(found) > 3
    for button in found:
        assert button.text().endswith((OPENS_A_MENU, "\u2026")), button.text()
        assert button.accessibleName()


def test_a_chip_stays_pressed(qtbot: QtBot) -> None:
    chip = chip_button("nan", "Only these")
    qtbot.addWidget(chip)
    chip.click()
    assert chip.isChecked()


def test_tab_leaves_text_that_is_only_read(qtbot: QtBot, appearance: Appearance) -> None:
    page = QWidget()
    qtbot.addWidget(page)
    row = QHBoxLayout(page)
    text, after = code_view("Python", appearance, "import tensorflow"), QPushButton("Copy")
    row.addWidget(text)
    row.addWidget(after)
    page.show()
    qtbot.waitExposed(page)
    text.setFocus()
    for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
        key = QKeyEvent(kind, Qt.Key.Key_Tab, Qt.KeyboardModifier.NoModifier, "\t")
        QApplication.sendEvent(text, key)
    assert text.toPlainText() == "import tensorflow"
    assert page.focusWidget() is after
