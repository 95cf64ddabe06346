"""NumPy's files: `.npy`, one array, and `.npz`, a zip archive of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint, Region
from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.errors import (
    COPY_FILE,
    DamagedFileError,
    OpaqueVariableError,
    UnreadableFileError,
)
from ckptviewer.checkpoint.findings import Finding
from ckptviewer.checkpoint.text import count_text, exact_size_text
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.dense import Box, box_of, box_shape, dense_chunks, read_dense
from ckptviewer.formats.npy_header import MAGIC
from ckptviewer.formats.npz_opening import NpyEntry, open_npy, open_npz
from ckptviewer.formats.registry import Confidence, Format, Match, match_by
from ckptviewer.formats.zip_members import open_member
from ckptviewer.storage.byte_source import ByteSource, LocalFile
from ckptviewer.storage.zip_directory import DEFLATED, END_MAGIC, LOCAL_BYTES, LOCAL_MAGIC

if TYPE_CHECKING:
    import numpy as np

_LARGEST_UNPACKED_BYTES = 1 << 30  # of what is unpacked at once, if it grows that much
_LARGEST_GROWTH = 100
_BLOCK_BYTES = 64 << 20


class NpzFormat(Format):
    """Files of `numpy.savez`, `numpy.savez_compressed` and `numpy.save`."""

    name = "npz"
    title = "NumPy arrays"

    def probe(self, path: Path) -> Match:
        return match_by(lambda source: (*_judge(source), path), path)

    def open(self, path: Path) -> NpzCheckpoint:
        source = LocalFile(path)
        try:
            alone = source.size >= len(MAGIC) and source.read(0, len(MAGIC)) == MAGIC
            opened = open_npy(source) if alone else open_npz(source)
            return NpzCheckpoint(source, *opened)
        except DamagedFileError as error:
            raise type(error)(
                error.what, where=error.where or source.name, remedy=error.remedy or COPY_FILE
            ) from error
        finally:
            source.release()


def _judge(source: LocalFile) -> tuple[Confidence, str]:
    start = source.read(0, min(source.size, 1024))
    if start.startswith(MAGIC):
        return Confidence.CERTAIN, "it begins as an array of NumPy does"
    named = source.name.lower().endswith(".npz")
    if start.startswith(LOCAL_MAGIC) and len(start) >= LOCAL_BYTES:
        name = start[LOCAL_BYTES : LOCAL_BYTES + int.from_bytes(start[26:28], "little")]
        if name.endswith(b".npy"):
            return Confidence.CERTAIN, "a zip archive whose first member is an array of NumPy"
        end = source.read(max(0, source.size - 4096), min(source.size, 4096))
        if b".npy" in end and END_MAGIC in end:
            return Confidence.MAYBE, "a zip archive with arrays of NumPy among its members"
    if start.startswith(END_MAGIC) and named:
        return Confidence.CERTAIN, "an empty zip archive"
    if named:
        return Confidence.MAYBE, "its name is that of a NumPy archive, its start is not"
    return Confidence.NO, "neither an array of NumPy nor an archive of them"


class NpzCheckpoint(Checkpoint):
    """An open `.npz` or `.npy` file."""

    def __init__(
        self,
        source: LocalFile,
        entries: Mapping[str, NpyEntry],
        variables: Sequence[Variable],
        findings: Sequence[Finding],
        facts: Mapping[str, str],
    ) -> None:
        super().__init__(
            path=os.fspath(source.path),
            format_name=NpzFormat.name,
            variables=variables,
            findings=findings,
            facts=facts,
        )
        self._source = source
        self._entries = entries

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        entry = self._readable(variable)
        box = box_of(region, entry.header.shape)
        return _for_people(self._read_box(variable, entry, box), variable)

    def chunks(self, variable: Variable, chunk_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        entry = self._readable(variable)
        header = entry.header
        if not header.fortran:
            source, offset = self._values_of(entry)
            stored = header.numpy_dtype()
            count = prod(header.shape)
            if not stored.itemsize and count:
                yield self.read(variable).reshape(-1)
            elif count:
                native = stored.newbyteorder("=")
                for values, _ in dense_chunks(source, offset, count, stored, chunk_bytes):
                    yield _for_people(values.astype(native, copy=False), variable)
            return
        step = max(1, chunk_bytes // max(1, header.item_bytes))
        # A packed array can only be read from start to end, and each block takes bytes from all
        # over it: so it is unpacked once, as a whole.
        packed = entry.member is not None and entry.member.method == DEFLATED
        limit = prod(header.shape) if packed else _BLOCK_BYTES // max(1, header.item_bytes)
        for box in _blocks(header.shape, max(1, limit)):
            block = self._read_box(variable, entry, box).reshape(-1)
            for first in range(0, block.size, step):
                yield _for_people(block[first : first + step], variable)

    def details(self, variable: Variable) -> dict[str, str]:
        entry = self._entries[variable.key]
        order = "Fortran (first axis varies fastest)" if entry.header.fortran else "C"
        if entry.member is None:
            return {"Order": order, "Stored as": entry.header.stored or entry.header.dtype}
        return {
            "Member": entry.member.name,
            "Order": order,
            "Stored as": entry.header.stored or entry.header.dtype,
            "Packed": f"{exact_size_text(entry.member.packed_bytes)} of "
            f"{exact_size_text(entry.member.size)}",
            "Offset": f"{count_text(entry.start)} bytes",
            "Checksum": f"{entry.member.crc:08x} (CRC-32)",
        }

    def release(self) -> None:
        self._source.release()

    def _read_box(self, variable: Variable, entry: NpyEntry, box: Box) -> np.ndarray:
        """What lies in the box: native byte order, strings as NumPy has them."""
        import numpy as np

        header = entry.header
        stored = header.numpy_dtype()
        self._require_modest(variable, entry, prod(box_shape(box)) * stored.itemsize)
        source, offset = self._values_of(entry)
        turned = slice(None, None, -1) if header.fortran else slice(None)
        try:
            out = np.empty(box_shape(box)[turned], stored.newbyteorder("="))
        except MemoryError as error:
            raise _too_large(variable, "its values are more than memory can hold") from error
        if stored.itemsize:
            read_dense(source, offset, header.shape[turned], stored, box[turned], out)
        return out.T if header.fortran else out

    def _require_modest(self, variable: Variable, entry: NpyEntry, wanted: int) -> None:
        """Raise where a small packed member would fill memory: it may have been made to do so."""
        if entry.member is not None and entry.member.method == DEFLATED:
            limit = max(_LARGEST_UNPACKED_BYTES, _LARGEST_GROWTH * entry.member.packed_bytes)
            if wanted > limit:
                raise _too_large(
                    variable,
                    f"{entry.member.packed_bytes:,} packed bytes would fill {wanted:,} of memory",
                )

    def _values_of(self, entry: NpyEntry) -> tuple[ByteSource, int]:
        """A source for one reader, and where in it the values begin."""
        if entry.member is None:
            return self._source, entry.header.data_offset
        # Its header was read on opening; read again, it goes into the checksum of the whole.
        source = open_member(self._source, entry.member, entry.start)
        source.read(0, entry.header.data_offset)
        return source, entry.header.data_offset

    def _readable(self, variable: Variable) -> NpyEntry:
        entry = self._entries.get(variable.key)
        if entry is None:
            self[variable.key]  # raises with the right words
            raise AssertionError("a variable without an entry")
        if entry.problem is not None:
            raise type(entry.problem)(
                entry.problem.what, where=variable.key, remedy=entry.problem.remedy or COPY_FILE
            )
        if kind_of(entry.header.dtype) is Kind.OPAQUE:
            raise OpaqueVariableError(
                f"dtype {entry.header.dtype} has no values that can be shown",
                where=variable.key,
                remedy="Save it as an array of plain numbers or texts.",
            )
        return entry


def _blocks(shape: tuple[int, ...], limit: int) -> Iterator[Box]:
    """Boxes that together are the whole, in C order, of about `limit` elements at most."""
    if not prod(shape):
        return
    if prod(shape) <= limit:
        yield tuple((0, size) for size in shape)
        return
    inner = prod(shape[1:])
    if inner > limit:
        for index in range(shape[0]):
            for box in _blocks(shape[1:], limit):
                yield ((index, index + 1), *box)
        return
    rows = limit // inner
    for first in range(0, shape[0], rows):
        yield ((first, min(first + rows, shape[0])), *((0, size) for size in shape[1:]))


def _for_people(values: np.ndarray, variable: Variable) -> np.ndarray:
    """The values as a Checkpoint gives them: fixed-width texts become objects of UTF-8 bytes."""
    import numpy as np

    if values.dtype.kind not in "SU":
        return values
    out = np.empty(values.shape, object)
    try:
        texts = values.reshape(-1).tolist()
        if values.dtype.kind == "U":
            texts = [text.encode("utf-8", "surrogatepass") for text in texts]
    except (ValueError, SystemError) as error:
        raise DamagedFileError(
            "its texts have characters that Unicode does not know",
            where=variable.key,
            remedy=COPY_FILE,
        ) from error
    out.reshape(-1)[:] = texts
    return out


def _too_large(variable: Variable, what: str) -> UnreadableFileError:
    return UnreadableFileError(what, where=variable.key, remedy="Read it in regions or in chunks.")
