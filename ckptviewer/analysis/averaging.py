"""The average of several checkpoints of one model, as a computed Checkpoint.

Nothing is worked out until it is read, and then block by block: memory stays a few megabytes for
each of them, whatever the size of a tensor. Weights of an exponential average: Polyak and Juditsky
(SIAM J. Control Optim. 30, 1992); uniform, as in stochastic weight averaging (arXiv 1803.05407).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from typing import TYPE_CHECKING, Self

from ckptviewer.analysis.chunks import boxes
from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint, Region
from ckptviewer.checkpoint.dtypes import Kind, kind_of, numpy_dtype
from ckptviewer.checkpoint.errors import CkptviewerError, DamagedFileError
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.text import number_text, plural
from ckptviewer.checkpoint.variable import MODEL_ROLES, Role, Variable

if TYPE_CHECKING:
    import numpy as np

_AVERAGED_KINDS = frozenset({Kind.FLOAT, Kind.COMPLEX})
_AVERAGED_ROLES = MODEL_ROLES | {Role.OPTIMIZER_SLOT, Role.OTHER}
_MOST_NAMED = 5
_LEAST_CHUNK_BYTES = 1 << 16


class Averaging(StrEnum):
    """UNIFORM: all count the same. EXPONENTIAL: each older one counts `decay` times the next."""

    UNIFORM = "uniform"
    EXPONENTIAL = "exponential"


@dataclass(frozen=True, slots=True)
class _Averaged:
    """The variable in each of the checkpoints, in their order."""

    parts: tuple[Variable, ...]


def weights_of(
    count: int, averaging: Averaging = Averaging.UNIFORM, decay: float = 0.9
) -> tuple[float, ...]:
    """The weights of `count` checkpoints, the oldest first; their sum is 1.

    decay: of the exponential average, above 0 and below 1. The last has the greatest weight.
    Raises CkptviewerError.
    """
    if count < 1:
        raise CkptviewerError("nothing is to be averaged", remedy="Name two checkpoints or more.")
    if averaging is Averaging.UNIFORM:
        return (1.0 / count,) * count
    if not 0.0 < decay < 1.0:
        raise CkptviewerError(
            f"a decay of {decay:g} is none", remedy="Give a number above 0 and below 1: 0.9."
        )
    raw = [decay ** (count - 1 - index) for index in range(count)]
    total = sum(raw)
    return tuple(value / total for value in raw)


class AveragedCheckpoint(Checkpoint):
    """The weighted mean of some checkpoints; takes them over and closes them.

    Weights, and slots of optimizers, are averaged: in float64, rounded to the dtype once. What
    cannot be (counters, the object graph, strings, integers) is the last one's. Each variable has
    to be in all of them with one shape and dtype: what the last one has and another lacks is the
    last one's too, and a finding says so.
    """

    def __init__(self, checkpoints: Sequence[Checkpoint], weights: Sequence[float]) -> None:
        """weights: one for each, of any sum that is not 0. Raises CkptviewerError."""
        if len(checkpoints) != len(weights) or not checkpoints:
            raise CkptviewerError("each checkpoint needs a weight of its own")
        total = sum(weights)
        if not total or total != total:
            raise CkptviewerError("the weights have no sum to divide by")
        self.sources = tuple(checkpoints)
        self.weights = tuple(weight / total for weight in weights)
        last = self.sources[-1]
        self._averaged: dict[str, _Averaged] = {}
        alone: list[str] = []
        for variable in last.variables:
            parts = self._parts(variable)
            if parts is not None:
                self._averaged[variable.key] = _Averaged(parts)
            elif _is_averaged(variable) and len(self.sources) > 1:
                alone.append(variable.key)
        super().__init__(
            path=last.path,
            format_name=last.format_name,
            variables=last.variables,
            written_by=last.written_by,
            findings=last.findings,
            facts={"Average of": ", ".join(each.path for each in self.sources)},
        )
        self.own_findings = tuple(_findings(alone))
        """What could not be averaged; the last checkpoint's findings stand before it."""
        self.findings = (*self.findings, *self.own_findings)

    @classmethod
    def open(cls, paths: Sequence[str], weights: Sequence[float]) -> Self:
        """Open the checkpoints that these paths mean. Raises CkptviewerError."""
        from ckptviewer.formats.resolve import open_checkpoint

        with ExitStack() as stack:
            opened = [stack.enter_context(open_checkpoint(path)) for path in paths]
            for checkpoint in opened:
                checkpoint.release()
            made = cls(opened, weights)
            stack.pop_all()
            return made

    def require_mean(self) -> None:
        """Raise CkptviewerError where not a single variable can be averaged."""
        if not self._averaged:
            raise CkptviewerError(
                "no variable is in all of these checkpoints with the same shape and dtype",
                where=self.path,
                remedy="Average checkpoints of one model.",
            )

    def is_averaged(self, variable: Variable) -> bool:
        """Whether its values are a mean; else they are the last checkpoint's."""
        return variable.key in self._averaged

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        averaged = self._averaged.get(variable.key)
        if averaged is None:
            return self.sources[-1].read(variable, region)
        return self._mean(
            checkpoint.read(part, region)
            for checkpoint, part in zip(self.sources, averaged.parts, strict=True)
        )

    def chunks(self, variable: Variable, chunk_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        averaged = self._averaged.get(variable.key)
        if averaged is None:
            yield from self.sources[-1].chunks(variable, chunk_bytes)
            return
        each_bytes = max(_LEAST_CHUNK_BYTES, chunk_bytes // len(self.sources))
        streams = [
            _in_order(checkpoint, part, each_bytes)
            for checkpoint, part in zip(self.sources, averaged.parts, strict=True)
        ]
        for pieces in zip_longest(*streams):
            if any(piece is None or piece.size != pieces[0].size for piece in pieces):
                raise DamagedFileError(
                    "its values have another length than its shape says", where=variable.key
                )
            yield self._mean(iter(pieces))

    def checksum(self, variable: Variable) -> int | None:
        """The last one's where nothing is averaged; none of a mean."""
        return None if self.is_averaged(variable) else self.sources[-1].checksum(variable)

    def in_order(self, variable: Variable) -> bool:
        return self.is_averaged(variable) or self.sources[-1].in_order(variable)

    def stored_chunks(
        self, variable: Variable, chunk_bytes: int = CHUNK_BYTES
    ) -> Iterator[memoryview] | None:
        if self.is_averaged(variable):
            return None
        return self.sources[-1].stored_chunks(variable, chunk_bytes)

    def details(self, variable: Variable) -> dict[str, str]:
        averaged = self._averaged.get(variable.key)
        if averaged is None:
            return {"Taken from": self.sources[-1].path}
        return {
            f"Weight of {checkpoint.path}": number_text(weight)
            for checkpoint, weight in zip(self.sources, self.weights, strict=True)
        }

    def release(self) -> None:
        for checkpoint in self.sources:
            checkpoint.release()

    def close(self) -> None:
        for checkpoint in self.sources:
            checkpoint.close()

    def _parts(self, variable: Variable) -> tuple[Variable, ...] | None:
        if not _is_averaged(variable):
            return None
        parts = []
        for checkpoint in self.sources:
            part = checkpoint.by_key.get(variable.key)
            if part is None or (part.dtype, part.shape) != (variable.dtype, variable.shape):
                return None
            parts.append(part)
        return tuple(parts)

    def _mean(self, pieces: Iterator[np.ndarray]) -> np.ndarray:
        """The weighted sum, in float64 (complex128), rounded once to the dtype of the pieces."""
        import numpy as np

        total: np.ndarray | None = None
        dtype = np.dtype(np.float64)
        with np.errstate(all="ignore"):
            for weight, piece in zip(self.weights, pieces, strict=True):
                if total is None:
                    dtype = piece.dtype
                    wide = np.complex128 if dtype.kind == "c" else np.float64
                    total = piece.astype(wide)
                    total *= weight
                else:
                    total += piece.astype(total.dtype) * weight
            assert total is not None
            return np.asarray(total.astype(dtype))


def _is_averaged(variable: Variable) -> bool:
    return kind_of(variable.dtype) in _AVERAGED_KINDS and variable.role in _AVERAGED_ROLES


def _in_order(checkpoint: Checkpoint, variable: Variable, chunk_bytes: int) -> Iterator[np.ndarray]:
    """The values in C order, cut in a way that depends on shape and dtype alone."""
    from ckptviewer.analysis.chunks import segments

    elements = max(1, chunk_bytes // numpy_dtype(variable.dtype).itemsize)
    if checkpoint.in_order(variable):
        yield from segments(checkpoint.chunks(variable, chunk_bytes), elements)
        return
    for _ in checkpoint.chunks(variable):  # parts of slices come without their checksums
        pass
    regions = (
        checkpoint.read(variable, region).reshape(-1) for region in boxes(variable.shape, elements)
    )
    yield from segments(regions, elements)


def _findings(alone: Sequence[str]) -> Iterator[Finding]:
    if alone:
        named = ", ".join(alone[:_MOST_NAMED])
        more = f" and {len(alone) - _MOST_NAMED} more" if len(alone) > _MOST_NAMED else ""
        yield Finding(
            code="not-averaged",
            severity=Severity.WARNING,
            message=f"{plural(len(alone), 'variable')} of the last checkpoint are not in all of "
            f"them with the same shape and dtype, and are taken from it alone: {named}{more}.",
            remedy="Average checkpoints of one model.",
        )
