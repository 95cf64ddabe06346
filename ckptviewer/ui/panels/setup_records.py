"""The features of TFRecords in a validation's set-up: what was found, and what is said instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLineEdit, QToolButton, QVBoxLayout, QWidget

from ckptviewer.checkpoint.errors import InvalidSettingError
from ckptviewer.checkpoint.text import count_text, printable
from ckptviewer.ui.panels.buttons import flat_button
from ckptviewer.ui.panels.note import Note
from ckptviewer.ui.panels.setup_parts import Choice
from ckptviewer.ui.panels.widgets import ElidedLabel

if TYPE_CHECKING:
    from ckptviewer.validation.protocol import Feature

_PLAIN = ("float32", "float64", "int32", "int64", "uint8", "bool", "string")
_RAW = ("uint8", "float32", "float64", "int32", "int64", "float16", "bool")
_PICTURE = "picture"
_RAW_PREFIX = "bytes of "
_OFFERED = (*_PLAIN, _PICTURE, *(_RAW_PREFIX + each for each in _RAW))
_MOST_ROWS = 100
_SHAPE = re.compile(r"\d{1,9}(?:\s*[,x\u00d7]\s*\d{1,9})*")


class _Row(NamedTuple):
    name: ElidedLabel
    kind: Choice
    shape: QLineEdit
    remove: QToolButton


class Features(QWidget):
    """Dtype and shape of each feature. changed: is called when the user changes one."""

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__()
        self._changed = changed
        self._known: tuple[Feature, ...] = ()
        self._given: tuple[Feature, ...] = ()
        self._edited = False
        self._touched: set[str] = set()
        self._rows: dict[str, _Row] = {}
        self._note = Note()
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(4)
        self._grid.setVerticalSpacing(4)
        for number, stretch in enumerate((4, 7, 5)):
            self._grid.setColumnStretch(number, stretch)
        self.reset = flat_button("As found", "Take what the first record and the model tell")
        self.reset.clicked.connect(lambda _=False: self._take_known())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self._note)
        column.addLayout(self._grid)
        column.addWidget(self.reset, 0, Qt.AlignmentFlag.AlignLeft)

    def give(self, features: Sequence[Feature]) -> None:
        """Take these, as a recipe has them; none for what is found."""
        self._given, self._known = tuple(features), ()
        self._fill()

    def show_known(self, features: Sequence[Feature]) -> None:
        """Show what is found, where nothing else was given; what the user changed stays."""
        if tuple(features) == self._known:
            return
        self._known = tuple(features)
        if self._given:
            return
        if not self._edited:
            self._fill()
        for each in self._known:
            if each.name in self._rows and each.name not in self._touched:
                self._show(each)

    def features(self) -> tuple[Feature, ...]:
        """What was given; none where the worker is to take what it finds.

        Raises InvalidSettingError for what is no shape.
        """
        if not self._edited:
            return self._given
        if not self._rows:
            raise InvalidSettingError("all features are left out")
        return tuple(_feature(name, row) for name, row in self._rows.items())

    def rows(self) -> list[tuple[str, str, str]]:
        """Name, dtype and shape of each as they are shown."""
        return [(name, r.kind.currentText(), r.shape.text()) for name, r in self._rows.items()]

    def row(self, name: str) -> _Row:
        """The fields of one feature."""
        return self._rows[name]

    def _fill(self) -> None:
        self._edited = False
        self._touched.clear()
        features = self._given or self._known
        for name in list(self._rows):
            self._drop(name)
        many = len(features) > _MOST_ROWS
        self.reset.setVisible(bool(self._given))
        self._note.say(
            f"{count_text(len(features))} features: a recipe can say how." if many else ""
        )
        for each in () if many else features:
            self._add(each)

    def _add(self, feature: Feature) -> None:
        name, kind = feature.name, _kind_of(feature)
        row = _Row(
            ElidedLabel(printable(name)),
            Choice(f"dtype of {name}"),
            QLineEdit(),
            flat_button("\u2715", "Leave it out"),
        )
        row.name.setObjectName("muted")
        row.kind.addItems(list(dict.fromkeys((*_OFFERED, kind))))
        row.kind.setMinimumContentsLength(5)
        row.kind.setToolTip("What it is parsed as: values, a PNG or JPEG, or a tensor\u2019s bytes")
        row.shape.setAccessibleName(f"Shape of {name}")
        row.shape.setPlaceholderText("scalar")
        row.shape.setToolTip("Its shape, such as 28, 28, 1; empty for a single value")
        row.remove.setFixedWidth(24)
        row.remove.setStyleSheet("padding: 2px;")
        row.remove.setAccessibleName(f"Leave out {name}")
        self._rows[name] = row
        self._show(feature)
        at = self._grid.rowCount()
        for column, widget in enumerate(row):
            self._grid.addWidget(widget, at, column)
        row.shape.textEdited.connect(lambda _text: self._take(name))
        row.kind.currentIndexChanged.connect(lambda _at: self._take(name))
        row.remove.clicked.connect(lambda _=False: self._leave_out(name))

    def _show(self, feature: Feature) -> None:
        row, kind = self._rows[feature.name], _kind_of(feature)
        row.kind.blockSignals(True)
        if row.kind.findText(kind) < 0:
            row.kind.addItem(kind)
        row.kind.setCurrentText(kind)
        row.kind.blockSignals(False)
        row.shape.setText(", ".join(map(str, feature.shape)))

    def _drop(self, name: str) -> None:
        for widget in self._rows.pop(name):
            self._grid.removeWidget(widget)
            widget.hide()
            widget.deleteLater()

    def _leave_out(self, name: str) -> None:
        self._drop(name)
        self._take(name)

    def _take(self, name: str) -> None:
        self._edited = True
        self._touched.add(name)
        self.reset.show()
        self._changed()

    def _take_known(self) -> None:
        self._given = ()
        self._fill()
        self._changed()


def _kind_of(feature: Feature) -> str:
    if feature.encoded == "image":
        return _PICTURE
    return f"{_RAW_PREFIX if feature.encoded else ''}{feature.dtype}"


def _feature(name: str, row: _Row) -> Feature:
    from ckptviewer.validation.protocol import Feature

    kind, shape = row.kind.currentText(), row.shape.text().strip()
    text = shape.strip("[]() ")
    if text and not _SHAPE.fullmatch(text):
        raise InvalidSettingError(
            f"{shape!r} is no shape of the feature {printable(name)}",
            remedy="Write 28, 28, 1, or nothing for one value.",
        )
    encoded = "image" if kind == _PICTURE else "raw" if kind.startswith(_RAW_PREFIX) else ""
    return Feature(
        name=name,
        dtype="string" if encoded == "image" else kind.removeprefix(_RAW_PREFIX),
        shape=tuple(map(int, re.findall(r"\d+", text))),
        encoded=encoded,
    )
