"""Progress and cancellation, as values that any floor may pass along."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from ckptviewer.checkpoint.errors import Cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a piece of long work has come.

    done, total: in `unit`; total is 0 while it is unknown.
    unit: "bytes", "variables", "files".
    label: what is being done now, for people.
    """

    done: int
    total: int
    unit: str = "bytes"
    label: str = ""

    @property
    def fraction(self) -> float:
        """The share that is done, 0 to 1; 0 while the total is unknown."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0


class CancelToken:
    """Says, from any thread, that work is no longer wanted."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the work to stop; may be called more than once and from any thread."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` once `cancel` has been called."""
        if self._event.is_set():
            raise Cancelled


class LinkedToken(CancelToken):
    """Cancelled by itself or with any of others, which may have who asks it wait for a while."""

    __slots__ = ("_others",)

    def __init__(self, *others: CancelToken) -> None:
        super().__init__()
        self._others = others

    @property
    def cancelled(self) -> bool:
        return super().cancelled or any(other.cancelled for other in self._others)

    def raise_if_cancelled(self) -> None:
        for other in self._others:
            other.raise_if_cancelled()
        super().raise_if_cancelled()
