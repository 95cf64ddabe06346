"""The inner loops of a comparison: compiled ones when they are worth their start, else NumPy's.

The way is that of `kernel`: a process begins with NumPy, and looks for compiled code once it has
done so much work that more is likely, or when it is told to by `prepare`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading

import numpy as np

from ckptviewer.analysis import difference_numpy
from ckptviewer.analysis.difference import Tolerance
from ckptviewer.analysis.difference_compiled import BLOCK, MODULE, SOURCES, CompiledPairs
from ckptviewer.analysis.difference_sums import PairSums
from ckptviewer.analysis.kernel import ENVIRONMENT, LOOK_BYTES, NUMPY_BYTES

_SINGLE = np.dtype(np.float32)
_WITHIN_SINGLE = {"float32", "float16", "bfloat16"}
"""Dtypes whose values float32 holds exactly."""


class _Choice:
    """Which loops this process uses, and how far it has come on the way to the compiled ones."""

    def __init__(self) -> None:
        self.compiled: CompiledPairs | None = None
        self.refused = ""
        self.lock = threading.Lock()
        self.bytes_done = 0
        self.look_at = NUMPY_BYTES
        self.builder: subprocess.Popen[bytes] | None = None


_choice = _Choice()


def add(a: np.ndarray, b: np.ndarray, sums: PairSums, tolerance: Tolerance) -> None:
    """Add pairs of numbers to `sums`; see `difference_numpy.add`."""
    compiled = None
    alike = a.dtype == b.dtype
    if {a.dtype.name, b.dtype.name} <= _WITHIN_SINGLE and (alike or not tolerance.given):
        compiled = _compiled_for(a.nbytes + b.nbytes)
    if compiled is None:
        difference_numpy.add(a, b, sums, tolerance)
        return
    single_a, single_b = _single(a), _single(b)
    place = 0
    while place < a.size:
        if alike:
            place += compiled.add(single_a[place:], single_b[place:], sums, tolerance)
        else:  # other bits are no difference where the dtypes are not the same
            part = PairSums()
            place += compiled.add(single_a[place:], single_b[place:], part, tolerance)
            part.unequal = part.beyond
            sums.merge(part)
        if place < a.size:  # a block with NaN or infinities
            stop = place + BLOCK
            difference_numpy.add(a[place:stop], b[place:stop], sums, tolerance)
            place = stop


def prepare(timeout_seconds: float = 120.0) -> str:
    """Load the compiled code now, having it made if need be; the name of the loops in use.

    Takes seconds on a machine's first time, a tenth of one later. Safe from several threads.
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


def _single(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, _SINGLE)


def _compiled_for(count: int) -> CompiledPairs | None:
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

        _choice.compiled = kernel_shipped.load_pairs()
        if _choice.compiled is not None:
            return
        if getattr(sys, "frozen", False):
            _choice.refused = "the application brings none along for this processor"
            return
        path = kernel_compiled.code_path(*SOURCES)
        _choice.compiled = kernel_compiled.load(path, CompiledPairs)
        if _choice.compiled is not None:
            return
        if _choice.builder is None:
            _choice.builder = kernel_compiled.start_build(path, MODULE)
        elif (status := _choice.builder.poll()) is not None:
            _choice.refused = f"it could not be made (exit status {status})"
    except Exception as error:  # a library is missing or does not work here: NumPy does it all
        _choice.refused = f"{type(error).__name__}: {error}"
