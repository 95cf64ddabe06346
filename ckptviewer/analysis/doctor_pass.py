"""The doctor's one pass over all values: statistics and checksums, each byte read once.

A tensor that makes up most of the bytes is read in parts by several workers, if it lies in its file
as it is in memory; the checksums of the parts are put together to that of the whole.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ckptviewer.analysis.backlog import BATCH_BYTES, BATCH_VARIABLES
from ckptviewer.analysis.chunks import PART_ELEMENTS
from ckptviewer.analysis.crc_arithmetic import combined_crc
from ckptviewer.analysis.statistics import part_regions, statistics_of, statistics_of_part
from ckptviewer.analysis.summary import Statistics
from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint, Region
from ckptviewer.checkpoint.dtypes import BY_NAME
from ckptviewer.checkpoint.errors import Cancelled, CkptviewerError, DamagedFileError
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.checkpoint.text import size_text
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.sstable import mask

if TYPE_CHECKING:
    import numpy as np

_CRC32C_CHECKED = frozenset(("tf-bundle", "saved-model"))
_READ_IN_PARTS = _CRC32C_CHECKED | {"safetensors"}
_MOST_TIMES_STORED = 4096
_ALWAYS_READ_BYTES = 64 << 20
"""No compression makes more of what is stored; what claims more is not read, unless it is small."""

_POLL_SECONDS = 0.02

Report = Callable[[Progress], None]


class Reading(NamedTuple):
    """What was found of one variable.

    outcome: its statistics, or why it could not be read (ChecksumError: it could, and is damaged).
    digest: crc32c of its values in native byte order; None where that was not asked for.
    """

    key: str
    outcome: Statistics | CkptviewerError
    digest: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """Work for one worker: some variables whole, or one region of one."""

    checkpoint: Checkpoint
    variables: tuple[Variable, ...]
    digests: frozenset[str]
    region: Region | None = None
    part: int = -1
    parts: int = 1
    cancel: CancelToken


class _Part(NamedTuple):
    """What a worker found: of a whole variable, or of one part of it."""

    key: str
    part: int
    parts: int
    outcome: Statistics | CkptviewerError
    crc: int | None
    read_bytes: int


def readings(
    checkpoint: Checkpoint,
    variables: Sequence[Variable],
    *,
    digests: Collection[str] = (),
    executor: Executor | None = None,
    workers: int = 2,
    cancel: CancelToken | None = None,
    progress: Report | None = None,
) -> Iterator[Reading]:
    """Read each of `variables` once, and tell of each what was found, in about their order.

    digests: keys of those whose digest is wanted. executor: of threads; without one all is done
    here. workers: how many it has. Raises Cancelled; closing the generator ends the work, too.
    """
    cancel = cancel or CancelToken()
    stop = CancelToken()
    total = sum(variable.stored_bytes for variable in variables)
    done = 0
    assembling: dict[str, list[_Part]] = {}
    # Whole tensors are read faster; only one that others would have to wait for is cut.
    whole = total // workers if executor else total
    pieces = _pieces(checkpoint, variables, frozenset(digests), stop, whole)
    try:
        for found in _performed(pieces, executor, workers, cancel):
            for part in found:
                done += part.read_bytes
                if part.parts == 1:
                    yield Reading(part.key, part.outcome, part.crc)
                    continue
                parts = assembling.setdefault(part.key, [])
                parts.append(part)
                if len(parts) == part.parts:
                    del assembling[part.key]
                    yield _assembled(checkpoint, checkpoint[part.key], parts, digests, cancel)
            if progress is not None:
                progress(Progress(done=done, total=total, label="reading all values"))
    finally:
        stop.cancel()


def _pieces(
    checkpoint: Checkpoint,
    variables: Sequence[Variable],
    digests: frozenset[str],
    stop: CancelToken,
    whole: int,
) -> Iterator[_Piece]:
    """The work in its order; tensors of more than `whole` bytes in parts, if they can be cut."""
    batch: list[Variable] = []
    size = 0
    for variable in variables:
        if variable.stored_bytes > whole and _can_be_split(checkpoint, variable):
            regions = part_regions(variable)
            for number, region in enumerate(regions):
                yield _Piece(
                    checkpoint=checkpoint,
                    variables=(variable,),
                    digests=digests,
                    region=region,
                    part=number,
                    parts=len(regions),
                    cancel=stop,
                )
            continue
        if batch and (size + variable.stored_bytes > BATCH_BYTES or len(batch) >= BATCH_VARIABLES):
            yield _Piece(
                checkpoint=checkpoint, variables=tuple(batch), digests=digests, cancel=stop
            )
            batch, size = [], 0
        batch.append(variable)
        size += variable.stored_bytes
    if batch:
        yield _Piece(checkpoint=checkpoint, variables=tuple(batch), digests=digests, cancel=stop)


def _can_be_split(checkpoint: Checkpoint, variable: Variable) -> bool:
    """Whether it is large, and its bytes in memory are those that its checksum speaks of."""
    dtype = BY_NAME.get(variable.dtype)
    if dtype is None or variable.element_count <= PART_ELEMENTS or sys.byteorder != "little":
        return False
    if checkpoint.format_name not in _READ_IN_PARTS:
        return False
    if checkpoint.format_name in _CRC32C_CHECKED and checkpoint.checksum(variable) is None:
        return False  # several slices
    return variable.stored_bytes == variable.element_count * dtype.item_bytes > 0


def _performed(
    pieces: Iterator[_Piece], executor: Executor | None, workers: int, cancel: CancelToken
) -> Iterator[list[_Part]]:
    if executor is None:
        for piece in pieces:
            cancel.raise_if_cancelled()
            yield _perform(piece)
        return
    under_way: deque[Future[list[_Part]]] = deque()
    try:
        for piece in pieces:
            under_way.append(executor.submit(_perform, piece))
            if len(under_way) >= 4 * workers:
                yield _result(under_way.popleft(), cancel)
        while under_way:
            yield _result(under_way.popleft(), cancel)
    finally:
        for future in under_way:
            future.cancel()


def _result(future: Future[list[_Part]], cancel: CancelToken) -> list[_Part]:
    while not wait((future,), _POLL_SECONDS).done:
        cancel.raise_if_cancelled()
    cancel.raise_if_cancelled()
    return future.result()


def _perform(piece: _Piece) -> list[_Part]:
    found = []
    for variable in piece.variables:
        piece.cancel.raise_if_cancelled()
        crc: int | None = None
        count = variable.stored_bytes
        outcome: Statistics | CkptviewerError
        try:
            _require_plausible(variable)
            if piece.region is not None:
                watched = _Watched(piece.checkpoint)
                outcome = statistics_of_part(watched, variable, piece.region, cancel=piece.cancel)
                crc, count = watched.crc, watched.count
            elif variable.key in piece.digests:
                watched = _Watched(piece.checkpoint)
                outcome = statistics_of(watched, variable, cancel=piece.cancel)
                crc = watched.crc
            else:
                outcome = statistics_of(piece.checkpoint, variable, cancel=piece.cancel)
        except Cancelled:
            raise
        except CkptviewerError as error:
            outcome = error
        except Exception as error:  # one variable must not take the others of its batch with it
            text = f"its statistics failed: {type(error).__name__}: {error}"
            outcome = CkptviewerError(text, where=variable.key)
        found.append(_Part(variable.key, piece.part, piece.parts, outcome, crc, count))
    return found


def _require_plausible(variable: Variable) -> None:
    """Raise DamagedFileError for a shape that takes more than what is stored can ever make."""
    dtype = BY_NAME.get(variable.dtype)
    claimed = variable.element_count * max(1, dtype.item_bytes if dtype else 1)
    if claimed > max(_ALWAYS_READ_BYTES, _MOST_TIMES_STORED * variable.stored_bytes):
        raise DamagedFileError(
            f"its shape takes {size_text(claimed)}, and {size_text(variable.stored_bytes)} are "
            "stored",
            where=variable.key,
        )


def _assembled(
    checkpoint: Checkpoint,
    variable: Variable,
    parts: list[_Part],
    digests: Collection[str],
    cancel: CancelToken,
) -> Reading:
    """The whole of a variable from its parts; its checksum is compared with the stored one."""
    total, crc = Statistics(), 0
    for part in sorted(parts, key=lambda part: part.part):
        if isinstance(part.outcome, CkptviewerError):
            return Reading(variable.key, part.outcome, None)
        total = total.merge(part.outcome)
        assert part.crc is not None
        crc = combined_crc(crc, part.crc, part.read_bytes)
    stored = checkpoint.checksum(variable)
    if stored is not None and mask(crc) != stored:
        try:  # the reader has the last word, and the words
            for _ in checkpoint.chunks(variable):
                cancel.raise_if_cancelled()
        except Cancelled:
            raise
        except CkptviewerError as error:
            return Reading(variable.key, error, None)
    return Reading(variable.key, total, crc if variable.key in digests else None)


class _Watched(Checkpoint):
    """Another checkpoint, of which one variable or one part of it is read, bytes being summed up.

    crc: crc32c of all that was read. count: how many bytes. Where it is read from its beginning
    again, as statistics of extreme numbers have to, both begin again.
    """

    def __init__(self, inner: Checkpoint) -> None:
        super().__init__(path=inner.path, format_name=inner.format_name, variables=inner.variables)
        self._inner = inner
        self._first: Region | None = None
        self.crc = 0
        self.count = 0

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        if self._first is None:
            self._first = region
        if region == self._first:
            self.crc = self.count = 0
        values = self._inner.read(variable, region)
        self._take(values)
        return values

    def chunks(self, variable: Variable, chunk_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        self.crc = self.count = 0
        for chunk in self._inner.chunks(variable, chunk_bytes):
            self._take(chunk)
            yield chunk

    def _take(self, values: np.ndarray) -> None:
        import numpy as np
        from crc32c import crc32c

        if values.dtype == object:
            lengths = np.fromiter(map(len, values), np.int64, values.size)
            self.crc = crc32c(b"".join(values), crc32c(lengths.tobytes(), self.crc))
            return
        raw = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
        self.crc = crc32c(raw, self.crc)
        self.count += len(raw)
