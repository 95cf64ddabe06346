"""A checkpoint in memory, for tests of what works on any checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint, Region
from ckptviewer.checkpoint.dtypes import name_of_numpy
from ckptviewer.checkpoint.variable import Variable


class MemoryCheckpoint(Checkpoint):
    """Arrays by key; `chunk_elements` cuts them as a reader might, `damaged` ones raise."""

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        *,
        chunk_elements: int = 0,
        damaged: Mapping[str, Exception] | None = None,
        checksums: Mapping[str, int] | None = None,
    ) -> None:
        variables = [
            Variable(
                key=key,
                name=key,
                dtype=name_of_numpy(array.dtype),
                shape=array.shape,
                stored_bytes=array.nbytes,
            )
            for key, array in arrays.items()
        ]
        super().__init__(path="memory", format_name="memory", variables=variables)
        self.chunk_elements = chunk_elements
        self.reads: list[str] = []
        self._arrays = dict(arrays)
        self._damaged = dict(damaged or {})
        self._checksums = dict(checksums or {})

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        self._note(variable)
        return self._arrays[variable.key][region or ()].copy()

    def chunks(self, variable: Variable, chunk_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        self._note(variable)
        flat = self._arrays[variable.key].reshape(-1)
        step = self.chunk_elements or max(1, chunk_bytes // flat.itemsize)
        buffer = np.empty(step, flat.dtype)
        for start in range(0, flat.size, step):
            part = flat[start : start + step]
            buffer[: part.size] = part
            yield buffer[: part.size]
            if flat.dtype != object:
                buffer.view(np.uint8)[:] = 0xAA  # what was given is valid no longer

    def checksum(self, variable: Variable) -> int | None:
        return self._checksums.get(variable.key)

    def _note(self, variable: Variable) -> None:
        self.reads.append(variable.key)
        if variable.key in self._damaged:
            raise self._damaged[variable.key]


def one(values: np.ndarray, **options: int) -> tuple[MemoryCheckpoint, Variable]:
    """A checkpoint of one variable, and the variable."""
    checkpoint = MemoryCheckpoint({"x": values}, **options)
    return checkpoint, checkpoint["x"]
