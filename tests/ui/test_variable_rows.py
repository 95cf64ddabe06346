"""The rows in sight: a sound model through all that expands, hides and reveals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

import pytest
from PySide6.QtCore import QModelIndex, QPersistentModelIndex
from PySide6.QtGui import Qt, QTextDocument
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QApplication

from ckptviewer.checkpoint.text import natural_key
from ckptviewer.checkpoint.tree import FLAT_BELOW, Group, Item, VariableTree, ViewBy
from ckptviewer.checkpoint.variable import Role, Variable
from ckptviewer.ui.models.opened_groups import EXPAND_ALL_MATCHES_BELOW, ROWS_SHOWN_AT_FIRST
from ckptviewer.ui.models.variable_rows import (
    TITLES,
    Column,
    VariableRowsModel,
)

pytestmark = pytest.mark.usefixtures("qapp")


def weights(layers: int, slots: Sequence[str] = ()) -> list[Variable]:
    """`layers` layers of kernel and bias in two blocks, each with its slots."""
    made = []
    for layer in range(layers):
        for leaf, role, shape in (
            ("bias", Role.BIAS, (64,)),
            ("kernel", Role.WEIGHT, (128, 64)),
        ):
            key = f"net/block_{layer % 2}/layer_{layer}/{leaf}"
            made.append(Variable(key, key, "float32", shape, 4 * 64 * 128, role))
            made += [
                Variable(f"{key}/{s}", f"{key}/{s}", "float32", shape, 4 * 64 * 128,
                         Role.OPTIMIZER_SLOT, slot_of=key, slot_name=s)
                for s in slots
            ]  # fmt: skip
    made.append(Variable("global_step", "global_step", "int64", (), 8, Role.COUNTER))
    return sorted(made, key=lambda v: natural_key(v.key))


def model_of(variables: Sequence[Variable], view_by: ViewBy = ViewBy.NAME) -> VariableRowsModel:
    return VariableRowsModel(VariableTree(variables, view_by))


def checked(model: VariableRowsModel) -> QAbstractItemModelTester:
    """Qt's own check, which ends the test at the first thing that a model must not do."""
    return QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)


def items(model: VariableRowsModel) -> list[Item]:
    return [model.item(row) for row in range(model.rowCount())]


def text(model: VariableRowsModel, row: int, column: Column = Column.NAME) -> str:
    return str(model.index(row, column).data() or "")


def row_of(model: VariableRowsModel, key: str) -> int:
    """The row that shows the variable of this key."""
    for row in range(model.rowCount()):
        v = model.variable(row)
        if v is not None and v.key == key:
            return row
    raise AssertionError(f"{key} is not in sight")


def group_rows(model: VariableRowsModel) -> list[int]:
    return [row for row in range(model.rowCount()) if isinstance(model.item(row), Group)]


def expected_rows(
    tree: VariableTree, expanded: set[Item], matches: frozenset[int] | None
) -> Iterator[tuple[Item, int]]:
    """What must be in sight, and how deep: the plain recursive way."""

    def has_match(item: Item) -> bool:
        if matches is None:
            return True
        if isinstance(item, Group):
            return any(has_match(child) for child in item.children)
        return item in matches or any(slot in matches for slot in tree.slots.get(item, ()))

    def walk(item: Item, depth: int) -> Iterator[tuple[Item, int]]:
        below: Sequence[Item] = (
            item.children if isinstance(item, Group) else tree.slots.get(item, [])
        )
        for child in below:
            if has_match(child):
                yield child, depth
                if child in expanded:
                    yield from walk(child, depth + 1)

    return walk(tree.root, 0)


@pytest.mark.parametrize("seed", range(12))
def test_any_sequence_of_steps_leaves_a_sound_model(seed: int) -> None:
    rng = Random(seed)
    variables = weights(rng.choice([0, 3, 20, 60]), rng.choice([(), ("m", "v")]))
    tree = VariableTree(variables, rng.choice(list(ViewBy)))
    model = VariableRowsModel(tree)
    tester = checked(model)
    kept: list[tuple[QPersistentModelIndex, Item]] = []
    matches: frozenset[int] | None = None
    for _ in range(40):
        step = rng.choice(["toggle", "toggle", "toggle", "all", "none", "filter", "reveal", "keep"])
        row = rng.randrange(model.rowCount()) if model.rowCount() else -1
        if step == "toggle" and row >= 0:
            model.set_expanded(row, not model.is_expanded(row))
        elif step == "keep" and row >= 0:
            kept.append((QPersistentModelIndex(model.index(row, 0)), model.item(row)))
        elif step == "all":
            model.expand_all(slots=rng.random() < 0.5)
        elif step == "none":
            model.collapse_all()
        elif step == "filter":
            matches = None
            if rng.random() < 0.7:
                share = rng.random()
                matches = frozenset(r for r in range(len(variables)) if rng.random() < share)
            model.set_matches(None if matches is None else sorted(matches))
        elif step == "reveal":
            wanted = rng.randrange(len(variables))
            found = model.reveal(wanted)
            if found is not None:
                assert model.item(found) == wanted
            else:
                assert matches is not None
                assert wanted not in matches
        if step in ("all", "none", "filter"):
            kept.clear()  # a reset ends them
        for index, item in kept:
            if index.isValid():
                assert model.item(index.row()) == item
        shown = items(model)
        expanded = {item for row, item in enumerate(shown) if model.is_expanded(row)}
        pairs = [(item, model.depth(row)) for row, item in enumerate(shown)]
        assert pairs == list(expected_rows(tree, expanded, matches))
        assert len(set(map(id, shown))) == len(shown)
    assert tester.model() is model


def test_expanding_keeps_what_is_above_and_below() -> None:
    model = model_of(weights(60))
    tester = checked(model)
    model.collapse_all()
    above = items(model)
    (row,) = group_rows(model)
    model.set_expanded(row, True)
    assert model.is_expanded(row)
    inside = items(model)[row + 1 : model.rowCount() - (len(above) - row - 1)]
    group = model.item(row)
    assert isinstance(group, Group)
    assert inside == group.children
    assert {model.depth(row + 1 + n) for n in range(len(inside))} == {1}
    model.set_expanded(row, False)
    assert items(model) == above
    assert tester.model() is model


def test_what_was_open_within_a_group_is_open_again() -> None:
    model = model_of(weights(60))
    model.expand_all()
    shown = items(model)
    (top,) = [row for row in group_rows(model) if model.depth(row) == 0]
    model.set_expanded(top, False)
    assert model.rowCount() < len(shown)
    model.set_expanded(top, True)
    assert items(model) == shown


def test_variable_without_slots_does_not_expand() -> None:
    model = model_of(weights(3))
    row = row_of(model, "global_step")
    before = items(model)
    assert not model.is_expandable(row)
    model.set_expanded(row, True)
    assert items(model) == before
    assert not model.is_expanded(row)


def test_slots_hang_below_their_owner() -> None:
    model = model_of(weights(3, ("m", "v")))
    row = row_of(model, "net/block_0/layer_0/kernel")
    assert model.is_expandable(row)
    model.set_expanded(row, True)
    assert [text(model, row + 1), text(model, row + 2)] == ["m", "v"]
    assert model.depth(row + 1) == model.depth(row) + 1
    assert model.parent_row(row + 2) == row
    assert model.parent_row(row) is None or model.parent_row(row) < row  # type: ignore[operator]


def test_group_that_is_alone_is_open_at_first() -> None:
    made = [
        Variable(f"all/model/part_{n}/w{n}", f"w{n}", "float32", (1,), 4, Role.WEIGHT)
        for n in range(FLAT_BELOW + 1000)
    ]
    model = model_of(made)
    assert model.rowCount() > ROWS_SHOWN_AT_FIRST
    assert all(model.is_expanded(row) for row in range(model.rowCount() - len(made)))


def test_first_sight_fits_a_screen() -> None:
    few = model_of(weights(4))
    assert few.rowCount() == 9  # all of it
    many = model_of(weights(2000))
    assert 0 < many.rowCount() <= ROWS_SHOWN_AT_FIRST + FLAT_BELOW
    assert model_of([]).rowCount() == 0


# The filter


def test_filter_opens_what_leads_to_the_matches_and_closes_it_again() -> None:
    variables = weights(60, ("m",))
    model = model_of(variables)
    model.collapse_all()
    before = items(model)
    wanted = [row for row, v in enumerate(variables) if v.key.endswith("layer_7/kernel/m")]
    model.set_matches(wanted)
    assert model.match_count() == 1
    assert model.item(model.rowCount() - 1) == wanted[0]
    above = model.variable(model.rowCount() - 2)
    assert above is not None
    assert above.key == "net/block_1/layer_7/kernel"  # the owner, for context
    counts = [text(model, row, Column.SHAPE) for row in group_rows(model)]
    assert counts == ["1 match"] * len(counts)
    model.set_matches(None)
    assert model.match_count() is None
    assert items(model) == before


def test_filter_after_filter_remembers_the_first_state() -> None:
    variables = weights(60)
    model = model_of(variables)
    before = items(model)
    for rows in ([1], [], [2, 3], list(range(len(variables)))):
        model.set_matches(rows)
        assert model.match_count() == len(rows)
        assert {i for i in items(model) if isinstance(i, int)} <= set(rows)
    model.set_matches(None)
    assert items(model) == before


def test_nothing_matches() -> None:
    model = model_of(weights(60))
    tester = checked(model)
    model.set_matches([])
    assert (model.rowCount(), model.match_count()) == (0, 0)
    assert model.reveal(3) is None
    model.expand_all()
    model.collapse_all()
    assert model.rowCount() == 0
    assert tester.model() is model


def test_many_matches_do_not_open_every_group() -> None:
    variables = weights(EXPAND_ALL_MATCHES_BELOW)
    model = model_of(variables)
    model.collapse_all()
    top = model.rowCount()
    model.set_matches(range(len(variables)))
    assert model.rowCount() == top
    assert model.match_count() == len(variables)


# What the view asks


def test_headers() -> None:
    model = model_of(weights(3))
    horizontal, vertical = Qt.Orientation.Horizontal, Qt.Orientation.Vertical
    assert model.columnCount() == len(Column) == len(TITLES)
    for column in Column:
        assert model.headerData(column, horizontal) == TITLES[column]
        assert model.headerData(column, vertical) is None
        right = model.headerData(column, horizontal, Qt.ItemDataRole.TextAlignmentRole)
        is_right = bool(right & Qt.AlignmentFlag.AlignRight)
        assert is_right == (column in (Column.SHAPE, Column.SIZE))
    assert model.headerData(len(Column), horizontal) is None
    assert model.headerData(-1, horizontal) is None


def test_cells_of_a_variable() -> None:
    variables = weights(3, ("m",))
    model = VariableRowsModel(VariableTree(variables), {"global_step": "cut off at byte 7"})
    row = row_of(model, "net/block_0/layer_2/kernel")
    assert text(model, row) == "net / block_0 / layer_2 / kernel"
    assert text(model, row, Column.SHAPE) == "128 × 64"
    assert text(model, row, Column.DTYPE) == "float32"
    assert text(model, row, Column.SIZE) == "32.8 kB"
    assert text(model, row, Column.ROLE) == "weight"
    assert text(model, row, Column.HEALTH) == ""
    damaged = row_of(model, "global_step")
    assert text(model, damaged, Column.SHAPE) == "scalar"
    assert text(model, damaged, Column.HEALTH) == "cut off at byte 7"
    for column in (Column.SHAPE, Column.SIZE):
        alignment = model.index(row, column).data(Qt.ItemDataRole.TextAlignmentRole)
        assert alignment & Qt.AlignmentFlag.AlignRight


def tool_tip(model: VariableRowsModel, row: int, column: Column) -> str:
    return str(model.index(row, column).data(Qt.ItemDataRole.ToolTipRole))


def test_tool_tips_tell_the_exact_values() -> None:
    variables = weights(20)
    odd = Variable("k/.ATTRIBUTES/VARIABLE_VALUE", "net/k", "int8", (7,), 7, Role.OTHER)
    model = VariableRowsModel(VariableTree([*variables, odd]), {odd.key: "damaged"})
    model.expand_all()
    row = row_of(model, "net/block_0/layer_2/kernel")
    total = sum(v.stored_bytes for v in variables) + 7
    assert "32 768 bytes" in tool_tip(model, row, Column.SIZE).replace("\u2009", " ")
    assert f"{32768 / total:.2%}" in tool_tip(model, row, Column.SIZE)
    assert "8 192 elements" in tool_tip(model, row, Column.SHAPE).replace("\u2009", " ")
    assert "net/block_0/layer_2/kernel" in tool_tip(model, row, Column.NAME)
    odd_row = row_of(model, odd.key)
    assert odd.key in tool_tip(model, odd_row, Column.NAME)
    assert odd.name in tool_tip(model, odd_row, Column.NAME)
    assert "damaged" in tool_tip(model, odd_row, Column.HEALTH)
    for group_row in group_rows(model):
        group = model.item(group_row)
        assert isinstance(group, Group)
        told = tool_tip(model, group_row, Column.NAME).replace("\u2009", " ")
        assert group.path in told
        assert f"{group.variable_count} variables" in told


@pytest.mark.parametrize("name", ["<b>bold</b>", "<img src=x>/kernel", "a&lt;b", "<h1>"])
def test_names_are_no_markup_in_tool_tips(name: str) -> None:
    model = model_of([Variable(name, name, "float32", (2,), 8)])
    tip = tool_tip(model, 0, Column.NAME)
    document = QTextDocument()
    if Qt.mightBeRichText(tip):
        document.setHtml(tip)
    else:
        document.setPlainText(tip)
    assert document.toPlainText().strip() == name


def test_accessible_text_tells_level_and_state() -> None:
    model = model_of(weights(60))
    model.collapse_all()
    (row,) = group_rows(model)

    def heard() -> str:
        return str(model.index(row, Column.NAME).data(Qt.ItemDataRole.AccessibleTextRole))

    assert heard() == f"{text(model, row)}, level 1, collapsed"
    model.set_expanded(row, True)
    assert heard() == f"{text(model, row)}, level 1, expanded"
    child = model.index(row + 1, Column.NAME).data(Qt.ItemDataRole.AccessibleTextRole)
    assert "level 2" in str(child)


def test_shares_are_of_all_bytes() -> None:
    model = model_of(weights(60))
    (top,) = [row for row in group_rows(model) if model.depth(row) == 0]
    total = sum(v.stored_bytes for v in model.tree.variables)
    assert model.share(top) == pytest.approx((total - 8) / total)
    assert model.share(row_of(model, "global_step")) == pytest.approx(8 / total)
    empty = model_of([Variable("e", "e", "float32", (0,), 0)])
    assert empty.share(0) == 0


def test_questions_that_a_view_should_not_ask_have_no_answer() -> None:
    model = model_of(weights(3))
    assert model.data(QModelIndex()) is None
    assert model.index(model.rowCount(), 0).data() is None
    assert model.rowCount(model.index(0, 0)) == 0
    assert model.columnCount(model.index(0, 0)) == 0
    assert model.index(0, 0).data(Qt.ItemDataRole.UserRole + 77) is None


def test_change_is_told(qapp: QApplication) -> None:
    model = model_of(weights(60))
    model.collapse_all()
    (row,) = group_rows(model)
    told: list[int] = []
    model.dataChanged.connect(lambda top, _bottom: told.append(top.row()))
    model.set_expanded(row, True)
    assert told == [row]  # the chevron points elsewhere now
