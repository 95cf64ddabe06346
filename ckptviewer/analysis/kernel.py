"""The inner loops of statistics: compiled ones when they are worth their start, else NumPy's.

Loading compiled code takes as long as a tenth of a gigabyte does in NumPy, and making it, once on
a machine, some seconds in another process. So a process begins with NumPy and changes once it has
done so much work that more is likely, or when it is told to by `prepare`.
"""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import numpy as np

from ckptviewer.analysis import kernel_numpy
from ckptviewer.analysis.moments import EMPTY, State, combine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ckptviewer.analysis.kernel_compiled import Compiled

NUMPY_BYTES = 128 << 20
"""A process does this much in NumPy before it looks for compiled code."""

LOOK_BYTES = 256 << 20
"""How much it does before it looks again whether the code has been made."""

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
    """Which loops this process uses, and how far it has come on the way to the compiled ones."""

    def __init__(self) -> None:
        self.compiled: Compiled | None = None
        self.refused = ""
        self.lock = threading.Lock()
        self.bytes_done = 0
        self.look_at = NUMPY_BYTES
        self.builder: subprocess.Popen[bytes] | None = None


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


def prepare(timeout_seconds: float = 120.0) -> str:
    """Load the compiled code now, having it made if need be; the name of the loops in use.

    Takes seconds on a machine's first time, a tenth of one later. Safe from several threads; meant
    for a pool's workers (submit it, or make it their initializer).
    """
    with _choice.lock:
        _advance()
        if _choice.builder is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                _choice.builder.wait(timeout_seconds)
            _advance()
    return name()


def name() -> str:
    """ "compiled" or "numpy": the loops that this process uses now."""
    return "compiled" if _choice.compiled else "numpy"


def why_not() -> str:
    """Why the compiled loops cannot be used; empty while they can, or may yet be."""
    return _choice.refused


def _compiled_for(count: int) -> Compiled | None:
    if _choice.compiled is not None or _choice.refused:
        return _choice.compiled
    _choice.bytes_done += count
    if _choice.bytes_done > _choice.look_at and _choice.lock.acquire(blocking=False):
        try:  # nobody waits: while the code is being made, all go on in NumPy
            _choice.look_at = _choice.bytes_done + LOOK_BYTES
            _advance()
        finally:
            _choice.lock.release()
    return _choice.compiled


def _advance() -> None:
    """Take the next step towards compiled code: load it, or have it made, or give up."""
    if _choice.compiled is not None or _choice.refused:
        return
    if os.environ.get(ENVIRONMENT) == "numpy":
        _choice.refused = "the environment asks for NumPy"
        return
    try:
        from ckptviewer.analysis import kernel_compiled, kernel_shipped

        _choice.compiled = kernel_shipped.load()
        if _choice.compiled is not None:
            return
        if getattr(sys, "frozen", False):
            _choice.refused = "the application brings none along for this processor"
            return
        path = kernel_compiled.code_path()
        _choice.compiled = kernel_compiled.load(path, kernel_compiled.Compiled)
        if _choice.compiled is not None:
            return
        if _choice.builder is None:
            _choice.builder = kernel_compiled.start_build(path)
        elif (status := _choice.builder.poll()) is not None:
            _choice.refused = f"it could not be made (exit status {status})"
    except Exception as error:  # a library is missing or does not work here: NumPy does it all
        _choice.refused = f"{type(error).__name__}: {error}"
