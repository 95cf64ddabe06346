"""Lists a bundle again and again, by TensorFlow's reader or by ours: `peer|ours PREFIX`.

Both give names, dtypes and shapes; ours the roles, names for people and owners of slots, too.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.benchmarks.registry import serve


def peer(prefix: str) -> float:
    import tensorflow as tf

    began = time.perf_counter()
    reader = tf.train.load_checkpoint(prefix)
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    seconds = time.perf_counter() - began
    assert len(shapes) == len(dtypes) > 0
    return seconds


def ours(prefix: str) -> float:
    from ckptviewer.formats.tf_bundle import TensorBundleFormat

    began = time.perf_counter()
    variables = TensorBundleFormat().open(Path(prefix)).variables
    seconds = time.perf_counter() - began
    assert variables
    return seconds


if __name__ == "__main__":
    side = {"peer": peer, "ours": ours}[sys.argv[1]]
    side(sys.argv[2])
    serve(lambda: side(sys.argv[2]))
