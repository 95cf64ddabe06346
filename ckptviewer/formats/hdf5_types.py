"""HDF5's messages about values: data types, dataspaces, layouts, filters, fill values, attributes.

Source: "HDF5 File Format Specification, version 3.0", section IV.A.2.
"""

from __future__ import annotations

from math import prod
from struct import error, unpack_from
from typing import NamedTuple

from ckptviewer.formats.hdf5_metadata import (
    ATTRIBUTE,
    ATTRIBUTE_INFO,
    UNDEFINED,
    Message,
    Metadata,
)

COMPACT, CONTIGUOUS, CHUNKED = 0, 1, 2
DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3
MAX_RANK = 32
_MAX_TYPE_DEPTH = 8

AttributeValue = str | int | float | bool | list["AttributeValue"]

_FLOATS = {
    (2, 5, 10): "float16",
    (2, 8, 7): "bfloat16",
    (4, 8, 23): "float32",
    (8, 11, 52): "float64",
    (1, 4, 3): "float8_e4m3fn",
    (1, 5, 2): "float8_e5m2",
}


class Type(NamedTuple):
    """A data type as stored.

    dtype: TensorFlow's name; "void16" and the like for bytes without a meaning, and a word of
    HDF5 ("reference", "compound") for what no tensor holds.
    size: bytes of an element as stored. big_endian: its byte order.
    kind: "number", "string" (of fixed size), "vlen-string" or "opaque".
    encoded_size: bytes that the description itself takes.
    """

    dtype: str
    size: int
    big_endian: bool = False
    kind: str = "number"
    encoded_size: int = 8


class Filter(NamedTuple):
    """One step that chunks went through on being written; `name` is for people."""

    number: int
    name: str


class Layout(NamedTuple):
    """Where a dataset's values lie.

    kind: COMPACT, CONTIGUOUS, CHUNKED, or another number for what is not read here.
    address: of the values, or of the index of chunks; UNDEFINED where nothing was written.
    size: bytes of a contiguous or compact dataset.
    chunk: shape of a chunk.
    data: the values themselves, of a compact dataset.
    """

    kind: int
    address: int = UNDEFINED
    size: int = 0
    chunk: tuple[int, ...] = ()
    data: bytes = b""


def parse_type(metadata: Metadata, data: bytes, depth: int = 0) -> Type:
    """A data type message (IV.A.2.d). Raises DamagedFileError."""
    try:
        size = unpack_from("<I", data, 4)[0]
        if size == 0 or depth > _MAX_TYPE_DEPTH:
            raise metadata.damaged("a data type has no size")
        return _parse_type(metadata, data, size, depth)
    except (error, IndexError) as cause:
        raise metadata.damaged("a data type is damaged") from cause


def _parse_type(metadata: Metadata, data: bytes, size: int, depth: int) -> Type:
    kind = data[0] & 15
    bits = data[1]
    big = bool(bits & 1)
    if kind in (0, 4):
        whole = unpack_from("<HH", data, 8) == (0, size * 8)
        if whole and size in (1, 2, 4, 8):
            sign = "int" if bits & 8 and kind == 0 else "uint"
            return Type(f"{sign}{size * 8}", size, big, encoded_size=12)
        return Type("integer", size, big, "opaque", 12)
    if kind == 1:
        name = _FLOATS.get((size, data[13], data[15]))
        if name and not bits & 64:
            return Type(name, size, big, encoded_size=20)
        return Type("float", size, big, "opaque", 20)
    if kind == 3:
        return Type("string", size, kind="string")
    if kind == 5:
        return Type(f"void{size * 8}", size, kind="number", encoded_size=8 + ((bits + 7) & ~7))
    if kind == 6:
        return _compound(metadata, data, size, depth)
    if kind == 8:
        return _enumeration(metadata, data, depth)
    if kind == 9 and bits & 15 == 1:
        return Type("string", size, kind="vlen-string", encoded_size=len(data))
    names = {2: "time", 7: "reference", 9: "sequence", 10: "array", 11: "complex"}
    return Type(names.get(kind, "unknown"), size, kind="opaque", encoded_size=len(data))


def _compound(metadata: Metadata, data: bytes, size: int, depth: int) -> Type:
    """h5py's complex numbers are compounds of the members r and i; others have no name here."""
    opaque = Type("compound", size, kind="opaque", encoded_size=len(data))
    version = data[0] >> 4
    if size not in (8, 16) or unpack_from("<H", data, 1)[0] != 2:
        return opaque
    parts: list[Type] = []
    at = 8
    for expected in (b"r", b"i"):
        end = data.index(b"\0", at) if b"\0" in data[at:] else at
        if data[at:end] != expected:
            return opaque
        at = end + 1 if version == 3 else at + ((end - at) & ~7) + 8
        # Version 1 has room for the dimensions of an array behind the member's offset.
        width = 4 if version < 3 else 1
        offset = int.from_bytes(data[at : at + width], "little")
        at += width + (28 if version == 1 else 0)
        part = parse_type(metadata, data[at:], depth + 1)
        if offset != len(parts) * (size // 2):
            return opaque
        parts.append(part)
        at += part.encoded_size
    if [part.dtype for part in parts] == [f"float{size * 4}"] * 2:
        return Type(f"complex{size * 8}", size, parts[0].big_endian, encoded_size=len(data))
    return opaque


def _enumeration(metadata: Metadata, data: bytes, depth: int) -> Type:
    """h5py's booleans are enumerations of FALSE and TRUE; others are shown as their numbers."""
    base = parse_type(metadata, data[8:], depth + 1)
    rest = data[8 + base.encoded_size :]
    is_bool = base.size == 1 and unpack_from("<H", data, 1)[0] == 2 and rest[:5] == b"FALSE"
    dtype = "bool" if is_bool and b"TRUE\0" in rest[:16] else base.dtype
    return base._replace(dtype=dtype, encoded_size=len(data))


def parse_shape(metadata: Metadata, data: bytes) -> tuple[int, ...] | None:
    """A dataspace message (IV.A.2.b); None for the null dataspace. Raises DamagedFileError."""
    try:
        version, rank = data[0], data[1]
        if rank > MAX_RANK or version not in (1, 2):
            raise metadata.damaged(f"a dataspace of {rank} axes")
        if version == 2 and data[3] == 2:
            return None
        shape: tuple[int, ...] = unpack_from(f"<{rank}Q", data, 8 if version == 1 else 4)
    except (error, IndexError) as cause:
        raise metadata.damaged("a dataspace is damaged") from cause
    return shape


def parse_layout(metadata: Metadata, data: bytes) -> Layout:
    """A data layout message (IV.A.2.i) of version 1 to 4. Raises DamagedFileError."""
    try:
        version = data[0]
        if version in (1, 2):
            return _old_layout(data)
        kind = data[1]
        if version == 3 or (version in (4, 5) and kind != CHUNKED):
            if kind == COMPACT:
                size = unpack_from("<H", data, 2)[0]
                if 4 + size > len(data):
                    raise metadata.damaged("a compact dataset is longer than its header")
                return Layout(COMPACT, size=size, data=data[4 : 4 + size])
            if kind == CONTIGUOUS:
                return Layout(CONTIGUOUS, *unpack_from("<QQ", data, 2))
            if kind == CHUNKED:
                rank = data[2]
                address, *chunk = unpack_from(f"<Q{rank}I", data, 3)
                return Layout(CHUNKED, address, chunk=tuple(chunk[:-1]))
        # Version 4 indexes chunks in five other ways, which h5py uses on request alone.
        return Layout(100 + kind)
    except (error, IndexError) as cause:
        raise metadata.damaged("a data layout is damaged") from cause


def _old_layout(data: bytes) -> Layout:
    rank, kind = data[1], data[2]
    if kind == COMPACT:
        sizes = unpack_from(f"<{rank}II", data, 8)
        return Layout(COMPACT, size=sizes[-1], data=data[8 + 4 * rank + 4 :][: sizes[-1]])
    address, *sizes_ = unpack_from(f"<Q{rank}I", data, 8)
    if kind == CHUNKED:
        return Layout(CHUNKED, address, chunk=tuple(sizes_[:-1]))
    return Layout(CONTIGUOUS, address, prod(sizes_) if sizes_ else 0)


def parse_filters(metadata: Metadata, data: bytes) -> tuple[Filter, ...]:
    """A filter pipeline message (IV.A.2.l). Raises DamagedFileError."""
    found = []
    try:
        version, count = data[0], data[1]
        at = 8 if version == 1 else 2
        for _ in range(count):
            number = unpack_from("<H", data, at)[0]
            length = 0
            at += 2
            if version == 1 or number >= 256:
                length = unpack_from("<H", data, at)[0]
                at += 2
            values = unpack_from("<HH", data, at)[1]
            at += 4
            padded = (length + 7) & ~7 if version == 1 else length
            name = data[at : at + length].rstrip(b"\0").decode("utf-8", "replace")
            at += padded + 4 * values + (4 if version == 1 and values % 2 else 0)
            found.append(Filter(number, name or _FILTER_NAMES.get(number, f"filter {number}")))
    except (error, IndexError) as cause:
        raise metadata.damaged("a list of filters is damaged") from cause
    return tuple(found)


_FILTER_NAMES = {
    1: "deflate",
    2: "shuffle",
    3: "fletcher32",
    4: "szip",
    5: "nbit",
    6: "scaleoffset",
}


def parse_fill(old: bytes | None, data: bytes | None) -> bytes:
    """The fill value's bytes from the fill value messages (IV.A.2.e, f); empty for zeros."""
    try:
        if data is not None:
            if data[0] in (1, 2):
                if data[0] == 2 and not data[3]:
                    return b""
                size = unpack_from("<I", data, 4)[0]
                return data[8 : 8 + size]
            if data[1] & 32:
                size = unpack_from("<I", data, 2)[0]
                return data[6 : 6 + size]
        elif old is not None:
            size = unpack_from("<I", old, 0)[0]
            return old[4 : 4 + size]
    except (error, IndexError):
        pass  # a fill value that cannot be read is as good as none
    return b""


def attributes(metadata: Metadata, messages: list[Message]) -> dict[str, AttributeValue]:
    """All attributes in an object header, name to value; what has no plain value is left out.

    Strings become str. Raises DamagedFileError.
    """
    found: dict[str, AttributeValue] = {}
    for message in messages:
        if message.kind == ATTRIBUTE:
            _add_attribute(metadata, message.data, found)
        elif message.kind == ATTRIBUTE_INFO:
            data = message.data.ljust(20, b"\xff")
            heap, tree = unpack_from("<QQ", data, 4 if data[1] & 1 else 2)
            if heap != UNDEFINED:
                from ckptviewer.formats.hdf5_dense import ATTRIBUTE_NAMES, dense_objects

                for each in dense_objects(metadata, heap, tree, ATTRIBUTE_NAMES):
                    _add_attribute(metadata, each, found)
    return found


def attribute_names(messages: list[Message]) -> set[str]:
    """Names of the attributes that lie in an object header itself; their values are not read."""
    names = set()
    for message in messages:
        if message.kind == ATTRIBUTE and message.end - message.start > 9:
            data = message.data
            at = 9 if data[0] == 3 else 8
            name = data[at : at + int.from_bytes(data[2:4], "little")]
            names.add(name.split(b"\0", 1)[0].decode("utf-8", "replace"))
    return names


def _add_attribute(metadata: Metadata, data: bytes, found: dict[str, AttributeValue]) -> None:
    """Source: IV.A.2.m."""
    try:
        version = data[0]
        name_size, type_size, space_size = unpack_from("<HHH", data, 2)
        at = 9 if version == 3 else 8
        pad = 7 if version == 1 else 0
        name = data[at : at + name_size].split(b"\0", 1)[0].decode("utf-8", "replace")
        at += (name_size + pad) & ~pad
        kind = data[at : at + type_size]
        at += (type_size + pad) & ~pad
        shape = parse_shape(metadata, data[at : at + space_size])
        at += (space_size + pad) & ~pad
        if version != 1 and data[1] & 1:
            return  # its type is kept elsewhere in the file; Keras writes none such
        if shape is not None:
            value = _attribute_value(metadata, parse_type(metadata, kind), shape, data[at:])
            if value is not None:
                found[name] = value
    except (error, IndexError) as cause:
        raise metadata.damaged("an attribute is damaged") from cause


def _attribute_value(
    metadata: Metadata, kind: Type, shape: tuple[int, ...], data: bytes
) -> AttributeValue | None:
    count = prod(shape)
    if count * kind.size > len(data):
        raise metadata.damaged("an attribute is longer than its header")
    values: list[AttributeValue]
    if kind.kind == "vlen-string":
        values = [
            vlen_string(metadata, data, index * 16).decode("utf-8", "replace")
            for index in range(count)
        ]
    elif kind.kind == "string":
        values = [
            data[index * kind.size : (index + 1) * kind.size]
            .split(b"\0", 1)[0]
            .decode("utf-8", "replace")
            for index in range(count)
        ]
    elif kind.dtype in _CODES:
        order = ">" if kind.big_endian else "<"
        values = list(unpack_from(f"{order}{count}{_CODES[kind.dtype]}", data))
    else:
        return None
    return values[0] if shape == () else values


_CODES = {
    "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I",
    "int64": "q", "uint64": "Q", "float16": "e", "float32": "f", "float64": "d", "bool": "?",
}  # fmt: skip


def vlen_string(metadata: Metadata, data: bytes, at: int) -> bytes:
    """The string of variable length whose 16 bytes of reference begin at `at` (IV.B)."""
    length, collection, index = unpack_from("<IQI", data, at)
    if length == 0 or collection in (0, UNDEFINED) or index == 0:
        return b""
    return metadata.heap_object(collection, index)[:length]
