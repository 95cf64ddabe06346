"""From the formats of others back to a bundle: our readers give all that its writer needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ckptviewer.checkpoint.dtypes import BY_NAME
from ckptviewer.formats import keras_weights_writer, npz_writer, safetensors_writer
from ckptviewer.formats.bundle_writer import Tensor, write_bundle
from ckptviewer.formats.resolve import open_checkpoint
from tests.formats.written import tensors_of, values_of

WRITERS = {
    "safetensors": safetensors_writer,
    "npz": npz_writer,
    "keras-weights-h5": keras_weights_writer,
}
SHAPES = [(), (3,), (2, 0, 4), (300, 70)]


@pytest.mark.parametrize("name", WRITERS)
def test_tensorflow_reads_what_comes_back(name: str, tmp_path: Path) -> None:
    written = WRITERS[name].WRITTEN
    arrays = {
        f"layers/{dtype}{number}/vars/0": (values_of(dtype, shape), dtype)
        for dtype in BY_NAME
        if dtype not in ("string", "resource", "variant")
        for number, shape in enumerate(SHAPES)
    }
    arrays = {
        key: (values, dtype)
        for key, (values, dtype) in arrays.items()
        if not written["why_unwritable"](key, dtype, values.shape)
    }
    if name == "npz":
        strings = np.array([[b"a", b""], [b"\0b", b"longer"]], object)
        arrays["strings"] = (strings, "string")
    path = tmp_path / f"m{written['suffix']}"
    written["write"](str(path), tensors_of(arrays))
    with open_checkpoint(str(path)) as checkpoint:
        assert checkpoint.format_name == name
        tensors = [
            Tensor(key=v.key, dtype=v.dtype, shape=v.shape, chunks=checkpoint.chunks(v, 1 << 14))
            for v in checkpoint.variables
            if checkpoint.in_order(v)
        ]
        write_bundle(str(tmp_path / "back"), tensors)
    reader = tf.train.load_checkpoint(str(tmp_path / "back"))
    dtypes = reader.get_variable_to_dtype_map()
    assert dtypes.keys() == arrays.keys()
    for key, (values, dtype) in arrays.items():
        assert dtypes[key].name == dtype
        found = np.asarray(reader.get_tensor(key))
        assert found.shape == values.shape
        same = found.tolist() == values.tolist() if dtype == "string" else None
        assert same or found.tobytes() == values.tobytes(), key
