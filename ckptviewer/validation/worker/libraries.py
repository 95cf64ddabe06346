"""TensorFlow, Keras and NumPy, as the interpreter of the user's choice has them."""

from __future__ import annotations

import importlib
import os
import sys
import time
from typing import Any

from .problems import MissingTensorFlow, first_line

_TENSORFLOW_NAMES = (
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow-macos",
    "tensorflow-intel",
    "tf-nightly",
    "intel-tensorflow",
)


def installed(*names: str) -> str | None:
    """The version of the first of these distributions that is installed, without importing it."""
    from importlib import metadata

    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def installed_versions() -> dict[str, str | None]:
    """The versions that a Hello tells."""
    return {
        "numpy": installed("numpy"),
        "tensorflow": installed(*_TENSORFLOW_NAMES),
        "keras": installed("keras"),
        "tf_keras": installed("tf-keras", "tf_keras"),
    }


_loaded: dict[str, Any] = {}


def load() -> dict[str, Any]:
    """Import TensorFlow once; returns what a `libraries` event tells. Raises MissingTensorFlow."""
    start = time.perf_counter()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    tf = _loaded["tensorflow"] = _imported("tensorflow")
    if not hasattr(tf, "__version__") or not hasattr(tf, "saved_model"):
        raise MissingTensorFlow(
            f"the module `tensorflow` of {sys.executable} is not TensorFlow, or only its remains",
            "Install TensorFlow anew in this environment.",
        )
    if int(tf.__version__.split(".")[0]) < 2:
        raise MissingTensorFlow(
            f"{sys.executable} has TensorFlow {tf.__version__}, and 2.x is needed",
            "Choose an interpreter with TensorFlow 2; it loads the models of TensorFlow 1, too.",
        )
    return {
        "tensorflow": tf.__version__,
        "keras": _keras_version(),
        "seconds": time.perf_counter() - start,
    }


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            raise MissingTensorFlow(
                f"{sys.executable} (Python {sys.version.split()[0]}) has no TensorFlow",
                "Choose the interpreter of the environment that you train in, or install "
                "TensorFlow into this one.",
            ) from error
        raise _broken(error) from error
    except Exception as error:
        raise _broken(error) from error


def _broken(error: BaseException) -> MissingTensorFlow:
    return MissingTensorFlow(
        f"TensorFlow of {sys.executable} cannot be imported: {type(error).__name__}: "
        f"{first_line(error)}",
        "Repair this environment, or choose another interpreter.",
    )


def _keras_version() -> str | None:
    version = sys.modules["keras"].__version__ if "keras" in sys.modules else None
    if uses_legacy_keras():
        return installed("tf-keras", "tf_keras")
    return version or installed("keras")


def uses_legacy_keras() -> bool:
    """Whether `tf.keras` is tf_keras, by the user's own word."""
    return os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true")


def tensorflow() -> Any:
    """TensorFlow, which `load` has imported."""
    return _loaded["tensorflow"]


def keras() -> Any:
    """The Keras that belongs to this TensorFlow. Raises MissingTensorFlow."""
    try:
        module = tensorflow().keras
        _ = module.metrics  # loads it
    except Exception as error:
        raise MissingTensorFlow(
            f"Keras of {sys.executable} cannot be imported: {type(error).__name__}: "
            f"{first_line(error)}",
            "Install the keras that belongs to its TensorFlow.",
        ) from error
    return module


def legacy_keras() -> Any:
    """tf_keras where it is installed, else None: it loads what Keras 3 refuses."""
    if installed("tf-keras", "tf_keras") is None:
        return None
    try:
        return importlib.import_module("tf_keras")
    except Exception:
        return None
