"""The program as a process, its window on a real X server, keys that come from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtGui import QImage

from ckptviewer.resources import demo_checkpoint
from tests.ui.conftest import index_of
from tests.ui.display import ATTEMPTS, Display, ended

pytestmark = [
    pytest.mark.xvfb,
    pytest.mark.skipif(sys.platform != "linux", reason="Xvfb is a server for X11"),
]


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
