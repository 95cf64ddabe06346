"""Object graphs of a part; that TensorFlow restores them silently is tested with export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from ckptviewer.checkpoint.errors import DamagedFileError
from ckptviewer.formats.object_slimming import slim_object_graph


def graph_of(nodes: Sequence[tuple[Mapping[str, int], str]]) -> TrackableObjectGraph:
    """A node for each pair of children by name, and the key of its value ("" for none)."""
    graph = TrackableObjectGraph()
    for children, key in nodes:
        node = graph.nodes.add()
        for name, number in children.items():
            node.children.add(node_id=number, local_name=name)
        if key:
            node.attributes.add(name="VARIABLE_VALUE", full_name=key, checkpoint_key=key)
            node.has_checkpoint_values.value = True
    return graph


# 0 root, 1 model, 2 layer, 3 kernel, 4 optimizer, 5 list of what it trains, 6 slot, 7 plain layer
MODEL = graph_of(
    [
        ({"model": 1}, ""),
        ({"layer": 2, "optimizer": 4, "plain": 7}, ""),
        ({"kernel": 3}, ""),
        ({}, "kernel"),
        ({"trained": 5, "rate": 8}, ""),
        ({"0": 3}, ""),
        ({}, "slot"),
        ({}, ""),
        ({}, "rate"),
    ]
)
MODEL.nodes[4].slot_variables.add(
    original_variable_node_id=3, slot_name="m", slot_variable_node_id=6
)


def slim(graph: TrackableObjectGraph, *kept: str, **options: object) -> dict[str, str]:
    """Path to key of all that is left ("" for none), after checking all references."""
    keys = {key: key + "!" for key in kept}
    data = slim_object_graph(graph.SerializeToString(), keys, **options)  # type: ignore[arg-type]
    left = TrackableObjectGraph.FromString(data)
    paths, waiting = {0: ""}, [0]
    while waiting:
        number = waiting.pop()
        node = left.nodes[number]
        edges = [(child.local_name, child.node_id) for child in node.children]
        edges += [(each.slot_name, each.slot_variable_node_id) for each in node.slot_variables]
        for name, child in edges:
            if child not in paths:
                paths[child] = f"{paths[number]}/{name}"
                waiting.append(child)
    assert paths.keys() == set(range(len(left.nodes)))
    return {
        path: next((each.checkpoint_key for each in left.nodes[number].attributes), "")
        for number, path in paths.items()
    }


def test_an_optimizer_goes_though_it_refers_to_what_stays() -> None:
    assert slim(MODEL, "kernel") == {
        "": "",
        "/model": "",
        "/model/layer": "",
        "/model/layer/kernel": "kernel!",
        "/model/plain": "",
    }


def test_all_stays_where_all_is_kept() -> None:
    left = slim(MODEL, "kernel", "slot", "rate")
    assert len(left) == len(MODEL.nodes)
    assert left["/model/optimizer/m"] == "slot!"


def test_a_part_of_an_optimizer_keeps_it() -> None:
    left = slim(MODEL, "kernel", "rate")
    assert left["/model/optimizer/rate"] == "rate!"
    assert "/model/optimizer/m" not in left


def test_what_is_aside_keeps_nothing_that_has_lost_others() -> None:
    assert not any("optimizer" in path for path in slim(MODEL, "kernel", "slot", aside={"slot"}))
    assert slim(MODEL, "kernel", "slot", "rate", aside={"slot"})["/model/optimizer/m"] == "slot!"


def test_silent_objects_stay_bare_but_not_below_the_root() -> None:
    graph = graph_of([({"model": 1, "step": 3}, ""), ({"seed": 2, "w": 4}, ""), ({}, "seed"),
                      ({}, "step"), ({}, "w")])  # fmt: skip
    left = slim(graph, "w", silent={"seed", "step"})
    assert left == {"": "", "/model": "", "/model/seed": "", "/model/w": "w!"}
    assert "/model/seed" not in slim(graph, "w")


def test_what_is_reached_through_dropped_objects_alone_keeps_the_way() -> None:
    graph = graph_of(
        [({"a": 1, "b": 2}, ""), ({"x": 3}, "lost_a"), ({"x": 3}, "lost_b"), ({}, "kept")]
    )
    assert slim(graph, "kept") == {"": "", "/a": "", "/a/x": "kept!"}


def test_a_cycle_is_no_way_to_stay() -> None:
    graph = graph_of([({"a": 1, "w": 3}, ""), ({"b": 2}, ""), ({"a": 1}, "lost"), ({}, "w")])
    assert slim(graph, "w") == {"": "", "/w": "w!"}


def test_a_save_counter_is_added_once() -> None:
    assert slim(MODEL, "kernel", save_counter_key="counter")["/save_counter"] == "counter"
    graph = graph_of([({"save_counter": 1, "w": 2}, ""), ({}, "old"), ({}, "w")])
    assert slim(graph, "w", save_counter_key="new") == {"": "", "/w": "w!", "/save_counter": "new"}


def test_what_newer_writers_add_stays() -> None:
    graph = TrackableObjectGraph()
    graph.CopyFrom(MODEL)
    graph.nodes[3].registered_saver.name = "saver"
    data = slim_object_graph(graph.SerializeToString(), {"kernel": "kernel"})
    left = TrackableObjectGraph.FromString(data)
    (kernel,) = [node for node in left.nodes if node.attributes]
    assert kernel.registered_saver.name == "saver"
    assert kernel.has_checkpoint_values.value


def test_deep_graphs_need_no_deep_stack() -> None:
    nodes: list[tuple[dict[str, int], str]] = [({"n": n + 1}, "") for n in range(50_000)]
    graph = graph_of([*nodes, ({}, "w")])
    left = slim_object_graph(graph.SerializeToString(), {"w": "w"})
    assert left == graph.SerializeToString()


@pytest.mark.parametrize("data", [b"", b"\xff\xff\xff", graph_of([({"x": 9}, "")])])
def test_what_is_no_graph(data: object) -> None:
    raw = data if isinstance(data, bytes) else data.SerializeToString()  # type: ignore[attr-defined]
    with pytest.raises(DamagedFileError):
        slim_object_graph(raw, {})


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_no_damage_does_harm(data: st.DataObject) -> None:
    graph = bytearray(MODEL.SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        graph[data.draw(st.integers(0, len(graph) - 1))] = data.draw(st.integers(0, 255))
    with suppress(DamagedFileError):
        slim_object_graph(bytes(graph), {"kernel": "kernel"}, silent={"rate"})
