"""Whose slots an optimizer's numbered variables are: told from their order and their shapes.

Keras 3 writes `optimizer/vars/0, 1, 2, ...`: the iteration, the learning rate, then the slots, for
each trainable variable in the model's order. Source: the build methods in keras/src/optimizers.
An owner is named only where order and shapes leave no choice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.variable import Role

Shape = tuple[int, ...]
Plan = tuple[tuple[str, ...], ...]
"""Groups of slots: those of one group alternate, variable by variable."""


class Slot(NamedTuple):
    """What one of an optimizer's variables is; fields as in Variable."""

    role: Role
    name: str = ""
    owner: str | None = None


INFERRED = "inferred from their order and shapes"
UNUSED = "unused"
LOSS_SCALING = "loss_scale_optimizer"
_LOSS_SCALING_STATE = (
    Slot(Role.COUNTER, "iteration"),
    Slot(Role.OPTIMIZER_STATE, "learning_rate"),
    Slot(Role.OPTIMIZER_STATE, "step_counter"),
    Slot(Role.OPTIMIZER_STATE, "dynamic_scale"),
)
# Their slots differ in shape or number from variable to variable: nothing is claimed of them.
_UNEVEN = frozenset(("adafactor", "muon"))
_MOMENTS = ("momentum", "velocity")
_SLOTS: dict[str, Plan] = {
    "adam": (_MOMENTS,),
    "adam_w": (_MOMENTS,),
    "lamb": (_MOMENTS,),
    "nadam": (_MOMENTS,),
    "schedule_free_adam_w": (_MOMENTS,),
    "adamax": (("momentum", "norm"),),
    "adagrad": (("accumulator",),),
    "adadelta": (("accumulated_grad", "accumulated_delta_var"),),
    "ftrl": (("accumulator", "linear"),),
    "lion": (("momentum",),),
    "sgd": (("momentum",),),
    "rms_prop": (("velocity",),),
}
_EXTRAS: dict[str, tuple[tuple[str, str], ...]] = {
    "adam": (("amsgrad", "velocity_hat"),),
    "adam_w": (("amsgrad", "velocity_hat"),),
    "rms_prop": (("momentum", "momentum"), ("centered", "average_gradient")),
}
# Names by which older files and automatic numbering call the same classes.
_ALIASES = {
    "adamw": "adam_w",
    "rmsprop": "rms_prop",
    "rm_sprop": "rms_prop",  # what Keras makes of "RMSprop"
    "schedule_free_adamw": "schedule_free_adam_w",
}


class Stored(NamedTuple):
    """One of an optimizer's variables, in the optimizer's order."""

    dtype: str
    shape: Shape


class Owner(NamedTuple):
    """A trainable variable of the model, in the model's order as far as it is known.

    key: of the variable. shape: of its values.
    sequence: those of equal sequence (layers of one class in one list) are in the model's order
    whatever is known of the others; -1 where not even that is certain.
    """

    key: str
    shape: Shape
    sequence: object = -1


def optimizer_class(word: str) -> str:
    """The class behind an optimizer's name or class name; "" where it is none that is known."""
    word = word.lower()
    base, _, number = word.rpartition("_")
    for each in (word, base if number.isdigit() else word):
        each = _ALIASES.get(each, each)
        if each in _SLOTS or each in _UNEVEN or each == LOSS_SCALING:
            return each
    return ""


def slots_of(
    stored: Sequence[Stored],
    owners: Sequence[Owner],
    *,
    class_name: str,
    config: dict[str, Any] | None,
    ordered: bool,
    plans: Iterable[Plan] | None = None,
) -> tuple[int, list[Slot]]:
    """What each of `stored` is; in front, how much speaks for it: 3 where order and shapes agree.

    owners: the model's trainable variables. ordered: whether they are in the model's order.
    class_name: in snake case; "" where it is unknown. config: its settings, where they are known.
    plans: the ways in which the slots may be ordered, where they are not those of Keras 3.
    """
    head = _head(stored, class_name)
    rest = stored[len(head) :]
    if rest and kind_of(rest[0].dtype) is Kind.FLOAT and rest[0].shape == ():
        heads = [[*head, Slot(Role.OPTIMIZER_STATE, "learning_rate")], head]
    else:
        heads = [head]
    inner = config.get("inner_optimizer") if config else None
    if class_name == LOSS_SCALING:
        from ckptviewer.formats.keras_config import optimizer_of

        wrapped = optimizer_of(inner)
        class_name = optimizer_class(wrapped.class_name) if wrapped else ""
        config = wrapped.config if wrapped else None
    tried = list(plans if plans is not None else _plans(class_name, config))
    best = -1
    explained: list[tuple[int, list[Slot]]] = []
    for start in heads:
        for plan in tried:
            score, found = _fit(stored[len(start) :], plan, owners, ordered)
            if score > best:
                best, explained = score, []
            if score == best >= 0:
                explained.append((sum(map(len, plan)), [*start, *found]))
    if best < (0 if class_name in _SLOTS else 2):  # of an unknown class no guess is good enough
        return 0, [*heads[0], *map(_unexplained, stored[len(heads[0]) :])]
    fewest = min(width for width, _ in explained)
    return best, _agreed([slots for width, slots in explained if width == fewest])


def _agreed(explanations: list[list[Slot]]) -> list[Slot]:
    """What explanations that are equally good have in common: names that differ are left out."""
    agreed = []
    for slots in zip(*explanations, strict=True):
        first = slots[0]
        names = {slot.name for slot in slots}
        owner = first.owner if all(slot.owner == first.owner for slot in slots) else None
        agreed.append(first if len(names) == 1 else Slot(Role.OPTIMIZER_SLOT, "", owner))
    return agreed


def _head(stored: Sequence[Stored], class_name: str) -> list[Slot]:
    """What is in front of the learning rate: the iteration, and what scales the loss."""
    head: list[Slot] = []
    if class_name == LOSS_SCALING and all(each.shape == () for each in stored[:4]):
        head = list(_LOSS_SCALING_STATE)[: len(stored)]
    at = len(head)
    if at < len(stored) and stored[at].shape == () and kind_of(stored[at].dtype) is Kind.INTEGER:
        head.append(Slot(Role.COUNTER, "iteration"))
    return head


def _unexplained(stored: Stored) -> Slot:
    return Slot(Role.OPTIMIZER_SLOT if stored.shape else Role.OPTIMIZER_STATE)


def _plans(class_name: str, config: dict[str, Any] | None) -> Iterator[Plan]:
    """The ways in which an optimizer may order its slots, the likeliest first."""
    if class_name in _UNEVEN:
        return
    if class_name in _SLOTS:
        bases: list[Plan] = [_SLOTS[class_name]]
    else:
        bases = [(("slot-1", "slot-2"),), (("slot-1",),)]
    options: list[tuple[str, str, bool]] = [
        ("use_ema", "average", True),
        ("gradient_accumulation_steps", "gradient_accumulator", True),
        *((setting, name, False) for setting, name in _EXTRAS.get(class_name, ())),
    ]
    choices = [
        (False, True) if config is None else (bool(config.get(setting)),)
        for setting, _, _ in options
    ]
    for base in bases:
        if class_name == "sgd" and config is not None and not config.get("momentum"):
            base = ()
        for taken in product(*choices):
            chosen = [option for option, wanted in zip(options, taken, strict=True) if wanted]
            before = tuple((name,) for _, name, is_first in chosen if is_first)
            behind = tuple((name,) for _, name, is_first in chosen if not is_first)
            yield (*before, *base, *behind)


def _fit(
    stored: Sequence[Stored], plan: Plan, owners: Sequence[Owner], ordered: bool
) -> tuple[int, list[Slot]]:
    """How well a plan explains `stored`: -1 not at all, else the better the higher; and the slots.

    Scalars behind the slots (the product that Nadam keeps) count as the optimizer's own state.
    """
    width = sum(map(len, plan))
    # A model's own scalars have slots, too: then the tail is shorter than it looks.
    for tail in _tails(stored):
        slots = stored[: len(stored) - tail]
        if not width or len(slots) % width:
            if slots or width:
                continue
            return 1, [Slot(Role.OPTIMIZER_STATE)] * tail
        count = len(slots) // width
        shapes = _shapes_by_name(slots, plan, count)
        if shapes is None:
            continue
        score, keys = _match(shapes, owners, ordered)
        found: list[Slot] = []
        for group in plan:
            for key in keys:
                found += [Slot(_role(name), name, key) for name in group]
        return score, found + [Slot(Role.OPTIMIZER_STATE)] * tail
    return -1, []


def _tails(stored: Sequence[Stored]) -> Iterator[int]:
    yield 0
    if stored and stored[-1].shape == ():
        yield 1


def _role(slot_name: str) -> Role:
    return Role.MOVING_AVERAGE if slot_name == "average" else Role.OPTIMIZER_SLOT


def _shapes_by_name(stored: Sequence[Stored], plan: Plan, count: int) -> list[Shape] | None:
    """The owners' shapes, if the slots of every name have the very same ones; else None.

    What Keras 2 kept in the place of slots that were switched off, one number each, passes too.
    """
    expected: list[Shape] | None = None
    at = 0
    for group in plan:
        part = [each.shape for each in stored[at : at + count * len(group)]]
        at += len(part)
        for first in range(len(group)):
            shapes = part[first :: len(group)]
            if group[first] == UNUSED and all(shape == (1,) for shape in shapes):
                continue
            if expected is not None and shapes != expected:
                return None
            expected = shapes
    return expected


def _match(
    shapes: list[Shape], owners: Sequence[Owner], ordered: bool
) -> tuple[int, list[str | None]]:
    """The owner of each shape, None where there is a choice; and how much speaks for it."""
    if ordered and shapes == [owner.shape for owner in owners]:
        unsure = _ambiguous(owners)
        return 3, [None if owner.key in unsure else owner.key for owner in owners]
    places: defaultdict[Shape, list[int]] = defaultdict(list)
    for index, shape in enumerate(shapes):
        places[shape].append(index)
    candidates: defaultdict[Shape, list[Owner]] = defaultdict(list)
    for owner in owners:
        candidates[owner.shape].append(owner)
    keys: list[str | None] = [None] * len(shapes)
    for shape, indices in places.items():
        found = candidates[shape]
        sequences = {owner.sequence for owner in found}
        is_sure = len(found) == 1 or (len(sequences) == 1 and -1 not in sequences)
        if len(found) == len(indices) and is_sure:
            for index, owner in zip(indices, found, strict=True):
                keys[index] = owner.key
    complete = {shape: len(found) for shape, found in places.items()} == {
        shape: len(found) for shape, found in candidates.items() if found
    }
    return 2 if complete else 0, keys


def _ambiguous(owners: Sequence[Owner]) -> set[str]:
    """Owners whose place is not certain and whose shape another one has as well."""
    by_shape: defaultdict[Shape, list[Owner]] = defaultdict(list)
    for owner in owners:
        by_shape[owner.shape].append(owner)
    return {
        owner.key
        for same in by_shape.values()
        if len(same) > 1
        for owner in same
        if owner.sequence == -1
    }
