"""Histograms from fine buckets against np.histogram, up to their stated resolution."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ckptviewer.analysis.histogram import Buckets, Histogram, Scheme
from ckptviewer.analysis.statistics import (
    exact_histogram,
    histogram_of,
    needs_reading,
    statistics_of,
    statistics_of_array,
)
from tests.analysis.memory_checkpoint import one

RNG = np.random.default_rng(11)
NORMAL = RNG.normal(size=50_000)
CASES = {
    "normal": NORMAL.astype(np.float32),
    "float64": NORMAL,
    "huge": NORMAL * 1e300,
    "denormal": (NORMAL * 1e-40).astype(np.float32),
    "positive": RNG.exponential(size=50_000).astype(np.float32),
    "negative": -RNG.exponential(size=50_000),
    "many zeros": np.maximum(NORMAL, 0).astype(np.float32),
    "with NaN": np.where(NORMAL > 1, np.nan, NORMAL),
    "gammas around 1": (1 + 0.001 * NORMAL).astype(np.float32),
    "float16": NORMAL.astype(np.float16),
    "bfloat16": NORMAL.astype(ml_dtypes.bfloat16),
    "integers": RNG.integers(-(10**9), 10**9, 50_000),
    "few integers": RNG.integers(-7, 9, 50_000),
    "bool": NORMAL > 0,
    "short": NORMAL[:90],
    "complex": (NORMAL + 1j).astype(np.complex64),
}


def finite(values: np.ndarray) -> np.ndarray:
    wide = np.abs(values.astype(np.complex128)) if values.dtype.kind == "c" else values
    wide = wide.astype(np.float64)
    return wide[np.isfinite(wide)]


def assert_agrees(found: Histogram, values: np.ndarray) -> None:
    """Each cumulated count differs by no more than the values within the resolution of its edge."""
    wanted = np.histogram(values, found.edges)[0]
    below, true = np.cumsum(found.counts), np.cumsum(wanted)
    for edge, one_, other in zip(found.edges[1:], below, true, strict=True):
        room = found.resolution * (1 + 1e-9)
        near = np.count_nonzero((np.abs(values - edge) <= room) | (values == edge))
        near += np.count_nonzero(np.abs(values - found.edges[0]) <= room)
        assert abs(int(one_) - int(other)) <= (near if found.resolution else 0), edge


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("bins", [1, 10, 64])
def test_it_counts_what_numpy_counts(case: str, bins: int) -> None:
    values = finite(CASES[case])
    found = statistics_of_array(CASES[case]).buckets.rebin(bins)
    assert found.edges[0] == values.min()
    assert found.edges[-1] == values.max()
    assert found.total == values.size
    assert_agrees(found, values)


@pytest.mark.parametrize("case", CASES)
def test_a_range_of_ones_own(case: str) -> None:
    values = finite(CASES[case])
    lo, hi = np.quantile(values, [0.2, 0.7])
    if lo == hi:
        lo, hi = -0.5, 0.5
    found = statistics_of_array(CASES[case]).buckets.rebin(16, float(lo), float(hi))
    assert (found.edges[0], found.edges[-1]) == (lo, hi)
    assert_agrees(found, values)


@pytest.mark.parametrize("case", CASES)
def test_logarithmic_bins_hold_all_magnitudes_but_zero(case: str) -> None:
    values = np.abs(finite(CASES[case]))
    values = values[values > 0]
    found = statistics_of_array(CASES[case]).buckets.rebin(20, scale="log")
    assert found.total == values.size
    assert found.scale == "log"
    ratios = found.edges[1:] / found.edges[:-1]
    if case != "denormal":
        assert ratios == pytest.approx(ratios[0], rel=1e-6)
    assert_agrees(found, values)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_read_again_it_is_exact(case: str, scale: str) -> None:
    checkpoint, variable = one(CASES[case], chunk_elements=777)
    edges = statistics_of(checkpoint, variable).buckets.edges(37, scale=scale)
    found = exact_histogram(checkpoint, variable, edges, scale=scale)
    values = finite(CASES[case])
    if scale == "log":
        values = np.abs(values[values != 0])
    assert found.exact
    assert found.counts.tolist() == np.histogram(values, edges)[0].tolist()


def test_blurred_bins_are_read_again_and_sharp_ones_are_not() -> None:
    for case, again in (("gammas around 1", True), ("normal", False), ("float16", False)):
        values = np.tile(CASES[case], 12)
        checkpoint, variable = one(values)
        statistics = statistics_of(checkpoint, variable)
        before = len(checkpoint.reads)
        found = histogram_of(checkpoint, variable, statistics)
        assert (len(checkpoint.reads) > before) == again
        assert_agrees(found, finite(values))
        assert not needs_reading(found)


def test_small_variables_are_always_counted_exactly() -> None:
    checkpoint, variable = one(CASES["normal"])
    found = histogram_of(checkpoint, variable, statistics_of(checkpoint, variable), bins=10)
    assert found.exact


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.float16, np.int64, np.int8]),
        st.integers(0, 40),
    ).map(lambda values: np.tile(values, 20)),
    st.integers(1, 40),
    st.sampled_from(["linear", "log"]),
)
@example(np.full(300, 1.7976931348623157e308), 64, "linear")
@example(np.full(300, -1.7976931348623157e308), 64, "linear")
@example(np.full(300, 1.7976931348623157e308), 64, "log")
@example(np.full(300, 5e-324), 64, "log")
@example(np.resize([1.7976931348623157e308, -1.7976931348623157e308], 300), 64, "linear")
def test_nothing_is_lost_whatever_the_numbers(values: np.ndarray, bins: int, scale: str) -> None:
    found = statistics_of_array(values).buckets.rebin(bins, scale=scale)
    kept = values[np.isfinite(values)]
    if scale == "log":
        kept = kept[kept != 0]
    assert found.total == kept.size
    assert (found.counts >= 0).all()
    assert (found.edges[1:] >= found.edges[:-1]).all()


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int64]),
        st.integers(1, 40),
        elements={"allow_nan": False, "allow_infinity": False},
    )
    .map(lambda values: np.tile(values, 20))
    .filter(lambda values: np.abs(values.astype(np.float64)).max() < 1e300),
    st.floats(0, 1),
)
def test_quantiles_are_within_their_bound(values: np.ndarray, fraction: float) -> None:
    found = statistics_of_array(values).quantile(fraction)
    assert found is not None
    wide = values.astype(np.float64)
    true = float(np.quantile(wide, fraction))
    assert abs(found.value - true) <= found.error * (1 + 1e-9) + 1e-12 * np.abs(wide).max()


@pytest.mark.parametrize("case", ["normal", "float64", "gammas around 1", "integers"])
def test_the_bound_of_a_quantile_is_below_one_percent(case: str) -> None:
    for fraction in (0.01, 0.25, 0.9):
        found = statistics_of_array(CASES[case]).quantile(fraction)
        assert found is not None
        assert found.error <= 0.008 * abs(found.value)


def test_the_bounds_of_buckets_hold_their_numbers() -> None:
    for case in ("normal", "float64", "denormal", "huge"):
        values = finite(CASES[case])
        buckets = statistics_of_array(CASES[case]).buckets
        lower, upper = buckets.bounds
        assert (lower[1:] >= upper[:-1]).all()
        at = np.searchsorted(upper, values)
        assert (lower[at] <= values).all()
        counts = np.zeros(len(lower), int)
        np.add.at(counts, at, 1)
        edge = np.isin(values, upper)  # a number on a bound may be counted on either side
        assert np.abs(counts - buckets.counts).sum() <= 2 * edge.sum()


def test_schemes_mix_in_the_coarser_one() -> None:
    values = CASES["normal"]
    short = statistics_of_array(values[:100]).buckets
    rest = statistics_of_array(values[100:]).buckets
    assert (short.scheme, rest.scheme) == (Scheme.POINTS, Scheme.FLOAT32)
    for merged in (short.merge(rest), rest.merge(short)):
        assert merged.scheme is Scheme.FLOAT32
        whole = statistics_of_array(values).buckets
        assert merged.ranks.tolist() == whole.ranks.tolist()
        assert merged.counts.tolist() == whole.counts.tolist()


def test_nothing_gives_an_empty_histogram() -> None:
    for scale in ("linear", "log"):
        found = Buckets.empty().rebin(5, scale=scale)
        assert found.counts.tolist() == [0] * 5
        assert found.exact
    assert Buckets.empty().quantile(0.5) is None


@pytest.mark.parametrize("value", [0.0, 1.0, -3e20, 5e-324, 1.7e308])
def test_one_number_alone_has_room_around_it(value: float) -> None:
    found = statistics_of_array(np.full(300, value)).buckets.rebin(8)
    assert found.total == 300
    assert found.edges[0] < value < found.edges[-1] or value == 1.7e308
