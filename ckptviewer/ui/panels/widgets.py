"""Small widgets that several panels are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QActionGroup,
    QColor,
    QGuiApplication,
    QPainter,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QDialogButtonBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QScrollArea,
    QSizePolicy,
    QSplitter,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.plain_text import as_plain
from ckptviewer.ui.theme import Theme

SEVERITY_MARKS = {Severity.ERROR: "\u2715", Severity.WARNING: "\u25b2", Severity.INFO: "\u2139"}


class ElidedLabel(QLabel):
    """One line of text that is shortened in its middle where it does not fit."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._whole = ""
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.show_text(text)

    def show_text(self, text: str) -> None:
        """Show another text; the whole of it is in the tooltip where it does not fit."""
        self._whole = text
        self.setAccessibleName(text)
        self._elide()

    def whole_text(self) -> str:
        """The text without shortening."""
        return self._whole

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        shown = self._shortened(max(20, self.width()))
        self.setText(shown)
        self.setToolTip(as_plain(self._whole) if shown != self._whole else "")

    def _shortened(self, width: int) -> str:
        return self.fontMetrics().elidedText(self._whole, Qt.TextElideMode.ElideMiddle, width)


class FactLine(ElidedLabel):
    """Facts in one line; the last are left out whole where there is no room for them."""

    GAP = "    "

    def show_facts(self, *facts: str) -> None:
        """Show others, the most telling ones first."""
        self.show_text(self.GAP.join(facts))

    def _shortened(self, width: int) -> str:
        text, metrics = self._whole, self.fontMetrics()
        while metrics.horizontalAdvance(text) > width and self.GAP in text:
            text = text.rpartition(self.GAP)[0]
        return metrics.elidedText(text, Qt.TextElideMode.ElideRight, width)


class FactGrid(QWidget):
    """Labels with values beneath, in columns that stay aligned."""

    def __init__(self, columns: int, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._columns = columns
        self._appearance = appearance
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(18)
        self._grid.setVerticalSpacing(10)
        for column in range(columns):
            self._grid.setColumnStretch(column, 1)

    def show_facts(self, facts: Iterable[tuple[str, str, str]]) -> None:
        """Show label, value and tooltip of each fact."""
        _clear(self._grid)
        for number, (label, value, tool_tip) in enumerate(facts):
            cell = QVBoxLayout()
            cell.setSpacing(1)
            name = QLabel(label)
            name.setObjectName("muted")
            name.setFont(self._appearance.small_font)
            text = QLabel(value)
            text.setFont(self._appearance.text_font)
            text.setTextFormat(Qt.TextFormat.PlainText)
            text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            text.setToolTip(tool_tip)
            text.setAccessibleName(f"{label}: {value}")
            cell.addWidget(name)
            cell.addWidget(text)
            self._grid.addLayout(cell, number // self._columns, number % self._columns)


class FactList(QWidget):
    """Labels to the left, values to the right, a line each; values wrap and can be copied."""

    def __init__(self, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._appearance = appearance
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(18)
        self._grid.setVerticalSpacing(7)
        self._grid.setColumnStretch(1, 1)

    def show_facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """Show label and value of each fact."""
        _clear(self._grid)
        for row, (label, value) in enumerate(facts):
            name = QLabel(label)
            name.setObjectName("muted")
            text = wrapped_label(value)
            text.setAccessibleName(f"{label}: {value}")
            top = Qt.AlignmentFlag.AlignTop
            self._grid.addWidget(name, row, 0, top)
            self._grid.addWidget(text, row, 1, top)


class StackedBar(QWidget):
    """Shares of a whole, side by side."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shares: Sequence[tuple[float, QColor]] = ()
        self.setFixedHeight(14)

    def show_shares(self, shares: Sequence[tuple[float, QColor]]) -> None:
        """Show fractions of the width, each in its colour."""
        self._shares = shares
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(200, 14)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        left = 0.0
        for share, colour in self._shares:
            width = share * self.width()
            painter.setBrush(colour)
            painter.drawRoundedRect(QRectF(left, 0, max(1.0, width - 1.5), self.height()), 2.5, 2.5)
            left += width


class FindingCard(QFrame):
    """One finding: mark, message, remedy."""

    def __init__(self, finding: Finding, appearance: Appearance) -> None:
        super().__init__()
        self.setObjectName("card")
        colour = severity_colour(finding.severity, appearance.theme)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 9, 12, 9)
        row.setSpacing(10)
        mark = QLabel(SEVERITY_MARKS[finding.severity])
        mark.setStyleSheet(f"color: {colour}; font-weight: 700;")
        mark.setAccessibleName(str(finding.severity))
        mark.setToolTip(str(finding.severity))
        row.addWidget(mark, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout()
        column.setSpacing(3)
        column.addWidget(wrapped_label(finding.message))
        if finding.remedy:
            column.addWidget(wrapped_label(finding.remedy, "muted"))
        row.addLayout(column, 1)


class ChoiceButton(QToolButton):
    """A choice of a few, as a flat button that says what is chosen. chosen: another one was."""

    chosen = Signal(str)

    def __init__(self, name: str, choices: Sequence[str], choice: str) -> None:
        super().__init__()
        self.setObjectName("flat")
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._name = name
        self.choice = choice
        menu = QMenu(self)
        group = QActionGroup(self)
        for text in choices:
            action = menu.addAction(text)
            action.setCheckable(True)
            action.setChecked(text == choice)
            action.triggered.connect(partial(self.choose, text))
            group.addAction(action)
        self.setMenu(menu)
        self._show_choice()

    def choose(self, choice: str) -> None:
        """Choose one of the choices."""
        if choice != self.choice:
            self.choice = choice
            self._show_choice()
            self.chosen.emit(choice)

    def _show_choice(self) -> None:
        self.setText(f"{self._name} {self.choice} \u25be")
        self.setAccessibleName(f"{self._name}: {self.choice}")
        self.setToolTip(self._name)


def severity_colour(severity: Severity, theme: Theme) -> str:
    """The colour of the mark of a finding."""
    return {
        Severity.ERROR: theme.error,
        Severity.WARNING: theme.warning,
        Severity.INFO: theme.accent,
    }[severity]


def wrapped_label(text: str, object_name: str = "") -> QLabel:
    """A label that wraps long names too, offers to copy its text, and takes nothing for markup.

    Its text cannot be selected by mouse: what was copied so would hold the marks where it may wrap.
    """
    label = QLabel(_breakable(text))
    label.setObjectName(object_name)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setMinimumWidth(60)
    label.setAccessibleName(text)
    label.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
    copy = QAction("Copy", label)
    copy.triggered.connect(lambda: QGuiApplication.clipboard().setText(text))
    label.addAction(copy)
    return label


def primary_ok(buttons: QDialogButtonBox) -> None:
    """Let the OK of a dialog look like what it is: the answer that Return gives."""
    button = buttons.button(QDialogButtonBox.StandardButton.Ok)
    button.setObjectName("primary")


def section_label(text: str) -> QLabel:
    """The heading of a section in a panel."""
    label = QLabel(text)
    label.setObjectName("section")
    return label


def nothing_label(text: str) -> QLabel:
    """What is said below a table once nothing of it is left; hidden so far."""
    label = QLabel(text)
    label.setObjectName("muted")
    label.setAlignment(Qt.AlignmentFlag.AlignCenter)
    label.setMinimumHeight(60)
    label.hide()
    return label


class MessagePage(QWidget):
    """A page in the place of what cannot be shown, or not yet: why."""

    def __init__(self) -> None:
        super().__init__()
        self.label = wrapped_label("", "muted")
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 24, 24, 24)
        column.addWidget(self.label)
        column.addStretch(1)

    def say(self, text: str) -> None:
        """Show a text, which may be empty."""
        self.label.setText(text)
        self.label.setAccessibleName(text)


def flat_button(text: str, tool_tip: str) -> QToolButton:
    """A button without a frame."""
    button = QToolButton()
    button.setObjectName("flat")
    button.setText(text)
    button.setToolTip(tool_tip)
    button.setAccessibleName(tool_tip)
    return button


def parted(orientation: Qt.Orientation, *parts: tuple[QWidget, int, int]) -> QSplitter:
    """Widgets beside or below each other, with a line between them that can be moved.

    parts: each with its share in what a larger window gives, and its pixels at first.
    """
    splitter = QSplitter(orientation)
    splitter.setHandleWidth(1)
    splitter.setChildrenCollapsible(False)
    for place, (widget, share, _) in enumerate(parts):
        splitter.addWidget(widget)
        splitter.setStretchFactor(place, share)
    splitter.setSizes([size for _, _, size in parts])
    return splitter


def scrolled(content: QWidget, name: str) -> QScrollArea:
    """The content in an area that scrolls up and down only; its name for people who hear it."""
    area = QScrollArea()
    area.setAccessibleName(name)
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFrameShape(QFrame.Shape.NoFrame)
    content.setObjectName("page")
    area.setWidget(content)
    return area


def name_tabs(tabs: QTabWidget, name: str) -> None:
    """Name tabs for people who hear them; the keyboard is taken by their bar."""
    tabs.setAccessibleName(name)
    tabs.tabBar().setAccessibleName(name)


def clear_layout(layout: QVBoxLayout) -> None:
    """Take everything out of a layout."""
    _clear(layout)


def _clear(layout: QGridLayout | QVBoxLayout | QHBoxLayout) -> None:
    while (item := layout.takeAt(0)) is not None:
        if widget := item.widget():
            widget.hide()
            widget.deleteLater()
        elif inner := item.layout():
            _clear(inner)  # type: ignore[arg-type]
            inner.deleteLater()


def _breakable(text: str) -> str:
    """The text with leave to break long names at their separators."""
    return text.replace("/", "/\u200b").replace("_", "_\u200b")
