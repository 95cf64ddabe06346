"""Names, roles and owners off object graphs, against the objects that TensorFlow saved."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import keras
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow.core.protobuf import trackable_object_graph_pb2

from ckptviewer.checkpoint.errors import DamagedFileError
from ckptviewer.checkpoint.roles import (
    OBJECT_GRAPH_KEY,
    VALUE_SUFFIX,
    Description,
    describe_by_name,
)
from ckptviewer.checkpoint.variable import MODEL_ROLES, Role
from ckptviewer.formats.object_graph import columns_of_object_graph
from ckptviewer.formats.object_walk import Walker
from tests import keras_builders as build
from tests.formats.described import describe_object_graph
from tests.keras_builders import Stored, Written, keras_2, keras_3, stored, twins

Graph = trackable_object_graph_pb2.TrackableObjectGraph
LEGACY, NEW = tf_keras.optimizers.legacy, tf_keras.optimizers

FLAVOURS: dict[str, Callable[[Path], Written]] = {
    "keras3-sgd": lambda path: keras_3(path, keras.optimizers.SGD()),
    "keras3-momentum": lambda path: keras_3(path, keras.optimizers.SGD(momentum=0.9)),
    "keras3-adam": lambda path: keras_3(path, keras.optimizers.Adam()),
    "keras3-adam-ema": lambda path: keras_3(path, keras.optimizers.Adam(use_ema=True)),
    "keras3-amsgrad": lambda path: keras_3(path, keras.optimizers.Adam(amsgrad=True)),
    "keras3-adafactor": lambda path: keras_3(path, keras.optimizers.Adafactor()),
    "keras3-ftrl": lambda path: keras_3(path, keras.optimizers.Ftrl()),
    "keras3-lion": lambda path: keras_3(path, keras.optimizers.Lion()),
    "keras3-muon": lambda path: keras_3(path, keras.optimizers.Muon()),
    "keras3-rmsprop": lambda path: keras_3(
        path, keras.optimizers.RMSprop(momentum=0.9, centered=True)
    ),
    "keras3-accumulating": lambda path: keras_3(
        path, keras.optimizers.AdamW(gradient_accumulation_steps=2)
    ),
    "keras3-loss-scale": lambda path: keras_3(
        path, keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    ),
    "keras3-functional": lambda path: keras_3(path, keras.optimizers.Adam(), build.functional),
    "keras3-subclassed": lambda path: keras_3(path, keras.optimizers.Adam(), build.subclassed),
    "keras3-optimizer-first": lambda path: keras_3(
        path,
        keras.optimizers.Adam(),
        layout=lambda model, optimizer: {"a_optimizer": optimizer, "model": model},
    ),
    "keras3-optimizer-alone": lambda path: keras_3(
        path, keras.optimizers.Adam(), layout=lambda _, optimizer: {"optimizer": optimizer}
    ),
    "keras3-root": lambda path: keras_3(
        path, keras.optimizers.Adam(), layout=lambda model, _: {"root": model}
    ),
    "keras2-adam": lambda path: keras_2(path, NEW.Adam()),
    "keras2-adam-ema": lambda path: keras_2(path, NEW.Adam(use_ema=True)),
    "keras2-momentum": lambda path: keras_2(path, NEW.SGD(momentum=0.9)),
    "keras2-adafactor": lambda path: keras_2(path, NEW.Adafactor()),
    "keras2-functional": lambda path: keras_2(path, NEW.Adam(), build.functional),
    "keras2-subclassed": lambda path: keras_2(path, NEW.Adam(), build.subclassed),
    "legacy-sgd": lambda path: keras_2(path, LEGACY.SGD()),
    "legacy-momentum": lambda path: keras_2(path, LEGACY.SGD(momentum=0.9)),
    "legacy-amsgrad": lambda path: keras_2(path, LEGACY.Adam(amsgrad=True)),
    "legacy-ftrl": lambda path: keras_2(path, LEGACY.Ftrl()),
    "legacy-functional": lambda path: keras_2(path, LEGACY.Adam(), build.functional),
    "legacy-loss-scale": lambda path: keras_2(
        path, tf_keras.mixed_precision.LossScaleOptimizer(LEGACY.Adam())
    ),
    "twins-legacy": lambda path: twins(path, LEGACY.Adam()),
    "twins-new": lambda path: twins(path, NEW.Adam()),
    "twins-tensorflow1": lambda path: twins(path, tf.compat.v1.train.AdamOptimizer()),
}


@pytest.fixture(scope="session")
def flavour(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Written, Stored]]:
    """Makes the checkpoint of a flavour, once."""

    @cache
    def make(name: str) -> tuple[Written, Stored]:
        written = FLAVOURS[name](tmp_path_factory.mktemp(name))
        return written, stored(written.prefix)

    return make


Make = Callable[[str], tuple[Written, Stored]]


def described(checkpoint: Stored) -> dict[str, Description]:
    assert checkpoint.graph is not None
    found = describe_object_graph(checkpoint.graph, checkpoint.entries)
    assert len(found) == len(checkpoint.entries)
    return {key: told for (key, _, _), told in zip(checkpoint.entries, found, strict=True)}


@pytest.mark.parametrize("name", FLAVOURS)
def test_slots_belong_to_whom_the_optimizer_says(name: str, flavour: Make) -> None:
    written, checkpoint = flavour(name)
    shapes = {key: shape for key, _, shape in checkpoint.entries}
    numbers = checkpoint.numbers
    found: dict[Role, dict[float, float]] = {Role.OPTIMIZER_SLOT: {}, Role.MOVING_AVERAGE: {}}
    for key, told in described(checkpoint).items():
        if told.slot_of is not None and shapes[key]:
            assert told.slot_name
            found[told.role][numbers[key]] = numbers[told.slot_of]
    assert found[Role.OPTIMIZER_SLOT] == written.slots
    assert found[Role.MOVING_AVERAGE] == written.averages


@pytest.mark.parametrize("name", FLAVOURS)
def test_the_model_is_the_model_and_nothing_else_is(name: str, flavour: Make) -> None:
    written, checkpoint = flavour(name)
    found = described(checkpoint)
    model = {
        checkpoint.numbers[key]
        for key, told in found.items()
        if told.role in MODEL_ROLES and told.role is not Role.MOVING_AVERAGE
    }
    alone = name == "keras3-optimizer-alone"  # which knows of what it trains only
    assert model == (written.trained if alone else written.trained | written.frozen)
    for told in found.values():
        assert told.role is not Role.OTHER
        if told.slot_of is not None:
            assert found[told.slot_of].role in MODEL_ROLES


@pytest.mark.parametrize("name", FLAVOURS)
def test_trainable_is_what_an_optimizer_trains(name: str, flavour: Make) -> None:
    written, checkpoint = flavour(name)
    trained = {
        checkpoint.numbers[key]
        for key, told in described(checkpoint).items()
        if told.trainable is not None and told.trainable
    }
    keeps_nothing = name == "legacy-sgd"  # neither slots nor a list of what it trains
    assert trained == (set() if keeps_nothing else written.trained)


@pytest.mark.parametrize("name", FLAVOURS)
def test_paths_lead_through_the_graph_to_the_variable(name: str, flavour: Make) -> None:
    _, checkpoint = flavour(name)
    graph = Graph.FromString(checkpoint.graph)
    for key, told in described(checkpoint).items():
        if key == OBJECT_GRAPH_KEY or ".OPTIMIZER_SLOT" in key:
            continue
        node = graph.nodes[0]
        for part in told.object_path.split("/"):
            children = {child.local_name: child.node_id for child in node.children}
            node = graph.nodes[children[part]]
        assert key in [attribute.checkpoint_key for attribute in node.attributes]


@pytest.mark.parametrize("name", FLAVOURS)
def test_names_are_full_names_where_these_are_unique(name: str, flavour: Make) -> None:
    _, checkpoint = flavour(name)
    full_names = {
        attribute.checkpoint_key: attribute.full_name
        for node in Graph.FromString(checkpoint.graph).nodes
        for attribute in node.attributes
    }
    times = Counter(full_names.values())
    found = described(checkpoint)
    for key, told in found.items():
        full_name = full_names.get(key, "")
        assert told.name == (full_name if times[full_name] == 1 else told.object_path or key)
    names = [told.name for told in found.values()]
    assert len(set(names)) == len(names)


def test_kernels_go_by_their_layers_though_stored_below_the_optimizer(flavour: Make) -> None:
    found = described(flavour("keras3-adam")[1])
    told = found["model/optimizer/_trainable_variables/0/.ATTRIBUTES/VARIABLE_VALUE"]
    assert told.role is Role.WEIGHT
    assert told.object_path == "model/_functional/_operations/1/_kernel"
    assert told.name.endswith("dense/kernel") or "dense" in told.name


@pytest.mark.parametrize(
    ("name", "slots"),
    [
        ("keras3-adam", {"momentum", "velocity"}),
        ("keras3-adam-ema", {"momentum", "velocity", "average"}),
        ("keras3-amsgrad", {"momentum", "velocity", "velocity_hat"}),
        ("keras3-adafactor", {"r", "c", "velocity"}),
        ("keras3-ftrl", {"accumulator", "linear"}),
        ("keras3-accumulating", {"momentum", "velocity", "gradient_accumulator"}),
        ("keras2-adam-ema", {"m", "v", "average"}),
        ("keras2-adafactor", {"r", "c", "v"}),
        ("legacy-amsgrad", {"m", "v", "vhat"}),
        ("legacy-momentum", {"momentum"}),
        ("twins-tensorflow1", {"m", "v"}),
    ],
)
def test_words_of_slots(name: str, slots: set[str], flavour: Make) -> None:
    found = described(flavour(name)[1])
    assert {told.slot_name for told in found.values() if told.slot_name} == slots


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("keras3-adam", {Role.OPTIMIZER_STATE: 1, Role.COUNTER: 2, Role.METADATA: 1}),
        ("keras3-loss-scale", {Role.OPTIMIZER_STATE: 4, Role.COUNTER: 3, Role.METADATA: 1}),
        ("keras3-functional", {Role.OPTIMIZER_STATE: 1, Role.OPTIMIZER_SLOT: 32}),
        ("keras2-adam", {Role.OPTIMIZER_STATE: 1, Role.COUNTER: 2}),
        ("legacy-amsgrad", {Role.OPTIMIZER_STATE: 4, Role.COUNTER: 2}),
        ("legacy-ftrl", {Role.OPTIMIZER_STATE: 6, Role.COUNTER: 2}),
        ("legacy-sgd", {Role.OPTIMIZER_STATE: 3, Role.COUNTER: 2, Role.OPTIMIZER_SLOT: 0}),
        ("legacy-loss-scale", {Role.OPTIMIZER_STATE: 6, Role.COUNTER: 2}),
        ("twins-tensorflow1", {Role.OPTIMIZER_STATE: 2, Role.COUNTER: 1}),
    ],
)
def test_counts_of_what_is_not_the_model(name: str, counts: dict[Role, int], flavour: Make) -> None:
    found = Counter(told.role for told in described(flavour(name)[1]).values())
    assert {role: found[role] for role in counts} == counts


@pytest.fixture(scope="session")
def assorted(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """Everything that is no model: iterator, generator, table, metrics, counters, a copy."""
    net, copy = build.Twins(), build.Twins()
    data = iter(tf.data.Dataset.range(10))
    next(data)
    table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
    table.insert(tf.constant(["a"]), tf.constant([1], tf.int64))
    normalization = tf_keras.layers.Normalization()
    normalization.adapt(tf.ones((4, 2)))
    averages = tf.train.ExponentialMovingAverage(0.9)
    alone = tf.Variable(tf.ones(5), name="alone")
    averages.apply([alone])
    checkpoint = tf.train.Checkpoint(
        net=net,
        ema=copy,
        data=data,
        generator=tf.random.Generator.from_seed(1),
        table=table,
        normalization=normalization,
        global_step=tf.Variable(3, dtype=tf.int64),
        metric=tf_keras.metrics.AUC(num_thresholds=5),
        loss=tf_keras.metrics.Mean(),
        alone=alone,
        shadow=averages.average(alone),
        learning_rate=tf.Variable(0.1),
    )
    return stored(checkpoint.save(str(tmp_path_factory.mktemp("assorted") / "all")))


def test_roles_of_what_is_no_model(assorted: Stored) -> None:
    found = {
        key.replace(VALUE_SUFFIX, ""): (told.role, told.slot_of)
        for key, told in described(assorted).items()
        if not key.startswith(("net/", "metric/"))
    }
    for layer in "01":
        for leaf in "wb":
            owner = f"net/layers/{layer}/{leaf}{VALUE_SUFFIX}"
            assert found.pop(f"ema/layers/{layer}/{leaf}") == (Role.MOVING_AVERAGE, owner)
    assert found == {
        OBJECT_GRAPH_KEY: (Role.METADATA, None),
        "data/.ATTRIBUTES/ITERATOR_STATE": (Role.ITERATOR, None),
        "generator/_state_var": (Role.RNG, None),
        "table/.ATTRIBUTES/table-keys": (Role.OTHER, None),
        "table/.ATTRIBUTES/table-values": (Role.OTHER, None),
        "normalization/mean": (Role.MOVING_STATISTIC, None),
        "normalization/variance": (Role.MOVING_STATISTIC, None),
        "normalization/count": (Role.COUNTER, None),
        "global_step": (Role.COUNTER, None),
        "save_counter": (Role.COUNTER, None),
        "loss/total": (Role.METRIC, None),
        "loss/count": (Role.METRIC, None),
        "alone": (Role.WEIGHT, None),
        "shadow": (Role.MOVING_AVERAGE, "alone" + VALUE_SUFFIX),
        "learning_rate": (Role.OPTIMIZER_STATE, None),
    }
    metrics = [told for key, told in described(assorted).items() if key.startswith("metric/")]
    assert len(metrics) == 4
    assert {told.role for told in metrics} == {Role.METRIC}


def test_a_model_exported_by_keras_3_says_what_is_trainable(tmp_path: Path) -> None:
    model = build.functional(keras)
    model.export(str(tmp_path / "model"), verbose=False)
    found = described(stored(tmp_path / "model/variables/variables"))
    trained = {told.name for told in found.values() if told.trainable}
    assert trained == {variable.path for variable in model.trainable_variables}
    frozen = {told.name for told in found.values() if told.trainable is False}
    assert frozen == {variable.path for variable in model.non_trainable_variables}
    assert [told.name for told in found.values() if told.role is Role.RNG] == [
        variable.path for variable in model.variables if "seed" in variable.path
    ]
    repeated = {told.name for key, told in found.items() if key.startswith("_all_variables/")}
    assert repeated == {f"_all_variables/{variable.path}" for variable in model.weights}


@pytest.mark.parametrize(
    ("path", "counts", "trainable"),
    [
        (
            "tfx_sm_keras",
            {Role.WEIGHT: 3, Role.BIAS: 3, Role.OPTIMIZER_SLOT: 12, Role.METRIC: 4},
            (6, 0),
        ),
        (
            "basicpitch_sm",
            {Role.WEIGHT: 6, Role.BIAS: 6, Role.OPTIMIZER_SLOT: 36, Role.MOVING_STATISTIC: 6},
            (18, 6),
        ),
        ("tfjs_sm_int64", {Role.OTHER: 2, Role.METADATA: 1}, (0, 0)),
        ("srv_sm_v2_half_plus_two/00000123", {Role.WEIGHT: 2, Role.BIAS: 1}, (0, 0)),
    ],
)
def test_corpus(
    corpus: Path, path: str, counts: dict[Role, int], trainable: tuple[int, int]
) -> None:
    checkpoint = stored(corpus / path / "variables/variables")
    found = described(checkpoint)
    roles = Counter(told.role for told in found.values())
    assert {role: roles[role] for role in counts} == counts
    verdicts = Counter(told.trainable for told in found.values())
    assert (verdicts[True], verdicts[False]) == trainable
    shapes = {key: shape for key, _, shape in checkpoint.entries}
    for key, told in found.items():
        if told.role is Role.OPTIMIZER_SLOT:
            assert told.slot_of is not None
            assert shapes[told.slot_of] == shapes[key]
            assert key.startswith(told.slot_of.removesuffix(VALUE_SUFFIX))
            assert key.endswith(f"/{told.slot_name}{VALUE_SUFFIX}")


# Graphs made by hand


class Sketch:
    """An object graph in the making, by TensorFlow's own message."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.entries: list[tuple[str, str, tuple[int, ...]]] = []
        self.node()

    def node(self, *parents: tuple[int, str]) -> int:
        """A new object, the child of each parent under a name."""
        self.graph.nodes.add()
        number = len(self.graph.nodes) - 1
        for parent, name in parents:
            self.edge(parent, name, number)
        return number

    def edge(self, parent: int, name: str, number: int) -> None:
        self.graph.nodes[parent].children.add(local_name=name, node_id=number)

    def variable(
        self, key: str, shape: tuple[int, ...], *parents: tuple[int, str], full_name: str = ""
    ) -> int:
        number = self.node(*parents)
        self.graph.nodes[number].attributes.add(
            name="VARIABLE_VALUE", full_name=full_name, checkpoint_key=key
        )
        self.entries.append((key, "float32", shape))
        return number

    def described(self) -> dict[str, Description]:
        found = describe_object_graph(self.graph.SerializeToString(), self.entries)
        return {key: told for (key, _, _), told in zip(self.entries, found, strict=True)}


def keras_3_of_old(names: list[str]) -> Sketch:
    """Keras 3 before it stored its lists of slots: they are in `_variables` alone."""
    sketch = Sketch()
    model = sketch.node((0, "model"))
    optimizer = sketch.node((model, "optimizer"))
    everything = sketch.node((optimizer, "_variables"))
    trained = sketch.node((optimizer, "_trainable_variables"))
    sketch.node((optimizer, "_momentums"))
    sketch.variable("iterations", (), (everything, "0"), (optimizer, "_iterations"))
    slots = 1
    for number, name in enumerate(names):
        shape = (3, 2) if name.endswith("kernel") else (2,)
        layer = sketch.node((model, f"layer{number}"))
        place = (trained, str(number))
        sketch.variable(f"v{number}", shape, (layer, "x"), place, full_name=name)
        for word in ("momentum", "velocity"):
            full_name = f"adam/deep_{number}_{word}"
            place = (everything, str(slots))
            sketch.variable(f"v{number}.{word}", shape, place, full_name=full_name)
            slots += 1
    return sketch


def test_slots_in_no_list_and_of_other_names_belong_in_turn() -> None:
    names = ["block/kernel", "block/bias"] * 6  # ten and more: "10" comes after "9"
    for key, told in keras_3_of_old(names).described().items():
        owner, dot, word = key.partition(".")
        if dot:
            assert told[1:4] == (Role.OPTIMIZER_SLOT, owner, word)
        elif key != "iterations":
            assert told.slot_of is None
            assert told.role is (Role.WEIGHT if int(owner[1:]) % 2 == 0 else Role.BIAS)


def test_no_owner_is_better_than_a_wrong_one() -> None:
    sketch = Sketch()
    optimizer = sketch.node((0, "optimizer"))
    sketch.variable("iterations", (), (optimizer, "_iterations"))
    momentums = sketch.node((optimizer, "_momentums"))
    sketch.node((optimizer, "_variables"))
    for name in ("left", "right"):  # two of one name, and no order between them
        branch = sketch.node((0, name))
        sketch.variable(f"{name}/w", (2, 2), (branch, "w"), full_name="net/kernel")
    for index in "01":
        full_name = "Adam/m/net/kernel"
        sketch.variable(f"m{index}", (2, 2), (momentums, index), full_name=full_name)
    for key in ("m0", "m1"):
        assert sketch.described()[key][1:3] == (Role.OPTIMIZER_SLOT, None)


def test_shapes_tell_owners_of_one_name_apart() -> None:
    sketch = Sketch()
    optimizer = sketch.node((0, "optimizer"))
    sketch.variable("iterations", (), (optimizer, "_iterations"))
    momentums = sketch.node((optimizer, "_momentums"))
    sketch.node((optimizer, "_variables"))
    for name, shape in (("left", (2, 2)), ("right", (5, 2))):
        branch = sketch.node((0, name))
        sketch.variable(f"{name}/w", shape, (branch, "w"), full_name="net/kernel")
    for index, shape in (("0", (5, 2)), ("1", (2, 2))):
        full_name = "Adam/m/net/kernel"
        sketch.variable(f"m{index}", shape, (momentums, index), full_name=full_name)
    found = sketch.described()
    assert (found["m0"].slot_of, found["m1"].slot_of) == ("right/w", "left/w")


def test_a_model_inside_an_optimizers_wrapper_is_a_model_still() -> None:
    sketch = Sketch()
    wrapper = sketch.node((0, "optimizer"))
    layer = sketch.node((wrapper, "layer"))
    sketch.variable("kernel", (2, 2), (layer, "kernel"))
    assert sketch.described()["kernel"].role is Role.WEIGHT


def test_cycles_and_shared_objects() -> None:
    sketch = Sketch()
    model = sketch.node((0, "long"))
    inner = sketch.node((model, "inner"))
    sketch.edge(inner, "back", 0)
    sketch.edge(inner, "self", inner)
    sketch.variable("w", (2, 2), (inner, "w"), (model, "shared"), (0, "z"))
    assert sketch.described()["w"].object_path == "z"


def test_entries_that_the_graph_does_not_know_go_by_their_keys() -> None:
    sketch = Sketch()
    sketch.variable("known", (2, 2), (0, "known"))
    sketch.entries += [
        ("other/kernel" + VALUE_SUFFIX, "float32", (2, 2)),
        (OBJECT_GRAPH_KEY, "string", ()),
    ]
    expected = describe_by_name(sketch.entries[1:])
    assert list(sketch.described().values())[1:] == expected


def test_entries_that_are_not_in_the_file_are_none() -> None:
    sketch = Sketch()
    sketch.variable("gone", (2, 2), (0, "gone"))
    owner = sketch.variable("w", (2, 2), (0, "w"))
    optimizer = sketch.node((0, "optimizer"))
    slot = sketch.variable("w/m", (2, 2))
    sketch.graph.nodes[optimizer].slot_variables.add(
        original_variable_node_id=owner, slot_name="m", slot_variable_node_id=slot
    )
    del sketch.entries[0]
    assert sketch.described()["w/m"][1:4] == (Role.OPTIMIZER_SLOT, "w", "m")
    del sketch.entries[0]
    assert sketch.described()["w/m"][1:4] == (Role.OPTIMIZER_SLOT, None, "m")


def test_columns_are_the_descriptions(flavour: Make) -> None:
    checkpoint = flavour("keras3-adam-ema")[1]
    keys, dtypes, shapes = zip(*checkpoint.entries, strict=True)
    columns = columns_of_object_graph(checkpoint.graph or b"", keys, dtypes, shapes)
    assert list(zip(*columns, strict=True)) == list(described(checkpoint).values())


def test_a_checkpoint_of_nothing() -> None:
    assert describe_object_graph(b"", []) == []
    assert describe_object_graph(b"", [("a", "float32", ())])[0].role is Role.WEIGHT


# Damage and malice


@pytest.mark.parametrize("damage", [b"\xff", b"\x0a\x05abc", b"\x0a\x04\x0a\x02\x12\x05"])
def test_bytes_that_are_no_graph(damage: bytes) -> None:
    with pytest.raises(DamagedFileError, match="object graph"):
        describe_object_graph(damage, [("a", "float32", ())])


@pytest.mark.parametrize("number", [-1, 2, 2**31 - 1])
def test_edges_to_nowhere(number: int) -> None:
    sketch = Sketch()
    sketch.variable("w", (2,), (0, "w"))
    sketch.graph.nodes[0].children.add(local_name="x", node_id=number)
    with pytest.raises(DamagedFileError, match="object"):
        sketch.described()


@pytest.mark.parametrize("field", ["original_variable_node_id", "slot_variable_node_id"])
def test_slots_of_nothing(field: str) -> None:
    sketch = Sketch()
    sketch.variable("w", (2,), (0, "w"))
    sketch.graph.nodes[0].slot_variables.add(slot_name="m", **{field: 99})
    with pytest.raises(DamagedFileError, match="slot of object"):
        sketch.described()


def test_a_chain_of_objects_cannot_fill_the_memory() -> None:
    sketch = Sketch()
    for number in range(50_000):
        sketch.node((number, "next"))
    with pytest.raises(DamagedFileError, match="nested"):
        sketch.described()


def test_a_list_that_thousands_of_optimizers_share_is_read_a_few_times() -> None:
    sketch = Sketch()
    shared = sketch.node((0, "list"))
    for index in range(1000):
        sketch.variable(f"w{index}", (2,), (shared, str(index)))
    for number in range(1000):
        optimizer = sketch.node((0, f"o{number}"))
        for name in ("_iterations", "_learning_rate", "_momentums", "_trainable_variables"):
            sketch.edge(optimizer, name, shared)
    children = [node.children or None for node in sketch.graph.nodes]
    walk = Walker(children, wanted=(), slotted=(), size=100_000).walk()
    assert len(walk.optimizers) == 1000
    read = sum(len(edges) for optimizer in walk.optimizers for edges in optimizer.lists.values())
    assert read <= 8 * 1000
    assert len(sketch.described()) == 1000


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32))
def test_damaged_graphs_never_crash(seed: int, flavour: Make) -> None:
    checkpoint = flavour(("keras3-adam", "legacy-amsgrad", "twins-new")[seed % 3])[1]
    damaged = bytearray(checkpoint.graph or b"")
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 8)):
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    if chance.random() < 0.2:
        del damaged[chance.randrange(len(damaged)) :]
    try:
        found = describe_object_graph(bytes(damaged), checkpoint.entries)
    except DamagedFileError:
        return
    keys = {key for key, _, _ in checkpoint.entries}
    assert len(found) == len(keys)
    assert {told.slot_of for told in found} <= keys | {None}
