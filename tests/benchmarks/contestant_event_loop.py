"""Opens a bundle in the real window and watches the event loop while its statistics run.

With a second path: while the two are compared, until all numbers are there.
"""

from __future__ import annotations

import os
import sys
import time


def main(path: str, other: str | None = None) -> None:
    from PySide6.QtCore import QEventLoop
    from PySide6.QtWidgets import QApplication

    from ckptviewer.ui.app import tune_python
    from ckptviewer.ui.appearance import Appearance
    from ckptviewer.ui.main_window import MainWindow
    from ckptviewer.ui.platform import load_binding
    from ckptviewer.ui.settings import Settings
    from tests.benchmarks.loop_probe import LoopProbe

    load_binding()
    app = QApplication([])
    collecting = tune_python()
    window = MainWindow(Appearance(app, "light"), Settings())
    window.show()
    window.open_path(path)
    wait = QEventLoop.ProcessEventsFlag.WaitForMoreEvents
    while window.session is None:
        app.processEvents(wait)
    probe = LoopProbe()
    began = time.perf_counter()
    if other is None:
        while any(job.label == "Statistics" for job in window.jobs.running):
            app.processEvents(wait)
    else:
        done: list[bool] = []
        window.compared.connect(lambda: done.append(True))
        window.compare_with(other)
        while not done:
            app.processEvents(wait)
    took = time.perf_counter() - began
    collecting.stop()
    stored = window.session.total_bytes
    print(
        f"{len(window.session.checkpoint.variables):,} variables, {stored / 1e6:,.0f} MB "
        f"in {took:.2f} s ({stored / took / 1e9:.2f} GB/s); {probe.turns()}"
    )
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
