"""HDF5's bookkeeping: superblock, object headers, groups, heaps; bounded against hostile files.

Source: "HDF5 File Format Specification, version 3.0", whose section numbers the comments bear.
The structures that h5py writes by default are read here, and quickly: a weights file may have ten
thousand datasets. The rare ones, fractal heaps behind version 2 B-trees, are left to pyfive.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from struct import Struct, error
from typing import NamedTuple

from ckptviewer.checkpoint.errors import COPY_FILE, DamagedFileError, NotACheckpointError
from ckptviewer.storage.byte_source import ByteSource

SIGNATURE = b"\x89HDF\r\n\x1a\n"
UNDEFINED = 0xFFFFFFFFFFFFFFFF

DATASPACE, LINK_INFO, DATATYPE, OLD_FILL, FILL, LINK, EXTERNAL, LAYOUT = 1, 2, 3, 4, 5, 6, 7, 8
FILTERS, ATTRIBUTE, CONTINUATION, SYMBOL_TABLE, ATTRIBUTE_INFO = 11, 12, 16, 17, 21

_PAGE_BITS = 14
_PAGE = 1 << _PAGE_BITS
_MAX_PAGES = 2048
_MAX_BLOCKS = 1000

_ONE = Struct("<Q")
_TWO = Struct("<QQ")
_V1_HEADER = Struct("<BxHII4x")
_V1_MESSAGE = Struct("<HHB3x")
_TREE_NODE = Struct("<4sBBH16x")
_SYMBOL_NODE = Struct("<4sBxH")
_SYMBOL = Struct("<QQI4x16x")
_HEAP = Struct("<4sB3xQQQ")
_COLLECTION = Struct("<4sB3xQ")
_HEAP_OBJECT = Struct("<HHxxxxQ")


class Message(NamedTuple):
    """One message of an object header: its type, its flags, and where its bytes lie."""

    kind: int
    flags: int
    buffer: bytes
    start: int
    end: int

    @property
    def data(self) -> bytes:
        """The bytes of the message."""
        return self.buffer[self.start : self.end]


class Link(NamedTuple):
    """A name in a group, and the address of the object header it stands for.

    kind: "hard", "soft" or "external"; only hard ones have an address.
    target: what a soft or external link names.
    """

    name: str
    address: int
    kind: str = "hard"
    target: str = ""


class Superblock(NamedTuple):
    """Where an HDF5 file begins: base address, the root group's object header, the end."""

    base: int
    root: int
    end: int


class Metadata:
    """Reads HDF5's structures from a byte source, page by page.

    Every byte that is looked at is counted, names included: structures that share or contain
    each other would otherwise keep a reader busy for ever. `counting` starts a new count.
    Addresses are relative to the base address, as they are in the file.
    """

    def __init__(self, source: ByteSource) -> None:
        """Raises NotACheckpointError where there is no HDF5 signature, DamagedFileError."""
        self.source = source
        self.name = source.name
        self._pages: dict[int, bytes] = {}
        self._base = 0
        self._collections: dict[int, dict[int, tuple[int, int]]] = {}
        self._lock = threading.RLock()
        self._depth = 0
        self._allowance = 0
        self.superblock = self._read_superblock()
        self._base = self.superblock.base

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what is looked at within, one thread at a time.

        Within another such block, that one's count goes on.
        """
        with self._lock:
            if not self._depth:
                self._allowance = 4 * self.source.size + (1 << 20)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1

    def spend(self, count: int) -> None:
        """Count `count` bytes as looked at. Raises DamagedFileError where that is too many."""
        self._allowance -= count
        if self._allowance < 0:
            raise self.damaged("its structures refer to each other in circles")

    def damaged(self, what: str) -> DamagedFileError:
        """An error about this file."""
        return DamagedFileError(what, where=self.name, remedy=COPY_FILE)

    def view(self, address: int, length: int) -> tuple[bytes, int]:
        """Bytes that hold `length` bytes of the file from `address`, and where they begin in them.

        Raises TruncatedFileError where the file is shorter, DamagedFileError.
        """
        self.spend(length + 16)
        address += self._base
        first = address >> _PAGE_BITS
        start = address & (_PAGE - 1)
        page = self._pages.get(first)
        if page is None:
            self.source.require(address, length)
            page = self._load(first)
        if start + length <= len(page):
            return page, start
        return self.source.read(address, length), 0

    def bytes_at(self, address: int, length: int) -> bytes:
        """`length` bytes of the file from `address`. Raises as `view` does."""
        buffer, start = self.view(address, length)
        return buffer[start : start + length]

    def _load(self, number: int) -> bytes:
        if len(self._pages) >= _MAX_PAGES:
            self._pages.clear()
        start = number << _PAGE_BITS
        page = self.source.read(start, min(_PAGE, self.source.size - start))
        self._pages[number] = page
        return page

    def forget(self) -> None:
        """Give back the memory of pages that were read."""
        self._pages.clear()
        self._collections.clear()

    # Superblock (II.A)

    def _read_superblock(self) -> Superblock:
        at = 0
        while at + 8 <= self.source.size and self.source.read(at, 8) != SIGNATURE:
            at = max(512, at * 2)
        if at + 8 > self.source.size:
            raise NotACheckpointError("it has no HDF5 signature", where=self.name)
        version = self.source.read(at + 8, 1)[0]
        if version > 3:
            raise self.damaged(f"its superblock has the unknown version {version}")
        sizes_at = 13 if version < 2 else 9
        sizes = self.source.read(at + sizes_at, 2)
        if sizes != b"\x08\x08":
            raise self.damaged(f"addresses of {sizes[0]} and lengths of {sizes[1]} bytes, not 8")
        if version < 2:
            fields = at + (24 if version == 0 else 28)
            base, _, end, _ = Struct("<QQQQ").unpack(self.source.read(fields, 32))
            root = _ONE.unpack(self.source.read(fields + 40, 8))[0]
        else:
            base, _, end, root = Struct("<QQQQ").unpack(self.source.read(at + 12, 32))
        if base > self.source.size:
            raise self.damaged(f"its base address {base:,} lies behind its end")
        # h5py counts a user block into the end address; the specification leaves it open.
        return Superblock(base=base, root=root, end=end)

    # Object headers (IV.A)

    def messages(self, address: int) -> list[Message]:
        """All messages of the object header at `address`. Raises DamagedFileError."""
        buffer, start = self.view(address, 16)
        try:
            if buffer[start] == 1:
                _, _, _, size = _V1_HEADER.unpack_from(buffer, start)
                return self._v1_messages(address + 16, size)
            if buffer[start : start + 4] == b"OHDR":
                return self._v2_messages(address, buffer[start + 4], buffer[start + 5])
        except (error, IndexError) as cause:
            raise self.damaged(f"the object header at byte {address:,} is damaged") from cause
        raise self.damaged(f"there is no object header at byte {address:,}")

    def _v1_messages(self, address: int, size: int) -> list[Message]:
        found: list[Message] = []
        blocks = [(address, size)]
        seen = 0
        while blocks:
            address, size = blocks.pop()
            seen += 1
            if seen > _MAX_BLOCKS:
                raise self.damaged(f"the object header at byte {address:,} has no end")
            buffer, at = self.view(address, size)
            end = at + size
            while at + 8 <= end:
                kind, length, flags = _V1_MESSAGE.unpack_from(buffer, at)
                at += 8
                if at + length > end:
                    raise self.damaged(f"a message at byte {address:,} is longer than its header")
                if kind == CONTINUATION:
                    blocks.append(_TWO.unpack_from(buffer, at))
                elif kind:
                    found.append(Message(kind, flags, buffer, at, at + length))
                at += length
        return found

    def _v2_messages(self, address: int, version: int, flags: int) -> list[Message]:
        if version != 2:
            raise self.damaged(f"an object header of the unknown version {version}")
        at = address + 6 + (16 if flags & 32 else 0) + (4 if flags & 16 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(self.bytes_at(at, width), "little")
        prefix = Struct("<BHB2x" if flags & 4 else "<BHB")
        found: list[Message] = []
        blocks = [(at + width, size)]
        seen = 0
        while blocks:
            start, size = blocks.pop()
            seen += 1
            if seen > _MAX_BLOCKS:
                raise self.damaged(f"the object header at byte {address:,} has no end")
            buffer, at = self.view(start, size)
            end = at + size
            while at + prefix.size <= end:
                kind, length, message_flags = prefix.unpack_from(buffer, at)
                at += prefix.size
                if at + length > end:
                    break  # a gap too small for a message
                if kind == CONTINUATION:
                    where, extent = _TWO.unpack_from(buffer, at)
                    if self.bytes_at(where, 4) != b"OCHK" or extent < 8:
                        raise self.damaged(f"no continuation of a header at byte {where:,}")
                    blocks.append((where + 4, extent - 8))
                elif kind:
                    found.append(Message(kind, message_flags, buffer, at, at + length))
                at += length
        return found

    # Groups (III.A.1, III.B, III.D, IV.A.2.g)

    def links(self, messages: list[Message], seen: set[int]) -> Iterator[Link]:
        """The links of the group whose header has these messages.

        seen: addresses of nodes that were read before; one that comes again is damage.
        """
        for message in messages:
            if message.kind == SYMBOL_TABLE:
                tree, heap = _TWO.unpack_from(message.data)
                yield from self._symbol_table(tree, heap, seen)
            elif message.kind == LINK:
                yield parse_link(self, message.data)
            elif message.kind == LINK_INFO:
                data = message.data
                heap, tree = _TWO.unpack_from(data, 10 if data[1] & 1 else 2)
                if heap != UNDEFINED:
                    from ckptviewer.formats.hdf5_dense import GROUP_NAMES, dense_objects

                    for each in dense_objects(self, heap, tree, GROUP_NAMES):
                        yield parse_link(self, each)

    def _symbol_table(self, tree: int, heap: int, seen: set[int]) -> Iterator[Link]:
        signature, _, size, _, names_at = _HEAP.unpack(self.bytes_at(heap, 32))
        if signature != b"HEAP":
            raise self.damaged(f"there is no heap of names at byte {heap:,}")
        names = self.bytes_at(names_at, size)
        for node in self._leaves(tree, seen):
            buffer, at = self.view(node, 8)
            signature, _, count = _SYMBOL_NODE.unpack_from(buffer, at)
            if signature != b"SNOD":
                raise self.damaged(f"there is no symbol table node at byte {node:,}")
            for offset, address, cache in _SYMBOL.iter_unpack(self.bytes_at(node + 8, 40 * count)):
                end = names.find(b"\0", offset)
                if offset >= size or end < 0:
                    raise self.damaged(f"a name behind the end of its heap at byte {heap:,}")
                self.spend(end - offset)
                name = names[offset:end].decode("utf-8", "surrogateescape")
                if cache == 2:
                    yield Link(name, UNDEFINED, "soft")
                else:
                    yield Link(name, address)

    def _leaves(self, tree: int, seen: set[int]) -> Iterator[int]:
        """Addresses of the symbol table nodes under a group's B-tree, from left to right."""
        pending = [(tree, -1)]
        while pending:
            address, expected = pending.pop()
            if address in seen:
                raise self.damaged(f"the node at byte {address:,} is used twice")
            seen.add(address)
            signature, kind, level, used = _TREE_NODE.unpack(self.bytes_at(address, 24))
            if signature != b"TREE" or kind != 0 or expected not in (-1, level):
                raise self.damaged(f"there is no group node at byte {address:,}")
            entries = self.bytes_at(address + 24, 16 * used)
            children = [child for _, child in _TWO.iter_unpack(entries)]
            if level:
                pending += [(child, level - 1) for child in reversed(children)]
                continue
            for child in children:
                if child in seen:
                    raise self.damaged(f"the node at byte {child:,} is used twice")
                seen.add(child)
                yield child

    # Global heap (III.E)

    def heap_object(self, collection: int, index: int) -> bytes:
        """The object `index` of the global heap collection at `collection`."""
        objects = self._collections.get(collection)
        if objects is None:
            if len(self._collections) > 10_000:
                self._collections.clear()
            objects = self._collections[collection] = self._read_collection(collection)
        try:
            address, size = objects[index]
        except KeyError:
            raise self.damaged(f"the heap at byte {collection:,} has no object {index}") from None
        return self.bytes_at(address, size)

    def _read_collection(self, collection: int) -> dict[int, tuple[int, int]]:
        signature, _, size = _COLLECTION.unpack(self.bytes_at(collection, 16))
        if signature != b"GCOL":
            raise self.damaged(f"there is no global heap at byte {collection:,}")
        self.source.require(self._base + collection, size)
        objects: dict[int, tuple[int, int]] = {}
        at = 16
        while at + 16 <= size:
            buffer, start = self.view(collection + at, 16)
            index, _, length = _HEAP_OBJECT.unpack_from(buffer, start)
            if index == 0:
                break
            at += 16
            if at + length > size:
                raise self.damaged(f"an object leaves its heap at byte {collection:,}")
            objects[index] = (collection + at, length)
            at += (length + 7) & ~7
        return objects


def parse_link(metadata: Metadata, data: bytes) -> Link:
    """A link message (IV.A.2.g). Raises DamagedFileError."""
    try:
        flags = data[1]
        at = 2
        kind = 0
        if flags & 8:
            kind = data[at]
            at += 1
        at += (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
        width = 1 << (flags & 3)
        length = int.from_bytes(data[at : at + width], "little")
        at += width
        if at + length > len(data):
            raise metadata.damaged("a link's name is longer than the link")
        name = data[at : at + length].decode("utf-8", "surrogateescape")
        at += length
        if kind == 0:
            return Link(name, _ONE.unpack_from(data, at)[0])
    except (error, IndexError) as cause:
        raise metadata.damaged("a link in a group is damaged") from cause
    target = data[at + 2 :].decode("utf-8", "replace")
    if kind == 1:
        return Link(name, UNDEFINED, "soft", target)
    # An external link: a byte of version and flags, the file, the object in it.
    return Link(name, UNDEFINED, "external", " ".join(target[1:].rstrip("\0").split("\0")))
