"""What scripts rely on in `ckptviewer compare --json`, on what TensorFlow and Keras write."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ckptviewer.cli.main import run as run_program

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

Compared = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def compared(capsys: pytest.CaptureFixture[str]) -> Compared:
    """Runs `compare --json`: exit status, document, standard error."""

    def run(a: Path | str, b: Path | str, *arguments: str) -> tuple[int, dict[str, Any], str]:
        status = run_program(["compare", str(a), str(b), "--json", *arguments])
        told = capsys.readouterr()
        document = json.loads(told.out, parse_constant=_no_constant) if told.out else {}
        return status, document, told.err

    return run


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


class Subclassed(keras.Model):  # type: ignore[misc]
    """Its layers have attributes' names, and some are in a list."""

    def __init__(self) -> None:
        super().__init__(name="net")
        self.first = keras.layers.Dense(8)
        self.norm = keras.layers.BatchNormalization()
        self.blocks = [keras.layers.Dense(8) for _ in range(3)]
        self.last = keras.layers.Dense(2)

    def call(self, inputs: Any, training: bool = False) -> Any:
        values = self.norm(self.first(inputs), training=training)
        for block in self.blocks:
            values = block(values)
        return self.last(values)


@pytest.fixture(scope="module", params=["trained", "fresh"])
def subclassed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A subclassed model in three formats, and with one bias changed as `changed`."""
    where = tmp_path_factory.mktemp(request.param)
    keras.utils.set_random_seed(4)
    model = Subclassed()
    model(np.zeros((1, 6), np.float32))
    if request.param == "trained":
        random = np.random.default_rng(4)
        model.set_weights([random.random(each.shape) for each in model.get_weights()])
    paths = {name: where / name for name in ("m.keras", "m.weights.h5", "exported")}
    model.save(paths["m.keras"])
    model.save_weights(paths["m.weights.h5"])
    model.export(paths["exported"], verbose=False)
    model.blocks[1].bias.assign_add(np.ones(8, np.float32))
    paths["changed"] = where / "changed.keras"
    model.save(paths["changed"])
    return paths


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("a", "b"),
    [("m.keras", "exported"), ("exported", "m.weights.h5"), ("exported", "m.keras")],
)
def test_a_subclassed_model_equals_its_export(
    subclassed: dict[str, Path], a: str, b: str, compared: Compared
) -> None:
    status, document, _ = compared(subclassed[a], subclassed[b], "--model-only")
    assert (status, document["summary"]["renamed"]) == (0, 14)
    assert {entry["max_abs"] for entry in document["variables"]} == {0}


@pytest.mark.filterwarnings("ignore")
def test_a_subclassed_model_differs_from_another_export(
    subclassed: dict[str, Path], compared: Compared
) -> None:
    status, document, _ = compared(subclassed["exported"], subclassed["changed"], "--model-only")
    assert status == 1
    assert document["summary"]["renamed"] == 13


def test_numbers_that_leave_float64_are_null(tmp_path: Path, compared: Compared) -> None:
    for name, values in (("a", [1e200, 0.0]), ("b", [0.0, 1e200])):
        np.savez(tmp_path / f"{name}.npz", v=np.array(values))
    status, document, _ = compared(tmp_path / "a.npz", tmp_path / "b.npz")
    (entry,) = document["variables"]
    assert (status, entry["status"], entry["max_abs"]) == (1, "changed", 1e200)
    assert (entry["relative_l2"], entry["cosine"]) == (None, None)


@pytest.mark.parametrize("option", ["--html", "--markdown", "--csv"])
@pytest.mark.parametrize("name", ["a.npz", "b.npz", "nowhere/report"])
def test_a_report_never_replaces_what_was_compared(
    tmp_path: Path, compared: Compared, option: str, name: str
) -> None:
    for each in ("a.npz", "b.npz"):
        np.savez(tmp_path / each, v=np.arange(3))
    before = (tmp_path / "a.npz").read_bytes()
    status, document, told = compared(
        tmp_path / "a.npz", tmp_path / "b.npz", option, str(tmp_path / name)
    )
    assert (status, document, told.count("\n")) == (2, {}, 1)
    assert {(tmp_path / each).read_bytes() for each in ("a.npz", "b.npz")} == {before}
