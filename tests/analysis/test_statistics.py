"""Statistics against NumPy and SciPy in float64 and beyond, on easy and on hard cases."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ckptviewer.analysis import statistics
from ckptviewer.analysis.chunks import SEGMENT_ELEMENTS
from ckptviewer.analysis.remembered import decode, encode
from ckptviewer.analysis.statistics import (
    Statistics,
    part_regions,
    statistics_of,
    statistics_of_array,
    statistics_of_part,
)
from ckptviewer.checkpoint.errors import (
    Cancelled,
    ChecksumError,
    DamagedFileError,
    OpaqueVariableError,
)
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.resolve import open_checkpoint
from tests.analysis import kernels
from tests.analysis.memory_checkpoint import MemoryCheckpoint, one
from tests.builders import data_file, save

COUNT = 3 * SEGMENT_ELEMENTS + 4321
RNG = np.random.default_rng(7)
NORMAL = RNG.normal(size=COUNT)


def _with_holes() -> np.ndarray:
    values = NORMAL.astype(np.float32)
    values[::7] = np.nan
    values[1::11] = np.inf
    values[2::13] = -np.inf
    values[3::5] = 0
    values[4::17] = -0.0
    return values


CASES = {
    "normal": NORMAL.astype(np.float32),
    "large mean, tiny deviation": (1e4 + 1e-2 * NORMAL).astype(np.float32),
    "float64, large mean, tiny deviation": 1e9 + 1e-6 * NORMAL,
    "denormals": (NORMAL * 1e-40).astype(np.float32),
    "float64 denormals": NORMAL * 1e-310,
    "float64, huge": NORMAL * 1e300,
    "float64, tiny": NORMAL * 1e-200,
    "heavy tails": RNG.standard_cauchy(COUNT).astype(np.float32),
    "skewed": RNG.exponential(size=COUNT).astype(np.float32),
    "rectified": np.maximum(NORMAL, 0).astype(np.float32),
    "NaN, infinities, zeros of both signs": _with_holes(),
    "all NaN": np.full(COUNT, np.nan, np.float32),
    "all infinite": np.full(1000, -np.inf),
    "one value": np.array([3.5], np.float32),
    "one value many times": np.full(COUNT, 0.1, np.float32),
    "zeros": np.zeros(COUNT, np.float32),
    "two values": np.where(NORMAL > 0, 1.0, 1.0 + 2.0**-52),
    "empty": np.empty((0, 3), np.float32),
    "scalar": np.float64(2.0).reshape(()),
    "short": NORMAL[:100].astype(np.float32),
    "outlier first": np.concatenate(([1e30], NORMAL[:200_000])).astype(np.float32),
    "float16": NORMAL.astype(np.float16),
    "bfloat16": NORMAL.astype(ml_dtypes.bfloat16),
    "float16 with holes": _with_holes().astype(np.float16),
    "bool": NORMAL > 0.3,
    "int8": RNG.integers(-128, 128, COUNT).astype(np.int8),
    "uint8, odd count": RNG.integers(0, 256, 4321).astype(np.uint8),
    "int16": RNG.integers(-(2**15), 2**15, COUNT).astype(np.int16),
    "int32": RNG.integers(-(2**31), 2**31, COUNT).astype(np.int32),
    "int64, few different": RNG.integers(-5, 1000, COUNT),
    "int64, full range": RNG.integers(-(2**63), 2**63 - 1, COUNT, dtype=np.int64),
    "int64, many, beyond 2**53": 2**60 + RNG.integers(0, 10**6, COUNT),
    "int64, few, beyond 2**53": 2**60 + RNG.integers(0, 9, COUNT),
    "uint64": RNG.integers(0, 2**64 - 1, COUNT, dtype=np.uint64),
} | {
    f"{name}": NORMAL[:5000].astype(getattr(ml_dtypes, name))
    for name in (
        "float8_e4m3fn",
        "float8_e5m2",
        "float8_e4m3fnuz",
        "float4_e2m1fn",
        "int4",
        "uint2",
    )
}


@pytest.fixture(params=["numpy", "compiled"])
def loops(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> str:
    """Each kind of inner loops in turn."""
    kernels.use(request.param, monkeypatch, pytestconfig)
    return request.param


def near(found: float | None, wanted: float | None, rel: float, abs_: float = 1e-9) -> bool:
    """Whether both are None, or numbers that near each other."""
    if found is None or wanted is None:
        return found is wanted
    return found == pytest.approx(wanted, rel=rel, abs=abs_)


def exact_moments(values: np.ndarray) -> tuple[float, float, float | None, float | None]:
    """Mean, deviation, skewness and kurtosis in extended precision, differences taken exactly."""
    if values.dtype.kind in "iu":
        pivot = int(values.min())
        wide = np.array([int(value) - pivot for value in values.reshape(-1)], np.longdouble)
    else:
        wide = values.astype(np.float64).reshape(-1).astype(np.longdouble)
        pivot = float(wide[0])
        wide = wide - np.longdouble(pivot)
    shift = wide.mean()
    d = wide - shift
    variance = (d * d).mean()
    mean, std = float(pivot + shift), float(np.sqrt(variance))
    if not variance:
        return mean, std, None, None
    skewness, kurtosis = (d**3).mean() / variance**1.5, (d**4).mean() / variance**2 - 3
    return mean, std, float(skewness), float(kurtosis)


@pytest.mark.parametrize("case", CASES)
def test_everything_is_right(case: str, loops: str) -> None:
    values = CASES[case]
    found = statistics_of(*one(values))
    wide = values.astype(np.float64).reshape(-1)
    kept = values.reshape(-1)[np.isfinite(wide)]
    finite = wide[np.isfinite(wide)]
    assert found.count == values.size
    assert found.nan == np.isnan(wide).sum()
    assert (found.pos_inf, found.neg_inf) == ((wide == np.inf).sum(), (wide == -np.inf).sum())
    assert found.zero == (wide == 0).sum()
    assert found.finite == finite.size
    assert not found.sampled
    if not finite.size:
        nothing = (found.min, found.max, found.mean, found.std, found.skewness, found.kurtosis)
        assert nothing == (None,) * 6
        assert found.l2_norm == 0
        return
    assert found.min == kept.min()
    assert found.max == kept.max()
    if values.dtype.kind in "iu":
        assert isinstance(found.min, int)
        assert isinstance(found.max, int)
    mean, std, skewness, kurtosis = exact_moments(kept)
    scale = float(np.abs(finite).max())
    assert found.mean == pytest.approx(mean, rel=1e-9, abs=1e-15 * scale)
    assert found.std == pytest.approx(std, rel=1e-9, abs=0)
    assert near(found.skewness, skewness, 1e-6)
    assert near(found.kurtosis, kurtosis, 1e-6)
    extended = finite.astype(np.longdouble)
    assert found.l1_norm == pytest.approx(float(np.abs(extended).sum()), rel=1e-12)
    assert found.l2_norm == pytest.approx(float(np.sqrt((extended * extended).sum())), rel=1e-12)


@pytest.mark.parametrize("case", ["normal", "skewed", "heavy tails", "float16", "int32"])
def test_moments_are_those_of_scipy(case: str, loops: str) -> None:
    values = CASES[case].astype(np.float64)
    found = statistics_of(*one(CASES[case]))
    assert found.mean == pytest.approx(values.mean(), rel=1e-6)
    assert found.std == pytest.approx(values.std(), rel=1e-6)
    assert found.skewness == pytest.approx(scipy.stats.skew(values), rel=1e-4, abs=1e-6)
    assert found.kurtosis == pytest.approx(scipy.stats.kurtosis(values), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("dtype", "tiny"),
    [
        (np.float32, 2.0**-126),
        (np.float64, 2.0**-1022),
        (np.float16, 2.0**-14),
        (ml_dtypes.bfloat16, 2.0**-126),
        (ml_dtypes.float8_e5m2, 2.0**-14),
    ],
)
@pytest.mark.parametrize("count", [12, 30_000])
def test_denormals_are_counted(dtype: type, tiny: float, count: int, loops: str) -> None:
    pattern = np.array([tiny, -tiny, tiny / 2, -tiny / 2, 0.0, -0.0])
    values = np.resize(pattern, count).astype(dtype)
    found = statistics_of(*one(values))
    assert found.denormal == count // 3
    assert found.zero == count // 3


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("cut", [1013, SEGMENT_ELEMENTS, SEGMENT_ELEMENTS + 1])
def test_how_the_reader_cuts_it_changes_no_bit(case: str, cut: int, loops: str) -> None:
    values = CASES[case]
    whole = statistics_of(*one(values, chunk_elements=max(1, values.size)))
    pieces = statistics_of(*one(values, chunk_elements=cut))
    assert encode(pieces) == encode(whole)


@pytest.mark.parametrize("case", ["normal", "float64, huge", "bfloat16", "int64, full range"])
def test_parts_put_together_are_the_whole(
    case: str, loops: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "PART_ELEMENTS", 50_000)
    values = CASES[case][:200_000].reshape(8, 5, 5000)
    checkpoint, variable = one(values)
    regions = part_regions(variable)
    assert len(regions) > 3
    total = Statistics()
    for region in regions:
        total = total.merge(statistics_of_part(checkpoint, variable, region))
    assert encode(total) == encode(statistics_of(checkpoint, variable))


@pytest.mark.parametrize("case", CASES)
def test_merging_agrees_with_one_pass(case: str, loops: str) -> None:
    values = CASES[case].reshape(-1)
    marks = [0, *sorted(np.random.default_rng(3).integers(0, values.size + 1, 4)), values.size]
    pieces = [statistics_of_array(values[a:b]) for a, b in itertools.pairwise(marks)]
    merged = Statistics()
    for piece in reversed(pieces):
        merged = piece.merge(merged)
    whole = statistics_of_array(values)
    for field in ("count", "nan", "pos_inf", "neg_inf", "zero", "denormal", "min", "max"):
        assert getattr(merged, field) == getattr(whole, field)
    assert merged.buckets.total == whole.buckets.total
    if whole.finite:
        assert merged.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-15 * whole.l1_norm)
        assert merged.std == pytest.approx(whole.std, rel=1e-9)
        assert near(merged.skewness, whole.skewness, 1e-6)
        assert near(merged.kurtosis, whole.kurtosis, 1e-6)


@settings(max_examples=150, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.float16, np.int64, np.uint8]),
        st.integers(0, 600),
    )
)
def test_whatever_the_numbers_counts_and_extremes_are_exact(values: np.ndarray) -> None:
    found = statistics_of_array(values)
    finite = values[np.isfinite(values)]
    assert found.count == values.size
    assert found.nan + found.inf + finite.size == values.size
    assert found.zero == (values == 0).sum()
    assert found.buckets.total == finite.size
    if finite.size:
        assert (found.min, found.max) == (finite.min(), finite.max())
        assert found.mean is not None
        room = 1e-12 * max(abs(float(found.min)), abs(float(found.max)))
        assert found.min - room <= found.mean <= found.max + room
        assert found.std is not None
        assert 0 <= found.std <= (float(found.max) - float(found.min)) * (1 + 1e-9)


def test_complex_numbers_count_by_their_magnitude() -> None:
    values = (NORMAL[:2000] + 1j * NORMAL[2000:4000]).astype(np.complex64)
    values[0] = complex(np.nan, 1)
    values[1] = complex(np.nan, np.inf)
    values[2] = 0
    found = statistics_of(*one(values))
    magnitudes = np.abs(values.astype(np.complex128))[3:]
    assert (found.nan, found.inf, found.zero) == (1, 1, 1)
    assert found.max == pytest.approx(magnitudes.max(), rel=1e-12)
    assert found.l2_norm == pytest.approx(np.linalg.norm(magnitudes), rel=1e-12)
    assert found.mean == pytest.approx(magnitudes.sum() / 1998, rel=1e-12)


def test_strings_tell_their_lengths_and_how_many_differ() -> None:
    values = np.array([b"", b"abc", b"abc", b"longer one"], object)
    found = statistics_of(*one(values))
    assert (found.count, found.distinct, found.min) == (4, 3, None)
    assert found.l2_norm is None
    assert found.lengths is not None
    assert (found.lengths.min, found.lengths.max, found.lengths.mean) == (0, 10, 4.0)


@pytest.mark.parametrize(
    ("values", "distinct"),
    [
        (np.array([True, False, True]), 2),
        (np.arange(10_000) % 97, 97),
        (np.arange(10_000), None),
        (np.arange(300, dtype=np.uint8), 256),
        (np.zeros(5000), 1),
        (NORMAL[:5000], None),
    ],
)
def test_distinct_values_are_told_where_they_are_few(
    values: np.ndarray, distinct: int | None
) -> None:
    assert statistics_of(*one(values)).distinct == distinct


def test_a_constant_is_known_as_one() -> None:
    assert statistics_of(*one(np.full(100, 0.1))).constant
    assert not statistics_of(*one(np.array([0.1, np.nan]))).constant
    assert not statistics_of(*one(np.empty(0))).constant


@pytest.mark.parametrize("case", CASES)
def test_statistics_survive_as_bytes(case: str) -> None:
    found = statistics_of(*one(CASES[case]))
    data = encode(found, "mark")
    back = decode(data, "mark")
    assert back is not None
    assert encode(back, "mark") == data
    assert (back.min, back.max, back.mean) == (found.min, found.max, found.mean)
    assert back.quantile(0.3) == found.quantile(0.3)
    assert decode(data, "another mark") is None


@pytest.mark.parametrize("damage", [b"", b"rubbish", encode(Statistics(), "m")[:-9]])
def test_bytes_that_are_no_statistics_give_none(damage: bytes) -> None:
    assert decode(damage, "m") is None


def test_lengths_of_strings_survive_as_bytes() -> None:
    found = statistics_of(*one(np.array([b"ab", b"c"], object)))
    back = decode(encode(found))
    assert back is not None
    assert back.lengths is not None
    assert (back.distinct, back.lengths.max) == (2, 2)


def test_cancelling_stops_the_reading() -> None:
    checkpoint, variable = one(NORMAL, chunk_elements=1000)
    token = CancelToken()
    seen: list[Progress] = []

    def report(progress: Progress) -> None:
        seen.append(progress)
        token.cancel()

    with pytest.raises(Cancelled):
        statistics_of(checkpoint, variable, cancel=token, progress=report)
    assert [progress.done for progress in seen] == [8000]
    assert seen[0].total == NORMAL.nbytes


def test_what_cannot_be_read_raises_what_the_reader_says() -> None:
    error = DamagedFileError("its bytes are gone", where="x")
    checkpoint = MemoryCheckpoint({"x": NORMAL}, damaged={"x": error})
    with pytest.raises(DamagedFileError, match="gone"):
        statistics_of(checkpoint, checkpoint["x"])
    variant = Variable(key="it", name="it", dtype="variant", shape=(), stored_bytes=9)
    with pytest.raises(OpaqueVariableError):
        statistics_of(checkpoint, variant)


def test_norms_that_leave_float64_are_infinite_and_never_raise() -> None:
    found = statistics_of(*one(np.full(1000, 1.7e308) * np.resize([1, -1], 1000)))
    assert found.l1_norm == math.inf
    assert found.std == pytest.approx(1.7e308)


def test_a_shape_beyond_all_bounds_ends_as_soon_as_the_values_do() -> None:
    checkpoint, variable = one(np.ones(5, np.float32))
    absurd = variable._replace(shape=(1 << 40, 1 << 20))
    assert statistics_of(checkpoint, absurd).count == 5


@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("size", [257, 4096, 70_003, 1_100_001])
def test_damage_is_noticed_on_the_way(size: int, tmp_path: Path) -> None:
    values = RNG.normal(size=size).astype(np.float32)
    values[5] = np.nan
    prefix = save(tmp_path / "model", {"w": values})
    with open_checkpoint(prefix) as checkpoint:
        sound = statistics_of(checkpoint, checkpoint["w"])
    assert encode(sound) == encode(statistics_of_array(values))
    data = data_file(prefix)
    content = data.read_bytes()
    for place in (0, 4 * size - 1, 2 * size + 1):
        data.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with open_checkpoint(prefix) as checkpoint:
            with pytest.raises(ChecksumError, match="do not match their checksum") as caught:
                statistics_of(checkpoint, checkpoint["w"])
            assert caught.value.where == "w"


@pytest.mark.usefixtures("loops")
def test_parts_of_a_large_tensor_have_one_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = RNG.normal(size=(300, 1001)).astype(np.float32)
    prefix = save(tmp_path / "model", {"w": values})
    monkeypatch.setattr(statistics, "PART_ELEMENTS", 1 << 16)
    with open_checkpoint(prefix) as checkpoint:
        assert statistics_of(checkpoint, checkpoint["w"]).count == values.size
