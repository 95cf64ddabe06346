"""Writing V2 tensor bundles that TensorFlow reads, in bounded memory and without TensorFlow.

Source of the format: tensorflow/core/util/tensor_bundle/tensor_bundle.cc (BundleWriter),
tensorflow/core/protobuf/tensor_bundle.proto.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from ckptviewer.checkpoint.dtypes import BY_NAME, Kind, numpy_dtype
from ckptviewer.checkpoint.errors import DamagedFileError, UnreadableFileError
from ckptviewer.formats.bundle_checkpoint import shard_path
from ckptviewer.formats.bundle_strings import join_strings
from ckptviewer.formats.sstable import mask
from ckptviewer.formats.sstable_writer import table_parts, varint
from ckptviewer.storage.atomic import Flushing, NewFile
from ckptviewer.storage.byte_source import LocalFile

if TYPE_CHECKING:
    import numpy as np

MOST_SHARDS = 99_999
_LARGEST_RANK = 254  # TensorShape::MaxDimensions
_DATA_FILE = re.compile(r"\.data-(\d{5})-of-(\d{5})")
_LEAST_SHARED_BYTES = 1024
_PRODUCER = 1  # kTensorBundleVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor to be written.

    key: under which it is stored. dtype: TensorFlow's name. shape: its sizes.
    chunks: its content from start to end. With `checksum`, bytes as `Checkpoint.stored_chunks`
        gives them; without, arrays of its dtype whose elements follow one another in C order.
    checksum: masked crc32c of stored bytes; None where values are given.
    """

    key: str
    dtype: str
    shape: tuple[int, ...]
    chunks: Iterable[memoryview] | Iterable[np.ndarray]
    checksum: int | None = None


class _Place(NamedTuple):
    """Where the content of a tensor lies, and its masked checksum."""

    shard: int
    offset: int
    size: int
    checksum: int


class _Shared:
    """Finds content that was written before, so that it is not written twice."""

    def __init__(self) -> None:
        self._places: dict[tuple[int, int], _Place] = {}

    def place(self, place: _Place, files: Sequence[NewFile]) -> _Place:
        """Where the same bytes lie already, and then they are taken back; else `place` itself."""
        if place.size < _LEAST_SHARED_BYTES:
            return place
        known = self._places.setdefault(place[2:], place)
        if known is place or not _same_bytes(known, place, files):
            return place
        files[place.shard].cut(place.offset)
        return known


def _same_bytes(one: _Place, other: _Place, files: Sequence[NewFile]) -> bool:
    """Whether equal bytes lie at both places; equal checksums alone do not say so."""
    first, second = (LocalFile(files[each.shard].path) for each in (one, other))
    step = 1 << 20
    return all(
        first.read(one.offset + start, min(step, one.size - start))
        == second.read(other.offset + start, min(step, one.size - start))
        for start in range(0, one.size, step)
    )


def why_unwritable(key: str, dtype: str, shape: tuple[int, ...]) -> str:
    """Why a bundle cannot hold such a variable, one clause; empty where it can."""
    if not key:
        return "its key is empty, which in a bundle is the header's"
    if key[0] == "\0":
        return "its key begins with a zero byte, as only those of slices do in a bundle"
    known = BY_NAME.get(dtype)
    if known is None or dtype == "resource":
        return f"TensorFlow cannot store its dtype {dtype}"
    if len(shape) > _LARGEST_RANK:
        return f"it has {len(shape)} axes, and TensorFlow takes {_LARGEST_RANK}"
    return ""


def write_bundle(
    prefix: str,
    tensors: Iterable[Tensor],
    *,
    shard_bytes: int | None = None,
    taken_counts: Collection[int] = (),
    share_equal: bool = False,
    flushing: Flushing | None = None,
) -> list[str]:
    """Write a bundle whose files must not exist; returns their paths, flushed, the index last.

    shard_bytes: begin another data file rather than exceed this; a larger tensor has one of its
        own. None: one data file.
    taken_counts: numbers of data files that the bundle must not have, so that its data files can
        stand beside those of another; empty data files make up the difference.
    share_equal: write the bytes of equal tensors once; entries may refer to the same bytes.
    flushing: flushes the files; they may not be on the disk before its `wait`.

    Raises UnwritableFileError, what reading the content raises, DamagedFileError where the content
    is not what shape and dtype need, ValueError for what `why_unwritable` tells and repeated keys.
    """
    entries: dict[bytes, bytes] = {}
    flushing = flushing or Flushing()
    shared = _Shared() if share_equal else None
    with ExitStack() as stack:
        files: list[NewFile] = []
        for tensor in tensors:
            reason = why_unwritable(tensor.key, tensor.dtype, tensor.shape)
            key = tensor.key.encode("utf-8", "surrogateescape")
            if reason or key in entries:
                raise ValueError(f"{tensor.key}: {reason or 'the key is repeated'}")
            if not files or _is_full(files[-1], tensor, shard_bytes):
                files.append(_next_file(prefix, files, stack, flushing))
            file = files[-1]
            offset = file.size
            checksum = _write_content(file, tensor)
            place = _Place(len(files) - 1, offset, file.size - offset, checksum)
            entries[key] = _entry(tensor, shared.place(place, files) if shared else place)
            flushing.begin(file)
        count = max(1, len(files))
        while count in taken_counts:
            count += 1
        while len(files) < count:
            files.append(_next_file(prefix, files, stack, flushing))
        flushing.add(files[-1])
    paths = [shard_path(prefix, number, count) for number in range(count)]
    for file, path in zip(files, paths, strict=True):
        file.rename(path)
    return [*paths, _write_index(prefix, entries, count, flushing)]


def data_files(prefix: str) -> dict[str, int]:
    """The data files that stand under the name of the bundle `prefix`, and how many each tells of.

    Those of another save that went before are among them. Raises UnreadableFileError.
    """
    directory, base = os.path.split(prefix)
    try:
        names = os.listdir(directory or ".")
    except OSError as error:
        what = "the directory cannot be listed"
        raise UnreadableFileError.refused(what, directory, error) from error
    found = {}
    for name in names:
        match = _DATA_FILE.fullmatch(name, len(base)) if name.startswith(base) else None
        if match:
            found[os.path.join(directory, name)] = int(match[2])
    return found


def _is_full(file: NewFile, tensor: Tensor, shard_bytes: int | None) -> bool:
    if shard_bytes is None or not file.size:
        return False
    coming = prod(tensor.shape) * BY_NAME[tensor.dtype].item_bytes
    return file.size + coming > shard_bytes or file.size >= shard_bytes


def _next_file(prefix: str, files: list[NewFile], stack: ExitStack, flushing: Flushing) -> NewFile:
    if files:
        flushing.add(files[-1])
        files[-1].close()
    if len(files) == MOST_SHARDS:
        raise ValueError(f"a bundle has at most {MOST_SHARDS} data files")
    return stack.enter_context(NewFile(f"{prefix}.data-{len(files):05d}"))


def _write_content(file: NewFile, tensor: Tensor) -> int:
    """Append the content of a tensor; returns its masked checksum."""
    from crc32c import crc32c

    known = BY_NAME[tensor.dtype]
    if tensor.checksum is None and known.kind is Kind.STRING:
        strings = [each for chunk in _arrays(tensor) for each in chunk.tolist()]
        if len(strings) != prod(tensor.shape):
            raise _wrong_size(tensor, f"{len(strings):,} strings")
        stored, checksum = join_strings(strings)
        file.write(stored)
        return checksum
    start, crc = file.size, 0
    for piece in _stored(tensor):
        if tensor.checksum is None:
            crc = crc32c(piece, crc)
        file.write(piece)
    written = file.size - start
    if known.item_bytes and written != prod(tensor.shape) * known.item_bytes:
        raise _wrong_size(tensor, f"{written:,} bytes")
    return mask(crc) if tensor.checksum is None else tensor.checksum


def _stored(tensor: Tensor) -> Iterator[memoryview]:
    """The bytes of a tensor as they stand in the file."""
    import numpy as np

    if tensor.checksum is not None:
        for piece in tensor.chunks:
            assert isinstance(piece, memoryview)
            yield piece
        return
    dtype = numpy_dtype(tensor.dtype)
    for values in _arrays(tensor):
        if values.dtype != dtype:
            raise ValueError(f"{tensor.key}: values of {values.dtype} for {tensor.dtype}")
        if sys.byteorder == "big":
            values = values.byteswap()
        yield np.ascontiguousarray(values).reshape(-1).view(np.uint8).data


def _arrays(tensor: Tensor) -> Iterator[np.ndarray]:
    for values in tensor.chunks:
        assert not isinstance(values, memoryview)
        yield values


def _wrong_size(tensor: Tensor, found: str) -> DamagedFileError:
    return DamagedFileError(
        f"its source gave {found}, which is not what its shape needs", where=tensor.key
    )


def _write_index(prefix: str, entries: dict[bytes, bytes], count: int, flushing: Flushing) -> str:
    header = _number(1, count) + _message(3, _number(1, _PRODUCER))
    with NewFile(prefix + ".index") as file:
        for part in table_parts([(b"", header), *sorted(entries.items())]):
            file.write(part)
        flushing.add(file)
        return file.path


def _entry(tensor: Tensor, place: _Place) -> bytes:
    """A BundleEntryProto."""
    shard, offset, size, checksum = place
    shape = b"".join(_message(2, _number(1, axis)) for axis in tensor.shape)
    return b"".join(
        (
            _number(1, BY_NAME[tensor.dtype].number),
            _message(2, shape),
            _number(3, shard),
            _number(4, offset),
            _number(5, size),
            b"\x35" + checksum.to_bytes(4, "little") if checksum else b"",
        )
    )


def _number(field: int, value: int) -> bytes:
    """A field of a protobuf message that holds a number; nothing for zero, its default."""
    return varint(field << 3) + varint(value) if value else b""


def _message(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content
