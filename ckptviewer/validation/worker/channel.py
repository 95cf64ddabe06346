"""The worker's side of the protocol: one JSON object a line, on descriptors of its own.

Requests come on standard input, events go to what standard output was at the start. Both are moved
away before anything else is loaded: what a model prints goes to standard error, which is the log,
and a model that reads standard input finds it empty.
"""

from __future__ import annotations

import json
import math
import os
import queue
import sys
import threading
from typing import Any

PROTOCOL_VERSION = 1

Plain = dict[str, Any]


class Channel:
    """Requests in, events out. One for a process."""

    def __init__(self) -> None:
        self._out = os.dup(1)
        self._in = os.dup(0)
        os.dup2(2, 1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        sys.stdout = sys.stderr
        self._lock = threading.Lock()
        self._busy = False
        self._requests: queue.Queue[Plain | None] = queue.Queue()
        threading.Thread(target=self._listen, name="requests", daemon=True).start()

    def next_request(self) -> Plain | None:
        """The next request; None when there will be no more. Waits."""
        self._busy = False
        request = self._requests.get()
        self._busy = request is not None
        return request

    def send(self, event: str, **values: Any) -> None:
        """Tell of something; numbers that are not finite become null."""
        line = json.dumps({"event": event, **_finite(values)}, separators=(",", ":"))
        data = line.encode("ascii") + b"\n"
        with self._lock:
            while data:
                data = data[os.write(self._out, data) :]

    def _listen(self) -> None:
        with os.fdopen(self._in, "rb") as lines:
            for line in lines:
                self._requests.put(json.loads(line))
        if self._busy:
            # Whoever asked is gone: nobody would hear the answer, or stop a model that hangs.
            os._exit(0)
        self._requests.put(None)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if hasattr(value, "item"):  # a NumPy scalar
        return _finite(value.item())
    return str(value)
