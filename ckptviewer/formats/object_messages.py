"""What the messages of an object graph say, sorted by what names and roles need of it.

Source: tensorflow/core/protobuf/trackable_object_graph.proto.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.errors import COPY_CHECKPOINT, DamagedFileError
from ckptviewer.formats.object_slots import Slots
from ckptviewer.formats.object_walk import Children

if TYPE_CHECKING:
    from ckptviewer.formats.proto.object_graph_pb2 import ObjectGraph

_VALUE = "VARIABLE_VALUE"


@dataclass(slots=True)
class Parts:
    """What the messages of a graph say, by number of node.

    children: of every node. values: row of the entry that holds its value, for variables.
    full_names: of the same. others: node, row and attribute of what else it stored. slots: those
    of slot references. slotted: optimizers that have slot references.
    """

    children: list[Children]
    values: dict[int, int]
    full_names: dict[int, str]
    others: list[tuple[int, int, str]]
    slots: Slots
    slotted: dict[int, list[int]]


def read_parts(serialized: bytes, keys: Sequence[str]) -> Parts:
    """The parts of a serialized TrackableObjectGraph that concern the entries called `keys`.

    Raises DamagedFileError for bytes that are none, and for references to objects that are not
    there.
    """
    from google.protobuf.message import DecodeError

    from ckptviewer.formats.proto.object_graph_pb2 import ObjectGraph

    try:
        graph = ObjectGraph.FromString(serialized)
    except DecodeError as error:
        raise DamagedFileError(
            "the object graph is no message of its kind",
            remedy=COPY_CHECKPOINT,
        ) from error
    row_of = dict(zip(keys, range(len(keys)), strict=True))
    parts = Parts([], {}, {}, [], Slots(), {})
    values, full_names, children = parts.values, parts.full_names, parts.children
    nodes = graph.nodes
    for number, node in enumerate(nodes):
        attributes = node.attributes
        if attributes:
            first = attributes[0]
            row = row_of.pop(first.checkpoint_key, None)
            if row is not None:
                if first.name == _VALUE:
                    values[number] = row
                    full_names[number] = first.full_name
                else:
                    parts.others.append((number, row, first.name))
            if len(attributes) > 1:
                for attribute in attributes[1:]:
                    row = row_of.pop(attribute.checkpoint_key, None)
                    if row is not None:
                        parts.others.append((number, row, attribute.name))
        elif node.slot_variables:
            parts.slotted[number] = []
        edges = node.children
        children.append(edges or None)
    for number in parts.slotted:
        _read_slots(number, nodes[number].slot_variables, parts)
    return parts


def _read_slots(
    optimizer: int, references: Sequence[ObjectGraph.SlotVariable], parts: Parts
) -> None:
    count = len(parts.children)
    for reference in references:
        owner, slot = reference.original_variable_node_id, reference.slot_variable_node_id
        if not (0 <= owner < count and 0 <= slot < count):
            raise DamagedFileError(
                f"the object graph has a slot of object {owner} in object {slot}, "
                f"and {count} objects",
                remedy=COPY_CHECKPOINT,
            )
        if slot != owner and slot in parts.values and slot not in parts.slots.owners:
            parts.slots.add(slot, owner, reference.slot_name)
            parts.slotted[optimizer].append(slot)
