"""From what a person names to what the worker is asked: models, checkpoints, whole requests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import CkptviewerError, NotACheckpointError, PathNotFoundError
from ckptviewer.validation.protocol import (
    CheckpointSpec,
    DataKind,
    DataSpec,
    ModelKind,
    ModelSpec,
    ValidateRequest,
)
from ckptviewer.validation.recipe import Recipe
from ckptviewer.validation.verdict import plain_metric

_READ_BY_TENSORFLOW = frozenset(("tf-bundle", "tf-v1", "saved-model"))
_BUNDLE = "handed-over"
_WHAT_RUNS = {
    ModelKind.SAVED_MODEL: "the graph of the SavedModel {path}, which may read and write files",
    ModelKind.KERAS: "the layers of the Keras model {path}{safe}",
    ModelKind.META_GRAPH: "the graph in {path}, which may read and write files",
    ModelKind.FACTORY: "the Python function {path}",
}


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


def what_runs(recipe: Recipe, python: str) -> str:
    """One sentence: which code a validation runs, and under which interpreter."""
    safe = " in Keras' safe mode" if recipe.model.safe_mode else ", and whatever code they bring"
    what = _WHAT_RUNS[recipe.model.kind].format(path=recipe.model.path, safe=safe)
    extra = f", and {recipe.model.custom_objects}" if recipe.model.custom_objects else ""
    return f"This runs {what}{extra}, under {python}."


def checkpoint_spec(checkpoint: Checkpoint, directory: Path, name: str) -> CheckpointSpec:
    """How the worker is told of an open checkpoint.

    What its TensorFlow does not read is written as a bundle of the same keys into `directory`,
    which must live as long as the worker. Raises UnwritableFileError, and what reading raises.
    """
    path = checkpoint.path
    if checkpoint.format_name == "saved-model":
        # It is restored by its variables, which are a bundle.
        path = os.path.join(path, "variables", "variables")
    bundle = ""
    if checkpoint.format_name not in _READ_BY_TENSORFLOW:
        bundle = _handed_over(checkpoint, str(directory / f"{_BUNDLE}-{name}"))
    return CheckpointSpec(path=path, format=checkpoint.format_name, bundle=bundle)


def _handed_over(checkpoint: Checkpoint, prefix: str) -> str:
    from ckptviewer.formats.bundle_writer import Tensor, why_unwritable, write_bundle

    def tensors() -> Iterator[Tensor]:
        for variable in checkpoint.variables:
            if not why_unwritable(variable.key, variable.dtype, variable.shape):
                yield Tensor(
                    key=variable.key,
                    dtype=variable.dtype,
                    shape=variable.shape,
                    chunks=checkpoint.chunks(variable),
                )

    write_bundle(prefix, tensors())
    return prefix


def request_of(
    recipe: Recipe, a: Checkpoint, b: Checkpoint | None, directory: Path
) -> ValidateRequest:
    """The request to the worker. Two checkpoints without data are compared on random input."""
    data = recipe.data
    if data is None and b is not None:
        data = DataSpec(kind=DataKind.RANDOM)
    names = list(recipe.metrics.names)
    wanted = {plain_metric(name) for name in names}
    for requirement in recipe.thresholds.requirements:
        if plain_metric(requirement.metric) not in wanted:
            names.append(requirement.metric)
    return ValidateRequest(
        model=recipe.model,
        checkpoint=checkpoint_spec(a, directory, "a"),
        against=checkpoint_spec(b, directory, "b") if b is not None else None,
        data=data,
        metrics=replace(recipe.metrics, names=tuple(names)),
    )


def check_recipe(recipe: Recipe) -> None:
    """Raise CkptviewerError for a recipe that cannot give a verdict, before anything runs."""
    if recipe.thresholds.requirements and (
        recipe.data is None or recipe.data.kind is DataKind.RANDOM
    ):
        raise CkptviewerError(
            f"{recipe.require[0]} is required, and there is no data with a truth to measure it on",
            remedy="Name the data with --data.",
        )
