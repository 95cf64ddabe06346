"""How long the event loop waits, while the window measures what it shows."""

from __future__ import annotations

import subprocess
import sys

from tests.benchmarks.opening import display, many
from tests.benchmarks.registry import ROOT, benchmark
from tests.benchmarks.stats import bundle

MODULE = "tests.benchmarks.contestant_event_loop"


def _watch(*paths: str) -> None:
    with display() as environment:
        environment["CKPTVIEWER_CACHE"] = "/dev/null/results.sqlite"
        command = [sys.executable, "-m", MODULE, *paths]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)


@benchmark("event-loop-large")
def large() -> None:
    """800 MB of float32."""
    with bundle("float32") as prefix:
        _watch(str(prefix))


@benchmark("event-loop-many")
def numerous() -> None:
    """15,000 small variables."""
    with many(15_000) as prefix:
        _watch(f"{prefix}.index")


@benchmark("event-loop-compare")
def compare() -> None:
    """Two bundles of 50,000 small variables, compared."""
    with many(50_000) as one, many(50_000) as other:
        _watch(f"{one}.index", f"{other}.index")


@benchmark("event-loop-compare-large")
def compare_large() -> None:
    """Two bundles of 800 MB, every tensor of which differs."""
    from tests.benchmarks.comparing import pair

    with pair(0.01) as (one, other):
        _watch(one, other)


@benchmark("event-loop-run")
def run() -> None:
    """50 checkpoints of 20 MB, opened as a run and followed."""
    from tests.benchmarks.runs import LAYERS, training

    with training(LAYERS) as folder:
        _watch(folder)
