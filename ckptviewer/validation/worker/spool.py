"""Outputs of a run, kept on disk batch by batch, for another run to be held against."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from .model import Arrays


class Spool:
    """Batches of arrays in one file of `directory`, in the order they came."""

    def __init__(self, directory: str, name: str) -> None:
        self._path = os.path.join(directory, name)
        self._file = open(self._path, "w+b")  # noqa: SIM115 - closed by `close`
        self._batches: list[dict[str, tuple[int, str, tuple[int, ...]]]] = []

    def add(self, arrays: Arrays) -> None:
        """Keep one batch. Strings are not kept."""
        entry = {}
        for name, array in arrays.items():
            if array.dtype.kind not in "biufc":
                if array.dtype.kind != "V":
                    continue
                array = array.astype(np.float32)  # bfloat16 and the like
            entry[name] = (self._file.tell(), array.dtype.str, array.shape)
            self._file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        self._batches.append(entry)

    def __iter__(self) -> Iterator[Arrays]:
        self._file.flush()
        for entry in self._batches:
            yield {name: self._read(*place) for name, place in entry.items()}

    def _read(self, offset: int, dtype: str, shape: tuple[int, ...]) -> Any:
        count = int(np.prod(shape, dtype=np.int64))
        here = self._file.tell()
        self._file.seek(offset)
        array = np.fromfile(self._file, dtype, count).reshape(shape)
        self._file.seek(here)
        return array

    def close(self) -> None:
        """Remove the file."""
        self._file.close()
        os.unlink(self._path)
