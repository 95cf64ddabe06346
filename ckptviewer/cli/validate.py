"""`ckptviewer validate`: does a model that a checkpoint was restored into do what it should?"""

from __future__ import annotations

import argparse
import json
import math
import os
from typing import TYPE_CHECKING, Any

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.text import printable

if TYPE_CHECKING:
    from ckptviewer.validation.protocol import DataSpec, MetricsSpec, Preprocessing
    from ckptviewer.validation.recipe import Recipe

_MOST_WORKERS = 8
_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}

_DESCRIPTION = """\
Load a model in a process of its own, restore the checkpoint into it, read every
variable back, run validation data, and give a verdict. With --against a second
checkpoint is restored as well, and the two have to agree: in the mean and the
standard deviation of every variable, and in what the model predicts.

This runs the model's code: it is asked for first, and --yes says yes. With
--dry-run nothing is run: the files tell what a restore would bind."""

_EPILOG = """\
examples:
  ckptviewer validate model.ckpt-9000 --model model.keras --dry-run
  ckptviewer validate model.ckpt-9000 --model model.keras --data test.npz
  ckptviewer validate a.ckpt --model saved_model --data random --against b.ckpt
  ckptviewer validate --recipe model.toml --yes

Exit status: 0 the verdict is pass; 1 it is fail; 2 it could not be validated.
With --dry-run: 0 all of the model would get its values; 1 not all of it."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "validate",
        help="restore into the model, run data, and give a verdict",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", metavar="CKPT", nargs="?", help="any path of the checkpoint")
    for name, metavar, text in (
        ("against", "CKPT2", "a second checkpoint, to agree with the first"),
        ("recipe", "FILE", "take all from a recipe; options beside it count more"),
        ("save-recipe", "FILE", "write what was run as a recipe, .toml or .json"),
    ):
        parser.add_argument(f"--{name}", metavar=metavar, help=text)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="run nothing: tell from the files what would bind; M may be a checkpoint, too",
    )
    parser.add_argument("--yes", action="store_true", help="run the model's code without asking")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    _add_model_options(parser)
    _add_data_options(parser)
    _add_verdict_options(parser)
    parser.set_defaults(run=run)


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the model, and where it runs")
    for name, metavar, text in (
        ("model", "M", "SavedModel, .keras, .h5, .meta, FILE.py:FUNCTION or MODULE:FUNCTION"),
        ("signature", "NAME", "of a SavedModel (default: serving_default)"),
        ("output", "NAME", "the output that metrics are of; of a .meta graph a tensor, logits:0"),
        ("custom-objects", "FILE.py", "classes and functions that a Keras model needs"),
        ("python", "EXE", "interpreter of the environment that the model was trained in"),
    ):
        group.add_argument(f"--{name}", metavar=metavar, help=text)
    group.add_argument(
        "--unsafe", action="store_true", help="let Keras load code from the model's file (Lambda)"
    )
    group.add_argument(
        "--time-limit", metavar="SECONDS", type=_seconds, help="for all of it (default 1800)"
    )
    group.add_argument(
        "--memory-limit",
        metavar="SIZE",
        type=_size,
        help="for the model's process, such as 4G (default: 90 %% of the machine's)",
    )


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data",
        action="append",
        metavar="D",
        help=".npz (x and y), two .npy files, .csv, TFRecord, a folder with a folder of images for "
        "each class, or `random`; repeatable",
    )
    group.add_argument(
        "--input",
        action="append",
        metavar="INPUT=KEY",
        help="the key of the data for an input; repeatable",
    )
    group.add_argument("--target", metavar="KEY", help="the key of the truth (default: y)")
    for name, text in (
        ("batch-size", "examples at a time (default 32)"),
        ("limit", "at most so many examples"),
    ):
        group.add_argument(f"--{name}", metavar="N", type=_count, help=text)
    for name, text in (("scale", "multiply inputs by this"), ("offset", "then add this")):
        group.add_argument(f"--{name}", metavar="X", type=_number, help=text)


def _add_verdict_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the verdict")
    group.add_argument(
        "--metric",
        action="append",
        metavar="NAME",
        help="measure a metric of keras.metrics, or loss; repeatable",
    )
    group.add_argument(
        "--require",
        action="append",
        metavar="METRIC>=X",
        help="require a metric; also <=, > and <; repeatable",
    )
    for name, metavar, text in (
        ("agreement-threshold", "SHARE", "predictions agree on more than this (default 0.99)"),
        ("statistics-threshold", "X", "means and deviations differ by less (default 1e-5)"),
    ):
        group.add_argument(f"--{name}", metavar=metavar, type=_number, help=text)
    group.add_argument(
        "--gains",
        metavar="N",
        type=_count,
        help="run both checkpoints N times in turn: what --against gained in size, time and memory",
    )


def run(options: argparse.Namespace) -> int:
    """Validate; 0 where the verdict is pass, 1 where it is fail."""
    from concurrent.futures import ThreadPoolExecutor

    from ckptviewer.cli.running_models import ask_to_run, stages
    from ckptviewer.cli.validation_output import as_document, print_for_people
    from ckptviewer.validation.recipe import write_recipe
    from ckptviewer.validation.validating import prepare, remember, validate

    if options.dry_run:
        return _dry_run(options)
    recipe = recipe_of(options)
    validation = prepare(recipe)
    if not options.yes:
        ask_to_run(recipe.model, recipe.python)
    workers = min(os.cpu_count() or 1, _MOST_WORKERS)
    with ThreadPoolExecutor(workers) as executor, stages() as show:
        report = validate(validation, executor, workers, report=show, gain_runs=options.gains or 0)
    earlier = remember(report, recipe)
    if options.save_recipe:
        write_recipe(recipe, options.save_recipe)
    if options.json:
        print(json.dumps(as_document(report, validation, earlier), indent=1))
    else:
        print_for_people(report, validation, earlier)
    return 0 if report.passes else 1


def _dry_run(options: argparse.Namespace) -> int:
    """Print what would bind; 0 where every variable of the model would."""
    from ckptviewer.analysis.restore import simulate_restore
    from ckptviewer.cli.restore_output import print_restore, restore_document
    from ckptviewer.formats.resolve import open_checkpoint
    from ckptviewer.validation.recipe import read_recipe

    path, model = options.path, options.model
    if options.recipe:
        recipe = read_recipe(options.recipe)
        path, model = path or recipe.checkpoint, model or recipe.model.path
    if not path or not model:
        raise CkptviewerError(
            f"{'--model' if path else 'CKPT'} is missing",
            remedy="Write `ckptviewer validate CKPT --model M --dry-run`.",
        )
    with open_checkpoint(path) as checkpoint, open_checkpoint(model) as opened:
        report = simulate_restore(checkpoint, opened)
    if options.json:
        print(json.dumps(restore_document(report), indent=1))
    else:
        print_restore(report)
    return 0 if report.restores_model else 1


def recipe_of(options: argparse.Namespace) -> Recipe:
    """What the options ask for, with what a recipe says where they say nothing."""
    from dataclasses import replace

    from ckptviewer.validation.recipe import Recipe, read_recipe
    from ckptviewer.validation.requesting import model_spec

    if options.recipe:
        recipe = read_recipe(options.recipe)
        if options.model:
            recipe = replace(recipe, model=model_spec(options.model))
    else:
        if not options.path or not options.model:
            missing = "--model is" if options.path else "CKPT is"
            raise CkptviewerError(
                f"{missing} missing",
                remedy="Write `ckptviewer validate CKPT --model M`, or give a --recipe.",
            )
        recipe = Recipe(checkpoint=options.path, model=model_spec(options.model))
    given = {
        "checkpoint": options.path,
        "against": options.against,
        "python": options.python,
        "require": tuple(options.require) if options.require else None,
        "agreement_threshold": options.agreement_threshold,
        "statistics_threshold": options.statistics_threshold,
        "time_limit_seconds": options.time_limit,
        "memory_limit_bytes": options.memory_limit,
        "data": _data(options, recipe),
        "metrics": _metrics(options, recipe),
    }
    model = {
        "signature": options.signature,
        "custom_objects": options.custom_objects,
        "outputs": (options.output,) if options.output and _is_graph(recipe) else None,
        "safe_mode": False if options.unsafe else None,
    }
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    inner: dict[str, Any] = {name: value for name, value in model.items() if value is not None}
    return replace(recipe, **changed, model=replace(recipe.model, **inner))


def _is_graph(recipe: Recipe) -> bool:
    """Whether outputs are tensors of a graph that has no signature of its own."""
    from ckptviewer.validation.protocol import ModelKind

    return recipe.model.kind is ModelKind.META_GRAPH


def _metrics(options: argparse.Namespace, recipe: Recipe) -> MetricsSpec:
    """What to measure: what the recipe says, but for what the options say."""
    from dataclasses import replace

    metrics = recipe.metrics
    if options.metric:
        metrics = replace(metrics, names=tuple(options.metric))
    if options.output and not _is_graph(recipe):
        metrics = replace(metrics, output=options.output)
    return metrics


def _data(options: argparse.Namespace, recipe: Recipe) -> DataSpec | None:
    """The data that the options tell of; None where they say nothing of it."""
    from dataclasses import replace

    from ckptviewer.validation.datasets import kind_of
    from ckptviewer.validation.protocol import DataKind, DataSpec

    spec = recipe.data
    if options.data == ["random"] and not os.path.exists("random"):
        spec = DataSpec(kind=DataKind.RANDOM)
    elif options.data:
        spec = DataSpec(kind=kind_of(options.data), paths=tuple(options.data))
        if spec.kind is DataKind.TFRECORD:
            spec = replace(spec, compression=_compression(spec))
    given = {
        "inputs": dict(map(_mapping, options.input)) if options.input else None,
        "target": options.target,
        "batch_size": options.batch_size,
        "limit": options.limit,
        "preprocessing": _preprocessing(options),
    }
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if spec is None:
        if set(changed) - {"batch_size", "limit"}:
            raise CkptviewerError("it is said how to read data, and no data is named")
        return DataSpec(kind=DataKind.RANDOM, **changed) if changed and options.against else None
    return replace(spec, **changed)


def _compression(spec: DataSpec) -> str:
    from ckptviewer.validation.datasets import inspect_data

    return inspect_data(spec).compression


def _preprocessing(options: argparse.Namespace) -> tuple[Preprocessing, ...] | None:
    from ckptviewer.validation.protocol import Preprocessing

    if options.scale is None and options.offset is None:
        return None
    scale = 1.0 if options.scale is None else options.scale
    return (Preprocessing(scale=scale, offset=options.offset or 0.0),)


def _mapping(text: str) -> tuple[str, str]:
    name, equals, key = text.partition("=")
    if not (name and equals and key):
        raise CkptviewerError("it is not INPUT=KEY", where=f"--input {printable(text)!r}")
    return name, key


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is no finite number")
    return number


def _seconds(text: str) -> float:
    number = _number(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; say how many seconds")
    return number


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not int(text[:20]):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text[:20])


def _size(text: str) -> int:
    word = text.strip().lower().removesuffix("b")
    try:
        number = float(word[:-1] if word[-1:] in _UNITS else word) * _UNITS.get(word[-1:], 1)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; say 4G, or 500M")
    return int(number)
