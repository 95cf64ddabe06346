"""`ckptviewer run` as a script sees it."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from ckptviewer.cli.main import run
from tests.builders import save

KERNELS = [
    np.random.default_rng(step).standard_normal((4, 3)).astype(np.float32) for step in range(3)
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three checkpoints of 10, 20 and 30 steps; the kernel is broken in the last."""
    path = tmp_path_factory.mktemp("run")
    for step, kernel in enumerate(KERNELS):
        kernel = kernel.copy()
        if step == 2:
            kernel[0, 0] = np.nan
        values = {"a/kernel": kernel, "a/bias": np.ones(3, np.float32), "note": [b"x"]}
        save(path / f"model.ckpt-{10 * (step + 1)}", values)
    names = [f"model.ckpt-{step}" for step in (10, 20, 30)]
    lines = [f'model_checkpoint_path: "{names[-1]}"']
    lines += [f'all_model_checkpoint_paths: "{name}"' for name in names]
    (path / "checkpoint").write_text("\n".join(lines) + "\n")
    return path


def document_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert run(["run", *map(str, arguments), "--json"]) == 0
    captured = capsys.readouterr()
    assert not captured.err
    document: dict[str, Any] = json.loads(captured.out)
    return document


def test_document(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = document_of(capsys, directory)
    assert list(document) == ["path", "latest", "latest_reason", "checkpoints", "findings"]
    assert document["path"] == str(directory)
    assert document["latest"] == tf.train.latest_checkpoint(str(directory))
    assert document["findings"] == []
    for entry, step in zip(document["checkpoints"], (10, 20, 30), strict=True):
        prefix = directory / f"model.ckpt-{step}"
        files = list(directory.glob(f"{prefix.name}.*"))
        assert entry == {
            "name": prefix.name,
            "path": str(prefix),
            "step": step,
            "size_bytes": sum(file.stat().st_size for file in files),
            "saved_at": max(file.stat().st_mtime_ns for file in files) / 1e9,
            "format": "tf-bundle",
            "metrics": {},
            "condition": "sound",
        }


def test_prefix_is_no_directory(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = document_of(capsys, directory / "model.ckpt-30")
    assert document["latest"] is None
    assert "prefix" in document["latest_reason"]
    assert len(document["checkpoints"]) == 3


def test_findings_of_the_series(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = document_of(capsys, directory, "--findings")
    found = {finding["code"]: finding for finding in document["findings"]}
    assert found["nan-appears"]["variable"] == "a/kernel"
    assert "step 30" in found["nan-appears"]["message"]
    assert set(found["nan-appears"]) == {"code", "severity", "variable", "message", "remedy"}


@pytest.mark.parametrize("series", ["norm", "mean", "std", "min", "max", "nan", "sparsity"])
def test_series_as_csv(directory: Path, capsys: pytest.CaptureFixture[str], series: str) -> None:
    assert run(["run", str(directory), "--series", series, "--csv"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["step", "a/bias", "a/kernel"]
    assert [row[0] for row in rows[1:]] == ["10", "20", "30"]
    script = {
        "norm": np.linalg.norm,
        "nan": lambda x: np.isnan(x).sum(),
        "sparsity": lambda x: (x == 0).mean(),
    }
    measure = script.get(series, getattr(np, series, None))
    assert measure is not None
    found = [float(row[2]) for row in rows[1:3]]
    assert found == pytest.approx([measure(k.astype(np.float64)) for k in KERNELS[:2]], rel=1e-6)


def test_updates_as_csv(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", str(directory), "--series", "update", "--csv", "--include", "*kernel"]
    assert run(arguments) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["step", "a/kernel"]
    assert rows[1] == ["10", ""]
    one, two = (kernel.astype(np.float64) for kernel in KERNELS[:2])
    wanted = np.linalg.norm(two - one) / np.linalg.norm(one)
    assert float(rows[2][1]) == pytest.approx(wanted, rel=1e-6)


def test_series_as_document_and_for_people(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = document_of(capsys, directory, "--series", "nan")
    assert document["steps"] == [10, 20, 30]
    assert {each["key"]: each["values"] for each in document["variables"]} == {
        "a/bias": [0, 0, 0],
        "a/kernel": [0, 0, 1],
    }
    assert run(["run", str(directory), "--series", "nan"]) == 0
    assert "a/kernel" in capsys.readouterr().out


def test_for_people(directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)
    (copy / "model.ckpt-20.index").unlink()
    (copy / "checkpoint").unlink()
    assert run(["run", str(copy)]) == 0
    out = capsys.readouterr().out
    assert "tf.train.latest_checkpoint returns None" in out
    assert "There is no file `checkpoint`" in out
    assert "incomplete" in out
    assert "half-written or half-deleted: its index is missing" in out


def test_what_could_not_be_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", str(tmp_path / "no" / "where")]) == 2
    assert "no such directory" in capsys.readouterr().err
    assert run(["run", str(tmp_path), "--csv"]) == 2
    assert "--series" in capsys.readouterr().err
    document = document_of(capsys, tmp_path)
    assert document["checkpoints"] == []
