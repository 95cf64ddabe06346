"""The inner loops as machine code: loaded from the user's cache directory in a tenth of a second.

Numba makes the code (`kernel_source`, run in a process of its own); here LLVM's loader alone is
needed, which takes a third of the memory. Calls release the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from platformdirs import user_cache_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ckptviewer.analysis.kernel import Sums

BLOCK = 4096
"""Elements to a block; divides SEGMENT_ELEMENTS, so that blocks never depend on the chunks."""

_BUILD_SECONDS = 120.0
_LIMITS: dict[np.dtype, np.ndarray] = {
    np.dtype(np.float32): np.array([0x7FFFFFFF, 0x7F800000, 0x00800000, 31, 1], np.int32),
    np.dtype(np.float64): np.array(
        [0x7FFFFFFFFFFFFFFF, 0x7FF0000000000000, 0x0010000000000000, 63, 1], np.int64
    ),
}


class _Room:
    """What a call of the loops over one dtype needs beside the values, and the pointers to it."""

    def __init__(self, dtype: np.dtype) -> None:
        self.limits = _LIMITS[dtype]
        signed = self.limits.dtype
        info = np.iinfo(signed)
        self.nothing = (int(info.max), int(info.min))
        self.kept = np.empty(BLOCK, dtype)
        self.facts = np.zeros(5, np.int64)
        self.extremes = np.empty(2, signed)
        self.state = np.empty(7)
        kept = self.kept.ctypes.data
        self.before = (
            kept, kept, kept, self.limits.ctypes.data, 16 if signed.itemsize == 4 else 44,
        )  # fmt: skip
        self.behind = tuple(array.ctypes.data for array in (self.facts, self.extremes, self.state))


class _Scratch(threading.local):
    """Such room, each thread its own: making it for each call would take as long as the call."""

    def __init__(self) -> None:
        self._rooms: dict[np.dtype, _Room] = {}

    def of(self, dtype: np.dtype) -> _Room:
        room = self._rooms.get(dtype)
        if room is None:
            room = self._rooms[dtype] = _Room(dtype)
        return room


class Compiled:
    """Machine code that has been loaded; offers what `kernel_numpy` does."""

    def __init__(self, names: dict[str, str], code: bytes) -> None:
        self._load(code)
        pointer, size = ctypes.c_void_p, ctypes.c_ssize_t
        self._count = self._function(names["count"], pointer, size, pointer)
        self._accumulate = {
            np.dtype(name): self._function(
                names[name], pointer, pointer, pointer, size, pointer, pointer, pointer, pointer,
                shift, pointer, size, pointer, pointer, pointer,
            )
            for name, shift in (("float32", ctypes.c_uint32), ("float64", ctypes.c_uint64))
        }  # fmt: skip
        self._scratch = _Scratch()

    def _load(self, code: bytes) -> None:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def _address(self, name: str) -> int:
        address: int = self._engine.get_function_address(name)
        return address

    def _function(self, name: str, *arguments: Any) -> Any:
        address = self._address(name)
        if not address:
            raise ValueError(f"there is no function {name}")
        return ctypes.CFUNCTYPE(None, *arguments)(address)

    def accumulate(self, values: np.ndarray, sums: Sums) -> None:
        """Add float32 or float64 values to `sums`, as `kernel_numpy.accumulate` does."""
        run = self._accumulate[values.dtype]
        scratch = self._scratch.of(values.dtype)
        facts, extremes, state = scratch.facts, scratch.extremes, scratch.state
        facts[:] = 0
        extremes[:] = scratch.nothing
        state[:] = sums.state
        at = values.ctypes.data
        run(
            at, at, at, values.size, *scratch.before, sums.table.ctypes.data, sums.table.size,
            *scratch.behind,
        )  # fmt: skip
        nan, pos_inf, neg_inf, zero, denormal = facts.tolist()
        sums.nan += nan
        sums.pos_inf += pos_inf
        sums.neg_inf += neg_inf
        sums.zero += zero
        sums.denormal += denormal
        n, high, low, m2, m3, m4, absolute = state.tolist()
        sums.state = (n, high, low, m2, m3, m4, absolute)
        if extremes[0] <= extremes[1]:
            limits = scratch.limits
            ordered = extremes ^ ((extremes >> limits[3]) & limits[0])
            least, greatest = ordered.view(values.dtype).tolist()
            sums.low = min(sums.low, least)
            sums.high = max(sums.high, greatest)

    def count_patterns(self, patterns: NDArray[np.uint16], table: NDArray[np.uint32]) -> None:
        """Add to `table` how often each pattern of 16 bits comes."""
        ahead = min(-patterns.ctypes.data % 8 // 2, patterns.size)
        words = (patterns.size - ahead) // 4
        inner = patterns[ahead : ahead + 4 * words]
        self._count(inner.ctypes.data, words, table.ctypes.data)
        for part in (patterns[:ahead], patterns[ahead + 4 * words :]):
            for pattern in part.tolist():
                table[pattern] += 1


AnyCompiled = TypeVar("AnyCompiled", bound=Compiled)


def code_path(*more: str) -> Path:
    """Where the machine code for this processor, these sources and libraries lies, or will.

    more: files of this package with loops that are not of statistics, see `start_build`.
    """
    import llvmlite.binding as llvm

    digest = hashlib.blake2b(digest_size=12)
    here = Path(__file__)
    for name in ("kernel_source.py", "moments.py", here.name, *more):
        digest.update(here.with_name(name).read_bytes())
    features = llvm.get_host_cpu_features().flatten()
    parts = (llvm.get_host_cpu_name(), features, version("llvmlite"), version("numba"), sys.version)
    digest.update("\0".join(parts).encode())
    folder = user_cache_path("ckptviewer", appauthor=False) / "compiled"
    return folder / f"{digest.hexdigest()}.code"


def store(path: str | os.PathLike[str], names: dict[str, str], code: bytes) -> None:
    """Write machine code so that at any time `load` finds all of it or nothing."""
    target = Path(path)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    head = json.dumps({"names": names, "digest": _digest(code)}).encode() + b"\n"
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        file.write(head + code)
    os.replace(file.name, target)


def load(path: Path, kind: type[AnyCompiled]) -> AnyCompiled | None:
    """The machine code at `path` as a `kind`; None where there is none or it is damaged."""
    try:
        head, _, code = path.read_bytes().partition(b"\n")
        told = json.loads(head)
        if told["digest"] != _digest(code):
            return None
        return kind(told["names"], code)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def start_build(
    path: Path, module: str = "ckptviewer.analysis.kernel_source"
) -> subprocess.Popen[bytes]:
    """Begin to make the code for `path` in a process of its own, which takes some seconds.

    module: is run with the path, and stores there the code of its loops.
    """
    command = [sys.executable, "-m", module, str(path)]
    package = Path(__file__).parents[2]
    search = os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": search},
    )


def _digest(code: bytes) -> str:
    return hashlib.blake2b(code, digest_size=16).hexdigest()
