"""Ready-made sets of rename rules, by name: between the generations of TensorFlow's names."""

from __future__ import annotations

from dataclasses import dataclass

from ckptviewer.checkpoint.errors import BadRuleError
from ckptviewer.checkpoint.renaming import RenameRule, parse_rule


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """Rules that belong together.

    name: to choose it by ("tf1-to-tf2"). title: for people. rules: to be applied in order.
    """

    name: str
    title: str
    rules: tuple[RenameRule, ...]


def _rules(*pairs: tuple[str, str]) -> tuple[RenameRule, ...]:
    return tuple(RenameRule(pattern, replacement) for pattern, replacement in pairs)


_PART_END = r"(?=$|:|/)"
# A leaf, with what may come after it: slots, averages, output numbers.
_TF1_TO_TF2 = _rules(
    (":0$", ""),
    (rf"(?<=/)weights{_PART_END}", "kernel"),
    (rf"(?<=/)biases{_PART_END}", "bias"),
    (rf"(?<=/)depthwise_weights{_PART_END}", "depthwise_kernel"),
    (rf"(?<=/)pointwise_weights{_PART_END}", "pointwise_kernel"),
    (r"(?<=/)BatchNorm(?=(?:_\d+)?/)", "batch_normalization"),
    (r"(?<=/)LayerNorm(?=(?:_\d+)?/)", "layer_normalization"),
)
_TF2_TO_TF1 = _rules(
    ("/[.]ATTRIBUTES/VARIABLE_VALUE$", ""),
    (r"(?<=/)layer_normalization(?=(?:_\d+)?/)", "LayerNorm"),
    (r"(?<=/)batch_normalization(?=(?:_\d+)?/)", "BatchNorm"),
    (rf"(?<=/)pointwise_kernel{_PART_END}", "pointwise_weights"),
    (rf"(?<=/)depthwise_kernel{_PART_END}", "depthwise_weights"),
    (rf"(?<=/)kernel{_PART_END}", "weights"),
    (rf"(?<=/)bias{_PART_END}", "biases"),
)

RULE_SETS: dict[str, RuleSet] = {
    each.name: each
    for each in (
        RuleSet(
            name="tf1-to-tf2",
            title="Layers of TensorFlow 1 and slim as Keras names them",
            rules=_TF1_TO_TF2,
        ),
        RuleSet(
            name="tf2-to-tf1",
            title="Layers of Keras as TensorFlow 1 and slim name them",
            rules=_TF2_TO_TF1,
        ),
        RuleSet(
            name="no-output-number",
            title="Take the :0 of tensors' names away",
            rules=_rules((r":\d+$", "")),
        ),
        RuleSet(
            name="no-attributes",
            title="Take /.ATTRIBUTES/VARIABLE_VALUE away",
            rules=_rules(("/[.]ATTRIBUTES/VARIABLE_VALUE$", "")),
        ),
        RuleSet(
            name="average-as-variable",
            title="Moving averages under the names of what they average",
            rules=_rules(("/(?:Exponential)?MovingAverage(?::0)?$", "")),
        ),
        RuleSet(
            name="keras-names",
            title="gamma, beta and moving statistics as Keras names them",
            rules=_rules(
                (rf"(?<=/)(?:running_mean|pop_mean){_PART_END}", "moving_mean"),
                (
                    rf"(?<=/)(?:running_var(?:iance)?|moving_var|pop_var){_PART_END}",
                    "moving_variance",
                ),
            ),
        ),
    )
}
"""The sets by their names, in the order to show them."""


def rules_of(text: str) -> tuple[RenameRule, ...]:
    """The rules that a text means: the name of a set, or one rule, `REGEX=REPLACEMENT`.

    Raises BadRuleError.
    """
    found = RULE_SETS.get(text.strip())
    if found is not None:
        return found.rules
    try:
        return (parse_rule(text),)
    except BadRuleError as error:
        if "=" in text:
            raise
        remedy = f"{error.remedy} Or name a set of rules: {', '.join(RULE_SETS)}."
        raise BadRuleError(error.what, where=error.where, remedy=remedy) from None
