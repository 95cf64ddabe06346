"""Starts the validation worker, watches over it, and gathers what it tells.

The worker runs somebody's model under somebody's interpreter: it may crash, hang, fill the memory,
print what it likes or end itself. Each of these becomes one WorkerError, and nothing of it reaches
the process that asked.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from ckptviewer.checkpoint.errors import Cancelled
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.checkpoint.text import size_text
from ckptviewer.validation.endings import (
    Reason,
    WorkerError,
    duration_text,
    ended,
    failed,
    not_started,
)
from ckptviewer.validation.logs import WorkerLog
from ckptviewer.validation.plain import BadDescriptionError
from ckptviewer.validation.processes import clean_environment, kill_tree, resident_bytes
from ckptviewer.validation.protocol import (
    PROTOCOL_VERSION,
    Done,
    Event,
    Failure,
    Hello,
    Outcome,
    Request,
    StageProgress,
    decode_event,
    encode_request,
)
from ckptviewer.validation.results import Gathered

OnEvent = Callable[[Event], None]
Report = Callable[[Progress], None]

_TICK_SECONDS = 0.05
_LONGEST_GOODBYE_SECONDS = 1.0
_SECONDS_BETWEEN_WEIGHINGS = 0.2
_LONGEST_LINE = 256 << 20
_END = None
_TEMPORARY = ("TMPDIR", "TEMP", "TMP")
_NEW_PROCESS_GROUP, _NO_WINDOW = 0x200, 0x8000000  # of Windows


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a request may take. None: no limit.

    seconds: from asking to the answer, the loading of TensorFlow included.
    memory_bytes: resident size of the worker and whatever it starts.
    start_seconds: until the interpreter says hello.
    """

    seconds: float | None = 1800.0
    memory_bytes: int | None = None
    start_seconds: float = 60.0


def worker_path() -> Path:
    """The directory that an interpreter runs as the worker; shipped as plain files."""
    return Path(__file__).resolve().parent / "worker"


def default_python() -> str | None:
    """The interpreter that we run in; None in a frozen application, which has none to offer."""
    return None if getattr(sys, "frozen", False) else sys.executable


def run(
    request: Request,
    *,
    python: str | None = None,
    limits: Limits | None = None,
    cancel: CancelToken | None = None,
    report: Report | None = None,
    on_event: OnEvent | None = None,
    environment: Mapping[str, str] | None = None,
    log_path: str | os.PathLike[str] | None = None,
) -> Outcome:
    """Ask one thing of a worker of its own; waits for the answer. For any thread.

    python: the interpreter; None for the one that we run in. environment: added to ours.
    on_event: hears every event as it comes, in this thread. log_path: None for a file among the
    program's logs.
    Raises WorkerError, and Cancelled within a second of cancelling.
    """
    worker = Worker(python, environment=environment, limits=limits, log_path=log_path)
    with worker:
        return worker.perform(request, cancel=cancel, report=report, on_event=on_event)


class Worker:
    """A worker that is kept for several requests, one at a time; TensorFlow is loaded once.

    After a WorkerError whose `is_over` is set, or Cancelled, its process is gone.
    """

    def __init__(
        self,
        python: str | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        log_path: str | os.PathLike[str] | None = None,
    ) -> None:
        """Starts the process, and does not wait for it. Raises WorkerError."""
        chosen = python or default_python()
        if chosen is None:
            raise not_started("", "this application has no Python of its own to run models with")
        self.python = chosen
        self.limits = limits or Limits()
        self.log = WorkerLog(log_path)
        self.hello: Hello | None = None
        self._lines: queue.Queue[bytes | None] = queue.Queue(maxsize=1000)
        self._stage = "start"
        self._is_over = False
        # What a worker that is killed leaves behind goes with this.
        self._scratch = tempfile.mkdtemp(prefix="ckptviewer-worker-")
        try:
            self._process = self._start(environment or {})
        except OSError as error:
            self.log.close()
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise not_started(chosen, str(error.strerror or error), self.log.path) from error
        self._threads = [
            threading.Thread(target=self._hear, name="worker events", daemon=True),
            threading.Thread(
                target=self.log.fill, args=(self._process.stderr,), name="worker log", daemon=True
            ),
        ]
        for thread in self._threads:
            thread.start()

    def _start(self, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        arguments: dict[str, Any] = {}
        if os.name == "nt":
            arguments["creationflags"] = _NEW_PROCESS_GROUP | _NO_WINDOW
        else:
            arguments["start_new_session"] = True
        return subprocess.Popen(
            [self.python, "-X", "faulthandler", "-u", str(worker_path())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(dict.fromkeys(_TEMPORARY, self._scratch) | dict(environment)),
            **arguments,
        )

    @property
    def is_over(self) -> bool:
        """Whether the process is gone, or about to go."""
        return self._is_over

    @property
    def pid(self) -> int:
        return self._process.pid

    def perform(
        self,
        request: Request,
        *,
        cancel: CancelToken | None = None,
        report: Report | None = None,
        on_event: OnEvent | None = None,
        limits: Limits | None = None,
    ) -> Outcome:
        """Ask one thing, and wait for the answer. Raises as `run` does.

        A WorkerError holds in `outcome` what was told until then.
        """
        watch = _Watch(limits or self.limits, cancel)
        gathered = Gathered(log_path=self.log.path, hello=self.hello)
        if self._is_over:
            raise not_started(self.python, "it has ended already", self.log.path)
        try:
            # In a thread: what does not listen must not hold us up.
            line = encode_request(request)
            threading.Thread(target=self._send, args=(line,), name="asking", daemon=True).start()
            self._listen(watch, gathered, report, on_event)
        except WorkerError as error:
            error.outcome = gathered.outcome()
            if error.is_over:
                self._kill()
            raise
        except BaseException:
            self._kill()
            raise
        return gathered.outcome()

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        # Where it has ended, its exit status tells how.
        with suppress(OSError, ValueError):
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _listen(
        self, watch: _Watch, gathered: Gathered, report: Report | None, on_event: OnEvent | None
    ) -> None:
        while True:
            self._check(watch, gathered)
            try:
                line = self._lines.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                continue
            if line is _END:
                raise self._ended()
            try:
                event = decode_event(line)
            except BadDescriptionError as error:
                if self.hello is None and not line.startswith(b"{"):
                    self.log.add(line)  # what this Python says at its start to whoever listens
                    continue
                raise WorkerError(
                    f"the worker said what cannot be understood: {error}",
                    reason=Reason.PROTOCOL,
                    stage=self._stage,
                    log=self.log,
                ) from error
            self._take(event, gathered)
            if on_event is not None:
                on_event(event)
            if report is not None and isinstance(event, StageProgress):
                report(progress_of(event))
            if isinstance(event, Failure):
                raise failed(event, self.log)
            if isinstance(event, Done):
                return

    def _take(self, event: Event, gathered: Gathered) -> None:
        if isinstance(event, Hello):
            self.hello = event
            if event.protocol != PROTOCOL_VERSION:
                raise WorkerError(
                    f"the worker speaks version {event.protocol} of the protocol, and this program "
                    f"version {PROTOCOL_VERSION}",
                    reason=Reason.PROTOCOL,
                    log=self.log,
                    remedy="Install ckptviewer again.",
                )
        if isinstance(event, StageProgress):
            self._stage = event.stage
        gathered.take(event)

    def _check(self, watch: _Watch, gathered: Gathered) -> None:
        """Raise where it is not wanted any more, or takes more than it may."""
        if watch.cancel is not None and watch.cancel.cancelled:
            raise Cancelled
        limits, now = watch.limits, time.monotonic()
        spent = now - watch.start
        if self.hello is None and spent > limits.start_seconds:
            raise self._over_limit(
                Reason.HANG,
                f"{self.python} did not start within {duration_text(limits.start_seconds)}",
                "Choose another interpreter.",
            )
        if limits.seconds is not None and spent > limits.seconds:
            raise self._over_limit(
                Reason.TIME_LIMIT,
                f"the worker did not finish within its limit of {duration_text(limits.seconds)}",
                "Raise the limit, or limit the number of examples.",
            )
        if limits.memory_bytes is not None and now >= watch.next_weighing:
            watch.next_weighing = now + _SECONDS_BETWEEN_WEIGHINGS
            taken = resident_bytes(self._process.pid)
            if taken is not None and taken > limits.memory_bytes:
                raise self._over_limit(
                    Reason.MEMORY_LIMIT,
                    f"the worker took {size_text(taken)} of memory, and its limit is "
                    f"{size_text(limits.memory_bytes)}",
                    "Raise the limit, or make the batches smaller.",
                )

    def _over_limit(self, reason: Reason, what: str, remedy: str) -> WorkerError:
        return WorkerError(what, reason=reason, stage=self._stage, log=self.log, remedy=remedy)

    def _ended(self) -> WorkerError:
        """How the process came to its end."""
        try:
            status = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:  # it closed its output, and goes on
            return WorkerError(
                "the worker went silent",
                reason=Reason.PROTOCOL,
                stage=self._stage,
                log=self.log,
            )
        self._threads[1].join(timeout=1)
        return ended(status, self._stage, self.log, has_started=self.hello is not None)

    def _hear(self) -> None:
        output: IO[bytes] | None = self._process.stdout
        assert output is not None
        try:
            while line := output.readline(_LONGEST_LINE):
                self._lines.put(line)
        except (OSError, ValueError):
            pass
        self._lines.put(_END)

    def _kill(self) -> None:
        self._is_over = True
        kill_tree(self._process)

    def close(self) -> None:
        """End the process, at once; closing twice is harmless."""
        if not self._is_over:
            self._kill()
        pipes = (self._process.stdin, self._process.stdout, self._process.stderr)
        deadline = time.monotonic() + _LONGEST_GOODBYE_SECONDS
        while any(each.is_alive() for each in self._threads) and time.monotonic() < deadline:
            self._drain()
            self._threads[0].join(timeout=_TICK_SECONDS)
            self._threads[1].join(timeout=_TICK_SECONDS)
        if not any(each.is_alive() for each in self._threads):
            for pipe in pipes:
                with suppress(OSError):
                    if pipe is not None:
                        pipe.close()
        self.log.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _drain(self) -> None:
        """Let the listener go, which may wait for room in the queue."""
        with suppress(queue.Empty):
            while True:
                self._lines.get_nowait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Watch:
    """When a request began, and when to look at its memory next."""

    def __init__(self, limits: Limits, cancel: CancelToken | None) -> None:
        self.limits = limits
        self.cancel = cancel
        self.start = time.monotonic()
        self.next_weighing = 0.0


STAGES = {
    "start": "Starting Python",
    "libraries": "Loading TensorFlow",
    "model": "Loading the model",
    "data": "Looking at the data",
    "restore": "Restoring the checkpoint",
    "read-back": "Reading the variables back",
    "run": "Running the data",
    "impact": "Measuring the impact",
    "measure": "Measuring",
}
"""What each stage is called for people."""


def progress_of(event: StageProgress) -> Progress:
    """A stage's progress as the rest of the program knows it."""
    label = STAGES.get(event.stage, event.stage)
    if event.checkpoint:
        label += f" {event.checkpoint.upper()}"
    if event.label:
        label += f": {event.label}"
    units = {"run": "examples", "read-back": "variables", "impact": "groups"}
    return Progress(
        done=event.done, total=event.total, unit=units.get(event.stage, ""), label=label
    )
