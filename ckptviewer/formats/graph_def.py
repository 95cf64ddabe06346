"""Facts that the graph beside a Saver checkpoint states; nothing of the graph is run or built.

Source: tensorflow/core/protobuf/meta_graph.proto. A `.meta` file is one MetaGraphDef. Its
collections say which variables were trained and which had moving averages; its graph, which may
be gigabytes, is skipped unread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.errors import (
    COPY_CHECKPOINT,
    CkptviewerError,
    DamagedFileError,
    TruncatedFileError,
)
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.formats.wire import spans
from ckptviewer.storage.byte_source import ByteSource, LocalFile

if TYPE_CHECKING:
    from ckptviewer.formats.proto.meta_graph_pb2 import Collection

_META_INFO = 1
_COLLECTION = 4
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
        for field, start, stop in spans(source, 0, source.size, most_fields=_MAX_FIELDS):
            if field == _META_INFO:
                info = MetaInfo.FromString(source.read(start, stop - start))
                version = info.tensorflow_version or version
            elif field == _COLLECTION:
                entry = CollectionEntry.FromString(source.read(start, stop - start))
                if entry.key in _WANTED:
                    known = names.get(entry.key, frozenset())
                    names[entry.key] = known.union(_variable_names(entry.value))
    except TruncatedFileError:
        raise
    except DamagedFileError as error:
        raise _damaged(source, f"it is not a MetaGraphDef, or damaged: {error.what}") from error
    except DecodeError as error:
        raise _damaged(source, "it is not a MetaGraphDef, or damaged") from error
    return MetaFacts(
        tensorflow_version=version,
        trainable=names.get("trainable_variables"),
        all_variables=names.get("variables"),
        moving_averages=names.get("moving_average_variables"),
    )


def meta_beside(path: str, findings: list[Finding]) -> MetaFacts | None:
    """The facts in the `.meta` file at `path`; None, and a finding more, where it is damaged."""
    source = None
    try:
        source = LocalFile(path)
        return read_meta_facts(source)
    except CkptviewerError as error:
        findings.append(
            Finding(
                code="damaged-meta",
                severity=Severity.WARNING,
                message=f"{os.path.basename(path)} cannot be read: {error.what}; "
                "which variables are trainable is not known.",
                remedy=COPY_CHECKPOINT,
            )
        )
        return None
    finally:
        if source is not None:
            source.release()


_WANTED = frozenset(("trainable_variables", "variables", "moving_average_variables"))


def _variable_names(collection: Collection) -> Iterator[str]:
    from ckptviewer.formats.proto.meta_graph_pb2 import VariableDef

    for name in collection.node_list.value:
        yield name.removesuffix(":0")
    for serialized in collection.bytes_list.value:
        variable = VariableDef.FromString(serialized)
        whole = variable.save_slice_info_def.full_name
        yield whole or variable.variable_name.removesuffix(":0")


def _damaged(source: ByteSource, what: str) -> DamagedFileError:
    return DamagedFileError(what, where=source.name, remedy=_REMEDY)
