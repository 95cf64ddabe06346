"""VariableTree: the hierarchy that names make, with totals; no Qt, and quick for a million rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from enum import StrEnum

from ckptviewer.checkpoint.text import natural_keys
from ckptviewer.checkpoint.variable import Role, Variable

FLAT_BELOW = 12
"""A group with at most this many variables shows them at once, without further groups inside."""


class ViewBy(StrEnum):
    """What the hierarchy is made from."""

    NAME = "name"
    OBJECT_PATH = "object path"
    ROLE = "role"
    DTYPE = "dtype"
    SHARD = "shard"


def _path_by_role(variable: Variable) -> str:
    return f"{variable.role}/{variable.name}"


def _path_by_dtype(variable: Variable) -> str:
    return f"{variable.dtype}/{variable.name}"


def _path_by_shard(variable: Variable) -> str:
    shard = "several shards" if variable.shard < 0 else f"shard {variable.shard}"
    return f"{shard}/{variable.name}"


def _path_by_object(variable: Variable) -> str:
    return variable.object_path or variable.name


_PATHS: dict[ViewBy, Callable[[Variable], str]] = {
    ViewBy.NAME: lambda variable: variable.name,
    ViewBy.OBJECT_PATH: _path_by_object,
    ViewBy.ROLE: _path_by_role,
    ViewBy.DTYPE: _path_by_dtype,
    ViewBy.SHARD: _path_by_shard,
}
_FOLDS_SLOTS = frozenset({ViewBy.NAME, ViewBy.OBJECT_PATH})


class Group:
    """One inner node: what its variables have in common is a part of their paths.

    path: from the root; children: groups, and rows of variables, in natural order.
    variable_count, element_count, stored_bytes: of all below, folded slots included.
    """

    __slots__ = ("children", "element_count", "parent", "path", "stored_bytes", "variable_count")

    def __init__(self, path: str, parent: Group | None) -> None:
        self.path = path
        self.parent = parent
        self.children: list[Group | int] = []
        self.variable_count = 0
        self.element_count = 0
        self.stored_bytes = 0

    @property
    def name(self) -> str:
        """The part of its path that its parent has not."""
        return relative_path(self.path, self.parent)


Item = Group | int
"""A node: a group, or the row of a variable in the checkpoint's list."""


def relative_path(path: str, group: Group | None) -> str:
    """`path` as seen from `group`."""
    return path[len(group.path) + 1 :] if group and group.path else path


class VariableTree:
    """The hierarchy of a checkpoint's variables.

    root: the group of all; its path is "".
    slots: row of a variable to the rows of the slots that fold under it.
    paths: of each row. group_of: the group that shows each row (of slots: their owner's).
    """

    def __init__(self, variables: Sequence[Variable], view_by: ViewBy = ViewBy.NAME) -> None:
        self.variables = variables
        self.view_by = view_by
        self.root = Group("", None)
        self.slots: dict[int, list[int]] = {}
        path_of = _PATHS[view_by]
        self.paths = [path_of(variable) for variable in variables]
        self.group_of: list[Group] = [self.root] * len(variables)
        self._groups: dict[str, Group] = {"": self.root}
        self._owner_rows: dict[int, int] = {}
        if view_by in _FOLDS_SLOTS:
            self._fold_slots()
        self._place()
        self._count()
        self._flatten_small_groups()

    def groups(self) -> Iterator[Group]:
        """All groups, the root left out."""
        return (group for path, group in self._groups.items() if path)

    def label(self, row: int) -> str:
        """What to call a variable in its place: its path from its group, or the slot's name."""
        variable = self.variables[row]
        if self.is_folded(row):
            return variable.slot_name or self.paths[row] or variable.key
        return relative_path(self.paths[row], self.group_of[row]) or variable.key

    def is_folded(self, row: int) -> bool:
        """Whether the row shows as a slot under its owner."""
        return row in self._owner_rows

    def owner_row(self, row: int) -> int | None:
        """The row under which a slot folds; None for what is no folded slot."""
        return self._owner_rows.get(row)

    def _fold_slots(self) -> None:
        owned = [row for row, variable in enumerate(self.variables) if variable.slot_of is not None]
        if not owned:
            return
        rows = {variable.key: row for row, variable in enumerate(self.variables)}
        for row in owned:
            owner = rows.get(self.variables[row].slot_of or "")
            if owner is not None and self.variables[owner].slot_of is None:
                self._owner_rows[row] = owner
                self.slots.setdefault(owner, []).append(row)

    def _place(self) -> None:
        """Hang each row that is not folded into the group of its path, in natural order."""
        order = list(range(len(self.paths)))
        if any(path != v.key for path, v in zip(self.paths, self.variables, strict=True)):
            sortable = natural_keys(self.paths)
            order.sort(key=sortable.__getitem__)
        # Of least interest, and its name would often come first.
        metadata = {row for row, v in enumerate(self.variables) if v.role is Role.METADATA}
        if metadata:
            order = [row for row in order if row not in metadata] + sorted(metadata)
        groups, folded = self._groups, self._owner_rows
        for row in order:
            if row in folded:
                continue
            directory = self.paths[row].rpartition("/")[0]
            group = groups.get(directory)
            if group is None:
                group = self._make_group(directory)
            group.children.append(row)
            self.group_of[row] = group
        for row, owner in folded.items():
            self.group_of[row] = self.group_of[owner]

    def _make_group(self, path: str) -> Group:
        missing = []
        while path not in self._groups:
            missing.append(path)
            path = path.rpartition("/")[0]
        parent = self._groups[path]
        for path in reversed(missing):
            group = self._groups[path] = Group(path, parent)
            parent.children.append(group)
            parent = group
        return parent

    def _count(self) -> None:
        for variable, group in zip(self.variables, self.group_of, strict=True):
            group.variable_count += 1
            group.stored_bytes += variable.stored_bytes
            group.element_count += variable.element_count
        for group in reversed(self._groups.values()):  # children were made after their parents
            if group.parent is not None:
                group.parent.variable_count += group.variable_count
                group.parent.stored_bytes += group.stored_bytes
                group.parent.element_count += group.element_count

    def _flatten_small_groups(self) -> None:
        """Spare the reader groups of a few: they show their variables with longer names."""
        shown: dict[Group, int] = {}
        for group in reversed(self._groups.values()):
            shown[group] = sum(
                1 if isinstance(child, int) else shown[child] for child in group.children
            )
        for path, group in list(self._groups.items()):
            if path not in self._groups:
                continue
            if shown[group] <= FLAT_BELOW:
                self._inline_all(group)
            else:
                self._inline_only_children(group, shown)

    def _inline_all(self, group: Group) -> None:
        if all(isinstance(child, int) for child in group.children):
            return
        rows = list(_rows_below(group))
        self._drop_groups_below(group)
        group.children = list(rows)
        for row in rows:
            self.group_of[row] = group
            for slot in self.slots.get(row, ()):
                self.group_of[slot] = group

    def _inline_only_children(self, group: Group, shown: dict[Group, int]) -> None:
        """A child group of one variable is no group, and one of one group is that group."""
        children: list[Item] = []
        for child in group.children:
            if isinstance(child, int):
                children.append(child)
                continue
            while len(child.children) == 1 and isinstance(only := child.children[0], Group):
                del self._groups[child.path]
                child = only
                child.parent = group
            if shown[child] == 1:
                row = next(_rows_below(child))
                self._drop_groups_below(child)
                del self._groups[child.path]
                children.append(row)
                for slot in (row, *self.slots.get(row, ())):
                    self.group_of[slot] = group
            else:
                children.append(child)
        group.children = children

    def _drop_groups_below(self, group: Group) -> None:
        pending = [child for child in group.children if isinstance(child, Group)]
        while pending:
            dropped = pending.pop()
            del self._groups[dropped.path]
            pending += [child for child in dropped.children if isinstance(child, Group)]

    def matching_counts(self, rows: Collection[int]) -> Counter[Group]:
        """How many of `rows` each group shows, directly or below; groups without any are absent."""
        counts = Counter(map(self.group_of.__getitem__, rows))
        for group, count in list(counts.items()):
            parent = group.parent
            while parent is not None:
                counts[parent] += count
                parent = parent.parent
        return counts


def _rows_below(group: Group) -> Iterator[int]:
    """The rows of a group's variables in order, slots left out."""
    stack: list[Iterator[Item]] = [iter(group.children)]
    while stack:
        for item in stack[-1]:
            if isinstance(item, int):
                yield item
            else:
                stack.append(iter(item.children))
                break
        else:
            stack.pop()
