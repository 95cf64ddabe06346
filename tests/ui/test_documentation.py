"""What the pages tell of the window is so: its keys, its menus, and the way to the pages."""

from __future__ import annotations

import re

import pytest
from PySide6.QtCore import QUrl
from PySide6.QtGui import QAction, QDesktopServices, QKeySequence

from ckptviewer.resources import resource
from ckptviewer.ui.dialogs.palette import actions_of
from ckptviewer.ui.dialogs.shortcuts import IN_THE_TREE
from ckptviewer.ui.main_window import MainWindow
from tests.ui.conftest import Open

KEY = re.compile(
    r"(?<!\w)(?:(?:Ctrl|Alt|Shift)\+)+(?:[A-Z,]|Left|Return)(?!\w)|(?<!\w)F\d\d?(?!\w)"
)


def keys_of(actions: list[QAction]) -> set[str]:
    return {key.toString() for action in actions for key in action.shortcuts()}


def action_named(window: MainWindow, name: str) -> QAction:
    return dict(actions_of(window.menuBar(), disabled=True))[name]


def test_keys_that_are_told_of_exist(opened: Open) -> None:
    window = opened()
    actions = [action for _, action in actions_of(window.menuBar(), disabled=True)]
    known = keys_of(actions)
    window.export()
    known |= keys_of([action for _, action in actions_of(window.menuBar(), disabled=True)])
    known |= {"F7", "F8", "Ctrl+G", "Ctrl+C"}  # of a comparison, of a table of values
    known |= {key for _, keys in IN_THE_TREE for key in keys.split()}
    told = set()
    for page in resource("docs").glob("*.md"):
        told |= set(KEY.findall(page.read_text(encoding="utf-8")))
    assert {"Ctrl+K", "F1", "Alt+Left"} <= told
    assert {QKeySequence(key).toString() for key in told} <= known


@pytest.mark.parametrize("opens", [True, False])
def test_the_documentation_is_opened(
    window: MainWindow, monkeypatch: pytest.MonkeyPatch, opens: bool
) -> None:
    asked: list[QUrl] = []

    def open_url(url: QUrl) -> bool:
        asked.append(url)
        return opens

    monkeypatch.setattr(QDesktopServices, "openUrl", open_url)
    action_named(window, "Help: Documentation").trigger()
    page = str(resource("docs/README.md"))
    assert [url.toLocalFile() for url in asked] == [page]
    told = window.status_line.currentMessage()
    assert (page in told) is not opens
