"""`.keras` archives: what Keras loads, read in place; zip archives that are damaged or hostile."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import (
    CkptviewerError,
    DamagedFileError,
    MissingShardError,
    NotACheckpointError,
    UnreadableFileError,
)
from ckptviewer.checkpoint.variable import Role
from ckptviewer.formats.keras_archive import KerasArchiveFormat
from ckptviewer.formats.registry import Confidence
from tests.formats.contract import FormatContract, Sample, assert_same
from tests.formats.keras_files import (
    by_keras_path,
    imported,
    made,
    made_by_tf_keras,
    model_of_made,
    optimizer_of_made,
    quiet,
    values_of,
)

FORMAT = KerasArchiveFormat()
WEIGHTS = "model.weights.h5"


def values_in(archive: Path) -> dict[str, np.ndarray]:
    weights = archive.with_suffix(".oracle")
    with zipfile.ZipFile(archive) as file:
        weights.write_bytes(file.read(WEIGHTS))
    try:
        return values_of(weights)
    finally:
        weights.unlink()


def archive(source: Path, directory: Path) -> Sample:
    path = directory / source.name
    shutil.copyfile(source, path)
    return Sample(directory=directory, path=path, values=values_in(path), data_files=(source.name,))


def functional(_: Path, directory: Path) -> Sample:
    return archive(made() / "net.keras", directory)


def of_tf_keras(_: Path, directory: Path) -> Sample:
    return archive(made_by_tf_keras() / "net.keras", directory)


def nested_container(corpus: Path, directory: Path) -> Sample:
    name = "pre_pr22362_nested_container.keras"
    return archive(corpus / "keras_nested_container" / name, directory)


def in_a_directory(_: Path, directory: Path) -> Sample:
    path = directory / "net"
    shutil.copytree(made() / "net_directory", path)
    return Sample(
        directory=directory,
        path=path,
        values=values_of(path / WEIGHTS),
        data_files=(f"net/{WEIGHTS}",),
    )


class TestContract(FormatContract):
    format_ = FORMAT

    @pytest.fixture(
        scope="class", params=[functional, of_tf_keras, nested_container, in_a_directory]
    )
    @classmethod
    def sample(
        cls,
        request: pytest.FixtureRequest,
        corpus: Path,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Sample:
        build: Callable[[Path, Path], Sample] = request.param
        return build(corpus, tmp_path_factory.mktemp("sample"))


def opened(path: Path) -> Checkpoint:
    match = FORMAT.probe(path)
    assert match.confidence is Confidence.CERTAIN
    return FORMAT.open(match.path)


# Names, roles, slots and what is trainable


@pytest.mark.parametrize("name", ["net.keras", "stack.keras"])
def test_names_values_and_trainable_are_those_of_keras(name: str) -> None:
    expected = model_of_made(name)
    with opened(made() / name) as checkpoint:
        layers = [each for each in checkpoint.variables if each.key.startswith("layers/")]
        found = by_keras_path(layers, expected)
        for path, (values, trainable) in expected.items():
            assert np.array_equal(checkpoint.read(found[path]), values)
            assert found[path].trainable is trainable
            assert found[path].in_model


@pytest.mark.parametrize("name", ["net.keras", "stack.keras"])
def test_slots_belong_to_what_keras_says(name: str) -> None:
    expected = optimizer_of_made(name)
    with opened(made() / name) as checkpoint:
        layers = [each for each in checkpoint.variables if each.key.startswith("layers/")]
        paths = {
            each.key: path for path, each in by_keras_path(layers, model_of_made(name)).items()
        }
        for index, path in enumerate(expected):
            variable = checkpoint[f"optimizer/vars/{index}"]
            optimizer, _, stated = path.partition("/")
            if index < 2:
                assert variable.name == path
                assert variable.slot_of is None
                continue
            assert variable.slot_of is not None, path
            owner = checkpoint[variable.slot_of]
            assert f"{paths[owner.key].replace('/', '_')}_{variable.slot_name}" == stated
            assert variable.name == f"{optimizer}/{owner.name}/{variable.slot_name}"
            average = variable.slot_name == "average"
            assert variable.role is (Role.MOVING_AVERAGE if average else Role.OPTIMIZER_SLOT)
        assert f"optimizer/vars/{len(expected)}" not in checkpoint.by_key


def test_tf_keras_leaves_names_to_the_configuration() -> None:
    with opened(made_by_tf_keras() / "net.keras") as checkpoint:
        names = {each.key: each.name for each in checkpoint.variables}
        assert names["layers/dense/vars/0"] == "frozen/kernel"
        assert names["layers/sequential/layers/dense/vars/0"] == "encoder/hidden/kernel"
        metrics = [each for each in checkpoint.variables if each.key.startswith("metrics/")]
        assert {each.role for each in metrics} <= {Role.METRIC}
        owned = {e.slot_of for e in checkpoint.variables if e.role is Role.OPTIMIZER_SLOT}
        assert owned == {each.key for each in checkpoint.variables if each.trainable}


def test_the_name_attribute_may_say_otherwise(corpus: Path) -> None:
    path = corpus / "keras_nested_container" / "pre_pr22362_nested_container.keras"
    with opened(path) as checkpoint:
        assert checkpoint["layers/dense/vars/0"].name == "d_0/kernel"
        assert checkpoint["layers/dense_3/vars/1"].name == "dense/bias"
        assert checkpoint.written_by == "Keras 3.15.0"
        assert checkpoint.facts["Saved"] == "2026-05-13 21:23:40"


def test_facts() -> None:
    keras = imported("keras")
    with opened(made() / "net.keras") as checkpoint:
        assert checkpoint.written_by == f"Keras {keras.__version__}"
        assert checkpoint.facts["Model"] == "net (functional)"
        assert checkpoint.facts["Optimizer"] == "adam, learning rate 0.001"
        assert checkpoint.facts["Loss"] == "MeanSquaredError"


# Optimizers


@pytest.mark.parametrize(
    ("name", "settings_", "slots"),
    [
        ("Adam", {"amsgrad": True}, {"momentum", "velocity", "velocity_hat"}),
        ("AdamW", {}, {"momentum", "velocity"}),
        ("Adamax", {}, {"momentum", "norm"}),
        ("Nadam", {}, {"momentum", "velocity"}),
        ("Adagrad", {}, {"accumulator"}),
        ("Adadelta", {}, {"accumulated_grad", "accumulated_delta_var"}),
        ("Ftrl", {}, {"accumulator", "linear"}),
        ("Lion", {}, {"momentum"}),
        ("Lamb", {}, {"momentum", "velocity"}),
        ("RMSprop", {}, {"velocity"}),
        ("RMSprop", {"momentum": 0.9, "centered": True},
         {"velocity", "momentum", "average_gradient"}),
        ("SGD", {}, set()),
        ("SGD", {"momentum": 0.5, "gradient_accumulation_steps": 4},
         {"momentum", "gradient_accumulator"}),
        ("Adam", {"use_ema": True}, {"average", "momentum", "velocity"}),
        ("LossScaleOptimizer", {}, {"momentum", "velocity"}),
        ("Adafactor", {}, None),
    ],
)  # fmt: skip
@quiet()
def test_every_optimizers_slots(
    tmp_path: Path, name: str, settings_: dict[str, object], slots: set[str] | None
) -> None:
    keras = imported("keras")
    if name == "LossScaleOptimizer":
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    else:
        optimizer = getattr(keras.optimizers, name)(**settings_)
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((3,)), layers.Dense(4), layers.Dense(4), layers.Dense(2)]
    )
    model.compile(optimizer, "mse")
    optimizer.build(model.trainable_variables)
    model.save(tmp_path / "x.keras")
    with opened(tmp_path / "x.keras") as checkpoint:
        found = [e for e in checkpoint.variables if e.key.startswith("optimizer/vars/")]
        assert len(found) == len(optimizer.variables)
        if slots is None:  # slots of other shapes than their owners: nothing is claimed
            assert {each.slot_of for each in found} == {None}
            return
        assert {each.slot_name for each in found if each.slot_name} == slots
        for variable, oracle in zip(found, optimizer.variables, strict=True):
            if not variable.slot_name:
                assert variable.shape == ()
                continue
            assert variable.slot_of is not None
            ending = f"{checkpoint[variable.slot_of].name.replace('/', '_')}_{variable.slot_name}"
            assert oracle.path.endswith(ending)


# Archives that were packed otherwise


def repacked(target: Path, **changes: bytes | None) -> Path:
    """The archive of `made`, deflated, with members replaced; those set to None left out."""
    with zipfile.ZipFile(made() / "net.keras") as old:
        members = {name: old.read(name) for name in old.namelist()}
    for name, data in changes.items():
        members[name.replace("__", ".")] = data  # type: ignore[assignment]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in members.items():
            if data is not None:
                new.writestr(name, data)
    return target


def test_deflated_weights_are_read_too(tmp_path: Path) -> None:
    path = repacked(tmp_path / "x.keras")
    with opened(path) as checkpoint:
        for key, values in values_in(made() / "net.keras").items():
            assert_same(checkpoint.read(checkpoint[key]), values)


def test_large_headers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.keras"
    with zipfile.ZipFile(made() / "net.keras") as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            with new.open(name, "w", force_zip64=True) as member:
                member.write(old.read(name))
    with opened(path) as checkpoint:
        for key, values in values_in(made() / "net.keras").items():
            assert_same(checkpoint.read(checkpoint[key]), values)


def test_other_packings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as new:
        new.writestr("config.json", "{}")
        new.writestr(WEIGHTS, b"x" * 100)
    with pytest.raises(UnreadableFileError, match="method 14"):
        opened(path)


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    data = bytearray((made() / "net.keras").read_bytes())
    at = 0
    while (at := data.find(b"PK\1\2", at)) >= 0:
        data[at + 8] |= 1
        at += 4
    (tmp_path / "x.keras").write_bytes(bytes(data))
    with pytest.raises(UnreadableFileError, match="encrypted"):
        opened(tmp_path / "x.keras")


def test_weights_in_npz_are_refused(tmp_path: Path) -> None:
    path = repacked(tmp_path / "x.keras", model__weights__h5=None, model__weights__npz=b"PK")
    with pytest.raises(NotACheckpointError, match="pickled"):
        opened(path)


def test_an_archive_without_weights(tmp_path: Path) -> None:
    path = repacked(tmp_path / "x.keras", model__weights__h5=None)
    with pytest.raises(MissingShardError):
        opened(path)


def test_other_archives_are_not_ours(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.arange(3))
    with zipfile.ZipFile(tmp_path / "torch.ckpt", "w") as file:
        file.writestr("archive/data.pkl", b"x")
    for name in ("x.npz", "torch.ckpt"):
        match = FORMAT.probe(tmp_path / name)
        assert match.confidence is Confidence.NO
        assert match.reason == "a zip archive, but not of a Keras model"


def test_members_that_occur_twice_are_told(tmp_path: Path) -> None:
    path = tmp_path / "x.keras"
    shutil.copyfile(made() / "net.keras", path)
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("config.json", "{}")
    with opened(path) as checkpoint:
        assert [each.code for each in checkpoint.findings] == ["duplicate-member"]


@pytest.mark.parametrize("config", [b"{", b"[" * 100_000, b"\xff\xfe", b"7", None])
def test_a_damaged_configuration_costs_no_variables(tmp_path: Path, config: bytes | None) -> None:
    path = repacked(tmp_path / "x.keras", config__json=config)
    with FORMAT.open(path) as checkpoint:
        assert [each.code for each in checkpoint.findings] == ["damaged-config"]
        assert checkpoint.by_key.keys() == values_in(made() / "net.keras").keys()


def test_odd_configurations_are_taken_as_they_are(tmp_path: Path) -> None:
    for config in (
        b'{"class_name": "Sequential", "config": []}',
        b'{"class_name": 3, "config": {"layers": 7}}',
        b'{"class_name": "M", "config": {"layers": [1, null, {"class_name": "D"}]}}',
        b'{"compile_config": {"optimizer": 3, "loss": {"a": [1]}, "metrics": [[{}]]}}',
        b'{"class_name": "M", "config": {"name": 3, "layers": [{"class_name": "Dense",'
        b' "config": {"name": [], "trainable": 5, "use_bias": 3}}]}, "compile_config": []}',
        b'{"a": ' * 500 + b"1" + b"}" * 500,
        b'{"class_name": "A", "config": {"layer": ' * 200 + b"1" + b"}}" * 200,
    ):
        with FORMAT.open(repacked(tmp_path / "x.keras", config__json=config)) as checkpoint:
            assert len(checkpoint.variables) == len(values_in(made() / "net.keras"))


def test_layers_nested_in_both_directions_are_counted_once(tmp_path: Path) -> None:
    """Each bidirectional layer is its inner one twice: 2 ** 50 of them, if one is careless."""
    config: dict[str, object] = {"class_name": "LSTM", "config": {"name": "inner"}}
    for _ in range(50):
        config = {"class_name": "Bidirectional", "config": {"name": "b", "layer": config}}
    text = json.dumps(config).encode()
    with FORMAT.open(repacked(tmp_path / "x.keras", config__json=text)) as checkpoint:
        assert checkpoint.facts["Layers"] == "50 layers"


# Bombs


def test_a_configuration_that_unpacks_to_much_is_left_out(tmp_path: Path) -> None:
    path = repacked(tmp_path / "x.keras", config__json=b"[" + b"[]," * (4 << 20) + b"1]")
    with opened(path) as checkpoint:
        assert [each.code for each in checkpoint.findings] == ["damaged-config"]
        assert "too many" in checkpoint.findings[0].message


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "x.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", "{}")
        with file.open(WEIGHTS, "w") as member:
            for _ in range(300):
                member.write(bytes(1 << 20))
    with pytest.raises(DamagedFileError, match="would unpack to"):
        opened(path)


def test_a_size_that_lies_is_refused(tmp_path: Path) -> None:
    data = bytearray(repacked(tmp_path / "x.keras").read_bytes())
    at = data.index(WEIGHTS.encode(), data.index(b"PK\1\2")) - 46
    data[at + 24 : at + 28] = (200 << 20).to_bytes(4, "little")
    (tmp_path / "x.keras").write_bytes(bytes(data))
    with pytest.raises(DamagedFileError, match="would unpack to"):
        opened(tmp_path / "x.keras")


def test_names_that_lead_elsewhere_are_never_extracted(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    path = repacked(inner / "x.keras", **{"../outside": b"x", "/tmp/ckptviewer-outside": b"x"})
    before = sorted(tmp_path.rglob("*"))
    with opened(path) as checkpoint:
        for variable in checkpoint.variables:
            checkpoint.read(variable)
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/tmp/ckptviewer-outside").exists()


# Damage


def test_an_archive_cut_short_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = (made() / "net.keras").read_bytes()
    path = tmp_path / "x.keras"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    expected = values_in(made() / "net.keras")
    with opened(path) as checkpoint:
        codes = {each.code for each in checkpoint.findings}
        assert {"truncated-archive", "truncated-shard"} <= codes
        saved = 0
        for variable in checkpoint.variables:
            try:
                values = checkpoint.read(variable)
            except CkptviewerError:
                continue
            assert_same(values, expected[variable.key])
            saved += 1
        assert saved > 10
        assert checkpoint.written_by is not None


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 32), flips=st.integers(1, 20), cut=st.booleans())
def test_damage_ends_in_our_own_errors(
    tmp_path_factory: pytest.TempPathFactory, seed: int, flips: int, cut: bool
) -> None:
    chance = random.Random(seed)
    data = bytearray(small_archive())
    for _ in range(flips):
        # The ends, where the headers are, are hit as often as all the rest.
        near = chance.choice((len(data), 700))
        at = chance.randrange(near)
        data[at if chance.random() < 0.5 else -at - 1] = chance.randrange(256)
    if cut:
        del data[chance.randrange(len(data)) :]
    path = tmp_path_factory.getbasetemp() / f"damaged_{os.getpid()}.keras"
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


def small_archive() -> bytes:
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        for index in range(3):
            group = file.create_group(f"layers/dense_{index}/vars")
            group.attrs["name"] = f"dense_{index}"
            group["0"] = np.ones((3, 4), np.float32)
            group["1"] = np.ones(4, np.float32)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive_:
        archive_.writestr("metadata.json", '{"keras_version": "3.0.0"}')
        archive_.writestr("config.json", '{"class_name": "Sequential", "config": {"layers": []}}')
        archive_.writestr(WEIGHTS, weights.getvalue())
    return out.getvalue()
