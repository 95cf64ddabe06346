"""Statistics of whole checkpoints, beside the script that people write."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.registry import Contestant, PeakMemory, benchmark, by_turns, contestants

SCRIPT = "tests.benchmarks.contestant_script"
STATS = "tests.benchmarks.contestant_stats"
NUMPY = {"CKPTVIEWER_KERNEL": "numpy"}
BYTES = 800_000_000
SPARSE_BYTES = 20_000_000_000
LAYERS = 16


@contextmanager
def bundle(dtype: str) -> Iterator[str]:
    """A bundle of 800 MB, written by TensorFlow; gone afterwards."""
    import numpy as np
    import tensorflow as tf

    from tests.builders import save

    with tempfile.TemporaryDirectory(prefix="ckptviewer-benchmark-") as folder:
        rows = BYTES // LAYERS // tf.as_dtype(dtype).size // 1000
        values = np.random.default_rng(0).standard_normal((rows, 1000), np.float32)
        tensors = {
            f"layer_{layer}/kernel": tf.cast(values * (0.02 + 0.01 * layer), dtype)
            for layer in range(LAYERS)
        }
        yield str(save(Path(folder) / "model", tensors))


@contextmanager
def sparse_bundle() -> Iterator[str]:
    """A bundle of 20 GB whose data file is a hole."""
    from crc32c import crc32c

    from tests.builders import Bundle, Entry, masked, table_of

    with tempfile.TemporaryDirectory(prefix="ckptviewer-benchmark-") as folder:
        prefix = Path(folder) / "model"
        made = Bundle.empty()
        size = SPARSE_BYTES // 4
        zeros, crc = bytes(1 << 22), 0
        for start in range(0, size, len(zeros)):
            crc = crc32c(memoryview(zeros)[: min(len(zeros), size - start)], crc)
        for layer in range(4):
            entry = Entry(dtype=1, offset=layer * size, size=size, crc32c=masked(crc))
            for length in (size // 4000, 1000):
                entry.shape.dim.add(size=length)
            made.entries[f"layer_{layer}/kernel".encode()] = entry
        Path(f"{prefix}.index").write_bytes(table_of(made.pairs()))
        with open(f"{prefix}.data-00000-of-00001", "wb") as file:
            file.truncate(SPARSE_BYTES)
        yield str(prefix)


def _compare(dtype: str) -> None:
    with (
        bundle(dtype) as prefix,
        contestants(
            lambda: Contestant(SCRIPT, prefix),
            lambda: Contestant(STATS, prefix, "processes"),
            lambda: Contestant(STATS, prefix, "threads"),
            lambda: Contestant(STATS, prefix, "processes", environment=NUMPY),
        ) as started,
    ):
        names = ("the usual script", "processes", "threads", "NumPy, processes")
        taken = by_turns(dict(zip(names, started, strict=True)))
        peer = taken["the usual script"]
        for name, took in taken.items():
            print(
                f"{dtype:9} {name:17} {took.seconds:7.3f} s, {peer.seconds / took.seconds:5.1f} "
                f"times; {took.cpu_seconds:6.2f} s of processor, "
                f"{peer.cpu_seconds / took.cpu_seconds:5.1f} times"
            )
    _memory(dtype)


def _memory(dtype: str) -> None:
    make = sparse_bundle() if dtype == "sparse" else bundle(dtype)
    with make as prefix:
        for kind in ("processes", "threads"):
            with (
                contestants(lambda kind=kind: Contestant(STATS, prefix, kind)) as (one,),
                PeakMemory(one.process.pid) as peak,
            ):
                seconds = one.run()
            print(
                f"{dtype:9} {kind:17} {seconds:7.3f} s  all processes together: "
                f"{peak.resident / 1e6:.0f} MB resident, {peak.proportional / 1e6:.0f} MB "
                "with shared pages counted once"
            )


@benchmark("stats-float32")
def float32() -> None:
    """800 MB of float32."""
    _compare("float32")


@benchmark("stats-bfloat16")
def bfloat16() -> None:
    """800 MB of bfloat16."""
    _compare("bfloat16")


@benchmark("stats-float16")
def float16() -> None:
    """800 MB of float16."""
    _compare("float16")


@benchmark("stats-float64")
def float64() -> None:
    """800 MB of float64."""
    _compare("float64")


@benchmark("stats-sparse")
def sparse() -> None:
    """20 GB that take no room on disk: time and memory."""
    _memory("sparse")


@benchmark("stats-cancel")
def cancelling() -> None:
    """How long it takes from a cancel until nothing works any more, on threads and processes."""
    import threading
    import time

    from ckptviewer.analysis.scheduling import Origin, Schedule
    from ckptviewer.checkpoint.errors import Cancelled
    from ckptviewer.checkpoint.progress import CancelToken
    from ckptviewer.formats.resolve import open_checkpoint
    from tests.benchmarks.contestant_stats import pool

    with sparse_bundle() as prefix, open_checkpoint(prefix) as checkpoint:
        for kind in ("threads", "processes"):
            with pool(kind) as executor:
                told, idle = [], []
                for turn in range(20):
                    cancel = CancelToken()
                    origin = Origin.of(checkpoint) if kind == "processes" else None
                    schedule = Schedule(
                        checkpoint, checkpoint.variables, origin=origin, cancel=cancel
                    )
                    moments: list[float] = []

                    def stop(cancel: CancelToken = cancel, moments: list[float] = moments) -> None:
                        moments.append(time.perf_counter())
                        cancel.cancel()

                    timer = threading.Timer(0.5 + 0.013 * turn, stop)
                    timer.start()
                    try:
                        for _ in schedule.run(executor, 2):
                            pass
                    except Cancelled:
                        told.append(time.perf_counter() - moments[0])
                    for future in [executor.submit(time.sleep, 0) for _ in range(2)]:
                        future.result()
                    idle.append(time.perf_counter() - moments[0])
            print(
                f"cancel    {kind:17} told after {max(told) * 1e3:.0f} ms at worst, the workers "
                f"free after {max(idle) * 1e3:.0f} ms at worst, of {len(told)}"
            )
