"""Parts of a set-up: sections, notes beneath fields, what can be folded away, inputs and keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.ui.panels.buttons import flat_button, menu_button
from ckptviewer.ui.panels.note import Note
from ckptviewer.ui.panels.widgets import clear_layout, section_label

if TYPE_CHECKING:
    from ckptviewer.validation.datasets import Dataset
    from ckptviewer.validation.protocol import SignatureInfo


class Section(QWidget):
    """A heading, with a button to its right, and what stands beneath."""

    def __init__(self, title: str, button: QToolButton | None = None) -> None:
        super().__init__()
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.column.setSpacing(6)
        row = QHBoxLayout()
        row.addWidget(section_label(title), 1)
        if button is not None:
            row.addWidget(button)
        self.column.addLayout(row)

    def add(self, *widgets: QWidget) -> None:
        """Put widgets beneath."""
        for widget in widgets:
            self.column.addWidget(widget)


class FieldNote(QWidget):
    """What is to be said of a field, and what is wrong with it; nothing where there is nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._told, self._wrong = Note(), Note()
        column = QVBoxLayout(self)
        column.setContentsMargins(2, 0, 2, 0)
        column.setSpacing(2)
        for note in (self._told, self._wrong):
            column.addWidget(note)
        self.hide()

    def say(self, text: str = "", problem: str = "") -> None:
        """Say something. problem: what has to be put right."""
        self._told.say(text)
        self._wrong.say(problem, error=True)
        self.setVisible(bool(text or problem))

    def text(self) -> str:
        """What is said."""
        return " ".join(filter(None, (self._told.said, self._wrong.said)))

    @property
    def has_problem(self) -> bool:
        """Whether something has to be put right."""
        return bool(self._wrong.said)


class Fold(QWidget):
    """What is seldom needed, behind a button."""

    def __init__(self, title: str, content: QWidget) -> None:
        super().__init__()
        self._title = title
        self.content = content
        self.button = flat_button("", title)
        self.button.setCheckable(True)
        self.button.setStyleSheet("padding-left: 2px;")
        self.button.toggled.connect(self._show)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(content)
        self._show(False)

    def open(self) -> None:
        """Unfold it."""
        self.button.setChecked(True)

    def _show(self, shown: bool) -> None:
        self.button.setText(f"{chr(0x25BE) if shown else chr(0x25B8)} {self._title}")
        self.content.setVisible(shown)


class Choice(QComboBox):
    """A choice that the wheel does not change by accident."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(6)

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


class Number(QSpinBox):
    """A whole number that the wheel does not change by accident. Its least may be a word."""

    def __init__(self, name: str, least: int, most: int, value: int, word: str = "") -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setRange(least, most)
        self.setValue(value)
        self.setSpecialValueText(word)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setGroupSeparatorShown(True)
        self.setObjectName("number")
        self.setMinimumWidth(56)
        self.lineEdit().setTextMargins(4, 0, 0, 0)

    def setValue(self, value: int) -> None:
        # A recipe may say more than 32 bits, which Qt takes no number of.
        super().setValue(min(max(value, self.minimum()), self.maximum()))

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


class Inputs(QWidget):
    """Which key of the data goes into which input of the model, and which is the truth."""

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__()
        self._changed = changed
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 2, 0, 0)
        self._grid.setHorizontalSpacing(10)
        self._grid.setVerticalSpacing(5)
        self._grid.setColumnStretch(1, 1)
        self._choices: dict[str, Choice] = {}
        self._truth: Choice | None = None

    def show_inputs(
        self,
        dataset: Dataset | None,
        signature: SignatureInfo | None,
        inputs: dict[str, str],
        target: str,
    ) -> None:
        """Offer the keys of the data, with what was chosen before."""
        clear_layout(self._grid)
        self._choices, self._truth = {}, None
        keys = [column.key for column in dataset.columns] if dataset is not None else []
        self.setVisible(bool(keys))
        if not keys:
            return
        wanted_inputs = signature.inputs if signature is not None else ()
        for wanted in wanted_inputs:
            shape = "" if wanted.shape is None else _shape(wanted.shape[1:])
            by_itself = _by_itself(wanted.name, keys, alone=len(wanted_inputs) == 1)
            tip = f"{wanted.name}: {wanted.dtype} {shape}"
            choice = self._row(f"Input {wanted.name}", tip, keys, by_itself)
            if wanted.name in inputs:
                choice.setCurrentIndex(choice.findText(inputs[wanted.name]))
            self._choices[wanted.name] = choice
        found = dataset.target if dataset is not None else ""
        self._truth = self._row("Truth", "what the predictions are held against", keys, "")
        self._truth.setCurrentText(target or found)
        for each in (*self._choices.values(), self._truth):
            each.currentIndexChanged.connect(lambda _at: self._changed())

    @property
    def inputs(self) -> dict[str, str]:
        """Input of the model to key of the data, where one was chosen."""
        return {
            name: choice.currentText()
            for name, choice in self._choices.items()
            if choice.currentIndex() > 0
        }

    @property
    def target(self) -> str:
        """The key of the truth; "" for none that is known."""
        return self._truth.currentText() if self._truth is not None else ""

    def _row(self, title: str, tip: str, keys: Sequence[str], nothing: str) -> Choice:
        label = QLabel(title)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setObjectName("muted")
        label.setToolTip(tip)
        choice = Choice(title)
        choice.setToolTip(tip)
        choice.addItems([nothing, *keys])
        row = self._grid.rowCount()
        self._grid.addWidget(label, row, 0)
        self._grid.addWidget(choice, row, 1)
        return choice


def browse_button(tip: str, choices: Sequence[tuple[str, Callable[[], None]]]) -> QToolButton:
    """A button that asks for a file, or a directory."""
    if len(choices) > 1:
        return menu_button("Browse", tip, choices)
    button = flat_button("Browse\u2026", tip)
    button.clicked.connect(lambda _=False: choices[0][1]())
    return button


def _by_itself(name: str, keys: Sequence[str], *, alone: bool) -> str:
    """What goes into an input where nothing is chosen for it."""
    if name in keys:
        return f"{name}, by its name"
    return "x, as it is the only one" if alone and "x" in keys else "by its name"


def _shape(shape: Sequence[int | None]) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"
