"""A training run in the window: what is listed, drawn, compared, cleaned up, averaged; live."""

from __future__ import annotations

import csv
import io
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QMessageBox, QToolButton
from pytestqt.qtbot import QtBot

from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.formats.resolve import open_checkpoint
from ckptviewer.runs import removal
from ckptviewer.runs.run import find_run
from ckptviewer.runs.timeline import Cells, Event
from ckptviewer.runs.timeline_table import Series, TimelineTable
from ckptviewer.ui import open_run, running
from ckptviewer.ui.dialogs.average_dialog import AverageDialog
from ckptviewer.ui.dialogs.clean_up_dialog import CleanUpDialog
from ckptviewer.ui.main_window import MainWindow
from ckptviewer.ui.models.run_rows import RunColumn, SeriesRowsModel
from ckptviewer.ui.panels.comparison_view import ComparisonView
from ckptviewer.ui.panels.run_heat_map import Cell
from ckptviewer.ui.panels.run_shades import ramp_of, shares_of
from ckptviewer.ui.panels.run_view import RunView
from ckptviewer.ui.panels.timeline_plot import TimelinePlot
from ckptviewer.ui.theme import LIGHT
from tests.builders import save
from tests.open_files import open_below
from tests.ui.conftest import TIMEOUT_MS, Open, idle
from tests.ui.display import Display, ended

ShowRun = Callable[[Path], RunView]
KERNEL, FROZEN = "net/dense/kernel", "net/embedding/kernel"
STEPS = (0, 10, 20, 30, 40)


def values_at(step: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    kernel = random.standard_normal((6, 4)).astype(np.float32) + np.float32(step / 10)
    frozen = random.standard_normal((5, 3)).astype(np.float32) + np.float32(min(step, 10))
    bias = np.full(4, step, np.float32)
    if step == 30:
        bias[1] = np.nan
    return {KERNEL: kernel, FROZEN: frozen, "net/dense/bias": bias}


def save_step(directory: Path, step: int) -> None:
    save(directory / f"model.ckpt-{step}", values_at(step))


def name_latest(directory: Path, step: int) -> None:
    (directory / "checkpoint").write_text(f'model_checkpoint_path: "model.ckpt-{step}"\n')


@pytest.fixture(scope="session")
def made_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("run")
    for step in STEPS:
        save_step(directory, step)
    name_latest(directory, STEPS[-1])
    return directory


@pytest.fixture
def run(made_run: Path, tmp_path: Path) -> Path:
    """A run of five checkpoints: NaN at step 30, a layer that is frozen from step 20 on."""
    return shutil.copytree(made_run, tmp_path / "training")


@pytest.fixture
def show_run(window: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> ShowRun:
    """Opens a directory, and waits until its run is shown with all numbers."""
    monkeypatch.setattr(running, "LOOK_MS", 50)

    def show(directory: Path) -> RunView:
        window.open_path(str(directory))
        qtbot.waitUntil(lambda: isinstance(window.view, RunView), timeout=TIMEOUT_MS)
        view = window.view
        assert isinstance(view, RunView)
        wait_for_all(view, qtbot)
        return view

    return show


def wait_for_all(view: RunView, qtbot: QtBot) -> None:
    """Wait until all checkpoints that are listed are followed, and nothing is under way."""

    def is_complete() -> bool:
        known = view._known
        return (
            known is not None
            and len(known.table.entries) == len(view.model.entries)
            and view.running._job is None
            and view.writing.isHidden()
            and view.timeline.plot is not None
            and not view.timeline._is_asking
            and len(view.timeline.plot.entries) == len(view.model.entries)
        )

    qtbot.waitUntil(is_complete, timeout=TIMEOUT_MS)


def window_of(view: RunView) -> MainWindow:
    window = view.window()
    assert isinstance(window, MainWindow)
    return window


def column(view: RunView, which: RunColumn) -> list[str]:
    model = view.model
    return [str(model.index(row, which).data()) for row in range(model.rowCount())]


def plot_of(view: RunView) -> TimelinePlot:
    assert view.timeline.plot is not None
    return view.timeline.plot


def draw(view: RunView, qtbot: QtBot, measure: str, *names: str) -> None:
    view.timeline.measure.choose(measure)
    assert view.timeline.choose(names)
    qtbot.waitUntil(
        lambda: (
            {line.name for line in plot_of(view).lines} == set(names)
            and not view.timeline._is_asking
        ),
        timeout=TIMEOUT_MS,
    )


def test_a_directory_shows_its_run_and_its_latest_checkpoint_one_step_back(
    show_run: ShowRun, run: Path
) -> None:
    view = show_run(run)
    window = window_of(view)
    assert column(view, RunColumn.STEP) == ["0", "10", "20", "30", "40"]
    assert column(view, RunColumn.STATE) == ["", "", "", "", "✓ latest"]
    assert view.latest.whole_text().endswith(str(run / "model.ckpt-40"))
    assert [entry.name for entry in view.table.selected()] == ["model.ckpt-40"]
    assert window.windowTitle() == "training (training run) - ckptviewer"
    window.leave_view()
    assert window.view is window.browser
    assert window.session is not None
    assert window.session.checkpoint.path.endswith("model.ckpt-40")


def test_a_file_opens_itself_and_offers_the_run_around_it(
    opened: Open, run: Path, qtbot: QtBot
) -> None:
    window = opened(run / "model.ckpt-10")
    button = offer_in(window)
    qtbot.waitUntil(lambda: button.isVisible(), timeout=TIMEOUT_MS)
    assert window.view is window.browser
    button.click()
    view = window.view
    assert isinstance(view, RunView)
    assert view.directory == str(run)


def test_a_checkpoint_alone_offers_no_run(
    opened: Open, run: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    for path in run.glob("model.ckpt-10.*"):
        shutil.copy(path, alone)
    window = opened(run / "model.ckpt-10")
    button = offer_in(window)
    qtbot.waitUntil(lambda: button.isVisible(), timeout=TIMEOUT_MS)
    opened(alone)
    qtbot.waitUntil(lambda: not button.isVisible(), timeout=TIMEOUT_MS)
    assert window.view is window.browser
    assert window.run_offer.directory == ""


def offer_in(window: MainWindow) -> QToolButton:
    found = [tool for tool in window.browser.tools() if isinstance(tool, QToolButton)]
    return next(tool for tool in found if tool.text() == "Training run…")


def test_where_the_latest_cannot_be_opened_the_others_are_shown(
    show_run: ShowRun, run: Path, tmp_path: Path
) -> None:
    (run / "model.ckpt-40.index").write_bytes(b"no index at all")
    view = show_run(run)
    assert column(view, RunColumn.STATE)[-1].startswith("✕ damaged")
    assert any(finding.code == "damaged-checkpoint" for finding in view.findings.found)
    assert view.model.rowCount() == 5


def test_why_there_is_no_latest_is_said(show_run: ShowRun, tmp_path: Path) -> None:
    directory = tmp_path / "saved"
    directory.mkdir()
    for epoch, loss in ((1, 0.5), (2, 0.25)):
        np.savez(directory / f"weights.{epoch:02d}-{loss}.npz", w=np.ones(3) * epoch)
    view = show_run(directory)
    assert view.latest.whole_text().endswith("None")
    assert "`checkpoint`" in view.reason.text()
    assert not view.table.isColumnHidden(RunColumn.METRIC)
    assert column(view, RunColumn.METRIC) == ["0.5", "0.25"]


def test_findings_say_where_it_went_wrong_and_lead_to_the_variable(
    show_run: ShowRun, run: Path, qtbot: QtBot
) -> None:
    view = show_run(run)
    found = {finding.code: finding for finding in view.findings.found}
    assert "step 30" in found["nan-appears"].message
    assert found["layer-frozen"].variable == FROZEN
    rows = view.findings.list
    at = next(n for n, f in enumerate(view.findings.found) if f.code == "layer-frozen")
    rows.setCurrentItem(rows.topLevelItem(at))
    assert view.timeline.chosen == [FROZEN]


def test_lines_are_what_numpy_says(show_run: ShowRun, run: Path, qtbot: QtBot) -> None:
    view = show_run(run)
    draw(view, qtbot, "norm", KERNEL, "net/dense/bias")
    lines = {line.name: line.values for line in plot_of(view).lines}
    norms = [np.linalg.norm(values_at(step)[KERNEL].astype(float)) for step in STEPS]
    assert lines[KERNEL] == pytest.approx(norms, rel=1e-6)
    draw(view, qtbot, "update |Δw| / |w|", FROZEN, KERNEL)
    lines = {line.name: line.values for line in plot_of(view).lines}
    assert lines[FROZEN][2:] == [0.0, 0.0, 0.0]
    a, b = (values_at(step)[KERNEL].astype(float) for step in (30, 40))
    assert lines[KERNEL][4] == pytest.approx(np.linalg.norm(b - a) / np.linalg.norm(a), rel=1e-5)
    draw(view, qtbot, "NaN", "net/dense/bias")
    assert list(plot_of(view).lines[0].values) == [0, 0, 0, 1, 0]


def test_a_group_and_a_role_are_drawn_as_one_vector(
    show_run: ShowRun, run: Path, qtbot: QtBot
) -> None:
    view = show_run(run)
    draw(view, qtbot, "norm", "role weight")
    both = [
        np.sqrt(sum(np.sum(values_at(s)[k].astype(float) ** 2) for k in (KERNEL, FROZEN)))
        for s in STEPS
    ]
    assert list(plot_of(view).lines[0].values) == pytest.approx(both, rel=1e-6)


def test_hovering_reads_values_and_a_click_selects_the_checkpoint(
    show_run: ShowRun, run: Path, qtbot: QtBot
) -> None:
    view = show_run(run)
    draw(view, qtbot, "maximum", "net/dense/bias")
    plot = plot_of(view)
    box = plot.view.getPlotItem().getViewBox()
    middle = box.sceneBoundingRect().center().y()
    place = QPointF(box.mapViewToScene(QPointF(20.0, 0.0)).x(), middle)
    assert plot.column_at(place) == 2
    plot._show_hover(place)
    assert "net / dense / bias" in plot._hover.text()
    assert plot._hover.text().endswith("20")
    above = plot.children()
    assert above.index(plot._hover) > above.index(plot.view)
    plot.pointed.emit(2)
    assert [entry.step for entry in view.table.selected()] == [20]


def test_a_log_scale_leaves_out_what_has_no_logarithm(
    show_run: ShowRun, run: Path, qtbot: QtBot
) -> None:
    view = show_run(run)
    draw(view, qtbot, "norm", "net/dense/bias")
    view.timeline.log_y.setChecked(True)
    qtbot.waitUntil(lambda: plot_of(view).log_y, timeout=TIMEOUT_MS)
    assert "log scale" in view.timeline._hidden.text()


def test_the_plot_is_saved_as_picture_and_numbers(
    show_run: ShowRun, run: Path, qtbot: QtBot, tmp_path: Path
) -> None:
    view = show_run(run)
    draw(view, qtbot, "norm", KERNEL)
    view.timeline.save_as(str(tmp_path / "a.csv"), "csv")
    view.timeline.save_as(str(tmp_path / "a.png"), "png")
    rows = list(csv.reader(io.StringIO((tmp_path / "a.csv").read_text())))
    assert rows[0] == ["step", "checkpoint", KERNEL]
    assert [row[0] for row in rows[1:]] == ["0", "10", "20", "30", "40"]
    assert [float(row[2]) for row in rows[1:]] == list(plot_of(view).lines[0].values)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_filter_narrows_list_and_heat_map(show_run: ShowRun, run: Path) -> None:
    view = show_run(run)
    view.apply_filter("bias")
    known = view._known
    assert known is not None
    assert [known.keys[row] for row in view.heat_map.rows] == ["net/dense/bias"]
    model = view.timeline.list.model()
    assert isinstance(model, SeriesRowsModel)
    assert {choice.name for choice in model.choices if not choice.is_group and not choice.role} == {
        "net/dense/bias"
    }
    view.apply_filter("")
    assert len(view.heat_map.rows) == 3


def test_a_cell_of_the_heat_map_tells_and_compares(
    show_run: ShowRun, run: Path, qtbot: QtBot
) -> None:
    view = show_run(run)
    window = window_of(view)
    view.tabs.setCurrentWidget(view.heat_page)
    known, heat = view._known, view.heat_map
    assert known is not None
    line = [known.keys[row] for row in heat.rows].index(KERNEL)
    cell = Cell(line, 4)
    assert heat.cell_at(heat.place_of(cell).center().toPoint()) == cell
    assert "step 40" in heat.text_of(cell)
    assert "update" in heat.text_of(cell)
    bias = [known.keys[row] for row in heat.rows].index("net/dense/bias")
    assert "1 NaN" in heat.text_of(Cell(bias, 3))
    heat.grab()
    with qtbot.waitSignal(window.compared, timeout=TIMEOUT_MS):
        qtbot.mouseClick(
            heat.viewport(),
            Qt.MouseButton.LeftButton,
            pos=heat.place_of(cell).center().toPoint(),
        )
    comparison = window.view
    assert isinstance(comparison, ComparisonView)
    assert comparison.compared is not None
    assert comparison.compared.a.checkpoint.path.endswith("model.ckpt-30")
    assert comparison.compared.b.checkpoint.path.endswith("model.ckpt-40")


def test_what_was_chosen_is_chosen_again_when_one_comes_back(
    show_run: ShowRun, run: Path, qtbot: QtBot
) -> None:
    view = show_run(run)
    window = window_of(view)
    draw(view, qtbot, "mean", FROZEN)
    view.tabs.setCurrentIndex(1)
    view.table.show_checkpoint("model.ckpt-10")
    with qtbot.waitSignal(window.opened, timeout=TIMEOUT_MS):
        view.table.open_selected()
    assert window.view is window.browser
    idle(window, qtbot)
    window.run_offer.show()
    again = window.view
    assert isinstance(again, RunView)
    wait_for_all(again, qtbot)
    assert again.tabs.currentIndex() == 1
    assert again.timeline.measure.choice == "mean"
    assert again.timeline.chosen == [FROZEN]


def test_the_keyboard_walks_the_heat_map(show_run: ShowRun, run: Path, qtbot: QtBot) -> None:
    view = show_run(run)
    view.tabs.setCurrentWidget(view.heat_page)
    heat = view.heat_map
    heat.setFocus()
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Down):
        qtbot.keyClick(heat, key)
    assert heat.current == Cell(1, 2)
    with qtbot.waitSignal(heat.chosen, timeout=TIMEOUT_MS):
        qtbot.keyClick(heat, Qt.Key.Key_Return)


def test_new_saves_appear_and_deleted_ones_vanish(
    show_run: ShowRun, run: Path, qtbot: QtBot
) -> None:
    view = show_run(run)
    view.table.show_checkpoint("model.ckpt-20")
    draw(view, qtbot, "norm", KERNEL)
    view.heat_map.current = Cell(0, 2)
    save_step(run, 50)
    for path in run.glob("model.ckpt-0.*"):
        path.unlink()
    name_latest(run, 50)
    qtbot.waitUntil(
        lambda: column(view, RunColumn.STEP) == ["10", "20", "30", "40", "50"], timeout=TIMEOUT_MS
    )
    qtbot.waitUntil(
        lambda: [e.step for e in plot_of(view).entries] == [10, 20, 30, 40, 50], timeout=TIMEOUT_MS
    )
    wait_for_all(view, qtbot)
    assert view.heat_map.current == Cell(0, 1)  # the same as before, one further to the left
    assert column(view, RunColumn.STATE)[-1] == "✓ latest"
    assert [entry.step for entry in view.table.selected()] == [20]
    norms = [np.linalg.norm(values_at(s)[KERNEL].astype(float)) for s in (10, 20, 30, 40, 50)]
    assert list(plot_of(view).lines[0].values) == pytest.approx(norms, rel=1e-6)


def test_of_a_new_save_only_it_and_the_one_before_are_read(
    show_run: ShowRun, run: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    timeline = open_run.Timeline

    class Noted(timeline):  # type: ignore[misc, valid-type]
        def __init__(self, entries, **options) -> None:  # type: ignore[no-untyped-def]
            asked.append([entry.name for entry in entries])
            super().__init__(entries, **options)

    monkeypatch.setattr(open_run, "Timeline", Noted)
    view = show_run(run)
    del asked[:]
    save_step(run, 50)
    qtbot.waitUntil(lambda: view.model.rowCount() == 6, timeout=TIMEOUT_MS)
    wait_for_all(view, qtbot)
    assert asked == [["model.ckpt-40", "model.ckpt-50"]]


def test_a_timeline_that_was_cancelled_goes_on(show_run: ShowRun, run: Path, qtbot: QtBot) -> None:
    view = show_run(run)
    view.running.follow()
    job = view.running._job
    assert job is not None
    job.cancel()
    assert view._go_on.isVisible()
    with qtbot.waitSignal(view.complete, timeout=TIMEOUT_MS):
        view._go_on.click()
    assert not view._go_on.isVisible()


def test_cleaning_up_shows_what_goes_and_asks_twice_for_good(
    show_run: ShowRun, run: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = show_run(run)
    view.clean_up()
    dialog = view.findChild(CleanUpDialog)
    assert dialog is not None
    dialog.last_count.setValue(2)
    qtbot.waitUntil(
        lambda: dialog.plan is not None and len(dialog.plan.removed) == 3, timeout=TIMEOUT_MS
    )
    dialog.listing.topLevelItem(1).setCheckState(0, Qt.CheckState.Checked)
    qtbot.waitUntil(
        lambda: dialog.plan is not None and len(dialog.plan.removed) == 2, timeout=TIMEOUT_MS
    )
    fates = [dialog.listing.topLevelItem(row).text(4) for row in range(5)]
    assert fates == ["✕ goes", "✓ stays", "✕ goes", "✓ stays", "✓ stays"]
    assert "model_checkpoint_path" in dialog.listing.topLevelItem(4).text(5)
    freed = sum(f.stat().st_size for s in (0, 20) for f in run.glob(f"model.ckpt-{s}.*"))
    assert dialog.plan is not None
    assert dialog.plan.bytes_freed == freed
    dialog.for_good.setChecked(True)
    answers = [QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.Cancel]
    asked: list[str] = []

    def answer(_parent: object, _title: str, text: str, *_: object) -> object:
        asked.append(text)
        return answers.pop(0)

    monkeypatch.setattr(QMessageBox, "question", answer)
    dialog.ask()
    assert len(asked) == 2
    assert len(list(run.glob("*.index"))) == 5
    answers += [QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.Yes]
    with qtbot.waitSignal(dialog.removed, timeout=TIMEOUT_MS):
        dialog.ask()
    assert sorted(path.stem for path in run.glob("*.index")) == [
        "model.ckpt-10",
        "model.ckpt-30",
        "model.ckpt-40",
    ]
    qtbot.waitUntil(lambda: view.model.rowCount() == 3, timeout=TIMEOUT_MS)


def test_to_the_trash_by_default_and_what_fails_is_said(
    show_run: ShowRun, run: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_paths: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(removal, "_trash_function", lambda: refuse)
    view = show_run(run)
    view.clean_up()
    dialog = view.findChild(CleanUpDialog)
    assert dialog is not None
    dialog.last_count.setValue(1)
    qtbot.waitUntil(
        lambda: dialog.plan is not None and len(dialog.plan.removed) == 4, timeout=TIMEOUT_MS
    )
    assert "trash" in dialog.remove.text()
    with qtbot.waitSignal(dialog.removed, timeout=TIMEOUT_MS) as told:
        dialog.ask()
    assert "Permission denied" in told.args[0]
    assert len(list(run.glob("*.index"))) == 5
    dialog.reject()


def test_the_best_by_metric_stays(show_run: ShowRun, tmp_path: Path, qtbot: QtBot) -> None:
    directory = tmp_path / "saved"
    directory.mkdir()
    for epoch, loss in ((1, 0.5), (2, 0.25), (3, 0.75)):
        np.savez(directory / f"weights.{epoch:02d}-{loss}.npz", w=np.ones(3) * epoch)
    view = show_run(directory)
    view.clean_up()
    dialog = view.findChild(CleanUpDialog)
    assert dialog is not None
    dialog.keep_last.setChecked(False)
    dialog.keep_best.setChecked(True)
    dialog.best_direction.setCurrentText("the least")
    qtbot.waitUntil(
        lambda: dialog.plan is not None and [each.entry.step for each in dialog.plan.kept] == [2],
        timeout=TIMEOUT_MS,
    )
    dialog.keep_best.setChecked(False)
    qtbot.waitUntil(lambda: dialog.problem.isVisible(), timeout=TIMEOUT_MS)
    assert not dialog.remove.isEnabled()
    dialog.reject()


def test_an_average_is_written_with_its_proof(
    show_run: ShowRun, run: Path, qtbot: QtBot, tmp_path: Path
) -> None:
    view = show_run(run)
    view.average()
    dialog = view.findChild(AverageDialog)
    assert dialog is not None
    for row, step in enumerate(STEPS):
        ticked = Qt.CheckState.Checked if step in (10, 20, 40) else Qt.CheckState.Unchecked
        dialog.listing.topLevelItem(row).setCheckState(0, ticked)
    assert dialog.weights() == pytest.approx([1 / 3] * 3)
    target = tmp_path / "mean.npz"
    dialog.target.setText(str(target))
    dialog.write()
    qtbot.waitUntil(lambda: dialog._job is None, timeout=TIMEOUT_MS)
    assert "verified" in dialog.note.text()
    mean = np.mean([values_at(s)[KERNEL].astype(float) for s in (10, 20, 40)], axis=0)
    with open_checkpoint(str(target)) as written:
        found = written.read(written.by_key[KERNEL])
    np.testing.assert_allclose(found, mean, rtol=1e-6)
    dialog.how.setCurrentIndex(1)
    dialog.decay.setValue(0.5)
    assert dialog.weights() == pytest.approx([1 / 7, 2 / 7, 4 / 7])
    dialog.write()
    qtbot.waitUntil(
        lambda: dialog._job is None and "verified" not in dialog.note.text(), timeout=TIMEOUT_MS
    )
    assert "mean.npz" in dialog.note.text()  # it is there, and was not to be replaced
    dialog.reject()


def test_what_is_averaged_unasked_is_in_sight(
    show_run: ShowRun, qtbot: QtBot, tmp_path: Path
) -> None:
    directory = tmp_path / "long"
    directory.mkdir()
    for epoch in range(40):
        np.savez(directory / f"weights.{epoch:02d}.npz", w=np.ones(3) * epoch)
    view = show_run(directory)
    view.average()
    dialog = view.findChild(AverageDialog)
    assert dialog is not None
    assert len(dialog.chosen()) > 1
    listing = dialog.listing
    ticked = [listing.topLevelItem(row) for row in range(40 - len(dialog.chosen()), 40)]
    whole = listing.viewport().rect()
    qtbot.waitUntil(
        lambda: all(whole.contains(listing.visualItemRect(item).center()) for item in ticked),
        timeout=TIMEOUT_MS,
    )
    dialog.reject()


def test_rows_are_copied_and_opened_by_keyboard(show_run: ShowRun, run: Path, qtbot: QtBot) -> None:
    view = show_run(run)
    window = window_of(view)
    view.table.show_checkpoint("model.ckpt-20")
    view.table.setFocus()
    qtbot.keyClick(view.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    header, row = QGuiApplication.clipboard().text().splitlines()
    assert header.split("\t")[:2] == ["step", "name"]
    assert row.split("\t")[:2] == ["20", "model.ckpt-20"]
    assert row.endswith("sound")
    with qtbot.waitSignal(window.opened, timeout=TIMEOUT_MS):
        qtbot.keyClick(view.table, Qt.Key.Key_Return)
    assert window.session is not None
    assert window.session.checkpoint.path.endswith("model.ckpt-20")


def test_models_keep_qts_rules(show_run: ShowRun, run: Path, qtbot: QtBot) -> None:
    view = show_run(run)
    fatal = QAbstractItemModelTester.FailureReportingMode.Fatal
    testers = [QAbstractItemModelTester(view.model, fatal)]
    series = view.timeline.list.model()
    assert isinstance(series, SeriesRowsModel)
    testers.append(QAbstractItemModelTester(series, fatal))
    entries = list(view.model.entries)
    view.model.show_entries(entries[1:4])
    view.model.show_entries(entries)
    view.model.show_entries(entries[::-1])
    view.model.show_entries(entries)
    assert view.model.entries == entries
    series.set_matches(frozenset((0,)))
    series.set_matches(None)
    assert testers


def test_shades_grow_with_the_values_and_gaps_have_none() -> None:
    values = np.array([[1.0, 3.0, np.nan], [np.nan] * 3, [2.0, 2.0, 2.0]])
    shares = shares_of(values, Series.NORM)
    assert shares[0, :2].tolist() == [0.0, 1.0]
    assert np.isnan(shares[0, 2])
    assert np.isnan(shares[1]).all()
    assert shares[2].tolist() == [0.0, 0.0, 0.0]
    updates = shares_of(np.array([[0.0, 1e-4, 1e-2, 1.0, np.inf]]), Series.UPDATE)
    assert updates[0].tolist() == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0])
    lightness = [shade.lightnessF() for shade in ramp_of(LIGHT.base, LIGHT.bar, LIGHT.text)]
    assert lightness == sorted(lightness, reverse=True)


def test_a_training_is_followed_while_it_keeps_its_last_three(
    show_run: ShowRun, tmp_path: Path, qtbot: QtBot
) -> None:
    directory = tmp_path / "live"
    weight = tf.Variable(np.ones((4, 4), np.float32))
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(weight=weight), str(directory), max_to_keep=3
    )

    def train() -> None:
        weight.assign_add(tf.ones((4, 4)))
        manager.save()

    for _ in range(2):
        train()
    view = show_run(directory)
    for number in range(3, 7):
        train()
        wanted = [f"ckpt-{each}" for each in range(max(1, number - 2), number + 1)]
        qtbot.waitUntil(
            lambda wanted=wanted: column(view, RunColumn.NAME) == wanted, timeout=TIMEOUT_MS
        )
    wait_for_all(view, qtbot)
    assert view.run is not None
    assert view.run.latest == manager.latest_checkpoint
    assert column(view, RunColumn.STATE) == ["", "", "✓ latest"]
    known = view._known
    assert known is not None
    key = "weight/.ATTRIBUTES/VARIABLE_VALUE"
    assert known.table.series(Series.MEAN, key).tolist() == [5.0, 6.0, 7.0]
    qtbot.waitUntil(lambda: not deleted_files_held(directory), timeout=TIMEOUT_MS)


def deleted_files_held(directory: Path) -> list[str]:
    """Deleted files of a directory that this process has open still."""
    return [path for path in open_below(directory) if path.endswith("(deleted)")]


def test_in_a_large_run_the_models_variables_are_followed_first(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(run / "model.ckpt-50", values_at(50) | {f"{KERNEL}/Adam": np.ones((6, 4), np.float32)})
    monkeypatch.setattr(open_run, "FIRST_BYTES", 0)
    entries = find_run(run).checkpoints
    table = TimelineTable(entries)
    taken: list[tuple[str, ...]] = []
    take = table.take

    def note(event: Event) -> None:
        taken.extend([event.keys] if isinstance(event, Cells) else [])
        take(event)

    monkeypatch.setattr(table, "take", note)
    memory = open_run.RunMemory()
    with ThreadPoolExecutor(2) as executor:
        options = {"first": frozenset[str](), "cache": None, "cancel": CancelToken()}
        for _ in memory.follow(entries, table, executor, **options):  # type: ignore[arg-type]
            pass
        assert set(taken[-1]) == {f"{KERNEL}/Adam"}
        assert all(f"{KERNEL}/Adam" not in keys for keys in taken[:-1])
        column = len(entries) - 1
        assert table.has(KERNEL, column)
        assert table.has(f"{KERNEL}/Adam", column)
        again = TimelineTable(entries)
        assert not list(memory.follow(entries, again, executor, **options))  # type: ignore[arg-type]
    np.testing.assert_array_equal(
        again.matrix(Series.NORM, [KERNEL, FROZEN]), table.matrix(Series.NORM, [KERNEL, FROZEN])
    )
    assert not np.isnan(table.matrix(Series.NORM, [KERNEL, FROZEN])).any()


@pytest.mark.xvfb
@pytest.mark.skipif(sys.platform != "linux", reason="Xvfb is a server for X11")
def test_a_run_by_keyboard_in_a_real_window(display: Display, run: Path) -> None:
    process = display.open(run)
    display.window(process, r"^training \(training run\) - ckptviewer$")
    display.xdotool("key", "alt+Left")
    display.window(process, r"^model[.]ckpt-40 - ckptviewer$")
    display.xdotool("key", "ctrl+t")
    display.window(process, r"^training \(training run\) - ckptviewer$")
    display.xdotool("key", "ctrl+w")
    assert ended(process) == (0, "", "")
