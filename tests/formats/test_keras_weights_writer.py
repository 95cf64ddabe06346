"""Keras' weights that we write, loaded by Keras into a fresh model of the same kind."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import textwrap
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.computed import ComputedCheckpoint
from ckptviewer.checkpoint.errors import DamagedFileError, UnwritableFileError
from ckptviewer.checkpoint.variable import Role, Variable
from ckptviewer.formats.bundle_writer import Tensor
from ckptviewer.formats.keras_keys import keys_of
from ckptviewer.formats.keras_layers_by_name import layers_by_name
from ckptviewer.formats.keras_layers_in_graph import GraphLayers
from ckptviewer.formats.keras_layout import Layout
from ckptviewer.formats.keras_weights_writer import why_unwritable, write_keras_weights
from ckptviewer.formats.proto.object_graph_pb2 import ObjectGraph
from ckptviewer.formats.resolve import open_checkpoint
from tests.formats import keras_models  # before Keras: it keeps TensorFlow quiet
from tests.formats.written import read_back, tensor, tensors_of, values_of

# Keras' own use of NumPy, and its advice on formats, are not what is tested here.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5:UserWarning"),
]

MODELS = {
    each.__name__: each
    for each in (
        keras_models.plain,
        keras_models.recurrent,
        keras_models.convolutional,
        keras_models.nested,
        keras_models.custom,
        keras_models.subclassed,
    )
}


def written(checkpoint: Checkpoint, path: Path, *, model_only: bool = True) -> dict[str, str]:
    """Write what of a checkpoint has a place; returns why the rest has none."""
    chosen = [v for v in checkpoint.variables if v.in_model or not model_only]
    keys, reasons = keys_of(checkpoint, chosen)
    assert keys.keys() | reasons.keys() == {v.key for v in chosen}
    assert not keys.keys() & reasons.keys()
    assert all(reasons.values())
    tensors = [
        Tensor(
            key=keys[variable.key],
            dtype=variable.dtype,
            shape=variable.shape,
            chunks=checkpoint.chunks(variable),
        )
        for variable in chosen
        if variable.key in keys
    ]
    assert not any(why_unwritable(each.key, each.dtype, each.shape) for each in tensors)
    assert write_keras_weights(str(path), tensors) == [str(path)]
    return reasons


def assert_loads(path: Path, fresh: Any, saved: Any) -> None:
    """Keras loads the file into `fresh`, which then is `saved` in every bit."""
    inputs = keras_models.inputs_of(saved)
    fresh.load_weights(str(path))
    theirs = [each for each in saved.weights if "seed" not in each.name]
    ours = [each for each in fresh.weights if "seed" not in each.name]
    for one, other in zip(ours, theirs, strict=True):
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes(), one.path
    assert np.asarray(fresh(inputs)).tobytes() == np.asarray(saved(inputs)).tobytes()


def save_archive(model: Any, directory: Path) -> Path:
    model.save(directory / "m.keras")
    return directory / "m.keras"


def save_weights(model: Any, directory: Path) -> Path:
    model.save_weights(directory / "m.weights.h5")
    return directory / "m.weights.h5"


def save_h5(model: Any, directory: Path) -> Path:
    model.save(directory / "m.h5")
    return directory / "m.h5"


def save_checkpoint(model: Any, directory: Path) -> Path:
    return Path(tf.train.Checkpoint(model=model).save(str(directory / "ckpt")))


def save_trained(model: Any, directory: Path) -> Path:
    """With an optimizer, whose lists hold the model's variables once more."""
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return save_checkpoint(model, directory)


def save_servable(model: Any, directory: Path) -> Path:
    model.export(str(directory / "servable"), verbose=False)
    return directory / "servable"


Save = Callable[[Any, Path], Path]
KERAS_3: list[tuple[Save, str]] = [
    *[(save_archive, name) for name in ("recurrent", "custom", "subclassed")],
    *[(save_weights, name) for name in ("plain", "nested")],
    *[(save_h5, name) for name in ("plain", "recurrent", "convolutional", "nested")],
    *[(save_checkpoint, name) for name in ("plain", "recurrent", "convolutional", "nested")],
    *[(save_trained, name) for name in MODELS],
    *[(save_servable, name) for name in ("plain", "recurrent", "convolutional")],
]


@pytest.mark.parametrize(
    ("save", "name"), KERAS_3, ids=[f"{save.__name__}-{name}" for save, name in KERAS_3]
)
def test_keras_loads_what_is_written_from(save: Save, name: str, tmp_path: Path) -> None:
    saved = keras_models.filled(MODELS[name](keras))
    path = tmp_path / "ours.weights.h5"
    with open_checkpoint(str(save(saved, tmp_path))) as checkpoint:
        reasons = written(checkpoint, path)
    assert all("repeats" in reason for reason in reasons.values())
    assert_loads(path, MODELS[name](keras), saved)


def save_tf_checkpoint(model: Any, directory: Path) -> Path:
    model.save_weights(str(directory / "ckpt"))
    return directory / "ckpt"


def save_saved_model(model: Any, directory: Path) -> Path:
    tf.saved_model.save(model, str(directory / "saved"))
    return directory / "saved"


TF_KERAS: list[tuple[Save, str]] = [
    *[(save_h5, name) for name in ("plain", "recurrent", "nested")],
    *[(save_weights, name) for name in ("plain", "recurrent", "nested")],
    *[(save_tf_checkpoint, name) for name in ("plain", "recurrent", "nested")],
    *[(save_saved_model, name) for name in ("plain", "nested")],
]


@pytest.mark.parametrize(
    ("save", "name"), TF_KERAS, ids=[f"{save.__name__}-{name}" for save, name in TF_KERAS]
)
def test_keras_3_loads_what_tf_keras_saved(save: Save, name: str, tmp_path: Path) -> None:
    saved = keras_models.filled(MODELS[name](tf_keras))
    path = tmp_path / "ours.weights.h5"
    with open_checkpoint(str(save(saved, tmp_path))) as checkpoint:
        assert written(checkpoint, path) == {}
    fresh = MODELS[name](keras)
    fresh.load_weights(str(path))
    for one, other in zip(fresh.weights, saved.weights, strict=False):
        if "seed" not in one.name:
            assert np.asarray(one).tobytes() == np.asarray(other).tobytes(), one.path
    inputs = keras_models.inputs_of(saved)
    assert np.allclose(fresh(inputs), saved(inputs), rtol=1e-5)


def test_a_real_model_of_keras_2_loads_what_is_written_from_it(
    corpus: Path, tmp_path: Path
) -> None:
    source = corpus / "fer_hdf5" / "emotion_model.hdf5"
    model = keras.models.load_model(source, compile=False)
    saved = [np.asarray(each).copy() for each in model.weights]
    for each in model.weights:
        each.assign(np.zeros(tuple(each.shape), each.dtype))
    with open_checkpoint(str(source)) as checkpoint:
        assert written(checkpoint, tmp_path / "ours.weights.h5") == {}
    model.load_weights(tmp_path / "ours.weights.h5")
    assert len(saved) == 80
    for one, values in zip(model.weights, saved, strict=True):
        assert np.asarray(one).tobytes() == values.tobytes(), one.path


# What is not known is not guessed


def reasons_for(path: Path | str) -> tuple[dict[str, str], dict[str, str]]:
    with open_checkpoint(str(path)) as checkpoint:
        return keys_of(checkpoint, checkpoint.variables)


def save_named(directory: Path, **shapes: tuple[int, ...]) -> Path:
    """What `tf.compat.v1.train.Saver` writes: names and values; `__` stands for a slash."""
    names = [name.replace("__", "/") for name in shapes]
    tensors = [tf.ones(shape) for shape in shapes.values()]
    prefix = str(directory / "named")
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors
    )
    return directory / "named"


def test_names_alone_are_enough_where_their_order_is_told(tmp_path: Path) -> None:
    prefix = save_named(
        tmp_path,
        dense_10__kernel=(3, 4),
        dense_10__bias=(4,),
        dense_9__kernel=(4, 4),
        dense__kernel=(4, 4),
        chosen__gamma=(4,),
        chosen__moving_variance=(4,),
        chosen__beta=(4,),
        chosen__moving_mean=(4,),
        lstm__lstm_cell__bias=(4,),
        global_step=(),
    )
    keys, reasons = reasons_for(prefix)
    assert keys == {
        "dense/kernel": "layers/dense/vars/0",
        "dense_9/kernel": "layers/dense_1/vars/0",
        "dense_10/kernel": "layers/dense_2/vars/0",
        "dense_10/bias": "layers/dense_2/vars/1",
        "chosen/gamma": "layers/batch_normalization/vars/0",
        "chosen/beta": "layers/batch_normalization/vars/1",
        "chosen/moving_mean": "layers/batch_normalization/vars/2",
        "chosen/moving_variance": "layers/batch_normalization/vars/3",
        "lstm/lstm_cell/bias": "layers/lstm/cell/vars/0",
    }
    assert reasons == {"global_step": "no layer of the model holds it"}


def test_layers_whose_order_names_do_not_tell_have_no_place(tmp_path: Path) -> None:
    keys, reasons = reasons_for(
        save_named(tmp_path, inner__kernel=(3, 4), outer__kernel=(4, 4), other__embeddings=(9, 4))
    )
    assert keys == {"other/embeddings": "layers/embedding/vars/0"}
    why = "nothing tells the order of inner and outer, layers of one class"
    assert reasons == dict.fromkeys(("inner/kernel", "outer/kernel"), why)


def test_variables_whose_order_names_do_not_tell_have_no_place(tmp_path: Path) -> None:
    keys, reasons = reasons_for(save_named(tmp_path, mine__a=(3, 4), mine__b=(4,)))
    assert keys == {}
    assert set(reasons.values()) == {"nothing tells in which order mine numbers its variables"}


def test_inner_layers_that_names_do_not_place_have_no_place(tmp_path: Path) -> None:
    keys, reasons = reasons_for(
        save_named(tmp_path, dense__kernel=(3, 3), mine__first__kernel=(3, 4))
    )
    assert keys == {"dense/kernel": "layers/dense/vars/0"}
    assert reasons == {"mine/first/kernel": "nothing tells where in mine first is"}


def test_variables_of_one_name_have_no_place() -> None:
    named = [("dense/kernel", "a"), ("dense/kernel", "b"), ("dense/bias", "c")]
    root, reasons = layers_by_name([*named, ("dense/kernel", "d")], is_ordered=True)
    assert reasons == dict.fromkeys("abd", "several variables bear its name")
    assert root.keys() == ["c"]


def test_the_name_of_the_model_itself_is_no_layers(tmp_path: Path) -> None:
    prefix = save_named(tmp_path, net__dense__kernel=(3, 3), net__dense_1__kernel=(3, 3))
    assert reasons_for(prefix)[0] == {
        "net/dense/kernel": "layers/dense/vars/0",
        "net/dense_1/kernel": "layers/dense_1/vars/0",
    }


def test_models_in_a_model_by_name(tmp_path: Path) -> None:
    prefix = save_named(tmp_path, sequential__dense__kernel=(3, 3), model_1__dense_1__kernel=(3, 3))
    assert reasons_for(prefix)[0] == {
        "sequential/dense/kernel": "layers/sequential/layers/dense/vars/0",
        "model_1/dense_1/kernel": "layers/functional/layers/dense/vars/0",
    }


def test_keras_says_so_where_a_class_is_told_wrongly(tmp_path: Path) -> None:
    """EinsumDense with a matrix looks like Dense; that is never loaded without a word."""
    model = keras.Sequential(
        [
            keras.layers.Input((3,)),
            keras.layers.EinsumDense("ab,bc->ac", 3, name="x"),
            keras.layers.Dense(3, use_bias=False),
        ]
    )
    with open_checkpoint(str(save_checkpoint(model, tmp_path))) as checkpoint:
        written(checkpoint, tmp_path / "ours.weights.h5")
    with pytest.raises(ValueError, match="could not be loaded"):
        model.load_weights(tmp_path / "ours.weights.h5")


def test_layers_that_the_graph_does_not_reach_have_no_place(tmp_path: Path) -> None:
    """Keras 3 keeps layers in plain lists out of the graph."""

    class Tower(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = [keras.layers.Dense(3), keras.layers.Dense(3)]
            self.out = keras.layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.out(self.blocks[1](self.blocks[0](inputs)))

    model = Tower()
    model(np.zeros((1, 3), "float32"))
    with open_checkpoint(str(save_trained(model, tmp_path))) as checkpoint:
        chosen = [v for v in checkpoint.variables if v.in_model]
        keys, reasons = keys_of(checkpoint, chosen)
    assert set(keys.values()) == {"out/vars/0", "out/vars/1"}
    assert len(reasons) == 4
    assert set(reasons.values()) == {"no edge of the object graph leads to it from a layer"}


def test_what_is_no_layers_is_told_apart(tmp_path: Path) -> None:
    model = keras_models.plain(keras)
    with open_checkpoint(str(save_trained(model, tmp_path))) as checkpoint:
        keys, reasons = keys_of(checkpoint, checkpoint.variables)
        roles = {v.key: v.role for v in checkpoint.variables}
    slots = {key for key, role in roles.items() if role is Role.OPTIMIZER_SLOT}
    assert slots
    assert {keys[key].split("/")[0] for key in slots} == {"optimizer"}
    told = {roles[key]: reason for key, reason in reasons.items()}
    assert "describes the objects" in told[Role.METADATA]
    assert told[Role.COUNTER] == "no layer of the model holds it"


def test_other_keys_change_no_place(tmp_path: Path) -> None:
    with open_checkpoint(str(save_named(tmp_path, dense__kernel=(2, 2), other=()))) as checkpoint:
        pairs = [(v._replace(key=f"x/{v.key}"), v) for v in checkpoint.variables]
        computed = ComputedCheckpoint(checkpoint, pairs)
        keys, reasons = keys_of(computed, computed.variables)
    assert keys == {"x/dense/kernel": "layers/dense/vars/0"}
    assert reasons.keys() == {"x/other"}


def test_the_optimizer_goes_along(tmp_path: Path) -> None:
    def compiled() -> Any:
        model = keras_models.plain(keras)
        model.compile("adam", "mse")
        model.optimizer.build(model.trainable_variables)
        return model

    saved = keras_models.filled(compiled())
    for number, variable in enumerate(saved.optimizer.variables):
        variable.assign(np.full(tuple(variable.shape), number + 1, variable.dtype))
    with open_checkpoint(str(save_checkpoint(saved, tmp_path))) as checkpoint:
        written(checkpoint, tmp_path / "ours.weights.h5", model_only=False)
    fresh = compiled()
    assert_loads(tmp_path / "ours.weights.h5", fresh, saved)
    for one, other in zip(fresh.optimizer.variables, saved.optimizer.variables, strict=True):
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


def test_lists_of_layers_that_tf_keras_tracks(tmp_path: Path) -> None:
    """Lists go by classes; attributes that Keras 3 calls `layers` otherwise by themselves."""

    def tower(library: Any) -> Any:
        class Tower(library.Model):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                dense = library.layers.Dense
                self.blocks = [dense(3), library.layers.LayerNormalization(), dense(3)]
                self.out = dense(2)

            def call(self, inputs: Any) -> Any:
                for block in self.blocks:
                    inputs = block(inputs)
                return self.out(inputs)

        model = Tower()
        model(np.zeros((1, 3), "float32"))
        return model

    saved = keras_models.filled(tower(tf_keras))
    with open_checkpoint(str(save_tf_checkpoint(saved, tmp_path))) as checkpoint:
        assert written(checkpoint, tmp_path / "ours.weights.h5") == {}
    fresh = tower(keras)
    fresh.load_weights(tmp_path / "ours.weights.h5")
    inputs = np.arange(6, dtype="float32").reshape(2, 3)
    assert np.allclose(fresh(inputs), saved(inputs), rtol=1e-5)


# Graphs that nobody wrote with good intent


def graph_of(nodes: list[list[tuple[str, int]]], variables: dict[int, str]) -> bytes:
    """A graph of these edges, by node; variables: keys by node."""
    graph = ObjectGraph()
    for number, edges in enumerate(nodes):
        node = graph.nodes.add()
        for name, target in edges:
            node.children.add(local_name=name, node_id=target)
        if number in variables:
            node.attributes.add(
                name="VARIABLE_VALUE", full_name="x/kernel", checkpoint_key=variables[number]
            )
    return graph.SerializeToString()


def variable(key: str, shape: tuple[int, ...] = (2, 2)) -> Variable:
    return Variable(key, key, "float32", shape, 16, Role.WEIGHT)


@pytest.mark.parametrize("target", [-1, 5, 1 << 30])
@pytest.mark.parametrize(
    "edge", ["a", "_operations", "_functional", "layer-0", "optimizer", "_variables"]
)
def test_edges_to_nowhere_are_damage(edge: str, target: int) -> None:
    nodes = [[("optimizer", 1), ("model", 2)], [], [(edge, target)]]
    if edge == "_variables":
        nodes = [[("optimizer", 1)], [(edge, target)]]
    with pytest.raises(DamagedFileError, match="leads to object"):
        GraphLayers(graph_of(nodes, {}), [])


def test_a_graph_without_objects_is_damage() -> None:
    with pytest.raises(DamagedFileError, match="no objects"):
        GraphLayers(b"", [])


def test_each_object_is_entered_once() -> None:
    """Every object leads to all others in every way; the time does not grow with the paths."""
    count = 60
    nodes = [
        [
            *((f"layer-{each}", each) for each in range(count)),
            *((f"part{each}", each) for each in range(count)),
            ("_operations", (number + 1) % count),
            *((str(each), each) for each in range(count)),
            ("kernel", count),
        ]
        for number in range(count)
    ]
    layers = GraphLayers(graph_of([*nodes, []], {count: "k"}), [variable("k")])
    assert layers.model is not None
    assert layers.model.keys() == ["k"]
    assert len(Layout(layers.model, {"k": variable("k")}).paths) <= 1


def test_chains_of_long_names_make_no_long_paths() -> None:
    depth = 59
    nodes = [[("n" * 250, number + 1), ("x", number + 1)] for number in range(depth)]
    keys = {f"k{number}": variable(f"k{number}") for number in range(20)}
    nodes.append([(name, depth + 1 + number) for number, name in enumerate(keys)])
    nodes += [[] for _ in keys]
    serialized = graph_of(nodes, {depth + 1 + n: key for n, key in enumerate(keys)})
    layers = GraphLayers(serialized, list(keys.values()))
    assert layers.model is not None
    layout = Layout(layers.model, keys)
    assert layout.paths == {}
    assert set(layout.reasons.values()) == {"its path is too long"}


@settings(max_examples=100)
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from(
                    """_operations _functional layer-0 layer-1 0 1 a _kernel kernel bias cell
                    optimizer _variables _query_dense \u0661""".split()
                ),
                st.integers(0, 9),
            ),
            max_size=6,
        ),
        min_size=1,
        max_size=10,
    )
)
def test_any_graph_has_a_layout_or_is_damage(nodes: list[list[tuple[str, int]]]) -> None:
    keys = {number: f"k{number}" for number, edges in enumerate(nodes) if number and not edges}
    variables = [variable(key) for key in keys.values()]
    try:
        layers = GraphLayers(graph_of(nodes, keys), variables)
    except DamagedFileError:
        return
    if layers.model is not None:
        layout = Layout(layers.model, {each.key: each for each in variables})
        assert not layout.paths.keys() & layout.reasons.keys()
        assert all(not why_unwritable(path, "float32", ()) for path in layout.paths.values())


# The file itself

DTYPES = [
    *("float32", "float64", "float16", "bfloat16", "bool", "complex64", "complex128"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
]
SHAPES = [(), (3,), (2, 0, 4), (2, 3)]


def test_every_dtype_is_what_h5py_and_keras_read(tmp_path: Path) -> None:
    arrays = {
        f"layers/a{number}/vars/{shape}": (values_of(dtype, shape), dtype)
        for number, dtype in enumerate(DTYPES)
        for shape in SHAPES
    }
    path = tmp_path / "m.weights.h5"
    write_keras_weights(str(path), tensors_of(arrays))
    with h5py.File(path) as ours, h5py.File(tmp_path / "theirs.h5", "w") as theirs:
        for key, (values, dtype) in arrays.items():
            theirs[key] = values
            assert ours[key].id.get_type() == theirs[key].id.get_type(), dtype
            assert ours[key].shape == values.shape
            assert np.asarray(ours[key]).tobytes() == values.tobytes()
            assert dict(ours[key].attrs) == ({"dtype": "bfloat16"} if dtype == "bfloat16" else {})
            assert ours[key].chunks is None
    assert read_back(path) == {
        key: (values.tobytes(), dtype, values.shape) for key, (values, dtype) in arrays.items()
    }


def test_bfloat16_is_stored_as_keras_stores_it(tmp_path: Path) -> None:
    def model() -> Any:
        dense = keras.layers.Dense(3, dtype="bfloat16")
        return keras.Sequential([keras.layers.Input((3,), dtype="bfloat16"), dense])

    saved = keras_models.filled(model())
    with open_checkpoint(str(save_checkpoint(saved, tmp_path))) as checkpoint:
        assert written(checkpoint, tmp_path / "ours.weights.h5") == {}
    saved.save_weights(tmp_path / "theirs.weights.h5")
    key = "layers/dense/vars/0"
    with (
        h5py.File(tmp_path / "ours.weights.h5") as ours,
        h5py.File(tmp_path / "theirs.weights.h5") as theirs,
    ):
        assert ours[key].id.get_type() == theirs[key].id.get_type()
        assert dict(ours[key].attrs) == dict(theirs[key].attrs)
    fresh = model()
    fresh.load_weights(tmp_path / "ours.weights.h5")
    for one, other in zip(fresh.weights, saved.weights, strict=True):
        values = np.asarray(one)
        assert values.dtype == ml_dtypes.bfloat16
        assert values.tobytes() == np.asarray(other).tobytes()


@pytest.mark.parametrize(
    ("key", "dtype", "shape", "words"),
    [
        ("dense/kernel", "float32", (), "no path"),
        ("layers/dense/vars", "float32", (), "no path"),
        ("layers/../vars/0", "float32", (), "no path"),
        ("/vars/0", "float32", (), "no path"),
        ("vars/..", "float32", (), "no path"),
        ("a\0/vars/0", "float32", (), "no path"),
        ("\udc80/vars/0", "float32", (), "no Unicode"),
        ("vars/0", "string", (), "no strings"),
        ("vars/0", "variant", (), "no way"),
        ("vars/0", "float8_e4m3fn", (), "no way"),
        ("vars/0", "qint8", (), "no way"),
        ("vars/0", "float32", (1,) * 33, "33 axes"),
    ],
)
def test_what_it_cannot_hold_is_told(
    key: str, dtype: str, shape: tuple[int, ...], words: str, tmp_path: Path
) -> None:
    assert words in why_unwritable(key, dtype, shape)
    with pytest.raises(ValueError, match=words):
        write_keras_weights(
            str(tmp_path / "m"), [Tensor(key=key, dtype=dtype, shape=shape, chunks=[])]
        )
    assert not (tmp_path / "m").exists()


def test_names_that_custom_layers_give_are_kept() -> None:
    assert not why_unwritable("layers/mine/vars/a name", "float32", ())
    assert not why_unwritable("vars/0", "float32", ())


def one(key: str = "vars/0", count: int = 4) -> Tensor:
    return tensor(key, np.arange(count, dtype="f4"), "float32")


def test_places_that_exclude_each_other_are_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "m")
    with pytest.raises(ValueError, match="repeated"):
        write_keras_weights(path, [one(), one()])
    with pytest.raises(ValueError, match="is a variable itself"):
        write_keras_weights(path, [one(), one("vars/0/vars/1")])
    with pytest.raises(UnwritableFileError, match="one file"):
        write_keras_weights(path, [one()], shard_bytes=10)
    assert not os.path.exists(path)


def test_what_stands_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"mine")
    with pytest.raises(UnwritableFileError):
        write_keras_weights(str(tmp_path / "m"), [one()])
    assert (tmp_path / "m").read_bytes() == b"mine"


@pytest.mark.parametrize("count", [3, 5])
def test_content_of_the_wrong_size_is_damage(count: int, tmp_path: Path) -> None:
    wrong = Tensor(key="vars/0", dtype="int8", shape=(4,), chunks=[np.zeros(count, "i1")])
    with pytest.raises(DamagedFileError, match="not what its shape needs"):
        write_keras_weights(str(tmp_path / "m"), [wrong])


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(UnwritableFileError, match="disk is full"):
        write_keras_weights(str(tmp_path / "m"), [one()])


def test_a_system_that_refuses_the_library_is_told(tmp_path: Path) -> None:
    """The library itself writes the groups; here it may not write a byte."""
    script = """
        import resource, sys
        import numpy as np
        from ckptviewer.checkpoint.errors import UnwritableFileError
        from ckptviewer.formats.bundle_writer import Tensor
        from ckptviewer.formats.keras_weights_writer import write_keras_weights
        import h5py
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        values = np.zeros(4, "f4")
        try:
            write_keras_weights(
                sys.argv[1], [Tensor(key="vars/0", dtype="float32", shape=(4,), chunks=[values])]
            )
        except UnwritableFileError as error:
            print(error)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "m")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "writing failed" in run.stdout


def test_memory_does_not_grow_with_the_tensor(tmp_path: Path) -> None:
    def pieces() -> Iterator[np.ndarray]:
        for number in range(64):
            yield np.full(1 << 18, number, "f4")

    large = Tensor(key="vars/0", dtype="float32", shape=(64, 1 << 18), chunks=pieces())
    write_keras_weights(str(tmp_path / "small"), [one()])  # what is imported is not counted
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    try:
        write_keras_weights(str(tmp_path / "m"), [large])
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10  # KiB
    with h5py.File(tmp_path / "m") as file:
        assert (file["vars/0"][:, 7] == np.arange(64)).all()
    (tmp_path / "m").unlink()
