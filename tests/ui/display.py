"""A virtual X server with the program on it, and hands at its keyboard."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
            "XDG_CONFIG_HOME": str(directory / "config"),
            "XDG_DATA_HOME": str(directory / "data"),
            "XDG_STATE_HOME": str(directory / "state"),
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
            raise AssertionError(f"it ended instead: {ended(process)}\n{self._faults()}")
        raise AssertionError(f"no window of the title {title}")

    def _faults(self) -> str:
        """What the program noted of a crash below Python."""
        return "\n".join(path.read_text() for path in self._directory.rglob("fault-*.log"))

    def sees(self, title: str) -> bool:
        """Whether a window of this title is on the screen."""
        done = self._run_xdotool("search", "--onlyvisible", "--name", title)
        return done.returncode == 0 and bool(done.stdout.strip())

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


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Status, output and errors of a process that ends by itself."""
    out, err = process.communicate(timeout=SECONDS)
    return process.returncode, out, err


def missing_tools() -> list[str]:
    """What of the tools is not installed."""
    return [tool for tool in ("Xvfb", "xdotool") if shutil.which(tool) is None]


@contextmanager
def virtual_display(directory: Path, size: str = "1280x900") -> Iterator[Display]:
    """An X server of its own, with a window manager where one is installed; it ends with all."""
    with _one_by_one():
        reading, writing = os.pipe()
        server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{size}x24", "-nolisten", "tcp"],
            pass_fds=[writing],
            stderr=subprocess.DEVNULL,
        )
        os.close(writing)
        with os.fdopen(reading) as told:
            number = told.readline()  # comes when the server is ready; empty when it ended
    try:
        assert number.strip(), "Xvfb did not start"
        display = Display(int(number), directory)
        if shutil.which("openbox"):
            display.start("openbox")
        yield display
        for process in display.started:
            if process.poll() is None:
                process.kill()
            process.communicate()
    finally:
        with _one_by_one():
            server.terminate()
            server.wait()


@contextmanager
def _one_by_one() -> Iterator[None]:
    """Hold off other processes: a server that ends takes away the socket of one that begins."""
    import fcntl

    with open(Path(tempfile.gettempdir(), "ckptviewer-tests-xvfb.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
