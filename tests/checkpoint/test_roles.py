"""Roles, owners and slots as names tell them, by the conventions of who wrote them."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptviewer.checkpoint.roles import (
    OBJECT_GRAPH_KEY,
    VALUE_SUFFIX,
    Description,
    describe_by_name,
    role_of_leaf,
)
from ckptviewer.checkpoint.variable import MODEL_ROLES, Role

MATRIX, VECTOR, SCALAR = (4, 3), (3,), ()
Entry = tuple[str, str, tuple[int, ...]]


def floats(*named: tuple[str, tuple[int, ...]]) -> list[Entry]:
    return [(key, "float32", shape) for key, shape in named]


def described(entries: Iterable[Entry], **facts: set[str]) -> dict[str, Description]:
    entries = list(entries)
    found = describe_by_name(entries, **facts)
    assert len(found) == len(entries)
    return {entry[0]: description for entry, description in zip(entries, found, strict=True)}


@pytest.mark.parametrize(
    ("name", "dtype", "shape", "role"),
    [
        ("dense/kernel", "float32", MATRIX, Role.WEIGHT),
        ("dense/kernel", "int8", MATRIX, Role.WEIGHT),
        ("_kernel", "float32", MATRIX, Role.WEIGHT),
        ("lstm/recurrent_kernel", "float32", MATRIX, Role.WEIGHT),
        ("conv1/weights", "float32", MATRIX, Role.WEIGHT),
        ("shared/weights_11", "float32", MATRIX, Role.WEIGHT),
        ("word_embeddings", "float32", MATRIX, Role.WEIGHT),
        ("W", "float32", SCALAR, Role.WEIGHT),
        ("w0", "float32", MATRIX, Role.WEIGHT),
        ("transformer.h.0.attn.c_attn.weight", "float32", MATRIX, Role.WEIGHT),
        ("dense/bias", "float32", VECTOR, Role.BIAS),
        ("conv1/biases", "float32", VECTOR, Role.BIAS),
        ("b", "float32", SCALAR, Role.BIAS),
        ("b1", "float32", VECTOR, Role.BIAS),
        ("linear_model/bias_weights", "float32", VECTOR, Role.BIAS),
        ("cls/predictions/output_bias", "float32", VECTOR, Role.BIAS),
        ("lstm.bias_hh_l0", "float32", VECTOR, Role.BIAS),
        ("bn/gamma", "float32", VECTOR, Role.NORMALIZATION),
        ("bn/beta", "float32", VECTOR, Role.NORMALIZATION),
        ("bn/beta_1", "float32", VECTOR, Role.NORMALIZATION),
        ("layer_norm/layer_norm_scale", "float32", VECTOR, Role.NORMALIZATION),
        ("LayerNorm/scale", "float32", VECTOR, Role.NORMALIZATION),
        ("LayerNorm/bias", "float32", VECTOR, Role.NORMALIZATION),
        ("model/h0/ln_1/g", "float32", VECTOR, Role.NORMALIZATION),
        ("model/h0/ln_1/b", "float32", VECTOR, Role.NORMALIZATION),
        ("layer1.0.bn2.weight", "float32", VECTOR, Role.NORMALIZATION),
        ("model.layers.0.input_layernorm.weight", "float32", VECTOR, Role.NORMALIZATION),
        ("bn/moving_mean", "float32", VECTOR, Role.MOVING_STATISTIC),
        ("bn/moving_variance", "float32", VECTOR, Role.MOVING_STATISTIC),
        ("layer1.0.bn2.running_var", "float32", VECTOR, Role.MOVING_STATISTIC),
        ("conv0/bn/mean/EMA", "float32", VECTOR, Role.MOVING_STATISTIC),
        ("bn/moving_mean/biased", "float32", VECTOR, Role.MOVING_STATISTIC),
        ("bn/moving_mean/local_step", "float32", SCALAR, Role.COUNTER),
        ("layer1.0.bn2.num_batches_tracked", "int64", SCALAR, Role.COUNTER),
        ("global_step", "int64", SCALAR, Role.COUNTER),
        ("global_step", "float32", SCALAR, Role.COUNTER),
        ("save_counter", "int64", SCALAR, Role.COUNTER),
        ("train_stats/problem_0_steps", "int32", SCALAR, Role.COUNTER),
        ("beta1_power", "float32", SCALAR, Role.OPTIMIZER_STATE),
        ("training/beta2_power_1", "float32", SCALAR, Role.OPTIMIZER_STATE),
        ("beta_1", "float32", SCALAR, Role.OPTIMIZER_STATE),
        ("optimizer/learning_rate", "float32", SCALAR, Role.OPTIMIZER_STATE),
        ("loss_scale/good_steps", "int64", SCALAR, Role.OPTIMIZER_STATE),
        ("current_loss_scale", "float32", SCALAR, Role.OPTIMIZER_STATE),
        ("accuracy/total", "float32", SCALAR, Role.METRIC),
        ("accuracy/count", "float32", SCALAR, Role.METRIC),
        ("losses_avg/problem_0/training_loss", "float32", SCALAR, Role.METRIC),
        ("auc/true_positives", "float32", (200,), Role.METRIC),
        ("normalization/count", "int64", SCALAR, Role.COUNTER),
        ("seed_generator/seed_generator_state", "uint32", (2,), Role.RNG),
        ("rng_state", "int64", VECTOR, Role.RNG),
        ("iterator", "variant", SCALAR, Role.ITERATOR),
        ("anything", "float32", MATRIX, Role.WEIGHT),
        ("anything", "bfloat16", SCALAR, Role.WEIGHT),
        ("anything", "int64", VECTOR, Role.OTHER),
        ("anything", "string", SCALAR, Role.OTHER),
        ("", "float32", SCALAR, Role.WEIGHT),
    ],
)
def test_role_of_leaf(name: str, dtype: str, shape: tuple[int, ...], role: Role) -> None:
    assert role_of_leaf(name, dtype, shape) is role


def test_one_name_in_a_file_has_the_role_it_has_alone() -> None:
    names = [
        "a/dense/bias",
        "a/LayerNorm/bias",
        "a/bn_3/scale",
        "a/dense/scale",
        "a/b1",
        "a/ln_1/b",
    ]
    alone = {name: role_of_leaf(name, "float32", VECTOR) for name in names}
    assert {Role.BIAS, Role.NORMALIZATION, Role.WEIGHT} == set(alone.values())
    # Twice, so that what was learned of a leaf is used, too, and in both orders.
    for order in (names, names[::-1]):
        entries = floats(*((f"{scope}/{name}", VECTOR) for scope in "xy" for name in order))
        for key, description in described(entries).items():
            assert description.role is alone[key[2:]], key


@pytest.mark.parametrize(
    ("slot", "word"),
    [
        ("dense/kernel/Adam", "Adam"),
        ("dense/kernel/Adam_1", "Adam_1"),
        ("dense/kernel/Adam_3", "Adam_3"),
        ("dense/kernel/Momentum", "Momentum"),
        ("dense/kernel/RMSProp_1", "RMSProp_1"),
        ("dense/kernel/Adadelta", "Adadelta"),
        ("dense/kernel/adam_m", "adam_m"),
        ("dense/kernel/adam_v", "adam_v"),
        ("dense/kernel/LARSOptimizer", "LARSOptimizer"),
        ("dense/kernel/t_0/Adagrad", "Adagrad"),
        ("dense/kernel/part_2/Ftrl_1", "Ftrl_1"),
        ("training/dense/kernel/Adam", "Adam"),
        ("OptimizeLoss/inner/dense/kernel/Adam", "Adam"),
        ("dense/kernel/dense/kernel/part_0/Adagrad", "Adagrad"),
        ("training/Ftrl/dense/kernel/accumulator", "accumulator"),
        ("training/Adam/dense/kernel/m", "m"),
        ("Adam/dense/kernel/vhat", "vhat"),
        ("dense/kernel/OwnOptimizer", "OwnOptimizer"),
        ("dense/kernel_slot_v", "v"),
    ],
)
def test_slots_belong_to_the_variable_that_they_name(slot: str, word: str) -> None:
    found = described(floats(("dense/bias", VECTOR), ("dense/kernel", MATRIX), (slot, MATRIX)))
    assert found[slot][1:4] == (Role.OPTIMIZER_SLOT, "dense/kernel", word)
    assert found["dense/kernel"].role is Role.WEIGHT
    assert found["dense/kernel"].slot_of is None


@pytest.mark.parametrize("word", ["vr", "vc"])
def test_factored_slots_have_other_shapes_than_their_owners(word: str) -> None:
    found = described(floats(("kernel", MATRIX), (f"kernel/{word}", VECTOR)))
    assert found[f"kernel/{word}"][1:4] == (Role.OPTIMIZER_SLOT, "kernel", word)


def test_factored_slots_of_mesh_tensorflow() -> None:
    found = described(floats(("q", MATRIX), ("q_slot_vr", (4,)), ("q_slot_vc", (3,))))
    assert found["q_slot_vr"][1:4] == (Role.OPTIMIZER_SLOT, "q", "vr")
    assert found["q_slot_vc"][1:4] == (Role.OPTIMIZER_SLOT, "q", "vc")


def test_a_slot_without_its_owner_stays_a_slot() -> None:
    found = described(floats(("dense/kernel/Adam", MATRIX), ("other/kernel", MATRIX)))
    assert found["dense/kernel/Adam"][1:3] == (Role.OPTIMIZER_SLOT, None)


@pytest.mark.parametrize(
    "name", ["Momentum", "Adam", "m", "v", "velocity", "attention/v", "cell/m"]
)
def test_variables_that_are_called_like_slots_are_the_models(name: str) -> None:
    found = described(floats((name, MATRIX), ("attention/kernel", MATRIX)))
    assert found[name].role in MODEL_ROLES
    assert found[name].slot_of is None


def test_beta_is_normalization_and_its_powers_are_not() -> None:
    found = described(
        floats(("bn/beta", VECTOR), ("bn/beta/Adam", VECTOR), ("beta1_power", SCALAR))
    )
    assert [description.role for description in found.values()] == [
        Role.NORMALIZATION,
        Role.OPTIMIZER_SLOT,
        Role.OPTIMIZER_STATE,
    ]


@pytest.mark.parametrize(
    ("average", "word"),
    [
        ("dense/kernel/ExponentialMovingAverage", "ExponentialMovingAverage"),
        ("tower/dense/kernel/ExponentialMovingAverage", "ExponentialMovingAverage"),
        ("dense/kernel/ema", "ema"),
        ("dense/kernel/MovingAverage", "MovingAverage"),
        ("ema/dense/kernel", "ema"),
        ("model_ema/dense/kernel", "model_ema"),
    ],
)
def test_moving_averages_belong_to_what_they_average(average: str, word: str) -> None:
    found = described(floats(("dense/kernel", MATRIX), (average, MATRIX)))
    assert found[average][1:4] == (Role.MOVING_AVERAGE, "dense/kernel", word)


@pytest.mark.parametrize(
    ("leaf", "role"),
    [("kernel_{}", Role.WEIGHT), ("b{}", Role.BIAS), ("beta_{}", Role.NORMALIZATION)],
)
def test_numbers_at_the_end_change_nothing(leaf: str, role: Role) -> None:
    found = described(floats(*((f"scope/{leaf.format(number)}", VECTOR) for number in range(20))))
    assert {told.role for told in found.values()} == {role}


def test_numbers_at_the_end_of_decay_rates_and_slots_count() -> None:
    entries = floats(("beta_1", SCALAR), ("beta_2", SCALAR), ("beta_7", VECTOR), ("w0", MATRIX))
    entries += floats(*((f"w0/Adam_{number}", MATRIX) for number in range(3)))
    found = described(entries)
    assert [told.role for told in found.values()] == [
        *[Role.OPTIMIZER_STATE] * 2,
        Role.NORMALIZATION,
        Role.WEIGHT,
        *[Role.OPTIMIZER_SLOT] * 3,
    ]
    assert {told.slot_of for told in found.values()} == {None, "w0"}


def test_words_that_merely_contain_ema_are_no_averages() -> None:
    found = described(floats(("schema/kernel", MATRIX), ("kernel", MATRIX), ("semantic/w", MATRIX)))
    assert {description.role for description in found.values()} == {Role.WEIGHT}


def test_an_average_of_an_own_name_is_told_by_the_meta() -> None:
    entries = floats(("kernel", MATRIX), ("kernel/polyak", MATRIX))
    assert described(entries)["kernel/polyak"].role is Role.OPTIMIZER_SLOT
    found = described(entries, moving_averages={"kernel"})
    assert found["kernel/polyak"][1:4] == (Role.MOVING_AVERAGE, "kernel", "polyak")


def test_trainable_is_known_from_the_meta_alone() -> None:
    entries = floats(("w", MATRIX), ("w/Adam", MATRIX), ("frozen", MATRIX), ("new", MATRIX))
    assert {description.trainable for description in described(entries).values()} == {None}
    facts = {"trainable": {"w"}, "all_variables": {"w", "w/Adam", "frozen"}}
    found = described(entries, **facts)
    assert {key: description.trainable for key, description in found.items()} == {
        "w": True,
        "w/Adam": False,
        "frozen": False,
        "new": None,
    }
    only_one = describe_by_name(entries, trainable={"w"})
    assert {description.trainable for description in only_one} == {None}


def test_names_leave_out_what_only_the_file_needs() -> None:
    found = described(
        [
            ("dense/kernel:0", "float32", MATRIX),
            ("model/dense/kernel" + VALUE_SUFFIX, "float32", MATRIX),
            (OBJECT_GRAPH_KEY, "string", SCALAR),
        ]
    )
    assert [description.name for description in found.values()] == [
        "dense/kernel",
        "model/dense/kernel",
        OBJECT_GRAPH_KEY,
    ]


def test_keys_of_an_object_based_checkpoint_without_its_graph() -> None:
    def value(path: str, shape: tuple[int, ...] = MATRIX) -> Entry:
        return path + VALUE_SUFFIX, "float32", shape

    kernel = "model/dense/kernel" + VALUE_SUFFIX
    expected = {
        value("model/dense/kernel"): (Role.WEIGHT, None, ""),
        value("model/dense/kernel/.OPTIMIZER_SLOT/optimizer/m"): (
            Role.OPTIMIZER_SLOT,
            kernel,
            "m",
        ),
        value("model/dense/kernel/.OPTIMIZER_SLOT/optimizer/average"): (
            Role.MOVING_AVERAGE,
            kernel,
            "average",
        ),
        value("gone/kernel/.OPTIMIZER_SLOT/optimizer/m"): (Role.OPTIMIZER_SLOT, None, "m"),
        value("model/optimizer/_trainable_variables/0"): (Role.WEIGHT, None, ""),
        value("model/optimizer/_variables/3"): (Role.OPTIMIZER_SLOT, None, ""),
        value("optimizer/_learning_rate", SCALAR): (Role.OPTIMIZER_STATE, None, ""),
        value("optimizer/_iterations", SCALAR): (Role.COUNTER, None, ""),
        value("keras_api/metrics/0/total", SCALAR): (Role.METRIC, None, ""),
        value("ema/dense/kernel"): (Role.MOVING_AVERAGE, None, ""),
        ("layer/.ATTRIBUTES/OBJECT_CONFIG_JSON", "string", SCALAR): (Role.METADATA, None, ""),
        ("data/.ATTRIBUTES/ITERATOR_STATE", "string", VECTOR): (Role.ITERATOR, None, ""),
        ("table/.ATTRIBUTES/table-keys", "string", VECTOR): (Role.OTHER, None, ""),
        (OBJECT_GRAPH_KEY, "string", SCALAR): (Role.METADATA, None, ""),
    }
    found = described(expected)
    assert {key: tuple(description[1:4]) for key, description in found.items()} == {
        entry[0]: tuple(telling) for entry, telling in expected.items()
    }
    assert found[kernel].object_path == "model/dense/kernel"
    assert found[OBJECT_GRAPH_KEY].object_path == ""
    assert found["table/.ATTRIBUTES/table-keys"].name == "table/table-keys"


def bert(layers: int) -> list[Entry]:
    """The entries of a BERT with the slots of its own optimizer."""
    model: list[tuple[str, tuple[int, ...]]] = [("bert/embeddings/word_embeddings", (100, 8))]
    for layer in range(layers):
        scope = f"bert/encoder/layer_{layer}/attention"
        model += [
            (f"{scope}/self/query/kernel", (8, 8)),
            (f"{scope}/self/query/bias", (8,)),
            (f"{scope}/output/LayerNorm/beta", (8,)),
            (f"{scope}/output/LayerNorm/gamma", (8,)),
        ]
    slots = [(f"{key}/{word}", shape) for key, shape in model for word in ("adam_m", "adam_v")]
    return [*floats(*model, *slots), ("global_step", "int64", ())]


def test_counts_of_a_bert() -> None:
    found = described(bert(12))
    assert Counter(description.role for description in found.values()) == {
        Role.WEIGHT: 13,
        Role.BIAS: 12,
        Role.NORMALIZATION: 24,
        Role.OPTIMIZER_SLOT: 98,
        Role.COUNTER: 1,
    }
    for key, description in found.items():
        if description.role is Role.OPTIMIZER_SLOT:
            assert key == f"{description.slot_of}/{description.slot_name}"


_names = st.lists(
    st.sampled_from(
        [
            *("a", "kernel", "bias", "Adam", "Adam_1", "m", "ema", "t_0", "bn", "training", ""),
            *(":0", "b1", ".ATTRIBUTES", "VARIABLE_VALUE", ".OPTIMIZER_SLOT", "optimizer"),
            *("w_slot_v", "moving_mean"),
        ]
    ),
    min_size=1,
    max_size=6,
).map("/".join)
_shapes = st.sampled_from([(), (3,), (4, 3)])


@given(
    st.lists(
        st.tuples(_names, st.sampled_from(["float32", "int64", "string", "variant", "?"]), _shapes),
        unique_by=lambda entry: entry[0],
        max_size=30,
    )
)
def test_whatever_the_names_owners_exist_and_nothing_owns_itself(entries: list[Entry]) -> None:
    found = described(entries)
    for key, description in found.items():
        if description.slot_of is not None:
            assert description.slot_of in found
            assert description.slot_of != key
            assert description.role in (Role.OPTIMIZER_SLOT, Role.MOVING_AVERAGE)


def test_the_order_of_entries_does_not_matter() -> None:
    entries = [*bert(3), *floats(("ema/a/kernel", MATRIX), ("a/kernel", MATRIX))]
    assert described(entries) == described(reversed(entries))


def test_needs_no_numpy() -> None:
    script = "import sys, ckptviewer.checkpoint.roles; print('numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_corpus_roles_of_name_based_checkpoints(corpus: object) -> None:
    """Real ones: a Transformer with its Adam, an estimator with two optimizers at once."""
    import tensorflow as tf

    for prefix, counts in {
        "t2t_transformer_2shard/model.ckpt-1": {
            Role.WEIGHT: 49,
            Role.BIAS: 8,
            Role.NORMALIZATION: 24,
            Role.OPTIMIZER_SLOT: 162,
            Role.OPTIMIZER_STATE: 2,
            Role.COUNTER: 2,
            Role.METRIC: 3,
        },
        "tfx_estimator_2shard/model.ckpt-10000": {
            Role.WEIGHT: 14,
            Role.BIAS: 6,
            Role.OPTIMIZER_SLOT: 30,
            Role.COUNTER: 1,
        },
    }.items():
        reader = tf.train.load_checkpoint(f"{corpus}/{prefix}")
        shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        found = described((key, dtypes[key].name, tuple(shapes[key])) for key in sorted(shapes))
        assert Counter(description.role for description in found.values()) == counts
        for key, description in found.items():
            if description.role is Role.OPTIMIZER_SLOT:
                assert shapes[key] == shapes[description.slot_of]
                assert found[description.slot_of].role in MODEL_ROLES
