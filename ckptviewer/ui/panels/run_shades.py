"""The colours of a run's heat map: how dark a cell is, and the legend that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QLinearGradient, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from ckptviewer.runs.timeline_table import Series
from ckptviewer.ui.appearance import Appearance

if TYPE_CHECKING:
    import numpy as np

SHADES = 65
_LEAST_UPDATE = 1e-4


class HeatLegend(QWidget):
    """What the colours and letters of the heat map mean."""

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self._series = Series.NORM
        self.setFixedHeight(30)
        appearance.changed.connect(self.update)

    def show_series(self, series: Series) -> None:
        """Explain another measure."""
        self._series = series
        self.setAccessibleName("Colours from {} to {}".format(*ends_of(series)))
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme = self._appearance.theme
        painter = QPainter(self)
        painter.setFont(self._appearance.small_font)
        metrics = painter.fontMetrics()
        low, high = ends_of(self._series)
        x, height = 12.0, float(self.height())
        middle = Qt.AlignmentFlag.AlignVCenter

        def write(text: str, colour: str) -> None:
            nonlocal x
            painter.setPen(QColor(colour))
            width = metrics.horizontalAdvance(text)
            painter.drawText(QRectF(x, 0, width + 2, height), middle, text)
            x += width + 8

        write(low, theme.muted)
        bar = QRectF(x, height / 2 - 5, 110, 10)
        gradient = QLinearGradient(bar.topLeft(), bar.topRight())
        shades = ramp_of(theme.base, theme.bar, theme.text)
        for number in range(0, SHADES, 8):
            gradient.setColorAt(number / (SHADES - 1), shades[number])
        painter.setPen(QColor(theme.line))
        painter.setBrush(gradient)
        painter.drawRect(bar)
        x += 118
        write(high, theme.muted)
        x += 14
        for letter, colour, text in (
            ("N", theme.error, "NaN"),
            ("!", theme.warning, "unreadable"),
            ("\u00b7", theme.muted, "not there"),
            ("=", theme.muted, "unchanged" if self._series is Series.UPDATE else ""),
        ):
            if not text:
                continue
            write(letter, colour)
            write(text, theme.muted)
            x += 8
        painter.end()


def ends_of(series: Series) -> tuple[str, str]:
    """What the lightest and the darkest colour of a measure stand for."""
    if series is Series.UPDATE:
        return "\u2264 0.0001", "\u2265 1"
    if series is Series.COSINE:
        return "0 or less", "1: the same direction"
    if series is Series.SPARSITY:
        return "no zeros", "all zeros"
    if series is Series.NAN:
        return "no NaN", "N"
    return "least of the row", "greatest of the row"


def shares_of(values: np.ndarray, series: Series) -> np.ndarray:
    """How dark each cell is, 0 to 1; NaN where there is no number. A row is a variable.

    Norms and moments are scaled by row, as variables differ by orders of magnitude; the measures
    that have a scale of their own are not.
    """
    import warnings

    import numpy as np

    finite = np.where(np.isfinite(values), values, np.nan)
    if series is Series.UPDATE:
        finite = np.where(np.isposinf(values), 1.0, finite)  # it was all zeros before
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a row of which nothing is known
        if series is Series.UPDATE:
            logs = np.log10(np.maximum(finite, _LEAST_UPDATE))
            return np.clip(1.0 - logs / np.log10(_LEAST_UPDATE), 0.0, 1.0)
        if series in (Series.COSINE, Series.SPARSITY, Series.NAN):
            return np.clip(finite, 0.0, 1.0)
        low = np.nanmin(finite, axis=1, keepdims=True, initial=np.inf)
        high = np.nanmax(finite, axis=1, keepdims=True, initial=-np.inf)
        span = high - low
        shares = np.where(span > 0, (finite - low) / span, finite * 0.0)
    return np.asarray(shares)


def ramp_of(base: str, bar: str, text: str) -> list[QColor]:
    """Shades from next to the ground to the strongest of the hue."""
    ground, hue, ink = QColor(base), QColor(bar), QColor(text)
    strong = _between(hue, ink, 0.4)
    knee = 3 * (SHADES - 1) // 4
    light = [_between(ground, hue, 0.08 + 0.92 * number / knee) for number in range(knee)]
    rest = SHADES - knee
    return light + [_between(hue, strong, number / (rest - 1)) for number in range(rest)]


def _between(one: QColor, other: QColor, share: float) -> QColor:
    return QColor(
        round(one.red() + (other.red() - one.red()) * share),
        round(one.green() + (other.green() - one.green()) * share),
        round(one.blue() + (other.blue() - one.blue()) * share),
    )
