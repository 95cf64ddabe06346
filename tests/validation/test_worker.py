"""The worker with TensorFlow itself: what it restores, reads back and measures is right.

One worker answers most of the requests: each is answered as if it were the first.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from ckptviewer.checkpoint.casting import CastCheckpoint
from ckptviewer.formats.bundle_writer import Tensor, write_bundle
from ckptviewer.formats.resolve import open_checkpoint
from ckptviewer.validation.endings import WorkerError
from ckptviewer.validation.handing_over import hand_over
from ckptviewer.validation.launcher import Worker
from ckptviewer.validation.protocol import (
    BindMode,
    CheckpointSpec,
    DataKind,
    DataSpec,
    ImpactGroup,
    ImpactMethod,
    ImpactSpec,
    InspectRequest,
    MeasureRequest,
    MetricsSpec,
    ModelKind,
    ModelSpec,
    NamePair,
    Outcome,
    Preprocessing,
    ReadBack,
    Request,
    Restored,
    ValidateRequest,
)
from ckptviewer.validation.verdict import agreement_check
from tests.validation import worker_files
from tests.validation.worker_files import DATA, DIGITS, EARLY, LATE

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning",  # Keras with NumPy 2
    "ignore:You are saving your model as an HDF5",
)

DIGITS_MODEL = ModelSpec(kind=ModelKind.KERAS, path=str(DIGITS))
DIGITS_DATA = DataSpec(kind=DataKind.NPZ, paths=(str(DATA),))


class Asker:
    """Asks one worker again and again."""

    def __init__(self, log: Path, scratch: Path) -> None:
        self.log = log
        self.scratch = scratch
        self._worker: Worker | None = None
        self._count = 0

    def __call__(self, request: Request) -> Outcome:
        if self._worker is None or self._worker.is_over:
            self._worker = Worker(log_path=self.log)
        return self._worker.perform(request)

    def validate(self, model: ModelSpec, path: Path | None = None, **more: Any) -> Outcome:
        checkpoint = self.spec(path) if path is not None else None
        return self(ValidateRequest(model=model, checkpoint=checkpoint, **more))

    def spec(self, path: Path, **more: Any) -> CheckpointSpec:
        """A checkpoint as the program hands it over."""
        self._count += 1
        directory = self.scratch / str(self._count)
        directory.mkdir()
        with open_checkpoint(path) as checkpoint:
            return hand_over(checkpoint, directory, **more)

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made")
    worker_files.make_module_files(directory)
    worker_files.make_graph_files(directory)
    worker_files.make_pipeline_files(directory)
    worker_files.make_keras_files(directory)
    return directory


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    directory = tmp_path_factory.mktemp("worker")
    (directory / "handed-over").mkdir()
    asker = Asker(directory / "log", directory / "handed-over")
    yield asker
    asker.close()


@pytest.fixture(scope="module")
def trained() -> Any:
    return worker_files.trained_digits()


@pytest.fixture(scope="module")
def logits(trained: Any) -> Any:
    """What TensorFlow itself gives for the demo's data."""
    return trained.predict(np.load(DATA)["x"], verbose=0)


def factory(files: Path, function: str, **more: Any) -> ModelSpec:
    return ModelSpec(kind=ModelKind.FACTORY, path=f"{files / 'factories.py'}:{function}", **more)


def npz(path: Path, **more: Any) -> DataSpec:
    return DataSpec(kind=DataKind.NPZ, paths=(str(path),), **more)


def assert_all_read_back(outcome: Outcome, which: str = "a", count: int | None = None) -> None:
    restored: Restored = outcome.restored[which]
    back: ReadBack = outcome.read_back[which]
    assert not restored.missing
    assert not restored.mismatched
    assert [each.equal for each in back.variables] == [True] * len(restored.bound)
    assert count is None or len(back.variables) == count


def failure(ask: Asker, *arguments: Any, **more: Any) -> WorkerError:
    with pytest.raises(WorkerError) as raised:
        ask.validate(*arguments, **more)
    assert not raised.value.is_over
    return raised.value


# The demo


@pytest.fixture(scope="module")
def digits(ask: Asker, files: Path) -> Outcome:
    """The whole of it: two checkpoints, metrics, impact."""
    groups = (
        ImpactGroup(name="head", variables=("digit/kernel", "digit/bias")),
        ImpactGroup(name="nothing", variables=("hidden/bias",)),
    )
    metrics = MetricsSpec(
        names=("accuracy", "loss", "top_3_accuracy", "AUC", "mse"),
        predictions_path=str(files / "predictions.npz"),
    )
    impact = ImpactSpec(groups=groups, method=ImpactMethod.ZERO)
    return ask.validate(
        DIGITS_MODEL,
        LATE,
        against=ask.spec(EARLY),
        data=DIGITS_DATA,
        metrics=metrics,
        impact=impact,
    )


def evaluated(model: Any) -> dict[str, float]:
    data = np.load(DATA)
    result: dict[str, float] = model.evaluate(data["x"], data["y"], verbose=0, return_dict=True)
    return result


def test_accuracy_and_loss_are_those_of_tensorflow_to_the_last_digit(
    digits: Outcome, trained: Any
) -> None:
    ours, theirs = digits.measurements["a"].values, evaluated(trained)
    assert ours["accuracy"] == theirs["accuracy"]
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-6)
    early = evaluated(worker_files.trained_digits(EARLY))
    assert digits.measurements["b"].values["accuracy"] == early["accuracy"]


def test_other_metrics_are_those_of_numpy(digits: Outcome, logits: Any) -> None:
    data = np.load(DATA)
    values = digits.measurements["a"].values
    best = np.argsort(-logits, axis=1)[:, :3]
    assert values["top_3_accuracy"] == pytest.approx((best == data["y"][:, None]).any(1).mean())
    one_hot = np.eye(10)[data["y"]]
    assert values["mse"] == pytest.approx(((logits - one_hot) ** 2).mean(), rel=1e-5)
    assert 0.99 < (values["AUC"] or 0) <= 1


def test_every_class_the_confusion_and_the_worst(digits: Outcome, logits: Any) -> None:
    data = np.load(DATA)
    logits = logits.astype(np.float64)
    named, truth = logits.argmax(axis=1), data["y"]
    measured = digits.measurements["a"]
    expected = np.zeros((10, 10), int)
    np.add.at(expected, (truth, named), 1)
    assert np.array_equal(measured.confusion, expected)
    three = measured.classes[3]
    assert (three.label, three.count, three.correct) == ("3", (truth == 3).sum(), expected[3, 3])
    assert three.recall == expected[3, 3] / expected[3].sum()
    assert three.precision == expected[3, 3] / expected[:, 3].sum()
    likely = np.exp(logits - logits.max(1, keepdims=True))
    costs = -np.log((likely / likely.sum(1, keepdims=True))[np.arange(360), truth])
    order = np.argsort(-costs)[:10]
    assert [each.index for each in measured.worst] == order.tolist()
    first = measured.worst[0]
    assert first.loss == pytest.approx(costs[order[0]], rel=1e-4)
    assert (first.truth, first.prediction) == (str(truth[order[0]]), str(named[order[0]]))
    assert measured.examples == 360
    assert measured.output == "digit"
    assert (measured.throughput or 0) > 0
    assert (measured.latency_seconds or 0) > 0


def test_what_binds_and_what_tensorflow_says_of_it(digits: Outcome) -> None:
    assert_all_read_back(digits, "a", 9)
    assert_all_read_back(digits, "b", 9)
    restored = digits.restored["a"]
    assert restored.mode is BindMode.OBJECT_GRAPH
    assert restored.how == "tf.train.Checkpoint(model=model).read"
    assert {each.rule for each in restored.bound} == {"its place in the object graph under model"}
    assert "save_counter/.ATTRIBUTES/VARIABLE_VALUE" in restored.unused
    with open_checkpoint(LATE) as checkpoint:
        keys = {each.key for each in checkpoint.variables if each.role != "metadata"}
    assert {each.key for each in restored.bound} | set(restored.unused) == keys
    said = {each.name: each.passed for each in restored.assertions}
    assert said == {
        "assert_existing_objects_matched": True,
        "assert_consumed": False,  # the save counter
        "expect_partial": True,
    }


def test_read_back_tells_before_and_after(digits: Outcome, trained: Any) -> None:
    back = {each.name: each for each in digits.read_back["a"].variables}
    kernel = trained.get_layer("conv").kernel.numpy()
    after = back["conv/kernel"].after
    assert back["conv/kernel"].changed
    assert after.count == kernel.size
    assert after.mean == pytest.approx(kernel.astype(np.float64).mean(), rel=1e-12)
    assert after.std == pytest.approx(kernel.astype(np.float64).std(), rel=1e-12)
    assert after == back["conv/kernel"].file
    # B was restored into the fresh model again, not on top of A.
    assert digits.read_back["b"].variables[0].before == digits.read_back["a"].variables[0].before


def test_agreement_is_that_of_numpy(digits: Outcome, logits: Any) -> None:
    data = np.load(DATA)
    one = logits
    other = worker_files.trained_digits(EARLY).predict(data["x"], verbose=0)
    assert digits.agreement is not None
    (output,) = digits.agreement.outputs
    same = one.argmax(1) == other.argmax(1)
    assert (output.examples, output.argmax) == (360, same.mean())
    assert output.agreement == output.argmax
    assert output.max_abs == pytest.approx(np.abs(one - other).max(), rel=1e-5)
    assert output.mean_abs == pytest.approx(np.abs(one - other).mean(), rel=1e-5)
    assert output.differing == tuple(np.flatnonzero(~same)[:20])


def test_predictions_are_written(digits: Outcome, logits: Any) -> None:
    written = np.load(digits.measurements["a"].predictions_path)
    np.testing.assert_allclose(written["digit"], logits, rtol=1e-5, atol=1e-5)


def test_impact_is_the_loss_of_the_metric(digits: Outcome) -> None:
    truth = np.load(DATA)["y"]
    model = worker_files.trained_digits()
    head = model.get_layer("digit")
    head.kernel.assign(np.zeros(head.kernel.shape))
    head.bias.assign(np.zeros(head.bias.shape))
    impact = digits.impact
    assert impact is not None
    assert impact.metric == "accuracy"
    assert impact.baseline == digits.measurements["a"].values["accuracy"]
    assert [each.name for each in impact.groups] == ["head", "nothing"]
    first = impact.groups[0]
    assert first.value == pytest.approx((truth == 0).mean())  # all zeros name the first class
    assert first.loss_of_metric == pytest.approx((impact.baseline or 0) - (first.value or 0))
    # What was changed for the first group was put back for the second.
    assert (impact.groups[1].value or 0) > 0.9


def test_impact_takes_values_from_the_other_checkpoint(ask: Asker, digits: Outcome) -> None:
    assert digits.model is not None
    everything = tuple(each.name for each in digits.model.variables)
    outcome = ask.validate(
        DIGITS_MODEL,
        LATE,
        against=ask.spec(EARLY),
        data=npz(DATA, limit=64),
        impact=ImpactSpec(
            groups=(ImpactGroup(name="all", variables=everything),), method=ImpactMethod.OTHER
        ),
    )
    assert outcome.impact is not None
    assert outcome.impact.groups[0].value == outcome.measurements["b"].values["accuracy"]
    assert outcome.impact.baseline == outcome.measurements["a"].values["accuracy"]


def test_a_checkpoint_agrees_with_itself(ask: Asker) -> None:
    data = DataSpec(kind=DataKind.RANDOM, limit=8)
    outcome = ask.validate(DIGITS_MODEL, LATE, against=ask.spec(LATE), data=data)
    assert outcome.agreement is not None
    (output,) = outcome.agreement.outputs
    assert (output.argmax, output.max_abs, output.examples) == (1.0, 0.0, 8)
    assert outcome.measurements["a"].values == {}


def test_what_is_nan_in_both_is_told_and_is_no_agreement(
    ask: Asker, files: Path, tmp_path: Path
) -> None:
    x = np.load(files / "x.npy")[:8]
    x[2] = x[5] = np.nan
    for name, rows in (("some", x), ("all", x[[2, 5]])):
        np.savez(tmp_path / name, x=rows)
    model, net = factory(files, "make"), files / "net-1"
    some, none = (
        ask.validate(model, net, against=ask.spec(net), data=npz(tmp_path / f"{each}.npz"))
        for each in ("some", "all")
    )
    assert some.agreement is not None
    (output,) = some.agreement.outputs
    assert (output.examples, output.agreement, output.max_abs) == (8, 6 / 8, 0.0)
    assert (output.nonfinite, output.nonfinite_examples, output.nonfinite_at) == (4, 2, (2, 5))
    assert none.agreement is not None
    (output,) = none.agreement.outputs
    assert (output.agreement, output.max_abs, output.nonfinite) == (None, None, 4)
    check = agreement_check(none.agreement, -1.0)
    assert not check.passes
    assert check.message.startswith("No output of A and B is finite")


# Checkpoints of every format


@pytest.mark.parametrize("name", ["digits.weights.h5", "full.keras", "full.h5"])
def test_keras_files_by_load_weights(name: str, ask: Asker, files: Path, digits: Outcome) -> None:
    outcome = ask.validate(DIGITS_MODEL, files / name)
    assert outcome.restored["a"].mode is BindMode.KERAS_WEIGHTS
    assert_all_read_back(outcome, "a", 9)
    after = {each.name: each.after for each in outcome.read_back["a"].variables}
    assert after == {each.name: each.after for each in digits.read_back["a"].variables}


def test_a_cast_checkpoint_onto_the_float32_model(ask: Asker, tmp_path: Path, trained: Any) -> None:
    with open_checkpoint(LATE) as original:
        tensors = []
        for each in original.variables:
            values, dtype = original.read(each), each.dtype
            if dtype == "float32":
                values, dtype = values.astype(ml_dtypes.bfloat16), "bfloat16"
            chunks = [values.reshape(-1)]
            tensors.append(Tensor(key=each.key, dtype=dtype, shape=each.shape, chunks=chunks))
        write_bundle(str(tmp_path / "cast"), tensors)
    outcome = ask.validate(DIGITS_MODEL, tmp_path / "cast.index", data=DIGITS_DATA)
    restored = outcome.restored["a"]
    assert restored.mode is BindMode.NAMES
    assert_all_read_back(outcome, "a", 9)
    assert all("cast from bfloat16 to float32" in each.rule for each in restored.bound)
    assert not restored.assertions[0].passed  # TensorFlow itself refuses it
    for weight in trained.weights:
        weight.assign(weight.numpy().astype(ml_dtypes.bfloat16).astype(np.float32))
    ours = outcome.measurements["a"].values["accuracy"]
    try:
        assert ours == evaluated(trained)["accuracy"]
    finally:
        restored_again = worker_files.trained_digits()
        trained.set_weights(restored_again.get_weights())


def test_without_a_cast_dtypes_mismatch(ask: Asker) -> None:
    with open_checkpoint(LATE) as original:
        keys = [each.key for each in original.variables if each.dtype == "float32"]
        cast = CastCheckpoint(original, dict.fromkeys(keys, "float16"))
        spec = hand_over(cast, ask.scratch, cast=False)
    outcome = ask(ValidateRequest(model=DIGITS_MODEL, checkpoint=spec))
    restored = outcome.restored["a"]
    assert not restored.bound
    assert len(restored.mismatched) == 9
    assert "the checkpoint has float16, the model float32" in restored.mismatched[0].reason
    assert {each.changed for each in outcome.read_back["a"].variables} == {False}


def test_an_npz_is_handed_over_and_bound_by_a_name_map(
    ask: Asker, tmp_path: Path, trained: Any
) -> None:
    arrays = {f"v{number}": each.numpy() for number, each in enumerate(trained.weights)}
    np.savez(tmp_path / "weights.npz", **arrays)
    pairs = [
        NamePair(key=f"v{number}", name=each.path) for number, each in enumerate(trained.weights)
    ]
    wrong = [NamePair(key="none", name="conv/kernel"), NamePair(key="v0", name="none")]
    spec = ask.spec(tmp_path / "weights.npz", names=[*pairs, *wrong])
    assert spec.bundle
    outcome = ask(ValidateRequest(model=DIGITS_MODEL, checkpoint=spec, data=DIGITS_DATA))
    restored = outcome.restored["a"]
    assert [(each.key, each.name) for each in restored.bound] == [
        (each.key, each.name) for each in pairs
    ]
    assert {each.reason for each in restored.mismatched} == {
        "the checkpoint has no such key",
        "the model has no variable of this name",
    }
    assert all(each.equal for each in outcome.read_back["a"].variables)


def test_names_alone_bind_what_they_can(ask: Asker, tmp_path: Path, trained: Any) -> None:
    by_path = {each.path: each.numpy() for each in trained.weights}
    np.savez(
        tmp_path / "named.npz",
        **{
            "digits/conv/kernel": by_path["conv/kernel"],
            "hidden/kernel": by_path["hidden/kernel"],
            "digit/bias": np.zeros(7, np.float32),
        },
    )
    outcome = ask.validate(DIGITS_MODEL, tmp_path / "named.npz")
    rules = {each.name: each.rule for each in outcome.restored["a"].bound}
    assert rules == {
        "conv/kernel": "the end of its name, and its shape",
        "hidden/kernel": "the same name",
    }
    (mismatch,) = outcome.restored["a"].mismatched
    assert "float32 [7], the model float32 [10]" in mismatch.reason
    assert len(outcome.restored["a"].missing) == 6


def test_a_restore_that_binds_nothing_is_not_silent(ask: Asker, files: Path) -> None:
    outcome = ask.validate(DIGITS_MODEL, files / "net-1.index")
    restored = outcome.restored["a"]
    assert not restored.bound
    assert len(restored.missing) == 9
    assert {each.changed for each in outcome.read_back["a"].variables} == {False}
    assert not restored.assertions[0].passed
    assert "says nothing" in restored.assertions[-1].message


def test_what_tensorflow_s_own_checks_do_not_notice(ask: Asker, files: Path) -> None:
    outcome = ask.validate(factory(files, "listed"), files / "listed-1.index")
    restored = outcome.restored["a"]
    said = {each.name: each.passed for each in restored.assertions}
    assert said["assert_existing_objects_matched"]
    assert {each.name.split("/")[-2] for each in restored.bound} == {"first"}
    assert {each.name.split("/")[-2] for each in restored.missing} == {"second"}
    back = {each.name.split("/")[-2]: each for each in outcome.read_back["a"].variables}
    assert (back["first"].equal, back["second"].equal) == (True, None)
    assert not back["second"].changed


def test_values_that_were_there_before_are_unchanged_and_equal(ask: Asker, files: Path) -> None:
    model = ModelSpec(kind=ModelKind.KERAS, path=str(files / "full.h5"))
    outcome = ask.validate(model, LATE)
    assert_all_read_back(outcome, "a", 9)
    assert {each.changed for each in outcome.read_back["a"].variables} == {False}


def test_a_wrong_shape_is_told_and_the_rest_restored(ask: Asker, files: Path) -> None:
    outcome = ask.validate(factory(files, "wide"), files / "net-1.index")
    restored = outcome.restored["a"]
    assert not restored.bound
    assert {each.name for each in restored.mismatched} == {"w", "b"}
    assert "float32 [4, 2], the model float32 [4, 3]" in "".join(
        each.reason for each in restored.mismatched
    )
    assert "would stop with an error" in restored.assertions[0].message


def test_a_damaged_checkpoint(ask: Asker, tmp_path: Path) -> None:
    for path in LATE.parent.glob(f"{LATE.name}.*"):
        shutil.copy(path, tmp_path / path.name)
    data = tmp_path / f"{LATE.name}.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:5000])
    error = failure(ask, DIGITS_MODEL, tmp_path / f"{LATE.name}.index", data=DIGITS_DATA)
    assert error.kind == "RestoreProblem"
    assert error.stage == "restore"
    assert "doctor" in error.remedy


# Models of every kind


def test_half_plus_two(ask: Asker, corpus: Path, tmp_path: Path) -> None:
    path = corpus / "srv_sm_v2_half_plus_two" / "00000123"
    x = np.float32([0, 1, -7, 1e6])
    np.savez(tmp_path / "x.npz", x=x)
    metrics = MetricsSpec(predictions_path=str(tmp_path / "y.npz"))
    model = ModelSpec(kind=ModelKind.SAVED_MODEL, path=str(path))
    data = npz(tmp_path / "x.npz", batch_size=1)
    outcome = ask.validate(model, path, data=data, metrics=metrics)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npz")["y"], x / 2 + 2)
    assert_all_read_back(outcome, "a", 2)
    assert outcome.model is not None
    assert len(outcome.model.signatures) == 6
    assert [note.code for note in outcome.notes] == ["version-differs"]
    # It takes one example at a time, and gets so many whatever the size of a batch.
    outcome = ask.validate(model, path, data=npz(tmp_path / "x.npz", batch_size=2), metrics=metrics)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npz")["y"], x / 2 + 2)
    wrong = ModelSpec(kind=ModelKind.SAVED_MODEL, path=str(path), signature="none")
    assert "no signature 'none'" in failure(ask, wrong).what


def test_basic_pitch(ask: Asker, corpus: Path) -> None:
    path = corpus / "basicpitch_sm"
    model = ModelSpec(kind=ModelKind.SAVED_MODEL, path=str(path))
    data = DataSpec(kind=DataKind.RANDOM, limit=1)
    outcome = ask.validate(model, path, data=data)
    assert_all_read_back(outcome, "a", 24)
    assert outcome.model is not None
    names = {each.name for each in outcome.model.signatures[0].outputs}
    assert names == {"onset", "contour", "note"}
    assert outcome.measurements["a"].nonfinite_outputs == 0


def test_the_regression_of_tensorflow_1(ask: Asker, corpus: Path, tmp_path: Path) -> None:
    model = ModelSpec(kind=ModelKind.SAVED_MODEL, path=str(corpus / "onx_regression_sm"))
    x = np.linspace(-2, 2, 5).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    metrics = MetricsSpec(predictions_path=str(tmp_path / "y.npz"))
    checkpoint = corpus / "onx_regression_ckpt"
    outcome = ask.validate(model, checkpoint, data=npz(tmp_path / "x.npz"), metrics=metrics)
    assert outcome.restored["a"].mode is BindMode.SAVER
    assert_all_read_back(outcome, "a", 2)
    with open_checkpoint(checkpoint) as opened:
        weight, bias = (float(opened.read(opened[key])) for key in ("W", "b"))
    expected = x * weight + bias
    np.testing.assert_allclose(np.load(tmp_path / "y.npz")["pred"], expected, rtol=1e-6)
    assert [note.severity for note in outcome.notes] == ["warning"]


def test_a_graph_of_tensorflow_1_with_its_saver(ask: Asker, files: Path, tmp_path: Path) -> None:
    x = np.float32([[1, 2, 3], [4, 5, 6]])
    np.savez(tmp_path / "x.npz", x=x, y=x[:, :2] * 2 + np.float32([1, 2]))
    model = ModelSpec(
        kind=ModelKind.META_GRAPH, path=str(files / "graph-7.meta"), inputs=("x",), outputs=("y:0",)
    )
    outcome = ask.validate(model, files / "graph-7.index", data=npz(tmp_path / "x.npz"))
    restored = outcome.restored["a"]
    assert (restored.mode, len(restored.bound)) == (BindMode.SAVER, 2)
    back = {each.name: each for each in outcome.read_back["a"].variables}
    assert back["W"].changed
    assert back["W"].equal
    assert not back["b"].changed  # it was saved with its initial value
    assert back["b"].equal
    assert outcome.measurements["a"].values == {
        "mean_absolute_error": 0.0,
        "mean_squared_error": 0.0,
    }
    offered = outcome.model
    assert offered is not None
    assert [each.name for each in offered.placeholders] == ["x", "truth"]
    assert offered.collections["outputs"] == ("y:0",)
    graph = next(each for each in offered.signatures if each.name == "graph")
    assert not any("GradientDescent" in each.name for each in graph.outputs)  # it would train


@pytest.mark.parametrize("kind", worker_files.PIPELINES)
def test_a_graph_that_a_pipeline_feeds_is_fed_by_name(
    ask: Asker, files: Path, tmp_path: Path, kind: str
) -> None:
    x = np.random.default_rng(4).normal(size=(8, 4)).astype(np.float32)
    y = (x @ np.eye(4, 3)).argmax(1)
    y[0] = (y[0] + 1) % 3
    np.savez(tmp_path / "x.npz", x=x, y=y)
    model = ModelSpec(kind=ModelKind.META_GRAPH, path=str(files / f"{kind}-3.meta"))
    metrics = MetricsSpec(predictions_path=str(tmp_path / "logits.npz"))
    data = npz(tmp_path / "x.npz", batch_size=3)
    outcome = ask.validate(model, files / f"{kind}-3", data=data, metrics=metrics)
    assert outcome.model is not None
    (graph,) = outcome.model.signatures
    (fed,), (given,) = graph.inputs, graph.outputs
    assert given.tensor == "logits:0"
    assert fed.tensor.endswith(":0")
    offered = [each.tensor for each in outcome.model.placeholders]
    assert [fed.tensor, fed.tensor.replace(":0", ":1")] == [n for n in offered if n != "handle:0"]
    assert_all_read_back(outcome, count=1)
    assert outcome.measurements["a"].values["accuracy"] == 7 / 8
    np.testing.assert_allclose(np.load(tmp_path / "logits.npz")["logits"], x @ np.eye(4, 3) * 2)


def test_the_tensors_of_a_pipeline_can_be_named(ask: Asker, files: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", inputs=np.eye(4, dtype=np.float32), digits=[0, 1, 2, 2])
    model = ModelSpec(
        kind=ModelKind.META_GRAPH,
        path=str(files / "one-shot-3.meta"),
        outputs=("Mean:0",),  # the loss, which takes the truth as an input
    )
    keys = {"IteratorGetNext": "inputs", "IteratorGetNext:1": "digits"}
    data = npz(tmp_path / "x.npz", inputs=keys)
    metrics = MetricsSpec(predictions_path=str(tmp_path / "loss.npz"))
    ask.validate(model, files / "one-shot-3", data=data, metrics=metrics)
    logits = np.eye(4, 3) * 2
    loss = np.log(np.exp(logits).sum(1)) - logits[np.arange(4), [0, 1, 2, 2]]
    np.testing.assert_allclose(np.load(tmp_path / "loss.npz")["Mean"], [loss.mean()], rtol=1e-6)


def test_a_graph_that_takes_nothing_says_what_to_name(ask: Asker, files: Path) -> None:
    model = ModelSpec(kind=ModelKind.META_GRAPH, path=str(files / "bare-3.meta"))
    outcome = ask.validate(model, files / "bare-3")
    assert_all_read_back(outcome, count=1)
    with pytest.raises(WorkerError, match="Name the tensors") as caught:
        ask.validate(model, files / "bare-3", data=npz(files / "net.npz"))
    assert "does not say what it predicts" in caught.value.what


def test_a_v1_checkpoint(ask: Asker, corpus: Path) -> None:
    directory = corpus / "srv_v1_sharded_export" / "00000123"
    model = ModelSpec(kind=ModelKind.META_GRAPH, path=str(directory / "export.meta"))
    outcome = ask.validate(model, directory / "export-00000-of-00001")
    assert {each.name: each.equal for each in outcome.read_back["a"].variables} == {
        "a": True,
        "b": True,
    }  # the step is of the training: its graph predicts without


@pytest.mark.slow
def test_an_estimator_s_partitioned_variables(ask: Asker, corpus: Path) -> None:
    directory = corpus / "tfx_estimator_2shard"
    model = ModelSpec(kind=ModelKind.META_GRAPH, path=str(directory / "model.ckpt-10000.meta"))
    random = DataSpec(kind=DataKind.RANDOM)
    outcome = ask.validate(model, directory, data=random)
    assert_all_read_back(outcome, "a", 20)
    unused = outcome.restored["a"].unused
    assert len(unused) == 31  # the training's: it predicts without
    assert all(key == "global_step" or "/Adagrad" in key or "/Ftrl" in key for key in unused)
    assert outcome.model is not None
    graph = next(each for each in outcome.model.signatures if each.name == "graph")
    assert [each.name.removeprefix("head/predictions/") for each in graph.outputs] == [
        "logistic", "probabilities", "str_classes",
    ]  # fmt: skip
    assert len(graph.inputs) == 12  # of the 17 that its iterator gives
    run = outcome.measurements["a"]
    assert (run.examples, run.nonfinite_outputs) == (40, 0)


def test_a_python_file_runs_before_any_model(ask: Asker, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "operations.py").write_text("print('loading operations')")
    path = str(corpus / "srv_sm_v2_half_plus_two" / "00000123")
    custom = str(tmp_path / "operations.py")
    model = ModelSpec(kind=ModelKind.SAVED_MODEL, path=path, custom_objects=custom)
    assert ask(InspectRequest(model=model)).model is not None
    assert "loading operations" in ask.log.read_text()
    (tmp_path / "broken.py").write_text("1 / 0")
    broken = ModelSpec(
        kind=ModelKind.SAVED_MODEL, path=path, custom_objects=str(tmp_path / "broken.py")
    )
    assert "broken.py raised: ZeroDivisionError" in failure(ask, broken).what


def test_a_graph_that_needs_what_is_gone(ask: Asker, corpus: Path) -> None:
    model = ModelSpec(kind=ModelKind.SAVED_MODEL, path=str(corpus / "tfx_sm_2shard_assets"))
    error = failure(ask, model)
    assert "BucketizeWithInputBoundaries" in error.what
    assert "tf.contrib was removed" in error.remedy


@pytest.mark.parametrize(
    "data",
    [
        DataSpec(kind=DataKind.NPZ, paths=("net.npz",)),
        DataSpec(kind=DataKind.NPY, paths=("x.npy", "y.npy"), batch_size=7),
        DataSpec(kind=DataKind.CSV, paths=("net.csv",)),
        DataSpec(kind=DataKind.TFRECORD, paths=("net.tfrecord",)),
    ],
    ids=lambda data: data.kind.value,
)
def test_a_module_and_data_of_every_kind(data: DataSpec, ask: Asker, files: Path) -> None:
    from dataclasses import replace

    data = replace(data, paths=tuple(str(files / name) for name in data.paths))
    outcome = ask.validate(factory(files, "make"), files / "net-1.index", data=data)
    assert_all_read_back(outcome, "a", 2)
    assert outcome.restored["a"].how == "tf.train.Checkpoint(net=model).read"
    measured = outcome.measurements["a"]
    assert (measured.examples, measured.values["accuracy"]) == (50, 1.0)
    assert measured.output == "logits"
    assert "a line in the middle of everything" in ask.log.read_text()


def test_a_folder_of_images(ask: Asker, files: Path) -> None:
    data = DataSpec(
        kind=DataKind.IMAGES,
        paths=(str(files / "pictures"),),
        preprocessing=(Preprocessing(scale=1 / 255),),
    )
    measured = ask.validate(DIGITS_MODEL, LATE, data=data).measurements["a"]
    assert (measured.examples, measured.values["accuracy"]) == (12, 1.0)
    assert [each.label for each in measured.classes[:4]] == ["digit-0", "digit-1", "digit-2", "3"]


def test_a_model_that_is_built_by_its_first_call(ask: Asker, files: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", kernel=np.eye(4, 2, dtype=np.float32), bias=np.zeros(2, "f"))
    outcome = ask.validate(
        factory(files, "unbuilt"), tmp_path / "w.npz", data=npz(files / "net.npz", limit=9)
    )
    assert_all_read_back(outcome, "a", 2)
    assert outcome.model is not None
    assert len(outcome.model.variables) == 2
    assert outcome.measurements["a"].examples == 9


def test_a_plain_function(ask: Asker, files: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.float32([[1], [2]]), y=np.float32([[2], [5]]))
    outcome = ask.validate(factory(files, "doubling"), data=npz(tmp_path / "d.npz"))
    assert outcome.measurements["a"].values["mean_absolute_error"] == 0.5
    worst = outcome.measurements["a"].worst[0]
    assert (worst.index, worst.loss, worst.truth, worst.prediction) == (1, 1.0, "5", "4")


def test_safe_mode_and_custom_objects(ask: Asker, files: Path) -> None:
    data = DataSpec(kind=DataKind.RANDOM)
    kind = ModelKind.KERAS
    model = ModelSpec(kind=kind, path=str(files / "lambda.keras"))
    assert "safe mode refuses" in failure(ask, model, data=data).what
    model = ModelSpec(kind=kind, path=str(files / "lambda.keras"), safe_mode=False)
    assert ask.validate(model, data=data).measurements["a"].examples == 32
    model = ModelSpec(kind=kind, path=str(files / "thrice.keras"))
    assert "Python file" in failure(ask, model, data=data).remedy
    custom = str(files / "custom.py")
    model = ModelSpec(kind=kind, path=str(files / "thrice.keras"), custom_objects=custom)
    assert ask.validate(model, data=data).measurements["a"].examples == 32


def test_a_model_of_keras_2(ask: Asker, corpus: Path) -> None:
    path = corpus / "fer_hdf5" / "emotion_model.hdf5"
    outcome = ask.validate(ModelSpec(kind=ModelKind.KERAS, path=str(path)), path)
    assert outcome.model is not None
    assert outcome.model.keras == "2"
    assert_all_read_back(outcome, "a", 80)
    assert "loaded-by-keras-2" in [note.code for note in outcome.notes]


# What does not fit


def test_wrong_data_is_told_before_the_run_and_the_restore_all_the_same(
    ask: Asker, files: Path
) -> None:
    net = factory(files, "make")
    error = failure(ask, net, files / "net-1.index", data=npz(files / "narrow.npz"))
    assert "'features' is float32 [?, 4], and the data under 'x' is float32 [?, 3]" in error.what
    assert error.kind == "DataProblem"
    assert error.outcome is not None
    assert len(error.outcome.restored["a"].bound) == 2
    assert not error.outcome.measurements


@pytest.mark.parametrize(
    ("arrays", "more", "said"),
    [
        ({"x": np.zeros((3, 4))}, {"target": "z"}, "no key 'z' for the truth"),
        ({"x": np.zeros((3, 4)), "y": np.zeros(2)}, {}, "same number of examples"),
        ({"a": np.zeros((3, 4)), "b": np.zeros((3, 4))}, {}, "nothing in the data is for"),
        ({"x": np.zeros((3, 4)), "y": np.int64([0, 1, 2])}, {}, "the truth names class 2"),
        ({"x": np.zeros((3, 4)), "y": np.zeros((3, 5))}, {}, "they cannot be compared"),
        ({"x": np.full((3, 4), "a"), "y": np.zeros(3)}, {}, "is text"),
        ({"x": np.zeros((0, 4)), "y": np.zeros(0)}, {}, "no examples"),
        ({"x": np.zeros((3, 4)), "y": np.full(3, "cat")}, {}, "Name the classes"),
        ({"x": np.array([{}, {}, {}])}, {}, "cannot be read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_data_that_does_not_fit(
    arrays: dict[str, Any], more: dict[str, Any], said: str, ask: Asker, files: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "d.npz", **arrays)
    error = failure(ask, factory(files, "make"), data=npz(tmp_path / "d.npz", **more))
    assert said in str(error)


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        (MetricsSpec(names=("acuracy",)), "Did you mean"),
        (MetricsSpec(names=("PrecisionAtRecall",)), "without arguments"),
        (MetricsSpec(output="none"), "no output 'none'"),
        (MetricsSpec(names=("loss",), loss="nonsense"), "no loss 'nonsense'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_metrics_that_do_not_exist(
    metrics: MetricsSpec, said: str, ask: Asker, files: Path
) -> None:
    data = npz(files / "net.npz")
    assert said in str(failure(ask, factory(files, "make"), data=data, metrics=metrics))


def test_a_model_that_is_not_there(ask: Asker, files: Path) -> None:
    model = ModelSpec(kind=ModelKind.KERAS, path=str(files / "none.keras"))
    assert "there is no model at" in failure(ask, model).what
    (files / "junk.keras").write_bytes(b"PK\x03\x04 junk")
    model = ModelSpec(kind=ModelKind.KERAS, path=str(files / "junk.keras"))
    assert "cannot load the model" in failure(ask, model).what


# Other requests


def test_inspect_tells_what_can_be_chosen(ask: Asker) -> None:
    info = ask(InspectRequest(model=DIGITS_MODEL)).model
    assert info is not None
    (signature,) = info.signatures
    assert [(each.name, each.shape) for each in signature.inputs] == [("picture", (None, 8, 8, 1))]
    assert [each.name for each in signature.outputs] == ["digit"]
    assert [each.name for each in info.variables][:2] == ["conv/kernel", "norm/gamma"]
    assert info.variables[3].trainable is False
    assert info.loss == "sparse_categorical_crossentropy"


def test_measure_takes_times_and_memory(ask: Asker) -> None:
    request = MeasureRequest(
        model=DIGITS_MODEL, checkpoint=ask.spec(LATE), data=DIGITS_DATA, batches=3
    )
    measured = ask(request).measured
    assert measured is not None
    assert measured.load_seconds > 0
    assert measured.restore_seconds > 0
    assert (measured.latency_seconds or 0) > 0
    assert measured.memory_bytes is not None
