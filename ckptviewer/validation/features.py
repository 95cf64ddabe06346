"""Features of tf.train.Examples: how each is parsed, as far as the first record and a model tell.

The worker guesses by the same rules where no features are given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ckptviewer.validation.datasets import Column, Dataset
from ckptviewer.validation.protocol import DataSpec, Feature, TensorInfo
from ckptviewer.validation.tfrecords import FoundFeature

PICTURE, RAW = "image", "raw"
"""What `Feature.encoded` may be besides plain values."""


def guessed_features(
    data: Dataset, inputs: Sequence[TensorInfo], keys: Mapping[str, str], target: str = ""
) -> tuple[Feature, ...]:
    """How the features of the first record are parsed, in the shapes that the inputs have.

    inputs: of the model; none while they are not known. keys: name of an input to key of the data,
    where that is another. target: key of the truth; "" for the dataset's own.
    """
    names = [each.name for each in data.features]
    wanted = {keys.get(each.name, each.name): each for each in inputs}
    if len(inputs) == 1 and not wanted.keys() & set(names):
        others = [name for name in names if name != (target or data.target)]
        wanted = {("x" if "x" in others else others[0]): inputs[0]} if others else {}
    return tuple(_guessed(each, wanted.get(each.name)) for each in data.features)


def _guessed(found: FoundFeature, tensor: TensorInfo | None) -> Feature:
    dtype = found.dtype or "float32"
    shape: tuple[int, ...] = () if found.count == 1 else (found.count,)
    encoded = ""
    if tensor is not None and tensor.shape is not None:
        axes = tuple(axis or 0 for axis in tensor.shape[1:])
        if dtype == "string" and tensor.dtype != "string":
            encoded = PICTURE if found.picture else RAW
            dtype = dtype if found.picture else tensor.dtype
            shape = axes
        elif math.prod(axes) == found.count:
            shape = axes
    return Feature(name=found.name, dtype=dtype, shape=shape, encoded=encoded)


def parsed(data: Dataset, spec: DataSpec, inputs: Sequence[TensorInfo]) -> Dataset:
    """The dataset of TFRecords with its columns as they are parsed: as given, else as guessed."""
    features = spec.features or guessed_features(data, inputs, spec.inputs, spec.target)
    return replace(data, columns=tuple(map(_column, features)))


def _column(feature: Feature) -> Column:
    if feature.encoded == PICTURE:
        sized = len(feature.shape) == 3 and all(feature.shape)
        return Column(key=feature.name, dtype="uint8", shape=feature.shape if sized else None)
    shape = tuple(size or None for size in feature.shape)  # a free axis of a guess
    return Column(key=feature.name, dtype=feature.dtype, shape=shape)
