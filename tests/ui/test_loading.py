"""What the window will want is loaded in its own thread, and in good time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from ckptviewer.ui import loading
from tests.builders import save
from tests.ui.conftest import TIMEOUT_MS

FOLLOW_A_RUN = """
import sys, threading
from PySide6.QtWidgets import QApplication

from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.main_window import MainWindow
from ckptviewer.ui.panels.timeline_plot import TimelinePlot
from ckptviewer.ui.platform import load_binding
from ckptviewer.ui.settings import Settings

def notice(event, arguments):
    if event == "import" and threading.current_thread() is not threading.main_thread():
        if arguments[0].startswith(("PySide6", "pyqtgraph", "ckptviewer.ui.panels")):
            print("a thread imports", arguments[0], flush=True)

sys.addaudithook(notice)
load_binding()
app = QApplication([])
window = MainWindow(Appearance(app, "light"), Settings())
window.show()
window.open_path(sys.argv[1])
assert "pyqtgraph" not in sys.modules
while window.findChild(TimelinePlot) is None:
    app.processEvents()
window.close()
print("drawn")
"""


def test_a_fresh_window_draws_a_run_without_asking_for_qt_in_threads(tmp_path: Path) -> None:
    for step in range(3):
        save(tmp_path / f"ckpt-{step}", {"w": np.full(3, step, np.float32)})
    done = subprocess.run(
        [sys.executable, "-c", FOLLOW_A_RUN, str(tmp_path)],
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        timeout=3 * TIMEOUT_MS / 1000,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("drawn\n", 0), done.stderr


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is loaded, one at a turn; "the plots" are there once they are among it."""
    taken: list[str] = []
    modules: dict[str, None] = {}

    def fake() -> Iterator[str]:
        for name in ("a", "the plots", "the page behind"):
            taken.append(name)
            modules[name] = None
            yield name

    monkeypatch.setattr(loading, "_steps", fake)
    monkeypatch.setattr(loading, "PLOTS", "the plots")
    monkeypatch.setattr(loading, "_TURN_SECONDS", 0)
    monkeypatch.setattr(loading, "_loaded", modules.__contains__)
    return taken


class Aside:
    """Counts what is done in it."""

    def __init__(self) -> None:
        self.entered = self.left = 0

    def __enter__(self) -> None:
        self.entered += 1

    def __exit__(self, *_: object) -> None:
        self.left += 1


def test_who_needs_the_plots_gets_them_as_soon_as_they_are_there(
    qtbot: QtBot, steps: list[str]
) -> None:
    made, aside = loading.Loading(), Aside()
    drawn: list[list[str]] = []
    for _ in range(2):
        made.when_plots_are_there(lambda: drawn.append(list(steps)), aside)
    assert not drawn
    qtbot.waitUntil(lambda: not made.under_way, timeout=TIMEOUT_MS)
    assert drawn == [["a", "the plots"]] * 2
    assert aside.entered == aside.left == 4  # two turns that load, two that draw
    made.when_plots_are_there(lambda: drawn.append(list(steps)), aside)  # now
    assert len(drawn) == 3


def test_all_is_loaded_where_nobody_waits(qtbot: QtBot, steps: list[str]) -> None:
    made = loading.Loading()
    for _ in range(2):
        made.begin()
        qtbot.waitUntil(lambda: not made.under_way, timeout=TIMEOUT_MS)
        assert steps == ["a", "the plots", "the page behind"]
