"""VariableTree: the hierarchy that names make, with totals; no Qt, and quick for a million rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from enum import StrEnum
from operator import attrgetter

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
_KEY_OF, _NAME_OF = attrgetter("key"), attrgetter("name")
_ROLE_OF, _SLOT_OF = attrgetter("role"), attrgetter("slot_of")
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


def _separated(names: list[str]) -> list[str]:
    """The names with "/" between their parts: where none has that, dots separate them."""
    if any("/" in name for name in names):
        return names
    return [name.replace(".", "/") for name in names]


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
        if view_by is ViewBy.NAME:
            self.paths = _separated(list(map(_NAME_OF, variables)))
        else:
            self.paths = list(map(_PATHS[view_by], variables))
        self.group_of: list[Group] = [self.root] * len(variables)
        self._groups: dict[str, Group] = {"": self.root}
        self._owner_rows: dict[int, int] = {}
        keys = list(map(_KEY_OF, variables))
        if view_by in _FOLDS_SLOTS:
            self._fold_slots(keys)
        self._place(keys)
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

    def _fold_slots(self, keys: list[str]) -> None:
        owner_keys = list(map(_SLOT_OF, self.variables))
        if owner_keys.count(None) == len(owner_keys):
            return
        rows = dict(zip(keys, range(len(keys)), strict=True))
        slots, owner_rows = self.slots, self._owner_rows
        for row, owner_key in enumerate(owner_keys):
            if owner_key is None:
                continue
            owner = rows.get(owner_key)
            if owner is not None and owner_keys[owner] is None:
                owner_rows[row] = owner
                if owner in slots:
                    slots[owner].append(row)
                else:
                    slots[owner] = [row]

    def _place(self, keys: list[str]) -> None:
        """Hang each row that is not folded into the group of its path, in natural order."""
        order = list(range(len(self.paths)))
        if self.paths != keys:
            sortable = natural_keys(self.paths)
            order.sort(key=sortable.__getitem__)
        # Of least interest, and its name would often come first.
        roles = list(map(_ROLE_OF, self.variables))
        if Role.METADATA in roles:
            metadata = {row for row, role in enumerate(roles) if role is Role.METADATA}
            order = [row for row in order if row not in metadata] + sorted(metadata)
        groups, group_of, paths, folded = self._groups, self.group_of, self.paths, self._owner_rows
        for row in order:
            if row in folded:
                continue
            directory = paths[row].rpartition("/")[0]
            group = groups.get(directory) or self._make_group(directory)
            group.children.append(row)
            group_of[row] = group
        self._place_slots()

    def _place_slots(self) -> None:
        """Slots are where their owners are."""
        group_of = self.group_of
        for row, owner in self._owner_rows.items():
            group_of[row] = group_of[owner]

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
            count = 0
            for child in group.children:
                count += 1 if isinstance(child, int) else shown[child]
            shown[group] = count
        kept: dict[str, Group] = {}
        pending = [self.root]
        while pending:
            group = pending.pop()
            kept[group.path] = group
            if shown[group] <= FLAT_BELOW:
                self._take_rows(group, group)
            else:
                self._take_over_only_children(group, shown)
                pending += [child for child in group.children if isinstance(child, Group)]
        self._groups = kept
        self._place_slots()

    def _take_rows(self, group: Group, taker: Group) -> list[int]:
        """Let `taker` show all rows below `group`; returns them in order."""
        rows: list[int] = []
        pending: list[Item] = [group]
        while pending:
            item = pending.pop()
            if isinstance(item, int):
                rows.append(item)
                self.group_of[item] = taker
            else:
                pending += reversed(item.children)
        if group is taker:
            group.children = list(rows)
        return rows

    def _take_over_only_children(self, group: Group, shown: dict[Group, int]) -> None:
        """A child group of one variable is no group, and one of one group is that group."""
        children: list[Item] = []
        for child in group.children:
            if isinstance(child, int):
                children.append(child)
                continue
            while len(child.children) == 1 and isinstance(only := child.children[0], Group):
                child = only
                child.parent = group
            if shown[child] == 1:
                children += self._take_rows(child, group)
            else:
                children.append(child)
        group.children = children

    def matching_counts(self, rows: Collection[int]) -> Counter[Group]:
        """How many of `rows` each group shows, directly or below; groups without any are absent."""
        counts = Counter(map(self.group_of.__getitem__, rows))
        # Groups come after their parents, so from the end each is complete when its turn comes.
        for group in reversed(self._groups.values()):
            count = counts.get(group)
            if count and group.parent is not None:
                counts[group.parent] += count
        return counts
