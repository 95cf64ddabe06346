"""`ckptviewer stats` against NumPy and SciPy, as a script sees it."""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from ckptviewer.checkpoint.errors import PathNotFoundError
from ckptviewer.cli import stats
from tests import builders

RNG = np.random.default_rng(2)
VALUES: dict[str | bytes, np.ndarray] = {
    "dense/kernel": RNG.normal(size=(300, 40)).astype(np.float32),
    "dense/bias": np.zeros(40, np.float32),
    "norm/gamma": (1 + 1e-3 * RNG.normal(size=5000)).astype(np.float32),
    "far/mean": 1e9 + 1e-6 * RNG.normal(size=5000),
    "broken": np.array([1, np.nan, np.inf, -np.inf, 0, -2], np.float32),
    "all/nan": np.full((3, 2), np.nan, np.float32),
    "empty": np.empty((0, 4), np.float32),
    "global_step": np.array(2**60 + 1),
    "half": RNG.normal(size=3000).astype(np.float16),
    "flags": RNG.random(500) > 0.4,
    "names": np.array([b"a", b"longer", b""]),
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return builders.save(tmp_path_factory.mktemp("stats") / "model", VALUES)


def stats_of(path: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    parser = argparse.ArgumentParser()
    stats.add_parser(parser.add_subparsers())
    options = parser.parse_args(["stats", str(path), *arguments])
    assert options.run(options) == 0
    return capsys.readouterr().out


def document_of(path: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    text = stats_of(path, capsys, "--json", *arguments)
    return json.loads(text, parse_constant=no_constant)


def assert_right(found: dict[str, Any], values: np.ndarray) -> None:
    """What is told of a numeric variable is what NumPy and SciPy say in float64."""
    wide = values.astype(np.float64).reshape(-1)
    finite = wide[np.isfinite(wide)]
    assert found["count"] == wide.size
    assert found["nan"] == np.isnan(wide).sum()
    assert found["inf"] == np.isinf(wide).sum()
    assert found["zero"] == (wide == 0).sum()
    assert found["sampled"] is False
    if not finite.size:
        assert found["histogram"] is None
        assert all(found[name] is None for name in ("min", "max", "mean", "std", "kurtosis"))
        return
    kept = values.reshape(-1)[np.isfinite(wide)]
    assert (found["min"], found["max"]) == (kept.min(), kept.max())
    pivot = finite[0]  # the differences are exact; what is far from zero loses nothing
    near = finite - pivot
    scale = float(np.abs(finite).max())
    assert found["mean"] == pytest.approx(near.mean() + pivot, rel=1e-6, abs=1e-12 * scale)
    assert found["std"] == pytest.approx(near.std(), rel=1e-6)
    assert found["l2_norm"] == pytest.approx(np.linalg.norm(finite), rel=1e-6)
    if near.std() > 0:
        assert found["skewness"] == pytest.approx(scipy.stats.skew(near), rel=1e-4, abs=1e-6)
        assert found["kurtosis"] == pytest.approx(scipy.stats.kurtosis(near), rel=1e-4, abs=1e-6)
    else:
        assert (found["skewness"], found["kurtosis"]) == (None, None)
    histogram = found["histogram"]
    assert sum(histogram["counts"]) == finite.size
    assert len(histogram["edges"]) == len(histogram["counts"]) + 1
    wanted = np.histogram(finite, histogram["edges"])[0]
    gap = np.abs(finite[:, None] - np.array(histogram["edges"])[None, :]).min(axis=1)
    doubtful = np.count_nonzero(gap <= histogram["resolution"]) if histogram["resolution"] else 0
    assert np.abs(wanted - histogram["counts"]).sum() <= 2 * doubtful


def test_a_bundle_with_hard_cases(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = document_of(bundle, capsys)
    found = {entry["key"]: entry for entry in document["variables"]}
    assert document["format"] == "tf-bundle"
    assert found.keys() == VALUES.keys()
    for key, values in VALUES.items():
        if key != "names":
            assert_right(found[str(key)], values)
    assert found["global_step"]["min"] == 2**60 + 1
    assert found["names"]["lengths"] == {"min": 0, "max": 6, "mean": pytest.approx(7 / 3)}
    assert found["names"]["histogram"] is None
    assert found["names"]["l2_norm"] is None
    assert found["flags"]["distinct"] == 2
    assert found["norm/gamma"]["histogram"]["resolution"] == 0


def test_quantiles_come_with_their_error(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (entry,) = document_of(bundle, capsys, "--include", "dense/kernel")["variables"]
    for quantile in entry["quantiles"]:
        true = np.quantile(VALUES["dense/kernel"].astype(np.float64), quantile["fraction"])
        assert abs(quantile["value"] - true) <= quantile["error"]
        assert quantile["error"] < 0.01 * abs(true) + 1e-3


def test_include_chooses(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = document_of(bundle, capsys, "--include", "dense/*", "--include", "half")
    keys = [entry["key"] for entry in document["variables"]]
    assert keys == ["dense/bias", "dense/kernel", "half"]
    assert document_of(bundle, capsys, "--include", "nothing")["variables"] == []


def test_csv(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(stats_of(bundle, capsys, "--csv"))))
    assert len(rows) == len(VALUES)
    found = {row["key"]: row for row in rows}
    assert found["dense/kernel"]["shape"] == "300x40"
    assert float(found["dense/kernel"]["mean"]) == pytest.approx(VALUES["dense/kernel"].mean())
    assert found["global_step"]["max"] == str(2**60 + 1)
    assert found["all/nan"]["mean"] == ""
    assert found["all/nan"]["nan"] == "6"


def test_the_table_for_people(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = stats_of(bundle, capsys).splitlines()
    assert lines[0].split() == "KEY COUNT MIN MAX MEAN STD ZERO NAN INF".split()
    assert len(lines) == len(VALUES) + 1
    (broken,) = [line.split() for line in lines if line.startswith("broken")]
    assert broken == ["broken", "6", "-2", "1", "-0.33333", "1.2472", "1", "1", "2"]


def test_a_damaged_variable_is_told_and_the_others_are_measured(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in bundle.parent.glob("model.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    data = tmp_path / "model.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    where = content.index(VALUES["half"].tobytes())
    content[where] ^= 0x40
    data.write_bytes(content)
    found = {entry["key"]: entry for entry in document_of(tmp_path / "model", capsys)["variables"]}
    assert "checksum" in found["half"]["error"]
    assert found["half"]["mean"] is None
    assert found["dense/kernel"]["count"] == 12_000
    assert "error" not in found["dense/kernel"]
    stats_of(tmp_path / "model", capsys)


def test_messages_are_not_on_standard_output(
    bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats.sys.stderr, "isatty", lambda: True)
    options = argparse.Namespace(path=str(bundle), include=[], json=True, csv=False)
    assert stats.run(options) == 0
    captured = capsys.readouterr()
    json.loads(captured.out)
    assert "100%" in captured.err


def test_no_progress_where_nobody_watches(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = argparse.Namespace(path=str(bundle), include=[], json=True, csv=False)
    assert stats.run(options) == 0
    assert capsys.readouterr().err == ""


def test_what_is_not_there_raises(tmp_path: Path) -> None:
    options = argparse.Namespace(path=str(tmp_path / "no"), include=[], json=True, csv=False)
    with pytest.raises(PathNotFoundError):
        stats.run(options)


@pytest.mark.parametrize(
    "folder",
    [
        "basicpitch_sm",
        "onx_regression_ckpt",
        "srv_sm_v2_half_plus_two",
        "t2t_transformer_2shard",
        "tfjs_sm_int64",
        "tfx_estimator_2shard",
        "tfx_sm_2shard_assets",
        "tfx_sm_keras",
    ],
)
def test_real_checkpoints(corpus: Path, folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    import tensorflow as tf

    (index,) = (corpus / folder).rglob("*.index")
    reader = tf.train.load_checkpoint(str(index.with_suffix("")))
    found = {entry["key"]: entry for entry in document_of(index, capsys)["variables"]}
    assert found.keys() == set(reader.get_variable_to_shape_map())
    for key, entry in found.items():
        values = np.asarray(reader.get_tensor(key))
        if values.dtype.kind in "OS":
            assert entry["lengths"] is not None
            assert entry["count"] == values.size
        else:
            assert_right(entry, values)
            assert entry["l2_norm"] is None or math.isfinite(entry["l2_norm"])
