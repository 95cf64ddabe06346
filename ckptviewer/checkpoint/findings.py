"""Findings: the things a user should know about a checkpoint, one sentence each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters; only an error makes a checkpoint unhealthy."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing the user should know.

    code: stable kebab-case name, for scripts and documentation ("truncated-shard").
    severity: error, warning or info.
    message: what and where, one sentence.
    remedy: what to do, one sentence; empty where there is nothing to do.
    variable: key of the variable it is about; None where it is about the whole checkpoint.
    """

    code: str
    severity: Severity
    message: str
    remedy: str = ""
    variable: str | None = None

    def as_document(self) -> dict[str, str | None]:
        """The finding as it stands in JSON; scripts rely on its fields."""
        return {
            "code": self.code,
            "severity": str(self.severity),
            "variable": self.variable,
            "message": self.message,
            "remedy": self.remedy,
        }


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors, warnings, notes; as they come among equals."""
    return tuple(sorted(findings, key=lambda finding: _RANKS[finding.severity]))
