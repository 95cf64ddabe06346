"""Validates the demo in the real window, TensorFlow and all, and watches the event loop.

From the key that starts it until the result is painted: consent, each stage, the result; then
again against an earlier checkpoint, with agreement. Where other programs keep the processors busy,
the time that the thread itself computed in a turn is the one to trust.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


def main() -> None:
    from PySide6.QtCore import QEventLoop, QTimer
    from PySide6.QtWidgets import QApplication

    from ckptviewer.resources import demo_checkpoint
    from ckptviewer.ui.app import tune_python
    from ckptviewer.ui.appearance import Appearance
    from ckptviewer.ui.main_window import MainWindow
    from ckptviewer.ui.panels.validation_view import ValidationView
    from ckptviewer.ui.platform import load_binding
    from ckptviewer.ui.settings import Settings
    from tests.benchmarks.loop_probe import LoopProbe

    load_binding()
    app = QApplication([])
    collecting = tune_python()
    window = MainWindow(Appearance(app, "light"), Settings())
    window.show()
    demo = demo_checkpoint()
    window.open_path(str(demo))
    wait = QEventLoop.ProcessEventsFlag.WaitForMoreEvents

    def go_on_until(there: Callable[[], object]) -> None:
        while not there():
            app.processEvents(wait)

    go_on_until(lambda: window.session is not None and not window.jobs.running)
    probe = LoopProbe()
    ticks = probe.ticks

    def tell(what: str) -> None:
        took = ticks[-1][0] - ticks[0][0]
        told = f"{what:24} {took:6.2f} s; {probe.turns()}; of these computing: {probe.computing()}"
        print(told, flush=True)
        ticks.clear()

    go_on_until(lambda: len(ticks) > 50)
    del ticks[:-1]
    window.actions_.validate.trigger()
    view = window.view
    assert isinstance(view, ValidationView)
    go_on_until(lambda: not window.jobs.running and view.setup.run.isEnabled())
    tell("the page opens")
    done: list[str] = []
    view.complete.connect(lambda: done.append("result"))
    view.failed.connect(done.append)
    view.validating.consent_wanted.connect(lambda _: QTimer.singleShot(0, view.dialog.accept))
    for what, other in (
        ("one checkpoint", ""),
        ("two checkpoints", str(demo.with_name("digits.ckpt-40"))),
    ):
        view.setup.against.set_path(other)
        done.clear()
        ticks.clear()
        view.run()
        go_on_until(lambda: done)
        after = len(ticks)
        go_on_until(lambda: len(ticks) > after + 50)  # noqa: B023 - asked at once
        if done != ["result"]:
            sys.exit(f"it did not come to its end: {done[0]}")
        tell(what)
    collecting.stop()
    os._exit(0)


if __name__ == "__main__":
    main()
