"""Models that would do this and that, and some that hide it badly: small, and never run."""

from __future__ import annotations

import json
from collections.abc import Iterator

_LAYERS = (
    {"class_name": "Lambda", "config": {"name": "x", "function": {"class_name": "__lambda__"}}},
    {"class_name": "pack>Mine", "config": {}, "module": "my.code", "registered_name": "pack>Mine"},
    {"class_name": "function", "config": "system", "module": "os"},
    {"class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}, "module": "keras"},
)


def models_to_review() -> Iterator[tuple[str, list[bytes]]]:
    """Contents of files for each target of `model_review`. Needs TensorFlow."""
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    graph = model.meta_graphs.add().graph_def
    for name in ("Const", "PyFunc", "WriteFile"):
        graph.node.add(name=name.lower(), op=name).attr["x"].s = b"op: 'ReadFile'"
    graph.library.function.add().node_def.add(name="inner", op="ReadFile")
    meta = model.meta_graphs[0]
    as_text = b"\x0a#x\nmeta_graphs {".ljust(37, b"#")
    of_meta = text_format.MessageToBytes(meta)
    yield "model_review", [model.SerializeToString(), meta.SerializeToString(), as_text, of_meta]
    text = text_format.MessageToBytes(model)
    in_parts = text.replace(b'"PyFunc"', b'\'Py\' # "\n "F\\165nc"')
    yield "model_review_text", [text, in_parts]
    configs = [
        {"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}
        for layer in _LAYERS
    ]
    yield "keras_review", [json.dumps(config).encode() for config in configs]
