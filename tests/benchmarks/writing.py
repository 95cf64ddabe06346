"""Writing a third of a checkpoint, verified, beside copying its bytes and beside TensorFlow."""

from __future__ import annotations

import os
import tempfile

from tests.benchmarks.contestant_writing import SIDES
from tests.benchmarks.registry import Contestant, PeakMemory, benchmark, by_turns, contestants

CONTESTANT = "tests.benchmarks.contestant_writing"
TENSORS = 48
TENSOR_BYTES = 1 << 24


def _bundle(folder: str) -> str:
    """805 MB in 48 tensors."""
    import numpy as np

    from ckptviewer.formats.bundle_writer import Tensor, write_bundle

    values = np.random.default_rng(0).standard_normal(TENSOR_BYTES // 4, np.float32)
    shape = values.shape
    prefix = os.path.join(folder, "model")
    write_bundle(
        prefix,
        (
            Tensor(key=f"layer_{n:02}/kernel", dtype="float32", shape=shape, chunks=[values + n])
            for n in range(TENSORS)
        ),
    )
    return prefix


@benchmark("writing-keep")
def third() -> None:
    """Keeps 268 MB of 805 MB, verified and flushed, beside `cp` and what people script."""
    with tempfile.TemporaryDirectory(prefix="ckptviewer-benchmark-") as folder:
        prefix = _bundle(folder)
        names = tuple(SIDES)
        makers = [lambda name=name: Contestant(CONTESTANT, prefix, folder, name) for name in names]
        with contestants(*makers) as started:
            sides = dict(zip(names, started, strict=True))
            with PeakMemory(sides["export"].process.pid) as peak:
                taken = by_turns(sides)
        ours = taken["export"].seconds
        for name, side in taken.items():
            print(f"{name:26} {side.seconds:6.3f} s, {side.cpu_seconds:6.3f} s of processors")
        print(
            f"export takes {ours / taken['copy'].seconds:.2f} times cp, fsync and a checksum pass"
        )
        for name in names[2:]:
            times = taken[name].seconds / ours
            cpu = taken[name].cpu_seconds / taken["export"].cpu_seconds
            print(f"{name:26} takes {times:.1f} times our export, {cpu:.1f} times its processors")
        print(f"peak memory {peak.resident / 1e6:.0f} MB")


@benchmark("writing-sparse")
def sparse() -> None:
    """Keeps two of four tensors of 5 GB, for its memory; needs as much room on the disk."""
    from tests.benchmarks.stats import sparse_bundle

    with (
        sparse_bundle() as prefix,
        tempfile.TemporaryDirectory(prefix="ckptviewer-benchmark-") as folder,
        contestants(lambda: Contestant(CONTESTANT, prefix, folder, "export")) as (ours,),
        PeakMemory(ours.process.pid) as peak,
    ):
        seconds = ours.run()
    print(f"{seconds:.1f} s, peak memory {peak.resident / 1e6:.0f} MB")
