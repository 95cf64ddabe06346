"""Open, compare and close again and again in one process, and watch what stays.

`python -m tests.soak [--times 500]`: prints resident memory, open files, threads and child
processes as it goes, and ends with 1 where memory after the last round is more than 10 % above
that after the 50th, or any handle, thread or process was left.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import NamedTuple

SETTLED_AFTER = 50
MOST_GROWTH = 0.10
WAIT_MS = 60_000


class Held(NamedTuple):
    """What a process holds: megabytes, open files, threads, child processes."""

    resident: float
    files: int
    threads: int
    children: int


def held() -> Held:
    """What this process holds now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    task = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return Held(
        resident=pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        files=len(os.listdir("/proc/self/fd")),
        threads=threading.active_count(),
        children=len(task.split()),
    )


def main(times: int) -> int:
    """Do it so many times; 0 where nothing was left."""
    with tempfile.TemporaryDirectory(prefix="ckptviewer-soak-") as folder:
        os.environ["CKPTVIEWER_SETTINGS"] = os.path.join(folder, "settings.json")
        os.environ["CKPTVIEWER_CACHE"] = os.path.join(folder, "cache.sqlite")
        os.environ["XDG_STATE_HOME"] = folder
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        return _rounds(times, Path(folder))


def _rounds(times: int, folder: Path) -> int:
    from PySide6.QtCore import QCoreApplication, QEvent, QEventLoop, QTimer

    from ckptviewer.analysis import difference_kernel, kernel, update_kernel
    from ckptviewer.resources import demo_checkpoint
    from ckptviewer.ui.app import Application, tune_python
    from ckptviewer.ui.appearance import Appearance
    from ckptviewer.ui.settings import Settings
    from ckptviewer.ui.windows import Windows

    for file in demo_checkpoint().parent.glob("digits.ckpt-*"):
        shutil.copy(file, folder)
    late, early = folder / "digits.ckpt-600", folder / "digits.ckpt-40"
    for loops in (kernel, difference_kernel, update_kernel):
        loops.prepare()  # else the compiled code, which stays, comes in the middle of it
    app = Application(["ckptviewer"])
    collecting = tune_python()
    windows = Windows(Appearance(app, "light"), Settings())
    settled: Held | None = None

    def wait_for(signal: object) -> None:
        loop, limit = QEventLoop(), QTimer()  # none outlives the wait, as one of singleShot would
        limit.setSingleShot(True)
        limit.timeout.connect(lambda: loop.exit(1))
        limit.start(WAIT_MS)
        signal.connect(loop.quit)  # type: ignore[attr-defined]
        if loop.exec():
            raise TimeoutError("a window did not answer within a minute")

    def held_now() -> Held:
        collecting.let_go()  # else some windows of the last seconds, now more and now fewer
        gc.collect()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        return held()

    for number in range(1, times + 1):
        window = windows.make()
        window.show()
        window.open_path(str(late))
        wait_for(window.opened)
        window.select_variable("digits/hidden/kernel")
        window.compare_with(str(early))
        wait_for(window.compared)
        window.select_variable("digits/hidden/kernel")
        app.processEvents()
        window.close()
        del window
        for _ in range(3):
            app.processEvents()
            QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        collecting.tick()
        if number == SETTLED_AFTER:
            settled = held_now()
        if number % SETTLED_AFTER == 0 or number == times:
            print(number, *(f"{name} {value:,.0f}" for name, value in held_now()._asdict().items()))
            sys.stdout.flush()
    last = held_now()
    first = settled or last
    growth = last.resident / first.resident - 1
    print(f"resident memory grew by {growth:.1%} from round {SETTLED_AFTER} to {times}")
    kept = last.files > first.files or last.threads > first.threads or last.children
    return 1 if growth > MOST_GROWTH or kept else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--times", type=int, default=500)
    sys.exit(main(parser.parse_args().times))
