"""The layers of a Keras model as the names of its variables tell them: `lstm/lstm_cell/kernel`.

A name is the layer's, those of layers inside it, and the variable's. What attribute holds an inner
layer is known of those that Keras itself brings, and of models whose configuration is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ckptviewer.formats.keras_config import Layer
from ckptviewer.formats.keras_layers import known_class
from ckptviewer.formats.keras_layout import LAYERS, Node

_MAX_SCOPES = 40
_WRAPPER = "time_distributed"
_ATTENTION = {
    "query": "query_dense",
    "key": "key_dense",
    "value": "value_dense",
    "attention_output": "output_dense",
}
_MODEL = re.compile(r"(functional|sequential|model)(?:_\d+)?")


def layers_by_name(
    named: Iterable[tuple[str, str]], *, model: Layer | None = None, is_ordered: bool
) -> tuple[Node, dict[str, str]]:
    """The model that has these variables, and why some are not placed in it, by their keys.

    named: name and key of each variable. model: its configuration, where there is one.
    is_ordered: whether layers come in the model's order, and a layer's variables in Keras'.
    """
    is_open = model is None or not model.is_ordered
    if model is None or is_open:
        root = Node(is_ordered=is_ordered, lists={LAYERS: []})
    else:
        root = _of_config(model)
    inside = _Inside(is_open=is_open)
    reasons: dict[str, str] = {}
    repeated: set[tuple[int, str]] = set()
    split = [(name.removesuffix(":0").split("/"), key) for name, key in named]
    start = 1 if is_open and _all_in_one_model([parts[:-1] for parts, _ in split]) else 0
    for parts, key in split:
        *scopes, leaf = parts[start:]
        if not scopes or len(scopes) > _MAX_SCOPES:
            reasons[key] = "its name tells no layer"
            continue
        if (
            not is_open and scopes[0] in scopes[1:]
        ):  # Keras 3 has the whole path in the layer's group
            scopes = scopes[scopes.index(scopes[0], 1) :]
        node = root
        for scope in scopes:
            inner = inside(node, scope)
            if inner is None:
                reasons[key] = f"nothing tells where in {node.name or 'the model'} {scope} is"
                break
            node = inner
        else:
            if node.class_name == _WRAPPER:  # whose name TF-Keras gives to what is in it
                node = node.parts.setdefault("layer", Node())
            if leaf in node.variables or (id(node), leaf) in repeated:
                repeated.add((id(node), leaf))
                both = [key, *filter(None, [node.variables.pop(leaf, "")])]
                reasons |= dict.fromkeys(both, "several variables bear its name")
                continue
            node.variables[leaf] = key
            node.numbers_variables = is_ordered
    return root, reasons


def _of_config(layer: Layer) -> Node:
    """The node for a layer of a configuration, which is of limited depth."""
    node = Node(layer.name, layer.class_name)
    if layer.is_ordered:
        node.lists[LAYERS] = [_of_config(each) for each in layer.children.values()]
    return node


class _Inside:
    """Finds layers in layers by the scopes of names.

    is_open: whether layers of models are made as their names come, there being no configuration.
    """

    def __init__(self, *, is_open: bool) -> None:
        self._is_open = is_open
        self._found: dict[tuple[int, str], Node | None] = {}
        self._listed: set[int] = set()

    def __call__(self, node: Node, scope: str) -> Node | None:
        """The layer inside `node` whose variables' names go on with `scope`; None if not known."""
        key = (id(node), scope)
        if key not in self._found:
            self._list(node)
        if key not in self._found:
            self._found[key] = self._other(node, scope)
        return self._found[key]

    def _list(self, node: Node) -> None:
        if id(node) not in self._listed:
            self._listed.add(id(node))
            for each in node.lists.get(LAYERS, ()):
                self._found.setdefault((id(node), each.name), each)

    def _other(self, node: Node, scope: str) -> Node | None:
        attribute = "" if LAYERS in node.lists else _attribute(node, scope)
        if attribute:
            return node.parts.setdefault(attribute, Node(scope))
        model = _MODEL.fullmatch(node.name)
        if self._is_open and model and not node.class_name:
            node.class_name = "sequential" if model[1] == "sequential" else "functional"
            node.lists[LAYERS] = []
        if LAYERS not in node.lists:
            return None
        if not self._is_open:
            return _only_below(node, scope)
        node.lists[LAYERS].append(Node(scope, is_ordered=node.is_ordered))
        return node.lists[LAYERS][-1]


def _attribute(node: Node, scope: str) -> str:
    if scope in _ATTENTION:
        return _ATTENTION[scope]
    if scope.endswith("_cell"):
        return "cell"
    for direction in ("forward", "backward"):
        if scope.startswith(f"{direction}_"):
            return f"{direction}_layer"
    return "layer" if (node.class_name or known_class(node.name)) == _WRAPPER else ""


def _all_in_one_model(scopes: list[list[str]]) -> bool:
    """Whether all names begin with that of the model itself."""
    first = {each[0] for each in scopes if each}
    if len(first) != 1 or not all(len(each) > 1 for each in scopes):
        return False
    node = Node(first.pop())
    return not known_class(node.name) and not any(_attribute(node, each[1]) for each in scopes)


def _only_below(node: Node, name: str) -> Node | None:
    """The only layer of that name in the models inside; TF-Keras leaves out their names."""
    found = []
    pending = list(node.lists[LAYERS])
    while pending:
        each = pending.pop()
        if each.name == name:
            found.append(each)
        pending += each.lists.get(LAYERS, [])
    return found[0] if len(found) == 1 else None
