"""Names, roles and slots in Keras 2's HDF5 layout, from the weights' names and their order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.roles import Description, role_of_leaf
from ckptviewer.checkpoint.variable import Role
from ckptviewer.formats.keras_config import Layer, Optimizer
from ckptviewer.formats.keras_layers import is_builtin
from ckptviewer.formats.keras_optimizers import (
    UNUSED,
    Owner,
    Plan,
    Stored,
    optimizer_class,
    slots_of,
)

# Keras up to 2.3 calls slots Variable_7: all first moments, then all second ones.
_ORDERED_SLOTS: dict[str, tuple[Plan, ...]] = {
    "adam": ((("m",), ("v",)), (("m",), ("v",), ("vhat",)), (("m",), ("v",), (UNUSED,))),
    "nadam": ((("m",), ("v",)),),
    "adamax": ((("m",), ("u",)),),
    "adadelta": ((("accumulator",), ("delta_accumulator",)),),
    "adagrad": ((("accumulator",),),),
    "rms_prop": ((("accumulator",),),),
    "sgd": ((("momentum",),),),
}
_TRAINED = frozenset(
    """kernel bias gamma beta recurrent_kernel depthwise_kernel pointwise_kernel embeddings
    alpha""".split()
)
_MAX_PARTS = 40
_MAX_LEAF = 500
_NUMBERED = re.compile(r"_\d+")


class WeightList(NamedTuple):
    """What a group lists: its layer, and its weights, key to name, in the layer's order."""

    layer: str
    names: dict[str, str]


class LegacyNames:
    """Describes the variables of one file.

    model_weights: by layer, in the model's order. optimizer_weights: in the optimizer's.
    shapes: dtype and shape of every dataset, by key.
    slots_are_inferred: whether their owners follow from order and shapes, once `describe` has run.
    """

    def __init__(
        self,
        *,
        model_weights: Sequence[WeightList],
        optimizer_weights: WeightList,
        shapes: Mapping[str, tuple[str, tuple[int, ...]]],
        model: Layer | None,
        optimizer: Optimizer | None,
        keras_version: str,
    ) -> None:
        self.lists = [*model_weights, optimizer_weights]
        self._model_weights = model_weights
        self._slots = optimizer_weights
        self._shapes = shapes
        self._model = model
        self._optimizer = optimizer
        self._version = keras_version
        self.slots_are_inferred = False

    def describe(self) -> dict[str, Description]:
        """What each dataset is; those that no list names are told from their paths."""
        found: dict[str, Description] = {}
        for layer, names in self._model_weights:
            above = self._layer(layer)
            for key, name in names.items():
                if key in self._shapes:
                    found[key] = self._describe_weight(key, layer, name, above)
        self._describe_slots(found)
        for key, (dtype, shape) in self._shapes.items():
            if key not in found:
                found[key] = _describe_unlisted(key, dtype, shape)
        return found

    def _layer(self, name: str) -> Layer | None:
        return self._model.child_named(name) if self._model is not None else None

    def _describe_weight(self, key: str, layer: str, name: str, above: Layer | None) -> Description:
        plain = name.removesuffix(":0")
        first, _, rest = plain.partition("/")
        if layer == "top_level_model_weights":
            shown = plain
        elif rest and (first == layer or _NUMBERED.fullmatch(first.removeprefix(layer))):
            shown = f"{layer}/{rest}"  # Keras numbers the scopes of models that were loaded
        else:
            shown = f"{layer}/{plain}"
        role = role_of_leaf(shown, *self._shapes[key])
        return Description(shown, role, trainable=self._trainable(shown, above, role))

    def _trainable(self, name: str, above: Layer | None, role: Role) -> bool | None:
        """Whether the configuration says that a weight is trained; None where it says nothing."""
        if above is None or self._model is None:
            return None
        layer, flags = above, [self._model.trains, above.trains]
        *scopes, leaf = name.split("/")
        for scope in scopes[1:]:
            inner = layer.child_named(scope)
            if inner is not None:
                layer = inner
                flags.append(layer.trains)
        if False in flags:
            return False
        if None in flags:
            return None
        if role in (Role.MOVING_STATISTIC, Role.RNG):
            return False
        return True if leaf in _TRAINED and is_builtin(layer.class_name) else None

    # Slots

    def _describe_slots(self, found: dict[str, Description]) -> None:
        weights = {key: about.name for key, about in found.items()}
        by_name = _unique(
            {
                key: name.removesuffix(":0")
                for _, names in self._model_weights
                for key, name in names.items()
                if key in found
            }
        )
        flat = _unique({key: name.replace("/", "_") for name, key in by_name.items()})
        unnamed = []
        for key, name in self._slots.names.items():
            if key not in self._shapes:
                continue
            plain = name.removesuffix(":0")
            owner, slot = _owner_in_name(plain.split("/"), by_name, flat)
            if owner and self._shapes[owner][1] == self._shapes[key][1]:
                role = Role.MOVING_AVERAGE if slot == "average" else Role.OPTIMIZER_SLOT
                shown = f"{plain.split('/')[0]}/{weights[owner]}/{slot}"
                found[key] = Description(shown, role, owner, slot)
            else:
                found[key] = Description(plain, _role_without_owner(plain, *self._shapes[key]))
                unnamed.append(key)
        if len(unnamed) == len([key for key in self._slots.names if key in self._shapes]):
            self._describe_by_order(unnamed, found)

    def _describe_by_order(self, keys: list[str], found: dict[str, Description]) -> None:
        """Slots without telling names: whose they are follows from their order and shapes."""
        name = optimizer_class(self._optimizer.class_name) if self._optimizer else ""
        stored = [Stored(*self._shapes[key]) for key in keys]
        owners = [
            (weight, Owner(key, self._shapes[key][1], 0))
            for _, names in self._model_weights
            for key, weight in names.items()
            if key in found and self._may_train(found[key], key)
        ]
        # Keras 2.0 sorted a model's trainable weights by their names; later ones did not.
        orders = [owners, sorted(owners, key=lambda each: each[0])]
        if self._version.startswith("2.0."):
            orders.reverse()
        for order in orders:
            score, slots = slots_of(
                stored,
                [owner for _, owner in order],
                class_name=name,
                config=None,
                ordered=True,
                plans=_ORDERED_SLOTS.get(name, ()),
            )
            if score < 3:
                continue
            self.slots_are_inferred = True
            for key, slot in zip(keys, slots, strict=True):
                if slot.owner is not None and slot.name != UNUSED:
                    shown = f"{name}/{found[slot.owner].name}/{slot.name}"
                    found[key] = Description(shown, slot.role, slot.owner, slot.name)
                elif slot.role is Role.OPTIMIZER_SLOT:
                    found[key] = found[key]._replace(role=slot.role)
            return

    def _may_train(self, about: Description, key: str) -> bool:
        fixed = about.role in (Role.MOVING_STATISTIC, Role.RNG)
        is_float = kind_of(self._shapes[key][0]) is Kind.FLOAT
        return about.trainable is not False and not fixed and is_float


def _describe_unlisted(key: str, dtype: str, shape: tuple[int, ...]) -> Description:
    plain = key.removesuffix(":0").removeprefix("model_weights/").removeprefix("optimizer_weights/")
    if key.startswith("optimizer_weights/"):
        return Description(plain, _role_without_owner(plain, dtype, shape))
    first, _, rest = plain.partition("/")
    shown = rest if rest.startswith(f"{first}/") else plain
    return Description(shown, role_of_leaf(shown, dtype, shape))


def _role_without_owner(name: str, dtype: str, shape: tuple[int, ...]) -> Role:
    """The role of an optimizer's variable whose owner is not known."""
    role = role_of_leaf(name, dtype, shape)
    if role in (Role.COUNTER, Role.OPTIMIZER_STATE):
        return role
    if shape == () and kind_of(dtype) is Kind.INTEGER:
        return Role.COUNTER
    return Role.OPTIMIZER_SLOT if shape else Role.OPTIMIZER_STATE


def _unique(names: Mapping[str, str]) -> dict[str, str]:
    """Value to key, of the values that occur once."""
    counts = Counter(names.values())
    return {value: key for key, value in names.items() if counts[value] == 1}


def _owner_in_name(
    parts: list[str], by_name: Mapping[str, str], flat: Mapping[str, str]
) -> tuple[str, str]:
    """Owner's key and slot, from a name like those that TF-Keras and Keras 3 write; or nothing.

    `Adam/dense/kernel/m`, `Adam/m/dense/kernel` and `adam/dense_kernel_momentum`.
    """
    if len(parts) > _MAX_PARTS or len(parts[-1]) > _MAX_LEAF:
        return "", ""
    for owner_parts, slot in _readings(parts):
        owner = by_name.get("/".join(owner_parts))
        if owner is not None:
            return owner, slot
    leaf = parts[-1]
    cut = leaf.rfind("_")
    while cut > 0:
        if leaf[:cut] in flat:
            return flat[leaf[:cut]], leaf[cut + 1 :]
        cut = leaf.rfind("_", 0, cut)
    return "", ""


def _readings(parts: list[str]) -> Iterator[tuple[list[str], str]]:
    for start in range(len(parts) - 1):
        yield parts[start:-1], parts[-1]
        yield parts[start + 1 :], parts[start]
