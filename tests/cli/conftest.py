"""One validation worker for all tests of the command line: TensorFlow is loaded once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ckptviewer.validation import gains, launcher, validating


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[launcher.Worker]:
    """One worker for several tests: TensorFlow is loaded once."""
    log = tmp_path_factory.mktemp("worker") / "log.txt"
    with launcher.Worker(log_path=log, limits=launcher.Limits(seconds=1800)) as kept:
        yield kept


@pytest.fixture
def kept_worker(worker: launcher.Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the command line use the one worker, as if it had started it."""

    def run(request: Any, **options: Any) -> Any:
        wanted = {name: options[name] for name in ("cancel", "report", "on_event")}
        return worker.perform(request, **wanted)

    def measure(a: Any, b: Any, *, runs: int, **_: object) -> Any:
        return gains.gains_of(a, b, worker.perform, runs=runs)

    monkeypatch.setattr(launcher, "run", run)
    monkeypatch.setattr(validating, "measure_gains", measure)
