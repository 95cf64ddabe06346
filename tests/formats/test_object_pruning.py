"""Object graphs without what is lost; that TensorFlow restores them is tested with rescue."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from ckptviewer.checkpoint.errors import DamagedFileError
from ckptviewer.formats.object_pruning import prune_object_graph


def graph_of(**children: tuple[str, ...]) -> TrackableObjectGraph:
    """A root whose children each have values under these keys; what a newer writer adds, too."""
    graph = TrackableObjectGraph()
    root = graph.nodes.add()
    for number, (name, keys) in enumerate(children.items(), 1):
        root.children.add(node_id=number, local_name=name)
        node = graph.nodes.add()
        node.has_checkpoint_values.value = True
        node.registered_saver.name = "saver"
        for key in keys:
            node.attributes.add(name="VARIABLE_VALUE", full_name=name, checkpoint_key=key)
    return graph


def test_nothing_lost_changes_nothing() -> None:
    data = graph_of(a=("x",), b=("y",)).SerializeToString()
    assert prune_object_graph(data, {"x", "y", "z"}) == (data, [])


def test_what_is_lost_is_named_no_more() -> None:
    graph = graph_of(a=("x",), b=("y", "z"), c=("w",))
    slot = graph.nodes[0].slot_variables.add(original_variable_node_id=1, slot_variable_node_id=2)
    slot.slot_name = "m"
    graph.nodes[3].children.add(node_id=1, local_name="inner")
    data, lost = prune_object_graph(graph.SerializeToString(), {"x", "y"})
    assert lost == ["z", "w"]
    pruned = TrackableObjectGraph.FromString(data)
    assert len(pruned.nodes) == len(graph.nodes)
    # `b` has lost half of its value; `c` is still the way to `a`.
    assert [child.local_name for child in pruned.nodes[0].children] == ["a", "c"]
    assert not pruned.nodes[0].slot_variables
    assert [len(node.attributes) for node in pruned.nodes] == [0, 1, 0, 0]
    assert pruned.nodes[1] == graph.nodes[1]
    assert pruned.nodes[2].registered_saver.name == "saver"


def test_what_is_no_graph() -> None:
    with pytest.raises(DamagedFileError):
        prune_object_graph(b"\xff\xff\xff", ())


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_no_damage_does_harm(data: st.DataObject) -> None:
    graph = bytearray(graph_of(a=("x",), b=("y", "z")).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        graph[data.draw(st.integers(0, len(graph) - 1))] = data.draw(st.integers(0, 255))
    with suppress(DamagedFileError):
        prune_object_graph(bytes(graph), {"x"})


def test_tensorflow_has_the_fields_that_the_schema_names() -> None:
    node = TrackableObjectGraph.TrackableObject.DESCRIPTOR.fields_by_name
    assert {name: node[name].number for name in ("children", "attributes", "slot_variables")} == {
        "children": 1,
        "attributes": 2,
        "slot_variables": 3,
    }
