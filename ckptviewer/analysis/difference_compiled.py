"""The inner loops of a comparison as machine code; see `kernel_compiled`, whose way this is."""

from __future__ import annotations

import ctypes
import threading
from typing import TYPE_CHECKING

import numpy as np

from ckptviewer.analysis.kernel_compiled import Compiled, agree

if TYPE_CHECKING:
    from ckptviewer.analysis.difference import Tolerance
    from ckptviewer.analysis.difference_sums import PairSums
    from ckptviewer.analysis.moments import State

BLOCK = 4096
"""Pairs to a block."""

SOURCES = ("difference_source.py", "difference_compiled.py")
MODULE = "ckptviewer.analysis.difference_source"


class _Room(threading.local):
    """What a call needs beside the values, each thread its own."""

    def __init__(self) -> None:
        self.limits = np.array([0x7FFFFFFF, 0x7F800000], np.int32)
        self.tolerance = np.zeros(2)
        self.counts = np.zeros(4, np.int64)
        self.sums = np.zeros(7)
        self.states = np.zeros((2, 7))
        self.pointers = tuple(
            array.ctypes.data
            for array in (
                self.limits, self.tolerance, self.counts, self.sums, self.states[0],
                self.states[1],
            )
        )  # fmt: skip


def _state(numbers: np.ndarray) -> State:
    n, high, low, m2, m3, m4, absolute = numbers.tolist()
    return n, high, low, m2, m3, m4, absolute


class CompiledPairs(Compiled):
    """Machine code that has been loaded."""

    def __init__(self, names: dict[str, str], code: bytes) -> None:
        self._load(code)
        pointer, size = ctypes.c_void_p, ctypes.c_ssize_t
        self._add = self._function(names["pairs"], *[pointer] * 4, size, *[pointer] * 6)
        self._room = _Room()

    def prove(self) -> None:
        from ckptviewer.analysis import difference_numpy
        from ckptviewer.analysis.difference import Tolerance
        from ckptviewer.analysis.difference_sums import PairSums

        a, noise = np.random.default_rng(0).normal(3.0, 2.0, (2, 5 * BLOCK)).astype(np.float32)
        b = np.where(noise > 3.0, a + noise, a)
        b[:3] = -a[0], 0.0, -0.0
        a[1:3] = -0.0, 1.0
        for tolerance in (Tolerance(), Tolerance(atol=0.5, rtol=0.1)):
            mine, right = PairSums(), PairSums()
            done = self.add(a, b, mine, tolerance)
            difference_numpy.add(a, b, right, tolerance)
            found, wanted = mine.result(tolerance), right.result(tolerance)
            for name in ("count", "unequal", "beyond", "sign_flips", "max_abs"):
                agree(getattr(found, name), getattr(wanted, name))
            for name in ("mean_abs", "relative_l2", "cosine", "mean_difference", "std_difference"):
                agree(getattr(found, name), getattr(wanted, name), 1e-9)
            agree(done, a.size)
        b[BLOCK + 5] = np.nan
        agree(self.add(a, b, PairSums(), Tolerance()), BLOCK)

    def add(self, a: np.ndarray, b: np.ndarray, sums: PairSums, tolerance: Tolerance) -> int:
        """Add pairs of float32 values from the front, in whole blocks; how many were added.

        It ends before the first block that has NaN or an infinity. Raises ValueError unless
        there are as many of both: the loops would read beyond the fewer.
        """
        if a.size != b.size:
            raise ValueError(f"{a.size} values beside {b.size}")
        room = self._room
        room.tolerance[:] = tolerance.atol, tolerance.rtol
        room.counts[:] = 0
        room.sums[:] = 0.0
        room.sums[0] = sums.max_abs
        room.states[0], room.states[1] = sums.state_a, sums.state_b
        at_a, at_b = a.ctypes.data, b.ctypes.data
        self._add(at_a, at_b, at_a, at_b, a.size, *room.pointers)
        unequal, flips, beyond, done = room.counts.tolist()
        largest, absolute, total, rest, square, square_a, square_b = room.sums.tolist()
        sums.count += done
        sums.pairs += done
        sums.unequal += unequal
        sums.flips += flips
        sums.beyond += beyond
        sums.max_abs = largest
        sums.sum_abs += absolute
        sums.add_d(total, rest)
        sums.square_d += square
        sums.square_a += square_a
        sums.square_b += square_b
        sums.state_a, sums.state_b = _state(room.states[0]), _state(room.states[1])
        return int(done)
