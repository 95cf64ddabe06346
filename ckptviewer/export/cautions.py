"""What somebody should know of an export before it is carried out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.roles import VALUE_SUFFIX
from ckptviewer.checkpoint.text import plural, printable
from ckptviewer.checkpoint.variable import Role, Variable
from ckptviewer.export.choices import Choices, Preset
from ckptviewer.export.plan import ExportPlan
from ckptviewer.export.selecting import rests_on_role

_SHOWN = 8


def cautions(
    checkpoint: Checkpoint, choices: Choices, plan: ExportPlan, unwritable: Sequence[str]
) -> list[Finding]:
    """The findings of a plan. unwritable: keys that the format cannot hold."""
    by_key = checkpoint.by_key
    dropped = [by_key[each.key] for each in plan.dropped]
    found: list[Finding] = []
    found += _training(dropped)
    if choices.preset is Preset.INFERENCE:
        found += _others(choices, dropped)
    if choices.preset is Preset.TRAINABLE:
        found += _trainable(plan, by_key, dropped)
    if unwritable:
        found.append(
            _warning(
                "unwritable-variables",
                f"{plural(len(unwritable), 'variable')} cannot be written as {plan.format}: "
                f"{_names(unwritable)}.",
                "The list of what is dropped says why; a bundle (tf-bundle) holds all of them.",
            )
        )
        found += _incomplete(plan, by_key, set(unwritable))
    found += _cast(plan)
    found += _renamed(choices, plan)
    found += _averages(choices, plan, by_key)
    if plan.adds_save_counter:
        found.append(
            _info(
                "save-counter-added",
                "It has no save_counter, which tf.train.Checkpoint.restore asks for: one of 0 is "
                "written.",
            )
        )
    return found


def _training(dropped: Iterable[Variable]) -> Iterator[Finding]:
    lost = [
        variable
        for variable in dropped
        if variable.role in (Role.OPTIMIZER_SLOT, Role.OPTIMIZER_STATE)
    ]
    if lost:
        yield _warning(
            "training-state-dropped",
            "Training cannot go on from what is written as if nothing had happened: "
            f"{plural(len(lost), 'variable')} of the optimizer's state "
            f"{'is' if len(lost) == 1 else 'are'} left out.",
            "Keep the source if you may want to train further.",
        )


def _incomplete(
    plan: ExportPlan, by_key: dict[str, Variable], unwritable: set[str]
) -> Iterator[Finding]:
    """Keras loads all of a model's weights or nothing: a part of them would be of no use."""
    if plan.format != "keras-weights-h5":
        return
    from ckptviewer.formats.keras_keys import REPEATS

    lost = [
        each
        for each in plan.dropped
        if each.key in unwritable and by_key[each.key].in_model and each.reason != REPEATS
    ]
    if lost:
        yield Finding(
            code="model-incomplete",
            severity=Severity.ERROR,
            message=f"{plural(len(lost), 'variable')} of the model cannot be written as "
            f"{plan.format}, and Keras loads no part of a model: "
            f"{_names([each.key for each in lost])}: {lost[0].reason}.",
            remedy="Write another format, or leave them out by name.",
        )


def _others(choices: Choices, dropped: Iterable[Variable]) -> Iterator[Finding]:
    others = [
        variable.key
        for variable in dropped
        if variable.role is Role.OTHER and choices.ticks.get(variable.key) is None
    ]
    if others:
        yield _warning(
            "others-dropped",
            f"What {plural(len(others), 'variable is', 'variables are')} for is not known, and "
            f"the preset drops what is not known to be the model's: {_names(others)}.",
            "Keep those that the model needs: --keep KEY, or a tick.",
        )


def _trainable(
    plan: ExportPlan, by_key: dict[str, Variable], dropped: Iterable[Variable]
) -> Iterator[Finding]:
    moving = [variable for variable in dropped if variable.role is Role.MOVING_STATISTIC]
    if moving:
        layers = list(dict.fromkeys(_layer(variable) for variable in moving))
        yield _warning(
            "moving-statistics-dropped",
            f"The moving statistics of {plural(len(layers), 'layer')} are dropped, without which "
            f"the model does not predict what it did: {_names(layers)}.",
            "The preset for inference keeps them.",
        )
    guessed = [each.key for each in plan.kept if rests_on_role(by_key[each.key])]
    if guessed:
        yield _warning(
            "trainability-unknown",
            "The file does not say whether "
            f"{plural(len(guessed), 'variable is', 'variables are')} trainable; they are kept for "
            "their roles (weights, biases, normalising scales and offsets).",
            "Look through the list of what is kept: frozen layers are in it, too.",
        )


def _cast(plan: ExportPlan) -> Iterator[Finding]:
    casts = plan.casts
    if not casts:
        return
    dtype = casts[0].dtype
    restores = (
        f"TensorFlow restores them only into variables of dtype {dtype}: those of a "
        "float32 model need the Python that casts on loading."
        if plan.format == "tf-bundle"
        else f"What loads them meets values of dtype {dtype}."
    )
    yield _warning(
        "cast",
        f"{plural(len(casts), 'variable')} will be written as {dtype}. {restores}",
        "The receipt has that Python.",
    )


def _renamed(choices: Choices, plan: ExportPlan) -> Iterator[Finding]:
    if not (choices.renames or choices.rename_pairs):
        return
    renamed = sum(each.key != each.key_written for each in plan.kept)
    if not renamed:
        yield _warning(
            "nothing-renamed",
            "The rules rename none of what is kept.",
            "Compare them with the keys that `ckptviewer list` prints.",
        )
    elif plan.slims_graph:
        yield _info(
            "renamed-object-keys",
            f"{plural(renamed, 'key is', 'keys are')} renamed, and the object graph refers to the "
            "new ones. tf.train.Checkpoint goes by attributes of objects, which stay: it restores "
            "as before. Whatever reads by key finds the new keys.",
        )


def _averages(choices: Choices, plan: ExportPlan, by_key: dict[str, Variable]) -> Iterator[Finding]:
    if choices.use_ema:
        without = [
            each.key
            for each in plan.kept
            if not each.taken_from
            and by_key[each.key].role in (Role.WEIGHT, Role.BIAS, Role.NORMALIZATION)
        ]
        if without:
            yield _warning(
                "no-average",
                f"{plural(len(without), 'variable has', 'variables have')} no moving average and "
                f"keep their own values: {_names(without)}.",
            )
        return
    averages = [each for each in plan.kept if by_key[each.key].role is Role.MOVING_AVERAGE]
    owned = [each for each in averages if by_key[each.key].slot_of]
    if owned and choices.preset is Preset.INFERENCE:
        yield _info(
            "averages-kept",
            f"{plural(len(owned), 'moving average is', 'moving averages are')} kept beside the "
            "weights, by their keys; a model without its optimizer restores the weights alone.",
            "--use-ema writes them in the place of the weights.",
        )


def _layer(variable: Variable) -> str:
    name = variable.name
    if name == variable.key:
        name = name.removesuffix(VALUE_SUFFIX)
    return name.rpartition("/")[0] or name


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(map(printable, names[:_SHOWN]))
    rest = len(names) - _SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown


def _warning(code: str, message: str, remedy: str = "") -> Finding:
    return Finding(code=code, severity=Severity.WARNING, message=message, remedy=remedy)


def _info(code: str, message: str, remedy: str = "") -> Finding:
    return Finding(code=code, severity=Severity.INFO, message=message, remedy=remedy)
