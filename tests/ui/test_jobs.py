"""Jobs: one outcome each, in the GUI thread, never stale, and never lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from ckptviewer.checkpoint.errors import Cancelled, DamagedFileError
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.ui.jobs import Job, Jobs, Report, error_text
from tests.ui.conftest import TIMEOUT_MS, Gate


@pytest.fixture
def jobs(qtbot: QtBot, gate: Gate) -> Iterator[Jobs]:
    jobs = Jobs()
    yield jobs
    gate.release()
    jobs.shut_down()


class Heard:
    """What a job told, and in which thread."""

    def __init__(self, job: Job[Any]) -> None:
        self.told: list[tuple[str, Any]] = []
        self.threads: set[threading.Thread] = set()
        job.succeeded.connect(lambda result: self._note("succeeded", result))
        job.failed.connect(lambda error: self._note("failed", error))
        job.cancelled.connect(lambda: self._note("cancelled", None))
        job.progressed.connect(lambda progress: self._note("progressed", progress.done))

    def _note(self, what: str, value: Any) -> None:
        self.told.append((what, value))
        self.threads.add(threading.current_thread())


def test_result_comes_in_the_gui_thread(jobs: Jobs, qtbot: QtBot) -> None:
    worked_in: list[threading.Thread] = []

    def work(_cancel: CancelToken, report: Report) -> int:
        worked_in.append(threading.current_thread())
        report(Progress(done=1, total=2))
        return 7

    job = jobs.start("Counting", work)
    heard = Heard(job)
    with qtbot.waitSignal(job.ended, timeout=TIMEOUT_MS):
        assert jobs.running == (job,)
    assert heard.told == [("progressed", 1), ("succeeded", 7)]
    assert heard.threads == {threading.main_thread()}
    assert worked_in != [threading.main_thread()]
    assert job.is_over
    assert jobs.running == ()


def test_failure_is_told(jobs: Jobs, qtbot: QtBot) -> None:
    error = DamagedFileError("it is cut short")

    def work(_cancel: CancelToken, _report: Report) -> int:
        raise error

    job = jobs.start("Failing", work)
    heard = Heard(job)
    with qtbot.waitSignal(job.ended, timeout=TIMEOUT_MS):
        pass
    assert heard.told == [("failed", error)]


def test_cancelled_job_tells_nothing_more(jobs: Jobs, gate: Gate, qtbot: QtBot) -> None:
    def work(_cancel: CancelToken, report: Report) -> int:
        gate.hold()
        report(Progress(done=1, total=2))
        return 7

    job = jobs.start("Slow", work)
    heard = Heard(job)
    assert gate.entered.wait(60)
    job.cancel()
    job.cancel()
    assert heard.told == [("cancelled", None)]  # at once, not when the thread notices
    assert jobs.running == ()
    gate.release()
    after = jobs.start("Next", lambda _c, _r: gate.passed.wait(60))
    with qtbot.waitSignal(after.ended, timeout=TIMEOUT_MS):
        pass
    with qtbot.waitSignal(jobs.start("Last", lambda _c, _r: 0).ended, timeout=TIMEOUT_MS):
        pass
    assert heard.told == [("cancelled", None)]


def test_work_that_notices_its_token_ends_as_cancelled(
    jobs: Jobs, gate: Gate, qtbot: QtBot
) -> None:
    def work(cancel: CancelToken, _report: Report) -> None:
        raise Cancelled

    job = jobs.start("Noticing", work)
    heard = Heard(job)
    with qtbot.waitSignal(job.ended, timeout=TIMEOUT_MS):
        pass
    assert heard.told == [("cancelled", None)]


@pytest.mark.parametrize("fails", [False, True])
def test_adopted_work_that_is_over_already_is_heard(fails: bool, jobs: Jobs, qtbot: QtBot) -> None:
    future: Future[int] = Future()
    error = DamagedFileError("it is cut short")
    if fails:
        future.set_exception(error)
    else:
        future.set_result(7)
    job = jobs.adopt("Opening", future)
    heard = Heard(job)  # only now does anyone listen
    with qtbot.waitSignal(job.ended, timeout=TIMEOUT_MS):
        pass
    assert heard.told == [("failed", error) if fails else ("succeeded", 7)]
    assert heard.threads == {threading.main_thread()}


def test_shutting_down_cancels_what_waits(jobs: Jobs, gate: Gate) -> None:
    one = Jobs(threads=1)
    began: list[int] = []
    jobs_started = [
        one.start("Noticing", lambda cancel, _r: (gate.hold(), cancel.raise_if_cancelled())),
        one.start("Waiting", lambda _c, _r: began.append(1)),
    ]
    heard = [Heard(job) for job in jobs_started]
    assert gate.entered.wait(60)
    one.shut_down()
    gate.release()
    one._pool.shutdown(wait=True)
    assert [h.told for h in heard] == [[("cancelled", None)]] * 2
    assert began == []


def test_every_error_has_words() -> None:
    assert error_text(DamagedFileError("cut", where="a", remedy="Mend it.")) == (
        "cut",
        "a",
        "Mend it.",
    )
    what, where, remedy = error_text(ZeroDivisionError("by zero"))
    assert "ZeroDivisionError: by zero" in what
    assert where == ""
    assert "report" in remedy
