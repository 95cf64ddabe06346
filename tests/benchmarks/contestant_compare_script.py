"""The usual script that compares two checkpoints: TensorFlow's reader, subtract, norms, allclose.

Arguments: two prefixes. Importing is not measured.
"""

from __future__ import annotations

import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

from tests.benchmarks.registry import serve


def main() -> None:
    """Serve until there are no more turns."""
    path_a, path_b = sys.argv[1:]

    def work() -> float:
        begun = time.perf_counter()
        a, b = tf.train.load_checkpoint(path_a), tf.train.load_checkpoint(path_b)
        names = a.get_variable_to_shape_map().keys() | b.get_variable_to_shape_map().keys()
        found = {}
        for name in sorted(names):
            if not (a.has_tensor(name) and b.has_tensor(name)):
                found[name] = None
                continue
            x, y = a.get_tensor(name), b.get_tensor(name)
            if x.shape != y.shape:
                found[name] = None
                continue
            d = y - x
            found[name] = (
                np.abs(d).max(),
                np.linalg.norm(d),
                np.linalg.norm(x),
                np.linalg.norm(y),
                np.allclose(x, y),
            )
        seconds = time.perf_counter() - begun
        assert len(found) == len(names)
        return seconds

    serve(work)


if __name__ == "__main__":
    main()
