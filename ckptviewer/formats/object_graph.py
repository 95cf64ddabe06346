"""Names, roles and owners of slots, as an object-based checkpoint's own graph tells them.

Source: tensorflow/core/protobuf/trackable_object_graph.proto. The graph is stored in the
checkpoint under the key `_CHECKPOINTABLE_OBJECT_GRAPH`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ckptviewer.checkpoint import leaf_names, slot_names
from ckptviewer.checkpoint.roles import (
    VALUE_SUFFIX,
    Columns,
    columns_by_name,
)
from ckptviewer.checkpoint.variable import MODEL_ROLES, Role
from ckptviewer.formats.object_messages import Parts, read_parts
from ckptviewer.formats.object_slots import Graph, find_slots
from ckptviewer.formats.object_walk import (
    AVERAGE,
    METRIC,
    MODEL,
    OPTIMIZER,
    REPEATED,
    Walk,
    Walker,
)

_GENERIC = "Variable"  # what TensorFlow calls variables that were given no name
_MAX_PATH = 1024
_MAX_SIBLINGS = 32


def columns_of_object_graph(
    serialized: bytes,
    keys: Sequence[str],
    dtypes: Sequence[str],
    shapes: Sequence[tuple[int, ...]],
) -> Columns:
    """What the graph tells of the entries of a checkpoint, in their order.

    serialized: a TrackableObjectGraph. Its edges come first: what an optimizer trains is the
    model's, whatever its key; what is met nowhere but in an optimizer is slot, state or counter.
    Names of variables settle the rest. Entries that the graph does not know are described by
    their keys. Raises DamagedFileError for bytes that are no such graph.
    """
    parts = read_parts(serialized, keys)
    walker = Walker(
        parts.children,
        wanted=parts.values.keys() - parts.slots.owners.keys(),
        slotted=parts.slotted,
        size=len(serialized),
    )
    walk = walker.walk()
    shape_of = {node: shapes[row] for node, row in parts.values.items()}
    find_slots(Graph(walk, walker.edges_of, parts.full_names, shape_of), parts.slots)
    _name_paths_of_slots(parts, walk)
    return _Describing(parts, walk, keys, dtypes, shapes).describe()


def _name_paths_of_slots(parts: Parts, walk: Walk) -> None:
    """Slots that no edge leads to go by their owners, as they do in the keys."""
    paths, slots = walk.paths, parts.slots
    for optimizer, nodes in parts.slotted.items():
        middle = f"/.OPTIMIZER_SLOT/{paths[optimizer] or ''}/"
        if len(middle) > _MAX_PATH:
            continue
        for node in nodes:
            owner = paths[slots.owners[node]]
            if paths[node] is None and owner is not None and len(owner) <= _MAX_PATH:
                paths[node] = owner + middle + slots.words[node]


class _Describing:
    """The columns of the descriptions while they are filled."""

    def __init__(
        self,
        parts: Parts,
        walk: Walk,
        keys: Sequence[str],
        dtypes: Sequence[str],
        shapes: Sequence[tuple[int, ...]],
    ) -> None:
        count = len(keys)
        self._parts, self._walk = parts, walk
        self._keys, self._dtypes, self._shapes = keys, dtypes, shapes
        self._names = [""] * count
        self._roles = [Role.OTHER] * count
        self._owners: list[str | None] = [None] * count
        self._words = [""] * count
        self._trainable: list[bool | None] = [None] * count
        self._paths = [""] * count
        self._known: dict[tuple[str, str, str, int], Role] = {}
        self._trained = self._find_trained()
        self._hinted: set[str] = set()
        self._averages: set[str] = set()
        self._normalising: dict[str, bool] = {}
        self._by_full_name: dict[str, int] | None = None
        self._by_path: dict[str, int] | None = None
        self._siblings: dict[str, list[str]] = {}

    def describe(self) -> Columns:
        self._describe_values()
        self._describe_slots()
        self._describe_trainable()
        for node, row, attribute in self._parts.others:
            self._describe_other(node, row, attribute)
        self._describe_rest()
        return Columns(
            self._names, self._roles, self._owners, self._words, self._trainable, self._paths
        )

    def _describe_values(self) -> None:
        """Names, paths and roles of all variables but slots."""
        parts, walk, roles = self._parts, self._walk, self._roles
        dtypes, shapes = self._dtypes, self._shapes
        edges, regions, full_names = walk.edges, walk.regions, parts.full_names
        trained, known, hinted = self._trained, self._known, self._hinted
        without_number = leaf_names.without_number
        self._name_values()
        slots = parts.slots.owners
        for node, row in parts.values.items():
            if node in slots:
                continue
            full_name = full_names[node]
            leaf = without_number(full_name[full_name.rfind("/") + 1 :])
            edge = without_number(edges[node])
            role = known.get((leaf, edge, dtypes[row], len(shapes[row])))
            if role is None:
                role = self._learn(leaf, edge, dtypes[row], len(shapes[row]))
            if leaf in hinted and self._normalises(full_name, self._paths[row]):
                role = Role.NORMALIZATION
            if node in trained and role not in MODEL_ROLES:
                role = Role.WEIGHT
            elif regions[node] or leaf in self._averages:
                role = self._role_in(regions[node], role, node, row)
            roles[row] = role

    def _name_values(self) -> None:
        """Object paths, and full names where they are there and tell variables apart."""
        names, object_paths, keys = self._names, self._paths, self._keys
        paths, full_names, counts = self._walk.paths, self._parts.full_names, self._name_counts()
        for node, row in self._parts.values.items():
            path = paths[node]
            if path is None:
                path = keys[row].removesuffix(VALUE_SUFFIX)
            object_paths[row] = path
            full_name = full_names[node]
            if counts[full_name] == 1:
                names[row] = full_name
            else:
                names[row] = path or keys[row].removesuffix(VALUE_SUFFIX)
        if REPEATED in self._walk.regions:
            for node, row in self._parts.values.items():
                if self._walk.regions[node] == REPEATED and full_names[node]:
                    names[row] = f"{object_paths[row].rpartition('/')[0]}/{full_names[node]}"

    def _find_trained(self) -> set[int]:
        """Nodes of variables that the file says are trained."""
        slots = self._parts.slots
        averages = slots.averages()
        owners = {
            owner for slot, owner in slots.owners.items() if slots.words[slot] not in averages
        }
        return owners | slots.trained | self._walk.trained

    def _name_counts(self) -> Counter[str]:
        """How many variables bear each full name, made 0 for names that were not given.

        Repetitions of the model's variables do not count.
        """
        full_names, regions = self._parts.full_names, self._walk.regions
        counts = Counter(full_names.values())
        if REPEATED in regions:
            repeated = (name for node, name in full_names.items() if regions[node] == REPEATED)
            counts.subtract([name for name in repeated if counts[name] > 1])
        for name in [name for name in counts if not name or name.startswith(_GENERIC)]:
            counts[name] = 0
        return counts

    def _learn(self, leaf: str, edge: str, dtype: str, rank: int) -> Role:
        """The role that the last part of a full name tells, or else the last edge's name."""
        told = "" if leaf.startswith(_GENERIC) else leaf.replace("#", "0")
        role = leaf_names.known_role(told, "", dtype, rank) if told else None
        role = role or leaf_names.known_role(edge.replace("#", "0"), "", dtype, rank)
        if leaf_names.depends_on_layer(told or edge.replace("#", "0")):
            self._hinted.add(leaf)
        if slot_names.is_average_word(told):
            self._averages.add(leaf)
        role = role or leaf_names.default_role(dtype)
        self._known[leaf, edge, dtype, rank] = role
        return role

    def _normalises(self, full_name: str, path: str) -> bool:
        """Whether the variable's layer is one that normalises."""
        name = full_name if "/" in full_name else path
        scope = name.rpartition("/")[0]
        scope = scope[scope.rfind("/") + 1 :].rstrip("0123456789_")
        verdict = self._normalising.get(scope)
        if verdict is None:
            verdict = self._normalising[scope] = leaf_names.is_normalization_scope(scope)
        return verdict

    def _role_in(self, region: int, role: Role, node: int, row: int) -> Role:
        """The role of a variable that was not met in the model, or is called an average."""
        if region == METRIC:
            return Role.METRIC
        if region == OPTIMIZER:
            return self._role_in_optimizer(role, node, row)
        if region >= AVERAGE and role in MODEL_ROLES:
            root = self._walk.averages[region - AVERAGE]
            self._words[row] = root[root.rfind("/") + 1 :]
            self._owners[row] = self._owner_of_copy(root, row)
            return Role.MOVING_AVERAGE
        full_name = self._parts.full_names[node]
        leaf = full_name[full_name.rfind("/") + 1 :]
        if leaf_names.without_number(leaf) in self._averages:
            owner = self._owner_by_name(full_name[: -len(leaf) - 1], row)
            if owner is not None or slot_names.is_average_for_sure(leaf):
                self._words[row], self._owners[row] = leaf, owner
                return Role.MOVING_AVERAGE
        return role

    def _role_in_optimizer(self, role: Role, node: int, row: int) -> Role:
        if role in (Role.COUNTER, Role.OPTIMIZER_STATE, Role.RNG, Role.ITERATOR):
            return role
        dtype, shape = self._dtypes[row], self._shapes[row]
        if not shape:
            return Role.OPTIMIZER_STATE
        edge = self._walk.edges[node]
        if not edge.isdecimal():
            told = leaf_names.known_role(edge, "", dtype, len(shape))
            if told in MODEL_ROLES:  # a model that nothing but its optimizer's wrapper leads to
                return role
        return Role.OPTIMIZER_SLOT

    def _owner_by_name(self, full_name: str, row: int) -> str | None:
        if self._by_full_name is None:
            self._by_full_name = {}
            for node, name in self._parts.full_names.items():
                again = name in self._by_full_name
                self._by_full_name[name] = -1 if again else self._parts.values[node]
        owner = self._by_full_name.get(full_name, -1)
        if owner < 0 or self._shapes[owner] != self._shapes[row]:
            return None
        return self._keys[owner]

    def _owner_of_copy(self, root: str, row: int) -> str | None:
        """Key of the variable at the same place of the model as this one of the copy at `root`."""
        by_path, siblings = self._model_paths(root.rpartition("/")[0])
        rest = self._paths[row][len(root) :]
        shape = self._shapes[row]
        owners = {by_path.get(sibling + rest, -1) for sibling in siblings} - {-1}
        alike = [owner for owner in owners if self._shapes[owner] == shape]
        return self._keys[alike[0]] if len(alike) == 1 else None

    def _model_paths(self, parent: str) -> tuple[dict[str, int], list[str]]:
        """Rows of the model's variables by path, and the paths of what stands below `parent`."""
        if self._by_path is None:
            walk = self._walk
            self._by_path = {
                walk.paths[node] or "": row
                for node, row in self._parts.values.items()
                if walk.regions[node] == MODEL
            }
        siblings = self._siblings.get(parent)
        if siblings is None:
            prefix = parent + "/" if parent else ""
            start = len(prefix)
            below = {
                path[: path.find("/", start)] if "/" in path[start:] else path
                for path in self._by_path
                if path.startswith(prefix)
            }
            siblings = self._siblings[parent] = [*sorted(below)[:_MAX_SIBLINGS], parent]
        return self._by_path, siblings

    def _describe_slots(self) -> None:
        values, slots = self._parts.values, self._parts.slots
        roles, owners, words = self._roles, self._owners, self._words
        averages = slots.averages()
        for node, owner in slots.owners.items():
            row = values[node]
            word = words[row] = slots.words[node]
            roles[row] = Role.MOVING_AVERAGE if word in averages else Role.OPTIMIZER_SLOT
            if owner in values:
                owners[row] = self._keys[values[owner]]

    def _describe_trainable(self) -> None:
        values, trainable = self._parts.values, self._trainable
        for nodes, verdict in ((self._walk.untrained, False), (self._trained, True)):
            for node in nodes:
                row = values.get(node)
                if row is not None:
                    trainable[row] = verdict

    def _describe_other(self, node: int, row: int, attribute: str) -> None:
        """What an object stored that is no variable: an iterator, a table, its configuration."""
        key, dtype, shape = self._keys[row], self._dtypes[row], self._shapes[row]
        path = self._walk.paths[node] or key.partition("/.ATTRIBUTES/")[0]
        self._paths[row] = path
        self._names[row] = f"{path}/{attribute}".lstrip("/")
        if attribute == "OBJECT_CONFIG_JSON":
            self._roles[row] = Role.METADATA
        elif attribute.startswith("ITERATOR") or dtype == "variant":
            self._roles[row] = Role.ITERATOR
        else:
            known = leaf_names.known_role(attribute, "", dtype, len(shape))
            known = known or leaf_names.known_role(self._walk.edges[node], "", dtype, len(shape))
            role = known or leaf_names.default_role(dtype)
            region = self._walk.regions[node]
            inside = {METRIC: Role.METRIC, OPTIMIZER: Role.OPTIMIZER_STATE}.get(region)
            self._roles[row] = inside if inside and role in MODEL_ROLES else role

    def _describe_rest(self) -> None:
        """Entries that the graph does not know, the graph's own among them."""
        told = set(self._parts.values.values()).union(row for _, row, _ in self._parts.others)
        rest = [row for row in range(len(self._keys)) if row not in told]
        columns = columns_by_name(
            [self._keys[row] for row in rest],
            [self._dtypes[row] for row in rest],
            [self._shapes[row] for row in rest],
        )
        for row, *telling in zip(rest, *columns, strict=True):
            self._names[row], self._roles[row], self._owners[row] = telling[:3]
            self._words[row], self._trainable[row], self._paths[row] = telling[3:]
