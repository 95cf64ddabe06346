"""Our side of `compare`: opens both bundles and compares them, on a pool that is warm.

Arguments: two prefixes; "first" (by checksum alone), "threads" or "processes". Two workers. With
"values" behind them, what is equal by checksum is read, too.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

from ckptviewer.analysis import difference_kernel
from ckptviewer.analysis.comparison import ComparisonOptions, first_answer
from ckptviewer.analysis.comparison_schedule import ComparisonSchedule
from ckptviewer.analysis.scheduling import Origin
from ckptviewer.formats.resolve import open_checkpoint
from tests.benchmarks.registry import serve

WORKERS = 2


def pool(kind: str) -> Executor:
    """A pool of two workers whose loops are as fast as they get."""
    if kind != "processes":
        difference_kernel.prepare()
        return ThreadPoolExecutor(WORKERS)
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(WORKERS, mp_context=context, initializer=difference_kernel.prepare)


def main() -> None:
    """Serve until there are no more turns."""
    path_a, path_b, kind, *more = sys.argv[1:]
    options = ComparisonOptions(values="values" in more)

    def work() -> float:
        begun = time.perf_counter()
        with open_checkpoint(path_a) as a, open_checkpoint(path_b) as b:
            comparison = first_answer(a, b, options)
            if kind != "first":
                origins = (Origin.of(a), Origin.of(b)) if kind == "processes" else None
                schedule = ComparisonSchedule(a, b, comparison, origins=origins)
                comparison = comparison.refined(schedule.run(executor, WORKERS))
        seconds = time.perf_counter() - begun
        assert comparison.deltas
        assert not comparison.problems
        return seconds

    with pool(kind) as executor:
        serve(work)


if __name__ == "__main__":
    main()
