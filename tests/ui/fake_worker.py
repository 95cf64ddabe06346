"""A validation worker that is no process: it plays events that a test has written down."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ckptviewer.checkpoint.errors import Cancelled
from ckptviewer.validation.endings import WorkerError
from ckptviewer.validation.protocol import Event, Outcome, Request
from ckptviewer.validation.results import Gathered


class FakeWorker:
    """Stands in the place of `launcher.run`.

    error: is raised after the events. waits: until it is cancelled, after the events. requests,
    pythons: what it was asked for.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = list(events)
        self.error: WorkerError | None = None
        self.waits = False
        self.requests: list[Request] = []
        self.pythons: list[str | None] = []

    def __call__(
        self,
        request: Request,
        *,
        python: str | None = None,
        cancel: Any = None,
        on_event: Any = None,
        **_: object,
    ) -> Outcome:
        self.requests.append(request)
        self.pythons.append(python)
        gathered = Gathered(log_path="", hello=None)
        for event in self.events:
            gathered.take(event)
            on_event(event)
        while self.waits:
            if cancel.cancelled:
                raise Cancelled
            time.sleep(0.005)
        if self.error is not None:
            self.error.outcome = gathered.outcome()
            raise self.error
        return gathered.outcome()
