"""Trainings that are watched while they run: step by step, in this process, without waiting."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from ckptviewer.runs.timeline import Timeline
from ckptviewer.runs.timeline_table import Series, TimelineTable
from ckptviewer.runs.watch import Changes, Watch
from tests.builders import save

# Keras hands NumPy a variable whose class does not take `copy`.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

LONG_AGO = 1e9


def eager(directory: Path) -> Watch:
    """A watch to which everything looks as if it had been written just now."""
    return Watch(str(directory), clock=lambda: LONG_AGO)


def names(changes: Changes) -> list[str]:
    return [entry.name for entry in changes.run.checkpoints]


def files_held(directory: Path) -> list[str]:
    """Files of a directory, deleted ones too, that this process has open."""
    held = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith(str(directory)):
            held.append(target)
    return held


def look_twice(watch: Watch) -> Changes:
    """What a person sees two looks after a save."""
    first = watch.poll()
    second = watch.poll()
    assert not second.unsettled
    return second if second.any else first


def read_all(changes: Changes) -> TimelineTable:
    """Read every value of every checkpoint, as a timeline does."""
    table = TimelineTable(changes.run.checkpoints)
    with ThreadPoolExecutor(2) as executor:
        for event in Timeline(changes.run.checkpoints).run(executor):
            table.take(event)
    return table


def test_checkpoint_manager_with_max_to_keep(tmp_path: Path) -> None:
    weights = tf.Variable(np.zeros(100, np.float32))
    checkpoint = tf.train.Checkpoint(w=weights)
    manager = tf.train.CheckpointManager(checkpoint, str(tmp_path), max_to_keep=3)
    watch = eager(tmp_path)
    key = "w/.ATTRIBUTES/VARIABLE_VALUE"
    for number in range(1, 8):
        weights.assign(np.full(100, number, np.float32))
        manager.save()
        first = watch.poll()
        assert f"ckpt-{number}" in first.unsettled
        assert f"ckpt-{number}" not in names(first)
        second = watch.poll()
        kept = [f"ckpt-{each}" for each in range(max(1, number - 2), number + 1)]
        assert names(second) == kept
        assert [entry.name for entry in second.appeared] == [f"ckpt-{number}"]
        vanished = [entry.name for entry in first.vanished]
        assert vanished == ([f"ckpt-{number - 3}"] if number > 3 else [])
        assert second.run.latest == manager.latest_checkpoint
        assert not second.run.findings
        table = read_all(second)
        assert not table.errors
        norms = table.series(Series.NORM, key)
        assert norms.tolist() == [10.0 * int(name.split("-")[1]) for name in kept]
        assert not files_held(tmp_path)
    assert not watch.poll().any


def test_saver_loop_of_tensorflow_1(tmp_path: Path) -> None:
    watch = eager(tmp_path)
    with tf.Graph().as_default():
        step = tf.compat.v1.train.get_or_create_global_step()
        grown = tf.compat.v1.assign_add(tf.compat.v1.get_variable("w", [4]), tf.ones(4))
        advance = tf.compat.v1.assign_add(step, 10)
        saver = tf.compat.v1.train.Saver(max_to_keep=2)
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            seen: list[str] = []
            for _ in range(4):
                session.run([grown, advance])
                saver.save(session, str(tmp_path / "model.ckpt"), global_step=step)
                changes = look_twice(watch)
                seen += [entry.name for entry in changes.appeared]
                assert names(changes) == seen[-2:]
                assert changes.run.named_latest is changes.run.checkpoints[-1]
                assert not read_all(changes).errors
                assert not files_held(tmp_path)
    assert seen == [f"model.ckpt-{step}" for step in (10, 20, 30, 40)]


class Looking(keras.callbacks.Callback):
    """Looks at the directory behind each epoch, after ModelCheckpoint."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch
        self.seen: list[Changes] = []

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.watch.poll()
        self.seen.append(self.watch.poll())


@pytest.fixture
def looking(tmp_path: Path) -> Looking:
    """A training of Keras 3 that saves each epoch under a name, and again under one name."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    looking = Looking(eager(tmp_path))
    x = np.random.default_rng(0).random((32, 4), np.float32)
    model.fit(
        x,
        x.sum(axis=1, keepdims=True),
        epochs=3,
        verbose=0,
        callbacks=[
            keras.callbacks.ModelCheckpoint(str(tmp_path / "epoch_{epoch:02d}-{loss:.3f}.keras")),
            keras.callbacks.ModelCheckpoint(str(tmp_path / "last.keras")),
            keras.callbacks.ModelCheckpoint(
                str(tmp_path / "cp-{epoch:02d}.weights.h5"), save_weights_only=True
            ),
            looking,
        ],
    )
    return looking


def test_keras_model_checkpoint(looking: Looking, tmp_path: Path) -> None:
    for number, changes in enumerate(looking.seen, 1):
        appeared = sorted(entry.name for entry in changes.appeared)
        assert appeared[0] == f"cp-{number:02d}.weights.h5"
        assert appeared[1].startswith(f"epoch_{number:02d}-")
        assert appeared[2:] == ([] if number > 1 else ["last.keras"])
        assert [entry.name for entry in changes.replaced] == (["last.keras"] if number > 1 else [])
        assert not changes.vanished
        assert all(entry.sound for entry in changes.run.checkpoints)
        assert changes.run.latest is None
    last = looking.seen[-1].run
    assert [entry.step for entry in last.checkpoints] == [None, 1, 1, 2, 2, 3, 3]
    assert all("metric" in e.metrics for e in last.checkpoints if e.name.startswith("epoch"))
    assert not read_all(looking.seen[-1]).errors
    assert not files_held(tmp_path)


def test_what_is_being_written_is_not_opened(tmp_path: Path) -> None:
    finished = save(tmp_path / "ckpt-1", {"w": np.ones(1000, np.float32)})
    watch = eager(tmp_path)
    look_twice(watch)
    whole = tmp_path.parent / "whole"
    save(whole, {"w": np.ones(1000, np.float32)})
    data = Path(f"{whole}.data-00000-of-00001").read_bytes()
    target = tmp_path / "ckpt-2.data-00000-of-00001"
    for end in range(500, len(data) + 500, 500):
        target.write_bytes(data[:end])
        changes = watch.poll()
        assert names(changes) == ["ckpt-1"]
        assert changes.unsettled == ("ckpt-2",)
        assert not changes.any
    shutil.copy(f"{whole}.index", tmp_path / "ckpt-2.index")
    assert names(watch.poll()) == ["ckpt-1"]
    changes = watch.poll()
    assert names(changes) == ["ckpt-1", "ckpt-2"]
    assert all(entry.sound for entry in changes.run.checkpoints)
    assert finished.name == "ckpt-1"


def test_deleted_between_look_and_reading(tmp_path: Path) -> None:
    for number in (1, 2):
        save(tmp_path / f"ckpt-{number}", {"w": np.full(10, number, np.float32)})
    watch = eager(tmp_path)
    changes = look_twice(watch)
    for file in tmp_path.glob("ckpt-1.*"):
        file.unlink()
    table = read_all(changes)
    assert list(table.errors) == [0]
    assert table.series(Series.NORM, "w")[1] == pytest.approx(2 * 10**0.5)
    assert [entry.name for entry in watch.poll().vanished] == ["ckpt-1"]
    shutil.rmtree(tmp_path)
    assert names(watch.poll()) == []


def test_what_is_old_is_there_at_the_first_look(tmp_path: Path) -> None:
    save(tmp_path / "ckpt-1", {"w": [1.0]})
    for file in tmp_path.iterdir():
        os.utime(file, (LONG_AGO - 60, LONG_AGO - 60))
    assert names(eager(tmp_path).poll()) == ["ckpt-1"]


def test_another_latest_is_a_change(tmp_path: Path) -> None:
    for number in (1, 2):
        save(tmp_path / f"ckpt-{number}", {"w": [1.0]})
    watch = eager(tmp_path)
    look_twice(watch)
    assert not watch.poll().any
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "ckpt-1"\n')
    changes = watch.poll()
    assert changes.any
    assert changes.run["ckpt-1"].named_latest
    assert (changes.appeared, changes.vanished, changes.replaced) == ((), (), ())
