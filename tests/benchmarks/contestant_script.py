"""The peer of `stats`: the script that people write, TensorFlow imported before the clock starts.

Arguments: prefix. NumPy has no histogram of bfloat16, so such tensors are made float32 first.
"""

from __future__ import annotations

import os
import sys
import time
import warnings

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from tests.benchmarks.registry import serve

warnings.simplefilter("ignore")


def work() -> float:
    """Seconds for the statistics of every variable, the usual way."""
    begun = time.perf_counter()
    reader = tf.train.load_checkpoint(sys.argv[1])
    found = {}
    for key in reader.get_variable_to_shape_map():
        values = reader.get_tensor(key)
        if values.dtype.name == "bfloat16":
            values = values.astype(np.float32)
        found[key] = (
            values.mean(),
            values.std(),
            values.min(),
            values.max(),
            np.isnan(values).sum(),
            np.histogram(values),
        )
    return time.perf_counter() - begun


serve(work)
