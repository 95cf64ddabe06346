"""One whole validation: load, restore, read back, run, compare, rank."""

from __future__ import annotations

import tempfile
from typing import Any, Callable

from .agreeing import Agreement
from .data import open_data
from .feeding import Feeder
from .impact import rank
from .keras_models import keras_version
from .libraries import tensorflow
from .loading import load_model
from .model import Model
from .problems import Problem
from .reading_back import digests_of, read_back
from .restoring import restore
from .running import Run, write_predictions
from .spool import Spool

Send = Callable[..., None]


class Validation:
    """What is asked for in one request, step by step."""

    def __init__(self, request: dict[str, Any], send: Send, stage: Callable[..., None]) -> None:
        """send: tells of an event. stage: of progress, by stage, done, total, label, checkpoint."""
        self._request = request
        self._send = send
        self._stage = stage
        self._model: Model
        self._feeder: Feeder | None = None
        self._misfit: Problem | None = None
        self._fresh: list[Any] = []
        self._runs: dict[str, Run] = {}

    def perform(self) -> None:
        """Do it all. Raises Problem; what was found until then has been told."""
        self._model = load_and_tell(self._request, self._send, self._stage)
        try:
            with tempfile.TemporaryDirectory(prefix="ckptviewer-outputs-") as directory:
                self._perform(directory)
        finally:
            self._model.close()

    def _perform(self, directory: str) -> None:
        request = self._request
        self._open_data()
        outputs = Spool(directory, "a")
        try:
            against = request["against"]
            if against is not None:
                self._fresh = [each.get() for each in self._model.variables]
            self._restore("a", request["checkpoint"])
            if self._misfit is not None:
                raise self._misfit
            self._run("a", outputs)
            other = self._run_other(outputs, against) if against is not None else {}
            if request["impact"] is not None and self._feeder is not None:
                self._impact(outputs, other)
        finally:
            outputs.close()

    def _open_data(self) -> None:
        """Find out whether the data fits, before anything runs; a misfit is told after the
        restore, whose report needs no data.
        """
        spec = self._request["data"]
        if spec is None:
            return
        self._stage("data")
        try:
            self._feeder = Feeder(self._model, open_data(spec, self._model), spec)
        except Problem as problem:
            self._misfit = problem
        else:
            count = len(self._model.variables)
            self._model.prepare(self._feeder.first.inputs)
            if len(self._model.variables) != count:  # some models make theirs at the first call
                self._send("model", **self._model.plain())

    def _restore(self, which: str, spec: dict[str, Any] | None) -> None:
        if spec is None:
            return
        self._stage("restore", checkpoint=which)
        before = digests_of(self._model)
        restored = restore(self._model, spec, which)
        self._send("restored", **restored.report)

        def tick(done: int, total: int, label: str) -> None:
            self._stage("read-back", done, total, label, which)

        variables = read_back(self._model, restored, before, tick)
        self._send("read-back", checkpoint=which, variables=variables)

    def _run(self, which: str, spool: Spool | None, agreement: Any = None) -> None:
        if self._feeder is None:
            return
        metrics = self._request["metrics"]
        self._stage("run", 0, self._feeder.count or 0, "", which)
        run = self._runs[which] = Run(self._model, self._feeder, metrics)
        run.perform(
            lambda done, total, label: self._stage("run", done, total, label, which),
            spool,
            None if agreement is None else agreement.update,
        )
        written = ""
        if which == "a" and metrics["predictions_path"] and spool is not None:
            written = metrics["predictions_path"]
            write_predictions(written, spool)
        self._send("measurements", checkpoint=which, predictions_path=written, **run.measurements())

    def _run_other(self, outputs: Spool, against: dict[str, Any]) -> dict[str, Any]:
        """Run B, held against A; returns B's values where they are still needed."""
        mine = [each.get() for each in self._model.variables]
        self._put(self._fresh)  # what B does not bind must not be A's
        self._restore("b", against)
        agreement = Agreement(outputs)
        self._run("b", None, agreement)
        if self._feeder is not None:
            self._send("agreement", outputs=agreement.plain())
        impact = self._request["impact"]
        other = {}
        if impact is not None and impact["method"] == "other":
            other = {each.name: each.get() for each in self._model.variables}
        self._put(mine)
        return other

    def _put(self, values: list[Any]) -> None:
        for variable, each in zip(self._model.variables, values):
            variable.put(each)

    def _impact(self, outputs: Spool, other: dict[str, Any]) -> None:
        assert self._feeder is not None
        spec = self._request["impact"]
        self._send(
            "impact",
            **rank(
                self._model,
                self._feeder,
                spec,
                self._request["metrics"],
                self._runs["a"],
                outputs,
                other,
                lambda done, total, label: self._stage("impact", done, total, label),
            ),
        )


def load_and_tell(request: dict[str, Any], send: Send, stage: Callable[..., None]) -> Model:
    """Load the model and tell what it has. Raises Problem."""
    import time

    stage("model")
    start = time.perf_counter()
    model = load_model(request["model"])
    send("model", load_seconds=time.perf_counter() - start, **model.plain())
    for note in [*model.notes, *_versions(model)]:
        send("note", **note)
    return model


def _versions(model: Model) -> list[dict[str, Any]]:
    """A finding where the versions that wrote and that run the model differ."""
    name, _, written = (model.written_by or "").rpartition(" ")
    if not written:
        return []
    running = tensorflow().__version__
    if name.startswith("Keras"):
        running = keras_version(model.keras) if model.keras is not None else ""
    if written.split(".")[:2] == running.split(".")[:2] or not running:
        return []
    major = written.split(".")[0] != running.split(".")[0]
    return [
        {
            "code": "version-differs",
            "severity": "warning" if major else "info",
            "message": f"The model was written by {name} {written}, and {name} {running} runs it.",
            "remedy": "Where results differ, run it under the version that wrote it."
            if major
            else "",
        }
    ]
