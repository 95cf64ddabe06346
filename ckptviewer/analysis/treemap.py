"""A treemap of a checkpoint's bytes: nested rectangles whose areas are the sizes.

The division is the squarified one of Bruls, Huizing and van Wijk, "Squarified Treemaps" (2000).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.tree import Group, Item, VariableTree

LABEL_HEIGHT = 16.0
"""What the name of a group takes at its top, in pixels."""

_SMALLEST_SIDE = 2.0
_LABELLED_SIDE = 34.0
_GAP = 1.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One rectangle: left, top, width, height in pixels.

    item: a group, or the row of a variable. depth: how many groups it is in. has_label: whether a
    group has room for its name; its contents begin below.
    """

    item: Item
    left: float
    top: float
    width: float
    height: float
    depth: int
    has_label: bool = False


def treemap(
    tree: VariableTree, width: float, height: float, cancel: CancelToken | None = None
) -> list[Cell]:
    """The cells of all groups and variables that are large enough to be seen, outer ones first.

    Slots are cells of their own, beside the variables that they belong to. Raises Cancelled.
    """
    cells: list[Cell] = []
    pending = [(tree.root, 0.0, 0.0, width, height, 0)]
    while pending:
        if cancel is not None:
            cancel.raise_if_cancelled()
        group, left, top, wide, tall, depth = pending.pop()
        parts = _parts(tree, group)
        boxes = squarify([size for size, _ in parts], left, top, wide, tall)
        for (_, item), (x, y, w, h) in zip(parts, boxes, strict=False):
            w, h = w - _GAP, h - _GAP
            if w < _SMALLEST_SIDE or h < _SMALLEST_SIDE:
                continue
            labelled = isinstance(item, Group) and w > _LABELLED_SIDE and h > _LABELLED_SIDE
            cells.append(Cell(item, x, y, w, h, depth, labelled))
            if isinstance(item, Group):
                head = LABEL_HEIGHT if labelled else 0.0
                pending.append((item, x + 1, y + head + 1, w - 2, h - head - 2, depth + 1))
    return cells


def squarify(
    sizes: Sequence[float], left: float, top: float, width: float, height: float
) -> list[tuple[float, float, float, float]]:
    """Rectangles with areas in proportion to `sizes`, as square as may be; they fill the whole.

    sizes: positive, in descending order. Each rectangle is left, top, width, height.
    """
    boxes: list[tuple[float, float, float, float]] = []
    total = float(sum(sizes))
    if total <= 0 or width <= 0 or height <= 0:
        return boxes
    scale = width * height / total
    areas = [size * scale for size in sizes]
    first = 0
    while first < len(areas):
        side = min(width, height)
        if side <= 0:
            break
        last, row = first + 1, areas[first]
        worst = _worst(areas[first], areas[first], row, side)
        while last < len(areas):
            longer = row + areas[last]
            next_worst = _worst(areas[first], areas[last], longer, side)
            if next_worst > worst:
                break
            row, worst, last = longer, next_worst, last + 1
        thick = row / side
        at = 0.0
        for area in areas[first:last]:
            long = area / thick if thick else 0.0
            if width >= height:
                boxes.append((left, top + at, thick, long))
            else:
                boxes.append((left + at, top, long, thick))
            at += long
        if width >= height:
            left, width = left + thick, width - thick
        else:
            top, height = top + thick, height - thick
        first = last
    return boxes


def _worst(largest: float, smallest: float, row: float, side: float) -> float:
    """The worst ratio of sides in a row of areas that sum to `row`, laid along `side`."""
    if smallest <= 0 or row <= 0:
        return float("inf")
    square = side * side
    return max(square * largest / (row * row), row * row / (square * smallest))


def _parts(tree: VariableTree, group: Group) -> list[tuple[int, Item]]:
    """Sizes and items directly in a group, the largest first; what takes no bytes is left out."""
    parts: list[tuple[int, Item]] = []
    for child in group.children:
        if isinstance(child, Group):
            parts.append((child.stored_bytes, child))
            continue
        for row in (child, *tree.slots.get(child, ())):
            parts.append((tree.variables[row].stored_bytes, row))
    parts = [part for part in parts if part[0] > 0]
    parts.sort(key=lambda part: -part[0])
    return parts
