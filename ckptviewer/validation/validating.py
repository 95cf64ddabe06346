"""A whole validation: from a recipe to the report, and into the history."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.formats.resolve import open_checkpoint
from ckptviewer.validation import launcher
from ckptviewer.validation.datasets import Dataset, inspect_data
from ckptviewer.validation.file_statistics import differences
from ckptviewer.validation.gains import Gain, measure_gains
from ckptviewer.validation.history import (
    Earlier,
    History,
    What,
    content_of_checkpoint,
    content_of_files,
)
from ckptviewer.validation.plain import to_plain
from ckptviewer.validation.protocol import DataKind, Event, ModelKind, Outcome
from ckptviewer.validation.recipe import Recipe
from ckptviewer.validation.report import ValidationReport, compare_statistics, report_of
from ckptviewer.validation.requesting import check_recipe, measure_requests, request_of
from ckptviewer.validation.verdict import StatisticsRow, plain_metric

if TYPE_CHECKING:
    from ckptviewer.analysis.restore_report import RestoreReport
    from ckptviewer.checkpoint.checkpoint import Checkpoint

_DEFAULT_SECONDS = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """A validation that is ready to run: what could be checked without running anything, was.

    data: what is in the data; None without data. expected: what the files alone tell of the
    restore; None where the model's file does not tell (a function, a graph).
    """

    recipe: Recipe
    data: Dataset | None
    expected: RestoreReport | None


def prepare(recipe: Recipe) -> Validation:
    """Check all that can be without running a model. Raises CkptviewerError for what is wrong."""
    check_recipe(recipe)
    if recipe.against:
        with open_checkpoint(recipe.against):
            pass
    data = inspect_data(recipe.data) if recipe.data is not None else None
    if data is not None:
        for finding in data.findings:
            if not data.sound and finding.severity == "error":
                raise CkptviewerError(finding.message.rstrip("."), remedy=finding.remedy)
    with open_checkpoint(recipe.checkpoint) as checkpoint:
        return Validation(recipe=recipe, data=data, expected=_expected(checkpoint, recipe))


def _expected(checkpoint: Checkpoint, recipe: Recipe) -> RestoreReport | None:
    if recipe.model.kind not in (ModelKind.SAVED_MODEL, ModelKind.KERAS):
        return None
    from ckptviewer.analysis.restore import simulate_restore

    try:
        with open_checkpoint(recipe.model.path) as model:
            return simulate_restore(checkpoint, model)
    except CkptviewerError:
        return None  # the worker loads the model itself, and tells what is wrong with it


def validate(
    validation: Validation,
    executor: Executor,
    workers: int,
    *,
    cancel: CancelToken | None = None,
    report: Callable[[Progress], None] | None = None,
    on_event: Callable[[Event], None] | None = None,
    gain_runs: int = 0,
) -> ValidationReport:
    """Run it in a worker, and judge. Somebody must have agreed to run the model's code.

    executor, workers: threads for the statistics of two checkpoints. gain_runs: how often each of
    the two is run to see what the second one gained; 0 not to measure that. Raises WorkerError,
    Cancelled, and what reading the checkpoints raises.
    """
    recipe = validation.recipe
    with ExitStack() as stack:
        a = stack.enter_context(open_checkpoint(recipe.checkpoint))
        b = stack.enter_context(open_checkpoint(recipe.against)) if recipe.against else None
        directory = Path(tempfile.mkdtemp(prefix="ckptviewer-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        request = request_of(recipe, a, b, directory, cancel=cancel, report=report)
        outcome = launcher.run(
            request,
            python=recipe.python or None,
            limits=limits_of(recipe),
            cancel=cancel,
            report=report,
            on_event=on_event,
        )
        gains: list[Gain] = []
        if gain_runs and b is not None:
            gains = measure_gains(
                *measure_requests(request),
                runs=gain_runs,
                python=recipe.python or None,
                limits=limits_of(recipe),
                cancel=cancel,
                report=report,
            )
        rows = _statistics(outcome, a, b, executor, workers, report) if b is not None else ()
        return report_of(
            outcome,
            checkpoint=a.path,
            model=recipe.model.path,
            against=b.path if b is not None else "",
            statistics=rows,
            thresholds=recipe.thresholds,
            findings=_unmeasured(outcome, recipe),
            gains=gains,
        )


def _unmeasured(outcome: Outcome, recipe: Recipe) -> list[Finding]:
    """That what was asked for has no number; what is required is a check of its own."""
    measured = outcome.measurements.get("a")
    found = {plain_metric(name) for name in (measured.values if measured is not None else ())}
    missing = [name for name in recipe.metrics.names if plain_metric(name) not in found]
    if not missing:
        return []
    named = recipe.data is not None and recipe.data.kind is not DataKind.RANDOM
    why = "the data has no truth" if named else "there is no data with a truth"
    return [
        Finding(
            code="metric-not-measured",
            severity=Severity.WARNING,
            message=f"Not measured: {', '.join(missing)}, for {why}.",
            remedy="Say by which key the data has it, or choose data that does.",
        )
    ]


def limits_of(recipe: Recipe) -> launcher.Limits:
    """What the worker may take; without a word most of the machine's memory, and half an hour."""
    seconds = recipe.time_limit_seconds
    return launcher.Limits(
        seconds=_DEFAULT_SECONDS if seconds is None else seconds,
        memory_bytes=recipe.memory_limit_bytes or _most_of_memory(),
    )


def _most_of_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 10 * 9
    except (AttributeError, ValueError, OSError):  # Windows
        return None


def _statistics(
    outcome: Outcome,
    a: Checkpoint,
    b: Checkpoint,
    executor: Executor,
    workers: int,
    report: Callable[[Progress], None] | None,
) -> tuple[StatisticsRow, ...]:
    bound = [
        {each.name: each.key for each in outcome.restored[side].bound}
        if side in outcome.restored
        else {}
        for side in ("a", "b")
    ]
    for keys, checkpoint in zip(bound, (a, b), strict=True):
        for name in [name for name, key in keys.items() if key not in checkpoint.by_key]:
            del keys[name]
    names = (
        [each.name for each in outcome.model.variables]
        if outcome.model is not None
        else list(bound[0] | bound[1])
    )
    pairs = [(bound[0][name], bound[1][name]) for name in names if all(name in d for d in bound)]
    pairs = [pair for pair in pairs if a[pair[0]].shape == b[pair[1]].shape]
    found = differences(a, b, pairs, executor, workers, report)
    return compare_statistics(a, b, bound[0], bound[1], names, found)


def what_of(recipe: Recipe) -> What:
    """What the recipe validates, by content. Raises CkptviewerError."""
    with open_checkpoint(recipe.checkpoint) as checkpoint:
        content = content_of_checkpoint(checkpoint)
    model = recipe.model
    files = [model.path.rpartition(":")[0] if model.kind is ModelKind.FACTORY else model.path]
    data = ""
    if recipe.data is not None:
        settings = to_plain(recipe.data) | {"paths": None, "batch_size": None}
        data = content_of_files(recipe.data.paths, how=repr(settings))
    how = repr((model.kind, model.signature, model.path if model.kind is ModelKind.FACTORY else ""))
    return What(checkpoint=content, model=content_of_files(files, how=how), data=data)


def remember(report: ValidationReport, recipe: Recipe, path: Path | None = None) -> list[Earlier]:
    """Keep the report; returns the earlier ones with that model and data, the newest first."""
    try:
        what = what_of(recipe)
    except CkptviewerError:
        return []
    with History(path) as history:
        earlier = list(history.earlier(what))
        document = report.as_document()
        for name in ("checkpoint", "model", "against"):
            if os.path.exists(document[name] or ""):
                document[name] = os.path.abspath(document[name])
        history.add(what, document)
    return earlier
