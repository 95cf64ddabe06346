"""Opens a bundle in the real window and watches the event loop while its statistics run.

With a second path: while the two are compared, until all numbers are there. A directory is a run:
from its opening on until all of its series are there.
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
    is_run = os.path.isdir(path)
    while window.session is None and not is_run:
        app.processEvents(wait)
    probe = LoopProbe()
    began = time.perf_counter()
    if is_run:
        complete: list[bool] = []
        window.run_offer.settled.connect(lambda: complete.append(True))
        while not complete:
            app.processEvents(wait)
    elif other is None:
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
    assert window.session is not None
    stored = window.session.total_bytes
    what = f"{len(window.session.checkpoint.variables):,} variables, {stored / 1e6:,.0f} MB"
    rate = f" ({stored / took / 1e9:.2f} GB/s)"
    if is_run:
        what, rate = "a run, its latest checkpoint and all series", ""
    print(f"{what} in {took:.2f} s{rate}; {probe.turns()}")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
