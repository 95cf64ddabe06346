"""TensorFlow's V1 checkpoints: tables that hold the values themselves, one or several of them.

Source of the format: tensorflow/core/util/tensor_slice_writer.cc and tensor_slice_reader.cc.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint, Region
from ckptviewer.checkpoint.dtypes import Kind, kind_of, numpy_dtype
from ckptviewer.checkpoint.errors import (
    COPY_CHECKPOINT,
    CkptviewerError,
    DamagedFileError,
    OpaqueVariableError,
    UnreadableFileError,
)
from ckptviewer.checkpoint.findings import Finding
from ckptviewer.checkpoint.text import count_text
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.dense import Box, box_of, box_shape, dense_chunks, read_dense
from ckptviewer.formats.registry import Confidence, Format, Match
from ckptviewer.formats.sstable import is_table
from ckptviewer.formats.tensor_proto import tensor_values
from ckptviewer.formats.v1_opening import V1Part, V1Tensor, open_v1, shard_files
from ckptviewer.formats.v1_tables import starts_like_v1
from ckptviewer.formats.v1_values import BlockCheck, dense_offset, value_of
from ckptviewer.storage.byte_source import LocalFile

if TYPE_CHECKING:
    import numpy as np


class TfV1Format(Format):
    """Checkpoints of `tf.train.Saver` before the tensor bundles, sharded ones too."""

    name = "tf-v1"
    title = "TensorFlow checkpoint, V1"

    def probe(self, path: Path) -> Match:
        """As Format.probe; Match.path is the file, or the first shard that is there."""
        reason = "there is no table of the first version"
        for candidate in _candidates(path):
            try:
                source = LocalFile(candidate)
            except (CkptviewerError, ValueError):
                continue
            try:
                confidence, reason = _judge(source)
            except CkptviewerError as error:
                confidence, reason = Confidence.NO, error.what
            finally:
                source.release()
            if confidence:
                files = shard_files(os.fspath(candidate))
                first = min(files.values(), default=os.fspath(candidate))
                return Match(confidence=confidence, reason=reason, path=Path(first))
        return Match(confidence=Confidence.NO, reason=reason, path=path)

    def open(self, path: Path) -> V1Checkpoint:
        """As Format.open; of a sharded checkpoint, any shard will do."""
        return V1Checkpoint(*open_v1(os.fspath(path)))


def _candidates(path: Path) -> Iterator[Path]:
    yield path
    files = shard_files(os.fspath(path))
    if files:
        yield Path(files[min(files)])


def _judge(source: LocalFile) -> tuple[Confidence, str]:
    if not starts_like_v1(source.read(0, min(source.size, 64))):
        return Confidence.NO, "it does not begin with a list of tensors"
    if is_table(source):
        return Confidence.CERTAIN, "a table whose first record is a list of tensors"
    return Confidence.MAYBE, "it begins as a table with a list of tensors, and does not end as one"


class V1Checkpoint(Checkpoint):
    """An open V1 checkpoint."""

    def __init__(
        self,
        path: str,
        tensors: Mapping[str, V1Tensor],
        variables: Sequence[Variable],
        written_by: str | None,
        findings: Sequence[Finding],
        facts: Mapping[str, str],
    ) -> None:
        super().__init__(
            path=path,
            format_name=TfV1Format.name,
            variables=variables,
            written_by=written_by,
            findings=findings,
            facts=facts,
        )
        self._tensors = tensors
        self._sources = {part.source for tensor in tensors.values() for part in tensor.parts}

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        import numpy as np

        tensor = self._readable(variable)
        box = box_of(region, tensor.shape)
        try:
            out = np.empty(box_shape(box), numpy_dtype(tensor.dtype))
            for part in tensor.parts:
                self._fill(out, variable, part, box)
        except MemoryError as error:
            raise UnreadableFileError(
                "its values are more than memory can hold",
                where=variable.key,
                remedy="Read it in regions or in chunks.",
            ) from error
        return out

    def chunks(self, variable: Variable, chunk_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        tensor = self._readable(variable)
        native = numpy_dtype(tensor.dtype)
        for part in tensor.parts:
            count = prod(part.shape)
            offset = dense_offset(part, tensor.dtype)
            if offset < 0:
                values = self._unpacked(variable, part)
                step = max(1, chunk_bytes // native.itemsize)
                for first in range(0, count, step):
                    yield values[first : first + step]
                continue
            check = BlockCheck(part, variable.key)
            check.pass_until(offset)
            stored = native.newbyteorder("<") if native.isbuiltin == 1 else native
            for piece, raw in dense_chunks(part.source, offset, count, stored, chunk_bytes):
                check.update(raw)
                yield piece.astype(native, copy=False)
            check.finish()

    def in_order(self, variable: Variable) -> bool:
        return len(self._tensors[variable.key].parts) == 1

    def details(self, variable: Variable) -> dict[str, str]:
        parts = self._tensors[variable.key].parts
        if len(parts) == 1:
            return _place(parts[0])
        texts = (", ".join(_place(part).values()) for part in parts)
        return {"Partitioned": f"{len(parts)} slices"} | {
            f"Slice {number}": text for number, text in enumerate(texts)
        }

    def release(self) -> None:
        for source in self._sources:
            source.release()

    def _fill(self, out: np.ndarray, variable: Variable, part: V1Part, box: Box) -> None:
        """Copy what the part has of the box into `out`, which has the box's shape."""
        wanted: list[slice] = []
        inside: list[tuple[int, int]] = []
        for (start, length), (low, high) in zip(part.extents, box, strict=True):
            first, last = max(start, low), min(start + length, high)
            if first >= last:
                return
            inside.append((first - start, last - start))
            wanted.append(slice(first - low, last - low))
        target = out[tuple(wanted)] if wanted else out
        offset = dense_offset(part, variable.dtype)
        if offset >= 0 and box_shape(tuple(inside)) != part.shape:
            stored = out.dtype.newbyteorder("<") if out.dtype.isbuiltin == 1 else out.dtype
            read_dense(part.source, offset, part.shape, stored, tuple(inside), target)
            return
        if offset >= 0 and target.flags.c_contiguous and out.dtype.isnative:
            self._read_checked(target, variable, part, offset)
            return
        values = self._unpacked(variable, part).reshape(part.shape)
        target[...] = values[tuple(slice(*pair) for pair in inside)] if inside else values

    def _read_checked(
        self, target: np.ndarray, variable: Variable, part: V1Part, offset: int
    ) -> None:
        """Read a whole slice into `target`, and check its block on the way."""
        import sys

        import numpy as np

        raw = memoryview(target.reshape(-1).view(np.uint8).data)
        check = BlockCheck(part, variable.key)
        check.pass_until(offset)
        part.source.read_into(raw, offset)
        check.update(raw)
        check.finish()
        if sys.byteorder == "big":
            target.byteswap(inplace=True)

    def _unpacked(self, variable: Variable, part: V1Part) -> np.ndarray:
        """All values of a slice, flat, from its TensorProto."""
        try:
            return tensor_values(value_of(part), variable.dtype, prod(part.shape))
        except (DamagedFileError, OpaqueVariableError) as error:
            raise type(error)(
                error.what, where=variable.key, remedy=error.remedy or COPY_CHECKPOINT
            ) from error

    def _readable(self, variable: Variable) -> V1Tensor:
        tensor = self._tensors.get(variable.key)
        if tensor is None:
            self[variable.key]  # raises with the right words
            raise AssertionError("a variable without a tensor")
        if kind_of(tensor.dtype) is Kind.OPAQUE:
            raise OpaqueVariableError(
                f"dtype {tensor.dtype} has no values that can be shown", where=variable.key
            )
        if tensor.problem:
            raise DamagedFileError(tensor.problem, where=variable.key, remedy=COPY_CHECKPOINT)
        return tensor


def _place(part: V1Part) -> dict[str, str]:
    where = {"Data file": os.path.basename(part.source.name)}
    if part.place.start >= 0:
        where["Offset"] = f"{count_text(part.place.start)} bytes"
    return where
