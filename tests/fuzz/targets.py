"""What is done to each parser: one function a parser, which takes the bytes of one input.

All of them do as the program does (probe, open, list, read everything) and let pass what parsers
may raise, CkptviewerError; whatever else comes out of them is a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from math import prod
from pathlib import Path

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.formats.registry import Format
from ckptviewer.storage.byte_source import MemoryBytes
from tests.fuzz import documents, model_review, worker_events
from tests.fuzz.parts import split_parts
from tests.fuzz.place import DIRECTORY

MOST_VARIABLES = 200
MOST_READ_BYTES = 16 << 20
"""Variables that claim more (an HDF5 dataset may have any size without storing it) are read in
part: one corner, and chunks up to so many bytes."""


def read_all(checkpoint: Checkpoint) -> None:
    """Everything that the program asks of a checkpoint, each read on its own."""
    for finding in checkpoint.findings:
        str(finding)
    for variable in checkpoint.variables[:MOST_VARIABLES]:
        for ask in (checkpoint.details, checkpoint.checksum, checkpoint.in_order):
            try:
                ask(variable)
            except CkptviewerError:
                pass
        corner = tuple(slice(0, 2) for _ in variable.shape)
        whole = prod(variable.shape) * 16 <= MOST_READ_BYTES
        for region in (None, corner) if whole else (corner,):
            try:
                values = checkpoint.read(variable, region)
            except CkptviewerError:
                continue
            shape = variable.shape if region is None else [min(2, n) for n in variable.shape]
            assert values.shape == tuple(shape), "the array has another shape than was asked for"
        _iterate(lambda v=variable: checkpoint.chunks(v, 1 << 16))
        _iterate(lambda v=variable: checkpoint.stored_chunks(v, 1 << 16) or ())


def _iterate(begin: Callable[[], Iterable]) -> None:
    total = 0
    try:
        for chunk in begin():
            total += chunk.nbytes + 1
            if total > MOST_READ_BYTES:
                return
    except CkptviewerError:
        pass


def opened_by(format_: Format, path: Path) -> None:
    """Probe the path, open it whatever the answer, and read all of it."""
    format_.probe(path)
    try:
        checkpoint = format_.open(path)
    except CkptviewerError as error:
        str(error)
        return
    with checkpoint:
        read_all(checkpoint)


def _written(name: str, data: bytes) -> Path:
    path = DIRECTORY / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _format(module: str, name: str) -> Format:
    return getattr(import_module(f"ckptviewer.formats.{module}"), name)()


def bundle(data: bytes) -> None:
    index, content = split_parts(data, 2)
    _written("b.data-00000-of-00001", content)
    opened_by(_format("tf_bundle", "TensorBundleFormat"), _written("b.index", index))


def tf_v1(data: bytes) -> None:
    opened_by(_format("tf_v1", "TfV1Format"), _written("model", data))


def saved_model_pb(data: bytes) -> None:
    model, index, content = split_parts(data, 3)
    path = _written("pb/saved_model.pb", model)
    _written("pb/variables/variables.index", index)
    _written("pb/variables/variables.data-00000-of-00001", content)
    opened_by(_format("saved_model", "SavedModelFormat"), path)


def saved_model_pbtxt(data: bytes) -> None:
    opened_by(_format("saved_model", "SavedModelFormat"), _written("txt/saved_model.pbtxt", data))


def object_graph(data: bytes) -> None:
    """Keys that the graph itself names are those of the checkpoint, so that it is followed."""
    from ckptviewer.formats.object_pruning import prune_object_graph
    from ckptviewer.formats.proto.object_graph_pb2 import ObjectGraph
    from tests.formats.described import describe_object_graph

    keys = {"save_counter/.ATTRIBUTES/VARIABLE_VALUE", "w"}
    try:
        for node in ObjectGraph.FromString(data).nodes[:500]:
            keys |= {attribute.checkpoint_key for attribute in node.attributes}
    except Exception:
        pass
    entries = [(key, "float32", (3,) if n % 3 else ()) for n, key in enumerate(sorted(keys))]
    try:
        described = describe_object_graph(data, entries)
        assert len(described) == len(entries)
    except CkptviewerError:
        pass
    try:
        prune_object_graph(data, set(sorted(keys)[::2]))
    except CkptviewerError:
        pass


def meta_graph(data: bytes) -> None:
    from ckptviewer.formats.graph_def import read_meta_facts

    try:
        read_meta_facts(MemoryBytes(data))
    except CkptviewerError:
        pass


def checkpoint_state(data: bytes) -> None:
    from ckptviewer.formats import checkpoint_state as states

    states.looks_like_checkpoint_state(data[:512])
    try:
        state = states.parse_checkpoint_state(data)
    except CkptviewerError:
        return
    again = states.parse_checkpoint_state(states.render_checkpoint_state(state).encode())
    assert repr(again) == repr(state), "what is written does not read back"
    states.locate_latest(state, DIRECTORY)


def hdf5(data: bytes) -> None:
    """As Keras 3's weights, which lists every dataset, whoever wrote it."""
    opened_by(_format("keras_weights", "KerasWeightsFormat"), _written("x.weights.h5", data))


def keras_weights(data: bytes) -> None:
    """Weights in shards: a shard, and the map that leads to it."""
    shard, weight_map = split_parts(data, 2)
    _written("y_00000.weights.h5", shard)
    opened_by(
        _format("keras_weights", "KerasWeightsFormat"), _written("y.weights.json", weight_map)
    )


def keras_h5(data: bytes) -> None:
    opened_by(_format("keras_h5", "KerasH5Format"), _written("x.h5", data))


def keras_archive(data: bytes) -> None:
    opened_by(_format("keras_archive", "KerasArchiveFormat"), _written("x.keras", data))


def safetensors(data: bytes) -> None:
    opened_by(_format("safetensors", "SafetensorsFormat"), _written("x.safetensors", data))


def safetensors_map(data: bytes) -> None:
    """Tensors in several files: one of them, and the map that leads to it."""
    shard, weight_map = split_parts(data, 2)
    _written("z-00001-of-00002.safetensors", shard)
    path = _written("z.safetensors.index.json", weight_map)
    opened_by(_format("safetensors", "SafetensorsFormat"), path)


def npz(data: bytes) -> None:
    opened_by(_format("npz", "NpzFormat"), _written("x.npz", data))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A parser under test. mutation: the name of how its inputs are taken apart (mutations.py).

    parts: of how many files an input consists. words: what stands in such files, for splicing.
    longest: how many bytes an input has at most.
    """

    run: Callable[[bytes], None]
    mutation: str
    parts: int = 1
    words: tuple[bytes, ...] = ()
    longest: int = 32 << 10


_TEXT = tuple(rb"""{ } < > [ ] " ' \ : # , -inf nan 1e400 0x7 \377 \x \u \U0010ffff""".split())
_STATE = tuple(
    b"model_checkpoint_path: all_model_checkpoint_paths: last_preserved_timestamp: "
    b"all_model_checkpoint_timestamps:".split()
)
_MODEL = tuple(
    b"meta_graphs meta_info_def tags signature_def graph_def saver_def collection_def bytes_list "
    b"object_graph_def nodes children variable".split()
)
_JSON = tuple(
    rb"""{ } [ ] , : " \u \ud800 dtype shape data_offsets -1 1e9 9223372036854775808 null F32 I64
    BOOL F4 __metadata__""".split()
)
_NUMBERS = (bytes(8), b"\xff" * 8, b"\xff" * 4, b"\x01" + bytes(7), b"\0\0\0\x80", b"\x7f", b"\x80")
_HDF5 = (
    *_NUMBERS,
    b"\x89HDF\r\n\x1a\n",
    *b"TREE SNOD HEAP GCOL OHDR OCHK FRHP FHDB FHIB BTHD BTIN BTLF FADB EAHD float32".split(),
)
_RULE = tuple(
    rb"""( ) (?: (?P<n> (?= (?<= (?> (?i) [a-z] [^/] . * + ? *+ {2,} {9} ^ $ | \ \1 \g<n> \w \d \b =
    \= (a+)+ .* a? (?(1)a|b)""".split()
)
_OPERATIONS = tuple(rb"""PyFunc ReadFile Const Py Func "PyFunc" 'PyF\x75nc' op: op""".split())
_GRAPH = tuple(b"meta_graphs graph_def node library function node_def meta_info_def".split())
_LAYERS = tuple(
    b"class_name config module registered_name Lambda __lambda__ code function TFSMLayer "
    b"StringLookup vocabulary os keras. pack>Mine".split()
)
_ODD_TEXT = (
    b"\\u001b[2J",
    b"\\u202e",
    b"<script>",
    b"NaN",
    b"1" * 400,
    b"1e999",
    b"accuracy",
    b"\n",
)
_TOML = tuple(b"[ ]] = ''' . -inf nan 0x1f 1979-05-27T07:32:00Z true # 1e400".split())
_NAMES = tuple(
    b"""/ - = . _ ckpt- .index .data-00000-of-00001 .weights.h5 -00001-of-00002.safetensors epoch
    step 1e9 0.5 99999999999999999999 dense_1/kernel lstm_cell layer-0 _operations variables/0
    """.split()
)

TARGETS: Mapping[str, Target] = {
    "bundle": Target(run=bundle, mutation="table", parts=2, words=_NUMBERS),
    "tf_v1": Target(run=tf_v1, mutation="table", words=_NUMBERS),
    "saved_model_pb": Target(run=saved_model_pb, mutation="message", parts=3),
    "saved_model_pbtxt": Target(run=saved_model_pbtxt, mutation="text", words=_TEXT + _MODEL),
    "object_graph": Target(run=object_graph, mutation="message"),
    "meta_graph": Target(run=meta_graph, mutation="message"),
    "checkpoint_state": Target(run=checkpoint_state, mutation="text", words=_TEXT + _STATE),
    "hdf5": Target(run=hdf5, mutation="offsets", words=_HDF5),
    "keras_h5": Target(run=keras_h5, mutation="offsets", words=_HDF5),
    "keras_weights": Target(run=keras_weights, mutation="offsets", parts=2, words=_HDF5 + _JSON),
    "keras_archive": Target(run=keras_archive, mutation="archive", words=_HDF5 + _JSON),
    "safetensors": Target(run=safetensors, mutation="header", words=_JSON),
    "safetensors_map": Target(run=safetensors_map, mutation="header", parts=2, words=_JSON),
    "npz": Target(run=npz, mutation="archive", words=(*_NUMBERS, b"'descr'", b"(", b"|O", b"True")),
    "saved_comparison": Target(
        run=documents.saved_comparison, mutation="json", words=_JSON + _RULE
    ),
    "rename_rules": Target(run=documents.rename_rules, mutation="text", words=_RULE, longest=400),
    "recipe": Target(run=documents.recipe, mutation="json", words=_JSON + _TOML),
    "tfrecords": Target(run=documents.tfrecords, mutation="records", words=_NUMBERS),
    "run": Target(
        run=documents.run,
        mutation="text",
        parts=2,
        words=_TEXT + _STATE + _NAMES,
        longest=4096,
    ),
    "hand_over": Target(run=documents.hand_over, mutation="json", words=_JSON),
    "worker_events": Target(
        run=worker_events.worker_events, mutation="lines", words=_JSON + _ODD_TEXT
    ),
    "model_review": Target(
        run=model_review.model_review, mutation="message", words=_OPERATIONS + _GRAPH
    ),
    "model_review_text": Target(
        run=model_review.model_review_text, mutation="text", words=_TEXT + _OPERATIONS + _GRAPH
    ),
    "keras_review": Target(run=model_review.keras_review, mutation="json", words=_JSON + _LAYERS),
    "keras_keys": Target(run=documents.keras_keys, mutation="message", parts=3, words=_NAMES),
}
