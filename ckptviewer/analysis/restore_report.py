"""The restore report: what of a checkpoint binds to a model, by which rule, and what does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ckptviewer.checkpoint.findings import Finding
from ckptviewer.checkpoint.renaming import RenameRule
from ckptviewer.checkpoint.variable import Role


class Rule(StrEnum):
    """By what a variable of a checkpoint and one of a model are brought together."""

    EDGES = "object-graph"  # tf.train.Checkpoint: the same names of attributes, from the root on
    SAVER_NAME = "saver-name"  # the name in tf.train.Saver's file is the variable's
    LAYER_PATH = "layer-path"  # Keras 3: the layer's path, and the weight's number in it
    LAYER_ORDER = "layer-order"  # Keras' older HDF5: the n-th layer, the n-th weight
    NAME_MAP = "name-map"  # ours, where the library has no rule of its own

    @property
    def is_native(self) -> bool:
        """Whether the library itself restores by it."""
        return self is not Rule.NAME_MAP


class MismatchKind(StrEnum):
    """Why two that belong together do not fit."""

    SHAPE = "shape"
    DTYPE = "dtype"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A variable of the model. key: as the model's file stores it. name: for people.

    in_model: whether predictions need it; not so for an optimizer's, a metric's, a counter, nor
    for an average that is kept beside the weight that it is of.
    """

    key: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    role: Role
    in_model: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One that binds: the checkpoint's value under `key` goes into `target`.

    rule: by which. why: one clause for people. confidence: 0 to 1; below 1 only in a name map.
    converted: whether the value is cast to the model's dtype on the way.
    """

    key: str
    target: Target
    rule: Rule
    why: str
    confidence: float = 1.0
    converted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """One of the model that gets no value, and keeps what it was initialised with.

    suggestion: key in the checkpoint of what is likely its value; empty where there is nothing.
    """

    target: Target
    why: str
    suggestion: str = ""
    suggestion_why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unused:
    """One of the checkpoint that goes nowhere. name: for people."""

    key: str
    name: str
    shape: tuple[int, ...]
    role: Role
    stored_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """Two that belong together and do not fit. reason: with both shapes or dtypes."""

    key: str
    target: Target
    rule: Rule
    kind: MismatchKind
    reason: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What the library would say to a call ("assert_consumed()"), in words.

    passes: whether it raises nothing.
    """

    call: str
    passes: bool
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The model differs from the checkpoint in its head alone.

    layers: their names. targets: keys in the model's file of what stays fresh.
    keys: what the checkpoint has in their place. why: one sentence.
    """

    layers: tuple[str, ...]
    targets: tuple[str, ...]
    keys: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreReport:
    """What would happen if a checkpoint were restored into a model: all of it.

    checkpoint, model: paths. rule: by which the library restores this pair.
    call: the call that does it, as one would write it.
    certain: whether the files say enough to know; otherwise names were compared, and only the
    loaded model can tell.
    bound, fresh, unused, mismatched: every variable of either side is in exactly one, but for the
    checkpoint's own bookkeeping (the object graph).
    raises: what the call itself raises, in words; empty where it raises nothing.
    statements: what the library's checks say.
    rename_rules: regular expressions that turn keys of the checkpoint into those that bind.
    name_map: the checkpoint's key for each of the model's, by name map and rules together.
    fix: Python that restores all that can be; empty where the call itself does.
    head: where only the head differs; None otherwise. partial: Python for that partial restore.
    findings: the same for people, the worst first.
    """

    checkpoint: str
    model: str
    rule: Rule
    call: str
    certain: bool
    bound: tuple[Bound, ...] = ()
    fresh: tuple[Fresh, ...] = ()
    unused: tuple[Unused, ...] = ()
    mismatched: tuple[Mismatch, ...] = ()
    raises: str = ""
    statements: tuple[Statement, ...] = ()
    rename_rules: tuple[RenameRule, ...] = ()
    name_map: Mapping[str, str]
    fix: str = ""
    head: Head | None = None
    partial: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def model_fresh(self) -> tuple[Fresh, ...]:
        """Those that stay fresh and that predictions need."""
        return tuple(each for each in self.fresh if each.target.in_model)

    @property
    def model_mismatched(self) -> tuple[Mismatch, ...]:
        """Those that do not fit and that predictions need."""
        return tuple(each for each in self.mismatched if each.target.in_model)

    @property
    def restores_model(self) -> bool:
        """Whether every variable that predictions need gets its value; not so where it has none."""
        needed = any(each.target.in_model for each in self.bound)
        return needed and not (self.model_fresh or self.model_mismatched or self.raises)
