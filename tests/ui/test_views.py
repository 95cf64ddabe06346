"""Views over one another: tools, menu, filter and title belong to the one that is shown."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QLabel, QMenu, QWidget
from pytestqt.qtbot import QtBot

from ckptviewer.resources import demo_checkpoint
from ckptviewer.ui.panels.view import View
from tests.ui.conftest import Open


class _Other(View):
    filter_hint = "Filter the other"
    menu_title = "&Other"

    def __init__(self) -> None:
        super().__init__()
        self.filters: list[str] = []
        self.left = False
        self.tool = QLabel("tool")

    def title(self) -> str:
        return "the other"

    def tools(self) -> Sequence[QWidget]:
        return (self.tool,)

    def fill_menu(self, menu: QMenu) -> None:
        menu.addAction("Do it")

    def apply_filter(self, text: str) -> None:
        self.filters.append(text)

    def leave(self) -> None:
        self.left = True


def _menus(window: QWidget) -> list[str]:
    return [action.text() for action in window.menuBar().actions()]  # type: ignore[attr-defined]


def test_a_view_brings_its_tools_menu_filter_and_title(qtbot: QtBot, opened: Open) -> None:
    window = opened(demo_checkpoint())
    window.top_bar.filter.setText("kernel")
    other = _Other()
    window.show_view(other)
    assert other.tool.isVisible()
    assert window.windowTitle() == "the other - ckptviewer"
    assert "&Other" in _menus(window)
    assert window.top_bar.filter.text() == ""
    assert window.top_bar.filter.placeholderText() == "Filter the other"
    window.top_bar.filter.setText("bias")
    assert other.filters == ["bias"]
    assert window.top_bar.back_button.isVisible()


def test_going_back_shows_the_checkpoint_as_it_was(qtbot: QtBot, opened: Open) -> None:
    window = opened(demo_checkpoint())
    window.top_bar.filter.setText("kernel")
    other = _Other()
    window.show_view(other)
    window.top_bar.back_button.click()
    assert other.left
    assert window.view is window.browser
    assert window.top_bar.filter.text() == "kernel"
    assert "&Other" not in _menus(window)
    assert not window.top_bar.back_button.isVisible()
    assert window.windowTitle().startswith("digits.ckpt-600")


def test_opening_another_checkpoint_leaves_the_views(qtbot: QtBot, opened: Open) -> None:
    window = opened(demo_checkpoint())
    other = _Other()
    window.show_view(other)
    with qtbot.waitSignal(window.opened, timeout=10_000):
        window.open_demo()
    assert other.left
    assert window.view is window.browser
    window.leave_view()
    assert window.view is window.browser


def test_closing_the_window_leaves_its_views(qtbot: QtBot, opened: Open) -> None:
    window = opened(demo_checkpoint())
    other = _Other()
    window.show_view(other)
    window.close()
    assert other.left
