"""Python that is handed out for what other formats hold in their own ways: it is run here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from ckptviewer.analysis.snippets import python_to_read
from ckptviewer.formats.npz_writer import write_npz
from ckptviewer.formats.resolve import open_checkpoint
from tests.formats.test_safetensors_shards import shard, write_map
from tests.formats.written import tensor


def value_by(path: Path, key: str) -> Any:
    """What the lines give that read `key`."""
    with open_checkpoint(str(path)) as checkpoint:
        lines = python_to_read(checkpoint, checkpoint[key])
    names: dict[str, Any] = {}
    exec(lines, names)
    return names["value"]


def test_a_tensor_in_one_of_several_files(tmp_path: Path) -> None:
    save_file({"a": np.zeros(2)}, tmp_path / shard(1))
    save_file({"b": np.arange(3.0)}, tmp_path / shard(2))
    path = write_map(tmp_path, {"a": shard(1), "b": shard(2)})
    assert value_by(path, "b").tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("bfloat16", np.arange(6).reshape(2, 3).astype(ml_dtypes.bfloat16)),
        ("float32", np.arange(6, dtype="f4").reshape(2, 3)),
    ],
)
def test_what_numpy_has_no_name_for(dtype: str, values: np.ndarray, tmp_path: Path) -> None:
    write_npz(str(tmp_path / "m.npz"), [tensor("a/b", values, dtype)])
    found = value_by(tmp_path / "m.npz", "a/b")
    assert found.dtype == values.dtype
    assert found.tolist() == values.tolist()
