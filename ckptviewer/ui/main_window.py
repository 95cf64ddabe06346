"""The window: one checkpoint, its tree to the left, what is selected to the right."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QEvent, Qt, Signal
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QKeyEvent,
)
from PySide6.QtWidgets import (
    QFileDialog,
    QLineEdit,
    QMainWindow,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.tree import ViewBy
from ckptviewer.ui.actions import Actions
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Job, Jobs, Report, error_text
from ckptviewer.ui.models_at_hand import show_restore
from ckptviewer.ui.panels.browser import Browser
from ckptviewer.ui.panels.drop_zones import DropZones, Zone
from ckptviewer.ui.panels.pages import OpeningPage, ProblemPage, WelcomePage
from ckptviewer.ui.panels.status import StatusLine
from ckptviewer.ui.panels.top_bar import TopBar
from ckptviewer.ui.panels.view import View
from ckptviewer.ui.rescuing import Rescuing
from ckptviewer.ui.run_offer import RunOffer
from ckptviewer.ui.session import Session, open_session
from ckptviewer.ui.settings import Settings
from ckptviewer.ui.watching import FileWatch

if TYPE_CHECKING:
    from ckptviewer.analysis.saved_comparison import SavedComparison

DEFAULT_SIZE = (1280, 800)
_PATTERNS = (
    "Checkpoints (*.index *.data-* *.meta *.ckpt* checkpoint *.pb *.keras *.h5 *.hdf5 "
    "*.safetensors *.npz *.npy)"
)


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
        self.drop_zones = DropZones(appearance, self)
        self.watch = FileWatch(self.jobs)
        self.status_line = StatusLine(self.jobs, appearance)
        self.setStatusBar(self.status_line)
        self.rescuing = Rescuing(self.jobs, self)
        self.run_offer = RunOffer(self)
        self.actions_ = Actions(self)
        for edit in self.findChildren(QLineEdit):
            edit.setAcceptDrops(False)  # a file that is dropped there is to be opened, too
        self._connect()
        self._restore()
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
        job.failed.connect(self._show_problem)
        job.cancelled.connect(self._go_back)
        self.opening.show_path(path)
        self._show_page(self.opening)

    def _go_back(self) -> None:
        """Show what was there before an opening that was cancelled."""
        self._opening = None
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
            self._open_again()

    def _open_again(self) -> None:
        if self._asked:
            self.open_path(self._asked)

    def choose_file(self) -> None:
        """Ask for a file, and open it."""
        path, _ = QFileDialog.getOpenFileName(
            self,
            "Open a checkpoint",
            self._start_directory(),
            f"{_PATTERNS};;All files (*)",
        )
        if path:
            self.open_path(path)

    def choose_directory(self) -> None:
        """Ask for a directory, and open the checkpoint in it."""
        path = QFileDialog.getExistingDirectory(
            self, "Open a directory of checkpoints", self._start_directory()
        )
        if path:
            self.open_path(path)

    def save_intact(self) -> None:
        """Ask where to save what is intact of the open checkpoint, and save it."""
        if self.session is not None:
            self.rescuing.ask(self.session)

    def select_variable(self, key: str) -> bool:
        """Select a variable in the view that is shown; whether one has that key or name."""
        return self.view is not None and self.view.select_variable(key)

    # Comparing.

    def choose_other(self) -> None:
        """Ask for a second checkpoint, and compare with it."""
        if self.session is None:
            return
        path, _ = QFileDialog.getOpenFileName(
            self,
            "Compare with a second checkpoint (B)",
            self._start_directory(),
            f"{_PATTERNS};;Saved comparisons (*.comparison.json);;All files (*)",
        )
        if path:
            self.compare_with(path)

    def compare_with(self, path: str) -> None:
        """Compare the open checkpoint (A) with another (B), or as a saved comparison says."""
        if path.endswith(".comparison.json"):
            self._compare_as_saved(path)
        elif self.session is not None:
            self._show_comparison(path)

    def compare_paths(self, a: str, b: str) -> None:
        """Open A, and compare it with B."""
        self._after_opening = lambda: self.compare_with(b)
        self.open_path(a)

    def export(self) -> None:
        """Show the page on which an export of the open checkpoint is put together."""
        from ckptviewer.ui.panels.export_view import ExportView

        if self.session is None or isinstance(self.view, ExportView):
            return
        view = ExportView(self.jobs, self.appearance, self.session)
        if self.view is self.browser:
            view.start_from(self.browser.table.selected_items())
        view.open_wanted.connect(self.open_path)
        view.compare_wanted.connect(self.compare_with)
        view.reopen_wanted.connect(self._open_again)
        self.show_view(view)

    def _show_comparison(self, path: str, saved: SavedComparison | None = None) -> None:
        from ckptviewer.ui.panels.comparison_view import ComparisonView

        assert self.session is not None
        while self._views:
            self._drop_view()
        view = ComparisonView(
            self.jobs, self.appearance, self.session, self.browser.measuring, path
        )
        if saved is not None:
            view.take_saved(saved)
        view.choose_wanted.connect(self.choose_other)
        view.complete.connect(self.compared)
        view.failed.connect(self.failed)
        self.show_view(view)

    def _compare_as_saved(self, path: str) -> None:
        def read(_cancel: CancelToken, _report: Report) -> SavedComparison:
            from ckptviewer.analysis.saved_comparison import MAX_BYTES, from_json
            from ckptviewer.storage.byte_source import LocalFile

            source = LocalFile(path)
            try:
                return from_json(source.read(0, min(source.size, MAX_BYTES + 1)), where=path)
            finally:
                source.release()

        def compare(saved: SavedComparison) -> None:
            self._after_opening = lambda: self._show_comparison(saved.b.path, saved)
            self.open_path(saved.a.path)

        job = self.jobs.start("Reading the comparison", read)
        job.succeeded.connect(compare)
        job.failed.connect(self._show_problem)

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

    def _drop_view(self) -> None:
        view = self._views.pop()
        self._filters.pop(view, None)
        self.top_bar.show_tools(())
        view.leave()
        self.pages.removeWidget(view)
        view.deleteLater()

    def _home(self) -> QWidget:
        return self.welcome if self.session is None else self.browser

    def _show_title(self) -> None:
        view = self.view
        title = view.title() if view is not None else ""
        self.setWindowTitle(f"{title} - ckptviewer" if title else "ckptviewer")

    def _show_session(self, session: Session) -> None:
        self._opening = None
        while self._views:
            self._drop_view()
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

    def _show_problem(self, error: BaseException) -> None:
        self._opening = None
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

    def _start_directory(self) -> str:
        recent = self.settings.recent_files
        return os.path.dirname(recent[0]) if recent else os.getcwd()

    # Wiring.

    def _connect(self) -> None:
        self.welcome.open_file.connect(self.choose_file)
        self.welcome.open_directory.connect(self.choose_directory)
        self.welcome.open_demo.connect(self.open_demo)
        self.welcome.path_chosen.connect(self.open_path)
        self.problem.open_file.connect(self.choose_file)
        self.problem.try_again.connect(self._open_again)
        self.opening.cancel_wanted.connect(self._cancel_opening)
        self.top_bar.filter.textChanged.connect(self._filter)
        self.top_bar.leave_downwards.connect(self._leave_filter)
        self.top_bar.back_button.clicked.connect(self.leave_view)
        self.browser.inspector.variable_panel.copied.connect(self.status_line.say)
        self.rescuing.told.connect(self.status_line.say)
        self.browser.findings_told.connect(self.status_line.show_findings)
        self.browser.reload_wanted.connect(self._open_again)
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

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange and self.isActiveWindow():
            self.watch.look()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        paths = _local_paths(event)
        if paths:
            event.acceptProposedAction()
            if len(paths) == 1 and self.view is not None and self.session is not None:
                self.drop_zones.offer(self._zones())

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        if _local_paths(event):
            event.acceptProposedAction()
            self.drop_zones.point(event.position().toPoint())

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.drop_zones.hide()
        super().dragLeaveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        paths = _local_paths(event)
        zones_shown = self.drop_zones.isVisible()
        zone = self.drop_zones.take(event.position().toPoint()) if zones_shown else None
        if not paths:
            return
        event.acceptProposedAction()
        if zone is not None:
            zone.do(paths[0])
            return
        self.open_path(paths[0])
        for path in paths[1:]:
            self.path_wanted.emit(path)

    def _zones(self) -> list[Zone]:
        assert self.session is not None
        name = _title(self.session.checkpoint.path)
        return [
            Zone("Open it", "in the place of what is open", self.open_path),
            Zone("Compare with it", f"A is {name}, B what you drop", self.compare_with),
            Zone(
                "Will it restore?",
                f"what of {name} binds to a model that you drop; nothing is run",
                partial(show_restore, self),
            ),
        ]

    def closeEvent(self, event: QCloseEvent) -> None:
        self._remember()
        for view in self._views:
            view.leave()
        self.watch.stop()
        self.jobs.shut_down()
        self.browser.measuring.close()
        if self.session is not None:
            self.session.close()
        self.closed.emit(self)
        super().closeEvent(event)

    # Memory.

    def apply_settings(self) -> None:
        """Do as the settings say now."""
        self.appearance.choose(self.settings.get("theme", "system"))
        self.browser.measuring.reads_unasked = self.settings.get("reads_unasked", "some")

    def _restore(self) -> None:
        self.browser.measuring.reads_unasked = self.settings.get("reads_unasked", "some")
        self.resize(*DEFAULT_SIZE)
        geometry = self.settings.get("window_geometry", "")
        if geometry:
            self.restoreGeometry(QByteArray.fromBase64(geometry.encode()))
        sizes = self.settings.get("splitter", [])
        if len(sizes) == 2 and all(isinstance(size, int) for size in sizes):
            self.browser.splitter.setSizes(sizes)
        view_by = self.settings.get("view_by", str(ViewBy.NAME))
        if view_by in set(ViewBy):
            self.browser.choose_view(ViewBy(view_by))

    def _remember(self) -> None:
        self.settings.set("window_geometry", self.saveGeometry().toBase64().toStdString())
        self.settings.set("splitter", self.browser.splitter.sizes())
        self.settings.set("view_by", str(self.browser.view_by))
        self.settings.save()


def _title(path: str) -> str:
    return os.path.basename(path.rstrip("/")) or path


def _local_paths(event: QDropEvent) -> list[str]:
    urls = event.mimeData().urls()
    return [url.toLocalFile() for url in urls if url.isLocalFile()]
