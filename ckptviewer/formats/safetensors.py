"""safetensors files: a JSON header, and the tensors behind it in one run of bytes.

Source of the format: the safetensors project's README and its reference reader. 8 bytes: length of
the header (little-endian). The header: a JSON object, name to {dtype, shape, data_offsets}, and
perhaps `__metadata__`, text to text. The rest: the values, little-endian, in C order, without gaps.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint, Region
from ckptviewer.checkpoint.dtypes import Kind, kind_of, numpy_dtype
from ckptviewer.checkpoint.errors import (
    COPY_FILE,
    DamagedFileError,
    OpaqueVariableError,
    TruncatedFileError,
)
from ckptviewer.checkpoint.findings import Finding
from ckptviewer.checkpoint.roles import describe_by_name
from ckptviewer.checkpoint.text import count_text, natural_sorted
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.dense import box_of, box_shape, dense_chunks, new_array, read_dense
from ckptviewer.formats.registry import Confidence, Format, Match, match_by
from ckptviewer.formats.safetensors_header import (
    LARGEST_HEADER_BYTES,
    NAME,
    Entry,
    check_layout,
    parse_header,
)
from ckptviewer.storage.byte_source import LocalFile

if TYPE_CHECKING:
    import numpy as np

_SHOWN_METADATA = 50


class SafetensorsFormat(Format):
    """Files of the safetensors library, whatever their extension."""

    name = "safetensors"
    title = "safetensors"

    def probe(self, path: Path) -> Match:
        def judge(source: LocalFile) -> tuple[Confidence, str, Path]:
            from ckptviewer.formats.safetensors_shards import is_map, map_of_shard

            confidence, reason = _judge(source)
            if confidence is not Confidence.CERTAIN and is_map(source):
                return Confidence.CERTAIN, "a map of tensors to safetensors files", path
            whole = path if confidence is Confidence.NO else map_of_shard(path)
            return confidence, reason, whole

        return match_by(judge, path)

    def open(self, path: Path) -> Checkpoint:
        from ckptviewer.formats.safetensors_shards import is_map, open_map

        source = LocalFile(path)
        try:
            return open_map(source, path) if is_map(source) else open_file(source)
        finally:
            source.release()


def _judge(source: LocalFile) -> tuple[Confidence, str]:
    start = source.read(0, min(source.size, 4096))
    length, header = int.from_bytes(start[:8], "little"), start[8:]
    named = source.name.lower().endswith(".safetensors")
    text = header[: min(length, len(header))].strip()
    looks_right = (
        NAME.match(text, 1) and (b'"dtype"' in text or b'"__metadata__"' in text)
    ) or re.fullmatch(rb"\{\s*\}", text)
    if looks_right and text.startswith(b"{"):
        return Confidence.CERTAIN, "a JSON header of tensors behind its length"
    if named:
        return Confidence.MAYBE, "its name is that of a safetensors file, its start is not"
    return Confidence.NO, "no JSON header of tensors stands at its start"


def open_file(source: LocalFile) -> SafetensorsCheckpoint:
    """The checkpoint in one file. Raises DamagedFileError, TruncatedFileError."""
    length = _header_length(source)
    try:
        entries, metadata = parse_header(source.read(8, length))
    except DamagedFileError as error:
        raise DamagedFileError(error.what, where=source.name, remedy=COPY_FILE) from error
    data_start = 8 + length
    entries, findings = check_layout(entries, source.size - data_start, data_start)
    keys = natural_sorted(list(entries), key=str)
    described = describe_by_name([(key, entries[key].dtype, entries[key].shape) for key in keys])
    variables = [
        Variable(
            key,
            about.name,
            entries[key].dtype,
            entries[key].shape,
            entries[key].stop - entries[key].start,
            about.role,
            about.slot_of,
            about.slot_name,
            about.trainable,
            about.object_path,
        )
        for key, about in zip(keys, described, strict=True)
    ]
    facts = {"Header": f"{count_text(length)} bytes"}
    facts |= {f"Metadata: {name}": text for name, text in list(metadata.items())[:_SHOWN_METADATA]}
    return SafetensorsCheckpoint(source, entries, data_start, variables, findings, facts)


def _header_length(source: LocalFile) -> int:
    if source.size < 8:
        raise TruncatedFileError(
            f"it has {source.size} bytes, and the length of its header alone takes 8",
            where=source.name,
            remedy=COPY_FILE,
        )
    length = int.from_bytes(source.read(0, 8), "little")
    if length > LARGEST_HEADER_BYTES:
        raise DamagedFileError(
            f"its header is said to have {length:,} bytes, and {LARGEST_HEADER_BYTES:,} are the "
            "most that the format allows",
            where=source.name,
            remedy=COPY_FILE,
        )
    if 8 + length > source.size:
        raise TruncatedFileError(
            f"its header is said to end at byte {8 + length:,}, and the file at {source.size:,}",
            where=source.name,
            remedy=COPY_FILE,
        )
    return length


class SafetensorsCheckpoint(Checkpoint):
    """An open safetensors file."""

    def __init__(
        self,
        source: LocalFile,
        entries: Mapping[str, Entry],
        data_start: int,
        variables: Sequence[Variable],
        findings: Sequence[Finding],
        facts: Mapping[str, str],
    ) -> None:
        super().__init__(
            path=os.fspath(source.path),
            format_name=SafetensorsFormat.name,
            variables=variables,
            findings=findings,
            facts=facts,
        )
        self._source = source
        self._entries = entries
        self._data_start = data_start

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        entry, stored = self._readable(variable)
        box = box_of(region, entry.shape)
        out = new_array(box_shape(box), stored.newbyteorder("="), variable.key)
        read_dense(self._source, self._data_start + entry.start, entry.shape, stored, box, out)
        return out

    def chunks(self, variable: Variable, chunk_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        entry, stored = self._readable(variable)
        start, count = self._data_start + entry.start, prod(entry.shape)
        for values, _ in dense_chunks(self._source, start, count, stored, chunk_bytes):
            yield values if stored.isnative else values.astype(stored.newbyteorder("="))

    def details(self, variable: Variable) -> dict[str, str]:
        entry = self._entries[variable.key]
        return {"Offset": f"{count_text(self._data_start + entry.start)} bytes"}

    def release(self) -> None:
        self._source.release()

    def _readable(self, variable: Variable) -> tuple[Entry, np.dtype]:
        """The entry and the dtype as stored, once nothing stands against reading the values."""
        entry = self._entries.get(variable.key)
        if entry is None:
            self[variable.key]  # raises with the right words
            raise AssertionError("a variable without an entry")
        if kind_of(entry.dtype) is Kind.OPAQUE:
            raise OpaqueVariableError(
                f"dtype {entry.dtype} has no values that can be shown",
                where=variable.key,
                remedy="Its stored bytes can still be copied.",
            )
        if entry.problem:
            raise DamagedFileError(entry.problem, where=variable.key, remedy=COPY_FILE)
        native = numpy_dtype(entry.dtype)
        return entry, native.newbyteorder("<") if native.isbuiltin == 1 else native
