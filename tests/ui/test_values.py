"""The tab Values: its cells are NumPy's, whatever the slice; only what is in sight is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from PySide6.QtCore import QItemSelection, QItemSelectionModel, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from ckptviewer.analysis.landmarks import Landmark
from ckptviewer.analysis.slicing import plane_of
from ckptviewer.checkpoint.checkpoint import Region
from ckptviewer.checkpoint.errors import ChangedFileError, TruncatedFileError
from ckptviewer.checkpoint.tree import ViewBy
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Jobs
from ckptviewer.ui.models import values_model
from ckptviewer.ui.models.values_model import WAITING, ValuesModel
from ckptviewer.ui.panels.values import ValuesPanel
from ckptviewer.ui.session import Session
from tests.analysis.memory_checkpoint import MemoryCheckpoint
from tests.ui.conftest import TIMEOUT_MS, Gate, Open, idle

RNG = np.random.default_rng(2)


class Watched(MemoryCheckpoint):
    """Counts the elements that are read; waits at a gate, if it has one, before each read."""

    gate: Gate | None = None
    elements = 0

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        if self.gate is not None:
            self.gate.hold()
        values = super().read(variable, region)
        self.elements += values.size
        return values


class Endless(MemoryCheckpoint):
    """A float32 tensor of any size, of which each element is the number of its column."""

    def __init__(self, shape: tuple[int, int]) -> None:
        super().__init__({"x": np.zeros(1, np.float32)})
        count = shape[0] * shape[1]
        huge = self.variables[0]._replace(shape=shape, stored_bytes=4 * count)
        self.variables = [huge]
        self.elements = 0

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        assert region is not None
        rows, columns = (
            range(*part.indices(size)) for part, size in zip(region, variable.shape, strict=True)
        )
        self.elements += len(rows) * len(columns)
        assert len(rows) * len(columns) < 1_000_000
        return np.tile(np.asarray(columns, np.float32), (len(rows), 1))


def session_of(checkpoint: MemoryCheckpoint) -> Session:
    return Session("memory", checkpoint, ViewBy.NAME)


@pytest.fixture
def panel(jobs: Jobs, appearance: Appearance, qtbot: QtBot) -> ValuesPanel:
    panel = ValuesPanel(jobs, appearance)
    qtbot.addWidget(panel)
    panel.resize(500, 600)
    panel.show()
    qtbot.waitExposed(panel)
    return panel


Show = Callable[[np.ndarray], Watched]


@pytest.fixture
def show(panel: ValuesPanel, qtbot: QtBot) -> Show:
    """Shows an array in the panel, and waits until what is in sight is there."""

    def show_(values: np.ndarray) -> Watched:
        checkpoint = Watched({"x": values})
        panel.show_variable(session_of(checkpoint), checkpoint["x"])
        settle(panel, qtbot)
        return checkpoint

    return show_


def settle(panel: ValuesPanel, qtbot: QtBot) -> None:
    """Wait until no cell in sight is still a placeholder, and nothing runs."""

    def done() -> bool:
        panel.table.viewport().repaint()
        return not panel._jobs.running and not panel.model._soon.isActive()

    qtbot.waitUntil(done, timeout=TIMEOUT_MS)


def text_at(panel: ValuesPanel, qtbot: QtBot, row: int, column: int) -> str:
    """What a person reads in a cell, once they have scrolled there."""
    panel.table.select_cell(row, column)
    settle(panel, qtbot)
    return str(panel.model.index(row, column).data())


def number(text: str) -> float:
    return float(text.replace("\u2212", "-").replace("\u2009", "").replace("Inf", "inf"))


def message(panel: ValuesPanel) -> str:
    label = panel._message.label
    assert isinstance(label, QLabel)
    return label.text().replace("\u200b", "") if label.isVisible() else ""


# What the cells say


def test_cells_of_random_slices_of_five_axes(panel: ValuesPanel, show: Show, qtbot: QtBot) -> None:
    values = RNG.normal(size=(5, 70, 6, 40, 7)).astype(np.float32)
    show(values)
    for _ in range(12):
        row_axis, column_axis = (int(a) for a in RNG.choice(5, 2, replace=False))
        at = [int(RNG.integers(size)) for size in values.shape]
        assert panel.picker.rows is not None
        panel.picker._choose(plane_of(values.shape, row_axis, column_axis, at))
        for _ in range(4):
            row = int(RNG.integers(values.shape[row_axis]))
            column = int(RNG.integers(values.shape[column_axis]))
            index = list(at)
            index[row_axis], index[column_axis] = row, column
            text = text_at(panel, qtbot, row, column)
            assert number(text) == pytest.approx(values[tuple(index)], rel=1e-5)
            cell = panel.model.index(row, column)
            exact = str(values[tuple(index)])
            assert cell.data(Qt.ItemDataRole.ToolTipRole) == f"{index} = {exact}"
            assert panel.note.whole_text() == f"{index} = {exact}"


def test_axes_and_indices_are_chosen(panel: ValuesPanel, show: Show, qtbot: QtBot) -> None:
    values = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    show(values)
    picker = panel.picker
    assert picker.rows is not None
    assert picker.columns is not None
    assert (panel.model.rowCount(), panel.model.columnCount()) == (4, 5)
    assert sorted(picker.places) == [0, 1]
    picker.places[0].setValue(1)
    picker.places[1].setValue(2)
    assert number(text_at(panel, qtbot, 3, 4)) == values[1, 2, 3, 4]
    picker.rows.choose("axis 1 (3)")
    assert picker.columns is not None
    assert (panel.model.rowCount(), panel.model.columnCount()) == (3, 5)
    assert sorted(picker.places) == [0, 2]
    assert number(text_at(panel, qtbot, 2, 4)) == values[1, 2, 0, 4]
    assert picker.columns is not None
    picker.columns.choose("axis 1 (3)")  # taken by the rows: they change places
    assert (panel.model.rowCount(), panel.model.columnCount()) == (5, 3)
    assert number(text_at(panel, qtbot, 4, 2)) == values[1, 2, 0, 4]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (np.array([1.5, -0.0, np.nan, np.inf, -np.inf]), ["1.5", "0", "NaN", "Inf", "\u2212Inf"]),
        (np.array([True, False]), ["True", "False"]),
        (np.array([1234567, -8]), ["1\u2009234\u2009567", "\u22128"]),
        (
            np.array([2**63 + 1], np.uint64),
            ["9\u2009223\u2009372\u2009036\u2009854\u2009775\u2009809"],
        ),
        (np.array([1 - 2j, 0.5 + 1j]), ["1\u22122j", "0.5+1j"]),
        (np.array([1.5, -3]).astype(ml_dtypes.bfloat16), ["1.5", "\u22123"]),
        (np.array([0.25, np.nan]).astype(ml_dtypes.float8_e4m3fn), ["0.25", "NaN"]),
        (np.array([-8, 7]).astype(ml_dtypes.int4), ["\u22128", "7"]),
        (np.array([b"caf\xc3\xa9", b"\xff\n", b""], object), ["caf\u00e9", "\\xff\\n", ""]),
    ],
    ids=["float", "bool", "int", "uint64", "complex", "bfloat16", "float8", "int4", "string"],
)
def test_cells_of_every_kind(
    values: np.ndarray, texts: list[str], panel: ValuesPanel, show: Show
) -> None:
    show(values)
    assert panel.model.columnCount() == 1
    assert [panel.model.index(row, 0).data() for row in range(len(texts))] == texts
    assert panel.model.headerData(1, Qt.Orientation.Vertical) in ("1", None)


def test_scalar(panel: ValuesPanel, show: Show) -> None:
    show(np.array(0.125))
    assert (panel.model.rowCount(), panel.model.columnCount()) == (1, 1)
    assert panel.model.index(0, 0).data() == "0.125"
    assert not panel.go_to.isVisible()
    assert not panel.picker.isVisible()


def test_empty_and_opaque_say_why(panel: ValuesPanel, show: Show) -> None:
    show(np.zeros((0, 4), np.float32))
    assert "empty" in message(panel)
    checkpoint = MemoryCheckpoint({"x": np.zeros(3, np.float32)})
    opaque = checkpoint["x"]._replace(dtype="variant")
    panel.show_variable(session_of(checkpoint), opaque)
    assert "opaque" in message(panel)
    assert not checkpoint.reads


def test_what_is_no_number_is_told_by_colour_and_text(
    panel: ValuesPanel, show: Show, appearance: Appearance
) -> None:
    show(np.array([np.nan, np.inf, 0, 2], np.float32))
    role = Qt.ItemDataRole.ForegroundRole
    for theme_name in ("light", "dark"):
        appearance.choose(theme_name)
        theme = appearance.theme
        colours = [panel.model.index(row, 0).data(role).name() for row in range(4)]
        assert colours == [theme.error, theme.error, theme.muted, theme.text]


def test_cells_of_a_file_are_those_that_tensorflow_reads(opened: Open, qtbot: QtBot) -> None:
    from ckptviewer.resources import demo_checkpoint
    from tests.builders import values_in

    truth = values_in(Path(str(demo_checkpoint()).removesuffix(".index")))
    window = opened()
    assert window.session is not None
    (key,) = [
        v.key for v in window.session.checkpoint.variables if v.name.endswith("hidden/kernel")
    ]
    window.browser.select_variable(key)
    shown = window.browser.inspector.variable_panel
    shown.tabs.setCurrentWidget(shown.values)
    idle(window, qtbot)
    settle(shown.values, qtbot)
    for row in range(3):
        text = str(shown.values.model.index(row, 1).data())
        assert number(text) == pytest.approx(truth[key][row, 1], rel=1e-5)


# Reading


def test_only_what_is_in_sight_is_read(panel: ValuesPanel, show: Show, qtbot: QtBot) -> None:
    values = RNG.normal(size=(4000, 500)).astype(np.float32)
    checkpoint = show(values)
    assert 0 < checkpoint.elements <= 4 * 64 * 32
    checkpoint.elements = 0
    assert number(text_at(panel, qtbot, 3999, 499)) == pytest.approx(values[-1, -1], rel=1e-5)
    assert 0 < checkpoint.elements <= 6 * 64 * 32
    checkpoint.elements = 0
    text_at(panel, qtbot, 0, 0)  # is still there
    assert checkpoint.elements == 0


def test_dots_until_a_block_is_there(panel: ValuesPanel, qtbot: QtBot, gate: Gate) -> None:
    checkpoint = Watched({"x": np.full((5, 5), 0.5)})
    checkpoint.gate = gate
    panel.show_variable(session_of(checkpoint), checkpoint["x"])
    qtbot.waitUntil(gate.entered.is_set, timeout=TIMEOUT_MS)
    assert panel.model.index(0, 0).data() == WAITING
    gate.release()
    settle(panel, qtbot)
    assert panel.model.index(0, 0).data() == "0.5"


def test_stale_blocks_are_not_shown(panel: ValuesPanel, qtbot: QtBot, gate: Gate) -> None:
    slow = Watched({"x": np.full((5, 5), 1.0)})
    slow.gate = gate
    panel.show_variable(session_of(slow), slow["x"])
    qtbot.waitUntil(gate.entered.is_set, timeout=TIMEOUT_MS)
    quick = Watched({"x": np.full((5, 5), 2.0)})
    panel.show_variable(session_of(quick), quick["x"])
    settle(panel, qtbot)
    gate.release()
    qtbot.waitUntil(gate.passed.is_set, timeout=TIMEOUT_MS)
    after = panel._jobs.start("After", lambda _c, _r: None)
    with qtbot.waitSignal(after.ended, timeout=TIMEOUT_MS):
        pass
    assert panel.model.index(0, 0).data() == "2"
    panel.clear()
    assert panel.model.rowCount() == 0


def test_ten_gigabytes_scroll(panel: ValuesPanel, qtbot: QtBot) -> None:
    rows, columns = 2_500_000, 1000
    checkpoint = Endless((rows, columns))
    panel.show_variable(session_of(checkpoint), checkpoint["x"])
    settle(panel, qtbot)
    assert panel.model.rowCount() == rows
    assert text_at(panel, qtbot, rows - 1, columns - 1) == "999"
    assert text_at(panel, qtbot, rows // 2, 17) == "17"
    panel.table.selectAll()  # Qt's own headers would look at each row now
    settle(panel, qtbot)
    assert checkpoint.elements < 100_000
    panel.copy()
    assert "too many" in panel.note.whole_text()


def test_rows_beyond_a_page(
    panel: ValuesPanel, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values_model, "PAGE", 100)
    monkeypatch.setattr("ckptviewer.ui.panels.values.PAGE", 100)
    checkpoint = Watched({"x": np.arange(250)})
    panel.show_variable(session_of(checkpoint), checkpoint["x"])
    settle(panel, qtbot)
    assert panel.model.rowCount() == 100
    assert panel._page_text.text() == "Rows 0 to 99 of 250"
    panel._turn_page(1)
    panel._turn_page(1)
    settle(panel, qtbot)
    assert panel._page_text.text() == "Rows 200 to 249 of 250"
    assert text_at(panel, qtbot, 49, 0) == "249"
    panel._turn_page(1)
    assert panel.model.first_row == 200
    panel.go_to_index((120,))
    settle(panel, qtbot)
    assert panel.model.cell(panel.table.currentIndex()) == (120, 0)
    assert panel.table.currentIndex().data() == "120"
    assert panel.model.headerData(20, Qt.Orientation.Vertical) == "120"


@pytest.mark.parametrize("error_type", [TruncatedFileError, ChangedFileError])
def test_damaged_variable_says_what_where_and_the_remedy(
    error_type: type[TruncatedFileError | ChangedFileError], panel: ValuesPanel, qtbot: QtBot
) -> None:
    error = error_type("it ends too early", where="x.data", remedy="Copy it again.")
    checkpoint = MemoryCheckpoint({"x": np.zeros((3, 3))}, damaged={"x": error})
    changes = []
    panel.file_changed.connect(lambda: changes.append(1))
    panel.show_variable(session_of(checkpoint), checkpoint["x"])
    qtbot.waitUntil(lambda: "It ends too early" in message(panel), timeout=TIMEOUT_MS)
    assert "x.data" in message(panel)
    assert "Copy it again." in message(panel)
    assert len(changes) == (error_type is ChangedFileError)


# Going, copying


def test_go_to_landmarks(panel: ValuesPanel, show: Show, qtbot: QtBot) -> None:
    values = RNG.normal(size=(3, 80, 4, 50)).astype(np.float32)
    values[2, 77, 1, 44] = np.nan
    values[1, 5, 3, 0] = -99
    values[0, 71, 2, 49] = 99
    values[1, 1, 1, 1] = np.inf
    show(values)
    for landmark, index, text in (
        (Landmark.NAN, (2, 77, 1, 44), "NaN"),
        (Landmark.SMALLEST, (1, 5, 3, 0), "\u221299"),
        (Landmark.LARGEST, (0, 71, 2, 49), "99"),
        (Landmark.INFINITE, (1, 1, 1, 1), "Inf"),
    ):
        panel.jump_to(landmark)
        settle(panel, qtbot)
        current = panel.table.currentIndex()
        assert panel.model.plane is not None
        assert panel.model.plane.index_at(*panel.model.cell(current)) == index
        assert current.data() == text
        assert panel.table.selectionModel().isSelected(current)
        assert panel.table.viewport().rect().intersects(panel.table.visualRect(current))
        assert [spin.value() for spin in panel.picker.places.values()] == list(index[:2])


def test_no_landmark(panel: ValuesPanel, show: Show, qtbot: QtBot) -> None:
    show(np.zeros((4, 4), np.float32))
    panel.jump_to(Landmark.NAN)
    settle(panel, qtbot)
    assert panel.note.whole_text() == "There is no NaN in it."


def test_looking_can_be_cancelled(panel: ValuesPanel, show: Show, qtbot: QtBot, gate: Gate) -> None:
    checkpoint = show(np.array([[1.0, np.nan]]))
    checkpoint.gate = gate
    panel.jump_to(Landmark.NAN)
    qtbot.waitUntil(gate.entered.is_set, timeout=TIMEOUT_MS)
    (job,) = panel._jobs.running
    job.cancel()
    gate.release()
    settle(panel, qtbot)
    assert panel.note.whole_text() == "[0, 0] = 1.0"


def test_keys(panel: ValuesPanel, show: Show, qtbot: QtBot) -> None:
    values = np.arange(60.0).reshape(3, 20) / 7
    show(values)
    panel.table.setFocus()
    qtbot.keyClick(panel.table, Qt.Key.Key_Down)
    qtbot.keyClick(panel.table, Qt.Key.Key_Right)
    assert panel.note.whole_text() == f"[1, 1] = {values[1, 1]}"
    qtbot.keyClick(panel.table, Qt.Key.Key_G, Qt.KeyboardModifier.ControlModifier)
    assert panel.go_to.hasFocus()
    qtbot.keyClicks(panel.go_to, "2, 19")
    qtbot.keyClick(panel.go_to, Qt.Key.Key_Return)
    settle(panel, qtbot)
    assert panel.table.hasFocus()
    assert panel.note.whole_text() == f"[2, 19] = {values[2, 19]}"
    QGuiApplication.clipboard().clear()
    qtbot.keyClick(panel.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    settle(panel, qtbot)
    assert QGuiApplication.clipboard().text() == f"{values[2, 19]}\n"
    qtbot.keyClicks(panel.go_to, "x")
    qtbot.keyClick(panel.go_to, Qt.Key.Key_Return)
    assert "whole number" in panel.note.whole_text()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "complex64", "bool"])
def test_copied_cells_are_exact(dtype: str, panel: ValuesPanel, show: Show, qtbot: QtBot) -> None:
    numpy_dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
    values = (RNG.normal(size=(4, 90, 70)) * 5).astype(numpy_dtype)
    values.reshape(-1)[:5] = 0
    show(values)
    panel.picker.places[0].setValue(2)
    settle(panel, qtbot)
    model = panel.table.model()
    box = QItemSelection(model.index(10, 30), model.index(79, 64))
    panel.table.selectionModel().select(box, QItemSelectionModel.SelectionFlag.ClearAndSelect)
    with qtbot.waitSignal(panel.copied, timeout=TIMEOUT_MS) as told:
        panel.copy()
    assert told.args == ["Copied 2\u2009450 values"]
    lines = QGuiApplication.clipboard().text().splitlines()
    expected = values[2, 10:80, 30:65]
    if dtype == "bool":
        copied = np.array([[cell == "True" for cell in line.split("\t")] for line in lines])
    else:
        parse = complex if dtype == "complex64" else float
        copied = np.array([[parse(cell) for cell in line.split("\t")] for line in lines])
    np.testing.assert_array_equal(copied.astype(numpy_dtype), expected)


def test_model_keeps_its_promises_to_qt(
    jobs: Jobs, appearance: Appearance, qtbot: QtBot, qapp: object
) -> None:
    model = ValuesModel(jobs, appearance)
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal, model)
    checkpoint = Watched({"x": RNG.normal(size=(3, 100, 40)).astype(np.float32)})
    variable = checkpoint["x"]
    for plane in (plane_of(variable.shape), plane_of(variable.shape, 2, 0)):
        model.show_plane(checkpoint, variable, plane)
        with qtbot.waitSignal(model.loaded, timeout=TIMEOUT_MS):
            assert model.index(0, 0).data() == WAITING
        assert model.index(0, 0).data() != WAITING
    model.clear()
    assert model.rowCount() == model.columnCount() == 0
