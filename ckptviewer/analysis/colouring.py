"""Colours for numbers: a diverging scale centred at zero, and one colour for what is no number.

Blue below, orange above: told apart by all eyes. Interpolated in Oklab, so that equal steps of
value look equal (B. Ottosson, "A perceptual color space for image processing", 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_HALF = 128
_NOT_FINITE = 2 * _HALF + 1
_GAP = 2 * _HALF + 2
_STRIP_ELEMENTS = 1 << 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Colours:
    """A diverging scale. anchors: "#rrggbb" from the lowest value over zero to the highest.
    not_finite: of NaN and Inf; lighter or darker than all of the scale."""

    anchors: tuple[str, ...]
    not_finite: str


ON_LIGHT = Colours(
    anchors=("#08447e", "#4f9bd0", "#f5f6f7", "#ef9d4a", "#963b00"), not_finite="#000000"
)
ON_DARK = Colours(
    anchors=("#9fd6ff", "#2f80bd", "#262b35", "#bd6a1c", "#ffc98f"), not_finite="#ffffff"
)


def colours_for(dark: bool) -> Colours:
    """The scale whose zero is near the ground it is shown on."""
    return ON_DARK if dark else ON_LIGHT


def paint(
    values: np.ndarray, limit: float, colours: Colours, gaps: np.ndarray | None = None
) -> np.ndarray:
    """Rows and columns of values as RGBA bytes, four a value; gaps, if any, are transparent.

    -limit and below is the first colour, 0 exactly the middle, limit and above the last one. A
    limit of 0 gives the middle for all that is finite.
    """
    import numpy as np

    words = _table(colours).view(np.uint32).reshape(-1)
    pixels = np.empty(values.shape, np.uint32)
    # In strips: NumPy holds the interpreter for some of this, and the window needs it too.
    height = max(1, _STRIP_ELEMENTS // max(1, values.shape[1]))
    for top in range(0, values.shape[0], height):
        strip = slice(top, top + height)
        finite = np.isfinite(values[strip])
        step = np.zeros(finite.shape, np.float64)
        if limit > 0:
            np.divide(values[strip], limit, out=step, where=finite)
        np.clip(step, -1, 1, out=step)
        place = (np.rint(step * _HALF) + _HALF).astype(np.intp)
        place[~finite] = _NOT_FINITE
        if gaps is not None:
            place[gaps[strip]] = _GAP
        np.take(words, place, out=pixels[strip], mode="clip")
    return pixels.view(np.uint8).reshape(*values.shape, 4)


def limit_of(values: np.ndarray, gaps: np.ndarray | None = None, share: float = 1.0) -> float:
    """The magnitude that `share` of the finite values do not exceed; 0 where there are none."""
    import numpy as np

    counts = np.isfinite(values)
    if gaps is not None:
        counts &= ~gaps
    magnitudes = np.abs(values)
    largest = float(magnitudes.max(where=counts, initial=0))
    if share >= 1 or largest == 0:
        return largest
    # Of a sparse tensor nearly all is zero, and some contrast is better than none.
    return float(np.quantile(magnitudes[counts], share)) or largest


@cache
def _table(colours: Colours) -> np.ndarray:
    """RGBA bytes of all places of the scale, of what is not finite, and of gaps."""
    import numpy as np

    lab = np.array([_oklab(colour) for colour in colours.anchors])
    at = np.linspace(0, 2 * _HALF, len(lab))
    places = np.arange(2 * _HALF + 1)
    scale = _srgb(np.stack([np.interp(places, at, channel) for channel in lab.T], axis=1))
    table = np.zeros((len(places) + 2, 4), np.uint8)
    table[: len(places), :3] = scale
    table[_NOT_FINITE, :3] = list(bytes.fromhex(colours.not_finite[1:]))
    table[:_GAP, 3] = 255
    return table


def _oklab(colour: str) -> np.ndarray:
    import numpy as np

    to_lms, to_lab = _matrices()
    rgb = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lab: np.ndarray = to_lab @ np.cbrt(to_lms @ linear)
    return lab


def _srgb(lab: np.ndarray) -> np.ndarray:
    import numpy as np

    to_lms, to_lab = _matrices()
    lms = (lab @ np.linalg.inv(to_lab).T) ** 3
    linear = np.clip(lms @ np.linalg.inv(to_lms).T, 0, 1)
    rgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    colours: np.ndarray = np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
    return colours


@cache
def _matrices() -> tuple[np.ndarray, np.ndarray]:
    """From linear sRGB to cone responses, and from their cube roots to Oklab."""
    import numpy as np

    to_lms = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    to_lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return to_lms, to_lab
