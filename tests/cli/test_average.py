"""`ckptviewer average` as a script sees it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ckptviewer.cli.main import run
from tests.builders import save, values_in


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    for number in (1, 2, 4):
        values = {"w": np.full(3, number, np.float32), "global_step": np.int64(number)}
        save(tmp_path / f"ckpt-{number}", values)
    return [str(tmp_path / f"ckpt-{number}") for number in (1, 2, 4)]


def test_uniform(paths: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "mean"
    assert run(["average", *paths, str(target), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["verified"] is True
    assert document["destination"] == str(target)
    assert document["sources"] == paths
    assert document["averaged"] == ["w"]
    assert document["weights"] == pytest.approx([1 / 3] * 3)
    found = values_in(target)
    assert found["w"] == pytest.approx([7 / 3] * 3)
    assert found["global_step"] == 4


def test_exponential(paths: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "ema"
    assert run(["average", *paths, str(target), "--decay", "0.5"]) == 0
    out = capsys.readouterr().out
    assert "1 variable averaged, 1 as in the last one" in out
    assert values_in(target)["w"] == pytest.approx([(1 + 2 * 2 + 4 * 4) / 7] * 3)


def test_what_could_not_be_done(
    paths: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = save(tmp_path / "other", {"x": np.ones(3, np.float32)})
    for arguments, words in (
        ([*paths, str(tmp_path / "ckpt-1")], "is read"),
        ([*paths, str(other)], "already"),
        ([paths[0], str(other), str(tmp_path / "new")], "no variable"),
        ([*paths, str(tmp_path / "new"), "--decay", "2"], "decay"),
        ([*paths, str(tmp_path / "nowhere" / "new")], "no such directory"),
        ([str(tmp_path / "gone"), str(tmp_path / "new")], "no such file"),
    ):
        before = sorted(each.name for each in tmp_path.iterdir())
        assert run(["average", *arguments]) == 2
        assert words in capsys.readouterr().err
        assert sorted(each.name for each in tmp_path.iterdir()) == before
    assert run(["average", *paths, str(other), "--overwrite"]) == 0
    assert "w" in values_in(other)
