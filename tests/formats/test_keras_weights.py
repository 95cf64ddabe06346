"""Keras 3's files of weights, whole and in shards; Keras and h5py are the oracles."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import CkptviewerError, DamagedFileError
from ckptviewer.checkpoint.variable import Role
from ckptviewer.formats.keras_weights import KerasWeightsFormat
from ckptviewer.formats.registry import Confidence
from tests.formats.contract import FormatContract, Sample
from tests.formats.keras_files import (
    by_keras_path,
    made,
    made_by_tf_keras,
    model_of_made,
    values_of,
)

FORMAT = KerasWeightsFormat()


def single(path: Path, directory: Path) -> Sample:
    shutil.copyfile(path, directory / path.name)
    target = directory / path.name
    return Sample(
        directory=directory, path=target, values=values_of(target), data_files=(path.name,)
    )


def whole(directory: Path) -> Sample:
    return single(made() / "net.weights.h5", directory)


def half(directory: Path) -> Sample:
    return single(made() / "half.weights.h5", directory)


def of_tf_keras(directory: Path) -> Sample:
    return single(made_by_tf_keras() / "net.weights.h5", directory)


def of_a_class(directory: Path) -> Sample:
    return single(made() / "subclassed.weights.h5", directory)


def shards(directory: Path) -> Sample:
    shutil.copytree(made() / "shards", directory, dirs_exist_ok=True)
    files = sorted(path.name for path in directory.glob("*.h5"))
    assert len(files) > 3
    values = {}
    for name in files:
        values |= values_of(directory / name)
    with_values = tuple(name for name in files if values_of(directory / name))
    path = directory / "net.weights.json"
    return Sample(directory=directory, path=path, values=values, data_files=with_values)


class TestContract(FormatContract):
    format_ = FORMAT

    @pytest.fixture(scope="class", params=[whole, half, of_tf_keras, of_a_class, shards])
    @classmethod
    def sample(
        cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Sample:
        build: Callable[[Path], Sample] = request.param
        return build(tmp_path_factory.mktemp("sample"))


def opened(path: Path) -> Checkpoint:
    match = FORMAT.probe(path)
    assert match.confidence is Confidence.CERTAIN
    return FORMAT.open(match.path)


# Names, roles and slots, without a configuration


def test_names_and_values_are_those_of_keras() -> None:
    expected = model_of_made("net.keras")
    with opened(made() / "net.weights.h5") as checkpoint:
        model = [each for each in checkpoint.variables if each.in_model]
        # Which of gamma and beta a normalisation of three variables has, no file of weights says.
        unsure = [each for each in model if each.name.startswith("encoder/batch_normalization/")]
        assert [each.name[-2:] for each in unsure] == ["/0", "/1", "/2"]
        sure = [path for path in expected if not path.startswith("batch_normalization/")]
        assert len(sure) == len(expected) - 3
        found = by_keras_path([each for each in model if each not in unsure], sure)
        for path, variable in found.items():
            assert np.array_equal(checkpoint.read(variable), expected[path][0])
        assert {each.trainable for each in checkpoint.variables} == {None}


def test_slots_have_owners_where_shapes_leave_no_choice() -> None:
    with opened(made() / "stack.weights.h5") as checkpoint:
        slots = [e for e in checkpoint.variables if e.key.startswith("optimizer/") and e.shape]
        assert {each.role for each in slots} == {Role.OPTIMIZER_SLOT}
        # EMA or accumulated gradients: which is not told, so it is not named either.
        assert {each.slot_name for each in slots} == {"", "momentum"}
        owners = {each.shape: each.slot_of for each in slots}
        assert owners[(64, 5)] == "layers/dense/vars/0"
        assert owners[(5, 2)] == "layers/dense_1/vars/0"
        assert owners[(4,)] is None  # a bias, gamma or beta: nobody knows
        for slot in slots:
            if slot.slot_of is not None:
                assert checkpoint[slot.slot_of].shape == slot.shape


def test_an_optimizers_name_tells_its_slots() -> None:
    with opened(made() / "net.weights.h5") as checkpoint:
        assert checkpoint["optimizer/vars/0"].role is Role.COUNTER
        assert checkpoint["optimizer/vars/0"].name == "adam/iteration"
        assert checkpoint["optimizer/vars/1"].name == "adam/learning_rate"
        names = {e.slot_name for e in checkpoint.variables if e.role is Role.OPTIMIZER_SLOT}
        assert names == {"momentum", "velocity"}
        assert checkpoint.facts["Optimizer"] == "adam"


def test_a_model_written_as_a_class() -> None:
    with opened(made() / "subclassed.weights.h5") as checkpoint:
        names = {each.key: each.name for each in checkpoint.variables}
        roles = {each.key: each.role for each in checkpoint.variables}
        with h5py.File(made() / "subclassed.weights.h5") as oracle:
            first = oracle["first/vars"].attrs["name"]
        assert names["first/vars/0"] == f"{first}/kernel"
        assert roles["first/vars/1"] is Role.BIAS
        assert names["vars/0"] == "net/0"
        assert {Role.NORMALIZATION, Role.WEIGHT, Role.BIAS} == set(roles.values())


def test_half_precision_is_recognised_by_its_attribute() -> None:
    with opened(made() / "half.weights.h5") as checkpoint:
        assert {each.dtype for each in checkpoint.variables} == {"bfloat16"}
        assert checkpoint["layers/embedding/vars/0"].name.endswith("/embeddings")


def test_a_group_of_vars_is_not_enough_without_hdf5(tmp_path: Path) -> None:
    (tmp_path / "x.weights.h5").write_text("vars")
    assert FORMAT.probe(tmp_path / "x.weights.h5").confidence is Confidence.NO


def test_a_group_called_vars_is_not_enough(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["vars/temperature"] = np.arange(3)
    assert FORMAT.probe(tmp_path / "x.h5").confidence is Confidence.NO


def test_variables_that_a_layer_names_itself(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        group = file.create_group("block/vars")
        group.attrs["name"] = "my_block"
        group["kernel"] = np.ones((2, 3), np.float32)
        group["ema_bias"] = np.ones(3, np.float32)
    with opened(tmp_path / "x.h5") as checkpoint:
        names = {each.key: each.name for each in checkpoint.variables}
        assert names == {
            "block/vars/ema_bias": "my_block/ema_bias",
            "block/vars/kernel": "my_block/kernel",
        }


# Shards


def test_a_shard_opens_all_of_them() -> None:
    map_ = made() / "shards" / "net.weights.json"
    match = FORMAT.probe(map_.with_name("net_00002.weights.h5"))
    assert match.confidence is Confidence.CERTAIN
    assert match.path == map_
    with FORMAT.open(match.path) as checkpoint:
        assert len({each.shard for each in checkpoint.variables}) > 3
        assert checkpoint.findings == ()
        with opened(made() / "net.weights.h5") as single_:
            assert [e.key for e in checkpoint.variables] == [e.key for e in single_.variables]


def test_a_shard_alone_opens_by_itself(tmp_path: Path) -> None:
    shutil.copyfile(made() / "shards" / "net_00000.weights.h5", tmp_path / "net_00000.weights.h5")
    match = FORMAT.probe(tmp_path / "net_00000.weights.h5")
    assert match.path.name == "net_00000.weights.h5"
    with FORMAT.open(match.path) as checkpoint:
        assert checkpoint.variables


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(made() / "shards", tmp_path / "shards")
    return tmp_path / "shards" / "net.weights.json"


def test_a_missing_shard_is_told(copy: Path) -> None:
    copy.with_name("net_00001.weights.h5").unlink()
    with opened(copy) as checkpoint:
        (finding,) = checkpoint.findings
        assert finding.code == "missing-shard"
        assert "net_00001.weights.h5" in finding.message
        for variable in checkpoint.variables:
            checkpoint.read(variable)


def test_a_shard_of_another_save_is_told(copy: Path) -> None:
    shutil.copyfile(copy.with_name("net_00002.weights.h5"), copy.with_name("net_00000.weights.h5"))
    with opened(copy) as checkpoint:
        assert "foreign-shard" in {each.code for each in checkpoint.findings}


def test_a_smaller_shard_of_another_save_is_told(copy: Path) -> None:
    with h5py.File(copy.with_name("net_00000.weights.h5"), "a") as file:
        first = next(key for key in values_of(copy.with_name("net_00000.weights.h5")))
        del file[first]
        file[first] = np.zeros(3, np.float32)
    with opened(copy) as checkpoint:
        (finding,) = checkpoint.findings
        assert finding.code == "foreign-shard"
        assert "bytes of values" in finding.message


def test_a_damaged_shard_is_told_and_the_rest_is_there(copy: Path) -> None:
    copy.with_name("net_00001.weights.h5").write_bytes(b"nothing at all")
    with opened(copy) as checkpoint:
        assert [each.code for each in checkpoint.findings] == ["damaged-shard"]
        assert checkpoint.variables


@pytest.mark.parametrize(
    "name", ["../secret.weights.h5", "/etc/passwd", "a/b.weights.h5", "..", "", "C:x", 7, None]
)
def test_shards_elsewhere_are_refused(copy: Path, name: object) -> None:
    config = json.loads(copy.read_text())
    config["weight_map"]["/layers/dense/vars"] = name
    copy.write_text(json.dumps(config))
    with pytest.raises(DamagedFileError, match="plain file name"):
        opened(copy)


@pytest.mark.parametrize("text", ['{"weight_map": 3', '{"weight_map": []}', "{" * 50_000])
def test_a_damaged_map_is_our_error(copy: Path, text: str) -> None:
    copy.write_text(text)
    with pytest.raises(DamagedFileError):
        FORMAT.open(copy)


# Damage


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 32), flips=st.integers(1, 20), cut=st.booleans())
def test_damage_ends_in_our_own_errors(
    tmp_path_factory: pytest.TempPathFactory, seed: int, flips: int, cut: bool
) -> None:
    chance = random.Random(seed)
    data = bytearray((made() / "half.weights.h5").read_bytes())
    for _ in range(flips):
        data[chance.randrange(len(data))] = chance.randrange(256)
    if cut:
        del data[chance.randrange(len(data)) :]
    path = tmp_path_factory.getbasetemp() / f"damaged_{os.getpid()}.weights.h5"
    path.write_bytes(bytes(data))
    FORMAT.probe(path)
    try:
        with FORMAT.open(path) as checkpoint:
            for variable in checkpoint.variables:
                checkpoint.details(variable)
                try:
                    checkpoint.read(variable)
                except CkptviewerError as error:
                    assert error.what  # noqa: PT017
    except CkptviewerError:
        return
