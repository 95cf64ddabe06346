"""A field for a path: what is likely is offered, anything can be typed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QComboBox, QSizePolicy

from ckptviewer.ui.plain_text import as_plain


class PathBox(QComboBox):
    """Shows paths beside a checkpoint by their names. chosen: another path, or another word, was.

    Words stand for what is no path ("random input"); each has a value of its own.
    """

    chosen = Signal(str)

    def __init__(self, name: str, hint: str, words: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._base = ""
        self._words = dict(words or {})
        self._told = ""
        self._value = ""
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(80)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        edit = self.lineEdit()
        assert edit is not None
        edit.setPlaceholderText(hint)
        edit.setAccessibleName(name)
        edit.setAcceptDrops(False)
        edit.editingFinished.connect(self._take_typed)
        self.activated.connect(self._take_item)

    @property
    def path(self) -> str:
        """What is chosen: a path, the value of a word, or "" for nothing."""
        return self._value

    def offer(self, paths: Sequence[str], base: str) -> None:
        """Offer these paths, shown as seen from the directory `base`; what is chosen stays."""
        self._base = base
        self.blockSignals(True)
        self.clear()
        for path in paths:
            self.addItem(self._shown(path), path)
            self.setItemData(self.count() - 1, as_plain(path), Qt.ItemDataRole.ToolTipRole)
        for value, word in self._words.items():
            self.addItem(word, value)
        self._show()
        self.blockSignals(False)

    def set_path(self, path: str, *, tell: bool = True) -> None:
        """Choose a path, or the value of a word. tell: whether `chosen` is to say so."""
        self._value = path
        self._show()
        if tell:
            self._tell()
        else:
            self._told = path

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()  # the page scrolls; a choice that was passed over is not changed

    def _shown(self, path: str) -> str:
        if path in self._words:
            return self._words[path]
        if self._base and os.path.isabs(path):
            within = os.path.relpath(path, self._base)
            if within == os.curdir:
                return os.path.basename(path) + os.sep
            if not within.startswith(os.pardir):
                return within
        home = os.path.expanduser("~")
        return f"~{path[len(home) :]}" if home != "/" and path.startswith(home + os.sep) else path

    def _show(self) -> None:
        at = self.findData(self._value)
        self.setCurrentIndex(at)
        self.setEditText(self._shown(self._value) if self._value or at >= 0 else "")
        self.setToolTip(as_plain(self._value) if self._value else "")

    def _take_item(self, at: int) -> None:
        value = self.itemData(at)
        self._value = value if isinstance(value, str) else ""
        self._show()
        self._tell()

    def _take_typed(self) -> None:
        text = self.currentText().strip()
        if text == self._shown(self._value):
            return
        known = next((value for value, word in self._words.items() if word == text), None)
        self._value = self._whole(text) if known is None else known
        self._show()
        self._tell()

    def _whole(self, text: str) -> str:
        """The path that is meant: as it is, or as seen from beside the checkpoint."""
        text = os.path.expanduser(text)
        if not text or os.path.isabs(text):
            return text
        beside = os.path.join(self._base, text)
        place = beside.rpartition(":")[0] if beside.rpartition(":")[0].endswith(".py") else beside
        return beside if os.path.exists(place) else text

    def _tell(self) -> None:
        if self._value != self._told:
            self._told = self._value
            self.chosen.emit(self._value)
