"""Which checkpoints a directory has: all kinds of names, by step, damaged ones marked."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import save_file

from ckptviewer.checkpoint.errors import PathNotFoundError
from ckptviewer.runs.entry import Condition, StepSource
from ckptviewer.runs.run import find_run, with_steps_inside
from tests.builders import save

# Keras hands NumPy a variable whose class does not take `copy`.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


@pytest.fixture(scope="module")
def model() -> keras.Model:
    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    made.compile("adam", "mse")
    made.fit(np.ones((4, 3), np.float32), np.ones((4, 2), np.float32), verbose=0)
    return made


def conditions(path: Path) -> dict[str, Condition]:
    return {entry.name: entry.condition for entry in find_run(path).checkpoints}


def test_names_of_all_kinds(tmp_path: Path, model: keras.Model) -> None:
    save(tmp_path / "model.ckpt-1000", {"w": [1.0]})
    save(tmp_path / "model.ckpt-20", {"w": [1.0]})
    save(tmp_path / "cp-0004.ckpt", {"w": [1.0]})
    save(tmp_path / "step_7" / "model.ckpt", {"w": [1.0]})
    model.save(tmp_path / "epoch_05.keras")
    model.save_weights(tmp_path / "weights.03-0.21.weights.h5")
    model.save(tmp_path / "old.06.h5")
    save_file({"w": np.ones(2, np.float32)}, tmp_path / "it-8.safetensors")
    for version in ("30", "31"):
        module = tf.Module()
        module.v = tf.Variable(1.0)
        tf.saved_model.save(module, str(tmp_path / version))
    np.save(tmp_path / "features-99.npy", np.ones(3))
    (tmp_path / "log-5.txt").write_text("nothing")
    (tmp_path / "events.out.tfevents.1.v2").write_bytes(b"x")
    run = with_steps_inside(find_run(tmp_path))
    assert [(entry.step, entry.name, entry.format) for entry in run.checkpoints] == [
        (3, "weights.03-0.21.weights.h5", "keras-weights-h5"),
        (4, "cp-0004.ckpt", "tf-bundle"),
        (5, "epoch_05.keras", "keras-archive"),
        (6, "old.06.h5", "keras-h5"),
        (7, "step_7/model.ckpt", "tf-bundle"),
        (8, "it-8.safetensors", "safetensors"),
        (20, "model.ckpt-20", "tf-bundle"),
        (30, "30", "saved-model"),
        (31, "31", "saved-model"),
        (1000, "model.ckpt-1000", "tf-bundle"),
    ]
    assert all(entry.sound for entry in run.checkpoints)
    assert run["weights.03-0.21.weights.h5"].metrics == {"metric": 0.21}
    entry = run["model.ckpt-20"]
    parts = [tmp_path / f"model.ckpt-20{e}" for e in (".data-00000-of-00001", ".index")]
    assert entry.size_bytes == sum(part.stat().st_size for part in parts)
    assert [state.path for state in entry.files] == list(map(str, parts))
    assert entry.saved_at == max(part.stat().st_mtime_ns for part in parts) / 1e9
    assert (run.latest, run.named_latest) == (None, None)


def test_steps_from_inside(tmp_path: Path, model: keras.Model) -> None:
    save(tmp_path / "best", {"w": [1.0], "global_step": np.int64(70)})
    tf.train.Checkpoint(w=tf.Variable(1.0)).save(str(tmp_path / "x" / "last"))
    for file in (tmp_path / "x").glob("last-1*"):
        shutil.move(file, tmp_path / file.name.replace("last-1", "last"))
    model.save(tmp_path / "best_model.keras")
    model.save_weights(tmp_path / "weights_only.weights.h5")
    save(tmp_path / "nothing", {"w": [1.0]})
    run = find_run(tmp_path)
    assert {entry.step for entry in run.checkpoints} == {None}
    steps = {entry.name: entry.step for entry in with_steps_inside(run).checkpoints}
    assert steps["best"] == 70
    assert steps["last"] == 1
    assert steps["best_model.keras"] == int(model.optimizer.iterations)
    assert steps["nothing"] is None
    inside = with_steps_inside(run)["best"]
    assert inside.step_source is StepSource.INSIDE


def test_latest_is_marked_and_times_are_those_of_the_state(tmp_path: Path) -> None:
    checkpoint = tf.train.Checkpoint(w=tf.Variable(1.0))
    manager = tf.train.CheckpointManager(checkpoint, str(tmp_path), max_to_keep=3)
    for _ in range(2):
        manager.save()
    run = find_run(tmp_path)
    assert run.latest == tf.train.latest_checkpoint(str(tmp_path))
    assert run.named_latest is run["ckpt-2"]
    assert not run.findings
    state = tf.train.get_checkpoint_state(str(tmp_path))
    times = [entry.saved_at for entry in run.checkpoints]
    assert times == pytest.approx(list(state.all_model_checkpoint_timestamps))
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in tmp_path.iterdir():
        if file.is_file():
            shutil.copy(file, copy)
    text = (copy / "checkpoint").read_text().replace('"ckpt', '"/somewhere/else/ckpt')
    (copy / "checkpoint").write_text(text)
    moved = find_run(copy)
    assert moved.latest is tf.train.latest_checkpoint(str(copy)) is None
    assert moved.named_latest is moved["ckpt-2"]
    assert [finding.code for finding in moved.findings] == ["stale-checkpoint-state"]
    assert [entry.saved_at for entry in moved.checkpoints] == pytest.approx(times)


def test_any_path_in_the_directory_means_the_run(tmp_path: Path) -> None:
    save(tmp_path / "ckpt-1", {"w": [1.0]})
    for path in (tmp_path, tmp_path / "ckpt-1", tmp_path / "ckpt-1.index", tmp_path / "ckpt-9"):
        run = find_run(path)
        assert [entry.name for entry in run.checkpoints] == ["ckpt-1"]
        assert run.path == str(tmp_path)
    with pytest.raises(PathNotFoundError):
        find_run(tmp_path / "nowhere" / "ckpt-1")
    assert find_run(tmp_path / "ckpt-1").latest is None


def test_half_written_and_damaged_ones_are_marked(tmp_path: Path, model: keras.Model) -> None:
    for number in range(1, 7):
        save(tmp_path / f"ckpt-{number}", {"w": np.ones(1000, np.float32)})
    (tmp_path / "ckpt-2.index").unlink()
    (tmp_path / "ckpt-3.data-00000-of-00001").unlink()
    os.truncate(tmp_path / "ckpt-4.data-00000-of-00001", 100)
    os.truncate(tmp_path / "ckpt-5.index", 30)
    (tmp_path / "ckpt-6.index").write_bytes(b"")
    (tmp_path / "ckpt-7.data-00000-of-00001.tempstate123").write_bytes(b"x")
    (tmp_path / "ckpt-8_temp").mkdir()
    save(tmp_path / "ckpt-8_temp" / "part", {"w": [1.0]})
    model.save(tmp_path / "e_1.keras")
    os.truncate(tmp_path / "e_1.keras", 2000)
    model.save_weights(tmp_path / "w_1.weights.h5")
    os.truncate(tmp_path / "w_1.weights.h5", 4000)
    (tmp_path / "w_2.weights.h5").write_bytes(b"")
    assert conditions(tmp_path) == {
        "ckpt-1": Condition.SOUND,
        "ckpt-2": Condition.INCOMPLETE,
        "ckpt-3": Condition.INCOMPLETE,
        "ckpt-4": Condition.DAMAGED,
        "ckpt-5": Condition.DAMAGED,
        "ckpt-6": Condition.DAMAGED,
        "e_1.keras": Condition.DAMAGED,
        "w_1.weights.h5": Condition.DAMAGED,
        "w_2.weights.h5": Condition.DAMAGED,
    }
    codes = [finding.code for finding in find_run(tmp_path).findings]
    assert codes.count("damaged-checkpoint") == 6
    assert codes.count("incomplete-checkpoint") == 2


def test_files_of_one_checkpoint_stay_together(tmp_path: Path, corpus: Path) -> None:
    big = keras.Sequential([keras.Input((64,)), keras.layers.Dense(2000), keras.layers.Dense(300)])
    big.save_weights(tmp_path / "big_1.weights.json", max_shard_size=0.0025)
    shards = sorted(each.name for each in tmp_path.glob("big_1_*.weights.h5"))
    assert len(shards) > 1
    shutil.copytree(corpus / "tfx_estimator_2shard", tmp_path, dirs_exist_ok=True)
    run = find_run(tmp_path)
    by_name = {
        entry.name: [os.path.basename(state.path) for state in entry.files]
        for entry in run.checkpoints
    }
    assert by_name["big_1.weights.json"] == ["big_1.weights.json", *shards]
    prefix = next(name for name in by_name if name.startswith("model.ckpt"))
    assert by_name[prefix] == [
        f"{prefix}.data-00000-of-00002",
        f"{prefix}.data-00001-of-00002",
        f"{prefix}.index",
        f"{prefix}.meta",
    ]
    assert len(by_name) == 2
    (tmp_path / shards[0]).unlink()
    assert conditions(tmp_path)["big_1.weights.json"] is Condition.INCOMPLETE


def test_real_checkpoints_are_runs_of_one(corpus: Path) -> None:
    found = {each.name: find_run(each) for each in corpus.iterdir() if each.is_dir()}
    assert found["t2t_transformer_2shard"].checkpoints[0].step == 1
    assert found["srv_sm_v2_half_plus_two"].checkpoints[0].step == 123
    assert found["h5py_testfiles"].checkpoints == ()
    for name, run in found.items():
        assert all(entry.sound for entry in run.checkpoints), name
        assert run.latest == tf.train.latest_checkpoint(str(corpus / name))


def test_newest_is_not_the_latest(tmp_path: Path) -> None:
    for number in (1, 2):
        save(tmp_path / f"ckpt-{number}", {"w": [1.0]})
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "ckpt-1"\n')
    run = find_run(tmp_path)
    assert [finding.code for finding in run.findings] == ["latest-is-not-last"]
    (tmp_path / "ckpt-1.data-00000-of-00001").unlink()
    run = find_run(tmp_path)
    assert run.latest == tf.train.latest_checkpoint(str(tmp_path))
    codes = {finding.code for finding in run.findings}
    assert codes == {"latest-is-damaged", "incomplete-checkpoint"}
    assert run.newest is run["ckpt-2"]


def test_a_directory_reached_by_links(tmp_path: Path) -> None:
    """Times and the latest are found although the state spells the directory in another way."""
    real = tmp_path / "real"
    real.mkdir()
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(v=tf.Variable(1.0)), real, 3)
    saved = [manager.save() for _ in range(2)]
    (tmp_path / "link").symlink_to(real)
    (real / "copy.index").symlink_to(f"{saved[0]}.index")  # a link itself is not its target
    for directory in (real, tmp_path / "link"):
        run = find_run(directory)
        assert run.named_latest is not None
        assert run.named_latest.name == "ckpt-2"
        state = tf.train.get_checkpoint_state(str(real))
        for step, seconds in enumerate(state.all_model_checkpoint_timestamps, 1):
            assert run[f"ckpt-{step}"].saved_at == seconds
        assert run["copy"].saved_at not in state.all_model_checkpoint_timestamps


def test_signature_is_kept_and_told_anew(tmp_path: Path) -> None:
    save(tmp_path / "m-1", {"a": [1.0]})
    entry = find_run(tmp_path)["m-1"]
    assert entry.signature == entry.signature
    assert entry.signature == find_run(tmp_path)["m-1"].signature
    save(tmp_path / "m-1", {"a": [1.0]})
    assert find_run(tmp_path)["m-1"].signature != entry.signature
    assert replace(entry, files=entry.files[:1]).signature != entry.signature
