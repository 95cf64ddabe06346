"""What a user should know of a run's directory: stale state, damaged and half-written files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.text import printable
from ckptviewer.runs.entry import CheckpointEntry, Condition
from ckptviewer.runs.latest import Latest

_BY_HAND = "TensorFlow restores what `latest_checkpoint` returns, and restoring None does nothing."


def findings_of_run(latest: Latest, entries: Sequence[CheckpointEntry]) -> Iterator[Finding]:
    """What is wrong with the directory first, then with its checkpoints, in their order."""
    if latest.state is not None:
        yield from _of_state(latest, entries)
    for entry in entries:
        yield from finding_of_trouble(entry)


def finding_of_trouble(entry: CheckpointEntry) -> Iterator[Finding]:
    """A finding for a checkpoint that is not sound."""
    if entry.condition is Condition.INCOMPLETE:
        yield Finding(
            code="incomplete-checkpoint",
            severity=Severity.WARNING,
            message=f"{printable(entry.name)} is half-written or half-deleted: {entry.trouble}.",
            remedy="It may still be being saved; else remove it, or copy what is missing.",
        )
    elif entry.condition is Condition.DAMAGED:
        yield Finding(
            code="damaged-checkpoint",
            severity=Severity.ERROR,
            message=f"{printable(entry.name)} is damaged: {entry.trouble}.",
            remedy="Copy it again from where it was saved; `ckptviewer rescue` saves the rest.",
        )


def _of_state(latest: Latest, entries: Sequence[CheckpointEntry]) -> Iterator[Finding]:
    if latest.path is None or latest.stale:
        yield Finding(
            code="stale-checkpoint-state",
            severity=Severity.WARNING,
            message=latest.reason,
            remedy=_remedy(latest),
        )
        return
    ahead = [entry for entry in entries if entry.sound and entry.step is not None]
    named = next((entry for entry in entries if entry.named_latest), None)
    if named is not None and not named.sound:
        yield Finding(
            code="latest-is-damaged",
            severity=Severity.ERROR,
            message=f"{printable(named.name)}, which `latest_checkpoint` returns, is not sound: "
            f"{named.trouble}.",
            remedy="Restore another one by its own name.",
        )
    elif named is not None and named.step is not None and ahead and ahead[-1].step != named.step:
        last = ahead[-1]
        if last.format == named.format and (last.step or 0) > named.step:
            yield Finding(
                code="latest-is-not-last",
                severity=Severity.INFO,
                message=f"`latest_checkpoint` returns {printable(named.name)}, and "
                f"{printable(last.name)} has the higher step.",
                remedy="To go on from that one, restore it by its own name.",
            )


def _remedy(latest: Latest) -> str:
    if latest.located is None:
        return _BY_HAND
    return f"Restore {printable(str(latest.located))} by its own name. {_BY_HAND}"
