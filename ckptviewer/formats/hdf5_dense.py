"""HDF5's dense storage of many links or attributes: fractal heaps, read by pyfive under guard.

h5py writes them only when asked for the latest format or for the order of creation. pyfive trusts
its input, so it is given a file that refuses reads beyond the end and counts all others; the
fields whose values would let it loop without reading are checked before.
"""

from __future__ import annotations

import warnings
from struct import Struct
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.formats.hdf5_metadata import UNDEFINED

if TYPE_CHECKING:
    from ckptviewer.formats.hdf5_metadata import Metadata

GROUP_NAMES = 5
ATTRIBUTE_NAMES = 8
_HUGE_OBJECTS = 1
_TREE_HEADER = Struct("<4sxB4x2xH")
_HEAP_HEADER = Struct("<4s18xQ80xHQQH10xH")
_MAX_DEPTH = 16
_MAX_WIDTH = 1024
_MAX_HEAP_BITS = 64
_MAX_LOOKUPS = 20_000_000


class _GuardedFile:
    """A file for pyfive: every read is within the file, and all together are bounded."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._at = 0
        self._reads_left = metadata.source.size // 8 + 1000
        self._bytes_left = metadata.source.size * 2 + 65536

    def seek(self, offset: int) -> None:
        self._at = offset

    def read(self, length: int) -> bytes:
        self._reads_left -= 1
        self._bytes_left -= length
        if self._reads_left < 0 or self._bytes_left < 0:
            raise self._metadata.damaged("its heaps refer to each other in circles")
        data = self._metadata.bytes_at(self._at, length)
        self._at += length
        return data


def dense_objects(metadata: Metadata, heap: int, tree: int, kind: int) -> list[bytes]:
    """The messages (links or attributes) in a fractal heap that a version 2 B-tree lists by name.

    kind: GROUP_NAMES or ATTRIBUTE_NAMES, the type of the tree. Raises DamagedFileError.
    """
    _check_fields(metadata, heap, tree, kind)
    # pyfive imports numcodecs, which insists on a warning of a library that it finds.
    with warnings.catch_warnings(record=True):
        from pyfive.btree import BTreeV2AttrNames, BTreeV2GroupNames
        from pyfive.misc_low_level import FractalHeap
    file = _GuardedFile(metadata)
    try:
        contents = FractalHeap(file, heap)
        index = (BTreeV2GroupNames if kind == GROUP_NAMES else BTreeV2AttrNames)(file, tree)
        records = list(index.iter_records())
        if len(records) * len(contents.blocks) > _MAX_LOOKUPS:
            raise metadata.damaged(f"the heap at byte {heap:,} has too many blocks")
        found = []
        for record in records:
            data = contents.get_data(record["heapid"])
            if not data:
                raise metadata.damaged(f"the heap at byte {heap:,} lacks an object")
            metadata.spend(len(data) + 64)
            found.append(bytes(data))
        return found
    except (CkptviewerError, MemoryError):
        raise
    except Exception as error:
        # pyfive promises no type of error for damage: assertions, struct, key and index errors.
        raise metadata.damaged(f"the heap at byte {heap:,} is damaged") from error


def _check_fields(metadata: Metadata, heap: int, tree: int, kind: int) -> None:
    _check_tree(metadata, tree, kind)
    fields = _HEAP_HEADER.unpack(metadata.bytes_at(heap, _HEAP_HEADER.size))
    signature, huge_objects, width, first, largest, bits, rows = fields
    if signature != b"FRHP":
        raise metadata.damaged(f"there is no heap at byte {heap:,}")
    sizes_are_sane = 0 < first <= largest < 1 << 40 and bits <= _MAX_HEAP_BITS
    if not (0 < width <= _MAX_WIDTH and rows <= _MAX_HEAP_BITS and sizes_are_sane):
        raise metadata.damaged(f"the heap at byte {heap:,} declares impossible sizes")
    if huge_objects != UNDEFINED:
        _check_tree(metadata, huge_objects, _HUGE_OBJECTS)


def _check_tree(metadata: Metadata, tree: int, kind: int) -> None:
    signature, stored_kind, depth = _TREE_HEADER.unpack(metadata.bytes_at(tree, _TREE_HEADER.size))
    if signature != b"BTHD" or stored_kind != kind or depth > _MAX_DEPTH:
        raise metadata.damaged(f"there is no index of names at byte {tree:,}")
