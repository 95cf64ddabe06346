"""The object graph of a part of a checkpoint, as if nothing else had ever been saved.

Source: tensorflow/core/protobuf/trackable_object_graph.proto, and what
tensorflow/python/checkpoint/checkpoint.py does on restoring: it looks for every object of the
program in the graph (`assert_existing_objects_matched`), and complains of every object of the
graph that the program has not, unless `expect_partial` is called. So objects that are dropped
leave the graph altogether, and objects that hold no values, such as layers without weights, stay.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.errors import COPY_CHECKPOINT, DamagedFileError

if TYPE_CHECKING:
    from ckptviewer.formats.proto.object_graph_pb2 import ObjectGraph

_ROOT = 0
_SAVE_COUNTER = "save_counter"


def slim_object_graph(
    serialized: bytes,
    keys: Mapping[str, str],
    *,
    silent: Container[str] = (),
    aside: Container[str] = (),
    save_counter_key: str | None = None,
) -> bytes:
    """The graph of what is kept, by the keys that it is written under.

    keys: new key of each value that is kept, by its key. An object that loses any of its values
        loses all. An object goes if what is reached through it alone had values and has none any
        more: an optimizer goes, though it refers to the weights, and so do its slots and lists.
    silent: keys of values that are dropped while their object stays if it belongs to one that
        does: TensorFlow will take it for restored, as with the seed of a layer.
    aside: keys of values that are kept, but for which alone no object stays that has lost others:
        averages of weights do not make TensorFlow look for their optimizer.
    save_counter_key: where the value of a `save_counter` is written, if the root shall get one.
    Raises DamagedFileError for bytes that are no such graph.
    """
    from google.protobuf.message import DecodeError

    from ckptviewer.formats.proto.object_graph_pb2 import ObjectGraph

    try:
        graph = ObjectGraph.FromString(serialized)
    except DecodeError as error:
        raise DamagedFileError("the object graph is no message of its kind") from error
    if not graph.nodes:
        raise DamagedFileError("the object graph has no objects")
    slimming = _Slimming(graph, keys, silent, aside)
    slim = ObjectGraph()
    numbers = {old: new for new, old in enumerate(slimming.staying())}
    for old in numbers:
        node = slim.nodes.add()
        node.CopyFrom(graph.nodes[old])
        _refer_anew(node, numbers)
        if slimming.holds[old] in (_KEPT, _ASIDE):
            for attribute in node.attributes:
                attribute.checkpoint_key = keys[attribute.checkpoint_key]
        else:
            del node.attributes[:]
    if save_counter_key is not None:
        _add_save_counter(slim, save_counter_key)
    data: bytes = slim.SerializeToString()
    return data


_NOTHING, _KEPT, _LOST, _SILENT, _ASIDE = range(5)
"""What an object holds: no values, values that are kept, that are lost, that are lost silently,
that are kept but do not keep an object."""


class _Slimming:
    """Finds which objects stay. holds: of each object, see above."""

    def __init__(
        self,
        graph: ObjectGraph,
        keys: Mapping[str, str],
        silent: Container[str],
        aside: Container[str],
    ) -> None:
        self._edges = _edges(graph)
        self.holds = [_held(node, keys, silent, aside) for node in graph.nodes]
        self._order, self._parents = _walk(self._edges)
        self._dominators = _dominators(self._edges, self._order)

    def staying(self) -> list[int]:
        """The numbers of the objects that stay, in their order; the root is the first."""
        staying = self._without_the_lost()
        reached = self._reached(staying)
        for node in self._order:
            # Reached through dropped objects alone: the shortest way to it stays, without values.
            if self.holds[node] == _KEPT:
                while node not in reached:
                    reached.add(node)
                    node = self._parents[node]
        return sorted(reached)

    def _without_the_lost(self) -> set[int]:
        """All objects but those that had values, themselves or below them, and have none."""
        count = len(self.holds)
        kept, lost = [0] * count, [0] * count
        for node in reversed(self._order):
            kept[node] += self.holds[node] == _KEPT
            lost[node] += self.holds[node] == _LOST
            if node != _ROOT:
                above = self._dominators[node]
                kept[above] += kept[node]
                lost[above] += lost[node]
        staying = {_ROOT}
        for node in self._order[1:]:
            above = self._dominators[node]
            of_root = self.holds[node] == _SILENT and self._parents[node] == _ROOT
            gone = not kept[node] and (lost[node] or of_root)
            if above in staying and not gone:
                staying.add(node)
        return staying

    def _reached(self, staying: set[int]) -> set[int]:
        reached, waiting = {_ROOT}, [_ROOT]
        while waiting:
            for child in self._edges[waiting.pop()]:
                if child in staying and child not in reached:
                    reached.add(child)
                    waiting.append(child)
        return reached


def _edges(graph: ObjectGraph) -> list[list[int]]:
    """The objects that each object leads to; an optimizer leads to its slots."""
    count = len(graph.nodes)
    edges = []
    for number, node in enumerate(graph.nodes):
        found = [child.node_id for child in node.children]
        found += [slot.slot_variable_node_id for slot in node.slot_variables]
        if found and not 0 <= min(found) <= max(found) < count:
            raise DamagedFileError(
                f"object {number} of the object graph leads to one of {count} that is not there",
                remedy=COPY_CHECKPOINT,
            )
        edges.append(found)
    return edges


def _held(
    node: ObjectGraph.Object,
    keys: Mapping[str, str],
    silent: Container[str],
    aside: Container[str],
) -> int:
    if not node.attributes:
        return _NOTHING
    lost = [each.checkpoint_key for each in node.attributes if each.checkpoint_key not in keys]
    if not lost:
        return _ASIDE if node.attributes[0].checkpoint_key in aside else _KEPT
    return _SILENT if all(key in silent for key in lost) else _LOST


def _walk(edges: list[list[int]]) -> tuple[list[int], list[int]]:
    """All objects that are reached, each before what it dominates, and how they are met first.

    Reverse postorder of a walk in depth; parents are those of a walk in breadth.
    """
    parents = [-1] * len(edges)
    parents[_ROOT] = _ROOT
    queue = [_ROOT]
    for node in queue:
        for child in edges[node]:
            if parents[child] < 0:
                parents[child] = node
                queue.append(child)
    order: list[int] = []
    seen = bytearray(len(edges))
    seen[_ROOT] = 1
    stack = [(_ROOT, iter(edges[_ROOT]))]
    while stack:
        node, rest = stack[-1]
        for child in rest:
            if not seen[child]:
                seen[child] = 1
                stack.append((child, iter(edges[child])))
                break
        else:
            order.append(node)
            stack.pop()
    order.reverse()
    return order, parents


def _dominators(edges: list[list[int]], order: list[int]) -> list[int]:
    """Of each object the nearest one that every way to it leads through.

    The algorithm of Cooper, Harvey and Kennedy, "A simple, fast dominance algorithm" (2001).
    """
    place = {node: number for number, node in enumerate(order)}
    before: list[list[int]] = [[] for _ in edges]
    for node in order:
        for child in edges[node]:
            before[child].append(node)
    above = [-1] * len(edges)
    above[_ROOT] = _ROOT
    changed = True
    while changed:
        changed = False
        for node in order[1:]:
            found = -1
            for other in before[node]:
                if above[other] < 0:
                    continue
                if found < 0:
                    found = other
                    continue
                while found != other:
                    while place[found] > place[other]:
                        found = above[found]
                    while place[other] > place[found]:
                        other = above[other]
            if above[node] != found:
                above[node] = found
                changed = True
    return above


def _refer_anew(node: ObjectGraph.Object, numbers: Mapping[int, int]) -> None:
    """Have a node refer to others by their new numbers, and to those that stay only."""
    children = [child for child in node.children if child.node_id in numbers]
    for child in children:
        child.node_id = numbers[child.node_id]
    slots = []
    for slot in node.slot_variables:
        owner, value = slot.original_variable_node_id, slot.slot_variable_node_id
        if owner in numbers and value in numbers:
            slot.original_variable_node_id = numbers[owner]
            slot.slot_variable_node_id = numbers[value]
            slots.append(slot)
    if len(children) < len(node.children):
        del node.children[:]
        node.children.extend(children)
    if len(slots) < len(node.slot_variables):
        del node.slot_variables[:]
        node.slot_variables.extend(slots)


def _add_save_counter(graph: ObjectGraph, key: str) -> None:
    root = graph.nodes[_ROOT]
    others = [child for child in root.children if child.local_name != _SAVE_COUNTER]
    if len(others) < len(root.children):
        del root.children[:]
        root.children.extend(others)
    root.children.add(node_id=len(graph.nodes), local_name=_SAVE_COUNTER)
    node = graph.nodes.add()
    node.attributes.add(name="VARIABLE_VALUE", full_name=_SAVE_COUNTER, checkpoint_key=key)
