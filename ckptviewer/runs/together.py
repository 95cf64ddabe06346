"""Many variables of one checkpoint measured at once, beside what the save before had.

Where training moves many small variables, asking for each takes longer than its sums: their bytes
are read together, and one call of the compiled loops goes through them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ckptviewer.analysis import update_kernel
from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES
from ckptviewer.checkpoint.errors import Cancelled, CkptviewerError
from ckptviewer.runs.measuring import Pair, Point

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ckptviewer.analysis.update_compiled import CompiledUpdates
    from ckptviewer.checkpoint.checkpoint import Stretch
    from ckptviewer.checkpoint.progress import CancelToken
    from ckptviewer.checkpoint.variable import Variable
    from ckptviewer.runs.lanes import Column

_ITEM_BYTES = 4
_MOST_ELEMENTS = CHUNK_BYTES // _ITEM_BYTES
_ELEMENTS, _NAN, _INF, _NORM = map(Point._fields.index, ("elements", "nan", "inf", "norm"))


@dataclass(frozen=True, slots=True)
class Measured:
    """done: rows of which point and pair are there. spoiled: rows that have to be measured one by
    one, and whose values before are no longer held as they were."""

    done: set[int] = field(default_factory=set)
    spoiled: set[int] = field(default_factory=set)


def goes_together(variable: Variable) -> bool:
    """Whether a variable may be among those that are measured together, by itself."""
    return variable.dtype == "float32" and variable.element_count <= _MOST_ELEMENTS


def measure_together(
    column: Column, rows: Iterable[int], held: dict[str, np.ndarray], cancel: CancelToken
) -> Measured:
    """Fill points and pairs in of the rows that can be measured so; the others stay as they are.

    held: values of the column before, flat, by key; those of this one are put in their place. In
    the first column, which has none before, they are put there.
    Raises Cancelled alone: what cannot be read, or is not finite, is left to who does it singly.
    """
    measured = Measured()
    pairs = [(row, other) for row in rows if (other := _before(column, row, held)) is not None]
    variables = [column.listed.variables[row] for row, _ in pairs]
    loops = update_kernel.compiled_for(sum(variable.stored_bytes for variable in variables))
    if not pairs or loops is None or not loops.takes_many:
        return measured
    these, others = np.array(pairs).T
    known = None if column.before is None else column.before.points[others]
    if known is None:
        held |= {each.key: np.zeros(each.element_count, np.float32) for each in variables}
    places = np.array([_address(held[variable.key]) for variable in variables])
    try:
        for stretch in column.checkpoint.stretches(variables):
            cancel.raise_if_cancelled()
            at = stretch.numbers
            earlier = None if known is None else known[at]
            good = _measure(column, these[at], stretch, loops, places[at], earlier)
            measured.done.update(these[at][good].tolist())
            measured.spoiled.update(these[at][~good].tolist())
    except Cancelled:
        raise
    except CkptviewerError:
        pass  # who reads the variables one by one can tell which it is
    return measured


def _before(column: Column, row: int, held: Mapping[str, np.ndarray]) -> int | None:
    """The row in the column before of a variable that can be measured so; -1 in the first."""
    variable = column.listed.variables[row]
    if not goes_together(variable):
        return None
    if column.before is None:
        return -1
    values = held.get(variable.key)
    if values is None or values.dtype != np.float32 or values.size != variable.element_count:
        return None  # the loops would write beyond them
    other = column.row_before(row)
    if other is None or column.is_unchanged(row, other):
        return None
    known = column.before.points[other]
    finite = known[_NAN] == 0 and known[_INF] == 0  # neither if it is not known
    return other if finite and known[_ELEMENTS] == values.size else None


def _measure(
    column: Column,
    rows: NDArray[np.int64],
    stretch: Stretch,
    loops: CompiledUpdates,
    places: NDArray[np.intp],
    known: NDArray[np.float64] | None,
) -> NDArray[np.bool_]:
    """Fill these rows in; for which of them that was right.

    places: addresses of the values before, which are replaced. known: their points; None where
    there are no values before, but room for these.
    """
    sizes = stretch.sizes // _ITEM_BYTES
    sums = loops.replace_many(_address(stretch.data) + stretch.starts, places, sizes)
    good: NDArray[np.bool_] = (sums["added"] == sizes) & (sums["crc"] == stretch.crcs)
    good &= np.isfinite(sums["square"])
    with np.errstate(all="ignore"):
        points = _points(sums)
        column.points[rows[good]] = points[good]
        if known is not None:
            pairs = _pairs(sums["square"], points[:, _NORM], known[:, _NORM])
            column.pairs[rows[good]] = pairs[good]
    return good


def _points(sums: NDArray[Any]) -> NDArray[np.float64]:
    """A Point's fields in each row; see Measuring.point."""
    count, low, high = sums["added"], sums["low"], sums["high"]
    mean = np.where(low == high, low, sums["mean"])
    spread = np.where(low == high, 0.0, sums["spread"])
    norm = np.sqrt(spread + count * mean * mean)
    told = {
        "elements": count, "nan": 0, "inf": 0, "zero": sums["zero"], "min": low, "max": high,
        "mean": mean, "std": np.sqrt(spread / count), "norm": norm,
    }  # fmt: skip
    return _rows(len(sums), Point._fields, told)


def _pairs(
    square: NDArray[np.float64], after: NDArray[np.float64], before: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A Pair's fields in each row; see Measuring.pair."""
    dot = (after * after + before * before - square) / 2
    told = {"delta": np.sqrt(square), "dot": dot, "before": before, "after": after}
    return _rows(len(square), Pair._fields, told)


def _rows(count: int, fields: tuple[str, ...], told: Mapping[str, Any]) -> NDArray[np.float64]:
    rows = np.empty((count, len(fields)))
    for column, name in enumerate(fields):
        rows[:, column] = told[name]
    return rows


def _address(values: np.ndarray) -> int:
    address: int = values.__array_interface__["data"][0]
    return address
