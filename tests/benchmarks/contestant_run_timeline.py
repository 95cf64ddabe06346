"""Our side of a training's series: finds the run and follows all variables, on two threads.

Arguments: the directory, "first" (an empty cache each time) or "second" (what the turn before
left).
"""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ckptviewer.analysis import update_kernel
from ckptviewer.runs.run import find_run
from ckptviewer.runs.timeline import Timeline
from ckptviewer.runs.timeline_table import Series, TimelineTable
from ckptviewer.storage.cache import Cache
from tests.benchmarks.registry import serve

WORKERS = 2


def main() -> None:
    """Serve until there are no more turns."""
    directory, which = sys.argv[1:]
    update_kernel.prepare()

    def work() -> float:
        cache_path = folder / f"{time.monotonic_ns() if which == 'first' else 0}.sqlite"
        begun = time.perf_counter()
        run = find_run(directory)
        table = TimelineTable(run.checkpoints)
        with Cache(cache_path) as cache, ThreadPoolExecutor(WORKERS) as executor:
            for event in Timeline(run.checkpoints, cache=cache).run(executor, WORKERS):
                table.take(event)
        for series in Series:
            assert table.matrix(series).shape[1] == len(run.checkpoints)
        assert not table.errors
        return time.perf_counter() - begun

    with tempfile.TemporaryDirectory(prefix="ckptviewer-benchmark-") as name:
        folder = Path(name)
        serve(work)


if __name__ == "__main__":
    main()
