"""`validate`, and `export` judged by it, as scripts rely on them: verdicts, fields, one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
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


@pytest.mark.usefixtures("kept_worker")
def test_a_restore_check_that_finds_nothing_out_leaves_what_was_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    factory = tmp_path / "net.py"
    factory.write_text("def build():\n    raise RuntimeError('no weights today')\n")
    receipt = tmp_path / "receipt.json"
    line = complaint(
        capsys, "export", LATE, str(tmp_path / "slim"), "--preset", "inference", "--json",
        "--receipt", str(receipt), "--restore-check", f"{factory}:build", "--yes",
    )  # fmt: skip
    assert "it is written and verified, but" in line
    assert "no weights today" in line
    assert (tmp_path / "slim.index").is_file()
    document = json.loads(receipt.read_text())
    assert document["verified"] is True
    assert document["restore_check"] is None


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


@pytest.fixture(scope="module")
def training_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prefix of what a TensorFlow 1 script saves while it trains, and data beside it."""
    import tensorflow as tf

    v1 = tf.compat.v1
    directory = tmp_path_factory.mktemp("training_graph")
    rng = np.random.default_rng(3)
    x = rng.normal(size=(64, 6)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    np.savez(directory / "data.npz", x=x, y=y)
    with tf.Graph().as_default():
        inputs = v1.placeholder(tf.float32, (None, 6), "x")
        truth = v1.placeholder(tf.int64, (None,), "y")
        kernel = v1.get_variable("dense/kernel", (6, 2))
        bias = v1.get_variable("dense/bias", (2,), initializer=v1.zeros_initializer())
        logits = tf.identity(inputs @ kernel + bias, name="logits")
        tf.nn.softmax(logits, name="likely")
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=truth, logits=logits)
        step = v1.train.get_or_create_global_step()
        loss = tf.reduce_mean(losses)
        train = v1.train.AdamOptimizer(0.1).minimize(loss, global_step=step)
        saver = v1.train.Saver()
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            for _ in range(30):
                session.run(train, {inputs: x, truth: y})
            saver.save(session, str(directory / "model.ckpt"), global_step=step)
            found = session.run(logits, {inputs: x})
    np.save(directory / "accuracy.npy", (found.argmax(-1) == y).mean())
    return directory / "model.ckpt-30"


@pytest.mark.usefixtures("kept_worker")
@pytest.mark.parametrize("slimmed", [False, True])
def test_a_training_graph_is_judged_by_what_it_predicts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, training_graph: Path, slimmed: bool
) -> None:
    path = str(training_graph)
    if slimmed:
        answer(capsys, "export", path, str(tmp_path / "slim"), "--preset", "inference")
        path = str(tmp_path / "slim")
    data = str(training_graph.parent / "data.npz")
    arguments = ["--model", f"{training_graph}.meta", "--data", data, "--yes"]
    status, document = answer(capsys, "validate", path, *arguments, "--require", "accuracy>=0.8")
    assert (status, document["verdict"]) == (0, "pass")
    names = {each["name"] for each in document["restore"]["bound"]}
    assert names == {"dense/kernel", "dense/bias"}
    expected = float(np.load(training_graph.parent / "accuracy.npy"))
    assert document["metrics"]["accuracy"] == pytest.approx(expected, abs=1e-6)
    status, document = answer(
        capsys, "validate", path, *arguments, "--output", "likely:0", "--metric", "accuracy"
    )
    assert status == 0
    assert document["metrics"]["accuracy"] == pytest.approx(expected, abs=1e-6)
    status, document = answer(capsys, "validate", path, *arguments, "--against", path)
    assert (status, document["agreement"]) == (0, 1.0)
    assert [each["name"] for each in document["statistics"]["variables"]] == sorted(names)[::-1]
    line = complaint(capsys, "validate", path, *arguments, "--output", "nowhere")
    assert "no tensor 'nowhere'" in line


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # Keras beneath NumPy 2
@pytest.mark.usefixtures("kept_worker")
def test_of_several_outputs_the_one_that_the_truth_is_of_is_measured(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import keras

    entered = keras.Input((4,), name="a")
    outputs = [
        keras.layers.Dense(2, activation="softmax", name="kind")(entered),
        keras.layers.Dense(1, name="size")(entered),
    ]
    model = keras.Model(entered, outputs)
    model.save(tmp_path / "two.keras")
    rng = np.random.default_rng(5)
    a = rng.normal(size=(40, 4)).astype(np.float32)
    size = rng.normal(size=(40, 1)).astype(np.float32)
    np.savez(tmp_path / "two.npz", a=a, size=size, kind=rng.integers(0, 2, 40), other=size * 2)
    arguments = [
        "validate", str(tmp_path / "two.keras"), "--model", str(tmp_path / "two.keras"),
        "--data", str(tmp_path / "two.npz"), "--yes", "--metric", "mse",
    ]  # fmt: skip
    predicted = model.predict_on_batch(a)[1]
    for more, truth in (
        (["--target", "size"], size),
        (["--target", "other", "--output", "size"], size * 2),
        (["--target", "other"], size * 2),
    ):
        _, document = answer(capsys, *arguments, *more)
        assert document["metrics"]["mse"] == pytest.approx(np.mean((predicted - truth) ** 2))
    _, document = answer(capsys, *arguments)
    assert document["metrics"] == {}
    (finding,) = [each for each in document["findings"] if each["severity"] == "warning"]
    assert finding["code"] == "metric-not-measured"
    assert "no output 'none'" in complaint(
        capsys, *arguments, "--target", "size", "--output", "none"
    )


@pytest.mark.usefixtures("kept_worker")
def test_a_model_of_one_example_at_a_time_gets_one_at_a_time(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, corpus: Path
) -> None:
    model = str(corpus / "srv_sm_v2_half_plus_two")
    x = np.arange(5, dtype=np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=x / 2 + 2)
    status, document = answer(
        capsys, "validate", model, "--model", model, "--data", str(tmp_path / "data.npz"),
        "--metric", "mse", "--require", "mse<=1e-9", "--yes",
    )  # fmt: skip
    assert status == 0
    assert document["metrics"]["mse"] == 0


@pytest.mark.usefixtures("kept_worker")
def test_thresholds_are_those_that_were_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    early = str(DEMO / "digits.ckpt-40")
    arguments = ["--model", MODEL, "--data", DATA, "--yes", "--agreement-threshold"]
    status, document = answer(capsys, "validate", LATE, "--against", LATE, *arguments, "1")
    assert (status, document["verdict"], document["agreement"]) == (0, "pass", 1.0)
    wide = ["--statistics-threshold", "10"]
    for share, verdict in (("0.7", "pass"), ("0.71", "fail"), ("1", "fail")):
        _, document = answer(capsys, "validate", LATE, "--against", early, *arguments, share, *wide)
        assert document["verdict"] == verdict, share
        assert document["thresholds"]["agreement"] == float(share)
        assert document["thresholds"]["statistics"] == 10


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # Keras beneath NumPy 2
@pytest.mark.usefixtures("kept_worker")
def test_what_else_hangs_on_the_model_does_not_keep_it_from_being_judged(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """As the slots of another optimizer do: TensorFlow's own restore stops at their shapes."""
    import keras
    import tensorflow as tf

    model = keras.models.load_model(MODEL, compile=False)
    model.beside = tf.Variable(tf.zeros(5))
    tf.train.Checkpoint(model=model).write(str(tmp_path / "written"))
    factory = tmp_path / "net.py"
    factory.write_text(
        "import keras, tensorflow as tf\n"
        "def build():\n"
        f"    made = keras.models.load_model({MODEL!r}, compile=False)\n"
        "    for each in made.variables:\n"
        "        each.assign(each * 0 + 1)\n"
        "    made.beside = tf.Variable(tf.zeros(3))\n"
        "    return made\n"
    )
    arguments = ["--model", f"{factory}:build", "--data", DATA, "--yes"]
    _, document = answer(capsys, "validate", str(tmp_path / "written"), *arguments)
    assert document["verdict"] == "pass"
    assert len(document["restore"]["bound"]) == 9
    (said,) = [each for each in document["restore"]["assertions"] if each["name"] == "restore"]
    assert not said["passes"]
    assert "TensorFlow's own restore stops" in said["message"]


def test_limits_that_are_none_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    for option, value, words in (
        ("--time-limit", "0", "no time"),
        ("--time-limit", "-5", "no time"),
        ("--time-limit", "soon", "no finite number"),
        ("--memory-limit", "x", "no size"),
        ("--memory-limit", "nan", "no size"),
        ("--limit", "0", "no number from 1 on"),
        ("--batch-size", "²", "no number from 1 on"),
        ("--agreement-threshold", "inf", "no finite number"),
    ):
        with pytest.raises(SystemExit) as ended:
            main.run(["validate", LATE, "--model", MODEL, f"{option}={value}"])
        assert ended.value.code == main.COULD_NOT
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = captured.err.splitlines()
        assert option in line
        assert words in line
