"""Opens the page on which the checkpoint of a window is compared with another."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.ui.choosing import ask_for_file
from ckptviewer.ui.jobs import Report

if TYPE_CHECKING:
    from ckptviewer.analysis.saved_comparison import SavedComparison
    from ckptviewer.ui.main_window import MainWindow

SAVED = ".comparison.json"


def choose_other(window: MainWindow) -> None:
    """Ask for a second checkpoint, or a saved comparison, and compare."""
    if window.session is None:
        return
    title = "Compare with a second checkpoint (B)"
    path = ask_for_file(window, window.settings, title, f"Saved comparisons (*{SAVED})")
    if path:
        compare_with(window, path)


def compare_with(window: MainWindow, path: str) -> None:
    """Compare the open checkpoint (A) with another (B), or as a saved comparison says."""
    if path.endswith(SAVED):
        _compare_as_saved(window, path)
    elif window.session is not None:
        _show_comparison(window, path)


def _show_comparison(window: MainWindow, path: str, saved: SavedComparison | None = None) -> None:
    from ckptviewer.ui.panels.comparison_view import ComparisonView

    assert window.session is not None
    window.leave_all_views()
    view = ComparisonView(
        window.jobs, window.appearance, window.session, window.browser.measuring, path
    )
    if saved is not None:
        view.take_saved(saved)
    view.choose_wanted.connect(partial(choose_other, window))
    view.complete.connect(window.compared)
    view.failed.connect(window.failed)
    window.show_view(view)


def _compare_as_saved(window: MainWindow, path: str) -> None:
    def compare(saved: SavedComparison) -> None:
        window.open_then(saved.a.path, lambda: _show_comparison(window, saved.b.path, saved))

    job = window.jobs.start("Reading the comparison", lambda _c, _r: _read(path, _c, _r))
    job.succeeded.connect(compare)
    job.failed.connect(window.show_problem)


def _read(path: str, _cancel: CancelToken, _report: Report) -> SavedComparison:
    from ckptviewer.analysis.saved_comparison import MAX_BYTES, from_json
    from ckptviewer.storage.byte_source import LocalFile

    source = LocalFile(path)
    try:
        return from_json(source.read(0, min(source.size, MAX_BYTES + 1)), where=path)
    finally:
        source.release()
