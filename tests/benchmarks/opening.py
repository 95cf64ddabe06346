"""Opening: from process start to the painted tree, listing, and very many variables."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.many import write_bundle
from tests.benchmarks.registry import ROOT, Contestant, benchmark, by_turns, contestants
from tests.benchmarks.stats import sparse_bundle

ROUNDS = 7
PEER_SCRIPT = "import sys, tensorflow as tf; tf.train.list_variables(sys.argv[1])"


@benchmark("open-window")
def window() -> None:
    """From process start to the painted window with the tree of 50,000 variables."""
    with many(50_000) as prefix, display() as environment:
        ours = [sys.executable, "-m", "tests.benchmarks.contestant_window", f"{prefix}.index"]
        peer = [sys.executable, "-c", PEER_SCRIPT, str(prefix)]
        times: list[tuple[float, float]] = []
        for number in range(ROUNDS + 1):
            taken = (_timed(ours, environment), _timed(peer, environment))
            if number:
                times.append(taken)
    ratio = statistics.median(a / b for a, b in times)
    mine, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"painted after {mine:.2f} s, TensorFlow lists after {theirs:.2f} s: ratio {ratio:.3f}")


@benchmark("open-listing")
def listing() -> None:
    """Names, dtypes, shapes and roles of 50,000 variables, imports excluded."""
    module = "tests.benchmarks.contestant_listing"
    with (
        many(50_000) as prefix,
        contestants(
            lambda: Contestant(module, "ours", str(prefix)),
            lambda: Contestant(module, "peer", str(prefix)),
        ) as (ours, peer),
    ):
        taken = by_turns({"ours": ours, "peer": peer}, rounds=15)
    mine, theirs = taken["ours"], taken["peer"]
    print(
        f"ours {mine.seconds:.3f} s, TensorFlow's reader {theirs.seconds:.3f} s: "
        f"ratio {mine.seconds / theirs.seconds:.3f}, of processor time "
        f"{mine.cpu_seconds / theirs.cpu_seconds:.3f}"
    )


@benchmark("open-200000")
def large() -> None:
    """200,000 variables: until usable, a keystroke in the filter, scrolling."""
    _use(200_000, "--filter")


@benchmark("open-1000000")
def huge() -> None:
    """1,000,000 variables: open and scroll."""
    _use(1_000_000)


@benchmark("open-sparse")
def sparse() -> None:
    """A bundle of 20 GB: what the window has in memory when the tree is there."""
    with sparse_bundle() as prefix, display() as environment:
        _run_large(str(prefix), environment)


def _use(count: int, *options: str) -> None:
    with many(count) as prefix, display() as environment:
        _run_large(f"{prefix}.index", environment, *options)


def _run_large(path: str, environment: dict[str, str], *options: str) -> None:
    command = [sys.executable, "-m", "tests.benchmarks.contestant_large", path, *options]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def _timed(command: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(
        command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=-3
    )
    return time.perf_counter() - began


@contextmanager
def many(count: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        yield write_bundle(Path(directory), count)


@contextmanager
def display() -> Iterator[dict[str, str]]:
    """An environment with a display of its own, and settings that nobody uses."""
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1600x1000x24"],
        pass_fds=(writing,),
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe, tempfile.TemporaryDirectory() as directory:
            number = pipe.readline().strip()
            yield {
                **os.environ,
                "DISPLAY": f":{number}",
                "QT_QPA_PLATFORM": "xcb",
                "CKPTVIEWER_SETTINGS": os.path.join(directory, "settings.json"),
            }
    finally:
        server.terminate()
        server.wait()
