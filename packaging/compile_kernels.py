"""Compiles the inner loops of statistics into shared libraries, which the frozen program loads.

`python packaging/compile_kernels.py DIRECTORY` makes one for each kind of processor of this
machine's family; ckptviewer/analysis/kernel_shipped.py chooses among them. Needs Numba and a
linker (`ld`), neither of which the program needs then.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from ckptviewer.analysis.kernel_shipped import KINDS, PREFIX, file_name  # noqa: E402

SOURCE_DATE = "0"


def compile_all(directory: Path) -> list[Path]:
    """Make the libraries for all kinds of this machine's processor family; their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    return [compile_for(kind, directory / file_name(kind)) for kind in KINDS]


def compile_for(kind: str, target: Path) -> Path:
    """Make the library for one kind, in a process of its own: Numba knows one kind a process."""
    code = (
        "import sys; from ckptviewer.analysis.kernel_source import build_for; "
        "sys.stdout.buffer.write(build_for(sys.argv[1], sys.argv[2]))"
    )
    environment = os.environ | {
        "NUMBA_CPU_NAME": kind,
        "NUMBA_CPU_FEATURES": "",
        "PYTHONPATH": str(CHECKOUT),
    }
    made = subprocess.run(
        [sys.executable, "-c", code, kind, PREFIX],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    with tempfile.NamedTemporaryFile(suffix=".o") as file:
        file.write(made.stdout)
        file.flush()
        subprocess.run(
            ["ld", "-shared", "-z", "noexecstack", "-z", "relro", "-s", "-o", target, file.name],
            check=True,
        )
    return target


if __name__ == "__main__":
    for path in compile_all(Path(sys.argv[1])):
        print(f"{path}: {path.stat().st_size} bytes")  # noqa: T201
