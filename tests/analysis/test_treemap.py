"""The treemap: areas are sizes, nothing overlaps, everything stays inside."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ckptviewer.analysis.treemap import squarify, treemap
from ckptviewer.checkpoint.errors import Cancelled
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.tree import Group, VariableTree
from ckptviewer.checkpoint.variable import Role, Variable

Box = tuple[float, float, float, float]


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=60), st.integers(50, 4000))
@settings(deadline=None, derandomize=True)
def test_areas_are_in_proportion_and_fill_the_whole(sizes: list[int], width: int) -> None:
    sizes.sort(reverse=True)
    boxes = squarify(sizes, 10, 20, width, 500)
    assert len(boxes) == len(sizes)
    for size, (_, _, w, h) in zip(sizes, boxes, strict=True):
        assert w * h == pytest.approx(size / sum(sizes) * width * 500, rel=1e-4, abs=1e-3)
    assert max(x + w for x, _, w, _ in boxes) == pytest.approx(10 + width, abs=1e-3)
    assert max(y + h for _, y, _, h in boxes) == pytest.approx(520, abs=1e-3)
    assert min(x for x, *_ in boxes) == pytest.approx(10)
    assert min(y for _, y, *_ in boxes) == pytest.approx(20)


def overlap(a: Box, b: Box) -> float:
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    tall = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(0.0, wide) * max(0.0, tall)


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=25))
@settings(deadline=None, derandomize=True)
def test_boxes_do_not_overlap(sizes: list[int]) -> None:
    boxes = squarify(sorted(sizes, reverse=True), 0, 0, 300, 200)
    for number, box in enumerate(boxes):
        for other in boxes[number + 1 :]:
            assert overlap(box, other) == pytest.approx(0, abs=1e-3)


def test_equal_sizes_become_squares() -> None:
    assert all(w == pytest.approx(h) for _, _, w, h in squarify([1] * 4, 0, 0, 100, 100))


def variables() -> list[Variable]:
    made = []
    for layer in range(20):
        kernel = f"net/layer_{layer}/kernel"
        made.append(Variable(kernel, kernel, "float32", (64, 64), 16384, Role.WEIGHT))
        slot = f"{kernel}/Adam"
        made.append(
            Variable(slot, slot, "float32", (64, 64), 16384, Role.OPTIMIZER_SLOT, kernel, "Adam")
        )
    made.append(Variable("net/empty", "net/empty", "float32", (0,), 0, Role.WEIGHT))
    return made


def test_every_variable_with_bytes_has_a_cell_inside_its_group() -> None:
    tree = VariableTree(variables())
    cells = treemap(tree, 800, 600)
    rows = [cell.item for cell in cells if isinstance(cell.item, int)]
    assert sorted(rows) == list(range(40))
    outer = [cell for cell in cells if isinstance(cell.item, Group)]
    assert outer
    for cell in cells:
        assert 0 <= cell.left
        assert cell.left + cell.width <= 800
        assert cell.top + cell.height <= 600


def test_what_is_too_small_to_be_seen_is_left_out() -> None:
    tree = VariableTree(variables())
    assert treemap(tree, 1, 1) == []
    assert len(treemap(tree, 12, 8)) < len(treemap(tree, 800, 600))


def test_empty_checkpoints_have_no_cells() -> None:
    assert treemap(VariableTree([]), 800, 600) == []


def test_it_can_be_cancelled() -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        treemap(VariableTree(variables()), 800, 600, token)
