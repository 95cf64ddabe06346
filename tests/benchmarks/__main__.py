"""Runs the benchmarks that are named."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

from tests.benchmarks.registry import BENCHMARKS

_FRAME = {"__init__", "__main__", "registry", "loop_probe"}


def main(wanted: list[str]) -> int:
    """Run each benchmark whose name begins with one of `wanted`; list all without one."""
    # What is installed has its bytecode: neither side shall compile itself at each start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for file in sorted(Path(__file__).parent.glob("*.py")):
        if file.stem not in _FRAME and not file.stem.startswith("contestant_"):
            import_module(f"tests.benchmarks.{file.stem}")
    if not wanted:
        print(*BENCHMARKS, sep="\n")
        return 0
    chosen = [name for name in BENCHMARKS if name.startswith(tuple(wanted))]
    for name in chosen:
        print(f"== {name}", flush=True)
        BENCHMARKS[name]()
    if not chosen:
        print("no benchmark is called that", file=sys.stderr)
    return 0 if chosen else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
