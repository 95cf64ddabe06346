"""Keras 2's HDF5 layout, from Keras 2.0.5 to Keras 3: names, roles, slots; Keras is the oracle."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.variable import Role
from ckptviewer.formats.keras_h5 import KerasH5Format
from ckptviewer.formats.registry import Confidence
from tests.formats.contract import FormatContract, Sample, copied_from_corpus
from tests.formats.keras_files import (
    by_keras_path,
    made,
    made_by_tf_keras,
    model_of_made,
    values_of,
)

FORMAT = KerasH5Format()


def sample_of(path: Path, directory: Path) -> Sample:
    target = directory / path.name
    shutil.copyfile(path, target)
    return Sample(
        directory=directory, path=target, values=values_of(target), data_files=(path.name,)
    )


def fer(corpus: Path, directory: Path) -> Sample:
    name = "emotion_model.hdf5"
    return copied_from_corpus(
        corpus, "fer_hdf5", directory, path=name, values=values_of, data_files=(name,)
    )


def mhcnuggets(corpus: Path, directory: Path) -> Sample:
    name = "H-2-Kb_BA.h5"
    return copied_from_corpus(
        corpus, "mhcnuggets_h5", directory, path=name, values=values_of, data_files=(name,)
    )


def keras3(_: Path, directory: Path) -> Sample:
    return sample_of(made() / "net.h5", directory)


def named_keras(_: Path, directory: Path) -> Sample:
    """An old file under the new extension: what it is decides."""
    shutil.copyfile(made_by_tf_keras() / "net.h5", directory / "net.keras")
    return sample_of(directory / "net.keras", _subdirectory(directory))


def tf_keras_weights(_: Path, directory: Path) -> Sample:
    return sample_of(made_by_tf_keras() / "net_weights.h5", directory)


def _subdirectory(directory: Path) -> Path:
    inner = directory / "inner"
    inner.mkdir()
    return inner


class TestContract(FormatContract):
    format_ = FORMAT

    @pytest.fixture(scope="class", params=[fer, mhcnuggets, keras3, named_keras, tf_keras_weights])
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


# Names, roles and what is trainable


def test_names_values_and_trainable_are_those_of_keras() -> None:
    expected = model_of_made("net.h5")
    with opened(made() / "net.h5") as checkpoint:
        model = [each for each in checkpoint.variables if each.in_model]
        found = by_keras_path(model, expected)
        for name, (values, trainable) in expected.items():
            assert np.array_equal(checkpoint.read(found[name]), values)
            assert found[name].trainable is trainable


def test_slots_belong_to_what_keras_says() -> None:
    with h5py.File(made() / "net.h5") as oracle:
        expected = {str(name) for name in oracle["optimizer_weights"].attrs["weight_names"]}
    with opened(made() / "net.h5") as checkpoint:
        assert "Owners of slots" not in checkpoint.facts  # the names tell them
        slots = [each for each in checkpoint.variables if each.role is Role.OPTIMIZER_SLOT]
        assert len(slots) == len(expected) - 2
        for slot in slots:
            assert slot.slot_of is not None
            owner = checkpoint[slot.slot_of]
            assert owner.shape == slot.shape
            stated = slot.key.removeprefix("optimizer_weights/")
            assert stated in expected
            assert stated.endswith(f"{owner.name.rpartition('/')[2]}_{slot.slot_name}")
            place = owner.key.split("/")[2:-1]  # "model_weights", the layer, then the path
            assert stated.startswith(f"adam/{'_'.join(place)}_")
        rest = {each.name: each.role for each in checkpoint.variables if each.name.count("/") == 1}
        assert rest["adam/iteration"] is Role.COUNTER
        assert rest["adam/learning_rate"] is Role.OPTIMIZER_STATE


@pytest.mark.parametrize(
    ("name", "slots"), [("net.h5", {"m", "v"}), ("legacy.h5", {"m", "v", "vhat"})]
)
def test_slots_of_tf_keras(name: str, slots: set[str]) -> None:
    with opened(made_by_tf_keras() / name) as checkpoint:
        owned: dict[str, set[str]] = {}
        for variable in checkpoint.variables:
            if variable.role is Role.OPTIMIZER_SLOT:
                assert variable.slot_of is not None
                assert checkpoint[variable.slot_of].shape == variable.shape
                owned.setdefault(variable.slot_of, set()).add(variable.slot_name)
        assert owned == {
            variable.key: slots for variable in checkpoint.variables if variable.trainable
        }
        frozen = [each for each in checkpoint.variables if each.name.startswith("frozen/")]
        assert [each.trainable for each in frozen] == [False, False]
        (counter,) = (each for each in checkpoint.variables if each.role is Role.COUNTER)
        assert counter.shape == ()


def test_slots_by_order_in_a_file_of_keras_2_0(corpus: Path) -> None:
    """They are called Variable_104 and so on, and follow the weights sorted by name."""
    with opened(corpus / "fer_hdf5" / "emotion_model.hdf5") as checkpoint:
        trained = {each.key for each in checkpoint.variables if each.trainable}
        for slot_name in ("m", "v"):
            owners = [e.slot_of for e in checkpoint.variables if e.slot_name == slot_name]
            assert len(owners) == len(trained)
            assert set(owners) == trained
        assert "inferred" in checkpoint.facts["Owners of slots"]
        first = checkpoint["optimizer_weights/Variable_139:0"]
        assert first.slot_of == "model_weights/conv2d_7/conv2d_7_1/kernel:0"
        # Adam's second moments are squares: none is negative. Its first moments are not.
        for variable in checkpoint.variables:
            if variable.slot_name == "v":
                assert checkpoint.read(variable).min() >= 0
        assert checkpoint["optimizer_weights/iterations_1:0"].role is Role.COUNTER


def test_names_of_scopes_that_keras_numbered(corpus: Path) -> None:
    with opened(corpus / "fer_hdf5" / "emotion_model.hdf5") as checkpoint:
        variable = checkpoint["model_weights/conv2d_1/conv2d_1_1/kernel:0"]
        assert variable.name == "conv2d_1/kernel"
        assert variable.role is Role.WEIGHT
        statistics = [e for e in checkpoint.variables if e.role is Role.MOVING_STATISTIC]
        assert len(statistics) == 28
        assert {each.trainable for each in statistics} == {False}


def test_weights_alone_say_nothing_of_what_is_trainable(corpus: Path) -> None:
    with opened(corpus / "mhcnuggets_h5" / "H-2-Kb_BA.h5") as checkpoint:
        assert checkpoint.written_by == "Keras 2.2.2"
        assert {each.trainable for each in checkpoint.variables} == {None}
        assert {each.name for each in checkpoint.variables} == {
            "dense_1/bias", "dense_1/kernel", "dense_2/bias", "dense_2/kernel",
            "lstm_1/bias", "lstm_1/kernel", "lstm_1/recurrent_kernel",
        }  # fmt: skip
        assert checkpoint.facts["Kind"] == "weights only"
        assert checkpoint.facts["Layers"] == "7 layers"


def test_facts_of_a_whole_model(corpus: Path) -> None:
    with opened(corpus / "fer_hdf5" / "emotion_model.hdf5") as checkpoint:
        assert checkpoint.written_by == "Keras 2.0.5"
        assert checkpoint.facts["Backend"] == "tensorflow"
        assert checkpoint.facts["Optimizer"] == "adam, learning rate 0.0001"
        assert checkpoint.facts["Loss"] == "categorical_crossentropy"
        assert checkpoint.facts["Metrics"] == "accuracy"


def test_details_tell_where_the_values_lie(corpus: Path) -> None:
    path = corpus / "mhcnuggets_h5" / "H-2-Kb_BA.h5"
    with opened(path) as checkpoint, h5py.File(path) as oracle:
        for variable in checkpoint.variables:
            offset = oracle[variable.key].id.get_offset()
            details = checkpoint.details(variable)
            assert details["Offset"] == f"{offset:,}"
            assert details["Layout"] == "contiguous"


# Lists of names that are spread over several attributes, as where there are very many layers


def test_long_lists_of_layers(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names0"] = [b"b", b"a"]
        file.attrs["layer_names1"] = [b"c"]
        file.attrs["keras_version"] = "2.9.0"
        for name in "abc":
            file[f"{name}/{name}/kernel:0"] = np.ones((2, 3), np.float32)
            file[name].attrs["weight_names"] = [f"{name}/kernel:0".encode()]
    with opened(path) as checkpoint:
        assert checkpoint.facts["Layers"] == "3 layers"
        assert [each.name for each in checkpoint.variables] == ["a/kernel", "b/kernel", "c/kernel"]


# Damage


def test_weights_that_are_listed_and_not_there(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    shutil.copyfile(made() / "net.h5", path)
    with h5py.File(path, "a") as file:
        del file["model_weights/dense/dense/kernel"]
    with opened(path) as checkpoint:
        (finding,) = checkpoint.findings
        assert finding.code == "missing-variables"
        assert "model_weights/dense/dense/kernel" in finding.message


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '"a', "[]", "1" * 6000])
def test_a_damaged_configuration_costs_no_variables(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.h5"
    shutil.copyfile(made() / "net.h5", path)
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = text
    with opened(path) as checkpoint, opened(made() / "net.h5") as sound:
        assert [e.key for e in checkpoint.variables] == [e.key for e in sound.variables]
        assert {each.trainable for each in checkpoint.variables} == {None}
        assert text == "[]" or [each.code for each in checkpoint.findings] == ["damaged-config"]
