"""The window: one checkpoint, its tree to the left, what is selected to the right."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QKeyEvent,
)
from PySide6.QtWidgets import (
    QLineEdit,
    QMainWindow,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.ui import comparison_at_hand
from ckptviewer.ui.actions import Actions
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.choosing import ask_for_directory, ask_for_file
from ckptviewer.ui.dropping import Dropping
from ckptviewer.ui.export_at_hand import show_export
from ckptviewer.ui.jobs import Job, Jobs, error_text
from ckptviewer.ui.panels.browser import Browser
from ckptviewer.ui.panels.pages import OpeningPage, ProblemPage, WelcomePage
from ckptviewer.ui.panels.status import StatusLine
from ckptviewer.ui.panels.top_bar import TopBar
from ckptviewer.ui.panels.view import View
from ckptviewer.ui.rescuing import Rescuing
from ckptviewer.ui.run_offer import RunOffer
from ckptviewer.ui.session import Session, open_session
from ckptviewer.ui.settings import Settings
from ckptviewer.ui.style_memory import destroy_later, forget_with
from ckptviewer.ui.watching import FileWatch
from ckptviewer.ui.window_memory import remember_window, restore_window

LONG_EVENTS = frozenset((QEvent.Type.UpdateRequest, QEvent.Type.LayoutRequest))
"""What paints or lays out all that is in a window: background work steps aside for it."""


class MainWindow(QMainWindow):
    """A window of the program.

    opened: a checkpoint is in sight. compared: a comparison is, with all numbers. failed: nothing
    could be opened. path_wanted: another window should show this path.
    """

    opened = Signal()
    compared = Signal()
    failed = Signal(str)
    path_wanted = Signal(str)
    closed = Signal(object)

    def __init__(self, appearance: Appearance, settings: Settings) -> None:
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAcceptDrops(True)
        self.settings = settings
        self.appearance = appearance
        self.jobs = Jobs()
        self.session: Session | None = None
        self._opening: Job[Session] | None = None
        self._asked = ""
        self._views: list[View] = []
        self._after_opening: Callable[[], None] | None = None
        self._filters: dict[View, str] = {}
        self.top_bar = TopBar(appearance)
        self.welcome = WelcomePage(appearance)
        self.opening = OpeningPage(appearance)
        self.problem = ProblemPage(appearance)
        self.browser = Browser(self.jobs, appearance)
        self.pages = QStackedWidget()
        for page in (self.welcome, self.opening, self.problem, self.browser):
            self.pages.addWidget(page)
        central = QWidget()
        column = QVBoxLayout(central)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.top_bar)
        column.addWidget(self.pages, 1)
        self.setCentralWidget(central)
        self.dropping = Dropping(self)
        self.watch = FileWatch(self.jobs)
        self.status_line = StatusLine(self.jobs, appearance)
        self.setStatusBar(self.status_line)
        self.rescuing = Rescuing(self.jobs, self)
        self.run_offer = RunOffer(self)
        self.actions_ = Actions(self)
        for edit in self.findChildren(QLineEdit):
            edit.setAcceptDrops(False)  # a file that is dropped there is to be opened, too
        self._connect()
        self.browser.measuring.reads_unasked = settings.get("reads_unasked", "some")
        restore_window(self)
        self.show_welcome()

    # Opening.

    @property
    def view(self) -> View | None:
        """The view that is shown; None on the pages that come before one."""
        page = self.pages.currentWidget()
        return page if isinstance(page, View) else None

    @property
    def asked(self) -> str:
        """The path that is open here, or being opened, as it was given; "" while there is none."""
        return self._asked

    def show_palette(self) -> None:
        """Let any action be chosen by its name."""
        from ckptviewer.ui.dialogs.palette import Palette

        Palette(self).show()

    def show_settings(self) -> None:
        """Let the settings be seen and changed."""
        from ckptviewer.ui.dialogs.settings_dialog import SettingsDialog

        SettingsDialog(self).show()

    def show_shortcuts(self) -> None:
        """Show all keys."""
        from ckptviewer.ui.dialogs.shortcuts import ShortcutsDialog

        ShortcutsDialog(self).show()

    def show_welcome(self) -> None:
        """Show the page of an empty window."""
        self.setWindowTitle("ckptviewer")
        self.welcome.show_recent(self.settings.recent_files)
        self._show_page(self.welcome)

    def open_path(self, path: str, begun: Future[Session] | None = None) -> None:
        """Open a checkpoint in this window; `begun`: its opening, where that is under way."""
        if self._opening is not None:
            self._opening.cancel()
        self._asked = path
        view_by = self.browser.view_by
        self.setWindowTitle(f"{_title(path)} - ckptviewer")
        if begun is not None:
            job = self.jobs.adopt("Opening", begun)
        else:
            job = self.jobs.start("Opening", lambda _cancel, _report: open_session(path, view_by))
        self._opening = job
        job.succeeded.connect(self._show_session)
        job.failed.connect(self.show_problem)
        job.cancelled.connect(self._go_back)
        self.opening.show_path(path)
        self._show_page(self.opening)

    def open_then(self, path: str, do: Callable[[], None]) -> None:
        """Open a checkpoint, and go on once it is in sight; not at all where it cannot be."""
        self._after_opening = do
        self.open_path(path)

    def _go_back(self) -> None:  # from an opening that was cancelled
        self._opening = self._after_opening = None
        if self.session is None:
            self._asked = ""
            self.show_welcome()
        else:
            self._asked = self.session.asked
            self.setWindowTitle(f"{_title(self.session.checkpoint.path)} - ckptviewer")
            self._show_browser()

    def reload(self) -> None:
        """Read again what is shown, or try again what could not be opened."""
        if self.view is not None and self.view is not self.browser:
            self.view.reload()
        else:
            self.open_again()

    def open_again(self) -> None:
        """Open anew what is open here, or was to be opened."""
        if self._asked:
            self.open_path(self._asked)

    def choose_file(self) -> None:
        """Ask for a file, and open it."""
        path = ask_for_file(self, self.settings, "Open a checkpoint")
        if path:
            self.open_path(path)

    def choose_directory(self) -> None:
        """Ask for a directory, and open the checkpoint in it."""
        path = ask_for_directory(self, self.settings)
        if path:
            self.open_path(path)

    def save_intact(self) -> None:
        """Ask where to save what is intact of the open checkpoint, and save it."""
        if self.session is not None:
            self.rescuing.ask(self.session)

    def select_variable(self, key: str) -> bool:
        """Select a variable in the view that is shown; whether one has that key or name."""
        return self.view is not None and self.view.select_variable(key)

    # What can be done with it.

    def compare_with(self, path: str) -> None:
        """Compare the open checkpoint (A) with another (B), or as a saved comparison says."""
        comparison_at_hand.compare_with(self, path)

    def compare_paths(self, a: str, b: str) -> None:
        """Open A, and compare it with B."""
        self.open_then(a, lambda: self.compare_with(b))

    def export(self) -> None:
        """Show the page on which an export of the open checkpoint is put together."""
        show_export(self)

    def open_demo(self) -> None:
        """Open the checkpoint that comes with the program."""
        from ckptviewer.resources import demo_checkpoint

        self.open_path(os.fspath(demo_checkpoint()))

    # Views.

    def show_view(self, view: View) -> None:
        """Show another view over the present one, until `leave_view`."""
        self.pages.addWidget(view)
        self._views.append(view)
        view.retitled.connect(self._show_title)
        view.told.connect(self.status_line.say)
        self._show_page(view)

    def leave_view(self) -> None:
        """Leave the view that was shown last, and show the one before."""
        if self._views and self.view is self._views[-1]:
            self._drop_view()
        if self._opening is None:
            self._show_page(self._views[-1] if self._views else self._home())

    def leave_all_views(self) -> None:
        """Leave them without showing another; something is going to be shown at once."""
        while self._views:
            self._drop_view()

    def _drop_view(self) -> None:
        view = self._views.pop()
        self._filters.pop(view, None)
        self.top_bar.show_tools(())
        view.leave()
        self.pages.removeWidget(view)
        destroy_later(view)

    def _home(self) -> QWidget:
        return self.welcome if self.session is None else self.browser

    def _show_title(self) -> None:
        view = self.view
        title = view.title() if view is not None else ""
        self.setWindowTitle(f"{title} - ckptviewer" if title else "ckptviewer")

    def _show_session(self, session: Session) -> None:
        self._opening = None
        self.leave_all_views()
        previous, self.session = self.session, session
        if previous is not None:
            previous.close()
        self.browser.show_session(session)
        self._show_browser()
        self.setWindowTitle(f"{_title(session.checkpoint.path)} - ckptviewer")
        self.status_line.show_session(session)
        self.watch.start(session.checkpoint.path)
        self.settings.add_recent_file(os.path.abspath(session.asked))
        self.settings.save()
        self.opened.emit()
        then, self._after_opening = self._after_opening, None
        if then is not None:
            then()

    def _show_browser(self) -> None:
        self._opening = None
        self._show_page(self._views[-1] if self._views else self.browser)

    def show_problem(self, error: BaseException) -> None:
        """Tell in the place of the checkpoint why there is none."""
        self._opening = self._after_opening = None
        what, where, remedy = error_text(error)
        self.problem.show_problem(what, where, remedy)
        self._show_page(self.problem)
        self.failed.emit(self.problem.text())

    def _show_page(self, page: QWidget) -> None:
        self.pages.setCurrentWidget(page)
        view = self.view
        self.top_bar.show_tools(view.tools() if view is not None else ())
        self.top_bar.show_filter(
            self._filters.get(view, "") if view is not None else "",
            view.filter_hint if view is not None else "",
        )
        self.top_bar.back_button.setVisible(bool(self._views) and view is self._views[-1])
        self.actions_.show_view(view)
        if view is not None:
            self._show_title()
            view.enter()

    def _filter(self, text: str) -> None:
        if self.view is not None:
            self._filters[self.view] = text
            self.view.apply_filter(text)

    def _leave_filter(self) -> None:
        if self.view is self.browser:
            self.browser.table.enter()
        elif self.view is not None:
            self.view.enter()

    # Wiring.

    def _connect(self) -> None:
        self.welcome.open_file.connect(self.choose_file)
        self.welcome.open_directory.connect(self.choose_directory)
        self.welcome.open_demo.connect(self.open_demo)
        self.welcome.path_chosen.connect(self.open_path)
        self.problem.open_file.connect(self.choose_file)
        self.problem.try_again.connect(self.open_again)
        self.opening.cancel_wanted.connect(self._cancel_opening)
        self.top_bar.filter.textChanged.connect(self._filter)
        self.top_bar.leave_downwards.connect(self._leave_filter)
        self.top_bar.back_button.clicked.connect(self.leave_view)
        self.browser.inspector.variable_panel.copied.connect(self.status_line.say)
        self.rescuing.told.connect(self.status_line.say)
        self.browser.findings_told.connect(self.status_line.show_findings)
        self.browser.reload_wanted.connect(self.open_again)
        self.watch.changed.connect(self.browser.tell_file_changed)
        self.status_line.findings_wanted.connect(self.browser.show_overview)

    def _cancel_opening(self) -> None:
        if self._opening is not None:
            self._opening.cancel()

    # Qt's events.

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() != Qt.Key.Key_Escape:
            super().keyPressEvent(event)
        elif self._opening is None and self.top_bar.filter.text():
            self.top_bar.filter.clear()
        else:
            self.status_line.cancel_running()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.DeferredDelete:
            forget_with(self)
        if event.type() not in LONG_EVENTS:
            return super().event(event)
        with self.jobs.courtesy:
            return super().event(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange and self.isActiveWindow():
            self.watch.look()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        self.dropping.enter(event)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        self.dropping.move(event)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.dropping.zones.hide()
        super().dragLeaveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        self.dropping.drop(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        remember_window(self)
        for view in self._views:
            view.leave()
        self.watch.stop()
        self.jobs.shut_down()
        self.browser.measuring.close()
        if self.session is not None:
            self.session.close()
        self.closed.emit(self)
        super().closeEvent(event)

    def apply_settings(self) -> None:
        """Do as the settings say now."""
        self.appearance.choose(self.settings.get("theme", "system"))
        self.browser.measuring.reads_unasked = self.settings.get("reads_unasked", "some")


def _title(path: str) -> str:
    return os.path.basename(path.rstrip("/")) or path
