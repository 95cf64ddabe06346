"""What a thread does for a validation's page: looking at files, checking, asking a worker."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.text import capitalised
from ckptviewer.ui.jobs import Report
from ckptviewer.ui.panels.result_pages import read_back_rows
from ckptviewer.ui.restore_words import Told, told_by_files, told_by_worker

if TYPE_CHECKING:
    from ckptviewer.analysis.restore_report import RestoreReport
    from ckptviewer.ui.models.table_rows import Row
    from ckptviewer.validation.datasets import Dataset
    from ckptviewer.validation.history import Earlier
    from ckptviewer.validation.protocol import DataSpec, Event, ImpactSpec, ModelSpec, Outcome
    from ckptviewer.validation.recipe import Recipe
    from ckptviewer.validation.report import ValidationReport
    from ckptviewer.validation.risks import Review
    from ckptviewer.validation.validating import Validation

RANDOM = "random"
"""Stands for made-up data in the place of a path."""


class Aim(StrEnum):
    """What a worker is started for."""

    VALIDATE = "Validating"
    INSPECT = "Looking into the model"
    IMPACT = "Measuring the impact"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be run. gain_runs: as of `validate`. impact: what to change, for that aim.

    label: what it is called while it runs; else it is called by its aim.
    """

    aim: Aim
    recipe: Recipe
    label: str = ""
    gain_runs: int = 0
    impact: ImpactSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a model's files tell. expected: None where they do not tell of the restore, and `why`
    says why. told: the same for the window."""

    text: str
    spec: ModelSpec
    expected: RestoreReport | None
    told: Told | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenData:
    """Data that was looked at."""

    paths: tuple[str, ...]
    spec: DataSpec
    dataset: Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """Asks whether a task may run. remembered: whether it was consented to before."""

    task: Task
    review: Review
    python: str
    validation: Validation | None
    remembered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An outcome as the window shows it, which takes a while where there are many variables.

    restored: by "a" and "b". read_back: rows of a table.
    """

    restored: dict[str, Told]
    read_back: list[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A validation that came to its end."""

    task: Task
    report: ValidationReport
    earlier: tuple[Earlier, ...]
    shown: Shown


def look(checkpoint: str, model: str) -> Looked:
    """What the text names as a model, and what would bind. Raises CkptviewerError."""
    from ckptviewer.analysis.restore import simulate_restore
    from ckptviewer.formats.resolve import open_checkpoint
    from ckptviewer.validation.protocol import ModelKind
    from ckptviewer.validation.requesting import model_spec

    spec = model_spec(model)
    if spec.kind in (ModelKind.FACTORY, ModelKind.META_GRAPH):
        return Looked(text=model, spec=spec, expected=None, why=only_loaded(spec.path))
    try:
        with open_checkpoint(checkpoint) as ours, open_checkpoint(spec.path) as theirs:
            report = simulate_restore(ours, theirs)
    except CkptviewerError as error:
        return Looked(text=model, spec=spec, expected=None, why=f"{_sentence(error.what)}")
    return Looked(text=model, spec=spec, expected=report, told=told_by_files(report))


def only_loaded(model: str) -> str:
    """Why the files alone do not tell what binds to this model; "" where they may."""
    if model.endswith(".meta"):
        return "The graph restores by tf.train.Saver, and names its variables when it is loaded."
    place, colon, function = model.rpartition(":")
    if colon and function.isidentifier() and (place.endswith(".py") or os.sep not in place):
        return "What a Python function returns is known only when it has run."
    return ""


def simulate(checkpoint: str, model: str) -> tuple[RestoreReport, Told]:
    """What restoring into a model, or into what wrote a checkpoint, would do.

    Raises CkptviewerError.
    """
    from ckptviewer.analysis.restore import simulate_restore
    from ckptviewer.formats.resolve import open_checkpoint

    with open_checkpoint(checkpoint) as ours, open_checkpoint(model) as theirs:
        report = simulate_restore(ours, theirs)
    return report, told_by_files(report)


def see(paths: Sequence[str], target: str = "") -> SeenData:
    """What is in the data. Raises CkptviewerError."""
    from dataclasses import replace

    from ckptviewer.validation.datasets import inspect_data, kind_of
    from ckptviewer.validation.protocol import DataKind, DataSpec

    if list(paths) == [RANDOM] and not os.path.exists(RANDOM):
        spec = DataSpec(kind=DataKind.RANDOM)
    else:
        spec = DataSpec(kind=kind_of(paths), paths=tuple(paths), target=target)
    dataset = inspect_data(spec)
    if dataset.compression != spec.compression:
        spec = replace(spec, compression=dataset.compression)
        dataset = inspect_data(spec)
    return SeenData(paths=tuple(paths), spec=spec, dataset=dataset)


def check(task: Task, cancel: CancelToken) -> Consent:
    """All that can be checked without running the model. Raises CkptviewerError."""
    from ckptviewer.validation.approvals import Approvals
    from ckptviewer.validation.launcher import default_python
    from ckptviewer.validation.risks import review_model
    from ckptviewer.validation.validating import prepare

    validation = prepare(task.recipe) if task.aim is not Aim.INSPECT else None
    review = review_model(task.recipe.model, cancel)
    return Consent(
        task=task,
        review=review,
        python=task.recipe.python or default_python() or "",
        validation=validation,
        remembered=Approvals().is_approved(review.digest),
    )


def shown_of(outcome: Outcome) -> Shown:
    """What the window shows of an outcome."""
    backs = [outcome.read_back[side] for side in ("a", "b") if side in outcome.read_back]
    return Shown(
        restored={
            side: told_by_worker(found, outcome.model) for side, found in outcome.restored.items()
        },
        read_back=read_back_rows(backs),
    )


def ask_worker(
    task: Task, cancel: CancelToken, report: Report, hear: Callable[[Event], None]
) -> Outcome:
    """Inspect the model, or rank the impact of its variables. Raises WorkerError, Cancelled."""
    import shutil
    import tempfile
    from contextlib import ExitStack
    from dataclasses import replace
    from pathlib import Path

    from ckptviewer.formats.resolve import open_checkpoint
    from ckptviewer.validation import launcher
    from ckptviewer.validation.protocol import ImpactMethod, InspectRequest, Request
    from ckptviewer.validation.requesting import request_of
    from ckptviewer.validation.validating import limits_of

    recipe = task.recipe
    with ExitStack() as stack:
        request: Request = InspectRequest(model=recipe.model)
        if task.impact is not None:
            directory = Path(tempfile.mkdtemp(prefix="ckptviewer-"))
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
            takes_other = task.impact.method is ImpactMethod.OTHER and recipe.against
            a = stack.enter_context(open_checkpoint(recipe.checkpoint))
            b = stack.enter_context(open_checkpoint(recipe.against)) if takes_other else None
            whole = request_of(recipe, a, b, directory, cancel=cancel, report=report)
            request = replace(whole, impact=task.impact)
        return launcher.run(
            request,
            python=recipe.python or None,
            limits=limits_of(recipe),
            cancel=cancel,
            report=report,
            on_event=hear,
        )


def _sentence(text: str) -> str:
    return capitalised(text).rstrip(".") + "."
