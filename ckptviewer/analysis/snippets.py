"""Python to paste into a notebook: how to get at what the window shows."""

from __future__ import annotations

import os

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.npy_header import field_of

_READERS = {
    "tf-bundle": (
        "import tensorflow as tf",
        "reader = tf.train.load_checkpoint({path!r})",
        "value = reader.get_tensor({key!r})",
    ),
    "tf-v1": (
        "import tensorflow as tf",
        "reader = tf.train.load_checkpoint({path!r})",
        "value = reader.get_tensor({key!r})",
    ),
    "saved-model": (
        "import tensorflow as tf",
        "reader = tf.train.load_checkpoint({path!r} + '/variables/variables')",
        "value = reader.get_tensor({key!r})",
    ),
    "keras-h5": (
        "import h5py",
        "with h5py.File({path!r}) as file:",
        "    value = file[{key!r}][()]",
    ),
    "keras-weights-h5": (
        "import h5py",
        "with h5py.File({path!r}) as file:",
        "    value = file[{key!r}][()]",
    ),
    "keras-archive": (
        "import io, zipfile, h5py",
        "with zipfile.ZipFile({path!r}) as archive:",
        "    data = io.BytesIO(archive.read('model.weights.h5'))",
        "with h5py.File(data) as file:",
        "    value = file[{key!r}][()]",
    ),
    "safetensors": (
        "from safetensors import safe_open",
        "with safe_open({path!r}, 'numpy') as file:",
        "    value = file.get_tensor({key!r})",
    ),
    "npz": (
        "import numpy as np",
        "value = np.load({path!r})[{key!r}]",
    ),
}


def python_to_read(checkpoint: Checkpoint, variable: Variable) -> str:
    """Lines of Python that read `variable` as `value`, with the libraries users have anyway."""
    lines = list(_READERS[checkpoint.format_name])
    if checkpoint.format_name == "npz" and checkpoint.path.endswith(".npy"):
        lines[-1] = "value = np.load({path!r})"
    path = checkpoint.path
    several = checkpoint.format_name in ("safetensors", "keras-weights-h5")
    if several and path.endswith(".json"):  # the map of files, in one of which the variable is
        name = checkpoint.details(variable).get("File")
        path = os.path.join(os.path.dirname(path), name) if name else path
    # What NumPy has no name for is a record, as npz_writer tells; quantised types are integers.
    if checkpoint.format_name == "npz" and field_of(variable.dtype).startswith("|V"):
        lines = ["import ml_dtypes", *lines, f"value = value.view(ml_dtypes.{variable.dtype})"]
    return "\n".join(lines).format(path=path, key=variable.key) + "\n"
