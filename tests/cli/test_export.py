"""`ckptviewer export` as a script sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from ckptviewer.cli.main import run
from tests import builders

KERNEL = np.linspace(-3, 3, 600, dtype=np.float32).reshape(20, 30)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A name-based checkpoint with an optimizer's slots and a large value."""
    return builders.save(
        tmp_path / "source.ckpt-5",
        {
            "net/dense/kernel": KERNEL,
            "net/dense/kernel/Adam": KERNEL * 2,
            "net/dense/kernel/Adam_1": KERNEL * 3,
            "net/dense/bias": np.full(30, 1e6, np.float32),
            "net/norm/moving_mean": np.zeros(30, np.float32),
            "net/copy/kernel": KERNEL,
            "beta1_power": np.float32(0.9),
            "global_step": np.int64(5),
        },
    )


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "slim"


def exported(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert run(["export", *map(str, arguments), "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert run(["export", *map(str, arguments)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    line: str = told.err.splitlines()[-1]
    return line


def test_the_receipt(source: Path, target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = exported(capsys, source, target, "--preset", "inference")
    assert document["source"] == str(source)
    assert document["destination"] == str(target)
    assert document["format"] == "tf-bundle"
    assert document["verified"] is True
    kept = {each["key"]: each["key_written"] for each in document["kept"]}
    assert kept.keys() == {
        "net/dense/kernel",
        "net/dense/bias",
        "net/norm/moving_mean",
        "net/copy/kernel",
    }
    assert all(key == new for key, new in kept.items())
    reasons = {each["key"]: each["reason"] for each in document["dropped"]}
    assert reasons.keys() == {
        "net/dense/kernel/Adam",
        "net/dense/kernel/Adam_1",
        "beta1_power",
        "global_step",
    }
    assert "slot of net/dense/kernel" in reasons["net/dense/kernel/Adam"]
    files = [builders.index_file(target), builders.data_file(target)]
    assert document["bytes_after"] == sum(path.stat().st_size for path in files)
    sources = [builders.index_file(source), builders.data_file(source)]
    assert document["bytes_before"] == sum(path.stat().st_size for path in sources)
    assert document["restore_check"] is None
    assert tf.train.latest_checkpoint(str(target.parent)) == str(target)
    found = builders.values_in(target)
    assert found.keys() == kept.keys()
    np.testing.assert_array_equal(found["net/copy/kernel"], KERNEL)


def test_equal_tensors_are_written_once(
    source: Path, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = exported(capsys, source, target, "--include", "*/kernel", "--exclude", "*Adam*")
    pair = {"net/copy/kernel", "net/dense/kernel"}
    (once,) = document["duplicates"]
    assert {once["key_written"], once["same_as"]} == pair
    assert builders.data_file(target).stat().st_size == KERNEL.nbytes
    for values in builders.values_in(target).values():
        np.testing.assert_array_equal(values, KERNEL)


def test_a_dry_run_writes_nothing(
    source: Path, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--preset", "inference", "--cast", "float16"]
    dry = exported(capsys, source, target, *options, "--dry-run")
    assert list(target.parent.iterdir()) == []
    assert dry["verified"] is None
    loss = {each["key"]: each for each in dry["cast"]}
    assert loss["net/dense/bias"]["overflow"] == 30
    assert 0 < loss["net/dense/kernel"]["relative_error"] <= 2**-11
    assert "cast-overflow" in {each["code"] for each in dry["findings"]}
    done = exported(capsys, source, target, *options)
    for field in ("source", "destination", "format", "kept", "dropped", "cast", "bytes_before"):
        strip = [{**each, "checksum": None} for each in done[field]] if field == "kept" else None
        assert dry[field] == (strip or done[field])
    assert builders.values_in(target)["net/dense/kernel"].dtype == np.float16
    assert run(["export", str(source), str(target), "--dry-run", "--overwrite"]) == 0
    assert "keep: net/dense/kernel" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (["--include", "net/dense"], {"net/dense/kernel", "net/dense/kernel/Adam",
                                      "net/dense/kernel/Adam_1", "net/dense/bias"}),
        (["--include", "*kernel*", "--exclude", "*Adam*"], {"net/dense/kernel", "net/copy/kernel"}),
        (["--include-regex", r"^global", "--exclude-regex", "zzz"], {"global_step"}),
        (["--dtype", "int64"], {"global_step"}),
        (["--role", "moving-statistic"], {"net/norm/moving_mean"}),
        (["--preset", "trainable"], {"net/dense/kernel", "net/dense/bias", "net/copy/kernel"}),
        (["--preset", "inference", "--keep", "global_step", "--drop", "net/copy/kernel"],
         {"net/dense/kernel", "net/dense/bias", "net/norm/moving_mean", "global_step"}),
    ],
)  # fmt: skip
def test_selections(
    options: list[str],
    kept: set[str],
    source: Path,
    target: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = exported(capsys, source, target, *options)
    assert {each["key"] for each in document["kept"]} == kept
    assert builders.values_in(target).keys() == kept


def test_renamed(source: Path, target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = ["--rename", "^net/=tower/", "--rename", r"(\w+)/kernel$=kernel_of_\1"]
    document = exported(
        capsys, source, target, *rules, "--include", "*/kernel", "--exclude", "*Adam*"
    )
    assert {each["key_written"] for each in document["renamed"]} == {
        "tower/kernel_of_dense",
        "tower/kernel_of_copy",
    }
    assert builders.values_in(target).keys() == {"tower/kernel_of_dense", "tower/kernel_of_copy"}
    ready_made = ["--overwrite", "--rename", "tf2-to-tf1", "--include", "net/dense/kernel"]
    document = exported(capsys, source, target, *ready_made)
    assert "net/dense/weights" in {each["key_written"] for each in document["renamed"]}
    line = refused(capsys, source, target, "--overwrite", "--rename", "dense|copy=same")
    assert "net/same/kernel" in line


@pytest.mark.parametrize(
    ("name", "format_name"),
    [("slim.npz", "npz"), ("slim.safetensors", "safetensors"), ("slim", "npz")],
)
def test_other_formats_and_back(
    name: str,
    format_name: str,
    source: Path,
    target: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--format", format_name] if "." not in name else []
    there = exported(capsys, source, target.parent / name, *options)
    assert there["format"] == format_name
    assert Path(there["destination"]).is_file()
    back = exported(capsys, there["destination"], tmp_path / "back")
    assert back["format"] == "tf-bundle"
    found, wanted = builders.values_in(tmp_path / "back"), builders.values_in(source)
    assert found.keys() == wanted.keys()
    for key, values in wanted.items():
        np.testing.assert_array_equal(found[key], values, strict=True)


def test_shards(source: Path, target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = exported(capsys, source, target, "--shard-size", "3k")
    assert len(document["files"]) > 2
    assert builders.values_in(target).keys() == builders.values_in(source).keys()


@pytest.mark.parametrize("name", ["receipt.json", "receipt.md", "receipt.html"])
def test_a_receipt_as_a_file(
    name: str, source: Path, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = target.parent / name
    document = exported(capsys, source, target, "--preset", "inference", "--receipt", path)
    text = path.read_text()
    assert document["timings"]["open_seconds_before"] > 0
    if name.endswith("json"):
        assert json.loads(text) == document
    else:
        for words in ("net/dense/kernel", "beta1_power", "load_checkpoint", "crc32c"):
            assert words in text


def test_an_existing_state_file_is_left_alone(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "checkpoint"
    state.write_text(f'model_checkpoint_path: "{source.name}"\n')
    assert exported(capsys, source, tmp_path / "slim")["state_file"] is None
    assert source.name in state.read_text()
    state.write_text('model_checkpoint_path: "gone-7"\n')
    assert exported(capsys, source, tmp_path / "slim2")["state_file"] == str(state)
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "slim2")


def test_what_could_not_be_done_is_one_line(
    source: Path, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases: list[tuple[list[object], str]] = [
        ([source, source, "--overwrite"], "never written"),
        ([source, target.parent], "directory"),
        ([source, target, "--include", "nothing*"], "nothing is kept"),
        ([source, target, "--rename", "no equals sign"], "equals sign"),
        ([source, target, "--include-regex", "("], "no regular expression"),
        ([source, target, "--cast", "int8"], "--cast"),
        ([source, target, "--role", "wheel"], "--role"),
        ([source, target, "--shard-size", "0"], "no size"),
        ([source, target, "--use-ema"], "moving averages"),
        ([source, f"{target}.keras"], ".weights.h5"),
    ]
    for arguments, words in cases:
        assert words in refused(capsys, *arguments)
        assert list(target.parent.iterdir()) == []


def test_an_existing_target_is_asked_for(
    source: Path, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exported(capsys, source, target)
    assert "--overwrite" in refused(capsys, source, target)
    exported(capsys, source, target, "--overwrite", "--preset", "inference")
    assert len(builders.values_in(target)) == 4


def test_it_loads_no_tensorflow(source: Path, target: Path) -> None:
    script = (
        "import sys; from ckptviewer.cli.main import run\n"
        f"status = run(['export', {str(source)!r}, {str(target)!r}, '--preset', 'inference'])\n"
        "assert not {'tensorflow', 'keras', 'h5py', 'PySide6'} & set(sys.modules)\n"
        "sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Training cannot go on" in done.stderr
