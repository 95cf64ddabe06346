"""What the form of an export's options is made of."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QGridLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.buttons import ChoiceButton


class Choice(ChoiceButton):
    """A choice in a form, whose label stands before it."""

    def __init__(self, name: str, choices: Sequence[str], choice: str = "") -> None:
        super().__init__(name, choices, choice or choices[0])
        self.setObjectName("")

    def _show_choice(self) -> None:
        super()._show_choice()
        self.setText(f"{self.choice}  \u25be")


class Form(QGridLayout):
    """Labels to the left, what is asked for to the right."""

    def __init__(self) -> None:
        super().__init__()
        self.setHorizontalSpacing(12)
        self.setVerticalSpacing(7)
        self.setColumnMinimumWidth(0, 72)
        self.setColumnStretch(1, 1)

    def add(self, label: str, widget: QWidget) -> list[QWidget]:
        """Add a row; returns what is in it."""
        row = self.rowCount()
        name = QLabel(label)
        name.setObjectName("muted")
        name.setBuddy(widget)
        tall = isinstance(widget, QPlainTextEdit)
        top, middle = Qt.AlignmentFlag.AlignTop, Qt.AlignmentFlag.AlignVCenter
        self.addWidget(name, row, 0, top if tall else middle)
        if isinstance(widget, QToolButton):
            self.addWidget(widget, row, 1, Qt.AlignmentFlag.AlignLeft)
        else:
            self.addWidget(widget, row, 1)
        return [name, widget]


def cards_column() -> QVBoxLayout:
    """Where cards stand one below the other."""
    column = QVBoxLayout()
    column.setSpacing(8)
    return column


def pattern_field(name: str, hint: str) -> QLineEdit:
    """Where patterns are typed."""
    edit = QLineEdit()
    edit.setAccessibleName(name)
    edit.setPlaceholderText(hint)
    edit.setAcceptDrops(False)
    edit.setToolTip("Globs on keys and names, or /regular expressions/, separated by blanks")
    return edit


def rules_edit(appearance: Appearance) -> QPlainTextEdit:
    """Where rename rules are typed, one a line."""
    edit = QPlainTextEdit()
    edit.setFont(appearance.fixed_font)
    edit.setAccessibleName("Rename rules, one a line")
    edit.setPlaceholderText("^old_scope/=new_scope/")
    edit.setToolTip("REGEX=REPLACEMENT, one a line; a rule sees what those before it made")
    edit.setTabChangesFocus(True)
    edit.setAcceptDrops(False)
    edit.setFixedHeight(2 * edit.fontMetrics().lineSpacing() + 20)
    return edit
