"""The inner loops of a comparison: compiled ones when they are worth their start, else NumPy's."""

from __future__ import annotations

import numpy as np

from ckptviewer.analysis import difference_numpy
from ckptviewer.analysis.difference import Tolerance
from ckptviewer.analysis.difference_compiled import BLOCK, MODULE, SOURCES, CompiledPairs
from ckptviewer.analysis.difference_sums import PairSums
from ckptviewer.analysis.kernel_choice import Choice, Loops

_SINGLE = np.dtype(np.float32)
_WITHIN_SINGLE = {"float32", "float16", "bfloat16"}
"""Dtypes whose values float32 holds exactly."""


def _loops() -> Loops[CompiledPairs]:
    from ckptviewer.analysis import kernel_shipped

    return Loops(kernel_shipped.load_pairs, CompiledPairs, MODULE, SOURCES)


_choice: Choice[CompiledPairs] = Choice(_loops)


def add(a: np.ndarray, b: np.ndarray, sums: PairSums, tolerance: Tolerance) -> None:
    """Add pairs of numbers to `sums`; see `difference_numpy.add`."""
    compiled = None
    alike = a.dtype == b.dtype
    if {a.dtype.name, b.dtype.name} <= _WITHIN_SINGLE and (alike or not tolerance.given):
        compiled = _choice.compiled_for(a.nbytes + b.nbytes)
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
    """See `Choice.prepare`."""
    return _choice.prepare(timeout_seconds)


def _single(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, _SINGLE)
