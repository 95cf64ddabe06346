"""The script that people write to follow a training: each tensor by TensorFlow, then NumPy.

Arguments: the directory, "float32" (NumPy as it comes, which sums in float32) or "float64"
(converted first, as the same digits need it).
"""

from __future__ import annotations

import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from tests.benchmarks.registry import serve


def main() -> None:
    """Serve until there are no more turns."""
    directory, precision = sys.argv[1:]
    state = tf.train.get_checkpoint_state(directory)
    assert state is not None

    def work() -> float:
        begun = time.perf_counter()
        rows = {}
        before: dict[str, np.ndarray] = {}
        for path in state.all_model_checkpoint_paths:
            reader = tf.train.load_checkpoint(path)
            for key, dtype in reader.get_variable_to_dtype_map().items():
                if dtype == tf.string:
                    continue
                x = reader.get_tensor(key)
                if precision == "float64":
                    x = x.astype(np.float64)
                norm = np.linalg.norm(x)
                row = [norm, x.mean(), x.std(), x.min(), x.max()]
                row += [np.isnan(x).sum(), (x == 0).mean()]
                if key in before:
                    last = before[key]
                    length = np.linalg.norm(last)
                    row += [np.linalg.norm(x - last) / length, np.vdot(x, last) / norm / length]
                before[key] = x
                rows[path, key] = row
        assert len(rows) > len(state.all_model_checkpoint_paths)
        return time.perf_counter() - begun

    serve(work)


if __name__ == "__main__":
    main()
