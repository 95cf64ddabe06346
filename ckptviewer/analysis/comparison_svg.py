"""The pictures of a comparison's report as SVG that stands inside a page."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from ckptviewer.analysis.comparison import LETTERS, Comparison, Status, VariableDelta
from ckptviewer.checkpoint.text import count_text, elide_middle, number_text, printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ckptviewer.analysis.comparison_pictures import PairHistograms

COLOURS = {
    Status.SAME: "#8c8c8c",
    Status.CHANGED: "#d55e00",
    Status.ADDED: "#009e73",
    Status.REMOVED: "#cc79a7",
    Status.RENAMED: "#56b4e9",
    Status.RESHAPED: "#e69f00",
    Status.RETYPED: "#0072b2",
}
"""Okabe and Ito's colours, which people tell apart whatever their eyes; a letter goes with each."""

_A, _B, _DIFFERENCE = "#0072b2", "#d55e00", "#009e73"
_WIDTH, _HEIGHT = 320, 120


def status_bar(comparison: Comparison) -> str:
    """One bar, divided as the statuses are."""
    total = len(comparison.deltas) or 1
    parts, x = [], 0.0
    for status, count in comparison.summary.items():
        width = 100.0 * count / total
        if not count:
            continue
        parts.append(
            f'<rect x="{x:.3f}%" width="{width:.3f}%" height="28" fill="{COLOURS[status]}">'
            f"<title>{status}: {count_text(count)}</title></rect>"
        )
        if width > 4:
            parts.append(
                f'<text x="{x + width / 2:.3f}%" y="19" class="on">{LETTERS[status]} '
                f"{count_text(count)}</text>"
            )
        x += width
    return _svg("100%", 28, "".join(parts), "Variables by status", stretched=True)


def change_bars(deltas: list[VariableDelta]) -> str:
    """A bar for each row, as long as its relative difference, on a logarithmic axis."""
    known = [(delta, relative_change(delta)) for delta in deltas]
    drawn = [(delta, change) for delta, change in known if change]
    if not drawn:
        return ""
    top = math.ceil(math.log10(max(change for _, change in drawn)))
    low = min(math.floor(math.log10(min(change for _, change in drawn))), top - 1)
    rows = []
    for number, (delta, change) in enumerate(drawn):
        y = 18 * number
        length = 300 * (math.log10(change) - low) / (top - low)
        name = escape(printable(elide_middle(delta.key, 56)))
        rows.append(
            f'<text x="392" y="{y + 13}" class="end">{name}</text>'
            f'<rect x="400" y="{y + 3}" width="{max(1.0, length):.1f}" height="12" '
            f'fill="{COLOURS[delta.status]}"/>'
            f'<text x="{406 + length:.1f}" y="{y + 13}">{number_text(change, 3)}</text>'
        )
    return _svg(780, 18 * len(drawn) + 4, "".join(rows), "The largest relative differences")


def overlaid(histograms: PairHistograms) -> str:
    """Both sides' histograms, one over the other."""
    top = max(int(histograms.counts_a.max()), int(histograms.counts_b.max()), 1)
    parts = _steps(histograms.counts_a, top, _A) + _steps(histograms.counts_b, top, _B)
    return _framed(parts, histograms.edges, "Values of A (blue) and B (vermilion)")


def of_difference(histograms: PairHistograms) -> str:
    """The histogram of b-a."""
    counts = histograms.difference_counts
    parts = _steps(counts, max(int(counts.max()), 1), _DIFFERENCE)
    return _framed(parts, histograms.difference_edges, "Values of B less A")


def heat_map(cells: NDArray[np.float64]) -> str:
    """The grid of `difference_map`: blue, the fuller the larger; vermilion what is infinite."""
    rows, columns = cells.shape
    finite = [float(cell) for cell in cells.flat if math.isfinite(cell)]
    scale = max(finite, default=0.0) or 1.0
    width, height = _WIDTH / columns, _HEIGHT / rows
    parts = [f'<rect width="{_WIDTH}" height="{_HEIGHT}" class="paper"/>']
    for row in range(rows):
        for column in range(columns):
            cell = float(cells[row, column])
            if cell == 0:
                continue
            fill, opacity = (_A, cell / scale) if math.isfinite(cell) else (_B, 1.0)
            parts.append(
                f'<rect x="{column * width:.2f}" y="{row * height:.2f}" width="{width:.2f}" '
                f'height="{height:.2f}" fill="{fill}" fill-opacity="{opacity:.3f}"/>'
            )
    title = f"Largest difference in each cell; full colour is {number_text(scale)}"
    return _svg(_WIDTH, _HEIGHT, "".join(parts), title)


def relative_change(delta: VariableDelta) -> float | None:
    """How much a row changed, to sort and to draw by; None where there is no such number."""
    return delta.difference.relative_l2 if delta.difference else None


def _steps(counts: NDArray[np.int64], top: int, colour: str) -> str:
    width = _WIDTH / len(counts)
    points = [f"0,{_HEIGHT}"]
    for place, count in enumerate(counts.tolist()):
        y = _HEIGHT * (1 - count / top)
        points += [f"{place * width:.1f},{y:.1f}", f"{(place + 1) * width:.1f},{y:.1f}"]
    points.append(f"{_WIDTH},{_HEIGHT}")
    return (
        f'<polygon points="{" ".join(points)}" fill="{colour}" fill-opacity="0.35" '
        f'stroke="{colour}" stroke-width="1"/>'
    )


def _framed(parts: str, edges: NDArray[np.float64], title: str) -> str:
    low, high = (number_text(float(edge), 3) for edge in (edges[0], edges[-1]))
    below = (
        f'<line x1="0" x2="{_WIDTH}" y1="{_HEIGHT}" y2="{_HEIGHT}" class="axis"/>'
        f'<text x="0" y="{_HEIGHT + 14}">{low}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 14}" class="end">{high}</text>'
    )
    return _svg(_WIDTH, _HEIGHT + 18, parts + below, title)


def _svg(
    width: int | str, height: int, content: str, title: str, *, stretched: bool = False
) -> str:
    view = "" if stretched else f' viewBox="0 0 {width} {height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width}" '
        f'height="{height}"{view}><title>{escape(title)}</title>{content}</svg>'
    )
