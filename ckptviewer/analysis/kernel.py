"""The inner loops of statistics: compiled ones when they are worth their start, else NumPy's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from crc32c import crc32c

from ckptviewer.analysis import kernel_numpy
from ckptviewer.analysis.kernel_choice import ENVIRONMENT as ENVIRONMENT
from ckptviewer.analysis.kernel_choice import NUMPY_BYTES as NUMPY_BYTES
from ckptviewer.analysis.kernel_choice import Choice, Loops
from ckptviewer.analysis.moments import EMPTY, State, combine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ckptviewer.analysis.kernel_compiled import Compiled


class Sums:
    """What the inner loops add to; fields as in Statistics.

    table: uint32, a count for each pattern of the upper bits; at most 2**32 - 1 values a table.
    crc: the crc32c of all bytes that were added, or None where nobody asks for it.
    low, high: the least and greatest finite value; infinities the wrong way round while there is
    none. state: moments, see `moments.State`.
    """

    __slots__ = (
        "crc", "denormal", "high", "low", "nan", "neg_inf", "pos_inf", "state", "table", "zero",
    )  # fmt: skip

    def __init__(self, table: NDArray[np.uint32], crc: int | None = None) -> None:
        self.table = table
        self.crc = crc
        self.nan = self.pos_inf = self.neg_inf = 0
        self.zero = self.denormal = 0
        self.low, self.high = math.inf, -math.inf
        self.state: State = EMPTY

    def add_state(self, state: State) -> None:
        """Take in the moments of a further piece."""
        self.state = combine(self.state, state)


def _loops() -> Loops[Compiled]:
    from ckptviewer.analysis import kernel_compiled, kernel_shipped

    return Loops(kernel_shipped.load, kernel_compiled.Compiled, kernel_compiled.MODULE)


_choice: Choice[Compiled] = Choice(_loops)


def accumulate(values: np.ndarray, sums: Sums, exponent: int = 0) -> None:
    """Add flat, contiguous float32 or float64 values to `sums`; see `kernel_numpy.accumulate`."""
    compiled = _choice.compiled_for(values.nbytes)
    if compiled is None or exponent:
        kernel_numpy.accumulate(values, sums, exponent)
        if sums.crc is not None:
            sums.crc = crc32c(values.data, sums.crc)
    else:
        compiled.accumulate(values, sums)


def accumulate_integers(values: np.ndarray, sums: Sums) -> None:
    """Add integers of 32 or 64 bits to `sums`, as float64."""
    compiled = _choice.compiled_for(values.nbytes)
    if compiled is None or (
        values.itemsize == 8 and max(abs(int(values.min())), int(values.max())) >= 1 << 53
    ):
        kernel_numpy.accumulate_integers(values, sums)
    else:
        compiled.accumulate(values.astype(np.float64), sums)


def count_patterns(patterns: NDArray[np.uint16], table: NDArray[np.uint32]) -> None:
    """Add to `table` how often each pattern of 16 bits comes."""
    (_choice.compiled_for(patterns.nbytes) or kernel_numpy).count_patterns(patterns, table)


def prepare(timeout_seconds: float = 120.0) -> str:
    """See `Choice.prepare`."""
    return _choice.prepare(timeout_seconds)


def why_not() -> str:
    """See `Choice.why_not`."""
    return _choice.why_not()
