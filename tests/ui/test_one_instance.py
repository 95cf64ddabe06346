"""One instance: paths are handed over to the window that runs, whatever else may listen or ask."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from ckptviewer.resources import demo_checkpoint
from ckptviewer.ui import hand_over, start, startup_note
from ckptviewer.ui.app import Application
from ckptviewer.ui.hand_over import (
    ACCEPTED,
    MOST_BYTES,
    MOST_PATHS,
    REFUSED,
    BadRequestError,
    Claim,
    Request,
    claim,
    decode,
    encode,
    meet,
    meeting_place,
)
from ckptviewer.ui.main_window import MainWindow
from ckptviewer.ui.one_instance import OneInstance
from ckptviewer.ui.windows import Windows, apart

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there it is a named pipe")


@pytest.fixture
def place(short_path: Path) -> str:
    return str(short_path / "w.socket")


@pytest.fixture
def instance(place: str, qapp: QApplication) -> Iterator[OneInstance]:
    """One that listens."""
    mine = claim(place)
    assert mine is not None
    instance = OneInstance(mine)
    assert instance.is_listening
    yield instance
    instance.close()


def in_thread(work: object, *arguments: object) -> tuple[threading.Thread, list[object]]:
    """Run what another process would do; this one has the event loop."""
    results: list[object] = []
    assert callable(work)
    thread = threading.Thread(target=lambda: results.append(work(*arguments)))
    thread.start()
    return thread, results


# Requests


REQUESTS = st.builds(
    Request,
    paths=st.lists(
        st.text(st.characters(exclude_characters="\0"), max_size=50).map(lambda t: f"/{t}"),
        max_size=5,
    ).map(tuple),
    compare=st.booleans(),
    token=st.text("abcXYZ019_-", max_size=30),
)


@given(REQUESTS)
def test_request_is_understood_as_it_was_meant(request_: Request) -> None:
    line = encode(request_)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == request_


def test_path_that_is_no_utf8_is_handed_over() -> None:
    path = os.fsdecode(b"/caf\xe9/model.index")
    assert decode(encode(Request(paths=(path,)))).paths == (path,)


GOOD = {"ckptviewer": 1, "paths": ["/a"], "compare": False, "token": ""}


@pytest.mark.parametrize(
    "told",
    [
        b"", b"\n", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"ckptviewer": 1}',
        *(
            json.dumps(GOOD | change).encode()
            for change in (
                {"ckptviewer": 2}, {"ckptviewer": "1"}, {"paths": "/a"}, {"paths": ["a"]},
                {"paths": [""]}, {"paths": [3]}, {"paths": ["/a\0b"]}, {"paths": {"a": 1}},
                {"paths": ["/a"] * (MOST_PATHS + 1)}, {"paths": ["/" + "a" * 40_000]},
                {"compare": 1}, {"compare": None}, {"token": 7}, {"token": "a\nb"},
                {"token": "x" * 1000}, {"token": "\u00e9"},
            )
        ),
        json.dumps(GOOD).encode() + b" " * MOST_BYTES,
    ],
    ids=lambda told: ascii(told[:40]),
)  # fmt: skip
def test_what_is_no_request_is_one_error(told: bytes) -> None:
    with pytest.raises(BadRequestError):
        decode(told)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_that_error(told: bytes) -> None:
    try:
        decode(told)
    except BadRequestError:
        pass


def test_too_much_is_not_handed_over(place: str) -> None:
    paths = tuple(f"/{i}" for i in range(MOST_PATHS + 1))
    assert meet(Request(paths=paths), place) is False
    assert not os.path.exists(place)


# The meeting place


def test_displays_keep_apart(short_path: Path) -> None:
    runtime = short_path / "run"
    runtime.mkdir(mode=0o700)
    base = {"XDG_RUNTIME_DIR": str(runtime), "DISPLAY": ":7"}
    found = meeting_place(base)
    assert found is not None
    assert found == meeting_place(dict(base))
    directory = os.path.dirname(found)
    assert directory.startswith(str(runtime))
    assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
    others = {
        meeting_place(base | {"DISPLAY": ":8"}),
        meeting_place(base | {"WAYLAND_DISPLAY": "wayland-0"}),
        meeting_place(base | {"CKPTVIEWER_SETTINGS": "/elsewhere"}),
        found,
    }
    assert len(others) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")
def test_without_a_display_there_is_no_meeting() -> None:
    assert meeting_place({}) is None
    assert meet(Request(paths=("/a",)), None) is False


UNSAFE = {"DISPLAY": ":7", "TMPDIR": "/no/such/directory"}


@pytest.mark.parametrize("what", ["link", "file", "open to others"])
def test_directory_that_is_not_safely_ours_is_not_used(what: str, short_path: Path) -> None:
    directory = short_path / "ckptviewer"
    if what == "link":
        (short_path / "target").mkdir(mode=0o700)
        directory.symlink_to(short_path / "target")
    elif what == "file":
        directory.touch()
    else:
        directory.mkdir(mode=0o700)
        directory.chmod(0o750)
    assert meeting_place(UNSAFE | {"XDG_RUNTIME_DIR": str(short_path)}) is None


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="needs two users")
def test_directory_of_another_user_is_not_used(short_path: Path) -> None:
    directory = short_path / "ckptviewer"
    directory.mkdir(mode=0o700)
    os.chown(directory, 12345, -1)
    assert meeting_place(UNSAFE | {"XDG_RUNTIME_DIR": str(short_path)}) is None


def test_the_system_s_directory_serves_where_there_is_no_session(short_path: Path) -> None:
    found = meeting_place({"DISPLAY": ":7", "TMPDIR": str(short_path)})
    assert found is not None
    assert os.path.dirname(found) == str(short_path / f"ckptviewer-{os.getuid()}")
    elsewhere = {"DISPLAY": ":7", "TMPDIR": str(short_path), "XDG_RUNTIME_DIR": "/" + "x" * 200}
    assert meeting_place(elsewhere) == found


# Claims


def test_place_has_one_owner_at_a_time_and_is_given_back_without_a_trace(place: str) -> None:
    first = claim(place)
    assert first is not None
    assert stat.S_IMODE(os.stat(place).st_mode) == 0o600
    assert claim(place) is None
    first.give_back()
    first.give_back()
    assert os.listdir(os.path.dirname(place)) == []
    second = claim(place)
    assert second is not None
    second.give_back()


def test_what_a_crash_left_is_no_obstacle(place: str) -> None:
    code = (
        "import sys, time; from ckptviewer.ui.hand_over import claim; mine = claim(sys.argv[1]); "
        "print(mine is not None, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, place], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert claim(place) is None
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert os.path.exists(place)
    met = meet(Request(paths=("/a",)), place)
    assert isinstance(met, Claim)
    met.give_back()


def test_socket_of_nobody_is_no_obstacle(place: str) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
    met = meet(Request(paths=()), place)
    assert isinstance(met, Claim)
    met.give_back()


def test_lock_that_is_a_link_is_not_followed(place: str, short_path: Path) -> None:
    (short_path / "w.socket.lock").symlink_to(short_path / "elsewhere")
    assert meet(Request(paths=()), place) is False
    assert not (short_path / "elsewhere").exists()


def test_owner_that_hangs_is_not_waited_for(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hand_over, "ANSWER_SECONDS", 0.1)
    mine = claim(place)
    assert mine is not None
    assert meet(Request(paths=("/a",)), place) is False
    mine.give_back()


@pytest.mark.parametrize("answer", [REFUSED, b"no", b"\0" * 100])
def test_owner_that_refuses_is_left_alone(answer: bytes, place: str) -> None:
    mine = claim(place)
    assert mine is not None
    descriptor = mine.descriptor()
    assert descriptor is not None
    with socket.socket(fileno=descriptor) as listening:
        thread, results = in_thread(meet, Request(paths=("/a",)), place)
        connection, _ = listening.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(answer)
        thread.join()
    assert results == [False]
    mine.give_back()


# Handing over


def test_request_arrives(instance: OneInstance, place: str, qtbot: QtBot) -> None:
    request = Request(paths=("/a/b.index", "/c d"), compare=True, token="t_TIME7")
    with qtbot.waitSignal(instance.requested) as told:
        thread, results = in_thread(meet, request, place)
    thread.join()
    assert results == [True]
    assert told.args == [request]


def test_request_waits_for_a_window_that_is_still_being_made(
    place: str, qapp: QApplication, qtbot: QtBot
) -> None:
    mine = claim(place)
    assert mine is not None
    thread, results = in_thread(meet, Request(paths=("/a",)), place)
    instance = OneInstance(mine)
    with qtbot.waitSignal(instance.requested) as told:
        pass
    thread.join()
    assert results == [True]
    assert told.args == [Request(paths=("/a",))]
    instance.close()
    assert not os.path.exists(place)


def test_many_requests_at_once_all_arrive(instance: OneInstance, place: str, qtbot: QtBot) -> None:
    told: list[Request] = []
    instance.requested.connect(told.append)
    asking = [in_thread(meet, Request(paths=(f"/{i}",)), place) for i in range(10)]
    qtbot.waitUntil(lambda: len(told) == 10)
    for thread, results in asking:
        thread.join()
        assert results == [True]
    assert sorted(request.paths[0] for request in told) == sorted(f"/{i}" for i in range(10))


@pytest.mark.parametrize(
    "sent",
    [b"\n", b"GET / HTTP/1.1\r\n\r\n", b'{"ckptviewer": 2}\n', b"x" * (MOST_BYTES + 10),
     json.dumps(GOOD).encode() + b"\nmore\n"],
    ids=["nothing", "http", "version", "endless", "more"],
)  # fmt: skip
def test_what_is_no_request_is_refused_and_the_next_is_heard(
    sent: bytes, instance: OneInstance, place: str, qtbot: QtBot
) -> None:
    told: list[Request] = []
    instance.requested.connect(told.append)

    def ask() -> bytes:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(20)
            asking.connect(place)
            try:
                asking.sendall(sent)
            except OSError:  # it has heard enough
                pass
            try:
                return asking.recv(100)
            except OSError:
                return b""

    thread, results = in_thread(ask)
    qtbot.waitUntil(lambda: bool(results), timeout=20_000)
    thread.join()
    assert results[0] in (REFUSED, b"")
    assert told == []
    with qtbot.waitSignal(instance.requested):
        thread, _ = in_thread(meet, Request(paths=("/a",)), place)
    thread.join()


def test_one_connection_is_heard_once(instance: OneInstance, place: str, qtbot: QtBot) -> None:
    told: list[Request] = []
    instance.requested.connect(told.append)
    line = encode(Request(paths=("/a",)))

    def ask_twice() -> bytes:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(place)
            asking.sendall(line)
            answer = asking.recv(100)
            try:
                asking.sendall(line)
                answer += asking.recv(100)
            except OSError:  # it is closed already
                pass
        return answer

    thread, results = in_thread(ask_twice)
    qtbot.waitUntil(lambda: bool(results), timeout=20_000)
    thread.join()
    assert results == [ACCEPTED]
    assert len(told) == 1


def test_those_who_say_nothing_do_not_keep_others_out(
    instance: OneInstance, place: str, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = [socket.socket(socket.AF_UNIX) for _ in range(16)]
    for connection in silent:
        connection.connect(place)
    qtbot.waitUntil(lambda: len(instance._connections) == 16)
    for connection in silent:
        connection.close()
    with qtbot.waitSignal(instance.requested):
        thread, _ = in_thread(meet, Request(paths=("/a",)), place)
    thread.join()
    qtbot.waitUntil(lambda: not instance._connections)


# What the window makes of it


def shown(windows: Windows) -> list[MainWindow]:
    return list(windows._windows)


@pytest.mark.qt_log_ignore(
    r"raise\(\)", "propagateSizeHints", extend=True
)  # off screen, there is no front
def test_empty_window_takes_the_path_and_the_next_gets_its_own(
    windows: Windows, window: MainWindow, qtbot: QtBot
) -> None:
    path = str(demo_checkpoint())
    with qtbot.waitSignal(window.opened, timeout=20_000):
        windows.answer(Request(paths=(path,)))
    assert shown(windows) == [window]
    windows.answer(Request(paths=(path.removesuffix(".index"),)))
    assert shown(windows) == [window]  # it is open there already
    other = path.replace("600", "40")
    windows.answer(Request(paths=(other, path.replace(".index", ".data-00000-of-00001"))))
    assert [w.asked for w in shown(windows)][1] == other
    assert len(shown(windows)) == 3
    windows.answer(Request(paths=()))
    assert len(shown(windows)) == 4
    assert shown(windows)[3].asked == ""
    windows.answer(Request(paths=()))
    assert len(shown(windows)) == 4


@pytest.mark.qt_log_ignore(
    r"raise\(\)", "propagateSizeHints", extend=True
)  # off screen, there is no front
def test_two_that_are_to_be_compared_are(
    windows: Windows, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[str, str]] = []
    monkeypatch.setattr(
        MainWindow, "compare_paths", lambda _self, a, b: compared.append((a, b)), raising=False
    )
    opened: list[str] = []
    monkeypatch.setattr(MainWindow, "open_path", lambda _self, path, *_: opened.append(path))
    windows.answer(Request(paths=("/a.index", "/b.index"), compare=True))
    assert (compared, opened) == ([("/a.index", "/b.index")], [])
    windows.answer(Request(paths=("/a.index", "/a.data-00000-of-00001"), compare=True))
    windows.answer(Request(paths=("/c", "/d", "/e"), compare=True))
    windows.answer(Request(paths=("/f", "/g")))
    assert len(compared) == 1
    assert opened == ["/a.index", "/c", "/d", "/e", "/f", "/g"]


def test_files_of_one_bundle_are_one_checkpoint() -> None:
    paths = ["/m.index", "/m.data-00001-of-00002", "/m.meta", "/m", "/n.index", "/m.index.bak"]
    assert apart(paths) == ["/m.index", "/n.index", "/m.index.bak"]


def test_file_that_the_desktop_sends_is_wanted(qapp: QApplication, short_path: Path) -> None:
    told: list[Request] = []

    class Ear:
        requested = type("Signal", (), {"emit": staticmethod(told.append)})()

    event = QFileOpenEvent(str(short_path / "model.index"))
    assert Application.event.__get__(Ear())(event) is True  # type: ignore[arg-type]
    assert told == [Request(paths=(str(short_path / "model.index"),))]
    QCoreApplication.processEvents()


# The start


@pytest.mark.parametrize(
    ("arguments", "is_shared"),
    [
        ([], True),
        (["a"], True),
        (["--demo"], True),
        (["--compare", "a", "b"], True),
        (["--new-window", "a"], False),
        (["--screenshot", "x.png", "a"], False),
        (["--theme", "dark"], False),
        (["--size", "1280x800"], False),
        (["--select", "k"], False),
    ],
)
def test_options_of_this_very_start_keep_to_themselves(
    arguments: list[str], is_shared: bool
) -> None:
    assert start._is_shared(start.parse(arguments)) is is_shared


def test_paths_are_handed_over_absolute_with_the_desktop_s_token(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(short_path)
    monkeypatch.setenv("DESKTOP_STARTUP_ID", "host_TIME12")
    monkeypatch.delenv("XDG_ACTIVATION_TOKEN", raising=False)
    options = start.parse(["open", "--compare", "a.index", "../b"])
    request = start._request(options)
    assert request.paths == (str(short_path / "a.index"), str(short_path.parent / "b"))
    assert request.compare is True
    assert request.token == "host_TIME12"
    monkeypatch.setenv("XDG_ACTIVATION_TOKEN", "wayland\n")
    assert start._request(options).token == "host_TIME12"


def test_second_start_hands_over_and_ends_before_qt_is_loaded(
    short_path: Path, qtbot: QtBot, qapp: QApplication
) -> None:
    """The whole way, with another process; it could not load Qt if it tried."""
    runtime = short_path / "run"
    runtime.mkdir(mode=0o700)
    environment = os.environ | {
        "XDG_RUNTIME_DIR": str(runtime), "DISPLAY": ":7", "WAYLAND_DISPLAY": "",
        "PYTHONPATH": str(short_path),
    }  # fmt: skip
    (short_path / "PySide6").mkdir()
    (short_path / "PySide6" / "__init__.py").write_text("raise ImportError('not this early')\n")
    (short_path / "numpy.py").write_text("raise ImportError('nor this')\n")
    place = meeting_place(environment)
    assert place is not None
    mine = claim(place)
    assert mine is not None
    instance = OneInstance(mine)
    with (
        qtbot.waitSignal(instance.requested, timeout=20_000) as told,
        subprocess.Popen(
            [sys.executable, "-m", "ckptviewer", "model.index"],
            env=environment, cwd=short_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as other,
    ):  # fmt: skip
        qtbot.waitUntil(lambda: other.poll() is not None, timeout=20_000)
        assert other.stdout is not None
        assert (other.returncode, other.stdout.read()) == (0, b"")
    assert told.args == [Request(paths=(str(short_path / "model.index"),))]
    instance.close()
    assert ACCEPTED.startswith(b"ckptviewer 1 ")


# Word to the desktop that a start is over


def test_word_to_the_desktop_is_cut_into_events() -> None:
    text = startup_note.message('host "a"\\_TIME7')
    assert text == b'remove: ID="host \\"a\\"\\\\_TIME7"\0'
    found = startup_note.events(text, window=5, begin=6, more=7)
    assert [len(event) for event in found] == [32] * len(found)
    assert b"".join(event[12:] for event in found).rstrip(b"\0") == text.rstrip(b"\0")
    assert [int.from_bytes(event[8:12], sys.byteorder) for event in found] == [6, 7]


@pytest.mark.parametrize(
    ("start_id", "display"), [("", ":7"), ("x_TIME1", ""), ("x_TIME1", ":987")]
)
def test_no_word_where_no_desktop_waits(
    start_id: str, display: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESKTOP_STARTUP_ID", start_id)
    monkeypatch.setenv("DISPLAY", display)
    assert startup_note.tell_start_is_over() is False
