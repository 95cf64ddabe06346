"""The actions of a window: names, shortcuts, and the menus they stand in."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QUrl, qVersion
from PySide6.QtGui import QAction, QActionGroup, QDesktopServices, QKeySequence
from PySide6.QtWidgets import QApplication, QMenu, QMessageBox

from ckptviewer import __version__
from ckptviewer.checkpoint.text import elide_middle
from ckptviewer.ui.comparison_at_hand import choose_other
from ckptviewer.ui.models_at_hand import choose_model, show_validation
from ckptviewer.ui.panels.view import View

if TYPE_CHECKING:
    from ckptviewer.ui.main_window import MainWindow

THEME_CHOICES = (("system", "As the system"), ("light", "Light"), ("dark", "Dark"))


class Actions(QObject):
    """Makes the actions of a window, and its menus."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        browser = window.browser
        bar = window.menuBar()
        file_menu = bar.addMenu("&File")
        self._add(file_menu, "Open &file\u2026", window.choose_file, QKeySequence.StandardKey.Open)
        self._add(file_menu, "Open &directory\u2026", window.choose_directory, "Ctrl+Shift+O")
        self.recent_menu = file_menu.addMenu("Open &recent")
        self.recent_menu.aboutToShow.connect(self._fill_recent)
        self._add(file_menu, "Open the de&mo", window.open_demo)
        file_menu.addSeparator()
        self.compare = self._add(
            file_menu, "Com&pare with\u2026", partial(choose_other, window), "Ctrl+D"
        )
        self.export = self._add(file_menu, "&Export\u2026", window.export, "Ctrl+E")
        self.validate = self._add(
            file_menu, "&Validate\u2026", partial(show_validation, window), "Ctrl+Shift+V"
        )
        self.restore = self._add(
            file_menu, "&Will it restore?\u2026", partial(choose_model, window), "Ctrl+Shift+R"
        )
        training = self._add(file_menu, "&Training run\u2026", window.run_offer.show, "Ctrl+T")
        training.setToolTip("All checkpoints of this training (Ctrl+T)")
        training.setVisible(False)
        window.run_offer.offered.connect(training.setVisible)
        save_intact = self._add(file_menu, "&Save what is intact\u2026", window.save_intact)
        self._add(file_menu, "Re&load", window.reload, QKeySequence.StandardKey.Refresh)
        file_menu.addSeparator()
        self._add(file_menu, "&Close", window.close, QKeySequence.StandardKey.Close)
        self._add(file_menu, "&Quit", QApplication.closeAllWindows, "Ctrl+Q")

        edit_menu = bar.addMenu("&Edit")
        copy_rows = self._add(edit_menu, "&Copy rows", browser.table.copy_rows)
        copy_keys = self._add(edit_menu, "Copy &keys", browser.copy_keys, "Ctrl+Shift+C")
        copy_python = self._add(
            edit_menu,
            "Copy as &Python",
            browser.inspector.variable_panel.copy_as_python,
            "Ctrl+Alt+C",
        )
        edit_menu.addSeparator()
        self._add(edit_menu, "&Filter", self._go_to_filter, QKeySequence.StandardKey.Find)
        edit_menu.addSeparator()
        self._add(edit_menu, "&Settings\u2026", window.show_settings, "Ctrl+,")

        view_menu = bar.addMenu("&View")
        by_menu = view_menu.addMenu("View &by")
        by_menu.addActions(browser.view_menu.actions())
        expand = self._add(view_menu, "&Expand all", browser.expand_all, "Ctrl+Shift+E")
        collapse = self._add(view_menu, "&Collapse all", browser.collapse_all, "Ctrl+Shift+W")
        self._add(view_menu, "&Overview", browser.show_overview, "Ctrl+I")
        back = self._add(view_menu, "B&ack", window.leave_view, QKeySequence.StandardKey.Back)
        back.setShortcuts([QKeySequence("Alt+Left")])
        view_menu.addSeparator()
        self._add_themes(view_menu.addMenu("&Theme"))

        self._help_menu = bar.addMenu("&Help")
        self._add(self._help_menu, "&Command palette\u2026", window.show_palette, "Ctrl+K")
        self._add(self._help_menu, "&Keys", window.show_shortcuts, "F1")
        self._add(self._help_menu, "&Documentation", self._show_documentation)
        self._help_menu.addSeparator()
        self._add(self._help_menu, "&About ckptviewer", self._tell_about)
        self._view_menu: QMenu | None = None

        self.of_browser = (save_intact, copy_rows, copy_keys, copy_python, expand, collapse)
        browser.table.addActions(
            [copy_rows, copy_keys, copy_python, _separator(self), expand, collapse]
        )
        browser.offer([self.compare, self.export, self.validate, training])
        window.top_bar.open_button.setMenu(self._opening_menu(file_menu))

    def show_view(self, view: View | None) -> None:
        """Offer the menu of the view that is shown now, and no other's."""
        bar = self._window.menuBar()
        if self._view_menu is not None:
            bar.removeAction(self._view_menu.menuAction())
            self._view_menu.deleteLater()
            self._view_menu = None
        if view is not None and view.menu_title:
            self._view_menu = QMenu(view.menu_title, self._window)
            view.fill_menu(self._view_menu)
            bar.insertMenu(self._help_menu.menuAction(), self._view_menu)
        for action in self.of_browser:
            action.setEnabled(view is self._window.browser)
        for action in (self.compare, self.export, self.validate, self.restore):
            action.setEnabled(view is not None and self._window.session is not None)

    def _add(
        self,
        menu: QMenu,
        text: str,
        do: Callable[[], object],
        shortcut: QKeySequence.StandardKey | str | None = None,
    ) -> QAction:
        action = menu.addAction(text)
        if shortcut is not None:
            action.setShortcut(QKeySequence(shortcut))
        action.triggered.connect(lambda _checked=False: do())
        return action

    def _opening_menu(self, file_menu: QMenu) -> QMenu:
        menu = QMenu(self._window)
        menu.addActions(file_menu.actions()[:4])
        return menu

    def _fill_recent(self) -> None:
        self.recent_menu.clear()
        for path in self._window.settings.recent_files:
            action = self.recent_menu.addAction(elide_middle(path, 80).replace("&", "&&"))
            action.triggered.connect(partial(self._window.open_path, path))
        if not self.recent_menu.actions():
            self.recent_menu.addAction("Nothing yet").setEnabled(False)

    def _add_themes(self, menu: QMenu) -> None:
        group = QActionGroup(self)
        for choice, text in THEME_CHOICES:
            action = menu.addAction(text)
            action.setCheckable(True)
            menu.aboutToShow.connect(partial(self._check_theme, action, choice))
            action.triggered.connect(partial(self._choose_theme, choice))
            group.addAction(action)

    def _check_theme(self, action: QAction, choice: str) -> None:
        action.setChecked(self._window.appearance.choice == choice)

    def _choose_theme(self, choice: str) -> None:
        self._window.appearance.choose(choice)
        self._window.settings.set("theme", choice)

    def _go_to_filter(self) -> None:
        self._window.top_bar.filter.setFocus()
        self._window.top_bar.filter.selectAll()

    def _show_documentation(self) -> None:
        from ckptviewer.resources import resource

        page = str(resource("docs/README.md"))
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(page)):
            self._window.status_line.say(f"The documentation begins with {page}")

    def _tell_about(self) -> None:
        QMessageBox.about(
            self._window,
            "About ckptviewer",
            f"ckptviewer {__version__}\n\nOpens checkpoints of TensorFlow and Keras.\n"
            "Opening a file never runs what is in it.\n\n"
            f"Python {platform.python_version()}, Qt {qVersion()}",
        )


def _separator(parent: QObject) -> QAction:
    action = QAction(parent)
    action.setSeparator(True)
    return action
