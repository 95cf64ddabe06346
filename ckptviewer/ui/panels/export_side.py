"""The right side of the page of an export: balance, options and destination, or the result."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QStackedLayout, QVBoxLayout, QWidget

from ckptviewer.export.choices import Choices
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Jobs
from ckptviewer.ui.panels.buttons import flat_button
from ckptviewer.ui.panels.export_balance import Balance
from ckptviewer.ui.panels.export_options import ExportOptions
from ckptviewer.ui.panels.export_result import ExportResult
from ckptviewer.ui.panels.export_target import ExportTarget
from ckptviewer.ui.panels.widgets import ElidedLabel, scrolled
from ckptviewer.ui.session import Session
from ckptviewer.ui.settings import Settings


class ExportSide(QWidget):
    """What is chosen, until there is a result."""

    def __init__(
        self,
        jobs: Jobs,
        appearance: Appearance,
        session: Session,
        settings: Settings,
        choices: Choices,
    ) -> None:
        super().__init__()
        self.setObjectName("page")
        self.setMinimumWidth(380)
        self.balance = Balance(appearance)
        self.options = ExportOptions(appearance, session.checkpoint, choices)
        self.target = ExportTarget(jobs, appearance, session)
        self.result = ExportResult(jobs, appearance, settings)
        self._stack = QStackedLayout(self)
        self._choosing = QWidget()
        column = QVBoxLayout(self._choosing)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        head = QWidget()
        inner = QVBoxLayout(head)
        inner.setContentsMargins(20, 14, 20, 12)
        inner.addWidget(self.balance)
        for widget, stretch in (
            (head, 0),
            (_line(), 0),
            (scrolled(self.options, "Options of the export"), 1),
            (_line(), 0),
            (self.target, 0),
        ):
            column.addWidget(widget, stretch)
        self._stack.addWidget(self._choosing)
        self._stack.addWidget(self.result)

    @property
    def is_result_shown(self) -> bool:
        """Whether the result is in sight; else what is chosen."""
        return self._stack.currentWidget() is self.result

    def show_result(self, shown: bool) -> None:
        """Show the result, or what is chosen."""
        self._stack.setCurrentWidget(self.result if shown else self._choosing)


class ExportStrip(QWidget):
    """The line above the tree: what this is, counts, and ticks for all that a filter leaves."""

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self.setMinimumHeight(38)  # as high with its buttons as without
        self.setObjectName("strip")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.name, self.facts = QLabel(), ElidedLabel()
        self.keep_shown = flat_button("Keep what is shown", "Tick all that the filter leaves")
        self.drop_shown = flat_button("Drop it", "Take the ticks away of all that it leaves")
        self.name.setTextFormat(Qt.TextFormat.PlainText)
        self.name.setObjectName("title")
        self.name.setFont(appearance.bold_font)
        self.facts.setObjectName("muted")
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 8, 6)
        row.setSpacing(14)
        row.addWidget(self.name)
        row.addWidget(self.facts, 1)
        for button in (self.keep_shown, self.drop_shown):
            button.hide()
            row.addWidget(button)


def _line() -> QFrame:
    line = QFrame()
    line.setObjectName("card")
    line.setFixedHeight(1)
    return line
