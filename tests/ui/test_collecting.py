"""Objects of Qt die in the GUI thread."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from ckptviewer.checkpoint.collector import collection_paused
from ckptviewer.ui.collecting import TICKS_KEPT, Collecting, retire
from ckptviewer.ui.jobs import Jobs
from tests.ui.conftest import TIMEOUT_MS


@pytest.fixture(autouse=True)
def by_hand(collecting: Collecting) -> None:
    """The test ticks."""
    collecting._timer.stop()


class _Held(QObject):
    """Notes in which thread it dies."""

    def __init__(self, died_in: list[int]) -> None:
        super().__init__()
        weakref.finalize(self, lambda: died_in.append(threading.get_ident()))


def test_python_does_not_collect_by_itself(collecting: Collecting) -> None:
    assert not gc.isenabled()
    collecting.stop()
    assert gc.isenabled()


def test_cycles_are_collected_by_a_tick(collecting: Collecting) -> None:
    died_in: list[int] = []
    held = _Held(died_in)
    held.self_ = held  # type: ignore[attr-defined]
    del held
    junk = [[] for _ in range(2000)]  # type: ignore[var-annotated]
    collecting.tick()
    assert died_in == [threading.get_ident()]
    del junk


def test_who_held_it_before_does_not_switch_it_on_again(collecting: Collecting) -> None:
    collecting.stop()
    with collection_paused():  # as the thread that opens a file before there is a window
        again = Collecting()
    assert not gc.isenabled()
    again.stop()
    assert gc.isenabled()
    again.deleteLater()


def test_what_is_handed_back_lives_until_its_thread_has_had_time(collecting: Collecting) -> None:
    died_in: list[int] = []
    held = _Held(died_in)
    retire(held)
    del held
    for _ in range(TICKS_KEPT):
        collecting.tick()
    assert died_in == []
    collecting.tick()
    assert died_in == [threading.get_ident()]


def test_what_a_job_is_last_to_hold_dies_in_the_gui_thread(
    collecting: Collecting, qtbot: QtBot
) -> None:
    died_in: list[int] = []
    jobs = Jobs()
    go_on, done = threading.Event(), threading.Event()

    def start() -> None:
        held = _Held(died_in)

        def work(_cancel: object, _report: object) -> str:
            go_on.wait(TIMEOUT_MS / 1000)
            return held.objectName()

        jobs.start("Holding", work).ended.connect(done.set)

    start()
    go_on.set()
    qtbot.waitUntil(done.is_set, timeout=TIMEOUT_MS)
    jobs.shut_down()
    jobs._pool.shutdown(wait=True)
    collecting.let_go()
    gc.collect()
    qtbot.waitUntil(lambda: bool(died_in), timeout=TIMEOUT_MS)
    assert died_in == [threading.get_ident()]
