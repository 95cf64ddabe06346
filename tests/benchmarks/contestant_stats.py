"""Our side of `stats`: opens the bundle and measures every variable on a pool that is warm.

Arguments: prefix, "threads" or "processes". Two workers.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

from ckptviewer.analysis import kernel
from ckptviewer.analysis.scheduling import Origin, Schedule
from ckptviewer.analysis.summary import Statistics
from ckptviewer.formats.resolve import open_checkpoint
from tests.benchmarks.registry import serve

WORKERS = 2


def pool(kind: str) -> Executor:
    """A pool of two workers whose loops are as fast as they get."""
    if kind == "threads":
        kernel.prepare()
        return ThreadPoolExecutor(WORKERS)
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(WORKERS, mp_context=context, initializer=kernel.prepare)


def main() -> None:
    """Serve until there are no more turns."""
    prefix, kind = sys.argv[1:]

    def work() -> float:
        begun = time.perf_counter()
        with open_checkpoint(prefix) as checkpoint:
            origin = Origin.of(checkpoint) if kind == "processes" else None
            schedule = Schedule(checkpoint, checkpoint.variables, origin=origin)
            found = dict(schedule.run(executor, WORKERS))
        histograms = []
        for result in found.values():
            assert isinstance(result, Statistics), result
            histograms.append(result.buckets.rebin(10))
        seconds = time.perf_counter() - begun
        assert len(histograms) == len(checkpoint.variables)
        return seconds

    with pool(kind) as executor:
        serve(work)


if __name__ == "__main__":
    main()
