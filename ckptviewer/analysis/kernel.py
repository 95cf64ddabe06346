"""The inner loops of statistics: compiled ones when they are worth their start, else NumPy's.

Loading compiled code takes as long as half a gigabyte does in NumPy, and compiling it for the
first time on a machine longer. So a process begins with NumPy and changes once it has done so
much work that more is likely, or as soon as it is told to by `prepare`.
"""

from __future__ import annotations

import math
import os
import threading
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from ckptviewer.analysis import kernel_numpy
from ckptviewer.analysis.moments import EMPTY, State, combine

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUMPY_BYTES = 256 << 20
"""A process does this much in NumPy before it loads the compiled code."""

ENVIRONMENT = "CKPTVIEWER_KERNEL"
"""Set to "numpy", this environment variable keeps the compiled code out."""


class Sums:
    """What the inner loops add to; fields as in Statistics.

    table: uint32, a count for each pattern of the upper bits; at most 2**32 - 1 values a table.
    low, high: the least and greatest finite value; infinities the wrong way round while there is
    none. state: moments, see `moments.State`.
    """

    __slots__ = (
        "denormal", "high", "low", "nan", "neg_inf", "pos_inf", "state", "table", "zero",
    )  # fmt: skip

    def __init__(self, table: NDArray[np.uint32]) -> None:
        self.table = table
        self.nan = self.pos_inf = self.neg_inf = 0
        self.zero = self.denormal = 0
        self.low, self.high = math.inf, -math.inf
        self.state: State = EMPTY

    def add_state(self, state: State) -> None:
        """Take in the moments of a further piece."""
        self.state = combine(self.state, state)


class _Choice:
    """Which loops this process uses."""

    def __init__(self) -> None:
        self.compiled: ModuleType | None = None
        self.refused = ""
        self.lock = threading.Lock()
        self.bytes_done = 0


_choice = _Choice()


def accumulate(values: np.ndarray, sums: Sums, exponent: int = 0) -> None:
    """Add flat, contiguous float32 or float64 values to `sums`; see `kernel_numpy.accumulate`."""
    compiled = _compiled_for(values.nbytes)
    if compiled is None or exponent:
        kernel_numpy.accumulate(values, sums, exponent)
    else:
        compiled.accumulate(values, sums)


def accumulate_integers(values: np.ndarray, sums: Sums) -> None:
    """Add integers of 32 or 64 bits to `sums`, as float64."""
    compiled = _compiled_for(values.nbytes)
    if compiled is None or (
        values.itemsize == 8 and max(abs(int(values.min())), int(values.max())) >= 1 << 53
    ):
        kernel_numpy.accumulate_integers(values, sums)
    else:
        compiled.accumulate(values.astype(np.float64), sums)


def count_patterns(patterns: NDArray[np.uint16], table: NDArray[np.uint32]) -> None:
    """Add to `table` how often each pattern of 16 bits comes."""
    (_compiled_for(patterns.nbytes) or kernel_numpy).count_patterns(patterns, table)


def prepare() -> str:
    """Load the compiled code now, compiling it if need be; the name of the loops in use.

    May take seconds on a machine's first time. Safe from several threads; meant for a pool's
    workers (submit it, or make it their initializer), so that the first real work is fast.
    """
    with _choice.lock:
        _load()
    return name()


def name() -> str:
    """ "compiled" or "numpy": the loops that this process uses now."""
    return "compiled" if _choice.compiled else "numpy"


def _compiled_for(count: int) -> ModuleType | None:
    if _choice.compiled is not None or _choice.refused:
        return _choice.compiled
    _choice.bytes_done += count
    if _choice.bytes_done > NUMPY_BYTES and _choice.lock.acquire(blocking=False):
        try:  # one thread loads; the others go on in NumPy meanwhile
            _load()
        finally:
            _choice.lock.release()
    return _choice.compiled


def _load() -> None:
    if _choice.compiled is not None or _choice.refused:
        return
    if os.environ.get(ENVIRONMENT) == "numpy":
        _choice.refused = "the environment asks for NumPy"
        return
    try:
        from ckptviewer.analysis import kernel_numba

        for dtype in (np.float32, np.float64):
            bits = 16 if dtype is np.float32 else 20
            kernel_numba.accumulate(np.ones(2, dtype), Sums(np.zeros(1 << bits, np.uint32)))
        kernel_numba.count_patterns(np.zeros(2, np.uint16), np.zeros(1 << 16, np.uint32))
    except Exception as error:  # Numba is missing or does not work here: NumPy does it all
        _choice.refused = f"{type(error).__name__}: {error}"
        return
    _choice.compiled = kernel_numba
