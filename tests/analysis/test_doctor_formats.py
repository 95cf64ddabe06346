"""The doctor on the other formats: what Keras, NumPy and safetensors write."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from ckptviewer.analysis.doctor import examine
from ckptviewer.checkpoint.findings import Finding, Severity

RNG = np.random.default_rng(8)


def found(path: Path | str) -> dict[str, list[Finding]]:
    by_code: dict[str, list[Finding]] = {}
    for finding in examine(path):
        by_code.setdefault(finding.code, []).append(finding)
    return by_code


def made(trained: bool) -> Any:
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.layers.Input((6,)),
            keras.layers.Dense(40),
            keras.layers.BatchNormalization(),
            keras.layers.LayerNormalization(),
            keras.layers.Dense(2),
        ]
    )
    if trained:
        model.compile("adam", "mse")
        inputs = RNG.normal(size=(64, 6)).astype(np.float32)
        model.fit(inputs, inputs[:, :2], epochs=2, verbose=0)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in each of Keras' ways, fresh and trained."""
    where = tmp_path_factory.mktemp("doctor")
    for name, trained in (("fresh", False), ("trained", True)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras' own, of NumPy and of its older formats
            model = made(trained)
            model.save(where / f"{name}.keras")
            model.save_weights(where / f"{name}.weights.h5")
            model.save(where / f"{name}.h5")
            tf.train.Checkpoint(model=model).write(str(where / f"{name}_checkpoint"))
    return where


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".h5", "_checkpoint"])
def test_a_fresh_and_a_trained_model(suffix: str, folder: Path) -> None:
    fresh, trained = found(folder / f"fresh{suffix}"), found(folder / f"trained{suffix}")
    assert fresh.keys() == {"fresh-statistics"}
    assert len(fresh["fresh-statistics"]) == 2
    told = {"optimizer-state"} if suffix != "_checkpoint" else set()
    assert trained.keys() == told


@pytest.mark.parametrize("name", ["trained.weights.h5", "trained.h5"])
def test_values_in_hdf5(name: str, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes((folder / name).read_bytes())
    keys: dict[int, str] = {}
    with h5py.File(path, "r+") as file:

        def collect(key: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and "optimizer" not in key and item.shape == (6, 40):
                keys[len(keys)] = key

        file.visititems(collect)
        file[keys[0]][2, 5] = np.nan
    (finding,) = found(path)["nan"]
    assert finding.variable == keys[0]
    assert "1 of 240 values is NaN, the first at [2, 5]" in finding.message


def test_a_shape_that_nothing_can_fill(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "absurd.weights.h5"
    path.write_bytes((folder / "fresh.weights.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        file.create_dataset("layers/dense/vars/7", (1 << 40, 1 << 10), "f4", chunks=(1, 1024))
    (finding,) = found(path)["unreadable-variable"]
    assert finding.variable == "layers/dense/vars/7"
    assert finding.severity is Severity.ERROR


def test_missing_moving_statistics_of_keras(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "trained.h5"
    path.write_bytes((folder / "trained.h5").read_bytes())
    assert "missing-moving-statistics" not in found(path)
    with h5py.File(path, "r+") as file:
        (group,) = (g for name, g in file["model_weights"].items() if name.startswith("batch"))
        names = [str(name) for name in group.attrs["weight_names"]]
        for name in names:
            if "moving" in name:
                del group[name]
        group.attrs["weight_names"] = [name for name in names if "moving" not in name]
    (finding,) = found(path)["missing-moving-statistics"]
    assert "batch_normalization" in finding.message


def test_one_byte_of_an_npz(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    values = {"a": RNG.normal(size=(30, 30)), "b": RNG.normal(size=(30, 30))}
    np.savez(path, **values)
    assert found(path) == {}
    content = bytearray(path.read_bytes())
    content[content.index(values["b"].tobytes()) + 9] ^= 1
    path.write_bytes(content)
    (finding,) = found(path)["checksum-mismatch"]
    assert finding.variable == "b"


def test_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    same = RNG.normal(size=(20, 20)).astype(np.float16)
    save_file({"a.weight": same, "b.weight": same.copy(), "c.weight": -same}, path)
    by_code = found(path)
    assert by_code.keys() == {"duplicate-tensor"}
    assert "b.weight" in by_code["duplicate-tensor"][0].message
    path.write_bytes(path.read_bytes()[:-100])
    by_code = found(path)
    assert by_code.keys() >= {"truncated-file", "unreadable-variable"}


def test_a_file_that_is_damaged_from_the_beginning(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a.weight": np.ones((3, 3), np.float32)}, path)
    content = bytearray(path.read_bytes())
    content[12] ^= 0xFF
    path.write_bytes(content)
    (finding,) = found(path)["damaged-file"]
    assert finding.severity is Severity.ERROR


def test_a_saved_model_whose_shard_is_of_another(tmp_path: Path) -> None:
    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = tf.Variable(RNG.normal(size=(9, 9)).astype(np.float32))
            self.second = tf.Variable(RNG.normal(size=(9, 9)).astype(np.float32))

    for name in ("one", "other"):
        tf.saved_model.save(Model(), str(tmp_path / name))
    assert found(tmp_path / "one") == {}
    data = "variables/variables.data-00000-of-00001"
    content = bytearray((tmp_path / "one" / data).read_bytes())
    other = (tmp_path / "other" / data).read_bytes()
    content[:648] = other[:648]
    (tmp_path / "one" / data).write_bytes(content)
    by_code = found(tmp_path / "one")
    assert by_code.keys() == {"foreign-shard"}
