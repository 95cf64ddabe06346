"""The restore simulator on Keras' files, held against what Keras then loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import keras_builders  # TensorFlow and Keras, quietly

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
tf_keras = pytest.importorskip("tf_keras")

from ckptviewer.analysis.restore import (  # noqa: E402
    RestoreReport,
    can_be_model,
    simulate_restore,
)
from ckptviewer.analysis.restore_report import Rule  # noqa: E402
from ckptviewer.formats.resolve import open_checkpoint  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def net(outputs: int = 3, *, bias: bool = True, middle: bool = True) -> Any:
    layers = keras.layers
    stack = [
        keras.Input((4,)),
        layers.Dense(5, name="first"),
        layers.BatchNormalization(name="norm"),
    ]
    if middle:
        stack.append(layers.Dense(5, use_bias=bias, name="second"))
    model = keras.Sequential([*stack, layers.Dense(outputs, name="digits")], name="net")
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape))
    return model


def filled(model: Any) -> Any:
    for number, weight in enumerate(model.weights, 1):
        weight.assign(np.full(weight.shape, number))
    return model


def changed(model: Any) -> set[str]:
    return {
        "/".join(weight.path.split("/")[-2:]) for weight in model.weights if np.any(weight.numpy())
    }


def bound_names(report: RestoreReport) -> set[str]:
    return {each.target.name for each in report.bound if each.target.in_model}


def simulate(checkpoint: Any, model: Any) -> RestoreReport:
    with open_checkpoint(checkpoint) as ours, open_checkpoint(model) as theirs:
        return simulate_restore(ours, theirs)


@pytest.mark.parametrize(
    "program",
    [{}, {"outputs": 7}, {"bias": False}, {"middle": False}],
    ids=["same", "head", "a bias less", "a layer less"],
)
def test_weights_by_layers_paths(program: dict[str, Any], tmp_path: Path) -> None:
    filled(net()).save_weights(tmp_path / "a.weights.h5")
    model = net(**program)
    model.save(tmp_path / "model.keras")
    report = simulate(tmp_path / "a.weights.h5", tmp_path / "model.keras")
    assert report.rule is Rule.LAYER_PATH
    assert report.certain
    if report.raises:
        with pytest.raises(ValueError, match="could not be loaded"):
            model.load_weights(tmp_path / "a.weights.h5")
    else:
        model.load_weights(tmp_path / "a.weights.h5")
    assert bool(report.raises) == bool(program)
    assert bound_names(report) == changed(model)
    assert report.restores_model is (not program)


def test_the_partial_restore_of_another_head(tmp_path: Path) -> None:
    filled(net()).save_weights(tmp_path / "a.weights.h5")
    net(7).save(tmp_path / "model.keras")
    report = simulate(tmp_path / "a.weights.h5", tmp_path / "model.keras")
    assert report.head is not None
    assert report.head.layers == ("digits",)
    names: dict[str, Any] = {}
    with pytest.warns(UserWarning, match="could not be loaded"):
        exec(report.partial, names)
    assert changed(names["model"]) == bound_names(report)
    assert "digits/kernel" not in changed(names["model"])


def test_older_hdf5_goes_by_the_order_of_layers(tmp_path: Path) -> None:
    old = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, name="zebra"),
            keras.layers.BatchNormalization(name="middle"),
            keras.layers.Dense(5, name="another"),
            keras.layers.Dense(3, name="ape"),
        ]
    )
    filled(old).save_weights(tmp_path / "tmp.weights.h5")
    old.save(tmp_path / "old.h5")
    model = net()
    model.save(tmp_path / "model.keras")
    report = simulate(tmp_path / "old.h5", tmp_path / "model.keras")
    assert report.rule is Rule.LAYER_ORDER
    assert report.restores_model
    model.load_weights(tmp_path / "old.h5")
    loaded = {"/".join(w.path.split("/")[-2:]): w.numpy().flat[0] for w in model.weights}
    with open_checkpoint(tmp_path / "old.h5") as checkpoint:
        told = {
            each.target.name: checkpoint.read(checkpoint[each.key]).flat[0] for each in report.bound
        }
    assert {name: told[name] for name in loaded} == loaded
    assert any("called zebra in the checkpoint" in each.why for each in report.bound)


@pytest.mark.parametrize("program", [{"middle": False}, {"bias": False}, {"outputs": 7}])
def test_older_hdf5_that_does_not_fit(program: dict[str, Any], tmp_path: Path) -> None:
    filled(net()).save(tmp_path / "old.h5")
    model = net(**program)
    model.save(tmp_path / "model.keras")
    report = simulate(tmp_path / "old.h5", tmp_path / "model.keras")
    with pytest.raises(ValueError, match="mismatch") as raised:
        model.load_weights(tmp_path / "old.h5")
    assert report.raises.startswith("ValueError")
    if "outputs" not in program:
        assert report.raises.split(": ", 1)[1].split(".")[0] in str(raised.value)
    assert bound_names(report) == changed(model)


def test_a_whole_older_model_can_be_the_model(tmp_path: Path) -> None:
    filled(net()).save(tmp_path / "a.h5")
    net().save(tmp_path / "b.h5")
    report = simulate(tmp_path / "a.h5", tmp_path / "b.h5")
    assert report.rule is Rule.LAYER_ORDER
    assert report.restores_model
    with open_checkpoint(tmp_path / "a.h5") as whole:
        assert can_be_model(whole)


OPTIMIZERS = {
    "keras 3": lambda at: keras_builders.keras_3(at, keras.optimizers.Adam()),
    "keras 2": lambda at: keras_builders.keras_2(at, tf_keras.optimizers.Adam()),
    "legacy": lambda at: keras_builders.keras_2(at, tf_keras.optimizers.legacy.Adam()),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_optimizers_and_their_slots_bind_as_well(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    written = OPTIMIZERS[kind](tmp_path / "a")
    report = simulate(written.prefix, written.prefix)
    assert not report.unused
    assert not report.fresh
    assert [each.target.key for each in report.bound] == [each.key for each in report.bound]
    assert all(each.passes for each in report.statements)
    slots = [each for each in report.bound if each.target.role == "optimizer-slot"]
    assert len(slots) == len(written.slots)


def test_a_checkpoint_of_objects_onto_a_keras_file_goes_by_names(tmp_path: Path) -> None:
    model = filled(net())
    prefix = tf.train.Checkpoint(model=model).save(str(tmp_path / "a"))
    net().save(tmp_path / "model.keras")
    report = simulate(prefix, tmp_path / "model.keras")
    assert report.rule is Rule.NAME_MAP
    assert not report.certain
    assert report.restores_model
    assert report.call == f"tf.train.Checkpoint(model=model).restore({prefix!r})"
    assert "restore-inferred" in {each.code for each in report.findings}
    names: dict[str, Any] = {}
    exec(report.fix, names)
    for mine, theirs in zip(names["model"].weights, model.weights, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    restored = net()
    tf.train.Checkpoint(model=restored).restore(prefix).assert_existing_objects_matched()


def test_averages_that_an_optimizer_keeps_are_not_needed(tmp_path: Path) -> None:
    model = net()
    model.compile(optimizer=keras.optimizers.SGD(use_ema=True), loss="mse")
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    net().save_weights(tmp_path / "a.weights.h5")
    report = simulate(tmp_path / "a.weights.h5", tmp_path / "model.keras")
    assert any(each.target.role == "moving-average" for each in report.fresh)
    assert report.restores_model


def test_the_demo_restores_into_its_model() -> None:
    from ckptviewer.resources import demo_checkpoint, resource

    report = simulate(demo_checkpoint(), resource("demo/digits.keras"))
    assert report.restores_model
    assert len([each for each in report.bound if each.target.in_model]) == 9


def test_another_head_is_seen_by_names_as_well(tmp_path: Path) -> None:
    model = filled(net())
    prefix = tf.train.Checkpoint(model=model).save(str(tmp_path / "a"))
    net(7).save(tmp_path / "model.keras")
    report = simulate(prefix, tmp_path / "model.keras")
    assert report.head is not None
    assert report.head.layers == ("digits",)
    assert "7 outputs in the model and 3 in the checkpoint" in report.head.why
    names: dict[str, Any] = {}
    exec(report.partial, names)
    assert changed(names["model"]) == bound_names(report)
    assert len(bound_names(report)) == 8


@pytest.mark.parametrize("generation", [2, 3])
def test_of_a_saved_keras_model_it_says_what_tensorflow_says(
    generation: int, tmp_path: Path
) -> None:
    library = tf_keras if generation == 2 else keras
    model = keras_builders.sequential(library)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    tf.saved_model.save(model, str(tmp_path / "model"))
    prefix = tf.train.Checkpoint(model=model).save(str(tmp_path / "a"))
    report = simulate(prefix, tmp_path / "model")
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    status = eval(report.call, {"tf": tf, "model": loaded})
    assert report.rule is Rule.EDGES
    assert report.restores_model
    for statement in report.statements[1:]:
        said = ""
        try:
            getattr(status, statement.call.removesuffix("()"))()
        except AssertionError as error:
            said = str(error)
        assert statement.passes is (not said), statement
        assert not said or f"Found {len(report.fresh)} Python objects" in said
