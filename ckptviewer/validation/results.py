"""Gathers a worker's events into one Outcome."""

from __future__ import annotations

from dataclasses import dataclass, field

from ckptviewer.validation.protocol import (
    Agreement,
    Done,
    Event,
    Hello,
    Impact,
    Libraries,
    Measured,
    Measurements,
    ModelInfo,
    Note,
    Outcome,
    ReadBack,
    Restored,
)


@dataclass(slots=True)
class Gathered:
    """What has been told so far."""

    log_path: str = ""
    hello: Hello | None = None
    libraries: Libraries | None = None
    model: ModelInfo | None = None
    restored: dict[str, Restored] = field(default_factory=dict)
    read_back: dict[str, ReadBack] = field(default_factory=dict)
    measurements: dict[str, Measurements] = field(default_factory=dict)
    agreement: Agreement | None = None
    impact: Impact | None = None
    measured: Measured | None = None
    notes: list[Note] = field(default_factory=list)
    seconds: float = 0.0

    def take(self, event: Event) -> None:
        """Add what an event tells."""
        match event:
            case Hello():
                self.hello = event
            case Libraries():
                self.libraries = event
            case ModelInfo():
                self.model = event
            case Restored():
                self.restored[event.checkpoint] = event
            case ReadBack():
                self.read_back[event.checkpoint] = event
            case Measurements():
                self.measurements[event.checkpoint] = event
            case Agreement():
                self.agreement = event
            case Impact():
                self.impact = event
            case Measured():
                self.measured = event
            case Note():
                self.notes.append(event)
            case Done():
                self.seconds = event.seconds
            case _:
                pass

    def outcome(self) -> Outcome:
        """All of it."""
        return Outcome(
            hello=self.hello or Hello(protocol=0, python="", pid=0),
            libraries=self.libraries,
            model=self.model,
            restored=dict(self.restored),
            read_back=dict(self.read_back),
            measurements=dict(self.measurements),
            agreement=self.agreement,
            impact=self.impact,
            measured=self.measured,
            notes=tuple(self.notes),
            seconds=self.seconds,
            log_path=self.log_path,
        )
