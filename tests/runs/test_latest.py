"""What `latest_checkpoint` returns is what TensorFlow returns, whatever lies in the directory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import tensorflow as tf

from ckptviewer.runs.latest import latest_checkpoint
from tests.builders import save

STATE = 'model_checkpoint_path: "%s"\nall_model_checkpoint_paths: "%s"\n'


def by_tensorflow(asked: str) -> str | None:
    """What TensorFlow returns; None where it raises."""
    try:
        return tf.train.latest_checkpoint(asked)
    except (ValueError, UnicodeDecodeError):
        return None


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A directory with `ckpt-1` and `ckpt-2`, of which the state names the second."""
    for number in (1, 2):
        save(tmp_path / f"ckpt-{number}", {"w": [float(number)]})
    (tmp_path / "checkpoint").write_text(STATE % ("ckpt-2", "ckpt-2"))
    return tmp_path


@pytest.mark.parametrize(
    "content",
    [
        b'model_checkpoint_path: "ckpt-2"\n',
        b'model_checkpoint_path: "ckpt-1"\nall_model_checkpoint_timestamps: 1.5\n',
        b"model_checkpoint_path: 'ckpt-2'",
        b'model_checkpoint_path: "ck" "pt-2"',
        b'model_checkpoint_path: "ckpt-\\062"',
        b'# a comment\nmodel_checkpoint_path: "ckpt-2"\r\n',
        b'model_checkpoint_path: "ckpt-2";',
        b'model_checkpoint_path: "./ckpt-2"\n',
        b'model_checkpoint_path: "ckpt-3"\n',
        b'model_checkpoint_path: "ckpt-2"\nnobody_knows_this: 3\n',
        b'model_checkpoint_path: "ckpt-1"\nmodel_checkpoint_path: "ckpt-2"\n',
        b'all_model_checkpoint_paths: "ckpt-2"\n',
        b'model_checkpoint_path: ""\n',
        b'model_checkpoint_path: "ckpt-2',
        b'model_checkpoint_path: "ckpt-\xff"\n',
        b'model_checkpoint_path: "."\n',
        b'model_checkpoint_path: "ckpt-[12]"\n',
        b'model_checkpoint_path: "ckpt-?"\n',
        b'model_checkpoint_path: "ckpt-*.index"\n',
        b'model_checkpoint_path: "ckpt-[!1]"\n',
        b'model_checkpoint_path: "ckpt-[2"\n',
        b'model_checkpoint_path: "ckpt\\\\-2"\n',
        b"",
        b"\0\0\0",
        b"{}",
    ],
)
def test_state_is_taken_as_tensorflow_takes_it(run: Path, content: bytes) -> None:
    (run / "checkpoint").write_bytes(content)
    found = latest_checkpoint(str(run))
    assert found.path == by_tensorflow(str(run))
    assert found.reason.endswith(".")


def test_path_is_joined_as_tensorflow_joins_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run)
    for asked in (".", f"{run}/", f"{run}/.", "../" + run.name, str(run)):
        found = latest_checkpoint(asked)
        assert found.path == by_tensorflow(asked) is not None


def test_prefix_or_file_in_the_place_of_the_directory(run: Path) -> None:
    for name, word in (
        ("ckpt-2", "prefix"),
        ("ckpt-2.index", "is a file"),
        ("checkpoint", "is a file"),
        ("ckpt-9", "a prefix will not do"),
    ):
        asked = str(run / name)
        found = latest_checkpoint(asked)
        assert found.path is by_tensorflow(asked) is None
        assert word in found.reason
        assert str(run) in found.reason


def test_directory_that_was_moved(run: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (run / "checkpoint").write_text(STATE % (run / "ckpt-2", run / "ckpt-2"))
    copy = tmp_path_factory.mktemp("moved") / "copy"
    shutil.copytree(run, copy)
    found = latest_checkpoint(str(copy))
    assert found.path == by_tensorflow(str(copy)) == str(run / "ckpt-2")
    assert found.stale
    assert "elsewhere" in found.reason
    shutil.rmtree(run)
    found = latest_checkpoint(str(copy))
    assert found.path is by_tensorflow(str(copy)) is None
    assert found.located == copy / "ckpt-2"
    assert "moved or copied" in found.reason


def test_special_characters_in_the_path_itself(tmp_path: Path) -> None:
    for name in ("run[1]", "run*", "a\\b"):
        directory = tmp_path / name
        directory.mkdir()
        save(directory / "ckpt-1", {"w": [1.0]})
        (directory / "checkpoint").write_text(STATE % ("ckpt-1", "ckpt-1"))
        found = latest_checkpoint(str(directory))
        assert found.path == by_tensorflow(str(directory)), name
        if found.path is None:
            assert "pattern" in found.reason


def test_why_there_is_no_state(tmp_path: Path) -> None:
    assert "no file `checkpoint`" in latest_checkpoint(str(tmp_path)).reason
    (tmp_path / "epoch_1.keras").write_bytes(b"PK")
    assert "only Keras' files" in latest_checkpoint(str(tmp_path)).reason
    (tmp_path / "w.h5").write_bytes(b"\x89HDF")
    assert "Keras' files" in latest_checkpoint(str(tmp_path)).reason
    save(tmp_path / "cp-1", {"w": [1.0]})
    assert "ModelCheckpoint" in latest_checkpoint(str(tmp_path)).reason
    (tmp_path / "saved_model.pb").write_bytes(b"")
    assert "SavedModel" in latest_checkpoint(str(tmp_path)).reason
    assert "no directory" in latest_checkpoint(str(tmp_path / "a" / "b" / "c")).reason


def test_state_that_cannot_be_read(run: Path) -> None:
    (run / "checkpoint").unlink()
    (run / "checkpoint").mkdir()
    found = latest_checkpoint(str(run))
    assert found.path is by_tensorflow(str(run)) is None
    assert "cannot be read" in found.reason


def test_v1_checkpoints(tmp_path: Path) -> None:
    graph = tf.Graph()
    with graph.as_default():
        tf.compat.v1.get_variable("w", [2])
        for sharded in (False, True):
            directory = tmp_path / str(sharded)
            directory.mkdir()
            saver = tf.compat.v1.train.Saver(
                write_version=tf.compat.v1.train.SaverDef.V1, sharded=sharded
            )
            with tf.compat.v1.Session() as session:
                session.run(tf.compat.v1.global_variables_initializer())
                saver.save(session, os.fspath(directory / "model.ckpt"), global_step=7)
            found = latest_checkpoint(str(directory))
            assert found.path == by_tensorflow(str(directory)) is not None
