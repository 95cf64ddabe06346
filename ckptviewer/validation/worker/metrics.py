"""Metrics by the names that Keras gives them, computed by Keras."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any, Callable

import numpy as np

from . import forms
from .forms import BINARY, CATEGORICAL, NUMBERS, SPARSE, Form
from .libraries import keras
from .model import Model
from .problems import MetricProblem, first_line, wrapped

Update = Callable[[Any, Any], None]

_ALIASES = {
    "acc": "accuracy",
    "crossentropy": "loss",
    "cosine": "cosinesimilarity",
    "f1": "f1score",
    "kld": "kldivergence",
    "mae": "meanabsoluteerror",
    "mape": "meanabsolutepercentageerror",
    "mse": "meansquarederror",
    "msle": "meansquaredlogarithmicerror",
    "r2": "r2score",
    "rmse": "rootmeansquarederror",
}
_TOP = re.compile(r"(?:sparse)?top(\d+|k)(?:categorical)?(?:accuracy)?")
_OF_PROBABILITIES = {
    "auc",
    "binaryaccuracy",
    "f1score",
    "falsenegatives",
    "falsepositives",
    "fbetascore",
    "kldivergence",
    "precision",
    "precisionatrecall",
    "recall",
    "recallatprecision",
    "sensitivityatspecificity",
    "specificityatsensitivity",
    "truenegatives",
    "truepositives",
}
_LOWER_IS_BETTER = re.compile(r"loss|error|entropy|hinge|divergence|false|poisson|logcosh|mse|mae")


class Metric:
    """One metric over a run. name: as it was asked for."""

    def __init__(self, name: str, update: Update, result: Callable[[], float]) -> None:
        self.name = name
        self.update = update
        self.result = result


def default_names(form: Form) -> list[str]:
    """What is measured where nothing was asked for."""
    if form.kind == NUMBERS:
        return ["mean_absolute_error", "mean_squared_error"]
    return ["accuracy", "loss"]


def higher_is_better(name: str) -> bool:
    """Whether more of a metric is better."""
    plain = _plain(name)
    return not _LOWER_IS_BETTER.search(_ALIASES.get(plain, plain))


def make_metrics(names: Sequence[str], form: Form, model: Model, spec: dict[str, Any]) -> list[Any]:
    """A fresh Metric for each name. Raises MetricProblem."""
    return [_make(name, form, model, spec) for name in names]


def _make(name: str, form: Form, model: Model, spec: dict[str, Any]) -> Metric:
    plain = _ALIASES.get(_plain(name), _plain(name))
    if plain == "loss":
        return _loss_metric(name, form, model, spec)
    if plain == "accuracy":
        plain = _accuracy(name, form)
    arguments: dict[str, Any] = {}
    top = _TOP.fullmatch(plain)
    if top:
        plain = (
            "sparsetopkcategoricalaccuracy" if form.kind == SPARSE else "topkcategoricalaccuracy"
        )
        arguments["k"] = 5 if top[1] == "k" else int(top[1])
    kind = _class_of(keras().metrics, plain, name)
    if "crossentropy" in plain:
        arguments["from_logits"] = form.logits
    if plain in ("f1score", "fbetascore") and form.kind == BINARY:
        arguments["threshold"] = 0.5  # without one, the largest of a single column is always yes
    try:
        metric = kind(**arguments)
    except Exception as error:
        raise MetricProblem(
            f"the metric {name} cannot be made without arguments: {first_line(error)}"
        ) from error
    adapt = _adapter(plain, form)

    def update(truth: Any, output: Any) -> None:
        try:
            metric.update_state(*adapt(truth, output))
        except Exception as error:
            raise wrapped(
                MetricProblem, f"the metric {name} does not take this output", error
            ) from error

    return Metric(name, update, lambda: _number(metric.result()))


def _accuracy(name: str, form: Form) -> str:
    if form.kind == NUMBERS:
        raise MetricProblem(
            f"{name} needs classes, and the output is numbers",
            "Ask for mean_absolute_error, for example.",
        )
    return {
        SPARSE: "sparsecategoricalaccuracy",
        CATEGORICAL: "categoricalaccuracy",
        BINARY: "binaryaccuracy",
    }[form.kind]


def _adapter(plain: str, form: Form) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Brings truth and output into the form that a metric takes."""
    one_hot = form.kind == SPARSE and not plain.startswith("sparse")
    likely = plain in _OF_PROBABILITIES and form.kind != NUMBERS
    flat = plain in ("f1score", "fbetascore", "r2score")

    def adapt(truth: Any, output: Any) -> tuple[Any, Any]:
        if one_hot:
            truth = np.eye(form.classes, dtype=np.float32)[truth]
        elif form.kind == CATEGORICAL and plain.startswith("sparse"):
            truth = truth.argmax(axis=-1)
        if likely:
            output = forms.probabilities(output, form).astype(np.float32)
        if flat:
            truth, output = (
                each.reshape(-1, each.shape[-1] if each.ndim > 1 else 1) for each in (truth, output)
            )
        return truth, output

    return adapt


def _loss_metric(name: str, form: Form, model: Model, spec: dict[str, Any]) -> Metric:
    """The mean loss of an example, as Keras' `evaluate` tells it."""
    loss = _loss(form, model, spec)
    mean = keras().metrics.Mean()

    def update(truth: Any, output: Any) -> None:
        try:
            value = loss(truth, output)
        except Exception as error:
            raise wrapped(
                MetricProblem, "the loss does not take this output", error, "Name another loss."
            ) from error
        mean.update_state(value, sample_weight=len(output))

    def result() -> float:
        extra = sum(float(np.asarray(each)) for each in getattr(model.keras, "losses", None) or ())
        return _number(mean.result()) + extra

    return Metric(name, update, result)


def _loss(form: Form, model: Model, spec: dict[str, Any]) -> Callable[[Any, Any], Any]:
    compiled = model.loss
    if isinstance(compiled, dict):
        compiled = compiled.get(spec["output"] or next(iter(compiled)))
    elif isinstance(compiled, (list, tuple)):
        compiled = compiled[0] if compiled else None
    if spec["loss"]:
        return _loss_named(spec["loss"], form)
    if callable(compiled):
        return lambda truth, output: np.mean(np.asarray(compiled(truth, output)))
    if isinstance(compiled, str):
        return _loss_named(compiled, form)
    by_form = {
        SPARSE: "SparseCategoricalCrossentropy",
        CATEGORICAL: "CategoricalCrossentropy",
        BINARY: "BinaryCrossentropy",
        NUMBERS: "MeanSquaredError",
    }
    return _loss_named(by_form[form.kind], form)


def _loss_named(name: str, form: Form) -> Callable[[Any, Any], Any]:
    plain = _ALIASES.get(_plain(name), _plain(name))
    kind = _class_of(keras().losses, plain, name)
    takes = inspect.signature(kind.__init__).parameters
    loss = kind(from_logits=form.logits) if "from_logits" in takes else kind()
    one_hot = form.kind == SPARSE and not plain.startswith("sparse")
    if not one_hot:
        return lambda truth, output: loss(truth, output)
    return lambda truth, output: loss(np.eye(form.classes, dtype=np.float32)[truth], output)


def _class_of(module: Any, plain: str, name: str) -> Any:
    found = {
        key.lower(): value
        for key, value in vars(module).items()
        if isinstance(value, type) and key not in ("Metric", "Loss")
    }
    # Keras 2 fills its module lazily.
    for key in dir(module):
        value = getattr(module, key, None)
        if isinstance(value, type) and key not in ("Metric", "Loss"):
            found.setdefault(key.lower(), value)
    if plain not in found:
        import difflib

        near = difflib.get_close_matches(plain, found, 3, 0.5)
        offered = ", ".join(found[each].__name__ for each in near)
        what = "metric" if module is keras().metrics else "loss"
        raise MetricProblem(
            f"Keras has no {what} {name!r}",
            f"Did you mean {offered}?" if offered else "See the list in Keras' documentation.",
        )
    return found[plain]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _number(value: Any) -> float:
    array = np.asarray(value, np.float64)
    return float(array) if array.ndim == 0 else float(array.mean())


def best_metric(names: Sequence[str], wanted: str) -> str | None:
    """The metric that ranks: the one asked for, else the first."""
    if wanted:
        return next((name for name in names if _plain(name) == _plain(wanted)), None)
    return names[0] if names else None
