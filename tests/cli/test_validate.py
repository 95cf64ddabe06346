"""`ckptviewer validate` from end to end: a real worker, TensorFlow, and the demo."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ckptviewer.cli import main
from ckptviewer.cli.validation_output import print_for_people
from ckptviewer.resources import resource
from ckptviewer.validation import launcher
from ckptviewer.validation.history import Earlier
from ckptviewer.validation.protocol import (
    BindMode,
    Hello,
    Libraries,
    Measurements,
    ModelKind,
    ModelSpec,
    Note,
    Outcome,
    Restored,
)
from ckptviewer.validation.recipe import Recipe
from ckptviewer.validation.report import report_of
from ckptviewer.validation.validating import Validation
from tests import builders

DEMO = resource("demo/digits.keras").parent
MODEL, DATA = str(DEMO / "digits.keras"), str(DEMO / "digits-validation.npz")
LATE = str(DEMO / "digits.ckpt-600")
HIDDEN = "model/optimizer/_trainable_variables/3/.ATTRIBUTES/VARIABLE_VALUE"


@pytest.fixture(autouse=True)
def _history_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CKPTVIEWER_HISTORY", str(tmp_path / "history.sqlite"))


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails the test where anything is run."""

    def run(*_: object, **__: object) -> None:
        pytest.fail("a worker was started")

    monkeypatch.setattr(launcher, "run", run)
    return


def validate(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = main.run(["validate", *arguments, "--yes", "--json"])
    captured = capsys.readouterr()
    assert captured.err == ""
    return status, json.loads(captured.out)


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of what could not be done."""
    assert main.run(["validate", *arguments]) == main.COULD_NOT
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def copied(directory: Path) -> builders.Bundle:
    """The demo's late checkpoint, taken apart."""
    for file in DEMO.glob("digits.ckpt-600.*"):
        shutil.copy(file, directory)
    return builders.Bundle.of(directory / "digits.ckpt-600")


def test_the_demo_passes_with_keras_own_accuracy_and_agrees_with_itself(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import keras
    import tensorflow as tf

    copied(tmp_path).write(tmp_path / "copy")
    recipe = tmp_path / "demo.toml"
    status, document = validate(
        capsys, LATE, "--model", MODEL, "--data", DATA, "--against", str(tmp_path / "copy"),
        "--metric", "accuracy", "--require", "accuracy>=0.9", "--save-recipe", str(recipe),
    )  # fmt: skip
    assert (status, document["verdict"]) == (0, "pass")
    assert len(document["restore"]["bound"]) == 9
    assert document["restore"]["missing"] == []
    assert document["restore"]["mismatched"] == []
    assert document["read_back"] == {"equal": True, "different": [], "unchanged": []}
    assert document["agreement"] == 1.0
    assert document["statistics"]["passes"]
    assert len(document["statistics"]["variables"]) == 9
    assert document["thresholds"] == {
        "agreement": 0.99, "statistics": 1e-5, "metrics": ["accuracy>=0.9"],
    }  # fmt: skip

    model = keras.models.load_model(MODEL)
    tf.train.Checkpoint(model=model).restore(LATE).expect_partial()
    data = np.load(DATA)
    evaluated = model.evaluate(data["x"], data["y"], batch_size=32, verbose=0, return_dict=True)
    assert document["metrics"]["accuracy"] == evaluated["accuracy"]

    from ckptviewer.validation.recipe import read_recipe

    again = read_recipe(recipe)
    assert again.checkpoint == LATE
    assert again.require == ("accuracy>=0.9",)


@pytest.mark.usefixtures("kept_worker")
def test_a_layer_that_was_initialised_anew_fails_and_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bundle = copied(tmp_path)
    fresh = np.random.default_rng(0).uniform(-0.14, 0.14, (256, 32)).astype(np.float32)
    bundle.replace(HIDDEN, fresh.tobytes())
    bundle.write(tmp_path / "fresh")
    arguments = [LATE, "--model", MODEL, "--data", DATA, "--against", str(tmp_path / "fresh")]
    status = main.run(["validate", *arguments, "--yes"])
    text = capsys.readouterr().out
    assert status == 1
    assert "FAIL  statistics" in text
    (line,) = [line for line in text.splitlines() if "FAIL  statistics" in line]
    assert line.endswith(
        "1 of 9 variables differ by 1e-05 or more in mean or deviation: hidden/kernel."
    )
    assert text.splitlines()[-1].startswith("Verdict: fail")
    assert "pass  restore (B)" in text


@pytest.mark.usefixtures("kept_worker")
def test_a_slimmed_checkpoint_passes_and_is_remembered(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    slim = str(tmp_path / "slim")
    assert main.run(["export", LATE, slim, "--preset", "inference"]) == 0
    capsys.readouterr()
    recipe = tmp_path / "slim.json"
    recipe.write_text(
        json.dumps(
            {
                "checkpoint": LATE,
                "against": "slim",
                "model": {"kind": "keras", "path": MODEL},
                "data": {"kind": "npz", "paths": [DATA]},
            }
        )
    )
    status, document = validate(capsys, "--recipe", str(recipe), "--gains", "1")
    size, load, *_ = document["gains"]
    assert size["name"] == "File size"
    assert size["differs"]
    assert 0 < size["b"] < size["a"]
    assert load["a"] > 0
    assert (status, document["verdict"]) == (0, "pass")
    assert document["against_read_back"]["equal"]
    assert document["earlier"] == []

    from ckptviewer.validation.history import History
    from ckptviewer.validation.recipe import read_recipe
    from ckptviewer.validation.validating import what_of

    with History() as history:
        (kept,) = history.earlier(what_of(read_recipe(recipe)))
    assert kept.same_checkpoint
    assert kept.metrics == document["metrics"]


@pytest.mark.usefixtures("kept_worker")
def test_a_restore_that_binds_nothing_fails(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other = builders.save(tmp_path / "other", {"somewhere/else": np.ones((2, 7), np.float32)})
    status, document = validate(capsys, str(other), "--model", MODEL)
    assert (status, document["verdict"]) == (1, "fail")
    assert document["restore"]["bound"] == []
    assert len(document["restore"]["missing"]) == 9
    assert document["restore"]["unused"] == ["somewhere/else"]
    assert not document["read_back"]["equal"]
    assert document["expected"]["restores_model"] is False
    assert "Nothing was restored" in document["checks"][0]["message"]


@pytest.mark.usefixtures("kept_worker")
def test_a_model_that_cannot_be_loaded_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    factory = tmp_path / "net.py"
    factory.write_text("def build():\n    raise RuntimeError('no weights today')\n")
    line = complaint(capsys, LATE, "--model", f"{factory}:build", "--yes")
    assert "no weights today" in line


@pytest.mark.usefixtures("no_worker")
def test_without_consent_nothing_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))  # a pipe, and no terminal
    line = complaint(capsys, LATE, "--model", MODEL)
    assert "nothing was run" in line
    assert "--yes" in line
    assert not (tmp_path / "history.sqlite").exists()


@pytest.mark.usefixtures("no_worker")
def test_what_is_wrong_before_the_run_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    np.savez(tmp_path / "uneven.npz", x=np.zeros((3, 8, 8, 1)), y=np.zeros(4))
    uneven = str(tmp_path / "uneven.npz")
    for arguments, expected in (
        ((LATE,), "--model is missing"),
        ((), "CKPT is missing"),
        ((LATE, "--model", LATE), "no model"),
        ((LATE, "--model", str(tmp_path / "none.keras")), "none.keras"),
        ((LATE, "--model", str(tmp_path / "none.py") + ":build"), "no such Python file"),
        ((LATE, "--model", MODEL, "--data", str(tmp_path / "none.npz")), "there is no data"),
        ((LATE, "--model", MODEL, "--data", uneven), "same number of examples"),
        ((LATE, "--model", MODEL, "--require", "accuracy>=0.9"), "there is no data"),
        ((LATE, "--model", MODEL, "--require", "accurate"), "METRIC>=NUMBER"),
        ((LATE, "--model", MODEL, "--against", str(tmp_path / "none")), "none"),
        (("--recipe", str(tmp_path / "none.toml")), "no such recipe"),
    ):
        assert expected in complaint(capsys, *arguments, "--yes"), arguments


def test_a_person_on_a_terminal_is_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, no_worker: None
) -> None:
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    said = Terminal()
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    monkeypatch.setattr("sys.stderr", said)
    assert main.run(["validate", LATE, "--model", MODEL]) == main.COULD_NOT
    assert "Go on? [y/N]" in said.getvalue()
    assert "digits.keras" in said.getvalue()
    assert "you did not agree" in said.getvalue()


@pytest.mark.usefixtures("no_worker")
def test_a_dry_run_tells_what_would_bind_from_the_files_alone(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main.run(["validate", LATE, "--model", MODEL, "--dry-run", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["restores_model"]
    assert not document["certain"]
    assert {each["name"] for each in document["restore"]["bound"]} >= {"hidden/kernel"}

    early = str(DEMO / "digits.ckpt-40")
    assert main.run(["validate", LATE, "--model", early, "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "pass  assert_consumed()" in text
    assert text.splitlines()[-1] == "Will it restore? yes"

    other = builders.save(tmp_path / "other", {"net/w": np.ones((2, 7), np.float32)})
    renamed = builders.save(tmp_path / "renamed", {"model/w": np.zeros((2, 7), np.float32)})
    assert main.run(["validate", str(other), "--model", str(renamed), "--dry-run"]) == 1
    text = capsys.readouterr().out
    assert "NotFoundError: Key model/w not found in checkpoint" in text
    assert "of the model would stay fresh\n  model/w" in text
    assert text.splitlines()[-1] == "Will it restore? no"
    assert "--model is missing" in complaint(capsys, LATE, "--dry-run")


def test_what_a_worker_says_has_no_power_over_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The model runs in the worker, and may say what it likes."""
    odd = "\x1b[2J\u202e"
    outcome = Outcome(
        hello=Hello(protocol=1, python=odd, pid=1),
        libraries=Libraries(tensorflow=odd, keras=odd),
        restored={"a": Restored(checkpoint="a", mode=BindMode.AUTO, how=odd)},
        measurements={"a": Measurements(checkpoint="a", examples=1, values={odd: 1.0})},
        notes=(Note(code=odd, severity="error", message=odd, remedy=odd),),
    )
    report = report_of(outcome, checkpoint="c", model="m.keras")
    recipe = Recipe(checkpoint="c", model=ModelSpec(kind=ModelKind.KERAS, path="m.keras"))
    earlier = Earlier(
        at=0.0,
        verdict="fail",
        checkpoint_path=odd,
        against_path="",
        document=report.as_document(),
        same_checkpoint=False,
    )
    print_for_people(report, Validation(recipe=recipe, data=None, expected=None), [earlier])
    printed = capsys.readouterr().out
    assert "TensorFlow \\x1b[2J\\u202e, Keras" in printed
    assert not set(odd) & set(printed) - set("[2J")
