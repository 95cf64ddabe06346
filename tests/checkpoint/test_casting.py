"""Casts, and what is said of what they lose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ckptviewer.checkpoint.casting import CastCheckpoint, CastLoss, cast_loss, cast_values
from ckptviewer.formats.resolve import open_checkpoint
from tests import builders


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_as_tensorflow_casts(dtype: str) -> None:
    rng = np.random.default_rng(0)
    values = (rng.normal(size=5000) * 10.0 ** rng.integers(-12, 12, 5000)).astype(np.float32)
    values[:4] = np.nan, np.inf, -np.inf, -0.0
    found = cast_values(values, dtype)
    wanted = tf.cast(values, dtype).numpy()
    np.testing.assert_array_equal(found.view(np.uint8), wanted.view(np.uint8))


def test_what_is_lost() -> None:
    values = np.array([1e6, -1e6, np.inf, np.nan, 0.0, 1e-9, 1.0, 1.0 + 2**-12], np.float32)
    loss = cast_loss(values, cast_values(values, "float16"))
    assert (loss.count, loss.overflow, loss.underflow) == (8, 2, 1)
    assert loss.relative_error == pytest.approx(2**-12 / (1 + 2**-12))
    assert loss + CastLoss(count=1, overflow=1) == CastLoss(
        count=9, overflow=3, underflow=1, relative_error=loss.relative_error
    )
    assert cast_loss(values, cast_values(values, "float64")).relative_error == 0


def test_a_checkpoint(tmp_path: Path) -> None:
    prefix = builders.save(tmp_path / "m", {"a": np.arange(6.0), "b": np.arange(3)})
    with CastCheckpoint(open_checkpoint(prefix), {"a": "float16"}) as cast:
        a, b = cast["a"], cast["b"]
        assert (a.dtype, a.stored_bytes, b.dtype) == ("float16", 12, "int64")
        assert cast.read(a).dtype == np.float16
        assert cast.read(a, (slice(2, 4),)).tolist() == [2, 3]
        assert [each.dtype for each in cast.chunks(a)] == [np.float16]
        assert cast.checksum(a) is None
        assert cast.stored_chunks(a) is None
        assert cast.checksum(b) == cast.source.checksum(b)
        assert cast.stored_chunks(b) is not None
