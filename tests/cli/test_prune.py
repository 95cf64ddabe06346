"""`ckptviewer prune` as a script sees it, and as a person answers it."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
import tensorflow as tf

from ckptviewer.cli import prune
from ckptviewer.cli.main import run
from tests.builders import save


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for step in (1, 2, 3, 4):
        save(tmp_path / f"ckpt-{step}", {"w": [float(step)]})
    lines = ['model_checkpoint_path: "ckpt-2"']
    lines += [f'all_model_checkpoint_paths: "ckpt-{step}"' for step in (1, 2, 3, 4)]
    (tmp_path / "checkpoint").write_text("\n".join(lines))
    return tmp_path


def there(directory: Path) -> list[str]:
    return sorted(file.stem for file in directory.glob("*.index"))


EVERYTHING = ["ckpt-1", "ckpt-2", "ckpt-3", "ckpt-4"]


def test_dry_run(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prune", str(directory), "--keep-last", "1", "--dry-run", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    removed = [file for step in (1, 3) for file in directory.glob(f"ckpt-{step}.*")]
    assert document["kept"] == ["ckpt-2", "ckpt-4"]
    assert document["removed"] == ["ckpt-1", "ckpt-3"]
    assert document["bytes_freed"] == sum(file.stat().st_size for file in removed)
    assert there(directory) == EVERYTHING


def test_for_good(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["prune", str(directory), "--keep-last", "1", "--yes", "--delete", "--json"]
    assert run(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["removed"] == ["ckpt-1", "ckpt-3"]
    assert there(directory) == ["ckpt-2", "ckpt-4"]
    state = tf.train.get_checkpoint_state(str(directory))
    assert [os.path.basename(each) for each in state.all_model_checkpoint_paths] == [
        "ckpt-2",
        "ckpt-4",
    ]
    assert tf.train.latest_checkpoint(str(directory)) == str(directory / "ckpt-2")
    assert run(arguments) == 0  # again: nothing is left to do
    assert json.loads(capsys.readouterr().out)["removed"] == []


def test_to_the_trash(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import send2trash

    monkeypatch.setattr(send2trash, "send2trash", os.unlink)
    assert run(["prune", str(directory), "--keep-every", "2", "--yes"]) == 0
    assert "2 checkpoints moved to the trash" in capsys.readouterr().out
    assert there(directory) == ["ckpt-2", "ckpt-4"]


def test_without_a_terminal_nothing_is_done(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\ny\n"))
    assert run(["prune", str(directory), "--keep-last", "1"]) == 2
    assert "no terminal" in capsys.readouterr().err
    assert there(directory) == EVERYTHING


@pytest.mark.parametrize(
    ("answers", "for_good", "status"),
    [
        ("y\n", False, 0),
        ("\n", False, 1),
        ("n\n", False, 1),
        ("", False, 1),
        ("y\ny\n", True, 0),
        ("y\nn\n", True, 1),
        ("y\n", True, 1),
    ],
)
def test_on_a_terminal_it_asks(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answers: str,
    for_good: bool,
    status: int,
) -> None:
    import send2trash

    monkeypatch.setattr(send2trash, "send2trash", os.unlink)
    monkeypatch.setattr(prune, "_can_ask", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO(answers))
    arguments = ["prune", str(directory), "--keep-last", "1", *(["--delete"] * for_good)]
    assert run(arguments) == status
    asked = capsys.readouterr().err.count("[y/N]")
    assert asked == (2 if for_good and answers.startswith("y") else 1)
    assert there(directory) == (EVERYTHING if status else ["ckpt-2", "ckpt-4"])


def test_what_could_not_be_done(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["--yes"], "nothing says what to keep"),
        (["--keep-best", "loss", "--yes"], "no name has the metric"),
        (["--keep", "ckpt-9", "--yes"], "no checkpoint 'ckpt-9'"),
    ):
        assert run(["prune", str(directory), *arguments]) == 2
        assert words in capsys.readouterr().err
    for wrong in (["--keep-last", "0"], ["--yes", "--dry-run", "--keep-last", "1"]):
        with pytest.raises(SystemExit) as exit_:
            run(["prune", str(directory), *wrong])
        assert exit_.value.code == 2
    assert there(directory) == EVERYTHING
