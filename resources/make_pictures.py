"""Draws the pictures of README and docs from the program itself, off screen, so that they are true.

    python resources/make_pictures.py [--out DIRECTORY] [NAME...]

Each picture is a window of 1280 by 800 pixels that shows the demo, brought into the state by its
own public methods. The demo is copied to a directory of its own below the temporary one, whose path
may be seen in the picture.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from PySide6.QtCore import QEventLoop, QObject, QTimer, SignalInstance
from PySide6.QtWidgets import QApplication

from ckptviewer.export.choices import Preset
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.main_window import MainWindow
from ckptviewer.ui.settings import Settings

RESOURCES = Path(__file__).resolve().parent
SIZE = (1280, 800)
LONGEST_WAIT_MS = 120_000
SETTLE_MS = 400
"""Layouts and small delays of the window are over by then."""

EARLY, LATE = "digits.ckpt-40", "digits.ckpt-600"
KERNEL = "digits/hidden/kernel"


class Studio(QObject):
    """A window, and the means to wait until it shows what it was asked for."""

    def __init__(self, app: QApplication, theme: str) -> None:
        super().__init__()
        # What the user's own windows remember must not be in the picture, nor be changed by it.
        self.window = MainWindow(Appearance(app, theme), Settings(remembered=False))
        self.window.resize(*SIZE)
        self.window.show()

    def after(self, signal: SignalInstance, do: Callable[[], object]) -> None:
        """Do something, and return once `signal` was emitted; raises TimeoutError."""
        loop = QEventLoop()
        signal.connect(lambda *_: loop.exit(0))
        QTimer.singleShot(LONGEST_WAIT_MS, loop, lambda: loop.exit(1))
        QTimer.singleShot(0, self, do)
        if loop.exec():
            raise TimeoutError(f"{self.window.windowTitle()}: nothing came")

    def settle(self) -> None:
        """Return once nothing runs in the background any more, and layouts are what they are."""
        while True:
            loop = QEventLoop()
            QTimer.singleShot(SETTLE_MS, loop, loop.quit)
            loop.exec()
            if not self.window.jobs.running:
                return

    def draw(self, path: Path) -> None:
        """Save what the window shows."""
        self.settle()
        if not self.window.grab().save(os.fspath(path), "PNG"):
            raise OSError(f"{path}: the picture cannot be written")
        print(f"{path.stat().st_size:>9,}  {path}")

    def close(self) -> None:
        """Close the window and all that it has open."""
        self.window.close()


def show_checkpoint(studio: Studio, demo: Path) -> None:
    """One checkpoint, with the distribution of a kernel."""
    window = studio.window
    studio.after(window.opened, lambda: window.open_path(os.fspath(demo / LATE)))
    window.select_variable(KERNEL)


def show_comparison(studio: Studio, demo: Path) -> None:
    """The two checkpoints of the training, and what became of a kernel."""
    window = studio.window
    paths = [os.fspath(demo / name) for name in (EARLY, LATE)]
    studio.after(window.compared, lambda: window.compare_paths(*paths))
    window.select_variable(KERNEL)


def show_export(studio: Studio, demo: Path) -> None:
    """What an export for inference keeps and drops."""
    window = studio.window
    studio.after(window.opened, lambda: window.open_path(os.fspath(demo / LATE)))
    window.export()
    window.view.options.choose_preset(Preset.INFERENCE)


SCENES: dict[str, tuple[Callable[[Studio, Path], None], str]] = {
    "window": (show_checkpoint, "light"),
    "window-dark": (show_checkpoint, "dark"),
    "comparison": (show_comparison, "light"),
    "export": (show_export, "light"),
}
"""Name of a picture: what it shows, and the theme."""


@contextmanager
def copied_demo() -> Iterator[Path]:
    """The demo in a directory whose path may be shown."""
    directory = Path(tempfile.gettempdir()) / "digits"
    shutil.copytree(RESOURCES / "demo", directory)  # never over somebody else's
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw the pictures of README and docs.")
    parser.add_argument("--out", type=Path, default=RESOURCES / "pictures")
    parser.add_argument("name", nargs="*", metavar="NAME", help=f"of {', '.join(SCENES)}; or all")
    options = parser.parse_args()
    for name in options.name:
        if name not in SCENES:
            parser.error(f"there is no picture {name!r}")
    options.out.mkdir(parents=True, exist_ok=True)
    app = QApplication(sys.argv[:1])
    app.setQuitOnLastWindowClosed(False)
    with copied_demo() as demo:
        for name in options.name or SCENES:
            show, theme = SCENES[name]
            studio = Studio(app, theme)
            show(studio, demo)
            studio.draw(options.out / f"{name}.png")
            studio.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
