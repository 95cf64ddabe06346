"""Proof that what was written is what it was made from: every kept tensor, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.casting import CastLoss, cast_loss, cast_values
from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint
from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.errors import DamagedFileError, UnwritableFileError
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.export.content import Content, Part
from ckptviewer.export.values import values_in_order
from ckptviewer.formats.bundle_checkpoint import BundleCheckpoint
from ckptviewer.storage.byte_source import ByteSource

if TYPE_CHECKING:
    import numpy as np

Extent = tuple[ByteSource, int, int]
Step = Callable[[int, str], None]


class Proof:
    """What was found on comparing what was written with its source.

    checksums: by key written, as "masked-crc32c:0123abcd" (as a bundle stores it) or, for formats
        that store none, "crc32c:0123abcd" of the bytes that were read back.
    losses: by key in the source, of what was cast.
    """

    def __init__(self) -> None:
        self.checksums: dict[str, str] = {}
        self.losses: dict[str, CastLoss] = {}


def verify(content: Content, written: Checkpoint, step: Step) -> Proof:
    """Compare all that was written with its source, bit for bit; what was cast, with its cast.

    step: told how many bytes were compared, and of which variable, as this goes on.
    Raises UnwritableFileError that names what differs; ChangedFileError and DamagedFileError where
    the source can no longer be read.
    """
    parts = {part.kept.key_written: part for part in content.parts()}
    found = set(written.by_key)
    if found != parts.keys():
        odd = min(found ^ parts.keys())
        raise _different(odd, "is missing" if odd in parts else "was not asked for")
    if written.findings:
        raise _different(content.plan.source, written.findings[0].message)
    proof = Proof()
    for key, part in parts.items():
        copy, variable = written.by_key[key], part.variable
        if (copy.dtype, copy.shape) != (variable.dtype, variable.shape):
            raise _different(key, "has another dtype or shape")
        try:
            same = _Comparing(content, written, proof, step).is_same(part, copy)
        except DamagedFileError as error:
            if error.where not in (key, copy.key) or variable.key != key:
                raise
            raise _different(key, error.what) from error
        if not same:
            raise _different(key, "has other content")
    return proof


class _Comparing:
    """Compares one tensor."""

    def __init__(self, content: Content, written: Checkpoint, proof: Proof, step: Step) -> None:
        self._content = content
        self._written = written
        self._proof = proof
        self._step = step

    def is_same(self, part: Part, copy: Variable) -> bool:
        variable, written = part.variable, self._written
        stored = written.checksum(copy) if written.format_name == "tf-bundle" else None
        if stored is not None:
            self._proof.checksums[copy.key] = f"masked-crc32c:{stored:08x}"
        if part.made is not None:
            values = written.read(copy).reshape(-1)
            return values.dtype == part.made.dtype and values.tolist() == part.made.tolist()
        view = self._content.view
        if isinstance(view, BundleCheckpoint) and isinstance(written, BundleCheckpoint):
            mine, other = written.extent(copy), view.extent(variable)
            if mine is not None and other is not None:
                # On the way the bytes of the source proved to be those of this checksum.
                equal_sums = stored == view.checksum(variable)
                return equal_sums and _same_extents(mine, other, self._step, variable.key)
        if kind_of(variable.dtype) is Kind.STRING:
            return self._same_strings(variable, copy)
        ours, theirs = written.stored_chunks(copy, _CHUNK), view.stored_chunks(variable, _CHUNK)
        if ours is None or theirs is None:
            ours = _raw(values_in_order(written, copy))
            if stored is None:
                ours = self._summed(ours, copy.key)
            theirs = _raw(self._values(part))
        return _same_bytes(ours, theirs, self._step, variable.key)

    def _same_strings(self, variable: Variable, copy: Variable) -> bool:
        one, other = (
            [each for values in values_in_order(*pair) for each in values.tolist()]
            for pair in ((self._content.view, variable), (self._written, copy))
        )
        self._step(copy.stored_bytes, variable.key)
        return one == other

    def _values(self, part: Part) -> Iterator[np.ndarray]:
        """The values that were to be written; what a cast loses is noted."""
        variable, source = part.variable, self._content.source
        if not part.kept.dtype:
            yield from values_in_order(source, variable)
            return
        loss = CastLoss()
        for values in values_in_order(source, source[variable.key]):
            cast = cast_values(values, part.kept.dtype)
            loss += cast_loss(values, cast)
            yield cast
        self._proof.losses[part.kept.key] = loss

    def _summed(self, pieces: Iterator[memoryview], key: str) -> Iterator[memoryview]:
        from crc32c import crc32c

        crc = 0
        for piece in pieces:
            crc = crc32c(piece, crc)
            yield piece
        self._proof.checksums[key] = f"crc32c:{crc:08x}"


_CHUNK = CHUNK_BYTES // 4  # two of them, and what they are compared by, fit into a cache


def _same_extents(one: Extent, other: Extent, step: Step, key: str) -> bool:
    """Whether the same bytes lie in two places; read into buffers that stay in the cache."""
    (first, start, size), (second, other_start, other_size) = one, other
    if size != other_size:
        return False
    length = min(_CHUNK, size)
    buffers = bytearray(length), bytearray(length)
    for at in range(0, size, _CHUNK):
        if size - at < length:
            length = size - at
            buffers = bytearray(length), bytearray(length)
        first.read_into(buffers[0], start + at)
        second.read_into(buffers[1], other_start + at)
        if buffers[0] != buffers[1]:  # of bytearrays this is the processor's own comparison
            return False
        step(length, key)
    return True


def _raw(pieces: Iterator[np.ndarray]) -> Iterator[memoryview]:
    import numpy as np

    for values in pieces:
        yield np.ascontiguousarray(values).reshape(-1).view(np.uint8).data


def _same_bytes(
    one: Iterator[memoryview], other: Iterator[memoryview], step: Step, key: str
) -> bool:
    """Whether two sequences of pieces, cut differently perhaps, are the same bytes.

    Both are read to their ends, where they tell whether their checksums held.
    """
    same = True
    left = right = memoryview(b"")
    while True:
        if not left:
            left = next(filter(len, one), left)
        if not right:
            right = next(filter(len, other), right)
        size = min(len(left), len(right))
        if not size:
            break
        same = same and _equal(left[:size], right[:size])
        left, right = left[size:], right[size:]
        step(size, key)
    rest = [piece for pair in zip_longest(one, other) for piece in pair if piece]
    return same and not (left or right or rest)


def _equal(one: memoryview, other: memoryview) -> bool:
    """Whether two pieces of one length are the same bytes."""
    import numpy as np

    whole = len(one) // 8 * 8  # eight at a time: NumPy notes down each result
    a, b = (np.frombuffer(piece[:whole], np.uint64) for piece in (one, other))
    return bool(np.array_equal(a, b)) and bytes(one[whole:]) == bytes(other[whole:])


def _different(where: str, what: str) -> UnwritableFileError:
    return UnwritableFileError(
        f"what was written does not read back as its source: {what}",
        where=where,
        remedy="Check the disk and the memory of this machine; nothing was put in place.",
    )
