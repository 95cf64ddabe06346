"""The inner loops of a training's series as machine code; see `kernel_compiled`, whose way this is.

They tell of a variable's values, and of how far these are from what it had at the save before.
"""

from __future__ import annotations

import ctypes
import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from crc32c import crc32c

from ckptviewer.analysis.kernel_compiled import HAS_CRC, Compiled, agree

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 4096
"""Values to a block."""

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
        ("earlier", np.int64),
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
earlier: none. crc: crc32c of all bytes, as far as they were added.
"""


class _Room(threading.local):
    """What a call needs beside the values, each thread its own."""

    def __init__(self) -> None:
        self.limits = np.array([0x7FFFFFFF, 0x7F800000, 31], np.int32)
        self.counts = np.zeros(3, np.int64)
        self.extremes = np.zeros(2, np.int32)
        self.sums = np.zeros(3)
        self.pointers = tuple(
            array.ctypes.data for array in (self.limits, self.counts, self.extremes, self.sums)
        )


class CompiledUpdates(Compiled):
    """Machine code that has been loaded."""

    def __init__(self, names: dict[str, str], code: bytes) -> None:
        self._load(code)
        pointer, size = ctypes.c_void_p, ctypes.c_ssize_t
        self._add = self._function(names["updates"], *[pointer] * 3, size, size, *[pointer] * 4)
        self._replace: Any = None
        if HAS_CRC:
            self._replace = self._function(names["replacing"], size, *[pointer] * 3)
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
        room.counts[2] = sums.count
        room.sums[:] = sums.mean, sums.spread, sums.square
        at = values.ctypes.data
        other, mode = (at, 0) if before is None else (before.ctypes.data, 2 if replace else 1)
        self._add(at, at, other, values.size, mode, *room.pointers)
        done, zero, _ = room.counts.tolist()
        if done:
            ordered = room.extremes ^ ((room.extremes >> 31) & 0x7FFFFFFF)
            low, high = ordered.view(np.float32).tolist()
            sums.count += done
            sums.zero += zero
            sums.low, sums.high = min(sums.low, low), max(sums.high, high)
            sums.mean, sums.spread, sums.square = room.sums.tolist()
        return int(done)

    def _prove_many(self, values: np.ndarray, before: np.ndarray) -> None:
        parts, others = (np.split(each, (3, 3 + BLOCK)) for each in (values, before))
        places, befores = (np.array([each.ctypes.data for each in one]) for one in (parts, others))
        right = [UpdateSums() for _ in parts]
        for part, other, one in zip(parts, others, right, strict=True):
            self.add(part, other, one)
        found = self.replace_many(places, befores, np.array([part.size for part in parts]))
        for row, one in enumerate(right):
            told = found[row]
            agree((told["added"], told["zero"]), (one.count, one.zero))
            agree((told["low"], told["high"]), (one.low, one.high))
            sums = (told["mean"], told["spread"], told["square"])
            agree(sums, (one.mean, one.spread, one.square), 1e-9)
        agree(found["crc"], [crc32c(part.data) for part in parts])
        agree(before, values)

    @property
    def takes_many(self) -> bool:
        """Whether there is `replace_many`: with it goes the processor's own crc32c."""
        return self._replace is not None

    def replace_many(
        self, places: NDArray[np.intp], befores: NDArray[np.intp], sizes: NDArray[np.intp]
    ) -> NDArray[Any]:
        """`add` with `replace` for many float32 variables at once, and their crc32c: MANY's rows.

        places, befores: addresses of the values, and of those that they replace. sizes: how many
        values each has. Whoever calls keeps that memory alive.
        """
        given = np.array((places, befores, sizes), np.intp)
        found = np.zeros(len(sizes), MANY)
        limits = self._room.pointers[0]
        self._replace(len(sizes), given.ctypes.data, limits, found.ctypes.data)
        extremes = found.view(np.int32).reshape(len(sizes), -1)[:, 6:8]
        extremes ^= (extremes >> 31) & 0x7FFFFFFF
        return found
