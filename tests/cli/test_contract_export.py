"""What scripts rely on in `ckptviewer export --json`: nothing but its document, or one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ckptviewer.cli.main import run as run_program

NORMALIZATION = ("gamma", "beta", "moving_mean", "moving_variance")
Exported = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def exported(capsys: pytest.CaptureFixture[str]) -> Exported:
    """Runs `export --json`: exit status, document, standard error."""

    def run(*arguments: Path | str) -> tuple[int, dict[str, Any], str]:
        status = run_program(["export", *map(str, arguments), "--json"])
        told = capsys.readouterr()
        if status == 2:
            assert told.out == ""
            assert len(told.err.splitlines()) == 1
        return status, json.loads(told.out) if told.out else {}, told.err

    return run


@pytest.fixture
def two_dense(tmp_path: Path) -> Path:
    """Two Dense layers, of which nothing tells the order; one other; a counter."""
    path = tmp_path / "model.npz"
    values = np.ones((3, 3), np.float32)
    arrays = {f"net/{layer}/kernel": values for layer in ("first", "head")}
    arrays |= {f"net/norm/{name}": np.ones(3, np.float32) for name in NORMALIZATION}
    np.savez(path, **arrays, global_step=np.int64(3))
    return path


@pytest.mark.parametrize("option", ["--overwrite", "--dry-run"])
def test_no_part_of_a_model_is_written_as_weights_of_keras(
    two_dense: Path, tmp_path: Path, exported: Exported, option: str
) -> None:
    """Keras loads all of a model or nothing."""
    target = tmp_path / "new" / "model.weights.h5"
    target.parent.mkdir()
    status, _, told = exported(two_dense, target, option)
    assert status == 2
    assert "nothing tells the order of first and head" in told
    assert not list(target.parent.iterdir())


def test_what_is_left_out_on_purpose_is_not_missed(
    two_dense: Path, tmp_path: Path, exported: Exported
) -> None:
    target = tmp_path / "model.weights.h5"
    status, document, _ = exported(two_dense, target, "--exclude", "*/kernel")
    assert (status, document["verified"]) == (0, True)
    assert {each["key"] for each in document["kept"]} == {f"net/norm/{n}" for n in NORMALIZATION}


def test_what_fails_says_so_and_nothing_else(tmp_path: Path, exported: Exported) -> None:
    """No caution about what is not written after all."""
    source = tmp_path / "model.npz"
    np.savez(source, **{"a/kernel": np.ones(3), "a/kernel/Adam": np.ones(3)})
    (tmp_path / "file").write_text("in the way")
    exported(source, tmp_path / "file" / "model", "--preset", "inference")


@pytest.mark.parametrize("option", ["--keep", "--drop"])
def test_a_key_that_is_not_there(
    two_dense: Path, tmp_path: Path, exported: Exported, option: str
) -> None:
    status, _, told = exported(two_dense, tmp_path / "new.npz", option, "net/frist/kernel")
    assert status == 2
    assert "net/frist/kernel" in told
    assert not (tmp_path / "new.npz").exists()


def test_a_receipt_that_cannot_be_written_stops_before_the_work(
    two_dense: Path, tmp_path: Path, exported: Exported
) -> None:
    receipt = tmp_path / "nowhere" / "receipt.json"
    status, _, told = exported(two_dense, tmp_path / "new.npz", "--receipt", receipt)
    assert (status, (tmp_path / "new.npz").exists()) == (2, False)
    assert "nowhere" in told


def test_rescue_says_why_a_variable_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tmp_path / "whole.npz"
    np.savez(whole, a=np.ones(300), b=np.ones(300))
    data = whole.read_bytes()
    cut = tmp_path / "cut.npz"
    cut.write_bytes(data[: data.index(b"b.npy") + 100])
    assert run_program(["rescue", str(cut), str(tmp_path / "saved"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["key"] for each in document["kept"]] == ["a"]
    (lost,) = document["dropped"]
    assert lost["key"] == "b"
    assert "dtype" not in lost["reason"]


@pytest.mark.parametrize(
    "name", ["model.npz", "linked.npz", "new.index", "new.data-00000-of-00001"]
)
def test_a_receipt_never_replaces_a_checkpoint(
    two_dense: Path, tmp_path: Path, exported: Exported, name: str
) -> None:
    before = two_dense.read_bytes()
    (tmp_path / "linked.npz").symlink_to(two_dense)
    status, _, _ = exported(two_dense, tmp_path / "new", "--receipt", tmp_path / name)
    assert (status, two_dense.read_bytes()) == (2, before)
    assert not list(tmp_path.glob("new*"))
