"""The inner loops by themselves, where a whole tensor would not show what they do."""

from __future__ import annotations

import numpy as np
import pytest

from ckptviewer.analysis import kernel
from tests.analysis import kernels


@pytest.mark.parametrize("loops", ["numpy", "compiled"])
def test_patterns_are_counted_wherever_they_lie_in_memory(
    loops: str, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    kernels.use(loops, monkeypatch, pytestconfig)
    patterns = np.random.default_rng(0).integers(0, 1 << 16, 4200).astype(np.uint16)
    patterns[100:400] = 7  # many alike in a row
    for start in range(5):
        for count in (0, 1, 2, 3, 4, 5, 7, 8, 9, 390, 4001):
            some = patterns[start : start + count]
            table = np.zeros(1 << 16, np.uint32)
            kernel.count_patterns(some, table)
            np.testing.assert_array_equal(table, np.bincount(some, minlength=1 << 16))
