"""Checkpoints computed from others: what is asked of one is asked of its source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint, Region
from ckptviewer.checkpoint.text import natural_sorted
from ckptviewer.checkpoint.variable import Variable

if TYPE_CHECKING:
    import numpy as np


class ComputedCheckpoint(Checkpoint):
    """A checkpoint whose variables are those of `source`, some of them, or under other keys.

    All that is asked of a variable is asked of the source; to close this one closes the source.
    """

    def __init__(self, source: Checkpoint, pairs: Sequence[tuple[Variable, Variable]]) -> None:
        """
        pairs: each variable as this checkpoint has it, with the source's own.
        """
        super().__init__(
            path=source.path,
            format_name=source.format_name,
            variables=natural_sorted([mine for mine, _ in pairs], lambda variable: variable.key),
            written_by=source.written_by,
            findings=source.findings,
            facts=source.facts,
        )
        self.source = source
        self._origins = {mine.key: original for mine, original in pairs}

    def origin(self, variable: Variable) -> Variable:
        """The source's variable that `variable` stands for. Raises UnknownVariableError."""
        self[variable.key]  # raises for what is not in it
        return self._origins[variable.key]

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        return self.source.read(self.origin(variable), region)

    def chunks(self, variable: Variable, chunk_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        return self.source.chunks(self.origin(variable), chunk_bytes)

    def checksum(self, variable: Variable) -> int | None:
        """As the source's: other names change no content."""
        return self.source.checksum(self.origin(variable))

    def in_order(self, variable: Variable) -> bool:
        return self.source.in_order(self.origin(variable))

    def stored_chunks(
        self, variable: Variable, chunk_bytes: int = CHUNK_BYTES
    ) -> Iterator[memoryview] | None:
        return self.source.stored_chunks(self.origin(variable), chunk_bytes)

    def details(self, variable: Variable) -> dict[str, str]:
        return self.source.details(self.origin(variable))

    def release(self) -> None:
        self.source.release()

    def close(self) -> None:
        self.source.close()
