"""Exporting in the window: ticks, presets, the live balance, what is written, what is told."""

from __future__ import annotations

import json
import shlex
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QInputDialog
from pytestqt.qtbot import QtBot

from ckptviewer.checkpoint.text import size_text
from ckptviewer.checkpoint.tree import Group
from ckptviewer.cli.main import run as run_cli
from ckptviewer.export import execute as execute_module
from ckptviewer.export.choices import Preset
from ckptviewer.export.planning import make_plan
from ckptviewer.formats.resolve import open_checkpoint
from ckptviewer.ui import planning as planning_module
from ckptviewer.ui.exporting import Done
from ckptviewer.ui.main_window import MainWindow
from ckptviewer.ui.models.export_rows import ExportColumn, ExportRowsModel
from ckptviewer.ui.panels.comparison_view import ComparisonView
from ckptviewer.ui.panels.export_table import BOX, box_left
from ckptviewer.ui.panels.export_view import ExportView
from tests.ui.conftest import TIMEOUT_MS, Gate, Open, data_of, idle, index_of

Begin = Callable[[Path], ExportView]
CHECKED, UNCHECKED = Qt.CheckState.Checked, Qt.CheckState.Unchecked
PARTIAL = Qt.CheckState.PartiallyChecked
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


@pytest.fixture
def begin(qtbot: QtBot, opened: Open) -> Begin:
    """Opens a checkpoint and its export page, and waits for the first plan and proposal."""

    def make(path: Path) -> ExportView:
        window = opened(path)
        window.export()
        view = window.view
        assert isinstance(view, ExportView)
        settle(view, qtbot)
        return view

    return make


def settle(view: ExportView, qtbot: QtBot) -> None:
    """Wait until the plan and what is known of the destination are those of what is chosen."""
    qtbot.waitUntil(
        lambda: (
            view.planning.is_settled
            and view.target.is_settled
            and not view.options._settle.isActive()
            and not view._jobs.running
        ),
        timeout=TIMEOUT_MS,
    )


def export(view: ExportView, qtbot: QtBot) -> Done:
    with qtbot.waitSignal(view.exported, timeout=TIMEOUT_MS) as told:
        view.target.button.click()
    done = told.args[0]
    assert isinstance(done, Done)
    return done


def row_of(view: ExportView, name: str) -> int:
    """The row of the checkpoint's list with this name."""
    return next(row for row, v in enumerate(view.model.tree.variables) if v.name == name)


def group_of(view: ExportView, path: str) -> Group:
    return next(group for group in view.model.tree.groups() if group.path == path)


def kept_names(view: ExportView) -> set[str]:
    assert view.planning.current is not None
    return {view.model.tree.variables[row].name for row in view.planning.current.kept}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """An npz whose names make groups."""
    path = tmp_path / "small.npz"
    arrays = {f"net/layer_{n}/kernel": np.full((20, 20), 0.1, np.float32) for n in range(8)}
    arrays |= {f"net/layer_{n}/bias": np.full(20, 7e4, np.float32) for n in range(8)}
    arrays["head/kernel"] = np.ones(5, np.float32)
    np.savez(path, **arrays)
    return path


def test_it_begins_with_what_inference_needs_beside_the_source(
    qtbot: QtBot, begin: Begin, bundle: Path
) -> None:
    view = begin(bundle)
    assert view.options.preset is Preset.INFERENCE
    assert view.options.format_name == "tf-bundle"
    assert Path(view.target.path.text()) == bundle.with_name(f"{bundle.name}-inference")
    names = kept_names(view)
    assert "digits/hidden/kernel" in names
    assert "digits/norm/moving_mean" in names
    assert not any("learning_rate" in name for name in names)
    codes = {finding.code for finding in view.planning.current.plan.findings}  # type: ignore[union-attr]
    assert "training-state-dropped" in codes


def test_boxes_of_groups_speak_for_all_below_and_slots_for_themselves(
    qtbot: QtBot, begin: Begin, bundle: Path
) -> None:
    view = begin(bundle)
    model = view.model
    digits = group_of(view, "digits")
    kernel = row_of(view, "digits/hidden/kernel")
    slots = model.tree.slots[kernel]
    assert model.state(digits) is PARTIAL
    assert model.state(group_of(view, "adam")) is UNCHECKED
    model.toggle((digits,))
    assert model.state(digits) is CHECKED
    assert all(model.state(slot) is CHECKED for slot in slots)
    model.toggle((kernel,))
    assert model.state(kernel) is UNCHECKED
    assert all(model.state(slot) is CHECKED for slot in slots)
    assert model.state(digits) is PARTIAL
    model.toggle((digits,))
    model.toggle((digits,))
    assert model.state(digits) is UNCHECKED
    assert view.planning.current is not None
    assert not any(view.planning.current.choices.ticks.values())


def test_a_tick_is_forgotten_where_it_says_nothing_new(
    qtbot: QtBot, begin: Begin, bundle: Path
) -> None:
    view = begin(bundle)
    kernel = row_of(view, "digits/hidden/kernel")
    view.model.toggle((kernel,))
    assert view.planning.current is not None
    assert view.planning.current.choices.ticks == {view.model.tree.variables[kernel].key: False}
    assert not view.options.ticks.isHidden()
    view.model.toggle((kernel,))
    assert view.planning.current.choices.ticks == {}
    assert view.options.ticks.isHidden()


def test_space_and_a_click_into_the_box_tick(qtbot: QtBot, begin: Begin, bundle: Path) -> None:
    view = begin(bundle)
    kernel = row_of(view, "digits/hidden/kernel")
    assert view.select_variable("digits/hidden/kernel")
    qtbot.keyClick(view.table, Qt.Key.Key_Space)
    assert view.model.state(kernel) is UNCHECKED
    index = view.model.index(view.model.row_of_item(kernel) or 0, ExportColumn.NAME)
    place = view.table.visualRect(index)
    place.setLeft(place.left() + box_left(view.model, index.row()) + BOX // 2)
    left = place.center()
    left.setX(place.left())
    qtbot.mouseClick(view.table.viewport(), Qt.MouseButton.LeftButton, pos=left)
    assert view.model.state(kernel) is CHECKED
    accessible = index.data(Qt.ItemDataRole.AccessibleTextRole)
    assert str(accessible).endswith(", kept")
    assert index.flags() & Qt.ItemFlag.ItemIsUserCheckable
    assert view.model.setData(index, UNCHECKED.value, Qt.ItemDataRole.CheckStateRole)
    assert view.model.state(kernel) is UNCHECKED


def test_model_keeps_qts_rules(begin: Begin, bundle: Path) -> None:
    view = begin(bundle)
    model = ExportRowsModel(view.model.tree)
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    assert view.planning.current is not None
    model.show_planned(view.planning.current)
    model.expand_all(slots=True)
    model.tick(model.tree.root.children, True)
    model.set_matches([3, 4])
    model.set_matches(None)
    model.lock(True)


def test_the_filter_narrows_what_a_tick_means(qtbot: QtBot, begin: Begin, small: Path) -> None:
    view = begin(small)
    view.apply_filter("kernel")
    net = group_of(view, "net")
    assert view.model.state(net) is CHECKED
    view.strip.drop_shown.click()
    assert view.model.state(net) is UNCHECKED
    assert kept_names(view) == {f"net/layer_{n}/bias" for n in range(8)}
    view.apply_filter("")
    assert view.model.state(net) is PARTIAL
    assert view.strip.drop_shown.isHidden()


def test_presets_begin_anew(qtbot: QtBot, begin: Begin, bundle: Path) -> None:
    view = begin(bundle)
    count = len(view.model.tree.variables)
    view.model.toggle((row_of(view, "digits/hidden/kernel"),))
    buttons = {button.text(): button for button in view.options.presets.buttons()}
    buttons["Everything"].click()
    assert view.planning.current is not None
    assert len(view.planning.current.kept) == count
    buttons["Trainable"].click()
    names = kept_names(view)
    assert "digits/norm/gamma" in names
    assert "digits/norm/moving_mean" not in names
    view.select_variable("digits/digit/bias")
    buttons["Selected"].click()
    settle(view, qtbot)
    assert kept_names(view) - {"save_counter", "_CHECKPOINTABLE_OBJECT_GRAPH"} == {
        "digits/digit/bias"
    }
    assert view.options.keep_only.isHidden()
    view.model.toggle((row_of(view, "digits/digit/kernel"),))
    assert "digits/digit/kernel" in kept_names(view)
    assert view.target.path.text().endswith("-selection")


@pytest.mark.parametrize("cast", ["as stored", "float16"])
def test_the_balance_is_that_of_the_plan_and_of_what_is_written(
    qtbot: QtBot, begin: Begin, bundle: Path, cast: str
) -> None:
    view = begin(bundle)
    with open_checkpoint(bundle) as checkpoint:
        whole = sum(variable.stored_bytes for variable in checkpoint.variables)

    def expect() -> None:
        planned = view.planning.current
        assert planned is not None
        with open_checkpoint(bundle) as checkpoint:
            plan = make_plan(checkpoint, planned.choices)
        beside = (plan.bytes_before - whole) * len(plan.kept) // len(checkpoint.variables)
        after = plan.written_bytes + beside
        assert view.balance.title.text() == f"{size_text(plan.bytes_before)} to {size_text(after)}"
        assert view.balance.bar.share == after / plan.bytes_before

    expect()
    first = view.balance.title.text()
    view.model.toggle((group_of(view, "digits"),))
    assert view.balance.title.text() != first
    expect()
    view.options.cast.choose(cast)
    expect()
    settle(view, qtbot)
    foretold = view.balance.bar.share
    receipt = export(view, qtbot).receipt
    assert receipt.bytes_after / receipt.bytes_before == pytest.approx(foretold, abs=0.03)


def test_patterns_narrow_it_and_bad_ones_are_told_beside_them(
    qtbot: QtBot, begin: Begin, small: Path
) -> None:
    view = begin(small)
    view.options.keep_only.setText("*kernel dtype:float32")
    view.options.leave_out.setText("/layer_[0-5]/")
    settle(view, qtbot)
    assert kept_names(view) == {"net/layer_6/kernel", "net/layer_7/kernel", "head/kernel"}
    why = view.model.outcome_text(row_of(view, "net/layer_0/kernel"))
    assert why == "excluded by the pattern layer_[0-5]"
    view.options.leave_out.setText("/layer_[/")
    view.target.button.click()
    assert "no regular expression" in view.options.patterns_problem.said
    assert "no regular expression" in view.target.problem.said
    assert not view.exporting.is_running


def test_renames_are_previewed_and_collisions_refused(
    qtbot: QtBot, begin: Begin, small: Path
) -> None:
    view = begin(small)
    view.options.rename.setPlainText("^net/=body/")
    settle(view, qtbot)
    assert "net/layer_0/bias  →  body/layer_0/bias" in view.options.renamed.text()
    assert view.model.new_name(row_of(view, "net/layer_3/bias")) == "body/layer_3/bias"
    view.options.rename.setPlainText(r"layer_\d=layer")
    settle(view, qtbot)
    assert "several variables one name" in view.options.rename_note.said
    assert not view.target.button.isEnabled()
    titles = {action.text(): action for action in view.options.ready_made.actions()}
    view.options.rename.setPlainText("^net/=body/")
    titles["Layers of Keras as TensorFlow 1 and slim name them"].trigger()
    lines = view.options.rename.toPlainText().splitlines()
    assert lines[0] == "^net/=body/"
    assert any(line.endswith("=biases") for line in lines)
    view.options.rename.setPlainText("")
    settle(view, qtbot)
    assert view.target.button.isEnabled()
    assert view.options.rename_note.isHidden()
    view.select_variable("net/layer_1/bias")
    view.ask_for_name()
    dialog = view.findChild(QInputDialog)
    assert dialog is not None
    dialog.setTextValue("first.bias")
    dialog.accept()
    settle(view, qtbot)
    assert view.options.renamed.text() == "net/layer_1/bias  →  first.bias"


def test_the_loss_of_a_cast_is_told_before_and_holds_after(
    qtbot: QtBot, begin: Begin, small: Path
) -> None:
    view = begin(small)
    view.options.cast.choose("float16")
    qtbot.waitUntil(lambda: view.options.prediction.outlook is not None, timeout=TIMEOUT_MS)
    outlook = view.options.prediction.outlook
    assert outlook is not None
    predicted = outlook.losses
    assert len(outlook.overflowing) == 8
    assert sum(loss.overflow for loss in predicted.values()) == 8 * 20
    assert "would become infinite" in view.options.prediction.note.said
    settle(view, qtbot)
    assert view.target.path.text().endswith("small-float16.npz")
    done = export(view, qtbot)
    assert done.receipt.losses == predicted
    with np.load(done.receipt.destination) as written:
        assert written["net/layer_0/kernel"].dtype == np.float16


def test_the_demo_is_exported_verified_and_restorable(
    qtbot: QtBot, begin: Begin, bundle: Path
) -> None:
    import tensorflow as tf

    view = begin(bundle)
    done = export(view, qtbot)
    assert done.receipt.verified
    assert "verified" in view.result.title.text()
    assert f"{len(done.receipt.kept)} of 34 variables kept" in view.result.balance.note.text()
    reader = tf.train.load_checkpoint(done.receipt.destination)
    original = tf.train.load_checkpoint(str(bundle))
    keys = {each.key_written for each in done.receipt.kept}
    assert set(reader.get_variable_to_shape_map()) == keys
    for key in keys - {"_CHECKPOINTABLE_OBJECT_GRAPH"}:
        np.testing.assert_array_equal(reader.get_tensor(key), original.get_tensor(key))
    assert not any("learning_rate" in key for key in keys)
    assert view.model.is_locked
    qtbot.waitUntil(
        lambda: view.result.receipt is not None and view.result.receipt.timings is not None,
        timeout=TIMEOUT_MS,
    )


def test_the_command_line_makes_the_same(
    qtbot: QtBot, begin: Begin, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    view = begin(bundle)
    view.model.toggle((row_of(view, "digits/hidden/bias"), group_of(view, "adam")))
    view.options.cast.choose("bfloat16")
    view.options.rename.setPlainText("hidden=deep")
    settle(view, qtbot)
    done = export(view, qtbot)
    files = {path.name: path.read_bytes() for path in bundle.parent.glob("*-bfloat16*")}
    assert len(files) == 2
    view.result.copy_command()
    words = shlex.split(QGuiApplication.clipboard().text())
    assert words[:2] == ["ckptviewer", "export"]
    assert words[3] == done.receipt.destination
    settle(view, qtbot)  # its loading has been measured
    for name in files:
        (bundle.parent / name).unlink()
    assert run_cli([*words[1:], "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kept"] == done.receipt.as_full_document()["kept"]
    assert {name: (bundle.parent / name).read_bytes() for name in files} == files
    view.result.copy_python()
    assert "tf.train" in QGuiApplication.clipboard().text()


def test_averages_names_and_shards_are_as_chosen(qtbot: QtBot, begin: Begin, bundle: Path) -> None:
    view = begin(bundle)
    view.options.use_ema.click()
    view.options.name_based.click()
    view.options.shards.choose("up to 2 GB each")
    settle(view, qtbot)
    done = export(view, qtbot)
    for flag in ("--use-ema", "--name-based", "--shard-size 2000000000"):
        assert flag in done.command
    kept = {each.key: each for each in done.receipt.kept}
    with open_checkpoint(bundle) as source, open_checkpoint(done.receipt.destination) as written:
        (average,) = (v for v in source.variables if v.name.endswith("digit_bias_average"))
        assert average.slot_of is not None
        new = kept[average.slot_of]
        assert new.taken_from == average.key
        assert not new.key_written.endswith(SUFFIX)
        np.testing.assert_array_equal(
            written.read(written[new.key_written]), source.read(source[average.key])
        )


def test_an_existing_target_is_asked_for(qtbot: QtBot, begin: Begin, small: Path) -> None:
    view = begin(small)
    there = small.with_name("there.npz")
    np.savez(there, old=np.zeros(3))
    old = there.read_bytes()
    view.target.set_path("there")
    settle(view, qtbot)
    assert not view.target.there.isHidden()
    view.target.button.click()
    assert not view.exporting.is_running
    assert "replaced" in view.target.problem.said
    assert there.read_bytes() == old
    view.target.overwrite.click()
    done = export(view, qtbot)
    assert done.overwrite
    assert "--overwrite" in done.command
    with np.load(there) as written:
        assert "head/kernel" in written.files


def test_the_source_is_never_the_target(qtbot: QtBot, begin: Begin, small: Path) -> None:
    view = begin(small)
    view.target.set_path(str(small))
    settle(view, qtbot)
    assert "never written" in view.target.note.said
    view.target.button.click()
    assert "never written" in view.target.problem.said
    assert not view.exporting.is_running


def test_what_keeps_it_from_being_written_is_told_in_its_place(
    qtbot: QtBot, begin: Begin, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = begin(small)
    view.target.set_path(str(small.parent / "missing" / "x.npz"))
    settle(view, qtbot)
    assert "no such directory" in view.target.note.said.lower()
    view.target.set_path("new.npz")
    settle(view, qtbot)
    from ckptviewer.storage import atomic

    def full(*_: object, **_more: object) -> None:
        raise atomic.UnwritableFileError("the disk is full", where="new.npz", remedy="Free some.")

    monkeypatch.setattr(execute_module.Staging, "publish", full)
    with qtbot.waitSignal(view.failed, timeout=TIMEOUT_MS) as told:
        view.target.button.click()
    assert told.args[0] == "Nothing was written. The disk is full (new.npz). Free some."
    assert view.target.problem.said == told.args[0]
    assert not (small.parent / "new.npz").exists()
    monkeypatch.undo()
    settle(view, qtbot)
    assert export(view, qtbot).receipt.verified


def test_a_source_that_is_damaged_meanwhile_is_told(
    qtbot: QtBot, begin: Begin, bundle: Path
) -> None:
    view = begin(bundle)
    data = data_of(bundle)
    data.write_bytes(data.read_bytes()[:50])
    with qtbot.waitSignal(view.failed, timeout=TIMEOUT_MS) as told:
        view.target.button.click()
    assert told.args[0].startswith("Nothing was written.")
    assert not index_of(bundle.with_name(f"{bundle.name}-inference")).exists()


def test_what_is_known_to_be_damaged_says_so(qtbot: QtBot, begin: Begin, bundle: Path) -> None:
    data = data_of(bundle)
    data.write_bytes(data.read_bytes()[:-100])
    view = begin(bundle)
    damaged = [
        row
        for row, variable in enumerate(view.model.tree.variables)
        if variable.key in view._session.problems
    ]
    assert damaged
    view.model.tick(damaged, True)
    assert all("cannot be exported" in view.model.outcome_text(row) for row in damaged)
    with qtbot.waitSignal(view.failed, timeout=TIMEOUT_MS):
        view.target.button.click()
    view.model.tick(damaged, False)
    settle(view, qtbot)
    assert export(view, qtbot).receipt.verified


def test_reloading_reads_the_source_again(qtbot: QtBot, begin: Begin, small: Path) -> None:
    view = begin(small)
    window = view.window()
    assert isinstance(window, MainWindow)
    np.savez(small, other=np.ones(3))
    with qtbot.waitSignal(window.opened, timeout=TIMEOUT_MS):
        window.reload()
    assert window.session is not None
    assert [variable.key for variable in window.session.checkpoint.variables] == ["other"]
    assert window.view is window.browser


@pytest.mark.parametrize("by", ["button", "escape"])
def test_it_is_cancelled_in_the_page(
    qtbot: QtBot, begin: Begin, small: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    view = begin(small)
    verify = execute_module._verified

    def slowly(*arguments: object) -> object:
        gate.hold()
        return verify(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(execute_module, "_verified", slowly)
    view.target.button.click()
    qtbot.waitUntil(gate.entered.is_set, timeout=TIMEOUT_MS)
    assert view.target.cancel.isVisible()
    assert not view.options.isEnabled()
    view.model.toggle((0,))
    assert view.planning.is_settled
    with qtbot.waitSignal(view.exporting.cancelled, timeout=TIMEOUT_MS):
        if by == "button":
            view.target.cancel.click()
        else:
            qtbot.keyClick(view.window(), Qt.Key.Key_Escape)
        assert view.exporting.is_running  # until its thread has let go of the files
        gate.release()
    assert view.target.problem.said == "Cancelled; nothing was written."
    assert view.options.isEnabled()
    assert sorted(path.name for path in small.parent.glob("*.npz")) == ["small.npz"]


def test_leaving_the_page_cancels(
    qtbot: QtBot, begin: Begin, small: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = begin(small)
    window = view.window()
    assert isinstance(window, MainWindow)
    verify = execute_module._verified
    over = threading.Event()

    def slowly(*arguments: object) -> object:
        gate.hold()
        try:
            return verify(*arguments)  # type: ignore[arg-type]
        finally:
            over.set()

    monkeypatch.setattr(execute_module, "_verified", slowly)
    view.target.button.click()
    qtbot.waitUntil(gate.entered.is_set, timeout=TIMEOUT_MS)
    window.leave_view()
    assert window.view is window.browser
    gate.release()
    assert over.wait(TIMEOUT_MS / 1000)
    idle(window, qtbot)
    qtbot.waitUntil(
        lambda: (
            sorted(path.name for path in small.parent.iterdir() if "small" in path.name)
            == ["small.npz"]
        ),
        timeout=TIMEOUT_MS,
    )


def test_what_rests_on_roles_is_confirmed(qtbot: QtBot, begin: Begin, tmp_path: Path) -> None:
    path = tmp_path / "guess.npz"
    np.savez(path, **{"dense/kernel": np.ones((2, 2)), "dense/bias": np.ones(2)})
    view = begin(path)
    view.options.choose_preset(Preset.TRAINABLE)
    settle(view, qtbot)
    view.target.button.click()
    assert "trainable" in view.target.problem.said
    assert not view.exporting.is_running
    view.options.confirm.click()
    assert export(view, qtbot).receipt.verified


def test_a_tick_that_changes_nothing_says_why(qtbot: QtBot, begin: Begin, bundle: Path) -> None:
    view = begin(bundle)
    counter = row_of(view, "save_counter")
    with qtbot.waitSignal(view.told, timeout=TIMEOUT_MS) as told:
        view.model.toggle((counter,))
    assert told.args[0].startswith("It is kept all the same: ")
    assert view.model.state(counter) is CHECKED


def test_the_format_follows_a_typed_suffix_and_the_name_the_format(
    qtbot: QtBot, begin: Begin, small: Path
) -> None:
    view = begin(small)
    assert view.options.format_name == "npz"
    view.target.set_path("slim.safetensors")
    settle(view, qtbot)
    assert view.options.format_name == "safetensors"
    view.options.choose_format("tf-bundle")
    settle(view, qtbot)
    assert view.target.path.text() == "slim"
    assert view.target.target is not None
    assert view.target.target.path == str(small.with_name("slim"))


def test_many_variables_are_planned_in_the_background(
    qtbot: QtBot, begin: Begin, small: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    monkeypatch.setattr(planning_module, "PLANNED_IN_PLACE", 0)
    view = begin(small)
    make = planning_module.make_planned
    threads: list[threading.Thread] = []

    def slowly(*arguments: object) -> object:
        threads.append(threading.current_thread())
        gate.hold()
        return make(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(planning_module, "make_planned", slowly)
    net, kernel = group_of(view, "net"), row_of(view, "net/layer_0/kernel")
    view.model.toggle((net,))
    qtbot.waitUntil(gate.entered.is_set, timeout=TIMEOUT_MS)
    assert view.model.state(net) is UNCHECKED  # shown before it is planned
    view.model.toggle((kernel,))
    view.options.cast.choose("float16")
    assert view.model.state(net) is PARTIAL
    assert not view.planning.is_settled
    view.target.button.click()
    assert not view.exporting.is_running
    with qtbot.waitSignal(view.exported, timeout=TIMEOUT_MS) as told:
        gate.release()
    assert {each.key for each in told.args[0].receipt.kept} == {
        "head/kernel",
        "net/layer_0/kernel",
    }
    settle(view, qtbot)
    assert threading.main_thread() not in threads
    assert len(threads) == 2  # what was wanted meanwhile was planned in one go
    assert kept_names(view) == {"head/kernel", "net/layer_0/kernel"}
    assert view.planning.current is not None
    assert len(view.planning.current.plan.casts) == 2


def test_the_result_is_opened_compared_and_its_receipt_saved(
    qtbot: QtBot, begin: Begin, bundle: Path, tmp_path: Path
) -> None:
    view = begin(bundle)
    window = view.window()
    assert isinstance(window, MainWindow)
    done = export(view, qtbot)
    for ending, sign in ((".html", "<h1>"), (".json", '"checksum"')):
        path = tmp_path / f"receipt{ending}"
        assert view.result.receipt is not None
        with qtbot.waitSignal(view.exporting.saved, timeout=TIMEOUT_MS):
            view.exporting.save_receipt(view.result.receipt, str(path))
        assert sign in path.read_text(encoding="utf-8")
    view.exporting.save_receipt(view.result.receipt, str(tmp_path / "no" / "x.json"))
    qtbot.waitUntil(lambda: view.result.problem.is_error, timeout=TIMEOUT_MS)
    with qtbot.waitSignal(window.compared, timeout=TIMEOUT_MS):
        view.result.buttons["Compare with the source"].click()
    comparison = window.view
    assert isinstance(comparison, ComparisonView)
    assert comparison.compared is not None
    statuses = {str(delta.status) for delta in comparison.compared.deltas}
    assert statuses == {"same", "removed"}
    window.leave_view()
    window.export()
    again = window.view
    assert isinstance(again, ExportView)
    settle(again, qtbot)
    assert again.target.path.text() == f"{done.receipt.destination}-2"
    export(again, qtbot)
    with qtbot.waitSignal(window.opened, timeout=TIMEOUT_MS):
        again.result.buttons["Open the result"].click()
    assert window.session is not None
    assert window.session.checkpoint.path == f"{done.receipt.destination}-2"


def test_what_lies_where_nobody_may_write_goes_home(
    qtbot: QtBot, begin: Begin, small: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ckptviewer.ui import proposals

    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    allowed = proposals.os.access
    monkeypatch.setattr(
        proposals.os,
        "access",
        lambda path, mode: str(path) != str(small.parent) and allowed(path, mode),
    )
    view = begin(small)
    assert Path(view.target.path.text()).parent == home
    assert stat.S_ISDIR(home.stat().st_mode)
    view.target.set_path("beside.npz")
    settle(view, qtbot)
    assert "cannot be written" in view.target.note.said


def test_the_menu_and_the_bar_offer_it(qtbot: QtBot, opened: Open, bundle: Path) -> None:
    window = opened(bundle)
    assert window.actions_.export.shortcut().toString() == "Ctrl+E"
    assert any(
        window.actions_.export in tool.actions() or tool.text() == "Export"  # type: ignore[attr-defined]
        for tool in window.browser.tools()
    )
    window.actions_.export.trigger()
    assert isinstance(window.view, ExportView)
    assert window.windowTitle() == f"Export {bundle.name} - ckptviewer"
    window.actions_.export.trigger()
    window.leave_view()
    assert window.view is window.browser
