"""Names that do not fit: what tells them apart is their end, so that stays whole."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontMetrics

ELLIPSIS = "\u2026"
_LEAST_PATH = 60
"""Pixels that are left of a path in a sentence."""


def shortened(text: str, metrics: QFontMetrics, width: int) -> str:
    """The text as it fits into so many pixels: of a path the last parts, and how it begins.

    What is no path, or has a last part that does not fit, is shortened in its middle.
    """
    if metrics.horizontalAdvance(text) <= width:
        return text
    separator = " / " if " / " in text else "/"
    parts = text.split(separator)
    for first in range(1, len(parts)):
        end = separator + separator.join(parts[first:])
        room = width - metrics.horizontalAdvance(end)
        if room >= metrics.horizontalAdvance(ELLIPSIS):
            begin = separator.join(parts[:first])
            return metrics.elidedText(begin, Qt.TextElideMode.ElideRight, room) + end
    return metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, max(0, width))


def shortened_sentence(text: str, metrics: QFontMetrics, width: int) -> str:
    """The sentence as it fits: its longest path is shortened first, and then its end goes."""
    paths = [word for word in text.split() if "/" in word]
    over = metrics.horizontalAdvance(text) - width
    if over > 0 and paths:
        longest = max(paths, key=len)
        room = metrics.horizontalAdvance(longest) - over
        text = text.replace(longest, shortened(longest, metrics, max(_LEAST_PATH, room)), 1)
    return metrics.elidedText(text, Qt.TextElideMode.ElideRight, max(0, width))
