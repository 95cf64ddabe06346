"""Makes the demo: two checkpoints of one training on scikit-learn's digits, and validation data.

    python resources/make_demo.py [--out DIRECTORY]

A small convolutional network learns the 8x8 digits with Adam, which keeps a moving average of the
weights as well. After a few steps and at the end it is saved as a `tf.train.Checkpoint`, the
layout that most TensorFlow 2 trainings write. Everything random is seeded. Each file is read back
into a fresh model before the script is content.

It needs the `test` extra. Written into the directory:
digits.ckpt-<step>.index, .data-00000-of-00001   the early and the late checkpoint
checkpoint                                       TensorFlow's note of which is the latest
digits-validation.npz                            x: float32 [n, 8, 8, 1], 0 to 1; y: int64 [n]
digits.keras                                     the model with fresh, untrained weights, so that
                                                 whatever it predicts well it has from a checkpoint
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

SEED = 8
BATCH_SIZE = 32
EARLY_STEP = 40
LATE_STEP = 600
VALIDATION_COUNT = 360
NAME = "digits.ckpt"


class Digits(NamedTuple):
    """Pictures, float32 [n, 8, 8, 1] from 0 to 1, and the digits they show, int64 [n]."""

    x: np.ndarray
    y: np.ndarray


def load() -> tuple[Digits, Digits]:
    """The training and the validation part, always the same."""
    digits = load_digits()
    x = (digits.images[..., None] / 16.0).astype(np.float32)
    y = digits.target.astype(np.int64)
    order = np.random.default_rng(SEED).permutation(len(y))
    validation, training = order[:VALIDATION_COUNT], order[VALIDATION_COUNT:]
    return Digits(x[training], y[training]), Digits(x[validation], y[validation])


def build_model() -> keras.Model:
    """A fresh, compiled network for the digits.

    The layers are attributes of the model by Keras' own doing: `tf.train.Checkpoint` does not
    reach Keras 3 layers that stand in a plain Python list.
    """
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="picture"),
            layers.Conv2D(16, 3, padding="same", use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(name="flatten"),
            layers.Dense(32, activation="relu", name="hidden"),
            layers.Dense(10, name="digit"),
        ],
        name="digits",
    )
    model.compile(
        optimizer=keras.optimizers.Adam(2e-3, use_ema=True, ema_momentum=0.98),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def checkpoint_of(model: keras.Model) -> tf.train.Checkpoint:
    """What is saved; a compiled Keras model brings its optimizer along."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    return tf.train.Checkpoint(model=model)


def accuracy(model: keras.Model, data: Digits) -> float:
    """The share of pictures whose digit the model names."""
    logits = model(data.x, training=False).numpy()
    return float(np.mean(logits.argmax(axis=-1) == data.y))


def accuracy_of_saved(prefix: Path, data: Digits) -> float:
    """The accuracy of a fresh model into which the checkpoint was restored, all of it."""
    model = build_model()
    # Every object finds its values, and every value its object.
    checkpoint_of(model).restore(os.fspath(prefix)).assert_consumed()
    return accuracy(model, data)


def train(model: keras.Model, data: Digits, steps: int, generator: np.random.Generator) -> None:
    """`steps` batches, drawn at random."""
    for _ in range(steps):
        batch = generator.choice(len(data.y), BATCH_SIZE, replace=False)
        model.train_on_batch(data.x[batch], data.y[batch])


def save(manager: tf.train.CheckpointManager, step: int, validation: Digits) -> float:
    """Save, prove that what was saved predicts the same, and return its accuracy."""
    prefix = manager.save(checkpoint_number=step)
    before = accuracy(manager.checkpoint.model, validation)
    after = accuracy_of_saved(Path(prefix), validation)
    if before != after:
        raise AssertionError(f"{prefix}: accuracy was {before}, and restored it is {after}")
    return before


def make(directory: Path) -> None:
    """Train, and write every file of the demo into `directory`, which exists."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    training, validation = load()
    np.savez_compressed(directory / "digits-validation.npz", x=validation.x, y=validation.y)
    model = build_model()
    generator = np.random.default_rng(SEED)
    manager = tf.train.CheckpointManager(
        checkpoint_of(model), os.fspath(directory), max_to_keep=None, checkpoint_name=NAME
    )
    # After the optimizer was built: a model file without its slots loads with a warning.
    model.save(directory / "digits.keras")

    train(model, training, EARLY_STEP, generator)
    early = save(manager, EARLY_STEP, validation)
    train(model, training, LATE_STEP - EARLY_STEP, generator)
    late = save(manager, LATE_STEP, validation)
    if not early + 0.05 < late:
        raise AssertionError(f"training taught too little: accuracy {early}, then {late}")

    # TensorFlow noted the time of each save, too; without it a second run gives the same file.
    note = directory / "checkpoint"
    lines = [line for line in note.read_text().splitlines() if "timestamp" not in line]
    note.write_text("\n".join(lines) + "\n")
    print(f"validation accuracy {early:.3f} at step {EARLY_STEP}, {late:.3f} at step {LATE_STEP}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the demo checkpoints.")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "demo")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        # Made aside first: the old demo stays as it is unless all of the new one is good.
        make(Path(scratch))
        for path in sorted(Path(scratch).iterdir()):
            shutil.copyfile(path, out / path.name)
            print(f"{path.stat().st_size:>9,}  {out / path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
