"""Errors that nobody expected: what is told of them, what is kept, and that the window lives on."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QLabel
from pytestqt.qtbot import QtBot

from ckptviewer.ui import crash
from ckptviewer.ui.app import CrashTelling
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.crash import Crash, CrashWatch, without_private
from ckptviewer.ui.dialogs.crash_dialog import FATAL_HEADLINE, HEADLINE, CrashDialog


@pytest.fixture
def watch(
    tmp_path: Path, qapp: QApplication, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CrashWatch]:
    """A watch that is listening; what it hears is not pytest's business."""
    monkeypatch.setattr(sys, "excepthook", lambda *_: None)
    monkeypatch.setattr(threading, "excepthook", lambda *_: None)
    watch = CrashWatch(tmp_path / "state" / "ckptviewer", echoes=False)
    watch.install()
    yield watch
    watch.remove()


def heard(watch: CrashWatch) -> list[Crash]:
    told: list[Crash] = []
    watch.happened.connect(told.append)
    return told


def fail(error: Exception) -> None:
    """Let the interpreter meet an error that nobody catches."""
    try:
        raise error
    except Exception as met:
        sys.excepthook(type(met), met, met.__traceback__)


def test_error_is_told_with_its_traceback_and_kept(watch: CrashWatch) -> None:
    told = heard(watch)
    fail(ValueError("no such thing"))
    (met,) = told
    assert met.what == "ValueError: no such thing"
    assert not met.is_fatal
    assert "Traceback (most recent call last)" in met.report
    assert "in fail" in met.report
    assert "ckptviewer 0." in met.report
    assert "Python 3." in met.report
    assert watch.log_path is not None
    assert met.report in watch.log_path.read_text(encoding="utf-8")
    assert watch.log_path.parent.stat().st_mode & 0o077 == 0


def test_error_of_a_thread_is_told_in_the_gui_thread(watch: CrashWatch, qtbot: QtBot) -> None:
    threads: list[threading.Thread] = []
    told: list[Crash] = []

    class Ear(QLabel):
        def hear(self, met: Crash) -> None:
            threads.append(threading.current_thread())
            told.append(met)

    ear = Ear()
    qtbot.addWidget(ear)
    watch.happened.connect(ear.hear)
    work = threading.Thread(target=lambda: 1 / 0)
    work.start()
    work.join()
    qtbot.waitUntil(lambda: bool(told))
    assert told[0].what == "ZeroDivisionError: division by zero"
    assert threads == [threading.main_thread()]


def test_end_of_the_program_is_no_crash(watch: CrashWatch) -> None:
    told = heard(watch)
    for error in (KeyboardInterrupt(), SystemExit(3)):
        sys.excepthook(type(error), error, None)
    assert told == []


def test_error_that_comes_again_is_counted_and_noted_a_few_times(watch: CrashWatch) -> None:
    told = heard(watch)
    for _ in range(50):
        fail(ValueError("again"))
    assert [met.again for met in told] == list(range(50))
    assert watch.log_path is not None
    text = watch.log_path.read_text(encoding="utf-8")
    assert text.count("Traceback") == crash.MOST_NOTED


def test_error_while_telling_of_one_ends_there(watch: CrashWatch) -> None:
    count = 0

    def stumble(_met: Crash) -> None:
        nonlocal count
        count += 1
        fail(RuntimeError("the teller stumbled"))

    watch.happened.connect(stumble)
    fail(ValueError("first"))
    assert count == 1


def test_log_that_cannot_be_written_costs_only_the_log(tmp_path: Path, watch: CrashWatch) -> None:
    (tmp_path / "file").touch()
    watch.directory = tmp_path / "file"
    told = heard(watch)
    watch.note_faults()
    fail(ValueError("x"))
    assert len(told) == 1


def test_log_stays_small(watch: CrashWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crash, "MOST_LOG_BYTES", 20_000)
    for number in range(100):
        sys.excepthook(ValueError, ValueError(f"number {number} {'x' * 450}"), None)
        watch._counts.clear()
    assert watch.log_path is not None
    assert watch.log_path.stat().st_size < 25_000
    assert "number 99" in watch.log_path.read_text(encoding="utf-8")


# What is private


def test_reports_have_no_private_paths_and_names() -> None:
    home, user, host = os.path.expanduser("~"), getpass.getuser(), socket.gethostname()
    text = without_private(
        f"FileNotFoundError: [Errno 2] No such file: '{home}/Secret Project/model.index'\n"
        f"/data/{user}/client/model.ckpt-7.index: damaged. at host {host} by {user}\n"
        f'  File "{home}/.venv/lib/python3.11/site-packages/ckptviewer/ui/app.py", line 7, in f\n'
        f'  File "/home/{user}/ckptviewer/ckptviewer/formats/resolve.py", line 3, in g\n'
        '  File "/usr/lib/python3.11/threading.py", line 1, in h\n'
        "C:\\Users\\anna\\weights.npz \\\\server\\share\\thing.h5 kept/relative 1/2 a / b\n"
    )
    for private in (home, "Secret", "client", "data/", "anna", "server", "share", ".venv"):
        assert private not in text
    for name in (user, host):
        assert name not in text.replace("USER", "").replace("HOST", "").split()
    for kept in ("…/model.index", "…/model.ckpt-7.index", "damaged", '"ckptviewer/ui/app.py"',
                 '"ckptviewer/formats/resolve.py"', "…/threading.py", "…/weights.npz",
                 "…/thing.h5", "kept/relative 1/2 a / b"):  # fmt: skip
        assert kept in text, (kept, text)


# Crashes that end the program


def test_crash_below_python_is_told_at_the_next_start(watch: CrashWatch) -> None:
    assert watch.directory is not None
    code = (
        "import sys, faulthandler; from pathlib import Path; "
        "from ckptviewer.ui.crash import CrashWatch; "
        "w = CrashWatch(Path(sys.argv[1])); w.note_faults(); faulthandler._sigabrt()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(watch.directory)],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert len(list(watch.directory.glob("fault-*.log"))) == 1
    told = heard(watch)
    watch.note_faults()
    (met,) = told
    assert met.is_fatal
    assert met.what == "Fatal Python error: Aborted"
    assert "most recent call first" in met.report
    own = watch.directory / f"fault-{os.getpid()}.log"
    assert list(watch.directory.glob("fault-*.log")) == [own]
    watch.remove()
    assert not own.exists()


def test_process_that_runs_keeps_its_log(watch: CrashWatch) -> None:
    assert watch.directory is not None
    watch.directory.mkdir(parents=True)
    others = watch.directory / f"fault-{os.getppid()}.log"
    others.write_text("still at it\n")
    (watch.directory / "fault-of-nobody.log").write_text("x")
    told = heard(watch)
    watch.note_faults()
    assert told == []
    assert others.exists()


# The dialog


def test_dialog_tells_and_its_report_is_copied(
    watch: CrashWatch, appearance: Appearance, qtbot: QtBot
) -> None:
    dialog = CrashDialog(appearance)
    qtbot.addWidget(dialog)
    watch.happened.connect(dialog.show_crash)
    assert not dialog.isVisible()
    fail(ValueError("no such thing"))
    assert dialog.isVisible()
    assert not dialog.isModal()
    assert dialog.headline.text() == HEADLINE
    assert dialog.what.text() == "ValueError: no such thing"
    dialog.copy.click()
    assert QGuiApplication.clipboard().text() == dialog.report.toPlainText()
    assert "Traceback" in dialog.report.toPlainText()
    fail(TypeError("another"))
    assert dialog.what.text() == "TypeError: another"
    for word in ("no such thing", "another"):
        assert word in dialog.report.toPlainText()


def test_dialog_does_not_come_back_for_what_was_told(appearance: Appearance, qtbot: QtBot) -> None:
    dialog = CrashDialog(appearance)
    qtbot.addWidget(dialog)
    dialog.show_crash(Crash(what="x", report="r"))
    dialog.show_crash(Crash(what="x", report="r", again=1))
    assert dialog.what.text() == "x (2 times)"
    dialog.reject()
    dialog.show_crash(Crash(what="x", report="r", again=2))
    assert not dialog.isVisible()
    dialog.show_crash(Crash(what="Fatal", report="r", is_fatal=True))
    assert dialog.headline.text() == FATAL_HEADLINE
    assert dialog.lives_on.isHidden()


def test_window_lives_on_and_another_dialog_follows_a_closed_one(
    watch: CrashWatch, appearance: Appearance, qtbot: QtBot
) -> None:
    telling = CrashTelling(watch, appearance)

    def dialogs() -> list[CrashDialog]:
        return [w for w in QApplication.topLevelWidgets()
                if isinstance(w, CrashDialog) and w.isVisible()]  # fmt: skip

    # An error in a slot, as Qt's event loop meets it.
    QTimer.singleShot(0, lambda: {}["absent"])
    qtbot.waitUntil(lambda: len(dialogs()) == 1)
    assert dialogs()[0].what.text() == "KeyError: 'absent'"
    dialogs()[0].close()
    qtbot.waitUntil(lambda: telling._dialog is None)
    fail(TypeError("after that"))
    (dialog,) = dialogs()
    assert dialog.what.text() == "TypeError: after that"
    dialog.close()
    qtbot.waitUntil(lambda: telling._dialog is None)
