"""The inner loops as machine code: loaded from the user's cache directory in a tenth of a second.

Numba makes the code (`kernel_source`, run in a process of its own); here LLVM's loader alone is
needed, which takes a third of the memory. Calls release the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import platform
import stat
import subprocess
import sys
import tempfile
import threading
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from crc32c import crc32c
from platformdirs import user_cache_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ckptviewer.analysis.kernel import Sums

BLOCK = 4096
"""Elements to a block; divides SEGMENT_ELEMENTS, so that blocks never depend on the chunks."""

HAS_CRC = platform.machine() in ("x86_64", "AMD64")
"""Whether the loops take the crc32c along: these processors have an instruction for it."""

MODULE = "ckptviewer.analysis.kernel_source"
_LARGEST_BYTES = 16 << 20
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
        self.crc = np.empty(1, np.uint64)
        kept = self.kept.ctypes.data
        self.before = (kept, kept, kept, self.limits.ctypes.data)
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
                pointer, size, pointer, pointer, pointer,
            )
            for name in ("float32", "float64")
        }  # fmt: skip
        self._checking: Any = None
        if HAS_CRC:
            self._checking = self._function(
                names["checking"], pointer, pointer, pointer, size, pointer, pointer, pointer,
                pointer, pointer, size, pointer, pointer, pointer, pointer,
            )  # fmt: skip
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
        scratch = self._scratch.of(values.dtype)
        facts, extremes, state = scratch.facts, scratch.extremes, scratch.state
        facts[:] = 0
        extremes[:] = scratch.nothing
        state[:] = sums.state
        at = values.ctypes.data
        arguments = (
            at, at, at, values.size, *scratch.before, sums.table.ctypes.data, sums.table.size,
            *scratch.behind,
        )  # fmt: skip
        if sums.crc is None:
            self._accumulate[values.dtype](*arguments)
        elif self._checking is not None and values.dtype == np.float32:
            scratch.crc[0] = sums.crc ^ 0xFFFFFFFF
            self._checking(*arguments, scratch.crc.ctypes.data)
            sums.crc = int(scratch.crc[0]) ^ 0xFFFFFFFF
        else:
            self._accumulate[values.dtype](*arguments)
            sums.crc = crc32c(values.data, sums.crc)
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

    def prove(self) -> None:
        """Raise ValueError unless it says the same as NumPy of some values of every kind."""
        from ckptviewer.analysis import kernel_numpy
        from ckptviewer.analysis.kernel import Sums

        for dtype, buckets in ((np.float32, 1 << 16), (np.float64, 1 << 20)):
            values = _trial_values(dtype)
            mine, right = (Sums(np.zeros(buckets, np.uint32)) for _ in range(2))
            self.accumulate(values, mine)
            kernel_numpy.accumulate(values, right)
            agree(mine.table, right.table)
            agree(
                (mine.nan, mine.pos_inf, mine.neg_inf, mine.zero, mine.denormal, mine.low),
                (right.nan, right.pos_inf, right.neg_inf, right.zero, right.denormal, right.low),
            )
            agree((mine.high, *mine.state[:2]), (right.high, *right.state[:2]), 1e-9)
            agree(mine.state[3:], right.state[3:], 1e-9)
            checked, mine.crc = Sums(np.zeros(buckets, np.uint32)), 0
            for part in (values[: 3 * BLOCK], values[3 * BLOCK :]):
                checked.crc = checked.crc or 0
                self.accumulate(part, checked)
            agree(checked.table, right.table)
            agree((checked.crc,), (crc32c(values.data),))
        patterns = _trial_values(np.float32).view(np.uint16)
        table = np.zeros(1 << 16, np.uint32)
        self.count_patterns(patterns, table)
        agree(table, np.bincount(patterns, minlength=1 << 16))

    def count_patterns(self, patterns: NDArray[np.uint16], table: NDArray[np.uint32]) -> None:
        """Add to `table` how often each pattern of 16 bits comes."""
        ahead = min(-patterns.ctypes.data % 8 // 2, patterns.size)
        words = (patterns.size - ahead) // 4
        inner = patterns[ahead : ahead + 4 * words]
        self._count(inner.ctypes.data, words, table.ctypes.data)
        for part in (patterns[:ahead], patterns[ahead + 4 * words :]):
            for pattern in part.tolist():
                table[pattern] += 1


def _trial_values(dtype: type[np.floating[Any]]) -> np.ndarray:
    """A few blocks, and a part of one, with what is special of floats in them."""
    values = np.random.default_rng(0).normal(3.0, 2.0, 5 * BLOCK + 7).astype(dtype)
    tiny = np.finfo(dtype).smallest_subnormal
    values[BLOCK : BLOCK + 6] = np.nan, np.inf, -np.inf, 0.0, -0.0, tiny
    values[2 * BLOCK : 3 * BLOCK] = -1.5
    return values


def agree(mine: Any, right: Any, tolerance: float = 0.0) -> None:
    """Raise ValueError unless two rows of numbers are the same within a relative tolerance."""
    if not np.allclose(np.asarray(mine), np.asarray(right), rtol=tolerance, atol=tolerance):
        raise ValueError("the compiled loops do not say the same as NumPy")


AnyCompiled = TypeVar("AnyCompiled", bound=Compiled)


def code_path(*more: str) -> Path:
    """Where the machine code for this processor, these sources and libraries lies, or will.

    more: files of this package with loops that are not of statistics, see `start_build`.
    """
    import llvmlite.binding as llvm

    digest = hashlib.blake2b(digest_size=12)
    here = Path(__file__)
    shared = (
        "kernel_source.py", "bucket_source.py", "eight_source.py", "crc_source.py",
        "crc_arithmetic.py", "moments.py", here.name,
    )  # fmt: skip
    for name in (*shared, *more):
        digest.update(here.with_name(name).read_bytes())
    features = llvm.get_host_cpu_features().flatten()
    parts = (llvm.get_host_cpu_name(), features, version("llvmlite"), version("numba"), sys.version)
    digest.update("\0".join(parts).encode())
    folder = user_cache_path("ckptviewer", appauthor=False) / "compiled"
    return folder / f"{digest.hexdigest()}.code"


def store(
    path: str | os.PathLike[str], names: dict[str, str], code: bytes, kind: type[Compiled]
) -> None:
    """Write machine code so that at any time `load` finds all of it or nothing.

    It is loaded and tried first, in this process, which exists to make it: code that does not run
    here ends this one and no other. Raises ValueError where it does not do as NumPy does.
    """
    kind(names, code).prove()
    target = Path(path)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    head = {"for": target.stem, "names": names, "digest": _digest(target.stem, names, code)}
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        file.write(json.dumps(head).encode() + b"\n" + code)
    os.replace(file.name, target)


def load(path: Path, kind: type[AnyCompiled]) -> AnyCompiled | None:
    """The machine code at `path` as a `kind`.

    None where there is none, where it is damaged or was made for another name, which is another
    processor or another library, and where anybody else may have written it: LLVM takes what it is
    given for an object file, and ends the program where it is none.
    """
    try:
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            if state.st_size > _LARGEST_BYTES or not _is_ours(state, path.parent.stat()):
                return None
            head, _, code = file.read(_LARGEST_BYTES).partition(b"\n")
        told = json.loads(head)
        names = told["names"]
        if told["for"] != path.stem or told["digest"] != _digest(path.stem, names, code):
            return None
        return kind(names, code)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError):
        return None  # RuntimeError: LLVM's own


def _is_ours(*states: os.stat_result) -> bool:
    """Whether nobody but this user can have written what has these states."""
    if sys.platform == "win32":
        return True  # the cache lies in the user's profile, which is closed to others
    return all(
        state.st_uid == os.getuid() and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        for state in states
    )


def start_build(path: Path, module: str = MODULE) -> subprocess.Popen[bytes]:
    """Begin to make the code for `path` in a process of its own, which takes some seconds.

    module: is run with the path, and stores there the code of its loops.
    """
    # -P: what lies in the directory that we were started in is not to be imported, and run.
    command = [sys.executable, "-P", "-m", module, str(path)]
    package = Path(__file__).parents[2]
    search = os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": search},
    )


def _digest(name: str, names: dict[str, str], code: bytes) -> str:
    told = json.dumps([name, names], sort_keys=True).encode()
    return hashlib.blake2b(told + b"\n" + code, digest_size=16).hexdigest()
