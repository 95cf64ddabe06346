"""Windows for tests: off screen, with settings of their own, closed again when the test is over."""

from __future__ import annotations

import gc
import inspect
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from ckptviewer.checkpoint.tree import ViewBy
from ckptviewer.resources import demo_checkpoint
from ckptviewer.ui import main_window
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.collecting import Collecting
from ckptviewer.ui.jobs import Jobs
from ckptviewer.ui.main_window import MainWindow
from ckptviewer.ui.platform import load_binding
from ckptviewer.ui.session import Session, open_session
from ckptviewer.ui.settings import Settings
from ckptviewer.ui.tabs import TabbedWindow
from ckptviewer.ui.windows import Windows
from tests.ui.display import Display, missing_tools, virtual_display

TIMEOUT_MS = 20_000
"""How long a test waits for what must happen: long, for a machine under load."""

Open = Callable[..., MainWindow]

load_binding()  # as the program does

_NOT_OFF_SCREEN = ("propagateSizeHints", r"support raise\(\)", "grabbing the keyboard")
"""What the off-screen platform complains of: it has no window manager."""


_in_threads: list[str] = []
"""Modules that other threads than the window's have imported."""


def _notice(event: str, arguments: tuple[object, ...]) -> None:
    if event == "import" and threading.current_thread() is not threading.main_thread():
        _in_threads.append(str(arguments[0]))


sys.addaudithook(_notice)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.qt_log_ignore(*_NOT_OFF_SCREEN, extend=True))


@pytest.fixture(autouse=True)
def settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the settings of this test lie: nobody's own are touched."""
    path = tmp_path / "settings" / "settings.json"
    monkeypatch.setenv("CKPTVIEWER_SETTINGS", str(path))
    # What is remembered would be shown where a test wants to see it being read.
    monkeypatch.setenv("CKPTVIEWER_CACHE", "/dev/null/results.sqlite")
    return path


@pytest.fixture(autouse=True)
def qt_in_one_thread() -> Iterator[None]:
    """Qt for Python dies now and then where two threads ask for its classes at once."""
    yield
    names = {name for name in _in_threads if asks_for_qt(name)}
    _in_threads.clear()
    assert not names


def asks_for_qt(name: str) -> bool:
    """Whether the module is Qt's, or imports it."""
    if name.partition(".")[0] in ("PySide6", "shiboken6", "pyqtgraph"):
        return True
    module = sys.modules.get(name)
    return name.startswith("ckptviewer.ui") and "PySide6" in _source_of(module)


def _source_of(module: ModuleType | None) -> str:
    return inspect.getsource(module) if module is not None else ""


@pytest.fixture(autouse=True, scope="session")
def what_others_left() -> None:
    """TensorFlow, which other tests import, makes so much that collecting takes a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def collecting(qapp: QApplication) -> Iterator[Collecting]:
    """As in the program: no background thread is where what a test left behind is destroyed."""
    collecting = Collecting()
    yield collecting
    collecting.stop()
    gc.collect()
    collecting.let_go()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path leaves room in the hundred bytes of a socket's address."""
    with TemporaryDirectory() as directory:
        yield Path(directory)


@pytest.fixture
def jobs(qapp: QApplication) -> Iterator[Jobs]:
    """The jobs of a window, without one."""
    jobs = Jobs()
    yield jobs
    jobs.shut_down()


@pytest.fixture
def appearance(qapp: QApplication) -> Iterator[Appearance]:
    """The light appearance."""
    appearance = Appearance(qapp, "light")
    yield appearance
    appearance.choose("light")


@pytest.fixture
def windows(qapp: QApplication, appearance: Appearance) -> Iterator[Windows]:
    """The windows of the application; those that the test leaves open are closed."""
    settings = Settings()
    windows = Windows(appearance, settings)
    before = set(QApplication.topLevelWidgets())
    yield windows
    for widget in QApplication.topLevelWidgets():
        if widget not in before and isinstance(widget, MainWindow | TabbedWindow):
            widget.close()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def window(windows: Windows, qtbot: QtBot) -> MainWindow:
    """An empty window on the (virtual) screen."""
    window = windows.make()
    window.show()
    qtbot.waitExposed(window)
    return window


@pytest.fixture
def opened(window: MainWindow, qtbot: QtBot) -> Open:
    """Opens a path in the window, and waits until all that follows from it has been done."""

    def open_(path: Path | str | None = None) -> MainWindow:
        with qtbot.waitSignal(window.opened, timeout=TIMEOUT_MS):
            window.open_path(str(demo_checkpoint() if path is None else path))
        idle(window, qtbot)
        return window

    return open_


def idle(window: MainWindow, qtbot: QtBot) -> None:
    """Wait until nothing runs in the background."""
    qtbot.waitUntil(lambda: not window.jobs.running, timeout=TIMEOUT_MS)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the demo that may be harmed; its prefix."""
    source = demo_checkpoint()
    name = source.name.removesuffix(".index")
    directory = tmp_path / "copy"
    directory.mkdir()
    for path in source.parent.glob(f"{name}.*"):
        shutil.copy(path, directory)
    return directory / name


def data_of(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".data-00000-of-00001")


def index_of(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".index")


class Gate:
    """Holds work in its thread until the test lets it go. entered: work has arrived at the gate."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self._open = threading.Event()
        self.passed = threading.Event()

    def hold(self) -> None:
        self.entered.set()
        assert self._open.wait(60), "nobody opened the gate"
        self.passed.set()

    def release(self) -> None:
        self._open.set()


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate that is opened at the latest when the test is over."""
    gate = Gate()
    yield gate
    gate.release()


@pytest.fixture
def slow_opening(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Opening a path that has "slow" in it waits at the gate."""

    def open_slowly(path: str, view_by: ViewBy = ViewBy.NAME) -> Session:
        if "slow" in path:
            gate.hold()
        return open_session(path, view_by)

    monkeypatch.setattr(main_window, "open_session", open_slowly)
    return gate


@pytest.fixture
def display(tmp_path: Path) -> Iterator[Display]:
    """A virtual X server, and hands at its keyboard."""
    absent = missing_tools()
    if absent:
        reason = f"{' and '.join(absent)} missing: `apt-get install xvfb xdotool`"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with virtual_display(tmp_path) as display:
        yield display
