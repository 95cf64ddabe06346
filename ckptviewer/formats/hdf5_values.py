"""The values of HDF5 datasets: contiguous ones straight from the file, others chunk by chunk."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import cached_property
from itertools import product
from math import prod
from struct import Struct, unpack_from
from typing import TYPE_CHECKING, NamedTuple

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Region
from ckptviewer.checkpoint.dtypes import numpy_dtype
from ckptviewer.checkpoint.errors import COPY_FILE, DamagedFileError, OpaqueVariableError
from ckptviewer.formats.dense import Box, box_of, box_shape, dense_chunks, read_dense
from ckptviewer.formats.hdf5 import Dataset, Hdf5File
from ckptviewer.formats.hdf5_metadata import UNDEFINED
from ckptviewer.formats.hdf5_types import (
    CHUNKED,
    COMPACT,
    CONTIGUOUS,
    DEFLATE,
    FLETCHER32,
    SHUFFLE,
    vlen_string,
)
from ckptviewer.storage.byte_source import MemoryBytes

if TYPE_CHECKING:
    import numpy as np

_TREE_NODE = Struct("<4sBBH16x")
# A whole array is only made where the file is big enough to bear it; chunks come in any case.
_FREE_BYTES = 128 << 20
_SLAB_BYTES = 64 << 20
_FREE_CHUNK_BYTES = 64 << 20
_OBJECT_BYTES = 64  # what a short string takes in memory
_READABLE = frozenset({DEFLATE, SHUFFLE, FLETCHER32})


class Chunk(NamedTuple):
    """Where a chunk lies: address and size in the file, and which filters it did not go through."""

    address: int
    size: int
    skipped: int


class DatasetValues:
    """The values of one dataset. Raises the errors of Checkpoint.read on every method."""

    def __init__(self, file: Hdf5File, dataset: Dataset) -> None:
        self._file = file
        self._dataset = dataset
        self._source = file.source

    def read(self, region: Region | None = None) -> np.ndarray:
        """The values in a box, native byte order, strings as an object array of bytes."""
        import numpy as np

        dtype = self._check()
        shape = self._dataset.shape
        box = box_of(region, shape)
        inner = box_shape(box)
        self._check_size(prod(inner) * self._bytes_in_memory(dtype))
        if self._dataset.type.kind == "vlen-string":
            raw = self._raw(box, np.dtype("V16"))
            return self._strings(raw)
        if self._dataset.type.kind == "string":
            return _as_objects(self._raw(box, np.dtype(f"S{dtype.itemsize}")))
        return self._raw(box, dtype)

    def chunks(self, chunk_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        """The values in C order in flat pieces."""
        dtype = self._check()
        dataset = self._dataset
        count = prod(dataset.shape)
        if not count:
            return
        if dataset.type.kind == "number" and self._is_dense():
            native = dtype.newbyteorder("=")
            at = self._file.base + dataset.layout.address
            for part, _ in dense_chunks(self._source, at, count, dtype, chunk_bytes):
                yield part if dtype.isnative else part.byteswap(inplace=True).view(native)
            return
        item_bytes = self._bytes_in_memory(dtype)
        step = max(1, chunk_bytes // item_bytes)
        slabs = _slabs(dataset.shape, step)
        if dataset.layout.kind == CHUNKED and dataset.shape:
            # Whole rows of chunks, so that each chunk is unpacked once.
            slabs = _rows(dataset.shape, dataset.layout.chunk[0], _SLAB_BYTES // item_bytes)
        for box in slabs:
            flat = self.read(tuple(slice(*pair) for pair in box)).reshape(-1)
            for first in range(0, flat.size, step):
                yield flat[first : first + step]

    def _check(self) -> np.dtype:
        """The NumPy dtype as stored. Raises where the values cannot be read."""
        import numpy as np

        dataset = self._dataset
        if dataset.is_refused:
            raise OpaqueVariableError(
                dataset.problem,
                where=self._where,
                remedy="Rewrite the file with plain datasets (h5repack), or save the model again.",
            )
        if dataset.problem:
            if dataset.layout.kind == CONTIGUOUS and dataset.layout.size == dataset.dense_bytes:
                self._source.require(self._file.base + dataset.layout.address, dataset.dense_bytes)
            raise DamagedFileError(dataset.problem, where=self._where, remedy=COPY_FILE)
        if dataset.type.kind in ("string", "vlen-string"):
            return np.dtype(f"S{dataset.type.size}")
        if dataset.type.kind == "opaque" or dataset.type.dtype.startswith("void"):
            raise OpaqueVariableError(
                f"elements of type {dataset.type.dtype} have no values that can be shown",
                where=self._where,
                remedy="Its stored bytes can still be copied.",
            )
        dtype = numpy_dtype(dataset.type.dtype)
        if not dataset.type.big_endian or dtype.itemsize == 1:
            return dtype
        if dtype.kind == "V":
            raise OpaqueVariableError(f"big-endian {dataset.type.dtype} is not read here")
        return dtype.newbyteorder(">")

    def _bytes_in_memory(self, dtype: np.dtype) -> int:
        """Bytes that one element takes when read."""
        is_number = self._dataset.type.kind == "number"
        return dtype.itemsize if is_number else _OBJECT_BYTES + dtype.itemsize

    def _check_size(self, size: int) -> None:
        if size > max(_FREE_BYTES, 16 * self._source.size):
            raise DamagedFileError(
                f"{size:,} bytes at once are asked of a file of {self._source.size:,}",
                where=self._where,
                remedy="Rewrite the file with smaller chunks (h5repack), or read smaller regions.",
            )

    @property
    def _where(self) -> str:
        return f"{self._source.name}, {self._dataset.path}"

    def _is_dense(self) -> bool:
        layout = self._dataset.layout
        return layout.kind not in (COMPACT, CHUNKED) and layout.address != UNDEFINED

    def _raw(self, box: Box, dtype: np.dtype) -> np.ndarray:
        """The elements in the box as they are stored, but in native byte order."""
        import numpy as np

        dataset = self._dataset
        out = np.empty(box_shape(box), dtype.newbyteorder("="))
        if out.size == 0:
            return out
        if dataset.layout.kind == CHUNKED:
            self._fill(out)
            for place, stored in self._chunks_in(box):
                self._copy_chunk(place, stored, box, dtype, out)
        elif dataset.layout.kind == COMPACT:
            source = MemoryBytes(dataset.layout.data, self._source.name)
            read_dense(source, 0, dataset.shape, dtype, box, out)
        elif dataset.layout.address == UNDEFINED:
            self._fill(out)
        else:
            at = self._file.base + dataset.layout.address
            read_dense(self._source, at, dataset.shape, dtype, box, out)
        return out

    def _fill(self, out: np.ndarray) -> None:
        import numpy as np

        fill = self._dataset.fill
        if len(fill) != out.dtype.itemsize:
            fill = bytes(out.dtype.itemsize)
        big = self._dataset.type.big_endian
        out[...] = np.frombuffer(fill, out.dtype.newbyteorder(">" if big else "<"))[0]

    def _strings(self, raw: np.ndarray) -> np.ndarray:
        import numpy as np

        out = np.empty(raw.shape, object)
        data = raw.tobytes()
        flat = out.reshape(-1)
        metadata = self._file.metadata
        with metadata.counting():
            for index in range(flat.size):
                flat[index] = vlen_string(metadata, data, 16 * index)
        return out

    # Chunks (III.A.1, IV.A.2.l)

    @cached_property
    def _index(self) -> dict[tuple[int, ...], Chunk]:
        """The chunks that were written, by the position of their first element."""
        with self._file.metadata.counting():
            return _read_index(self._file, self._dataset)

    def _chunks_in(self, box: Box) -> Iterator[tuple[tuple[int, ...], Chunk]]:
        index = self._index
        chunk = self._dataset.layout.chunk
        axes = [
            range(low // size * size, high, size)
            for (low, high), size in zip(box, chunk, strict=True)
        ]
        if prod(map(len, axes)) <= len(index):
            for place in product(*axes):
                if place in index:
                    yield place, index[place]
            return
        for place, stored in index.items():
            if all(at in axis for at, axis in zip(place, axes, strict=True)):
                yield place, stored

    def _copy_chunk(
        self, place: tuple[int, ...], stored: Chunk, box: Box, dtype: np.dtype, out: np.ndarray
    ) -> None:
        import numpy as np

        shape = self._dataset.layout.chunk
        data = self._unpack(stored, prod(shape) * dtype.itemsize, dtype.itemsize)
        values = np.frombuffer(data, dtype).reshape(shape)
        here, there = [], []
        for at, size, (low, high) in zip(place, shape, box, strict=True):
            first, last = max(low, at), min(high, at + size)
            here.append(slice(first - at, last - at))
            there.append(slice(first - low, last - low))
        out[tuple(there)] = values[tuple(here)]

    def _unpack(self, stored: Chunk, size: int, item_bytes: int) -> bytes:
        """The `size` bytes of a chunk, its filters undone. Memory is bounded before it is taken."""
        metadata = self._file.metadata
        filters = self._dataset.filters
        for each in filters:
            if each.number not in _READABLE:
                raise OpaqueVariableError(
                    f"its chunks went through the filter {each.name}, which is not read here",
                    where=self._where,
                    remedy="Rewrite the file by `h5repack -f GZIP=4`.",
                )
        deflates = sum(each.number == DEFLATE for each in filters)
        limit = (stored.size + 64) * 1032 if deflates else stored.size
        bearable = max(_FREE_CHUNK_BYTES, 4 * self._source.size)
        if deflates > 1 or size > min(limit, bearable):
            raise metadata.damaged(f"a chunk of {stored.size:,} bytes declares {size:,}")
        data = self._source.read(self._file.base + stored.address, stored.size)
        for position in reversed(range(len(filters))):
            if stored.skipped >> position & 1:
                continue
            number = filters[position].number
            if number == DEFLATE:
                data = self._inflate(data, size + 4)
            elif number == FLETCHER32:
                data = self._checked(data)
            else:
                data = _unshuffle(data, item_bytes)
        if len(data) != size:
            raise metadata.damaged(f"a chunk holds {len(data):,} bytes, not {size:,}")
        return data

    def _inflate(self, data: bytes, limit: int) -> bytes:
        try:
            return zlib.decompressobj().decompress(data, limit)
        except zlib.error as cause:
            raise self._file.metadata.damaged("a compressed chunk is damaged") from cause

    def _checked(self, data: bytes) -> bytes:
        if len(data) < 4 or _fletcher32(data[:-4]) != unpack_from("<I", data, len(data) - 4)[0]:
            raise self._file.metadata.damaged("a chunk's checksum does not match")
        return data[:-4]


def stored_bytes(file: Hdf5File, dataset: Dataset) -> int:
    """Bytes that the values take in the file, compressed where they are; 0 where damaged."""
    if dataset.problem or dataset.layout.kind not in (CHUNKED, COMPACT, CONTIGUOUS):
        return 0
    if dataset.layout.kind == CHUNKED:
        try:
            with file.metadata.counting():
                return sum(chunk.size for chunk in _read_index(file, dataset).values())
        except DamagedFileError:
            return 0
    unwritten = dataset.layout.kind == CONTIGUOUS and dataset.layout.address == UNDEFINED
    return 0 if unwritten else dataset.layout.size


def _read_index(file: Hdf5File, dataset: Dataset) -> dict[tuple[int, ...], Chunk]:
    """The B-tree of a dataset's chunks (III.A.1). Raises DamagedFileError."""
    found: dict[tuple[int, ...], Chunk] = {}
    if dataset.layout.address == UNDEFINED:
        return found
    metadata = file.metadata
    entry = Struct(f"<II{len(dataset.shape)}Q8xQ")
    pending = [(dataset.layout.address, -1)]
    seen: set[int] = set()
    while pending:
        address, expected = pending.pop()
        signature, kind, level, used = _TREE_NODE.unpack(metadata.bytes_at(address, 24))
        wrong = signature != b"TREE" or kind != 1 or expected not in (-1, level)
        if wrong or address in seen:
            raise metadata.damaged(f"there is no index of chunks at byte {address:,}")
        seen.add(address)
        entries = metadata.bytes_at(address + 24, entry.size * used)
        for size, skipped, *place, child in entry.iter_unpack(entries):
            if level:
                pending.append((child, level - 1))
            else:
                found[tuple(place)] = Chunk(child, size, skipped)
    return found


def _rows(shape: tuple[int, ...], unit: int, elements: int) -> Iterator[Box]:
    """Boxes that cover `shape` in C order: whole rows, `unit` of them or as many as have room."""
    rest = tuple((0, size) for size in shape[1:])
    step = max(1, elements // max(1, prod(shape[1:]) * unit)) * unit
    for start in range(0, shape[0], step):
        yield ((start, min(start + step, shape[0])), *rest)


def _slabs(shape: tuple[int, ...], elements: int) -> Iterator[Box]:
    """Boxes that cover `shape` in C order, of about `elements` elements each, at least one."""
    axis = 0
    while axis < len(shape) - 1 and prod(shape[axis + 1 :]) > elements:
        axis += 1
    for outer in product(*(range(size) for size in shape[:axis])):
        before = tuple((at, at + 1) for at in outer)
        for rows in _rows(shape[axis:], 1, elements) if shape else [()]:
            yield (*before, *rows)


def _unshuffle(data: bytes, item_bytes: int) -> bytes:
    import numpy as np

    count = len(data) // item_bytes
    whole = np.frombuffer(data, np.uint8, count * item_bytes)
    return whole.reshape(item_bytes, count).T.tobytes() + data[count * item_bytes :]


def _fletcher32(data: bytes) -> int:
    """HDF5's variant: words are big-endian, an odd byte is the high one. Source: H5checksum.c."""
    import numpy as np

    padded = data + b"\0" if len(data) % 2 else data
    words = np.frombuffer(padded, ">u2").astype(np.uint64)
    first = second = 0
    for at in range(0, words.size, 1 << 16):
        part = words[at : at + (1 << 16)]
        weights = np.arange(part.size, 0, -1, dtype=np.uint64)
        second = (second + first * part.size + int((part * weights).sum())) % 65535
        first = (first + int(part.sum())) % 65535
    # Ones' complement: zero is written as 65535 unless all is zero.
    first = first or (65535 if words.any() else 0)
    second = second or (65535 if words.any() else 0)
    return second << 16 | first


def _as_objects(array: np.ndarray) -> np.ndarray:
    """Fixed-length strings as an object array of bytes, without the padding."""
    return array.astype(object)
