"""Starting the program again and again, as double clicks do, on a real X server."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from ckptviewer.resources import demo_checkpoint
from tests.ui.conftest import index_of
from tests.ui.display import SECONDS, Display, ended

pytestmark = [
    pytest.mark.xvfb,
    pytest.mark.skipif(sys.platform != "linux", reason="Xvfb is a server for X11"),
]
LATE = "^digits[.]ckpt-600 - ckptviewer$"
EARLY = "^digits[.]ckpt-40 - ckptviewer$"

# A desktop that hears what starts say: the first message of the startup notification protocol.
LISTEN = """
import ctypes, struct
x11 = ctypes.CDLL("libX11.so.6")
x11.XOpenDisplay.restype = ctypes.c_void_p
x11.XDefaultRootWindow.restype = ctypes.c_ulong
display = ctypes.c_void_p(x11.XOpenDisplay(None))
root = ctypes.c_ulong(x11.XDefaultRootWindow(display))
x11.XSelectInput(display, root, ctypes.c_long(1 << 22))
x11.XSync(display, 0)
print("ready", flush=True)
event, text = ctypes.create_string_buffer(192), b""
while not text.endswith(b"_TIME1234567\\\"\\0"):
    x11.XNextEvent(display, event)
    if struct.unpack_from("i", event)[0] == 33:
        text += event.raw[56:76].rstrip(b"\\0") + b"\\0" * (b"\\0" in event.raw[56:76])
print(text.rstrip(b"\\0").decode())
"""


def windows(display: Display, title: str) -> list[str]:
    return display._run_xdotool("search", "--onlyvisible", "--name", title).stdout.split()


def test_later_starts_open_in_the_first_until_it_is_killed(
    display: Display, bundle: Path, short_path: Path
) -> None:
    runtime = short_path / "run"
    runtime.mkdir(mode=0o700)
    display._environment["XDG_RUNTIME_DIR"] = str(runtime)
    early = demo_checkpoint().with_name("digits.ckpt-40.index")
    # Both at once: whichever comes first has the windows of both.
    both = [display.open(path) for path in (early, index_of(bundle))]
    deadline = time.monotonic() + SECONDS
    while all(process.poll() is None for process in both):
        assert time.monotonic() < deadline, "both go on"
        time.sleep(0.02)
    (other,) = [process for process in both if process.poll() is not None]
    (owner,) = [process for process in both if process is not other]
    assert ended(other) == (0, "", "")
    first = display.window(owner, EARLY)
    assert display.window(owner, LATE) != first

    # What is open already comes to the front, and is not opened twice.
    assert ended(display.open(early)) == (0, "", "")
    assert ended(display.open("--compare", early)) == (0, "", "")
    assert windows(display, EARLY) == [first]
    assert [path.suffix for path in (runtime / "ckptviewer").iterdir()].count(".socket") == 1

    owner.kill()
    owner.wait()
    again = display.open(early)
    display.window(again, EARLY)
    assert again.poll() is None
    display.xdotool("key", "ctrl+w")
    assert ended(again) == (0, "", "")
    assert list((runtime / "ckptviewer").iterdir()) == []


def test_new_window_keeps_to_itself(display: Display, bundle: Path, short_path: Path) -> None:
    (short_path / "run").mkdir(mode=0o700)
    display._environment["XDG_RUNTIME_DIR"] = str(short_path / "run")
    first = display.open()
    display.window(first, "^ckptviewer$")
    second = display.open("--new-window", index_of(bundle))
    display.window(second, LATE)
    display.xdotool("key", "ctrl+w")
    assert ended(second) == (0, "", "")
    assert first.poll() is None
    display.window(first, "^ckptviewer$")
    display.xdotool("key", "ctrl+w")
    assert ended(first) == (0, "", "")


def test_desktop_does_not_wait_for_a_start_that_was_handed_over(
    display: Display, bundle: Path, short_path: Path
) -> None:
    (short_path / "run").mkdir(mode=0o700)
    display._environment["XDG_RUNTIME_DIR"] = str(short_path / "run")
    first = display.open()
    display.window(first, "^ckptviewer$")
    desktop = display.start(sys.executable, "-c", LISTEN)
    assert desktop.stdout is not None
    assert desktop.stdout.readline() == "ready\n"
    display._environment["DESKTOP_STARTUP_ID"] = "a-host-1_TIME1234567"
    assert ended(display.open(index_of(bundle))) == (0, "", "")
    assert ended(desktop) == (0, 'remove: ID="a-host-1_TIME1234567"\n', "")
    display.window(first, LATE)
