"""String tensors, and variants, as tensor bundles store them.

Layout, from tensorflow/core/util/tensor_bundle/tensor_bundle.cc (WriteStringTensor): the length of
each element as a varint, a masked crc32c of the lengths (4 bytes), then the elements' bytes. The
lengths enter the checksums as fixed integers of 4 bytes (8 where one does not fit) and not as the
varints that stand in the file. A variant tensor has for each element the length as a varint, the
bytes, and a checksum of 4 bytes; its lengths enter the checksum as 8 bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ckptviewer.checkpoint.errors import COPY_CHECKPOINT, ChecksumError, DamagedFileError
from ckptviewer.formats.sstable import mask, read_varint


def split_strings(data: bytes, count: int, checksum: int, big_endian: bool) -> list[bytes]:
    """The `count` elements of a string tensor stored as `data`, checked against both checksums.

    Raises DamagedFileError, ChecksumError.
    """
    if count > len(data):
        raise DamagedFileError(f"{count:,} strings cannot lie in {len(data):,} bytes")
    lengths, position = _lengths(data, count)
    order: Literal["big", "little"] = "big" if big_endian else "little"
    crc = _crc(b"".join([n.to_bytes(4 if n < 1 << 32 else 8, order) for n in lengths]))
    stored = data[position : position + 4]
    position += 4
    if len(data) - position != sum(lengths):
        raise DamagedFileError(
            f"its strings take {sum(lengths):,} bytes, and {len(data) - position:,} are there"
        )
    if int.from_bytes(stored, order) != mask(crc):
        raise ChecksumError("the lengths of its strings do not match their checksum")
    if mask(_crc(data[position:], _crc(stored, crc))) != checksum:
        raise ChecksumError("its strings do not match their checksum")
    strings = []
    for length in lengths:
        strings.append(data[position : position + length])
        position += length
    return strings


def join_strings(strings: Sequence[bytes]) -> tuple[bytes, int]:
    """The bytes that store a string tensor on a little-endian machine, and their masked crc."""
    from ckptviewer.formats.sstable_writer import varint

    fixed = [n.to_bytes(4 if n < 1 << 32 else 8, "little") for n in map(len, strings)]
    crc = _crc(b"".join(fixed))
    checksum = mask(crc).to_bytes(4, "little")
    text = b"".join(strings)
    stored = b"".join([varint(len(each)) for each in strings]) + checksum + text
    return stored, mask(_crc(text, _crc(checksum, crc)))


def variants_crc(data: bytes, count: int, where: str) -> int:
    """The crc, not masked, of a tensor of `count` variants stored as `data` (little-endian).

    Raises DamagedFileError, which names `where`, if lengths and size contradict.
    """
    crc = position = 0
    for _ in range(count):
        if position >= len(data):
            break
        length, position = read_varint(data, position)
        end = position + length + 4
        if end > len(data):
            break
        crc = _crc(data[position:end], _crc(length.to_bytes(8, "little"), crc))
        position = end
    else:
        if position == len(data):
            return crc
    raise DamagedFileError(
        "its elements do not make up the bytes that are stored",
        where=where,
        remedy=COPY_CHECKPOINT,
    )


def _lengths(data: bytes, count: int) -> tuple[list[int], int]:
    lengths, position = [], 0
    for _ in range(count):
        length, position = read_varint(data, position)
        lengths.append(length)
    return lengths, position


def _crc(data: bytes, crc: int = 0) -> int:
    from crc32c import crc32c

    return crc32c(data, crc)
