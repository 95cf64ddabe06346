"""Load, restore and run once, with a watch; a fresh process for each run keeps memory honest."""

from __future__ import annotations

import os
import time
from typing import Any, Callable

import numpy as np

from .data import open_data
from .feeding import Feeder
from .loading import load_model
from .restoring import restore


def measure(request: dict[str, Any], stage: Callable[..., None]) -> dict[str, Any]:
    """The protocol's Measured. Raises Problem."""
    before = resident_bytes()
    start = time.perf_counter()
    stage("model")
    model = load_model(request["model"])
    try:
        loaded = time.perf_counter()
        feeder = None
        if request["data"] is not None:
            stage("data")
            feeder = Feeder(model, open_data(request["data"], model), request["data"])
            model.prepare(feeder.first.inputs)
        stage("restore", checkpoint="a")
        restoring = time.perf_counter()
        restore(model, request["checkpoint"], "a")
        restored = time.perf_counter()
        after = resident_bytes()
        latency = None
        if feeder is not None:
            stage("measure")
            latency = _latency(model, feeder, request["batches"])
    finally:
        model.close()
    return {
        "load_seconds": loaded - start,
        "restore_seconds": restored - restoring,
        "latency_seconds": latency,
        "memory_bytes": None if before is None or after is None else max(0, after - before),
    }


def _latency(model: Any, feeder: Feeder, batches: int) -> float:
    """The median of so many calls, after one that does not count."""
    model.predict(feeder.first.inputs)
    seconds = []
    for _ in range(max(1, batches)):
        start = time.perf_counter()
        model.predict(feeder.first.inputs)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def resident_bytes() -> int | None:
    """The resident size of this process; the greatest so far where only that is told."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        pass
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
