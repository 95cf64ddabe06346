"""What fuzzing found in the parsers, each as the smallest input that shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ckptviewer.checkpoint.errors import DamagedFileError
from ckptviewer.formats.npz import NpzFormat
from ckptviewer.formats.proto.object_graph_pb2 import ObjectGraph
from tests.formats.described import describe_object_graph


def test_a_slot_that_is_said_to_be_its_own_is_nobodys() -> None:
    graph = ObjectGraph()
    variable, optimizer = graph.nodes.add(), graph.nodes.add()
    variable.attributes.add(name="VARIABLE_VALUE", full_name="w", checkpoint_key="w")
    optimizer.slot_variables.add(
        original_variable_node_id=0, slot_name="m", slot_variable_node_id=0
    )
    (described,) = describe_object_graph(graph.SerializeToString(), [("w", "float32", (3,))])
    assert described.slot_of is None


def test_a_header_of_numpy_that_is_no_text_is_damage(tmp_path: Path) -> None:
    """Its version 3 is UTF-8."""
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x03\x00\x05\x00\x00\x00\xff \x7f\x80\x80")
    with pytest.raises(DamagedFileError, match="no text"):
        NpzFormat().open(tmp_path / "x.npy")
