"""Facts off .meta files, against the collections that TensorFlow put in them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.framework import variable_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from ckptviewer.checkpoint.errors import DamagedFileError, TruncatedFileError
from ckptviewer.checkpoint.roles import Description, describe_by_name
from ckptviewer.checkpoint.variable import Role
from ckptviewer.formats.graph_def import MetaFacts, read_meta_facts
from ckptviewer.storage.byte_source import LocalFile, MemoryBytes
from tests.keras_builders import Written, saver, stored

v1 = tf.compat.v1.train
MODEL = {"net/dense/kernel", "net/dense/bias", "net/bn/gamma", "net/bn/beta"}

FLAVOURS: dict[str, Callable[[Path], Written]] = {
    "adam": lambda path: saver(path, v1.AdamOptimizer),
    "averaged": lambda path: saver(path, lambda: v1.MomentumOptimizer(0.1, 0.9), average=True),
    "partitioned": lambda path: saver(path, v1.AdamOptimizer, average=True, partitions=2),
    "scoped": lambda path: saver(path, lambda: v1.RMSPropOptimizer(0.1), scope="training"),
    "ftrl": lambda path: saver(path, lambda: v1.FtrlOptimizer(0.1), scope="a/b"),
    "adadelta": lambda path: saver(path, v1.AdadeltaOptimizer),
    "plain": lambda path: saver(path, lambda: v1.GradientDescentOptimizer(0.1)),
}


@pytest.fixture(scope="session")
def flavour(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The prefix of a checkpoint that tf.train.Saver wrote, made once."""

    @cache
    def make(name: str) -> Path:
        return FLAVOURS[name](tmp_path_factory.mktemp(name)).prefix

    return make


def facts_of(prefix: Path) -> MetaFacts:
    return read_meta_facts(LocalFile(f"{prefix}.meta"))


def facts_in(message: meta_graph_pb2.MetaGraphDef) -> MetaFacts:
    return read_meta_facts(MemoryBytes(message.SerializeToString()))


def described(prefix: Path) -> dict[str, Description]:
    entries, facts = stored(prefix).entries, facts_of(prefix)
    found = describe_by_name(
        entries,
        trainable=facts.trainable,
        all_variables=facts.all_variables,
        moving_averages=facts.moving_averages,
    )
    return {key: told for (key, _, _), told in zip(entries, found, strict=True)}


@pytest.mark.parametrize("name", FLAVOURS)
def test_facts_are_those_of_the_collections(name: str, flavour: Callable[[str], Path]) -> None:
    facts = facts_of(flavour(name))
    assert facts.tensorflow_version == tf.__version__
    assert facts.trainable == MODEL
    keys = {key for key, _, _ in stored(flavour(name)).entries}
    assert facts.all_variables == keys  # a partitioned variable goes by the name of the whole
    has_averages = name in ("averaged", "partitioned")
    assert facts.moving_averages == (MODEL if has_averages else None)


@pytest.mark.parametrize(
    ("name", "slots"),
    [
        ("adam", ["Adam", "Adam_1"]),
        ("averaged", ["Momentum"]),
        ("partitioned", ["Adam", "Adam_1"]),
        ("scoped", ["RMSProp", "RMSProp_1"]),
        ("ftrl", ["Ftrl", "Ftrl_1"]),
        ("adadelta", ["Adadelta", "Adadelta_1"]),
        ("plain", []),
    ],
)
def test_names_of_a_saver_with_its_meta(
    name: str, slots: list[str], flavour: Callable[[str], Path]
) -> None:
    found = described(flavour(name))
    assert {key for key, told in found.items() if told.trainable} == MODEL
    assert {told.trainable for told in found.values()} == {True, False}
    assert found["net/dense/kernel"].role is Role.WEIGHT
    assert found["net/dense/bias"].role is Role.BIAS
    assert found["net/bn/gamma"].role is Role.NORMALIZATION
    assert found["net/bn/moving_mean"].role is Role.MOVING_STATISTIC
    assert found["global_step"].role is Role.COUNTER
    told_slots = {
        (told.slot_of, told.slot_name)
        for told in found.values()
        if told.role is Role.OPTIMIZER_SLOT
    }
    assert told_slots == {(owner, slot) for owner in MODEL for slot in slots}
    averages = {told.slot_of for told in found.values() if told.role is Role.MOVING_AVERAGE}
    assert averages == (MODEL if name in ("averaged", "partitioned") else set())


@pytest.mark.parametrize(
    ("path", "version", "trainable", "everything"),
    [
        ("onx_regression_ckpt/model.meta", "1.11.0", 2, 2),
        ("tfx_estimator_2shard/model.ckpt-10000.meta", "1.15.0", 20, 51),
        ("srv_v1_sharded_export/00000123/export.meta", "0.12.head", 3, 3),
    ],
)
def test_corpus(corpus: Path, path: str, version: str, trainable: int, everything: int) -> None:
    facts = read_meta_facts(LocalFile(corpus / path))
    message = meta_graph_pb2.MetaGraphDef.FromString((corpus / path).read_bytes())
    assert facts.tensorflow_version == message.meta_info_def.tensorflow_version == version
    assert facts.trainable is not None
    assert facts.all_variables is not None
    assert (len(facts.trainable), len(facts.all_variables)) == (trainable, everything)
    assert facts.moving_averages is None


def test_collections_of_plain_names() -> None:
    message = meta_graph_pb2.MetaGraphDef()
    message.collection_def["trainable_variables"].node_list.value.extend(["a/b:0", "c"])
    message.collection_def["losses"].node_list.value.append("loss:0")
    facts = facts_in(message)
    assert facts.trainable == {"a/b", "c"}
    assert facts.all_variables is None
    assert facts.tensorflow_version is None


def test_slices_go_by_the_name_of_the_whole() -> None:
    message = meta_graph_pb2.MetaGraphDef()
    for part in range(2):
        variable = variable_pb2.VariableDef(variable_name=f"w/part_{part}:0")
        variable.save_slice_info_def.full_name = "w"
        message.collection_def["variables"].bytes_list.value.append(variable.SerializeToString())
    assert facts_in(message).all_variables == {"w"}


def test_an_empty_collection_is_not_an_absent_one() -> None:
    message = meta_graph_pb2.MetaGraphDef()
    message.collection_def["trainable_variables"].bytes_list.SetInParent()
    facts = facts_in(message)
    assert facts.trainable == frozenset()
    assert facts.all_variables is None


class Watched(MemoryBytes):
    """Counts the bytes that are read."""

    bytes_read = 0

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> None:
        self.bytes_read += len(buffer)
        super().read_into(buffer, offset)


def test_the_graph_itself_is_not_read() -> None:
    message = meta_graph_pb2.MetaGraphDef()
    message.meta_info_def.tensorflow_version = "9.9"
    message.graph_def.node.add(name="x" * 10_000_000)
    message.collection_def["variables"].node_list.value.append("w:0")
    source = Watched(message.SerializeToString())
    assert read_meta_facts(source).all_variables == {"w"}
    assert source.bytes_read < 500_000


def test_other_kinds_of_fields_are_stepped_over() -> None:
    message = meta_graph_pb2.MetaGraphDef()
    message.meta_info_def.tensorflow_version = "9.9"
    strange = b"\x98\x06\x96\x01" + b"\x99\x06" + bytes(8) + b"\x9d\x06" + bytes(4)
    source = MemoryBytes(strange + message.SerializeToString() + strange)
    assert read_meta_facts(source).tensorflow_version == "9.9"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"\x0f", "not a MetaGraphDef"),
        (b"# a text file\n", "not a MetaGraphDef"),
        (b"\x0a\x03abc", "not a MetaGraphDef"),
        (b"\x22\x02\x0a\x09", "not a MetaGraphDef"),
        (b"\x80" * 12, "more than 64 bits"),
        (b"\x0a", "number runs beyond"),
        (b"\x62\x00" * 100_001, "more than 100,000 fields"),
    ],
)
def test_damage_is_named(data: bytes, says: str) -> None:
    with pytest.raises(DamagedFileError, match=says) as caught:
        read_meta_facts(MemoryBytes(data, "x.meta"))
    assert "x.meta" in str(caught.value)


def test_promises_beyond_the_end_take_no_memory() -> None:
    with pytest.raises(TruncatedFileError):
        read_meta_facts(MemoryBytes(b"\x22\xff\xff\xff\xff\x0f" + bytes(10)))


def test_every_truncation_is_noticed_or_harmless(flavour: Callable[[str], Path]) -> None:
    data = Path(f"{flavour('adam')}.meta").read_bytes()
    whole = read_meta_facts(MemoryBytes(data))
    for length in range(0, len(data), 997):
        try:
            facts = read_meta_facts(MemoryBytes(data[:length]))
        except DamagedFileError:
            continue
        for known in (facts.trainable, facts.all_variables):
            assert known is None or known <= (whole.all_variables or frozenset())


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_crash(data: bytes) -> None:
    try:
        read_meta_facts(MemoryBytes(data))
    except DamagedFileError:
        pass


@given(st.data())
def test_damaged_files_never_crash(data: st.DataObject) -> None:
    message = meta_graph_pb2.MetaGraphDef()
    message.meta_info_def.tensorflow_version = "2.21.0"
    variable = variable_pb2.VariableDef(variable_name="w:0", trainable=True)
    for name in ("variables", "trainable_variables"):
        message.collection_def[name].bytes_list.value.append(variable.SerializeToString())
    damaged = bytearray(message.SerializeToString())
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_meta_facts(MemoryBytes(bytes(damaged)))
    except DamagedFileError:
        pass
