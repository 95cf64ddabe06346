"""What exports write, with TensorFlow as the judge."""

from __future__ import annotations

import errno
import gc
import itertools
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ckptviewer.checkpoint.errors import TargetExistsError, UnwritableFileError
from ckptviewer.checkpoint.renaming import parse_rule
from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY
from ckptviewer.export.choices import CastRule, Choices, Preset
from ckptviewer.export.command import python_to_restore
from ckptviewer.export.execute import execute
from ckptviewer.export.planning import make_plan
from ckptviewer.export.receipt import Receipt
from ckptviewer.export.writers import format_of_name
from ckptviewer.formats.resolve import open_checkpoint
from tests import builders

INPUTS = np.random.default_rng(9).normal(size=(10, 6)).astype(np.float32)
INFERENCE = Choices(preset=Preset.INFERENCE)


def export(source: Path, target: Path, choices: Choices = INFERENCE, **options: Any) -> Receipt:
    options = {"share_equal": True, **options}
    with open_checkpoint(source) as checkpoint:
        return execute(make_plan(checkpoint, choices), checkpoint, target, **options)


@contextmanager
def told() -> Iterator[list[str]]:
    """What TensorFlow logs, the complaints of objects that are deleted at the end included."""
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Handler()
    gc.collect()
    tf.get_logger().addHandler(handler)
    try:
        yield lines
        gc.collect()
    finally:
        tf.get_logger().removeHandler(handler)


# Models of Keras 3


def layers() -> list[Any]:
    return [
        keras.layers.Dense(8, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(3),
    ]


def sequential() -> Any:
    return keras.Sequential([keras.layers.Input((6,)), *layers()])


def functional() -> Any:
    start = keras.layers.Input((6,))
    value = start
    for layer in layers():
        value = layer(value)
    return keras.Model(start, value)


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.drop, self.last = layers()

    def call(self, values: Any, training: bool = False) -> Any:
        values = self.norm(self.first(values), training=training)
        return self.last(self.drop(values, training=training))


def subclassed() -> Any:
    model = Subclassed()
    model(INPUTS)
    return model


KINDS: dict[str, Callable[[], Any]] = {
    "sequential": sequential,
    "functional": functional,
    "subclassed": subclassed,
}


class Trained:
    """A trained model and where tf.train.Checkpoint saved it; a fresh one of its kind."""

    def __init__(self, kind: str, directory: Path, **adam: Any) -> None:
        keras.utils.set_random_seed(4)
        self.fresh = KINDS[kind]
        self.model = self.fresh()
        self.model.compile(optimizer=keras.optimizers.Adam(0.01, **adam), loss="mse")
        rng = np.random.default_rng(1)
        values, wanted = rng.normal(size=(32, 6)), rng.normal(size=(32, 3))
        self.model.fit(values.astype(np.float32), wanted, epochs=1, verbose=0)
        saved = tf.train.Checkpoint(model=self.model).save(str(directory / kind))
        self.prefix = Path(saved)

    def assert_restores(self, target: Path) -> None:
        """A fresh model without optimizer restores it, completely and silently."""
        model = self.fresh()
        with told() as lines:
            status = tf.train.Checkpoint(model=model).restore(str(target))
            status.assert_existing_objects_matched()
            del status
        assert [line for line in lines if "restored" in line] == []
        np.testing.assert_array_equal(model(INPUTS).numpy(), self.model(INPUTS).numpy())


@pytest.fixture(scope="module", params=list(KINDS))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(request.param, tmp_path_factory.mktemp("keras"))


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained("sequential", tmp_path_factory.mktemp("averaged"), use_ema=True)


def test_the_source_itself_is_not_silent(trained: Trained) -> None:
    """What the assertion below guards against."""
    with told() as lines:
        tf.train.Checkpoint(model=trained.fresh()).restore(str(trained.prefix))
    assert any("optimizer" in line for line in lines)


def test_inference_restores_without_an_optimizer(trained: Trained, tmp_path: Path) -> None:
    receipt = export(trained.prefix, tmp_path / "slim")
    trained.assert_restores(tmp_path / "slim")
    values = builders.values_in(tmp_path / "slim")
    assert values.keys() == {each.key_written for each in receipt.kept}
    gone = {each.key: each.reason for each in receipt.dropped}
    assert any("iterations" in key for key in gone)
    assert any("slot of" in reason for reason in gone.values())
    assert all(gone.values())
    assert {finding.code for finding in receipt.findings} >= {"training-state-dropped"}


def test_all_keeps_the_optimizer(trained: Trained, tmp_path: Path) -> None:
    receipt = export(trained.prefix, tmp_path / "all", Choices())
    assert receipt.dropped == ()
    model = trained.fresh()
    model.compile(optimizer=keras.optimizers.Adam(0.5), loss="mse")
    model.optimizer.build(model.trainable_variables)
    status = tf.train.Checkpoint(model=model).restore(str(tmp_path / "all"))
    status.assert_existing_objects_matched()
    status.expect_partial()  # of metrics, which are made at the first call of `fit`
    pairs = zip(model.optimizer.variables, trained.model.optimizer.variables, strict=True)
    for mine, theirs in pairs:
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


def test_averages_in_the_place_of_weights(averaged: Trained, tmp_path: Path) -> None:
    choices = Choices(preset=Preset.INFERENCE, use_ema=True)
    receipt = export(averaged.prefix, tmp_path / "ema", choices)
    taken = [each for each in receipt.kept if each.taken_from]
    assert len(taken) == 6
    model = averaged.fresh()
    with told() as lines:
        status = tf.train.Checkpoint(model=model).restore(str(tmp_path / "ema"))
        status.assert_existing_objects_matched()
        del status
    assert [line for line in lines if "restored" in line] == []
    averages = averaged.model.optimizer._model_variables_moving_average
    for mine, average in zip(model.trainable_variables, averages, strict=True):
        np.testing.assert_array_equal(mine.numpy(), average.numpy())


def test_averages_kept_beside_the_weights_are_silent(averaged: Trained, tmp_path: Path) -> None:
    receipt = export(averaged.prefix, tmp_path / "slim")
    averaged.assert_restores(tmp_path / "slim")
    assert "averages-kept" in {finding.code for finding in receipt.findings}
    with open_checkpoint(tmp_path / "slim") as written:
        assert len(written.variables) == len(receipt.kept)


def test_a_dropped_layer_is_told_by_tensorflow(trained: Trained, tmp_path: Path) -> None:
    with open_checkpoint(trained.prefix) as source:
        wanted = [each.key for each in source.variables if each.in_model and each.shape[-1] == 3]
    assert len(wanted) == 2
    choices = Choices(preset=Preset.INFERENCE, ticks=dict.fromkeys(wanted, False))
    export(trained.prefix, tmp_path / "cut", choices)
    status = tf.train.Checkpoint(model=trained.fresh()).restore(str(tmp_path / "cut"))
    with pytest.raises(AssertionError):
        status.assert_existing_objects_matched()
    status.expect_partial()


def test_renamed_keys_of_an_object_based_one_still_restore(
    trained: Trained, tmp_path: Path
) -> None:
    choices = Choices(preset=Preset.INFERENCE, renames=(parse_rule("^model/=network/"),))
    export(trained.prefix, tmp_path / "renamed", choices)
    trained.assert_restores(tmp_path / "renamed")
    assert not any(key.startswith("model/") for key in builders.values_in(tmp_path / "renamed"))


def test_name_based_from_object_based(trained: Trained, tmp_path: Path) -> None:
    choices = Choices(preset=Preset.INFERENCE, name_based=True)
    receipt = export(trained.prefix, tmp_path / "names", choices)
    found, wanted = builders.values_in(tmp_path / "names"), builders.values_in(trained.prefix)
    assert OBJECT_GRAPH_KEY not in found
    assert not any(".ATTRIBUTES" in key for key in found)
    for each in receipt.kept:
        np.testing.assert_array_equal(found[each.key_written], wanted[each.key])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_cast_one_restores_with_its_python(dtype: str, trained: Trained, tmp_path: Path) -> None:
    choices = Choices(preset=Preset.INFERENCE, cast=CastRule(dtype=dtype))
    receipt = export(trained.prefix, tmp_path / "cast", choices)
    model = trained.fresh()
    exec(python_to_restore(receipt), {"model": model})
    for mine, theirs in zip(model.variables, trained.model.variables, strict=False):
        if "seed" not in mine.path:
            cast = tf.cast(tf.cast(theirs.value, dtype), tf.float32)
            np.testing.assert_array_equal(mine.numpy(), cast.numpy())
    assert set(receipt.losses) == {each.key for each in receipt.kept if each.dtype}
    worst = max(loss.relative_error for loss in receipt.losses.values())
    assert 0 < worst <= (2**-11 if dtype == "float16" else 2**-8) * 1.01 or dtype == "float16"


def test_without_a_save_counter_one_is_written(trained: Trained, tmp_path: Path) -> None:
    prefix = tf.train.Checkpoint(model=trained.model).write(str(tmp_path / "written"))
    with open_checkpoint(prefix) as source:
        counter = [each.key for each in source.variables if "save_counter" in each.key]
    assert counter == []
    receipt = export(Path(prefix), tmp_path / "slim")
    assert receipt.added == ("save_counter/.ATTRIBUTES/VARIABLE_VALUE",)
    trained.assert_restores(tmp_path / "slim")
    assert builders.values_in(tmp_path / "slim")[receipt.added[0]] == 0


@pytest.mark.parametrize("dtype", ["", "bfloat16"])
def test_a_model_that_was_saved_as_the_root(dtype: str, trained: Trained, tmp_path: Path) -> None:
    prefix = Path(tf.train.Checkpoint(trained.model).save(str(tmp_path / "root")))
    cast = CastRule(dtype=dtype) if dtype else None
    receipt = export(prefix, tmp_path / "slim", Choices(preset=Preset.INFERENCE, cast=cast))
    python = python_to_restore(receipt)
    assert "(model)" in python or ", model)" in python
    model = trained.fresh()
    with told() as lines:
        names = {"model": model}
        exec(python, names)
        names.clear()
    assert [line for line in lines if "restored" in line] == []
    found, wanted = model.trainable_variables[0].numpy(), trained.model.trainable_variables[0]
    if dtype:
        wanted = tf.cast(tf.cast(wanted.value, dtype), tf.float32)
    np.testing.assert_array_equal(found, wanted.numpy())


# tf.Module


class Net(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kernel = tf.Variable(tf.random.normal((6, 4), seed=3), name="kernel")
        self.half = tf.Variable(tf.cast(tf.range(4), tf.bfloat16), name="half")
        self.words = tf.Variable([b"one", b"other"], name="words")
        self.random = tf.random.Generator.from_seed(1)
        self.layers = [tf.Variable(tf.ones((4, 4)) * n, name=f"layer_{n}") for n in range(3)]

    def __call__(self, values: Any) -> Any:
        values = values @ self.kernel + tf.cast(self.half, tf.float32)
        for layer in self.layers:
            values = values @ layer
        return values


def test_a_module(tmp_path: Path) -> None:
    net, step = Net(), tf.Variable(7, dtype=tf.int64)
    optimizer = tf.keras.optimizers.SGD(0.1, momentum=0.9)
    optimizer.build([net.kernel, *net.layers])
    checkpoint = tf.train.Checkpoint(net=net, optimizer=optimizer, step=step)
    prefix = Path(checkpoint.save(str(tmp_path / "net")))
    choices = Choices(preset=Preset.INFERENCE, ticks=_keys(prefix, "words"))
    receipt = export(prefix, tmp_path / "slim", choices)
    fresh = Net()
    fresh.words.assign([b"", b""])
    with told() as lines:
        status = tf.train.Checkpoint(net=fresh).restore(str(tmp_path / "slim"))
        status.assert_existing_objects_matched()
        del status
    assert [line for line in lines if "restored" in line] == []
    np.testing.assert_array_equal(fresh(INPUTS).numpy(), net(INPUTS).numpy())
    assert fresh.words.numpy().tolist() == [b"one", b"other"]
    exec(python_to_restore(receipt), {"net": Net()})
    keys = builders.values_in(tmp_path / "slim").keys()
    assert not any(key.startswith(("optimizer", "step")) for key in keys)
    assert not any("random" in key for key in keys)


def _keys(prefix: Path, word: str) -> dict[str, bool]:
    with open_checkpoint(prefix) as source:
        return {each.key: True for each in source.variables if word in each.key}


def test_what_is_dropped_as_unknown_is_told_by_both(tmp_path: Path) -> None:
    prefix = Path(tf.train.Checkpoint(net=Net()).save(str(tmp_path / "net")))
    receipt = export(prefix, tmp_path / "slim")
    (found,) = [each for each in receipt.findings if each.code == "others-dropped"]
    assert "net/words" in found.message
    status = tf.train.Checkpoint(net=Net()).restore(str(tmp_path / "slim"))
    with pytest.raises(AssertionError):
        status.assert_existing_objects_matched()
    status.expect_partial()


# Savers of TensorFlow 1


def tf1_graph(scope: str = "net") -> tuple[Any, Any]:
    """Inputs and output of a small network with partitioned weights, in the current graph."""
    v1 = tf.compat.v1
    start = v1.placeholder(tf.float32, (None, 6))
    with v1.variable_scope(scope):
        kernel = v1.get_variable("dense/kernel", (6, 4), partitioner=v1.fixed_size_partitioner(2))
        bias = v1.get_variable("dense/bias", (4,), initializer=v1.ones_initializer())
        half = v1.get_variable("half", (4,), tf.bfloat16, initializer=v1.ones_initializer())
        mean = v1.get_variable("norm/moving_mean", (4,), trainable=False)
        words = v1.get_variable("words", initializer=np.array([b"a", b"bc"], object))
        values = start @ tf.convert_to_tensor(kernel) + bias - mean
        with tf.control_dependencies([v1.identity(words)]):
            output = values * tf.cast(half, tf.float32)
    return start, output


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """What a Saver saved with Adam and moving averages, and what the network gave."""
    v1 = tf.compat.v1
    directory = tmp_path_factory.mktemp("saver")
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(2)
        start, output = tf1_graph()
        step = v1.train.get_or_create_global_step()
        loss = tf.reduce_sum(output**2)
        train = v1.train.AdamOptimizer(0.1).minimize(loss, step)
        floats = [each for each in v1.trainable_variables() if each.dtype.base_dtype == tf.float32]
        average = tf.train.ExponentialMovingAverage(0.5)
        with tf.control_dependencies([train]):
            update = average.apply([each for each in floats if "bias" in each.op.name])
        session.run(v1.global_variables_initializer())
        session.run(update, {start: INPUTS})
        prefix = v1.train.Saver().save(session, str(directory / "model.ckpt"), 5)
        return Path(prefix), session.run(output, {start: INPUTS})


def saver_output(prefix: Path, scope: str = "net", names: dict[str, str] | None = None) -> Any:
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        start, output = tf1_graph(scope)
        variables: Any = None
        if names is not None:
            slices = {each.op.name: each for each in v1.global_variables()}
            variables = {names.get(name, name): each for name, each in slices.items()}
        v1.train.Saver(variables).restore(session, str(prefix))
        return session.run(output, {start: INPUTS})


def test_a_saver_restores_the_slim_one(saved: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    prefix, wanted = saved
    choices = Choices(preset=Preset.INFERENCE, ticks={"net/words": True})
    receipt = export(prefix, tmp_path / "slim", choices)
    np.testing.assert_array_equal(saver_output(tmp_path / "slim"), wanted)
    keys = set(builders.values_in(tmp_path / "slim"))
    assert {"net/dense/kernel", "net/dense/bias", "net/half", "net/norm/moving_mean"} <= keys
    assert not any("Adam" in key or "power" in key or "global_step" in key for key in keys)
    assert "net/dense/kernel/Adam" in {each.key for each in receipt.dropped}


def test_a_saver_restores_the_renamed_one(saved: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    prefix, wanted = saved
    choices = Choices(renames=(parse_rule("^net/=tower/"),))
    export(prefix, tmp_path / "renamed", choices)
    np.testing.assert_array_equal(saver_output(tmp_path / "renamed", "tower"), wanted)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        bias = tf.compat.v1.get_variable("b", (4,))
        tf.compat.v1.train.init_from_checkpoint(
            str(tmp_path / "renamed"), {"tower/dense/bias": bias}
        )
        session.run(tf.compat.v1.global_variables_initializer())
        expected = builders.values_in(prefix)["net/dense/bias"]
        np.testing.assert_array_equal(session.run(bias), expected)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        bias = tf.compat.v1.get_variable("net/dense/bias", (4,))
        saver = tf.compat.v1.train.Saver({"tower/dense/bias": bias})
        saver.restore(session, str(tmp_path / "renamed"))
        np.testing.assert_array_equal(session.run(bias), expected)


def test_averages_of_tensorflow_1(saved: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    prefix, _ = saved
    receipt = export(prefix, tmp_path / "ema", Choices(preset=Preset.INFERENCE, use_ema=True))
    found, before = builders.values_in(tmp_path / "ema"), builders.values_in(prefix)
    average = before["net/dense/bias/ExponentialMovingAverage"]
    assert not np.array_equal(average, before["net/dense/bias"])
    np.testing.assert_array_equal(found["net/dense/bias"], average)
    assert "net/dense/bias/ExponentialMovingAverage" not in found
    assert "no-average" in {finding.code for finding in receipt.findings}


def test_trainable_tells_what_it_rests_on(saved: tuple[Path, np.ndarray]) -> None:
    prefix, _ = saved
    with open_checkpoint(prefix) as source:
        plan = make_plan(source, Choices(preset=Preset.TRAINABLE))
    found = {finding.code: finding.message for finding in plan.findings}
    assert "net/norm" in found["moving-statistics-dropped"]
    assert plan.needs_confirmation == ("trainability-unknown" in found)
    kept = {each.key for each in plan.kept}
    assert "net/dense/kernel" in kept
    assert "net/norm/moving_mean" not in kept


# Keras weights, and back


def test_keras_loads_the_weights(trained: Trained, tmp_path: Path) -> None:
    choices = Choices(preset=Preset.INFERENCE, format="keras-weights-h5")
    receipt = export(trained.prefix, tmp_path / "slim", choices)
    assert receipt.destination == str(tmp_path / "slim.weights.h5")
    model = trained.fresh()
    exec(python_to_restore(receipt), {"model": model})
    np.testing.assert_array_equal(model(INPUTS).numpy(), trained.model(INPUTS).numpy())


def test_a_name_based_one_with_a_cast_loads_by_its_python(
    saved: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    prefix, _ = saved
    choices = Choices(
        preset=Preset.INFERENCE,
        cast=CastRule(dtype="float16"),
        renames=(parse_rule("^net/=tower/"),),
    )
    receipt = export(prefix, tmp_path / "cast", choices)

    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = tf.Variable(tf.zeros(4), name="net/dense/bias")

    model = Model()
    exec(python_to_restore(receipt), {"model": model})
    wanted = builders.values_in(prefix)["net/dense/bias"].astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(model.bias.numpy(), wanted)


# Safety, with a flushing beside the work


@pytest.mark.parametrize("call", ["write", "fsync", "dup"])
def test_a_full_disk_at_any_call_beside_a_flushing(
    call: str, saved: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    old = export(saved[0], tmp_path / "out" / "model", Choices())
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    real = getattr(os, call)
    refused = 0
    with ThreadPoolExecutor(1) as executor:
        for at in range(60):
            calls = itertools.count()

            def failing(*arguments: Any, at: int = at, calls: Any = calls) -> Any:
                if next(calls) == at:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return real(*arguments)

            with monkeypatch.context() as patch:
                patch.setattr(os, call, failing)
                try:
                    export(saved[0], tmp_path / "out" / "model", overwrite=True, executor=executor)
                except UnwritableFileError as error:
                    if "in place" in str(error):
                        break
                    refused += 1
                else:
                    break
            after = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
            assert after == before
    assert refused >= 2
    assert builders.values_in(tmp_path / "out" / "model").keys() < {each.key for each in old.kept}


def test_onto_another_file_system(saved: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system only")
    with tempfile.TemporaryDirectory(dir=elsewhere) as directory:
        receipt = export(saved[0], Path(directory) / "model", Choices())
        assert builders.values_in(Path(directory) / "model").keys() == {
            each.key_written for each in receipt.kept
        }
        assert len(list(Path(directory).iterdir())) == 2


@pytest.mark.parametrize("name", ["model.npz", "model.safetensors", "model.weights.h5"])
def test_other_formats_are_whole_or_absent(
    name: str, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    format_name = format_of_name(name)
    choices = Choices(preset=Preset.INFERENCE, format=format_name)
    target = tmp_path / "out" / name
    target.parent.mkdir()
    target.write_bytes(b"the old one")
    with pytest.raises(TargetExistsError):
        export(trained.prefix, target, choices)

    def failing(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        with pytest.raises(UnwritableFileError):
            export(trained.prefix, target, choices, overwrite=True)
    assert target.read_bytes() == b"the old one"
    assert [path.name for path in target.parent.iterdir()] == [name]
    export(trained.prefix, target, choices, overwrite=True)
    assert [path.name for path in target.parent.iterdir()] == [name]
    with open_checkpoint(target) as written:
        assert written.format_name == format_name
