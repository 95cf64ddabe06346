"""From what a person names to what the worker is asked: models, checkpoints, whole requests."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import CkptviewerError, NotACheckpointError, PathNotFoundError
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.validation.handing_over import hand_over
from ckptviewer.validation.protocol import (
    CheckpointSpec,
    DataKind,
    DataSpec,
    MeasureRequest,
    ModelKind,
    ModelSpec,
    ValidateRequest,
)
from ckptviewer.validation.recipe import Recipe
from ckptviewer.validation.verdict import plain_metric


def model_spec(text: str) -> ModelSpec:
    """The model that is meant by a path, or by `module:function` or `file.py:function`.

    What a file is decides, not its extension. Raises PathNotFoundError, NotACheckpointError.
    """
    from ckptviewer.formats.resolve import resolve

    if _is_factory(text):
        return ModelSpec(kind=ModelKind.FACTORY, path=text)
    if text.endswith(".meta") and os.path.isfile(text):
        return ModelSpec(kind=ModelKind.META_GRAPH, path=text)
    resolved = resolve(text)
    path = os.fspath(resolved.path)
    if resolved.format.name == "saved-model":
        with resolved.format.open(resolved.path) as opened:
            return ModelSpec(kind=ModelKind.SAVED_MODEL, path=opened.path)
    if resolved.format.name in ("keras-archive", "keras-h5"):
        return ModelSpec(kind=ModelKind.KERAS, path=path)
    meta = f"{path.removesuffix('.index')}.meta"
    if resolved.format.name in ("tf-bundle", "tf-v1") and os.path.isfile(meta):
        return ModelSpec(kind=ModelKind.META_GRAPH, path=meta)
    raise NotACheckpointError(
        f"it holds values ({resolved.format.title}), and no model",
        where=text,
        remedy="Give a SavedModel, a .keras or .h5 model, a .meta file, or a Python function that "
        "makes the model, as file.py:function.",
    )


def _is_factory(text: str) -> bool:
    """Whether it names a function. Raises PathNotFoundError where its file is not there."""
    place, colon, function = text.rpartition(":")
    if not colon or not function.isidentifier() or os.path.exists(text):
        return False
    if place.endswith(".py"):
        if not os.path.isfile(place):
            raise PathNotFoundError(
                "there is no such Python file", where=place, remedy="Check the path."
            )
        return True
    return all(part.isidentifier() for part in place.split("."))


def request_of(
    recipe: Recipe,
    a: Checkpoint,
    b: Checkpoint | None,
    directory: Path,
    *,
    cancel: CancelToken | None = None,
    report: Callable[[Progress], None] | None = None,
) -> ValidateRequest:
    """The request to the worker. Two checkpoints without data are compared on random input.

    directory: for what has to be handed over; it must live as long as the worker.
    Raises UnwritableFileError, Cancelled, and what reading the checkpoints raises.
    """
    data = recipe.data
    if data is None and b is not None:
        data = DataSpec(kind=DataKind.RANDOM)
    names = list(recipe.metrics.names)
    wanted = {plain_metric(name) for name in names}
    for requirement in recipe.thresholds.requirements:
        if plain_metric(requirement.metric) not in wanted:
            names.append(requirement.metric)

    def handed(checkpoint: Checkpoint, side: str) -> CheckpointSpec:
        place = directory / side
        place.mkdir()
        return hand_over(checkpoint, place, cancel=cancel, report=report)

    return ValidateRequest(
        model=recipe.model,
        checkpoint=handed(a, "a"),
        against=handed(b, "b") if b is not None else None,
        data=data,
        metrics=replace(recipe.metrics, names=tuple(names)),
    )


def measure_requests(request: ValidateRequest) -> tuple[MeasureRequest, MeasureRequest]:
    """What to measure of the two checkpoints of `request`, to see what slimming gained."""
    if request.checkpoint is None or request.against is None:
        raise ValueError("there are no two checkpoints to be measured")
    first = MeasureRequest(model=request.model, checkpoint=request.checkpoint, data=request.data)
    return first, replace(first, checkpoint=request.against)


def check_recipe(recipe: Recipe) -> None:
    """Raise CkptviewerError for a recipe that cannot give a verdict, before anything runs."""
    if recipe.thresholds.requirements and (
        recipe.data is None or recipe.data.kind is DataKind.RANDOM
    ):
        raise CkptviewerError(
            f"{recipe.require[0]} is required, and there is no data with a truth to measure it on",
            remedy="Name the data with --data.",
        )
