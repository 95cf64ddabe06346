"""Loads the model that a request describes."""

from __future__ import annotations

import os
import sys
from typing import Any

from .model import Model
from .problems import ModelProblem, Problem, wrapped


def load_model(spec: dict[str, Any]) -> Model:
    """The model of a request's `model`. Raises ModelProblem."""
    for directory in reversed(spec["python_path"]):
        if directory not in sys.path:
            sys.path.insert(0, directory)
    kind = spec["kind"]
    if kind != "factory" and not os.path.exists(spec["path"]):
        raise ModelProblem(
            f"there is no model at {spec['path']}", "Choose the model again; was it moved?"
        )
    try:
        return _load(kind, spec)
    except Problem:
        raise
    except Exception as error:
        raise wrapped(ModelProblem, "the model cannot be loaded", error) from error


def _load(kind: str, spec: dict[str, Any]) -> Model:
    if spec["custom_objects"] and kind != "keras":
        from .keras_models import load_python_file

        # It may load the library of a custom operation (tf.load_op_library).
        load_python_file(spec["custom_objects"])
    if kind == "saved-model":
        from .saved_models import load_saved_model

        return load_saved_model(spec)
    if kind == "keras":
        from .keras_models import load_keras

        return load_keras(spec)
    if kind == "meta-graph":
        from .graphs import load_meta_graph

        return load_meta_graph(spec)
    if kind == "factory":
        from .factories import load_factory

        return load_factory(spec)
    raise ModelProblem(f"there is no kind of model {kind!r}")
