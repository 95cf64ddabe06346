"""The numbers of a difference against NumPy and SciPy in float64, with both kinds of loops."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ckptviewer.analysis import (
    difference_kernel,
    difference_numpy,
)
from ckptviewer.analysis.difference import EXACT, Difference, Tolerance
from ckptviewer.analysis.difference_sums import PairSums
from tests.analysis import kernels

RNG = np.random.default_rng(11)


@pytest.fixture(params=["numpy", "compiled"])
def _loops(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    kernels.use(request.param, monkeypatch, pytestconfig, difference_kernel)


def difference_of(
    a: np.ndarray, b: np.ndarray, tolerance: Tolerance = EXACT, step: int = 0
) -> Difference:
    sums = PairSums()
    step = step or max(1, a.size)
    for start in range(0, a.size, step):
        part = PairSums()
        place = slice(start, start + step)
        difference_kernel.add(a[place], b[place], part, tolerance)
        sums.merge(part)
    return sums.result(tolerance)


def assert_right(
    found: Difference, a: np.ndarray, b: np.ndarray, tolerance: Tolerance = EXACT
) -> None:
    """Every number is what NumPy and SciPy say in float64 of what is finite."""
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    finite_a, finite_b = np.isfinite(wide_a), np.isfinite(wide_b)
    both = finite_a & finite_b
    x, y = wide_a[both], wide_b[both]
    d = y - x
    with np.errstate(invalid="ignore"):
        same_others = (np.isnan(wide_a) & np.isnan(wide_b)) | (wide_a == wide_b)
    others = int((~both & ~same_others).sum())
    assert found.count == a.size
    assert found.nonfinite_unequal == others
    assert (found.nan_a, found.nan_b) == (np.isnan(wide_a).sum(), np.isnan(wide_b).sum())
    assert (found.inf_a, found.inf_b) == (np.isinf(wide_a).sum(), np.isinf(wide_b).sum())
    assert found.beyond == others + (abs(d) > tolerance.atol + tolerance.rtol * abs(x)).sum()
    assert found.sign_flips == ((x > 0) & (y < 0)).sum() + ((x < 0) & (y > 0)).sum()
    if a.dtype == b.dtype:
        bits = f"u{a.dtype.itemsize}"
        assert found.unequal == (a.view(bits) != b.view(bits)).sum()
    else:
        assert found.unequal == others + (x != y).sum()
    if not x.size:
        assert found.max_abs is found.rmse is found.cosine is None
        return
    norms = np.linalg.norm(x), np.linalg.norm(y)
    assert found.max_abs == abs(d).max()
    assert found.mean_abs == pytest.approx(abs(d).mean(), rel=1e-12)
    assert found.rmse == pytest.approx(np.sqrt((d * d).mean()), rel=1e-12)
    if norms[0]:
        assert found.relative_l2 == pytest.approx(np.linalg.norm(d) / norms[0], rel=1e-12)
    if all(norms):
        assert found.cosine == pytest.approx(np.dot(x, y) / norms[0] / norms[1], abs=1e-12)
    p, q = wide_a[finite_a], wide_b[finite_b]
    scale = max(abs(p).max(), abs(q).max())
    for name, function, accuracy in (
        ("mean", np.mean, 1e-13),
        ("std", np.std, 1e-13),
    ):
        told = getattr(found, f"{name}_difference")
        assert told == pytest.approx(function(q) - function(p), abs=accuracy * scale + 1e-300)
        assert getattr(found, f"{name}_a") == pytest.approx(function(p), abs=accuracy * scale)
        assert getattr(found, f"{name}_b") == pytest.approx(function(q), abs=accuracy * scale)
    if min(p.std(), q.std()) > 1e-6 * scale:
        skewness = scipy.stats.skew(q) - scipy.stats.skew(p)
        kurtosis = scipy.stats.kurtosis(q) - scipy.stats.kurtosis(p)
        assert found.skewness_difference == pytest.approx(skewness, abs=1e-6)
        assert found.kurtosis_difference == pytest.approx(kurtosis, abs=1e-6)


def fine_tuned(size: int) -> tuple[np.ndarray, np.ndarray]:
    a = RNG.normal(0.01, 0.05, size).astype(np.float32)
    return a, a + RNG.normal(0, 1e-3, size).astype(np.float32)


@pytest.mark.usefixtures("_loops")
@pytest.mark.parametrize("size", [1, 7, 4096, 5000, 200_003])
@pytest.mark.parametrize("tolerance", [EXACT, Tolerance(1e-4, 1e-2)])
def test_float32(size: int, tolerance: Tolerance) -> None:
    a, b = fine_tuned(size)
    assert_right(difference_of(a, b, tolerance), a, b, tolerance)
    assert_right(difference_of(a, b, tolerance, step=65536), a, b, tolerance)


@pytest.mark.usefixtures("_loops")
def test_equal_values_have_no_difference() -> None:
    a, _ = fine_tuned(70_000)
    found = difference_of(a, a.copy())
    assert found.equal
    assert (found.max_abs, found.relative_l2, found.cosine) == (0, 0, 1)
    assert (found.mean_difference, found.std_difference, found.kurtosis_difference) == (0, 0, 0)
    assert_right(found, a, a)


@pytest.mark.usefixtures("_loops")
def test_nan_and_infinities_are_counted_and_left_out() -> None:
    a, b = fine_tuned(100_000)
    a[[5, 60_000]] = np.nan
    b[[5, 7]] = np.nan, np.inf
    a[[99, 100, 101]] = b[[99, 100]] = np.inf
    a[100], b[101] = -np.inf, -np.inf
    found = difference_of(a, b)
    assert_right(found, a, b)
    assert found.nonfinite_unequal == 4
    all_nan = np.full(5000, np.nan, np.float32)
    assert_right(difference_of(all_nan, all_nan), all_nan, all_nan)


@pytest.mark.usefixtures("_loops")
def test_zeros_of_other_sign_and_payloads_are_unequal_and_not_beyond() -> None:
    a = np.array([0.0, 1.0, -0.0, np.nan], np.float32)
    b = np.array([-0.0, 1.0, -0.0, np.nan], np.float32)
    b.view(np.uint32)[3] ^= 1
    found = difference_of(a, b)
    assert (found.unequal, found.beyond, found.sign_flips) == (2, 0, 0)
    assert not found.within
    assert difference_of(a, b, Tolerance(atol=1e-30)).within


@pytest.mark.usefixtures("_loops")
@pytest.mark.parametrize("wide", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("narrow", ["bfloat16", "float16", "float8_e4m3fn", "float8_e5m2"])
def test_other_dtypes_are_compared_in_the_wider_one(narrow: str, wide: str) -> None:
    a = RNG.normal(size=9000).astype(np.dtype(wide))
    b = a.astype(np.float32).astype(getattr(ml_dtypes, narrow, narrow))
    found = difference_of(a, b)
    assert_right(found, a, b)
    assert_right(difference_of(b, a), b, a)
    c = b.copy()
    c[17] = -1.5
    assert_right(difference_of(b, c), b, c)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint32", "int32", "bool"])
def test_integers(dtype: str) -> None:
    a = RNG.integers(0, 100, 3000).astype(dtype)
    b = RNG.integers(0, 100, 3000).astype(dtype)
    assert_right(difference_of(a, b), a, b)
    assert_right(difference_of(a, b.astype(np.float32)), a, b.astype(np.float32))


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_large_integers_keep_their_differences(dtype: type) -> None:
    a = np.array([2**60, 2**60, 5], dtype)
    b = np.array([2**60 + 1, 2**60 - 2, 5], dtype)
    found = difference_of(a, b)
    assert (found.max_abs, found.unequal, found.beyond) == (2, 2, 2)
    assert found.mean_difference == pytest.approx(-1 / 3)
    small = difference_of(a, b.astype(np.int64), Tolerance(atol=1)) if dtype is np.int64 else None
    assert small is None or small.beyond == 1


def test_extremes_of_int64() -> None:
    a, b = np.array([-(2**63), 2**63 - 1]), np.array([2**63 - 1, -(2**63)])
    found = difference_of(a, b)
    assert found.max_abs == 2.0**64
    assert found.sign_flips == 2


def test_complex_numbers_differ_by_their_distance() -> None:
    a = RNG.normal(size=500) + 1j * RNG.normal(size=500)
    b = a + 0.01 * (RNG.normal(size=500) + 1j * RNG.normal(size=500))
    b[3] = complex(np.nan, 0)
    found = difference_of(a.astype(np.complex64), b.astype(np.complex64))
    x, y = (np.delete(each.astype(np.complex64).astype(np.complex128), 3) for each in (a, b))
    assert found.max_abs == pytest.approx(abs(y - x).max(), rel=1e-12)
    assert found.relative_l2 == pytest.approx(np.linalg.norm(y - x) / np.linalg.norm(x))
    assert found.cosine == pytest.approx(np.vdot(x, y).real / np.linalg.norm(x) / np.linalg.norm(y))
    magnitudes = np.abs(a.astype(np.complex64).astype(np.complex128))
    assert found.mean_difference == pytest.approx(abs(y).mean() - magnitudes.mean())
    assert (found.nan_b, found.nonfinite_unequal, found.sign_flips) == (1, 1, None)


def test_numbers_far_from_zero_keep_their_spread() -> None:
    a = 1e9 + RNG.normal(size=70_000)
    a[0] = 0.0  # a first value that is far from all others must not cost digits
    b = a + 1e-3
    assert_right(difference_of(a, b), a, b)


@pytest.mark.parametrize("scale", [1e300, 1e150, 1e-170, 1e-300])
def test_numbers_whose_squares_leave_float64_are_not_told_wrong(scale: float) -> None:
    a = scale * RNG.normal(size=5000)
    b = 1.5 * a
    found = difference_of(a, b)
    assert found.unequal == found.beyond == 5000
    assert found.max_abs == np.abs(b - a).max()
    assert found.mean_abs == pytest.approx(np.abs(b - a).mean())
    for number, wanted in (
        (found.relative_l2, 0.5), (found.cosine, 1.0), (found.skewness_difference, 0.0)
    ):  # fmt: skip
        assert number is None or number == pytest.approx(wanted, abs=1e-6)


def test_strings_are_counted() -> None:
    sums = PairSums()
    difference_numpy.add_strings(
        np.array([b"a", b"bc", b""], object), np.array([b"a", b"b", b""], object), sums
    )
    found = sums.result(EXACT)
    assert (found.count, found.unequal, found.max_abs, found.sign_flips) == (3, 1, None, None)


def test_nothing_compared_has_no_numbers() -> None:
    found = PairSums().result(EXACT)
    assert found.equal
    assert found.beyond_share == 0
    assert found.max_abs is found.mean_difference is None


@settings(max_examples=40)
@given(
    arrays.arrays(np.float32, 300, elements=st.floats(width=32)),
    arrays.arrays(np.float32, 300, elements=st.floats(width=32)),
)
def test_any_float32(a: np.ndarray, b: np.ndarray) -> None:
    found = difference_of(a, b)
    bits = np.uint32
    assert found.unequal == (a.view(bits) != b.view(bits)).sum()
    with np.errstate(all="ignore"):
        wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
        same = (wide_a == wide_b) | (np.isnan(wide_a) & np.isnan(wide_b))
        both = np.isfinite(wide_a) & np.isfinite(wide_b)
    assert found.beyond == (~same).sum()
    if both.any():
        assert found.max_abs == abs(wide_b[both] - wide_a[both]).max()


@pytest.mark.parametrize("number", [-1.0, np.nan, np.inf])
def test_a_tolerance_is_finite_and_not_negative(number: float) -> None:
    with pytest.raises(ValueError, match="tolerance"):
        Tolerance(atol=number)


def test_compiled_loops_refuse_what_is_not_in_pairs(
    monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    kernels.use("compiled", monkeypatch, pytestconfig, difference_kernel)
    loops = difference_kernel._choice.compiled_for(1)
    assert loops is not None
    with pytest.raises(ValueError, match="20000 values beside 100"):
        loops.add(np.ones(20_000, np.float32), np.ones(100, np.float32), PairSums(), EXACT)
