"""Tensors for the tests of writers, and what our readers say of what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ckptviewer.checkpoint.dtypes import numpy_dtype
from ckptviewer.formats.bundle_writer import Tensor
from ckptviewer.formats.resolve import open_checkpoint


def values_of(dtype: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Values of TensorFlow's dtype `dtype` with all sorts of bytes in them."""
    generator = np.random.default_rng([seed, *shape])
    known = numpy_dtype(dtype)
    if dtype == "bool":
        return generator.integers(0, 2, shape).astype(bool)
    if known.itemsize == 1 and dtype.startswith(("int", "uint", "float4")) and dtype[-1] in "42n":
        return generator.integers(0, 2, shape).astype(known)
    flat = np.frombuffer(generator.bytes(int(np.prod(shape)) * known.itemsize), known)
    return flat.reshape(shape)


def tensor(key: str, values: np.ndarray, dtype: str, pieces: int = 2) -> Tensor:
    """A tensor of values, in pieces of any lengths, none among them."""
    return Tensor(
        key=key,
        dtype=dtype,
        shape=values.shape,
        chunks=iter(np.array_split(values.reshape(-1), pieces)),
    )


def tensors_of(arrays: dict[str, tuple[np.ndarray, str]]) -> list[Tensor]:
    """Tensors of values and names of dtypes."""
    return [tensor(key, *each) for key, each in arrays.items()]


def read_back(path: Path | str) -> dict[str, tuple[Any, str, tuple[int, ...]]]:
    """What our reader has: bytes of the values (strings: a list), dtype, shape."""
    found = {}
    with open_checkpoint(str(path)) as checkpoint:
        assert not checkpoint.findings
        for variable in checkpoint.variables:
            values = checkpoint.read(variable)
            content = values.tolist() if values.dtype == object else values.tobytes()
            found[variable.key] = (content, variable.dtype, variable.shape)
    return found
