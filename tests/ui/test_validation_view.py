"""Validating in the window: what would bind before anything runs, consent, progress, the result.

Most of it hears events of a worker that is no process, so that it is fast; the last tests start the
real one, with TensorFlow, on the demo.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QDialog, QLabel
from pytestqt.qtbot import QtBot

from ckptviewer.analysis.restore import simulate_restore
from ckptviewer.checkpoint.text import number_text
from ckptviewer.cli import validate as cli_validate
from ckptviewer.formats.resolve import open_checkpoint
from ckptviewer.resources import demo_checkpoint
from ckptviewer.ui.dialogs.log_dialog import LogDialog
from ckptviewer.ui.main_window import MainWindow
from ckptviewer.ui.models.table_rows import Cell, Heading, Row, TableModel
from ckptviewer.ui.models_at_hand import show_restore, show_validation
from ckptviewer.ui.panels.confusion import ConfusionMatrix
from ckptviewer.ui.panels.export_view import ExportView
from ckptviewer.ui.panels.restore_view import RestoreView
from ckptviewer.ui.panels.validation_view import ValidationView
from ckptviewer.ui.restore_words import Fate
from ckptviewer.validation import interpreters, launcher
from ckptviewer.validation.endings import Reason, WorkerError
from ckptviewer.validation.interpreters import Interpreter
from ckptviewer.validation.protocol import (
    Agreement,
    Bound,
    ClassMetrics,
    Digest,
    Done,
    Event,
    Example,
    GroupImpact,
    Hello,
    Impact,
    ImpactMethod,
    InspectRequest,
    Libraries,
    Measurements,
    Missing,
    ModelInfo,
    ModelKind,
    OutputAgreement,
    ReadBack,
    Restored,
    SignatureInfo,
    StageProgress,
    TensorInfo,
    ValidateRequest,
    VariableInfo,
    VariableReadBack,
)
from ckptviewer.validation.recipe import read_recipe
from tests.ui.conftest import TIMEOUT_MS, Open, idle
from tests.ui.fake_worker import FakeWorker

DEMO = demo_checkpoint()
DIGITS = DEMO.with_name("digits.keras")
DATA = DEMO.with_name("digits-validation.npz")
EARLY = DEMO.with_name("digits.ckpt-40")
PYTHON = Interpreter(
    path=sys.executable, origin="this program's own", python="3.11.0", tensorflow="2.21.0"
)
PREFIX = "model/optimizer/_trainable_variables"
KEYS = {"conv/kernel": f"{PREFIX}/0", "digit/kernel": f"{PREFIX}/5"}
SHAPES = {"conv/kernel": (3, 3, 1, 16), "digit/kernel": (32, 10)}


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Consents, history and logs of this test alone; interpreters are not looked for."""
    for name in ("APPROVALS", "HISTORY", "LOGS"):
        monkeypatch.setenv(f"CKPTVIEWER_{name}", str(tmp_path / name.lower()))
    monkeypatch.setattr(interpreters, "find_interpreters", lambda **_: [PYTHON])


# What a worker tells.


def key(name: str) -> str:
    return f"{KEYS[name]}/.ATTRIBUTES/VARIABLE_VALUE"


def model_info() -> ModelInfo:
    picture = TensorInfo(name="picture", dtype="float32", shape=(None, 8, 8, 1))
    digit = TensorInfo(name="digit", dtype="float32", shape=(None, 10))
    return ModelInfo(
        kind=ModelKind.KERAS,
        signatures=(SignatureInfo(name="model", inputs=(picture,), outputs=(digit,)),),
        variables=tuple(
            VariableInfo(name=name, dtype="float32", shape=shape) for name, shape in SHAPES.items()
        ),
    )


def restored(side: str = "a", *, missing: tuple[str, ...] = ()) -> Restored:
    return Restored(
        checkpoint=side,
        mode="object-graph",  # type: ignore[arg-type]
        how="tf.train.Checkpoint(model=model).read",
        bound=tuple(
            Bound(key=key(name), name=name, rule="its place in the object graph")
            for name in KEYS
            if name not in missing
        ),
        missing=tuple(Missing(name=n, dtype="float32", shape=SHAPES[n]) for n in missing),
        unused=("save_counter/.ATTRIBUTES/VARIABLE_VALUE",),
    )


def digest(text: str, mean: float) -> Digest:
    return Digest(digest=text, count=4, mean=mean, std=1.0, skewness=0.0, kurtosis=0.0)


def read_back(side: str = "a", *, unequal: tuple[str, ...] = ()) -> ReadBack:
    return ReadBack(
        checkpoint=side,
        variables=tuple(
            VariableReadBack(
                name=name,
                key=key(name),
                before=digest("fresh", 0.0),
                after=digest("fresh" if name in unequal else "file", 0.5),
                file=digest("file", 0.5),
                changed=name not in unequal,
                equal=name not in unequal,
            )
            for name in KEYS
        ),
    )


def measured(side: str = "a", accuracy: float = 0.9) -> Measurements:
    return Measurements(
        checkpoint=side,
        examples=20,
        values={"accuracy": accuracy, "loss": 0.25},
        classes=(
            ClassMetrics(
                label="cat", count=10, predicted=12, correct=10, precision=10 / 12, recall=1.0
            ),
            ClassMetrics(label="dog", count=10, predicted=8, correct=8, precision=1.0, recall=0.8),
        ),
        confusion=((10, 0), (2, 8)),
        worst=(Example(index=7, loss=3.5, truth="dog", prediction="cat", confidence=0.97),),
        output="digit",
        batch_size=10,
        latency_seconds=0.004,
        throughput=5000.0,
    )


def hello() -> Hello:
    return Hello(protocol=1, python="3.11.0", pid=4, numpy="2", tensorflow="2.21.0")


def whole_run(*, accuracy: float = 0.9, against: bool = False) -> list[Event]:
    events: list[Event] = [
        hello(),
        StageProgress(stage="libraries"),
        Libraries(tensorflow="2.21.0", keras="3.15.0"),
        StageProgress(stage="model"),
        model_info(),
        StageProgress(stage="restore", checkpoint="a"),
        restored(),
        read_back(),
        StageProgress(stage="run", done=10, total=20, checkpoint="a"),
        measured(accuracy=accuracy),
    ]
    if against:
        found = OutputAgreement(
            output="digit", examples=20, argmax=0.5, agreement=0.5, max_abs=2.0, mean_abs=0.5,
            differing=(1, 2, 3),
        )  # fmt: skip
        events += [restored("b"), read_back("b"), measured("b"), Agreement(outputs=(found,))]
    return [*events, Done(seconds=1.0)]


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> FakeWorker:
    """No process is started: events are played."""
    worker = FakeWorker(whole_run())
    monkeypatch.setattr(launcher, "run", worker)
    return worker


Validate = Callable[..., tuple[MainWindow, ValidationView]]


@pytest.fixture
def page(qtbot: QtBot, opened: Open) -> Validate:
    """Opens a checkpoint and its page of validation, and waits until all files were looked at."""

    def make(path: Path = DEMO) -> tuple[MainWindow, ValidationView]:
        window = opened(path)
        window.actions_.validate.trigger()
        idle(window, qtbot)
        view = window.view
        assert isinstance(view, ValidationView)
        return window, view

    return make


def run(qtbot: QtBot, view: ValidationView, *, remember: bool = True) -> None:
    """Run, say yes, and wait for the result."""
    with qtbot.waitSignal(view.validating.consent_wanted, timeout=TIMEOUT_MS):
        view.run()
    view.dialog.remember.setChecked(remember)
    with qtbot.waitSignal(view.complete, timeout=TIMEOUT_MS):
        view.dialog.accept()


def shown_in(dialog: QDialog) -> set[str]:
    return {label.accessibleName() for label in dialog.findChildren(QLabel)}


def texts(rows: list[Row]) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for row in rows]


# Before anything runs.


def test_what_would_bind_is_told_before_anything_runs(page: Validate, worker: FakeWorker) -> None:
    window, view = page()
    assert window.windowTitle() == "digits.ckpt-600: validation - ckptviewer"
    assert view.setup.model.path == str(DIGITS)
    assert view.setup.model.currentText() == "digits.keras"
    assert view.setup.data.path == str(DATA)
    assert "360 examples" in view.setup.data_note.text()
    assert view.setup.python.path == sys.executable
    with open_checkpoint(DEMO) as checkpoint, open_checkpoint(DIGITS) as model:
        expected = simulate_restore(checkpoint, model)
    told = view.tabs.restore.told
    assert told is not None
    assert told.counts[Fate.BOUND] == len(expected.bound)
    assert told.counts[Fate.UNUSED] == len(expected.unused)
    assert told.good is None, "names were compared: it must not look certain"
    assert "most likely restores into digits.keras" in view.tabs.restore.head.text()
    assert view.tabs.restore.python.toPlainText() == expected.fix
    assert not worker.requests


def test_the_report_lists_all_and_is_filtered(qtbot: QtBot, page: Validate) -> None:
    window, view = page()
    panel = view.tabs.restore
    assert panel.told is not None
    assert panel.table.rows.rowCount() == len(panel.told.rows) == 33
    panel.choose(Fate.UNUSED)
    assert [row.what for row in panel.table.rows.rows()] == [
        "save_counter/.ATTRIBUTES/VARIABLE_VALUE"
    ]
    panel.choose()
    window.top_bar.filter.setText("kernel -adam")
    names = [row.cells[1].text for row in panel.table.rows.rows()]
    assert names == ["conv/kernel", "digit/kernel", "hidden/kernel"]
    panel.table.selectRow(0)
    panel.table.copy_rows()
    copied = QGuiApplication.clipboard().text().splitlines()[1].split("\t")
    assert copied[:3] == ["B", "conv/kernel", key("conv/kernel")]
    panel.copy_rules()
    assert "optimizer/vars" in QGuiApplication.clipboard().text()


def test_another_head_is_told_with_the_python_for_a_partial_restore(
    qtbot: QtBot, opened: Open, tmp_path: Path
) -> None:
    body = {"body/kernel": np.ones((8, 4), np.float32), "body/bias": np.ones(4, np.float32)}
    paths = tmp_path / "ours.npz", tmp_path / "theirs.npz"
    for path, classes in zip(paths, (10, 3), strict=True):
        head = {
            "head/kernel": np.ones((4, classes), np.float32),
            "head/bias": np.ones(classes, np.float32),
        }
        np.savez(path, **body, **head)
    window = opened(paths[0])
    show_restore(window, str(paths[1]))
    view = window.view
    assert isinstance(view, RestoreView)
    idle(window, qtbot)
    assert view.panel.report is not None
    assert view.panel.report.head is not None
    assert view.panel.head.text() == view.panel.report.head.why
    assert "head" in view.panel.head.text()
    assert view.panel.help_.tabText(0) == "Python for a partial restore"
    assert view.panel.python.toPlainText() == view.panel.report.partial
    rows = view.panel.table.rows.rows()
    assert {row.kind[0] for row in rows[:2]} == {Fate.MISMATCHED}  # type: ignore[index]


def test_what_does_not_restore_says_what_tensorflow_would_raise(
    qtbot: QtBot, opened: Open, corpus: Path
) -> None:
    window = opened(corpus / "tfx_estimator_2shard" / "model.ckpt-10000")
    show_restore(window, str(corpus / "onx_regression_sm"))
    view = window.view
    assert isinstance(view, RestoreView)
    idle(window, qtbot)
    panel = view.panel
    assert panel.told is not None
    assert panel.told.good is False
    assert panel.head.text() == "It does not restore into onx_regression_sm: no variable binds."
    assert "NotFoundError: Key W, b not found" in panel.head.more()
    assert panel.told.counts[Fate.FRESH] == 2
    assert panel.told.counts[Fate.BOUND] == 0
    assert panel.help_.tabText(0) == "The call"
    assert not panel.help_.isTabVisible(1), "there is no rule that would fix it"


def test_a_model_is_dropped_on_its_zone(qtbot: QtBot, opened: Open) -> None:
    window = opened()
    zone = window.dropping.offered()[2]
    assert zone.text == "Will it restore?"
    zone.do(str(DIGITS))
    view = window.view
    assert isinstance(view, RestoreView)
    idle(window, qtbot)
    assert "digits.keras" in view.panel.head.text()
    view.validate_wanted.emit(str(DIGITS))
    idle(window, qtbot)
    assert isinstance(window.view, ValidationView)
    assert window.view.setup.model.path == str(DIGITS)


def test_a_function_says_that_only_the_loaded_model_can_tell(
    qtbot: QtBot, page: Validate, tmp_path: Path
) -> None:
    window, view = page()
    made = tmp_path / "made.py"
    made.write_text("raise SystemExit('it must not be run')\ndef make(): ...\n")
    view.choose_model(f"{made}:make")
    idle(window, qtbot)
    assert "Only the loaded model can tell" in view.tabs.restore.head.text()
    assert view.setup.run.isEnabled()


def test_what_is_no_model_and_no_data_is_said_in_place(
    qtbot: QtBot, page: Validate, tmp_path: Path
) -> None:
    window, view = page()
    view.choose_model(str(EARLY))
    idle(window, qtbot)
    assert "holds values" in view.setup.model_note.text()
    assert not view.setup.run.isEnabled()
    view.choose_model(str(DIGITS))
    wrong = tmp_path / "wrong.npz"
    np.savez(wrong, x=np.zeros((4, 8, 8, 1)), y=np.zeros(3))
    view.setup.data.set_path(str(wrong))
    idle(window, qtbot)
    assert "do not hold the same number" in view.setup.data_note.text()
    assert not view.setup.run.isEnabled()
    view.setup.data.set_path("random")
    idle(window, qtbot)
    assert view.setup.run.isEnabled()


# Consent.


def test_nothing_runs_without_consent(qtbot: QtBot, page: Validate, worker: FakeWorker) -> None:
    window, view = page()
    with qtbot.waitSignal(view.validating.consent_wanted, timeout=TIMEOUT_MS):
        view.run()
    assert any("digits.keras" in text for text in shown_in(view.dialog))
    view.dialog.reject()
    idle(window, qtbot)
    assert not worker.requests
    assert view.problem.text() == "Nothing was run."


def test_consent_is_remembered_for_that_content_only(
    qtbot: QtBot, page: Validate, worker: FakeWorker, tmp_path: Path
) -> None:
    window, view = page()
    run(qtbot, view)
    with qtbot.waitSignal(view.complete, timeout=TIMEOUT_MS):
        window.reload()  # F5: nobody is asked again
    assert len(worker.requests) == 2
    other = tmp_path / "digits.keras"
    other.write_bytes(DIGITS.read_bytes() + b"\0")
    view.choose_model(str(other))
    idle(window, qtbot)
    with qtbot.waitSignal(view.validating.consent_wanted, timeout=TIMEOUT_MS):
        view.run()
    view.dialog.reject()


def test_risky_operations_stand_in_the_dialog(
    qtbot: QtBot, page: Validate, worker: FakeWorker, tmp_path: Path
) -> None:
    window, view = page()
    made = tmp_path / "made.py"
    made.write_text("def make(): ...\n")
    view.choose_model(f"{made}:make")
    idle(window, qtbot)
    with qtbot.waitSignal(view.validating.consent_wanted, timeout=TIMEOUT_MS) as asked:
        view.run()
    (consent,) = asked.args
    assert consent.review.is_risky
    shown = shown_in(view.dialog)
    assert consent.review.what_runs in shown
    assert all(risk.message in shown for risk in consent.review.risks)
    assert not view.dialog.remember.isChecked(), "what is risky is not remembered unasked"
    view.dialog.reject()


# Running, and the result.


def test_a_validation_that_passes(qtbot: QtBot, page: Validate, worker: FakeWorker) -> None:
    _, view = page()
    view.setup.required.setText("accuracy >= 0.8")
    run(qtbot, view)
    (request,) = worker.requests
    assert isinstance(request, ValidateRequest)
    assert request.data is not None
    assert request.data.paths == (str(DATA),)
    assert view.tabs.overview.head.text() == "Pass: all 3 checks hold."
    rows = texts(view.tabs.overview.metrics.rows.rows())
    assert rows[0] == ["accuracy", number_text(0.9, 6), ">=0.8"]
    assert view.tabs.currentWidget() is view.tabs.overview
    assert view.tabs.overview.failing.isHidden()
    assert view.stages.names()[:3] == ["Starting Python", "Loading TensorFlow", "Loading the model"]
    assert view.setup.isEnabled()


def test_the_pages_of_a_result(qtbot: QtBot, page: Validate, worker: FakeWorker) -> None:
    _, view = page()
    run(qtbot, view)
    assert texts(view.tabs.classes.table.rows.rows())[1][:4] == ["dog", "10", "8", "80.0%"]
    assert view.tabs.classes.matrix.cell_text(1, 0) == "2 of 10 (20.0%) that are dog: cat"
    assert texts(view.tabs.examples.table.rows.rows()) == [["7", "dog", "cat", "97.0%", "3.5"]]
    assert [row.what for row in view.tabs.read_back.table.rows.rows()] == list(KEYS)
    assert view.tabs.restored["a"].head.text() == "All 2 variables of the model were restored."
    assert "unused" in view.tabs.restored["a"].table.rows.row(2).cells[0].tool_tip
    assert view.setup.model_note.text().endswith("2 variables: picture \u2192 digit")
    assert not view.tabs.is_shown(view.tabs.agreement)
    assert "Nothing was validated before" in view.tabs.earlier.note.accessibleName()
    with qtbot.waitSignal(view.complete, timeout=TIMEOUT_MS):
        view.reload()
    assert "1 earlier validation" in view.tabs.earlier.note.accessibleName()
    assert view.tabs.overview.metrics.rows.headings[-1].text == "Last time"


def test_each_variable_that_fails_is_named(
    qtbot: QtBot, page: Validate, worker: FakeWorker
) -> None:
    events = whole_run(accuracy=0.1)
    events[6] = restored(missing=("digit/kernel",))
    events[7] = read_back(unequal=("digit/kernel",))
    worker.events = events
    _, view = page()
    view.setup.required.setText("accuracy>=0.8")
    run(qtbot, view)
    sentence = view.tabs.overview.head.text()
    assert sentence.startswith("Fail: restore, read-back and accuracy>=0.8 do not hold; 1 variable")
    rows = texts(view.tabs.overview.failing.rows.rows())
    assert [row[:2] for row in rows] == [["digit/kernel", "restore"], ["digit/kernel", "read-back"]]
    assert rows[1][4] == "unchanged by restore, differs from the file"
    fresh = view.tabs.restored["a"].table.rows.row(0)
    assert (fresh.kind, fresh.what) == ((Fate.FRESH, True), "digit/kernel")
    view.tabs.overview.restore_wanted.emit()
    assert view.tabs.currentWidget() is view.tabs.restore


def test_two_checkpoints(qtbot: QtBot, page: Validate, worker: FakeWorker) -> None:
    worker.events = whole_run(against=True)
    _, view = page()
    view.setup.against.set_path(str(EARLY))
    run(qtbot, view)
    request = worker.requests[0]
    assert isinstance(request, ValidateRequest)
    assert request.against is not None
    assert view.tabs.overview.head.text().startswith("Fail: statistics and agreement do not hold")
    assert view.tabs.agreement.head.text() == "A and B do not agree."
    with open_checkpoint(DEMO) as a, open_checkpoint(EARLY) as b:
        mean = float(b.read(b[key("conv/kernel")]).mean() - a.read(a[key("conv/kernel")]).mean())
    row = next(r for r in view.tabs.agreement.table.rows.rows() if r.what == "conv/kernel")
    assert row.cells[1].value == pytest.approx(mean, rel=1e-4)
    metrics = texts(view.tabs.overview.metrics.rows.rows())
    assert metrics[0][:3] == ["accuracy", number_text(0.9, 6), number_text(0.9, 6)]


def test_cancel_ends_it_within_a_second(qtbot: QtBot, page: Validate, worker: FakeWorker) -> None:
    worker.waits = True
    worker.events = whole_run()[:4]
    window, view = page()
    with qtbot.waitSignal(view.validating.consent_wanted, timeout=TIMEOUT_MS):
        view.run()
    with qtbot.waitSignal(view.validating.heard, timeout=TIMEOUT_MS):
        view.dialog.accept()
    qtbot.waitUntil(lambda: "Loading the model" in view.stages.names(), timeout=TIMEOUT_MS)
    assert not view.setup.isEnabled()
    began = time.monotonic()
    with qtbot.waitSignal(view.validating.cancelled, timeout=TIMEOUT_MS):
        qtbot.mouseClick(view.stages.cancel, Qt.MouseButton.LeftButton)
    assert time.monotonic() - began < 1
    assert "Cancelled" in view.problem.text()
    assert view.setup.isEnabled()
    assert not view.validating.is_running
    worker.waits = False
    worker.events = whole_run()
    with qtbot.waitSignal(view.complete, timeout=TIMEOUT_MS):
        view.run()
    assert window.jobs.running == ()


def test_a_crash_is_one_sentence_with_the_log_at_hand(
    qtbot: QtBot, page: Validate, worker: FakeWorker
) -> None:
    what = "the worker crashed while the data ran through the model (a segmentation fault)"
    error = WorkerError(what, reason=Reason.CRASHED, stage="run", remedy="The log has where.")
    error.log_tail = "Fatal Python error: Segmentation fault"
    worker.error, worker.events = error, whole_run()[:8]
    window, view = page()
    with qtbot.waitSignal(view.validating.consent_wanted, timeout=TIMEOUT_MS):
        view.run()
    with qtbot.waitSignal(view.failed, timeout=TIMEOUT_MS):
        view.dialog.accept()
    assert view.problem.text() == f"T{what[1:]}. The log has where."
    assert view.problem.isVisibleTo(view)
    assert view.problem.log.isVisibleTo(view)
    assert view.tabs.restored["a"].told is not None, "what was found until then is shown"
    assert view.tabs.is_shown(view.tabs.read_back)
    assert not view.tabs.is_shown(view.tabs.overview)
    qtbot.mouseClick(view.problem.log, Qt.MouseButton.LeftButton)
    idle(window, qtbot)
    (dialog,) = view.findChildren(LogDialog)
    assert "Segmentation fault" in dialog.text.toPlainText()
    dialog.close()
    window.leave_view()
    assert window.view is window.browser


def test_leaving_the_page_ends_what_runs(qtbot: QtBot, page: Validate, worker: FakeWorker) -> None:
    worker.waits = True
    window, view = page()
    with qtbot.waitSignal(view.validating.consent_wanted, timeout=TIMEOUT_MS):
        view.run()
    with qtbot.waitSignal(view.validating.heard, timeout=TIMEOUT_MS):
        view.dialog.accept()
    window.leave_view()
    assert window.view is window.browser
    idle(window, qtbot)


def test_a_look_inside_offers_the_inputs(qtbot: QtBot, page: Validate, worker: FakeWorker) -> None:
    worker.events = [hello(), model_info(), Done()]
    _window, view = page()
    with qtbot.waitSignal(view.validating.consent_wanted, timeout=TIMEOUT_MS):
        view.inspect()
    with qtbot.waitSignal(view.validating.inspected, timeout=TIMEOUT_MS):
        view.dialog.accept()
    assert isinstance(worker.requests[0], InspectRequest)
    choice = view.setup.inputs._choices["picture"]
    assert [choice.itemText(at) for at in range(3)] == ["x, as it is the only one", "x", "y"]
    choice.setCurrentIndex(2)
    assert "examples of shape []" in view.setup.data_note.text()
    assert not view.setup.run.isEnabled(), "wrong shapes are found before the run"
    choice.setCurrentIndex(1)
    assert view.setup.run.isEnabled()
    recipe = view.setup.recipe()
    assert recipe.data is not None
    assert recipe.data.inputs == {"picture": "x"}


def test_impact_ranks_groups_and_ticks_them_into_an_export(
    qtbot: QtBot, page: Validate, worker: FakeWorker
) -> None:
    window, view = page()
    run(qtbot, view)
    assert [name for name, _ in view.tabs.impact.groups()] == ["conv", "digit"]
    groups = (
        GroupImpact(name="digit", variables=("digit/kernel",), value=0.2, loss_of_metric=0.7),
        GroupImpact(name="conv", variables=("conv/kernel",), value=0.8, loss_of_metric=0.1),
    )
    worker.events = [
        *whole_run()[:-1],
        Impact(metric="accuracy", method=ImpactMethod.ZERO, baseline=0.9, groups=groups),
        Done(),
    ]
    with qtbot.waitSignal(view.complete, timeout=TIMEOUT_MS):
        qtbot.mouseClick(view.tabs.impact.measure, Qt.MouseButton.LeftButton)
    request = worker.requests[-1]
    assert isinstance(request, ValidateRequest)
    assert request.impact is not None
    assert [group.variables for group in request.impact.groups] == [
        ("conv/kernel",),
        ("digit/kernel",),
    ]
    rows = view.tabs.impact.table.rows.rows()
    assert [row.cells[0].text for row in rows] == ["digit", "conv"]
    assert rows[0].cells[3].share == 1.0
    view.tabs.impact.table.selectRow(0)
    view.tabs.impact.copy_includes()
    assert shlex.split(QGuiApplication.clipboard().text()) == ["--include", key("digit/kernel")]
    view.tabs.impact.essential.emit(view.tabs.impact.selected_keys())
    assert isinstance(window.view, ExportView)
    idle(window, qtbot)


# Recipes.


def test_the_set_up_is_saved_and_copied_as_it_is_run(
    qtbot: QtBot, page: Validate, worker: FakeWorker, tmp_path: Path
) -> None:
    window, view = page()
    setup = view.setup
    setup.metrics.setText("accuracy, top_3_accuracy")
    setup.required.setText("accuracy>=0.9, loss<=0.5")
    setup.batch_size.setValue(64)
    setup.limit.setValue(100)
    setup.scale.setText("0.0625")
    setup.against.set_path(str(EARLY))
    setup.agreement.setText("0.95")
    recipe = setup.recipe()
    view.recipes.save(str(tmp_path / "digits.toml"))
    idle(window, qtbot)
    assert read_recipe(tmp_path / "digits.toml") == recipe
    view.recipes.copy_command()
    words = shlex.split(QGuiApplication.clipboard().text())
    parser = argparse.ArgumentParser()
    cli_validate.add_parser(parser.add_subparsers())
    options = parser.parse_args(words[1:])
    assert cli_validate.recipe_of(options) == recipe
    window.leave_view()
    show_validation(window)
    again = window.view
    assert isinstance(again, ValidationView)
    again.recipes.open(str(tmp_path / "digits.toml"))
    idle(window, qtbot)
    assert again.setup.recipe() == recipe


def test_what_makes_no_sense_is_said_and_not_run(
    qtbot: QtBot, page: Validate, worker: FakeWorker
) -> None:
    _, view = page()
    view.setup.required.setText("accuracy is good")
    view.run()
    assert "METRIC>=NUMBER" in view.problem.text()
    view.setup.required.setText("")
    view.setup.agreement.setText("much")
    view.run()
    assert "no number" in view.problem.text()
    assert not worker.requests


def test_a_recipe_may_say_more_than_fits(page: Validate, tmp_path: Path) -> None:
    _, view = page()
    (tmp_path / "recipe.json").write_text(
        '{"checkpoint": "x", "time_limit_seconds": 1e300, "memory_limit_bytes": 9000000000000000,'
        ' "model": {"kind": "keras", "path": "m.keras"},'
        ' "data": {"kind": "npz", "paths": ["d.npz"], "batch_size": 4000000000}}'
    )
    setup = view.setup
    setup.show_recipe(read_recipe(tmp_path / "recipe.json"))
    for number in (setup.seconds, setup.memory, setup.batch_size):
        assert number.value() == number.maximum()


def test_the_interpreter_is_remembered(qtbot: QtBot, page: Validate) -> None:
    window, view = page()
    assert window.settings.get("python", "") == "", "what was found is no choice of the user's"
    assert "TensorFlow 2.21.0" in view.setup.python_note.text()
    view.setup.python.set_path("/somewhere/bin/python")
    assert window.settings.get("python", "") == "/somewhere/bin/python"
    idle(window, qtbot)
    assert "It cannot be started" in view.setup.python_note.text()


def test_a_name_that_is_typed_is_looked_for_beside_the_checkpoint(
    qtbot: QtBot, page: Validate, worker: FakeWorker
) -> None:
    _, view = page()
    edit = view.setup.against.lineEdit()
    assert edit is not None
    for typed, meant in (("digits.ckpt-40", str(EARLY)), ("/no/such", "/no/such"), ("none", "")):
        edit.selectAll()
        qtbot.keyClicks(edit, typed)
        qtbot.keyClick(edit, Qt.Key.Key_Return)
        assert view.setup.against.path == meant
    assert view.setup.gain_runs == 0
    assert not view.validating.is_running, "Enter in a field runs nothing"


# Parts.


def test_tables_keep_qts_rules(page: Validate, appearance: Any) -> None:
    headings = (Heading(text="name"), Heading(text="number", number=True))
    model = TableModel(headings, appearance)
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    numbers = (3.0, None, 1.0)
    model.show_rows(
        [
            Row(cells=(Cell(f"v/{10 - at}"), Cell(str(number), value=number)), kind=at % 2)
            for at, number in enumerate(numbers)
        ]
    )
    model.sort(1, Qt.SortOrder.DescendingOrder)
    assert [row.cells[1].value for row in model.rows()] == [3.0, 1.0, None]
    model.sort(0)
    assert [row.cells[0].text for row in model.rows()] == ["v/8", "v/9", "v/10"]
    model.filter_kinds(frozenset((0,)))
    assert model.rowCount() == 2
    model.filter_words("v -10")
    assert [row.cells[0].text for row in model.rows()] == ["v/8"]
    assert model.total == 3


def test_the_matrix_is_painted_and_read_by_the_mouse(qtbot: QtBot, appearance: Any) -> None:
    matrix = ConfusionMatrix(appearance)
    qtbot.addWidget(matrix)
    matrix.resize(400, 400)
    matrix.show_counts(((9, 1), (0, 5)), ("left", "right"))
    area, cell = matrix._area()
    image = matrix.grab().toImage()

    def colour(row: int, column: int) -> str:
        x, y = area.left() + (column + 0.15) * cell, area.top() + (row + 0.15) * cell
        return image.pixelColor(int(x), int(y)).name()

    assert len({colour(0, 0), colour(0, 1), colour(1, 0)}) == 3, "right, wrong and none differ"
    assert matrix._at(QPointF(area.left() + cell * 1.5, area.top() + 2)) == (0, 1)
    assert matrix._at(QPointF(1, 1)) is None
    assert matrix.cell_text(0, 1) == "1 of 10 (10.0%) that are left: right"


def test_the_window_never_imports_tensorflow() -> None:
    code = (
        "import sys; from ckptviewer.ui.panels import validation_view, restore_view;"
        "from ckptviewer.validation import validating, requesting;"
        "assert not {'tensorflow', 'keras'} & set(sys.modules), 'imported'"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()


# With the real worker.


def test_the_real_worker_names_the_layer_that_was_re_initialised(
    qtbot: QtBot, page: Validate, tmp_path: Path
) -> None:
    with open_checkpoint(DIGITS) as model, open_checkpoint(DEMO) as checkpoint:
        report = simulate_restore(checkpoint, model)
        values = {
            each.target.name: checkpoint.read(checkpoint[each.key])
            for each in report.bound
            if each.target.in_model
        }
    kernel = values["digit/kernel"]
    values["digit/kernel"] = np.random.default_rng(0).normal(0, 0.5, kernel.shape).astype("f4")
    other = tmp_path / "other.npz"
    np.savez(other, **values)
    _, view = page()
    view.setup.against.set_path(str(other))
    run(qtbot, view)
    failing = view.tabs.overview.failing.rows.rows()
    assert {row.what for row in failing} == {"digit/kernel"}
    assert view.tabs.overview.head.text().startswith("Fail: statistics and agreement do not hold")
    rows = {row.what: row.cells[1] for row in view.tabs.overview.metrics.rows.rows()}
    counts = np.array(view.tabs.classes.matrix._counts)
    accuracy = np.float32(np.trace(counts) / counts.sum())
    assert counts.sum() == 360
    assert rows["accuracy"].value == pytest.approx(accuracy, rel=1e-6)
    assert rows["accuracy"].text == number_text(float(accuracy), 6)


def test_the_real_worker_is_cancelled(qtbot: QtBot, page: Validate) -> None:
    window, view = page()
    with qtbot.waitSignal(view.validating.consent_wanted, timeout=TIMEOUT_MS):
        view.run()
    view.dialog.accept()
    qtbot.waitUntil(lambda: "Loading TensorFlow" in view.stages.names(), timeout=TIMEOUT_MS)
    began = time.monotonic()
    window.status_line.cancel_running()
    qtbot.waitUntil(lambda: not view.validating.is_running, timeout=TIMEOUT_MS)
    assert time.monotonic() - began < 1
    assert "Cancelled" in view.problem.text()
