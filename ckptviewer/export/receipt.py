"""Receipt: the proof of what was written, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ckptviewer.checkpoint.casting import CastLoss
from ckptviewer.checkpoint.findings import Finding
from ckptviewer.export.plan import Dropped, ExportPlan, Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """How long it took to open a checkpoint, and to read all its values then; in seconds.

    Measured one after the other on the machine that wrote the receipt.
    """

    open_before: float
    load_before: float
    open_after: float
    load_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What an export did.

    source, destination: paths of the checkpoints. format: name of the format that was written.
    kept, dropped: variables, in the order of the source.
    bytes_before, bytes_after: sizes of the files of both.
    verified: whether all that was kept was read back and found equal to its source; False only
        where nothing was written, None where nothing was to be written.
    added: keys that were written and that the source has not.
    checksums: of what was read back, by key written; see `verify.Proof`.
    losses: what was lost by casting, by key.
    duplicates: keys written whose bytes are those of another key, by that other key.
    files: size in bytes of each file that was written, by name.
    state_file: path of the `checkpoint` file that was written; empty where none was.
    findings: what to know of it.
    timings: None where they were not measured.
    restore_check: what a restore by TensorFlow bound; None where nobody asked TensorFlow.
    """

    source: str
    destination: str
    format: str
    kept: tuple[Kept, ...]
    dropped: tuple[Dropped, ...]
    bytes_before: int
    bytes_after: int
    verified: bool | None
    added: tuple[str, ...] = ()
    checksums: Mapping[str, str] = field(default_factory=dict)
    losses: Mapping[str, CastLoss] = field(default_factory=dict)
    duplicates: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, int] = field(default_factory=dict)
    state_file: str = ""
    findings: tuple[Finding, ...] = ()
    timings: Timings | None = None
    restore_check: Mapping[str, Any] | None = None

    @property
    def is_object_based(self) -> bool:
        """Whether tf.train.Checkpoint restores it by its object graph."""
        from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY

        return self.format == "tf-bundle" and any(
            each.key_written == OBJECT_GRAPH_KEY for each in self.kept
        )

    def as_document(self) -> dict[str, Any]:
        """The receipt as scripts rely on it."""
        return {
            "source": self.source,
            "destination": self.destination,
            "format": self.format,
            "kept": [{"key": each.key, "key_written": each.key_written} for each in self.kept],
            "dropped": [{"key": each.key, "reason": each.reason} for each in self.dropped],
            "bytes_before": self.bytes_before,
            "bytes_after": self.bytes_after,
            "verified": self.verified,
        }

    def as_full_document(self) -> dict[str, Any]:
        """The receipt with all that is known: `as_document`, and more in it."""
        return self.as_document() | {
            "kept": [self._kept_document(each) for each in self.kept],
            "added": list(self.added),
            "renamed": [
                {"key": each.key, "key_written": each.key_written}
                for each in self.kept
                if each.key != each.key_written
            ],
            "cast": [self._cast_document(each) for each in self.kept if each.dtype],
            "duplicates": [
                {"key_written": key, "same_as": other} for key, other in self.duplicates.items()
            ],
            "files": [{"name": name, "bytes": size} for name, size in self.files.items()],
            "state_file": self.state_file or None,
            "findings": [each.as_document() for each in self.findings],
            "timings": None
            if self.timings is None
            else {
                f"{what}_seconds_{when}": getattr(self.timings, f"{what}_{when}")
                for when in ("before", "after")
                for what in ("open", "load")
            },
            "restore_check": None if self.restore_check is None else dict(self.restore_check),
        }

    def _kept_document(self, each: Kept) -> dict[str, Any]:
        return {
            "key": each.key,
            "key_written": each.key_written,
            "reason": each.reason,
            "values_of": each.taken_from or each.key,
            "dtype_written": each.dtype or None,
            "bytes": each.written_bytes,
            "checksum": self.checksums.get(each.key_written),
        }

    def _cast_document(self, each: Kept) -> dict[str, Any]:
        loss = self.losses.get(each.key)
        return {
            "key": each.key,
            "dtype": each.dtype,
            "overflow": None if loss is None else loss.overflow,
            "underflow": None if loss is None else loss.underflow,
            "relative_error": None if loss is None else loss.relative_error,
        }


def receipt_of_plan(
    plan: ExportPlan, destination: str, losses: Mapping[str, CastLoss] | None = None
) -> Receipt:
    """What the receipt of a plan would say; nothing is written, so `verified` is None.

    destination: where it would be written. losses: what casting would lose, where it was looked at.
    """
    added = ("save_counter/.ATTRIBUTES/VARIABLE_VALUE",) if plan.adds_save_counter else ()
    return Receipt(
        source=plan.source,
        destination=destination,
        format=plan.format,
        kept=plan.kept,
        dropped=plan.dropped,
        bytes_before=plan.bytes_before,
        bytes_after=plan.expected_bytes,
        verified=None,
        added=added,
        losses=losses or {},
        findings=plan.findings,
    )
