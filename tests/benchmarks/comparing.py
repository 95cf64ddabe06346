"""Comparing two checkpoints, beside the script that people write."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.registry import Contestant, PeakMemory, benchmark, by_turns, contestants
from tests.benchmarks.stats import BYTES, LAYERS, sparse_bundle

SCRIPT = "tests.benchmarks.contestant_compare_script"
COMPARE = "tests.benchmarks.contestant_compare"


@contextmanager
def pair(change: float) -> Iterator[tuple[str, str]]:
    """Two bundles of 800 MB, the second's values moved a little; gone afterwards."""
    import numpy as np

    from tests.builders import save

    with tempfile.TemporaryDirectory(prefix="ckptviewer-benchmark-") as folder:
        rng = np.random.default_rng(0)
        rows = BYTES // LAYERS // 4 // 1000
        values = rng.standard_normal((rows, 1000), np.float32)
        moved = values + np.float32(change) * rng.standard_normal((rows, 1000), np.float32)
        paths = [
            save(
                Path(folder) / name,
                {f"layer_{layer}/kernel": each * (0.02 + 0.01 * layer) for layer in range(LAYERS)},
            )
            for name, each in (("a", values), ("b", moved))
        ]
        yield str(paths[0]), str(paths[1])


@benchmark("compare-bundles")
def bundles() -> None:
    """Two bundles of 800 MB in which every value differs: first answer, all numbers, memory."""
    with pair(1e-3) as prefixes:
        sides = {
            "the usual script": lambda: Contestant(SCRIPT, *prefixes),
            "first answer": lambda: Contestant(COMPARE, *prefixes, "first"),
            "threads": lambda: Contestant(COMPARE, *prefixes, "threads"),
            "processes": lambda: Contestant(COMPARE, *prefixes, "processes"),
        }
        with contestants(*sides.values()) as started:
            taken = by_turns(dict(zip(sides, started, strict=True)))
        peer = taken["the usual script"]
        for name, took in taken.items():
            cpu = took.cpu_seconds
            print(
                f"{name:17} {took.seconds:7.3f} s, {took.seconds / peer.seconds:.4f} of the "
                f"script's, {peer.seconds / took.seconds:6.1f} times; {cpu:6.2f} s of processor"
                + (f", {peer.cpu_seconds / cpu:5.1f} times" if cpu else "")
            )
        _memory(prefixes)


@benchmark("compare-sparse")
def sparse() -> None:
    """Two bundles of 20 GB that take no room on disk, all values read: time and memory."""
    with sparse_bundle() as first, tempfile.TemporaryDirectory() as folder:
        second = os.path.join(folder, "second")
        for suffix in (".index", ".data-00000-of-00001"):
            os.symlink(first + suffix, second + suffix)
        _memory((first, second), "values")


def _memory(prefixes: tuple[str, str], *options: str) -> None:
    for kind in ("threads", "processes"):
        with (
            contestants(lambda kind=kind: Contestant(COMPARE, *prefixes, kind, *options)) as (one,),
            PeakMemory(one.process.pid) as peak,
        ):
            seconds = one.run()
        print(
            f"{kind:17} {seconds:7.3f} s  all processes together: "
            f"{peak.resident / 1e6:.0f} MB resident, {peak.proportional / 1e6:.0f} MB "
            "with shared pages counted once"
        )
