"""One side of `writing`: keeps every third tensor of a bundle, by turns in a new file.

Arguments: prefix, directory to write in, and the side:
"export": ours, as the command line does it, verified and flushed;
"copy": the same bytes by the system's own copying, flushed, and one checksum pass;
"tensorflow-kept": a reader, the tensors that are kept and no others, and a bare SaveV2;
"tensorflow-load": what people write: `load_checkpoint`, every tensor of it, variables of what is
kept, `tf.train.Checkpoint(...).write`;
"tensorflow-restore": the other thing that they write: restore a whole model, whose variables are
there before the clock starts, and save the part that is kept with `tf.train.Checkpoint`.
TensorFlow does not flush what it saves; its sides with "-flushed" have their files flushed
(`fsync`), as ours and the copy have.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
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


def kept(prefix: str, directory: Path) -> Callable[[Path], None]:
    """A reader, the tensors that are wanted, a saver; nothing else is loaded."""
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


def load(prefix: str, directory: Path) -> Callable[[Path], None]:
    """All values by name, and what is kept of them as variables of a new checkpoint."""
    import tensorflow as tf

    def work(target: Path) -> None:
        reader = tf.train.load_checkpoint(prefix)
        values = {key: reader.get_tensor(key) for key in reader.get_variable_to_shape_map()}
        wanted = {key: tf.Variable(values[key]) for key in sorted(values)[::KEPT_EVERY]}
        tf.train.Checkpoint(**wanted).write(str(target))

    return work


def restore(prefix: str, directory: Path) -> Callable[[Path], None]:
    """A whole model from an object-based checkpoint of the same values, and a part of it saved."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(prefix)
    keys = sorted(reader.get_variable_to_shape_map())
    model = {key: tf.Variable(reader.get_tensor(key)) for key in keys}
    source = str(directory / "source")
    tf.train.Checkpoint(**model).write(source)

    def work(target: Path) -> None:
        tf.train.Checkpoint(**model).read(source).assert_consumed()
        tf.train.Checkpoint(**{key: model[key] for key in keys[::KEPT_EVERY]}).write(str(target))

    return work


def flushed(make: Side) -> Side:
    """The same side, with `fsync` of all its files."""

    def made(prefix: str, directory: Path) -> Callable[[Path], None]:
        inner = make(prefix, directory)

        def work(target: Path) -> None:
            inner(target)
            for path in target.parent.glob(f"{target.name}.*"):
                with open(path, "rb+") as file:
                    os.fsync(file)

        return work

    return made


Side = Callable[[str, Path], Callable[[Path], None]]
"""Does what may be done before the clock starts; gives what is timed."""

PEERS: dict[str, Side] = {
    "tensorflow-kept": kept,
    "tensorflow-load": load,
    "tensorflow-restore": restore,
}
SIDES: dict[str, Side] = {
    "export": export,
    "copy": copy,
    **PEERS,
    **{f"{name}-flushed": flushed(side) for name, side in PEERS.items()},
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
