"""The validation report: what the worker found, what the files say, and the verdict on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.text import count_text, plural
from ckptviewer.validation.gains import Gain
from ckptviewer.validation.protocol import Outcome, ReadBack, Restored
from ckptviewer.validation.verdict import (
    Check,
    StatisticsRow,
    Thresholds,
    agreement_check,
    agreement_of,
    nothing_finite,
    read_back_check,
    requirement_checks,
    restore_check,
    some,
    statistics_check,
)

if TYPE_CHECKING:
    from ckptviewer.checkpoint.checkpoint import Checkpoint

_SHOWN_PLACES = 6
_SEVERITIES = {each.value: each for each in Severity}


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationReport:
    """One validation, with its verdict.

    checkpoint, model, against: paths; `against` is empty without a second checkpoint.
    outcome: what the worker gave. statistics: of each variable of the model in A and B.
    checks: all that were made; the verdict is pass where there is one and all pass.
    gains: what B gained over A in size, time and memory, where it was measured.
    """

    checkpoint: str
    model: str
    against: str
    outcome: Outcome
    thresholds: Thresholds
    statistics: tuple[StatisticsRow, ...] = ()
    checks: tuple[Check, ...] = ()
    findings: tuple[Finding, ...] = ()
    gains: tuple[Gain, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether there was something to check, and all of it is good."""
        return bool(self.checks) and all(check.passes for check in self.checks)

    @property
    def verdict(self) -> str:
        """ "pass" or "fail"."""
        return "pass" if self.passes else "fail"

    def as_document(self) -> dict[str, Any]:
        """The report as scripts rely on it; numbers that are not finite are null."""
        measured = self.outcome.measurements
        first = measured.get("a")
        document: dict[str, Any] = {
            "verdict": self.verdict,
            "checkpoint": self.checkpoint,
            "model": self.model,
            "against": self.against or None,
            "restore": _restore_document(self.outcome.restored.get("a")),
            "read_back": _read_back_document(self.outcome.read_back.get("a")),
            "metrics": _numbers(first.values) if first is not None else {},
            "agreement": _number(agreement_of(self.outcome.agreement)),
            "statistics": self._statistics_document(),
            "thresholds": {
                "agreement": self.thresholds.agreement,
                "statistics": self.thresholds.statistics,
                "metrics": [str(each) for each in self.thresholds.requirements],
            },
            "checks": [
                {
                    "name": check.name,
                    "side": check.side or None,
                    "passes": check.passes,
                    "message": check.message,
                    "failing": list(check.failing),
                }
                for check in self.checks
            ],
            "findings": [each.as_document() for each in self.findings],
        }
        if self.against:
            second = measured.get("b")
            document["gains"] = [
                {"name": e.name, "unit": e.unit, "a": e.a, "b": e.b, "differs": e.differs}
                for e in self.gains
            ]
            document["against_restore"] = _restore_document(self.outcome.restored.get("b"))
            document["against_read_back"] = _read_back_document(self.outcome.read_back.get("b"))
            document["against_metrics"] = _numbers(second.values) if second is not None else {}
        return document

    def _statistics_document(self) -> dict[str, Any]:
        if not self.against:
            return {}
        limit = self.thresholds.statistics
        return {
            "passes": statistics_check(self.statistics, limit).passes,
            "failing": [each.name for each in self.statistics if not each.passes(limit)],
            "variables": [
                {
                    "name": each.name,
                    "mean_difference": _number(each.mean_difference),
                    "std_difference": _number(each.std_difference),
                    "passes": each.passes(limit),
                    "problem": each.problem or None,
                }
                for each in self.statistics
            ],
        }


def report_of(
    outcome: Outcome,
    *,
    checkpoint: str,
    model: str,
    against: str = "",
    statistics: Sequence[StatisticsRow] = (),
    thresholds: Thresholds | None = None,
    findings: Sequence[Finding] = (),
    gains: Sequence[Gain] = (),
) -> ValidationReport:
    """The report on what the worker gave.

    One checkpoint alone passes where every variable of the model was bound and reads back equal,
    and every required metric is met. Two pass where that holds of both, and their statistics and
    their outputs agree as well. Metrics are required of the first alone: the second is what it is
    held against.
    """
    thresholds = thresholds or Thresholds()
    checks: list[Check] = []
    for side in ("a", "b") if against else ("a",):
        checks.append(restore_check(outcome.restored.get(side), outcome.model, side))
        checks.append(read_back_check(outcome.read_back.get(side), side))
    if against:
        checks.append(statistics_check(statistics, thresholds.statistics))
        checks.append(agreement_check(outcome.agreement, thresholds.agreement))
    checks += requirement_checks(thresholds.requirements, outcome.measurements.get("a"))
    return ValidationReport(
        checkpoint=checkpoint,
        model=model,
        against=against,
        outcome=outcome,
        thresholds=thresholds,
        statistics=tuple(statistics),
        checks=tuple(checks),
        findings=(*findings, *_notes(outcome), *_silent(outcome), *_nonfinite(outcome)),
        gains=tuple(gains),
    )


def _notes(outcome: Outcome) -> list[Finding]:
    return [
        Finding(
            code=note.code,
            severity=_SEVERITIES.get(note.severity, Severity.INFO),
            message=note.message,
            remedy=note.remedy,
            variable=note.variable,
        )
        for note in outcome.notes
    ]


def _silent(outcome: Outcome) -> list[Finding]:
    """What a restore that says nothing may hide: values that did not move, or are other ones."""
    found = []
    for side, read_back in sorted(outcome.read_back.items()):
        of = "" if len(outcome.read_back) == 1 else f" ({side.upper()})"
        different = [each.name for each in read_back.variables if each.equal is False]
        same = [
            each.name for each in read_back.variables if not each.changed and each.equal is not True
        ]
        if different:
            found.append(
                Finding(
                    code="differs-from-file",
                    severity=Severity.ERROR,
                    message=f"After the restore{of} these are not what the file has: "
                    f"{some(different)}.",
                    remedy="The model changes them on its own, or something else was restored.",
                    variable=different[0],
                )
            )
        if same:
            found.append(
                Finding(
                    code="unchanged-by-restore",
                    severity=Severity.ERROR,
                    message=f"The restore{of} left these as they were: {some(same)}.",
                    remedy="Look at what binds: they keep the values they were initialised with.",
                    variable=same[0],
                )
            )
    return found


def _nonfinite(outcome: Outcome) -> list[Finding]:
    """What two outputs cannot agree on: values that are finite in neither."""
    lost = nothing_finite(outcome.agreement)
    found = []
    for each in outcome.agreement.outputs if outcome.agreement is not None else ():
        if not each.nonfinite:
            continue
        places = ", ".join(map(str, each.nonfinite_at[:_SHOWN_PLACES]))
        more = ", \u2026" if each.nonfinite_examples > _SHOWN_PLACES else ""
        found.append(
            Finding(
                code="both-not-finite",
                severity=Severity.ERROR if each.output in lost else Severity.WARNING,
                message=f"{plural(each.nonfinite, 'value')} of the output {each.output} "
                f"{'is' if each.nonfinite == 1 else 'are'} NaN or infinite in both A and B: in "
                f"{count_text(each.nonfinite_examples)} of {plural(each.examples, 'example')} "
                f"({places}{more}).",
                remedy="That is no agreement: look for NaN in the checkpoints, and in the data.",
            )
        )
    return found


def compare_statistics(
    a: Checkpoint,
    b: Checkpoint,
    bound_a: Mapping[str, str],
    bound_b: Mapping[str, str],
    names: Sequence[str],
    differences: Mapping[tuple[str, str], tuple[float | None, float | None] | str],
) -> tuple[StatisticsRow, ...]:
    """A row for each variable of the model.

    bound_a, bound_b: name of the model's variable to the key it was restored from. differences:
    of mean and deviation by the two keys, or why there are none.
    """
    rows = []
    for name in names:
        key_a, key_b = bound_a.get(name), bound_b.get(name)
        if key_a is None or key_b is None:
            which = " and ".join(
                letter for letter, key in (("A", key_a), ("B", key_b)) if key is None
            )
            rows.append(StatisticsRow(name=name, problem=f"nothing of {which} is bound to it"))
            continue
        if a[key_a].shape != b[key_b].shape:
            rows.append(StatisticsRow(name=name, problem="the shapes differ"))
            continue
        found = differences.get((key_a, key_b), "it was not measured")
        if isinstance(found, str):
            rows.append(StatisticsRow(name=name, problem=found))
        else:
            mean, std = found
            rows.append(StatisticsRow(name=name, mean_difference=mean, std_difference=std))
    return tuple(rows)


def _restore_document(restored: Restored | None) -> dict[str, Any]:
    if restored is None:
        return {"bound": [], "missing": [], "unused": [], "mismatched": []}
    return {
        "how": restored.how,
        "bound": [{"key": e.key, "name": e.name, "rule": e.rule} for e in restored.bound],
        "missing": [each.name for each in restored.missing],
        "unused": list(restored.unused),
        "mismatched": [
            {"key": e.key, "name": e.name, "reason": e.reason} for e in restored.mismatched
        ],
        "assertions": [
            {"name": e.name, "passes": e.passed, "message": e.message} for e in restored.assertions
        ],
    }


def _read_back_document(read_back: ReadBack | None) -> dict[str, Any]:
    """`equal`: whether all is; what has nothing in the file to be compared with is not."""
    variables = read_back.variables if read_back is not None else ()
    return {
        "equal": bool(variables) and all(each.equal for each in variables),
        "different": [each.name for each in variables if not each.equal],
        "unchanged": [each.name for each in variables if not each.changed],
    }


def _numbers(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in values.items()}


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
