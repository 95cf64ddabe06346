"""What frameworks' generations call the same variable: one canonical form for all of its names.

Gathered from TensorFlow 1's layers, slim and contrib (`weights`, `biases`, `BatchNorm/beta:0`),
Keras 2 and 3 (`depthwise_kernel`, `_query_dense`, `layers/dense/vars/0`), TensorFlow 2's object
graphs (`model/layer-1/kernel/.ATTRIBUTES/VARIABLE_VALUE`), PyTorch (`running_mean`), and the names
of moving averages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from ckptviewer.analysis.pairing import Pairing, Reason, class_of
from ckptviewer.checkpoint.roles import VALUE_SUFFIX
from ckptviewer.checkpoint.slot_names import is_average_word
from ckptviewer.checkpoint.variable import Variable

_LISTED = re.compile(
    r"(?:^|/)(?P<list>(?P<all>_all_)?_?(?:trainable_|non_trainable_)?variables)/\d+"
    rf"(?:{re.escape(VALUE_SUFFIX)})?$"
)
_LIST_SCOPES = ("_all_variables/", "_trainable_variables/", "trainable_variables/")
_FILE_SCOPES = frozenset(
    ("layers", "_layers", "vars", "model_weights", "_layer_checkpoint_dependencies")
)
_LEAVES = {
    "weights": "kernel",
    "weight": "kernel",
    "w": "kernel",
    "_kernel": "kernel",
    "biases": "bias",
    "b": "bias",
    "_bias": "bias",
    "scale": "gamma",
    "offset": "beta",
    "running_mean": "moving_mean",
    "pop_mean": "moving_mean",
    "running_var": "moving_variance",
    "running_variance": "moving_variance",
    "moving_var": "moving_variance",
    "pop_var": "moving_variance",
    "embedding": "embeddings",
    "_embeddings": "embeddings",
    "embedding_weights": "embeddings",
    "embedding_table": "embeddings",
    "depthwise_weights": "depthwise_kernel",
    "pointwise_weights": "pointwise_kernel",
    "iter": "iterations",
    "iteration": "iterations",
    "_iterations": "iterations",
    "_learning_rate": "learning_rate",
    "_current_learning_rate": "learning_rate",
    "current_learning_rate": "learning_rate",
}
_PARTS = {
    "_query_dense": "query",
    "query_dense": "query",
    "_key_dense": "key",
    "key_dense": "key",
    "_value_dense": "value",
    "value_dense": "value",
    "_output_dense": "attention_output",
    "output_dense": "attention_output",
}
_ATTENTION = frozenset(("query", "key", "value", "attention_output"))
_CELL_LEAVES = {"0": "kernel", "1": "recurrent_kernel", "2": "bias"}
_DENSE_LEAVES = {"0": "kernel", "1": "bias"}
_CELL = re.compile(r"(?:.*_)?cell(?:_\d+)?")
_DIRECTION = re.compile(r"(forward|backward)_[a-z_]*?(?:_\d+)?")
_NUMBERED = re.compile(r"(.+?)_(\d{1,9})")
_MAX_SCOPES = 12
_MAX_PARTS = 40
_SURE = 0.5

Name = tuple[str, ...]
"""The parts of a name."""


def list_rank(key: str) -> int:
    """How little a key tells: 0 for a path, 1 for an entry of a list, 2 in the list of all.

    `variables/3` counts what was there; the same key may be another variable in another file.
    """
    if "ariables/" not in key:
        return 0
    found = _LISTED.search(key)
    return 0 if found is None else 2 if found["all"] else 1


def without_list(name: str) -> str:
    """A name without the list that leads to it: `_all_variables/dense/kernel` is `dense/kernel`."""
    for scope in _LIST_SCOPES:
        name = name.removeprefix(scope)
    return name


@lru_cache(maxsize=1 << 16)
def _part(part: str) -> str:
    part = _PARTS.get(part, part)
    if _CELL.fullmatch(part):
        return "cell"
    direction = _DIRECTION.fullmatch(part)
    return direction[1] if direction else part


@lru_cache(maxsize=1 << 16)
def _scope(scope: str) -> Name:
    parts = [part for part in scope.split("/") if part and part not in _FILE_SCOPES]
    if len(parts) > _MAX_PARTS:  # nobody's names; so that no step is quadratic in their length
        parts[:-_MAX_PARTS] = ["/".join(parts[:-_MAX_PARTS])]
    return tuple(map(_part, parts))


def canonical(name: str) -> Name:
    """The parts of a name in the form that all generations share; the last is the variable's own.

    `model/Dense/weights:0` and `model/Dense/kernel` give the same; so do
    `layers/bidirectional/forward_layer/cell/vars/0` and
    `bidirectional/forward_lstm/lstm_cell/kernel`.
    """
    name = without_list(name.removesuffix(VALUE_SUFFIX)).replace(":0", "")
    if "/" not in name:
        name = name.replace(".", "/")
    parent, _, leaf = name.rpartition("/")
    if parent and is_average_word(leaf):
        parent, _, leaf = parent.rpartition("/")
    parts = _scope(parent)
    last = parts[-1] if parts else ""
    if leaf.isdigit():
        if last == "cell":
            leaf = _CELL_LEAVES.get(leaf, leaf)
        elif last in _ATTENTION:
            leaf = _DENSE_LEAVES.get(leaf, leaf)
    leaf = _LEAVES.get(leaf, leaf)
    if leaf == "depthwise_kernel" and "depthwise" in last.lower():
        leaf = "kernel"
    return (*parts, leaf)


def pair_known_renames(pairing: Pairing) -> int:
    """Pair what has another name only because another generation wrote it; returns how many.

    The same canonical name first, or object path; then scopes of which other pairs tell what they
    are called on the other side; then the longest part of the names that is common and unique;
    then layers whose numbers began elsewhere (`dense_4` for `dense`); at last names that agree
    though the shapes do not.
    """
    rows_a, rows_b = pairing.free_a(), pairing.free_b()
    if not rows_a or not rows_b:
        return 0
    names_a = _names(pairing.of_a, rows_a, pairing.names_a)
    names_b = _names(pairing.of_b, rows_b, pairing.names_b)
    paths_a, paths_b = _paths(pairing.of_a, names_a), _paths(pairing.of_b, names_b)
    why = "the same name as another generation of its library writes it"
    count = 0
    tried = [(names_a, names_b)]
    tried += [(paths_a, names_b)] if paths_a is not names_a else []
    tried += [(names_a, paths_b)] if paths_b is not names_b else []
    tried += [(paths_a, paths_b)] if len(tried) == 3 else []
    for labels_a, labels_b in tried:
        count += pairing.pair_unique(labels_a, labels_b, Reason.KNOWN_RENAME, 0.95, why)
    count += pair_by_scopes(pairing)
    for labels_a, labels_b in tried:
        count += _pair_by_common_end(pairing, labels_a, labels_b)
    count += pair_by_scopes(pairing)
    count += _pair_renumbered(pairing)
    why = "the only one of that name in the training's state"
    count += pairing.pair_unique(
        _state_leaves(pairing.of_a, names_a),
        _state_leaves(pairing.of_b, names_b),
        Reason.KNOWN_RENAME,
        0.7,
        why,
    )
    why = "the same name, in another form; the shapes differ"
    return count + pairing.pair_unique(
        names_a, names_b, Reason.KNOWN_RENAME, 0.6, why, same_shape=False
    )


def _state_leaves(variables: Sequence[Variable], names: dict[int, Name]) -> dict[int, str]:
    """What counters and learning rates are called, whatever they are in."""
    return {row: name[-1] for row, name in names.items() if class_of(variables[row]) == "state"}


def _names(
    variables: Sequence[Variable], rows: Iterable[int], known: dict[int, Name]
) -> dict[int, Name]:
    """The canonical name of each row; `known` keeps them for the next time."""
    names = {}
    for row in rows:
        name = known.get(row)
        if name is None:
            name = known[row] = canonical(variables[row].name)
        names[row] = name
    return names


def _paths(variables: Sequence[Variable], names: dict[int, Name]) -> dict[int, Name]:
    """The canonical path of each row; `names` itself where no path says more than the name."""
    paths = {}
    differ = False
    for row, name in names.items():
        variable = variables[row]
        path = variable.object_path or variable.key
        if path == variable.name:
            paths[row] = name
        else:
            paths[row] = canonical(path)
            differ = differ or paths[row] != name
    return paths if differ else names


def pair_by_scopes(pairing: Pairing, confidence: float = 0.85) -> int:
    """Pair within scopes of which pairs made so far tell what the other side calls them.

    Mere guesses tell nothing. confidence: of the pairs that are made.
    """
    rows_a, rows_b = pairing.free_a(), pairing.free_b()
    if not rows_a or not rows_b:
        return 0
    renamed: dict[Name, Name | None] = {}
    for row_a, grounds in pairing.grounds.items():
        row_b = pairing.partner_a[row_a]
        if grounds[1] >= _SURE and pairing.of_a[row_a].name != pairing.of_b[row_b].name:
            told_a = _names(pairing.of_a, (row_a,), pairing.names_a)[row_a]
            told_b = _names(pairing.of_b, (row_b,), pairing.names_b)[row_b]
            _learn_scopes(told_a, told_b, renamed)
    if not renamed:
        return 0
    free_b: dict[Name, int] = {}
    for row_b, name in _names(pairing.of_b, rows_b, pairing.names_b).items():
        free_b[name] = -1 if name in free_b else row_b
    count = 0
    for row_a, name in _names(pairing.of_a, rows_a, pairing.names_a).items():
        for end in range(len(name) - 1, 0, -1):
            scope = renamed.get(name[:end])
            if scope is None:
                continue
            row_b = free_b.get((*scope, *name[end:]), -1)
            if row_b >= 0 and pairing.partner_b[row_b] < 0 and _alike(pairing, row_a, row_b):
                why = f"what is in {'/'.join(name[:end])} is in {'/'.join(scope) or 'no scope'}"
                pairing.add(row_a, row_b, Reason.KNOWN_RENAME, confidence, f"{why} in B")
                count += 1
                break
    return count


def _learn_scopes(name_a: Name, name_b: Name, renamed: dict[Name, Name | None]) -> None:
    """Note what the scopes of one pair are called; None for those that are called two things."""
    common = 0
    while common < min(len(name_a), len(name_b)) - 1 and name_a[-1 - common] == name_b[-1 - common]:
        common += 1
    for drop in range(1, common + 2):
        scope_a, scope_b = name_a[: len(name_a) - drop], name_b[: len(name_b) - drop]
        if not scope_a or scope_a == scope_b:
            return
        if renamed.setdefault(scope_a, scope_b) != scope_b:
            renamed[scope_a] = None


def _alike(pairing: Pairing, row_a: int, row_b: int) -> bool:
    return pairing.same_shape(row_a, row_b) and pairing.may_pair(row_a, row_b)


def _pair_by_common_end(
    pairing: Pairing, names_a: dict[int, Name], names_b: dict[int, Name]
) -> int:
    """Pair names that differ in the scopes before them: the longest common end that is unique.

    At least a layer and its variable's name have to be common, or all of a name. Slots follow
    their owners.
    """
    names_a = {row: name for row, name in names_a.items() if pairing.of_a[row].slot_of is None}
    names_b = {row: name for row, name in names_b.items() if pairing.of_b[row].slot_of is None}
    deepest = min(_deepest(pairing.partner_a, names_a), _deepest(pairing.partner_b, names_b))
    count = 0
    for length in range(min(deepest, _MAX_SCOPES), 1, -1):
        count += pairing.pair_unique(
            _ends(names_a, length),
            _ends(names_b, length),
            Reason.KNOWN_RENAME,
            0.8,
            "the same name but for the scopes before it",
        )
    # A name without any scope may get one; a last part that two scopes have says nothing.
    for only_a, only_b in (
        (_whole(names_a), _ends(names_b, 1)),
        (_ends(names_a, 1), _whole(names_b)),
    ):
        why = "the same name, in a scope on one side only"
        count += pairing.pair_unique(only_a, only_b, Reason.KNOWN_RENAME, 0.6, why)
    return count


def _whole(names: dict[int, Name]) -> dict[int, Name]:
    """Names without scopes; a mere number is a place in a list, and no name."""
    return {row: name for row, name in names.items() if len(name) == 1 and not name[0].isdigit()}


def _deepest(partners: Sequence[int], names: dict[int, Name]) -> int:
    return max((len(name) for row, name in names.items() if partners[row] < 0), default=0)


def _ends(names: dict[int, Name], length: int) -> dict[int, Name]:
    return {row: name[-length:] for row, name in names.items() if len(name) >= length}


def _pair_renumbered(pairing: Pairing) -> int:
    """Pair layers by the order of their numbers, where these began elsewhere."""
    rows_a, rows_b = pairing.free_a(), pairing.free_b()
    if not rows_a or not rows_b:
        return 0
    all_a, all_b = range(len(pairing.of_a)), range(len(pairing.of_b))
    labels_a = renumbered(list(_names(pairing.of_a, all_a, pairing.names_a).values()))
    labels_b = renumbered(list(_names(pairing.of_b, all_b, pairing.names_b).values()))
    return pairing.pair_unique(
        {row: labels_a[row] for row in rows_a},
        {row: labels_b[row] for row in rows_b},
        Reason.KNOWN_RENAME,
        0.7,
        "the same name and place in order; only its layer's number differs",
    )


def renumbered(names: Sequence[Name]) -> list[Name]:
    """Names whose layers' numbers count from zero within their scopes: `dense_4` is `dense_0`.

    A layer without a number comes first.
    """
    numbers: dict[Name, set[int]] = {}
    split: dict[str, tuple[str, int]] = {}
    for name in names:
        for end, part in enumerate(name[:-1]):
            if part not in split:
                found = _NUMBERED.fullmatch(part)
                split[part] = (found[1], int(found[2])) if found else (part, -1)
            base, number = split[part]
            numbers.setdefault((*name[:end], base), set()).add(number)
    places = {
        scope: {number: place for place, number in enumerate(sorted(found))}
        for scope, found in numbers.items()
    }
    result = []
    for name in names:
        parts = []
        for end, part in enumerate(name[:-1]):
            base, number = split[part]
            parts.append(f"{base}_{places[(*name[:end], base)][number]}")
        result.append((*parts, name[-1]))
    return result
