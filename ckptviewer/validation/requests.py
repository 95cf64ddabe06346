"""What the program asks of the validation worker; `protocol` says how it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ModelKind(StrEnum):
    """How a model is told to the worker."""

    SAVED_MODEL = "saved-model"
    KERAS = "keras"  # .keras or whole-model .h5
    META_GRAPH = "meta-graph"  # the .meta beside a Saver checkpoint
    FACTORY = "factory"  # module:function or file.py:function


class BindMode(StrEnum):
    """How a checkpoint gets into a model."""

    AUTO = "auto"  # natively where TensorFlow does, and otherwise by names
    OBJECT_GRAPH = "object-graph"  # tf.train.Checkpoint.read
    KERAS_WEIGHTS = "keras-weights"  # model.load_weights
    SAVER = "saver"  # tf.compat.v1.train.Saver.restore
    NAMES = "names"  # values by key, from a bundle that lists them by name


class DataKind(StrEnum):
    """Where validation data comes from."""

    NPZ = "npz"
    NPY = "npy"
    CSV = "csv"
    TFRECORD = "tfrecord"
    IMAGES = "images"  # a folder with a folder of images for each class
    RANDOM = "random"  # shaped after the signature; has no truth to compare with


class ImpactMethod(StrEnum):
    """What is done to a group of variables to see how much the output needs them."""

    ZERO = "zero"
    SHUFFLE = "shuffle"
    NOISE = "noise"  # normal, of the variable's own mean and deviation
    OTHER = "other"  # the values of the second checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """The model to load.

    path: a SavedModel's directory, a Keras file, a .meta file; for a factory
        "package.module:function" or "/path/file.py:function".
    signature: "" for serving_default or the only one; "__call__" calls the model itself.
    tags: of the meta graph in a SavedModel; none: the only one, or `serve`.
    inputs, outputs: of a meta graph: names of tensors ("x:0"); none: as its signature says.
    custom_objects: a Python file that runs before the model is loaded: its classes and functions
        are there for Keras, and it may load libraries of custom operations; "" for none.
    safe_mode: whether Keras refuses to load code from the model's file.
    python_path: directories that are put before sys.path.
    """

    kind: ModelKind
    path: str
    signature: str = ""
    tags: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    custom_objects: str = ""
    safe_mode: bool = True
    python_path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NamePair:
    """One entry of a name map: the value under `key` goes into the variable `name`."""

    key: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSpec:
    """A checkpoint to restore.

    path: as TensorFlow or Keras takes it (prefix, .weights.h5, .keras).
    format: as on the command line ("tf-bundle").
    bundle: prefix of a bundle that holds the same under the same keys; "" where `path` is one.
    labels: key -> its name for people, where that is another; helps matching by names.
    mode: how it binds. names: for BindMode.NAMES; none: the worker matches names by itself.
    cast: whether values of another dtype are converted (by names only).
    """

    path: str
    format: str
    bundle: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    mode: BindMode = BindMode.AUTO
    names: tuple[NamePair, ...] = ()
    cast: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """values * scale + offset, then `dtype` ("" as the model wants it), for one key of the data.

    key: "" for every input that has none of its own.
    """

    key: str = ""
    scale: float = 1.0
    offset: float = 0.0
    dtype: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One feature of a tf.train.Example: parsed as a tensor of this dtype and shape.

    encoded: "" for plain values; "image" for an encoded picture, "raw" for the tensor's bytes, in
        which an axis of 0 is free.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] = ()
    encoded: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """The validation data.

    paths: files, or the folder of images. Two .npy files are `x` and `y`, more go by their names.
    inputs: name of the model's input -> key of the data; what is left out goes by name, and a
        single input takes `x`.
    target: key of the truth; "" for `y` (in CSV the last column, in images the class).
    batch_size: in examples. limit: at most so many examples; None for all (random: one batch).
    features: of a TFRecord; none: from the signature. compression: "", "GZIP", "ZLIB".
    image_size: height and width; None: as the model's input says. color: "", "rgb", "grayscale".
    class_names: of the classes, by number.
    """

    kind: DataKind
    paths: tuple[str, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    batch_size: int = 32
    limit: int | None = None
    seed: int = 0
    preprocessing: tuple[Preprocessing, ...] = ()
    features: tuple[Feature, ...] = ()
    compression: str = ""
    image_size: tuple[int, int] | None = None
    color: str = ""
    class_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSpec:
    """What to measure.

    names: of keras.metrics, in snake case or as classes ("accuracy", "AUC", "top_5_accuracy",
        "mean_squared_error", "mse", "mae"), or "loss". "accuracy" takes the form that the output
        asks for.
    loss: of keras.losses; "" for the one that the model was compiled with, else by the output.
    from_logits: whether outputs are logits; None: seen from their values.
    output: the output that is measured; "" for the first.
    per_class: also for each class, with the confusion matrix. worst: how many examples to list.
    predictions_path: an .npz to write the outputs to; "" for none.
    """

    names: tuple[str, ...] = ()
    loss: str = ""
    from_logits: bool | None = None
    output: str = ""
    per_class: bool = True
    worst: int = 10
    predictions_path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpactGroup:
    """Variables that are changed together. variables: names as in `ModelInfo.variables`."""

    name: str
    variables: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpactSpec:
    """What to change, one group at a time, and how; `metric` ranks ("" for the first)."""

    groups: tuple[ImpactGroup, ...]
    method: ImpactMethod = ImpactMethod.ZERO
    metric: str = ""
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectRequest:
    """What does the model have? Answered by `ModelInfo`."""

    model: ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateRequest:
    """A whole validation. Without data it ends after the read-back.

    checkpoint: is A; None validates the model as it was saved. against: is B.
    """

    model: ModelSpec
    checkpoint: CheckpointSpec | None = None
    against: CheckpointSpec | None = None
    data: DataSpec | None = None
    metrics: MetricsSpec = MetricsSpec()
    impact: ImpactSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureRequest:
    """Load, restore and run once, with a watch. Answered by `Measured`; for comparing slimness."""

    model: ModelSpec
    checkpoint: CheckpointSpec
    data: DataSpec | None = None
    batches: int = 20


Request = InspectRequest | ValidateRequest | MeasureRequest
REQUESTS: dict[type[Any], str] = {
    InspectRequest: "inspect",
    ValidateRequest: "validate",
    MeasureRequest: "measure",
}
