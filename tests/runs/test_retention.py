"""What a policy keeps, why, and what that frees: nothing is removed here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.runs.retention import Policy, RemovalPlan, plan_retention
from ckptviewer.runs.run import find_run
from tests.builders import save


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six checkpoints with two metrics; the state names the second, by a stale path."""
    path = tmp_path_factory.mktemp("retention")
    losses = (0.9, 0.5, 0.2, 0.3, 0.2, 0.4)
    for step, loss in enumerate(losses):
        save(path / f"m-step{step * 10}-val_loss{loss}-acc{loss / 2}", {"w": [1.0] * (step + 1)})
    (path / "checkpoint").write_text(
        'model_checkpoint_path: "/gone/m-step10-val_loss0.5-acc0.25"\n'
    )
    return path


def steps(plan: RemovalPlan) -> list[int | None]:
    return [kept.entry.step for kept in plan.kept]


def plan_of(directory: Path, **rules: object) -> RemovalPlan:
    return plan_retention(find_run(directory), Policy(**rules))


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ({"keep_last": 2}, [10, 40, 50]),
        ({"keep_last": 99}, [0, 10, 20, 30, 40, 50]),
        ({"keep_every": 20}, [0, 10, 20, 40]),
        ({"keep_best": "val_loss"}, [10, 40]),
        ({"keep_best": "loss"}, [10, 40]),
        ({"keep_best": "acc"}, [0, 10]),
        ({"keep_best": "acc:min"}, [10, 40]),
        ({"keep_best": "val_loss:max"}, [0, 10]),
        ({"keep_every": 7777}, [0, 10]),
        ({"keep_last": 1, "keep_every": 30, "keep_best": "val_loss"}, [0, 10, 30, 40, 50]),
    ],
)
def test_policies(directory: Path, rules: dict[str, object], kept: list[int]) -> None:
    plan = plan_of(directory, **rules)
    assert steps(plan) == kept
    removed = {entry.name for entry in plan.removed}
    assert removed == {e.name for e in plan.run.checkpoints} - {k.entry.name for k in plan.kept}
    files = [Path(state.path) for entry in plan.removed for state in entry.files]
    assert plan.bytes_freed == sum(file.stat().st_size for file in files)
    assert all(kept.reasons for kept in plan.kept)


def test_reasons_are_told(directory: Path) -> None:
    plan = plan_of(directory, keep_last=1, keep_best="val_loss")
    reasons = {kept.entry.step: kept.reasons for kept in plan.kept}
    assert "model_checkpoint_path" in reasons[10][0]
    assert reasons[40] == ("the best by val_loss (0.2, min)",)
    assert reasons[50] == ("one of the last 1",)


def test_ticked_ones_are_kept(directory: Path) -> None:
    name = find_run(directory).checkpoints[2].name
    assert steps(plan_of(directory, keep_last=1, keep_names=frozenset({name}))) == [10, 20, 50]


def test_without_a_rule_nothing_is_planned(directory: Path) -> None:
    with pytest.raises(CkptviewerError, match="nothing says what to keep"):
        plan_of(directory)


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("fluency", "no name has the metric 'fluency'"),
        ("val_loss:best", "not known"),
    ],
)
def test_metrics_that_do_not_tell(directory: Path, metric: str, words: str) -> None:
    with pytest.raises(CkptviewerError, match=words):
        plan_of(directory, keep_best=metric)


def test_what_is_protected(tmp_path: Path) -> None:
    for name in ("ckpt-1", "ckpt-2", "ckpt-3", "ckpt-4", "best"):
        save(tmp_path / name, {"w": [1.0]})
    (tmp_path / "ckpt-2.index").unlink()
    os.truncate(tmp_path / "ckpt-4.index", 10)
    plan = plan_of(tmp_path, keep_last=1)
    reasons = {kept.entry.name: kept.reasons for kept in plan.kept}
    assert reasons == {
        "best": ("it has no step to go by",),
        "ckpt-2": ("incomplete: it may be being saved",),
        "ckpt-3": ("one of the last 1",),
    }
    assert [entry.name for entry in plan.removed] == ["ckpt-1", "ckpt-4"]


def test_another_name_of_a_file_frees_nothing(tmp_path: Path) -> None:
    for step in (1, 2):
        save(tmp_path / f"ckpt-{step}", {"w": [1.0]})
    os.link(tmp_path / "ckpt-1.data-00000-of-00001", tmp_path / "kept-elsewhere")
    plan = plan_of(tmp_path, keep_last=1)
    assert plan.bytes_freed == (tmp_path / "ckpt-1.index").stat().st_size
