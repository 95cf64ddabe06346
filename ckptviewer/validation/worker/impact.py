"""How much the output needs a group of variables: it is changed, measured, and put back."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from .agreeing import Agreement
from .feeding import Feeder
from .metrics import best_metric, higher_is_better
from .model import Model, Variable
from .problems import MetricProblem, ModelProblem
from .restoring import cast_to
from .running import Run
from .spool import Spool

AGREEMENT = "agreement"
"""Ranks where there is no truth: the share of examples that are predicted as before."""


def rank(
    model: Model,
    feeder: Feeder,
    spec: dict[str, Any],
    metrics: dict[str, Any],
    baseline: Run,
    outputs: Spool,
    other: dict[str, Any],
    tick: Callable[[int, int, str], None],
) -> dict[str, Any]:
    """The protocol's Impact. baseline, outputs: of the model unchanged. other: values of the
    second checkpoint by variable. Raises MetricProblem, ModelProblem.
    """
    names = baseline.metric_names
    metric = best_metric(names, spec["metric"])
    if metric is None and names:
        raise MetricProblem(
            f"{spec['metric']!r} is not among the metrics", f"Choose one of {', '.join(names)}."
        )
    metric = metric or AGREEMENT
    if metric != AGREEMENT:
        metrics = {**metrics, "names": [metric]}
    before = baseline.values().get(metric) if metric != AGREEMENT else 1.0
    metrics = {**metrics, "worst": 0, "per_class": False}
    results = []
    generator = np.random.default_rng(spec["seed"])
    for number, group in enumerate(spec["groups"]):
        tick(number, len(spec["groups"]), group["name"])
        variables = _variables(model, group)
        kept = [each.get() for each in variables]
        try:
            for variable, values in zip(variables, kept):
                variable.put(_changed(variable, values, spec["method"], generator, other))
            run, agreement = Run(model, feeder, metrics), Agreement(outputs)
            run.perform(lambda *_: None, seen=agreement.update)
        finally:
            for variable, values in zip(variables, kept):
                variable.put(values)
        results.append(_result(group, metric, before, run, agreement.plain()))
    results.sort(key=lambda each: -_order(each["loss_of_metric"]))
    return {"metric": metric, "method": spec["method"], "baseline": before, "groups": results}


def _result(
    group: dict[str, Any],
    metric: str,
    before: float | None,
    run: Run,
    agreement: list[dict[str, Any]],
) -> dict[str, Any]:
    agreed = agreement[0]["agreement"] if agreement else None
    value = agreed if metric == AGREEMENT else run.values().get(metric)
    lost = None
    if value is not None and before is not None:
        lost = before - value if higher_is_better(metric) else value - before
    return {
        "name": group["name"],
        "variables": group["variables"],
        "value": value,
        "loss_of_metric": lost,
        "agreement": agreed,
    }


def _order(lost: float | None) -> float:
    """Outputs that are no numbers any more are the greatest loss."""
    return np.inf if lost is None or np.isnan(lost) else lost


def _variables(model: Model, group: dict[str, Any]) -> list[Variable]:
    by_name = {each.name: each for each in model.variables}
    unknown = [name for name in group["variables"] if name not in by_name]
    if unknown:
        raise ModelProblem(
            f"the model has no variable {unknown[0]!r} (of the group {group['name']!r})",
            "Choose the groups again.",
        )
    return [by_name[name] for name in group["variables"]]


def _changed(
    variable: Variable, values: Any, method: str, generator: Any, other: dict[str, Any]
) -> Any:
    if method == "zero":
        return np.zeros_like(values)
    if method == "shuffle":
        return generator.permutation(values.reshape(-1)).reshape(values.shape)
    if method == "noise":
        wide = np.asarray(values, np.float64)
        return cast_to(generator.normal(wide.mean(), wide.std(), values.shape), variable)
    if variable.name not in other:
        raise ModelProblem(
            "there is no second checkpoint to take values from", "Choose one, or another method."
        )
    return other[variable.name]
