"""What a cell of a run's heat map says: by its colour, by its letter, and in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtGui import QColor

from ckptviewer.checkpoint.text import count_text, elide_middle, number_text
from ckptviewer.runs.timeline_table import Series
from ckptviewer.ui.panels.run_shades import SHADES, ramp_of, shares_of
from ckptviewer.ui.theme import Theme

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from ckptviewer.runs.timeline_table import TimelineTable

_BAD, _UNREADABLE, _ABSENT, _UNKNOWN = range(SHADES, SHADES + 4)


class Letter(NamedTuple):
    """A mark in a cell. row: among the keys asked for. column: of the table. colour: its name."""

    row: int
    column: int
    text: str
    colour: str


def palette_of(theme: Theme) -> np.ndarray:
    """The colour of each code of a cell, as 0xffrrggbb: uint32."""
    import numpy as np

    more = [QColor(name) for name in (theme.error, theme.track, theme.base, theme.raised)]
    shades = [*ramp_of(theme.base, theme.bar, theme.text), *more]
    return np.array([shade.rgb() for shade in shades], np.uint32)


def codes_of(
    table: TimelineTable, series: Series, keys: Sequence[str], theme: Theme
) -> tuple[np.ndarray, list[Letter]]:
    """Which colour of the palette each cell has, and the letters in them.

    The codes are uint8: a row for each key, all columns of the table.
    """
    import numpy as np

    values = table.matrix(series, keys)
    bad = table.matrix(Series.NAN, keys)
    shares = shares_of(values, series)
    gaps = np.isnan(shares)
    codes = np.where(gaps, 0.0, np.rint(shares * (SHADES - 1))).astype(np.uint8)
    letters = []
    for row, column in np.argwhere(gaps | (bad > 0)).tolist():
        key = keys[row]
        code, text, colour = _UNKNOWN, "", ""
        if bad[row, column] > 0:
            code, text, colour = _BAD, "N", theme.base
        elif column in table.errors or (column, key) in table.errors:
            code, text, colour = _UNREADABLE, "!", theme.warning
        elif not table.has(key, column):
            code, text, colour = _ABSENT, "\u00b7", theme.muted
        codes[row, column] = code
        if text:
            letters.append(Letter(row, column, text, colour))
    if series is Series.UPDATE:
        still = np.argwhere((values == 0) & ~(bad > 0)).tolist()
        letters += [Letter(row, column, "=", theme.muted) for row, column in still]
    return codes, letters


def words_of(table: TimelineTable, series: Series, key: str, column: int) -> str:
    """All there is to know of a variable in the checkpoint of a column, a line each."""
    entry = table.entries[column]
    step = "" if entry.step is None else f"step {count_text(entry.step)}, "
    lines = [elide_middle(key, 80), f"{step}{entry.name}"]
    error = table.errors.get((column, key)) or table.errors.get(column)
    if error is not None:
        return "\n".join((*lines, f"could not be read: {error.what}"))
    if not table.has(key, column):
        return "\n".join((*lines, "is not in this checkpoint"))
    point = table.point(key, column)
    if math.isnan(point.elements):
        return "\n".join((*lines, "not read yet"))
    value = float(table.series(series, key)[column])
    shown = number_text(value) if math.isfinite(value) else "\u2013"
    lines.append(f"{series}  {shown}")
    if series is not Series.NORM:
        lines.append(f"norm  {number_text(point.norm)}")
    if point.nan or point.inf:
        lines.append(f"{count_text(int(point.nan))} NaN, {count_text(int(point.inf))} Inf")
    if column:
        lines.append("Click compares it with the checkpoint before.")
    return "\n".join(lines)
