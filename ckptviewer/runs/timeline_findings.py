"""Where a training went wrong, told from a timeline: NaN, dead, exploding and frozen layers.

Thresholds are conventions, not laws; each message says what was seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.text import count_text, number_text, plural, printable
from ckptviewer.checkpoint.variable import Role, Variable
from ckptviewer.runs.entry import CheckpointEntry
from ckptviewer.runs.timeline_table import Series, TimelineTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXPLODING_RATIO = 10.0
"""A norm explodes where it is so many times the median of all steps before."""

DEAD_SHARE = 1e-6
"""A layer is dead where its norm is at most this share of its greatest so far."""

LEAST_FROZEN = 2
"""So many saves in a row without a change, up to the last one, make a layer frozen."""

_TRAINED = frozenset({Role.WEIGHT, Role.BIAS, Role.NORMALIZATION})
_ORDER = ("nan-appears", "layer-dies", "norm-explodes", "layer-frozen")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """Something seen of one variable: at which column, and in words."""

    code: str
    column: int
    variable: Variable
    detail: str = ""


def timeline_findings(table: TimelineTable) -> list[Finding]:
    """What went wrong, by kind and then by step: a finding for each layer and first step.

    A layer is what a variable lies in: variables of one layer with one fate share a finding. Steps
    are those of the checkpoints: between two saves nothing is seen.
    """
    groups: defaultdict[tuple[str, int, str], list[_Seen]] = defaultdict(list)
    for seen in _all_seen(table):
        groups[seen.code, seen.column, _layer(seen.variable)].append(seen)
    ordered = sorted(groups.items(), key=lambda item: (_ORDER.index(item[0][0]), item[0][1]))
    return [_finding(table.entries, code, column, found) for (code, column, _), found in ordered]


def _all_seen(table: TimelineTable) -> Iterator[_Seen]:
    variables = table.variables
    keys = [variable.key for variable in variables]
    norms = table.matrix(Series.NORM, keys)
    not_finite = table.not_finite(keys)
    updates = table.matrix(Series.UPDATE, keys)
    trained = np.array([variable.role in _TRAINED for variable in variables], bool)
    moving = (updates[trained] > 0).any(axis=0) if len(updates) else np.empty(0, bool)
    for row, variable in enumerate(variables):
        bad = _first_bad(table, variable.key, not_finite[row])
        if bad is not None:
            yield bad
        if variable.role not in _TRAINED:
            continue
        if variable.role is not Role.BIAS:  # biases begin with zeros
            dead = _first_dead(norms[row])
            if dead is not None:
                yield _Seen(code="layer-dies", column=dead, variable=variable)
            else:
                exploded = _first_exploded(norms[row])
                if exploded is not None:
                    column, ratio = exploded
                    text = f"{number_text(ratio, 3)} times the median norm before"
                    yield _Seen(code="norm-explodes", column=column, variable=variable, detail=text)
        frozen = _first_frozen(updates[row], moving)
        if frozen is not None and variable.trainable is not False:
            yield _Seen(code="layer-frozen", column=frozen, variable=variable)


def _first_bad(table: TimelineTable, key: str, counts: NDArray[np.float64]) -> _Seen | None:
    """The first step with NaN or an infinity."""
    columns = np.flatnonzero(counts > 0)
    if not len(columns):
        return None
    column = int(columns[0])
    point = table.point(key, column)
    parts = [
        f"{count_text(int(count))} {name}"
        for count, name in ((point.nan, "NaN"), (point.inf, "Inf"))
        if count > 0
    ]
    text = f"{' and '.join(parts)} of {count_text(int(point.elements))} values"
    return _Seen(code="nan-appears", column=column, variable=table.variable(key), detail=text)


def _first_dead(norms: NDArray[np.float64]) -> int | None:
    """The first column from which on the norm stays next to nothing, and was not before."""
    known = np.flatnonzero(~np.isnan(norms))
    if len(known) < 2:
        return None
    values = norms[known]
    greatest = np.maximum.accumulate(values)
    dead = (values <= DEAD_SHARE * greatest) & (greatest > 0)
    if not dead[-1]:
        return None
    alive = np.flatnonzero(~dead)
    return int(known[alive[-1] + 1]) if len(alive) else None


def _first_exploded(norms: NDArray[np.float64]) -> tuple[int, float] | None:
    known = np.flatnonzero(~np.isnan(norms))
    values = norms[known]
    if not len(known) or values.max() <= EXPLODING_RATIO * values.min():
        return None  # no median is less than the least: this spares most variables the medians
    for at in range(1, len(known)):
        median = float(np.median(norms[known[:at]]))
        value = float(norms[known[at]])
        if median > 0 and value > EXPLODING_RATIO * median:
            return int(known[at]), value / median
    return None


def _first_frozen(updates: NDArray[np.float64], moving: NDArray[np.bool_]) -> int | None:
    """The first column of the last ones without a change, while other variables went on."""
    known = np.flatnonzero(~np.isnan(updates))
    if not len(known) or updates[known[-1]] != 0:
        return None
    changes = np.flatnonzero(updates[known] > 0)
    still = known[changes[-1] + 1 :] if len(changes) else known
    if len(still) < LEAST_FROZEN or np.count_nonzero(moving[still]) < LEAST_FROZEN:
        return None
    return int(still[0])


def _layer(variable: Variable) -> str:
    """What a variable lies in; itself, where it lies in nothing."""
    return variable.name.rpartition("/")[0] or variable.name


def _finding(
    entries: Sequence[CheckpointEntry], code: str, column: int, found: Sequence[_Seen]
) -> Finding:
    first = found[0]
    layer = _layer(first.variable)
    one = len(found) == 1
    what = printable(first.variable.name if one or not layer else layer)
    if not one:
        what += f" ({plural(len(found), 'variable')})"
    at = _step_text(entries[column])
    detail = f" ({first.detail})" if first.detail and one else ""
    severity, message, remedy = {
        "nan-appears": (
            Severity.ERROR,
            f"{what} has NaN or Inf first at {at}{detail}.",
            "Go on from the checkpoint before; look at the learning rate and at the data there.",
        ),
        "layer-dies": (
            Severity.WARNING,
            f"{what} is dead from {at} on: its norm fell to nothing.",
            "Look at what updates it: weight decay, a too high learning rate, a mask.",
        ),
        "norm-explodes": (
            Severity.WARNING,
            f"The norm of {what} explodes at {at}{detail}.",
            "Lower the learning rate, or clip gradients; the checkpoint before is sound.",
        ),
        "layer-frozen": (
            Severity.INFO,
            f"{what} does not change any more from {at} on, while others do.",
            "If it is not frozen on purpose, see whether its gradients reach it.",
        ),
    }[code]
    return Finding(
        code=code,
        severity=severity,
        message=message,
        remedy=remedy,
        variable=first.variable.key,
    )


def _step_text(entry: CheckpointEntry) -> str:
    name = printable(entry.name)
    return name if entry.step is None else f"step {count_text(entry.step)} ({name})"
