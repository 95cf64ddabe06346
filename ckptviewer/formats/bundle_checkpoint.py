"""An open V2 tensor bundle: values out of its data files, by what its index says.

Source of the format: tensorflow/core/util/tensor_bundle (tensor_bundle.cc, naming.cc).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint, Places, Region
from ckptviewer.checkpoint.dtypes import BY_NAME, Kind, kind_of, numpy_dtype
from ckptviewer.checkpoint.errors import (
    COPY_CHECKPOINT,
    ChecksumError,
    DamagedFileError,
    MissingShardError,
    OpaqueVariableError,
    PathNotFoundError,
)
from ckptviewer.checkpoint.findings import Finding
from ckptviewer.checkpoint.text import count_text
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.bundle_index import BundleEntry, EntryTable, Header
from ckptviewer.formats.bundle_strings import split_strings, variants_crc
from ckptviewer.formats.dense import (
    Box,
    box_of,
    box_shape,
    dense_chunks,
    fill_exactly,
    new_array,
    overlap,
    read_dense,
    shifted,
    spare_buffer,
)
from ckptviewer.formats.ordered_code import Extent, encode_slice_key
from ckptviewer.formats.sstable import mask
from ckptviewer.storage.byte_source import LocalFile

if TYPE_CHECKING:
    import numpy as np

FORMAT_NAME = "tf-bundle"


def shard_path(prefix: str, shard: int, shards: int) -> str:
    """The path of a data file of the bundle called `prefix`."""
    return f"{prefix}.data-{shard:05d}-of-{shards:05d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleContents:
    """What an index says, for reading by.

    prefix: path of the bundle without ".index". header: of the index.
    entries: by key; those of slices are in `slices`, by their encoded keys.
    """

    prefix: str
    header: Header
    entries: EntryTable[str]
    slices: EntryTable[bytes]


class BundleCheckpoint(Checkpoint):
    """An open tensor bundle."""

    def __init__(
        self,
        contents: BundleContents,
        *,
        variables: Sequence[Variable],
        written_by: str | None = None,
        findings: Sequence[Finding] = (),
        facts: Mapping[str, str] | None = None,
        sources: Mapping[int, LocalFile] | None = None,
    ) -> None:
        """`sources` are data files as they were on opening, by number; others open when read."""
        super().__init__(
            path=contents.prefix,
            format_name=FORMAT_NAME,
            variables=variables,
            written_by=written_by,
            findings=findings,
            facts=facts,
        )
        self._contents = contents
        self._sources = dict(sources or {})

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        entry = self._readable_entry(variable)
        box = box_of(region, entry.shape)
        wanted = []
        for place, part in self._parts(variable, entry):
            inside = overlap(place, box)
            if not entry.slices or all(low < high for low, high in inside):
                self._source(part.shard).require(part.offset, part.size)
                wanted.append((part, shifted(inside, box), shifted(inside, place)))
        out = new_array(box_shape(box), numpy_dtype(entry.dtype), variable.key)
        for part, target, inside in wanted:
            self._fill(out[_window(target)], variable, part, inside)
        return out

    def chunks(self, variable: Variable, chunk_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        entry = self._readable_entry(variable)
        native = numpy_dtype(entry.dtype)
        for _, part in self._parts(variable, entry):
            if part.dtype == "string":
                strings = self._strings(variable, part)
                if strings.size:
                    yield strings
                continue
            crc = 0
            for values, raw in dense_chunks(
                self._source(part.shard),
                part.offset,
                prod(part.shape),
                self._stored(native),
                chunk_bytes,
            ):
                crc = _crc32c(raw, crc)
                yield values.astype(native) if self._swapped(native) else values
            self._verify(variable, part, crc)

    def unverified_chunks(
        self, variable: Variable, chunk_bytes: int = CHUNK_BYTES
    ) -> tuple[Iterator[np.ndarray], Callable[[int], None]] | None:
        entry = self._readable_entry(variable)
        native = numpy_dtype(entry.dtype)
        if entry.slices or entry.dtype == "string" or self._swapped(native):
            return None
        self._parts(variable, entry)  # raises where shape and size contradict
        pieces = dense_chunks(
            self._source(entry.shard), entry.offset, prod(entry.shape), native, chunk_bytes
        )
        return (values for values, _ in pieces), partial(self._verify, variable, entry)

    def as_stored(self, variables: Sequence[Variable]) -> Sequence[Variable]:
        def place(variable: Variable) -> tuple[int, int]:
            entry = self._entry(variable)
            return entry.shard, entry.offset

        return sorted(variables, key=place)

    def places(self, variables: Sequence[Variable]) -> Places | None:
        if self._contents.header.big_endian:
            return None
        from ckptviewer.formats.bundle_places import places

        return places(self._contents.entries, variables)

    def lent(self, file: int, end: int) -> AbstractContextManager[int]:
        return self._source(file).lent(end)

    def checksum(self, variable: Variable) -> int | None:
        """The masked crc32c in the index; None for partitioned variables, which have several."""
        entry = self._entry(variable)
        return None if entry.slices else entry.checksum

    def checksums(self, variables: Sequence[Variable]) -> Sequence[int | None]:
        entries = self._contents.entries
        rows = entries.rows(variable.key for variable in variables)
        if -1 in rows or entries.has_sliced:
            return super().checksums(variables)
        told: list[int | None] = entries.numbers.checksums[rows].tolist()
        return told

    def in_order(self, variable: Variable) -> bool:
        return not self._entry(variable).slices

    def stored_chunks(
        self, variable: Variable, chunk_bytes: int = CHUNK_BYTES
    ) -> Iterator[memoryview] | None:
        """As Checkpoint's; None for partitioned, big-endian, and unknown dtypes."""
        entry = self._entry(variable)
        known = kind_of(entry.dtype) is not Kind.OPAQUE or entry.dtype == "variant"
        if entry.slices or self._contents.header.big_endian or not known:
            return None
        return self._stored_chunks(variable, entry, chunk_bytes)

    def _stored_chunks(
        self, variable: Variable, entry: BundleEntry, chunk_bytes: int
    ) -> Iterator[memoryview]:
        self._parts(variable, entry)  # raises where shape and size contradict
        source = self._source(entry.shard)
        if entry.dtype in ("string", "variant"):
            data = source.read(entry.offset, entry.size)
            if entry.dtype == "string":
                self._strings(variable, entry)
            elif entry.size:
                crc = variants_crc(data, prod(entry.shape), variable.key)
                self._verify(variable, entry, crc)
            for first in range(0, entry.size, chunk_bytes):
                yield memoryview(data)[first : first + chunk_bytes]
            return
        source.require(entry.offset, entry.size)
        crc = 0
        with spare_buffer(min(chunk_bytes, entry.size)) as buffer:
            for first in range(0, entry.size, chunk_bytes):
                piece = buffer[: min(chunk_bytes, entry.size - first)].data
                source.read_into(piece, entry.offset + first)
                crc = _crc32c(piece, crc)
                yield piece
        self._verify(variable, entry, crc)

    def extent(self, variable: Variable) -> tuple[LocalFile, int, int] | None:
        """Data file, offset and size of what `stored_chunks` gives; None where that gives none.

        Nothing is verified but that the bytes are there. Raises as reading does.
        """
        if self.stored_chunks(variable) is None:
            return None
        entry = self._entry(variable)
        source = self._source(entry.shard)
        source.require(entry.offset, entry.size)
        return source, entry.offset, entry.size

    def details(self, variable: Variable) -> dict[str, str]:
        entry = self._entry(variable)
        if entry.slices:
            parts = [self._slice(variable, extents) for extents in entry.slices]
            return {"Partitioned": f"{len(parts)} slices"} | {
                f"Slice {number}": _place(part) if part else "missing"
                for number, part in enumerate(parts)
            }
        return {
            "Data file": os.path.basename(self._shard_path(entry.shard)),
            "Offset": f"{count_text(entry.offset)} bytes",
            "Checksum": f"{entry.checksum:08x} (masked crc32c)",
        }

    def files(self) -> list[str]:
        """The files that hold it: the index, and the data files that it names."""
        shards = range(self._contents.header.shards)
        return [f"{self.path}.index", *map(self._shard_path, shards)]

    def release(self) -> None:
        for source in list(self._sources.values()):
            source.release()

    def _entry(self, variable: Variable) -> BundleEntry:
        entry = self._contents.entries.get(variable.key)
        if entry is None:
            self[variable.key]  # raises with the right words
            raise AssertionError("a variable without an entry")
        return entry

    def _readable_entry(self, variable: Variable) -> BundleEntry:
        entry = self._entry(variable)
        if kind_of(entry.dtype) is Kind.OPAQUE:
            raise OpaqueVariableError(
                f"dtype {entry.dtype} has no values that can be shown",
                where=variable.key,
                remedy="Its stored bytes can still be copied.",
            )
        return entry

    def _source(self, shard: int) -> LocalFile:
        source = self._sources.get(shard)
        if source is None:
            path = self._shard_path(shard)
            try:
                source = LocalFile(path)
            except PathNotFoundError:
                raise MissingShardError(
                    "this data file is missing",
                    where=path,
                    remedy="Copy it from where the checkpoint was saved.",
                ) from None
            self._sources[shard] = source
        return source

    def _shard_path(self, shard: int) -> str:
        return shard_path(self._contents.prefix, shard, self._contents.header.shards)

    def _slice(self, variable: Variable, extents: tuple[Extent, ...]) -> BundleEntry | None:
        return self._contents.slices.get(encode_slice_key(variable.key, extents))

    def _parts(self, variable: Variable, entry: BundleEntry) -> list[tuple[Box, BundleEntry]]:
        """What is stored of a variable and where in it that belongs: itself, or its slices.

        Shapes, sizes and dtypes agree, and slices make the whole. Raises DamagedFileError.
        """
        if entry.slices:
            parts = [self._placed_slice(variable, entry, extents) for extents in entry.slices]
            if not fill_exactly(entry.shape, [place for place, _ in parts]):
                raise self._damaged(variable, "its slices overlap or leave gaps")
        else:
            parts = [(box_of(None, entry.shape), entry)]
        item_bytes = BY_NAME[entry.dtype].item_bytes
        for _, part in parts:
            # A string takes at least the byte of its length.
            needed = prod(part.shape) * (item_bytes or 1)
            if needed > part.size or (item_bytes and needed != part.size):
                raise self._damaged(
                    variable, f"its shape needs {needed:,} bytes, and {part.size:,} are stored"
                )
        return parts

    def _placed_slice(
        self, variable: Variable, entry: BundleEntry, extents: tuple[Extent, ...]
    ) -> tuple[Box, BundleEntry]:
        part = self._slice(variable, extents)
        if part is None:
            raise self._damaged(variable, "a slice of this partitioned variable is missing")
        if len(extents) != len(entry.shape) or part.slices or part.dtype != entry.dtype:
            raise self._damaged(variable, "a slice of it is not of its rank or dtype")
        place = tuple(
            (start, size if length < 0 else start + length)
            for (start, length), size in zip(extents, entry.shape, strict=True)
        )
        within = all(
            0 <= low <= high <= size for (low, high), size in zip(place, entry.shape, strict=True)
        )
        if not within or part.shape != box_shape(place):
            raise self._damaged(variable, "a slice of it does not fit where it belongs")
        return place, part

    def _fill(self, target: np.ndarray, variable: Variable, part: BundleEntry, box: Box) -> None:
        """Put a box of what is stored as `part` into `target`; verified, if it is all of it."""
        import numpy as np

        source = self._source(part.shard)
        if part.dtype == "string":
            strings = self._strings(variable, part)
            if target.size:
                target[...] = strings.reshape(part.shape)[_window(box)]
            return
        stored = self._stored(target.dtype)
        if box_shape(box) != part.shape:
            read_dense(source, part.offset, part.shape, stored, box, target)
            return
        values = target if target.flags.c_contiguous else np.empty(target.shape, target.dtype)
        raw = values.reshape(-1).view(np.uint8).data
        source.read_into(raw, part.offset)
        self._verify(variable, part, _crc32c(raw))
        if self._swapped(values.dtype):
            values.byteswap(inplace=True)
        if values is not target:
            target[...] = values

    def _strings(self, variable: Variable, part: BundleEntry) -> np.ndarray:
        """All strings of what is stored as `part`, in a row."""
        import numpy as np

        data = self._source(part.shard).read(part.offset, part.size)
        try:
            strings = split_strings(
                data, prod(part.shape), part.checksum, self._contents.header.big_endian
            )
        except DamagedFileError as error:
            raise type(error)(error.what, where=variable.key, remedy=COPY_CHECKPOINT) from error
        flat = np.empty(len(strings), object)
        flat[:] = strings
        return flat

    def _damaged(self, variable: Variable, what: str) -> DamagedFileError:
        return DamagedFileError(what, where=variable.key, remedy=COPY_CHECKPOINT)

    def _verify(self, variable: Variable, entry: BundleEntry, crc: int) -> None:
        if mask(crc) != entry.checksum:
            raise ChecksumError(
                f"its values do not match their checksum (stored {entry.checksum:08x}, "
                f"found {mask(crc):08x})",
                where=variable.key,
                remedy="The data file was damaged after it was written; copy it again.",
            )

    def _stored(self, native: np.dtype) -> np.dtype:
        return native.newbyteorder(">") if self._swapped(native) else native

    def _swapped(self, native: np.dtype) -> bool:
        return self._contents.header.big_endian and native.itemsize > 1


def _window(box: Box) -> Any:
    """The index that selects a box. With the ellipsis a scalar stays an array."""
    return (*(slice(*pair) for pair in box), ...)


def _crc32c(data: memoryview, crc: int = 0) -> int:
    from crc32c import crc32c

    return crc32c(data, crc)


def _place(entry: BundleEntry) -> str:
    return (
        f"shard {entry.shard}, offset {count_text(entry.offset)}, "
        f"{count_text(entry.size)} bytes, checksum {entry.checksum:08x}"
    )
