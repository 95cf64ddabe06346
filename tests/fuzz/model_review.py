"""What is told of a model before somebody agrees to run it: nothing that it would do may hide.

The graph is read by protobuf as well, as TensorFlow reads it: each risky operation that is in it
then has to be told, or that it could not be looked at.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import DecodeError, Message

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.text import printable
from ckptviewer.validation.graph_risks import RISKY
from ckptviewer.validation.protocol import ModelKind, ModelSpec
from ckptviewer.validation.risks import review_model
from tests.fuzz.place import DIRECTORY

_UNKNOWN = "not-looked-at"
_SCHEMA = {
    "SavedModel": (("meta_graphs", 2, "MetaGraph"),),
    "MetaGraph": (("graph_def", 2, "Graph"),),
    "Graph": (("node", 1, "Node"), ("library", 2, "Library")),
    "Library": (("function", 1, "Function"),),
    "Function": (("node_def", 3, "Node"),),
    "Node": (("name", 1, ""), ("op", 2, "")),
}
_REPEATED = ("meta_graphs", "node", "function", "node_def")


def model_review(data: bytes) -> None:
    """A SavedModel, or what stands in a `.meta` file."""
    if zlib.crc32(data) % 4:
        told = _told(ModelKind.SAVED_MODEL, "review/saved_model.pb", data)
        wanted = _in_binary("SavedModel", data)
    else:
        told = _told(ModelKind.META_GRAPH, "review/model.meta", data)
        wanted = _in_binary("MetaGraph", data)
        wanted = _in_text("MetaGraph", data) if wanted is None else wanted
    assert _UNKNOWN in told or (wanted or set()) <= told, "a risky operation is hidden"


def model_review_text(data: bytes) -> None:
    told = _told(ModelKind.SAVED_MODEL, "review-text/saved_model.pbtxt", data)
    wanted = _in_text("SavedModel", data) or set()
    assert _UNKNOWN in told or wanted <= told, "a risky operation is hidden"


def keras_review(data: bytes) -> None:
    """The configuration of a Keras model, in a directory of its own."""
    _told(ModelKind.KERAS, "review-keras/metadata.json", b"{}")
    _told(ModelKind.KERAS, "review-keras/config.json", data)


def _told(kind: ModelKind, name: str, data: bytes) -> set[str]:
    """The codes of what is told, of one file of the model."""
    path = DIRECTORY / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    model = path.parent if kind is ModelKind.KERAS else path
    try:
        found = review_model(ModelSpec(kind=kind, path=str(model)))
    except CkptviewerError as error:
        str(error)
        return {_UNKNOWN}
    for risk in found.risks:
        printable(f"{risk.message} {risk.places}")
    return {risk.code for risk in found.risks}


def _in_binary(kind: str, data: bytes) -> set[str] | None:
    try:
        return _codes(_schema()[kind].FromString(data))
    except DecodeError:
        return None


def _in_text(kind: str, data: bytes) -> set[str] | None:
    message = _schema()[kind]()
    try:
        text_format.Parse(data.decode(), message, allow_unknown_field=True)
    except (text_format.ParseError, ValueError, RecursionError, TypeError, AttributeError):
        return None
    return _codes(message)


def _codes(message: Message) -> set[str]:
    names = {node.op.decode("utf-8", "replace") for node in _nodes(message)}
    return {RISKY[name][0] for name in names & RISKY.keys()}


def _nodes(message: Any) -> Iterator[Any]:
    for meta in getattr(message, "meta_graphs", (message,)):
        yield from meta.graph_def.node
        for function in meta.graph_def.library.function:
            yield from function.node_def


@cache
def _schema() -> dict[str, type[Any]]:
    """As much of TensorFlow's messages as leads to operations; names are bytes, whatever they are.

    Source: tensorflow/core/protobuf/meta_graph.proto, tensorflow/core/framework/graph.proto.
    """
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="graph.proto", package="fuzz", syntax="proto3")
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, number, inner in fields:
            message.field.add(
                name=field,
                number=number,
                type=kinds.TYPE_MESSAGE if inner else kinds.TYPE_BYTES,
                type_name=f".fuzz.{inner}" if inner else None,
                label=kinds.LABEL_REPEATED if field in _REPEATED else kinds.LABEL_OPTIONAL,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {name: pool.FindMessageTypeByName(f"fuzz.{name}") for name in _SCHEMA}
    return {name: message_factory.GetMessageClass(each) for name, each in found.items()}
