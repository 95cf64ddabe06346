"""Answers requests until there are no more."""

from __future__ import annotations

import os
import sys
import time
import traceback
from typing import Any, Callable

from .channel import PROTOCOL_VERSION, Channel
from .problems import Problem, first_line

_SECONDS_BETWEEN_TICKS = 0.05


def main() -> int:
    """Say hello, then serve; returns the exit status."""
    channel = Channel()
    from . import libraries

    channel.send(
        "hello",
        protocol=PROTOCOL_VERSION,
        python=sys.version.split()[0],
        pid=os.getpid(),
        executable=sys.executable or "",
        **libraries.installed_versions(),
    )
    while True:
        request = channel.next_request()
        if request is None:
            return 0
        _answer(channel, request)


class _Stages:
    """Tells of progress, not more often than a person can see, and remembers the stage."""

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send
        self._next = 0.0
        self.now = "start"

    def __call__(
        self, stage: str, done: int = 0, total: int = 0, label: str = "", checkpoint: str = ""
    ) -> None:
        now = time.monotonic()
        if stage == self.now and now < self._next:
            return
        self.now, self._next = stage, now + _SECONDS_BETWEEN_TICKS
        self._send(
            "progress", stage=stage, done=done, total=total, label=label, checkpoint=checkpoint
        )


def _answer(channel: Channel, request: dict[str, Any]) -> None:
    stages = _Stages(channel.send)
    start = time.perf_counter()
    try:
        _perform(request, channel.send, stages)
    except Problem as problem:
        _log(problem)
        channel.send(
            "failure",
            stage=stages.now,
            type=type(problem).__name__,
            message=problem.message,
            remedy=problem.remedy,
        )
    except MemoryError as error:
        _log(error)
        _fail(channel, stages.now, error, "the worker ran out of memory")
    except SystemExit as error:
        _log(error)
        _fail(channel, stages.now, error, f"the model's code ended itself ({first_line(error)})")
    except BaseException as error:
        _log(error)
        _fail(channel, stages.now, error, f"{type(error).__name__}: {first_line(error)}")
    else:
        channel.send("done", seconds=time.perf_counter() - start)


def _log(error: BaseException) -> None:
    traceback.print_exception(type(error), error, error.__traceback__, file=sys.stderr)
    sys.stderr.flush()


def _fail(channel: Channel, stage: str, error: BaseException, message: str) -> None:
    channel.send("failure", stage=stage, type=type(error).__name__, message=message, remedy="")


def _perform(request: dict[str, Any], send: Callable[..., None], stage: _Stages) -> None:
    from . import libraries

    kind = request["request"]
    stage("libraries")
    send("libraries", **libraries.load())
    from .keras_models import clear_session

    try:
        if kind == "measure":
            from .measuring import measure

            send("measured", **measure(request, stage))
            return
        from .validating import Validation, load_and_tell

        if kind == "inspect":
            load_and_tell(request, send, stage).close()
        elif kind == "validate":
            Validation(request, send, stage).perform()
        else:
            raise Problem(f"there is no request {kind!r}")
    finally:
        clear_session()
