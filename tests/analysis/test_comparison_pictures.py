"""The pictures of a report: what they count, what they leave out, and that they are SVG."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from ckptviewer.analysis import comparison_pictures, comparison_svg
from ckptviewer.analysis.comparison_pictures import difference_map, pair_histograms
from ckptviewer.analysis.difference import EXACT, Difference
from ckptviewer.analysis.side_by_side import Sides, measure
from ckptviewer.checkpoint.progress import CancelToken
from tests.analysis.memory_checkpoint import MemoryCheckpoint

RNG = np.random.default_rng(2)


def sides_of(a: np.ndarray, b: np.ndarray) -> tuple[Sides, Difference]:
    one, other = MemoryCheckpoint({"v": a}), MemoryCheckpoint({"v": b})
    sides = Sides(
        a=one,
        b=other,
        variable_a=one["v"],
        variable_b=other["v"],
        tolerance=EXACT,
        cancel=CancelToken(),
    )
    difference = measure(sides).difference
    assert difference is not None
    return sides, difference


def test_histograms_count_every_value_once() -> None:
    a = RNG.normal(size=(300, 70)).astype(np.float32)
    b = a + RNG.normal(0, 0.1, a.shape).astype(np.float32)
    found = pair_histograms(*sides_of(a, b))
    assert found is not None
    assert not found.sampled
    inner = slice(1, -1)
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    for counts, values, edges in (
        (found.counts_a, wide_a, found.edges),
        (found.counts_b, wide_b, found.edges),
        (found.difference_counts, wide_b - wide_a, found.difference_edges),
    ):
        assert counts.sum() == values.size
        moved = np.abs(counts[inner] - np.histogram(values, edges)[0][inner])
        assert moved.sum() <= 2  # a value on an edge may fall to either side
    for picture in (comparison_svg.overlaid(found), comparison_svg.of_difference(found)):
        ElementTree.fromstring(picture)


def test_a_large_one_is_sampled_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison_pictures, "READ_ALL_ELEMENTS", 10_000)
    monkeypatch.setattr(comparison_pictures, "_BOX_ELEMENTS", 1000)
    monkeypatch.setattr(comparison_pictures, "_BOXES", 10)
    a = RNG.normal(size=(100, 1000))
    sides, difference = sides_of(a, a + 1)
    found = pair_histograms(sides, difference)
    assert found is not None
    assert (found.seen, found.total, found.sampled) == (10_000, 100_000, True)
    assert difference_map(sides) is None


def test_the_map_shows_where() -> None:
    a = RNG.normal(size=(80, 120))
    b = a.copy()
    b[41, 7] += 3
    b[79, 119] = np.nan
    a[0, 0] = b[0, 0] = np.nan
    sides, _ = sides_of(a, b)
    cells = difference_map(sides)
    assert cells is not None
    assert cells.shape == (40, 40)
    assert cells[20, 2] == pytest.approx(3)
    assert np.isinf(cells[39, 39])
    assert np.count_nonzero(cells) == 2
    drawn = ElementTree.fromstring(comparison_svg.heat_map(cells))
    assert len(drawn) == 2 + 2  # a title, the paper, and two cells


def test_what_has_no_numbers_has_no_pictures() -> None:
    nothing = np.full((4, 4), np.nan)
    sides, difference = sides_of(nothing, nothing.copy())
    assert pair_histograms(sides, difference) is None
    strings = np.array([b"a", b"b"], object)
    sides, difference = sides_of(strings, strings.copy())
    assert pair_histograms(sides, difference) is None
    assert difference_map(sides) is None
