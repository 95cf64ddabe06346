"""Checkpoints as the tabs of one window, for those who prefer that."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from ckptviewer.resources import demo_checkpoint
from ckptviewer.ui.hand_over import Request
from ckptviewer.ui.main_window import MainWindow
from ckptviewer.ui.tabs import TabbedWindow, tabs_of
from ckptviewer.ui.windows import Windows
from tests.ui.conftest import TIMEOUT_MS, index_of

EARLY = str(demo_checkpoint().with_name("digits.ckpt-40.index"))


def shown(windows: Windows, path: str, qtbot: QtBot) -> MainWindow:
    """The window in which a path is open, once it is in sight."""
    windows.answer(Request(paths=(path,)))
    window = windows._showing(path)
    assert window is not None
    qtbot.waitUntil(lambda: window.session is not None, timeout=TIMEOUT_MS)
    return window


@pytest.fixture
def two(
    windows: Windows, bundle: Path, qtbot: QtBot
) -> tuple[TabbedWindow, MainWindow, MainWindow]:
    """Two checkpoints in one window, and that."""
    windows._settings.set("opens_in", "tab")
    first = shown(windows, EARLY, qtbot)
    assert tabs_of(first) is None  # one needs no tabs
    first.resize(1111, 777)
    second = shown(windows, str(index_of(bundle)), qtbot)
    tabs = tabs_of(first)
    assert tabs is not None
    assert tabs_of(second) is tabs
    return tabs, first, second


Two = tuple[TabbedWindow, MainWindow, MainWindow]


def test_further_file_opens_in_a_tab_beside_the_first(two: Two) -> None:
    tabs, first, second = two
    assert tabs.windows == [first, second]
    assert [tabs._tabs.tabText(n) for n in range(2)] == ["digits.ckpt-40", "digits.ckpt-600"]
    assert tabs._tabs.tabToolTip(0) == EARLY
    assert (tabs.width(), tabs.height()) == (1111, 777)
    assert second.isVisible()
    assert not first.isVisible()
    assert tabs.windowTitle() == "digits.ckpt-600 - ckptviewer"
    tops = [each for each in QApplication.topLevelWidgets() if each.isVisible()]
    assert tops == [tabs]


def test_what_is_open_in_a_tab_is_brought_to_sight(
    two: Two, windows: Windows, qtbot: QtBot
) -> None:
    tabs, first, _second = two
    assert shown(windows, EARLY, qtbot) is first
    assert first.isVisible()
    assert tabs.windowTitle() == "digits.ckpt-40 - ckptviewer"
    assert len(tabs.windows) == 2


def test_keys_go_to_the_tab_in_sight(two: Two, qtbot: QtBot) -> None:
    tabs, first, second = two
    qtbot.waitUntil(second.isActiveWindow, timeout=TIMEOUT_MS)
    qtbot.keyClick(second, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    assert second.top_bar.filter.hasFocus()
    for key, wanted in (
        (Qt.Key.Key_PageDown, first),
        (Qt.Key.Key_PageDown, second),
        (Qt.Key.Key_PageUp, first),
    ):
        qtbot.keyClick(tabs, key, Qt.KeyboardModifier.ControlModifier)
        assert wanted.isVisible()
    qtbot.keyClick(first, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    assert first.top_bar.filter.hasFocus()
    qtbot.keySequence(first, QKeySequence(QKeySequence.StandardKey.Close))
    assert tabs.windows == [second]
    assert second.isVisible()


def test_window_goes_with_its_last_tab(two: Two, windows: Windows, qtbot: QtBot) -> None:
    tabs, first, second = two
    with qtbot.waitSignal(tabs.closed, timeout=TIMEOUT_MS):
        first.close()
        assert tabs.isVisible()
        tabs._tabs.tabCloseRequested.emit(0)
        assert not tabs.isVisible()
        del second
    assert not windows._windows


def test_closing_the_window_closes_all_tabs(two: Two, windows: Windows) -> None:
    tabs, first, second = two
    jobs = [first.jobs, second.jobs]
    tabs.close()
    assert not windows._windows
    assert all(each._is_shut for each in jobs)
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def test_size_of_the_tabbed_window_is_remembered(two: Two, windows: Windows, qtbot: QtBot) -> None:
    tabs, _first, _second = two
    tabs.resize(780, 600)  # or what it needs at least
    size = tabs.width(), tabs.height()
    tabs.close()
    again = windows.make()
    again.show()
    assert (again.width(), again.height()) == size


def test_window_of_its_own_unless_asked_for(windows: Windows, bundle: Path, qtbot: QtBot) -> None:
    first, second = (shown(windows, path, qtbot) for path in (EARLY, str(index_of(bundle))))
    assert tabs_of(first) is None
    assert tabs_of(second) is None
    assert first.isVisible()
    assert second.isVisible()
