"""Checkpoints of models and optimizers of every Keras and of TensorFlow, that know their truth.

Before it is saved, each variable is filled with a number of its own. So what a key holds tells
which variable it is, whatever the checkpoint calls it, and the objects in memory say whose slot
that is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
import tf_keras

from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY, Entry


@dataclass
class Written:
    """A checkpoint, and the truth of it.

    slots: number of the owner by the number of its slot; averages: the same for moving averages.
    trained, frozen: numbers of variables of the model.
    """

    prefix: Path
    slots: dict[float, float] = field(default_factory=dict)
    averages: dict[float, float] = field(default_factory=dict)
    trained: set[float] = field(default_factory=set)
    frozen: set[float] = field(default_factory=set)


@dataclass
class Stored:
    """A checkpoint as TensorFlow's reader has it: entries, graph, and the number in each key."""

    entries: list[Entry]
    graph: bytes | None
    numbers: dict[str, float]


def stored(prefix: Path | str) -> Stored:
    """What TensorFlow reads of the checkpoint at `prefix`."""
    reader = tf.train.load_checkpoint(str(prefix))
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    entries = [(key, dtypes[key].name, tuple(shapes[key])) for key in sorted(shapes)]
    numbers = {}
    for key, dtype, _ in entries:
        if dtype in ("float32", "float16"):
            values = reader.get_tensor(key).reshape(-1)
            if values.size:
                numbers[key] = float(values[0])
    graph = reader.get_tensor(OBJECT_GRAPH_KEY) if OBJECT_GRAPH_KEY in shapes else None
    return Stored(entries, graph, numbers)


class Numbers:
    """Fills variables with numbers of their own."""

    def __init__(self) -> None:
        self._next = count(1)
        self._of: dict[int, float] = {}
        self._kept: list[Any] = []

    def of(self, variable: Any) -> float:
        """The number of this variable; filled in when it is asked for the first time."""
        if id(variable) not in self._of:
            number = float(next(self._next))
            variable.assign(tf.fill(tuple(variable.shape), tf.cast(number, variable.dtype)))
            self._of[id(variable)] = number
            self._kept.append(variable)
        return self._of[id(variable)]

    def set_of(self, variables: Iterable[Any]) -> set[float]:
        """The numbers of these variables."""
        return {self.of(variable) for variable in variables if variable.dtype in _FLOATS}


_FLOATS = ("float32", "float16", tf.float32, tf.float16)


# Models


def sequential(library: Any) -> Any:
    """Dense, batch normalization, dense."""
    return library.Sequential(
        [
            library.layers.Input((3,)),
            library.layers.Dense(4),
            library.layers.BatchNormalization(),
            library.layers.Dense(2),
        ]
    )


def functional(library: Any) -> Any:
    """Embedding, layer normalization, attention, recurrence, a frozen layer."""
    words = library.layers.Input((5,), dtype="int32")
    inner = library.layers.Embedding(7, 8)(words)
    inner = library.layers.LayerNormalization()(inner)
    inner = library.layers.MultiHeadAttention(2, 4)(inner, inner)
    inner = library.layers.LSTM(6)(inner)
    inner = library.layers.Dense(6, trainable=False, name="frozen")(inner)
    inner = library.layers.Dropout(0.5, seed=1)(inner)
    return library.Model(words, library.layers.Dense(2)(inner))


def subclassed(library: Any) -> Any:
    """A model whose layers are in a plain list and bear one name."""

    class Stack(library.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.blocks = [library.layers.Dense(4, name="block") for _ in range(3)]
            self.head = library.layers.Dense(1)

        def call(self, inputs: Any) -> Any:
            for block in self.blocks:
                inputs = block(inputs)
            return self.head(inputs)

    model = Stack()
    model(tf.ones((1, 4)))
    return model


class Twins(tf.Module):
    """Layers of equal names and shapes: their variables' full names repeat."""

    def __init__(self, layers: int = 2) -> None:
        super().__init__()
        self.layers = [tf.Module() for _ in range(layers)]
        for layer in self.layers:
            layer.w = tf.Variable(tf.ones((3, 3)), name="net/kernel")
            layer.b = tf.Variable(tf.zeros(3), name="net/bias")


# Optimizers' truth


def _slots_in(optimizer: Any, trained: list[Any]) -> Iterator[tuple[str, Any, Any]]:
    """The name of the attribute, slot and owner of each slot that an optimizer holds."""
    for name, value in vars(optimizer).items():
        if isinstance(value, dict) and value.keys() <= {_path(owner) for owner in trained}:
            pairs = [(value.get(_path(owner)), owner) for owner in trained]
        elif isinstance(value, (list, tuple)) and len(value) == len(trained):
            pairs = list(zip(value, trained, strict=True))
        else:
            continue
        if "trainable" not in name:
            yield from ((name, *pair) for pair in pairs if hasattr(pair[0], "assign"))


def _path(variable: Any) -> str:
    return getattr(variable, "path", variable.name)


def _truth_of_lists(written: Written, optimizer: Any, trained: list[Any], numbers: Numbers) -> None:
    for name, slot, owner in _slots_in(optimizer, trained):
        target = written.averages if "moving_average" in name else written.slots
        if tuple(slot.shape):
            target[numbers.of(slot)] = numbers.of(owner)


def _save(prefix: Path, **objects: Any) -> Path:
    return Path(tf.train.Checkpoint(**objects).save(str(prefix)))


def keras_3(
    directory: Path,
    optimizer: Any,
    build: Callable[[Any], Any] = sequential,
    layout: Callable[[Any, Any], Mapping[str, Any]] = lambda model, _: {"model": model},
) -> Written:
    """A compiled model of Keras 3, saved by tf.train.Checkpoint."""
    model = build(keras)
    model.compile(optimizer=optimizer, loss="mse")
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    numbers, written = Numbers(), Written(directory)
    written.trained = numbers.set_of(model.trainable_variables)
    written.frozen = numbers.set_of(model.non_trainable_variables)
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    _truth_of_lists(written, inner, model.trainable_variables, numbers)
    written.prefix = _save(directory / "keras3", **layout(model, optimizer))
    return written


def keras_2(
    directory: Path, optimizer: Any, build: Callable[[Any], Any] = sequential, **objects: Any
) -> Written:
    """A model of tf_keras with one of its optimizers, of the new kind or the legacy one."""
    model = build(tf_keras)
    trained = model.trainable_variables
    numbers, written = Numbers(), Written(directory)
    written.trained = numbers.set_of(trained)
    written.frozen = numbers.set_of(model.non_trainable_variables)
    _build_keras_2(optimizer, trained, written, numbers)
    written.prefix = _save(directory / "keras2", model=model, optimizer=optimizer, **objects)
    return written


def _build_keras_2(optimizer: Any, trained: list[Any], written: Written, numbers: Numbers) -> None:
    if isinstance(optimizer, tf_keras.optimizers.legacy.Optimizer):
        optimizer._create_all_weights(trained)
        for name in optimizer.get_slot_names():
            target = written.averages if name == "average" else written.slots
            for owner in trained:
                target[numbers.of(optimizer.get_slot(owner, name))] = numbers.of(owner)
    else:
        optimizer.build(trained)
        _truth_of_lists(written, optimizer, trained, numbers)


def twins(directory: Path, optimizer: Any) -> Written:
    """Two layers whose variables have the same names and shapes."""
    net = Twins()
    numbers, written = Numbers(), Written(directory)
    trained = list(net.trainable_variables)
    written.trained = numbers.set_of(trained)
    if isinstance(optimizer, tf.compat.v1.train.Optimizer):
        optimizer.apply_gradients([(tf.zeros_like(variable), variable) for variable in trained])
        for name in optimizer.get_slot_names():
            for owner in trained:
                written.slots[numbers.of(optimizer.get_slot(owner, name))] = numbers.of(owner)
    else:
        _build_keras_2(optimizer, trained, written, numbers)
    written.prefix = _save(directory / "twins", net=net, optimizer=optimizer)
    return written


# tf.train.Saver


def saver(
    directory: Path,
    optimizer: Callable[[], Any],
    *,
    average: bool = False,
    partitions: int = 1,
    scope: str = "",
) -> Written:
    """A name-based checkpoint with its .meta: two dense layers and a batch normalization."""
    v1 = tf.compat.v1
    graph = tf.Graph()
    with graph.as_default(), v1.Session(graph=graph) as session:
        cut = v1.fixed_size_partitioner(partitions) if partitions > 1 else None
        with v1.variable_scope("net", partitioner=cut, use_resource=False):
            kernel = v1.get_variable("dense/kernel", (4, 3))
            bias = v1.get_variable("dense/bias", (3,), partitioner=None)
        plain = {"use_resource": False}
        gamma = v1.get_variable("net/bn/gamma", (3,), **plain)
        beta = v1.get_variable("net/bn/beta", (3,), **plain)
        mean = v1.get_variable("net/bn/moving_mean", (3,), trainable=False, **plain)
        step = v1.train.get_or_create_global_step()
        inner = (tf.ones((2, 4)) @ tf.convert_to_tensor(kernel) + bias) * gamma + beta - mean
        with v1.variable_scope(scope) if scope else v1.variable_scope(v1.get_variable_scope()):
            train = optimizer().minimize(tf.reduce_sum(inner), global_step=step)
        if average:
            averages = tf.train.ExponentialMovingAverage(0.9)
            with tf.control_dependencies([train]):
                averages.apply(v1.trainable_variables())
        # Averages begin at their owners' values, which must be there before.
        session.run([variable.initializer for variable in v1.trainable_variables()])
        session.run(v1.global_variables_initializer())
        prefix = v1.train.Saver(v1.global_variables()).save(
            session, str(directory / "model.ckpt"), global_step=7
        )
    return Written(Path(prefix))
