"""One side of `writing`: keeps every third tensor of a bundle, by turns in a new file.

Arguments: prefix, directory to write in, "export", "copy" (the same bytes by the system's own
copying, flushed, and one checksum pass) or "tensorflow" (load and save, not flushed).
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.registry import serve

KEPT_EVERY = 3


def export(prefix: str, directory: Path) -> Callable[[Path], None]:
    """Our export of a plan that is made before the clock starts."""
    from ckptviewer.export.execute import execute
    from ckptviewer.export.rescue import plan_rescue
    from ckptviewer.formats.resolve import open_checkpoint

    checkpoint = open_checkpoint(prefix)
    whole = plan_rescue(checkpoint)
    plan = dataclasses.replace(whole, kept=whole.kept[::KEPT_EVERY])

    def work(target: Path) -> None:
        execute(plan, checkpoint, target)

    return work


def copy(prefix: str, directory: Path) -> Callable[[Path], None]:
    """The floor: `cp`, `sync FILE` and a checksum over what was written."""
    from crc32c import crc32c

    data = Path(f"{prefix}.data-00000-of-00001")
    part = directory / "part"
    with open(data, "rb") as source, open(part, "wb") as target:
        left = data.stat().st_size // KEPT_EVERY
        while left:
            target.write(piece := source.read(min(left, 1 << 22)))
            left -= len(piece)

    def work(target: Path) -> None:
        shutil.copyfile(part, target)
        buffer, crc = bytearray(1 << 22), 0
        with open(target, "r+b", buffering=0) as file:
            os.fsync(file)
            while count := file.readinto(buffer):
                crc = crc32c(memoryview(buffer)[:count], crc)

    return work


def tensorflow(prefix: str, directory: Path) -> Callable[[Path], None]:
    """What people write: a reader, the tensors that are wanted, a saver."""
    import tensorflow as tf

    keys = sorted(tf.train.load_checkpoint(prefix).get_variable_to_shape_map())[::KEPT_EVERY]

    def work(target: Path) -> None:
        reader = tf.train.load_checkpoint(prefix)
        tf.raw_ops.SaveV2(
            prefix=str(target),
            tensor_names=keys,
            shape_and_slices=[""] * len(keys),
            tensors=[tf.constant(reader.get_tensor(key)) for key in keys],
        )

    return work


def main() -> None:
    prefix, folder, side = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    directory = folder / side
    directory.mkdir()
    work = {"export": export, "copy": copy, "tensorflow": tensorflow}[side](prefix, directory)

    def timed() -> float:
        started = time.perf_counter()
        work(directory / "kept")
        seconds = time.perf_counter() - started
        for path in directory.glob("kept*"):
            path.unlink()
        return seconds

    serve(timed)


if __name__ == "__main__":
    main()
