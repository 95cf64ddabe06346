"""What the program asks of the validation worker, and what it hears: one JSON object a line.

The worker knows none of this code, only these names (worker/channel.py has its side): a request
goes to its standard input as `{"request": KIND, ...}`, and events come back as
`{"event": KIND, ...}` on what was its standard output when it was started. The first event is a
`Hello` with the protocol's version. Numbers that are not finite come as null.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ckptviewer.validation.plain import BadDescriptionError, from_plain, to_plain

PROTOCOL_VERSION = 1


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


# What is asked


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """The model to load.

    path: a SavedModel's directory, a Keras file, a .meta file; for a factory
        "package.module:function" or "/path/file.py:function".
    signature: "" for serving_default or the only one; "__call__" calls the model itself.
    tags: of the meta graph in a SavedModel; none: the only one, or `serve`.
    inputs, outputs: of a meta graph: names of tensors ("x:0"); none: as its signature says.
    custom_objects: a Python file whose classes and functions Keras may need; "" for none.
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

    encoded: "" for plain values; "image" for an encoded picture, "raw" for the tensor's bytes.
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
_REQUESTS: dict[type[Any], str] = {
    InspectRequest: "inspect",
    ValidateRequest: "validate",
    MeasureRequest: "measure",
}


# What is heard


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The worker is there; versions are those that are installed, None where there is none."""

    protocol: int
    python: str
    pid: int
    executable: str = ""
    numpy: str | None = None
    tensorflow: str | None = None
    keras: str | None = None
    tf_keras: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Libraries:
    """TensorFlow is loaded; these are the versions that run."""

    tensorflow: str
    keras: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageProgress:
    """How far a stage has come; total is 0 while unknown.

    stage: "start", "libraries", "model", "restore", "read-back", "data", "run", "impact",
        "measure".
    checkpoint: "a" or "b", "" where it is about neither.
    """

    stage: str
    done: int = 0
    total: int = 0
    label: str = ""
    checkpoint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One thing worth saying to the user: it becomes a finding. severity: as of findings."""

    code: str
    severity: str
    message: str
    remedy: str = ""
    variable: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """An input or output. shape: None where it is unknown; an axis is None where it is free."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None = None
    tensor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureInfo:
    """One way to call the model."""

    name: str
    inputs: tuple[TensorInfo, ...] = ()
    outputs: tuple[TensorInfo, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableInfo:
    """A variable of the model. name: unique in the model; by it all else refers to it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    trainable: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What the loaded model has.

    signature: the one that is used; "" where none could be chosen.
    signatures: those that can be chosen. placeholders, collections: of a meta graph.
    keras: "3", "2" or "". written_by: the library that saved it, where the file says so.
    loss: what it was compiled with; "" for none.
    """

    kind: ModelKind
    signature: str = ""
    signatures: tuple[SignatureInfo, ...] = ()
    variables: tuple[VariableInfo, ...] = ()
    placeholders: tuple[TensorInfo, ...] = ()
    collections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keras: str = ""
    written_by: str | None = None
    loss: str = ""
    load_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A variable that got its value. rule: one clause on how the two were found to belong."""

    key: str
    name: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A variable of the model for which the checkpoint has nothing: it stays fresh."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatched:
    """A variable and a key that belong together and do not fit."""

    key: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """What one of TensorFlow's own checks says. name: "assert_consumed". message: in words."""

    name: str
    passed: bool
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What the restore of checkpoint "a" or "b" did. mode: how. unused: keys."""

    checkpoint: str
    mode: BindMode
    how: str
    bound: tuple[Bound, ...] = ()
    missing: tuple[Missing, ...] = ()
    unused: tuple[str, ...] = ()
    mismatched: tuple[Mismatched, ...] = ()
    assertions: tuple[Assertion, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """A tensor's content. digest: BLAKE2b of its bytes; moments of finite values, None of none."""

    digest: str
    count: int
    nonfinite: int = 0
    mean: float | None = None
    std: float | None = None
    skewness: float | None = None
    kurtosis: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableReadBack:
    """One model variable before and after the restore, and as the file has it.

    changed: whether the restore changed its bytes. equal: whether it is what the file has (after
    the cast, where one was made); None where nothing of the file is bound to it.
    """

    name: str
    key: str | None
    before: Digest
    after: Digest
    file: Digest | None = None
    changed: bool
    equal: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """All model variables, read back after checkpoint "a" or "b" was restored."""

    checkpoint: str
    variables: tuple[VariableReadBack, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMetrics:
    """One class. count: examples of it; recall is its accuracy; None where nothing is divided."""

    label: str
    count: int
    predicted: int
    correct: int
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One of the worst examples. index: its place in the data. loss: what it cost."""

    index: int
    loss: float | None
    truth: str
    prediction: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """What a run over the data gave, for checkpoint "a" or "b".

    examples: how many ran. values: metric -> value. confusion: rows are the truth.
    latency_seconds: median of a batch. throughput: examples a second, without the first batch.
    output: which output was measured. nonfinite_outputs: how many values are NaN or Inf.
    """

    checkpoint: str
    examples: int
    values: Mapping[str, float | None] = field(default_factory=dict)
    classes: tuple[ClassMetrics, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    worst: tuple[Example, ...] = ()
    output: str = ""
    batch_size: int = 0
    latency_seconds: float | None = None
    first_batch_seconds: float | None = None
    throughput: float | None = None
    nonfinite_outputs: int = 0
    predictions_path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputAgreement:
    """How far one output of A and B agree.

    argmax: share of examples with the same largest element; None where it has fewer than two.
    agreement: what a threshold is held against: argmax where there is one, and otherwise the share
        of examples whose values are all close (1e-3 relative, 1e-5 absolute).
    """

    output: str
    examples: int
    argmax: float | None
    agreement: float | None
    max_abs: float | None
    mean_abs: float | None
    differing: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far the outputs of A and B agree."""

    outputs: tuple[OutputAgreement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupImpact:
    """What changing one group did. loss_of_metric: how much worse it became; negative: better.

    agreement: share of examples that are predicted as before.
    """

    name: str
    variables: tuple[str, ...]
    value: float | None
    loss_of_metric: float | None
    agreement: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """Groups, the one that the output needs most first. baseline: the metric unchanged."""

    metric: str
    method: ImpactMethod
    baseline: float | None
    groups: tuple[GroupImpact, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run with a watch. memory_bytes: resident size with the model restored, above that of
    the libraries alone; None where the system does not tell."""

    load_seconds: float
    restore_seconds: float
    latency_seconds: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The request came to nothing. stage: as in StageProgress. type: of the exception.

    message: one sentence for people. remedy: one sentence, may be empty. The traceback is in the
    log.
    """

    stage: str
    type: str
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The request is done; the worker waits for the next."""

    seconds: float = 0.0


Event = (
    Hello
    | Libraries
    | StageProgress
    | Note
    | ModelInfo
    | Restored
    | ReadBack
    | Measurements
    | Agreement
    | Impact
    | Measured
    | Failure
    | Done
)
_EVENTS: dict[str, type[Any]] = {
    "hello": Hello,
    "libraries": Libraries,
    "progress": StageProgress,
    "note": Note,
    "model": ModelInfo,
    "restored": Restored,
    "read-back": ReadBack,
    "measurements": Measurements,
    "agreement": Agreement,
    "impact": Impact,
    "measured": Measured,
    "failure": Failure,
    "done": Done,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All that one request gave, gathered by the launcher.

    restored, read_back, measurements: by "a" and "b". notes: in the order they came.
    log_path: the file with what the worker and the model printed.
    """

    hello: Hello
    libraries: Libraries | None = None
    model: ModelInfo | None = None
    restored: Mapping[str, Restored] = field(default_factory=dict)
    read_back: Mapping[str, ReadBack] = field(default_factory=dict)
    measurements: Mapping[str, Measurements] = field(default_factory=dict)
    agreement: Agreement | None = None
    impact: Impact | None = None
    measured: Measured | None = None
    notes: tuple[Note, ...] = ()
    seconds: float = 0.0
    log_path: str = ""


def encode_request(request: Request) -> bytes:
    """One line, with its line feed."""
    plain = {"request": _REQUESTS[type(request)], **to_plain(request)}
    return json.dumps(plain, separators=(",", ":")).encode("ascii") + b"\n"


def decode_event(line: bytes) -> Event:
    """The event on one line. Raises BadDescriptionError: the worker runs code we do not know."""
    try:
        plain = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadDescriptionError("the line is not JSON", where="event") from error
    if not isinstance(plain, dict):
        raise BadDescriptionError("the line is not an object", where="event")
    name = plain.pop("event", None)
    kind = _EVENTS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise BadDescriptionError(f"there is no event {name!r}", where="event")
    event: Event = from_plain(kind, plain, str(name))
    return event
