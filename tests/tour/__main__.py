"""Open, filter, select, compare, export and validate on the demo, by keyboard alone.

`python -m tests.tour DIRECTORY [--size 1280x800] [--theme dark]` leaves a picture of the screen
after each step there, and ends with 1 where a step did not lead where it should.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from ckptviewer.resources import demo_checkpoint
from tests.ui.display import ATTEMPTS, Display, virtual_display

TITLE = " - ckptviewer$"
PALETTE = "^Command palette$"


class Tour:
    """One walk through the program."""

    def __init__(self, display: Display, pictures: Path, work: Path, theme: str) -> None:
        self._display = display
        self._pictures = pictures
        self._work = work
        self._number = 0
        self._process = display.open("--new-window", "--theme", theme)
        self._display.window(self._process, "^ckptviewer$")

    def keys(self, *keys: str) -> None:
        """Press keys, one after the other."""
        self._display.xdotool("key", "--delay", "60", *keys)

    def type(self, text: str) -> None:
        """Type a text."""
        self._display.xdotool("type", "--delay", "15", text)

    def titled(self, title: str) -> None:
        """Wait until the window bears a title."""
        self._display.window(self._process, title + TITLE)

    def answer(self, path: Path) -> None:
        """Type a path into the dialog that asks for a file."""
        self._display.window(self._process, "^(Open|Compare|Choose|The model|The data)")
        self.type(str(path))
        self.keys("Return")

    def command(self, name: str) -> None:
        """Choose an action in the command palette."""
        if not self._display.sees(PALETTE):
            self.keys("ctrl+k")
        for _ in range(ATTEMPTS):
            if self._display.sees(PALETTE):
                break
        self.keys("ctrl+a")
        self.type(name)
        self.keys("Return")

    def until(self, done: Callable[[], bool], picture: str) -> None:
        """Look again and again, a bounded number of times, until something came about."""
        for _ in range(3 * ATTEMPTS):
            if done():
                return
            self.look(picture)
        raise AssertionError(f"{picture}: it did not come about")

    def look(self, name: str) -> str:
        """Keep a picture of the screen; the clipboard's text."""
        return self._display.look(self._pictures / f"{self._number:02}-{name}.png")

    def step(self, name: str) -> None:
        """A step is done."""
        self.look(name)
        self.look(name)  # what was still being painted when the first was taken
        self._number += 1
        print(f"{self._number:2} {name}")

    def walk(self) -> None:
        """All steps."""
        self.step("welcome")
        self.open()
        self.find()
        self.compare()
        self.export()
        self.validate()
        self.leave()

    def open(self) -> None:
        self.keys("ctrl+o")
        self.answer(self._work / "digits.ckpt-600.index")
        self.titled("^digits[.]ckpt-600")
        self.step("open")

    def find(self) -> None:
        self.keys("ctrl+f")
        self.type("hidden kernel role:weight")
        self.keys("Down", "Down", "Down", "ctrl+shift+c")
        assert "_trainable_variables/3" in self.look("find"), "the filter found something else"
        self.step("find")
        self.keys("ctrl+f", "Escape", "Escape")

    def compare(self) -> None:
        self.keys("ctrl+d")
        self.answer(self._work / "digits.ckpt-40.index")
        self.titled("digits[.]ckpt-40")
        self.step("compare")
        self.keys("F8", "F8", "F8")
        self.step("next-difference")
        self.keys("alt+Left")
        self.titled("^digits[.]ckpt-600")

    def export(self) -> None:
        self.keys("ctrl+e")
        self.titled("Export digits[.]ckpt-600")
        self.step("export")
        self.keys("ctrl+Return")
        self.until(self._work.joinpath("digits.ckpt-600-inference.index").exists, "exported")
        self.step("exported")
        self.keys("alt+Left")
        self.titled("^digits[.]ckpt-600")

    def validate(self) -> None:
        self.keys("ctrl+shift+v")
        self.titled("validation")
        self.look("validation")
        self.step("validation")
        self.keys("F5")
        self._display.window(self._process, "^Run this model[?]$")
        self.step("consent")
        self.keys("Return")
        self.titled("validation")
        verdict: dict[str, object] = {}

        def judged() -> bool:
            self.command("result as json")
            text = self.look("validated")
            if text.startswith("{"):
                verdict.update(json.loads(text))
            return bool(verdict)

        self.until(judged, "validated")
        assert verdict["verdict"] == "pass", f"the demo does not pass: {verdict}"
        self.step("validated")

    def leave(self) -> None:
        self.keys("ctrl+q")
        self._process.communicate(timeout=60)
        assert self._process.returncode == 0, "it did not end well"


def main(pictures: Path, size: str, theme: str) -> int:
    """Walk; 0 where every step led where it should."""
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ckptviewer-tour-") as folder:
        for file in demo_checkpoint().parent.glob("digits*"):
            shutil.copy(file, folder)
        with virtual_display(Path(folder), size) as display:
            tour = Tour(display, pictures, Path(folder), theme)
            try:
                tour.walk()
            except AssertionError as error:
                tour.look("failed")
                print(f"tour: {error}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.tour")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--size", default="1280x800")
    parser.add_argument("--theme", default="light", choices=("light", "dark"))
    options = parser.parse_args()
    sys.exit(main(options.directory, options.size, options.theme))
