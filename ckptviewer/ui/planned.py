"""Planned: what an export would do, row by row of the tree that shows it; no Qt."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.collector import collection_paused
from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY, VALUE_SUFFIX
from ckptviewer.checkpoint.tree import Group, Item, VariableTree
from ckptviewer.export.plan import Dropped, ExportPlan, Kept
from ckptviewer.ui.session import FROZEN_ABOVE

if TYPE_CHECKING:
    from ckptviewer.export.choices import Choices


_BYTES_BESIDE = {"tf-bundle": 60, "keras-weights-h5": 1_300, "safetensors": 110, "npz": 320}
"""What files have beside the values of a variable, by their format: index, headers, padding."""


class Tick(NamedTuple):
    """A wish: keep (`wanted`) or drop these items, groups with all below them.

    among: the rows that are meant, where a filter hides the others; None for all.
    """

    items: tuple[Item, ...]
    wanted: bool
    among: frozenset[int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan with what the tree shows of it.

    choices: what it was made from; its ticks are those alone that change something.
    outcomes: what becomes of each row. kept: rows that are kept.
    counts, written: of each group that has any, how many are kept and what they will take.
    casts, renamed: what is written in another dtype, or under another key.
    expected_bytes: what the files will take, as near as it can be told.
    """

    plan: ExportPlan
    choices: Choices
    outcomes: Sequence[Kept | Dropped]
    kept: frozenset[int]
    counts: Mapping[Group, int]
    written: Mapping[Group, int]
    casts: Sequence[Kept]
    renamed: Sequence[Kept]
    expected_bytes: int


def make_planned(
    checkpoint: Checkpoint, tree: VariableTree, choices: Choices, ticks: Iterable[Tick] = ()
) -> Planned:
    """The plan for these choices, after ticks that were made since. Raises as `make_plan`."""
    with collection_paused():  # for 200,000 variables it makes a million objects, which all stay
        planned = _planned(checkpoint, tree, with_ticks(tree, choices, ticks))
        if len(tree.variables) > FROZEN_ABOVE:
            gc.freeze()  # the collector need not look at them either; they go with the plan
        return planned


def _planned(checkpoint: Checkpoint, tree: VariableTree, choices: Choices) -> Planned:
    from ckptviewer.export.planning import make_plan

    plan = make_plan(checkpoint, choices)
    fates: dict[str, Kept | Dropped] = {each.key: each for each in plan.dropped}
    for each in plan.kept:
        fates[each.key] = each
    outcomes = [fates[variable.key] for variable in tree.variables]
    kept = [row for row, each in enumerate(outcomes) if isinstance(each, Kept)]
    return Planned(
        plan=plan,
        choices=choices,
        outcomes=outcomes,
        kept=frozenset(kept),
        counts=tree.matching_counts(kept),
        written=_written(tree, outcomes, kept),
        casts=plan.casts,
        renamed=[each for each in plan.kept if each.key != each.key_written],
        expected_bytes=_expected_bytes(checkpoint, plan),
    )


def _expected_bytes(checkpoint: Checkpoint, plan: ExportPlan) -> int:
    """About what the files will take: a plan's own estimate is on the safe side.

    What a file has beside values is as in the source, where that is of the same format.
    """
    count, beside = len(checkpoint.variables), _BYTES_BESIDE.get(plan.format, 0) * len(plan.kept)
    if plan.format == checkpoint.format_name and count:
        stored = sum([variable.stored_bytes for variable in checkpoint.variables])
        beside = max(0, plan.bytes_before - stored) * len(plan.kept) // count
    return plan.written_bytes + beside


def with_ticks(tree: VariableTree, choices: Choices, ticks: Iterable[Tick]) -> Choices:
    """The choices with the ticks among them; what they say anyway needs no tick."""
    from ckptviewer.export.choices import Preset
    from ckptviewer.export.selecting import decider

    wanted = dict(choices.ticks)
    for tick in ticks:
        for row in rows_of(tree, tick.items, tick.among):
            wanted[tree.variables[row].key] = tick.wanted
    if choices.preset is Preset.SELECTED:  # there are no others than these: they are the selection
        selected = set(choices.selected)
        selected.update(key for key, keep in wanted.items() if keep)
        selected.difference_update(key for key, keep in wanted.items() if not keep)
        return replace(choices, selected=frozenset(selected), ticks={})
    if not wanted:
        return choices
    says = decider(replace(choices, ticks={}))
    by_key = {variable.key: variable for variable in tree.variables if variable.key in wanted}
    kept = {
        key: keep
        for key, keep in wanted.items()
        # The graph is kept whatever a preset says, and dropped by a tick alone.
        if says(by_key[key])[0] is not keep or (key == OBJECT_GRAPH_KEY and not keep)
    }
    return replace(choices, ticks=kept)


def short_names(each: Kept) -> tuple[str, str]:
    """The old and the new key, without the ending that object-based ones have in common."""
    if each.key.endswith(VALUE_SUFFIX) and each.key_written.endswith(VALUE_SUFFIX):
        return each.key.removesuffix(VALUE_SUFFIX), each.key_written.removesuffix(VALUE_SUFFIX)
    return each.key, each.key_written


def rows_of(
    tree: VariableTree, items: Iterable[Item], among: Collection[int] | None = None
) -> list[int]:
    """The rows of items; of groups all below (that are `among`), folded slots included.

    A variable stands for itself alone: its slots have their own ticks.
    """
    from ckptviewer.ui.open_comparison import rows_below

    rows: list[int] = []
    for item in items:
        if isinstance(item, int):
            rows.append(item)
        else:
            below = rows_below(tree, item)
            rows += below if among is None else [row for row in below if row in among]
    return rows


def _written(
    tree: VariableTree, outcomes: Sequence[Kept | Dropped], kept: Iterable[int]
) -> Counter[Group]:
    written: Counter[Group] = Counter()
    for row in kept:
        each = outcomes[row]
        if isinstance(each, Kept):
            written[tree.group_of[row]] += each.written_bytes
    for group in reversed(list(tree.groups())):  # children come after their parents
        size = written.get(group)
        if size and group.parent is not None:
            written[group.parent] += size
    return written
