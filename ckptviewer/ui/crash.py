"""Errors that nobody expected: told with a report that can be passed on, noted, and survived.

An error in Python leaves the window alive; a crash below it is noted by faulthandler in a file
that the next start finds.
"""

from __future__ import annotations

import faulthandler
import os
import re
import sys
import threading
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QObject, Signal, qVersion

from ckptviewer import __version__

MOST_LOG_BYTES = 1 << 20
MOST_REPORT_CHARACTERS = 20_000
MOST_NOTED = 3
"""How often an error is noted that comes again and again, as one in a paint event does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """What happened, for people.

    what: one line. report: with the traceback and the versions, free of private paths and names.
    is_fatal: it ended the program; this is told at the next start. again: how often before.
    """

    what: str
    report: str
    is_fatal: bool = False
    again: int = 0


class CrashWatch(QObject):
    """Hears of errors that no code caught, in whatever thread, until it is removed.

    happened: a Crash, in the GUI thread (through a queue where another thread met it).
    """

    happened = Signal(Crash)

    def __init__(
        self,
        directory: Path | None = None,
        parent: QObject | None = None,
        *,
        echoes: bool = True,
    ) -> None:
        """directory: of the logs; None for none. echoes: print tracebacks, too."""
        super().__init__(parent)
        self.directory = directory
        self._echoes = echoes
        self._counts: Counter[tuple[str, ...]] = Counter()
        self._fault_file: tuple[int, Path] | None = None
        self._telling = threading.local()
        self._before = (sys.excepthook, threading.excepthook)

    @property
    def log_path(self) -> Path | None:
        """The file that keeps the reports; None where none is kept."""
        return self.directory / "crashes.log" if self.directory is not None else None

    def install(self) -> None:
        """Begin to listen."""
        self._before = (sys.excepthook, threading.excepthook)
        sys.excepthook = self._hear
        threading.excepthook = self._hear_thread

    def remove(self) -> None:
        """Stop listening; the program ends well."""
        sys.excepthook, threading.excepthook = self._before
        if self._fault_file is not None:
            faulthandler.disable()
            descriptor, path = self._fault_file
            self._fault_file = None
            os.close(descriptor)
            with suppress(OSError):
                path.unlink()

    def note_faults(self) -> None:
        """Have crashes below Python noted, and tell of one that ended the program earlier."""
        if self.directory is None:
            return
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in self.directory.glob("fault-*.log"):
                self._find(path)
            path = self.directory / f"fault-{os.getpid()}.log"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._fault_file = descriptor, path
            faulthandler.enable(descriptor)
        except OSError:  # a place that cannot be written costs the log, not the work
            return

    def _find(self, path: Path) -> None:
        """Tell of what a process that is no more has left behind."""
        number = path.stem.removeprefix("fault-")
        if not number.isdigit() or (int(number) != os.getpid() and _is_alive(int(number))):
            return
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(MOST_REPORT_CHARACTERS)
        path.unlink()
        if text.strip():
            first = text.strip().splitlines()[0]
            self._tell(Crash(what=first, report=_report(first, text), is_fatal=True))

    def _hear(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if self._echoes or not issubclass(kind, Exception):
            self._before[0](kind, error, trace)  # whoever has a terminal sees it there, too
        if issubclass(kind, Exception) and not getattr(self._telling, "is_busy", False):
            self._telling.is_busy = True
            try:
                self._tell_error(error, trace)
            finally:
                self._telling.is_busy = False

    def _hear_thread(self, told: threading.ExceptHookArgs) -> None:
        if told.exc_value is not None:
            self._hear(told.exc_type, told.exc_value, told.exc_traceback)

    def _tell_error(self, error: BaseException, trace: TracebackType | None) -> None:
        frames = traceback.extract_tb(trace)[-1:]
        signature = (type(error).__name__, *(f"{f.filename}:{f.lineno}" for f in frames))
        again = self._counts[signature]
        self._counts[signature] += 1
        what = without_private(f"{type(error).__name__}: {error}".splitlines()[0][:500])
        text = "".join(traceback.format_exception(type(error), error, trace))
        self._tell(Crash(what=what, report=_report(what, text), again=again))

    def _tell(self, crash: Crash) -> None:
        if crash.again < MOST_NOTED and self.log_path is not None:
            with suppress(OSError):
                _append(self.log_path, crash.report)
        self.happened.emit(crash)


def log_directory() -> Path:
    """Where the logs lie: the user's directory for a program's state."""
    from platformdirs import user_state_path

    return user_state_path("ckptviewer", appauthor=False)


def without_private(text: str) -> str:
    """`text` without what tells whose it is: directories, the home, names of user and host.

    Files keep their own names; files of the program keep their place in it.
    """
    text = _CODE_FILE.sub(lambda match: f'File "{_place_in_program(match[1])}"', text)
    text = _QUOTED_PATH.sub(lambda match: f"{match[1]}{_last_part(match[2])}{match[1]}", text)
    text = _PATH.sub(lambda match: _last_part(match[0]), text)
    for name, instead in _private_names():
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", instead, text)
    return text


_CODE_FILE = re.compile(r'File "([^"\n]+)"')
_QUOTED_PATH = re.compile(r"(['\"`])((?:~?/|[A-Za-z]:\\|\\\\)[^'\"`\n]*)\1")
_PATH = re.compile(r"(?<![\w.…/\\<])(?:~?/|[A-Za-z]:\\|\\\\)[^\s'\"`,;()<>]+[^\s'\"`,;()<>:.]")


def _last_part(path: str) -> str:
    parts = [part for part in re.split(r"[/\\]", path) if part]
    return f"…/{parts[-1]}" if len(parts) > 1 else path


def _place_in_program(path: str) -> str:
    parts = path.replace("\\", "/").split("/")
    for root in ("site-packages", "_internal"):
        if root in parts[:-1]:
            return "/".join(parts[parts.index(root) + 1 :])
    if "ckptviewer" in parts[:-1]:
        last = len(parts) - 1 - parts[::-1].index("ckptviewer")
        # The package's directory lies in a checkout that may have the same name.
        first = parts.index("ckptviewer")
        return "/".join(parts[first + (first < last) * (last - first) :])
    return parts[-1] if path.startswith("<") else f"…/{parts[-1]}"


def _private_names() -> list[tuple[str, str]]:
    """Names of this user and machine, the longest first, and what stands for them."""
    import getpass
    import socket

    names: dict[str, str] = {}
    with suppress(OSError, KeyError, ImportError):
        names[getpass.getuser()] = "USER"
    with suppress(OSError):
        host = socket.gethostname()
        names[host] = names[host.partition(".")[0]] = "HOST"
    for home in {os.path.expanduser("~"), os.path.realpath(os.path.expanduser("~"))}:
        names[home] = "~"
    wanted = {name: instead for name, instead in names.items() if name.strip("/~")}
    return sorted(wanted.items(), key=lambda item: -len(item[0]))


def _report(what: str, text: str) -> str:
    """The report of an error: what, versions, and the traceback."""
    import platform

    frozen = ", as an installed application" if getattr(sys, "frozen", False) else ""
    facts = (
        f"ckptviewer {__version__}{frozen}",
        f"Python {platform.python_version()}, Qt {qVersion()}",
        f"{platform.system()} {platform.release()} {platform.machine()}",
    )
    trace = without_private(text[-MOST_REPORT_CHARACTERS:])
    return "\n".join((without_private(what), "", *facts, "", trace.rstrip(), ""))


def _append(path: Path, report: str) -> None:
    """Keep a report; of a log that has grown long the older half goes."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > MOST_LOG_BYTES:
        path.write_bytes(path.read_bytes()[-MOST_LOG_BYTES // 2 :])
    with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"{report}{'-' * 72}\n")


def _is_alive(process: int) -> bool:
    if sys.platform == "win32":
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
