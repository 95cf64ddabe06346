"""SavedModels: those of TensorFlow 2 as objects, those of TensorFlow 1 in a session."""

from __future__ import annotations

import os
from typing import Any

from . import tracking
from .graphs import GraphModel, cannot_import, choose_tensors, written_by
from .libraries import tensorflow
from .model import (
    Arrays,
    Model,
    Signature,
    Tensor,
    choose_signature,
    eager_variables,
    named_outputs,
    tensor_of,
)
from .problems import ModelProblem, first_line, wrapped

CALL = "__call__"


def load_saved_model(spec: dict[str, Any]) -> Model:
    """A SavedModel of either generation. Raises ModelProblem."""
    path = spec["path"]
    if os.path.isfile(path):
        path = os.path.dirname(path)
    meta = _meta_graph(_read(path), spec["tags"])
    if not meta.HasField("object_graph_def"):
        return _in_session(path, meta, spec)
    try:
        return ObjectModel(path, meta, spec)
    except ModelProblem:
        raise
    except Exception as error:
        raise cannot_import(error) from error


def _read(path: str) -> Any:
    from tensorflow.core.protobuf import saved_model_pb2  # type: ignore[import-untyped]

    model = saved_model_pb2.SavedModel()
    binary, text = (os.path.join(path, name) for name in ("saved_model.pb", "saved_model.pbtxt"))
    try:
        if os.path.exists(binary):
            with open(binary, "rb") as file:
                model.ParseFromString(file.read())
        else:
            from google.protobuf import text_format

            with open(text, encoding="utf-8") as lines:
                text_format.Parse(lines.read(), model)
    except Exception as error:
        raise wrapped(ModelProblem, f"{path} has no SavedModel that can be read", error) from error
    return model


def _meta_graph(saved: Any, tags: list[str]) -> Any:
    graphs = list(saved.meta_graphs)
    if tags:
        chosen = [each for each in graphs if set(each.meta_info_def.tags) == set(tags)]
    else:
        serving = [each for each in graphs if set(each.meta_info_def.tags) == {"serve"}]
        chosen = serving or graphs
    if len(chosen) != 1:
        offered = "; ".join(", ".join(each.meta_info_def.tags) or "no tag" for each in graphs)
        raise ModelProblem(
            f"the SavedModel has {len(graphs)} graphs, and the tags do not say which one is meant",
            f"Choose the tags of one of them: {offered or 'it has none'}.",
        )
    return chosen[0]


def _in_session(path: str, meta: Any, spec: dict[str, Any]) -> GraphModel:
    tf = tensorflow()
    model = GraphModel("saved-model")
    tags = list(meta.meta_info_def.tags)
    with model.graph.as_default():
        try:
            tf.compat.v1.saved_model.load(model.session, tags, path)
        except Exception as error:
            raise cannot_import(error) from error
        model.collect()
        if model.variables:
            model.saver = tf.compat.v1.train.Saver([each.trackable for each in model.variables])
    model.written_by = written_by(meta)
    choose_tensors(model, meta, spec)
    return model


class ObjectModel(Model):
    """A SavedModel of TensorFlow 2."""

    kind = "saved-model"

    def __init__(self, path: str, meta: Any, spec: dict[str, Any]) -> None:
        super().__init__()
        tf = tensorflow()
        tags = list(meta.meta_info_def.tags)
        self.root = tf.saved_model.load(path, tags=tags)
        self.written_by = written_by(meta)
        self._functions = dict(getattr(self.root, "signatures", None) or {})
        self.signatures = [_signature(name, each) for name, each in self._functions.items()]
        if callable(self.root):
            self.signatures.append(Signature(CALL, (), ()))
        wanted = spec["signature"]
        if not wanted and len(self.signatures) == 2 and callable(self.root):
            wanted = self.signatures[0].name
        self.signature = choose_signature(self.signatures, wanted)
        self._choose_variables()

    def _choose_variables(self) -> None:
        """Those that the model calls its own, else those that its signature reads, else all."""
        tf = tensorflow()
        everything = [each for each in tracking.objects(self.root) if isinstance(each, tf.Variable)]
        own = getattr(self.root, "variables", None)
        function = self._functions.get(self.signature.name)
        read = list(function.variables) if function is not None else []
        chosen = list(own) if own else (read or everything)
        self.variables = eager_variables((each.name.split(":")[0], each) for each in chosen)

    def predict(self, inputs: Arrays) -> Arrays:
        tf = tensorflow()
        tensors = {}
        dtypes = {each.name: each.dtype for each in self.signature.inputs}
        for name, values in inputs.items():
            tensors[name] = tf.constant(values, dtype=dtypes.get(name))
        function = self._functions.get(self.signature.name)
        try:
            if function is not None:
                return named_outputs(function(**tensors), ())
            return named_outputs(_called(self.root, tensors), ())
        except (TypeError, ValueError) as error:
            raise wrapped(ModelProblem, "the model does not take these inputs", error) from error


def _called(root: Any, tensors: dict[str, Any]) -> Any:
    values = list(tensors.values())
    argument = values[0] if len(values) == 1 else tensors
    try:
        return root(argument, training=False)
    except (TypeError, ValueError) as error:
        try:
            return root(argument)
        except (TypeError, ValueError):
            raise ModelProblem(
                f"the model cannot be called: {first_line(error)}", "Choose one of its signatures."
            ) from error


def _signature(name: str, function: Any) -> Signature:
    inputs = function.structured_input_signature[1]
    outputs = function.structured_outputs
    return Signature(name, _tensors(inputs), _tensors(outputs))


def _tensors(found: Any) -> tuple[Tensor, ...]:
    if not isinstance(found, dict):
        return ()
    return tuple(tensor_of(name, found[name].dtype, found[name].shape) for name in sorted(found))
