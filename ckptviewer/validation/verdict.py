"""The verdict of a validation: which checks were made, which failed, and why.

A check of nothing never passes: where no variable was bound there is nothing that was validated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.text import count_text, plural
from ckptviewer.validation.protocol import Agreement, Measurements, ModelInfo, ReadBack, Restored

AGREEMENT_THRESHOLD = 0.99
STATISTICS_THRESHOLD = 1e-5
_SHOWN = 3
_REQUIREMENT = re.compile(r"\s*([\w.:/-]+?)\s*(>=|<=|>|<)\s*([^\s<>=]+)\s*")


class BadRequirementError(CkptviewerError, ValueError):
    """A required metric is not written as METRIC>=NUMBER."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A metric that has to be reached. operator: one of >=, >, <=, <. limit: finite."""

    metric: str
    operator: str
    limit: float

    def met_by(self, value: float | None) -> bool:
        """Whether `value` reaches it; what was not measured, and NaN, never does."""
        if value is None or math.isnan(value):
            return False
        return {
            ">=": value >= self.limit,
            ">": value > self.limit,
            "<=": value <= self.limit,
            "<": value < self.limit,
        }[self.operator]

    def __str__(self) -> str:
        return f"{self.metric}{self.operator}{self.limit:g}"


def parse_requirement(text: str) -> Requirement:
    """The requirement that `METRIC>=NUMBER` means (also >, <=, <). Raises BadRequirementError."""
    found = _REQUIREMENT.fullmatch(text)
    try:
        if found is not None and math.isfinite(limit := float(found[3])):
            return Requirement(metric=found[1], operator=found[2], limit=limit)
    except ValueError:
        pass
    raise BadRequirementError(
        "it is not METRIC>=NUMBER",
        where=f"requirement {text!r}",
        remedy="Write for example accuracy>=0.95, or loss<=0.3.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What has to be reached.

    agreement: the share of examples on which two checkpoints agree has to be above it; 1: all.
    statistics: |difference of means| and |of deviations| of each variable has to be below it.
    """

    agreement: float = AGREEMENT_THRESHOLD
    statistics: float = STATISTICS_THRESHOLD
    requirements: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsRow:
    """One variable of the model in A and in B. problem: why nothing was compared, or empty.

    Differences are B's less A's; None where they cannot be told.
    """

    name: str
    mean_difference: float | None = None
    std_difference: float | None = None
    problem: str = ""

    def passes(self, threshold: float) -> bool:
        """Whether both differences are there, and below the threshold."""
        differences = (self.mean_difference, self.std_difference)
        return not self.problem and all(
            each is not None and abs(each) < threshold for each in differences
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check. name: "restore", "read-back", "statistics", "agreement", or the requirement.

    side: "a" or "b" where it is of one checkpoint; "". failing: what it names, all of it.
    """

    name: str
    passes: bool
    message: str
    side: str = ""
    failing: tuple[str, ...] = ()


def restore_check(restored: Restored | None, model: ModelInfo | None, side: str) -> Check:
    """Whether every variable of the model got its value from the checkpoint."""
    if restored is None:
        return _failed("restore", "Nothing was restored.", side)
    wrong = (
        *(each.name for each in restored.missing),
        *(each.name for each in restored.mismatched),
    )
    count = len(restored.bound)
    wanted = len(model.variables) if model is not None else count + len(wrong)
    if not count:
        what = "the model has no variables" if not wanted else "no variable of the model was bound"
        named = f" ({some(wrong)})" if wrong else ""
        return _failed("restore", f"Nothing was restored: {what}{named}.", side, wrong)
    bound = {each.name for each in restored.bound}
    if model is not None:
        told = bound.union(wrong)
        wrong += tuple(each.name for each in model.variables if each.name not in told)
    if wrong:
        message = (
            f"{plural(len(bound), 'variable')} of {wanted} bound; not restored: {some(wrong)}."
        )
        if restored.mismatched:
            first = restored.mismatched[0]
            message += f" {first.name}: {first.reason}."
        return _failed("restore", message, side, wrong)
    return Check(
        name="restore",
        passes=True,
        message=f"All {plural(count, 'variable')} of the model bound.",
        side=side,
    )


def read_back_check(read_back: ReadBack | None, side: str) -> Check:
    """Whether every variable of the model now is what the file has."""
    if read_back is None or not read_back.variables:
        return _failed("read-back", "Nothing was read back.", side)
    different = tuple(each.name for each in read_back.variables if each.equal is False)
    unknown = tuple(each.name for each in read_back.variables if each.equal is None)
    count = len(read_back.variables)
    if different or unknown:
        parts = []
        if different:
            parts.append(f"{len(different)} of {count} differ from the file: {some(different)}")
        if unknown:
            parts.append(f"{len(unknown)} have nothing in the file: {some(unknown)}")
        return _failed("read-back", f"{'; '.join(parts)}.", side, different + unknown)
    message = f"All {plural(count, 'variable')} read back equal to the file."
    return Check(name="read-back", passes=True, message=message, side=side)


def statistics_check(rows: Sequence[StatisticsRow], threshold: float) -> Check:
    """Whether means and deviations of all variables of the model are the same in A and B."""
    if not rows:
        return _failed("statistics", "No variable could be compared.")
    failing = tuple(each.name for each in rows if not each.passes(threshold))
    if failing:
        worst = max(rows, key=_size)
        return _failed(
            "statistics",
            f"{len(failing)} of {plural(len(rows), 'variable')} differ by {threshold:g} or more "
            f"in mean or deviation: {some(failing)}."
            + (f" {worst.name}: {worst.problem}." if worst.problem else ""),
            failing=failing,
        )
    return Check(
        name="statistics",
        passes=True,
        message=f"Means and deviations of {plural(len(rows), 'variable')} are within "
        f"{threshold:g}.",
    )


def _size(row: StatisticsRow) -> float:
    if row.problem or row.mean_difference is None or row.std_difference is None:
        return math.inf
    return max(abs(row.mean_difference), abs(row.std_difference))


def agreement_check(agreement: Agreement | None, threshold: float) -> Check:
    """Whether A and B agree on more than the threshold's share of the examples.

    What is no number in both is counted as no agreement; where nothing is one, nothing was checked.
    """
    value = agreement_of(agreement)
    if agreement is None or value is None:
        lost = nothing_finite(agreement)
        if lost:
            message = (
                f"No output of A and B is finite, and nothing could be compared: {some(lost)}."
            )
            return _failed("agreement", message, failing=lost)
        return _failed("agreement", "The outputs of the two were not compared.")
    worst = min(agreement.outputs, key=lambda each: _low(each.agreement))
    examples = plural(worst.examples, "example")
    message = f"A and B agree on {_percent(value)} of {examples}"
    if len(agreement.outputs) > 1:
        message += f" (output {worst.output}, the least)"
    if worst.nonfinite_examples:
        has = "has" if worst.nonfinite_examples == 1 else "have"
        message += f", of which {count_text(worst.nonfinite_examples)} {has} NaN or Inf in both"
    if value > threshold or value == threshold == 1.0:  # more than all cannot be
        return Check(name="agreement", passes=True, message=f"{message}.")
    return _failed(
        "agreement",
        f"{message}, and more than {_percent(threshold)} is wanted.",
        failing=(worst.output,),
    )


def nothing_finite(agreement: Agreement | None) -> tuple[str, ...]:
    """The outputs of which every value is NaN or infinite in both A and B."""
    outputs = agreement.outputs if agreement is not None else ()
    return tuple(each.output for each in outputs if each.nonfinite and each.agreement is None)


def _percent(share: float) -> str:
    return f"{share:.4%}".rstrip("%").rstrip("0").rstrip(".") + "%"


def agreement_of(agreement: Agreement | None) -> float | None:
    """The least agreement over all outputs; None where there is none to tell."""
    if agreement is None or not agreement.outputs:
        return None
    values = [each.agreement for each in agreement.outputs if each.examples]
    known = [value for value in values if value is not None]
    return min(known) if known and len(known) == len(agreement.outputs) else None


def _low(value: float | None) -> float:
    return -1.0 if value is None else value


def requirement_checks(
    requirements: Sequence[Requirement], measured: Measurements | None
) -> Iterator[Check]:
    """Whether each required metric was reached by the checkpoint that is validated."""
    for requirement in requirements:
        value = _metric(measured.values if measured is not None else {}, requirement.metric)
        shown = "was not measured" if value is None else f"is {value:.6g}"
        yield Check(
            name=str(requirement),
            passes=requirement.met_by(value),
            message=f"{requirement.metric} {shown}, "
            f"{requirement.operator}{requirement.limit:g} is required.",
            side="a",
        )


def _metric(values: Mapping[str, float | None], wanted: str) -> float | None:
    if wanted in values:
        return values[wanted]
    plain = plain_metric(wanted)
    return next((value for name, value in values.items() if plain_metric(name) == plain), None)


def plain_metric(name: str) -> str:
    """A metric's name without its spelling: `AUC` and `auc`, `TopKAccuracy`, `top_k_accuracy`."""
    return name.replace("_", "").lower()


def _failed(name: str, message: str, side: str = "", failing: tuple[str, ...] = ()) -> Check:
    return Check(name=name, passes=False, message=message, side=side, failing=failing)


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
