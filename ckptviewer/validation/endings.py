"""How a worker came to its end, as one sentence for people."""

from __future__ import annotations

import signal
import sys
from enum import StrEnum
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.validation.protocol import Failure, Outcome

if TYPE_CHECKING:
    from ckptviewer.validation.logs import WorkerLog

_STAGES = {
    "start": "while Python started",
    "libraries": "while TensorFlow was being loaded",
    "model": "while the model was being loaded",
    "data": "while the data was being read",
    "restore": "while the checkpoint was being restored",
    "read-back": "while the variables were being read back",
    "run": "while the data ran through the model",
    "impact": "while the impact of variables was being measured",
    "measure": "while it was being measured",
}


class Reason(StrEnum):
    """Why a worker did not do what was asked."""

    NOT_STARTED = "not-started"
    MISSING_TENSORFLOW = "missing-tensorflow"
    FAILED = "failed"  # it says why
    EXITED = "exited"
    CRASHED = "crashed"
    KILLED = "killed"  # by the system, as a rule for want of memory
    TIME_LIMIT = "time-limit"
    MEMORY_LIMIT = "memory-limit"
    HANG = "hang"
    PROTOCOL = "protocol"


class WorkerError(CkptviewerError, RuntimeError):
    """The worker did not do what was asked; the window goes on.

    reason: why. stage: what it was at. kind: the worker's own name of the problem ("DataProblem").
    log_path: file with all that it printed; log_tail: its last lines. outcome: what it had told.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        remedy: str = "",
        reason: Reason = Reason.FAILED,
        stage: str = "",
        kind: str = "",
        log: WorkerLog | None = None,
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.reason = reason
        self.stage = stage
        self.kind = kind
        self.log_path = log.path if log is not None else ""
        self.log_tail = log.tail() if log is not None else ""
        self.outcome: Outcome | None = None

    @property
    def is_over(self) -> bool:
        """Whether the worker's process is of no use any more."""
        return self.reason not in (Reason.FAILED, Reason.MISSING_TENSORFLOW)


def failed(failure: Failure, log: WorkerLog) -> WorkerError:
    """What the worker itself says."""
    missing = failure.type == "MissingTensorFlow"
    return WorkerError(
        failure.message,
        remedy=failure.remedy,
        reason=Reason.MISSING_TENSORFLOW if missing else Reason.FAILED,
        stage=failure.stage,
        kind=failure.type,
        log=log,
    )


def not_started(python: str, why: str, log_path: str = "") -> WorkerError:
    """There is no process at all."""
    what = f"the interpreter cannot be started: {why}" if python else why
    error = WorkerError(
        what,
        where=python,
        remedy="Choose the Python of the environment that you train in.",
        reason=Reason.NOT_STARTED,
        stage="start",
    )
    error.log_path = log_path
    return error


def ended(status: int, stage: str, log: WorkerLog, *, has_started: bool) -> WorkerError:
    """The process is gone without an answer. status: as of subprocess."""
    at = _STAGES.get(stage, "while it worked")
    if not has_started and status >= 0:
        return WorkerError(
            f"this interpreter cannot run the worker (exit status {status})"
            + (f": {said}" if (said := log.last_line()) else ""),
            remedy="Python 3.9 or later is needed; choose another interpreter.",
            reason=Reason.NOT_STARTED,
            stage=stage,
            log=log,
        )
    if status < 0 or (sys.platform == "win32" and status > 255):
        what, reason, remedy = _by_signal(status, at)
    else:
        what = f"the model's code ended the worker with exit status {status}, {at}"
        reason, remedy = Reason.EXITED, "Look for exit() or os._exit() in it; the log may say why."
    return WorkerError(what, reason=reason, stage=stage, log=log, remedy=remedy)


def _by_signal(status: int, at: str) -> tuple[str, Reason, str]:
    if status == -signal.SIGTERM:
        return f"somebody ended the worker {at} (SIGTERM)", Reason.KILLED, ""
    if sys.platform != "win32" and status == -signal.SIGKILL:
        return (
            f"the system killed the worker {at}, most likely because memory ran out",
            Reason.KILLED,
            "Close other programs, make the batches smaller, or limit the number of examples.",
        )
    name = _signal_name(status)
    remedy = "The log has where; another version of TensorFlow may not crash."
    if "SIGILL" in name:
        remedy = "This TensorFlow may be built for another processor; choose another interpreter."
    return f"the worker crashed {at} ({name})", Reason.CRASHED, remedy


_EXPLAINED = {
    "SIGSEGV": "a segmentation fault",
    "SIGABRT": "it aborted itself",
    "SIGBUS": "a bus error: a file may have been truncated meanwhile",
    "SIGILL": "an instruction that this processor does not have",
    "SIGFPE": "an arithmetic error",
}


def _signal_name(status: int) -> str:
    if status > 0:
        return f"status 0x{status & 0xFFFFFFFF:08X}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
    return f"{_EXPLAINED[name]}, {name}" if name in _EXPLAINED else name


def duration_text(seconds: float) -> str:
    """A duration for people: "90 seconds", "15 minutes"."""
    if seconds < 120:
        return f"{seconds:g} {'second' if seconds == 1 else 'seconds'}"
    return f"{seconds / 60:g} minutes"
