"""The restore check of an export: TensorFlow restores what was written, and the receipt says so."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.errors import CkptviewerError

if TYPE_CHECKING:
    from ckptviewer.export.receipt import Receipt
    from ckptviewer.validation.protocol import ModelSpec

_MOST_WORKERS = 8


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the restore check to an export's."""
    group = parser.add_argument_group("whether TensorFlow restores it")
    group.add_argument(
        "--restore-check",
        metavar="M",
        help="restore what was written into this model, as `validate` does, and add to the receipt "
        "what bound; exit status 1 where not all of it did",
    )
    group.add_argument(
        "--python", metavar="EXE", help="interpreter of the environment that the model was made in"
    )
    group.add_argument(
        "--custom-objects",
        metavar="FILE.py",
        help="classes and functions that a Keras model needs",
    )
    group.add_argument("--yes", action="store_true", help="run the model's code without asking")


def model_to_check(options: argparse.Namespace) -> ModelSpec | None:
    """The model that is to be restored into, once somebody agreed to run it; None without one.

    Raises CkptviewerError, before anything is written.
    """
    from ckptviewer.cli.running_models import ask_to_run
    from ckptviewer.validation.requesting import model_spec

    if not options.restore_check:
        needless = [name for name in ("python", "custom_objects") if getattr(options, name)]
        if needless:
            raise CkptviewerError(
                f"--{needless[0].replace('_', '-')} is of the restore check, and there is none",
                remedy="Name the model with --restore-check.",
            )
        return None
    if options.dry_run:
        raise CkptviewerError(
            "a dry run writes nothing that could be restored",
            remedy="Leave out --dry-run or --restore-check.",
        )
    model = model_spec(options.restore_check)
    if options.custom_objects:
        model = replace(model, custom_objects=options.custom_objects)
    if not options.yes:
        ask_to_run(model, options.python or "")
    return model


def checked(receipt: Receipt, model: ModelSpec, python: str) -> Receipt:
    """The receipt with what TensorFlow bound of what was written.

    Raises CkptviewerError where that could not be found out: what was written stays.
    """
    from concurrent.futures import ThreadPoolExecutor

    from ckptviewer.cli.running_models import stages
    from ckptviewer.export.restored import with_restore_check
    from ckptviewer.validation.recipe import Recipe
    from ckptviewer.validation.validating import prepare, validate

    recipe = Recipe(checkpoint=receipt.destination, model=model, python=python)
    workers = min(os.cpu_count() or 1, _MOST_WORKERS)
    try:
        with ThreadPoolExecutor(workers) as executor, stages() as show:
            report = validate(prepare(recipe), executor, workers, report=show)
    except CkptviewerError as error:
        raise CkptviewerError(
            "it is written and verified, but whether TensorFlow restores it could not be found "
            f"out: {error.what}",
            where=receipt.destination,
            remedy=error.remedy,
        ) from error
    libraries = report.outcome.libraries
    tensorflow = libraries.tensorflow if libraries is not None else None
    return with_restore_check(receipt, report.as_document(), tensorflow)


def restores(receipt: Receipt) -> bool:
    """Whether all of the model bound; a receipt without the check says nothing against it."""
    return receipt.restore_check is None or bool(receipt.restore_check["restores"])
