"""The restore check on the page after an export: consent, progress, verdict, and the receipt.

All but two hear events of a worker that is no process; those start the real one.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import venv
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.export.measuring import with_timings
from ckptviewer.resources import demo_checkpoint
from ckptviewer.ui.main_window import MainWindow
from ckptviewer.ui.panels.export_check import ExportCheck
from ckptviewer.ui.panels.export_view import ExportView
from ckptviewer.ui.restore_checking import _python
from ckptviewer.validation import interpreters, launcher
from ckptviewer.validation.interpreters import Interpreter
from ckptviewer.validation.protocol import (
    Assertion,
    Bound,
    Digest,
    Event,
    Libraries,
    Missing,
    ModelInfo,
    ModelKind,
    ReadBack,
    Restored,
    StageProgress,
    VariableInfo,
    VariableReadBack,
)
from tests.ui.conftest import TIMEOUT_MS, Open, idle
from tests.ui.fake_worker import FakeWorker

NAMES = ("conv/kernel", "digit/kernel")
SHAPE = (3, 3)


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Consents, history and logs of this test alone."""
    for name in ("APPROVALS", "HISTORY", "LOGS"):
        monkeypatch.setenv(f"CKPTVIEWER_{name}", str(tmp_path / name.lower()))


def events(bound: tuple[str, ...] = NAMES) -> list[Event]:
    """What a worker tells that could restore these."""
    missing = tuple(name for name in NAMES if name not in bound)
    digest = Digest(digest="file", count=9, mean=0.5, std=1.0, skewness=0.0, kurtosis=0.0)
    fresh = Digest(digest="fresh", count=9, mean=0.0, std=1.0, skewness=0.0, kurtosis=0.0)
    return [
        StageProgress(stage="libraries"),
        Libraries(tensorflow="2.21.0", keras="3.15.0"),
        StageProgress(stage="restore", checkpoint="a"),
        ModelInfo(
            kind=ModelKind.KERAS,
            variables=tuple(VariableInfo(name=n, dtype="float32", shape=SHAPE) for n in NAMES),
        ),
        Restored(
            checkpoint="a",
            mode="object-graph",  # type: ignore[arg-type]
            how="tf.train.Checkpoint(model=model).read",
            bound=tuple(Bound(key=f"{n}/key", name=n, rule="its place") for n in bound),
            missing=tuple(Missing(name=n, dtype="float32", shape=SHAPE) for n in missing),
            unused=("save_counter",),
        ),
        ReadBack(
            checkpoint="a",
            variables=tuple(
                VariableReadBack(
                    name=name,
                    key=f"{name}/key" if name in bound else "",
                    before=fresh,
                    after=digest if name in bound else fresh,
                    file=digest if name in bound else None,
                    changed=name in bound,
                    equal=True if name in bound else None,
                )
                for name in NAMES
            ),
        ),
    ]


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> FakeWorker:
    """No process is started: events are played."""
    worker = FakeWorker(events())
    monkeypatch.setattr(launcher, "run", worker)
    monkeypatch.setattr(
        interpreters, "ask_interpreter", lambda path, *_, **__: Interpreter(path=path, origin="")
    )
    return worker


Export = Callable[..., ExportView]


@pytest.fixture
def exported(qtbot: QtBot, opened: Open, bundle: Path) -> Export:
    """Exports the demo for inference, its model beside it unless it is not wanted."""

    def make(*, with_model: bool = True) -> ExportView:
        if with_model:
            shutil.copy(demo_checkpoint().with_name("digits.keras"), bundle.parent)
        window = opened(bundle)
        window.export()
        view = window.view
        assert isinstance(view, ExportView)
        idle(window, qtbot)
        qtbot.waitUntil(lambda: view.target.is_settled, timeout=TIMEOUT_MS)
        with qtbot.waitSignal(view.exported, timeout=TIMEOUT_MS):
            view.export()
        idle(window, qtbot)
        return view

    return make


def agree(qtbot: QtBot, check: ExportCheck) -> None:
    """Press the button, and say yes."""
    with qtbot.waitSignal(check.checking.consent_wanted, timeout=TIMEOUT_MS):
        check.button.click()
    check.dialog.accept()


def test_the_real_tensorflow_restores_it_and_the_receipt_says_so(
    qtbot: QtBot, exported: Export, tmp_path: Path
) -> None:
    view = exported()
    check = view.result.check
    assert check.model.currentText() == "digits.keras"
    assert "most likely restores into digits.keras" in check.note.said
    timings = view.result.receipt.timings  # type: ignore[union-attr]
    assert timings is not None
    with qtbot.waitSignal(check.checked, timeout=60_000):
        agree(qtbot, check)
    receipt = view.result.receipt
    assert receipt is not None
    assert receipt.restore_check is not None
    assert receipt.restore_check["restores"] is True
    assert len(receipt.restore_check["bound"]) == 9
    assert receipt.timings == timings
    assert check.head.text().endswith("restores it into digits.keras")
    assert check.head.more().startswith("All 9 variables of the model bound.")
    assert check.head.more().endswith("How: tf.train.Checkpoint(model=model).read.")
    for ending, sign in ((".html", "Restored by TensorFlow"), (".json", "restore_check")):
        path = tmp_path / f"receipt{ending}"
        with qtbot.waitSignal(view.exporting.saved, timeout=TIMEOUT_MS):
            view.exporting.save_receipt(receipt, str(path))
        assert sign in path.read_text(encoding="utf-8")
    document = json.loads((tmp_path / "receipt.json").read_text(encoding="utf-8"))
    assert document["restore_check"]["read_back"]["equal"] is True


def test_nothing_runs_before_somebody_agreed(
    qtbot: QtBot, exported: Export, worker: FakeWorker
) -> None:
    check = exported().result.check
    with qtbot.waitSignal(check.checking.consent_wanted, timeout=TIMEOUT_MS):
        check.button.click()
    check.dialog.reject()
    assert check.problem.said == "Nothing was run."
    assert not worker.requests
    assert check.button.isEnabled()
    with qtbot.waitSignal(check.checked, timeout=TIMEOUT_MS):
        agree(qtbot, check)
    assert len(worker.requests) == 1
    with qtbot.waitSignal(check.checked, timeout=TIMEOUT_MS):
        check.button.click()  # to this very content it was agreed, once and for all
    assert len(worker.requests) == 2


def test_the_window_says_that_tensorflow_restores_it_while_it_does(
    qtbot: QtBot, exported: Export, worker: FakeWorker
) -> None:
    worker.waits = True
    check = exported().result.check
    with qtbot.waitSignal(check.checking.begun, timeout=TIMEOUT_MS):
        agree(qtbot, check)
    window = check.window()
    assert isinstance(window, MainWindow)
    assert [job.label for job in window.jobs.running] == ["Restoring with TensorFlow"]
    with qtbot.waitSignal(check.checking.cancelled, timeout=TIMEOUT_MS):
        check.stages.cancel.click()


def test_what_was_not_restored_is_told_and_stays(
    qtbot: QtBot, exported: Export, worker: FakeWorker, tmp_path: Path
) -> None:
    worker.events = events(bound=NAMES[:1])
    view = exported()
    check = view.result.check
    measured = view.result.receipt
    with qtbot.waitSignal(check.checked, timeout=TIMEOUT_MS):
        agree(qtbot, check)
    assert check.head.text() == "TensorFlow 2.21.0 does not wholly restore it into digits.keras"
    assert "not restored: digit/kernel" in check.head.more()
    rows = [[cell.text for cell in row.cells] for row in check.table.rows.rows()]
    assert rows[0][:2] == ["F", "digit/kernel"]
    assert rows[1][:2] == ["B", "conv/kernel"]
    assert measured is not None
    view.result.show_measured(with_timings(measured))  # which comes at any time
    view.result._appearance.choose("dark")
    receipt = view.result.receipt
    assert receipt is not None
    assert receipt.timings is not None
    assert receipt.restore_check is not None
    assert receipt.restore_check["missing"] == ["digit/kernel"]
    assert check.head.text().startswith("TensorFlow 2.21.0 does not")
    page = tmp_path / "receipt.md"
    with qtbot.waitSignal(view.exporting.saved, timeout=TIMEOUT_MS):
        view.exporting.save_receipt(receipt, str(page))
    text = page.read_text(encoding="utf-8")
    assert "TensorFlow 2.21.0 does not restore it into" in text
    after = text.split("## Not restored by TensorFlow")[1]
    assert "| digit/kernel | nothing was written for it |" in after
    view.result.again_wanted.emit()
    view.target.set_path(f"{receipt.destination}-2")
    qtbot.waitUntil(lambda: view.target.is_settled, timeout=TIMEOUT_MS)
    with qtbot.waitSignal(view.exported, timeout=TIMEOUT_MS):
        view.export()
    assert view.result.receipt.restore_check is None  # type: ignore[union-attr]
    assert check._result.isHidden()


def test_what_restores_only_with_a_cast_is_not_restored(
    qtbot: QtBot, exported: Export, worker: FakeWorker
) -> None:
    at = next(n for n, event in enumerate(worker.events) if isinstance(event, Restored))
    restored = worker.events[at]
    assert isinstance(restored, Restored)
    refused = "TensorFlow's own restore would stop with an error at conv/kernel: the dtypes differ."
    worker.events[at] = replace(
        restored,
        how="each variable by its place in the object graph, those that fit",
        assertions=(Assertion(name="restore", passed=False, message=refused),),
    )
    view = exported()
    check = view.result.check
    with qtbot.waitSignal(check.checked, timeout=TIMEOUT_MS):
        agree(qtbot, check)
    assert check.head.text() == "TensorFlow 2.21.0 does not restore it into digits.keras"
    assert check.head.more().startswith(f"{refused} Assigned instead: each variable by its place")
    found = view.result.receipt.restore_check  # type: ignore[union-attr]
    assert found is not None
    assert found["restores"] is False
    assert len(found["bound"]) == len(NAMES)
    assert view.window().focusWidget() is check.button


def test_missing_tensorflow_is_one_sentence_and_another_python_is_offered(
    qtbot: QtBot, exported: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "empty", with_pip=False, symlinks=os.name != "nt")
    place = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    empty = str(tmp_path / "empty" / place)
    view = exported()
    check = view.result.check
    check.checking.choose_python(empty)
    with qtbot.waitSignal(check.failed, timeout=TIMEOUT_MS) as told:
        agree(qtbot, check)
    assert told.args[0].startswith("Whether TensorFlow restores it could not be found out. ")
    assert f"{empty} (Python " in check.problem.said
    assert "has no TensorFlow. Choose the interpreter" in check.problem.said
    assert "Traceback" not in check.problem.said
    assert view.result.receipt.restore_check is None  # type: ignore[union-attr]
    assert view.result.title.text().endswith("Written and verified")
    worker = FakeWorker(events())
    monkeypatch.setattr(launcher, "run", worker)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (sys.executable, ""))
    with qtbot.waitSignal(check.checked, timeout=TIMEOUT_MS):
        check.python.click()
    assert worker.pythons == [sys.executable]
    window = view.window()
    assert isinstance(window, MainWindow)
    assert window.settings.get("python", "") == sys.executable


@pytest.mark.parametrize("by", ["button", "escape", "leaving"])
def test_it_is_cancelled(qtbot: QtBot, exported: Export, worker: FakeWorker, by: str) -> None:
    worker.waits = True
    view = exported()
    check, window = view.result.check, view.window()
    assert isinstance(window, MainWindow)
    agree(qtbot, check)
    qtbot.waitUntil(
        lambda: "Restoring the checkpoint A" in check.stages.names(), timeout=TIMEOUT_MS
    )
    assert check.stages.isVisible()
    if by == "button":
        check.stages.cancel.click()
    elif by == "escape":
        qtbot.keyClick(window, Qt.Key.Key_Escape)
    else:
        window.leave_view()
    idle(window, qtbot)
    assert not check.is_busy
    if by != "leaving":
        assert check.problem.said == "Cancelled: the model\u2019s process was ended."
        assert view.result.receipt.restore_check is None  # type: ignore[union-attr]
        assert check.button.isEnabled()


def test_without_a_model_there_is_nothing_to_check(
    qtbot: QtBot, exported: Export, worker: FakeWorker, tmp_path: Path
) -> None:
    view = exported(with_model=False)
    check, window = view.result.check, view.window()
    assert isinstance(window, MainWindow)
    assert "No model lies beside it" in check.note.said
    view.check_restore()
    assert not check.is_busy
    check.model.set_path(str(tmp_path / "none.keras"))
    idle(window, qtbot)
    assert check.note.is_error
    assert "none.keras" in check.note.said
    assert not check.button.isEnabled()
    check.model.set_path(str(demo_checkpoint().with_name("digits.keras")))
    qtbot.waitUntil(check.button.isEnabled, timeout=TIMEOUT_MS)
    assert not worker.requests


def test_the_python_is_the_chosen_one_else_one_with_tensorflow(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without = Interpreter(path="/without", origin="", problem="It has no TensorFlow.")
    having = Interpreter(path="/having", origin="", tensorflow="2.21.0")
    found = [having, without]
    monkeypatch.setattr(interpreters, "ask_interpreter", lambda *_, **__: without)
    monkeypatch.setattr(interpreters, "find_interpreters", lambda **_: found)
    with ThreadPoolExecutor(1) as pool:
        assert _python(sys.executable, [], pool, CancelToken()) == sys.executable
        assert _python(str(tmp_path / "gone"), [], pool, CancelToken()) == "/having"
        found.remove(having)
        assert _python("", [], pool, CancelToken()) == ""
        monkeypatch.setattr(interpreters, "ask_interpreter", lambda *_, **__: having)
        found.append(having)
        assert _python("", [], pool, CancelToken()) == ""  # our own has it
