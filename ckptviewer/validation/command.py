"""The command line that makes the same validation as a recipe."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from ckptviewer.validation.protocol import DataKind, DataSpec
from ckptviewer.validation.recipe import Recipe
from ckptviewer.validation.verdict import AGREEMENT_THRESHOLD, STATISTICS_THRESHOLD

_DEFAULT_BATCH = 32


def command_line(recipe: Recipe, *, gain_runs: int = 0) -> str:
    """`ckptviewer validate ...`, quoted for a shell.

    What only a recipe can say (`only_in_recipes`) is left out. `--yes` is left out too: who runs it
    is asked first.
    """
    return shlex.join(["ckptviewer", "validate", *_words(recipe, gain_runs)])


def only_in_recipes(recipe: Recipe) -> tuple[str, ...]:
    """What of the recipe no option says, in words."""
    model, metrics = recipe.model, recipe.metrics
    data = recipe.data or DataSpec(kind=DataKind.RANDOM)
    said = {
        "the tensors of the graph": model.inputs or model.outputs,
        "the features": data.features,
        "the size of the pictures": data.image_size,
        "the colours": data.color,
        "the names of the classes": data.class_names,
        "the preprocessing of single keys": any(each.key for each in data.preprocessing),
        "the loss": metrics.loss,
        "the file of predictions": metrics.predictions_path,
    }
    return tuple(what for what, there in said.items() if there)


def _words(recipe: Recipe, gain_runs: int) -> Iterator[str]:
    model = recipe.model
    yield _path(recipe.checkpoint)
    yield from ("--model", model.path)
    if model.signature:
        yield from ("--signature", model.signature)
    if model.custom_objects:
        yield from ("--custom-objects", model.custom_objects)
    if not model.safe_mode:
        yield "--unsafe"
    if recipe.data is not None:
        yield from _data(recipe.data)
    for name in recipe.metrics.names:
        yield from ("--metric", name)
    for requirement in recipe.require:
        yield from ("--require", requirement)
    if recipe.against:
        yield from ("--against", recipe.against)
        if recipe.agreement_threshold != AGREEMENT_THRESHOLD:
            yield from ("--agreement-threshold", f"{recipe.agreement_threshold!r}")
        if recipe.statistics_threshold != STATISTICS_THRESHOLD:
            yield from ("--statistics-threshold", f"{recipe.statistics_threshold!r}")
        if gain_runs:
            yield from ("--gains", str(gain_runs))
    if recipe.python:
        yield from ("--python", recipe.python)
    if recipe.time_limit_seconds is not None:
        yield from ("--time-limit", f"{recipe.time_limit_seconds:g}")
    if recipe.memory_limit_bytes is not None:
        yield from ("--memory-limit", str(recipe.memory_limit_bytes))


def _data(data: DataSpec) -> Iterator[str]:
    for path in ("random",) if data.kind is DataKind.RANDOM else data.paths:
        yield from ("--data", path)
    for name, key in data.inputs.items():
        yield from ("--input", f"{name}={key}")
    if data.target:
        yield from ("--target", data.target)
    if data.batch_size != _DEFAULT_BATCH:
        yield from ("--batch-size", str(data.batch_size))
    if data.limit is not None:
        yield from ("--limit", str(data.limit))
    for each in data.preprocessing:
        if each.key:
            continue
        if each.scale != 1.0:
            yield from ("--scale", f"{each.scale!r}")
        if each.offset != 0.0:
            yield from ("--offset", f"{each.offset!r}")


def _path(path: str) -> str:
    """The path such that it cannot be taken for an option."""
    return f"./{path}" if path.startswith("-") else path
