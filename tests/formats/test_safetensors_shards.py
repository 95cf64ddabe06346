"""Checkpoints in several safetensors files: whichever of them is opened, all is there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from ckptviewer.checkpoint.errors import CkptviewerError, DamagedFileError, UnknownVariableError
from ckptviewer.checkpoint.variable import Role
from ckptviewer.formats.registry import best_match
from ckptviewer.formats.resolve import open_checkpoint
from ckptviewer.formats.safetensors import SafetensorsFormat
from ckptviewer.storage.cache import files_of

TENSORS = {
    "dense/kernel": np.arange(12, dtype="f4").reshape(3, 4),
    "dense/bias": np.arange(4, dtype="f2"),
    "dense/kernel/Adam": np.ones((3, 4), "f4"),
    "global_step": np.array(7),
}


def shard(number: int, count: int = 2) -> str:
    return f"model-{number:05d}-of-{count:05d}.safetensors"


PLACES = {
    "dense/kernel": shard(1),
    "dense/bias": shard(2),
    "dense/kernel/Adam": shard(2),
    "global_step": shard(2),
}


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """The directory of a checkpoint in two files."""
    for name in set(PLACES.values()):
        tensors = {key: each for key, each in TENSORS.items() if PLACES[key] == name}
        save_file(tensors, tmp_path / name, metadata={"format": "tf"})
    write_map(tmp_path, PLACES)
    return tmp_path


def write_map(directory: Path, places: object) -> Path:
    path = directory / "model.safetensors.index.json"
    content = {"metadata": {"total_size": 1}, "weight_map": places}
    path.write_text(json.dumps(content, indent=2))
    return path


@pytest.mark.parametrize("name", ["model.safetensors.index.json", shard(1), shard(2), ""])
def test_whichever_file_is_opened_all_is_there(where: Path, name: str) -> None:
    with open_checkpoint(str(where / name)) as checkpoint:
        assert checkpoint.format_name == "safetensors"
        assert checkpoint.path == str(where / "model.safetensors.index.json")
        assert [v.key for v in checkpoint.variables] == sorted(TENSORS)
        for variable in checkpoint.variables:
            values = TENSORS[variable.key]
            assert checkpoint.read(variable).dtype == values.dtype
            assert checkpoint.read(variable).tobytes() == values.tobytes()
            pieces = [piece.copy() for piece in checkpoint.chunks(variable, 8)]
            assert np.concatenate(pieces).tobytes() == values.tobytes()
            assert checkpoint.details(variable)["File"] == PLACES[variable.key]
        kernel = checkpoint["dense/kernel"]
        assert (checkpoint.read(kernel, (slice(1, 2),)) == TENSORS["dense/kernel"][1:2]).all()
        assert kernel.shard == 0
        assert checkpoint["dense/bias"].shard == 1
        assert checkpoint.facts["Shards"] == "2 files"
        assert checkpoint.facts["Metadata: format"] == "tf"
        with pytest.raises(UnknownVariableError):
            checkpoint.read(kernel._replace(key="none"))
        if name:
            assert not checkpoint.findings


def test_a_slot_has_its_owner_in_another_file(where: Path) -> None:
    with open_checkpoint(str(where / shard(2))) as checkpoint:
        slot = checkpoint["dense/kernel/Adam"]
    assert slot.role is Role.OPTIMIZER_SLOT
    assert slot.slot_of == "dense/kernel"


def test_all_files_count_as_the_checkpoints(where: Path) -> None:
    names = {path.name for path in files_of(where / "model.safetensors.index.json")}
    assert names == {*PLACES.values(), "model.safetensors.index.json"}


def test_a_shard_without_its_map_is_opened_alone(where: Path) -> None:
    (where / "model.safetensors.index.json").unlink()
    with open_checkpoint(str(where / shard(1))) as checkpoint:
        assert [v.key for v in checkpoint.variables] == ["dense/kernel"]


def test_a_file_that_the_map_does_not_name_is_opened_alone(where: Path) -> None:
    save_file({"other": np.zeros(2)}, where / shard(1, count=9))
    with open_checkpoint(str(where / shard(1, count=9))) as checkpoint:
        assert [v.key for v in checkpoint.variables] == ["other"]


def codes(path: Path) -> dict[str, str]:
    with open_checkpoint(str(path)) as checkpoint:
        return {finding.code: finding.message for finding in checkpoint.findings}


def test_a_missing_shard_is_told_and_the_rest_shown(where: Path) -> None:
    (where / shard(2)).unlink()
    found = codes(where / shard(1))
    assert found.keys() == {"missing-shard"}
    assert "is missing; 3 variables (dense/bias, dense/kernel/Adam, global_step)" in str(found)


def test_a_damaged_shard_is_told_and_the_rest_shown(where: Path) -> None:
    (where / shard(2)).write_bytes((where / shard(2)).read_bytes()[:20])
    assert codes(where / shard(1)).keys() == {"damaged-shard"}


def test_findings_of_a_shard_are_told(where: Path) -> None:
    data = (where / shard(2)).read_bytes()
    (where / shard(2)).write_bytes(data[:-1])
    assert "truncated-file" in codes(where / shard(1))


def test_a_shard_of_another_save_is_told(where: Path) -> None:
    save_file({"dense/bias": TENSORS["dense/bias"]}, where / shard(2))
    found = codes(where / shard(1))
    assert found.keys() == {"foreign-shard"}
    assert "lacks dense/kernel/Adam and 1 more" in found["foreign-shard"]


@pytest.mark.parametrize("number", [1, 2])
def test_a_tensor_in_two_files_is_that_which_the_map_names(where: Path, number: int) -> None:
    save_file({"dense/kernel": np.zeros(2), "dense/bias": np.ones(3)}, where / shard(1))
    write_map(where, PLACES | {"dense/bias": shard(number)})
    assert f"that of {shard(number)} is shown" in codes(where / shard(1))["duplicate-variable"]
    with open_checkpoint(str(where / shard(1))) as checkpoint:
        assert checkpoint["dense/bias"].shape == ((3,), (4,))[number - 1]


def test_without_any_file_the_map_is_of_no_use(where: Path) -> None:
    for name in set(PLACES.values()):
        (where / name).unlink()
    with pytest.raises(DamagedFileError, match="none of the 2 files"):
        open_checkpoint(str(where / "model.safetensors.index.json"))


@pytest.mark.parametrize(
    "name",
    [
        "../model-00001-of-00002.safetensors",
        "a/model-00001-of-00002.safetensors",
        "other-00001-of-00002.safetensors",
        "/etc/passwd",
        "model.safetensors",
        *(7, None, [], {}),
    ],
    ids=str,
)
def test_files_that_lie_elsewhere_are_not_opened(where: Path, name: object) -> None:
    path = write_map(where, {**PLACES, "x": name})
    with pytest.raises(DamagedFileError, match="no shard beside it"):
        open_checkpoint(str(path))
    with open_checkpoint(str(where / shard(1))) as checkpoint:  # which is sound by itself
        assert len(checkpoint.variables) == 1


@pytest.mark.parametrize("places", [{}, [], None, 3, "x.safetensors"], ids=str)
def test_a_map_without_a_map_is_damage(where: Path, places: object) -> None:
    path = write_map(where, places)
    path.write_text(path.read_text() + " " * 2)
    with pytest.raises(CkptviewerError):
        SafetensorsFormat().open(path)


def test_too_many_files_are_damage(where: Path) -> None:
    path = write_map(where, {str(number): shard(number, 9) for number in range(1001)})
    with pytest.raises(DamagedFileError, match="1,001 files"):
        open_checkpoint(str(path))


@settings(max_examples=60)
@given(st.data())
def test_a_changed_map_opens_or_is_damage(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("map")
    save_file({"a": np.zeros(2)}, directory / shard(1, 1))
    path = write_map(directory, {"a": shard(1, 1)})
    content = bytearray(path.read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[at] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    for opened in (path, directory / shard(1, 1)):
        try:
            if best_match(opened):
                open_checkpoint(str(opened)).close()
        except CkptviewerError:
            pass
