"""The inner loops as shared libraries, which an installed application brings along.

It has neither Numba nor LLVM, which would be most of its size. packaging/compile_kernels.py makes
a library for each kind of processor that is named here.
"""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

from ckptviewer.analysis.difference_compiled import CompiledPairs
from ckptviewer.analysis.kernel_compiled import Compiled
from ckptviewer.analysis.update_compiled import CompiledUpdates
from ckptviewer.resources import MissingResourceError, resource

PREFIX = "ckptviewer_"
_THIRD = {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "abm"}
_NEEDS = {
    "x86-64-v4": _THIRD | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
    "x86-64-v3": _THIRD,
}
"""Kinds of processor, the best first, and what Linux says of one that is of that kind.

From the levels of the x86-64 psABI; on what is older than the third NumPy does the work.
"""
KINDS = tuple(_NEEDS) if platform.machine() in ("x86_64", "AMD64") else ()


class _AsTheyAre(dict[str, str]):
    """Names that need no translation."""

    def __missing__(self, name: str) -> str:
        return name


class _FromLibrary:
    """Instead of loading machine code by LLVM: a shared library, which the system loads."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, ValueError where it is not what it should be."""
        self._library = ctypes.CDLL(str(path))
        super().__init__(_AsTheyAre(), b"")  # type: ignore[call-arg]

    def _load(self, code: bytes) -> None:
        """Nothing is left to do."""

    def _address(self, name: str) -> int:
        try:
            function = getattr(self._library, PREFIX + name)
        except AttributeError:
            return 0
        return ctypes.cast(function, ctypes.c_void_p).value or 0


class Shipped(_FromLibrary, Compiled):
    """The loops of statistics."""


class ShippedPairs(_FromLibrary, CompiledPairs):
    """The loops of comparisons."""


class ShippedUpdates(_FromLibrary, CompiledUpdates):
    """The loops of a training's series."""


def file_name(loops: str, kind: str) -> str:
    """Of the library of loops ("statistics", "comparison", "updates") for a kind of processor."""
    return f"{loops}-{kind}.so"


def find(loops: str) -> Path | None:
    """The library of some loops for this processor; None where the program brought none along."""
    try:
        directory = resource("kernels")
    except MissingResourceError:
        return None
    paths = (directory / file_name(loops, kind) for kind in usable(processor_flags()))
    return next((path for path in paths if path.is_file()), None)


def load() -> Shipped | None:
    """The loops of statistics, if the program brought them along."""
    path = find("statistics")
    return Shipped(path) if path is not None else None


def load_pairs() -> ShippedPairs | None:
    """The loops of comparisons, if the program brought them along."""
    path = find("comparison")
    return ShippedPairs(path) if path is not None else None


def load_updates() -> ShippedUpdates | None:
    """The loops of a training's series, if the program brought them along."""
    path = find("updates")
    return ShippedUpdates(path) if path is not None else None


def usable(flags: set[str]) -> list[str]:
    """The kinds whose code runs on a processor with these flags, the best first."""
    return [kind for kind in KINDS if _NEEDS[kind] <= flags]


def processor_flags() -> set[str]:
    """What Linux says that the processor can do; empty where it says nothing."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as told:
            line = next((line for line in told if line.startswith("flags")), "")
    except OSError:
        return set()
    return set(line.partition(":")[2].split())
