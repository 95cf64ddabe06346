"""Grown vocabularies and transposes, against NumPy on what TensorFlow wrote."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from ckptviewer.analysis.resized import is_transposed, leading_equal_rows, resized_axis
from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import Cancelled
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.formats.resolve import open_checkpoint
from tests.analysis.memory_checkpoint import one
from tests.builders import save

RNG = np.random.default_rng(5)


def rows(a: np.ndarray, b: np.ndarray, axis: int = 0) -> int | None:
    (checkpoint_a, variable_a), (checkpoint_b, variable_b) = one(a), one(b)
    return leading_equal_rows(checkpoint_a, variable_a, checkpoint_b, variable_b, axis=axis)


def transposed(a: np.ndarray, b: np.ndarray) -> bool:
    (checkpoint_a, variable_a), (checkpoint_b, variable_b) = one(a), one(b)
    return is_transposed(checkpoint_a, variable_a, checkpoint_b, variable_b)


@pytest.mark.parametrize(
    ("a", "b", "axis"),
    [
        ((30522, 768), (30532, 768), 0),
        ((768, 10), (768, 12), 1),
        ((5,), (6,), 0),
        ((5, 5), (5, 5), None),
        ((5, 5), (6, 6), None),
        ((5,), (5, 1), None),
        ((), (), None),
    ],
)
def test_the_axis_that_grew(a: tuple[int, ...], b: tuple[int, ...], axis: int | None) -> None:
    assert resized_axis(a, b) == axis


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, Checkpoint]:
    where = tmp_path_factory.mktemp("grown")
    old = RNG.normal(size=(30522, 48)).astype(np.float32)
    new = np.concatenate([old, RNG.normal(size=(10, 48)).astype(np.float32)])
    odd = new.copy()
    odd[20_000, 47] += 1
    a = save(where / "a", {"emb": old, "t": old})
    b = save(where / "b", {"emb": new, "odd": odd, "t": np.ascontiguousarray(old.T)})
    return open_checkpoint(a), open_checkpoint(b)


def test_a_grown_vocabulary_is_seen(grown: tuple[Checkpoint, Checkpoint]) -> None:
    a, b = grown
    assert leading_equal_rows(a, a["emb"], b, b["emb"]) == 30522
    assert leading_equal_rows(b, b["emb"], a, a["emb"]) == 30522
    assert leading_equal_rows(a, a["emb"], b, b["odd"]) == 20_000


def test_a_transpose_is_seen_tile_by_tile(grown: tuple[Checkpoint, Checkpoint]) -> None:
    a, b = grown
    assert is_transposed(a, a["t"], b, b["t"])
    assert is_transposed(b, b["t"], a, a["t"])
    assert not is_transposed(a, a["t"], b, b["emb"])


@pytest.mark.parametrize("place", [0, 700, 1_499])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_rows_are_counted_to_the_first_difference(place: int, axis: int) -> None:
    shape = [3, 4, 5]
    shape[axis] = 1_500
    a = RNG.normal(size=shape).astype(np.float32)
    more = [3, 4, 5]
    more[axis] = 7
    b = np.concatenate([a, np.zeros(more, np.float32)], axis)
    assert rows(a, b, axis) == 1_500
    index = [1, 1, 1]
    index[axis] = place
    b[tuple(index)] += 1
    assert rows(a, b, axis) == place


def test_large_rows_are_read_in_boxes() -> None:
    a = np.zeros((2, 3, 1 << 20), np.float32)
    b = np.zeros((3, 3, 1 << 20), np.float32)
    assert rows(a, b) == 2
    b[1, 2, -1] = 1
    assert rows(a, b) == 1
    assert rows(np.zeros((3, 2, 9), np.float32), np.zeros((3, 4, 9), np.float32), 1) == 2


def test_numbers_are_compared_and_not_dtypes() -> None:
    whole = np.arange(12, dtype=np.float32).reshape(6, 2)
    assert rows(whole[:4], whole.astype(ml_dtypes.bfloat16)) == 4
    assert rows(whole[:4].astype(np.int32), whole) == 4
    third = np.full((4, 2), 1 / 3, np.float32)
    assert rows(third, third.astype(ml_dtypes.bfloat16)) == 0
    nan = np.full((2, 2), np.nan, np.float32)
    assert rows(nan, np.full((3, 2), np.nan, np.float32)) == 2
    texts = np.array([b"a", b"b"], object)
    assert rows(texts, np.array([b"a", b"x", b"c"], object)) == 1


def test_what_has_not_one_axis_in_which_it_grew_has_no_rows_in_common() -> None:
    assert rows(np.zeros((2, 3), np.float32), np.zeros((3, 4), np.float32)) is None
    assert rows(np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32)) is None
    assert rows(np.zeros(2, np.float32), np.zeros((2, 1), np.float32)) is None
    assert rows(np.float32(1).reshape(()), np.float32(1).reshape(())) is None
    assert rows(np.zeros(2, np.float32), np.array([b"", b"", b""], object)) is None
    assert rows(np.zeros((0, 3), np.float32), np.zeros((2, 3), np.float32)) == 0


def test_transposes_of_any_size_are_told_from_others() -> None:
    matrix = RNG.normal(size=(1100, 1500)).astype(np.float32)
    assert transposed(matrix, matrix.T)
    other = matrix.T.copy()
    other[-1, -1] += 1
    assert not transposed(matrix, other)
    assert not transposed(matrix, matrix)
    assert not transposed(matrix[0], matrix[0])
    square = matrix[:5, :5]
    assert transposed(square, square.T)
    assert not transposed(square, square)


def test_both_stop_when_cancelled() -> None:
    cancel = CancelToken()
    cancel.cancel()
    matrix = RNG.normal(size=(50, 50)).astype(np.float32)
    checkpoint, variable = one(matrix)
    turned, turned_variable = one(matrix.T.copy())
    with pytest.raises(Cancelled):
        leading_equal_rows(checkpoint, variable, checkpoint, variable, cancel)
    with pytest.raises(Cancelled):
        is_transposed(checkpoint, variable, turned, turned_variable, cancel)
