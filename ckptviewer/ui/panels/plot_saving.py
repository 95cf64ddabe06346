"""Saving a histogram: as a picture of pixels or of lines, or as its numbers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from PySide6.QtCore import QBuffer, QIODevice, QRectF, QSize
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtWidgets import QGraphicsView

from ckptviewer.storage.atomic import NewFile, Staging

if TYPE_CHECKING:
    from ckptviewer.analysis.histogram import Histogram

_FINER = 2
"""Pixels of a saved picture for each on the screen, a side."""


def png_of(view: QGraphicsView, ground: QColor) -> bytes:
    """What a view shows, as a PNG of twice its resolution."""
    image = QImage(view.viewport().size() * _FINER, QImage.Format.Format_RGB32)
    image.fill(ground)
    painter = QPainter(image)
    view.render(painter, QRectF(image.rect()), view.viewport().rect())
    painter.end()
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")  # type: ignore[call-overload]
    return bytes(buffer.data().data())


def svg_of(view: QGraphicsView, ground: QColor, title: str) -> bytes:
    """What a view shows, as an SVG."""
    from PySide6.QtSvg import QSvgGenerator

    size: QSize = view.viewport().size()
    buffer = QBuffer()
    generator = QSvgGenerator()
    generator.setOutputDevice(buffer)
    generator.setSize(size)
    generator.setResolution(view.logicalDpiX())  # else axes and bars come in different scales
    generator.setViewBox(QRectF(0, 0, size.width(), size.height()))
    generator.setTitle(title)
    painter = QPainter(generator)
    painter.fillRect(QRectF(0, 0, size.width(), size.height()), ground)
    view.render(painter, QRectF(0, 0, size.width(), size.height()), view.viewport().rect())
    painter.end()
    return bytes(buffer.data().data())


def csv_of(histogram: Histogram) -> bytes:
    """The bins as comma-separated values: lower edge, upper edge, count. To the last digit."""
    lines = ["low,high,count"]
    edges = [repr(float(edge)) for edge in histogram.edges]
    for low, high, count in zip(edges[:-1], edges[1:], histogram.counts, strict=True):
        lines.append(f"{low},{high},{int(count)}")
    return ("\n".join(lines) + "\n").encode()


def write_file(path: str, data: bytes) -> None:
    """Put a file there, whole or not at all. Raises UnwritableFileError."""
    with Staging(path) as staging:
        aside = os.path.join(staging.path, os.path.basename(path))
        with NewFile(aside) as file:
            file.write(data)
            file.flush()
        staging.publish([aside], replace_last=True)
