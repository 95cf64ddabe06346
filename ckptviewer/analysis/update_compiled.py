"""The inner loops of a training's series as machine code; see `kernel_compiled`, whose way this is.

They tell of a variable's values, and of how far these are from what it had at the save before.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from crc32c import crc32c

from ckptviewer.analysis.kernel_compiled import HAS_CRC, Compiled, agree
from ckptviewer.storage.reading_loops import READ, address_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 4096
"""Values to a block."""

PIECE = 1 << 16
"""Values that are read at once: those of a save, and those before, stay in the second cache."""

SOURCES = ("update_source.py", "update_compiled.py")
MODULE = "ckptviewer.analysis.update_source"


@dataclass(slots=True)
class UpdateSums:
    """What was added so far, of values that are finite.

    count: how many. square: the sum of squares of the differences from those before; not finite
    where one of these is not. spread: the sum of squares about the mean.
    """

    count: int = 0
    zero: int = 0
    low: float = math.inf
    high: float = -math.inf
    mean: float = 0.0
    spread: float = 0.0
    square: float = 0.0

    def combine(self, count: int, mean: float, spread: float) -> None:
        """Take in the mean of others and their squares about it: Chan's update."""
        together = self.count + count
        shift = mean - self.mean
        self.spread += spread + shift * shift * self.count * count / together
        self.mean += shift * count / together
        self.count = together


MANY = np.dtype(
    [
        ("added", np.int64),
        ("zero", np.int64),
        ("low", np.float32),
        ("high", np.float32),
        ("mean", np.float64),
        ("spread", np.float64),
        ("square", np.float64),
        ("crc", np.uint64),
    ]
)
"""What is added of each of many variables, as in UpdateSums.

added: how many values from the front; fewer than there are where NaN or an infinity follows.
crc: crc32c of all bytes, as far as they were added.
"""

_ASKED_BYTES = 32 << 20

_NOTHING = np.array([0x7FFFFFFF, -0x80000000], np.int32)
"""The extremes of nothing, in the order of the bits."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Followed:
    """float32 variables in files, and the values before, which the last ones replace.

    sizes: how many values each variable has. befores: addresses of the values before; whoever asks
    keeps that memory alive. ends: where its readings end among all. descriptors, offsets: of each
    reading, in the order of the saves: a file, and where in it the values begin.
    """

    sizes: NDArray[np.int64]
    befores: NDArray[np.int64]
    ends: NDArray[np.int64]
    descriptors: NDArray[np.int64]
    offsets: NDArray[np.int64]


class _Room(threading.local):
    """What a call needs beside the values, each thread its own."""

    def __init__(self) -> None:
        self.limits = np.array([0x7FFFFFFF, 0x7F800000, 31], np.int32)
        self.counts = np.zeros(2, np.int64)
        self.extremes = np.zeros(2, np.int32)
        self.sums = np.zeros(3)
        self.pointers = tuple(
            array.ctypes.data for array in (self.limits, self.counts, self.extremes, self.sums)
        )

    @cached_property
    def piece(self) -> np.ndarray:
        """Where what is read of a file goes."""
        return np.empty(PIECE, np.float32)


class CompiledUpdates(Compiled):
    """Machine code that has been loaded."""

    def __init__(self, names: dict[str, str], code: bytes) -> None:
        self._load(code)
        pointer, size = ctypes.c_void_p, ctypes.c_ssize_t
        self._add = self._function(names["updates"], *[pointer] * 3, size, size, *[pointer] * 4)
        self._follow: Any = None
        if HAS_CRC:
            arguments = (pointer, size, pointer, size, pointer, pointer, pointer, pointer, pointer)
            self._follow = self._function(names["following"], *arguments)
        self._room = _Room()

    def prove(self) -> None:
        random = np.random.default_rng(0)
        values, before = random.normal(3.0, 2.0, (2, 5 * BLOCK + 7)).astype(np.float32)
        values[:2], values[BLOCK : 2 * BLOCK] = (0.0, -0.0), 1e6
        wide, earlier = values.astype(np.float64), before.astype(np.float64)
        found = UpdateSums()
        half = 2 * BLOCK
        agree(self.add(values[:half], before[:half], found, replace=True), half)
        agree(self.add(values[half:], before[half:], found, replace=True), values.size - half)
        agree((found.count, found.zero), (values.size, 2))
        agree((found.low, found.high), (wide.min(), wide.max()))
        right = (wide.mean(), ((wide - wide.mean()) ** 2).sum(), ((wide - earlier) ** 2).sum())
        agree((found.mean, found.spread, found.square), right, 1e-9)
        agree(before, values)
        if self.takes_many:
            self._prove_many(values, earlier.astype(np.float32))
        values[BLOCK + 5] = np.inf
        agree(self.add(values, None, UpdateSums()), BLOCK)

    def add(
        self,
        values: np.ndarray,
        before: np.ndarray | None,
        sums: UpdateSums,
        *,
        replace: bool = False,
    ) -> int:
        """Add float32 values to `sums` from the front, in whole blocks; how many were added.

        It ends before the first block that has NaN or an infinity. The result does not depend on
        how the values are cut, between blocks. before: of the same length; where `replace`, the
        values are then in its place, as far as they were added. Raises ValueError where its length
        is another: the loops would write beyond it.
        """
        if before is not None and before.size != values.size:
            raise ValueError(f"{before.size} values before, and {values.size} now")
        room = self._room
        room.counts[:] = sums.count, 0
        room.extremes[:] = _NOTHING
        room.sums[:] = sums.mean, sums.spread, sums.square
        at = values.ctypes.data
        other, mode = (at, 0) if before is None else (before.ctypes.data, 2 if replace else 1)
        self._add(at, at, other, values.size, mode, *room.pointers)
        count, zero = room.counts.tolist()
        done = count - sums.count
        if done:
            low, high = _ordered(room.extremes).view(np.float32).tolist()
            sums.count = count
            sums.zero += zero
            sums.low, sums.high = min(sums.low, low), max(sums.high, high)
            sums.mean, sums.spread, sums.square = room.sums.tolist()
        return int(done)

    def _prove_many(self, values: np.ndarray, before: np.ndarray) -> None:
        """values: of one save, of which parts are followed to the next, which is three of them."""
        sizes = [3, BLOCK, values.size - 3 - BLOCK]
        places = np.cumsum([0, *sizes[:-1]])
        held = [part.copy() for part in np.split(before, places[1:])]
        saves = (values, values[::-1].copy())

        def read(number: int, place: int, count: int, offset: int) -> int:
            ctypes.memmove(place, saves[number].ctypes.data + offset, count)
            return count

        function = READ(read)
        found = self.follow(
            Followed(
                sizes=np.array(sizes),
                befores=np.array([part.ctypes.data for part in held]),
                ends=np.array([2, 4, 6]),
                descriptors=np.array([0, 1] * 3),
                offsets=np.repeat(places * values.itemsize, 2),
            ),
            address_of(function),
        )
        for row, told in enumerate(found):
            number, variable = row % 2, row // 2
            part = slice(places[variable], places[variable] + sizes[variable])
            right = UpdateSums()
            self.add(saves[number][part], (before if not number else saves[0])[part], right)
            agree((told["added"], told["zero"]), (right.count, right.zero))
            agree((told["low"], told["high"]), (right.low, right.high))
            sums = (told["mean"], told["spread"], told["square"])
            agree(sums, (right.mean, right.spread, right.square), 1e-9)
            agree(told["crc"], crc32c(saves[number][part].data))
        agree(np.concatenate(held), saves[1])

    @property
    def takes_many(self) -> bool:
        """Whether there is `follow`: with it goes the processor's own crc32c."""
        return self._follow is not None

    def follow(
        self, followed: Followed, read: int, ask: Callable[[], object] = lambda: None
    ) -> NDArray[Any]:
        """`add` with `replace` for many float32 variables, each through several saves.

        Reads by itself, without Python's lock. Returns MANY's rows, one for each reading; where
        less was added than there is, what follows of that variable is not told, and the values
        before are spoiled. read: address of a function that does as `pread`. ask: called before
        each few MB; what it raises is raised.
        """
        variables = np.array((followed.sizes, followed.befores, followed.ends), np.intp)
        cells = np.array((followed.descriptors, followed.offsets), np.intp)
        found = np.zeros(cells.shape[1], MANY)
        extremes = [found[name].view(np.int32) for name in ("low", "high")]
        for each, nothing in zip(extremes, _NOTHING, strict=True):
            each[:] = nothing
        found["crc"] = 0xFFFFFFFF
        at = np.zeros(3, np.intp)
        given = (
            variables.ctypes.data, variables.shape[1], cells.ctypes.data, cells.shape[1],
            at.ctypes.data, self._room.piece.ctypes.data, read, self._room.pointers[0],
            found.ctypes.data,
        )  # fmt: skip
        while at[0] < variables.shape[1]:
            ask()
            at[2] = _ASKED_BYTES
            self._follow(*given)
        for each in extremes:
            each[:] = _ordered(each)
        found["crc"] ^= 0xFFFFFFFF
        return found


def _ordered(extremes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Bits of floats from integers that are ordered as these are."""
    return extremes ^ ((extremes >> 31) & 0x7FFFFFFF)
