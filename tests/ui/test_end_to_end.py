"""The program as a process, its window on a real X server, keys that come from outside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtGui import QImage

from ckptviewer.resources import demo_checkpoint
from tests.ui.conftest import index_of

pytestmark = [
    pytest.mark.xvfb,
    pytest.mark.skipif(sys.platform != "linux", reason="Xvfb is a server for X11"),
]
SECONDS = 60
ATTEMPTS = 20

# What is on the clipboard and the screen of a display, told by a process that is connected to it.
LOOK = """
import json, sys
from PySide6.QtGui import QGuiApplication
app = QGuiApplication(sys.argv)
app.primaryScreen().grabWindow(0).save(sys.argv[1], "PNG")
print(json.dumps(app.clipboard().text()))
"""


class Display:
    """An X server of its own, and the hands at its keyboard."""

    def __init__(self, number: int, directory: Path) -> None:
        self._directory = directory
        self._environment = os.environ | {
            "DISPLAY": f":{number}",
            "QT_QPA_PLATFORM": "xcb",
            "CKPTVIEWER_SETTINGS": str(directory / "settings.json"),
            "XDG_CACHE_HOME": str(directory / "cache"),
            "PYTHONFAULTHANDLER": "1",
        }
        self._environment.pop("WAYLAND_DISPLAY", None)
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a program on the display; it is killed when the test is over."""
        process = subprocess.Popen(
            command,
            env=self._environment,
            cwd=self._directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def open(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start ckptviewer."""
        return self.start(sys.executable, "-m", "ckptviewer", *map(str, arguments))

    def xdotool(self, *arguments: str) -> str:
        done = self._run_xdotool(*arguments)
        assert done.returncode == 0, f"xdotool {' '.join(arguments)}: {done.stderr}"
        return done.stdout.strip()

    def window(self, process: subprocess.Popen[str], title: str) -> str:
        """The number of the process's window of this title; it gets the keyboard."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            # It also fails where another window goes while it looks at all of them.
            done = self._run_xdotool("search", "--onlyvisible", "--name", title)
            if done.returncode == 0 and done.stdout.strip():
                window = done.stdout.split()[-1]
                self.xdotool("windowfocus", "--sync", window)
                return window
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"it ended instead: {ended(process)}")
        raise AssertionError(f"no window of the title {title}")

    def _run_xdotool(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["xdotool", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def look(self, picture: Path) -> str:
        """The clipboard's text; the screen is saved as `picture`."""
        done = subprocess.run(
            [sys.executable, "-c", LOOK, str(picture)],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
        text: str = json.loads(done.stdout)
        return text

    def keys_copied(self, picture: Path, expected: list[str]) -> list[str]:
        """Copy the keys of all rows in sight until the clipboard has those; what it had last.

        What a key press does becomes visible from outside only when it is done, so this looks
        again, a bounded number of times.
        """
        found: list[str] = []
        for _ in range(ATTEMPTS):
            self.xdotool("key", "ctrl+a", "ctrl+shift+c")
            found = sorted(self.look(picture).splitlines())
            if found == expected:
                break
        return found


@pytest.fixture
def display(tmp_path: Path) -> Iterator[Display]:
    absent = [tool for tool in ("Xvfb", "xdotool") if shutil.which(tool) is None]
    if absent:
        reason = f"{' and '.join(absent)} missing: `apt-get install xvfb xdotool`"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as told:
            number = told.readline()  # comes when the server is ready; empty when it ended
        assert number.strip(), "Xvfb did not start"
        display = Display(int(number), tmp_path)
        if shutil.which("openbox"):
            display.start("openbox")
        yield display
        for process in display.started:
            if process.poll() is None:
                process.kill()
            process.communicate()
    finally:
        server.terminate()
        server.wait()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Status, output and errors of a process that ends by itself."""
    out, err = process.communicate(timeout=SECONDS)
    return process.returncode, out, err


def variables_of_the_demo() -> list[dict[str, str]]:
    done = subprocess.run(
        [sys.executable, "-m", "ckptviewer", "list", str(demo_checkpoint()), "--json"],
        capture_output=True,
        check=True,
    )
    found: list[dict[str, str]] = json.loads(done.stdout)["variables"]
    return found


def test_filter_copy_and_close_by_keyboard(display: Display, tmp_path: Path) -> None:
    index = demo_checkpoint()
    name = index.name.removesuffix(".index")
    expected = sorted(
        v["key"]
        for v in variables_of_the_demo()
        if "kernel" in f"{v['key']} {v['name']}".lower() and v["role"] == "weight"
    )
    assert len(expected) > 1
    process = display.open(index)
    window = display.window(process, f"^{name.replace('.', '[.]')} - ckptviewer$")
    assert display.xdotool("getwindowname", window) == f"{name} - ckptviewer"

    display.xdotool("key", "ctrl+f")
    display.xdotool("type", "kernel role:weight")
    display.xdotool("key", "Down")
    picture = tmp_path / "filtered.png"
    assert display.keys_copied(picture, expected) == expected
    assert rows_are_drawn(QImage(str(picture))) is False

    display.xdotool("key", "ctrl+f")
    display.xdotool("key", "Escape")
    picture = tmp_path / "whole.png"
    for _ in range(ATTEMPTS):
        display.look(picture)
        if rows_are_drawn(QImage(str(picture))):
            break
    assert rows_are_drawn(QImage(str(picture)))

    with open(f"/proc/{process.pid}/maps", encoding="utf-8") as maps:
        assert "tensorflow" not in maps.read()
    display.xdotool("key", "ctrl+w")
    assert ended(process) == (0, "", "")
    assert json.loads((tmp_path / "settings.json").read_text())["recent_files"] == [str(index)]


def rows_are_drawn(screen: QImage) -> bool:
    """Whether there is anything where the tree has its sixth row and those below."""
    assert not screen.isNull()
    pixels = [screen.pixel(x, y) for x in range(20, 700, 2) for y in range(320, 480, 2)]
    return len(set(pixels)) > 1


def test_two_paths_have_two_windows(display: Display, bundle: Path) -> None:
    early = demo_checkpoint().with_name("digits.ckpt-40.index")
    process = display.open(early, index_of(bundle))
    first = display.window(process, "^digits[.]ckpt-40 - ckptviewer$")
    second = display.window(process, "^digits[.]ckpt-600 - ckptviewer$")
    assert first != second
    display.xdotool("key", "ctrl+w")
    display.xdotool("windowfocus", "--sync", first)
    assert process.poll() is None
    display.xdotool("key", "ctrl+w")
    assert ended(process) == (0, "", "")


def test_bad_path_is_told_in_the_window(display: Display, tmp_path: Path) -> None:
    process = display.open(tmp_path / "no-such.index")
    display.window(process, "^no-such[.]index - ckptviewer$")
    picture = tmp_path / "problem.png"
    for _ in range(ATTEMPTS):
        display.look(picture)
        if rows_are_drawn(QImage(str(picture))):
            break
    assert rows_are_drawn(QImage(str(picture)))  # here the words of the problem
    assert process.poll() is None
    display.xdotool("key", "ctrl+w")
    assert ended(process) == (0, "", "")


def test_empty_window_opens_by_its_name(display: Display) -> None:
    process = display.open()
    display.window(process, "^ckptviewer$")
    display.xdotool("key", "ctrl+w")
    assert ended(process) == (0, "", "")
