"""Whose slots the variables of optimizers are, as the edges of an object graph tell.

Keras 2 and TensorFlow 1 store triples of variable, slot's name and slot's variable. Keras 3 stores
lists of equal order: the third of `_momentums` belongs to the third of `_trainable_variables`.
What neither covers (tf_keras, Muon) is found by full names, where they leave no doubt, and last
by order.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ckptviewer.checkpoint.slot_names import is_average_word
from ckptviewer.formats.object_walk import MODEL, OPTIMIZER, Edges, Optimizer, Walk

_TRAINED = "_trainable_variables"
_WORDS_OF_LISTS = {"_model_variables_moving_average": "average"}
_NO_SLOT_LISTS = frozenset((_TRAINED, "_variables"))
_DIGITS = re.compile(r"\d+", re.ASCII)
_MAX_DIGITS = 18
_MAX_NAME = 1024


@dataclass(slots=True)
class Slots:
    """owners: number of the owner's node by the slot's. words: what the slot is called.

    trained: nodes that optimizers train.
    """

    owners: dict[int, int] = field(default_factory=dict)
    words: dict[int, str] = field(default_factory=dict)
    trained: set[int] = field(default_factory=set)

    def add(self, slot: int, owner: int, word: str) -> None:
        """Add one, unless its owner is known already."""
        if slot != owner and slot not in self.owners:
            self.owners[slot] = owner
            self.words[slot] = word

    def add_all(self, pairs: dict[int, int], word: str) -> None:
        """Add many slots of one word: owner by slot."""
        self.owners = pairs | self.owners
        self.words = dict.fromkeys(pairs, word) | self.words

    def averages(self) -> set[str]:
        """The words that say that a slot holds moving averages."""
        return {word for word in set(self.words.values()) if is_average_word(word)}


@dataclass(slots=True)
class Graph:
    """What is needed of a graph to find slots.

    full_names, shapes: by node, for nodes that hold the values of a variable of the checkpoint.
    edges_of: gives the edges that lead out of a node.
    """

    walk: Walk
    edges_of: Callable[[int], Edges]
    full_names: Mapping[int, str]
    shapes: Mapping[int, tuple[int, ...]]


def find_slots(graph: Graph, slots: Slots) -> None:
    """Add to `slots`, which has those of the slot references, all that lists and names tell."""
    names = _Names(graph)
    walk = graph.walk
    regions = walk.regions
    for optimizer in walk.optimizers:
        trained = dict(optimizer.lists.get(_TRAINED, ()))
        slots.trained.update(node for node in trained.values() if node in graph.shapes)
        for name, edges in optimizer.lists.items():
            if name in _NO_SLOT_LISTS:
                continue
            if trained:
                _add_by_index(name, edges, trained, graph, slots)
            else:
                own = [node for _, node in edges if regions[node] == OPTIMIZER]
                names.add_all(
                    (node for node in own if node in graph.shapes), slots, _word_of_list(name)
                )
    others = _without_owner(graph, slots)
    if others:
        names.add_all(others, slots, "")
        others = _without_owner(graph, slots)
    if others:
        for optimizer in walk.optimizers:
            _add_by_order(optimizer, graph, slots)


def _without_owner(graph: Graph, slots: Slots) -> list[int]:
    regions = graph.walk.regions
    return [
        node
        for node, shape in graph.shapes.items()
        if shape and regions[node] == OPTIMIZER and node not in slots.owners
    ]


def _add_by_order(optimizer: Optimizer, graph: Graph, slots: Slots) -> None:
    """Slots that are in nothing but the list of all of an optimizer's variables.

    Keras 3 makes them in the order of the variables that it trains. So those whose full names end
    in one word (`..._velocity`) belong to these in turn, if number and shapes are equal. And its
    Adafactor makes for each matrix the averages of rows and of columns right before `velocity`.
    """
    shapes, full_names = graph.shapes, graph.full_names
    trained = optimizer.lists.get(_TRAINED, ())
    in_turn = [node for _, node in sorted(trained, key=_index) if node in shapes]
    if optimizer.all_variables < 0 or not in_turn:
        return
    listed = sorted(graph.edges_of(optimizer.all_variables), key=_index)
    nodes = [node for _, node in listed if node in shapes]
    by_word: dict[str, list[int]] = defaultdict(list)
    for node in nodes:
        if shapes[node] and node not in slots.owners and graph.walk.regions[node] == OPTIMIZER:
            by_word[full_names[node].rpartition("_")[2]].append(node)
    expected = [shapes[node] for node in in_turn]
    for word, group in by_word.items():
        if word and [shapes[node] for node in group] == expected:
            slots.add_all(dict(zip(group, in_turn, strict=True)), word)
    for rows, columns, velocity in zip(nodes, nodes[1:], nodes[2:], strict=False):
        owner = slots.owners.get(velocity)
        if owner is None or rows in slots.owners or columns in slots.owners:
            continue
        shape = shapes.get(owner, ())
        factored = (shape[:-1], (*shape[:-2], *shape[-1:]))
        if len(shape) >= 2 and (shapes[rows], shapes[columns]) == factored:
            slots.add(rows, owner, "r")
            slots.add(columns, owner, "c")


def _index(edge: tuple[str, int]) -> int:
    return int(edge[0]) if edge[0].isdecimal() and len(edge[0]) <= _MAX_DIGITS else 0


def _add_by_index(
    name: str, edges: Edges, trained: Mapping[str, int], graph: Graph, slots: Slots
) -> None:
    """Slots in a list whose order is that of the variables that are trained."""
    regions, shapes = graph.walk.regions, graph.shapes
    owners, words = slots.owners, slots.words
    word = ""
    for index, node in edges:
        owner = trained.get(index)
        if owner is None or regions[node] != OPTIMIZER or node not in shapes or node in owners:
            continue
        if not word:
            told = _word_in(graph.full_names[node], graph.full_names.get(owner, ""))
            word = _better(_word_of_list(name), told)
        owners[node] = owner
        words[node] = word


def _word_in(slot_name: str, owner_name: str) -> str:
    """The slot's word in its full name, given its owner's; "" where it does not say.

    Keras 3: `adam/dense_kernel_velocity` of `dense/kernel`; tf_keras: `Adam/m/dense/kernel`.
    """
    if not owner_name:
        return ""
    flat = owner_name.replace("/", "_") + "_"
    last = slot_name[slot_name.rfind("/") + 1 :]
    if last.startswith(flat):
        return last[len(flat) :]
    if slot_name.endswith("/" + owner_name):
        head = slot_name[: -len(owner_name) - 1]
        return head[head.rfind("/") + 1 :]
    return ""


def _word_of_list(name: str) -> str:
    """What a slot is called whose list is called `name`: `_velocities` hold each a `velocity`."""
    word = _WORDS_OF_LISTS.get(name)
    if word is None:
        word = name.strip("_")
        if word.endswith("ies"):
            word = word[:-3] + "y"
        elif word.endswith("s") and len(word) > 1:
            word = word[:-1]
    return word


def _better(word: str, told: str) -> str:
    """Word of a list or word of a full name: lists of one letter are right where names are not."""
    return word if len(word) == 1 or not told else told


class _Names:
    """Owners by full names; built when first needed."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._by_name: dict[str, list[int]] | None = None

    def add_all(self, nodes: Iterable[int], slots: Slots, word: str) -> None:
        """Add the slots among `nodes` whose full names tell their owners without doubt."""
        graph = self._graph
        doubtful: dict[tuple[str, str], list[int]] = defaultdict(list)
        for node in nodes:
            owner_name, told = self._read(graph.full_names.get(node, ""))
            if not told:
                continue
            candidates = self._owners()[owner_name]
            if len(candidates) > 1:
                doubtful[owner_name, told].append(node)
            else:
                slots.add(node, candidates[0], _better(word, told))
        for (owner_name, told), group in doubtful.items():
            pairs = self._pair(group, self._owners()[owner_name])
            for node, owner in pairs:
                slots.add(node, owner, _better(word, told))

    def _owners(self) -> dict[str, list[int]]:
        if self._by_name is None:
            self._by_name = defaultdict(list)
            walk = self._graph.walk
            for node, name in self._graph.full_names.items():
                if name and walk.regions[node] == MODEL:
                    self._by_name[name].append(node)
                    if "/" in name:
                        self._by_name[name.replace("/", "_")].append(node)
        return self._by_name

    def _read(self, slot_name: str) -> tuple[str, str]:
        """Name of the owner and word of the slot; empty where no such owner is there."""
        if len(slot_name) > _MAX_NAME:
            return "", ""
        owners = self._owners()
        last = slot_name[slot_name.rfind("/") + 1 :]
        end = last.rfind("_")
        while end > 0:
            if last[:end] in owners:
                return last[:end], last[end + 1 :]
            end = last.rfind("_", 0, end)
        start = slot_name.find("/")
        while start >= 0:
            if slot_name[start + 1 :] in owners:
                head = slot_name[:start]
                return slot_name[start + 1 :], head[head.rfind("/") + 1 :]
            start = slot_name.find("/", start + 1)
        return "", ""

    def _pair(self, slots: Sequence[int], owners: Sequence[int]) -> list[tuple[int, int]]:
        """Slots with owners of equal names: by their shapes, else by their order.

        Order counts where owners differ in nothing but numbers in their paths, as the layers of
        a list do, and each has its slot.
        """
        shapes, paths = self._graph.shapes, self._graph.walk.paths
        owners_of = _grouped(owners, shapes)
        pairs: list[tuple[int, int]] = []
        for shape, group in _grouped(slots, shapes).items():
            alike = owners_of.get(shape, [])
            if len(alike) == 1:
                pairs.extend((slot, alike[0]) for slot in group)
            elif len(alike) == len(group):
                patterns = {_DIGITS.sub("#", paths[owner] or "") for owner in alike}
                if len(patterns) == 1:
                    alike.sort(key=lambda owner: _numbers(paths[owner]))
                    pairs.extend(zip(group, alike, strict=True))
        return pairs


def _grouped(
    nodes: Sequence[int], shapes: Mapping[int, tuple[int, ...]]
) -> dict[tuple[int, ...], list[int]]:
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for node in nodes:
        groups[shapes[node]].append(node)
    return groups


def _numbers(path: str | None) -> list[int]:
    return [int(digits[:_MAX_DIGITS]) for digits in _DIGITS.findall(path or "")]
