"""Compiles the inner loops of statistics into shared libraries, which the frozen program loads.

Those of statistics, comparisons and a training's series: `python packaging/compile_kernels.py
DIRECTORY` makes a library of each for each kind of processor of this machine's family, among which
ckptviewer/analysis/kernel_shipped.py chooses. Needs Numba and a linker (`ld`), neither of which the
program needs then.
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

ENTRIES = {
    "statistics": "None",
    "comparison": "difference_source.entries()",
    "updates": "update_source.entries()",
}
"""The loops, and the expression that names their entry points to `kernel_source.build_for`."""

CODE = """
import sys
from ckptviewer.analysis import difference_source, kernel_source, update_source
sys.stdout.buffer.write(kernel_source.build_for(sys.argv[1], sys.argv[2], {entries}))
"""


def compile_all(directory: Path) -> list[Path]:
    """Make all libraries for all kinds of this machine's processor family; their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    return [
        compile_for(kind, loops, directory / file_name(loops, kind))
        for kind in KINDS
        for loops in ENTRIES
    ]


def compile_for(kind: str, loops: str, target: Path) -> Path:
    """Make one library, in a process of its own: Numba knows one kind a process."""
    code = CODE.format(entries=ENTRIES[loops])
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
