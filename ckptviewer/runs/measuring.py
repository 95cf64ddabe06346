"""What one pass over a variable, beside the same one of the save before, tells for a timeline.

Faster than `statistics_of`, since nothing is counted into buckets: blocks stay in the processor's
cache while all is taken from them. Compiled loops sum up in float64. NumPy's, which serve where
there are none, sum float32 over rows of a few thousand elements and add these up in float64; where
float32 would overflow, underflow or meet NaN, all in float64.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ckptviewer.analysis import update_kernel
from ckptviewer.analysis.update_compiled import BLOCK, UpdateSums
from ckptviewer.checkpoint.dtypes import Kind, kind_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ckptviewer.analysis.summary import Statistics
    from ckptviewer.checkpoint.variable import Variable

CHUNK_ELEMENTS = 1 << 19
UNIT_ELEMENTS = 1 << 14
_PIECE = 1 << 17
_ROW = 1 << 13  # short enough that BLAS stays on this thread, and that float32 sums stay good
_LEAST = 1e-12  # the squares of smaller numbers vanish in float32
_LEAST_SQUARE = 1e-30
_FAR = 1e-6

MEASURED_KINDS = frozenset((Kind.FLOAT, Kind.INTEGER, Kind.BOOL, Kind.COMPLEX))


class Point(NamedTuple):
    """One variable at one step. Moments, extremes and norm are over finite values.

    elements: how many there are. nan, inf, zero: how many of them are that. What does not apply
    (the mean of nothing) is NaN.
    """

    elements: float
    nan: float
    inf: float
    zero: float
    min: float
    max: float
    mean: float
    std: float
    norm: float


class Pair(NamedTuple):
    """One variable at one step and at the step before, over the elements finite in both.

    delta: norm of the difference. dot: inner product. before, after: norms of the two.
    """

    delta: float
    dot: float
    before: float
    after: float


NOTHING = Point(*[math.nan] * len(Point._fields))
NO_PAIR = Pair(*[math.nan] * len(Pair._fields))


def is_measured(variable: Variable) -> bool:
    """Whether a variable has numbers that a timeline can tell of."""
    return kind_of(variable.dtype) in MEASURED_KINDS


def point_of(statistics: Statistics) -> Point:
    """The point that a whole pass of statistics tells."""
    return Point(
        elements=statistics.count,
        nan=statistics.nan,
        inf=statistics.inf,
        zero=statistics.zero,
        min=_number(statistics.min),
        max=_number(statistics.max),
        mean=_number(statistics.mean),
        std=_number(statistics.std),
        norm=_number(statistics.l2_norm),
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def unchanged(norm: NDArray[np.float64]) -> NDArray[np.float64]:
    """The pairs of variables and their equals, a row each, by their norms."""
    return np.stack((np.zeros_like(norm), norm * norm, norm, norm), axis=1)


def are_far(before: Any, after: Any) -> Any:
    """Whether norms, of one or of many, are so much apart that squares of differences hide the
    inner product."""
    product = before * after
    return (product > 0) & (product < _FAR * (before * before + after * after))


class _Scratch(threading.local):
    """Room for a block, each thread its own: taking it anew costs as much as the work in it."""

    def __init__(self) -> None:
        self.marks = np.empty(_PIECE, bool)
        self._rooms: dict[np.dtype, np.ndarray] = {}

    def of(self, block: np.ndarray) -> np.ndarray:
        room = self._rooms.get(block.dtype)
        if room is None:
            room = self._rooms[block.dtype] = np.empty(_PIECE, block.dtype)
        return room[: block.size]


_scratch = _Scratch()


class Measuring:
    """Sums up the values of one variable, and their difference from those before, block by block.

    `add` takes flat, contiguous arrays of any numeric dtype, whose lengths are multiples of
    UNIT_ELEMENTS but for the last; `before` has the same length, or is None. Values that are not
    finite are counted and left out.
    """

    __slots__ = ("count", "inf", "nan", "odd", "sums")

    def __init__(self) -> None:
        self.count = self.nan = self.inf = 0
        self.sums = UpdateSums()
        self.odd = False
        """Whether `pair` cannot be told from the sums: something was not finite, or complex."""

    def add(
        self, values: np.ndarray, before: np.ndarray | None = None, *, replace: bool = False
    ) -> None:
        """Take in the next values; with `replace` they are then in the place of `before`."""
        self.count += values.size
        loops = None
        if values.dtype == np.float32 and (before is None or before.dtype == np.float32):
            loops = update_kernel.compiled_for(values.nbytes)
        place = 0
        while place < values.size:
            rest, others = values[place:], None if before is None else before[place:]
            if loops is not None:
                done = loops.add(rest, others, self.sums, replace=replace)
                place += done
                rest, others = rest[done:][:BLOCK], None if others is None else others[done:]
            if rest.size:  # NaN or infinities are in it, or there are no compiled loops
                self._add_pieces(rest, others, replace)
                place += rest.size
        self.odd = self.odd or not math.isfinite(self.sums.square)

    def _add_pieces(self, values: np.ndarray, before: np.ndarray | None, replace: bool) -> None:
        for start in range(0, values.size, _PIECE):
            piece = as_float(values[start : start + _PIECE])
            if before is None:
                self._add_piece(piece, None)
                continue
            place = before[start : start + piece.size]
            self._add_piece(piece, as_float(place))
            if replace:
                place[...] = values[start : start + piece.size]

    def _add_piece(self, block: np.ndarray, before: np.ndarray | None) -> None:
        if block.dtype.kind == "c":
            self.odd = True
            self._add_slowly(np.abs(block))
            return
        sums, size = self.sums, block.size
        with np.errstate(all="ignore"):
            total = _sum(block)
            square = _square(block)
            low, high = float(np.minimum.reduce(block)), float(np.maximum.reduce(block))
            largest = max(-low, high)
            if not math.isfinite(square) or (largest < _LEAST and block.dtype == np.float32):
                self._add_slowly(block.astype(np.float64))
            else:
                mean = total / size
                sums.combine(size, mean, _about(block, mean, total, square))
                sums.low, sums.high = min(sums.low, low), max(sums.high, high)
                if low <= 0.0 <= high:
                    zeros = np.equal(block, 0, out=_scratch.marks[:size])
                    sums.zero += int(np.count_nonzero(zeros))
            if before is not None and not self.odd:
                self._add_difference(block, before)

    def _add_difference(self, block: np.ndarray, before: np.ndarray) -> None:
        if before.dtype.kind == "c":
            self.odd = True
            return
        if before.dtype == block.dtype:
            scratch = np.subtract(block, before, out=_scratch.of(block))
        else:
            scratch = block.astype(np.float64) - before
        square = _square(scratch)
        if scratch.dtype == np.float32 and not _LEAST_SQUARE * block.size < square < math.inf:
            square = _square(block.astype(np.float64) - before) if square or scratch.any() else 0.0
        self.sums.square += square

    def _add_slowly(self, block: np.ndarray) -> None:
        """The same in float64, of values that may not be finite."""
        finite = np.isfinite(block)
        numbers = block[finite]
        nan = int(np.count_nonzero(np.isnan(block)))
        self.nan += nan
        self.inf += block.size - numbers.size - nan
        self.odd = self.odd or numbers.size < block.size
        if not numbers.size:
            return
        sums = self.sums
        sums.zero += numbers.size - int(np.count_nonzero(numbers))
        sums.low = min(sums.low, float(numbers.min()))
        sums.high = max(sums.high, float(numbers.max()))
        mean = float(numbers.mean())
        sums.combine(numbers.size, mean, _square(numbers - mean))

    def point(self) -> Point:
        """What has been added, summed up."""
        sums = self.sums
        if not sums.count:
            none = math.nan
            return Point(self.count, self.nan, self.inf, sums.zero, none, none, none, none, 0.0)
        mean, spread = (sums.low, 0.0) if sums.low == sums.high else (sums.mean, sums.spread)
        return Point(
            self.count,
            self.nan,
            self.inf,
            sums.zero,
            sums.low,
            sums.high,
            mean,
            math.sqrt(spread / sums.count),
            math.sqrt(spread + sums.count * mean * mean),
        )

    def pair(self, before: Point) -> Pair | None:
        """The pair, where `before` is the point of what was given as such; None if `odd` or far.

        Then `slow_pair` has to be taken: the sums do not tell it.
        """
        if self.odd or before.nan or before.inf:
            return None
        after, square = self.point().norm, self.sums.square
        if are_far(before.norm, after):
            return None
        dot = (after * after + before.norm * before.norm - square) / 2
        return Pair(math.sqrt(square), dot, before.norm, after)


def slow_pair(blocks: Iterator[tuple[np.ndarray, np.ndarray]]) -> Pair:
    """The pair of two variables, block by block, in float64 over what is finite in both.

    blocks: values and those before, flat, of one length each.
    """
    delta = dot = first = second = 0.0
    for values, before in blocks:
        after, earlier = (np.ascontiguousarray(each) for each in (values, before))
        if after.dtype.kind == "c" or earlier.dtype.kind == "c":
            kind = np.dtype(np.complex128)
            after, earlier = (each.astype(kind).view(np.float64) for each in (after, earlier))
        after, earlier = (each.astype(np.float64) for each in (after, earlier))
        both = np.isfinite(after) & np.isfinite(earlier)
        after, earlier = after[both], earlier[both]
        with np.errstate(all="ignore"):
            delta += _square(after - earlier)
            dot += float(np.sum(after * earlier))
            first += _square(earlier)
            second += _square(after)
    return Pair(math.sqrt(delta), dot, math.sqrt(first), math.sqrt(second))


def as_float(values: np.ndarray) -> np.ndarray:
    """Values in a dtype to calculate with: float32 as it is and for what is narrower, else 64."""
    if values.dtype in (np.float32, np.float64) or values.dtype.kind == "c":
        return values
    if values.dtype.kind in "biu":
        return values.astype(np.float64)
    return values.astype(np.float32)


def _about(block: np.ndarray, mean: float, total: float, square: float) -> float:
    """The sum of squares about the mean, from that about zero where little is lost by that."""
    size = block.size
    if 4 * size * mean * mean <= square:
        return square - size * mean * mean
    center = block.dtype.type(mean)
    rest = _square(np.subtract(block, center, out=_scratch.of(block)))
    return max(rest - (total - size * float(center)) ** 2 / size, 0.0)


def _square(values: np.ndarray) -> float:
    """The sum of squares of a flat array."""
    whole = values.size // _ROW * _ROW
    total = 0.0
    if whole:
        rows = values[:whole].reshape(-1, _ROW)
        total = float(np.sum(np.vecdot(rows, rows), dtype=np.float64))
    if whole < values.size:
        rest = values[whole:]
        total += float(np.vecdot(rest, rest))
    return total


def _sum(values: np.ndarray) -> float:
    whole = values.size // _ROW * _ROW
    total = 0.0
    if whole:
        rows = values[:whole].reshape(-1, _ROW)
        total = float(np.sum(np.add.reduce(rows, axis=1), dtype=np.float64))
    return total + float(np.add.reduce(values[whole:]))
