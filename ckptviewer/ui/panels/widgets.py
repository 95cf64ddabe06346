"""Small widgets that several panels are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import (
    QAction,
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
    QPlainTextEdit,
    QScrollArea,
    QSizePolicy,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.text import THIN_SPACE
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.plain_text import as_plain
from ckptviewer.ui.shortening import shortened
from ckptviewer.ui.style_memory import destroy_later
from ckptviewer.ui.theme import Theme

_UNBREAKABLE_SPACE = "\u202f"
"""A narrow one, too."""

SEVERITY_MARKS = {Severity.ERROR: "\u2715", Severity.WARNING: "\u25b2", Severity.INFO: "\u2139"}


class ElidedLabel(QLabel):
    """One line of text that is shortened where it does not fit."""

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
        return shortened(self._whole, self.fontMetrics(), width)


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
    """Labels with values beneath, in columns that stay aligned; fewer where it is narrow."""

    def __init__(self, columns: int, appearance: Appearance, parent: QWidget | None = None) -> None:
        """columns: at the most."""
        super().__init__(parent)
        self._most = columns
        self._appearance = appearance
        self._cells: list[QWidget] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(18)
        self._grid.setVerticalSpacing(10)

    def show_facts(self, facts: Iterable[tuple[str, str, str]]) -> None:
        """Show label, value and tooltip of each fact."""
        _clear(self._grid)
        self._cells = [self._cell(*fact) for fact in facts]
        self._arrange(self._fitting())

    def columns(self) -> int:
        """How many stand beside each other."""
        places = (self._grid.getItemPosition(at) for at in range(self._grid.count()))
        return 1 + max((place[1] for place in places), default=0)  # type: ignore[index]

    def minimumSizeHint(self) -> QSize:
        return QSize(self._widest(), super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        columns = self._fitting()
        if self._cells and columns != self.columns():
            self._arrange(columns)

    def _cell(self, label: str, value: str, tool_tip: str) -> QWidget:
        cell = QWidget()
        column = QVBoxLayout(cell)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(1)
        name = QLabel(label)
        name.setObjectName("muted")
        name.setFont(self._appearance.small_font)
        text = QLabel(value)
        text.setFont(self._appearance.text_font)
        text.setTextFormat(Qt.TextFormat.PlainText)
        text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        text.setToolTip(tool_tip)
        text.setAccessibleName(f"{label}: {value}")
        column.addWidget(name)
        column.addWidget(text)
        return cell

    def _widest(self) -> int:
        return max((cell.sizeHint().width() for cell in self._cells), default=0)

    def _fitting(self) -> int:
        """How many columns there is room for."""
        gap = self._grid.horizontalSpacing()
        room = (self.width() + gap) // max(1, self._widest() + gap)
        return max(1, min(self._most, room, len(self._cells)))

    def _arrange(self, columns: int) -> None:
        for number, cell in enumerate(self._cells):
            self._grid.addWidget(cell, number // columns, number % columns)
        for column in range(self._most):
            self._grid.setColumnStretch(column, 1 if column < columns else 0)
        self.updateGeometry()


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


def severity_colour(severity: Severity, theme: Theme) -> str:
    """The colour of the mark of a finding."""
    return {
        Severity.ERROR: theme.error,
        Severity.WARNING: theme.warning,
        Severity.INFO: theme.accent,
    }[severity]


class WrappedLabel(QLabel):
    """Text that wraps, long names too, offers to be copied, and is taken for no markup.

    It cannot be selected by mouse: what was copied so would hold the marks where it may wrap.
    """

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self._whole = ""
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self.setMinimumWidth(60)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        copy = QAction("Copy", self)
        copy.triggered.connect(lambda: QGuiApplication.clipboard().setText(self.to_copy()))
        self.addAction(copy)
        self.setText(text)

    def to_copy(self) -> str:
        """What *Copy* puts on the clipboard."""
        return self._whole

    def setText(self, text: str) -> None:
        self._whole = text
        self.setAccessibleName(text)
        super().setText(_breakable(text))

    def text(self) -> str:
        """The text as it was given."""
        return self._whole


def wrapped_label(text: str, object_name: str = "") -> WrappedLabel:
    """A label that wraps. object_name: how it looks."""
    label = WrappedLabel(text)
    label.setObjectName(object_name)
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


def code_view(name: str, appearance: Appearance, text: str = "") -> QPlainTextEdit:
    """Lines to read and copy, in a fixed font; Tab leaves it. name: for people who hear it."""
    view = QPlainTextEdit(text)
    view.setReadOnly(True)
    view.setFont(appearance.fixed_font)
    view.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
    view.setTabChangesFocus(True)
    view.setAccessibleName(name)
    return view


def name_tabs(tabs: QTabWidget, name: str) -> None:
    """Name tabs for people who hear them; the keyboard is taken by their bar."""
    tabs.setAccessibleName(name)
    tabs.tabBar().setAccessibleName(name)


def clear_layout(layout: QGridLayout | QVBoxLayout | QHBoxLayout) -> None:
    """Take everything out of a layout."""
    _clear(layout)


def _clear(layout: QGridLayout | QVBoxLayout | QHBoxLayout) -> None:
    while (item := layout.itemAt(0)) is not None:
        if widget := item.widget():
            layout.removeWidget(widget)  # an item that is taken is nobody's, and stays for good
            widget.hide()
            destroy_later(widget)
            continue
        layout.takeAt(0)
        if inner := item.layout():
            _clear(inner)  # type: ignore[arg-type]
            inner.deleteLater()


def _breakable(text: str) -> str:
    """The text with leave to break long names at their separators, and none to break numbers."""
    return (
        text.replace("/", "/\u200b").replace("_", "_\u200b").replace(THIN_SPACE, _UNBREAKABLE_SPACE)
    )
