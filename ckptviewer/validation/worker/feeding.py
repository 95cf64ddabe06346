"""Brings data to a model's inputs: which key goes where, scaled and cast, and found to fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .data import Source
from .model import Arrays, Model, Tensor, type_text
from .problems import DataProblem
from .records import SERIALIZED


class Batch(NamedTuple):
    """inputs: for the model. truth: None where the data has none. start: index of the first."""

    inputs: Arrays
    truth: Any | None
    start: int


class Feeder:
    """Batches of a source as a model takes them."""

    def __init__(self, model: Model, source: Source, spec: dict[str, Any]) -> None:
        """Looks at the first batch, so that what does not fit is told before anything runs.

        Raises DataProblem.
        """
        self._model = model
        self._source = source
        self._steps = spec["preprocessing"]
        self.class_names = source.class_names
        self.count = source.count
        self.target = source.target
        first = next(iter(source.batches()), None)
        if first is None or not len(next(iter(first.values()))):
            raise DataProblem("the data has no examples")
        self._keys = _mapping(model.signature.inputs, spec["inputs"], first, source.target)
        self.first = self._batch(first, 0)

    def __iter__(self) -> Iterator[Batch]:
        start = 0
        for arrays in self._source.batches():
            batch = self._batch(arrays, start)
            yield batch
            start += size_of(batch)

    def _batch(self, arrays: Arrays, start: int) -> Batch:
        inputs = {}
        tensors = {each.name: each for each in self._model.signature.inputs}
        for name, key in self._keys.items():
            values = _preprocessed(arrays[key], key, self._steps)
            inputs[name] = fitted(values, tensors.get(name), key, self._dtype_for(key))
        target = self._source.target
        truth = np.asarray(arrays[target]) if target else None
        return Batch(inputs, truth, start)

    def _dtype_for(self, key: str) -> str:
        return next((str(s["dtype"]) for s in self._steps if s["key"] in (key, "")), "")


def size_of(batch: Batch) -> int:
    """How many examples a batch has."""
    return len(next(iter(batch.inputs.values())))


def _mapping(
    inputs: Sequence[Tensor], asked: dict[str, str], arrays: Arrays, target: str
) -> dict[str, str]:
    """Input of the model -> key of the data. Raises DataProblem."""
    offered = [key for key in arrays if key not in (target, SERIALIZED)]
    known = {each.name for each in inputs}
    for name, key in asked.items():
        if known and name not in known:
            raise DataProblem(
                f"the model has no input {name!r}", f"It has {', '.join(sorted(known))}."
            )
        if key not in arrays:
            raise DataProblem(f"the data has no key {key!r}", f"It has {', '.join(arrays)}.")
    if not inputs:
        return dict(asked) or {key: key for key in offered}
    mapping: dict[str, str] = {}
    missing: list[str] = []
    for tensor in inputs:
        key = asked.get(tensor.name) or (tensor.name if tensor.name in arrays else "")
        if not key and len(inputs) == 1:
            if tensor.dtype == "string" and SERIALIZED in arrays:
                key = SERIALIZED
            elif "x" in offered:
                key = "x"
            elif len(offered) == 1:
                key = offered[0]
        if key:
            mapping[tensor.name] = key
        else:
            missing.append(tensor.name)
    if missing:
        raise DataProblem(
            f"nothing in the data is for the model's input {missing[0]!r}",
            f"Map one of the keys {', '.join(offered) or 'of the data'} to it.",
        )
    return mapping


def _preprocessed(values: Any, key: str, steps: Sequence[dict[str, Any]]) -> Any:
    own = [each for each in steps if each["key"] == key]
    for step in own or [each for each in steps if each["key"] == ""]:
        if step["scale"] != 1.0 or step["offset"] != 0.0:
            if values.dtype.kind not in "biuf":
                raise DataProblem(
                    f"the data under {key!r} is {values.dtype}, which cannot be scaled"
                )
            wide = np.float64 if values.dtype == np.float64 else np.float32
            values = values.astype(wide) * wide(step["scale"]) + wide(step["offset"])
        if step["dtype"]:
            values = values.astype(step["dtype"])
    return values


def fitted(values: Any, tensor: Tensor | None, key: str, asked_dtype: str = "") -> Any:
    """`values` in the dtype of an input whose shape they have. Raises DataProblem."""
    if tensor is None:
        return values
    if not _fits(values.shape, tensor.shape):
        raise DataProblem(
            f"the model's input {tensor.name!r} is {tensor.text()}, and the data under {key!r} is "
            f"{type_text(values.dtype.name, (None, *values.shape[1:]))}",
            _shape_remedy(values.shape, tensor.shape),
        )
    if tensor.dtype == "string":
        if values.dtype.kind not in "OSU":
            raise DataProblem(
                f"the model's input {tensor.name!r} takes strings, and the data under {key!r} is "
                f"{values.dtype.name}"
            )
        return values
    if values.dtype.kind not in "biufc":
        raise DataProblem(
            f"the model's input {tensor.name!r} is {tensor.dtype}, and the data under {key!r} is "
            f"{'text' if values.dtype.kind in 'OSU' else values.dtype.name}"
        )
    wanted = _numpy_dtype(tensor.dtype)
    truncates = values.dtype.kind == "f" and wanted.kind in "iu" and not asked_dtype
    if truncates and not np.array_equal(values, np.trunc(values)):
        raise DataProblem(
            f"the model's input {tensor.name!r} is {tensor.dtype}, and the data under {key!r} "
            "has fractions",
            "Map another key to it, or ask for the dtype in the preprocessing.",
        )
    return values.astype(wanted)


def _numpy_dtype(name: str) -> Any:
    try:
        return np.dtype(name)
    except TypeError:
        from .libraries import tensorflow

        return np.dtype(tensorflow().as_dtype(name).as_numpy_dtype)


def _fits(shape: Any, wanted: Any) -> bool:
    if wanted is None:
        return True
    if len(shape) != len(wanted):
        return False
    pairs = list(zip(shape, wanted))
    # The last batch is smaller; a first axis that is fixed is found by the run itself.
    return all(want is None or have == want for have, want in pairs[1:]) and (
        not pairs or pairs[0][1] is None or pairs[0][0] <= pairs[0][1]
    )


def _shape_remedy(shape: Any, wanted: Any) -> str:
    if len(shape) == len(wanted) and wanted and wanted[0] is not None and shape[0] > wanted[0]:
        return f"It takes {wanted[0]} at a time: set the batch size to that."
    if len(shape) + 1 == len(wanted) and wanted[-1] in (None, 1):
        return "An axis of size 1 is missing at the end: add it to the data."
    return "Give data of that shape, or map another key to this input."
