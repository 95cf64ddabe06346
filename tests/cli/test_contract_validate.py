"""`validate`, and `export` judged by it, as scripts rely on them: verdicts, fields, one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ckptviewer.cli import main
from ckptviewer.resources import resource

DEMO = resource("demo/digits.keras").parent
MODEL, DATA = str(DEMO / "digits.keras"), str(DEMO / "digits-validation.npz")
LATE = str(DEMO / "digits.ckpt-600")


@pytest.fixture(autouse=True)
def _history_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CKPTVIEWER_HISTORY", str(tmp_path / "history.sqlite"))


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    """The exit status and the document, which is all that is printed; NaN is no JSON."""

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is no JSON")

    status = main.run([*arguments, "--json"])
    captured = capsys.readouterr()
    assert status in (0, 1), captured.err
    return status, json.loads(captured.out, parse_constant=refuse)


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of what could not be done."""
    assert main.run(list(arguments)) == main.COULD_NOT
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


@pytest.mark.usefixtures("kept_worker")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("slim", ()),
        ("slim.safetensors", ()),
        ("slim.weights.h5", ()),
        ("slim.npz", ()),
        ("slim", ("--name-based",)),
        ("half.npz", ("--cast", "float16")),
        ("half", ("--cast", "float16")),
    ],
)
def test_what_was_slimmed_for_inference_restores_in_each_format(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    written = str(tmp_path / name)
    answer(capsys, "export", LATE, written, "--preset", "inference", *options)
    status, document = answer(
        capsys, "validate", written, "--model", MODEL, "--data", DATA, "--yes",
        "--require", "accuracy>=0.97",
    )  # fmt: skip
    assert (status, document["verdict"]) == (0, "pass")
    bound = {each["name"] for each in document["restore"]["bound"]}
    assert {"conv/kernel", "norm/gamma", "norm/moving_mean", "hidden/kernel"} <= bound
    assert document["restore"]["missing"] == document["restore"]["mismatched"] == []
    assert document["read_back"]["equal"] is True


@pytest.mark.usefixtures("kept_worker")
def test_a_list_of_trained_variables_is_told_without_its_optimizer(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    factory = tmp_path / "net.py"
    factory.write_text(
        "import keras\n"
        "def build():\n"
        f"    made = keras.models.load_model({MODEL!r}, compile=False)\n"
        "    for each in made.variables:\n"
        "        each.assign(each * 0 + 1)\n"
        "    return made\n"
    )
    written = str(tmp_path / "slim.npz")
    answer(capsys, "export", LATE, written, "--preset", "inference")
    model = f"{factory}:build"
    _, document = answer(capsys, "validate", written, "--model", model, "--data", DATA, "--yes")
    assert document["verdict"] == "pass"
    assert document["metrics"]["accuracy"] == pytest.approx(0.980555534362793)


@pytest.mark.usefixtures("kept_worker")
def test_the_receipt_of_an_export_has_what_tensorflow_bound(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page = tmp_path / "receipt.html"
    arguments = [LATE, str(tmp_path / "slim"), "--preset", "inference", "--receipt", str(page)]
    status, document = answer(capsys, "export", *arguments, "--restore-check", MODEL, "--yes")
    check = document["restore_check"]
    assert status == 0
    assert document["verified"] is True
    assert check["restores"] is True
    assert {each["name"] for each in check["bound"]} >= {"conv/kernel", "hidden/bias"}
    assert check["missing"] == check["mismatched"] == []
    assert check["read_back"]["equal"] is True
    assert check["model"] == MODEL
    assert "All 9 variables of the model bound." in page.read_text()
    assert "hidden/kernel" in page.read_text()


@pytest.mark.usefixtures("kept_worker")
def test_an_export_that_does_not_restore_says_no(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    written = str(tmp_path / "part")
    arguments = [LATE, written, "--exclude", "*hidden*", "--restore-check", MODEL, "--yes"]
    status, document = answer(capsys, "export", *arguments)
    assert status == 1
    assert document["verified"] is True
    assert document["restore_check"]["restores"] is False
    assert "hidden/kernel" in document["restore_check"]["missing"]
    assert main.run(["export", *arguments, "--overwrite"]) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("TensorFlow does not restore it into ")
    assert "hidden/kernel" in last


def test_no_restore_check_without_consent(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))  # a pipe, and no terminal
    export = ["export", LATE, str(tmp_path / "slim"), "--json"]
    for more, words in (
        (["--restore-check", MODEL], "nothing was run"),
        (["--restore-check", str(tmp_path / "none.keras"), "--yes"], "none.keras"),
        (["--restore-check", LATE, "--yes"], "no model"),
        (["--restore-check", MODEL, "--yes", "--dry-run"], "a dry run writes nothing"),
        (["--python", "python3"], "--python is of the restore check"),
    ):
        assert words in complaint(capsys, *export, *more), more
    assert list(tmp_path.iterdir()) == []
