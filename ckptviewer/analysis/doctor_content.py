"""The doctor's look at names, roles and stored checksums: what an index tells without its data."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from ckptviewer.analysis.doctor_files import bundle_prefix
from ckptviewer.analysis.resume import training_state
from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY
from ckptviewer.checkpoint.text import count_text, plural, size_text
from ckptviewer.checkpoint.variable import Role, Variable

SMALLEST_DUPLICATE_BYTES = 256
MOST_DUPLICATES = 20
NOTABLE_STATE = 0.01
"""The share of a file from which on its optimizer state is worth telling."""

_TRAINING_FORMATS = frozenset(("tf-bundle", "tf-v1"))
_BATCH_NORMALIZATION = re.compile(r"(?:^|[_./-])(?:bn|batch_?norm(?:alization)?)(?![a-z])", re.I)
_OBJECT_KEY = "/.ATTRIBUTES/VARIABLE_VALUE"
_OPTIMIZER = (Role.OPTIMIZER_SLOT, Role.OPTIMIZER_STATE)
_MOST_NAMED = 5


def content_findings(checkpoint: Checkpoint) -> Iterator[Finding]:
    """What can be told without reading values, but for a few scalars."""
    yield from _kind_of_saving(checkpoint)
    yield from _optimizer_state(checkpoint)
    yield from _slots(checkpoint)
    yield from _moving_statistics(checkpoint)


def may_be_duplicates(checkpoint: Checkpoint) -> dict[tuple[str, tuple[int, ...]], list[Variable]]:
    """The variables that share dtype and shape with another, of those large enough to matter."""
    alike: dict[tuple[str, tuple[int, ...]], list[Variable]] = defaultdict(list)
    for variable in checkpoint.variables:
        if variable.role is Role.METADATA or kind_of(variable.dtype) is Kind.OPAQUE:
            continue
        if variable.stored_bytes >= SMALLEST_DUPLICATE_BYTES and variable.element_count > 1:
            alike[variable.dtype, variable.shape].append(variable)
    return {kind: variables for kind, variables in alike.items() if len(variables) > 1}


def duplicate_findings(
    checkpoint: Checkpoint,
    contents: Mapping[str, object],
    counts: Callable[[Variable], bool],
) -> Iterator[Finding]:
    """A finding for each group of variables with the same content, the costliest first.

    contents: what stands for the content of a variable, by key; a checksum, or a tuple of more.
    counts: whether a variable of a group (any of them) is worth telling; constants are not.
    """
    groups: list[list[Variable]] = []
    for alike in may_be_duplicates(checkpoint).values():
        same: dict[object, list[Variable]] = defaultdict(list)
        for variable in alike:
            if variable.key in contents:
                same[contents[variable.key]].append(variable)
        groups += [group for group in same.values() if len(group) > 1 and counts(group[0])]
    groups.sort(key=lambda group: -_cost(group))
    for group in groups[:MOST_DUPLICATES]:
        names = named_keys([variable.key for variable in group[1:]])
        yield Finding(
            code="duplicate-tensor",
            severity=Severity.INFO,
            message=f"{group[0].key} has the same content, by checksum, as {names}; the "
            f"{'copy takes' if len(group) == 2 else 'copies take'} {size_text(_cost(group))}.",
            remedy="If they are one variable under several names, an export can leave copies out.",
            variable=group[0].key,
        )
    rest = groups[MOST_DUPLICATES:]
    if rest:
        yield Finding(
            code="duplicate-tensor",
            severity=Severity.INFO,
            message=f"{plural(len(rest), 'more group')} of variables have the same content; the "
            f"copies take {size_text(sum(map(_cost, rest)))}.",
        )


def looks_constant(checkpoint: Checkpoint, variable: Variable) -> bool:
    """Whether a few values from its beginning are all the same; True where they cannot be read."""
    shape = variable.shape
    region = (*(slice(0, 1) for _ in shape[:-1]), slice(0, 64))
    try:
        values = checkpoint.read(variable, region).reshape(-1)
    except CkptviewerError:
        return True
    return bool((values == values[:1]).all()) if values.size else True


def _cost(group: list[Variable]) -> int:
    return sum(variable.stored_bytes for variable in group[1:])


def _kind_of_saving(checkpoint: Checkpoint) -> Iterator[Finding]:
    """Whether it was saved by name or by object, where a reader may expect the other."""
    if checkpoint.format_name != "tf-bundle" or not checkpoint.variables:
        return
    has_graph = OBJECT_GRAPH_KEY in checkpoint.by_key
    meta = bundle_prefix(checkpoint) + ".meta"
    if has_graph:
        if os.path.isfile(meta):
            yield Finding(
                code="object-based",
                severity=Severity.INFO,
                message="It was saved by tf.train.Checkpoint, and beside it lies a .meta graph, "
                "whose tf.train.Saver expects one that is name-based.",
                remedy="Restore it with tf.train.Checkpoint; a Saver finds its variables only "
                "where their names are in the object graph.",
            )
        return
    if any(variable.key.endswith(_OBJECT_KEY) for variable in checkpoint.variables):
        yield Finding(
            code="missing-object-graph",
            severity=Severity.WARNING,
            message="Its keys are those of tf.train.Checkpoint, and the object graph that they "
            "belong to is not there.",
            remedy="tf.train.Checkpoint restores nothing from it; read it by keys with "
            "tf.train.load_checkpoint.",
        )
    else:
        yield Finding(
            code="name-based",
            severity=Severity.INFO,
            message="It was saved by name, as tf.train.Saver does: where objects are expected, "
            "tf.train.Checkpoint falls back to names, and what is named otherwise stays fresh.",
            remedy="Restore it with tf.compat.v1.train.Saver, or by keys with "
            "tf.train.load_checkpoint.",
        )


def _optimizer_state(checkpoint: Checkpoint) -> Iterator[Finding]:
    """Optimizer state in a file that is for its weights."""
    name = os.path.basename(checkpoint.path).lower()
    if checkpoint.format_name in _TRAINING_FORMATS and "weights" not in name:
        return
    state = [variable for variable in checkpoint.variables if variable.role in _OPTIMIZER]
    size = sum(variable.stored_bytes for variable in state)
    total = sum(variable.stored_bytes for variable in checkpoint.variables)
    notable = size >= NOTABLE_STATE * total > 0
    if notable and any(variable.in_model for variable in checkpoint.variables):
        yield Finding(
            code="optimizer-state",
            severity=Severity.INFO,
            message=f"{size_text(size)} of {size_text(total)} ({size / total:.0%}) are the "
            f"optimizer's: {plural(len(state), 'variable')} that inference does not need.",
            remedy="`ckptviewer export --preset inference` writes it without them.",
        )


def _slots(checkpoint: Checkpoint) -> Iterator[Finding]:
    """Slots that some variables have and others lack; training that has not begun."""
    state = training_state(checkpoint)
    if state.slots and not state.resumable:
        missing = sorted({key for slot in state.slots.values() for key in slot.missing})
        where = f" Without: {named_keys(missing)}." if missing else ""
        yield Finding(
            code="incomplete-slots",
            severity=Severity.WARNING,
            message=f"{state.explanation}{where}",
            remedy="Resume from a checkpoint that is complete, or expect the optimizer to start "
            "afresh for these.",
            variable=missing[0] if len(missing) == 1 else None,
        )
    if state.step == 0 and state.slots:
        yield Finding(
            code="untrained",
            severity=Severity.INFO,
            message=f"{state.step_key} is 0: it was saved before the first step of training.",
            variable=state.step_key,
        )


def _moving_statistics(checkpoint: Checkpoint) -> Iterator[Finding]:
    """Batch normalizations whose scale and shift are there, and the moving statistics are not."""
    norms: dict[str, list[Variable]] = defaultdict(list)
    statistics: dict[str, set[str]] = defaultdict(set)
    for variable in checkpoint.variables:
        group, _, leaf = variable.name.removesuffix(":0").rpartition("/")
        if variable.role is Role.NORMALIZATION:
            norms[group].append(variable)
        elif variable.role is Role.MOVING_STATISTIC:
            statistics[group].add("variance" if "var" in leaf else "mean")
    for group, variables in norms.items():
        found = statistics.get(group, set())
        said = _BATCH_NORMALIZATION.search(group[group.rfind("/") + 1 :])
        if len(found) == 2 or not (said or found):
            continue
        if _speaks_of_order(variables):
            continue
        lacking = " and ".join(
            f"moving {each}" for each in ("mean", "variance") if each not in found
        )
        yield Finding(
            code="missing-moving-statistics",
            severity=Severity.WARNING,
            message=f"The batch normalization {group} has {_leaves(variables)}, but no {lacking}: "
            "in inference it would use those of an untrained model.",
            remedy="Save all variables, and not the trainable ones alone.",
            variable=variables[0].key,
        )


def _speaks_of_order(variables: list[Variable]) -> bool:
    """Whether names are numbers (`vars/0`), which do not tell what the others are."""
    return any(variable.name.rpartition("/")[2].isdigit() for variable in variables)


def _leaves(variables: list[Variable]) -> str:
    names = [variable.name.removesuffix(":0").rpartition("/")[2] for variable in variables]
    return " and ".join(names[:2])


def named_keys(keys: list[str]) -> str:
    """The first few of the keys, and how many more there are."""
    text = ", ".join(keys[:_MOST_NAMED])
    more = len(keys) - _MOST_NAMED
    return f"{text} and {count_text(more)} more" if more > 0 else text
