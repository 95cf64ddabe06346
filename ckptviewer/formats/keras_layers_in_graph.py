"""The layers of a Keras model in the object graph of a checkpoint or a SavedModel.

Keras 3 saves the layers of Sequential and functional models as `_operations`, the former below
`_functional`; TF-Keras as `layer-0`, `layer-1`. All other layers go by the attributes that hold
them. Edges that lead to the same objects once more (`variables`, `keras_api`) are not followed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ckptviewer.checkpoint.errors import COPY_CHECKPOINT, DamagedFileError
from ckptviewer.checkpoint.variable import Role, Variable
from ckptviewer.formats.keras_layout import LAYERS, Node
from ckptviewer.formats.object_messages import Parts, read_parts

_MAX_DEPTH = 60
_MAX_NAME = 255
_MAX_DIGITS = 9
_LAYER = re.compile(r"layer-(\d{1,9})")
_OPTIMIZERS = ("optimizer", "_optimizer")
_SKIPPED = frozenset(
    """optimizer _optimizer save_counter step keras_api signatures variables trainable_variables
    non_trainable_variables _all_variables regularization_losses metrics compiled_metrics _metrics
    layer_metrics _tracked _layers _losses _losses_override _inbound_nodes _outbound_nodes
    _compiled_trainable_state call_signature_parameters _call_has_context_arg root
    _undeduplicated_weights _self_tracked_trackables __call__ _default_save_signature
    call_and_return_all_conditional_losses call_and_return_conditional_losses serve _misc_assets
    seed_generator _random_generator _loss_tracker compiled_loss""".split()
)
_ATTENTION = re.compile("_(query|key|value|output)_dense")
_NOT_LAYERS = frozenset((Role.OPTIMIZER_SLOT, Role.OPTIMIZER_STATE, Role.METRIC, Role.RNG))


class GraphLayers:
    """The layers that a graph has, and its optimizer's variables.

    model: None where the graph has no layers. optimizer: dataset paths by key.
    """

    def __init__(self, serialized: bytes, variables: Sequence[Variable]) -> None:
        """Raises DamagedFileError."""
        self._parts: Parts = read_parts(serialized, [variable.key for variable in variables])
        self._variables = variables
        self._full_names = {
            variables[row].key: self._parts.full_names[number]
            for number, row in self._parts.values.items()
        }
        self._entered: set[int] = set()
        self.optimizer: dict[str, str] = {}
        root = self._root()
        edges = dict(self._edges(root))
        self._place_optimizer(edges)
        model = self._node(root, 0)
        self.model: Node | None = model if model.keys() else None

    def _edges(self, number: int) -> list[tuple[str, int]]:
        children = self._parts.children
        if not 0 <= number < len(children):
            raise DamagedFileError(
                f"the object graph leads to object {number}, and has {len(children)}",
                remedy=COPY_CHECKPOINT,
            )
        return [(child.local_name, child.node_id) for child in children[number] or ()]

    def _root(self) -> int:
        """The node of the model: that which a checkpoint was made of, or the root itself."""
        if not self._parts.children:
            raise DamagedFileError("the object graph has no objects")
        edges = self._edges(0)
        if _is_model({name for name, _ in edges}):
            return 0
        inner = [
            target
            for name, target in edges
            if name not in _SKIPPED and target not in self._parts.values and self._edges(target)
        ]
        own = [name for name, target in edges if target in self._parts.values]
        return inner[0] if len(inner) == 1 and not set(own) - _SKIPPED else 0

    def _place_optimizer(self, edges: Mapping[str, int]) -> None:
        """Where the model's optimizer goes. Keras 3's has the list that Keras numbers."""
        for name in _OPTIMIZERS:
            if name in edges:
                listed = dict(self._edges(edges[name])).get("_variables")
                for number, target in self._edges(listed) if listed is not None else ():
                    row = self._parts.values.get(target)
                    if row is not None and _is_number(number):
                        self.optimizer[self._variables[row].key] = f"optimizer/vars/{number}"
                return

    def _node(self, number: int, depth: int) -> Node:
        """What node `number` holds; each node is entered once."""
        node = Node()
        self._entered.add(number)
        edges = self._edges(number)
        names = dict(edges)
        layers = self._layers(names)
        if layers and depth < _MAX_DEPTH:
            node.class_name = self._class_of_model(names, layers)
            node.lists[LAYERS] = self._nodes(layers, depth + 1)
        # Keras visits private attributes last, and others in the order of their names.
        for name, target in edges:
            self._add_variable(node, name, target)
        for name, target in sorted(edges, key=lambda edge: (edge[0].startswith("_"), edge[0])):
            if self._is_followed(name, target) and depth < _MAX_DEPTH:
                self._add_part(node, name, target, depth)
        node.name = self._name_of(node)
        return node

    def _is_followed(self, name: str, target: int) -> bool:
        if name in _SKIPPED or name in ("_operations", "_functional") or target in self._entered:
            return False
        if name.startswith(("layer-", "layer_with_weights-")) or len(name) > _MAX_NAME:
            return False
        return bool(self._edges(target))

    def _add_variable(self, node: Node, name: str, target: int) -> None:
        row = self._parts.values.get(target)
        if row is None or target in self._entered or name in _SKIPPED:
            return
        if self._variables[row].role in _NOT_LAYERS:
            return
        self._entered.add(target)
        plain = name.removeprefix("_")
        node.variables[plain if plain not in node.variables else name] = self._variables[row].key

    def _add_part(self, node: Node, name: str, target: int, depth: int) -> None:
        edges = self._edges(target)
        attention = _ATTENTION.fullmatch(name)
        attribute = attention[0][1:] if attention else name
        if all(_is_number(each) for each, _ in edges):
            items = sorted(edges, key=lambda edge: (len(edge[0]), edge[0]))
            nodes = self._nodes([each for _, each in items], depth + 1)
            if any(each.keys() for each in nodes):
                node.lists[attribute] = nodes
            return
        part = self._node(target, depth + 1)
        if part.keys():
            node.parts[attribute] = part

    def _nodes(self, targets: Sequence[int], depth: int) -> list[Node]:
        """What these nodes hold, without those that were entered before."""
        nodes = []
        for target in targets:
            if target not in self._entered:
                nodes.append(self._node(target, depth))
        return nodes

    def _layers(self, names: Mapping[str, int]) -> list[int]:
        """Nodes of the layers of a Sequential or functional model, in its order."""
        if "_functional" in names:
            names = dict(self._edges(names["_functional"]))
        if "_operations" in names:
            listed = self._edges(names["_operations"])
            numbered = [(int(name), each) for name, each in listed if _is_number(name)]
        else:
            found = [(_LAYER.fullmatch(name), each) for name, each in names.items()]
            numbered = [(int(match[1]), each) for match, each in found if match]
        return [each for _, each in sorted(numbered)]

    def _class_of_model(self, names: Mapping[str, int], layers: Sequence[int]) -> str:
        if "_functional" in names:
            return "sequential"
        # A functional model begins with what it takes, which is a layer without anything.
        first = {name for name, _ in self._edges(layers[0])} - _SKIPPED
        return "sequential" if "_operations" not in names and first else "functional"

    def _name_of(self, node: Node) -> str:
        """The layer's own name, from the full names of its variables; empty if they tell none."""
        up = 1
        while not node.variables:
            below = [each for each in node.children if each.keys()]
            if not below or node.lists:
                return ""
            node, up = below[0], up + 1
        scopes = self._full_names[next(iter(node.variables.values()))].split("/")
        return scopes[-1 - up] if len(scopes) > up else ""


def _is_number(name: str) -> bool:
    return name.isdecimal() and len(name) <= _MAX_DIGITS


def _is_model(names: set[str]) -> bool:
    return bool(names & {"_operations", "_functional", "layer-0"})
