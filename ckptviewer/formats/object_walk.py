"""Walking an object graph: the nicest path to every object, and the part of a program it is in.

The graph may have cycles and shared objects. Objects are met breadth first, each once; edges that
only repeat what is found elsewhere are put off until nothing else is left, and optimizers come
after all that is not theirs. So a kernel goes by `model/dense/kernel` and not by
`model/optimizer/_trainable_variables/0`, and what is met in an optimizer is the optimizer's own.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.errors import COPY_CHECKPOINT, DamagedFileError
from ckptviewer.checkpoint.slot_names import is_average_scope

if TYPE_CHECKING:
    from ckptviewer.formats.proto.object_graph_pb2 import ObjectGraph

MODEL, METRIC, OPTIMIZER, REPEATED, AVERAGE = range(5)
"""Where an object was met: in the model, in a metric, nowhere but in an optimizer, in a list that
repeats the model's variables; AVERAGE and above: in one of the copies with moving averages."""

Children = Sequence["ObjectGraph.Reference"] | None
Edges = list[tuple[str, int]]
"""Names of edges, and the numbers of the nodes that they lead to."""

_PLAIN, _AWKWARD, _LIST_OF_MODEL, _OPTIMIZER, _METRIC, _AVERAGE, _LAST = range(7)
_KINDS = {
    **dict.fromkeys(
        ("variables", "trainable_variables", "non_trainable_variables"), _LIST_OF_MODEL
    ),
    **dict.fromkeys(("optimizer", "_optimizer"), _OPTIMIZER),
    **dict.fromkeys(("metrics", "compiled_metrics", "_metrics", "layer_metrics"), _METRIC),
    **dict.fromkeys(("_variables", "_all_variables", "_all_weights"), _LAST),
    **dict.fromkeys(
        """_trainable_variables keras_api signatures root layers _layers _tracked _losses
        _inbound_nodes _outbound_nodes _losses_override _compiled_trainable_state
        regularization_losses _self_tracked_trackables _undeduplicated_weights train_function
        train_tf_function test_function predict_function""".split(),
        _AWKWARD,
    ),
}
_SIGNS = {
    "iter": 1,
    "learning_rate": 2,
    "decay": 4,
    "_iterations": 8,
    "_learning_rate": 16,
    "_trainable_variables": 32,
    "_variables": 64,
    "beta1_power": 128,
    "beta2_power": 256,
}
_KERAS_2 = 1 | 2 | 4
_KERAS_3, _KERAS_3_MORE = 8, 16 | 32 | 64
_TENSORFLOW_1 = 128 | 256
_PATH_BYTES_AT_LEAST = 4 << 20
_PATH_BYTES_PER_BYTE = 24
_MAX_LIST_USES = 8


@dataclass(slots=True)
class Optimizer:
    """An optimizer of the graph.

    lists: its lists of variables by name, as index and node. all_variables: number of the node of
    the list `_variables`, which is not among them for it repeats them; -1 where there is none.
    """

    node: int
    all_variables: int = -1
    lists: dict[str, Edges] = field(default_factory=dict)


@dataclass(slots=True)
class Walk:
    """What was found on the way; `paths`, `edges` and `regions` have an item for each node.

    paths: the nicest path from the root; None where no edge leads. edges: the last name in it.
    regions: MODEL, METRIC, OPTIMIZER, REPEATED, or AVERAGE plus the index in `averages`, which are
    the paths of copies that hold moving averages. trained, untrained: nodes in lists of the model
    that say so.
    """

    paths: list[str | None]
    edges: list[str]
    regions: list[int]
    optimizers: list[Optimizer] = field(default_factory=list)
    averages: list[str] = field(default_factory=list)
    trained: set[int] = field(default_factory=set)
    untrained: set[int] = field(default_factory=set)


class Walker:
    """Walks one graph, once.

    children: of each node, None for none. wanted: the nodes that paths are sought for. slotted:
    nodes that are known as optimizers for the slots they have. size: of the serialized graph in
    bytes, to which the length of all paths is kept in proportion.
    """

    def __init__(
        self,
        children: Sequence[Children],
        *,
        wanted: Collection[int],
        slotted: Collection[int],
        size: int,
    ) -> None:
        count = len(children)
        self._children = children
        self._wanted = wanted
        self._slotted = slotted
        self._count = count
        self._ready: deque[int] = deque()
        self._put_off: deque[tuple[int, str, int, int]] = deque()
        self._optimizers: deque[tuple[int, str, int]] = deque()
        self._entered: set[int] = set()
        self._last: list[tuple[int, str, int, int]] = []
        self._model_lists: set[tuple[str, int]] = set()
        self._list_uses: Counter[int] = Counter()
        self._path_budget = _PATH_BYTES_AT_LEAST + _PATH_BYTES_PER_BYTE * size
        self._kinds = dict(_KINDS)
        self._found = Walk(paths=[None] * count, edges=[""] * count, regions=[MODEL] * count)

    def walk(self) -> Walk:
        """Walk from the root. Raises DamagedFileError where an edge leads to no node."""
        if self._count:
            self._found.paths[0] = ""
            self._ready.append(0)
            self._spread()
        while self._optimizers:
            parent, name, number = self._optimizers.popleft()
            self._enter_optimizer(parent, name, number)
        paths = self._found.paths
        if self._last and any(paths[number] is None for number in self._wanted):
            for parent, name, number, region in self._last:
                self._reach(parent, name, number, REPEATED if region == MODEL else region)
                self._spread()
        self._read_model_lists()
        return self._found

    def edges_of(self, number: int) -> Edges:
        """The edges that lead out of node `number`."""
        edges = [(child.local_name, child.node_id) for child in self._children[number] or ()]
        for _, target in edges:
            if not 0 <= target < self._count:
                raise _no_such_node(target, self._count)
        return edges

    def _spread(self) -> None:
        """Meet all that edges lead to from what is ready; optimizers are only taken note of."""
        ready, put_off = self._ready, self._put_off
        while ready or put_off:
            while ready:
                self._visit(ready.popleft())
            if put_off:
                self._reach(*put_off.popleft())

    def _reach(self, parent: int, name: str, number: int, region: int) -> bool:
        """Meet one node by an edge from `parent`, unless it was met before."""
        found = self._found
        if found.paths[number] is not None:
            return False
        above = found.paths[parent]
        found.paths[number] = f"{above}/{name}" if above else name
        found.edges[number] = name
        found.regions[number] = region
        if self._children[number] is not None:
            self._ready.append(number)
        return True

    def _visit(self, number: int) -> None:
        """Meet the children of a node that was met."""
        found, kinds, children, count = self._found, self._kinds, self._children, self._count
        paths, edges, regions = found.paths, found.edges, found.regions
        region = regions[number]
        path = paths[number]
        prefix = path + "/" if path else ""
        self._spend(len(prefix), children[number] or ())
        met: list[int] = []
        special: list[tuple[int, str, int]] = []
        signs = 0
        for child in children[number] or ():
            name = child.local_name
            target = child.node_id
            if not 0 <= target < count:
                raise _no_such_node(target, count)
            kind = kinds.get(name)
            if kind is None:
                kind = self._learn(name)
            if name in _SIGNS:
                signs |= _SIGNS[name]
            if kind:
                special.append((kind, name, target))
            elif paths[target] is None:
                paths[target] = prefix + name
                edges[target] = name
                regions[target] = region
                met.append(target)
        if self._is_optimizer(number, signs):
            for target in met:  # they may have better paths than by it
                paths[target] = None
            self._optimizers.append((number, "", number))
            return
        self._ready.extend(target for target in met if children[target] is not None)
        for kind, name, target in special:
            self._sort_in(kind, number, name, target, region)

    def _spend(self, prefix: int, children: Sequence[object]) -> None:
        """Stop before a chain of thousands of objects makes paths that fill the memory."""
        self._path_budget -= prefix * len(children)
        if self._path_budget < 0:
            raise DamagedFileError(
                "the object graph is nested beyond reason", remedy=COPY_CHECKPOINT
            )

    def _learn(self, name: str) -> int:
        if name.isdecimal():
            return _PLAIN
        kind = self._kinds[name] = _AVERAGE if is_average_scope(name) else _PLAIN
        return kind

    def _sort_in(self, kind: int, parent: int, name: str, number: int, region: int) -> None:
        """Decide when a special edge is followed."""
        if kind == _LIST_OF_MODEL and (self._found.paths[parent] or "").count("/") < 1:
            self._model_lists.add((name, number))
        if kind == _LAST:
            self._last.append((parent, name, number, region))
        elif kind == _OPTIMIZER and region != OPTIMIZER:
            self._optimizers.append((parent, name, number))
        elif kind == _AVERAGE and region == MODEL and self._children[number] is not None:
            averages = self._found.averages
            if self._reach(parent, name, number, AVERAGE + len(averages)):
                averages.append(self._found.paths[number] or "")
        elif kind in (_AVERAGE, _OPTIMIZER):
            self._reach(parent, name, number, region)
        else:
            inside = METRIC if kind == _METRIC and region == MODEL else region
            self._put_off.append((parent, name, number, inside))

    def _is_optimizer(self, number: int, signs: int) -> bool:
        """Whether a node that has children of these names is an optimizer.

        Keras 2 gives it iter, learning_rate and decay, Keras 3 _iterations and lists of variables,
        TensorFlow 1 the powers of beta.
        """
        return (
            number in self._slotted
            or signs & _KERAS_2 == _KERAS_2
            or (signs & _KERAS_3 != 0 and signs & _KERAS_3_MORE != 0)
            or signs & _TENSORFLOW_1 == _TENSORFLOW_1
        )

    def _enter_optimizer(self, parent: int, name: str, number: int) -> None:
        """Meet what an optimizer has; its lists of variables are kept.

        One that was recognised by its children is its own parent here, and has its path already.
        """
        found = self._found
        if number in self._entered:
            return
        self._entered.add(number)
        if found.paths[number] is None:
            above = found.paths[parent]
            found.paths[number] = f"{above}/{name}" if above else name
            found.edges[number] = name
        found.regions[number] = OPTIMIZER
        optimizer = Optimizer(number)
        found.optimizers.append(optimizer)
        edges = self.edges_of(number)
        self._spend(len(found.paths[number] or ""), edges)
        for edge, target in edges:
            if self._kinds.get(edge) == _LAST:
                self._last.append((number, edge, target, OPTIMIZER))
                optimizer.all_variables = target
                continue
            children = self._children[target]
            if children is not None and children[0].local_name.isdecimal():
                self._list_uses[target] += 1
                if self._list_uses[target] > _MAX_LIST_USES:
                    continue
                optimizer.lists[edge] = self._enter_list(number, edge, target)
            else:
                self._reach(number, edge, target, OPTIMIZER)
        self._spread()

    def _enter_list(self, optimizer: int, name: str, number: int) -> Edges:
        """Meet the variables in an optimizer's list; those that it trains are the model's."""
        found, children, count = self._found, self._children, self._count
        paths, names, regions = found.paths, found.edges, found.regions
        region = MODEL if name == "_trainable_variables" else OPTIMIZER
        path = f"{paths[optimizer]}/{name}".lstrip("/")
        paths[number] = paths[number] or path
        listed = children[number] or ()
        self._spend(len(path), listed)
        prefix = path + "/"
        edges: Edges = []
        for child in listed:
            index, target = edge = child.local_name, child.node_id
            if not 0 <= target < count:
                raise _no_such_node(target, count)
            edges.append(edge)
            if paths[target] is None:
                paths[target] = prefix + index
                names[target] = index
                regions[target] = region
                if children[target] is not None:
                    self._ready.append(target)
        return edges

    def _read_model_lists(self) -> None:
        found = self._found
        for name, number in self._model_lists:
            listed = (target for _, target in self.edges_of(number))
            (found.trained if name == "trainable_variables" else found.untrained).update(listed)
        if not found.trained:  # a model without such a list says nothing of the others
            found.untrained.clear()
        found.untrained -= found.trained


def _no_such_node(number: int, count: int) -> DamagedFileError:
    return DamagedFileError(
        f"the object graph refers to object {number} and has {count} of them",
        remedy=COPY_CHECKPOINT,
    )
