"""The window as a person uses it: opening, choosing, filtering, keys, copying, closing."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shiboken6
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from ckptviewer.analysis.remembered import Remembered
from ckptviewer.checkpoint.errors import MissingShardError
from ckptviewer.checkpoint.text import count_text
from ckptviewer.checkpoint.tree import Group, ViewBy
from ckptviewer.resources import demo_checkpoint
from ckptviewer.ui.main_window import MainWindow
from ckptviewer.ui.models.variable_rows import Column, VariableRowsModel
from ckptviewer.ui.panels.variable_table import LEAST_NAME
from ckptviewer.ui.settings import Settings
from ckptviewer.ui.windows import Windows
from tests.ui.conftest import TIMEOUT_MS, Gate, Open, data_of, idle, index_of

DEMO = str(demo_checkpoint())
DEMO_PREFIX = DEMO.removesuffix(".index")


@pytest.fixture(scope="module")
def truth() -> Mapping[str, np.ndarray]:
    """The values in the demo, as TensorFlow reads them."""
    from tests.builders import values_in

    return values_in(Path(DEMO_PREFIX))


def rows(window: MainWindow) -> VariableRowsModel:
    model = window.browser.table.rows_model()
    assert model is not None
    return model


def shown_keys(window: MainWindow) -> list[str]:
    """The keys of the variables in sight, from top to bottom."""
    model = rows(window)
    found = (model.variable(row) for row in range(model.rowCount()))
    return [v.key for v in found if v is not None]


def key_ending(window: MainWindow, end: str) -> str:
    """The key of the one variable whose name ends so."""
    assert window.session is not None
    variables = window.session.checkpoint.variables
    (key,) = [v.key for v in variables if v.name.endswith(end)]
    return key


def largest(window: MainWindow) -> str:
    assert window.session is not None
    variables = window.session.checkpoint.variables
    return max((v for v in variables if v.dtype == "float32"), key=lambda v: v.stored_bytes).key


def select(window: MainWindow, key: str) -> None:
    assert window.browser.select_variable(key)


def facts(panel: QWidget) -> dict[str, QLabel]:
    """The labelled values that can be seen in a panel."""
    found = {}
    for label in panel.findChildren(QLabel):
        name, colon, _ = label.accessibleName().partition(": ")
        if colon and label.isVisibleTo(panel):
            found[name] = label
    return found


def texts(panel: QWidget) -> str:
    """All that a person can read in a panel."""
    seen = [
        label.text() for label in panel.findChildren(QLabel) if label.isVisibleTo(panel.window())
    ]
    return "\n".join(seen).replace("\u200b", "")


def clipboard() -> str:
    return QGuiApplication.clipboard().text()


def button(panel: QWidget, text: str) -> QPushButton:
    (found,) = [b for b in panel.findChildren(QPushButton) if b.text() == text]
    return found


def wait_for_statistics(window: MainWindow, qtbot: QtBot) -> dict[str, QLabel]:
    panel = window.browser.inspector.variable_panel.distribution
    qtbot.waitUntil(lambda: "Mean" in facts(panel), timeout=TIMEOUT_MS)
    idle(window, qtbot)
    return facts(panel)


# Opening


def test_empty_window_says_what_to_do(window: MainWindow) -> None:
    assert window.windowTitle() == "ckptviewer"
    assert window.pages.currentWidget() is window.welcome
    assert "Drop a checkpoint here" in texts(window.welcome)
    assert not window.top_bar.filter.isEnabled()
    for text in ("Open file\u2026", "Open directory\u2026", "Show the demo"):
        assert button(window.welcome, text).isVisible()


def test_demo_opens_with_its_whole_tree(opened: Open) -> None:
    window = opened()
    assert window.session is not None
    assert window.windowTitle().startswith(Path(DEMO_PREFIX).name)
    assert window.windowTitle().endswith(" - ckptviewer")
    rows(window).expand_all(slots=True)
    assert sorted(shown_keys(window)) == sorted(v.key for v in window.session.checkpoint.variables)
    assert window.pages.currentWidget() is window.browser
    assert window.top_bar.filter.isEnabled()
    assert window.browser.table.hasFocus()


def test_demo_button(window: MainWindow, qtbot: QtBot) -> None:
    with qtbot.waitSignal(window.opened, timeout=TIMEOUT_MS):
        button(window.welcome, "Show the demo").click()
    assert window.windowTitle().startswith(Path(DEMO_PREFIX).name)


@pytest.mark.parametrize("form", ["", ".index", ".data-00000-of-00001", "directory"])
def test_any_path_of_it_opens(form: str, opened: Open, bundle: Path) -> None:
    window = opened(bundle.parent if form == "directory" else f"{bundle}{form}")
    assert window.windowTitle() == f"{bundle.name} - ckptviewer"


def test_overview_tells_what_is_in_it(opened: Open) -> None:
    window = opened()
    overview = window.browser.inspector.overview
    assert overview.isVisible()
    told = texts(overview)
    assert Path(DEMO_PREFIX).name in told
    assert "Bytes by role" in told
    for role in ("weight", "optimizer-slot", "moving-average"):
        assert role in told
    assert "Could training resume?" in told
    assert "600" in told  # the step


def missing(bundle: Path) -> Path:
    return bundle.with_name("nothing-here")


def empty(bundle: Path) -> Path:
    path = bundle.with_name("empty.index")
    path.touch()
    return path


def text_file(bundle: Path) -> Path:
    path = bundle.with_name("notes.txt")
    path.write_text("not a checkpoint\n" * 50)
    return path


def truncated_index(bundle: Path) -> Path:
    os.truncate(index_of(bundle), 300)
    return index_of(bundle)


def empty_directory(bundle: Path) -> Path:
    path = bundle.with_name("void")
    path.mkdir()
    return path


@pytest.mark.parametrize(
    "harm",
    [missing, empty, text_file, truncated_index, empty_directory],
    ids=lambda harm: harm.__name__,
)
def test_what_cannot_be_opened_says_what_where_and_the_remedy(
    harm: Any, window: MainWindow, bundle: Path, qtbot: QtBot
) -> None:
    path = harm(bundle)
    with qtbot.waitSignal(window.failed, timeout=TIMEOUT_MS) as told:
        window.open_path(str(path))
    assert window.pages.currentWidget() is window.problem
    page = texts(window.problem)
    lines = [line for line in page.splitlines() if line]
    assert lines[0] == "This could not be opened"
    assert len(lines) == 4  # the title; what, where, remedy
    what, where, remedy = lines[1:]
    assert what.endswith(".")
    assert path.name in where
    assert remedy.endswith((".", "?"))
    assert "should not" not in what
    assert told.args == [window.problem.text()]
    assert all(part in window.problem.text() for part in (what, where, remedy))
    assert not window.top_bar.filter.isEnabled()
    assert window.windowTitle() == f"{path.name} - ckptviewer"
    button(window.problem, "Copy this message").click()
    assert clipboard() == window.problem.text()


def test_try_again_after_the_file_has_come(window: MainWindow, bundle: Path, qtbot: QtBot) -> None:
    away = index_of(bundle).rename(bundle.with_name("away"))
    with qtbot.waitSignal(window.failed, timeout=TIMEOUT_MS):
        window.open_path(str(index_of(bundle)))
    away.rename(index_of(bundle))
    with qtbot.waitSignal(window.opened, timeout=TIMEOUT_MS):
        button(window.problem, "Try again").click()
    assert window.pages.currentWidget() is window.browser


def test_unforeseen_error_is_shown_too(
    window: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("ckptviewer.ui.main_window.open_session", fail)
    with qtbot.waitSignal(window.failed, timeout=TIMEOUT_MS):
        window.open_path("anything")
    assert "ZeroDivisionError: by zero" in texts(window.problem)


def test_cancel_while_opening(window: MainWindow, slow_opening: Gate, qtbot: QtBot) -> None:
    window.open_path("slow.index")
    qtbot.waitUntil(slow_opening.entered.is_set, timeout=TIMEOUT_MS)
    assert window.pages.currentWidget() is window.opening
    assert "Opening slow.index" in texts(window.opening)
    button(window.opening, "Cancel").click()
    assert window.pages.currentWidget() is window.welcome
    assert window.windowTitle() == "ckptviewer"
    slow_opening.release()
    qtbot.waitUntil(slow_opening.passed.is_set, timeout=TIMEOUT_MS)
    idle(window, qtbot)
    assert window.pages.currentWidget() is window.welcome


def test_cancel_while_another_is_open_goes_back_to_it(
    opened: Open, slow_opening: Gate, qtbot: QtBot
) -> None:
    window = opened()
    title = window.windowTitle()
    window.open_path("slow.index")
    assert window.windowTitle() == "slow.index - ckptviewer"
    qtbot.keyClick(window.opening, Qt.Key.Key_Escape)
    assert window.pages.currentWidget() is window.browser
    assert window.windowTitle() == title
    slow_opening.release()
    with qtbot.waitSignal(window.opened, timeout=TIMEOUT_MS):
        window.reload()  # of what is in sight
    assert window.windowTitle() == title


def test_later_wish_wins_over_a_slow_one(
    window: MainWindow, slow_opening: Gate, bundle: Path, qtbot: QtBot
) -> None:
    slow = bundle.parent / "slow"
    slow.mkdir()
    for path in bundle.parent.glob("digits*"):
        shutil.copy(path, slow / path.name.replace("digits", "other"))
    window.open_path(str(next(slow.glob("*.index"))))
    qtbot.waitUntil(slow_opening.entered.is_set, timeout=TIMEOUT_MS)
    with qtbot.waitSignal(window.opened, timeout=TIMEOUT_MS):
        window.open_path(str(bundle))
    slow_opening.release()
    qtbot.waitUntil(slow_opening.passed.is_set, timeout=TIMEOUT_MS)
    idle(window, qtbot)
    assert window.windowTitle() == f"{bundle.name} - ckptviewer"
    assert window.session is not None
    assert window.session.checkpoint.path == str(bundle)


def test_second_path_has_a_window_of_its_own(
    windows: Windows, opened: Open, bundle: Path, qtbot: QtBot
) -> None:
    window = opened()
    before = set(QApplication.topLevelWidgets())
    windows.show_path(str(bundle))
    (other,) = [
        w for w in QApplication.topLevelWidgets() if w not in before and isinstance(w, MainWindow)
    ]
    qtbot.waitUntil(lambda: other.session is not None, timeout=TIMEOUT_MS)
    idle(other, qtbot)
    assert other.windowTitle() == f"{bundle.name} - ckptviewer"
    other.close()
    assert window.isVisible()
    select(window, largest(window))
    assert wait_for_statistics(window, qtbot)


# Drag and drop


def dropped(window: MainWindow, target: QWidget, *paths: Path | str) -> QDropEvent:
    """Drag local files over a widget of the window and let them fall, as the system would."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    at = target.mapTo(window, QPoint(5, 5)) if target is not window else QPoint(5, 5)
    copy, left, none = (
        Qt.DropAction.CopyAction,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    entering = QDragEnterEvent(at, copy, data, left, none)
    window.dragEnterEvent(entering)
    assert entering.isAccepted()
    drop = QDropEvent(QPointF(at), copy, data, left, none)
    window.dropEvent(drop)
    return drop


def test_dropped_file_opens(window: MainWindow, bundle: Path, qtbot: QtBot) -> None:
    with qtbot.waitSignal(window.opened, timeout=TIMEOUT_MS):
        assert dropped(window, window.welcome, index_of(bundle)).isAccepted()
    assert window.windowTitle() == f"{bundle.name} - ckptviewer"


def test_other_dropped_files_get_windows_of_their_own(
    window: MainWindow, bundle: Path, qtbot: QtBot
) -> None:
    wanted: list[str] = []
    window.path_wanted.disconnect()
    window.path_wanted.connect(wanted.append)
    with qtbot.waitSignal(window.opened, timeout=TIMEOUT_MS):
        dropped(window, window, index_of(bundle), "/some/where", "/else/where")
    assert wanted == ["/some/where", "/else/where"]


def test_dragged_text_and_remote_files_are_refused(window: MainWindow) -> None:
    words, remote = QMimeData(), QMimeData()
    words.setText("model.index")
    remote.setUrls([QUrl("https://example.org/model.index")])
    for data in (words, remote):
        event = QDragEnterEvent(
            QPoint(5, 5),
            Qt.DropAction.CopyAction,
            data,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
        event.setAccepted(False)
        window.dragEnterEvent(event)
        assert not event.isAccepted()


def test_no_widget_within_takes_the_file_for_itself(opened: Open) -> None:
    window = opened()
    takers = [w for w in window.findChildren(QWidget) if w.acceptDrops()]
    assert takers == []  # the filter would take a file's name for a text


# Memory


def test_recent_files_are_remembered_and_offered(
    windows: Windows, opened: Open, bundle: Path, settings_file: Path, qtbot: QtBot
) -> None:
    opened(DEMO)
    window = opened(bundle)
    saved = json.loads(settings_file.read_text())
    assert saved["recent_files"] == [str(bundle), DEMO]
    opened(DEMO)
    window.actions_.recent_menu.aboutToShow.emit()
    offered = window.actions_.recent_menu.actions()
    assert [Path(a.text()).name for a in offered] == [Path(DEMO).name, bundle.name]
    with qtbot.waitSignal(window.opened, timeout=TIMEOUT_MS):
        offered[1].trigger()
    assert window.windowTitle() == f"{bundle.name} - ckptviewer"

    other = windows.make()
    other.show()
    links = [b for b in other.welcome.findChildren(QPushButton) if b.objectName() == "recent"]
    assert [link.toolTip() for link in links] == [str(bundle), DEMO]
    with qtbot.waitSignal(other.opened, timeout=TIMEOUT_MS):
        links[0].click()
    assert Settings().recent_files == [str(bundle), DEMO]


def test_relative_path_is_remembered_in_full(
    opened: Open, bundle: Path, monkeypatch: pytest.MonkeyPatch, settings_file: Path
) -> None:
    monkeypatch.chdir(bundle.parent)
    opened(bundle.name)
    assert json.loads(settings_file.read_text())["recent_files"] == [str(bundle)]


def test_what_could_not_be_opened_is_not_remembered(
    window: MainWindow, tmp_path: Path, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(window.failed, timeout=TIMEOUT_MS):
        window.open_path(str(tmp_path / "no-such"))
    assert Settings().recent_files == []


def test_window_remembers_size_and_view(windows: Windows, opened: Open) -> None:
    window = opened()
    window.resize(777, 666)
    window.browser.choose_view(ViewBy.ROLE)
    window.close()
    other = windows.make()
    assert (other.width(), other.height()) == (777, 666)
    assert other.browser.view_by is ViewBy.ROLE
    assert Settings().get("view_by", "") == "role"


# Statistics


@pytest.mark.parametrize("end", ["hidden/kernel", "conv/kernel", "digit/bias"])
def test_selected_variable_shows_the_statistics_that_numpy_computes(
    end: str, opened: Open, truth: Mapping[str, np.ndarray], qtbot: QtBot
) -> None:
    window = opened()
    assert window.session is not None
    key = next(
        v.key
        for v in window.session.checkpoint.variables
        if v.name.endswith(end) and v.role in ("weight", "bias")
    )
    select(window, key)
    labels = wait_for_statistics(window, qtbot)
    values = truth[key].astype(np.float64)
    deviations = values - values.mean()
    expected = {
        "Mean": values.mean(),
        "Std": values.std(),
        "Min": values.min(),
        "Max": values.max(),
        "Skewness": (deviations**3).mean() / values.std() ** 3,
        "Excess kurtosis": (deviations**4).mean() / values.std() ** 4 - 3,
        "L2 norm": np.sqrt((values**2).sum()),
        "L1 norm": np.abs(values).sum(),
    }
    for name, value in expected.items():
        assert float(labels[name].toolTip()) == pytest.approx(value, rel=1e-9, abs=1e-12), name
        shown = float(labels[name].text().replace("\u2212", "-").replace("\u2009", ""))
        assert shown == pytest.approx(value, rel=1e-4), name
    for name, count in {
        "Zeros": (values == 0).sum(),
        "NaN": np.isnan(values).sum(),
        "Inf": np.isinf(values).sum(),
    }.items():
        assert labels[name].toolTip() == f"{count} of {count_text(values.size)}"


def test_histogram_counts_every_element(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    assert window.session is not None
    key = largest(window)
    select(window, key)
    wait_for_statistics(window, qtbot)
    panel = window.browser.inspector.variable_panel.distribution
    count = window.session.checkpoint.by_key[key].element_count
    for bins in ("16", "256"):
        for scale in ("linear", "log |x|"):
            panel._bins.choose(bins)
            panel._x_scale.choose(scale)
            idle(window, qtbot)
            assert panel._plot is not None
            histogram = panel._plot._histogram
            assert histogram is not None
            assert histogram.total == count
            if scale == "linear":
                assert len(histogram.counts) == int(bins)
                assert int(histogram.counts.sum()) == count


def test_variables_of_every_kind_can_be_selected(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    assert window.session is not None
    panel = window.browser.inspector.variable_panel
    for v in window.session.checkpoint.variables:
        select(window, v.key)
        idle(window, qtbot)
        assert panel.isVisible()
        told = texts(panel)
        assert "Reading" not in told
        assert "should not" not in told
        assert v.dtype in told


def test_tabs(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    key = largest(window)
    select(window, key)
    wait_for_statistics(window, qtbot)
    tabs = window.browser.inspector.variable_panel.tabs
    names = [tabs.tabText(number) for number in range(tabs.count())]
    assert {"Distribution", "Details"} <= set(names)
    tabs.setCurrentIndex(names.index("Details"))
    told = facts(window.browser.inspector.variable_panel)
    assert told["Key"].accessibleName() == f"Key: {key}"
    assert {"Shape", "Dtype", "Stored", "Role", "Trainable"} <= set(told)


def test_copy_as_python_runs_with_tensorflow(
    opened: Open, truth: Mapping[str, np.ndarray], qtbot: QtBot
) -> None:
    window = opened()
    key = largest(window)
    select(window, key)
    panel = window.browser.inspector.variable_panel
    QGuiApplication.clipboard().clear()
    button(panel, "Copy as Python").click()
    names: dict[str, Any] = {}
    exec(clipboard(), names)  # it is ours; people paste it into a notebook
    np.testing.assert_array_equal(names["value"], truth[key])


def test_nothing_selected_has_no_python_to_copy(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    select(window, largest(window))
    window.browser.show_overview()
    QGuiApplication.clipboard().setText("before")
    window.browser.inspector.variable_panel.copy_as_python()
    assert clipboard() == "before"


def test_group_shows_the_sum_of_what_is_in_it(opened: Open) -> None:
    window = opened()
    model = rows(window)
    row = next(r for r in range(model.rowCount()) if isinstance(model.item(r), Group))
    window.browser.table.selectRow(row)
    group = model.item(row)
    assert isinstance(group, Group)
    assert window.browser.inspector.overview.isVisible()
    assert f"{group.variable_count} variables" in texts(window.browser.inspector.overview)


# Stale results


@pytest.fixture
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is selected is read, whatever earlier runs have measured."""
    monkeypatch.setattr(Remembered, "known", lambda _self, _keys: {})


@pytest.fixture
def slow_statistics(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, nothing_remembered: None
) -> Iterator[Gate]:
    """The statistics of the first variable that is asked for wait at the gate."""
    from ckptviewer.analysis import statistics

    first: list[str] = []
    lock = threading.Lock()
    of = statistics.statistics_of

    def slowly(checkpoint: Any, variable: Any, **options: Any) -> Any:
        with lock:
            first[:] = first or [variable.key]
        if first == [variable.key]:
            gate.hold()
            options["cancel"] = None  # it never learns that it is not wanted
        return of(checkpoint, variable, **options)

    monkeypatch.setattr(statistics, "statistics_of", slowly)
    yield gate
    gate.release()


def test_result_of_what_is_no_longer_selected_never_shows(
    opened: Open, slow_statistics: Gate, truth: Mapping[str, np.ndarray], qtbot: QtBot
) -> None:
    window = opened()
    assert window.session is not None
    kernels = [v.key for v in window.session.checkpoint.variables if v.role == "weight"]
    first, second = kernels[:2]
    select(window, first)
    qtbot.waitUntil(slow_statistics.entered.is_set, timeout=TIMEOUT_MS)
    assert "Reading" in texts(window.browser.inspector.variable_panel)
    select(window, second)
    labels = wait_for_statistics(window, qtbot)
    mean = labels["Mean"].toolTip()
    assert float(mean) == pytest.approx(truth[second].astype(np.float64).mean())
    slow_statistics.release()
    qtbot.waitUntil(slow_statistics.passed.is_set, timeout=TIMEOUT_MS)
    after = window.jobs.start("After", lambda _c, _r: None)
    with qtbot.waitSignal(after.ended, timeout=TIMEOUT_MS):
        pass
    panel = window.browser.inspector.variable_panel.distribution
    assert facts(panel)["Mean"].toolTip() == mean
    assert window.session.checkpoint.by_key[second].name.replace("/", " / ") in (
        window.browser.inspector.variable_panel._title.whole_text()
    )


def test_cancel_in_the_status_line_and_by_escape(
    opened: Open, slow_statistics: Gate, qtbot: QtBot
) -> None:
    window = opened()
    select(window, largest(window))
    qtbot.waitUntil(slow_statistics.entered.is_set, timeout=TIMEOUT_MS)
    cancel = window.status_line._cancel
    qtbot.waitUntil(cancel.isVisible, timeout=TIMEOUT_MS)
    qtbot.keyClick(window.browser.table, Qt.Key.Key_Escape)
    assert window.jobs.running == ()
    assert not cancel.isVisible()
    assert "Cancelled." in texts(window.browser.inspector.variable_panel)


def test_closing_while_a_job_runs_neither_hangs_nor_crashes(
    opened: Open, slow_statistics: Gate, qtbot: QtBot
) -> None:
    window = opened()
    select(window, largest(window))
    qtbot.waitUntil(slow_statistics.entered.is_set, timeout=TIMEOUT_MS)
    # Should closing wait for the work, this lets it end, and the test fails instead of hanging.
    rescue = threading.Timer(20, slow_statistics.release)
    rescue.start()
    window.close()
    rescue.cancel()
    assert not slow_statistics.passed.is_set()
    slow_statistics.release()
    qtbot.waitUntil(slow_statistics.passed.is_set, timeout=TIMEOUT_MS)


def test_closing_while_a_checkpoint_is_being_opened(
    window: MainWindow, slow_opening: Gate, qtbot: QtBot
) -> None:
    window.open_path("slow.index")
    qtbot.waitUntil(slow_opening.entered.is_set, timeout=TIMEOUT_MS)
    rescue = threading.Timer(20, slow_opening.release)
    rescue.start()
    window.close()
    rescue.cancel()
    assert not slow_opening.passed.is_set()
    slow_opening.release()
    qtbot.waitUntil(slow_opening.passed.is_set, timeout=TIMEOUT_MS)


# Damage, and files that change


def test_truncated_shard_keeps_what_it_lacks_in_the_tree(
    opened: Open, bundle: Path, qtbot: QtBot
) -> None:
    os.truncate(data_of(bundle), 30_000)
    window = opened(bundle)
    assert window.session is not None
    model = rows(window)
    model.expand_all(slots=True)
    reasons = {}
    for row in range(model.rowCount()):
        v = model.variable(row)
        if v is not None:
            reasons[v.key] = str(model.index(row, Column.HEALTH).data() or "")
    damaged = [key for key, reason in reasons.items() if reason]
    sound = [
        key
        for key, reason in reasons.items()
        if not reason and window.session.checkpoint.by_key[key].dtype == "float32"
    ]
    assert damaged
    assert sound
    assert not window.browser.table.isColumnHidden(Column.HEALTH)
    panel = window.browser.inspector.variable_panel

    select(window, damaged[0])
    idle(window, qtbot)
    told = texts(panel)
    assert "30,000" in told.replace("\u2009", ",")
    assert "should not" not in told
    for key in sound[:3]:
        select(window, key)
        assert wait_for_statistics(window, qtbot)

    window.top_bar.filter.setText("damaged")
    assert set(shown_keys(window)) <= set(damaged) | set(reasons)
    assert rows(window).match_count() == len(damaged)


def test_missing_shard_shows_the_tree_and_why(opened: Open, bundle: Path, qtbot: QtBot) -> None:
    data_of(bundle).unlink()
    window = opened(bundle)
    assert "error" in window.status_line._findings.text()
    assert data_of(bundle).name in texts(window.browser.inspector.overview)
    select(window, largest(window))
    idle(window, qtbot)
    assert "missing" in texts(window.browser.inspector.variable_panel)


def changed_in_place(prefix: Path) -> None:
    data = data_of(prefix).read_bytes()
    data_of(prefix).write_bytes(bytes(reversed(data)) + b"more")


def replaced(prefix: Path) -> None:
    for path in (data_of(prefix), index_of(prefix)):
        aside = path.with_name("aside")
        shutil.copy(path, aside)
        os.utime(aside, (1, 1))
        aside.replace(path)


def deleted(prefix: Path) -> None:
    data_of(prefix).unlink()


def truncated(prefix: Path) -> None:
    os.truncate(data_of(prefix), 10)


CHANGES = [changed_in_place, replaced, deleted, truncated]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_file_that_changes_under_us_is_noticed(
    change: Any, opened: Open, bundle: Path, qtbot: QtBot
) -> None:
    window = opened(bundle)
    banner = window.browser._banner
    assert not banner.isVisible()
    change(bundle)
    qtbot.waitUntil(banner.isVisible, timeout=TIMEOUT_MS)
    idle(window, qtbot)
    assert "changed" in texts(banner)
    if change is not replaced:
        shutil.copy(data_of(Path(DEMO_PREFIX)), data_of(bundle))
    with qtbot.waitSignal(window.opened, timeout=TIMEOUT_MS):
        button(banner, "Reload").click()
    idle(window, qtbot)
    assert not banner.isVisible()
    select(window, largest(window))
    assert wait_for_statistics(window, qtbot)


def test_change_is_noticed_when_the_window_is_looked_at_again(
    opened: Open, bundle: Path, qtbot: QtBot
) -> None:
    window = opened(bundle)
    assert window.watch._watcher is not None
    window.watch._watcher.removePaths(window.watch._watcher.files())  # as on a network share
    replaced(bundle)
    other = QWidget()
    qtbot.addWidget(other)
    other.show()
    other.activateWindow()
    qtbot.waitUntil(other.isActiveWindow, timeout=TIMEOUT_MS)
    window.activateWindow()
    qtbot.waitUntil(window.browser._banner.isVisible, timeout=TIMEOUT_MS)


@pytest.mark.usefixtures("nothing_remembered")
@pytest.mark.parametrize("change", [changed_in_place, truncated], ids=lambda c: c.__name__)
def test_values_of_a_changed_file_are_not_shown_as_those_of_the_opened_one(
    change: Any, opened: Open, bundle: Path, qtbot: QtBot
) -> None:
    window = opened(bundle)
    window.watch.stop()  # reading notices by itself
    change(bundle)
    select(window, largest(window))
    qtbot.waitUntil(window.browser._banner.isVisible, timeout=TIMEOUT_MS)
    idle(window, qtbot)
    assert "Mean" not in facts(window.browser.inspector.variable_panel.distribution)


def test_reload_keeps_the_filter(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    window.top_bar.filter.setText("conv")
    before = shown_keys(window)
    with qtbot.waitSignal(window.opened, timeout=TIMEOUT_MS):
        window.reload()
    assert window.top_bar.filter.text() == "conv"
    assert shown_keys(window) == before


@pytest.mark.usefixtures("nothing_remembered")
def test_error_while_reading_is_shown_in_its_place(
    opened: Open, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = opened()
    assert window.session is not None

    def fail(*_: Any, **__: Any) -> Any:
        raise MissingShardError("shard 7 is away", where="m.data-7", remedy="Bring it back.")

    monkeypatch.setattr("ckptviewer.analysis.statistics.statistics_of", fail)
    select(window, largest(window))
    idle(window, qtbot)
    told = texts(window.browser.inspector.variable_panel)
    for part in ("Shard 7 is away.", "m.data-7", "Bring it back."):
        assert part in told


# The filter


def typed(window: MainWindow, qtbot: QtBot, text: str) -> None:
    window.top_bar.filter.setFocus()
    qtbot.keyClicks(window.top_bar.filter, text)


def test_filter_narrows_escape_clears_and_down_goes_to_the_tree(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    assert window.session is not None
    all_keys = shown_keys(window)
    typed(window, qtbot, "conv role:weight")
    expected = [
        v.key
        for v in window.session.checkpoint.variables
        if "conv" in f"{v.key} {v.name}" and v.role == "weight"
    ]
    assert expected
    assert shown_keys(window) == expected
    count = len(window.session.checkpoint.variables)
    assert f"{len(expected)} of {count} variables" in texts(window.browser)
    filter_ = window.top_bar.filter
    qtbot.keyClick(filter_, Qt.Key.Key_Down)
    assert window.browser.table.hasFocus()
    assert window.browser.table.selected_items() == [rows(window).item(0)]
    filter_.setFocus()
    qtbot.keyClick(filter_, Qt.Key.Key_Escape)
    assert filter_.text() == ""
    assert shown_keys(window) == all_keys
    qtbot.keyClick(filter_, Qt.Key.Key_Escape)
    assert window.browser.table.hasFocus()


def test_filter_that_nothing_matches_says_so(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    typed(window, qtbot, "zzzz")
    assert shown_keys(window) == []
    assert "No variable matches the filter" in texts(window.browser)
    window.browser.table.setFocus()
    qtbot.keyClick(window.browser.table, Qt.Key.Key_Escape)  # as the message says
    assert window.top_bar.filter.text() == ""
    assert "No variable matches the filter" not in texts(window.browser)
    assert shown_keys(window)


def test_selection_outlives_the_filter(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    key = largest(window)
    select(window, key)
    selected = window.browser.table.selected_items()
    typed(window, qtbot, window.session.checkpoint.by_key[key].name)  # type: ignore[union-attr]
    assert window.browser.table.selected_items() == selected
    window.top_bar.filter.clear()
    assert window.browser.table.selected_items() == selected


def test_ctrl_f_goes_to_the_filter(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    window.activateWindow()
    qtbot.keyClick(window.browser.table, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    assert window.top_bar.filter.hasFocus()


@pytest.mark.parametrize("text", ["rank:\u00b2", "size>" + "9" * 400, "((([", '"', "-", "role:"])
def test_odd_filters_do_no_harm(text: str, opened: Open, qtbot: QtBot) -> None:
    window = opened()
    for end in range(len(text) + 1):
        window.top_bar.filter.setText(text[:end])
    window.top_bar.filter.clear()
    assert shown_keys(window)


# Keys in the tree


def test_arrows_walk_and_unfold_the_tree(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    table, model = window.browser.table, rows(window)
    model.collapse_all()
    row = next(r for r in range(model.rowCount()) if isinstance(model.item(r), Group))
    table.setCurrentIndex(model.index(row, 0))

    def press(key: Qt.Key) -> int:
        qtbot.keyClick(table, key)
        return table.currentIndex().row()

    count = model.rowCount()
    assert press(Qt.Key.Key_Right) == row
    assert model.is_expanded(row)
    assert model.rowCount() > count
    assert press(Qt.Key.Key_Right) == row + 1
    assert press(Qt.Key.Key_Left) == row
    assert press(Qt.Key.Key_Left) == row
    assert not model.is_expanded(row)
    assert model.rowCount() == count
    for key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
        before = model.is_expanded(row)
        assert press(key) == row
        assert model.is_expanded(row) is not before
    model.collapse_all()
    qtbot.keyClick(table, Qt.Key.Key_Asterisk)
    groups = [r for r in range(model.rowCount()) if isinstance(model.item(r), Group)]
    assert groups
    assert all(model.is_expanded(r) for r in groups)


def test_asterisk_keeps_the_place(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    table, model = window.browser.table, rows(window)
    key = largest(window)
    select(window, key)
    selected = table.selected_items()
    qtbot.keyClick(table, Qt.Key.Key_Asterisk)
    assert table.selected_items() == selected
    assert model.item(table.currentIndex().row()) == selected[0]


def test_down_reads_the_next_variable(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    table, model = window.browser.table, rows(window)
    row = next(r for r in range(model.rowCount() - 1)
               if model.variable(r) and model.variable(r + 1))  # fmt: skip
    table.setCurrentIndex(model.index(row, 0))
    qtbot.keyClick(table, Qt.Key.Key_Down)
    below = model.variable(row + 1)
    assert below is not None
    title = window.browser.inspector.variable_panel._title.whole_text()
    assert title == below.name.replace("/", " / ")


def test_mouse_unfolds_by_the_chevron(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    table, model = window.browser.table, rows(window)
    row = next(r for r in range(model.rowCount()) if isinstance(model.item(r), Group))
    before = model.is_expanded(row)
    rect = table.visualRect(model.index(row, 0))
    depth = model.depth(row)
    at = QPoint(rect.left() + 8 + depth * 15 + 4, rect.center().y())
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert model.is_expanded(row) is not before


# View by


@pytest.mark.parametrize("view_by", [v for v in ViewBy if v is not ViewBy.NAME])
def test_view_by(view_by: ViewBy, opened: Open, qtbot: QtBot) -> None:
    window = opened()
    assert window.session is not None
    key = largest(window)
    select(window, key)
    (action,) = [a for a in window.browser.view_menu.actions() if a.data() == str(view_by)]
    action.trigger()
    qtbot.waitUntil(lambda: rows(window).tree.view_by is view_by, timeout=TIMEOUT_MS)
    idle(window, qtbot)
    model = rows(window)
    (selected,) = window.browser.table.selected_items()
    assert isinstance(selected, int)
    assert model.tree.variables[selected].key == key
    model.expand_all(slots=True)
    assert sorted(shown_keys(window)) == sorted(v.key for v in window.session.checkpoint.variables)
    assert f"View by: {view_by}" in window.browser._view_button.text()
    if view_by is ViewBy.ROLE:
        tops = {model.tree.paths[selected].split("/")[0]}
        assert tops == {str(model.tree.variables[selected].role)}


def test_filter_stays_when_the_view_changes(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    window.top_bar.filter.setText("conv")
    before = sorted(shown_keys(window))
    window.browser.choose_view(ViewBy.DTYPE)
    qtbot.waitUntil(lambda: rows(window).tree.view_by is ViewBy.DTYPE, timeout=TIMEOUT_MS)
    idle(window, qtbot)
    model = rows(window)
    matching = [
        v.key
        for row in range(model.rowCount())
        if (v := model.variable(row)) and "conv" in f"{v.key} {v.name}"
    ]
    assert set(matching) <= set(before)
    assert model.match_count() == len(matching)


def test_views_chosen_quickly_end_with_the_last(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    for view_by in (ViewBy.ROLE, ViewBy.DTYPE, ViewBy.SHARD, ViewBy.NAME, ViewBy.DTYPE):
        window.browser.choose_view(view_by)
    qtbot.waitUntil(lambda: rows(window).tree.view_by is ViewBy.DTYPE, timeout=TIMEOUT_MS)
    idle(window, qtbot)
    assert rows(window).tree.view_by is ViewBy.DTYPE
    window.browser.choose_view(ViewBy.ROLE)
    window.browser.choose_view(ViewBy.DTYPE)
    idle(window, qtbot)
    assert rows(window).tree.view_by is ViewBy.DTYPE


# Copying


def test_rows_copy_as_tab_separated_values(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    assert window.session is not None
    model, table = rows(window), window.browser.table
    table.selectAll()
    qtbot.keyClick(table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    lines = clipboard().rstrip("\n").split("\n")
    table_rows = [line.split("\t") for line in lines]
    assert table_rows[0] == ["key", "name", "shape", "dtype", "stored_bytes", "role"]
    assert {len(row) for row in table_rows} == {6}
    assert len(table_rows) == model.rowCount() + 1
    for row, cells in enumerate(table_rows[1:]):
        v = model.variable(row)
        if v is not None:
            shape = "x".join(map(str, v.shape))
            assert cells == [v.key, v.name, shape, v.dtype, str(v.stored_bytes), str(v.role)]


def test_keys_copy(opened: Open) -> None:
    window = opened()
    window.browser.table.selectAll()
    window.browser.copy_keys()
    assert clipboard().split("\n") == shown_keys(window)


# Light and dark


def test_theme_changes_at_run_time(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    select(window, largest(window))
    wait_for_statistics(window, qtbot)

    def mean_lightness() -> float:
        image = window.grab().toImage()
        step = 37
        seen = [
            image.pixelColor(x, y).lightness()
            for x in range(0, image.width(), step)
            for y in range(0, image.height(), step)
        ]
        return sum(seen) / len(seen)

    light = mean_lightness()
    (dark_action,) = [a for a in window.findChildren(type(window.actions_.of_browser[0]))
                      if a.text() == "Dark"]  # fmt: skip
    dark_action.trigger()
    assert window.appearance.theme.name == "dark"
    dark = mean_lightness()
    assert light > 180
    assert dark < 90
    window.close()
    assert Settings().get("theme", "") == "dark"


def test_window_that_is_closed_is_gone(
    windows: Windows, opened: Open, bundle: Path, qtbot: QtBot
) -> None:
    opened()
    other = windows.make()
    other.show()
    with qtbot.waitSignal(other.opened, timeout=TIMEOUT_MS):
        other.open_path(str(bundle))
    idle(other, qtbot)
    appearance = other.appearance
    other.close()
    qtbot.waitUntil(lambda: not shiboken6.isValid(other), timeout=TIMEOUT_MS)
    appearance.choose("dark")  # must not be drawn by what is no longer there


def test_statistics_that_are_remembered_are_those_of_the_file(
    windows: Windows, opened: Open, truth: Mapping[str, np.ndarray], qtbot: QtBot
) -> None:
    window = opened()
    key = largest(window)
    window.close()
    again = windows.make()
    again.show()
    with qtbot.waitSignal(again.opened, timeout=TIMEOUT_MS):
        again.open_path(DEMO)
    idle(again, qtbot)
    select(again, key)
    labels = wait_for_statistics(again, qtbot)
    assert float(labels["Mean"].toolTip()) == pytest.approx(truth[key].astype(np.float64).mean())


def test_names_can_be_told_apart_in_a_narrow_window(opened: Open) -> None:
    window = opened()
    window.resize(700, 500)
    table = window.browser.table
    assert table.columnWidth(0) >= LEAST_NAME
    window.resize(1400, 500)
    assert table.columnWidth(0) > LEAST_NAME
    window.resize(700, 500)
    assert table.columnWidth(0) >= LEAST_NAME


def test_what_is_shown_is_selected_alone_whatever_key_is_down(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    qtbot.keyPress(window, Qt.Key.Key_Control, Qt.KeyboardModifier.ControlModifier)
    for key in ("digits/norm/gamma", "digits/hidden/bias"):
        select(window, key)
        assert len(window.browser.table.selected_items()) == 1
    qtbot.keyRelease(window, Qt.Key.Key_Control)
