"""What slimming a checkpoint gained: file size, load time, memory and latency.

Each run is a process of its own, the two checkpoints take turns, and medians are compared; where
the runs of the two overlap, nothing is claimed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.checkpoint.text import size_text
from ckptviewer.validation.launcher import Limits, run
from ckptviewer.validation.protocol import MeasureRequest, Outcome

DEFAULT_RUNS = 3
_LEAST_DIFFERENCE = 0.02
"""A difference of less than this share of the larger is called none, however steady the runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """One quantity of the original (A) and the slimmed (B).

    name: for people. unit: "bytes" or "seconds". a, b: medians; None where it could not be
    measured. differs: whether the two differ by more than the noise.
    """

    name: str
    unit: str
    a: float | None
    b: float | None
    differs: bool

    @property
    def text(self) -> str:
        """The gain in words: "2.1 MB → 0.7 MB (66.7 % less)", "no difference"."""
        if self.a is None or self.b is None:
            return "not measured"
        if not self.differs:
            return f"no difference ({self._amount(self.a)})"
        change = (self.b - self.a) / self.a if self.a else 0.0
        word = "less" if change < 0 else "more"
        return f"{self._amount(self.a)} → {self._amount(self.b)} ({abs(change):.1%} {word})"

    def _amount(self, value: float) -> str:
        if self.unit == "bytes":
            return size_text(round(value))
        return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"


class _Runner(Protocol):
    def __call__(self, request: MeasureRequest, /) -> Outcome: ...


def measure_gains(
    a: MeasureRequest,
    b: MeasureRequest,
    *,
    runs: int = DEFAULT_RUNS,
    python: str | None = None,
    limits: Limits | None = None,
    environment: Mapping[str, str] | None = None,
    cancel: CancelToken | None = None,
    report: Callable[[Progress], None] | None = None,
) -> list[Gain]:
    """Run A and B in turn, `runs` times each. Raises as `launcher.run`."""

    def perform(request: MeasureRequest) -> Outcome:
        return run(request, python=python, limits=limits, environment=environment, cancel=cancel)

    return gains_of(a, b, perform, runs=runs, report=report)


def gains_of(
    a: MeasureRequest,
    b: MeasureRequest,
    perform: _Runner,
    *,
    runs: int,
    report: Callable[[Progress], None] | None = None,
) -> list[Gain]:
    """As `measure_gains`, with the runs made by `perform`."""
    outcomes: tuple[list[Outcome], list[Outcome]] = ([], [])
    for number in range(2 * runs):
        if report is not None:
            label = f"Measuring {'AB'[number % 2]}"
            report(Progress(done=number, total=2 * runs, unit="runs", label=label))
        outcomes[number % 2].append(perform((a, b)[number % 2]))
    found = [_size(a, b)]
    for name, unit, field in (
        ("Load time", "seconds", "restore_seconds"),
        ("Memory", "bytes", "memory_bytes"),
        ("Latency of a batch", "seconds", "latency_seconds"),
    ):
        values = [
            [getattr(each.measured, field) for each in side if each.measured is not None]
            for side in outcomes
        ]
        found.append(_gain(name, unit, values[0], values[1]))
    return found


def _gain(name: str, unit: str, a: Sequence[float | None], b: Sequence[float | None]) -> Gain:
    known_a = [each for each in a if each is not None]
    known_b = [each for each in b if each is not None]
    if not known_a or not known_b:
        return Gain(name=name, unit=unit, a=None, b=None, differs=False)
    mid_a, mid_b = float(median(known_a)), float(median(known_b))
    apart = max(known_a) < min(known_b) or max(known_b) < min(known_a)
    enough = abs(mid_a - mid_b) > _LEAST_DIFFERENCE * max(mid_a, mid_b)
    return Gain(name=name, unit=unit, a=mid_a, b=mid_b, differs=apart and enough)


def _size(a: MeasureRequest, b: MeasureRequest) -> Gain:
    sizes = [[_bytes_of(each.checkpoint.path)] for each in (a, b)]
    return _gain("File size", "bytes", sizes[0], sizes[1])


def _bytes_of(path: str) -> int | None:
    """The size of a file, or of the files of a bundle; None where there is none."""
    from ckptviewer.formats.bundle_writer import data_files

    try:
        if os.path.isfile(path):
            return os.path.getsize(path)
        files = [path + ".index", *data_files(path)]
        return sum(os.path.getsize(each) for each in files)
    except OSError:
        return None
