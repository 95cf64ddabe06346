"""The timeline of a training, beside the script with TensorFlow and NumPy that people write."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.registry import ROOT, Contestant, benchmark, by_turns, contestants

SCRIPT = "tests.benchmarks.contestant_run_script"
TIMELINE = "tests.benchmarks.contestant_run_timeline"
CHECKPOINTS = 50
LAYERS = 16
ROWS, COLUMNS = 512, 610
ROUNDS = 3


@contextmanager
def training(moving_layers: int) -> Iterator[str]:
    """50 checkpoints of 20 MB by tf.train.Checkpoint, of which so many of 16 layers move."""
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(0)

    def values(*shape: int) -> np.ndarray:
        return 0.05 * random.standard_normal(shape, np.float32)

    layers = []
    for _ in range(LAYERS):
        layer = tf.Module()
        layer.kernel, layer.bias = tf.Variable(values(ROWS, COLUMNS)), tf.Variable(values(COLUMNS))
        layers.append(layer)
    checkpoint = tf.train.Checkpoint(step=tf.Variable(0, dtype=tf.int64), layers=layers)
    with tempfile.TemporaryDirectory(prefix="ckptviewer-benchmark-") as folder:
        manager = tf.train.CheckpointManager(checkpoint, folder, max_to_keep=None)
        for _ in range(CHECKPOINTS):
            for layer in layers[:moving_layers]:
                layer.kernel.assign_add(0.02 * values(ROWS, COLUMNS))
                layer.bias.assign_add(0.02 * values(COLUMNS))
            checkpoint.step.assign_add(100)
            manager.save()
        time.sleep(2.5)  # what was written just now is not remembered
        yield folder


def _compare(moving_layers: int) -> None:
    with (
        training(moving_layers) as folder,
        contestants(
            lambda: Contestant(SCRIPT, folder, "float64"),
            lambda: Contestant(SCRIPT, folder, "float32"),
            lambda: Contestant(TIMELINE, folder, "first"),
            lambda: Contestant(TIMELINE, folder, "second"),
        ) as started,
    ):
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
        names = ("script, float64", "script, float32", "first time", "second time")
        print(f"{moving_layers} of {LAYERS} layers move; {CHECKPOINTS} files, {size / 1e6:.0f} MB")
        taken = by_turns(dict(zip(names, started, strict=True)), ROUNDS)
        peer = taken["script, float64"]
        other = taken["script, float32"]
        for name, took in taken.items():
            print(
                f"  {name:16} {took.seconds:7.3f} s, {peer.seconds / took.seconds:6.1f} times "
                f"({other.seconds / took.seconds:.1f}); {took.cpu_seconds:6.2f} s of processor, "
                f"{peer.cpu_seconds / max(took.cpu_seconds, 0.01):6.1f} times "
                f"({other.cpu_seconds / max(took.cpu_seconds, 0.01):.1f})"
            )
        _whole_commands(folder)


def _whole_commands(folder: str) -> None:
    """The same from nothing, as somebody at a prompt waits for it: imports and all."""
    with tempfile.TemporaryDirectory() as place:
        script = _seconds([sys.executable, "-m", SCRIPT, folder, "float64"], "go\n")
        command = [sys.executable, "-m", "ckptviewer", "run", folder, "--series", "update", "--csv"]
        first, second = (_seconds(command, cache=f"{place}/c.sqlite") for _ in range(2))
    print(
        f"  whole commands: script {script:.2f} s; first {first:.2f} s, {script / first:.1f} "
        f"times; second {second:.2f} s, {script / second:.1f} times"
    )


def _seconds(command: list[str], given: str = "", cache: str = "") -> float:
    environment = {**os.environ, "CKPTVIEWER_CACHE": cache} if cache else None
    begun = time.perf_counter()
    subprocess.run(
        command,
        input=given,
        text=True,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - begun


@benchmark("runs-moving")
def moving() -> None:
    """All variables change from save to save."""
    _compare(LAYERS)


@benchmark("runs-fine-tuning")
def fine_tuning() -> None:
    """A quarter of the layers is trained, the rest is frozen."""
    _compare(LAYERS // 4)
