"""Checkpoints whose values are cast on the way, and what a cast loses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint, Region
from ckptviewer.checkpoint.computed import ComputedCheckpoint
from ckptviewer.checkpoint.dtypes import BY_NAME, numpy_dtype
from ckptviewer.checkpoint.variable import Variable

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class CastLoss:
    """What values lose when they are cast.

    count: of the values. overflow: finite ones that become infinite. underflow: those other than
    zero that become zero. relative_error: the largest |cast - value| / |value| of the others that
    are finite and not zero; 0 where there are none.
    """

    count: int = 0
    overflow: int = 0
    underflow: int = 0
    relative_error: float = 0.0

    def __add__(self, other: CastLoss) -> CastLoss:
        return CastLoss(
            count=self.count + other.count,
            overflow=self.overflow + other.overflow,
            underflow=self.underflow + other.underflow,
            relative_error=max(self.relative_error, other.relative_error),
        )


def cast_values(values: np.ndarray, dtype: str) -> np.ndarray:
    """The values in TensorFlow's dtype of that name, rounded to nearest, ties to even."""
    import numpy as np

    with np.errstate(all="ignore"):  # what overflows is counted, not told
        return values.astype(numpy_dtype(dtype))


def cast_loss(values: np.ndarray, cast: np.ndarray) -> CastLoss:
    """What `values` lost when they became `cast`; in pieces, so that little memory is needed."""
    import numpy as np

    loss = CastLoss()
    before, after = values.reshape(-1), cast.reshape(-1)
    for first in range(0, before.size, _PIECE):
        old = before[first : first + _PIECE].astype(np.float64)
        new = after[first : first + _PIECE].astype(np.float64)
        magnitude = np.abs(old)
        told = np.isfinite(magnitude) & (magnitude > 0)
        infinite, zero = told & np.isinf(new), told & (new == 0)
        told &= ~(infinite | zero)
        with np.errstate(all="ignore"):
            errors = np.abs(new - old) / magnitude
        loss += CastLoss(
            count=old.size,
            overflow=int(np.count_nonzero(infinite)),
            underflow=int(np.count_nonzero(zero)),
            relative_error=float(np.max(errors, where=told, initial=0.0)),
        )
    return loss


_PIECE = 1 << 16


class CastCheckpoint(ComputedCheckpoint):
    """`source` with some of its variables in other dtypes.

    A variable that keeps its dtype is passed through as it is, its checksum included.
    """

    def __init__(self, source: Checkpoint, dtypes: Mapping[str, str]) -> None:
        """
        dtypes: the new dtype by key. Raises UnknownVariableError for a key that is not there.
        """
        for key in dtypes:
            source[key]  # raises for what is not in it
        super().__init__(
            source,
            [
                (_with_dtype(variable, dtypes.get(variable.key, variable.dtype)), variable)
                for variable in source.variables
            ],
        )

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        values = super().read(variable, region)
        return cast_values(values, variable.dtype) if self._is_cast(variable) else values

    def chunks(self, variable: Variable, chunk_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        pieces = super().chunks(variable, chunk_bytes)
        if self._is_cast(variable):
            return (cast_values(values, variable.dtype) for values in pieces)
        return pieces

    def checksum(self, variable: Variable) -> int | None:
        """As the source's; None of what is cast."""
        return None if self._is_cast(variable) else super().checksum(variable)

    def stored_chunks(
        self, variable: Variable, chunk_bytes: int = CHUNK_BYTES
    ) -> Iterator[memoryview] | None:
        return None if self._is_cast(variable) else super().stored_chunks(variable, chunk_bytes)

    def _is_cast(self, variable: Variable) -> bool:
        return self.origin(variable).dtype != variable.dtype


def _with_dtype(variable: Variable, dtype: str) -> Variable:
    if dtype == variable.dtype:
        return variable
    size = variable.element_count * BY_NAME[dtype].item_bytes
    return variable._replace(dtype=dtype, stored_bytes=size)
