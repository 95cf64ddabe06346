"""What an application at home on a desktop has: palette, keys, settings, zones to drop on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent, QKeySequence
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from ckptviewer.resources import demo_checkpoint
from ckptviewer.ui.dialogs.palette import Palette, actions_of
from ckptviewer.ui.dialogs.settings_dialog import SettingsDialog
from ckptviewer.ui.dialogs.shortcuts import ShortcutsDialog
from ckptviewer.ui.main_window import MainWindow
from ckptviewer.ui.panels.comparison_view import ComparisonView
from tests.ui.conftest import TIMEOUT_MS, Open

EARLY = demo_checkpoint().with_name("digits.ckpt-40")


@pytest.fixture
def palette(opened: Open) -> Palette:
    window = opened(demo_checkpoint())
    window.show_palette()
    found = window.findChild(Palette)
    assert found is not None
    return found


def test_the_palette_lists_every_action_that_can_be_done(palette: Palette) -> None:
    window = palette.parent()
    assert isinstance(window, MainWindow)
    named = {name for name, _ in actions_of(window.menuBar())}
    assert named <= set(palette.names())
    assert "File: Compare with…" in named
    assert "View: Theme: Dark" in named


def test_the_keyboard_is_where_the_command_is_typed(palette: Palette) -> None:
    assert palette.focusWidget() is palette.edit


def test_typing_narrows_by_words_in_any_order_and_by_letters(palette: Palette) -> None:
    palette.edit.setText("dark theme")
    assert palette.names()[0] == "View: Theme: Dark"
    palette.edit.setText("cpyth")
    assert "Edit: Copy as Python" in palette.names()
    palette.edit.setText("no such thing at all")
    assert palette.names() == []
    assert palette._nothing.isVisible()


def test_return_does_it(qtbot: QtBot, palette: Palette) -> None:
    window = palette.parent()
    assert isinstance(window, MainWindow)
    palette.edit.setText("theme dark")
    qtbot.keyClick(palette.edit, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: window.appearance.theme.name == "dark", timeout=TIMEOUT_MS)


def test_the_arrows_move_in_the_list(qtbot: QtBot, palette: Palette) -> None:
    first, second = palette.names()[:2]
    qtbot.keyClick(palette.edit, Qt.Key.Key_Down)
    item = palette.listing.currentItem()
    assert item is not None
    assert item.text(0) == second != first


def test_all_keys_stand_on_one_sheet(qtbot: QtBot, opened: Open) -> None:
    window = opened()
    window.show_shortcuts()
    sheet = window.findChild(ShortcutsDialog)
    assert sheet is not None
    shown = " ".join(label.text() for label in sheet.findChildren(QLabel))
    for _, action in actions_of(window.menuBar(), disabled=True):
        for keys in action.shortcuts():
            assert keys.toString(QKeySequence.SequenceFormat.PortableText) in shown


def test_settings_apply_at_once_and_are_kept(
    qtbot: QtBot, opened: Open, settings_file: Path
) -> None:
    window = opened(demo_checkpoint())
    window.show_settings()
    dialog = window.findChild(SettingsDialog)
    assert dialog is not None
    dialog.theme.setCurrentIndex(dialog.theme.findData("dark"))
    assert window.appearance.theme.name == "dark"
    dialog.reads.setCurrentIndex(dialog.reads.findData("sight"))
    assert window.browser.measuring.reads_unasked == "sight"
    dialog.python.setText("/usr/bin/python3")
    dialog.python.editingFinished.emit()
    kept = json.loads(settings_file.read_text())
    assert kept["theme"] == "dark"
    assert kept["reads_unasked"] == "sight"
    assert kept["python"] == "/usr/bin/python3"


def test_reset_forgets_everything(qtbot: QtBot, opened: Open, settings_file: Path) -> None:
    window = opened(demo_checkpoint())
    window.show_settings()
    dialog = window.findChild(SettingsDialog)
    assert dialog is not None
    dialog.theme.setCurrentIndex(dialog.theme.findData("dark"))
    dialog.reset()
    assert window.appearance.choice == "system"
    assert window.settings.recent_files == []
    assert dialog.theme.currentData() == "system"


def _drag(window: MainWindow, path: Path, at: QPoint) -> QDropEvent:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    copy, left, none = (
        Qt.DropAction.CopyAction,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    window.dragEnterEvent(QDragEnterEvent(at, copy, data, left, none))
    window.dragMoveEvent(QDragMoveEvent(at, copy, data, left, none))
    drop = QDropEvent(QPointF(at), copy, data, left, none)
    drop.data_kept = data  # type: ignore[attr-defined]
    return drop


def test_a_file_dropped_on_the_zone_of_comparing_is_compared(qtbot: QtBot, opened: Open) -> None:
    window = opened(demo_checkpoint())
    zone = next(
        place
        for place, zone in enumerate(window.dropping.offered())
        if zone.text.startswith("Compare")
    )
    window.dropping.zones.offer(window.dropping.offered())
    at = window.dropping.zones.zone_rects()[zone].center()
    drop = _drag(window, EARLY.with_name("digits.ckpt-40.index"), at)
    assert window.dropping.zones.isVisible()
    with qtbot.waitSignal(window.compared, timeout=TIMEOUT_MS):
        window.dropEvent(drop)
    assert isinstance(window.view, ComparisonView)
    assert not window.dropping.zones.isVisible()


def test_a_file_dropped_on_the_zone_of_opening_is_opened(qtbot: QtBot, opened: Open) -> None:
    window = opened(demo_checkpoint())
    drop = _drag(window, EARLY.with_name("digits.ckpt-40.index"), QPoint(20, 200))
    with qtbot.waitSignal(window.opened, timeout=TIMEOUT_MS):
        window.dropEvent(drop)
    assert window.windowTitle().startswith("digits.ckpt-40")


def test_an_empty_window_has_no_zones(window: MainWindow) -> None:
    _drag(window, EARLY, QPoint(20, 200))
    assert not window.dropping.zones.isVisible()


def test_the_first_page_teaches_in_four_sentences(window: MainWindow) -> None:
    labels = window.welcome.findChildren(QLabel)
    sentences = [label.text() for label in labels if label.text().endswith(".")]
    assert len(sentences) == 4
