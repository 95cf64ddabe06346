"""The inner loops by themselves, where a whole tensor would not show what they do."""

from __future__ import annotations

import numpy as np
import pytest
from crc32c import crc32c

from ckptviewer.analysis import kernel
from ckptviewer.analysis.kernel_compiled import BLOCK
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


@pytest.mark.parametrize("loops", ["numpy", "compiled"])
def test_checksum_is_taken_along(
    loops: str, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    kernels.use(loops, monkeypatch, pytestconfig)
    values = np.random.default_rng(0).standard_normal(6 * BLOCK + 1).astype(np.float32)
    values[BLOCK : 2 * BLOCK] = 0.25  # a block of one value
    values[2 * BLOCK + 7] = np.nan
    values[3 * BLOCK : 4 * BLOCK] = np.inf
    for start in (0, 1, 2, 3):
        for count in (1, 2, 3, 4095, 4096, 4097, 5 * BLOCK, 5 * BLOCK + 3, 6 * BLOCK - 3):
            some = values[start : start + count]
            plain, checked = (kernel.Sums(np.zeros(1 << 16, np.uint32), crc) for crc in (None, 0))
            kernel.accumulate(some, plain)
            kernel.accumulate(some, checked)
            assert checked.crc == crc32c(some.tobytes())
            assert plain.crc is None
            np.testing.assert_array_equal(plain.table, checked.table)
            assert (plain.nan, plain.pos_inf, plain.state) == (
                checked.nan, checked.pos_inf, checked.state
            )  # fmt: skip
            kernel.accumulate(values[:100], checked)
            assert checked.crc == crc32c(some.tobytes() + values[:100].tobytes())
