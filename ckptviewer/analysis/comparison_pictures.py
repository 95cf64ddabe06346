"""What the pictures of a pair are painted from: histograms of both sides, and of the difference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ckptviewer.analysis.chunks import boxes
from ckptviewer.checkpoint.dtypes import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ckptviewer.analysis.difference import Difference
    from ckptviewer.analysis.side_by_side import Sides
    from ckptviewer.checkpoint.checkpoint import Region

    Pairs = Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]

READ_ALL_ELEMENTS = 1 << 22
"""A tensor of more elements than this is sampled: boxes that are spread evenly over it."""

_BOX_ELEMENTS = 1 << 17
_BOXES = READ_ALL_ELEMENTS // _BOX_ELEMENTS
_DEVIATIONS = 4.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairHistograms:
    """Histograms over the same bins for A and B, and one of b-a.

    edges: len(counts)+1 of them, ascending. What lies outside is counted in the outermost bins.
    difference_edges: likewise, around zero.
    seen, total: how many pairs were read, of how many.
    """

    edges: NDArray[np.float64]
    counts_a: NDArray[np.int64]
    counts_b: NDArray[np.int64]
    difference_edges: NDArray[np.float64]
    difference_counts: NDArray[np.int64]
    seen: int
    total: int

    @property
    def sampled(self) -> bool:
        """Whether only a part of the pairs was read."""
        return self.seen < self.total


def can_be_pictured(sides: Sides) -> bool:
    """Whether both sides are real numbers of one shape, with at least two elements."""
    numbers = {Kind.FLOAT, Kind.INTEGER, Kind.BOOL}
    alike = sides.variable_a.shape == sides.variable_b.shape
    return alike and sides.kinds <= numbers and sides.variable_a.element_count > 1


def pair_histograms(sides: Sides, difference: Difference, bins: int = 48) -> PairHistograms | None:
    """Histograms of a pair whose numbers are known; None where there is nothing finite.

    The bins reach four standard deviations around both means. Raises what reading raises.
    """
    reach = [
        (mean - _DEVIATIONS * std, mean + _DEVIATIONS * std)
        for mean, std in (
            (difference.mean_a, difference.std_a),
            (difference.mean_b, difference.std_b),
        )
        if mean is not None and std is not None
    ]
    if not reach or not can_be_pictured(sides):
        return None
    edges = _edges(min(low for low, _ in reach), max(high for _, high in reach), bins)
    far = difference.max_abs or 0.0
    difference_edges = _edges(-far, far, bins | 1)  # an odd number has zero in a bin's middle
    counts_a, counts_b = np.zeros((2, bins), np.int64)
    difference_counts = np.zeros(bins | 1, np.int64)
    seen = 0
    for a, b in _pairs(sides):
        seen += a.size
        counts_a += _counts(a, edges)
        counts_b += _counts(b, edges)
        with np.errstate(invalid="ignore"):
            difference_counts += _counts(b - a, difference_edges)
    return PairHistograms(
        edges=edges,
        counts_a=counts_a,
        counts_b=counts_b,
        difference_edges=difference_edges,
        difference_counts=difference_counts,
        seen=seen,
        total=sides.variable_a.element_count,
    )


def difference_map(sides: Sides, most: int = 40) -> NDArray[np.float64] | None:
    """The largest |b-a| in each cell of a grid laid over a matrix, at most `most` cells a side.

    All axes but the last are rows. None for what has fewer than two axes, or is so large that it
    would have to be sampled. Infinite where something became NaN or infinite, or ceased to be.
    """
    shape = sides.variable_a.shape
    if len(shape) < 2 or not can_be_pictured(sides) or 0 in shape:
        return None
    if sides.variable_a.element_count > READ_ALL_ELEMENTS:
        return None
    plane = np.concatenate([_apart(a, b) for a, b in _pairs(sides)]).reshape(-1, shape[-1])
    for axis in (0, 1):
        size = plane.shape[axis]
        starts = np.unique(np.arange(min(most, size)) * size // min(most, size))
        plane = np.maximum.reduceat(plane, starts, axis=axis)
    return plane


def _apart(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        apart = np.abs(b - a)
        apart[np.isnan(apart)] = np.inf
        apart[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0
    return apart


def _pairs(sides: Sides) -> Pairs:
    for region in _regions(sides.variable_a.shape):
        sides.cancel.raise_if_cancelled()
        a = sides.a.read(sides.variable_a, region)
        b = sides.b.read(sides.variable_b, region)
        yield a.reshape(-1).astype(np.float64), b.reshape(-1).astype(np.float64)


def _regions(shape: tuple[int, ...]) -> list[Region]:
    """Boxes that cover a tensor, or so many of them that they make a sample."""
    everything = list(boxes(shape, _BOX_ELEMENTS))
    if len(everything) <= 2 * _BOXES:
        return everything
    return [everything[place * len(everything) // _BOXES] for place in range(_BOXES)]


def _edges(low: float, high: float, bins: int) -> NDArray[np.float64]:
    if not low < high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, bins + 1)


def _counts(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    finite = values[np.isfinite(values)]
    bins = len(edges) - 1
    places = (finite - edges[0]) * (bins / (edges[-1] - edges[0]))
    np.clip(places, 0, bins - 1, out=places)
    return np.bincount(places.astype(np.intp), minlength=bins)
