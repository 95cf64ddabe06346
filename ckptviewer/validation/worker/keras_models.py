"""Keras models: files of Keras 3 and Keras 2, and models that a factory made."""

from __future__ import annotations

import importlib.util
import json
import sys
import zipfile
from typing import Any

from .libraries import installed, keras, legacy_keras, uses_legacy_keras
from .model import Arrays, Model, Signature, Tensor, eager_variables, named_outputs, tensor_of
from .problems import ModelProblem, first_line, wrapped


class KerasModel(Model):
    """A Keras model, of Keras 3 or Keras 2."""

    def __init__(self, model: Any, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.keras = self.root = model
        self.keras_generation = generation(model)
        self.loss = getattr(model, "loss", None)
        self._fill()

    def _fill(self) -> None:
        model = self.keras
        inputs = _tensors(getattr(model, "inputs", None), getattr(model, "input_names", None))
        self._structured = isinstance(getattr(model, "input", None), dict)
        self._output_names = _output_names(model)
        outputs = _tensors(getattr(model, "outputs", None), self._output_names)
        self.signature = Signature("", inputs, outputs)
        self.signatures = [self.signature._replace(name="model")]
        self.variables = eager_variables((variable_name(each), each) for each in model.weights)

    def prepare(self, inputs: Arrays) -> None:
        if getattr(self.keras, "built", True) and self.keras.weights:
            return
        self.predict({name: values[:1] for name, values in inputs.items()})
        self._fill()

    def predict(self, inputs: Arrays) -> Arrays:
        names = [each.name for each in self.signature.inputs]
        argument: Any
        if self._structured:
            argument = inputs
        elif len(inputs) == 1:
            (argument,) = inputs.values()
        else:
            argument = [inputs[name] for name in names] if names else inputs
        result = self.keras.predict_on_batch(argument)
        return named_outputs(result, self._output_names)


def generation(model: Any) -> str:
    """ "3" or "2": which Keras a model is of."""
    return "3" if int((keras_version(model) or "2").split(".")[0]) >= 3 else "2"


def keras_version(model: Any) -> str:
    """The version of the Keras that a model is of; empty where it does not tell."""
    for kind in type(model).__mro__:
        root = kind.__module__.split(".")[0]
        if root in ("keras", "tf_keras"):
            return str(getattr(sys.modules.get(root), "__version__", "") or "")
    return ""


def is_keras_model(thing: Any) -> bool:
    """Whether it is a model of any Keras that is loaded."""
    for name in ("keras", "tf_keras"):
        module = sys.modules.get(name)
        if module is not None and isinstance(thing, module.Model):
            return True
    return isinstance(thing, keras().Model)


def variable_name(variable: Any) -> str:
    """The path of a Keras 3 variable, the name of others."""
    return str(getattr(variable, "path", None) or variable.name).split(":")[0]


def _tensors(found: Any, names: Any) -> tuple[Tensor, ...]:
    if not found:
        return ()
    if not names or len(names) != len(found):
        names = [each.name for each in found]
    return tuple(tensor_of(name, each.dtype, each.shape) for name, each in zip(names, found))


def _output_names(model: Any) -> tuple[str, ...]:
    names = getattr(model, "output_names", None)
    if not names:
        names = getattr(getattr(model, "_functional", None), "output_names", None)
    return tuple(str(name) for name in names) if names else ()


def load_keras(spec: dict[str, Any]) -> KerasModel:
    """The model in a `.keras` or whole-model `.h5` file. Raises ModelProblem.

    What Keras 2 wrote is loaded by tf_keras where it is installed, and so is what the Keras of this
    TensorFlow refuses.
    """
    custom = load_custom_objects(spec["custom_objects"])
    version = writing_version(spec["path"])
    modules = [keras()]
    other = None if uses_legacy_keras() else legacy_keras()
    if other is not None and other is not modules[0]:
        modules.insert(0 if version.startswith("2.") else 1, other)
    refusals: list[Exception] = []
    for module in modules:
        try:
            model = KerasModel(_loaded(module, spec, custom), "keras")
        except Exception as error:
            refusals.append(error)
            continue
        model.written_by = f"Keras {version}" if version else None
        if module is other:
            model.notes.append(_other_keras(version, refusals))
        return model
    raise _refused(refusals[0], spec) from refusals[0]


def writing_version(path: str) -> str:
    """The version of Keras that wrote a file; empty where it does not say."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return str(json.loads(archive.read("metadata.json"))["keras_version"])
        import h5py

        with h5py.File(path, "r") as file:
            version = file.attrs["keras_version"]
            return version.decode() if isinstance(version, bytes) else str(version)
    except Exception:  # the loading itself will tell what is wrong with it
        return ""


def _loaded(module: Any, spec: dict[str, Any], custom: dict[str, Any]) -> Any:
    arguments: dict[str, Any] = {"custom_objects": custom or None}
    try:
        return module.models.load_model(spec["path"], safe_mode=spec["safe_mode"], **arguments)
    except TypeError as error:
        if "safe_mode" not in str(error):
            raise
        # Keras before 2.13 has no safe mode; that it loads Lambda layers was said before.
        return module.models.load_model(spec["path"], **arguments)


def _other_keras(version: str, refusals: list[Exception]) -> dict[str, Any]:
    why = f"since Keras {version} wrote it"
    if refusals:
        why = f"since this TensorFlow's own Keras refuses it: {first_line(refusals[0])}"
    return {
        "code": "loaded-by-keras-2",
        "severity": "info",
        "message": f"The model was loaded by tf_keras (Keras 2), {why}.",
        "remedy": "",
    }


def _refused(error: BaseException, spec: dict[str, Any]) -> ModelProblem:
    if isinstance(error, ModelProblem):
        return error
    text = first_line(error)
    lower = str(error).lower()
    if "safe_mode" in lower or "unsafe" in lower or "lambda" in lower:
        return ModelProblem(
            f"Keras' safe mode refuses the model: {text}",
            "It holds code (a Lambda layer). If you trust its author, allow it to run, or replace "
            "the layer by one of a Python file.",
        )
    if "could not locate" in lower or "unknown layer" in lower or "custom" in lower:
        return ModelProblem(
            f"the model needs a class or function that is not there: {text}",
            "Name the Python file that defines it as custom objects.",
        )
    remedy = ""
    if installed("tf-keras", "tf_keras") is None:
        remedy = "Was it saved by Keras 2? Then install tf_keras beside this TensorFlow."
    return ModelProblem(f"Keras cannot load the model: {text}", remedy)


def load_custom_objects(path: str) -> dict[str, Any]:
    """Every class and function that a Python file defines, by name. Runs the file."""
    if not path:
        return {}
    module = load_python_file(path)
    found: dict[str, Any] = {}
    for name, value in vars(module).items():
        if callable(value) and not name.startswith("__"):
            found[name] = value
            registered = getattr(keras().utils, "get_registered_name", None)
            if registered is not None and getattr(value, "__module__", "") == module.__name__:
                found[registered(value)] = value
    return found


_FILES: dict[str, Any] = {}


def load_python_file(path: str) -> Any:
    """The module made of a Python file, run once. Raises ModelProblem with what it raised."""
    if path in _FILES:
        return _FILES[path]
    name = f"_user_code_{len(_FILES)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelProblem(f"{path} is no Python file", "Its name has to end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        if isinstance(error, FileNotFoundError) and error.filename == path:
            raise ModelProblem(f"there is no file {path}") from error
        raise wrapped(ModelProblem, f"{path} raised", error) from error
    _FILES[path] = module
    return module


def clear_session() -> None:
    """Have Keras forget the last model."""
    modules: list[Any] = [sys.modules.get("tf_keras"), sys.modules.get("keras")]
    for module in modules:
        backend = getattr(module, "backend", None)
        if backend is not None and hasattr(backend, "clear_session"):
            backend.clear_session()
