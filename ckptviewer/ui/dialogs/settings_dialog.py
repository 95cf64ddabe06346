"""The settings: few, in plain words, applied at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
)

from ckptviewer.ui.panels.widgets import wrapped_label

if TYPE_CHECKING:
    from ckptviewer.ui.main_window import MainWindow

THEMES = (("system", "As the system"), ("light", "Light"), ("dark", "Dark"))
OPENS_IN = (("new", "a window of its own"), ("tab", "a tab of the window that is open"))
READS_UNASKED = (
    ("sight", "only those in sight"),
    ("some", "all of a checkpoint of up to 2 GB"),
    ("all", "all, whatever the size"),
)


class SettingsDialog(QDialog):
    """Shows the settings of all windows."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Settings")
        self._window = window
        self._settings = window.settings
        self.theme = self._choice("Theme", "theme", THEMES, "system")
        self.opens_in = self._choice("A further file opens in", "opens_in", OPENS_IN, "new")
        self.reads = self._choice(
            "Values that are read unasked", "reads_unasked", READS_UNASKED, "some"
        )
        self.python = QLineEdit(self._settings.get("python", ""))
        self.python.setPlaceholderText("the one this program runs in")
        self.python.setAccessibleName("Python that validates models")
        self.python.editingFinished.connect(self._take_python)
        browse = QPushButton("Browse\u2026")
        browse.clicked.connect(self._browse)
        browse.setAccessibleName("Browse for a Python")
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.python, 1)
        row.addWidget(browse)
        form = QFormLayout()
        form.setVerticalSpacing(12)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Theme", self.theme)
        form.addRow("A further file opens in", self.opens_in)
        form.addRow("Values that are read unasked", self.reads)
        form.addRow("Python that validates models", row)
        path = wrapped_label(f"Kept in {self._settings.path}", "muted")
        self.reset_button = QPushButton("Reset everything")
        self.reset_button.setToolTip("All settings, sizes of windows and recent files")
        self.reset_button.clicked.connect(self.reset)
        folder = QPushButton("Show the file")
        folder.clicked.connect(self._show_file)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.addButton(self.reset_button, QDialogButtonBox.ButtonRole.ResetRole)
        buttons.addButton(folder, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(22, 20, 22, 16)
        column.setSpacing(16)
        column.addLayout(form)
        column.addWidget(path)
        column.addWidget(buttons)
        self.resize(560, self.sizeHint().height())

    def reset(self) -> None:
        """Forget everything that was set or remembered, and show the defaults."""
        self._settings.reset()
        for combo, default in (
            (self.theme, "system"),
            (self.opens_in, "new"),
            (self.reads, "some"),
        ):
            combo.setCurrentIndex(combo.findData(default))
        self.python.clear()
        self._window.apply_settings()
        self._settings.save()

    def _choice(
        self, name: str, key: str, choices: Sequence[tuple[str, str]], default: str
    ) -> QComboBox:
        combo = QComboBox()
        combo.setAccessibleName(name)
        for value, text in choices:
            combo.addItem(text, value)
        combo.setCurrentIndex(max(0, combo.findData(self._settings.get(key, default))))
        combo.currentIndexChanged.connect(lambda _row: self._take(key, combo.currentData()))
        return combo

    def _take(self, key: str, value: str) -> None:
        self._settings.set(key, value)
        self._window.apply_settings()
        self._settings.save()

    def _take_python(self) -> None:
        self._take("python", self.python.text().strip())

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "A Python interpreter with TensorFlow")
        if path:
            self.python.setText(path)
            self._take_python()

    def _show_file(self) -> None:
        folder = os.path.dirname(self._settings.path)
        os.makedirs(folder, exist_ok=True)
        QDesktopServices.openUrl(QUrl.fromLocalFile(folder))
