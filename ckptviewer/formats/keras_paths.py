"""What the variables of Keras 3's layout are called and for: `layers/dense/vars/0` and the like.

The layout is that of `.weights.h5` files, their shards, and the weights in `.keras` archives: a
group a layer, `vars` in it, variables by number. Source: keras/src/saving/saving_lib.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.roles import Description, role_of_leaf
from ckptviewer.checkpoint.text import natural_keys
from ckptviewer.checkpoint.variable import Role
from ckptviewer.formats.keras_config import Layer, Optimizer
from ckptviewer.formats.keras_layers import (
    class_of_part,
    is_known,
    known_class,
    never_trained,
    order_of_part,
    variable_names,
)
from ckptviewer.formats.keras_optimizers import Owner, Slot, Stored, optimizer_class, slots_of

Entry = tuple[str, str, tuple[int, ...]]
"""Key, dtype, shape."""

VARS = "vars"
_LAST = 1 << 30
_LISTS = frozenset(("layers", "_layer_checkpoint_dependencies"))
_METRICS = frozenset(
    ("metrics", "_metrics", "compile_metrics", "_compile_metrics", "_loss_tracker")
)


class _Place(NamedTuple):
    """What is known of a layer from its path.

    names: of the layers down to it. class_name: in snake case, "" where it is not known.
    layer: its configuration. trainable: what the configuration says, all layers above included.
    order: where it stands in the model; is_ordered: whether that is certain.
    sequence: its path without the numbers of layers in lists; equal ones are ordered by number.
    """

    names: tuple[str, ...] = ()
    class_name: str = ""
    layer: Layer | None = None
    trainable: bool | None = None
    order: tuple[int, ...] = ()
    is_ordered: bool = True
    sequence: tuple[str, ...] = ()


class KerasPaths:
    """Describes the variables of one model."""

    def __init__(
        self,
        names: Mapping[str, str],
        model: Layer | None = None,
        optimizer: Optimizer | None = None,
    ) -> None:
        """
        names: path of each `vars` group to the name of its layer, "" where the file tells none.
        model, optimizer: their configurations, where there are any.
        """
        self._names = names
        self._model = model
        self._optimizer = optimizer
        known = None if model is None else model.trains
        self._places: dict[str, _Place] = {
            "": _Place((), "", model, known, (), model is not None and model.is_ordered)
        }

    def describe(self, entries: Sequence[Entry]) -> dict[str, Description]:
        """What each variable is; entries in natural order of their keys."""
        layers: dict[str, list[Entry]] = {}
        found: dict[str, Description] = {}
        for entry in entries:
            path, vars_, leaf = ("/" + entry[0]).rpartition(f"/{VARS}/")
            if vars_ and "/" not in leaf:
                layers.setdefault(path[1:], []).append(entry)
            else:
                found[entry[0]] = Description(entry[0], role_of_leaf(*entry))
        optimizers: dict[str, list[Entry]] = {}
        owners: list[tuple[tuple[int, ...], Owner]] = []
        for path, variables in layers.items():
            first = path.partition("/")[0]
            if first == "optimizer":
                optimizers[path] = variables
            elif first in _METRICS:
                for key, _, _ in variables:
                    found[key] = Description("/".join(_last_parts(key)), Role.METRIC)
            else:
                self._describe_layer(path, variables, found, owners)
        for path, variables in optimizers.items():
            self._describe_optimizer(path, variables, found, owners)
        return found

    def _describe_layer(
        self,
        path: str,
        variables: list[Entry],
        found: dict[str, Description],
        owners: list[tuple[tuple[int, ...], Owner]],
    ) -> None:
        place = self._place(path)
        config = place.layer.config if place.layer is not None else None
        leaves = [key.rpartition("/")[2] for key, _, _ in variables]
        numbered = leaves == [str(index) for index in range(len(leaves))]
        known: tuple[str, ...] = ()
        if numbered:
            known = variable_names(place.class_name, [shape for _, _, shape in variables], config)
        scope = "/".join(place.names) or self._names.get(VARS) or VARS
        for index, (key, dtype, shape) in enumerate(variables):
            leaf = known[index] if index < len(known) else leaves[index]
            name = f"{scope}/{leaf}"
            if index < len(known) or not leaf.isdigit():
                role = role_of_leaf(name, dtype, shape)
            else:
                role = _role_of_class(place.class_name, dtype)
            trainable = place.trainable
            if trainable and never_trained(leaf):
                trainable = False
            elif trainable and not is_known(place.class_name):
                trainable = None  # its own code says which of its variables are trained
            found[key] = Description(name, role, trainable=trainable)
            may_train = trainable is not False and not never_trained(leaf)
            if may_train and kind_of(dtype) is Kind.FLOAT:
                sequence: object = (*place.sequence, index) if place.sequence else key
                if self._places[""].is_ordered and not place.is_ordered:
                    sequence = -1
                owners.append(((*place.order, -1, index), Owner(key, shape, sequence)))

    def _describe_optimizer(
        self,
        path: str,
        variables: list[Entry],
        found: dict[str, Description],
        owners: list[tuple[tuple[int, ...], Owner]],
    ) -> None:
        stated = self._names.get(f"{path}/{VARS}", "")
        settings = self._optimizer
        if settings is not None and path != "optimizer":
            settings = settings.inner
        class_name = optimizer_class(settings.class_name if settings else stated)
        config: dict[str, Any] | None = settings.config if settings and settings.config else None
        ordered = self._places[""].is_ordered
        if ordered:
            owners = sorted(owners, key=lambda each: each[0])
        _, slots = slots_of(
            [Stored(dtype, shape) for _, dtype, shape in variables],
            [owner for _, owner in owners],
            class_name=class_name,
            config=config,
            ordered=ordered,
        )
        scope = stated or class_name or "optimizer"
        for (key, _, _), slot in zip(variables, slots, strict=True):
            found[key] = Description(
                f"{scope}/{_slot_name(key, slot, found)}",
                slot.role,
                slot.owner,
                slot.name if slot.role in (Role.OPTIMIZER_SLOT, Role.MOVING_AVERAGE) else "",
            )

    def _place(self, path: str) -> _Place:
        """What is known of the layer at `path`; layers above it are worked out once."""
        place = self._places.get(path)
        if place is not None:
            return place
        # From the nearest known layer above, down: paths may be deep, recursion must not be.
        parts = path.split("/")
        start = len(parts)
        while "/".join(parts[:start]) not in self._places:
            start -= 1
        for end in range(start + 1, len(parts) + 1):
            here = "/".join(parts[:end])
            above = self._places["/".join(parts[: end - 1])]
            self._places[here] = self._step(above, here, parts[end - 1], parts[: end - 1])
        return self._places[path]

    def _step(self, above: _Place, path: str, part: str, parents: list[str]) -> _Place:
        stated = self._names.get(f"{path}/{VARS}", "")
        is_layer = f"{path}/{VARS}" in self._names
        if not is_layer:  # a list or a dictionary of layers: it hands on what is above it
            names = above.names if part in _LISTS else (*above.names, part)
            return above._replace(names=names, sequence=(*above.sequence, part))
        model = above.layer
        layer = model.children.get(part) if model is not None else None
        if layer is None and model is not None and stated:
            layer = model.child_named(stated)
        parent = "/".join(parents)
        in_list = bool(parents) and f"{parent}/{VARS}" not in self._names
        if layer is not None:
            class_name = layer.class_name
            order = model.position(part) if model is not None else None
        else:
            class_name = class_of_part(above.class_name, part)
            class_name = class_name or (known_class(part) if in_list else known_class(stated))
            order = order_of_part(above.class_name, part)
        trainable = above.trainable
        if trainable and layer is not None:
            trainable = layer.trains
        elif trainable and above.layer is self._model:
            trainable = None  # a layer that the configuration does not know
        return _Place(
            names=(*above.names, stated or (layer.name if layer else "") or part),
            class_name=class_name,
            layer=layer,
            trainable=trainable,
            order=(*above.order, _LAST if order is None else order),
            is_ordered=above.is_ordered and order is not None,
            sequence=(*above.sequence, _without_number(part) if in_list else part),
        )


def natural_entries(entries: Sequence[Entry]) -> list[Entry]:
    """The entries in natural order of their keys."""
    keys = natural_keys(entry[0] for entry in entries)
    return [entries[index] for index in sorted(range(len(entries)), key=keys.__getitem__)]


def _without_number(word: str) -> str:
    base, _, number = word.rpartition("_")
    return base if number.isdigit() and base else word


def _last_parts(key: str) -> list[str]:
    return [part for part in key.split("/") if part != VARS]


def _slot_name(key: str, slot: Slot, found: Mapping[str, Description]) -> str:
    number = key.rpartition("/")[2]
    if slot.owner is not None:
        return f"{found[slot.owner].name}/{slot.name or number}"
    if not slot.name:
        return number
    is_slot = slot.role in (Role.OPTIMIZER_SLOT, Role.MOVING_AVERAGE)
    return f"{slot.name}/{number}" if is_slot else slot.name


def _role_of_class(class_name: str, dtype: str) -> Role:
    """The role of a variable of which only the layer's class is known."""
    if class_name == "seed_generator":
        return Role.RNG
    if kind_of(dtype) is not Kind.FLOAT:
        return Role.OTHER
    return Role.NORMALIZATION if "normalization" in class_name else Role.WEIGHT
