"""crc32c within loops that Numba compiles, by the instruction that x86 processors have for it.

The processor keeps the checksum as it is before its last step, which turns all bits over.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from ckptviewer.analysis.crc_arithmetic import combined_crc
from ckptviewer.analysis.eight_source import word
from ckptviewer.analysis.kernel_compiled import BLOCK

_plain = njit(error_model="numpy")


def _instruction(bits: int) -> Any:
    """The processor's step of crc32c over a word of so many bits."""

    @intrinsic
    def step(_typing: Any, crc: Any, word: Any) -> Any:
        kind = types.uint64 if bits == 64 else types.uint32

        def make(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            name = f"llvm.x86.sse42.crc32.{bits}.{bits}"
            of = ir.FunctionType(ir.IntType(bits), [ir.IntType(bits)] * 2)
            known = builder.module.globals.get(name)
            return builder.call(known or ir.Function(builder.module, of, name), arguments)

        return kind(kind, kind), make

    return step


def _behind(length: int) -> np.ndarray:
    """Four tables by which a crc32c is brought behind `length` zero bytes, by its bytes."""
    tables = [[combined_crc(byte << 8 * n, 0, length) for byte in range(256)] for n in range(4)]
    return np.array(tables, np.uint32)


crc_of_8_bytes = _instruction(64)
crc_of_4_bytes = _instruction(32)
_BEHIND_HALF, _BEHIND_QUARTER = _behind(BLOCK // 2 * 4), _behind(BLOCK // 4 * 4)


@_plain
def _moved(crc, behind):  # type: ignore[no-untyped-def]
    found = np.uint32(0)
    for n in range(4):
        found ^= behind[n, (crc >> np.uint64(8 * n)) & np.uint64(0xFF)]
    return np.uint64(found)


@_plain
def joined(first, second):  # type: ignore[no-untyped-def]
    """The crc32c of a block of which the halves have these."""
    return _moved(first, _BEHIND_HALF) ^ second


@_plain
def joined_quarters(first, second, third, fourth):  # type: ignore[no-untyped-def]
    """The crc32c of a block of which the quarters have these."""
    second ^= _moved(first, _BEHIND_QUARTER)
    third ^= _moved(second, _BEHIND_QUARTER)
    return _moved(third, _BEHIND_QUARTER) ^ fourth


@_plain
def crc_of_words(patterns, crc):  # type: ignore[no-untyped-def]
    """The crc32c after further 32-bit words."""
    if patterns.size == BLOCK:  # two halves side by side: a step waits for the one before
        half = BLOCK // 2
        second = np.uint64(0)
        for i in range(0, half, 2):
            crc = crc_of_8_bytes(crc, word(patterns, i))
            second = crc_of_8_bytes(second, word(patterns, half + i))
        return joined(crc, second)
    even = patterns.size // 2 * 2
    for i in range(0, even, 2):
        crc = crc_of_8_bytes(crc, word(patterns, i))
    if even < patterns.size:
        crc = np.uint64(crc_of_4_bytes(np.uint32(crc), patterns[even]))
    return crc
