"""Whether training could go on from a checkpoint: its step, learning rate, and slots."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.findings import Severity
from ckptviewer.checkpoint.text import count_text, plural
from ckptviewer.checkpoint.variable import Role, Variable

_TRAINED_ROLES = frozenset((Role.WEIGHT, Role.BIAS, Role.NORMALIZATION))
_OPTIMIZER_STEPS = frozenset(("iteration", "iterations", "iter"))
_LEARNING_RATES = ("learning_rate", "lr", "current_learning_rate")
_UNEVEN = ("muon", "adafactor")  # optimizers that keep some slots for some variables only
_UNEVEN_SLOTS = frozenset(("r", "c", "vr", "vc"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotCoverage:
    """How many variables have a slot, and the keys of those that should and do not."""

    have: int
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingState:
    """What a checkpoint holds of its training.

    step: the number of steps that were trained; None where it is not stored.
    step_key: key of the variable that tells the step; empty where none does.
    learning_rate: as stored; None where it is not, as with a schedule.
    slots: by slot's name ("m", "Adam_1"), without moving averages.
    resumable: whether an optimizer finds all that it kept.
    explanation: one sentence or two for people.
    """

    step: int | None
    step_key: str
    learning_rate: float | None
    slots: Mapping[str, SlotCoverage]
    resumable: bool
    explanation: str


def training_state(checkpoint: Checkpoint) -> TrainingState:
    """What `checkpoint` holds of its training. Reads at most a few scalars.

    Which variables are trained is taken from the file where it says so; else a variable counts as
    trained when an optimizer keeps any slot for it. A scalar that cannot be read counts as absent.
    """
    variables = checkpoint.variables
    step, step_variable = _step(checkpoint)
    rate = _learning_rate(checkpoint)
    slots = _coverage(variables)
    trained = _trained(variables)
    without = _without_slots(variables, trained)
    keeps_state = any(map(_is_of_optimizer, variables))
    complete = not any(coverage.missing for coverage in slots.values()) and not without
    resumable = (bool(slots) and complete) or (not slots and keeps_state)
    doubt = _doubt(checkpoint, slots)
    if doubt:
        return TrainingState(
            step=step,
            step_key=step_variable.key if step_variable else "",
            learning_rate=rate,
            slots=slots,
            resumable=False,
            explanation=doubt,
        )
    return TrainingState(
        step=step,
        step_key=step_variable.key if step_variable else "",
        learning_rate=rate,
        slots=slots,
        resumable=resumable,
        explanation=_explain(
            _moment(step, step_variable), slots, len(trained), without, keeps_state
        ),
    )


def _doubt(checkpoint: Checkpoint, slots: Mapping[str, SlotCoverage]) -> str:
    """Why nothing good can be said, whatever the names tell; empty where there is no reason."""
    damaged = {
        finding.variable
        for finding in checkpoint.findings
        if finding.severity is Severity.ERROR and finding.variable in checkpoint.by_key
    }
    if damaged:
        return (
            f"Training cannot resume from this file as it is: "
            f"{plural(len(damaged), 'variable')} cannot be read."
        )
    nameless = sum(
        variable.role is Role.OPTIMIZER_SLOT and not variable.slot_name
        for variable in checkpoint.variables
    )
    if nameless and not slots:
        return (
            f"Whether training could resume cannot be told: it holds {plural(nameless, 'slot')}, "
            "and the file does not say of which variables."
        )
    return ""


def _leaf(variable: Variable) -> str:
    name = variable.name.removesuffix(":0")
    return name[name.rfind("/") + 1 :].lstrip("_")


def _is_of_optimizer(variable: Variable) -> bool:
    """Whether it is the state of an optimizer, its count of steps included."""
    if variable.role is Role.OPTIMIZER_STATE:
        return True
    return variable.role is Role.COUNTER and _leaf(variable) in _OPTIMIZER_STEPS


def _step(checkpoint: Checkpoint) -> tuple[int | None, Variable | None]:
    """The step and the variable that told it: global_step, an optimizer's count, save_counter."""
    found: list[tuple[int, int, Variable]] = []
    for variable in checkpoint.variables:
        if variable.role is not Role.COUNTER or variable.element_count != 1:
            continue
        leaf = _leaf(variable)
        if leaf == "global_step":
            rank = 0
        elif leaf in _OPTIMIZER_STEPS:
            rank = 1
        elif leaf in ("step", "train_step", "steps"):
            rank = 2
        elif leaf == "save_counter":
            rank = 3
        else:
            continue
        found.append((rank, len(variable.key), variable))
    for _, _, variable in sorted(found, key=lambda item: item[:2]):
        value = _scalar(checkpoint, variable)
        if value is not None and value == value and abs(value) < 2**63:
            return int(value), variable
    return None, None


def _learning_rate(checkpoint: Checkpoint) -> float | None:
    candidates = [
        variable
        for variable in checkpoint.variables
        if variable.role is Role.OPTIMIZER_STATE
        and variable.element_count == 1
        and _leaf(variable) in _LEARNING_RATES
    ]
    # A loss-scaling optimizer has a learning rate of its own that it does not use.
    candidates.sort(
        key=lambda variable: (
            "inner_optimizer" not in variable.key,
            _LEARNING_RATES.index(_leaf(variable)),
            variable.key,
        )
    )
    for variable in candidates:
        value = _scalar(checkpoint, variable)
        if value is not None:
            return value
    return None


def _scalar(checkpoint: Checkpoint, variable: Variable) -> float | int | None:
    kind = kind_of(variable.dtype)
    if kind not in (Kind.INTEGER, Kind.FLOAT):
        return None
    try:
        value = checkpoint.read(variable).reshape(())[()]
    except CkptviewerError:
        return None
    return int(value) if kind is Kind.INTEGER else float(value)


def _coverage(variables: Sequence[Variable]) -> dict[str, SlotCoverage]:
    """Slots by name; those that share an owner are one optimizer's, and cover the same owners."""
    owners: dict[str, set[str]] = defaultdict(set)
    have: dict[str, int] = defaultdict(int)
    uneven: set[str] = set()
    for variable in variables:
        if variable.role is Role.OPTIMIZER_SLOT and variable.slot_name:
            have[variable.slot_name] += 1
            if variable.slot_of is not None:
                owners[variable.slot_name].add(variable.slot_of)
            if _is_uneven(variable):
                uneven.add(variable.slot_name)
    covered = {name: set[str]() for name in have}
    for family in _families(owners):
        everyone = set[str]().union(*(owners[name] for name in family))
        for name in family:
            if name not in uneven:
                covered[name] = everyone - owners[name]
    return {
        name: SlotCoverage(have=have[name], missing=tuple(sorted(covered[name])))
        for name in sorted(have)
    }


def _is_uneven(variable: Variable) -> bool:
    """Whether it is the slot of an optimizer that treats vectors unlike matrices."""
    if variable.slot_name in _UNEVEN_SLOTS:
        return True
    scopes = variable.name.split("/")[:-1][:2]
    return any(word.lower().startswith(_UNEVEN) for word in (*scopes, variable.slot_name))


def _families(owners: Mapping[str, set[str]]) -> list[list[str]]:
    """Names of slots, those together that have an owner in common."""
    families: list[tuple[list[str], set[str]]] = []
    for name, mine in owners.items():
        names, union = [name], set(mine)
        apart = []
        for other_names, other in families:
            if union.isdisjoint(other):
                apart.append((other_names, other))
            else:
                names, union = other_names + names, union | other
        families = [*apart, (names, union)]
    return [names for names, _ in families]


def _trained(variables: Iterable[Variable]) -> set[str]:
    """Keys of the variables that are trained, or that an optimizer keeps slots for."""
    trained = set()
    for variable in variables:
        if variable.trainable and variable.role in _TRAINED_ROLES:
            trained.add(variable.key)
        elif variable.role is Role.OPTIMIZER_SLOT and variable.slot_of is not None:
            trained.add(variable.slot_of)
    return trained


def _without_slots(variables: Sequence[Variable], trained: set[str]) -> set[str]:
    """Trained variables that have no slot of any name, where others have."""
    owners = {
        variable.slot_of
        for variable in variables
        if variable.role is Role.OPTIMIZER_SLOT and variable.slot_of is not None
    }
    return trained - owners if owners else set()


def _explain(
    at: str,
    slots: Mapping[str, SlotCoverage],
    trained: int,
    without: set[str],
    keeps_state: bool,
) -> str:
    if not slots and keeps_state:
        kept = "the optimizer keeps no slots, as plain gradient descent does"
        return f"Training could resume: {at}{', ' if at else ''}{kept}."
    if not slots:
        text = "No optimizer state: good for inference; training would restart its optimizer."
        return f"{text} It was saved at {at}." if at.startswith("step") else text
    gaps = [
        f"{name} is missing for {count_text(len(coverage.missing))}"
        for name, coverage in slots.items()
        if coverage.missing
    ]
    if without:
        gaps.append(f"{count_text(len(without))} without any slot")
    if gaps:
        of = f"of {plural(trained, 'trainable variable')}, {'; '.join(gaps)}"
        return f"Training could resume in part only: {at}{', ' if at else ''}{of}."
    whose = (
        f"all {plural(trained, 'trainable variable')}" if trained else "variables that are not here"
    )
    kept = f"{'slots' if len(slots) > 1 else 'slot'} {_enumerate(list(slots))} for {whose}"
    return f"Training could resume: {at}{', ' if at else ''}{kept}."


def _moment(step: int | None, variable: Variable | None) -> str:
    """When it was saved: `step 18 000`, `save 3`, or nothing."""
    if step is None or variable is None:
        return ""
    unit = "save" if _leaf(variable) == "save_counter" else "step"
    return f"{unit} {count_text(step)}"


def _enumerate(words: Sequence[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
