"""What `saved_model.pb` tells of a SavedModel: tags, signatures, and its variables' properties.

Source of the format: tensorflow/core/protobuf/saved_model.proto, meta_graph.proto and
saved_object_graph.proto. The graphs, which may be gigabytes, are passed over unread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ckptviewer.checkpoint.dtypes import BY_NUMBER
from ckptviewer.checkpoint.errors import COPY_SAVED_MODEL, DamagedFileError
from ckptviewer.checkpoint.text import natural_sorted
from ckptviewer.formats.saved_model_text import looks_like_text, parse_text
from ckptviewer.formats.wire import Span, fields, spans
from ckptviewer.storage.byte_source import ByteSource

if TYPE_CHECKING:
    from google.protobuf.internal.containers import MessageMap

    from ckptviewer.formats.proto.saved_model_pb2 import (
        Collection,
        MetaGraph,
        SavedObjectGraph,
        Signature,
        TensorInfo,
    )

_META_GRAPHS = 2
_INFO, _COLLECTION, _SIGNATURE, _ASSET, _OBJECTS = 1, 4, 5, 6, 7
_LARGEST_PART_BYTES = 1 << 28
_MOST_META_GRAPHS = 1000
_INIT_SIGNATURE = "__saved_model_init_op"  # not one that a person calls
_REF_OFFSET = 100  # DT_FLOAT_REF is DT_FLOAT + 100


class SavedVariable(NamedTuple):
    """What the model's object graph says of a variable; the name may be empty."""

    name: str
    trainable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelGraph:
    """One meta graph.

    tags: as `tf.saved_model.load` takes them; may be none. tensorflow_version: empty if untold.
    signatures: name to text ("x: float32 [?, 3] → y: float32 [?]"), in natural order.
    assets: names of its asset files. objects: its object graph; None for TensorFlow 1.
    trainable, all_variables, moving_averages: names in the collections; None where it has none.
    """

    tags: tuple[str, ...] = ()
    tensorflow_version: str = ""
    signatures: Mapping[str, str] = field(default_factory=dict)
    assets: tuple[str, ...] = ()
    objects: ObjectGraph | None = None
    trainable: frozenset[str] | None = None
    all_variables: frozenset[str] | None = None
    moving_averages: frozenset[str] | None = None


def looks_like_saved_model(start: bytes) -> bool:
    """Whether a file with this start is a SavedModel, in either form."""
    # Schema version 1, then a meta graph. A frozen graph begins with a node instead.
    return start.startswith(b"\x08\x01\x12") or looks_like_text(start)


def read_model_graphs(source: ByteSource) -> list[ModelGraph]:
    """The meta graphs in `source`. Raises DamagedFileError, and what reading raises."""
    try:
        if looks_like_text(source.read(0, min(source.size, 4096))):
            model = parse_text(source.read(0, source.size))
            return [_from_message(each) for each in model.meta_graphs]
        graphs = []
        for span in spans(source, 0, source.size):
            if span.number == _META_GRAPHS:
                graphs.append(_from_bytes(source, span))
                if len(graphs) > _MOST_META_GRAPHS:
                    raise DamagedFileError("it has thousands of meta graphs")
    except DamagedFileError as error:
        raise type(error)(
            error.what, where=error.where or source.name, remedy=error.remedy or COPY_SAVED_MODEL
        ) from error
    if not graphs:
        raise DamagedFileError("it has no meta graph", where=source.name, remedy=COPY_SAVED_MODEL)
    return graphs


def _from_bytes(source: ByteSource, graph: Span) -> ModelGraph:
    """A meta graph, of which only the small parts are read."""
    from google.protobuf.message import DecodeError

    from ckptviewer.formats.proto.saved_model_pb2 import (
        AssetFile,
        CollectionEntry,
        MetaGraph,
        MetaInfo,
        SavedObjectGraph,
        SignatureEntry,
    )

    message = MetaGraph()
    try:
        for span in spans(source, graph.start, graph.stop):
            if span.number not in (_INFO, _COLLECTION, _SIGNATURE, _ASSET, _OBJECTS):
                continue
            if span.stop - span.start > _LARGEST_PART_BYTES:
                raise DamagedFileError(f"a part of it has {span.stop - span.start:,} bytes")
            data = source.read(span.start, span.stop - span.start)
            if span.number == _INFO:
                message.meta_info_def.MergeFrom(MetaInfo.FromString(data))
            elif span.number == _COLLECTION:
                collection = CollectionEntry.FromString(data)
                message.collection_def[collection.key].CopyFrom(collection.value)
            elif span.number == _SIGNATURE:
                signature = SignatureEntry.FromString(data)
                message.signature_def[signature.key].CopyFrom(signature.value)
            elif span.number == _ASSET:
                message.asset_file_def.append(AssetFile.FromString(data))
            else:
                message.object_graph_def.MergeFrom(SavedObjectGraph.FromString(data))
        return _from_message(message)
    except DecodeError as error:
        raise DamagedFileError("a part of it is no message of its kind") from error


def _from_message(graph: MetaGraph) -> ModelGraph:
    from google.protobuf.message import DecodeError

    info, collections = graph.meta_info_def, graph.collection_def
    try:
        named = {
            key: frozenset(_variable_names(collections[key])) if key in collections else None
            for key in ("trainable_variables", "variables", "moving_average_variables")
        }
    except DecodeError as error:
        raise DamagedFileError("a list of its variables is damaged") from error
    called = [name for name in graph.signature_def if name != _INIT_SIGNATURE]
    objects = graph.object_graph_def
    return ModelGraph(
        tags=tuple(info.tags),
        tensorflow_version=info.tensorflow_version,
        signatures={
            name: _signature_text(graph.signature_def[name])
            for name in natural_sorted(called, key=str)
        },
        assets=tuple(asset.filename for asset in graph.asset_file_def),
        objects=ObjectGraph(objects) if objects.nodes else None,
        trainable=named["trainable_variables"],
        all_variables=named["variables"],
        moving_averages=named["moving_average_variables"],
    )


def _variable_names(collection: Collection) -> Iterator[str]:
    """Names without ":0"; a partitioned variable goes by the name of the whole."""
    from ckptviewer.formats.proto.saved_model_pb2 import Variable

    for name in collection.node_list.value:
        yield name.removesuffix(":0")
    for serialized in collection.bytes_list.value:
        variable = Variable.FromString(serialized)
        whole = variable.save_slice_info_def.full_name
        yield whole or variable.variable_name.removesuffix(":0")


def _signature_text(signature: Signature) -> str:
    inputs, outputs = _tensors_text(signature.inputs), _tensors_text(signature.outputs)
    text = f"{inputs} → {outputs}"
    return f"{text}  ({signature.method_name})" if signature.method_name else text


def _tensors_text(tensors: MessageMap[str, TensorInfo]) -> str:
    names = natural_sorted(list(tensors), key=str)
    texts = [f"{name}: {_tensor_text(tensors[name])}" for name in names]
    return ", ".join(texts) or "nothing"


def _tensor_text(info: TensorInfo) -> str:
    known = BY_NUMBER.get(info.dtype - _REF_OFFSET if info.dtype > _REF_OFFSET else info.dtype)
    dtype = known.name if known else f"dtype-{info.dtype}"
    if info.tensor_shape.unknown_rank:
        return f"{dtype} of any shape"
    sizes = ("?" if dim.size < 0 else str(dim.size) for dim in info.tensor_shape.dim)
    return f"{dtype} [{', '.join(sizes)}]"


class ObjectGraph:
    """The model's objects: finds a variable by the path that a checkpoint's key spells."""

    def __init__(self, message: SavedObjectGraph) -> None:
        self._nodes = message.nodes
        self._children: dict[int, dict[str, int]] = {}
        self._slots: dict[int, dict[tuple[int, str], int]] = {}

    @property
    def variable_count(self) -> int:
        """How many variables the model has."""
        return sum(node.HasField("variable") for node in self._nodes)

    def variable(self, key: str) -> SavedVariable | None:
        """The variable whose values are stored under `key`; None where the graph has none."""
        path, _, attribute = key.rpartition("/.ATTRIBUTES/")
        if attribute != "VARIABLE_VALUE":
            return None
        owner, _, slot = path.rpartition("/.OPTIMIZER_SLOT/")
        node = self._slot(owner, slot) if owner else self._reach(path.split("/"))
        if node is None or not self._nodes[node].HasField("variable"):
            return None
        variable = self._nodes[node].variable
        return SavedVariable(variable.name, variable.trainable)

    def _slot(self, owner: str, slot: str) -> int | None:
        """The slot of the variable at path `owner`: path of the optimizer, then its name."""
        optimizer_path, _, name = slot.rpartition("/")
        variable = self._reach(owner.split("/"))
        optimizer = self._reach(optimizer_path.split("/"))
        if variable is None or optimizer is None:
            return None
        slots = self._slots.get(optimizer)
        if slots is None:
            slots = self._slots[optimizer] = {
                (each.original_variable_node_id, each.slot_name): each.slot_variable_node_id
                for each in self._nodes[optimizer].slot_variables
            }
        found = slots.get((variable, _unescaped(name)))
        return found if found is not None and 0 <= found < len(self._nodes) else None

    def _reach(self, path: Iterable[str]) -> int | None:
        node = 0
        for part in path:
            children = self._children.get(node)
            if children is None:
                children = self._children[node] = {
                    child.local_name: child.node_id for child in self._nodes[node].children
                }
            found = children.get(_unescaped(part))
            if found is None or not 0 <= found < len(self._nodes):
                return None
            node = found
        return node


def _unescaped(part: str) -> str:
    """A part of a key as the name of an edge: keys write "/" as ".S" and "." as ".."."""
    if "." not in part:
        return part
    return "".join("/" if piece == ".S" else piece[-1] for piece in _pieces(part))


def _pieces(part: str) -> Iterator[str]:
    position = 0
    while position < len(part):
        size = 2 if part[position] == "." and position + 1 < len(part) else 1
        yield part[position : position + size]
        position += size


def read_fingerprint(source: ByteSource) -> Mapping[str, str]:
    """What `fingerprint.pb` holds, label to text. Raises DamagedFileError.

    Source: tensorflow/core/protobuf/fingerprint.proto.
    """
    if source.size > 1 << 16:
        raise DamagedFileError(f"it has {source.size:,} bytes", where=source.name)
    labels = {1: "model", 2: "graph", 3: "signatures", 4: "objects", 5: "checkpoint"}
    found = {
        number: value
        for number, _, value, _ in fields(memoryview(source.read(0, source.size)))
        if number in labels
    }
    return {labels[number]: f"{found[number]:016x}" for number in sorted(found)}


def merged(graphs: Sequence[ModelGraph]) -> ModelGraph:
    """What several meta graphs say of the variables that they share."""
    sets: dict[str, frozenset[str] | None] = {}
    for name in ("trainable", "all_variables", "moving_averages"):
        given = [value for graph in graphs if (value := getattr(graph, name)) is not None]
        sets[name] = frozenset().union(*given) if given else None
    return ModelGraph(
        tensorflow_version=next((g.tensorflow_version for g in graphs if g.tensorflow_version), ""),
        objects=next((graph.objects for graph in graphs if graph.objects), None),
        trainable=sets["trainable"],
        all_variables=sets["all_variables"],
        moving_averages=sets["moving_averages"],
    )
