"""A process and all that it started: its environment, how much memory it takes, its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_MOST_PROCESSES = 1000
_PLATFORM: str = sys.platform


def clean_environment(added: Mapping[str, str]) -> dict[str, str]:
    """Our environment without what was set for our own process, and with `added`.

    A frozen application points the loader of libraries, and Python, at what it brought along.
    """
    environment = dict(os.environ)
    for name in ("PYTHONHOME", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__"):
        environment.pop(name, None)
    if getattr(sys, "frozen", False):
        for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LIBPATH"):
            before = environment.pop(name + "_ORIG", None)
            environment.pop(name, None)
            if before is not None:
                environment[name] = before
        environment.pop("PYTHONPATH", None)
    environment["PYTHONIOENCODING"] = "utf-8:backslashreplace"
    environment.update(added)
    return environment


def resident_bytes(pid: int) -> int | None:
    """The resident size of a process and its descendants; None where the system does not tell.

    On Linux from /proc; elsewhere from `ps`; on Windows of the process alone.
    """
    if _PLATFORM == "linux":
        sizes = [_linux_bytes(each) for each in descendants(pid)]
        return sum(sizes) if sizes else None
    if _PLATFORM == "win32":
        return _windows_bytes(pid)
    return _listed_bytes(pid)


def descendants(pid: int) -> list[int]:
    """A process and all that it started and that is still there, parents first (Linux)."""
    found = [pid]
    for each in found:
        if len(found) > _MOST_PROCESSES:
            break
        with suppress(OSError, ValueError):
            for task in os.listdir(f"/proc/{each}/task"):
                with suppress(OSError, ValueError):
                    text = Path(f"/proc/{each}/task/{task}/children").read_text()
                    found += [int(child) for child in text.split()]
    return found


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a session of its own, and all that it started; waits for it."""
    if _PLATFORM == "win32":
        with suppress(OSError):
            subprocess.run(
                ["taskkill", "/F", "/T", "/PID", str(process.pid)],
                capture_output=True,
                check=False,
                timeout=5,
            )
    else:
        # Children that left the session are found by their parents.
        others = descendants(process.pid)[1:] if _PLATFORM == "linux" else []
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        for each in others:
            with suppress(OSError):
                os.kill(each, signal.SIGKILL)
    with suppress(OSError):
        process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)


def _linux_bytes(pid: int) -> int:
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0


def _listed_bytes(pid: int) -> int | None:
    try:
        listing = subprocess.run(
            ["ps", "-axo", "pid=,ppid=,rss="],
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    rows = [tuple(map(int, line.split())) for line in listing.splitlines() if line.strip()]
    wanted, total = {pid}, 0
    for _ in range(_MOST_PROCESSES):
        more = {child for child, parent, _ in rows if parent in wanted} - wanted
        if not more:
            break
        wanted |= more
    for each, _, kilobytes in rows:
        total += kilobytes << 10 if each in wanted else 0
    return total


def _windows_bytes(pid: int) -> int | None:
    import ctypes
    from ctypes import wintypes

    class Counters(ctypes.Structure):
        _fields_ = (
            ("cb", wintypes.DWORD),
            ("PageFaultCount", wintypes.DWORD),
            *((f"size{number}", ctypes.c_size_t) for number in range(8)),
        )

    kernel = getattr(ctypes, "WinDLL")("kernel32", use_last_error=True)  # noqa: B009 - not everywhere
    kernel.OpenProcess.restype = wintypes.HANDLE
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return None
    try:
        counters = Counters(cb=ctypes.sizeof(Counters))
        known = kernel.K32GetProcessMemoryInfo(
            wintypes.HANDLE(handle), ctypes.byref(counters), counters.cb
        )
        return int(counters.size1) if known else None  # WorkingSetSize follows its peak
    finally:
        kernel.CloseHandle(wintypes.HANDLE(handle))
