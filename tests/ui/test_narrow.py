"""A small screen: nothing is cut off, what matters is in sight, and names can be told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QPoint, QSize, Qt
from PySide6.QtGui import QFontMetrics, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QScrollArea, QWidget
from pytestqt.qtbot import QtBot

from ckptviewer.checkpoint.text import count_text
from ckptviewer.resources import demo_checkpoint
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.choosing import _start
from ckptviewer.ui.main_window import MainWindow
from ckptviewer.ui.models.run_rows import RunColumn, RunRowsModel
from ckptviewer.ui.models.variable_rows import Column
from ckptviewer.ui.panels.comparison_view import ComparisonView
from ckptviewer.ui.panels.export_view import ExportView
from ckptviewer.ui.panels.run_table import RunTable
from ckptviewer.ui.panels.variable_table import LEAST_NAME
from ckptviewer.ui.panels.widgets import FactGrid, wrapped_label
from ckptviewer.ui.settings import Settings
from ckptviewer.ui.shortening import shortened, shortened_sentence
from ckptviewer.ui.window_memory import DEFAULT_SIZE, first_size
from tests.ui.conftest import TIMEOUT_MS, Open, idle

SMALL = QSize(996, 662)
EARLY = demo_checkpoint().with_name("digits.ckpt-40")
KERNEL = "digits/hidden/kernel"


def cut_off(page: QWidget) -> list[str]:
    """What scrolls up and down only, and is wider than it can show."""
    return [
        area.accessibleName()
        for area in page.findChildren(QScrollArea)
        if area.isVisible()
        and area.horizontalScrollBarPolicy() == Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        and (content := area.widget()) is not None
        and content.width() > area.viewport().width()
    ]


def small(window: MainWindow, qtbot: QtBot) -> MainWindow:
    window.resize(SMALL)
    qtbot.waitUntil(lambda: window.size() == SMALL, timeout=TIMEOUT_MS)
    QApplication.processEvents()
    return window


def test_a_variables_distribution_is_whole(opened: Open, qtbot: QtBot) -> None:
    window = small(opened(), qtbot)
    window.select_variable(KERNEL)
    idle(window, qtbot)
    qtbot.waitUntil(lambda: not cut_off(window), timeout=TIMEOUT_MS)


def test_a_comparison_is_whole_and_has_the_keyboard(opened: Open, qtbot: QtBot) -> None:
    window = small(opened(), qtbot)
    window.activateWindow()
    with qtbot.waitSignal(window.compared, timeout=TIMEOUT_MS):
        window.compare_with(str(EARLY))
    view = window.view
    assert isinstance(view, ComparisonView)
    assert window.focusWidget() is view.tree.table
    assert view.select_variable(KERNEL)
    idle(window, qtbot)
    qtbot.waitUntil(lambda: not cut_off(window), timeout=TIMEOUT_MS)


def test_the_options_of_an_export_are_whole(opened: Open, qtbot: QtBot) -> None:
    window = small(opened(), qtbot)
    window.export()
    view = window.view
    assert isinstance(view, ExportView)
    idle(window, qtbot)
    qtbot.waitUntil(lambda: not cut_off(window), timeout=TIMEOUT_MS)


def test_columns_give_way_to_names_until_somebody_chooses(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    window.resize(1400, 800)
    QApplication.processEvents()
    table = window.browser.table
    wide = {column: table.columnWidth(column) for column in table.narrow_widths}
    assert wide == {column: table.widths[column] for column in table.narrow_widths}
    small(window, qtbot)
    assert table.columnWidth(Column.NAME) >= LEAST_NAME
    last = table.columnViewportPosition(Column.DISTRIBUTION) + table.columnWidth(
        Column.DISTRIBUTION
    )
    assert last <= table.viewport().width()  # without scrolling
    table.setColumnWidth(Column.ROLE, 130)
    window.resize(1400, 800)
    QApplication.processEvents()
    assert table.columnWidth(Column.ROLE) == 130
    assert table.columnWidth(Column.SHAPE) == wide[Column.SHAPE]


def test_a_run_shows_its_checkpoints_names(qtbot: QtBot, appearance: Appearance) -> None:
    table = RunTable(RunRowsModel(appearance))
    qtbot.addWidget(table)
    table.resize(700, 300)
    table.show()
    widths = [table.columnWidth(column) for column in RunColumn if column is not RunColumn.NAME]
    table.resize(table.minimumSize())
    assert table.columnWidth(RunColumn.NAME) >= table.fontMetrics().horizontalAdvance("ckpt-1000")
    table.resize(700, 300)
    again = [table.columnWidth(column) for column in RunColumn if column is not RunColumn.NAME]
    assert again == widths


@pytest.mark.parametrize(
    ("room", "size"), [((2560, 1400), DEFAULT_SIZE), ((1280, 760), (1276, 724))]
)
def test_the_first_window_fits_on_the_screen(room: tuple[int, int], size: tuple[int, int]) -> None:
    assert first_size(QSize(*room)) == QSize(*size)


def test_a_name_keeps_what_tells_it_apart(qapp: QApplication) -> None:
    metrics = QFontMetrics(qapp.font())
    layers = [f"transformer / body / decoder / layer_{n} / attention / {n}" for n in (10, 11)]
    room = metrics.horizontalAdvance("transformer / \u2026 / attention / 10")
    shown = [shortened(name, metrics, room) for name in layers]
    assert shown[0] != shown[1]
    for text, n in zip(shown, (10, 11), strict=True):
        assert metrics.horizontalAdvance(text) <= room
        assert text.startswith("t")
        assert text.endswith(f" / {n}")
    assert shortened("short", metrics, 500) == "short"
    alone = shortened("a_name_without_any_parts_that_is_long", metrics, 90)
    assert alone.startswith("a")
    assert alone.endswith("g")
    assert metrics.horizontalAdvance(shortened("a/" + "long" * 40, metrics, 90)) <= 90


def test_a_sentence_loses_its_path_before_its_meaning(qapp: QApplication) -> None:
    metrics = QFontMetrics(qapp.font())
    told = "transformer/body/decoder/attention/kernel: 12 elements are NaN"
    room = metrics.horizontalAdvance("\u2026/attention/kernel: 12 elements are NaN  ")
    shown = shortened_sentence(told, metrics, room)
    assert shown.endswith("/kernel: 12 elements are NaN")
    assert metrics.horizontalAdvance(shown) <= room
    plain = "It was saved by name, and what is found otherwise stays fresh."
    shown = shortened_sentence(plain, metrics, 150)
    assert plain.startswith(shown.removesuffix("\u2026"))
    assert shortened_sentence(plain, metrics, 2000) == plain


def test_figures_stand_in_as_many_columns_as_fit(qtbot: QtBot, appearance: Appearance) -> None:
    grid = FactGrid(4, appearance)
    qtbot.addWidget(grid)
    grid.resize(600, 200)
    grid.show()
    grid.show_facts([(f"Figure {n}", "\u22120.00043296", "") for n in range(8)])
    assert grid.columns() == 4
    grid.resize(200, 200)
    assert grid.columns() < 4
    assert grid.minimumSizeHint().width() <= 200
    grid.resize(600, 200)
    assert grid.columns() == 4


def test_a_wrapped_number_stays_in_one_piece_and_is_copied_as_it_is(
    qtbot: QtBot, appearance: Appearance
) -> None:
    label = wrapped_label("before")
    qtbot.addWidget(label)
    text = f"{count_text(5006880)} parameters of layers/dense_1"
    label.setText(text)
    assert label.text() == label.accessibleName() == text
    (copy,) = label.actions()
    copy.trigger()
    assert QGuiApplication.clipboard().text() == text
    label.setText(count_text(5006880))
    assert label.heightForWidth(label.minimumWidth()) == label.heightForWidth(500)


def test_another_file_is_asked_for_where_the_last_one_lies(tmp_path: Path) -> None:
    settings = Settings()
    directory = tmp_path / "run"
    directory.mkdir()
    settings.add_recent_file(str(directory))
    assert _start(settings) == str(directory)
    settings.add_recent_file(str(directory / "ckpt-1"))
    assert _start(settings) == str(directory)


def test_the_pointer_marks_a_whole_row(opened: Open, qtbot: QtBot) -> None:
    table = opened().browser.table
    model = table.rows_model()
    assert model is not None

    def grounds() -> list[int]:
        """The colour of the ground at the end of the first cells."""
        picture = table.viewport().grab().toImage()
        cells = [table.visualRect(model.index(1, column)) for column in (0, 1, 2)]
        return [picture.pixel(cell.right() - 1, cell.top() + 1) for cell in cells]

    QTest.mouseMove(table.viewport(), QPoint(5, table.viewport().height() - 3))
    before = grounds()
    QTest.mouseMove(table.viewport(), table.visualRect(model.index(1, 2)).center())
    qtbot.waitUntil(lambda: grounds() != before, timeout=TIMEOUT_MS)
    assert len(set(grounds())) == 1
    QApplication.sendEvent(table.viewport(), QEvent(QEvent.Type.Leave))
    assert grounds() == before
