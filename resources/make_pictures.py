"""Draws the pictures of README and docs from the program itself, off screen, so that they are true.

    python resources/make_pictures.py [--out DIRECTORY] [NAME...]

Each picture is a window of 1280 by 800 pixels that shows the demo, brought into its state by its
own public methods. The demo is copied to a directory of its own below the temporary one, whose path
may be seen in the picture. Those of a validation and of a run need the `test` extra: a model is run
by TensorFlow, and the demo's training is done again and saved more often.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from PySide6.QtCore import (
    QEventLoop,
    QObject,
    QTimer,
    QtMsgType,
    SignalInstance,
    qInstallMessageHandler,
)
from PySide6.QtWidgets import QApplication, QDialog

from ckptviewer.export.choices import Preset
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.main_window import MainWindow
from ckptviewer.ui.models_at_hand import show_validation
from ckptviewer.ui.panels.export_view import ExportView
from ckptviewer.ui.panels.run_view import RunView
from ckptviewer.ui.panels.validation_view import ValidationView
from ckptviewer.ui.settings import Settings

RESOURCES = Path(__file__).resolve().parent
SIZE = (1280, 800)
LONGEST_WAIT_MS = 120_000
SETTLE_MS = 400
"""Layouts and small delays of the window are over by then."""

SAVED_MS = 4000
"""After so long a file that was just written counts as complete."""

EARLY, LATE = "digits.ckpt-40", "digits.ckpt-600"
KERNEL = "digits/hidden/kernel"
RUN_STEPS = range(40, 601, 40)
RECIPE = """\
version = 1
checkpoint = "digits.ckpt-600"
require = ["accuracy>=0.95"]

[model]
kind = "keras"
path = "digits.keras"

[data]
kind = "npz"
paths = ["digits-validation.npz"]

[metrics]
names = ["accuracy"]
"""


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
        quiet = 0
        while quiet < 2:  # what the last job delivered is laid out in the second
            self.wait(SETTLE_MS)
            quiet = 0 if self.window.jobs.running else quiet + 1

    def wait(self, milliseconds: int) -> None:
        """Let the window live for so long."""
        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop, loop.quit)
        loop.exec()

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
    assert isinstance(window.view, ExportView)
    window.view.options.choose_preset(Preset.INFERENCE)


def show_verdict(studio: Studio, demo: Path) -> None:
    """A validation that was run."""
    window = studio.window
    recipe = demo / "digits.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    environment = demo / ".venv"  # where it is on this machine is nobody's business
    environment.symlink_to(sys.prefix, target_is_directory=True)
    python = environment / Path(sys.executable).relative_to(sys.prefix)
    window.settings.set("python", os.fspath(python))
    studio.after(window.opened, lambda: window.open_path(os.fspath(demo / LATE)))
    show_validation(window)
    view = window.view
    assert isinstance(view, ValidationView)
    studio.settle()
    view.recipes.open(os.fspath(recipe))
    studio.settle()
    agreeing = QTimer(studio, interval=100)
    agreeing.timeout.connect(agree)
    agreeing.start()
    studio.after(view.complete, view.run)
    agreeing.stop()


def agree() -> None:
    """Say yes to the question whether the demo's model may run."""
    dialog = QApplication.activeModalWidget()
    if isinstance(dialog, QDialog):
        dialog.accept()


def show_run(studio: Studio, demo: Path) -> None:
    """The demo's training, saved every forty steps."""
    window = studio.window
    directory = demo / "training"
    directory.mkdir()
    training = get_context("spawn").Process(target=train_again, args=(directory,))
    training.start()
    training.join()
    studio.wait(SAVED_MS)
    studio.after(window.opened, lambda: window.open_path(os.fspath(directory)))
    studio.settle()
    assert isinstance(window.view, RunView)
    window.select_variable(KERNEL)


def train_again(directory: Path) -> None:
    """Train the demo's model, saving often; in a process of its own, for TensorFlow's sake."""
    sys.path.insert(0, os.fspath(RESOURCES))
    import keras
    import make_demo
    import numpy as np
    import tensorflow as tf

    keras.utils.set_random_seed(make_demo.SEED)
    training, _ = make_demo.load()
    model = make_demo.build_model()
    generator = np.random.default_rng(make_demo.SEED)
    manager = tf.train.CheckpointManager(
        make_demo.checkpoint_of(model),
        os.fspath(directory),
        max_to_keep=None,
        checkpoint_name=make_demo.NAME,
    )
    for step in RUN_STEPS:
        make_demo.train(model, training, RUN_STEPS.step, generator)
        manager.save(checkpoint_number=step)


SCENES: dict[str, tuple[Callable[[Studio, Path], None], str]] = {
    "window": (show_checkpoint, "light"),
    "window-dark": (show_checkpoint, "dark"),
    "comparison": (show_comparison, "light"),
    "export": (show_export, "light"),
    "validation": (show_verdict, "light"),
    "run": (show_run, "light"),
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


def keep_apart(directory: Path) -> None:
    """Keep what the user's program remembers out of the pictures, and as it is."""
    os.environ["CKPTVIEWER_CACHE"] = os.fspath(directory / "results.sqlite")
    os.environ["CKPTVIEWER_HISTORY"] = os.fspath(directory / "validations.sqlite")
    os.environ["CKPTVIEWER_APPROVALS"] = os.fspath(directory / "approvals.json")


def print_message(_kind: QtMsgType, _context: object, message: str) -> None:
    if "This plugin does not support" not in message:  # what off-screen drawing need not do
        print(message, file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw the pictures of README and docs.")
    parser.add_argument("--out", type=Path, default=RESOURCES / "pictures")
    parser.add_argument("name", nargs="*", metavar="NAME", help=f"of {', '.join(SCENES)}; or all")
    options = parser.parse_args()
    for name in options.name:
        if name not in SCENES:
            parser.error(f"there is no picture {name!r}")
    options.out.mkdir(parents=True, exist_ok=True)
    names = options.name or [*SCENES]
    if len(names) > 1:  # each in a program that was just started, as a person sees it
        for name in names:
            script = [sys.executable, __file__, "--out", os.fspath(options.out), name]
            subprocess.run(script, check=True)
    else:
        draw(names[0], options.out)
    return 0


def draw(name: str, out: Path) -> None:
    """Draw one picture."""
    qInstallMessageHandler(print_message)
    app = QApplication(sys.argv[:1])
    app.setQuitOnLastWindowClosed(False)
    with copied_demo() as demo, tempfile.TemporaryDirectory() as memory:
        keep_apart(Path(memory))
        show, theme = SCENES[name]
        studio = Studio(app, theme)
        show(studio, demo)
        studio.draw(out / f"{name}.png")
        studio.close()


if __name__ == "__main__":
    sys.exit(main())
