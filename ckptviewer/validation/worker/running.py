"""Runs a model over the data, and measures what comes out."""

from __future__ import annotations

import os
import time
from typing import Any, Callable, NamedTuple

import numpy as np

from . import forms
from .classes import ClassCounts, Worst
from .feeding import Batch, Feeder, size_of
from .forms import Form
from .metrics import Metric, default_names, make_metrics
from .model import Arrays, Model, loss_name
from .problems import ModelProblem, Problem, wrapped
from .spool import Spool

Tick = Callable[[int, int, str], None]


class Scores(NamedTuple):
    """What is measured of the one output that has a truth."""

    output: str
    form: Form
    metrics: list[Metric]
    counts: ClassCounts | None
    worst: Worst


class Run:
    """One pass over the data with the values that the model has now."""

    def __init__(self, model: Model, feeder: Feeder, spec: dict[str, Any]) -> None:
        """spec: the request's `metrics`."""
        self._model = model
        self._feeder = feeder
        self._spec = spec
        self._scores: Scores | None = None
        self._seconds: list[float] = []
        self._sizes: list[int] = []
        self._nonfinite = 0
        self._examples = 0

    @property
    def form(self) -> Form | None:
        """How the measured output is understood; None where nothing was measured."""
        return self._scores.form if self._scores else None

    @property
    def metric_names(self) -> list[str]:
        """What was measured, in the order asked for."""
        return [each.name for each in self._scores.metrics] if self._scores else []

    def perform(
        self, tick: Tick, spool: Spool | None = None, seen: Callable[..., None] | None = None
    ) -> None:
        """Run all batches. spool: keeps the outputs. seen: called with each batch's outputs.

        Raises ModelProblem, DataProblem, MetricProblem.
        """
        done = 0
        for batch in self._feeder:
            outputs = self._predict(batch)
            done += size_of(batch)
            self._measure(batch, outputs)
            if spool is not None:
                spool.add(outputs)
            if seen is not None:
                seen(batch, outputs)
            tick(done, self._feeder.count or 0, "")
        if self._sizes[0] not in self._sizes[1:]:
            # The first batch of a size is slow: once more for the watch.
            nonfinite = self._nonfinite
            self._predict(self._feeder.first)
            self._nonfinite = nonfinite
        self._examples = done

    def _predict(self, batch: Batch) -> Arrays:
        start = time.perf_counter()
        try:
            outputs = self._model.predict(batch.inputs)
        except Problem:
            raise
        except Exception as error:
            raise wrapped(
                ModelProblem, f"the model failed at example {batch.start}", error
            ) from error
        self._seconds.append(time.perf_counter() - start)
        self._sizes.append(size_of(batch))
        for array in outputs.values():
            if array.dtype.kind == "f":
                self._nonfinite += int(array.size - np.count_nonzero(np.isfinite(array)))
        return outputs

    def _measure(self, batch: Batch, outputs: Arrays) -> None:
        if batch.truth is None:
            return
        if self._scores is None:
            self._scores = self._prepared(batch, outputs)
        scores = self._scores
        output = _plain(outputs[scores.output])
        truth = forms.labels_as_numbers(batch.truth, self._feeder.class_names)
        truth = forms.shaped(truth, output, scores.form)
        for metric in scores.metrics:
            metric.update(truth, output)
        if scores.counts is not None:
            scores.counts.update(truth, output)
        scores.worst.update(truth, output, batch.start)

    def _prepared(self, batch: Batch, outputs: Arrays) -> Scores:
        spec, names = self._spec, self._feeder.class_names
        truth = forms.labels_as_numbers(np.asarray(batch.truth), names)
        name, form = self._measured(truth, outputs)
        metrics = make_metrics(spec["names"] or default_names(form), form, self._model, spec)
        counts = ClassCounts(form, names) if spec["per_class"] else None
        return Scores(name, form, metrics, counts, Worst(spec["worst"], form, names))

    def _measured(self, truth: Any, outputs: Arrays) -> tuple[str, Form]:
        """The output that the truth is of: the one asked for, its namesake, the first that fits."""
        asked, target = self._spec["output"], self._feeder.target
        if asked and asked not in outputs:
            raise ModelProblem(
                f"the model has no output {asked!r}", f"It has {', '.join(outputs)}."
            )
        offered = [asked] if asked else sorted(outputs, key=lambda name: name != target)
        misfit: Problem | None = None
        for name in offered:
            output, loss = _plain(outputs[name]), loss_name(self._model.loss)
            try:
                return name, forms.form_of(truth, output, self._spec["from_logits"], loss)
            except Problem as problem:
                misfit = misfit or problem
        assert misfit is not None
        raise misfit

    def values(self) -> dict[str, float]:
        """The metrics by name."""
        return {each.name: each.result() for each in self._scores.metrics} if self._scores else {}

    def measurements(self) -> dict[str, Any]:
        """The protocol's Measurements, without the checkpoint's letter and the predictions."""
        scores = self._scores
        return {
            "examples": self._examples,
            "values": self.values(),
            "classes": scores.counts.classes() if scores and scores.counts else [],
            "confusion": scores.counts.confusion() if scores and scores.counts else [],
            "worst": scores.worst.examples() if scores else [],
            "output": scores.output if scores else "",
            "batch_size": self._sizes[0] if self._sizes else 0,
            "nonfinite_outputs": self._nonfinite,
            **self._times(),
        }

    def _times(self) -> dict[str, float | None]:
        later = self._seconds[1:]
        full = [s for s, n in zip(later, self._sizes[1:]) if n == self._sizes[0]]
        return {
            "first_batch_seconds": self._seconds[0] if self._seconds else None,
            "latency_seconds": float(np.median(full)) if full else None,
            "throughput": len(full) * self._sizes[0] / sum(full) if sum(full) else None,
        }


def _plain(output: Any) -> Any:
    """An output that NumPy can compute with: bfloat16 and the like as float32."""
    return output.astype(np.float32) if output.dtype.kind == "V" else output


def write_predictions(path: str, spool: Spool) -> None:
    """Write the outputs of a run to an .npz, aside and then under its name."""
    parts: dict[str, list[Any]] = {}
    for batch in spool:
        for name, array in batch.items():
            parts.setdefault(name, []).append(array)
    aside = f"{path}.{os.getpid()}.new"
    with open(aside, "wb") as file:
        arrays: dict[str, Any] = {name: np.concatenate(each) for name, each in parts.items()}
        np.savez_compressed(file, **arrays)
    os.replace(aside, path)
