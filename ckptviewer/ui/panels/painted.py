"""A picture with its colours, and where it lies on the axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF

from ckptviewer.analysis.colouring import colours_for, limit_of, paint
from ckptviewer.analysis.pictures import Picture
from ckptviewer.analysis.slicing import Plane, index_text

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Painted:
    """A picture, its RGBA bytes, the magnitude they are scaled to, and how many pixels are NaN or
    infinite."""

    picture: Picture
    pixels: np.ndarray
    limit: float
    not_finite: int


def painted_of(picture: Picture, limit: float | None, *, share: float, dark: bool) -> Painted:
    """The picture in colours; limit None: the magnitude that `share` of its values keep below."""
    import numpy as np

    if limit is None:
        limit = limit_of(picture.values, picture.gaps, share)
    return Painted(
        picture=picture,
        pixels=paint(picture.values, limit, colours_for(dark), picture.gaps),
        limit=limit,
        not_finite=int(picture.values.size - np.count_nonzero(np.isfinite(picture.values))),
    )


def area_of(picture: Picture) -> QRectF:
    """Where a picture lies, in columns and rows; whole numbers are in the middle of a pixel."""
    height, width = picture.values.shape
    return QRectF(
        picture.columns[0] - 0.5,
        picture.rows[0] - 0.5,
        width * picture.across,
        height * picture.down,
    )


def element_of(picture: Picture, plane: Plane, row: int, column: int) -> tuple[str, float] | None:
    """Which element, or elements, of a plane a place of its picture is, in words, and its number.

    None outside of the picture.
    """
    y = (row - picture.rows[0]) // picture.down
    x = (column - picture.columns[0]) // picture.across
    height, width = picture.values.shape
    if not (0 <= y < height and 0 <= x < width):
        return None
    if picture.exact:
        return index_text(plane.index_at(row, column)), picture.values[y, x]
    first = (picture.rows[0] + y * picture.down, picture.columns[0] + x * picture.across)
    last = (
        min(first[0] + picture.down, picture.rows[1]) - 1,
        min(first[1] + picture.across, picture.columns[1]) - 1,
    )
    ends = " \u2026 ".join(index_text(plane.index_at(*end)) for end in (first, last))
    return f"{ends}, {picture.reduction}", picture.values[y, x]
