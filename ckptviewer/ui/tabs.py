"""Several windows as the tabs of one, for those who prefer that."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from ckptviewer.ui.main_window import LONG_EVENTS, MainWindow

_NEXT, _PREVIOUS = ("Ctrl+PgDown", "Ctrl+Tab"), ("Ctrl+PgUp", "Ctrl+Shift+Tab")
_OF_THE_PROGRAM = " - ckptviewer"


class TabbedWindow(QWidget):
    """A window whose tabs are windows. It goes when the last of them is closed.

    closed: itself, for whoever keeps it.
    """

    closed = Signal(object)

    def __init__(self, first: MainWindow) -> None:
        """first: takes its place on the screen and becomes its first tab."""
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setGeometry(first.geometry())
        state = first.windowState()
        self._tabs = QTabWidget()
        self._tabs.setObjectName("windows")
        self._tabs.setDocumentMode(True)
        self._tabs.setTabsClosable(True)
        self._tabs.setMovable(True)
        self._tabs.setElideMode(Qt.TextElideMode.ElideMiddle)
        self._tabs.tabBar().setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._tabs.tabBar().setAccessibleName("Open checkpoints")
        self._tabs.currentChanged.connect(self._name)
        self._tabs.tabCloseRequested.connect(self._close_tab)
        for all_keys, go in ((_NEXT, self.go_on), (_PREVIOUS, self.go_back)):
            for keys in all_keys:
                QShortcut(QKeySequence(keys), self).activated.connect(go)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._tabs)
        self.add(first)
        self.setWindowState(state)

    @property
    def windows(self) -> list[MainWindow]:
        """The windows in it, in the order of their tabs."""
        pages = (self._tabs.widget(index) for index in range(self._tabs.count()))
        return [page for page in pages if isinstance(page, MainWindow)]

    def add(self, window: MainWindow) -> None:
        """Take a window in, and show it."""
        window.windowTitleChanged.connect(self._name)
        window.closed.connect(self._forget)
        self._tabs.addTab(window, "")
        self.bring(window)
        self._name()
        self.show()

    def bring(self, window: MainWindow) -> None:
        """Show this tab."""
        self._tabs.setCurrentWidget(window)

    def go_on(self) -> None:
        """Show the next tab, round and round."""
        self._tabs.setCurrentIndex((self._tabs.currentIndex() + 1) % self._tabs.count())

    def go_back(self) -> None:
        """Show the tab before, round and round."""
        self._tabs.setCurrentIndex((self._tabs.currentIndex() - 1) % self._tabs.count())

    # Qt's events.

    def event(self, event: QEvent) -> bool:
        page = self._tabs.currentWidget() if event.type() in LONG_EVENTS else None
        if not isinstance(page, MainWindow):
            return super().event(event)
        with page.jobs.courtesy:  # it is painted with the window that it is in
            return super().event(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        for window in self.windows:
            window.closed.disconnect(self._forget)
            window.close()
        self.closed.emit(self)
        super().closeEvent(event)

    # How it follows its tabs.

    def _close_tab(self, index: int) -> None:
        page = self._tabs.widget(index)
        if page is not None:
            page.close()

    def _forget(self, window: MainWindow) -> None:
        self._tabs.removeTab(self._tabs.indexOf(window))
        if not self._tabs.count():
            self.close()

    def _name(self, _what: object = None) -> None:
        for index, window in enumerate(self.windows):
            title = window.windowTitle().removesuffix(_OF_THE_PROGRAM)
            self._tabs.setTabText(index, title.replace("&", "&&"))
            self._tabs.setTabToolTip(index, window.asked)
        current = self._tabs.currentWidget()
        if current is not None:
            self.setWindowTitle(current.windowTitle())


def tabs_of(window: MainWindow) -> TabbedWindow | None:
    """The tabbed window that a window is in, if any."""
    top = window.window()
    return top if isinstance(top, TabbedWindow) else None
