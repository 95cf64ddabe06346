"""Receipt: the proof of what was written, and what was left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ckptviewer.export.plan import Dropped, Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What an export did.

    source, destination: paths of the checkpoints. format: name of the format that was written.
    kept, dropped: variables, in the order of the source.
    bytes_before, bytes_after: sizes of the files of both.
    verified: whether all that was kept was read back and found equal to its source; False only
        where nothing was written.
    """

    source: str
    destination: str
    format: str
    kept: tuple[Kept, ...]
    dropped: tuple[Dropped, ...]
    bytes_before: int
    bytes_after: int
    verified: bool

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
