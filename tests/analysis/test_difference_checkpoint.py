"""b-a as a checkpoint, beside NumPy."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from ckptviewer.analysis.difference_checkpoint import DifferenceCheckpoint, has_difference
from ckptviewer.analysis.statistics import statistics_of
from tests.analysis.memory_checkpoint import MemoryCheckpoint

PAIRS = [
    (np.float32, np.float32, np.float32),
    (ml_dtypes.bfloat16, np.float32, np.float32),
    (np.float16, np.float16, np.float32),
    (np.float32, np.float64, np.float64),
    (np.int64, np.int64, np.float64),
    (np.complex64, np.float32, np.complex128),
]


def _made(of_a: np.ndarray, of_b: np.ndarray) -> DifferenceCheckpoint:
    a, b = MemoryCheckpoint({"before": of_a}), MemoryCheckpoint({"after": of_b})
    return DifferenceCheckpoint(a, b, a["before"], b["after"])


@pytest.mark.parametrize(("of_a", "of_b", "wide"), PAIRS)
def test_it_is_what_numpy_subtracts(of_a: type, of_b: type, wide: type) -> None:
    random = np.random.default_rng(0)
    values_a = (100 * random.standard_normal((30, 4, 5))).astype(of_a)
    values_b = (100 * random.standard_normal((30, 4, 5))).astype(of_b)
    difference = _made(values_a, values_b)
    expected = values_b.astype(wide) - values_a.astype(wide)
    np.testing.assert_array_equal(difference.read(difference.variable), expected)
    part = (slice(3, 20), slice(1, 2))
    np.testing.assert_array_equal(difference.read(difference.variable, part), expected[part])
    chunks = [chunk.copy() for chunk in difference.chunks(difference.variable, 64)]
    np.testing.assert_array_equal(np.concatenate(chunks), expected.reshape(-1))


def test_its_statistics_are_those_of_the_difference() -> None:
    random = np.random.default_rng(1)
    values = random.standard_normal((50, 60)).astype(np.float32)
    moved = values + np.float32(0.25)
    difference = _made(values, moved)
    found = statistics_of(difference, difference.variable)
    assert found.mean == pytest.approx(0.25, rel=1e-6)
    assert found.max == (moved - values).max()


def test_a_scalar_has_a_difference() -> None:
    difference = _made(np.array(3.0), np.array(5.5))
    assert difference.read(difference.variable) == 2.5


def test_equal_infinities_make_no_warning() -> None:
    difference = _made(np.array([np.inf, 1.0]), np.array([np.inf, 2.0]))
    values = difference.read(difference.variable)
    assert np.isnan(values[0])
    assert values[1] == 1


def test_what_cannot_be_subtracted_has_none() -> None:
    checkpoint = MemoryCheckpoint(
        {"numbers": np.ones(3), "others": np.ones(4), "empty": np.ones((0, 3)),
         "strings": np.array([b"a", b"b", b"c"], object)}
    )  # fmt: skip
    numbers = checkpoint["numbers"]
    assert has_difference(numbers, numbers)
    for name in ("others", "strings"):
        assert not has_difference(numbers, checkpoint[name])
    assert not has_difference(checkpoint["empty"], checkpoint["empty"])
    with pytest.raises(ValueError, match="no difference"):
        DifferenceCheckpoint(checkpoint, checkpoint, numbers, checkpoint["others"])
