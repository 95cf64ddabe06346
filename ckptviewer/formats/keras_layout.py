"""Where Keras 3 looks for a layer's variables in `.weights.h5`: `layers/dense_1/vars/0`.

A group a layer: in lists by its class in snake case and a number, elsewhere by the attribute that
holds it; in `vars`, its own variables by number, those that are trained first.
Source: `_save_state` and `_save_container_state` in keras/src/saving/saving_lib.py, and
`Layer.save_own_variables`.

Where a source does not tell a layer's class, it is told from the variables that the layer has and
from its name. A class that is told wrongly is no group that Keras asks for: `load_weights` then
fails and says so, it never loads one layer's variables into another of another class. What could
go wrong unnoticed (the order of layers of one class, of equal variables of a layer) is not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ckptviewer.checkpoint.text import natural_sorted
from ckptviewer.checkpoint.variable import Role, Variable
from ckptviewer.formats.keras_layers import known_class, variables_of_class

VARS = "vars"
LAYERS = "layers"
_MAX_PATH = 1024
_NUMBER = re.compile(r"_\d+$")
_ATTENTION = frozenset(("query_dense", "key_dense", "value_dense"))
_CONVOLUTIONS = {3: "conv1d", 4: "conv2d", 5: "conv3d"}
_BY_VARIABLES = (
    ("batch_normalization", {"moving_mean"}),
    ("layer_normalization", {"gamma", "beta"}),
    ("embedding", {"embeddings"}),
    ("rms_normalization", {"scale"}),
    ("normalization", {"mean", "variance", "count"}),
    ("p_re_lu", {"alpha"}),
)
_BY_GATES = {4: "lstm", 3: "gru", 1: "simple_rnn"}


@dataclass(slots=True)
class Node:
    """A layer, as far as a source knows it.

    name: its own; empty where it is not told. class_name: in snake case; empty likewise.
    variables: keys of its own variables by their names (`kernel`), in the source's order.
    parts: layers that it holds as attributes. lists: lists of layers that it holds, by attribute;
    those of a model are LAYERS.
    is_ordered: whether its lists are in the model's own order.
    numbers_variables: whether `variables` has them in the order in which Keras numbers them.
    """

    name: str = ""
    class_name: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    parts: dict[str, Node] = field(default_factory=dict)
    lists: dict[str, list[Node]] = field(default_factory=dict)
    is_ordered: bool = True
    numbers_variables: bool = False

    @property
    def children(self) -> list[Node]:
        """Layers directly in it."""
        return [*(each for nodes in self.lists.values() for each in nodes), *self.parts.values()]

    def keys(self) -> list[str]:
        """Keys of all variables in it and below."""
        found: list[str] = []
        pending = [self]
        while pending:
            node = pending.pop()
            found += node.variables.values()
            pending += node.children
        return found


class Layout:
    """The places of a model's variables.

    paths: of the dataset, by the variable's key. reasons: why others have none, one clause each.
    """

    def __init__(self, model: Node, about: Mapping[str, Variable]) -> None:
        """about: the variables by their keys."""
        self.paths: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self._about = about
        pending = [("", model)]
        while pending:
            path, node = pending.pop()
            self._place_variables(path, node)
            for attribute, part in node.parts.items():
                pending.append((_joined(path, attribute), part))
            for attribute, nodes in node.lists.items():
                for name, each in self._numbered(nodes, node.is_ordered):
                    pending.append((_joined(path, attribute, name), each))

    def _place_variables(self, path: str, node: Node) -> None:
        keys = list(node.variables.values())
        ordered, reason = self._in_order(node)
        if len(path) > _MAX_PATH:
            ordered, reason = [], "its path is too long"
        self.reasons |= dict.fromkeys(keys, reason) if reason else {}
        for number, key in enumerate(ordered):
            self.paths[key] = _joined(path, VARS, str(number))

    def _in_order(self, node: Node) -> tuple[list[str], str]:
        """Keys of a layer's own variables as Keras numbers them; or why that is not known."""
        variables = node.variables
        keys = list(variables.values())
        names = self._names_of(node)
        if variables.keys() <= set(names):
            return [variables[name] for name in names if name in variables], ""
        if node.numbers_variables or len(keys) < 2:
            return keys, ""
        trained = [self._trains(self._about[key]) for key in keys]
        if True in trained or None not in trained:  # what trains the others leaves out the rest
            first = [key for key, is_trained in zip(keys, trained, strict=True) if is_trained]
            return [*first, *(key for key in keys if key not in set(first))], ""
        if node.is_ordered and len({self._about[key].shape for key in keys}) == len(keys):
            return keys, ""  # in another order their shapes would not fit, and Keras would say so
        shown = node.name or node.class_name or "its layer"
        return [], f"nothing tells in which order {shown} numbers its variables"

    def _names_of(self, node: Node) -> tuple[str, ...]:
        """What the layer's class calls its variables, in their order; nothing if not known."""
        class_name = node.class_name or self.class_of(node)
        names = variables_of_class(class_name)
        if not names and "recurrent_kernel" in node.variables:
            return variables_of_class("lstm_cell")  # all cells call them so
        return names

    @staticmethod
    def _trains(variable: Variable) -> bool | None:
        return False if variable.role is Role.MOVING_STATISTIC else variable.trainable

    def _numbered(self, nodes: list[Node], is_ordered: bool) -> list[tuple[str, Node]]:
        """Layers of a list with the names of their groups; without those whose name is not told."""
        by_class: dict[str, list[Node]] = {}
        for node in nodes:
            class_name = self.class_of(node)
            if class_name:
                by_class.setdefault(class_name, []).append(node)
            else:
                shown = node.name or "its layer"
                self._refuse(node, f"nothing tells of what class {shown} is")
        named = []
        for class_name, alike in by_class.items():
            if not is_ordered:
                numbers = {_automatic_number(node.name, class_name) for node in alike}
                if len(alike) > 1 and (None in numbers or len(numbers) < len(alike)):
                    shown = f"{alike[0].name} and {alike[1].name}"
                    for node in alike:
                        why = f"nothing tells the order of {shown}, layers of one class"
                        self._refuse(node, why)
                    continue
                alike = natural_sorted(alike, key=lambda node: node.name)
            for number, node in enumerate(alike):
                named.append((f"{class_name}_{number}" if number else class_name, node))
        return named

    def _refuse(self, node: Node, reason: str) -> None:
        self.reasons |= dict.fromkeys(node.keys(), reason)

    def class_of(self, node: Node) -> str:
        """The class of a layer, in snake case; empty where nothing tells it."""
        if node.class_name:
            return node.class_name
        by_content = self._class_by_content(node)
        by_name = known_class(node.name)
        if by_name and self._could_be(node, by_name):
            return by_name
        if by_content or not node.keys():
            return by_content
        return _NUMBER.sub("", node.name)  # as Keras names layers of any class

    def _could_be(self, node: Node, class_name: str) -> bool:
        names = variables_of_class(class_name)
        return node.variables.keys() <= set(names) if names else bool(node.parts)

    def _class_by_content(self, node: Node) -> str:
        if LAYERS in node.lists:
            return "functional"
        own, parts = node.variables.keys(), node.parts.keys()
        if not own and parts:
            return self._class_by_parts(node)
        for class_name, signs in _BY_VARIABLES:
            if own & signs and own <= set(variables_of_class(class_name)) and not parts:
                return class_name
        if own in (
            {"depthwise_kernel", "pointwise_kernel", "bias"},
            {"kernel", "bias"},
            {"kernel"},
        ):
            return self._class_by_kernel(node)
        return ""

    def _class_by_parts(self, node: Node) -> str:
        parts = node.parts
        if parts.keys() >= _ATTENTION:
            return "multi_head_attention"
        if parts.keys() & {"forward_layer", "backward_layer"}:
            return "bidirectional"
        if parts.keys() == {"cell"}:
            recurrent = parts["cell"].variables.get("recurrent_kernel")
            shape = self._about[recurrent].shape if recurrent else ()
            if len(shape) > 2:
                return f"conv_lstm{len(shape) - 2}d"
            gates = shape[1] // shape[0] if len(shape) == 2 and shape[0] else 0
            return _BY_GATES.get(gates, "rnn")
        return "time_distributed" if parts.keys() == {"layer"} else ""

    def _class_by_kernel(self, node: Node) -> str:
        variables = node.variables
        kernel = variables.get("kernel") or variables["depthwise_kernel"]
        shape = self._about[kernel].shape
        convolution = _CONVOLUTIONS.get(len(shape), "")
        if "pointwise_kernel" in variables:
            return f"separable_{convolution}" if convolution else ""
        if len(shape) == 2:
            return "dense"
        bias = self._about[variables["bias"]].shape if "bias" in variables else shape[-1:]
        if bias == shape[-1:]:
            return convolution
        if convolution and bias == shape[-2:-1]:
            return f"{convolution}_transpose"
        return "einsum_dense"


def _automatic_number(name: str, class_name: str) -> int | None:
    """The number in a name that Keras gave a layer ("dense" is 0); None in any other name."""
    base, _, number = name.rpartition("_")
    if name == class_name:
        return 0
    return int(number) if base == class_name and number.isdecimal() and len(number) < 10 else None


def _joined(*parts: str) -> str:
    return "/".join(part for part in parts if part)
