"""One side of the doctor's benchmark: the checksum in memory, checksums alone, or everything.

Arguments: prefix, and "crc32c", "checksums", "doctor" or "statistics". Two workers, threads.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ckptviewer.analysis import kernel
from ckptviewer.analysis.doctor import examine
from ckptviewer.analysis.scheduling import Schedule
from ckptviewer.analysis.summary import Statistics
from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.formats.resolve import open_checkpoint
from tests.benchmarks.registry import serve

WORKERS = 2


def memory(prefix: str) -> Callable[[], object]:
    """One crc32c over the bytes of the data file, which are in memory."""
    from crc32c import crc32c

    data = Path(f"{prefix}.data-00000-of-00001").read_bytes()
    return lambda: crc32c(data)


def checksums(prefix: str) -> Callable[[], object]:
    """Every tensor read once, for its checksum and nothing else, by one thread."""

    def work() -> None:
        with open_checkpoint(prefix) as checkpoint:
            for variable in checkpoint.variables:
                for _ in checkpoint.chunks(variable):
                    pass

    return work


def doctor(prefix: str) -> Callable[[], object]:
    """All that the doctor does."""

    def work() -> None:
        findings = list(examine(prefix, executor=executor, workers=WORKERS))
        assert [finding.code for finding in findings] == ["name-based"], findings

    kernel.prepare()
    executor = ThreadPoolExecutor(WORKERS)
    return work


def statistics(prefix: str) -> Callable[[], object]:
    """The statistics of all variables."""

    def work() -> None:
        with open_checkpoint(prefix) as checkpoint:
            schedule = Schedule(checkpoint, checkpoint.variables)
            found: dict[str, Statistics | CkptviewerError] = dict(schedule.run(executor, WORKERS))
            assert all(isinstance(result, Statistics) for result in found.values())

    kernel.prepare()
    executor = ThreadPoolExecutor(WORKERS)
    return work


def main() -> None:
    """Serve until there are no more turns."""
    prefix, side = sys.argv[1:]
    sides = {"crc32c": memory, "checksums": checksums, "doctor": doctor, "statistics": statistics}
    act = sides[side](prefix)

    def work() -> float:
        begun = time.perf_counter()
        act()
        return time.perf_counter() - begun

    serve(work)


if __name__ == "__main__":
    main()
