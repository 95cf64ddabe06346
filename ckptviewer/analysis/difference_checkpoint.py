"""The difference of two variables as a Checkpoint: whatever shows values can show it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ckptviewer.analysis.chunks import boxes
from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint, Region
from ckptviewer.checkpoint.dtypes import BY_NAME, Kind, kind_of, name_of_numpy, numpy_dtype
from ckptviewer.checkpoint.variable import Variable

if TYPE_CHECKING:
    import numpy as np

_NUMBERS = frozenset((Kind.FLOAT, Kind.INTEGER, Kind.BOOL, Kind.COMPLEX))


def has_difference(a: Variable, b: Variable) -> bool:
    """Whether b-a makes sense element by element: numbers of one shape, at least one of them."""
    kinds = {kind_of(a.dtype), kind_of(b.dtype)}
    return a.shape == b.shape and kinds <= _NUMBERS and a.element_count > 0


class DifferenceCheckpoint(Checkpoint):
    """One variable: b-a of a variable of each of two checkpoints, computed as it is read.

    float32 where both are float32 or narrower floats, complex128 of complex numbers, else float64.
    Closing it leaves the two open.
    """

    def __init__(self, a: Checkpoint, b: Checkpoint, of_a: Variable, of_b: Variable) -> None:
        """of_a, of_b: the two variables, of one shape. Raises ValueError where they are not."""
        if not has_difference(of_a, of_b):
            raise ValueError("there is no difference of these two, element by element")
        self._sides = ((a, of_a), (b, of_b))
        self._dtype = _wide_dtype(of_a, of_b)
        name = name_of_numpy(self._dtype)
        self.variable = Variable(
            key=of_b.key,
            name=of_b.name,
            dtype=name,
            shape=of_b.shape,
            stored_bytes=of_b.element_count * BY_NAME[name].item_bytes,
            role=of_b.role,
        )
        super().__init__(path=b.path, format_name=b.format_name, variables=(self.variable,))

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        import numpy as np

        (a, of_a), (b, of_b) = self._sides
        with np.errstate(invalid="ignore", over="ignore"):
            difference: np.ndarray = b.read(of_b, region).astype(self._dtype)
            difference -= a.read(of_a, region).astype(self._dtype)
        return difference

    def chunks(self, variable: Variable, chunk_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        for box in boxes(variable.shape, max(1, chunk_bytes // self._dtype.itemsize)):
            yield self.read(variable, box).reshape(-1)

    def release(self) -> None:
        for checkpoint, _ in self._sides:
            checkpoint.release()

    def close(self) -> None:
        """Nothing to close: both checkpoints are somebody else's."""


def _wide_dtype(a: Variable, b: Variable) -> np.dtype:
    import numpy as np

    kinds = {kind_of(a.dtype), kind_of(b.dtype)}
    if Kind.COMPLEX in kinds:
        return np.dtype(np.complex128)
    narrow = all(numpy_dtype(each.dtype).itemsize <= 4 for each in (a, b))
    return np.dtype(np.float32 if kinds == {Kind.FLOAT} and narrow else np.float64)
