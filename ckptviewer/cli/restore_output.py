"""The restore report for people, and as a document: what would bind, without running a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ckptviewer.checkpoint.text import plural, printable

if TYPE_CHECKING:
    from ckptviewer.analysis.restore_report import RestoreReport

_MOST_RULES = 20


def restore_document(report: RestoreReport) -> dict[str, Any]:
    """All of the report."""
    return {
        "checkpoint": report.checkpoint,
        "model": report.model,
        "restores_model": report.restores_model,
        "rule": str(report.rule),
        "certain": report.certain,
        "call": report.call,
        "raises": report.raises or None,
        "statements": [
            {"call": each.call, "passes": each.passes, "message": each.message}
            for each in report.statements
        ],
        "restore": {
            "bound": [
                {
                    "key": each.key,
                    "name": each.target.name,
                    "rule": str(each.rule),
                    "why": each.why,
                    "converted": each.converted,
                }
                for each in report.bound
            ],
            "missing": [each.target.name for each in report.fresh],
            "unused": [each.key for each in report.unused],
            "mismatched": [
                {"key": each.key, "name": each.target.name, "reason": each.reason}
                for each in report.mismatched
            ],
        },
        "rename_rules": [str(rule) for rule in report.rename_rules],
        "only_head_differs": report.head.why if report.head is not None else None,
        "python": report.partial or report.fix or None,
        "findings": [each.as_document() for each in report.findings],
    }


def print_restore(report: RestoreReport) -> None:
    """What would bind and what would not, all of it; what TensorFlow says; and the way out."""
    print(printable(report.checkpoint))
    print(f"   into {printable(report.model)}")
    print(f"   by {printable(report.call)}{'' if report.certain else ' (told by names)'}\n")
    for statement in report.statements:
        mark = "pass" if statement.passes else "FAIL"
        print(f"  {mark}  {printable(statement.call)}\n        {printable(statement.message)}")
    needed = [each for each in report.bound if each.target.in_model]
    fresh, unused = report.model_fresh, report.unused
    print(f"\n{plural(len(report.bound), 'variable')} would bind, {len(needed)} of the model")
    _list("would not fit", [f"{e.target.name}: {e.reason}" for e in report.mismatched])
    _list(
        "of the model would stay fresh",
        [
            f"{each.target.name}: {each.why}"
            + (f"; likely {each.suggestion} ({each.suggestion_why})" if each.suggestion else "")
            for each in fresh
        ],
    )
    others = [each.target.name for each in report.fresh if not each.target.in_model]
    _list("that predictions do not need would stay fresh", others)
    _list("of the checkpoint would go unused", [f"{e.key} ({e.role})" for e in unused])
    for finding in report.findings:
        print(printable(f"{finding.severity}: {finding.message} {finding.remedy}".rstrip()))
    print_advice(report)
    print(f"\nWill it restore? {'yes' if report.restores_model else 'no'}")


def _list(title: str, lines: Sequence[str]) -> None:
    if lines:
        print(f"\n{plural(len(lines), 'variable')} {title}")
    _print_lines(lines)


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(f"  {printable(line)}")


def print_advice(report: RestoreReport) -> None:
    """The rules and the Python that would bring more together, where that is wanted."""
    if report.restores_model:
        return
    if report.rename_rules:
        print("\nThese rename rules would bind more (--rename of `ckptviewer export`):")
        _print_lines(str(rule) for rule in report.rename_rules[:_MOST_RULES])
        if len(report.rename_rules) > _MOST_RULES:
            print(f"  and {len(report.rename_rules) - _MOST_RULES} more; --json lists all")
    python = report.partial or report.fix
    if python:
        what = "all but the head" if report.partial else "what can be restored"
        print(f"\nPython that restores {what}:\n")
        print("\n".join(f"  {line}".rstrip() for line in python.splitlines()))
