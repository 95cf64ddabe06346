"""What the program hears from the validation worker; `protocol` says how it comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ckptviewer.validation.requests import BindMode, ImpactMethod, ModelKind


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
    signatures: those that can be chosen. placeholders, collections: of a meta graph; what its
        pipelines of input give can be fed as well, and counts as placeholders.
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
        of examples whose values are all close (1e-3 relative, 1e-5 absolute). What is NaN or
        infinite in both agrees on nothing; None where all is. max_abs, mean_abs: without that.
    differing: places of the first examples that do not agree. nonfinite: how many values are
        finite in neither, nonfinite_examples: in how many examples, nonfinite_at: in which first.
    """

    output: str
    examples: int
    argmax: float | None
    agreement: float | None
    max_abs: float | None
    mean_abs: float | None
    differing: tuple[int, ...] = ()
    nonfinite: int = 0
    nonfinite_examples: int = 0
    nonfinite_at: tuple[int, ...] = ()


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
EVENTS: dict[str, type[Any]] = {
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
