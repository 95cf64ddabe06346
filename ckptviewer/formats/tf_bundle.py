"""TensorFlow's V2 checkpoints (tensor bundles): an index, and data files beside it.

Source of the format: tensorflow/core/util/tensor_bundle (tensor_bundle.cc, naming.cc).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint, Region
from ckptviewer.checkpoint.dtypes import BY_NAME, Kind, kind_of, numpy_dtype
from ckptviewer.checkpoint.errors import (
    ChecksumError,
    CkptviewerError,
    DamagedFileError,
    MissingShardError,
    OpaqueVariableError,
    PathNotFoundError,
)
from ckptviewer.checkpoint.findings import Finding
from ckptviewer.checkpoint.text import count_text
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.bundle_index import BundleEntry, EntryTable, Header
from ckptviewer.formats.bundle_strings import split_strings
from ckptviewer.formats.dense import Box, box_of, box_shape, dense_chunks, read_dense
from ckptviewer.formats.ordered_code import Extent, encode_slice_key
from ckptviewer.formats.registry import Confidence, Format, Match
from ckptviewer.formats.sstable import Table, is_table, mask
from ckptviewer.storage.byte_source import LocalFile

if TYPE_CHECKING:
    import numpy as np

_COPY_AGAIN = "Copy the checkpoint again from where it was saved."


def shard_path(prefix: str, shard: int, shards: int) -> str:
    """The path of a data file of the bundle called `prefix`."""
    return f"{prefix}.data-{shard:05d}-of-{shards:05d}"


class TensorBundleFormat(Format):
    """V2 tensor bundles, as `tf.train.Saver` and `tf.train.Checkpoint` write them."""

    name = "tf-bundle"
    title = "TensorFlow checkpoint, V2"

    def probe(self, path: Path) -> Match:
        """As Format.probe; Match.path is the index file, which names the bundle without doubt."""
        for candidate in (path, Path(f"{path}.index")):
            try:
                source = LocalFile(candidate)
            except (PathNotFoundError, OSError):
                continue
            try:
                confidence, reason = _judge(source)
            except CkptviewerError as error:
                confidence, reason = Confidence.MAYBE, error.what
            finally:
                source.release()
            if confidence:
                return Match(confidence=confidence, reason=reason, path=candidate)
        return Match(confidence=Confidence.NO, reason="there is no bundle's index", path=path)

    def open(self, path: Path) -> BundleCheckpoint:
        """As Format.open; `path` is the index file or the prefix."""
        from ckptviewer.formats.bundle_opening import open_bundle

        text = os.fspath(path)
        if not text.endswith(".index") or not os.path.isfile(text):
            text += ".index"
        return open_bundle(text)


def _judge(source: LocalFile) -> tuple[Confidence, str]:
    if not is_table(source):
        if source.name.endswith(".index"):
            return Confidence.MAYBE, "its name is that of an index, its end is not a table's"
        return Confidence.NO, "it is not a table"
    table = Table(source)
    handles = table.handles()
    key, value = next(iter(table.entries(handles[0])), (b"", b"")) if handles else (b"", b"")
    # A bundle's header begins with its number of shards (08), a V1 file's with a message (0a).
    if key == b"" and value[:1] != b"\x0a":
        return Confidence.CERTAIN, "a table whose first record is a bundle's header"
    return Confidence.NO, "a table, but not a bundle's"


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
    ) -> None:
        super().__init__(
            path=contents.prefix,
            format_name=TensorBundleFormat.name,
            variables=variables,
            written_by=written_by,
            findings=findings,
            facts=facts,
        )
        self._contents = contents
        self._shards: dict[int, LocalFile] = {}

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        import numpy as np

        entry = self._readable_entry(variable)
        box = box_of(region, entry.shape)
        if entry.dtype == "string":
            # With the ellipsis a scalar stays an array.
            window: Any = (*(slice(*pair) for pair in box), ...)
            strings: np.ndarray = self._strings(variable, entry)[window].copy()
            return strings
        native = numpy_dtype(entry.dtype)
        if entry.slices:
            self._require_size(variable, entry)
            out = np.empty(box_shape(box), native)
            for extents, part in self._parts(variable, entry):
                self._read_part(part, extents, box, out)
            return out
        source = self._require_size(variable, entry)
        if box_shape(box) != entry.shape:
            out = np.empty(box_shape(box), native)
            read_dense(source, entry.offset, entry.shape, self._stored(native), box, out)
            return out
        whole = np.empty(entry.shape, native)
        raw = whole.reshape(-1).view(np.uint8).data
        source.read_into(raw, entry.offset)
        self._verify(variable, entry, _crc32c(raw))
        return whole.byteswap(inplace=True) if self._swapped(native) else whole

    def chunks(self, variable: Variable, chunk_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        entry = self._readable_entry(variable)
        if entry.dtype == "string":
            strings = self._strings(variable, entry).reshape(-1)
            if strings.size:
                yield strings
            return
        self._require_size(variable, entry)
        parts = self._parts(variable, entry) if entry.slices else (((), entry),)
        native = numpy_dtype(entry.dtype)
        for _, part in parts:
            crc = 0
            source = self._require_size(variable, part)
            for values, raw in dense_chunks(
                source, part.offset, prod(part.shape), self._stored(native), chunk_bytes
            ):
                crc = _crc32c(raw, crc)
                yield values.astype(native) if self._swapped(native) else values
            self._verify(variable, part, crc)

    def checksum(self, variable: Variable) -> int | None:
        """The masked crc32c in the index; None for partitioned variables, which have several."""
        entry = self._contents.entries[variable.key]
        return None if entry.slices else entry.checksum

    def details(self, variable: Variable) -> dict[str, str]:
        entry = self._contents.entries[variable.key]
        if entry.slices:
            return {"Partitioned": f"{len(entry.slices)} slices"} | {
                f"Slice {number}": _place(part)
                for number, (_, part) in enumerate(self._parts(variable, entry))
            }
        return {
            "Data file": os.path.basename(self._shard_path(entry.shard)),
            "Offset": f"{count_text(entry.offset)} bytes",
            "Checksum": f"{entry.checksum:08x} (masked crc32c)",
        }

    def release(self) -> None:
        for source in self._shards.values():
            source.release()

    def _readable_entry(self, variable: Variable) -> BundleEntry:
        entry = self._contents.entries.get(variable.key)
        if entry is None:
            self[variable.key]  # raises with the right words
            raise AssertionError("a variable without an entry")
        if kind_of(entry.dtype) is Kind.OPAQUE:
            raise OpaqueVariableError(
                f"dtype {entry.dtype} has no values that can be shown",
                where=variable.key,
                remedy="Its stored bytes can still be copied.",
            )
        return entry

    def _require_size(self, variable: Variable, entry: BundleEntry) -> LocalFile:
        """The data file of `entry`, once shape, stored size and the file's size agree."""
        needed = prod(entry.shape) * BY_NAME[entry.dtype].item_bytes
        if entry.slices:
            there = sum(part.size for _, part in self._parts(variable, entry))
        else:
            there = entry.size
        if needed != there:
            raise DamagedFileError(
                f"its shape needs {needed:,} bytes, and {there:,} are stored",
                where=variable.key,
                remedy=_COPY_AGAIN,
            )
        source = self._source(entry.shard)
        source.require(entry.offset, entry.size)
        return source

    def _source(self, shard: int) -> LocalFile:
        source = self._shards.get(shard)
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
            self._shards[shard] = source
        return source

    def _shard_path(self, shard: int) -> str:
        return shard_path(self._contents.prefix, shard, self._contents.header.shards)

    def _parts(
        self, variable: Variable, entry: BundleEntry
    ) -> Iterator[tuple[tuple[Extent, ...], BundleEntry]]:
        """The extents and the entry of each slice of a partitioned variable."""
        for extents in entry.slices:
            part = self._contents.slices.get(encode_slice_key(variable.key, extents))
            full = tuple(
                (start, size - start if length < 0 else length)
                for (start, length), size in zip(extents, entry.shape, strict=False)
            )
            fits = len(full) == len(entry.shape) and all(
                0 <= start and 0 <= length and start + length <= size
                for (start, length), size in zip(full, entry.shape, strict=True)
            )
            if part is None or not fits or part.shape != tuple(n for _, n in full):
                raise DamagedFileError(
                    "a slice of this partitioned variable is missing or has the wrong shape",
                    where=variable.key,
                    remedy=_COPY_AGAIN,
                )
            yield full, part

    def _read_part(
        self, part: BundleEntry, extents: tuple[Extent, ...], box: Box, out: np.ndarray
    ) -> None:
        """Fill what the slice at `extents` has of the box into `out`, which has the box's shape."""
        wanted: list[slice] = []
        inside: list[tuple[int, int]] = []
        for (start, length), (low, high) in zip(extents, box, strict=True):
            first, last = max(start, low), min(start + length, high)
            if first >= last:
                return
            inside.append((first - start, last - start))
            wanted.append(slice(first - low, last - low))
        dtype = self._stored(numpy_dtype(part.dtype))
        source = self._source(part.shard)
        target = out[tuple(wanted)] if wanted else out
        read_dense(source, part.offset, part.shape, dtype, tuple(inside), target)

    def _strings(self, variable: Variable, entry: BundleEntry) -> np.ndarray:
        import numpy as np

        if entry.slices:
            raise DamagedFileError("partitioned strings are not known to exist", where=variable.key)
        source = self._source(entry.shard)
        data = source.read(entry.offset, entry.size)
        try:
            strings = split_strings(
                data, prod(entry.shape), entry.checksum, self._contents.header.big_endian
            )
        except DamagedFileError as error:
            raise type(error)(error.what, where=variable.key, remedy=_COPY_AGAIN) from error
        flat = np.empty(len(strings), object)
        flat[:] = strings
        return flat.reshape(entry.shape)

    def _verify(self, variable: Variable, entry: BundleEntry, crc: int) -> None:
        if mask(crc) != entry.checksum:
            raise ChecksumError(
                f"its values do not match their checksum (stored {entry.checksum:08x}, "
                f"found {mask(crc):08x})",
                where=variable.key,
                remedy="The data file was damaged after it was written; copy it again.",
            )

    def _stored(self, native: np.dtype) -> np.dtype:
        return native.newbyteorder(">") if self._contents.header.big_endian else native

    def _swapped(self, native: np.dtype) -> bool:
        return self._contents.header.big_endian and native.itemsize > 1


def _crc32c(data: memoryview, crc: int = 0) -> int:
    from crc32c import crc32c

    return crc32c(data, crc)


def _place(entry: BundleEntry) -> str:
    return (
        f"shard {entry.shard}, offset {count_text(entry.offset)}, "
        f"{count_text(entry.size)} bytes, checksum {entry.checksum:08x}"
    )
