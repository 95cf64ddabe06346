"""Reading many small variables of a tensor bundle at once, where they lie close to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import NamedTuple

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Stretch
from ckptviewer.checkpoint.dtypes import BY_NAME
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.bundle_index import EntryTable
from ckptviewer.formats.dense import spare_buffer
from ckptviewer.formats.sstable import unmask
from ckptviewer.storage.byte_source import ByteSource

_LARGEST_GAP = 1 << 16
"""Bytes between two variables up to this number are read, too, and not used."""


class _Place(NamedTuple):
    """Where a variable lies. number: its own among those that were asked for."""

    shard: int
    offset: int
    size: int
    item_bytes: int
    number: int
    checksum: int


def stretches(
    entries: EntryTable[str],
    variables: Sequence[Variable],
    source_of: Callable[[int], ByteSource],
) -> Iterator[Stretch]:
    """As Checkpoint.stretches, of a little-endian bundle. source_of: data file by its number."""
    group: list[_Place] = []
    for place in sorted(_places(entries, variables)):
        if group and not _is_near(group[0], group[-1], place):
            yield from _read(group, source_of)
            group = []
        group.append(place)
    if group:
        yield from _read(group, source_of)


def _places(entries: EntryTable[str], variables: Sequence[Variable]) -> Iterator[_Place]:
    for number, variable in enumerate(variables):
        entry = entries.get(variable.key)
        if entry is None or entry.slices or not 0 < entry.size <= CHUNK_BYTES:
            continue
        known = BY_NAME.get(entry.dtype)
        if known is None or not known.item_bytes:
            continue
        if (entry.dtype, entry.shape) != (variable.dtype, variable.shape):
            continue  # it was listed from an earlier file of this name
        if prod(entry.shape) * known.item_bytes == entry.size:
            yield _Place(
                entry.shard, entry.offset, entry.size, known.item_bytes, number, entry.checksum
            )


def _is_near(first: _Place, last: _Place, place: _Place) -> bool:
    """Whether a variable is read together with these, and lies in memory as its items need it."""
    gap = place.offset - last.offset - last.size
    within = place.offset - first.offset
    return (
        place.shard == first.shard
        and 0 <= gap <= _LARGEST_GAP
        and within % place.item_bytes == 0
        and within + place.size <= CHUNK_BYTES
    )


def _read(group: Sequence[_Place], source_of: Callable[[int], ByteSource]) -> Iterator[Stretch]:
    import numpy as np

    columns = np.array(group, np.int64).T
    _, offsets, sizes, _, numbers, checksums = columns
    start, stop = group[0].offset, group[-1].offset + group[-1].size
    with spare_buffer(CHUNK_BYTES) as room:
        data = room[: stop - start]
        source_of(group[0].shard).read_into(data.data, start)
        yield Stretch(numbers, data, offsets - start, sizes, unmask(checksums))
