"""The inspector of a whole checkpoint: map, sheet of histograms, what stands out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QItemSelectionModel, QPoint, Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from ckptviewer.checkpoint.tree import Group
from ckptviewer.formats.resolve import open_checkpoint
from ckptviewer.resources import demo_checkpoint
from tests.ui.conftest import TIMEOUT_MS, Open

SUMMARY, MAP, SHEET, RANKING = range(4)


def measured(qtbot: QtBot, opened: Open, tab: int):  # type: ignore[no-untyped-def]
    """A window on the demo with everything measured, and its panel on one tab."""
    window = opened(demo_checkpoint())
    session = window.session
    assert session is not None
    qtbot.waitUntil(
        lambda: len(session.sketches) == len(session.checkpoint.variables), timeout=TIMEOUT_MS
    )
    panel = window.browser.inspector.checkpoint_panel
    panel.tabs.setCurrentIndex(tab)
    return window, panel


def test_map_shows_every_variable_and_leads_to_it(qtbot: QtBot, opened: Open) -> None:
    window, panel = measured(qtbot, opened, MAP)
    qtbot.waitUntil(lambda: bool(panel.map.cells()), timeout=TIMEOUT_MS)
    rows = {cell.item for cell in panel.map.cells() if isinstance(cell.item, int)}
    variables = window.session.checkpoint.variables
    large = {row for row, variable in enumerate(variables) if variable.stored_bytes > 1000}
    assert large <= rows
    kernel = next(
        cell
        for cell in panel.map.cells()
        if isinstance(cell.item, int) and variables[cell.item].name == "digits/hidden/kernel"
    )
    middle = QPoint(int(kernel.left + kernel.width / 2), int(kernel.top + kernel.height / 2))
    qtbot.mouseClick(panel.map, Qt.MouseButton.LeftButton, pos=middle)
    assert window.browser.table.selected_items() == [kernel.item]


def test_map_leads_to_groups(qtbot: QtBot, opened: Open) -> None:
    window, panel = measured(qtbot, opened, MAP)
    qtbot.waitUntil(lambda: bool(panel.map.cells()), timeout=TIMEOUT_MS)
    group = next(c for c in panel.map.cells() if isinstance(c.item, Group) and c.has_label)
    corner = QPoint(int(group.left + 6), int(group.top + 6))
    qtbot.mouseClick(panel.map, Qt.MouseButton.LeftButton, pos=corner)
    assert window.browser.table.selected_items() == [group.item]


def test_sheet_begins_with_the_models_own_and_leads_to_it(qtbot: QtBot, opened: Open) -> None:
    window, panel = measured(qtbot, opened, SHEET)
    qtbot.mouseClick(panel.sheet.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(40, 40))
    (row,) = window.browser.table.selected_items()
    variable = window.session.checkpoint.variables[row]
    assert variable.in_model
    assert variable.slot_of is None


def test_histograms_of_what_is_selected_stand_side_by_side(qtbot: QtBot, opened: Open) -> None:
    window, panel = measured(qtbot, opened, SUMMARY)
    table = window.browser.table
    model = table.rows_model()
    kernels = [
        row
        for row in range(model.rowCount())
        if (v := model.variable(row)) is not None and v.name.endswith("kernel")
    ]
    whole = panel.sheet.shown()
    assert 1 < len(kernels) < len(whole)
    select = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
    for row in kernels:
        table.selectionModel().select(model.index(row, 0), select)
    assert panel.tabs.currentIndex() == SHEET
    assert sorted(panel.sheet.shown()) == sorted(model.item(row) for row in kernels)
    window.browser.show_overview()
    assert panel.tabs.currentIndex() == SUMMARY
    assert panel.sheet.shown() == whole


def test_a_tab_that_somebody_chose_stays_whatever_is_selected(qtbot: QtBot, opened: Open) -> None:
    window, panel = measured(qtbot, opened, RANKING)
    window.browser.table.selectAll()
    assert panel.tabs.currentIndex() == RANKING
    window.browser.show_overview()
    assert panel.tabs.currentIndex() == RANKING


def test_sheet_is_saved_as_a_picture_of_all(qtbot: QtBot, opened: Open, tmp_path: Path) -> None:
    window, panel = measured(qtbot, opened, SHEET)
    path = tmp_path / "sheet.png"
    assert panel.sheet.save_picture(str(path))
    picture = QImage(str(path))
    assert picture.height() > panel.sheet.viewport().height()
    bar = QColor(window.appearance.theme.bar)
    assert any(
        picture.pixelColor(x, y) == bar
        for y in range(0, picture.height(), 7)
        for x in range(0, picture.width(), 7)
    )


def test_what_stands_out_is_ranked_by_what_numpy_says(qtbot: QtBot, opened: Open) -> None:
    _, panel = measured(qtbot, opened, RANKING)
    with open_checkpoint(demo_checkpoint()) as checkpoint:
        expected = {
            variable.name: np.sqrt(np.mean(np.square(checkpoint.read(variable).astype(float))))
            for variable in checkpoint.variables
            if variable.element_count > 1
        }
    qtbot.waitUntil(lambda: len(panel.ranking.names()) == len(expected), timeout=TIMEOUT_MS)
    values = [expected[name] for name in panel.ranking.names()]
    assert values == pytest.approx(sorted(values, reverse=True))


def test_clicking_what_stands_out_selects_it(qtbot: QtBot, opened: Open) -> None:
    window, panel = measured(qtbot, opened, RANKING)
    qtbot.waitUntil(lambda: bool(panel.ranking.names()), timeout=TIMEOUT_MS)
    listing = panel.ranking._list
    listing.setCurrentItem(listing.topLevelItem(2))
    (row,) = window.browser.table.selected_items()
    assert window.session.checkpoint.variables[row].name == panel.ranking.names()[2]


def test_a_finding_leads_to_its_variable(qtbot: QtBot, opened: Open, bundle: Path) -> None:
    data = bundle.with_name(bundle.name + ".data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:100_000])
    window = opened(bundle)
    panel = window.browser.inspector.checkpoint_panel
    finding = next(f for f in panel.findings.shown() if f.variable is not None)
    panel.findings.chosen.emit(finding.variable)
    (row,) = window.browser.table.selected_items()
    assert window.session is not None
    assert window.session.checkpoint.variables[row].key == finding.variable


def test_examination_finds_what_only_reading_tells(
    qtbot: QtBot, opened: Open, bundle: Path
) -> None:
    data = bundle.with_name(bundle.name + ".data-00000-of-00001")
    stored = bytearray(data.read_bytes())
    stored[-6000] ^= 0x10
    data.write_bytes(stored)
    window = opened(bundle)
    panel = window.browser.inspector.checkpoint_panel.findings
    assert "checksum-mismatch" not in {finding.code for finding in panel.findings}
    panel.examine()
    qtbot.waitUntil(
        lambda: "checksum-mismatch" in {finding.code for finding in panel.findings},
        timeout=TIMEOUT_MS,
    )
    finding = next(f for f in panel.findings if f.code == "checksum-mismatch")
    model = window.browser.table.rows_model()
    assert window.session is not None
    assert model is not None
    row = window.session.checkpoint.variables.index(window.session.checkpoint[finding.variable])
    at = model.reveal(row)
    assert at is not None
    assert model.mark(at) is not None
    assert "error" in window.status_line._findings.text()


def test_dead_rows_and_columns_are_ranked(qtbot: QtBot, opened: Open, tmp_path: Path) -> None:
    kernel = np.ones((6, 5), np.float32)
    kernel[2] = 0
    kernel[:, 1:3] = 0
    alive = np.eye(7, dtype=np.float32)
    path = tmp_path / "model.npz"
    np.savez(path, alive=alive, kernel=kernel, empty=np.zeros((3, 4), np.float32))
    window = opened(path)
    qtbot.waitUntil(lambda: len(window.session.sketches) == 3, timeout=TIMEOUT_MS)
    panel = window.browser.inspector.checkpoint_panel
    panel.tabs.setCurrentIndex(RANKING)
    panel.ranking._by.choose("dead rows and columns")
    qtbot.waitUntil(lambda: len(panel.ranking.names()) == 2, timeout=TIMEOUT_MS)
    listing = panel.ranking._list
    shown = [(listing.topLevelItem(n).text(0), listing.topLevelItem(n).text(1)) for n in range(2)]
    assert shown == [("empty", "3 rows, 4 columns"), ("kernel", "1 row, 2 columns")]


def test_of_a_large_checkpoint_the_rest_is_measured_when_asked(
    qtbot: QtBot, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ckptviewer.ui import measuring

    monkeypatch.setattr(measuring, "MEASURED_UNASKED", 10)
    path = tmp_path / "model.npz"
    np.savez(path, **{f"v{n}": np.arange(4.0) for n in range(300)})
    window = opened(path)
    panel = window.browser.inspector.checkpoint_panel
    qtbot.waitUntil(lambda: len(window.session.sketches) > 5, timeout=TIMEOUT_MS)
    qtbot.waitUntil(lambda: window.browser.measuring._job is None, timeout=TIMEOUT_MS)
    assert len(window.session.sketches) < 300
    assert not panel.rest.isVisible()
    panel.tabs.setCurrentIndex(RANKING)
    assert panel.rest.isVisible()
    button = panel.rest.findChild(QPushButton)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(window.session.sketches) == 300, timeout=TIMEOUT_MS)
    qtbot.waitUntil(lambda: not panel.rest.isVisible(), timeout=TIMEOUT_MS)


def test_measuring_that_was_cancelled_is_offered_again(
    qtbot: QtBot, opened: Open, tmp_path: Path
) -> None:
    path = tmp_path / "model.npz"
    np.savez(path, **{f"v{n}": np.arange(4.0) for n in range(300)})
    window = opened(path)
    window.status_line.cancel_running()
    panel = window.browser.inspector.checkpoint_panel
    panel.tabs.setCurrentIndex(RANKING)
    if len(window.session.sketches) < 300:
        assert panel.rest.isVisible()
        panel.measure_all_wanted.emit()
    qtbot.waitUntil(lambda: len(window.session.sketches) == 300, timeout=TIMEOUT_MS)
    assert not panel.rest.isVisible()
