"""Python to paste: the restore itself, the restore by a name map, and the partial restore."""

from __future__ import annotations

from collections.abc import Mapping
from pprint import pformat

from ckptviewer.analysis.restore_objects import Walked, has_objects, path_of
from ckptviewer.analysis.restore_report import RestoreReport, Rule
from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.variable import MODEL_ROLES

_BUNDLE = "reader = tf.train.load_checkpoint({path!r})\nread = reader.get_tensor"
_HDF5 = "file = h5py.File({path!r})\n\n\ndef read(key):\n    return file[key][()]\n"
_READERS = {
    "tf-bundle": ("import tensorflow as tf", _BUNDLE),
    "tf-v1": ("import tensorflow as tf", _BUNDLE),
    "saved-model": (
        "import tensorflow as tf",
        "reader = tf.train.load_checkpoint({path!r} + '/variables/variables')\n"
        "read = reader.get_tensor",
    ),
    "keras-h5": ("import h5py", _HDF5),
    "keras-weights-h5": ("import h5py", _HDF5),
    "keras-archive": (
        "import io\nimport zipfile\n\nimport h5py",
        "data = io.BytesIO(zipfile.ZipFile({path!r}).read('model.weights.h5'))\n"
        "file = h5py.File(data)\n\n\ndef read(key):\n    return file[key][()]\n",
    ),
    "safetensors": (
        "from safetensors import safe_open",
        "read = safe_open({path!r}, 'numpy').get_tensor",
    ),
    "npz": ("import numpy as np", "read = np.load({path!r}).__getitem__"),
}
_BY_PATH = """

def variable_at(path):
    # Follows the names of attributes, as tf.train.Checkpoint does.
    found = model
    for name in path.split('/'):
        found = tf.train.TrackableView.children(found)[name]
    return found

"""
_BY_NAME = """

def variable_at(name):
    paths = {getattr(v, 'path', v.name).removesuffix(':0'): v for v in model.variables}
    found = [v for path, v in paths.items() if ('/' + path).endswith('/' + name)]
    assert len(found) == 1, (name, found)
    return found[0]

"""


def restoring_call(
    report: RestoreReport, checkpoint: Checkpoint, model: Checkpoint, walked: Walked | None
) -> str:
    """The call by which the library restores this pair, as one would write it."""
    path = checkpoint.path
    if report.rule is Rule.EDGES and walked is not None:
        if walked.start:
            return f"tf.train.Checkpoint({walked.start}=model).restore({path!r})"
        if walked.model_start:
            return f"tf.train.Checkpoint(program.{walked.model_start}).restore({path!r})"
        if model.format_name == "saved-model":
            return f"tf.train.Checkpoint(model).restore({path!r})"
        return f"tf.train.Checkpoint(...).restore({path!r})"
    if report.rule is Rule.SAVER_NAME:
        if has_objects(model):  # by an edge: a root itself fails assert_consumed() for its counter
            return f"tf.train.Checkpoint(model=model).restore({path!r})"
        return f"tf.compat.v1.train.Saver().restore(session, {path!r})"
    if report.rule in (Rule.LAYER_PATH, Rule.LAYER_ORDER):
        return f"model.load_weights({path!r})"
    if has_objects(checkpoint) and model.format_name.startswith("keras"):
        edge = _edge_to_model(checkpoint)
        return f"tf.train.Checkpoint({edge + '=' if edge else ''}model).restore({path!r})"
    return "variable.assign(value), variable by variable"


def _edge_to_model(checkpoint: Checkpoint) -> str:
    """The edge of the root that all of the model's variables hang on; "" where they share none."""
    starts = {
        path_of(variable.key).partition("/")[0]
        for variable in checkpoint.variables
        if variable.role in MODEL_ROLES
    }
    return starts.pop() if len(starts) == 1 and _is_name(next(iter(starts))) else ""


def _is_name(text: str) -> bool:
    return text.isidentifier() and not text.startswith("_")


def fixing_python(report: RestoreReport, checkpoint: Checkpoint, model: Checkpoint) -> str:
    """Python that restores all of the model that can be; empty where the call itself does."""
    cast = any(each.kind == "dtype" for each in report.model_mismatched)
    suggested = any(each.suggestion for each in report.model_fresh)
    if not (cast or suggested or report.rule is Rule.NAME_MAP):
        return ""
    return _by_name_map(report, checkpoint, model)


def partial_python(report: RestoreReport, checkpoint: Checkpoint, model: Checkpoint) -> str:
    """Python that restores all but the head; empty where the model differs in more than that."""
    if report.head is None:
        return ""
    ending = (
        f"# {', '.join(report.head.layers)} keeps its fresh values. Train it alone first, with\n"
        "# `trainable = False` on the layers that were restored.\n"
    )
    if report.rule is Rule.LAYER_PATH or report.rule is Rule.LAYER_ORDER:
        return (
            f"{_model_lines(model)}"
            f"model.load_weights({checkpoint.path!r}, skip_mismatch=True)\n{ending}"
        )
    return _by_name_map(report, checkpoint, model) + ending


def _by_name_map(report: RestoreReport, checkpoint: Checkpoint, model: Checkpoint) -> str:
    pairs = {each.target.key: each.key for each in report.bound if each.target.in_model}
    pairs |= {each.target.key: each.suggestion for each in report.model_fresh if each.suggestion}
    pairs |= {each.target.key: each.key for each in report.model_mismatched if each.kind == "dtype"}
    if not pairs:
        return ""
    if model.format_name in ("tf-bundle", "saved-model", "tf-v1") and not has_objects(model):
        return _by_saver(pairs, checkpoint, model)
    imports, reader = _READERS[checkpoint.format_name]
    reader = reader.format(path=checkpoint.path)
    by_path = has_objects(model)
    places = {key: path_of(key) if by_path else model[key].name for key in pairs}
    names = {places[key]: source for key, source in pairs.items()}
    lines = [
        imports
        if "tensorflow" in imports or not by_path
        else f"{imports}\nimport tensorflow as tf",
        "",
        _model_lines(model).rstrip(),
        reader.rstrip("\n"),
        (_BY_PATH if by_path else _BY_NAME).rstrip("\n"),
        "",
        "",
        f"names = {pformat(names, width=98, sort_dicts=False)}",
        "for name, key in names.items():",
        "    variable = variable_at(name)",
        f"    variable.assign(read(key).astype({_numpy_dtype(by_path)}))",
    ]
    return "\n".join(lines) + "\n"


def _numpy_dtype(by_path: bool) -> str:
    return "variable.dtype.as_numpy_dtype" if by_path else "str(variable.dtype)"


def _by_saver(pairs: Mapping[str, str], checkpoint: Checkpoint, model: Checkpoint) -> str:
    names = {source: key for key, source in pairs.items()}
    return (
        "import tensorflow as tf\n\n"
        f"# In the graph of {model.path}, in its session:\n"
        f"names = {pformat(names, width=98, sort_dicts=False)}\n"
        "by_name = {v.op.name: v for v in tf.compat.v1.global_variables()}\n"
        "saver = tf.compat.v1.train.Saver({key: by_name[name] for key, name in names.items()})\n"
        f"saver.restore(session, {checkpoint.path!r})\n"
    )


def _model_lines(model: Checkpoint) -> str:
    if model.format_name == "saved-model":
        return f"model = tf.saved_model.load({model.path!r})\n"
    if model.format_name in ("keras-archive", "keras-h5"):
        return f"import keras\n\nmodel = keras.models.load_model({model.path!r})\n"
    if has_objects(model):
        return f"# model = tf.train.Checkpoint(...)  # of the objects that wrote {model.path}\n"
    return f"# model = ...  # the model that wrote {model.path}\n"
