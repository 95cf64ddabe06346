"""Health of one variable, as its statistics tell: what would worry whoever trains with it."""

from __future__ import annotations

from dataclasses import dataclass

from ckptviewer.analysis.summary import Statistics
from ckptviewer.checkpoint.findings import Severity
from ckptviewer.checkpoint.text import count_text, number_text
from ckptviewer.checkpoint.variable import Role, Variable

FEWEST_TO_JUDGE = 4
"""Of fewer elements nothing unusual can be said: a bias of one zero is no dead layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What is noticeable about a variable.

    code: one word, also for the filter ("nan", "inf", "zero", "constant", "fresh", "negative").
    text: for the tree, in a few characters ("3 NaN"). severity: error or warning.
    """

    code: str
    text: str
    severity: Severity


def mark_of(variable: Variable, statistics: Statistics) -> Mark | None:
    """The most serious thing that the statistics of `variable` show; None where all is well."""
    if statistics.nan:
        return Mark(code="nan", text=f"{count_text(statistics.nan)} NaN", severity=Severity.ERROR)
    if statistics.inf:
        return Mark(code="inf", text=f"{count_text(statistics.inf)} Inf", severity=Severity.ERROR)
    name = variable.name.lower()
    if variable.role is Role.MOVING_STATISTIC:
        return _mark_of_moving_statistic(name, statistics)
    worth_judging = statistics.count >= FEWEST_TO_JUDGE and statistics.constant
    if variable.role is Role.WEIGHT and worth_judging and len(variable.shape) > 1:
        if statistics.min == 0:
            return Mark(code="zero", text="all zero", severity=Severity.WARNING)
        text = f"all {number_text(statistics.min, 3)}"
        return Mark(code="constant", text=text, severity=Severity.WARNING)
    return None


def _mark_of_moving_statistic(name: str, statistics: Statistics) -> Mark | None:
    is_variance = "var" in name
    if is_variance and statistics.min is not None and statistics.min < 0:
        return Mark(code="negative", text="negative", severity=Severity.ERROR)
    initial = 1 if is_variance else 0
    if statistics.constant and statistics.count > 1 and statistics.min == initial:
        return Mark(code="fresh", text=f"still {initial}.0", severity=Severity.WARNING)
    return None
