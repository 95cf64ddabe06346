"""VariableTree: every variable has one place, totals are sums, slots fold, names stay whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ckptviewer.checkpoint.text import natural_key
from ckptviewer.checkpoint.tree import FLAT_BELOW, Group, VariableTree, ViewBy, relative_path
from ckptviewer.checkpoint.variable import Role, Variable


def variable(key: str, **fields: object) -> Variable:
    given_fields: dict = {"name": key, "dtype": "float32", "shape": (2, 3), "stored_bytes": 24}
    return Variable(key=key, **(given_fields | fields))


def sorted_variables(keys: Sequence[str]) -> list[Variable]:
    """Variables in natural order of their keys, as a Checkpoint has them."""
    return [variable(key) for key in sorted(keys, key=lambda key: (natural_key(key), key))]


def placed(tree: VariableTree) -> list[tuple[int, Group]]:
    """Every row that the tree shows, and the group in which; slots after their owner."""
    found: list[tuple[int, Group]] = []
    stack = [tree.root]
    while stack:
        group = stack.pop()
        for child in group.children:
            if isinstance(child, Group):
                stack.append(child)
            else:
                found.append((child, group))
                found += [(slot, group) for slot in tree.slots.get(child, ())]
    return found


def rows_in_order(tree: VariableTree) -> list[int]:
    """The rows from top to bottom, slots left out."""
    rows: list[int] = []
    stack: list[Group | int] = [tree.root]
    while stack:
        item = stack.pop()
        if isinstance(item, int):
            rows.append(item)
        else:
            stack += reversed(item.children)
    return rows


def lineage(group: Group) -> list[Group]:
    """The group and all above it."""
    groups = [group]
    while (parent := groups[-1].parent) is not None:
        groups.append(parent)
    return groups


def reachable_groups(tree: VariableTree) -> list[Group]:
    groups, stack = [], [tree.root]
    while stack:
        below = [child for child in stack.pop().children if isinstance(child, Group)]
        groups += below
        stack += below
    return groups


# What hypothesis makes: few components, so that names are prefixes of each other and groups are
# shared, and now and then odd ones.
components = st.sampled_from(
    ["a", "b", "a-b", "a1", "a2", "a10", "A", "", "\u00e9", "\u5c42", ".S"]
)
paths = st.lists(components, max_size=6).map("/".join) | st.text(max_size=8)


@st.composite
def checkpoints(draw: st.DrawFn) -> list[Variable]:
    keys = sorted(
        draw(st.lists(paths, unique=True, max_size=40)), key=lambda key: (natural_key(key), key)
    )
    names = draw(st.lists(paths, max_size=5))
    rng = Random(draw(st.integers(0, 1 << 32)))  # fields that shape nothing: no need to shrink them
    variables: list[Variable] = []
    for key in keys:
        owner = rng.choice(keys) if rng.random() < 0.4 else None
        variables.append(
            variable(
                key,
                name=rng.choice([key, key, *names]),
                dtype=rng.choice(["float32", "string", "int64"]),
                shape=tuple(rng.randrange(6) for _ in range(rng.randrange(4))),
                stored_bytes=rng.randrange(10**12),
                role=rng.choice([Role.WEIGHT, Role.OTHER, Role.METADATA]),
                slot_of=owner,
                slot_name=rng.choice(["", "m", "Adam_1"]) if owner is not None else "",
                object_path=rng.choice(["", key, *names]),
                shard=rng.randrange(-1, 3),
            )
        )
    return variables


views = st.sampled_from(list(ViewBy))


@given(view_by=views, variables=checkpoints())
@settings(deadline=None)
def test_tree_is_sound(view_by: ViewBy, variables: list[Variable]) -> None:
    tree = VariableTree(variables, view_by)
    found = placed(tree)
    assert Counter(row for row, _ in found) == Counter(range(len(variables)))
    for row, group in found:
        assert tree.group_of[row] is group

    groups = reachable_groups(tree)
    assert Counter(map(id, groups)) == Counter(map(id, tree.groups()))
    for group in groups:
        assert group.children
        assert group in group.parent.children  # type: ignore[union-attr]
        assert lineage(group)[-1] is tree.root

    for group in [tree.root, *groups]:
        below = [variables[row] for row, place in found if group in lineage(place)]
        assert group.variable_count == len(below)
        assert group.stored_bytes == sum(v.stored_bytes for v in below)
        assert group.element_count == sum(v.element_count for v in below)


@given(view_by=views, variables=checkpoints())
@settings(deadline=None)
def test_labels_and_names_are_the_rest_of_the_path(
    view_by: ViewBy, variables: list[Variable]
) -> None:
    tree = VariableTree(variables, view_by)
    for row, group in placed(tree):
        path, label = tree.paths[row], tree.label(row)
        if tree.is_folded(row):  # its own path says nothing of the place where it shows
            assert label == (variables[row].slot_name or path or variables[row].key)
        elif path == (f"{group.path}/" if group.path else ""):  # nothing is left of it
            assert label == variables[row].key
        else:
            assert path == (f"{group.path}/{label}" if group.path else label)
    for group in tree.groups():
        parent = group.parent
        assert parent is not None
        assert group.path == (f"{parent.path}/{group.name}" if parent.path else group.name)


@given(variables=checkpoints())
@settings(deadline=None)
def test_slots_fold_under_their_owner_where_the_view_is_of_names(variables: list[Variable]) -> None:
    rows = {v.key: row for row, v in enumerate(variables)}
    for view_by in ViewBy:
        tree = VariableTree(variables, view_by)
        for row, v in enumerate(variables):
            owner = None
            if view_by in (ViewBy.NAME, ViewBy.OBJECT_PATH) and v.slot_of is not None:
                owner = rows[v.slot_of]
                if variables[owner].slot_of is not None:
                    owner = None  # a slot of a slot would be two levels deep
            assert tree.owner_row(row) == owner
            assert tree.is_folded(row) == (owner is not None)
            if owner is not None:
                assert row in tree.slots[owner]
        assert sum(map(len, tree.slots.values())) == sum(map(tree.is_folded, range(len(variables))))


@given(variables=checkpoints())
@settings(deadline=None)
def test_order_within_a_group_is_natural(variables: list[Variable]) -> None:
    tree = VariableTree(variables)
    for group in [tree.root, *tree.groups()]:
        rows = [child for child in group.children if isinstance(child, int)]
        ordinary = [row for row in rows if variables[row].role is not Role.METADATA]
        keys = [natural_key(tree.paths[row]) for row in ordinary]
        assert keys == sorted(keys)


def test_object_graph_comes_last_as_its_name_would_come_first() -> None:
    graph = variable("_CHECKPOINTABLE_OBJECT_GRAPH", role=Role.METADATA)
    variables = [graph, *sorted_variables([f"model/layer-{n}/kernel" for n in range(30)])]
    for view_by in (ViewBy.NAME, ViewBy.OBJECT_PATH, ViewBy.DTYPE):
        assert rows_in_order(VariableTree(variables, view_by)) == [*range(1, 31), 0]


@given(variables=checkpoints(), data=st.data())
@settings(deadline=None)
def test_matching_counts(variables: list[Variable], data: st.DataObject) -> None:
    tree = VariableTree(variables, data.draw(views))
    rows = [row for row in range(len(variables)) if data.draw(st.booleans())]
    expected = Counter(g for row in rows for g in lineage(tree.group_of[row]))
    assert tree.matching_counts(rows) == expected


def test_small_groups_are_flattened_and_large_ones_are_kept() -> None:
    keys = [f"net/block_{b}/layer_{n}/kernel" for b in range(2) for n in range(FLAT_BELOW + 1)]
    tree = VariableTree(sorted_variables(keys))
    (net,) = [child for child in tree.root.children if isinstance(child, Group)]
    assert net.path == "net"
    blocks = net.children
    assert [block.path for block in blocks if isinstance(block, Group)] == [
        "net/block_0",
        "net/block_1",
    ]
    for block in blocks:
        assert isinstance(block, Group)
        assert block.variable_count == FLAT_BELOW + 1
        labels = [tree.label(row) for row in block.children if isinstance(row, int)]
        assert labels == [f"layer_{n}/kernel" for n in range(FLAT_BELOW + 1)]


def test_group_within_the_limit_shows_all_below_it_at_once() -> None:
    tree = VariableTree(sorted_variables([f"m/l{n}/x/kernel" for n in range(FLAT_BELOW)]))
    assert [tree.label(row) for row in rows_in_order(tree)] == [
        f"m/l{n}/x/kernel" for n in range(FLAT_BELOW)
    ]
    assert not list(tree.groups())


def test_chains_of_single_groups_are_one_group() -> None:
    many = [f"a/b/c/v{n}" for n in range(FLAT_BELOW + 1)]
    other = [f"z/v{n}" for n in range(FLAT_BELOW + 1)]
    tree = VariableTree(sorted_variables(many + other))
    names = [child.name for child in tree.root.children if isinstance(child, Group)]
    assert names == ["a/b/c", "z"]


def test_numbers_sort_as_numbers() -> None:
    tree = VariableTree(sorted_variables([f"vars/{n}" for n in (10, 2, 1, 100, 20)]))
    assert [tree.paths[row] for row in rows_in_order(tree)] == [
        f"vars/{n}" for n in (1, 2, 10, 20, 100)
    ]


def test_name_that_is_the_prefix_of_others() -> None:
    keys = ["net", "net/kernel", "net/kernel/Adam", *(f"net/x/{n}" for n in range(20)), "net2"]
    tree = VariableTree(sorted_variables(keys))
    assert sorted(row for row, _ in placed(tree)) == list(range(len(keys)))
    (net,) = [child for child in tree.root.children if isinstance(child, Group)]
    assert (net.path, net.variable_count) == ("net", 22)
    in_root = [child for child in tree.root.children if isinstance(child, int)]
    assert {tree.paths[row] for row in in_root} == {"net", "net2"}


@pytest.mark.parametrize(
    "keys",
    [
        [""],
        ["/"],
        ["", "/", "//", "///"],
        ["a//b", "a/b", "a/", "a", "/a", "/a/"],
        ["\u0142ayer/\u5c42/\U0001f600", "\u0142ayer/\u5c42"],
        ["\udcff/kernel", "\udcff"],
        ["a\nb/c", "a\tb", "a b", " ", "."],
        ["x/" * 300 + "v", "x/" * 299 + "v", "x/" * 300 + "w"],
    ],
)
@pytest.mark.parametrize("view_by", list(ViewBy))
def test_odd_names_have_a_place_and_a_label(keys: list[str], view_by: ViewBy) -> None:
    many = [f"{key}/{n}" for key in keys for n in range(FLAT_BELOW + 1)]
    for chosen in (keys, keys + many):
        variables = sorted_variables(sorted(set(chosen)))
        tree = VariableTree(variables, view_by)
        assert sorted(row for row, _ in placed(tree)) == list(range(len(variables)))
        labels = {tree.variables[row].key: tree.label(row) for row in range(len(variables))}
        assert all(label for key, label in labels.items() if key)


def test_deep_names_are_no_recursion() -> None:
    deep = ["/".join(["d"] * depth) + f"/leaf{n}" for depth in range(1, 3000, 100) for n in (0, 1)]
    tree = VariableTree(sorted_variables(deep))
    assert len(placed(tree)) == len(deep)
    assert tree.root.variable_count == len(deep)


def test_names_that_repeat_are_all_shown() -> None:
    variables = [
        variable("a/.ATTRIBUTES/VARIABLE_VALUE", name="net/kernel"),
        variable("b/.ATTRIBUTES/VARIABLE_VALUE", name="net/kernel"),
        variable("c/.ATTRIBUTES/VARIABLE_VALUE", name="net/kernel", slot_of="b/missing"),
    ]
    tree = VariableTree(variables)
    assert [tree.label(row) for row in rows_in_order(tree)] == ["net/kernel"] * 3


def test_views_group_by_what_they_say() -> None:
    variables = [
        variable(
            f"k{n}",
            name=f"net/l{n}/kernel",
            dtype="float32" if n % 2 else "bfloat16",
            role=Role.WEIGHT if n < 20 else Role.OPTIMIZER_SLOT,
            object_path=f"model/layer-{n}/kernel",
            shard=n % 2 if n < 26 else -1,
        )
        for n in range(40)
    ]
    top = {
        view_by: {g.path.split("/")[0] for g in VariableTree(variables, view_by).groups()}
        for view_by in (ViewBy.ROLE, ViewBy.DTYPE, ViewBy.SHARD)
    }
    assert top[ViewBy.ROLE] == {"weight", "optimizer-slot"}
    assert top[ViewBy.DTYPE] == {"float32", "bfloat16"}
    assert top[ViewBy.SHARD] == {"shard 0", "shard 1", "several shards"}
    assert VariableTree(variables).paths[3] == "net/l3/kernel"
    assert VariableTree(variables, ViewBy.OBJECT_PATH).paths[3] == "model/layer-3/kernel"


def test_empty_checkpoint() -> None:
    tree = VariableTree([])
    assert tree.root.children == []
    assert tree.root.variable_count == 0
    assert not list(tree.groups())
    assert tree.matching_counts([]) == {}


def test_relative_path() -> None:
    root = Group("", None)
    net = Group("net", root)
    assert relative_path("net/kernel", root) == "net/kernel"
    assert relative_path("net/kernel", net) == "kernel"
    assert relative_path("net/kernel", None) == "net/kernel"
