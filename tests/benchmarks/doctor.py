"""The doctor beside one crc32c over the same bytes in memory, and beside the statistics pass."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.registry import Contestant, benchmark, by_turns, contestants

CONTESTANT = "tests.benchmarks.contestant_doctor"
BYTES = 1_000_000_000


@contextmanager
def bundle(layers: int) -> Iterator[str]:
    """A bundle of 1 GB of float32 in so many tensors; gone afterwards."""
    import numpy as np

    from tests.builders import Bundle

    with tempfile.TemporaryDirectory(prefix="ckptviewer-benchmark-") as folder:
        made = Bundle.empty()
        rows = BYTES // layers // 4 // 1000
        values = np.random.default_rng(0).standard_normal((rows, 1000), np.float32)
        for layer in range(layers):
            made.add(f"layer_{layer}/kernel", values * np.float32(0.02 + 0.01 * layer))
        yield str(made.write(Path(folder) / "model"))


def _measure(layers: int) -> None:
    sides = ("crc32c", "checksums", "statistics", "doctor")
    with bundle(layers) as prefix:
        makers = [lambda side=side: Contestant(CONTESTANT, prefix, side) for side in sides]
        with contestants(*makers) as started:
            taken = by_turns(dict(zip(sides, started, strict=True)))
    memory, statistics = taken["crc32c"], taken["statistics"]
    for side, took in taken.items():
        print(
            f"{layers:3} tensors  {side:10} {took.seconds:7.3f} s, "
            f"{took.seconds / memory.seconds:5.1f} times crc32c in memory, "
            f"{took.seconds / statistics.seconds:5.2f} times statistics; "
            f"{took.cpu_seconds:6.2f} s of processor, "
            f"{took.cpu_seconds / statistics.cpu_seconds:5.2f} times statistics"
        )


@benchmark("doctor-20")
def twenty() -> None:
    """1 GB in 20 tensors."""
    _measure(20)


@benchmark("doctor-1")
def one() -> None:
    """1 GB in 1 tensor, which is read in parts."""
    _measure(1)


@benchmark("doctor-2000")
def many() -> None:
    """1 GB in 2 000 tensors."""
    _measure(2000)
