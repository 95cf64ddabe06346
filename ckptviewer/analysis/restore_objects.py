"""What tf.train.Checkpoint.restore binds: two object graphs, walked together from their roots.

Source: tensorflow/python/checkpoint/restore.py (CheckpointPosition). An object of the checkpoint
is bound to the first object of the program that edges of the same names lead to; a slot, once its
optimizer and its owner are bound. Nothing else counts: neither names of variables nor shapes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import DamagedFileError
from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY, VALUE_SUFFIX
from ckptviewer.checkpoint.variable import MODEL_ROLES

SAVE_COUNTER = "save_counter"
_REMEDY = "Copy the checkpoint again from where it was saved."
_MOST_STARTS = 32
_MOST_PASSES = 16


@dataclass(slots=True)
class Object:
    """One object. children: by the names of edges. attributes: name to key and full name.

    slots: of an optimizer, by owner's number and slot's name.
    """

    children: dict[str, int] = field(default_factory=dict)
    attributes: dict[str, tuple[str, str]] = field(default_factory=dict)
    slots: dict[tuple[int, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """How two graphs go together.

    start: the edge of the checkpoint's root that the model hangs on; "" where root meets root.
    model_start: the same of the model's root.
    pairs: keys of the checkpoint to keys of the model. reached: whether any object was met but
    the roots.
    counter: whether the checkpoint's root has a `save_counter`, which `restore` asks for.
    """

    start: str
    model_start: str
    pairs: Mapping[str, str]
    reached: bool
    counter: bool


def has_objects(checkpoint: Checkpoint) -> bool:
    """Whether the graph of the objects that were saved is in it."""
    return OBJECT_GRAPH_KEY in checkpoint.by_key


def read_objects(checkpoint: Checkpoint) -> list[Object]:
    """The objects in the checkpoint's graph, the root first.

    Raises DamagedFileError for a graph that is none or that points outside itself, and as `read`.
    """
    from google.protobuf.message import DecodeError

    from ckptviewer.formats.proto.object_graph_pb2 import ObjectGraph

    variable = checkpoint[OBJECT_GRAPH_KEY]
    if variable.dtype != "string" or variable.shape != ():
        raise DamagedFileError("it is not a single string", where=variable.key, remedy=_REMEDY)
    try:
        graph = ObjectGraph.FromString(bytes(checkpoint.read(variable).item()))
    except DecodeError as error:
        raise DamagedFileError(
            "the object graph is no message of its kind", where=checkpoint.path, remedy=_REMEDY
        ) from error
    count = len(graph.nodes)
    objects = [Object() for _ in range(count)]
    for found, node in zip(objects, graph.nodes, strict=True):
        for child in node.children:
            found.children[child.local_name] = _checked(child.node_id, count)
        for each in node.attributes:
            found.attributes[each.name] = (each.checkpoint_key, each.full_name)
        for slot in node.slot_variables:
            owner = _checked(slot.original_variable_node_id, count)
            found.slots[owner, slot.slot_name] = _checked(slot.slot_variable_node_id, count)
    return objects


def _checked(number: int, count: int) -> int:
    if not 0 <= number < count:
        raise DamagedFileError(
            f"the object graph refers to object {number} and has {count} of them", remedy=_REMEDY
        )
    return number


def full_names(objects: list[Object]) -> dict[str, str]:
    """The name that a Saver would look for, by key; keys whose variable has none are left out."""
    return {
        key: full_name
        for each in objects
        for key, full_name in each.attributes.values()
        if full_name
    }


def walk_together(
    checkpoint: Checkpoint, model: Checkpoint, objects: list[Object], program: list[Object]
) -> Walked:
    """The pairs that a restore binds, `objects` being the checkpoint's and `program` the model's.

    A SavedModel is a model and not a program: the checkpoint may have it below an edge of its
    root, as `tf.train.Checkpoint(model=...)` gives it; the edge that binds most is taken. Between
    two checkpoints root meets root: how their programs named their parts is what is asked.
    """
    needed = {each.key for each in model.variables if each.role in MODEL_ROLES}
    best: tuple[int, int, Walked] | None = None
    for start, model_start in _starts(checkpoint, model, objects, program):
        first = objects[0].children[start] if start else 0
        first_of_model = program[0].children[model_start] if model_start else 0
        bound = _bind(objects, program, first, first_of_model)
        pairs = dict(_pairs(objects, program, bound))
        walked = Walked(
            start=start,
            model_start=model_start,
            pairs=pairs,
            reached=len(bound) > 1,
            counter=bool(objects) and SAVE_COUNTER in objects[0].children,
        )
        score = (sum(key in needed for key in pairs.values()), len(pairs))
        if best is None or score > best[:2]:
            best = (*score, walked)
    assert best is not None  # root meets root at least
    return best[2]


def _starts(
    checkpoint: Checkpoint, model: Checkpoint, objects: list[Object], program: list[Object]
) -> Iterator[tuple[str, str]]:
    yield "", ""
    from_model = checkpoint.format_name == "saved-model"
    into_model = model.format_name == "saved-model"
    if into_model and not from_model and objects:
        yield from ((name, "") for name in _inner(objects))
    elif from_model and not into_model and program:
        yield from (("", name) for name in _inner(program))


def _inner(objects: list[Object]) -> list[str]:
    """Edges of the root that lead to more than one variable."""
    root = objects[0].children
    return [name for name, number in root.items() if objects[number].children][:_MOST_STARTS]


def _bind(
    objects: list[Object], program: list[Object], first: int, first_of_model: int
) -> dict[int, int]:
    """Numbers of the checkpoint's objects to those of the program's."""
    if not objects or not program:
        return {}
    bound = {first: first_of_model}
    queue = deque([first])
    for _ in range(_MOST_PASSES):  # slots may lead on, but not without end
        while queue:
            number = queue.popleft()
            known = program[bound[number]].children
            for name, child in objects[number].children.items():
                if child not in bound and name in known:
                    bound[child] = known[name]
                    queue.append(child)
        for number, partner in list(bound.items()):
            theirs = program[partner].slots
            for (owner, name), slot in objects[number].slots.items():
                found = theirs.get((bound.get(owner, -1), name))
                if found is not None and slot not in bound:
                    bound[slot] = found
                    queue.append(slot)
        if not queue:
            break
    return bound


def _pairs(
    objects: list[Object], program: list[Object], bound: Mapping[int, int]
) -> Iterator[tuple[str, str]]:
    taken: set[str] = set()
    for number, partner in bound.items():
        theirs = program[partner].attributes
        for name, (key, _) in objects[number].attributes.items():
            if name in theirs and theirs[name][0] not in taken:
                taken.add(theirs[name][0])
                yield key, theirs[name][0]


def path_of(key: str) -> str:
    """The path of attributes that a key spells: "net/a/w" of "net/a/w/.ATTRIBUTES/..."."""
    return key.removesuffix(VALUE_SUFFIX)
