"""Dead rows and columns, beside what NumPy finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptviewer.analysis import dead
from ckptviewer.analysis.dead import Dead, dead_of, may_be_dead
from ckptviewer.checkpoint.errors import Cancelled
from ckptviewer.checkpoint.progress import CancelToken
from tests.analysis.memory_checkpoint import MemoryCheckpoint


def _expected(values: np.ndarray) -> Dead:
    rows = sum(not values[i].any() for i in range(values.shape[0]))
    columns = sum(not values[..., i].any() for i in range(values.shape[-1]))
    return Dead(rows, columns)


@given(
    shape=st.lists(st.integers(1, 7), min_size=2, max_size=4),
    seed=st.integers(0, 1000),
    share=st.sampled_from((0.5, 0.9, 1.0)),
    piece=st.sampled_from((1, 5, 1 << 20)),
)
def test_every_slice_of_zeros_is_counted(
    shape: list[int], seed: int, share: float, piece: int
) -> None:
    random = np.random.default_rng(seed)
    values = random.standard_normal(shape).astype(np.float32)
    values[random.random(shape) < share] = 0
    checkpoint = MemoryCheckpoint({"kernel": values})
    zeros = int((values == 0).sum())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dead, "_PIECE_ELEMENTS", piece)
        found = dead_of(checkpoint, checkpoint["kernel"])
        assert found == _expected(values)
        knowing = dead_of(checkpoint, checkpoint["kernel"], zeros)
    if may_be_dead(checkpoint["kernel"], zeros):
        assert knowing == found
    else:
        assert found == Dead(0, 0) or min(values[0].size, values[..., 0].size) == 1


def test_what_statistics_rule_out_is_not_read() -> None:
    values = np.ones((50, 40), np.float32)
    values[:6, :6] = 0
    checkpoint = MemoryCheckpoint({"kernel": values})

    def refuse(*_: object) -> np.ndarray:
        raise AssertionError("it was read")

    checkpoint.read = refuse  # type: ignore[method-assign, assignment]
    assert dead_of(checkpoint, checkpoint["kernel"], 36) == Dead(0, 0)
    assert dead_of(checkpoint, checkpoint["kernel"], 2000) == Dead(50, 40)


def test_nan_is_no_zero() -> None:
    values = np.zeros((4, 3), np.float32)
    values[1, 2] = np.nan
    checkpoint = MemoryCheckpoint({"kernel": values})
    assert dead_of(checkpoint, checkpoint["kernel"], 11) == Dead(3, 2)


def test_it_can_be_cancelled() -> None:
    checkpoint = MemoryCheckpoint({"kernel": np.zeros((4, 3), np.float32)})
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        dead_of(checkpoint, checkpoint["kernel"], cancel=cancel)
