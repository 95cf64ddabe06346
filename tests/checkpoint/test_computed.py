"""Checkpoints computed from others: nothing but keys and owners differs from the source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.computed import ComputedCheckpoint
from ckptviewer.checkpoint.errors import UnknownVariableError
from ckptviewer.formats.resolve import open_checkpoint
from tests.builders import save, values_in


def scoped(source: Checkpoint, scope: str) -> ComputedCheckpoint:
    """The source with a scope before its keys, but for its bias."""
    pairs = [
        (variable._replace(key=f"{scope}/{variable.key}"), variable)
        for variable in source.variables
        if variable.key != "net/bias"
    ]
    return ComputedCheckpoint(source, pairs)


@pytest.fixture
def bundle(tmp_path: Path) -> Checkpoint:
    tensors = {
        "net/kernel": np.arange(12, dtype=np.float32).reshape(3, 4),
        "net/bias": np.arange(4, dtype=np.float32),
        "global_step": np.int64(7),
    }
    return open_checkpoint(save(tmp_path / "model", tensors))


def test_it_reads_as_its_source_does(bundle: Checkpoint) -> None:
    truth = values_in(Path(bundle.path))
    with scoped(bundle, "zoo") as made:
        keys = [variable.key for variable in made.variables]
        assert keys == ["zoo/global_step", "zoo/net/kernel"]
        for variable in made.variables:
            original = bundle[variable.key.removeprefix("zoo/")]
            assert made.origin(variable) == original
            np.testing.assert_array_equal(made.read(variable), truth[original.key])
            chunks = [chunk.copy() for chunk in made.chunks(variable)]
            np.testing.assert_array_equal(np.concatenate(chunks), truth[original.key].reshape(-1))
            assert made.checksum(variable) == bundle.checksum(original) is not None
            assert made.in_order(variable)
            assert made.details(variable) == bundle.details(original)
            stored = made.stored_chunks(variable)
            assert stored is not None
            assert b"".join(bytes(part) for part in stored) == truth[original.key].tobytes()


def test_it_has_none_but_its_own(bundle: Checkpoint) -> None:
    made = scoped(bundle, "zoo")
    for key in ("net/kernel", "net/bias"):
        with pytest.raises(UnknownVariableError):
            made.read(bundle[key])


def test_one_is_computed_from_a_computed_one(bundle: Checkpoint) -> None:
    twice = scoped(scoped(bundle, "a"), "b")
    np.testing.assert_array_equal(twice.read(twice["b/a/global_step"]), 7)
