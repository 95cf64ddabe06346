"""Whether training could resume: by hand-made variables, and on checkpoints of every optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from ckptviewer.analysis.resume import SlotCoverage, TrainingState, training_state
from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint, Region
from ckptviewer.checkpoint.errors import DamagedFileError
from ckptviewer.checkpoint.roles import describe_by_name
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.registry import best_match
from tests.keras_builders import Written, keras_2, keras_3, saver


class Remembered(Checkpoint):
    """A name-based checkpoint in memory; None is a value that cannot be read."""

    def __init__(
        self,
        values: Mapping[str, np.ndarray | None],
        *,
        trainable: set[str] | None = None,
        moving_averages: set[str] | None = None,
    ) -> None:
        empty = np.zeros((), np.float32)
        self._values = values
        arrays = {key: empty if value is None else value for key, value in values.items()}
        entries = [(key, value.dtype.name, value.shape) for key, value in arrays.items()]
        described = describe_by_name(
            entries,
            trainable=trainable,
            all_variables=set(values),
            moving_averages=moving_averages,
        )
        variables = [
            Variable(
                key=entry[0],
                name=told.name,
                dtype=entry[1],
                shape=entry[2],
                stored_bytes=arrays[entry[0]].nbytes,
                role=told.role,
                slot_of=told.slot_of,
                slot_name=told.slot_name,
                trainable=told.trainable,
            )
            for entry, told in zip(entries, described, strict=True)
        ]
        super().__init__(path="memory", format_name="memory", variables=variables)
        self.were_read: list[str] = []

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        self.were_read.append(variable.key)
        value = self._values[variable.key]
        if value is None:
            raise DamagedFileError("it is gone")
        return value

    def chunks(self, variable: Variable, chunk_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        raise AssertionError("scalars are read whole")


MATRIX, VECTOR = np.ones((4, 3), np.float32), np.ones(3, np.float32)


def layer(name: str, *slots: str) -> dict[str, np.ndarray | None]:
    values: dict[str, np.ndarray | None] = {f"{name}/kernel": MATRIX, f"{name}/bias": VECTOR}
    for slot in slots:
        values |= {f"{key}/{slot}": value for key, value in list(values.items())[:2]}
    return values


def scalar(value: float, dtype: type[np.generic] = np.float32) -> np.ndarray:
    return np.asarray(value, dtype)


def state_of(values: Mapping[str, np.ndarray | None], **facts: set[str]) -> TrainingState:
    return training_state(Remembered(values, **facts))


def test_a_whole_training() -> None:
    state = state_of(
        {
            "global_step": scalar(18_000, np.int64),
            "learning_rate": scalar(0.5),
            **layer("a", "Adam", "Adam_1"),
            **layer("b", "Adam", "Adam_1"),
        }
    )
    assert state == TrainingState(
        step=18_000,
        step_key="global_step",
        learning_rate=0.5,
        slots={"Adam": SlotCoverage(have=4), "Adam_1": SlotCoverage(have=4)},
        resumable=True,
        explanation="Training could resume: step 18\N{THIN SPACE}000, "
        "slots Adam and Adam_1 for all 4 trainable variables.",
    )


def test_a_model_alone() -> None:
    state = state_of({"global_step": scalar(10, np.int64), **layer("a")})
    assert not state.resumable
    assert state.slots == {}
    assert state.learning_rate is None
    assert state.explanation == (
        "No optimizer state: good for inference; training would restart its optimizer. "
        "It was saved at step 10."
    )
    assert state_of(layer("a")).explanation.endswith("would restart its optimizer.")


def test_moving_averages_are_no_optimizers_slots() -> None:
    state = state_of(layer("a", "ExponentialMovingAverage"))
    assert not state.resumable
    assert state.slots == {}


def test_plain_gradient_descent_keeps_no_slots() -> None:
    state = state_of(
        {"SGD/iter": scalar(3, np.int64), "SGD/learning_rate": scalar(0.1), **layer("a")}
    )
    assert state.resumable
    assert (state.step, state.step_key) == (3, "SGD/iter")
    assert "keeps no slots" in state.explanation


def test_a_slot_that_some_variables_lack() -> None:
    values = {**layer("a", "Adam", "Adam_1"), **layer("b", "Adam", "Adam_1")}
    del values["b/bias/Adam_1"]
    state = state_of(values)
    assert not state.resumable
    assert state.slots["Adam"] == SlotCoverage(have=4)
    assert state.slots["Adam_1"] == SlotCoverage(have=3, missing=("b/bias",))
    assert state.explanation == (
        "Training could resume in part only: of 4 trainable variables, Adam_1 is missing for 1."
    )


def test_trained_variables_without_any_slot() -> None:
    values = {**layer("a", "Adam"), **layer("b")}
    assert state_of(values).resumable  # nothing says that b was trained
    state = state_of(values, trainable={"a/kernel", "a/bias", "b/kernel", "b/bias"})
    assert not state.resumable
    assert "2 without any slot" in state.explanation


def test_two_optimizers_share_the_variables_between_them() -> None:
    state = state_of({**layer("deep", "Adagrad"), **layer("wide", "Ftrl", "Ftrl_1")})
    assert state.resumable
    assert {name: coverage.missing for name, coverage in state.slots.items()} == {
        "Adagrad": (),
        "Ftrl": (),
        "Ftrl_1": (),
    }


def test_slots_of_matrices_only_are_not_missing_elsewhere() -> None:
    values = {"a/kernel": MATRIX, "a/kernel/vr": VECTOR, "a/kernel/vc": VECTOR, "a/bias": VECTOR}
    assert state_of({**values, "a/bias/v": VECTOR}).resumable


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (["global_step", "Adam/iterations", "save_counter"], "global_step"),
        (["Adam/iterations", "save_counter", "step"], "Adam/iterations"),
        (["step", "save_counter"], "step"),
        (["save_counter"], "save_counter"),
        (["longer/global_step", "global_step"], "global_step"),
    ],
)
def test_which_counter_tells_the_step(keys: list[str], told: str) -> None:
    values: dict[str, np.ndarray | None] = {
        key: scalar(100 + number, np.int64) for number, key in enumerate(keys)
    }
    state = state_of(values)
    assert (state.step, state.step_key) == (100 + keys.index(told), told)


def test_a_save_counter_is_not_called_a_step() -> None:
    state = state_of({"save_counter": scalar(3, np.int64), **layer("a", "Adam")})
    assert "save 3" in state.explanation
    assert "step" not in state.explanation


def test_what_cannot_be_read_counts_as_absent() -> None:
    values = {"global_step": None, "save_counter": scalar(2, np.int64), "learning_rate": None}
    state = state_of({**values, **layer("a", "Adam")})
    assert (state.step, state.step_key, state.learning_rate) == (2, "save_counter", None)
    assert state.resumable


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_a_step_that_is_no_number_of_steps(value: float) -> None:
    assert state_of({"global_step": scalar(value)}).step is None


def test_a_handful_of_scalars_is_read_and_nothing_else() -> None:
    checkpoint = Remembered(
        {
            "global_step": scalar(1, np.int64),
            "learning_rate": scalar(0.1),
            "beta1_power": scalar(0.9),
            **{key: value for n in range(50) for key, value in layer(f"l{n}", "Adam").items()},
        }
    )
    training_state(checkpoint)
    assert checkpoint.were_read == ["global_step", "learning_rate"]


def test_an_empty_checkpoint() -> None:
    state = state_of({})
    assert (state.step, state.step_key, state.resumable) == (None, "", False)


FLAVOURS: dict[str, tuple[Callable[[Path], Written], list[str], int, float | None]] = {
    "keras3-adam": (
        lambda path: keras_3(path, keras.optimizers.Adam(0.5)),
        ["momentum", "velocity"],
        6,
        0.5,
    ),
    "keras3-schedule": (
        lambda path: keras_3(
            path,
            keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.5, 10), momentum=0.9),
        ),
        ["momentum"],
        6,
        None,
    ),
    "keras3-loss-scale": (
        lambda path: keras_3(path, keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.5))),
        ["momentum", "velocity"],
        6,
        0.5,
    ),
    "keras3-muon": (
        lambda path: keras_3(path, keras.optimizers.Muon(0.5)),
        ["momentum", "velocity"],
        6,
        0.5,
    ),
    "keras3-adafactor": (
        lambda path: keras_3(path, keras.optimizers.Adafactor(0.5)),
        ["c", "r", "velocity"],
        6,
        0.5,
    ),
    "keras2-adam": (
        lambda path: keras_2(path, tf_keras.optimizers.Adam(0.5)),
        ["m", "v"],
        6,
        0.5,
    ),
    "legacy-sgd": (
        lambda path: keras_2(path, tf_keras.optimizers.legacy.SGD(0.5)),
        [],
        0,
        0.5,
    ),
    "saver": (
        lambda path: saver(path, tf.compat.v1.train.AdamOptimizer, average=True),
        ["Adam", "Adam_1"],
        4,
        None,
    ),
}


def opened(path: Path) -> Checkpoint:
    found = best_match(path)
    assert found is not None
    return found[0].open(found[1].path)


@pytest.mark.parametrize("name", FLAVOURS)
def test_checkpoints_of_optimizers(name: str, tmp_path: Path) -> None:
    make, slots, trained, rate = FLAVOURS[name]
    with opened(make(tmp_path).prefix) as checkpoint:
        state = training_state(checkpoint)
    assert list(state.slots) == slots
    assert not any(coverage.missing for coverage in state.slots.values())
    assert state.resumable
    assert state.step == 0
    assert state.learning_rate == rate
    if trained:
        assert f"for all {trained} trainable variables" in state.explanation


@pytest.mark.parametrize(
    ("path", "step", "resumable"),
    [
        ("t2t_transformer_2shard/model.ckpt-1", 1, True),
        ("tfx_estimator_2shard/model.ckpt-10000", 10_000, True),
        ("tfx_sm_keras/variables/variables", 99, True),
        ("basicpitch_sm/variables/variables", 17_900, True),
        ("tfx_sm_2shard_assets/variables/variables", 10_000, False),
        ("onx_regression_ckpt/model", None, False),
    ],
)
def test_corpus(corpus: Path, path: str, step: int | None, resumable: bool) -> None:
    with opened(corpus / f"{path}.index") as checkpoint:
        state = training_state(checkpoint)
    assert (state.step, state.resumable) == (step, resumable)


def test_a_damaged_checkpoint_is_not_said_to_resume(tmp_path: Path) -> None:
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "m"),
        tensor_names=["w", "w/Adam", "w/Adam_1", "beta1_power"],
        shape_and_slices=[""] * 4,
        tensors=[tf.ones((4, 4))] * 3 + [tf.ones(())],
    )
    data = tmp_path / "m.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:100])
    found = best_match(tmp_path / "m.index")
    assert found is not None
    with found[0].open(found[1].path) as checkpoint:
        state = training_state(checkpoint)
    assert not state.resumable
    assert "3 variables cannot be read" in state.explanation


def test_slots_of_nobody_knows_whom_are_no_proof() -> None:
    values = {
        "model/w/.ATTRIBUTES/VARIABLE_VALUE": np.ones((2, 2), np.float32),
        "optimizer/_variables/2/.ATTRIBUTES/VARIABLE_VALUE": np.ones((2, 2), np.float32),
        "optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE": np.array(7),
    }
    state = training_state(Remembered(values))
    assert not state.resumable
    assert "cannot be told" in state.explanation
