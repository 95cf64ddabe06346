"""Whether what a window has open is one of many saves of a training, and the way to all of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

if TYPE_CHECKING:
    from ckptviewer.runs.watch import Changes
    from ckptviewer.ui.main_window import MainWindow
    from ckptviewer.ui.panels.run_view import RunView


class RunOffer(QObject):
    """Looks around what was opened. offered: whether there is a run to be shown.

    is_busy: it is being looked, or the run that is shown is not complete; settled: it is over.

    A directory that was opened itself, and has more than one checkpoint, is shown as a run at once;
    its latest checkpoint is open below, one step back.
    """

    offered = Signal(bool)
    settled = Signal()

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.directory = ""
        self._shown_for = ""
        self.is_busy = False
        self._state: dict[str, Any] = {}
        window.opened.connect(self._look)
        window.failed.connect(lambda _text: self._look_where_it_failed())

    def show(self) -> None:
        """Show the run that is offered."""
        if self.directory:
            self.show_directory(self.directory)

    def show_directory(self, directory: str) -> RunView:
        """Show the run of a directory."""
        from ckptviewer.ui.panels.run_view import RunView

        window = self._window
        if isinstance(window.view, RunView) and window.view.directory == directory:
            return window.view
        view = RunView(window.jobs, window.appearance, directory)
        if self._state.get("directory") == directory:
            view.take_state(self._state)
        view.open_wanted.connect(lambda path: self._leave_for(view, path))
        view.compare_wanted.connect(lambda a, b: self._compare(view, a, b))
        view.window_wanted.connect(window.path_wanted)
        view.running.changed.connect(self._let_go)
        window.show_view(view)
        return view

    def _let_go(self, changes: Changes) -> None:
        """A file that is deleted takes its place on the disk until nobody has it open any more."""
        session = self._window.session
        if session is not None and (changes.vanished or changes.replaced):
            self._window.jobs.ask(session.checkpoint.release, lambda _: None)

    def _leave_for(self, view: RunView, path: str) -> None:
        self._remember(view)
        self._window.open_path(path)

    def _compare(self, view: RunView, a: str, b: str) -> None:
        window, key = self._window, view.wanted_variable
        self._remember(view)
        window.compare_paths(a, b)
        if key:
            _select_once_compared(window, key)

    def _remember(self, view: RunView) -> None:
        self._state = {**view.state(), "directory": view.directory}

    def _look(self) -> None:
        window = self._window
        assert window.session is not None
        asked, path = window.session.asked, window.session.checkpoint.path
        self.is_busy = True
        window.jobs.ask(
            lambda: _run_around(asked, path),
            lambda found: self._offer(asked, found),
            lambda _error: self._settle(),
        )

    def _look_where_it_failed(self) -> None:
        window = self._window
        asked = window.asked
        if window.pages.currentWidget() is window.problem and asked:
            window.jobs.ask(lambda: _run_around(asked, asked), lambda run: self._offer(asked, run))

    def _offer(self, asked: str, found: tuple[str, bool]) -> None:
        window = self._window
        if window.asked != asked:  # another one is being opened
            return
        self.directory, is_asked = found
        self.offered.emit(bool(self.directory))
        page = window.pages.currentWidget()
        was_shown, self._shown_for = self._shown_for == asked, asked
        if is_asked and not was_shown and page in (window.browser, window.problem):
            view = self.show_directory(self.directory)
            view.complete.connect(self._settle)
        else:
            self._settle()

    def _settle(self) -> None:
        self.is_busy = False
        self.settled.emit()


def _run_around(asked: str, path: str) -> tuple[str, bool]:
    """The directory of the run that a checkpoint is of, "" for none; whether it was asked for."""
    from ckptviewer.checkpoint.errors import CkptviewerError
    from ckptviewer.formats.resolve import local_path
    from ckptviewer.runs.members import look_at

    asked, path = local_path(asked), local_path(path)
    own = os.path.dirname(os.path.abspath(path.rstrip("/")))
    places = [(asked, True)] if os.path.isdir(asked) else []
    places.append((own, False))
    if any(letter.isdigit() for letter in os.path.basename(own)):  # a directory a step
        places.append((os.path.dirname(own), False))
    for directory, is_asked in places:
        try:
            if len(look_at(directory).members) > 1:
                return directory, is_asked
        except CkptviewerError:
            continue
    return "", False


def _select_once_compared(window: MainWindow, key: str) -> None:
    """Bring the variable into sight when the comparison that was begun is there."""

    def select() -> None:
        window.compared.disconnect(select)
        window.select_variable(key)

    window.compared.connect(select)
