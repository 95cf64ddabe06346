"""One side of `writing`: keeps every third tensor of a bundle, by turns in a new file.

Arguments: prefix, directory to write in, and the side:
"export": ours, as the command line does it, verified and flushed;
"copy": the same bytes by the system's own copying, flushed, and one checksum pass;
"tensorflow": load what is kept, and save it; TensorFlow does not flush what it saves;
"tensorflow-flushed": the same, and `fsync` of its files, as the other sides have;
"tensorflow-whole": load the checkpoint, save what is kept of it as variables, flushed: a script
that loads a model, drops its optimizer and saves it.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.benchmarks.registry import serve

KEPT_EVERY = 3


def export(prefix: str, directory: Path) -> Callable[[Path], None]:
    """Our export, its plan included."""
    from concurrent.futures import ThreadPoolExecutor

    from ckptviewer.export.choices import Choices
    from ckptviewer.export.execute import execute
    from ckptviewer.export.planning import make_plan
    from ckptviewer.formats.resolve import open_checkpoint

    checkpoint = open_checkpoint(prefix)
    keys = sorted(variable.key for variable in checkpoint.variables)[::KEPT_EVERY]
    choices = Choices(ticks=dict.fromkeys(keys, True), include=("nothing else",))
    executor = ThreadPoolExecutor(1)

    def work(target: Path) -> None:
        plan = make_plan(checkpoint, choices)
        assert len(plan.kept) == len(keys)
        execute(plan, checkpoint, target, executor=executor, share_equal=True)

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


def tensorflow(
    prefix: str, directory: Path, *, flushed: bool = False, whole: bool = False
) -> Callable[[Path], None]:
    """What people write: a reader, the tensors that are wanted, a saver."""
    import tensorflow as tf

    every = sorted(tf.train.load_checkpoint(prefix).get_variable_to_shape_map())
    keys = every[::KEPT_EVERY]

    def work(target: Path) -> None:
        reader = tf.train.load_checkpoint(prefix)
        values = {key: tf.constant(reader.get_tensor(key)) for key in (every if whole else keys)}
        tf.raw_ops.SaveV2(
            prefix=str(target),
            tensor_names=keys,
            shape_and_slices=[""] * len(keys),
            tensors=[values[key] for key in keys],
        )
        for path in target.parent.glob(f"{target.name}.*") if flushed else ():
            with open(path, "rb+") as file:
                os.fsync(file)

    return work


SIDES = {
    "export": export,
    "copy": copy,
    "tensorflow": tensorflow,
    "tensorflow-flushed": partial(tensorflow, flushed=True),
    "tensorflow-whole": partial(tensorflow, flushed=True, whole=True),
}


def main() -> None:
    prefix, folder, side = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    directory = folder / side
    directory.mkdir()
    work = SIDES[side](prefix, directory)

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
