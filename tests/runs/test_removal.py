"""Removing checkpoints: whole ones, never the latest; killed at any step, TensorFlow restores."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from ckptviewer.checkpoint.errors import ChangedFileError, MissingLibraryError, UnwritableFileError
from ckptviewer.runs.entry import Condition
from ckptviewer.runs.removal import execute_removal
from ckptviewer.runs.retention import Policy, RemovalPlan, plan_retention
from ckptviewer.runs.run import find_run
from tests.builders import merge, save

# Keras hands NumPy a variable whose class does not take `copy`.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Four checkpoints that a manager keeps, of values that are their numbers."""
    directory = tmp_path / "run"
    weights = tf.Variable([0.0, 0.0])
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(w=weights), str(directory), max_to_keep=None
    )
    for number in range(1, 5):
        weights.assign([number, number])
        manager.save()
    return directory


def restored(directory: Path) -> float:
    """What TensorFlow restores from the latest."""
    weights = tf.Variable([0.0, 0.0])
    latest = tf.train.latest_checkpoint(str(directory))
    assert latest is not None
    tf.train.Checkpoint(w=weights).restore(latest).assert_existing_objects_matched()
    return float(weights.numpy()[0])


def plan_without(directory: Path, *names: str) -> RemovalPlan:
    """A plan by which these go and all others are kept."""
    found = find_run(directory)
    kept = {entry.name for entry in found.checkpoints} - set(names)
    return plan_retention(found, Policy(keep_names=frozenset(kept)))


def test_state_is_rewritten_and_the_rest_stays(run: Path) -> None:
    before = tf.train.get_checkpoint_state(str(run))
    removal = execute_removal(plan_retention(find_run(run), Policy(keep_last=2)), to_trash=False)
    assert [entry.name for entry in removal.removed] == ["ckpt-1", "ckpt-2"]
    assert removal.state_rewritten
    assert sorted(os.listdir(run)) == [
        "checkpoint",
        *(f"ckpt-{n}{e}" for n in (3, 4) for e in (".data-00000-of-00001", ".index")),
    ]
    state = tf.train.get_checkpoint_state(str(run))
    assert state.model_checkpoint_path == before.model_checkpoint_path
    assert state.all_model_checkpoint_paths == before.all_model_checkpoint_paths[2:]
    assert state.all_model_checkpoint_timestamps == before.all_model_checkpoint_timestamps[2:]
    assert state.last_preserved_timestamp == before.last_preserved_timestamp
    assert restored(run) == 4.0
    weights = tf.Variable([0.0, 0.0])
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(w=weights), str(run), max_to_keep=2)
    manager.save()  # a manager goes on from there
    assert [os.path.basename(each) for each in manager.checkpoints] == ["ckpt-4", "ckpt-1"]


def test_killed_between_any_two_steps_tensorflow_restores(run: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    shutil.copytree(run, backup)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.runs.dying", str(run), "0", "2"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        kills = 0
        while (said := process.stdout.readline().strip()) == "killed":
            kills += 1
            assert restored(run) == 4.0
            found = find_run(run)
            sound = {entry.name for entry in found.checkpoints if entry.sound}
            assert {"ckpt-3", "ckpt-4"} <= sound
            state = tf.train.get_checkpoint_state(str(run))
            listed = {os.path.basename(each) for each in state.all_model_checkpoint_paths}
            whole = {f"ckpt-{number}" for number in range(1, 5)}
            assert listed == whole or listed == {"ckpt-3", "ckpt-4"}
            for entry in found.checkpoints:  # what is half removed is no checkpoint any more
                if not entry.sound:
                    assert entry.condition is Condition.INCOMPLETE
                    assert not os.path.exists(entry.opens_by)
            shutil.rmtree(run)
            shutil.copytree(backup, run)
            process.stdin.write("on\n")
            process.stdin.flush()
        assert said == "done"
    assert kills >= 10
    assert restored(run) == 4.0
    assert len(find_run(run).checkpoints) == 2


def test_training_has_gone_on_since(run: Path) -> None:
    plan = plan_retention(find_run(run), Policy(keep_last=1))
    state = (run / "checkpoint").read_text()
    before = sorted(os.listdir(run))
    (run / "checkpoint").write_text(state.replace('path: "ckpt-4"', 'path: "ckpt-1"'))
    with pytest.raises(ChangedFileError, match="names it as the latest"):
        execute_removal(plan, to_trash=False)
    (run / "checkpoint").write_text(state)
    save(run / "ckpt-2", {"w": [7.0]})
    with pytest.raises(ChangedFileError, match="nothing was removed"):
        execute_removal(plan, to_trash=False)
    assert sorted(os.listdir(run)) == before


def test_all_files_of_one_go_together(tmp_path: Path) -> None:
    parts = [save(tmp_path / f"part{each}", {str(each): [1.0]}) for each in range(3)]
    run = tmp_path / "run"
    run.mkdir()
    merge(run / "model.ckpt-1", parts)
    (run / "model.ckpt-1.meta").write_bytes(b"graph")
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(900), keras.layers.Dense(90)])
    model.save_weights(run / "w-1.weights.json", max_shard_size=0.0005)
    module = tf.Module()
    module.v = tf.Variable(1.0)
    for version in (1, 9):
        tf.saved_model.save(module, str(run / str(version)))
    save(run / "step_1" / "model.ckpt", {"w": [1.0]})
    (run / "step_1" / "checkpoint").write_text('model_checkpoint_path: "model.ckpt"\n')
    (run / "notes.txt").write_text("stays")
    assert len(list(run.iterdir())) > 9
    execute_removal(plan_retention(find_run(run), Policy(keep_last=1)), to_trash=False)
    assert sorted(os.listdir(run)) == ["9", "notes.txt"]


def test_to_the_trash(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import send2trash

    sent: list[str] = []

    def trash(path: str) -> None:
        sent.append(os.path.relpath(path, run))
        os.unlink(path)

    monkeypatch.setattr(send2trash, "send2trash", trash)
    removal = execute_removal(plan_without(run, "ckpt-2"))
    assert removal.to_trash
    assert sent == ["ckpt-2.index", "ckpt-2.data-00000-of-00001"]
    assert restored(run) == 4.0


@pytest.mark.skipif(sys.platform != "linux", reason="where the trash lies is told by Linux only")
def test_trash_of_the_system(run: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from ckptviewer.runs import removal, retention, run;"
        "policy = retention.Policy(keep_last=3);"
        "plan = retention.plan_retention(run.find_run(sys.argv[1]), policy);"
        "removal.execute_removal(plan)"
    )
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path / "data")}
    subprocess.run([sys.executable, "-c", script, run], check=True, env=environment, timeout=60)
    trashed = sorted(os.listdir(tmp_path / "data" / "Trash" / "files"))
    assert trashed == ["ckpt-1.data-00000-of-00001", "ckpt-1.index"]
    assert restored(run) == 4.0


def test_without_the_library_nothing_is_removed(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "send2trash", None)
    before = sorted(os.listdir(run))
    with pytest.raises(MissingLibraryError, match="Send2Trash"):
        execute_removal(plan_without(run, "ckpt-1"))
    assert sorted(os.listdir(run)) == before
    assert len(tf.train.get_checkpoint_state(str(run)).all_model_checkpoint_paths) == 4


def test_what_cannot_be_removed_is_told(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    plan = plan_without(run, "ckpt-1", "ckpt-2")
    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(UnwritableFileError, match="0 of 2 checkpoints are removed"):
        execute_removal(plan, to_trash=False)
    monkeypatch.undo()
    assert np.isclose(restored(run), 4.0)
