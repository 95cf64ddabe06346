"""TFRecord files of tf.train.Example, through tf.data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .data import Source, target_key
from .libraries import tensorflow
from .model import Arrays, Model, Tensor
from .problems import DataProblem, first_line

SERIALIZED = "serialized"
"""Key of the whole examples, for models that parse them by themselves."""


def open_records(spec: dict[str, Any], model: Model) -> Source:
    """Examples parsed after the given features, or after the signature. Raises DataProblem."""
    tf = tensorflow()
    first = _first(spec)
    features = spec["features"] or _guessed(first, spec, model)
    parsing, decoding = _parsing(features)

    def parse(serialized: Any) -> dict[str, Any]:
        parsed = tf.io.parse_single_example(serialized, parsing) if parsing else {}
        for name, decode in decoding.items():
            parsed[name] = decode(parsed[name])
        return {**parsed, SERIALIZED: serialized}

    def batches() -> Iterator[Arrays]:
        records = _records(spec).map(parse).batch(spec["batch_size"])
        try:
            yield from records.as_numpy_iterator()
        except (tf.errors.OpError, ValueError) as error:
            raise DataProblem(
                f"the TFRecord cannot be parsed: {first_line(error)}",
                "Check the features' names, dtypes and shapes, and the compression.",
            ) from error

    keys = [*parsing, SERIALIZED]
    return Source(batches, None, target_key(keys, spec["target"]), spec["class_names"])


def _records(spec: dict[str, Any]) -> Any:
    return tensorflow().data.TFRecordDataset(spec["paths"], spec["compression"] or None)


def _first(spec: dict[str, Any]) -> Any:
    tf = tensorflow()
    try:
        for raw in _records(spec).take(1).as_numpy_iterator():
            return tf.train.Example.FromString(raw)
    except Exception as error:
        raise DataProblem(
            f"it is no TFRecord of tf.train.Example: {first_line(error)}",
            "Was it written with a compression? Then say which.",
        ) from error
    raise DataProblem("the TFRecord has no examples")


def _guessed(example: Any, spec: dict[str, Any], model: Model) -> list[dict[str, Any]]:
    """Features after the first example, in the shapes that the model's inputs have."""
    mapped = {spec["inputs"].get(each.name, each.name): each for each in model.signature.inputs}
    found = example.features.feature
    if len(model.signature.inputs) == 1 and not set(mapped) & set(found):
        others = [key for key in found if key != target_key(list(found), spec["target"])]
        mapped = (
            {("x" if "x" in others else others[0]): model.signature.inputs[0]} if others else {}
        )
    return [_feature(name, found[name], mapped.get(name)) for name in sorted(found)]


def _feature(name: str, feature: Any, tensor: Any) -> dict[str, Any]:
    kind = feature.WhichOneof("kind")
    values = getattr(feature, kind).value if kind else []
    dtype = {"bytes_list": "string", "float_list": "float32", "int64_list": "int64"}.get(
        kind or "", "float32"
    )
    shape: tuple[int, ...] = () if len(values) == 1 else (len(values),)
    encoded = ""
    if isinstance(tensor, Tensor) and tensor.shape is not None:
        axes = [axis or 0 for axis in tensor.shape[1:]]
        if dtype == "string" and tensor.dtype != "string":
            encoded = "image" if _looks_like_image(values[0] if values else b"") else "raw"
            if encoded == "raw":
                dtype = tensor.dtype
            shape = tuple(axes)
        elif int(np.prod(axes)) == len(values):
            shape = tuple(axes)
    return {"name": name, "dtype": dtype, "shape": shape, "encoded": encoded}


def _looks_like_image(data: bytes) -> bool:
    return data.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM"))


def _parsing(features: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    tf = tensorflow()
    parsing, decoding = {}, {}
    for each in features:
        name, shape = each["name"], list(each["shape"])
        dtype = tf.as_dtype(each["dtype"])
        if each["encoded"]:
            parsing[name] = tf.io.FixedLenFeature([], tf.string)
            decoding[name] = _decoder(each["encoded"], dtype, shape)
            continue
        # An Example knows bytes, float32 and int64 only.
        wide = tf.string if dtype == tf.string else tf.float32 if dtype.is_floating else tf.int64
        parsing[name] = tf.io.FixedLenFeature(shape, wide)
        if wide != dtype:
            decoding[name] = lambda value, dtype=dtype: tf.cast(value, dtype)
    return parsing, decoding


def _decoder(encoded: str, dtype: Any, shape: list[int]) -> Any:
    tf = tensorflow()
    if encoded == "raw":
        free = [size or -1 for size in shape]  # as many as there are, where a model takes any
        return lambda data: tf.reshape(tf.io.decode_raw(data, dtype), free)
    channels = shape[-1] if shape else 0

    def picture(data: Any) -> Any:
        image = tf.io.decode_image(data, channels=channels, expand_animations=False)
        if len(shape) == 3 and shape[0] and shape[1]:
            image = tf.image.resize(image, shape[:2])
        return image

    return picture
