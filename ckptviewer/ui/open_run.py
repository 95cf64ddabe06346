"""What a window knows of a run: its checkpoints, what can be followed, its timeline. No Qt here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from threading import Lock
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.checkpoint.selection import filter_rows, haystacks, parse_filter
from ckptviewer.checkpoint.tree import Group, Item, VariableTree
from ckptviewer.checkpoint.variable import MODEL_ROLES, Role, Variable
from ckptviewer.runs.entry import CheckpointEntry, Run
from ckptviewer.runs.timeline import ColumnListed, Event, Timeline
from ckptviewer.runs.timeline_table import Series, TimelineTable

if TYPE_CHECKING:
    from ckptviewer.storage.cache import Cache

FIRST_BYTES = 256 << 20
"""Of larger runs the variables in sight are followed first, and the rest in a second pass."""

WORKERS = 2


@dataclass(frozen=True, slots=True)
class Followed:
    """One thing whose course can be drawn: a variable, or several taken as one vector.

    label: in its place in the list. name: the whole of it, by which it is known from one look to
    the next. title: the whole of it for people. rows: of the variables. depth: of its place in the
    tree.
    """

    label: str
    name: str
    rows: tuple[int, ...]
    depth: int = 0
    role: Role | None = None
    is_group: bool = False
    title: str = ""


class Known:
    """The variables of a run, as they are known now, and the table that holds their numbers.

    variables: in natural order of their keys. choices: roles first, then the tree. in_order: rows
    as in the tree, the model's before all others.
    The table is filled in another thread; of these variables it can be read at any time.
    """

    def __init__(self, table: TimelineTable) -> None:
        self.table = table
        self.variables: tuple[Variable, ...] = tuple(table.variables)
        self.keys = [variable.key for variable in self.variables]
        self.tree = VariableTree(self.variables)
        self.choices: tuple[Followed, ...] = (*self._roles(), *self._tree())
        in_tree = [each.rows[0] for each in self.choices if not each.role and not each.is_group]
        self.in_order = sorted(in_tree, key=lambda row: self.variables[row].role not in MODEL_ROLES)

    @cached_property
    def texts(self) -> list[str]:
        """In what the filter looks for words."""
        return haystacks(self.variables)

    def rows_matching(self, text: str) -> frozenset[int] | None:
        """The rows that a text of the filter language leaves; None: all of them."""
        filter_ = parse_filter(text)
        if filter_.is_empty:
            return None
        return frozenset(filter_rows(filter_, self.variables, self.texts, {}))

    def lines(self, series: Series, choices: Sequence[Followed]) -> list[list[float]]:
        """The numbers of each of these over the checkpoints."""
        made = []
        for choice in choices:
            keys = [self.keys[row] for row in choice.rows]
            alone = choice.role is None and not choice.is_group
            line = (
                self.table.series(series, keys[0]) if alone else self.table.together(series, keys)
            )
            made.append(line.tolist())
        return made

    def _roles(self) -> Iterator[Followed]:
        by_role: dict[Role, list[int]] = {}
        for row, variable in enumerate(self.variables):
            by_role.setdefault(variable.role, []).append(row)
        for role in Role:
            if role in by_role:
                yield Followed(str(role), f"role {role}", tuple(by_role[role]), 0, role)

    def _tree(self) -> Iterator[Followed]:
        pending: list[tuple[Item, int]] = [(child, 0) for child in reversed(_of(self.tree.root))]
        while pending:
            item, depth = pending.pop()
            if isinstance(item, int):
                yield self._variable(item, depth)
                for slot in self.tree.slots.get(item, ()):
                    yield self._variable(slot, depth + 1)
            else:
                rows = tuple(_rows_below(self.tree, item))
                yield Followed(item.name, f"group {item.path}", rows, depth, is_group=True)
                pending += ((child, depth + 1) for child in reversed(_of(item)))

    def _variable(self, row: int, depth: int) -> Followed:
        variable = self.variables[row]
        return Followed(
            self.tree.label(row), variable.key, (row,), depth, title=variable.name or variable.key
        )


def _of(group: Group) -> list[Item]:
    return list(group.children)


def _rows_below(tree: VariableTree, group: Group) -> list[int]:
    from ckptviewer.ui.open_comparison import rows_below

    return rows_below(tree, group)


@dataclass(slots=True)
class RunMemory:
    """What was measured of the checkpoints of a run, and the steps that were found inside.

    A checkpoint whose files, and whose forerunner's, are the same as at the last look is not
    looked into again. A timeline waits for one before it that was cancelled and has not ended yet.
    """

    _columns: dict[tuple[str, str], list[Event]] = field(default_factory=dict)
    _steps: dict[str, int | None] = field(default_factory=dict)
    _busy: Lock = field(default_factory=Lock)

    def with_steps(self, run: Run) -> Run:
        """The run with the steps that counters inside tell where names tell none."""
        from ckptviewer.checkpoint.errors import CkptviewerError
        from ckptviewer.runs.entry import StepSource
        from ckptviewer.runs.run import in_order, step_inside

        entries: list[CheckpointEntry] = []
        steps: dict[str, int | None] = {}
        for entry in run.checkpoints:
            if entry.step is None and entry.sound:
                signature = entry.signature
                if signature in self._steps:
                    step = self._steps[signature]
                else:
                    try:
                        step = step_inside(entry)
                    except CkptviewerError:  # it is listed all the same, and its column says why
                        step = None
                steps[signature] = step
                if step is not None:
                    entry = replace(entry, step=step, step_source=StepSource.INSIDE)
            entries.append(entry)
        self._steps = steps
        return replace(run, checkpoints=in_order(entries))

    def follow(
        self,
        entries: Sequence[CheckpointEntry],
        table: TimelineTable,
        executor: Executor,
        *,
        first: frozenset[str],
        cache: Cache | None,
        cancel: CancelToken,
    ) -> Iterator[Progress]:
        """Fill `table`, which is of these entries; yields how far it has come.

        first: keys to begin with where there is much to read; none are known: the model's, which
        are shown first. Raises Cancelled.
        """
        with self._busy:
            yield from self._follow(entries, table, executor, first, cache, cancel)

    def _follow(
        self,
        entries: Sequence[CheckpointEntry],
        table: TimelineTable,
        executor: Executor,
        first: frozenset[str],
        cache: Cache | None,
        cancel: CancelToken,
    ) -> Iterator[Progress]:
        names = _column_names(entries)
        self._columns = {name: self._columns[name] for name in names if name in self._columns}
        for index, name in enumerate(names):
            for event in self._columns.get(name, ()):
                table.take(replace(event, index=index))
        for start, end in _spans(name in self._columns for name in names):
            base = next((at for at in range(start - 1, -1, -1) if entries[at].sound), start)
            size = sum(entry.size_bytes for entry in entries[base:end])
            fresh: dict[int, list[Event]] = {}
            passes: list[Callable[[Variable], bool] | None] = [None]
            if size > FIRST_BYTES:
                passes = [
                    partial(_is_among, first, wanted=True),
                    partial(_is_among, first, wanted=False),
                ]
            for wanted in passes:
                chosen = _Chosen(wanted)
                timeline = Timeline(entries[base:end], choose=chosen, cache=cache, cancel=cancel)
                for event in timeline.run(executor, WORKERS):
                    index = base + event.index
                    if isinstance(event, ColumnListed):
                        event = chosen.whole(event)
                    if index >= start:
                        event = replace(event, index=index)
                        table.take(event)
                        fresh.setdefault(index, []).append(event)
                    yield timeline.progress
            for index, events in fresh.items():
                self._columns[names[index]] = events


class _Chosen:
    """A timeline's choice of variables that remembers what there was to choose from."""

    def __init__(self, wanted: Callable[[Variable], bool] | None) -> None:
        self._wanted = wanted
        self._all: tuple[Variable, ...] = ()

    def __call__(self, variables: Sequence[Variable]) -> Sequence[Variable]:
        self._all = tuple(variables)
        wanted = self._wanted
        return [each for each in variables if wanted is None or wanted(each)]

    def whole(self, event: ColumnListed) -> ColumnListed:
        """The column with all of its variables: those that come later are there, too."""
        return event if event.error is not None else replace(event, variables=self._all)


def _is_among(first: frozenset[str], variable: Variable, *, wanted: bool) -> bool:
    return (variable.key in first if first else variable.role in MODEL_ROLES) is wanted


def _column_names(entries: Sequence[CheckpointEntry]) -> list[tuple[str, str]]:
    """By which a column is known again: its files, and those of the one it is compared with."""
    names = []
    before = ""
    for entry in entries:
        signature = f"{entry.signature} {entry.condition}"
        names.append((signature, before))
        if entry.sound:
            before = signature
    return names


def _spans(known: Iterator[bool]) -> list[tuple[int, int]]:
    """The stretches of what is not known: first, and one after the last."""
    spans: list[tuple[int, int]] = []
    for index, is_known in enumerate(known):
        if is_known:
            continue
        if spans and spans[-1][1] == index:
            spans[-1] = (spans[-1][0], index + 1)
        else:
            spans.append((index, index + 1))
    return spans
