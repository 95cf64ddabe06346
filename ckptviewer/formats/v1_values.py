"""Values of a V1 checkpoint: each a message inside a block that has one checksum for all it holds.

Source of the format: SavedTensorSlices and SavedSlice in
tensorflow/core/util/saved_tensor_slice.proto.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.dtypes import numpy_dtype
from ckptviewer.checkpoint.errors import ChecksumError, DamagedFileError
from ckptviewer.formats.sstable import Table, mask
from ckptviewer.formats.tensor_proto import dense_field
from ckptviewer.formats.wire import LENGTH, fields, spans

if TYPE_CHECKING:
    from ckptviewer.formats.v1_opening import V1Part

_DATA, _TENSOR = 2, 3
_STEP_BYTES = 1 << 20


def dense_offset(part: V1Part, dtype: str) -> int:
    """Where in the file the values lie as they lie in memory; -1 where they do not.

    Raises DamagedFileError, and what reading raises.
    """
    start, size = part.place.start, part.place.size
    numbers = dense_field(dtype)
    if start < 0 or not numbers:
        return -1
    tensor = _nested(part, start, start + size)
    if tensor is None:
        return -1
    runs = [span for span in spans(part.source, *tensor) if span.number in numbers]
    wanted = prod(part.shape) * numpy_dtype(dtype).itemsize
    if len(runs) == 1 and runs[0].stop - runs[0].start == wanted:
        return runs[0].start
    return -1


def _nested(part: V1Part, start: int, stop: int) -> tuple[int, int] | None:
    """Where the TensorProto stands in the record from `start` to `stop`."""
    for number in (_DATA, _TENSOR):
        found = [span for span in spans(part.source, start, stop) if span.number == number]
        if len(found) != 1:
            return None
        start, stop = found[0].start, found[0].stop
    return start, stop


def value_of(part: V1Part) -> memoryview:
    """The TensorProto of a slice, once its block has been found to match its checksum.

    Raises ChecksumError, DamagedFileError, and what reading raises.
    """
    message = memoryview(_record(part))
    for number in (_DATA, _TENSOR):
        found = [content for n, w, _, content in fields(message) if n == number and w == LENGTH]
        if len(found) != 1:
            raise DamagedFileError("its record is not one of a tensor's values")
        message = found[0]
    return message


def _record(part: V1Part) -> bytes | bytearray:
    place = part.place
    if place.start < 0:
        entries = Table(part.source).entries(place.block)
        return next(value for key, value in entries if key == part.key)
    check = BlockCheck(part, part.source.name)
    check.pass_until(place.start)
    record = bytearray(place.size)
    part.source.read_into(record, place.start)
    check.update(memoryview(record))
    check.finish()
    return record


class BlockCheck:
    """The checksum of the block that holds a value, taken while the value is read."""

    def __init__(self, part: V1Part, where: str) -> None:
        self._source = part.source
        self._block = part.place.block
        self._where = where
        self._position = self._block.offset
        self._crc = 0

    def pass_until(self, position: int) -> None:
        """Take in all bytes of the block before `position`."""
        while self._position < position:
            step = min(_STEP_BYTES, position - self._position)
            self.update(memoryview(self._source.read(self._position, step)))

    def update(self, raw: memoryview) -> None:
        """Take in the next bytes, which the caller has read."""
        from crc32c import crc32c

        self._crc = crc32c(raw, self._crc)
        self._position += len(raw)

    def finish(self) -> None:
        """Take in the rest of the block; raises ChecksumError where it does not match."""
        # One byte behind the block tells its compression and is covered by the checksum.
        end = self._block.offset + self._block.size + 1
        self.pass_until(end)
        stored = int.from_bytes(self._source.read(end, 4), "little")
        if mask(self._crc) != stored:
            raise ChecksumError(
                f"the block at byte {self._block.offset:,} that holds its values does not match "
                "its checksum",
                where=self._where,
                remedy="The file was damaged after it was written; copy it again.",
            )
