"""Models that a function of the user's makes: Keras models, tf.Modules, and plain callables."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from . import tracking
from .keras_models import KerasModel, is_keras_model, load_python_file
from .libraries import tensorflow
from .model import Arrays, Model, Signature, eager_variables, named_outputs, tensor_of
from .problems import ModelProblem, wrapped


def load_factory(spec: dict[str, Any]) -> Model:
    """What `module:function` or `file.py:function` returns. Raises ModelProblem."""
    where, _, name = spec["path"].rpartition(":")
    if not where or not name:
        raise ModelProblem(
            f"{spec['path']!r} does not say which function makes the model",
            "Write module:function or file.py:function.",
        )
    function = getattr(_module(where), name, None)
    if not callable(function):
        raise ModelProblem(f"{where} has no function {name!r}", "Check its spelling.")
    try:
        made = function()
    except Exception as error:
        raise wrapped(ModelProblem, f"{name}() raised", error) from error
    if made is None:
        raise ModelProblem(f"{name}() returned nothing", "It has to return the model.")
    if is_keras_model(made):
        return KerasModel(made, "factory")
    if not callable(made) and not isinstance(made, tensorflow().Module):
        raise ModelProblem(
            f"{name}() returned {type(made).__name__}, which cannot be called",
            "It has to return a Keras model, a tf.Module with __call__, or a callable.",
        )
    return CallableModel(made, spec["signature"])


def _module(where: str) -> Any:
    if where.endswith(".py"):
        if not os.path.exists(where):
            raise ModelProblem(f"there is no file {where}", "Check its path.")
        directory = os.path.dirname(os.path.abspath(where))
        if directory not in sys.path:
            sys.path.insert(0, directory)  # so that it finds what lies beside it
        return load_python_file(where)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(where)
    except Exception as error:
        raise wrapped(ModelProblem, f"the module {where} cannot be imported", error) from error


class CallableModel(Model):
    """A tf.Module or any callable; `signature` names another method than `__call__`."""

    kind = "factory"

    def __init__(self, made: Any, method: str) -> None:
        super().__init__()
        self._made = made
        self._call = made if method in ("", "__call__") else getattr(made, method, None)
        if not callable(self._call):
            raise ModelProblem(
                f"the model has no method {method!r} that can be called",
                "Name one that it has, or define __call__.",
            )
        trackable = hasattr(made, "_trackable_children") or hasattr(
            made, "_checkpoint_dependencies"
        )
        self.root = made if trackable else None
        self.signature = self._described()
        self.signatures = [self.signature._replace(name=method or "__call__")]
        self._find_variables()

    def _find_variables(self) -> None:
        tf = tensorflow()
        own = list(getattr(self._made, "variables", None) or ())
        if self.root is not None:
            reached = tracking.objects(self.root)
            own += [each for each in reached if isinstance(each, tf.Variable)]
        self.variables = eager_variables((each.name.split(":")[0], each) for each in own)

    def _described(self) -> Signature:
        """What an input_signature of a tf.function tells."""
        function = self._call
        if not hasattr(function, "input_signature"):
            function = type(self._made).__dict__.get("__call__")
        declared = getattr(function, "input_signature", None) or ()
        found = []
        for number, each in enumerate(declared):
            if hasattr(each, "dtype"):
                name = getattr(each, "name", None) or f"input_{number}"
                found.append(tensor_of(name, each.dtype, each.shape))
        return Signature("", tuple(found), ())

    def prepare(self, inputs: Arrays) -> None:
        if not self.variables:
            self.predict({name: values[:1] for name, values in inputs.items()})
            self._find_variables()

    def predict(self, inputs: Arrays) -> Arrays:
        tf = tensorflow()
        dtypes = {each.name: each.dtype for each in self.signature.inputs}
        tensors = [tf.constant(values, dtype=dtypes.get(name)) for name, values in inputs.items()]
        call: Any = self._call
        return named_outputs(call(*tensors), ())
