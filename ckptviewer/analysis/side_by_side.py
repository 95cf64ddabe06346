"""The values of two variables side by side, whatever stores them and however they lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from ckptviewer.analysis.chunks import boxes, segments
from ckptviewer.analysis.difference_sums import PairSums
from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES
from ckptviewer.checkpoint.dtypes import BY_NAME, Kind, kind_of
from ckptviewer.checkpoint.errors import DamagedFileError, OpaqueVariableError
from ckptviewer.checkpoint.text import count_text, plural, shape_text

if TYPE_CHECKING:
    import numpy as np

    from ckptviewer.analysis.difference import Difference, Tolerance
    from ckptviewer.checkpoint.checkpoint import Checkpoint, Region
    from ckptviewer.checkpoint.progress import CancelToken
    from ckptviewer.checkpoint.variable import Variable

BOX_ELEMENTS = 1 << 18
"""Regions are read in boxes of this size: what both sides need stays near the processor."""

TURN_BYTES = 64 << 20
"""What is turned round is read in bands of this size, and the other side once for each."""

MOST_TURNED_BYTES = 1 << 30
"""What is larger than this is not compared with its transpose."""

_ALIKE = 1e-9
"""Sums over a matrix and over its transpose agree at least so well, relatively."""

Pieces = Iterator[tuple["np.ndarray", "np.ndarray"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """The two variables of a pair, and the checkpoints that hold them."""

    a: Checkpoint
    b: Checkpoint
    variable_a: Variable
    variable_b: Variable
    tolerance: Tolerance
    cancel: CancelToken

    @property
    def shape(self) -> tuple[int, ...]:
        """What both shapes have in common, where their ranks are the same."""
        shapes = zip(self.variable_a.shape, self.variable_b.shape, strict=False)
        return tuple(min(sizes) for sizes in shapes)

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of their dtypes."""
        return frozenset((kind_of(self.variable_a.dtype), kind_of(self.variable_b.dtype)))

    @property
    def dense_bytes(self) -> int:
        """What the larger of the two takes in memory."""
        return max(
            variable.element_count * max(1, BY_NAME[variable.dtype].item_bytes)
            for variable in (self.variable_a, self.variable_b)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What reading a pair told: numbers where there are any, and a note for people.

    equal: the same content, or within the tolerance that was given.
    """

    equal: bool
    difference: Difference | None = None
    note: str = ""


def measure(sides: Sides) -> Measured:
    """Read both sides and compare them, in a few megabytes of memory whatever their size.

    Tensors of other shapes are compared where they lie over each other: what was resized in the
    box that they have in common, what has the shape of the transpose with that, what has another
    rank in the order of its elements. Raises what reading raises, and Cancelled.
    """
    kinds, shape_a, shape_b = sides.kinds, sides.variable_a.shape, sides.variable_b.shape
    if Kind.OPAQUE in kinds:
        return _measure_opaque(sides)
    if Kind.STRING in kinds and len(kinds) > 1:
        return Measured(equal=False, note="strings on one side, numbers on the other")
    if shape_a == shape_b:
        return described(sides, _sums(sides, _in_order(sides)).result(sides.tolerance))
    if len(shape_a) == 2 and shape_a == shape_b[::-1]:
        return _measure_turned(sides)
    if len(shape_a) == len(shape_b):
        return _measure_resized(sides)
    if prod(shape_a) == prod(shape_b) and _whole_in_order(sides):
        difference = _sums(sides, _in_order(sides)).result(sides.tolerance)
        told = "the same elements in the same order" if difference.equal else "compared in order"
        return Measured(equal=difference.within, difference=difference, note=told)
    return Measured(equal=False, note="shapes that do not lie over each other")


def part_sums(sides: Sides, region: Region) -> PairSums:
    """The sums over a box of both; the shapes are the same."""
    return _sums(sides, _in_boxes(sides, region))


def described(sides: Sides, difference: Difference, *, look_turned: bool = True) -> Measured:
    """What is to say of numbers that were taken over two tensors of one shape.

    look_turned: read them once more where one seems to be the other's transpose.
    """
    notes = []
    if sides.variable_a.dtype != sides.variable_b.dtype:
        notes = ["equal in value"] if difference.equal else []
    elif not difference.equal and not difference.beyond and not difference.tolerance.given:
        notes = ["only signs of zeros or payloads of NaN differ"]
    if difference.nonfinite_unequal:
        notes += [
            f"{name}: {count_text(in_a)} in A, {count_text(in_b)} in B"
            for name, in_a, in_b in (
                ("NaN", difference.nan_a, difference.nan_b),
                ("Inf", difference.inf_a, difference.inf_b),
            )
            if in_a or in_b
        ]
    if look_turned and _may_be_turned(sides, difference) and not _turned_sums(sides).unequal:
        notes.append("B is the transpose of A")
    return Measured(equal=difference.within, difference=difference, note="; ".join(notes))


def _measure_turned(sides: Sides) -> Measured:
    if sides.dense_bytes > MOST_TURNED_BYTES:
        return Measured(equal=False, note="shape of the transpose; too large to compare it turned")
    difference = _turned_sums(sides).result(sides.tolerance, transposed=True)
    told = "B is the transpose of A" if difference.equal else "compared with the transpose"
    return Measured(equal=difference.within, difference=difference, note=told)


def _measure_resized(sides: Sides) -> Measured:
    shape_a, shape_b = sides.variable_a.shape, sides.variable_b.shape
    by_rows = shape_a[1:] == shape_b[1:]
    first = _FirstUnequal()
    pieces = _in_boxes(sides, ())
    sums = _sums(sides, first.watch(pieces) if by_rows else pieces)
    if not by_rows:
        told = f"compared in the {shape_text(sides.shape)} that both have"
        return Measured(equal=False, difference=sums.result(sides.tolerance), note=told)
    common = sides.shape[0]
    rows = min(common, first.position // max(1, prod(shape_a[1:])))
    more = shape_b[0] - shape_a[0]
    change = f"{plural(abs(more), 'row')} {'added' if more > 0 else 'removed'}"
    if rows == common:
        told = f"first {plural(rows, 'row')} equal, {change}"
    else:
        told = f"first {plural(rows, 'row')} of {count_text(common)} equal, {change}"
    difference = sums.result(sides.tolerance, equal_rows=rows)
    return Measured(equal=False, difference=difference, note=told)


def _measure_opaque(sides: Sides) -> Measured:
    stored_a = sides.a.stored_chunks(sides.variable_a)
    stored_b = sides.b.stored_chunks(sides.variable_b)
    if stored_a is None or stored_b is None:
        raise OpaqueVariableError(
            "it has no values that could be compared", where=sides.variable_b.key
        )
    import numpy as np

    def flat(pieces: Iterable[memoryview]) -> Iterator[np.ndarray]:
        return (np.frombuffer(piece, np.uint8) for piece in pieces)

    equal = sides.variable_a.dtype == sides.variable_b.dtype
    try:
        for x, y in _aligned(flat(stored_a), flat(stored_b), sides.cancel):
            equal = equal and bool((x == y).all())
    except _UnequalLengths:
        equal = False
    return Measured(equal=equal, note="compared by its stored bytes")


def _sums(sides: Sides, pieces: Pieces) -> PairSums:
    from ckptviewer.analysis import difference_kernel, difference_numpy

    strings = Kind.STRING in sides.kinds
    sums = PairSums(numeric=not strings)
    for x, y in pieces:
        if strings:
            difference_numpy.add_strings(x, y, sums)
        else:
            difference_kernel.add(x, y, sums, sides.tolerance)
    return sums


def _whole_in_order(sides: Sides) -> bool:
    return sides.a.in_order(sides.variable_a) and sides.b.in_order(sides.variable_b)


def _in_order(sides: Sides) -> Pieces:
    """All pairs in C order: as the readers give them, which checks checksums, where they can."""
    if not _whole_in_order(sides):
        yield from _in_boxes(sides, ())
        return
    chunks_a = sides.a.chunks(sides.variable_a, CHUNK_BYTES // 4)
    chunks_b = sides.b.chunks(sides.variable_b, CHUNK_BYTES // 4)
    try:
        yield from _aligned(segments(chunks_a), segments(chunks_b), sides.cancel)
    except _UnequalLengths:
        raise DamagedFileError(
            "it has not as many values as its shape says", where=sides.variable_b.key
        ) from None


def _in_boxes(sides: Sides, within: Region) -> Pieces:
    """Both sides box by box inside `within`, or inside what both shapes have in common."""
    outer = within + tuple(slice(0, size) for size in sides.shape[len(within) :])
    shape = tuple(part.stop - part.start for part in outer)
    for box in boxes(shape, BOX_ELEMENTS):
        sides.cancel.raise_if_cancelled()
        inner = box + tuple(slice(0, size) for size in shape[len(box) :])
        region = tuple(
            slice(start.start + part.start, start.start + part.stop)
            for start, part in zip(outer, inner, strict=True)
        )
        x, y = sides.a.read(sides.variable_a, region), sides.b.read(sides.variable_b, region)
        yield x.reshape(-1), y.reshape(-1)


def _turned_sums(sides: Sides) -> PairSums:
    """A's rows beside B's columns, in bands of so many rows that B is not read often."""
    rows, columns = sides.variable_a.shape
    band = max(1, TURN_BYTES // max(1, sides.dense_bytes // max(1, rows)))
    step = max(1, BOX_ELEMENTS // max(1, columns))

    def pieces() -> Pieces:
        for start in range(0, rows if columns else 0, band):
            sides.cancel.raise_if_cancelled()
            stop = min(start + band, rows)
            turned = sides.b.read(sides.variable_b, (slice(0, columns), slice(start, stop))).T
            for row in range(start, stop, step):
                below = min(row + step, stop)
                x = sides.a.read(sides.variable_a, (slice(row, below),))
                yield x.reshape(-1), turned[row - start : below - start].reshape(-1)

    return _sums(sides, pieces())


def _may_be_turned(sides: Sides, difference: Difference) -> bool:
    """Whether it is worth looking: a square matrix with other values but the same moments."""
    shape = sides.variable_a.shape
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] < 2 or difference.equal:
        return False
    if sides.dense_bytes > MOST_TURNED_BYTES:
        return False
    couples = (
        (difference.mean_a, difference.mean_b),
        (difference.std_a, difference.std_b),
        (difference.norm_a, difference.norm_b),
    )
    scale = max(difference.norm_a or 0.0, difference.norm_b or 0.0)
    return scale > 0 and all(
        x is not None and y is not None and abs(x - y) <= _ALIKE * scale for x, y in couples
    )


class _UnequalLengths(Exception):
    """One side came to its end before the other."""


def _aligned(a: Iterable[np.ndarray], b: Iterable[np.ndarray], cancel: CancelToken) -> Pieces:
    """Two streams of flat arrays, cut so that both give pieces of the same lengths."""
    stream_a, stream_b = iter(a), iter(b)
    x: np.ndarray | None = None
    y: np.ndarray | None = None
    while True:
        cancel.raise_if_cancelled()
        if x is None or not x.size:
            x = next(stream_a, None)
        if y is None or not y.size:
            y = next(stream_b, None)
        if x is None and y is None:
            return
        if x is None or y is None:
            raise _UnequalLengths
        size = min(x.size, y.size)
        yield x[:size], y[:size]
        x, y = x[size:], y[size:]


class _FirstUnequal:
    """Watches pairs go by: the position of the first whose values are not the same."""

    def __init__(self) -> None:
        self.position = 0
        self._found = False

    def watch(self, pieces: Pieces) -> Pieces:
        """The same pieces."""
        import numpy as np

        from ckptviewer.analysis.difference_numpy import bits_of

        for x, y in pieces:
            if not self._found:
                if x.dtype.kind in "Oc":
                    apart = x != y
                elif x.dtype == y.dtype:
                    apart = bits_of(x) != bits_of(y)
                else:
                    apart = x.astype(np.float64) != y.astype(np.float64)
                places = np.flatnonzero(apart)
                self._found = bool(places.size)
                self.position += int(places[0]) if places.size else x.size
            yield x, y
