"""HDF5 files: their groups and datasets, listed without libhdf5 and without trust in the file.

A damaged group or dataset costs itself alone; the rest is listed. Soft and external links are
never followed, datasets whose values lie in other files are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from struct import error, unpack_from
from typing import NamedTuple

from ckptviewer.checkpoint.errors import (
    COPY_FILE,
    CkptviewerError,
    DamagedFileError,
    TruncatedFileError,
)
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.formats.hdf5_metadata import (
    ATTRIBUTE,
    ATTRIBUTE_INFO,
    DATASPACE,
    DATATYPE,
    EXTERNAL,
    FILL,
    FILTERS,
    LAYOUT,
    LINK,
    LINK_INFO,
    OLD_FILL,
    SYMBOL_TABLE,
    Link,
    Message,
    Metadata,
)
from ckptviewer.formats.hdf5_types import (
    CHUNKED,
    COMPACT,
    CONTIGUOUS,
    AttributeValue,
    Filter,
    Layout,
    Type,
    attributes,
    parse_fill,
    parse_filters,
    parse_layout,
    parse_shape,
    parse_type,
)
from ckptviewer.storage.byte_source import ByteSource

MAX_DEPTH = 128
MAX_FINDINGS = 1000
# deflate cannot shrink better than 1:1032; a dataset that declares more was never written.
_MAX_EXPANSION = 1032
_MAX_SPAN = 1 << 60
_MAX_ITEM_BYTES = 1 << 30
_MAX_ALIASES = 10_000
_UNTOUCHED_BYTES = 64 << 20
_LAYOUTS = frozenset((COMPACT, CONTIGUOUS, CHUNKED))
_UNKNOWN = Type("unknown", 0, kind="opaque")


class Dataset(NamedTuple):
    """One dataset, without its values.

    path: its names from the root, joined by "/", with none in front.
    address: of its object header.
    type, shape, layout, filters: see hdf5_types.
    problem: why its values cannot be read; empty where they can.
    is_refused: whether that is no damage, but a layout that is not read here.
    """

    path: str
    address: int
    type: Type
    shape: tuple[int, ...]
    layout: Layout
    filters: tuple[Filter, ...] = ()
    fill: bytes = b""
    problem: str = ""
    is_refused: bool = False

    @property
    def dense_bytes(self) -> int:
        """Bytes that its elements take when unpacked."""
        return prod(self.shape) * self.type.size


class Contents(NamedTuple):
    """What an HDF5 file holds: datasets and groups by path (the root is ""), and what is wrong."""

    datasets: dict[str, Dataset]
    groups: dict[str, int]
    findings: list[Finding]

    def note(self, finding: Finding) -> None:
        """Add a finding, unless there are very many."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)


class Hdf5File:
    """An open HDF5 file: its objects, their attributes. Values come from hdf5_values."""

    def __init__(self, source: ByteSource) -> None:
        """Raises NotACheckpointError where it is no HDF5, DamagedFileError, UnreadableFileError."""
        self.source = source
        self.metadata = Metadata(source)
        self.base = self.metadata.superblock.base
        self._types: dict[bytes, Type] = {}
        self._shapes: dict[bytes, tuple[int, ...] | None] = {}

    def attributes(self, address: int) -> dict[str, AttributeValue]:
        """The attributes of the object whose header lies at `address`. Raises DamagedFileError."""
        with self.metadata.counting():
            return self._attributes(self.metadata.messages(address))

    def _attributes(self, messages: list[Message]) -> dict[str, AttributeValue]:
        if not any(message.kind in (ATTRIBUTE, ATTRIBUTE_INFO) for message in messages):
            return {}
        return attributes(self.metadata, messages)

    def root_attributes(self) -> dict[str, AttributeValue]:
        """The attributes of the root group. Raises DamagedFileError."""
        return self.attributes(self.metadata.superblock.root)

    def walk(self, enough: Callable[[str], bool] | None = None) -> Contents:
        """All groups and datasets, in no particular order.

        enough: asked with the path of each object; the walk ends at the first True.
        Raises DamagedFileError where not even the root group can be read.
        """
        with self.metadata.counting():
            return self._walk(enough)

    def _walk(self, enough: Callable[[str], bool] | None) -> Contents:
        contents = Contents({}, {}, [])
        seen: set[int] = set()
        known: dict[int, Dataset] = {}
        pending: list[tuple[str, int]] = [("", self.metadata.superblock.root)]
        while pending:
            path, address = pending.pop()
            if enough and enough(path):
                break
            try:
                messages = self.metadata.messages(address)
                if _is_dataset(messages):
                    known[address] = contents.datasets[path] = self._dataset(
                        path, address, messages
                    )
                    continue
                if address in seen:
                    contents.note(_linked_twice(path))
                    continue
                contents.groups[path] = address
                seen.add(address)
                if path.count("/") >= MAX_DEPTH:
                    raise self.metadata.damaged(f"groups are nested deeper than {MAX_DEPTH}")
                for link in self.metadata.links(messages, seen):
                    self._follow(path, link, known, pending, contents)
            except (DamagedFileError, error, IndexError) as cause:
                if not path:
                    raise self._root_is_lost(cause) from cause
                self._lose(path, address, cause, contents)
        self._add_truncation(contents)
        return contents

    def _follow(
        self,
        parent: str,
        link: Link,
        known: dict[int, Dataset],
        pending: list[tuple[str, int]],
        contents: Contents,
    ) -> None:
        path = f"{parent}/{link.name}" if parent else link.name
        self.metadata.spend(len(path))
        if link.kind != "hard":
            to = f" to {link.target}" if link.target else ""
            contents.note(
                Finding(
                    code="link-not-followed",
                    severity=Severity.WARNING,
                    message=f"{path} is a {link.kind} link{to}; such links are not followed.",
                    remedy="Copy what it names into the file itself.",
                )
            )
        elif link.address in known:
            if len(contents.datasets) > len(known) + _MAX_ALIASES:
                raise self.metadata.damaged("datasets have very many names")
            contents.datasets[path] = known[link.address]._replace(path=path)
        else:
            pending.append((path, link.address))

    def _dataset(self, path: str, address: int, messages: list[Message]) -> Dataset:
        kind: Type = _UNKNOWN
        shape: tuple[int, ...] | None = ()
        layout = Layout(CONTIGUOUS)
        filters: tuple[Filter, ...] = ()
        fill: dict[int, bytes] = {}
        refusal = ""
        for message in messages:
            if message.kind == DATASPACE:
                shape = self._shape(message.data)
            elif message.kind == DATATYPE:
                kind = self._type(message)
            elif message.kind == LAYOUT:
                layout = parse_layout(self.metadata, message.data)
            elif message.kind == FILTERS:
                filters = parse_filters(self.metadata, message.data)
            elif message.kind in (FILL, OLD_FILL):
                fill[message.kind] = message.data
            elif message.kind == EXTERNAL:
                refusal = "its values lie in another file, which is not opened"
        if kind.dtype.startswith("void"):
            stated = self._attributes(messages).get("dtype")
            if stated == "bfloat16" and kind.size == 2:
                kind = kind._replace(dtype="bfloat16")
        found = Dataset(
            path,
            address,
            kind,
            (0,) if shape is None else shape,
            layout,
            filters,
            parse_fill(fill.get(OLD_FILL), fill.get(FILL)),
        )
        if layout.kind not in _LAYOUTS:
            refusal = refusal or "its layout is not read here"
        if refusal:
            return found._replace(problem=refusal, is_refused=True)
        return found._replace(problem=self._problem(found))

    def _shape(self, data: bytes) -> tuple[int, ...] | None:
        if data not in self._shapes:
            self._shapes[data] = parse_shape(self.metadata, data)
        return self._shapes[data]

    def _type(self, message: Message) -> Type:
        data = message.data
        if message.flags & 2:  # a shared message: the type is an object of its own (IV.A.2)
            address = unpack_from("<Q", data, 8 if data[0] == 1 else 2)[0]
            for each in self.metadata.messages(address):
                if each.kind == DATATYPE and not each.flags & 2:
                    return parse_type(self.metadata, each.data)
            raise self.metadata.damaged(f"there is no data type at byte {address:,}")
        found = self._types.get(data)
        if found is None:
            found = self._types[data] = parse_type(self.metadata, data)
        return found

    def _problem(self, dataset: Dataset) -> str:
        """Why the values of a dataset whose header was read cannot be; empty where they can."""
        needed, layout, size = dataset.dense_bytes, dataset.layout, self.source.size
        if dataset.type.size > _MAX_ITEM_BYTES:
            return f"its elements declare {dataset.type.size:,} bytes each"
        if prod(filter(None, dataset.shape)) * dataset.type.size > _MAX_SPAN:
            return "its shape is larger than any array can be"
        if not needed:
            return ""
        if layout.kind == CHUNKED:
            if len(layout.chunk) != len(dataset.shape) or 0 in layout.chunk:
                return "the shape of its chunks does not fit"
            if needed > size * _MAX_EXPANSION + _UNTOUCHED_BYTES:
                return f"its shape declares {needed:,} bytes, more than the file could hold"
            return ""
        if layout.kind == CONTIGUOUS and layout.address > 1 << 63:
            if needed > _UNTOUCHED_BYTES:
                return f"its shape declares {needed:,} bytes, and none of them were written"
            return ""
        if layout.size != needed:
            return f"its shape declares {needed:,} bytes, and {layout.size:,} are stored"
        end = self.base + layout.address + needed
        if layout.kind == CONTIGUOUS and end > size:
            return f"the file ends at byte {size:,}, and its values at byte {end:,}"
        return ""

    def _lose(self, path: str, address: int, cause: Exception, contents: Contents) -> None:
        """Note what could not be read; it stays in the list, so that it can be seen."""
        reason = cause.what if isinstance(cause, CkptviewerError) else "its header is damaged"
        if path in contents.groups:
            contents.note(
                Finding(
                    code="damaged-group",
                    severity=Severity.ERROR,
                    message=f"The group {path} cannot be read: {reason}; "
                    "not all variables in it are shown.",
                    remedy=COPY_FILE,
                )
            )
            return
        contents.datasets[path] = Dataset(
            path, address, _UNKNOWN, (), Layout(CONTIGUOUS), problem=reason
        )

    def _add_truncation(self, contents: Contents) -> None:
        end = self.metadata.superblock.end
        if self.source.size < end < 1 << 62:
            hit = sum(1 for each in contents.datasets.values() if each.problem)
            contents.findings.append(
                Finding(
                    code="truncated-shard",
                    severity=Severity.ERROR,
                    message=f"{self.source.name} ends at byte {self.source.size:,}, and should at "
                    f"{end:,}; {hit:,} of the variables found in it cannot be read.",
                    remedy=COPY_FILE,
                )
            )

    def _root_is_lost(self, cause: Exception) -> CkptviewerError:
        if isinstance(cause, TruncatedFileError):
            return cause
        reason = cause.what if isinstance(cause, CkptviewerError) else "its header is damaged"
        return DamagedFileError(
            f"nothing in it can be listed: {reason}", where=self.source.name, remedy=COPY_FILE
        )


def _linked_twice(path: str) -> Finding:
    return Finding(
        code="link-not-followed",
        severity=Severity.WARNING,
        message=f"The group {path} has another name as well; what is in it is shown under one.",
    )


def _is_dataset(messages: list[Message]) -> bool:
    """Whether these are messages of a dataset: groups have links, named types have no layout."""
    kinds = {message.kind for message in messages}
    return LAYOUT in kinds or (DATASPACE in kinds and not kinds & {SYMBOL_TABLE, LINK_INFO, LINK})
