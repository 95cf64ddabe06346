"""Comparing in the window: the merged tree, its filters and keys, the inspector, what goes out."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QMenu, QTreeWidget
from pytestqt.qtbot import QtBot

from ckptviewer.analysis.comparison import ComparisonOptions, Status
from ckptviewer.analysis.thresholds import Thresholds
from ckptviewer.cli.main import run as run_cli
from ckptviewer.resources import demo_checkpoint
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.main_window import MainWindow
from ckptviewer.ui.models.delta_rows import DeltaColumn, DeltaRowsModel
from ckptviewer.ui.open_comparison import compared
from ckptviewer.ui.panels.comparison_overview import ComparisonOverview
from ckptviewer.ui.panels.comparison_view import ComparisonView
from ckptviewer.ui.session import open_session
from tests.ui.conftest import TIMEOUT_MS, Open

Compare = Callable[[Path, Path], tuple[MainWindow, ComparisonView]]
EARLY = demo_checkpoint().with_name("digits.ckpt-40")


@pytest.fixture
def compare(qtbot: QtBot, opened: Open) -> Compare:
    """Opens A, compares it with B, and waits for all numbers."""

    def make(a: Path, b: Path) -> tuple[MainWindow, ComparisonView]:
        window = opened(a)
        with qtbot.waitSignal(window.compared, timeout=TIMEOUT_MS):
            window.compare_with(str(b))
        view = window.view
        assert isinstance(view, ComparisonView)
        return window, view

    return make


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A and B with one variable of each fate."""
    random = np.random.default_rng(0)
    kernel = random.standard_normal((20, 30)).astype(np.float32)
    embedding = random.standard_normal((40, 8)).astype(np.float32)
    same = random.standard_normal(50).astype(np.float32)
    of_a = {
        "layer/kernel": kernel,
        "layer/same": same,
        "layer/gone": np.arange(7.0),
        "words": embedding,
        "narrow": kernel[:3],
    }
    of_b = {
        "layer/kernel": kernel * np.float32(1.1),
        "layer/same": same,
        "layer/come": np.arange(9.0),
        "words": np.concatenate([embedding, np.ones((2, 8), np.float32)]),
        "narrow": kernel[:3].astype(np.float64),
    }
    paths = tmp_path / "a.npz", tmp_path / "b.npz"
    for path, arrays in zip(paths, (of_a, of_b), strict=True):
        np.savez(path, **arrays)
    return paths


def model_of(view: ComparisonView) -> DeltaRowsModel:
    model = view.tree.table.delta_model()
    assert model is not None
    return model


def statuses(view: ComparisonView) -> dict[str, Status]:
    assert view.compared is not None
    return {delta.key: delta.status for delta in view.compared.deltas}


def test_each_variable_gets_its_status_and_numbers(
    compare: Compare, pair: tuple[Path, Path]
) -> None:
    window, view = compare(*pair)
    assert window.windowTitle().endswith("b.npz - ckptviewer")
    assert statuses(view) == {
        "layer/kernel": Status.CHANGED,
        "layer/same": Status.SAME,
        "layer/gone": Status.REMOVED,
        "layer/come": Status.ADDED,
        "words": Status.RESHAPED,
        "narrow": Status.RETYPED,
    }
    assert view.compared is not None
    kernel = next(d for d in view.compared.deltas if d.key == "layer/kernel")
    assert kernel.difference is not None
    assert kernel.difference.relative_l2 == pytest.approx(0.1, rel=1e-5)
    model = model_of(view)
    shown = [
        [str(model.index(row, column).data() or "") for column in DeltaColumn]
        for row in range(model.rowCount())
    ]
    words = next(row for row in shown if row[0] == "words")
    assert words[1] == "40 × 8 → 42 × 8"
    assert words[5] == "first 40 rows equal, 2 rows added"


def test_what_is_still_being_read_does_not_count_as_failed(
    appearance: Appearance, qtbot: QtBot
) -> None:
    overview = ComparisonOverview(appearance)
    qtbot.addWidget(overview)
    overview.resize(450, 700)
    overview.show()

    def lists() -> int:
        """How many tables are in sight."""
        return sum(table.isVisible() for table in overview.findChildren(QTreeWidget))

    assert not lists()  # before anything is known
    a, b = open_session(str(EARLY)), open_session(str(demo_checkpoint()))
    known = compared(a, b, ComparisonOptions())
    overview.show_comparison(known, finished=False)
    assert not lists()  # of a flat tree there are no groups to tell of
    assert overview.check.text() == "Restoration check: reading"
    overview.show_comparison(known, finished=True)  # nothing was read: its figures are not known
    assert lists() == 1
    assert overview.check.text() == "Restoration check fails"
    a.close()
    b.close()


def test_other_thresholds_are_judged_by_at_once(
    compare: Compare, pair: tuple[Path, Path], qtbot: QtBot
) -> None:
    _, view = compare(*pair)
    assert view.overview.check.text() == "Restoration check fails"
    with qtbot.waitSignal(view.comparing.learned, timeout=TIMEOUT_MS):
        view.set_thresholds(Thresholds(restoration_mean=10.0, restoration_std=10.0))
    assert view.overview.check.text() == "Restoration check fails"  # some are in one alone


def test_model_keeps_qts_rules(compare: Compare, pair: tuple[Path, Path]) -> None:
    _, view = compare(*pair)
    model = model_of(view)
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    model.show_order("max |Δ|")
    model.set_matches([0, 2])
    model.set_matches(None)
    model.show_order(None)
    model.expand_all()


def test_a_status_is_filtered_by_a_click_and_by_the_filter_box(
    qtbot: QtBot, compare: Compare, pair: tuple[Path, Path]
) -> None:
    window, view = compare(*pair)
    model = model_of(view)

    def names() -> list[str]:
        return [model.text(model.item(row), DeltaColumn.NAME) for row in range(model.rowCount())]

    view.tree.chips.choose(Status.ADDED, Status.REMOVED)
    assert sorted(name.split(" / ")[-1] for name in names()) == ["come", "gone"]
    view.tree.chips.choose()
    window.top_bar.filter.setText("status:same,changed layer")
    assert sorted(name.split(" / ")[-1] for name in names()) == ["kernel", "same"]
    window.top_bar.filter.setText("")
    assert len(names()) == 6


def test_sorting_puts_what_changed_most_first(compare: Compare) -> None:
    _, view = compare(EARLY, demo_checkpoint())
    view.tree.bar.sort.choose("relative L2")
    model = model_of(view)
    changes = [model.change(row) for row in range(model.rowCount())]
    numbers = [change for change in changes if change is not None]
    assert len(numbers) > 20
    assert numbers == sorted(numbers, reverse=True)
    view.tree.bar.sort.choose("tree")
    assert not model.is_flat


def test_keys_lead_from_difference_to_difference(
    qtbot: QtBot, compare: Compare, pair: tuple[Path, Path]
) -> None:
    _, view = compare(*pair)
    menu = QMenu()
    view.fill_menu(menu)
    press = {action.shortcut().toString(): action for action in menu.actions()}
    seen = []
    for _ in range(5):
        press["F8"].trigger()
        (item,) = view.tree.table.selected_items()
        assert isinstance(item, int)
        assert view.compared is not None
        seen.append(view.compared.deltas[item].key)
    assert len(set(seen)) == 5
    assert "layer/same" not in seen
    press["F8"].trigger()
    assert view.tree.table.selected_items() == [item]
    press["F7"].trigger()
    (item,) = view.tree.table.selected_items()
    assert view.compared is not None
    assert view.compared.deltas[item].key == seen[-2]  # type: ignore[index]


def test_the_inspector_shows_both_sides_and_their_difference(
    qtbot: QtBot, compare: Compare, pair: tuple[Path, Path]
) -> None:
    _, view = compare(*pair)
    assert view.select_variable("layer/kernel")
    panel = view.panel
    qtbot.waitUntil(lambda: panel.overlay._sides is not None, timeout=TIMEOUT_MS)
    plot = panel.overlay._plot
    assert plot is not None
    assert plot.histogram is not None
    assert plot._second is not None
    assert int(plot.histogram.counts.sum()) == int(plot._second.counts.sum()) == 600
    panel.tabs.setCurrentWidget(panel.difference)
    qtbot.waitUntil(lambda: panel.difference._statistics is not None, timeout=TIMEOUT_MS)
    assert panel.difference._statistics is not None
    assert panel.difference._statistics.count == 600
    panel.tabs.setCurrentWidget(panel.map)
    qtbot.waitUntil(lambda: panel.map.painted is not None, timeout=TIMEOUT_MS)


def test_values_stand_side_by_side_and_move_together(
    qtbot: QtBot, compare: Compare, pair: tuple[Path, Path]
) -> None:
    _, view = compare(*pair)
    view.select_variable("layer/kernel")
    view.panel.tabs.setCurrentWidget(view.panel.values)
    of_a, of_b = view.panel.values.of_a, view.panel.values.of_b
    with np.load(pair[0]) as a, np.load(pair[1]) as b:
        expected = a["layer/kernel"][7, 3], b["layer/kernel"][7, 3]
    qtbot.waitUntil(lambda: of_a.model.value(7, 3) is not None, timeout=TIMEOUT_MS)
    qtbot.waitUntil(lambda: of_b.model.value(7, 3) is not None, timeout=TIMEOUT_MS)
    assert (of_a.model.value(7, 3), of_b.model.value(7, 3)) == expected
    of_a.table.verticalScrollBar().setValue(5)
    assert of_b.table.verticalScrollBar().value() == of_a.table.verticalScrollBar().value()


def test_what_is_on_one_side_alone_says_so(
    qtbot: QtBot, compare: Compare, pair: tuple[Path, Path]
) -> None:
    _, view = compare(*pair)
    view.select_variable("layer/come")
    assert "in B alone" in view.panel.overlay._note.text()
    view.panel.tabs.setCurrentWidget(view.panel.map)
    assert "no difference" in view.panel.map._message.label.text()


def test_swapping_turns_added_into_removed(
    qtbot: QtBot, compare: Compare, pair: tuple[Path, Path]
) -> None:
    window, view = compare(*pair)
    with qtbot.waitSignal(window.compared, timeout=TIMEOUT_MS):
        view.swap()
    assert statuses(view)["layer/come"] is Status.REMOVED
    assert statuses(view)["layer/gone"] is Status.ADDED
    assert window.windowTitle().endswith("a.npz - ckptviewer")


def test_a_tolerance_makes_near_things_the_same(
    qtbot: QtBot, compare: Compare, tmp_path: Path
) -> None:
    a, b = tmp_path / "a.npz", tmp_path / "b.npz"
    np.savez(a, x=np.ones(9))
    np.savez(b, x=np.ones(9) + 5e-7)
    window, view = compare(a, b)
    assert statuses(view) == {"x": Status.CHANGED}
    with qtbot.waitSignal(window.compared, timeout=TIMEOUT_MS):
        view.tree.bar.tolerance.choose("1e-6")
    assert statuses(view) == {"x": Status.SAME}
    assert model_of(view).verdict_text(0) == "equal within tolerance"


def test_a_match_is_corrected_by_hand_and_kept_in_a_file(
    qtbot: QtBot, compare: Compare, tmp_path: Path
) -> None:
    a, b = tmp_path / "a.npz", tmp_path / "b.npz"
    np.savez(a, one=np.arange(5.0), other=np.arange(6.0))
    np.savez(b, uno=np.arange(5.0) * 2, otro=np.arange(6.0) * 3)
    window, view = compare(a, b)
    with qtbot.waitSignal(window.compared, timeout=TIMEOUT_MS):
        view.correct_match("one", "otro")
    assert view.compared is not None
    assert ("one", "otro") in {delta.pair for delta in view.compared.deltas}
    kept = tmp_path / "mine.comparison.json"
    with qtbot.waitSignal(view.reporting.told, timeout=TIMEOUT_MS):
        view.reporting.save(str(kept))
    window.leave_view()
    with qtbot.waitSignal(window.compared, timeout=TIMEOUT_MS):
        window.compare_with(str(kept))
    again = window.view
    assert isinstance(again, ComparisonView)
    assert again.options.by_hand == {"one": "otro"}


def test_rules_are_previewed_and_used(qtbot: QtBot, compare: Compare, tmp_path: Path) -> None:
    from ckptviewer.ui.dialogs.matching_dialog import RulesDialog

    a, b = tmp_path / "a.npz", tmp_path / "b.npz"
    np.savez(a, **{"net/alpha": np.arange(5.0), "net/beta_x": np.arange(5.0) + 1})
    np.savez(b, **{"net/gamma_y": np.arange(5.0) * 2, "net/delta": np.arange(5.0)})
    window, view = compare(a, b)
    view.ask_for_rules()
    dialog = view.findChild(RulesDialog)
    assert dialog is not None
    dialog.edit.setPlainText("alpha$=gamma_y")
    qtbot.waitUntil(lambda: dialog.listing.topLevelItemCount() == 1, timeout=TIMEOUT_MS)
    item = dialog.listing.topLevelItem(0)
    assert item is not None
    assert [item.text(column) for column in range(3)] == ["net/alpha", "net/gamma_y", "in B"]
    dialog.edit.setPlainText("alpha$=gamma_y\nnone=such")
    qtbot.waitUntil(lambda: "changes nothing: line 2" in dialog.note.text(), timeout=TIMEOUT_MS)
    dialog.edit.setPlainText("alpha(=x")
    dialog.accept()
    assert dialog.isVisible()
    dialog.edit.setPlainText("alpha$=gamma_y")
    with qtbot.waitSignal(window.compared, timeout=TIMEOUT_MS):
        dialog.accept()
    assert view.compared is not None
    assert ("net/alpha", "net/gamma_y") in {delta.pair for delta in view.compared.deltas}


def test_ready_made_rules_can_be_used(qtbot: QtBot, compare: Compare, tmp_path: Path) -> None:
    from ckptviewer.checkpoint.rename_sets import RULE_SETS
    from ckptviewer.ui.dialogs.matching_dialog import RulesDialog

    a, b = tmp_path / "a.npz", tmp_path / "b.npz"
    np.savez(a, **{"net/weights": np.arange(5.0)})
    np.savez(b, **{"net/kernel": np.arange(5.0) * 2})
    _, view = compare(a, b)
    view.ask_for_rules()
    dialog = view.findChild(RulesDialog)
    assert dialog is not None
    ready_made = RULE_SETS["tf1-to-tf2"]
    titles = {action.text(): action for action in dialog.ready_made.actions()}
    titles[ready_made.title].trigger()
    qtbot.waitUntil(lambda: dialog.listing.topLevelItemCount() == 1, timeout=TIMEOUT_MS)
    with qtbot.waitSignal(dialog.chosen, timeout=TIMEOUT_MS) as chosen:
        dialog.accept()
    assert chosen.args[0] == ready_made.rules


def test_thresholds_change_verdicts_at_once(qtbot: QtBot, compare: Compare) -> None:
    from ckptviewer.ui.dialogs.thresholds_dialog import ThresholdsDialog

    _, view = compare(EARLY, demo_checkpoint())
    view.select_variable("digits/hidden/kernel")
    (row,) = view.tree.table.selected_items()
    assert isinstance(row, int)
    assert model_of(view).verdict_text(row) == "retrained"
    view.ask_for_thresholds()
    dialog = view.findChild(ThresholdsDialog)
    assert dialog is not None
    dialog.edits["fine_tuned_relative_l2"].setText("no number")
    dialog.accept()
    assert dialog.problem.isVisible()
    dialog.edits["fine_tuned_relative_l2"].setText("0.6")
    dialog.accept()
    qtbot.waitUntil(lambda: model_of(view).verdict_text(row) == "fine-tuned", timeout=TIMEOUT_MS)


def test_the_restoration_check_passes_for_a_copy_and_fails_after_training(
    compare: Compare, tmp_path: Path
) -> None:
    _, view = compare(demo_checkpoint(), EARLY)
    assert view.overview.check.text() == "Restoration check fails"
    for file in demo_checkpoint().parent.glob("digits.ckpt-600.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    _, view = compare(demo_checkpoint(), tmp_path / demo_checkpoint().name)
    assert view.overview.check.text() == "Restoration check passes"
    assert view.compared is not None
    assert view.compared.comparison.identical


def test_the_command_line_that_is_copied_says_the_same(
    qtbot: QtBot, compare: Compare, pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    window, view = compare(*pair)
    with qtbot.waitSignal(window.compared, timeout=TIMEOUT_MS):
        view.tree.bar.tolerance.choose("1e-6")
    view.reporting.copy_command()
    words = shlex.split(QGuiApplication.clipboard().text())
    assert words[0] == "ckptviewer"
    assert run_cli([*words[1:], "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert {v["key_b"] or v["key_a"]: v["status"] for v in told["variables"]} == {
        key: str(status) for key, status in statuses(view).items()
    }


@pytest.mark.parametrize("ending", [".html", ".md", ".csv", ".json"])
def test_reports_are_saved(
    qtbot: QtBot, compare: Compare, pair: tuple[Path, Path], tmp_path: Path, ending: str
) -> None:
    _, view = compare(*pair)
    path = tmp_path / f"report{ending}"
    with qtbot.waitSignal(view.reporting.told, timeout=TIMEOUT_MS):
        view.reporting.save(str(path))
    text = path.read_text(encoding="utf-8")
    assert "layer/come" in text
    assert ("<svg" in text) == (ending == ".html")


def test_what_cannot_be_opened_is_told_in_the_place_of_the_tree(
    qtbot: QtBot, opened: Open, tmp_path: Path
) -> None:
    window = opened(demo_checkpoint())
    with qtbot.waitSignal(window.failed, timeout=TIMEOUT_MS) as told:
        window.compare_with(str(tmp_path / "nothing"))
    assert "nothing" in told.args[0]
    window.leave_view()
    assert window.view is window.browser


def test_the_menu_of_the_view_has_its_actions(compare: Compare, pair: tuple[Path, Path]) -> None:
    window, _ = compare(*pair)
    menus = [action.menu() for action in window.menuBar().actions()]
    texts = [menu.title() for menu in menus if isinstance(menu, QMenu)]
    assert "&Compare" in texts
