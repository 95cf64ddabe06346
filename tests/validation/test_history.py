"""The history: by content, bounded, and never in the way."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ckptviewer.formats.resolve import open_checkpoint
from ckptviewer.storage import database
from ckptviewer.validation import history as module
from ckptviewer.validation.history import (
    History,
    What,
    content_of_checkpoint,
    content_of_files,
    default_path,
)
from tests import builders

WHAT = What(checkpoint="c", model="m", data="d")


def document(verdict: str = "pass", **more: Any) -> dict[str, Any]:
    return {"verdict": verdict, "checkpoint": "/a/ckpt", "against": None, **more}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "validations.sqlite"


def test_earlier_validations_are_there_again_the_newest_first(path: Path) -> None:
    with History(path) as history:
        assert history.earlier(WHAT) == ()
        history.add(WHAT, document(metrics={"accuracy": 0.9}), at=1.0)
        other = What(checkpoint="c2", model="m", data="d")
        history.add(other, document("fail", against="/b"), at=2.0)
        history.add(What(checkpoint="c", model="m2", data="d"), document(), at=3.0)
        history.add(What(checkpoint="c", model="m", data=""), document(), at=4.0)
    with History(path) as history:
        newest, oldest = history.earlier(WHAT)
        assert (newest.at, newest.verdict, newest.against_path) == (2.0, "fail", "/b")
        assert not newest.same_checkpoint
        assert oldest.same_checkpoint
        assert oldest.metrics == {"accuracy": 0.9}
        assert len(history.earlier(WHAT, limit=1)) == 1
        history.clear()
        assert history.earlier(WHAT) == ()
        assert history.trouble == ""


def test_only_so_many_are_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 3)
    with History(path) as history:
        for at in range(6):
            history.add(WHAT, document(), at=float(at))
        assert [each.at for each in history.earlier(WHAT)] == [5.0, 4.0, 3.0]


@pytest.mark.parametrize(
    "content",
    [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 4000, b"\0" * 8192],
)
def test_a_damaged_file_is_dropped(content: bytes, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with History(path) as history:
        history.add(WHAT, document())
        assert len(history.earlier(WHAT)) == 1


def test_a_damaged_row_drops_the_file(path: Path) -> None:
    with History(path) as history:
        history.add(WHAT, document())
    for column, value in (
        ("document", "no json"),
        ("document", "[1]"),
        ("document", "[" * 100_000),
        ("at", "no time"),
        ("at", 1e300),
    ):
        connection = sqlite3.connect(path)
        connection.execute(f"UPDATE validation SET {column} = ?", (value,))
        connection.commit()
        connection.close()
        with History(path) as history:
            assert history.earlier(WHAT) == ()
            assert "in it is no" in history.trouble
            history.add(WHAT, document())
            assert len(history.earlier(WHAT)) == 1


def test_metrics_that_are_no_numbers_are_left_out(path: Path) -> None:
    odd = {"accuracy": 0.5, "loss": None, "text": "x", "list": [1], "count": 3}
    with History(path) as history:
        history.add(WHAT, document(metrics=odd))
        (earlier,) = history.earlier(WHAT)
    assert earlier.metrics == {"accuracy": 0.5, "loss": None, "count": 3.0}


def test_a_later_version_is_begun_anew(path: Path) -> None:
    with History(path) as history:
        history.add(WHAT, document())
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with History(path) as history:
        assert history.earlier(WHAT) == ()
        history.add(WHAT, document())
        assert len(history.earlier(WHAT)) == 1


def test_where_it_cannot_lie_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with History(tmp_path / "file" / "history.sqlite") as history:
        history.add(WHAT, document())
        assert history.earlier(WHAT) == ()
        assert history.trouble


def test_a_locked_one_is_left_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.01)
    with History(path) as history:
        history.add(WHAT, document())
        holder = sqlite3.connect(path)
        holder.execute("BEGIN EXCLUSIVE")
        history.add(WHAT, document())
        assert "locked" in history.trouble
        holder.rollback()
        holder.close()
        assert len(history.earlier(WHAT)) == 1


def test_a_path_that_is_no_utf_8_is_kept(path: Path) -> None:
    with History(path) as history:
        history.add(WHAT, document(checkpoint=os.fsdecode(b"/a/\xff")))
        (kept,) = history.earlier(WHAT)
        assert kept.checkpoint_path == "/a/\\xff"
        assert history.trouble == ""


def test_it_lies_in_the_users_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CKPTVIEWER_HISTORY", str(tmp_path / "x"))
    assert default_path() == tmp_path / "x"
    monkeypatch.delenv("CKPTVIEWER_HISTORY")
    assert default_path().name == "validations.sqlite"
    assert "ckptviewer" in str(default_path())


def test_content_is_the_same_wherever_it_lies(tmp_path: Path) -> None:
    values = {"w": np.arange(6, dtype=np.float32), "b": np.zeros(2, np.float32)}
    one = builders.save(tmp_path / "one", values)
    other = builders.save(tmp_path / "other", values)
    third = builders.save(tmp_path / "third", values | {"b": np.ones(2, np.float32)})
    found = []
    for prefix in (one, other, third):
        with open_checkpoint(prefix) as checkpoint:
            found.append(content_of_checkpoint(checkpoint))
    assert found[0] == found[1] != found[2]


def test_content_without_checksums_is_of_the_bytes(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones(3))
    shutil.copy(tmp_path / "a.npz", tmp_path / "copy.npz")
    np.savez(tmp_path / "b.npz", x=np.zeros(3))
    found = []
    for name in ("a", "copy", "b"):
        with open_checkpoint(tmp_path / f"{name}.npz") as checkpoint:
            found.append(content_of_checkpoint(checkpoint))
    assert found[0] == found[1] != found[2]


def test_content_of_directories_and_of_how_they_are_read(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "cats").mkdir(parents=True)
        (tmp_path / name / "cats" / "1.png").write_bytes(b"cat")
    one, two = tmp_path / "one", tmp_path / "two"
    assert content_of_files([one]) == content_of_files([two])
    assert content_of_files([one], how="a") != content_of_files([one], how="b")
    (two / "cats").rename(two / "dogs")
    assert content_of_files([one]) != content_of_files([two])
    assert content_of_files([tmp_path / "none"]) != content_of_files([one])


def test_a_large_file_counts_by_its_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WHOLE_BYTES", 100)
    monkeypatch.setattr(module, "_SAMPLE_BYTES", 10)
    file = tmp_path / "large"
    file.write_bytes(b"a" * 1000)
    before = content_of_files([file])
    assert content_of_files([file]) == before
    file.write_bytes(b"a" * 999 + b"b")
    assert content_of_files([file]) != before


def test_of_very_much_data_not_all_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_READ_BYTES", 100)
    monkeypatch.setattr(module, "_SMALL_SAMPLE_BYTES", 10)
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(b"a" * 90)
    before = content_of_files([tmp_path])
    assert content_of_files([tmp_path]) == before
    (tmp_path / "4.png").write_bytes(b"a" * 91)
    assert content_of_files([tmp_path]) != before
