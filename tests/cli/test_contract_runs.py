"""`run`, `average` and `prune` as scripts rely on them, where directories are odd."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ckptviewer.cli.main import COULD_NOT, run
from ckptviewer.runs.latest import latest_checkpoint
from tests.builders import save


def saved(directory: Path, *steps: int, latest: int) -> Path:
    """A directory as a manager leaves it."""
    for step in steps:
        save(directory / f"ckpt-{step}", {"w": [float(step)]})
    lines = [f'model_checkpoint_path: "ckpt-{latest}"']
    lines += [f'all_model_checkpoint_paths: "ckpt-{step}"' for step in steps]
    (directory / "checkpoint").write_text("\n".join(lines))
    return directory


def named(directory: Path) -> list[str]:
    return sorted(file.stem for file in directory.glob("*.index"))


def listed(directory: Path) -> list[str]:
    lines = (directory / "checkpoint").read_text().splitlines()
    return [line.split('"')[1] for line in lines if line.startswith("all_model_checkpoint_paths")]


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of what could not be done."""
    assert run(arguments) == COULD_NOT
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """The document, which is all that is printed; NaN and Infinity are no JSON."""

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is no JSON")

    assert run([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out, parse_constant=refuse)


def test_a_directory_that_is_not_there_is_not_the_one_around_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = saved(tmp_path, 1, 2, latest=2)
    for wrong in ("elsewhere", "ckp_", "elsewhere/deeper"):
        assert "no such directory" in complaint(capsys, "run", str(directory / wrong), "--json")
    # A prefix is what latest_checkpoint is given by mistake: None, and why.
    document = answer(capsys, "run", str(directory / "ckpt"))
    assert document["latest"] is None
    assert "takes the directory" in document["latest_reason"]


@pytest.mark.parametrize("what", ["elsewhere", "ckpt", "ckpt-1", "checkpoint", "ckpt-1.index"])
def test_nothing_but_a_directory_is_pruned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    directory = saved(tmp_path, 1, 2, 3, latest=3)
    arguments = ("prune", str(directory / what), "--keep-last", "1", "--delete", "--yes", "--json")
    assert "it is no directory" in complaint(capsys, *arguments)
    assert named(directory) == ["ckpt-1", "ckpt-2", "ckpt-3"]


def test_the_latest_of_a_directory_inside_is_never_pruned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = saved(tmp_path, 10, 20, latest=20)
    inside = saved(tmp_path / "stage1", 3, 4, 5, latest=4)
    document = answer(
        capsys, "prune", str(directory), "--keep-last", "1", "--delete", "--yes"
    )  # fmt: skip
    assert document["kept"] == ["stage1/ckpt-4", "ckpt-20"]
    assert named(inside) == ["ckpt-4"]
    assert listed(inside) == ["ckpt-4"]
    assert latest_checkpoint(str(inside)).path == str(inside / "ckpt-4")
    assert latest_checkpoint(str(directory)).path == str(directory / "ckpt-20")


def test_without_a_trash_nothing_is_lost_and_all_stays_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import send2trash

    directory = saved(tmp_path, 1, 2, 3, 4, latest=4)

    def trash(path: str) -> None:
        if "ckpt-1" not in path:
            raise FileNotFoundError(2, "No such file or directory", path)
        os.unlink(path)

    monkeypatch.setattr(send2trash, "send2trash", trash)
    line = complaint(capsys, "prune", str(directory), "--keep-last", "1", "--yes", "--json")
    assert "1 of 3 checkpoints are removed" in line
    assert "--delete" in line
    assert named(directory) == ["ckpt-2", "ckpt-3", "ckpt-4"]
    assert listed(directory) == ["ckpt-2", "ckpt-3", "ckpt-4"]
    assert latest_checkpoint(str(directory)).path == str(directory / "ckpt-4")
