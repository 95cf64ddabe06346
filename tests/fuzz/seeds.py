"""Where fuzzing starts: `python -m tests.fuzz.seeds [DIRECTORY]` makes tiny files of every format.

Needs the test environment (TensorFlow, Keras, h5py); with CKPTVIEWER_CORPUS set, small files of the
corpus are added, and the beginnings of large ones.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ckptviewer.formats.sstable import MAGIC
from tests.fuzz.events_said import lines_said
from tests.fuzz.model_seeds import models_to_review
from tests.fuzz.parts import join_parts

LARGEST_BYTES = 24 << 10
"""Larger seeds make every input slow; they are cut."""

_STATES = (
    b'model_checkpoint_path: "model.ckpt-1"\nall_model_checkpoint_paths: "model.ckpt-1"\n',
    b'model_checkpoint_path: "/a\\"b\\303\\266/x"  # c\nall_model_checkpoint_timestamps: 1.5e9\n'
    b"all_model_checkpoint_paths: ['a', \"b\" 'c']\nlast_preserved_timestamp: -inf\n",
)


class Seeds:
    """Files below a directory, a folder a parser."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def add(self, parser: str, name: str, *parts: bytes) -> None:
        folder = self.directory / parser
        folder.mkdir(parents=True, exist_ok=True)
        if sum(map(len, parts)) > LARGEST_BYTES:
            parts = tuple(part[: LARGEST_BYTES // len(parts)] for part in parts)
        (folder / name).write_bytes(join_parts(parts) if len(parts) > 1 else parts[0])

    def add_saved_model(self, name: str, file: Path) -> None:
        """A SavedModel without its graph, which is passed over, and with its variables."""
        from tensorflow.core.protobuf import saved_model_pb2

        model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
        for graph in model.meta_graphs:
            graph.graph_def.Clear()
            graph.meta_info_def.stripped_op_list.Clear()
        variables = file.parent / "variables"
        index = variables / "variables.index"
        contents = sorted(variables.glob("variables.data-*"))
        index_bytes = index.read_bytes() if index.is_file() else b""
        content = contents[-1].read_bytes()[:4096] if contents else b""
        self.add("saved_model_pb", name, model.SerializeToString(), index_bytes, content)

    def add_bundle(self, name: str, prefix: Path, shard: str = "00000-of-00001") -> None:
        data = Path(f"{prefix}.data-{shard}")
        index = Path(f"{prefix}.index").read_bytes()
        content = data.read_bytes() if data.is_file() else b""
        self.add("bundle", name, index, content[: LARGEST_BYTES - len(index)])


def add_bundles(seeds: Seeds, scratch: Path) -> None:
    from tests import builders, keras_builders

    every = {f"v{n}": builders.sample_values(n) for n in builders.SAVABLE}
    seeds.add_bundle("every", builders.save(scratch / "every", every))
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    sliced = builders.save_slices(scratch / "cut", builders.cut("w", values, [1], [2]))
    seeds.add_bundle("sliced", sliced)
    index = Path(f"{builders.save(scratch / 'snappy', every)}.index").read_bytes()
    table = builders.table_of(builders.pairs_in(index), block_entries=3, snappy=True)
    seeds.add("bundle", "snappy", table, (scratch / "snappy.data-00000-of-00001").read_bytes())

    import keras
    import tf_keras

    for library, build in ((keras, keras_builders.keras_3), (tf_keras, keras_builders.keras_2)):
        folder = scratch / library.__name__
        folder.mkdir()
        written = build(folder, library.optimizers.Adam())
        prefix = Path(written.prefix)
        seeds.add_bundle(library.__name__, prefix)
        seeds.add("object_graph", library.__name__, keras_builders.stored(prefix).graph)


def add_v1(seeds: Seeds, scratch: Path) -> None:
    from tests.formats import test_tf_v1 as v1

    built = v1.file_of(
        scratch / "built",
        ("x", 1, [4], {((0, 2),): v1.FLOATS, ((2, 2),): v1.FLOATS}),
        ("s", 7, [1], {v1.WHOLE: v1.field(8, b"text")}),
        ("i", 9, [2], {v1.WHOLE: v1.field(10, v1.varint(1) + v1.varint(-1))}),
    )
    seeds.add("tf_v1", "built", built.read_bytes())
    for name, build in v1.BUILDERS.items():
        folder = scratch / f"v1-{name}"
        folder.mkdir()
        build(folder)
        for file in folder.iterdir():
            if file.stat().st_size <= LARGEST_BYTES and file.read_bytes().endswith(MAGIC):
                seeds.add("tf_v1", f"{name}-{file.name}", file.read_bytes())


def add_saved_models(seeds: Seeds, scratch: Path) -> None:
    from tests.formats import test_saved_model as models

    for build in (models.module, models.graph_model, models.no_variables):
        folder = scratch / build.__name__
        folder.mkdir()
        made = build(folder)
        made = made if isinstance(made, Path) else folder
        for file in made.rglob("saved_model.pb"):
            seeds.add_saved_model(build.__name__, file)
    folder = scratch / "text"
    folder.mkdir()
    models.graph_model(folder, as_text=True)
    for file in folder.rglob("saved_model.pbtxt"):
        text = file.read_bytes()
        seeds.add("saved_model_pbtxt", "text", text)
        seeds.add("saved_model_pbtxt", "end", b"meta_graphs {\n" + text[-2000:])
    small = b"""saved_model_schema_version: 1 meta_graphs <
      meta_info_def { tags: "a{\\"}" tensorflow_version: '2.1' } graph_def { node { name: "}" } }
      signature_def { key: 's' value { inputs { key: "x" value { dtype: DT_FLOAT
        tensor_shape { dim { size: -1 } } } } method_name: "m" } }
      collection_def { key: "variables" value { bytes_list { value: "\\n\\003w:0" } } } >"""
    seeds.add("saved_model_pbtxt", "small", small)


def add_meta_graphs(seeds: Seeds, scratch: Path) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    with v1.Graph().as_default():
        variable = v1.get_variable("w", [2], use_resource=True)
        tf.train.ExponentialMovingAverage(0.9).apply([variable])
        saver = v1.train.Saver()
        full = saver.export_meta_graph().SerializeToString()
        bare = saver.export_meta_graph(clear_devices=True)
        bare.graph_def.Clear()
    seeds.add("meta_graph", "full", full)
    seeds.add("meta_graph", "bare", bare.SerializeToString())


def add_hdf5(seeds: Seeds, scratch: Path) -> None:
    import h5py

    for name, version in (("old", "earliest"), ("new", "latest")):
        path = scratch / f"{name}.h5"
        with h5py.File(path, "w", libver=version) as file:
            file["a/b"] = np.arange(6.0, dtype=np.float32).reshape(2, 3)
            group = file.create_group("many")
            for number in range(12):
                group.create_dataset(f"v{number}", data=np.float16(number))
            chunks = np.arange(64, dtype=np.int32).reshape(8, 8)
            file.create_dataset("z", data=chunks, chunks=(4, 4), compression=4, shuffle=True)
            file.create_dataset("f", data=chunks, chunks=(4, 4), fletcher32=True)
            file.create_dataset("s", data=["text", "more"], dtype=h5py.string_dtype())
            file.attrs["layer_names"] = np.array([b"a", b"many"])
            file["a"].attrs["weight_names"] = np.array([b"b"])
            for number in range(12):
                file.attrs[f"attribute{number}"] = "x" * number
            file["hard"] = file["a/b"]
            file["soft"] = h5py.SoftLink("/a/b")
            file["out"] = h5py.ExternalLink("other.h5", "/x")
        seeds.add("hdf5", name, path.read_bytes())


def add_keras(seeds: Seeds, scratch: Path) -> None:
    import keras
    import tf_keras

    layers = [keras.layers.Input((2,)), keras.layers.Dense(1, name="d")]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    model.fit(np.zeros((1, 2)), np.zeros((1, 1)), verbose=0)
    model.save_weights(scratch / "m.weights.h5")
    model.save(scratch / "m.keras")
    model.save(scratch / "m.h5")
    old = tf_keras.Sequential([tf_keras.layers.Dense(1, input_shape=(2,))])
    old.compile("sgd", "mse")
    old.save(scratch / "old.h5")
    old.save_weights(scratch / "w.h5")
    weights = (scratch / "m.weights.h5").read_bytes()
    seeds.add("hdf5", "keras_weights", weights)
    shards = {"/layers/dense/vars": ["y_00000.weights.h5"], "/optimizer/vars": "y_00001.weights.h5"}
    seeds.add("keras_weights", "small", weights, json.dumps({"weight_map": shards}).encode())
    weight_map = {
        "metadata": {"total_size": 36},
        "weight_map": {"/layers/dense/vars": ["y_00000.weights.h5"]},
    }
    seeds.add("keras_weights", "total", weights, json.dumps(weight_map).encode())
    for name in ("m.h5", "old.h5", "w.h5"):
        seeds.add("keras_h5", name, (scratch / name).read_bytes())
    archive = (scratch / "m.keras").read_bytes()
    if len(archive) <= 2 * LARGEST_BYTES:
        (seeds.directory / "keras_archive").mkdir(exist_ok=True)
        (seeds.directory / "keras_archive" / "small").write_bytes(archive)


def add_plain(seeds: Seeds, scratch: Path) -> None:
    header = {
        "__metadata__": {"format": "tf"},
        "a": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]},
        'b"\\u00e9': {"dtype": "BF16", "shape": [], "data_offsets": [8, 10]},
        "c": {"dtype": "BOOL", "shape": [0], "data_offsets": [10, 10]},
    }
    for name, separators in (("dense", (",", ":")), ("loose", (", ", ": "))):
        text = json.dumps(header, separators=separators).encode()
        data = len(text).to_bytes(8, "little") + text + bytes(range(10))
        seeds.add("safetensors", name, data)
    arrays = {
        "f": np.arange(6, dtype=np.float32).reshape(2, 3),
        "big": np.arange(3, dtype=">i8"),
        "s": np.array(["ab", "c"]),
        "b": np.array([b"x", b"yz"]),
        "r": np.zeros(2, [("a", "<i2"), ("b", "<f8", (2,))]),
        "t": np.array(["2020-01-01"], "datetime64[D]"),
    }
    np.savez(scratch / "plain.npz", **arrays)
    np.savez_compressed(scratch / "packed.npz", **arrays, zeros=np.zeros(3000))
    seeds.add("npz", "plain", (scratch / "plain.npz").read_bytes())
    seeds.add("npz", "packed", (scratch / "packed.npz").read_bytes())
    for name in ("f", "r", "s"):
        np.save(scratch / f"{name}.npy", np.asfortranarray(arrays[name]))
        seeds.add("npz", f"{name}.npy", (scratch / f"{name}.npy").read_bytes())
    for number, state in enumerate(_STATES):
        seeds.add("checkpoint_state", f"{number}", state)


_COMPARISON = {
    "kind": "ckptviewer-comparison",
    "version": 1,
    "a": {"path": "/runs/1/model.ckpt-1", "identity": "120 1700000000"},
    "b": {"path": "/runs/2/model.ckpt-1", "identity": ""},
    "rules": [{"pattern": "^(.*)/dense_(\\d+)/", "replacement": "\\1/d\\2/"}],
    "by_hand": {"a/kernel": "b/kernel", "gone": None},
    "atol": 0.0,
    "rtol": 1e-5,
    "model_only": False,
    "include_metadata": True,
    "thresholds": {},
}
_RECIPE = {
    "version": 1,
    "checkpoint": "model.ckpt-1",
    "against": "../other",
    "python": "python3",
    "require": ["accuracy>=0.95", "loss<0.1"],
    "agreement_threshold": 0.99,
    "time_limit_seconds": 60,
    "memory_limit_bytes": 1000000000,
    "model": {"kind": "factory", "path": "build.py:make", "python_path": ["src"]},
    "data": {"paths": ["a.npz"], "kind": "npz", "batch_size": 32},
    "metrics": {"names": ["accuracy"]},
}
_RECIPE_TOML = b"""# A recipe
version = 1
checkpoint = "model.ckpt-1"
require = ["accuracy>=0.95"]
[model]
kind = "keras"
path = "m.keras"
[data]
kind = "npz"
paths = ["a.npz"]
"""
_RULES = rb"""^old_scope/=new_scope/
(?P<name>[a-z]+)_(\d+)=\g<name>/\2
(?<=a)b=c
^(?:model|net)/(.*)$=\1
"""
_NAMES = b"""ckpt-1.index
ckpt-1.data-00000-of-00001
ckpt-10.index
weights.03-0.21.h5
weights.04-0.19.h5
model-00001-of-00002.safetensors
epoch=5-val_loss=0.123.keras
export-00000-of-00002
"""
_VARIABLES = b"""dense/kernel
dense/bias
lstm/lstm_cell/kernel
variables/0/.ATTRIBUTES/VARIABLE_VALUE
"""


def add_documents(seeds: Seeds, scratch: Path) -> None:
    """What is no checkpoint: settings, rules, names, messages, records."""
    seeds.add("saved_comparison", "all", json.dumps(_COMPARISON).encode())
    seeds.add("recipe", "json", json.dumps(_RECIPE).encode())
    seeds.add("recipe", "toml", _RECIPE_TOML)
    seeds.add("rename_rules", "some", _RULES)
    for number, state in enumerate(_STATES):
        seeds.add("run", f"{number}", _NAMES, state)
    asked = {"ckptviewer": 1, "paths": ["/a", "/b\u00e9"], "compare": True, "token": "x_TIME1"}
    for sides in ("", "a", "ab"):
        seeds.add("worker_events", f"sides-{sides}", lines_said(sides))
    seeds.add("hand_over", "two", json.dumps(asked).encode())
    add_records(seeds, scratch)
    for name, each in models_to_review():
        for number, content in enumerate(each):
            seeds.add(name, f"{number}", content)
    layers = [
        {"class_name": "Dense", "config": {"name": "dense", "trainable": True}},
        {"class_name": "Bidirectional", "config": {"name": "b", "layer": {"class_name": "LSTM"}}},
    ]
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    for graph in sorted((seeds.directory / "object_graph").glob("*")):
        content = graph.read_bytes()[: LARGEST_BYTES // 2]
        seeds.add("keras_keys", graph.name, content, _VARIABLES, json.dumps(config).encode())
    files = {"a": "z-00001-of-00002.safetensors", "lost": "z-00002-of-00002.safetensors"}
    weight_map = json.dumps({"metadata": {"total_size": 10}, "weight_map": files}).encode()
    for tensors in sorted((seeds.directory / "safetensors").glob("*")):
        content = tensors.read_bytes()
        if len(content) < LARGEST_BYTES // 2:
            seeds.add("safetensors_map", tensors.name, content, weight_map)


def add_records(seeds: Seeds, scratch: Path) -> None:
    import tensorflow as tf

    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"abc", b""])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[1, 300, -1])),
        "x": tf.train.Feature(float_list=tf.train.FloatList(value=[0.5, 2.0])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    for compression in ("", "GZIP", "ZLIB"):
        path = scratch / f"records{compression}"
        with tf.io.TFRecordWriter(str(path), compression) as writer:
            for _ in range(3):
                writer.write(example.SerializeToString())
        seeds.add("tfrecords", f"three{compression}", path.read_bytes())


def add_corpus(seeds: Seeds, scratch: Path) -> None:
    root = Path(os.environ.get("CKPTVIEWER_CORPUS", "missing"))
    if not root.is_dir():
        return
    for file in sorted(root.rglob("*.index")):
        shards = sorted(file.parent.glob(f"{file.stem}.data-*"))
        if shards:
            name = "-".join(file.relative_to(root).parts[:1])
            seeds.add_bundle(name, file.with_suffix(""), shards[-1].name.split(".data-")[1])
    for file in sorted(root.rglob("saved_model.pb")):
        seeds.add_saved_model(file.relative_to(root).parts[0], file)
    kinds = {
        "*.meta": "meta_graph",
        "checkpoint": "checkpoint_state",
        "*.safetensors": "safetensors",
        "*.keras": "keras_archive",
        "*.hdf5": "keras_h5",
        "*.h5": "hdf5",
        "export-*-of-*": "tf_v1",
    }
    for pattern, parser in kinds.items():
        for file in sorted(root.rglob(pattern)):
            seeds.add(parser, file.relative_to(root).parts[0] + "-" + file.name, file.read_bytes())


STEPS: tuple[Callable[[Seeds, Path], None], ...] = (
    add_plain,
    add_bundles,
    add_v1,
    add_saved_models,
    add_meta_graphs,
    add_hdf5,
    add_keras,
    add_corpus,
    add_documents,
)


def main(directory: str = "") -> None:
    place = Path(tempfile.gettempdir()) / "ckptviewer-fuzz" / "seeds"
    seeds = Seeds(Path(directory) if directory else place)
    for step in STEPS:
        with tempfile.TemporaryDirectory() as scratch:
            step(seeds, Path(scratch))
        print(step.__name__, "done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
