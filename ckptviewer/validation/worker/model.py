"""A loaded model, whatever its kind: its variables, what it takes and gives, and how to call it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Callable, NamedTuple

import numpy as np

from .problems import ModelProblem

Arrays = dict[str, Any]
"""Name of an input or output -> NumPy array, examples along the first axis."""


class Tensor(NamedTuple):
    """An input or output. shape: None where unknown; an axis is None where it is free."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None = None
    tensor: str = ""

    def plain(self) -> dict[str, Any]:
        """As the protocol has it."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": None if self.shape is None else list(self.shape),
            "tensor": self.tensor,
        }

    def text(self) -> str:
        """ "float32 [?, 8, 8, 1]"."""
        return type_text(self.dtype, self.shape)


def type_text(dtype: str, shape: Iterable[int | None] | None) -> str:
    """A dtype and a shape for people; free axes are question marks."""
    if shape is None:
        return f"{dtype} of any shape"
    return f"{dtype} [{', '.join('?' if axis is None else str(axis) for axis in shape)}]"


def tensor_of(name: str, dtype: Any, shape: Any, tensor: str = "") -> Tensor:
    """A Tensor of TensorFlow's or Keras' words for dtype and shape."""
    if hasattr(shape, "rank"):
        shape = None if shape.rank is None else shape.as_list()
    axes = None if shape is None else tuple(None if axis is None else int(axis) for axis in shape)
    return Tensor(name, getattr(dtype, "name", str(dtype)), axes, tensor)


class Signature(NamedTuple):
    """One way to call a model."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def plain(self) -> dict[str, Any]:
        """As the protocol has it."""
        return {
            "name": self.name,
            "inputs": [each.plain() for each in self.inputs],
            "outputs": [each.plain() for each in self.outputs],
        }


class Variable:
    """A variable of a model.

    name: unique in it. trackable: the object that TensorFlow restores. stored_name, stored_shape,
    region: of a part of a partitioned variable: what the whole is saved as, and which part it is.
    """

    def __init__(
        self,
        *,
        name: str,
        dtype: str,
        shape: tuple[int, ...],
        trainable: bool | None,
        trackable: Any,
        get: Callable[[], Any],
        put: Callable[[Any], None],
        stored_name: str = "",
        stored_shape: tuple[int, ...] | None = None,
        region: tuple[slice, ...] | None = None,
    ) -> None:
        self.name = name
        self.dtype = dtype
        self.shape = shape
        self.trainable = trainable
        self.trackable = trackable
        self.get = get
        self.put = put
        self.stored_name = stored_name or name
        self.stored_shape = shape if stored_shape is None else stored_shape
        self.region = region

    def plain(self) -> dict[str, Any]:
        """As the protocol has it."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "trainable": self.trainable,
        }


class Model:
    """What every kind of model offers. Subclasses fill these in and say how to predict.

    root: what tf.train.Checkpoint takes; None where there is no object graph.
    keras: the Keras model; None where it is none. notes: what is worth a finding.
    """

    kind = ""

    def __init__(self) -> None:
        self.variables: list[Variable] = []
        self.signature = Signature("", (), ())
        self.signatures: list[Signature] = []
        self.root: Any = None
        self.keras: Any = None
        self.keras_generation = ""
        self.written_by: str | None = None
        self.loss: Any = None
        self.placeholders: list[Tensor] = []
        self.collections: dict[str, list[str]] = {}
        self.notes: list[dict[str, Any]] = []

    def predict(self, inputs: Arrays) -> Arrays:
        """The outputs for one batch. Raises ModelProblem."""
        raise NotImplementedError

    def prepare(self, inputs: Arrays) -> None:
        """Have variables made that only a first call makes."""

    def close(self) -> None:
        """Give back what it holds."""

    def plain(self) -> dict[str, Any]:
        """The protocol's ModelInfo, without its times."""
        return {
            "kind": self.kind,
            "signature": self.signature.name,
            "signatures": [each.plain() for each in self.signatures],
            "variables": [each.plain() for each in self.variables],
            "placeholders": [each.plain() for each in self.placeholders],
            "collections": self.collections,
            "keras": self.keras_generation,
            "written_by": self.written_by,
            "loss": loss_name(self.loss),
        }


def loss_name(loss: Any) -> str:
    """The name of what a model was compiled with; empty where there is none."""
    if loss is None:
        return ""
    if isinstance(loss, str):
        return loss
    return str(getattr(loss, "name", "") or getattr(loss, "__name__", "") or type(loss).__name__)


def eager_variables(found: Iterable[tuple[str, Any]]) -> list[Variable]:
    """Variables of TensorFlow 2 or Keras, by names that are made unique."""
    result: list[Variable] = []
    seen: set[int] = set()
    names: set[str] = set()
    for name, raw in found:
        if id(raw) in seen:
            continue
        seen.add(id(raw))
        name = unique(name, names)
        result.append(
            Variable(
                name=name,
                dtype=dtype_name(raw.dtype),
                shape=tuple(int(axis) for axis in raw.shape),
                trainable=bool(raw.trainable) if hasattr(raw, "trainable") else None,
                trackable=raw,
                get=lambda raw=raw: as_array(raw),  # type: ignore[misc]
                put=raw.assign,
            )
        )
    return result


def unique(name: str, names: Any) -> str:
    """`name`, or with a number behind it where there was one of that name; adds it to `names`."""
    number, result = 1, name
    while result in names:
        number += 1
        result = f"{name}#{number}"
    names.add(result)
    return result


def dtype_name(dtype: Any) -> str:
    """TensorFlow's name of a dtype, of a TensorFlow or Keras variable."""
    name = getattr(dtype, "name", None) or str(dtype)
    return str(name)[:-4] if str(name).endswith("_ref") else str(name)


def as_array(value: Any) -> Any:
    """A NumPy array of a tensor or variable, of its own memory; strings as objects."""
    return np.array(value.numpy() if hasattr(value, "numpy") else value)


def named_outputs(result: Any, names: tuple[str, ...]) -> Arrays:
    """What a call gave, by name: a dictionary stays one, several go by `names` or numbers."""
    if isinstance(result, dict):
        return {str(key): as_array(each) for key, each in result.items()}
    if isinstance(result, (list, tuple)):
        if len(names) != len(result):
            names = tuple(f"output_{number}" for number in range(len(result)))
        return {name: as_array(each) for name, each in zip(names, result)}
    if result is None:
        raise ModelProblem("the model returned nothing", "It has to return its outputs.")
    return {names[0] if len(names) == 1 else "output": as_array(result)}


def choose_signature(signatures: list[Signature], wanted: str) -> Signature:
    """The signature of that name; without one, serving_default or the only one.

    Raises ModelProblem.
    """
    by_name = {each.name: each for each in signatures}
    if wanted:
        if wanted not in by_name:
            raise ModelProblem(
                f"the model has no signature {wanted!r}",
                f"It has {', '.join(by_name) or 'none'}.",
            )
        return by_name[wanted]
    if "serving_default" in by_name:
        return by_name["serving_default"]
    if len(signatures) == 1:
        return signatures[0]
    if not signatures:
        return Signature("", (), ())
    raise ModelProblem(
        f"the model has {len(signatures)} signatures, and none is called serving_default",
        f"Choose one of {', '.join(by_name)}.",
    )
