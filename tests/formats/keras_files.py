"""Models that Keras itself saves, for the tests of its formats; made once, at first need."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from ckptviewer.checkpoint.variable import Variable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextmanager
def quiet() -> Iterator[None]:
    """Keras at work without its warnings, which are none of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@quiet()
def imported(name: str) -> Any:
    """Keras ("keras") or TF-Keras ("tf_keras")."""
    return import_module(name)


def values_of(path: Path) -> dict[str, np.ndarray]:
    """What h5py reads from an HDF5 file, by path; bfloat16 where Keras marked it so."""
    import h5py

    values: dict[str, np.ndarray] = {}

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind != "O":
            array = np.asarray(item[()])
            if item.attrs.get("dtype") == "bfloat16":
                array = array.view(ml_dtypes.bfloat16)
            if array.dtype.kind == "S":
                array = array.astype(object)
            if not array.dtype.isnative:
                array = array.astype(array.dtype.newbyteorder("="))
            values[name] = array
        elif isinstance(item, h5py.Dataset):
            array = np.empty(item.shape, object)
            array[...] = item[()]
            values[name] = array

    with h5py.File(path, "r") as file:
        file.visititems(add)
    return values


def functional(keras: Any) -> Any:
    """A nested model with recurrent, frozen and normalising layers; compiled, its slots built."""
    layers = keras.layers
    inner = keras.Sequential(
        [
            layers.Input((8,)),
            layers.Dense(6, name="hidden"),
            layers.BatchNormalization(center=False),
        ],
        name="encoder",
    )
    start = layers.Input((5, 4))
    x = layers.LSTM(8, return_sequences=True)(start)
    if hasattr(layers, "GroupQueryAttention"):  # Keras 3
        x = layers.MultiHeadAttention(2, 4)(x, x)
    x = layers.Bidirectional(layers.GRU(4))(x)
    x = inner(x)
    x = layers.LayerNormalization()(x)
    frozen = layers.Dense(3, name="frozen")
    frozen.trainable = False
    x = frozen(x)
    model = keras.Model(start, layers.Dense(1)(x), name="net")
    model.compile("adam", keras.losses.MeanSquaredError())
    build_slots(model)
    return model


def convolutional(keras: Any, optimizer: Any) -> Any:
    """A plain stack with the optimizer given."""
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.SeparableConv2D(4, 3),
            layers.BatchNormalization(),
            layers.Conv2D(4, 3, use_bias=False),
            layers.Flatten(),
            layers.Dense(5),
            layers.Dense(2),
        ],
        name="stack",
    )
    model.compile(optimizer, keras.losses.MeanSquaredError())
    build_slots(model)
    return model


def build_slots(model: Any) -> None:
    """Make the optimizer's variables, and give every variable values of its own."""
    if not getattr(model.optimizer, "built", False):
        model.optimizer.build(model.trainable_variables)
    variables = model.optimizer.variables
    for index, variable in enumerate(variables() if callable(variables) else variables):
        if tuple(variable.shape):
            variable.assign(np.full(variable.shape, index + 0.25, np.float32))


@cache
@quiet()
def made() -> Path:
    """A directory with the models of Keras 3: see the names of its files."""
    keras = imported("keras")
    directory = _directory()
    keras.utils.clear_session()  # names must not depend on what was built before
    keras.utils.set_random_seed(11)
    model = functional(keras)
    model.save(directory / "net.keras")
    model.save_weights(directory / "net.weights.h5")
    model.save(directory / "net.h5")
    (directory / "shards").mkdir()
    model.save_weights(directory / "shards" / "net.weights.json", max_shard_size=2e-6)
    model.save(directory / "net_directory", zipped=False)
    stack = convolutional(keras, keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True))
    stack.save(directory / "stack.keras")
    stack.save_weights(directory / "stack.weights.h5")
    stack.save(directory / "stack.h5")
    keras.config.set_dtype_policy("bfloat16")
    try:
        half = keras.Sequential(
            [keras.layers.Input((3,)), keras.layers.Embedding(5, 3), keras.layers.Dense(4)]
        )
        half.save_weights(directory / "half.weights.h5")
    finally:
        keras.config.set_dtype_policy("float32")
    subclassed(keras).save_weights(directory / "subclassed.weights.h5")
    return directory


@cache
@quiet()
def model_of_made(name: str) -> dict[str, tuple[np.ndarray, bool]]:
    """Path to values and `trainable` of each variable of a model in `made`, as Keras loads it."""
    keras = imported("keras")
    model = keras.saving.load_model(made() / name)
    return {v.path: (v.numpy(), bool(v.trainable)) for v in model.variables if "seed" not in v.path}


@cache
@quiet()
def optimizer_of_made(name: str) -> list[str]:
    """Paths of the optimizer's variables of an archive in `made`, in the optimizer's order."""
    keras = imported("keras")
    return [v.path for v in keras.saving.load_model(made() / name).optimizer.variables]


def by_keras_path(variables: Iterable[Variable], paths: Iterable[str]) -> dict[str, Variable]:
    """Which of the variables Keras calls by which path; every one of both must have its partner.

    Keras leaves out the names of models and wrappers around a layer that was built by itself.
    """
    named = {f"/{each.name}": each for each in variables}
    found = {}
    for path in paths:
        path_ = path.removeprefix("stack/")
        (name,) = (name for name in named if name.endswith(f"/{path_}"))
        found[path] = named.pop(name)
    assert named == {}
    return found


@cache
@quiet()
def made_by_tf_keras() -> Path:
    """A directory with the models of TF-Keras, the Keras 2 that lives on."""
    tf_keras = imported("tf_keras")
    directory = _directory()
    tf_keras.backend.clear_session()
    tf_keras.utils.set_random_seed(12)
    model = functional(tf_keras)
    model.save(directory / "net.h5")
    model.save_weights(directory / "net_weights.h5")
    model.save(directory / "net.keras")
    model.save_weights(directory / "net.weights.h5")
    legacy = tf_keras.optimizers.legacy.Adam(1e-3, amsgrad=True)
    model.compile(legacy, "mse")
    legacy._create_all_weights(model.trainable_variables)
    model.save(directory / "legacy.h5")
    return directory


def subclassed(keras: Any) -> Any:
    """A model written as a class: attributes, a list of layers, a variable of its own."""

    class Net(keras.Model):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__(name="net")
            self.first = keras.layers.Dense(4)
            self.stack = [keras.layers.Dense(4), keras.layers.Dense(4)]
            self.norm = keras.layers.LayerNormalization()

        def build(self, shape: Any) -> None:
            self.scale = self.add_weight(shape=(4,), name="scale")
            self.first.build((None, 3))
            for layer in (*self.stack, self.norm):
                layer.build((None, 4))
            self.built = True

        def call(self, x: Any) -> Any:
            x = self.first(x)
            for layer in self.stack:
                x = layer(x)
            return self.norm(x) * self.scale

    net = Net()
    net.build((None, 3))
    return net


def _directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="ckptviewer-keras-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory
