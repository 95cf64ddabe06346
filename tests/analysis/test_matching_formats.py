"""Matching what TensorFlow and Keras wrote: one model in every format; models that changed."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

from ckptviewer.analysis.matching import Match, Reason, match_variables
from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.computed import ComputedCheckpoint
from ckptviewer.checkpoint.variable import Role, Variable
from ckptviewer.formats.resolve import open_checkpoint
from tests.builders import save
from tests.formats.keras_files import imported, quiet

INPUT = (8, 8, 3)


def _layers(library: Any) -> list[Any]:
    layers = library.layers
    return [
        layers.Conv2D(8, 3, name="stem"),
        layers.BatchNormalization(),
        layers.DepthwiseConv2D(3),
        layers.SeparableConv2D(8, 3),
        layers.Reshape((-1, 8)),
        layers.LayerNormalization(),
        layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
        layers.GRU(4),
        layers.Dense(6),
        layers.Dense(6),
        layers.Dense(6),
    ]


def _model(library: Any, optimizer: str = "adam") -> Any:
    """A model with an optimizer whose slots exist; all variables have values of their own."""
    inputs = library.Input(INPUT)
    x = inputs
    for layer in _layers(library):
        x = layer(x)
    x = library.layers.Dense(5)(x)
    model = library.Model(inputs, x)
    model.compile(optimizer, "mse")
    model.optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(3)
    for variable in [*model.variables, *model.optimizer.variables]:
        if tuple(variable.shape):
            variable.assign(rng.normal(size=tuple(variable.shape)).astype(np.float32))
    return model


@pytest.fixture(scope="session")
@quiet()
def keras_3(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    """One Keras 3 model in every format that Keras and TensorFlow write."""
    keras = imported("keras")
    keras.backend.clear_session()
    where = tmp_path_factory.mktemp("keras3")
    model = _model(keras)
    model.save(where / "m.keras")
    model.save_weights(where / "m.weights.h5")
    model.save(where / "m.h5")
    model.export(where / "export", verbose=False)
    tf.saved_model.save(model, where / "saved")
    state = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    state.write(where / "ck")
    paths = ("m.keras", "m.weights.h5", "m.h5", "export", "saved", "ck")
    return {path: open_checkpoint(where / path) for path in paths}


@pytest.fixture(scope="session")
@quiet()
def keras_2(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    """One Keras 2 model: as archive, weights, whole model, checkpoints and by Saver."""
    tf_keras = imported("tf_keras")
    tf_keras.backend.clear_session()
    where = tmp_path_factory.mktemp("keras2")
    model = _model(tf_keras)
    model.save(where / "m.keras")
    model.save_weights(where / "m.weights.h5")
    model.save(where / "m.h5")
    model.save_weights(where / "weights")
    state = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    state.save(where / "ck")
    tensors = {each.name: each.numpy() for each in model.variables}
    save(where / "saver", {name.removesuffix(":0"): value for name, value in tensors.items()})
    paths = ("m.keras", "m.weights.h5", "m.h5", "weights", "ck-1", "saver")
    return {path: open_checkpoint(where / path) for path in paths}


def assert_equal_content(a: Checkpoint, b: Checkpoint, matches: tuple[Match, ...]) -> None:
    for match in matches:
        assert match.key_a is not None, match
        assert match.key_b is not None, match
        values_a, values_b = a.read(a[match.key_a]), b.read(b[match.key_b])
        np.testing.assert_array_equal(values_a, values_b, str(match))


FORMATS_3 = ("m.keras", "m.weights.h5", "m.h5", "export", "saved", "ck")
FORMATS_2 = ("m.keras", "m.weights.h5", "m.h5", "weights", "ck-1", "saver")


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(FORMATS_3, 2)))
def test_a_keras_3_model_is_the_same_model_in_every_format(
    keras_3: dict[str, Checkpoint], one: str, other: str
) -> None:
    a, b = keras_3[one], keras_3[other]
    matches = match_variables(a, b, model_only=True)
    assert len(matches) == 30
    assert_equal_content(a, b, matches)


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(FORMATS_2, 2)))
def test_a_keras_2_model_is_the_same_model_in_every_format(
    keras_2: dict[str, Checkpoint], one: str, other: str
) -> None:
    a, b = keras_2[one], keras_2[other]
    matches = match_variables(a, b, model_only=True)
    assert len(matches) == 30
    assert_equal_content(a, b, matches)


@pytest.mark.parametrize(
    ("one", "other"), [("m.keras", "saved"), ("saved", "m.h5"), ("m.h5", "ck")]
)
def test_slots_find_their_partners_across_formats(
    keras_3: dict[str, Checkpoint], one: str, other: str
) -> None:
    a, b = keras_3[one], keras_3[other]
    slots = [
        match
        for match in match_variables(a, b)
        if match.key_a and a[match.key_a].role is Role.OPTIMIZER_SLOT
    ]
    assert len(slots) == 56
    assert_equal_content(a, b, tuple(slots))


def test_repeats_in_an_exported_model_are_aliases(keras_3: dict[str, Checkpoint]) -> None:
    matches = match_variables(keras_3["m.keras"], keras_3["export"], model_only=True)
    aliases = [key for match in matches for key in match.aliases_b]
    assert len(aliases) == 30
    assert all(key.startswith("_all_variables/") for key in aliases)


def test_keras_2_and_3_name_the_same_variables(
    keras_2: dict[str, Checkpoint], keras_3: dict[str, Checkpoint]
) -> None:
    """Both models were given the same values, in the order of their variables."""
    for one, other in itertools.product(("m.keras", "ck-1", "saver"), ("m.keras", "export")):
        a, b = keras_2[one], keras_3[other]
        matches = match_variables(a, b, model_only=True)
        assert len(matches) == 30
        for match in matches:
            assert match.key_a, match
            assert match.key_b, match
            assert a[match.key_a].shape == b[match.key_b].shape


def _renamed_scope(tensors: dict[str, np.ndarray], old: str, new: str) -> dict[str, np.ndarray]:
    return {name.replace(old, new): value for name, value in tensors.items()}


@pytest.mark.parametrize("change", [0.0, 0.01])
def test_renamed_scopes_of_a_bundle(tmp_path: Path, change: float) -> None:
    rng = np.random.default_rng(1)
    tensors: dict[str, np.ndarray] = {}
    for i in range(4):
        layer = f"model/block_{i}/dense"
        tensors[f"{layer}/kernel"] = rng.normal(size=(8, 8)).astype(np.float32)
        tensors[f"{layer}/bias"] = np.zeros(8, np.float32)
        tensors[f"{layer}/kernel/Adam"] = np.zeros((8, 8), np.float32)
    changed = {name: value + np.float32(change * rng.normal()) for name, value in tensors.items()}
    a = open_checkpoint(save(tmp_path / "a", tensors))
    b = open_checkpoint(save(tmp_path / "b", _renamed_scope(changed, "model/", "net/body/")))
    matches = match_variables(a, b)
    assert len(matches) == len(tensors)
    for match in matches:
        assert match.key_a is not None
        assert match.key_b == match.key_a.replace("model/", "net/body/")
        zeros = not tensors[match.key_a].any()
        assert not (zeros and match.reason is Reason.CHECKSUM and "Adam" not in match.key_a)


REAL = (
    "t2t_transformer_2shard",
    "tfx_estimator_2shard",
    "tfx_sm_keras",
    "basicpitch_sm",
    "fer_hdf5/*.hdf5",
    "silero_safetensors/*.safetensors",
)


class _Renamed(ComputedCheckpoint):
    """Under other keys, of which nothing but these is known: no names, no object paths."""

    def __init__(self, source: Checkpoint, mapping: Mapping[str, str]) -> None:
        pairs = [
            (
                variable._replace(
                    key=mapping[variable.key],
                    name=mapping[variable.key],
                    slot_of=mapping.get(variable.slot_of or "", variable.slot_of),
                    object_path="",
                ),
                variable,
            )
            for variable in source.variables
        ]
        super().__init__(source, pairs)


class _WithoutChecksums(_Renamed):
    def checksum(self, variable: Variable) -> int | None:
        return None


@pytest.mark.parametrize("kind", [_Renamed, _WithoutChecksums])
@pytest.mark.parametrize("name", REAL)
def test_real_checkpoints_under_another_scope_are_recognised(
    corpus: Path, name: str, kind: type[_Renamed]
) -> None:
    path = next(corpus.glob(name))
    with open_checkpoint(path) as original:
        mapping = {variable.key: f"net/{variable.key}" for variable in original.variables}
        renamed = kind(original, mapping)
        matches = match_variables(original, renamed)
        assert matches
        for match in matches:
            assert match.key_a is not None, match
            partner = match.key_b
            if match.reason is not Reason.KNOWN_RENAME and partner != mapping[match.key_a]:
                # By content, what has the same content may change places.
                assert partner is not None, match
                assert (
                    original.read(original[match.key_a]) == renamed.read(renamed[partner])
                ).all()
            else:
                assert partner == mapping[match.key_a]
