"""What one input may cost and raise; what goes beyond is written down, and fuzzing goes on."""

from __future__ import annotations

import hashlib
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from ckptviewer.checkpoint.errors import CkptviewerError

LIMIT_SECONDS = 5.0
"""Of processor time: a busy machine makes no hang. What waits for ever is caught by libFuzzer."""

LIMIT_MB = 500
_ADDRESS_SPACE_BYTES = 8 << 30


def limit_memory() -> None:
    """Keep this process from taking the machine's memory, whatever an input asks for."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_BYTES, hard))


class Hang(BaseException):
    """An input took longer than it may."""


class Guard:
    """Runs one input after another, and keeps what they did wrong: one file a kind of finding."""

    def __init__(self, target: Callable[[bytes], None], directory: Path) -> None:
        self._target = target
        self._directory = directory
        self.inputs = 0
        self.slowest_seconds = 0.0
        self.peak_mb = 0
        self.found: dict[str, int] = {}
        signal.signal(signal.SIGPROF, self._stop)
        directory.mkdir(parents=True, exist_ok=True)

    def run(self, data: bytes) -> None:
        """Run one input, and write it down where it is a finding."""
        self.inputs += 1
        outcome = self.outcome(data)
        if not outcome:
            return
        self.found[outcome] = self.found.get(outcome, 0) + 1
        if self.found[outcome] == 1:
            name = hashlib.sha256(outcome.encode()).hexdigest()[:12]
            (self._directory / name).write_bytes(data)
            (self._directory / f"{name}.txt").write_text(f"{outcome}\n{self._trace}")
            print("FOUND", outcome, name, file=sys.stderr, flush=True)

    def outcome(self, data: bytes) -> str:
        """What is wrong with how the input was taken; empty where nothing is."""
        self._trace = ""
        signal.setitimer(signal.ITIMER_PROF, LIMIT_SECONDS)
        begun = time.process_time()
        try:
            self._target(data)
            outcome = ""
        except CkptviewerError as error:
            outcome = self._named(error)  # the targets let through what may be raised
        except (Exception, Hang) as error:
            outcome = self._named(error)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        self.slowest_seconds = max(self.slowest_seconds, time.process_time() - begun)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        self.peak_mb = max(self.peak_mb, peak)
        if peak > LIMIT_MB:
            outcome = outcome or f"memory: over {peak >> 8 << 8} MB"
            _forget_peak()
        return outcome

    def minimised(self, data: bytes) -> bytes:
        """A shorter input with the same outcome: pieces are left out as long as it stays."""
        wanted = self.outcome(data)
        size = len(data) // 2
        while size:
            at = 0
            while at < len(data):
                shorter = data[:at] + data[at + size :]
                if self.outcome(shorter) == wanted:
                    data = shorter
                else:
                    at += size
            size //= 2
        return data

    def _named(self, error: BaseException) -> str:
        """The error and the last place in the package that it came through."""
        self._trace = "".join(traceback.format_exception(error))
        frames = traceback.extract_tb(error.__traceback__)
        frames = [frame for frame in frames if "/ckptviewer/" in frame.filename]
        where = str(error)[:60] or "?"  # a target's own assertion says what is wrong
        if frames:
            where = f"{Path(frames[-1].filename).name}:{frames[-1].name}"
        line = "" if isinstance(error, Hang) or not frames else f":{frames[-1].lineno}"
        return f"{type(error).__name__} in {where}{line}"

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        raise Hang(f"longer than {LIMIT_SECONDS} s")


def _forget_peak() -> None:
    """Let the peak of memory begin anew, where the system can, so that each input has its own."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
