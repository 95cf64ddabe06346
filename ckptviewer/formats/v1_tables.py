"""The table of a V1 checkpoint: which tensors it has, and where their values lie.

Source of the format: tensorflow/core/util/saved_tensor_slice.proto and tensor_slice_writer.cc.
Under the empty key stands a list of all tensors with their slices; under the encoded name and
extents of each slice stands its TensorProto. Values are not read here, only found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ckptviewer.checkpoint.dtypes import BY_NUMBER
from ckptviewer.checkpoint.errors import COPY_CHECKPOINT, DamagedFileError
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.formats.ordered_code import Extent
from ckptviewer.formats.shapes import checked_shape
from ckptviewer.formats.sstable import BlockHandle, Table, masked_crc32c
from ckptviewer.formats.wire import LENGTH, VARINT, fields, signed, varint
from ckptviewer.storage.byte_source import ByteSource

if TYPE_CHECKING:
    from functools import _lru_cache_wrapper

_TRAILER_BYTES = 5
_RESTART_INTERVAL = 16  # of every table that TensorFlow writes
_SMALL_BLOCK_BYTES = 512 << 10  # read at once to be walked; of larger ones only the entries' heads
_HEAD_BYTES = 4 << 10
_LARGEST_META_BYTES = 1 << 30
_LARGEST_REMEMBERED_BYTES = 512

T = TypeVar("T")


class Place(NamedTuple):
    """Where a value lies: its block, and (unless the block is compressed) its bytes in the file.

    start: -1 where the block is compressed.
    """

    block: BlockHandle
    start: int
    size: int


class _Found(NamedTuple):
    """An entry of a block: its key, where it begins, and where its value lies."""

    key: bytes
    at: int
    start: int
    size: int


class TensorMeta(NamedTuple):
    """What the list says of a tensor, or of those of its slices that are in this file.

    problem: why nothing can be read of it; empty where it can.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    slices: tuple[tuple[Extent, ...], ...]
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class V1Table:
    """One file of a V1 checkpoint: its tensors, and where the values of their slices lie, by key.

    producer: version number of the graph format of TensorFlow that wrote it; 0 where untold.
    """

    source: ByteSource
    tensors: Sequence[TensorMeta]
    places: Mapping[bytes, Place]
    producer: int
    findings: Sequence[Finding]


def starts_like_v1(start: bytes) -> bool:
    """Whether a file with this start has, under the empty key, what V1 checkpoints have there."""
    try:
        shared, position = varint(start, 0)
        rest, position = varint(start, position)
        size, position = varint(start, position)
        if shared or rest or start[position : position + 1] != b"\x0a":
            return False
        inner, after = varint(start, position + 1)
        # The list is all that the record holds, and it begins with a tensor or with versions.
        return after - position + inner == size and start[after : after + 1] in (b"\x0a", b"\x12")
    except DamagedFileError:
        return False


def read_table(source: ByteSource) -> V1Table:
    """What `source` holds, as far as it is intact.

    Raises DamagedFileError where not even the list of tensors can be read.
    """
    findings: list[Finding] = []
    try:
        table = Table(source)
        handles = table.handles()
    except DamagedFileError as error:
        table, handles = None, _recovered_blocks(source)
        findings.append(
            _error(
                "truncated-shard",
                f"{source.name}: {error.what}; what stands before the damage was looked for.",
            )
        )
    places: dict[bytes, Place] = {}
    meta: bytes | None = None
    for handle in handles:
        try:
            for key, place, value in _walk(source, handle, table):
                if key == b"" and meta is None:
                    meta = value if value is not None else _meta_bytes(source, place)
                places[key] = place
        except DamagedFileError as error:
            findings.append(
                _error(
                    "damaged-block",
                    f"{source.name}: the block at byte {handle.offset:,} is damaged: {error.what}.",
                )
            )
    if meta is None:
        meta = _unverified_meta(source)
    try:
        tensors, producer = _parse_meta(memoryview(meta))
    except DamagedFileError as error:
        raise DamagedFileError(
            f"its list of tensors is damaged: {error.what}",
            where=source.name,
            remedy=COPY_CHECKPOINT,
        ) from error
    return V1Table(
        source=source, tensors=tensors, places=places, producer=producer, findings=findings
    )


def _walk(
    source: ByteSource, handle: BlockHandle, table: Table | None
) -> Iterator[tuple[bytes, Place, bytes | None]]:
    """Key and place of each entry of a block; its value, too, where that had to be decompressed."""
    tail = source.read(handle.offset + handle.size - 4, 5) if handle.size >= 4 else bytes(5)
    if tail[4] and table is not None:
        for key, value in table.entries(handle):
            yield key, Place(handle, -1, len(value)), value
        return
    limit = handle.size - 4 - 4 * int.from_bytes(tail[:4], "little")
    if limit < 0:
        raise DamagedFileError("it is too small for its restart points")
    for entry in _entries(source, handle.offset, limit):
        yield entry.key, Place(handle, entry.start, entry.size), None


def _entries(source: ByteSource, offset: int, limit: int) -> Iterator[_Found]:
    """The entries in the `limit` bytes from `offset` on."""
    window_bytes = limit if limit <= _SMALL_BLOCK_BYTES else _HEAD_BYTES
    window, window_start = b"", 0
    key, key_bytes, position = b"", 0, 0
    while position < limit:
        if position + 32 > window_start + len(window):
            window_start = position
            window = source.read(offset + position, min(window_bytes, limit - position))
        shared, at = varint(window, position - window_start)
        rest, at = varint(window, at)
        size, at = varint(window, at)
        value = window_start + at + rest
        if value + size > limit or shared > len(key):
            raise DamagedFileError(f"an entry reaches beyond it at byte {offset + position:,}")
        suffix = window[at : at + rest]
        if len(suffix) < rest:
            suffix = source.read(offset + window_start + at, rest)
        key = key[:shared] + suffix
        # Keys share what they begin with: a small file could make keys without end of that.
        key_bytes += len(key)
        if key_bytes > 100 * limit:
            raise DamagedFileError("its keys are far longer than the block itself")
        yield _Found(key, offset + position, offset + value, size)
        position = value + size


def _recovered_blocks(source: ByteSource) -> list[BlockHandle]:
    """The intact blocks of a table that has lost its end, found by walking from its start.

    A block ends with the offsets of every sixteenth entry, which are known from the walk.
    """
    handles: list[BlockHandle] = []
    start = 0
    while (end := _block_end(source, start)) > start:
        handles.append(BlockHandle(start, end - start))
        start = end + _TRAILER_BYTES
    return handles


def _block_end(source: ByteSource, start: int) -> int:
    """Where the block that begins at `start` ends, if it is whole and has entries; else `start`."""
    restarts: list[int] = []
    before: bytes | None = None
    try:
        for number, entry in enumerate(_entries(source, start, source.size - start)):
            if before is not None and entry.key <= before:
                break
            before = entry.key
            if number % _RESTART_INTERVAL == 0:
                restarts.append(entry.at - start)
            # The first restart point is always 0, which no entry but the very first begins with.
            position = entry.start + entry.size
            if source.read(position, min(4, source.size - position)) == bytes(4):
                end = position + 4 * len(restarts) + 4
                if _is_block(source, start, end, restarts):
                    return end
    except DamagedFileError:
        pass
    return start


def _is_block(source: ByteSource, start: int, end: int, restarts: Sequence[int]) -> bool:
    """Whether a block with those restart points ends at `end`, by its checksum."""
    points = b"".join(value.to_bytes(4, "little") for value in (*restarts, len(restarts)))
    if end + _TRAILER_BYTES > source.size or source.read(end - len(points), len(points)) != points:
        return False
    content = source.read(start, end - start + _TRAILER_BYTES)
    stored = int.from_bytes(content[-4:], "little")
    return masked_crc32c(memoryview(content)[:-4]) == stored


def _meta_bytes(source: ByteSource, place: Place) -> bytes:
    if place.size > _LARGEST_META_BYTES:
        raise DamagedFileError(f"its list of tensors is said to have {place.size:,} bytes")
    return source.read(place.start, place.size)


def _unverified_meta(source: ByteSource) -> bytes:
    """The list of tensors from the very first entry, where its block is not whole."""
    try:
        first = next(_entries(source, 0, source.size))
        if first.key == b"":
            return _meta_bytes(source, Place(BlockHandle(0, 0), first.start, first.size))
    except (DamagedFileError, StopIteration):
        pass
    raise DamagedFileError("its list of tensors is lost", where=source.name, remedy=COPY_CHECKPOINT)


def _parse_meta(record: memoryview) -> tuple[list[TensorMeta], int]:
    """The tensors in the record under the empty key, and the producer's version."""
    tensors: list[TensorMeta] = []
    producer = 0
    for number, wire, _, meta in fields(record):
        if number != 1 or wire != LENGTH:
            continue
        for inner, inner_wire, _, content in fields(meta):
            if inner == 1 and inner_wire == LENGTH:
                tensors.append(_parse_tensor(content))
            elif inner == 2 and inner_wire == LENGTH:
                versions = ((n, v) for n, w, v, _ in fields(content) if w == VARINT)
                producer = next((value for n, value in versions if n == 1), 0)
    return tensors, producer


def _parse_tensor(message: memoryview) -> TensorMeta:
    name, number_of_dtype = b"", 0
    sizes: tuple[int, ...] = ()
    slices: list[tuple[Extent, ...]] = []
    for number, wire, value, content in fields(message):
        if number == 1 and wire == LENGTH:
            name = bytes(content)
        elif number == 2 and wire == LENGTH:
            sizes = _remembered(_parse_sizes, bytes(content))
        elif number == 3 and wire == VARINT:
            number_of_dtype = value
        elif number == 4 and wire == LENGTH:
            slices.append(_remembered(_parse_slice, bytes(content)))
    known = BY_NUMBER.get(number_of_dtype)
    dtype = known.name if known else f"dtype-{number_of_dtype}"
    text = name.decode("utf-8", "surrogateescape")  # names are bytes to TensorFlow
    try:
        shape = checked_shape(sizes, max(8, known.item_bytes) if known else 1)
        return TensorMeta(text, dtype, shape, tuple(slices))
    except DamagedFileError as error:
        return TensorMeta(text, dtype, (), (), error.what)


def _remembered(parse: _lru_cache_wrapper[T], message: bytes) -> T:
    """What `parse` makes of the message; large ones, which only damage makes, are not kept."""
    return (
        parse(message) if len(message) <= _LARGEST_REMEMBERED_BYTES else parse.__wrapped__(message)
    )


@lru_cache(maxsize=4096)  # the tensors of a model share a few shapes and, as wholes, slices
def _parse_sizes(message: bytes) -> tuple[int, ...]:
    """The sizes of a shape's axes."""
    dims = [dim for n, w, _, dim in fields(memoryview(message)) if n == 2 and w == LENGTH]
    return tuple(
        next((signed(v) for n, w, v, _ in fields(dim) if n == 1 and w == VARINT), 0) for dim in dims
    )


@lru_cache(maxsize=4096)
def _parse_slice(message: bytes) -> tuple[Extent, ...]:
    """Start and length along each axis; a length that is not there means the whole axis."""
    extents = []
    for number, wire, _, content in fields(memoryview(message)):
        if number == 1 and wire == LENGTH:
            parts = {n: signed(v) for n, w, v, _ in fields(content) if w == VARINT}
            extents.append((parts.get(1, 0), parts.get(2, -1)))
    return tuple(extents)


def _error(code: str, message: str) -> Finding:
    return Finding(code=code, severity=Severity.ERROR, message=message, remedy=COPY_CHECKPOINT)
