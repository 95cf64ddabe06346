"""A comparison as scripts and spreadsheets take it: one JSON document, or a line a variable."""

from __future__ import annotations

import csv
import io
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ckptviewer.analysis.comparison import Comparison, Pair, Status, VariableDelta
from ckptviewer.analysis.difference import Difference
from ckptviewer.checkpoint.text import count_text, plural
from ckptviewer.checkpoint.variable import MODEL_ROLES, Role

if TYPE_CHECKING:
    from ckptviewer.analysis.thresholds import Thresholds
    from ckptviewer.analysis.verdicts import Judgement

_NUMBERS = ("max_abs", "mean_abs", "relative_l2", "cosine", "mean_difference", "std_difference")
_JUDGED = MODEL_ROLES | {Role.OTHER}
_COLUMNS = tuple(
    each.name for each in fields(Difference) if each.name not in ("tolerance", "transposed")
)


def as_document(comparison: Comparison) -> dict[str, Any]:
    """The comparison as scripts rely on it; numbers are null where values were not read.

    A variable that could not be compared also has `problem`, and one of which there is more to say
    `note`.
    """
    return {
        "identical": comparison.identical,
        "summary": {str(status): count for status, count in comparison.summary.items()},
        "variables": [_variable(delta) for delta in comparison.deltas],
    }


def _variable(delta: VariableDelta) -> dict[str, Any]:
    key_a, key_b = delta.pair
    document: dict[str, Any] = {
        "status": str(delta.status),
        "key_a": key_a,
        "key_b": key_b,
        "basis": str(delta.basis) if delta.basis else None,
    }
    document |= {name: getattr(delta.difference, name, None) for name in _NUMBERS}
    told = {"problem": delta.problem, "note": delta.note}
    return document | {name: text for name, text in told.items() if text}


def verdicts_of(
    comparison: Comparison, thresholds: Thresholds | None = None
) -> dict[Pair, Judgement | None]:
    """What happened to each variable, seen beside the others.

    None where figures are missing, and of what is not trained itself: that a step or an optimizer's
    slot has other values says nothing.
    """
    from ckptviewer.analysis.delta_facts import facts_of
    from ckptviewer.analysis.verdicts import DEFAULTS, judge_all

    judged = judge_all([facts_of(delta) for delta in comparison.deltas], thresholds or DEFAULTS)
    return {
        delta.pair: each if delta.variable.role in _JUDGED else None
        for delta, each in zip(comparison.deltas, judged, strict=True)
    }


def as_csv(comparison: Comparison, thresholds: Thresholds | None = None) -> str:
    """A head and a line for each variable, with every number there is; empty where none is."""
    verdicts = verdicts_of(comparison, thresholds)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        (
            "status", "key_a", "key_b", "matched_by", "confidence", "basis", "dtype_a", "dtype_b",
            "shape_a", "shape_b", *_COLUMNS, "verdict", "note", "problem",
        )
    )  # fmt: skip
    for delta in comparison.deltas:
        sides = (delta.variable_a, delta.variable_b)
        writer.writerow(
            (
                delta.status,
                *delta.pair,
                delta.match.reason,
                delta.match.confidence if delta.match.reason else None,
                delta.basis,
                *(side and side.dtype for side in sides),
                *(side and "x".join(map(str, side.shape)) for side in sides),
                *(getattr(delta.difference, name, None) for name in _COLUMNS),
                judged.verdict if (judged := verdicts[delta.pair]) else None,
                delta.note,
                delta.problem,
            )
        )
    return text.getvalue()


ORDER = (
    Status.CHANGED,
    Status.RESHAPED,
    Status.RETYPED,
    Status.REMOVED,
    Status.ADDED,
    Status.RENAMED,
    Status.SAME,
)
"""In which order to show them: what differs comes first."""


def summary_text(comparison: Comparison) -> str:
    """How many variables have each status, in one line, and what that rests on."""
    words = {Status.SAME: "the same"}
    parts = [
        f"{count_text(count)} {words.get(status, status)}"
        for status in ORDER
        if (count := comparison.summary[status])
    ]
    text = f"{plural(len(comparison.deltas), 'variable')}: {', '.join(parts)}"
    by_checksum = sum(delta.unchanged and delta.difference is None for delta in comparison.deltas)
    if by_checksum:
        text += f" ({count_text(by_checksum)} equal by checksum, not read)"
    return text


def conclusion_text(comparison: Comparison) -> str:
    """The answer in one line."""
    if not comparison.identical:
        troubled = len(comparison.problems)
        text = "The checkpoints differ."
        return f"{text} {troubled} could not be compared." if troubled else text
    if comparison.options.tolerance.given:
        tolerance = comparison.options.tolerance
        limits = f"atol {tolerance.atol:g}, rtol {tolerance.rtol:g}"
        return f"The checkpoints are equal within tolerance ({limits})."
    if any(delta.difference is None for delta in comparison.deltas):
        return "The checkpoints are equal by checksum."
    return "The checkpoints are equal, value by value."
