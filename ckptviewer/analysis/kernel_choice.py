"""Which inner loops a process uses: compiled ones when they are worth their start, else NumPy's.

Loading compiled code takes as long as a tenth of a gigabyte does in NumPy, and making it, once on
a machine, some seconds in another process. So a process begins with NumPy and changes once it has
done so much work that more is likely, or when it is told to by `prepare`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from ckptviewer.analysis.kernel_compiled import Compiled

NUMPY_BYTES = 128 << 20
"""A process does this much in NumPy before it looks for compiled code."""

LOOK_BYTES = 256 << 20
"""How much it does before it looks again whether the code has been made."""

ENVIRONMENT = "CKPTVIEWER_KERNEL"
"""Set to "numpy", this environment variable keeps the compiled code out."""

Code = TypeVar("Code", bound="Compiled")


@dataclass(frozen=True, slots=True)
class Loops(Generic[Code]):
    """Where the compiled code of some loops comes from.

    shipped: loads what the program brought along, None where it did not. kind: the code once it is
    loaded. module: makes it when it is run. sources: files that it is made from, beside those that
    all loops share.
    """

    shipped: Callable[[], Code | None]
    kind: type[Code]
    module: str
    sources: tuple[str, ...] = ()


class Choice(Generic[Code]):
    """Which loops this process uses, and how far it has come on the way to the compiled ones."""

    def __init__(self, loops: Callable[[], Loops[Code]]) -> None:
        """loops: tells where the code comes from; called when it is looked for, and may raise."""
        self._loops = loops
        self._lock = threading.Lock()
        self._compiled: Code | None = None
        self._bytes_done = 0
        self._look_at = NUMPY_BYTES
        self._builder: subprocess.Popen[bytes] | None = None
        self.refused = ""

    def prepare(self, timeout_seconds: float = 120.0) -> str:
        """Load the compiled code now, having it made if need be; the name of the loops in use.

        Takes seconds on a machine's first time, a tenth of one later. Safe from several threads;
        meant for a pool's workers (submit it, or make it their initializer).
        """
        with self._lock:
            self._advance()
            if self._builder is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._builder.wait(timeout_seconds)
                self._advance()
        return self.name()

    def name(self) -> str:
        """ "compiled" or "numpy": the loops that this process uses now."""
        return "compiled" if self._compiled else "numpy"

    def why_not(self) -> str:
        """Why the compiled loops cannot be used; empty while they can, or may yet be."""
        return self.refused

    def compiled_for(self, count: int) -> Code | None:
        """The compiled loops for work on `count` bytes; None where NumPy is to do it."""
        if self._compiled is not None or self.refused:
            return self._compiled
        self._bytes_done += count
        if self._bytes_done > self._look_at and self._lock.acquire(blocking=False):
            try:  # nobody waits: while the code is being made, all go on in NumPy
                self._look_at = self._bytes_done + LOOK_BYTES
                self._advance()
            finally:
                self._lock.release()
        return self._compiled

    def _advance(self) -> None:
        """Take the next step towards compiled code: load it, or have it made, or give up."""
        if self._compiled is not None or self.refused:
            return
        if os.environ.get(ENVIRONMENT) == "numpy":
            self.refused = "the environment asks for NumPy"
            return
        try:
            self._compiled = self._looked_for(self._loops())
        except Exception as error:  # a library is missing or does not work here: NumPy does it all
            self.refused = f"{type(error).__name__}: {error}"

    def _looked_for(self, loops: Loops[Code]) -> Code | None:
        """The code where it is there; else it is being made, or `refused` says why it is not."""
        found = loops.shipped()
        if found is not None:
            return found
        if getattr(sys, "frozen", False):
            self.refused = "the application brings none along for this processor"
            return None
        from ckptviewer.analysis import kernel_compiled

        path = kernel_compiled.code_path(*loops.sources)
        found = kernel_compiled.load(path, loops.kind)
        if found is not None:
            return found
        if self._builder is None:
            self._builder = kernel_compiled.start_build(path, loops.module)
        elif (status := self._builder.poll()) is not None:
            what = f"it could not be made (exit status {status})"
            self.refused = what if status else "what was made cannot be loaded"
        return None
