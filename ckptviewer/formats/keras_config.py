"""What Keras writes of a model beside its weights: layers, optimizer, versions; as plain JSON.

Nothing is ever made of it: no class is looked up, no object deserialised.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ckptviewer.checkpoint.errors import COPY_FILE, DamagedFileError
from ckptviewer.checkpoint.text import plural

MAX_JSON_BYTES = 64 << 20
FREE_JSON_BYTES = 8 << 20
_MAX_DEPTH = 60
_MAX_TEXT = 200


def bounded_json(data: bytes | str, where: str) -> Any:
    """The JSON value in `data`. Raises DamagedFileError for what is none, too big or too deep."""
    if len(data) > MAX_JSON_BYTES:
        raise DamagedFileError(f"a JSON text of {len(data):,} bytes is too long", where=where)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(
            f"its JSON text cannot be read: {error}",
            where=where,
            remedy=COPY_FILE,
        ) from error


def snake_case(name: str) -> str:
    """The word that Keras makes of a class's name. Source: keras/src/utils/naming.py."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


@dataclass(slots=True)
class Layer:
    """One layer of a model's configuration.

    name: as Keras calls it. class_name: in snake case ("batch_normalization").
    trainable: what the configuration says of this very layer; None where it says nothing.
    config: its own configuration. children: sublayers, by the names that they bear in files of
    weights ("dense_1" for the second Dense; "forward_layer"), in the order of the model.
    """

    name: str
    class_name: str
    trainable: bool | None
    config: dict[str, Any]
    children: dict[str, Layer] = field(default_factory=dict)
    _by_name: dict[str, Layer | None] = field(default_factory=dict)
    _positions: dict[str, int] = field(default_factory=dict)

    @property
    def is_ordered(self) -> bool:
        """Whether `children` has all of its sublayers, in the model's own order."""
        return isinstance(self.config.get("layers"), list)

    @property
    def trains(self) -> bool | None:
        """Whether what is in this layer may be trained; None where nothing says so.

        A model without a word of its own leaves it to its layers.
        """
        return True if self.trainable is None and self.is_ordered else self.trainable

    def child_named(self, name: str) -> Layer | None:
        """The sublayer of that name; None where there is none, or more than one."""
        if not self._by_name:
            for child in self.children.values():
                self._by_name[child.name] = None if child.name in self._by_name else child
        return self._by_name.get(name)

    def position(self, part: str) -> int | None:
        """Where the child that files call `part` stands among the others; None if there is none."""
        if not self._positions:
            self._positions = {key: index for index, key in enumerate(self.children)}
        return self._positions.get(part)

    def walk(self) -> Iterator[Layer]:
        """This layer and all below it, each once."""
        pending = [self]
        seen: set[int] = set()
        while pending:
            layer = pending.pop()
            if id(layer) not in seen:  # both directions of a bidirectional layer are one
                seen.add(id(layer))
                yield layer
                pending += layer.children.values()


def model_of(config: Any) -> Layer | None:
    """The layers that a model's configuration tells of; None where it is none."""
    return _layer_of(config, 0)


def _layer_of(value: Any, depth: int) -> Layer | None:
    if not isinstance(value, dict) or not isinstance(value.get("class_name"), str):
        return None
    config = value.get("config")
    if isinstance(config, list):  # Keras before 2.2.3 wrote a Sequential so
        config = {"layers": config}
    if not isinstance(config, dict) or depth > _MAX_DEPTH:
        return None
    name = config.get("name", value.get("name"))
    trainable = config.get("trainable")
    layer = Layer(
        name=name if isinstance(name, str) else "",
        class_name=snake_case(value["class_name"].rpartition(">")[2]),
        trainable=trainable if isinstance(trainable, bool) else None,
        config=config,
    )
    used: dict[str, int] = {}
    layers = config.get("layers")
    for each in layers if isinstance(layers, list) else ():
        child = _layer_of(each, depth + 1)
        if child is not None:
            # Source: keras/src/saving/saving_lib.py, _save_container_state.
            count = used[child.class_name] = used.get(child.class_name, -1) + 1
            layer.children[f"{child.class_name}_{count}" if count else child.class_name] = child
    for key in ("layer", "forward_layer", "backward_layer", "cell"):
        child = _layer_of(config.get(key), depth + 1)
        if child is not None:
            layer.children[key] = child
    if layer.class_name == "bidirectional" and "layer" in layer.children:
        wrapped = layer.children.pop("layer")
        layer.children.setdefault("backward_layer", wrapped)
        layer.children = {"forward_layer": wrapped} | layer.children
    return layer


@dataclass(frozen=True, slots=True)
class Optimizer:
    """An optimizer's configuration: its class in snake case, and its settings."""

    class_name: str
    config: dict[str, Any]

    @property
    def inner(self) -> Optimizer | None:
        """The optimizer that this one wraps to scale its loss."""
        return optimizer_of(self.config.get("inner_optimizer"))


def optimizer_of(value: Any) -> Optimizer | None:
    """The optimizer that a compile configuration tells of; None where it is none.

    value: `compile_config["optimizer"]` of Keras 3, `training_config["optimizer_config"]` of Keras
    2; a bare name ("adam") is one with all settings at their defaults.
    """
    if isinstance(value, str):
        return Optimizer(snake_case(value), {})
    if isinstance(value, dict) and isinstance(value.get("class_name"), str):
        config = value.get("config")
        name = snake_case(value["class_name"].rpartition(">")[2])
        return Optimizer(name, config if isinstance(config, dict) else {})
    return None


def describe_model(model: Layer | None) -> dict[str, str]:
    """Facts for an overview: which model, of how many layers."""
    if model is None:
        return {}
    facts = {"Model": f"{model.name} ({model.class_name})" if model.name else model.class_name}
    layers = sum(1 for _ in model.walk()) - 1
    if layers:
        facts["Layers"] = plural(layers, "layer")
    return facts


def describe_training(config: Any) -> dict[str, str]:
    """Facts of a compile configuration, of Keras 2 or 3: optimizer, loss, metrics."""
    if not isinstance(config, dict):
        return {}
    facts: dict[str, str] = {}
    optimizer = optimizer_of(config.get("optimizer") or config.get("optimizer_config"))
    if optimizer is not None:
        named = optimizer.inner or optimizer
        rate = named.config.get("learning_rate", named.config.get("lr"))
        if isinstance(rate, float):
            facts["Optimizer"] = f"{optimizer.class_name}, learning rate {rate:.6g}"
        else:
            facts["Optimizer"] = optimizer.class_name
    for key, label in (("loss", "Loss"), ("metrics", "Metrics")):
        if config.get(key):
            facts[label] = _short(config[key])
    return facts


def _short(value: Any) -> str:
    """A loss or a list of metrics in a few words: configurations shrink to their class's name."""
    if isinstance(value, dict) and isinstance(value.get("class_name"), str):
        config = value.get("config")
        # Keras 3 wraps the names of functions in this way.
        text = config if isinstance(config, str) else value["class_name"]
    elif isinstance(value, dict):
        text = ", ".join(f"{key}: {_short_leaf(each)}" for key, each in list(value.items())[:8])
    elif isinstance(value, list):
        text = ", ".join(_short_leaf(each) for each in value[:8])
    else:
        text = str(value)
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"


def _short_leaf(value: Any) -> str:
    if isinstance(value, dict) and isinstance(value.get("class_name"), str):
        return str(value["class_name"])
    if isinstance(value, list):
        return ", ".join(str(each)[:_MAX_TEXT] for each in value[:8])
    return str(value)[:_MAX_TEXT]
