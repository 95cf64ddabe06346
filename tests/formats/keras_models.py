"""Models of Keras 3 and TF-Keras for the tests of what `model.load_weights` takes."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np


def plain(library: Any) -> Any:
    """A Sequential model with names that people give, two layers of a class, and a random one."""
    layers = library.layers
    return library.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(5, name="hidden", activation="relu"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.5),
            layers.Dense(5, use_bias=False, name="again"),
            layers.LayerNormalization(),
            layers.Dense(5, name="a_first_one"),
            layers.BatchNormalization(scale=False),
        ]
    )


def recurrent(library: Any) -> Any:
    """A functional model: words, recurrence in all its kinds, attention."""
    layers = library.layers
    words = library.Input((6,))
    inner = layers.Embedding(10, 8, name="words")(words)
    inner = layers.Bidirectional(layers.LSTM(4, return_sequences=True), name="both")(inner)
    inner = layers.MultiHeadAttention(2, 4, name="looks")(inner, inner)
    inner = layers.SimpleRNN(5, return_sequences=True, name="simple")(inner)
    inner = layers.TimeDistributed(layers.Dense(4))(inner)
    inner = layers.GRU(5, return_sequences=True, name="gated")(inner)
    inner = layers.LSTM(5, name="long")(inner)
    return library.Model(words, layers.Dense(3, name="out")(inner))


def convolutional(library: Any) -> Any:
    """A functional model: convolutions of several kinds that names do not tell apart."""
    layers = library.layers
    image = library.Input((6,))
    inner = layers.Reshape((6, 1, 1))(image)
    inner = layers.Conv2D(3, 2, padding="same", name="a")(inner)
    inner = layers.Conv2DTranspose(4, 2, padding="same", name="b")(inner)
    inner = layers.SeparableConv2D(5, 2, padding="same", name="c")(inner)
    inner = layers.DepthwiseConv2D(2, padding="same")(inner)
    inner = layers.PReLU(name="d")(inner)
    inner = layers.Reshape((6, 5))(inner)
    inner = layers.Conv1D(2, 3, name="e")(inner)
    return library.Model(image, layers.Flatten()(inner))


def nested(library: Any) -> Any:
    """A functional model with models in it, two levels deep."""
    layers = library.layers
    taken = library.Input((6,))
    deep = library.Sequential([layers.Input((4,)), layers.Dense(4, name="deep")], name="deepest")
    inside = library.Input((4,))
    functional = library.Model(inside, layers.Dense(4, name="in_between")(deep(inside)), name="mid")
    first = library.Sequential(
        [layers.Input((6,)), layers.Dense(4), layers.BatchNormalization()], name="first"
    )
    second = library.Sequential([layers.Input((4,)), layers.Dense(4)], name="second")
    return library.Model(taken, layers.Dense(2)(second(functional(first(taken)))))


@keras.saving.register_keras_serializable("tests")
class Gate(keras.layers.Layer):
    """A layer with variables of its own, one of them not trained, and layers inside."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.inner = keras.layers.Dense(6, name="chosen")
        self._hidden = keras.layers.Dense(6, use_bias=False)

    def build(self, shape: Any) -> None:
        self.seen = self.add_weight(shape=(), name="seen", trainable=False)
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")
        self.offset = self.add_weight(shape=(1, shape[-1]), name="offset")
        self.inner.build(shape)
        self._hidden.build(shape)

    def call(self, inputs: Any) -> Any:
        return self._hidden(self.inner(inputs * self.scale + self.offset)) * self.seen


def custom(library: Any) -> Any:
    """A functional model with two custom layers, one with Keras' name and one with a person's."""
    layers = library.layers
    taken = library.Input((6,))
    return library.Model(taken, layers.Dense(2)(Gate()(Gate()(taken))))


@keras.saving.register_keras_serializable("tests")
class Written(keras.Model):
    """A subclassed model: attributes before and behind `layers` in the alphabet, shared classes."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.zoom = keras.layers.Dense(5)
        self.body = keras.layers.Dense(6)
        self.norm = keras.layers.BatchNormalization()
        self._private = keras.layers.Dense(6, name="mine")
        self.gate = Gate()
        self.tower = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(6)])

    def call(self, inputs: Any) -> Any:
        return self.zoom(self.tower(self.gate(self._private(self.norm(self.body(inputs))))))


def subclassed(_: Any) -> Any:
    """The subclassed model, built."""
    model = Written()
    model(np.zeros((1, 6), "float32"))
    return model


def filled(model: Any, seed: int = 7) -> Any:
    """The model with other values in each of its variables."""
    generator = np.random.default_rng(seed)
    for number, variable in enumerate(model.weights):
        if "seed" not in variable.name:
            values = generator.uniform(0.1, 1, tuple(variable.shape)) + number / 64
            variable.assign(values.astype("float32"))
    return model


def inputs_of(model: Any) -> np.ndarray:
    """Something that the model takes: numbers that are words as well."""
    del model
    return (np.arange(12).reshape(2, 6) % 10).astype("float32")
