"""Names in the variable tree: they take the room that is empty beside them, and no other."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractItemView
from pytestqt.qtbot import QtBot

from ckptviewer.checkpoint.tree import Group, VariableTree
from ckptviewer.checkpoint.variable import Role, Variable
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.models.variable_rows import Column, VariableRowsModel
from ckptviewer.ui.panels.row_painting import columns_from_left, name_room
from ckptviewer.ui.panels.variable_table import LEAST_NAME, VariableTable

GROUP = "encoder_decoder_cross_attention_block"
LONG = "layer_normalization_gamma_of_the_block"


@pytest.fixture
def table(qtbot: QtBot, appearance: Appearance) -> VariableTable:
    """A narrow tree: a group with a long name, and two variables below it."""
    variables = [
        Variable(f"{GROUP}/{leaf}", f"{GROUP}/{leaf}", "float32", shape, 64, Role.WEIGHT)
        for leaf, shape in (("kernel", (4, 4)), (LONG, (16,)))
    ]
    # Enough of others that groups are no mere list.
    variables += [
        Variable(f"other_{n}/{leaf}", f"other_{n}/{leaf}", "float32", (4, 4), 64, Role.WEIGHT)
        for n in range(30)
        for leaf in ("kernel", "bias")
    ]
    table = VariableTable(appearance)
    qtbot.addWidget(table)
    table.resize(460, 400)
    table.show_model(VariableRowsModel(VariableTree(variables)))
    table.show()
    qtbot.waitExposed(table)
    assert table.columnWidth(Column.NAME) == LEAST_NAME
    return table


def rows_of(table: VariableTable) -> VariableRowsModel:
    model = table.rows_model()
    assert model is not None
    return model


def group_row(table: VariableTable) -> int:
    model = rows_of(table)
    for row in range(model.rowCount()):
        item = model.item(row)
        if isinstance(item, Group) and item.name == GROUP:
            return row
    raise AssertionError("the group is not in sight")


def inked(table: VariableTable, row: int, column: Column) -> bool:
    """Whether anything but ground is in the left half of a cell."""
    cell = table.visualRect(rows_of(table).index(row, column))
    half = QRect(cell.topLeft() + QPoint(1, 2), cell.bottomRight() - QPoint(cell.width() // 2, 2))
    picture = table.viewport().grab(half).toImage()
    return len(colours(picture)) > 1


def colours(picture: QImage) -> set[int]:
    return {
        QColor(picture.pixel(x, y)).rgb()
        for x in range(picture.width())
        for y in range(picture.height())
    }


def test_a_groups_name_goes_on_over_empty_cells(table: VariableTable) -> None:
    row = group_row(table)
    assert inked(table, row, Column.SHAPE)
    assert not inked(table, row, Column.ROLE)  # the size says something


def test_it_goes_on_where_the_row_is_selected(table: VariableTable) -> None:
    row = group_row(table)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.selectRow(row)
    assert inked(table, row, Column.SHAPE)


def test_a_variables_name_ends_before_its_shape(table: VariableTable) -> None:
    model, row = rows_of(table), group_row(table)
    model.set_expanded(row, True)
    of_short, of_long = row + 1, row + 2
    assert {model.variable(each) is not None for each in (of_short, of_long)} == {True}
    metrics = table.fontMetrics()
    columns = columns_from_left(table)
    for each in (of_short, of_long):
        shape = metrics.horizontalAdvance(str(model.index(each, Column.SHAPE).data()))
        end = table.columnWidth(Column.NAME) + table.columnWidth(Column.SHAPE)
        room = name_room(model, each, columns, metrics)
        assert table.columnWidth(Column.NAME) < room < end - shape


def test_it_ends_before_what_a_filter_says(table: VariableTable) -> None:
    model, row = rows_of(table), group_row(table)
    metrics, columns = table.fontMetrics(), columns_from_left(table)
    free = name_room(model, row, columns, metrics)
    widths = [table.columnWidth(column) for column in (Column.NAME, Column.SHAPE, Column.DTYPE)]
    assert free == sum(widths)
    model.set_matches([0, 1])
    row = group_row(table)
    said = metrics.horizontalAdvance(str(model.index(row, Column.SHAPE).data()))
    assert said
    assert name_room(model, row, columns, metrics) < sum(widths[:2]) - said


def test_columns_that_are_hidden_or_moved_give_the_room_that_they_have(
    table: VariableTable,
) -> None:
    model, row = rows_of(table), group_row(table)
    table.setColumnHidden(Column.DTYPE, True)
    header = table.horizontalHeader()
    header.moveSection(header.visualIndex(Column.SIZE), 1)
    room = name_room(model, row, columns_from_left(table), table.fontMetrics())
    assert room == table.columnWidth(Column.NAME)
    header.moveSection(header.visualIndex(Column.ROLE), 1)
    room = name_room(model, row, columns_from_left(table), table.fontMetrics())
    assert room == table.columnWidth(Column.NAME) + table.columnWidth(Column.ROLE)


def test_a_click_on_the_end_of_a_name_selects_the_group(table: VariableTable, qtbot: QtBot) -> None:
    row = group_row(table)
    cell = table.visualRect(rows_of(table).index(row, Column.SHAPE))
    with qtbot.waitSignal(table.selection_changed) as selected:
        QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=cell.center())
    assert selected.args == [[rows_of(table).item(row)]]
