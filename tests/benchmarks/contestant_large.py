"""Opens a large bundle in the real window and uses it; prints what each step took."""

from __future__ import annotations

import os
import sys
import time

BEGAN = time.perf_counter()

from ckptviewer.ui import start  # noqa: E402

WORDS = ("k", "ke", "ker", "kernel", "kernel a", "role:bias", "block_12", "nothing of this", "")


def main(path: str) -> None:
    opening = start._open_ahead([path])
    from PySide6.QtCore import QEventLoop
    from PySide6.QtWidgets import QApplication

    from ckptviewer.ui.app import tune_python
    from ckptviewer.ui.appearance import Appearance
    from ckptviewer.ui.main_window import MainWindow
    from ckptviewer.ui.settings import Settings

    app = QApplication([])
    collecting = tune_python()
    window = MainWindow(Appearance(app, "light"), Settings())
    window.show()
    opened: list[bool] = []
    window.opened.connect(lambda: opened.append(True))
    window.open_path(path, opening)
    while not opened:
        app.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
    table = window.browser.table
    table.repaint()
    assert collecting.running
    print(
        f"usable after {time.perf_counter() - BEGAN:.2f} s (processor {time.process_time():.2f} s)"
    )
    print(f"resident {_resident_bytes() / 1e6:.0f} MB")
    if "--filter" in sys.argv:
        worst = 0.0
        for words in WORDS:
            began = time.perf_counter()
            window.top_bar.filter.setText(words)
            while any(job.label == "Filter" for job in window.jobs.running):
                app.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
            table.repaint()
            took = time.perf_counter() - began
            worst = max(worst, took)
            model = table.rows_model()
            print(f"  filter {words!r}: {took * 1e3:.0f} ms, {model and model.match_count()} match")
        print(f"worst filter keystroke {worst * 1e3:.0f} ms")
    window.browser.expand_all()
    bar = table.verticalScrollBar()
    worst = 0.0
    for step in range(50):
        began = time.perf_counter()
        bar.setValue(bar.maximum() * step // 49)
        table.repaint()
        app.processEvents()
        worst = max(worst, time.perf_counter() - began)
    print(f"worst scrolling step {worst * 1e3:.0f} ms over {bar.maximum():,} rows")
    sys.stdout.flush()
    os._exit(0)


def _resident_bytes() -> int:
    with open("/proc/self/statm") as status:
        return int(status.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(sys.argv[1])
