"""The object graph of a checkpoint that has lost some of its values.

Source: tensorflow/core/protobuf/trackable_object_graph.proto. TensorFlow refuses to restore a
checkpoint whose graph names a key that is not there. What is taken out of the graph is restored as
if it had never been saved: the rest restores, and `assert_existing_objects_matched` tells.
"""

from __future__ import annotations

from collections.abc import Container

from ckptviewer.checkpoint.errors import DamagedFileError


def prune_object_graph(serialized: bytes, kept: Container[str]) -> tuple[bytes, list[str]]:
    """A graph that names only keys in `kept`, and the keys that it names no more.

    Objects keep their numbers. One that loses any of its values loses all of them, and where it has
    no children nothing leads to it any more: else TensorFlow would count it as restored.
    Raises DamagedFileError for bytes that are no such graph.
    """
    from google.protobuf.message import DecodeError

    from ckptviewer.formats.proto.object_graph_pb2 import ObjectGraph

    try:
        graph = ObjectGraph.FromString(serialized)
    except DecodeError as error:
        raise DamagedFileError("the object graph is no message of its kind") from error
    lost: list[str] = []
    bare: set[int] = set()
    for number, node in enumerate(graph.nodes):
        gone = [each.checkpoint_key for each in node.attributes if each.checkpoint_key not in kept]
        if gone:
            lost += gone
            del node.attributes[:]
            if not node.children:
                bare.add(number)
    if not lost:
        return serialized, []
    for node in graph.nodes:
        if any(child.node_id in bare for child in node.children):
            children = [child for child in node.children if child.node_id not in bare]
            del node.children[:]
            node.children.extend(children)
        if any(slot.slot_variable_node_id in bare for slot in node.slot_variables):
            slots = [each for each in node.slot_variables if each.slot_variable_node_id not in bare]
            del node.slot_variables[:]
            node.slot_variables.extend(slots)
    return graph.SerializeToString(), lost
