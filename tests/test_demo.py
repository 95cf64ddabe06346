"""The demo is what its script says: real checkpoints that restore, and a training that taught."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

RESOURCES = Path(__file__).resolve().parent.parent / "resources"
DEMO = RESOURCES / "demo"
EARLY, LATE = DEMO / "digits.ckpt-40", DEMO / "digits.ckpt-600"
FILES = {
    "checkpoint",
    "digits-validation.npz",
    "digits.ckpt-40.data-00000-of-00001",
    "digits.ckpt-40.index",
    "digits.ckpt-600.data-00000-of-00001",
    "digits.ckpt-600.index",
    "digits.keras",
}
TRAINABLE = {
    "digits/conv/kernel": (3, 3, 1, 16),
    "digits/norm/gamma": (16,),
    "digits/norm/beta": (16,),
    "digits/hidden/kernel": (256, 32),
    "digits/hidden/bias": (32,),
    "digits/digit/kernel": (32, 10),
    "digits/digit/bias": (10,),
}


@pytest.fixture(scope="module")
def make_demo() -> ModuleType:
    """The script that made the demo, as a module."""
    spec = importlib.util.spec_from_file_location("make_demo", RESOURCES / "make_demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def validation(make_demo: ModuleType) -> Any:
    """The validation data that is shipped."""
    with np.load(DEMO / "digits-validation.npz", allow_pickle=False) as data:
        return make_demo.Digits(data["x"], data["y"])


def shapes_by_name(prefix: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every variable by the name that the object graph gives it."""
    import tensorflow as tf
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    reader = tf.train.load_checkpoint(str(prefix))
    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    graph.ParseFromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    shapes = reader.get_variable_to_shape_map()
    return {
        attribute.full_name: tuple(shapes[attribute.checkpoint_key])
        for node in graph.nodes
        for attribute in node.attributes
        if attribute.full_name
    }


def test_all_is_there_and_small() -> None:
    assert {path.name for path in DEMO.iterdir()} == FILES
    assert sum(path.stat().st_size for path in DEMO.iterdir()) < 1_500_000


@pytest.mark.parametrize("prefix", [EARLY, LATE], ids=["early", "late"])
def test_model_adam_and_moving_average_are_complete(prefix: Path) -> None:
    shapes = shapes_by_name(prefix)
    expected = dict(TRAINABLE)
    expected |= {"digits/norm/moving_mean": (16,), "digits/norm/moving_variance": (16,)}
    expected |= {"adam/iteration": (), "adam/learning_rate": ()}
    for name, shape in TRAINABLE.items():
        for slot in ("momentum", "velocity", "average"):
            expected[f"adam/{name.replace('/', '_')}_{slot}"] = shape
    assert {name: shape for name, shape in shapes.items() if "/" in name} == expected


def test_steps_are_those_in_the_names() -> None:
    import tensorflow as tf

    key = "model/optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE"
    for prefix, step in ((EARLY, 40), (LATE, 600)):
        assert tf.train.load_variable(str(prefix), key) == step


def test_latest_is_the_late_one() -> None:
    import tensorflow as tf

    assert tf.train.latest_checkpoint(str(DEMO)) == str(LATE)


def test_validation_data_are_those_left_out_of_training(
    make_demo: ModuleType, validation: Any
) -> None:
    _, expected = make_demo.load()
    np.testing.assert_array_equal(validation.x, expected.x)
    np.testing.assert_array_equal(validation.y, expected.y)
    assert validation.x.dtype == np.float32
    assert validation.y.dtype == np.int64


def test_restored_the_late_one_predicts_better(make_demo: ModuleType, validation: Any) -> None:
    # As README says; one picture more or less is left to the arithmetic of other processors.
    early = make_demo.accuracy_of_saved(EARLY, validation)
    late = make_demo.accuracy_of_saved(LATE, validation)
    assert early == pytest.approx(0.70, abs=0.01)
    assert late == pytest.approx(0.98, abs=0.01)


def test_the_model_file_knows_nothing_until_a_checkpoint_is_restored(
    make_demo: ModuleType, validation: Any
) -> None:
    import keras

    model = keras.models.load_model(DEMO / "digits.keras", safe_mode=True)
    assert make_demo.accuracy(model, validation) < 0.3
    make_demo.checkpoint_of(model).restore(str(LATE)).assert_consumed()
    assert make_demo.accuracy(model, validation) == pytest.approx(0.98, abs=0.01)


@pytest.mark.slow
def test_the_script_makes_it_anew(tmp_path: Path) -> None:
    script = RESOURCES / "make_demo.py"
    subprocess.run(
        [sys.executable, str(script), "--out", str(tmp_path)], check=True, capture_output=True
    )
    assert {path.name for path in tmp_path.iterdir()} == FILES
    for name in ("digits.ckpt-40", "digits.ckpt-600"):
        assert shapes_by_name(tmp_path / name) == shapes_by_name(DEMO / name)
    assert (tmp_path / "checkpoint").read_bytes() == (DEMO / "checkpoint").read_bytes()
