"""`ckptviewer compare` as a script sees it, on pairs that TensorFlow and Keras wrote."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.cli import compare
from ckptviewer.cli.main import run as run_program
from tests import builders

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

RNG = np.random.default_rng(8)
STATUSES = ("same", "changed", "added", "removed", "renamed", "reshaped", "retyped")
FIELDS = {
    "status", "key_a", "key_b", "basis", "max_abs", "mean_abs", "relative_l2", "cosine",
    "mean_difference", "std_difference",
}  # fmt: skip
Arrays = dict[str | bytes, Any]


def normal(*shape: int, scale: float = 0.05) -> np.ndarray:
    return RNG.normal(0, scale, shape).astype(np.float32)


BASE: Arrays = {
    "encoder/layer_0/kernel": normal(60, 50),
    "encoder/layer_0/bias": normal(50),
    "encoder/layer_1/kernel": normal(50, 50),
    "head/kernel": normal(50, 3),
    "head/bias": np.zeros(3, np.float32),
    "global_step": np.array(1000),
}


def options_of(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    compare.add_parser(parser.add_subparsers())
    return parser.parse_args(["compare", *arguments])


Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def compared(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `compare --json`: its exit status and its document, whose form is checked."""

    def run(a: Path | str, b: Path | str, *arguments: str) -> tuple[int, dict[str, Any]]:
        def no_constant(name: str) -> None:
            raise AssertionError(f"{name} is no JSON")

        status = compare.run(options_of(str(a), str(b), "--json", *arguments))
        document = json.loads(capsys.readouterr().out, parse_constant=no_constant)
        assert document.keys() == {"identical", "summary", "variables"}
        assert tuple(document["summary"]) == STATUSES
        for entry in document["variables"]:
            assert entry.keys() - {"note", "problem"} == FIELDS
            assert entry["basis"] in ("checksum", "values", None)
        for name, count in document["summary"].items():
            assert count == sum(entry["status"] == name for entry in document["variables"])
        assert (status == 0) == document["identical"]
        return status, document

    return run


@pytest.fixture
def pair(tmp_path: Path) -> Callable[[Arrays, Arrays], tuple[Path, Path]]:
    def write(a: Arrays, b: Arrays) -> tuple[Path, Path]:
        return builders.save(tmp_path / "a", a), builders.save(tmp_path / "b", b)

    return write


Pair = Callable[[Arrays, Arrays], tuple[Path, Path]]


def rows(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["key_b"] or entry["key_a"]: entry for entry in document["variables"]}


def assert_numbers(entry: dict[str, Any], a: np.ndarray, b: np.ndarray) -> None:
    """The numbers are those of NumPy in float64."""
    x, y = (each.astype(np.float64).reshape(-1) for each in (a, b))
    assert entry["basis"] == "values"
    assert entry["max_abs"] == np.abs(y - x).max()
    assert entry["mean_abs"] == pytest.approx(np.abs(y - x).mean(), rel=1e-9)
    norm = np.linalg.norm(x)
    assert entry["relative_l2"] == pytest.approx(np.linalg.norm(y - x) / norm, rel=1e-9)
    assert entry["cosine"] == pytest.approx(x @ y / norm / np.linalg.norm(y), abs=1e-12)
    assert entry["mean_difference"] == pytest.approx(y.mean() - x.mean(), abs=1e-14)
    assert entry["std_difference"] == pytest.approx(y.std() - x.std(), abs=1e-14)


def test_identical(pair: Pair, compared: Run) -> None:
    paths = pair(BASE, BASE)
    status, document = compared(*paths)
    assert (status, document["summary"]["same"]) == (0, len(BASE))
    assert {entry["basis"] for entry in document["variables"]} == {"checksum"}
    status, document = compared(*paths, "--values")
    assert status == 0
    assert {entry["basis"] for entry in document["variables"]} == {"values"}
    assert all(entry["max_abs"] == 0 for entry in document["variables"])


def test_fine_tuned_with_a_frozen_base(pair: Pair, compared: Run) -> None:
    tuned = dict(BASE)
    for key in ("head/kernel", "encoder/layer_1/kernel"):
        tuned[key] = BASE[key] + normal(*BASE[key].shape, scale=1e-3)
    tuned["global_step"] = np.array(2000)
    status, document = compared(*pair(BASE, tuned))
    found = rows(document)
    assert status == 1
    assert document["summary"]["same"] == 3
    for key in ("head/kernel", "encoder/layer_1/kernel"):
        assert found[key]["status"] == "changed"
        assert_numbers(found[key], BASE[key], tuned[key])
    assert found["global_step"]["max_abs"] == 1000
    assert found["encoder/layer_0/kernel"]["basis"] == "checksum"
    assert found["encoder/layer_0/kernel"]["max_abs"] is None


def test_renamed_scopes(pair: Pair, compared: Run) -> None:
    moved = {str(key).replace("encoder/", "backbone/body/"): each for key, each in BASE.items()}
    paths = pair(BASE, moved)
    status, document = compared(*paths, "--rename", "^encoder/=backbone/body/")
    assert (status, document["summary"]["renamed"], document["summary"]["same"]) == (0, 3, 3)
    status, document = compared(*paths)
    assert (status, document["summary"]["renamed"]) == (0, 3)


def test_a_rule_pairs_what_changed(pair: Pair, compared: Run) -> None:
    a, b = normal(30, 20), normal(30, 20)
    status, document = compared(*pair({"x": a}, {"y": b}), "--rename", "^x$=y")
    (entry,) = document["variables"]
    assert (status, entry["status"]) == (1, "changed")
    assert (entry["key_a"], entry["key_b"]) == ("x", "y")
    assert_numbers(entry, a, b)


def test_a_resized_vocabulary(pair: Pair, compared: Run) -> None:
    table = normal(300, 16)
    _, document = compared(*pair({"table": table}, {"table": np.vstack([table, table[:10]])}))
    (entry,) = document["variables"]
    assert entry["status"] == "reshaped"
    assert entry["note"] == "first 300 rows equal, 10 rows added"


def test_float32_against_bfloat16(pair: Pair, compared: Run) -> None:
    narrow = tf.cast(BASE["head/kernel"], tf.bfloat16)
    status, document = compared(*pair({"v": BASE["head/kernel"]}, {"v": narrow}))
    (entry,) = document["variables"]
    assert (status, entry["status"]) == (1, "retyped")
    assert_numbers(entry, BASE["head/kernel"], tf.cast(narrow, tf.float32).numpy())


def test_a_nan_in_one_element(pair: Pair, compared: Run) -> None:
    broken = BASE["head/kernel"].copy()
    broken[7, 2] = np.nan
    status, document = compared(*pair(BASE, BASE | {"head/kernel": broken}))
    entry = rows(document)["head/kernel"]
    assert (status, entry["status"], entry["max_abs"]) == (1, "changed", 0)
    assert entry["note"] == "NaN: 0 in A, 1 in B"


def test_partitioned_against_whole(tmp_path: Path, compared: Run) -> None:
    values = normal(90, 7)
    whole = builders.save(tmp_path / "whole", {"v": values})
    parts = builders.save_slices(tmp_path / "parts", builders.cut("v", values, (20, 50)))
    assert compared(whole, parts)[0] == 0


def test_tolerances(pair: Pair, compared: Run) -> None:
    near = {key: each + (1e-5 if key != "global_step" else 0) for key, each in BASE.items()}
    near = {key: each.astype(BASE[key].dtype) for key, each in near.items()}
    paths = pair(BASE, near)
    assert compared(*paths)[0] == 1
    assert compared(*paths, "--atol", "2e-5")[0] == 0
    assert compared(*paths, "--atol", "1e-6")[0] == 1
    assert compared(*paths, "--rtol", "1e-3")[0] == 1  # what is 0 has no room


def test_added_and_removed(pair: Pair, compared: Run) -> None:
    status, document = compared(
        *pair({"a": normal(3), "v": normal(4)}, {"b": normal(5), "c": normal(6, 2)})
    )
    assert status == 1
    assert document["summary"]["removed"] == document["summary"]["added"] == 2
    assert all(entry["basis"] is None for entry in document["variables"])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One trained Keras model, saved in every way that Keras and TensorFlow have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy about Keras, and of Keras about HDF5
        return save_everywhere(tmp_path_factory.mktemp("model"))


def save_everywhere(folder: Path) -> dict[str, Path]:
    keras.utils.set_random_seed(5)
    layers = [
        keras.layers.Input((8,)),
        keras.layers.Dense(16, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(16),
        keras.layers.Dense(4),
    ]
    made = keras.Sequential(layers)
    made.compile("adam", "mse")
    x = RNG.normal(size=(64, 8)).astype(np.float32)
    made.fit(x, x[:, :4], epochs=2, batch_size=16, verbose=0)
    paths = {
        "keras": folder / "model.keras",
        "weights": folder / "model.weights.h5",
        "saved_model": folder / "saved",
        "checkpoint": folder / "ckpt",
    }
    made.save(paths["keras"])
    made.save_weights(paths["weights"])
    made.export(paths["saved_model"], verbose=False)
    tf.train.Checkpoint(model=made).write(str(paths["checkpoint"]))
    return paths


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("keras", "weights"),
        ("keras", "saved_model"),
        ("weights", "saved_model"),
        ("saved_model", "keras"),
        ("keras", "checkpoint"),
        ("checkpoint", "saved_model"),
    ],
)
def test_one_model_in_two_formats(model: dict[str, Path], a: str, b: str, compared: Run) -> None:
    status, document = compared(model[a], model[b], "--model-only")
    assert (status, document["identical"]) == (0, True), document
    counts = document["summary"]
    assert counts["same"] + counts["renamed"] == len(document["variables"]) == 10


def test_saver_against_checkpoint_of_one_model(tmp_path: Path, compared: Run) -> None:
    variables = {
        "dense/kernel": tf.Variable(normal(20, 10)),
        "dense/bias": tf.Variable(normal(10)),
        "global_step": tf.Variable(np.int64(7)),
    }
    saver = tf.compat.v1.train.Saver(variables).save(None, str(tmp_path / "saver"))
    dense = tf.train.Checkpoint(kernel=variables["dense/kernel"], bias=variables["dense/bias"])
    objects = tf.train.Checkpoint(dense=dense, global_step=variables["global_step"])
    written = objects.write(str(tmp_path / "objects"))
    status, document = compared(saver, written)
    assert status == 0, document
    assert {entry["status"] for entry in document["variables"]} <= {"same", "renamed"}


def test_a_damaged_file_still_compares_what_is_intact(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = builders.save(tmp_path / "a", BASE)
    b = builders.save(tmp_path / "b", BASE)
    data = builders.data_file(b)
    content = bytearray(data.read_bytes())
    content[content.index(BASE["head/kernel"].tobytes())] ^= 1
    data.write_bytes(content)
    assert compare.run(options_of(str(a), str(b), "--values", "--json")) == 1
    captured = capsys.readouterr()
    found = rows(json.loads(captured.out))
    assert "checksum" in found["head/kernel"]["problem"]
    assert found["head/kernel"]["basis"] is None
    assert found["encoder/layer_0/kernel"]["status"] == "same"
    assert "ckptviewer: head/kernel: " in captured.err


def test_a_cut_file_is_noticed_though_the_checksums_agree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = builders.save(tmp_path / "a", BASE)
    b = builders.save(tmp_path / "b", BASE)
    data = builders.data_file(b)
    data.write_bytes(data.read_bytes()[:-100])
    assert compare.run(options_of(str(a), str(b))) == 1
    captured = capsys.readouterr()
    assert "could not be compared" in captured.out
    assert "cannot be read" in captured.err


def test_what_cannot_be_compared_is_no_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = builders.save(tmp_path / "a", BASE)
    b = builders.save(tmp_path / "b", {"v": normal(3)})
    assert run_program(["compare", str(a), str(tmp_path / "nothing")]) == 2
    assert run_program(["compare", str(a), str(b), "--rename", "("]) == 2
    builders.data_file(b).unlink()
    assert run_program(["compare", str(b), str(b)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 3
    assert "Traceback" not in captured.err


def test_a_comparison_of_nothing_is_no_answer(tmp_path: Path) -> None:
    np.savez(tmp_path / "none.npz")
    path = str(tmp_path / "none.npz")
    with pytest.raises(CkptviewerError, match=r"no variable"):
        compare.run(options_of(path, path))


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "much"])
def test_tolerances_are_numbers(text: str) -> None:
    with pytest.raises(SystemExit) as ended:
        options_of("a", "b", f"--atol={text}")
    assert ended.value.code == 2


def test_the_table_for_people(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    b = BASE | {"head/kernel": BASE["head/kernel"] * 2, "fresh": normal(4)}
    del b["head/bias"]
    assert compare.run(options_of(*map(str, pair(BASE, b)))) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].split()[:2] == ["VARIABLE", "SHAPE"]
    assert [line.split()[0] for line in lines[4:7]] == ["changed", "removed", "added"]
    assert lines[4].split()[1:] == "head/kernel 50 × 3".split() + lines[4].split()[5:]
    assert lines[4].split()[-3:] == ["1", "1", "retrained"]
    assert lines[-2].endswith("4 the same (4 equal by checksum, not read)")
    assert lines[-1] == "The checkpoints differ."


def test_what_was_not_read_is_equal_by_checksum(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = list(map(str, pair(BASE, BASE)))
    assert compare.run(options_of(*paths)) == 0
    assert "The checkpoints are equal by checksum." in capsys.readouterr().out
    assert compare.run(options_of(*paths, "--values")) == 0
    assert "The checkpoints are equal, value by value." in capsys.readouterr().out


class Page(HTMLParser):
    """A page, taken apart: its tags, what it would load, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [name for name, _ in attributes if name in ("src", "href", "srcset")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_reports(pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    b = BASE | {"head/kernel": BASE["head/kernel"] + normal(50, 3), "<script>|`x`": normal(4)}
    files = {name: str(tmp_path / f"report.{name}") for name in ("html", "markdown", "csv")}
    arguments = [word for name, path in files.items() for word in (f"--{name}", path)]
    for _ in range(2):  # the second time they are replaced
        assert compare.run(options_of(*map(str, pair(BASE, b)), *arguments)) == 1
    page = Page(Path(files["html"]).read_text())
    assert not page.loads
    assert "script" not in page.tags
    assert page.tags.count("svg") == 2 + 3  # statuses, changes; two histograms and a heat map
    assert "<script>" in page.text
    assert "encoder/layer_0/kernel" in page.text
    markdown = Path(files["markdown"]).read_text()
    (line,) = [line for line in markdown.splitlines() if "head/kernel" in line]
    assert line.startswith("| changed | `head/kernel` | 50 × 3 | float32 | ")
    cells = {len(re.findall(r"(?<!\\)\|", line)) for line in markdown.splitlines()[7:]}
    assert cells == {11}
    table = list(csv.DictReader(io.StringIO(Path(files["csv"]).read_text())))
    assert len(table) == len(b)
    changed = next(row for row in table if row["key_b"] == "head/kernel")
    assert (
        float(changed["max_abs"])
        == np.abs(b["head/kernel"].astype(np.float64) - BASE["head/kernel"]).max()
    )
    assert changed["beyond"] == changed["count"] == "150"
    verdicts = {row["key_b"]: row["verdict"] for row in table}
    assert verdicts["encoder/layer_0/kernel"] == "frozen"
    assert verdicts["head/kernel"] == "retrained"
    assert "retrained" in page.text


def test_it_runs_as_a_program(pair: Pair) -> None:
    paths = list(map(str, pair(BASE, BASE)))
    program = [sys.executable, "-m", "ckptviewer", "compare", *paths]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ckptviewer", "compare", *paths],
        capture_output=True, text=True, timeout=60, check=True,
    ).stderr  # fmt: skip
    assert not re.search(r"\| +(tensorflow|keras|numba|PySide6)$", loaded, re.MULTILINE)
