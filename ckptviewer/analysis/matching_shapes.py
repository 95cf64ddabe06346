"""Matching by shape and order: what is left when names and checksums have told all they can."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ckptviewer.analysis.known_renames import canonical, list_rank
from ckptviewer.analysis.matching_checksums import peek_region
from ckptviewer.analysis.pairing import Pairing, Reason
from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.text import natural_keys
from ckptviewer.checkpoint.variable import Role, Variable

if TYPE_CHECKING:
    import numpy as np

    from ckptviewer.checkpoint.checkpoint import Checkpoint

_PEEK = 64
_MAX_PEEKS = 2000
_RELATED_COSINE = 0.5
_RELATED_CHANGE = 0.5
_FEW = 8
_LEAST_MODEL = 4

Signature = tuple[Role, Kind, tuple[int, ...], str]
"""Role, kind of dtype, shape, last part of the name."""


def pair_by_shape(pairing: Pairing) -> int:
    """Pair by role, shape, and order of names; returns how many pairs were made.

    What begins with the same values comes first. Then what is of one kind of dtype, in order, but
    only where both sides have as many of a sort. That is a guess, so something has to speak for
    it: at most 64 elements of either are read, and they have to be alike. Without that it holds
    only where no variable of the model has a partner yet, and all of the model is there on both
    sides, sort by sort: a model that was renamed and trained anew throughout.
    """
    free_a, free_b = pairing.free_a(), pairing.free_b()
    if not free_a or not free_b:
        return 0
    throughout = _is_throughout(
        pairing,
        _groups(free_a, pairing.of_a, by_leaf=False),
        _groups(free_b, pairing.of_b, by_leaf=False),
    )
    count = _pair_by_first_values(pairing, free_a, free_b)
    peeks = iter(range(_MAX_PEEKS))
    # What has the same last part goes first: a bias with a bias.
    for by_leaf in (True, False):
        count += _pair_groups(pairing, by_leaf, throughout, peeks)
    return count + _pair_listed(pairing)


def _pair_by_first_values(pairing: Pairing, free_a: Sequence[int], free_b: Sequence[int]) -> int:
    """Pair what begins with the same values, where only one on either side does."""
    if max(len(free_a), len(free_b)) > _MAX_PEEKS:
        return 0
    shapes = {(v.role, v.shape) for v in (pairing.of_a[row] for row in free_a)}
    shapes &= {(v.role, v.shape) for v in (pairing.of_b[row] for row in free_b)}
    labels: list[dict[int, object]] = []
    for checkpoint, variables, rows in (
        (pairing.a, pairing.of_a, free_a),
        (pairing.b, pairing.of_b, free_b),
    ):
        firsts = {
            row: _first_values(checkpoint, variables[row])
            for row in rows
            if (variables[row].role, variables[row].shape) in shapes
        }
        labels.append({row: first for row, first in firsts.items() if first is not None})
    why = "the same role and shape, and the same first values, found once on either side"
    return pairing.pair_unique(labels[0], labels[1], Reason.SHAPE, 0.6, why)


def _pair_listed(pairing: Pairing) -> int:
    """Pair in order what begins with the same values, constants too, with entries of lists.

    A key like `variables/7` does not say that it is another variable, as a path would.
    """
    free_a, free_b = pairing.free_a(), pairing.free_b()
    if not free_a or not free_b or max(len(free_a), len(free_b)) > _MAX_PEEKS:
        return 0
    groups_a = _alike_groups(pairing.a, pairing.of_a, free_a)
    groups_b = _alike_groups(pairing.b, pairing.of_b, free_b)
    why = "the same role, shape and first values as an entry of a list that tells no name"
    count = 0
    for label, rows_a in groups_a.items():
        rows_b = groups_b.get(label, [])
        if len(rows_a) == len(rows_b) and (
            _are_listed(pairing.of_a, rows_a) or _are_listed(pairing.of_b, rows_b)
        ):
            pairing.add_all(zip(rows_a, rows_b, strict=True), Reason.SHAPE, 0.4, why)
            count += len(rows_a)
    return count


def _are_listed(variables: Sequence[Variable], rows: Sequence[int]) -> bool:
    return all(list_rank(variables[row].key) for row in rows)


def _alike_groups(
    checkpoint: Checkpoint, variables: Sequence[Variable], rows: Sequence[int]
) -> dict[tuple[Role, tuple[int, ...], bytes], list[int]]:
    """Rows by role, shape and first values; without what cannot be read."""
    groups: dict[tuple[Role, tuple[int, ...], bytes], list[int]] = {}
    for row in rows:
        variable = variables[row]
        if kind_of(variable.dtype) in (Kind.OPAQUE, Kind.STRING) or not variable.in_model:
            continue
        try:
            first = _wide(_peek(checkpoint, variable)).tobytes()
        except CkptviewerError:
            continue
        groups.setdefault((variable.role, variable.shape, first), []).append(row)
    return groups


def _first_values(checkpoint: Checkpoint, variable: Variable) -> object:
    """What the tensor begins with; None where that says nothing: constants, what is unreadable."""
    import numpy as np

    if kind_of(variable.dtype) in (Kind.OPAQUE, Kind.STRING) or not variable.shape:
        return None
    try:
        values = _wide(_peek(checkpoint, variable))
    except CkptviewerError:
        return None
    if not values.size or np.isnan(values).all() or (values == values[0]).all():
        return None
    return variable.role, values.tobytes()


def _pair_groups(pairing: Pairing, by_leaf: bool, throughout: bool, peeks: Iterator[int]) -> int:
    groups_a = _groups(pairing.free_a(), pairing.of_a, by_leaf)
    groups_b = _groups(pairing.free_b(), pairing.of_b, by_leaf)
    pairs = [
        pair
        for signature, rows_a in groups_a.items()
        if len(rows_a) == len(groups_b.get(signature, ()))
        for pair in zip(rows_a, groups_b[signature], strict=True)
    ]
    count = 0
    for row_a, row_b in pairs:
        if next(peeks, None) is not None and _alike(pairing, row_a, row_b):
            why = "the same role and shape in the same order; the values look alike"
            pairing.add(row_a, row_b, Reason.SHAPE, 0.5, why)
        elif throughout and pairing.of_a[row_a].in_model:
            why = "the same role and shape in the same order; nothing else tells"
            pairing.add(row_a, row_b, Reason.SHAPE, 0.25, why)
        else:
            continue
        count += 1
    return count


def _groups(
    rows: Sequence[int], variables: Sequence[Variable], by_leaf: bool
) -> dict[Signature, list[int]]:
    """Rows in natural order of their names, by what has to be the same."""
    groups: dict[Signature, list[int]] = {}
    keys = natural_keys(variables[row].name for row in rows)
    for _, row in sorted(zip(keys, rows, strict=True)):
        variable = variables[row]
        kind = kind_of(variable.dtype)
        if kind is not Kind.OPAQUE and variable.role is not Role.METADATA:
            leaf = canonical(variable.name)[-1] if by_leaf else ""
            groups.setdefault((variable.role, kind, variable.shape, leaf), []).append(row)
    return groups


def _is_throughout(
    pairing: Pairing,
    groups_a: dict[Signature, list[int]],
    groups_b: dict[Signature, list[int]],
) -> bool:
    """Whether nothing of the model has a partner, and both models have the same sorts."""
    matched = any(pairing.of_a[row].in_model for row in pairing.grounds)
    counts_a, counts_b = (
        {signature: len(rows) for signature, rows in groups.items() if variables[rows[0]].in_model}
        for groups, variables in ((groups_a, pairing.of_a), (groups_b, pairing.of_b))
    )
    return not matched and counts_a == counts_b and sum(counts_a.values()) >= _LEAST_MODEL


def _alike(pairing: Pairing, row_a: int, row_b: int) -> bool:
    """Whether the first few elements of both are equal, or point the same way."""
    import numpy as np

    a, b = pairing.of_a[row_a], pairing.of_b[row_b]
    try:
        x, y = _peek(pairing.a, a), _peek(pairing.b, b)
    except CkptviewerError:
        return False
    if x.dtype == object or y.dtype == object:
        return x.dtype == y.dtype and x.tolist() == y.tolist() and len(set(x.tolist())) > 1
    x, y = _wide(x), _wide(y)
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.any() or not np.array_equal(np.isnan(x), np.isnan(y)):
        return False
    x, y = x[finite], y[finite]
    if not (x != x[0]).any():  # zeros are alike everywhere
        return False
    with np.errstate(all="ignore"):
        norms = float(np.linalg.norm(x) * np.linalg.norm(y))
        change = float(np.linalg.norm(y - x) / np.linalg.norm(x))
        cosine = float(abs(np.vdot(x, y))) / norms if 0 < norms < np.inf else 0.0
    return cosine > _RELATED_COSINE and (x.size > _FEW or change < _RELATED_CHANGE)


def _peek(checkpoint: Checkpoint, variable: Variable) -> np.ndarray:
    return checkpoint.read(variable, peek_region(variable.shape, _PEEK)).reshape(-1)


def _wide(values: np.ndarray) -> np.ndarray:
    import numpy as np

    return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)
