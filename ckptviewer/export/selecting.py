"""Which variables an export keeps, and the reason for each: one clause."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ckptviewer.checkpoint.errors import BadRuleError
from ckptviewer.checkpoint.selection import Test, glob_test
from ckptviewer.checkpoint.text import printable
from ckptviewer.checkpoint.variable import MODEL_ROLES, Role, Variable
from ckptviewer.export.choices import Choices, Preset

Verdict = tuple[bool, str]
"""Whether a variable is kept, and why or why not."""

Rule = Callable[[Variable], Verdict | None]
"""Decides on a variable; None leaves it to the next rule."""

TRAINED_ROLES = frozenset({Role.WEIGHT, Role.BIAS, Role.NORMALIZATION})
"""What is taken to be trained where a file does not say."""

_KEPT = {
    Role.WEIGHT: "a weight of the model",
    Role.BIAS: "a bias of the model",
    Role.NORMALIZATION: "a scale or offset of a normalising layer",
    Role.MOVING_STATISTIC: "a moving statistic, which inference normalises by",
    Role.MOVING_AVERAGE: "a moving average of the model's weights",
}
_NOT_FOR_INFERENCE = {
    Role.OPTIMIZER_SLOT: "a slot of the optimizer, which only training needs",
    Role.OPTIMIZER_STATE: "state of the optimizer, which only training needs",
    Role.COUNTER: "a counter of training, which inference does not need",
    Role.ITERATOR: "the position of an input iterator, which inference does not need",
    Role.RNG: "the state of a random generator, which inference does not need",
    Role.METRIC: "a metric, which inference does not need",
    Role.METADATA: "metadata, which is no part of the model",
    Role.OTHER: "no part of the model as far as its name tells",
}


def decider(choices: Choices) -> Callable[[Variable], Verdict]:
    """A function that says of a variable whether it is kept, and why.

    Raises BadRuleError for what is no regular expression.
    """
    rules, preset = _rules(choices), _by_preset(choices)
    if not rules:
        return preset

    def decide(variable: Variable) -> Verdict:
        for rule in rules:
            verdict = rule(variable)
            if verdict is not None:
                return verdict
        return preset(variable)

    return decide


def _rules(choices: Choices) -> list[Rule]:
    """The rules that go before the preset."""
    rules: list[Rule] = []
    if choices.ticks:
        rules.append(_by_ticks(choices))
    rules += [_excluding(glob_test((glob,)), f"the pattern {glob}") for glob in choices.exclude]
    rules += [_excluding(_regex(text), f"the pattern {text}") for text in choices.exclude_regex]
    wanted = []
    if choices.include or choices.include_regex:
        tests = [_regex(text) for text in choices.include_regex]
        if choices.include:
            tests.append(glob_test(choices.include))
        wanted.append((_any_of(tests), "not among the names that are included"))
    if choices.dtypes:
        dtypes = choices.dtypes
        wanted.append((lambda variable: variable.dtype in dtypes, "not of a dtype that is kept"))
    if choices.roles:
        roles = choices.roles
        wanted.append((lambda variable: variable.role in roles, "not of a role that is kept"))
    rules += [_requiring(test, reason) for test, reason in wanted]
    return rules


def _by_ticks(choices: Choices) -> Rule:
    ticks = choices.ticks

    def rule(variable: Variable) -> Verdict | None:
        ticked = ticks.get(variable.key)
        if ticked is None:
            return None
        return (True, "ticked") if ticked else (False, "its tick was taken away")

    return rule


def _excluding(test: Test, what: str) -> Rule:
    return lambda variable: (False, f"excluded by {printable(what)}") if test(variable) else None


def _requiring(test: Test, reason: str) -> Rule:
    return lambda variable: None if test(variable) else (False, reason)


def _any_of(tests: Sequence[Test]) -> Test:
    return lambda variable: any(test(variable) for test in tests)


def _regex(text: str) -> Test:
    try:
        search = re.compile(text).search
    except (re.error, RecursionError, OverflowError) as error:
        raise BadRuleError(
            f"it is no regular expression: {error}",
            where=printable(text),
            remedy="Write a literal dot as \\. and a bracket as \\(.",
        ) from None
    return lambda variable: bool(search(variable.key) or search(variable.name))


def _by_preset(choices: Choices) -> Callable[[Variable], Verdict]:
    if choices.preset is Preset.INFERENCE:
        return _for_inference
    if choices.preset is Preset.TRAINABLE:
        return _trainable
    if choices.preset is Preset.SELECTED:
        selected = choices.selected
        return lambda variable: (
            (True, "selected") if variable.key in selected else (False, "not selected")
        )
    reason = "included" if choices.include or choices.include_regex else "everything is kept"
    verdict = (True, reason)
    return lambda variable: verdict


def _for_inference(variable: Variable) -> Verdict:
    role = variable.role
    if role in MODEL_ROLES:
        return True, _KEPT[role]
    if role is Role.OPTIMIZER_SLOT and variable.slot_of:
        return False, f"a slot of {variable.slot_of}, which only training needs"
    return False, _NOT_FOR_INFERENCE[role]


def _trainable(variable: Variable) -> Verdict:
    role = variable.role
    if variable.trainable is not None and role in MODEL_ROLES:
        if variable.trainable:
            return True, "trainable, as the file says"
        return False, "not trainable, as the file says"
    if role in TRAINED_ROLES:
        return True, f"{_KEPT[role]}; whether it is trainable is not known"
    if role is Role.MOVING_STATISTIC:
        return False, "a moving statistic, which is not trained"
    if role is Role.MOVING_AVERAGE:
        return False, "a moving average, which is not trained"
    if role is Role.OTHER:
        return False, _NOT_FOR_INFERENCE[role]
    return False, _NOT_FOR_INFERENCE[role].split(", which")[0] + ", which is not trained"


def rests_on_role(variable: Variable) -> bool:
    """Whether `trainable` goes by the role of this variable, since the file does not say."""
    return variable.trainable is None and variable.role in TRAINED_ROLES
