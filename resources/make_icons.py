"""Draws the icons of the program and of its documents in the sizes that desktops ask for.

`python resources/make_icons.py DIRECTORY` writes the tree of an icon theme (`hicolor/48x48/apps/`
and so on); on Windows and macOS `--ico` and `--icns` name a file to write besides.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

ICONS = Path(__file__).resolve().parent / "icons"
PLACES = {"ckptviewer": "apps", "ckptviewer-document": "mimetypes"}
SIZES = (16, 22, 24, 32, 48, 64, 96, 128, 256, 512)


def draw(name: str, size: int) -> QImage:
    """The icon `name` as a square of so many pixels."""
    image = QImage(size, size, QImage.Format.Format_ARGB32)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(str(ICONS / f"{name}.svg")).render(painter)
    painter.end()
    return image


def write_theme(directory: Path) -> list[Path]:
    """Write all sizes of all icons below `directory`/hicolor; their paths."""
    written = []
    for name, place in PLACES.items():
        for size in SIZES:
            written.append(directory / "hicolor" / f"{size}x{size}" / place / f"{name}.png")
            written[-1].parent.mkdir(parents=True, exist_ok=True)
            save(draw(name, size), written[-1])
        written.append(directory / "hicolor" / "scalable" / place / f"{name}.svg")
        written[-1].parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ICONS / f"{name}.svg", written[-1])
    return written


def save(image: QImage, path: Path) -> None:
    """Write a picture in the format that its name tells. Raises OSError where Qt cannot."""
    if not image.save(str(path)):
        raise OSError(f"{path}: the picture cannot be written")


def main() -> None:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--ico", type=Path, help="for Windows")
    parser.add_argument("--icns", type=Path, help="for macOS")
    options = parser.parse_args()
    app = QGuiApplication([])
    write_theme(options.directory)
    for path, size in ((options.ico, 256), (options.icns, 512)):
        if path is not None:
            save(draw("ckptviewer", size), path)
    del app


if __name__ == "__main__":
    main()
