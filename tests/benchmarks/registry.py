"""The frame of the benchmarks: their names, taking turns, and what processes take in memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

BENCHMARKS: dict[str, Callable[[], None]] = {}
ROOT = Path(__file__).parents[2]


def benchmark(name: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a function without arguments that prints what it measured."""

    def register(function: Callable[[], None]) -> Callable[[], None]:
        BENCHMARKS[name] = function
        return function

    return register


class Contestant:
    """A Python process that does one side's work when told to, and tells how long it took.

    module: is started with `python -m`, does what may be done before the clock starts, writes
    "ready" and then, for every line it reads, does the work and writes the seconds it took.
    """

    def __init__(self, module: str, *arguments: str, environment: dict[str, str] | None = None):
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self._expect("ready")

    def run(self) -> float:
        """Do the work once; the seconds it took."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self._expect(""))

    def cpu_seconds(self) -> float:
        """Processor time that it and its living descendants have taken so far."""
        return sum(map(_cpu_of, _family(self.process.pid)))

    def close(self) -> None:
        """Let the process end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)

    def _expect(self, beginning: str) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line or not line.startswith(beginning):
            self.process.kill()
            raise RuntimeError(f"{self.process.args} said {line!r}")
        return line


@contextmanager
def contestants(*made: Callable[[], Contestant]) -> Iterator[list[Contestant]]:
    """Start contestants one after the other, and end them."""
    started: list[Contestant] = []
    try:
        for make in made:
            started.append(make())
        yield started
    finally:
        for contestant in started:
            contestant.close()


class Taken(NamedTuple):
    """What one side took in the median: time on the clock, and of all processors together.

    On a machine that is busy otherwise the second is the one to trust: work that is spread evenly
    over two idle cores takes half of it on the clock.
    """

    seconds: float
    cpu_seconds: float


def by_turns(sides: dict[str, Contestant], rounds: int = 5) -> dict[str, Taken]:
    """What each side takes, after one unmeasured round; they take turns."""
    taken: dict[str, list[Taken]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            before = side.cpu_seconds()
            seconds = side.run()
            if number:
                taken[name].append(Taken(seconds, side.cpu_seconds() - before))
    return {
        name: Taken(*(statistics.median(numbers) for numbers in zip(*times, strict=True)))
        for name, times in taken.items()
    }


def serve(work: Callable[[], float]) -> None:
    """A contestant's main loop."""
    print("ready", flush=True)
    for _ in sys.stdin:
        print(work(), flush=True)


@dataclass
class PeakMemory:
    """Watches what a process and all its descendants have in memory, until stopped.

    resident: the greatest sum of their resident sets, in bytes; pages that they share count once
    for each. proportional: the same with shared pages shared out.
    """

    pid: int
    resident: int = 0
    proportional: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> PeakMemory:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        assert self._thread is not None
        self._thread.join()

    def _watch(self) -> None:
        while True:
            numbers = [_memory_of(pid) for pid in _family(self.pid)]
            self.resident = max(self.resident, sum(rss for rss, _ in numbers))
            self.proportional = max(self.proportional, sum(pss for _, pss in numbers))
            if self._stop.wait(0.01):
                return


def _family(pid: int) -> list[int]:
    """The process and its descendants."""
    family = [pid]
    for parent in family:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                family += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return family


def _cpu_of(pid: int) -> float:
    """User and system seconds of one process; 0 once it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_of(pid: int) -> tuple[int, int]:
    """Resident and proportional bytes; zeros once the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0, 0
    sizes = {name: int(rest.split()[0]) << 10 for name, rest in (s.split(":", 1) for s in lines)}
    return sizes["Rss"], sizes["Pss"]
