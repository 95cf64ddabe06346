"""An export as a command line, and the Python that restores what it wrote."""

from __future__ import annotations

import os
import shlex
from keyword import iskeyword

from ckptviewer.checkpoint.renaming import RenameRule
from ckptviewer.checkpoint.roles import VALUE_SUFFIX
from ckptviewer.export.choices import CAST_ROLES, Choices, Preset
from ckptviewer.export.receipt import Receipt

_MOST_LISTED = 200
_MOST_OBJECTS = 4
_PARTS_OF_A_MODEL = ("_", "layer", "variables", "keras_api", "trainable_variables")
"""How attributes of a model begin that was itself the root of what was saved."""


def command_line(
    source: str, destination: str, choices: Choices, *, overwrite: bool = False
) -> str:
    """The shell command that makes the same export.

    Selected keys and ticks become globs, with their own characters escaped.
    """
    words = ["ckptviewer", "export", source, destination]
    preset = choices.preset
    include = list(choices.include)
    exclude = list(choices.exclude)
    if preset is Preset.SELECTED:
        include += [_literal(key) for key in sorted(choices.selected)]
    elif preset is not Preset.ALL:
        words += ["--preset", str(preset)]
    words += [word for glob in include for word in ("--include", glob)]
    words += [word for glob in exclude for word in ("--exclude", glob)]
    words += [word for text in choices.include_regex for word in ("--include-regex", text)]
    words += [word for text in choices.exclude_regex for word in ("--exclude-regex", text)]
    words += [word for role in sorted(choices.roles) for word in ("--role", str(role))]
    words += [word for dtype in sorted(choices.dtypes) for word in ("--dtype", dtype)]
    for key, ticked in choices.ticks.items():
        words += ["--keep" if ticked else "--drop", key]
    for old, new in choices.rename_pairs.items():
        words += ["--rename", str(pair_rule(old, new))]
    words += [word for rule in choices.renames for word in ("--rename", str(rule))]
    if choices.cast is not None:
        words += ["--cast", choices.cast.dtype]
        if choices.cast.roles != CAST_ROLES:
            roles = sorted(choices.cast.roles)
            words += [word for role in roles for word in ("--cast-role", str(role))]
    if choices.use_ema:
        words.append("--use-ema")
    if choices.name_based:
        words.append("--name-based")
    if choices.shard_bytes:
        words += ["--shard-size", str(choices.shard_bytes)]
    words += ["--format", choices.format]
    if overwrite:
        words.append("--overwrite")
    return shlex.join(words)


def pair_rule(old: str, new: str) -> RenameRule:
    """The rule that renames one key and no other."""
    import re

    return RenameRule(f"^{re.escape(old)}$", new.replace("\\", "\\\\"))


def _literal(key: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in key)


def python_to_restore(receipt: Receipt) -> str:
    """Lines of Python that restore what was written, with the libraries users have anyway.

    `model`, and names that the keys begin with, stand for the user's own objects, whose code the
    checkpoint does not have. Where values were
    cast, they are cast back while they are loaded.
    """
    path = receipt.destination
    if receipt.format == "keras-weights-h5":
        opened = os.path.join(os.path.dirname(path), list(receipt.files)[-1])
        return f"model.load_weights({opened!r})\n"
    if receipt.format == "safetensors":
        return f"from safetensors.numpy import load_file\nvalues = load_file({path!r})\n"
    if receipt.format == "npz":
        return f"import numpy as np\nvalues = dict(np.load({path!r}))\n"
    cast = any(each.dtype for each in receipt.kept)
    if receipt.is_object_based:
        text = _OBJECT_BASED_CAST if cast else _OBJECT_BASED
        return text.format(path=path, objects=_objects(receipt))
    names = {_name(each.key): each.key_written for each in receipt.kept}
    renamed = {old: new for old, new in names.items() if old != new}
    if cast or 0 < len(renamed) <= _MOST_LISTED:
        listed = repr(renamed) if len(renamed) <= _MOST_LISTED else "{}"
        return _NAME_BASED_BY_NAME.format(path=path, renamed=listed)
    return _NAME_BASED.format(path=path)


def _objects(receipt: Receipt) -> str:
    """How the objects were named when they were saved, as far as the keys tell."""
    paths = [
        each.key.removesuffix(VALUE_SUFFIX)
        for each in receipt.kept
        if each.key.endswith(VALUE_SUFFIX) and not each.key.startswith("save_counter/")
    ]
    names = sorted({path.split("/")[0] for path in paths})
    named = (
        0 < len(names) <= _MOST_OBJECTS
        and all(name.isidentifier() and not iskeyword(name) for name in names)
        and not any(name.startswith(_PARTS_OF_A_MODEL) for name in names)
        and all("/" in path for path in paths)
        # Several with nothing but variables in them are the layers of one model.
        and (len(names) == 1 or any(path.count("/") > 1 for path in paths))
    )
    return ", ".join(f"{name}={name}" for name in names) if named else "model"


def _name(key: str) -> str:
    return key.removesuffix(VALUE_SUFFIX)


_OBJECT_BASED = """\
import tensorflow as tf

checkpoint = tf.train.Checkpoint({objects})  # named as when it was saved
checkpoint.restore({path!r}).assert_existing_objects_matched()
"""

_OBJECT_BASED_CAST = """\
import tensorflow as tf
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph


def restore_cast(path, *root, **objects):
    \"\"\"Restore as tf.train.Checkpoint does, casting each value to its variable's dtype.\"\"\"
    reader = tf.train.load_checkpoint(path)
    graph = TrackableObjectGraph.FromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    waiting, seen = [(0, root[0] if root else tf.train.Checkpoint(**objects))], set()
    while waiting:
        number, thing = waiting.pop()
        if number in seen:
            continue
        seen.add(number)
        node = graph.nodes[number]
        for attribute in node.attributes:
            if attribute.name == "VARIABLE_VALUE" and hasattr(thing, "assign"):
                value = tf.convert_to_tensor(reader.get_tensor(attribute.checkpoint_key))
                thing.assign(value if value.dtype == thing.dtype else tf.cast(value, thing.dtype))
        children = thing._trackable_children("checkpoint")
        for child in node.children:
            if child.local_name in children:
                waiting.append((child.node_id, children[child.local_name]))


restore_cast({path!r}, {objects})  # named as when it was saved
"""

_NAME_BASED = """\
import tensorflow as tf

reader = tf.train.load_checkpoint({path!r})
values = {{key: reader.get_tensor(key) for key in reader.get_variable_to_shape_map()}}
# In a graph of TensorFlow 1: tf.compat.v1.train.Saver().restore(session, {path!r})
"""

_NAME_BASED_BY_NAME = """\
import tensorflow as tf

reader = tf.train.load_checkpoint({path!r})
renamed = {renamed}


def restore(variables):
    \"\"\"Assign to each variable what is stored under its name, or under its new one.\"\"\"
    for variable in variables:
        name = variable.name.split(":")[0]
        value = tf.convert_to_tensor(reader.get_tensor(renamed.get(name, name)))
        if value.dtype != variable.dtype:
            value = tf.cast(value, variable.dtype)
        variable.assign(value)


restore(model.variables)
# In a graph of TensorFlow 1, without a cast:
# all = tf.compat.v1.global_variables()
# tf.compat.v1.train.Saver({{renamed.get(v.op.name, v.op.name): v for v in all}})
"""
