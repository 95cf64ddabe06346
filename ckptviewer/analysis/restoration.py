"""The restoration check: do mean and standard deviation of every variable of the model agree?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ckptviewer.analysis.verdicts import DEFAULTS, DeltaFacts, Thresholds
from ckptviewer.checkpoint.text import number_text, plural
from ckptviewer.checkpoint.variable import MODEL_ROLES


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorationFailure:
    """One variable that does not pass.

    mean_difference, std_difference: None where there is nothing to compare.
    why: one clause for people.
    """

    key_a: str | None
    key_b: str | None
    mean_difference: float | None
    std_difference: float | None
    why: str

    @property
    def key(self) -> str:
        """The key to show: of B, or of A where B has none."""
        return self.key_b if self.key_b is not None else self.key_a or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorationCheck:
    """The outcome, over the model's variables, trainable or not.

    checked: how many variables took part. failures: each that does not pass, none left out.
    """

    checked: int
    failures: tuple[RestorationFailure, ...]

    @property
    def passed(self) -> bool:
        """Whether there was something to check, and all of it agrees."""
        return self.checked > 0 and not self.failures

    @property
    def summary(self) -> str:
        """The outcome in one sentence, for people."""
        if not self.checked:
            return "Nothing was checked: there is no variable of a model, and that never passes."
        if not self.failures:
            return f"All {plural(self.checked, 'variable')} of the model agree."
        return f"{len(self.failures)} of {plural(self.checked, 'variable')} of the model disagree."


def check_restoration(
    facts: Iterable[DeltaFacts], thresholds: Thresholds = DEFAULTS
) -> RestorationCheck:
    """Hold |mean difference| and |std difference| of each variable of the model to the thresholds.

    Moving statistics count, optimizer state does not. A variable that is missing on one side, has
    another shape, differs in what is not finite, or of which the figures are unknown, fails; and
    so does a check of no variable at all. Equal content, also by checksum, passes.
    """
    model = [each for each in facts if each.role in MODEL_ROLES]
    failures = (failure for each in model if (failure := _failure(each, thresholds)) is not None)
    return RestorationCheck(checked=len(model), failures=tuple(failures))


def _failure(facts: DeltaFacts, thresholds: Thresholds) -> RestorationFailure | None:
    why = _problem(facts, thresholds)
    if not why:
        return None
    return RestorationFailure(
        key_a=facts.key_a,
        key_b=facts.key_b,
        mean_difference=facts.mean_difference,
        std_difference=facts.std_difference,
        why=why,
    )


def _problem(facts: DeltaFacts, thresholds: Thresholds) -> str:
    if facts.key_a is None or facts.key_b is None:
        return "it is in B alone" if facts.key_a is None else "it is in A alone"
    if facts.equal:
        return ""
    if not facts.comparable:
        return "shapes or dtypes do not let its elements be compared"
    if facts.nan_difference:
        return f"{plural(facts.nan_difference, 'element')} not finite on one side only"
    mean, std = facts.mean_difference, facts.std_difference
    if mean is None or std is None:
        return "its figures are not known"
    problems = []
    # Written so that NaN fails.
    if not abs(mean) < thresholds.restoration_mean:
        problems.append(f"the means differ by {number_text(mean)}")
    if not abs(std) < thresholds.restoration_std:
        problems.append(f"the standard deviations differ by {number_text(std)}")
    return " and ".join(problems)
