"""Facts that the graph beside a Saver checkpoint states; nothing of the graph is run or built.

Source: tensorflow/core/protobuf/meta_graph.proto. A `.meta` file is one MetaGraphDef. Its
collections say which variables were trained and which had moving averages; its graph, which may
be gigabytes, is skipped unread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.errors import DamagedFileError
from ckptviewer.storage.byte_source import ByteSource

if TYPE_CHECKING:
    from ckptviewer.formats.proto.meta_graph_pb2 import Collection

_META_INFO = 1
_COLLECTION = 4
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_WINDOW_BYTES = 1 << 16
_LONGEST_VARINT = 10
_MAX_FIELDS = 100_000
_REMEDY = "Copy the .meta file again from where it was saved; variables can be read without it."


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaFacts:
    """What a `.meta` file states of the variables; None where it states nothing.

    tensorflow_version: of the library that wrote it ("1.15.0").
    trainable: names of the variables that are trained, without ":0".
    all_variables: names of all global variables.
    moving_averages: names of the variables that have moving averages (not of the averages).
    A partitioned variable goes by the name of the whole.
    """

    tensorflow_version: str | None
    trainable: frozenset[str] | None
    all_variables: frozenset[str] | None
    moving_averages: frozenset[str] | None


def read_meta_facts(source: ByteSource) -> MetaFacts:
    """The facts in the MetaGraphDef that `source` holds.

    Raises DamagedFileError (TruncatedFileError where the file ends too early), and what reading
    raises.
    """
    from google.protobuf.message import DecodeError

    from ckptviewer.formats.proto.meta_graph_pb2 import CollectionEntry, MetaInfo

    if source.size == 0:
        raise _damaged(source, "it is empty")
    version: str | None = None
    names: dict[str, frozenset[str]] = {}
    try:
        for field, offset, length in _fields(source):
            if field == _META_INFO:
                info = MetaInfo.FromString(source.read(offset, length))
                version = info.tensorflow_version or version
            elif field == _COLLECTION:
                entry = CollectionEntry.FromString(source.read(offset, length))
                if entry.key in _WANTED:
                    known = names.get(entry.key, frozenset())
                    names[entry.key] = known.union(_variable_names(entry.value))
    except DecodeError as error:
        raise _damaged(source, "it is not a MetaGraphDef, or damaged") from error
    return MetaFacts(
        tensorflow_version=version,
        trainable=names.get("trainable_variables"),
        all_variables=names.get("variables"),
        moving_averages=names.get("moving_average_variables"),
    )


_WANTED = frozenset(("trainable_variables", "variables", "moving_average_variables"))


def _variable_names(collection: Collection) -> Iterator[str]:
    from ckptviewer.formats.proto.meta_graph_pb2 import VariableDef

    for name in collection.node_list.value:
        yield name.removesuffix(":0")
    for serialized in collection.bytes_list.value:
        variable = VariableDef.FromString(serialized)
        whole = variable.save_slice_info_def.full_name
        yield whole or variable.variable_name.removesuffix(":0")


def _fields(source: ByteSource) -> Iterator[tuple[int, int, int]]:
    """Number, offset and length of each length-delimited field of the outermost message."""
    position = 0
    window_start, window = 0, b""
    for _ in range(_MAX_FIELDS):
        if position >= source.size:
            return
        if position + 2 * _LONGEST_VARINT > window_start + len(window):
            window_start = position
            window = source.read(position, min(_WINDOW_BYTES, source.size - position))
        tag, after = _varint(source, window, position - window_start)
        kind = tag & 7
        if kind == _LENGTH:
            length, after = _varint(source, window, after)
            position = window_start + after
            source.require(position, length)
            yield tag >> 3, position, length
            position += length
        elif kind == _VARINT:
            position = window_start + _varint(source, window, after)[1]
        elif kind in (_FIXED64, _FIXED32):
            position = window_start + after + (8 if kind == _FIXED64 else 4)
        else:
            raise _damaged(source, f"it is not a MetaGraphDef, or damaged at byte {position:,}")
    raise _damaged(source, f"it has more than {_MAX_FIELDS:,} fields, as no MetaGraphDef has")


def _varint(source: ByteSource, window: bytes, position: int) -> tuple[int, int]:
    """The varint at `position` of `window`, and the position after it."""
    value = 0
    for shift in range(0, 7 * _LONGEST_VARINT, 7):
        if position >= len(window):
            raise _damaged(source, "it ends in the middle of a number")
        byte = window[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _damaged(source, "it is not a MetaGraphDef: a number has too many bytes")


def _damaged(source: ByteSource, what: str) -> DamagedFileError:
    return DamagedFileError(what, where=source.name, remedy=_REMEDY)
