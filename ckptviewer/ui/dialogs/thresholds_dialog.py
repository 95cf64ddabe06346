"""The thresholds of verdicts, to be seen and changed."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.analysis.thresholds import Thresholds
from ckptviewer.checkpoint.errors import InvalidSettingError
from ckptviewer.ui.panels.widgets import primary_ok, wrapped_label

_WORDS = {
    "restoration_mean": (
        "Restoration check: |\u0394 mean| under",
        "for every variable of the model",
    ),
    "restoration_std": ("Restoration check: |\u0394 std| under", "for every variable of the model"),
    "fine_tuned_relative_l2": ("Fine-tuned: relative L2 up to", "a share of the weights' norm"),
    "fine_tuned_cosine": ("Fine-tuned: cosine from", "1 is the same direction"),
    "re_initialised_cosine": ("Re-initialised: cosine up to", "two random draws have about 0"),
    "initializer_std": ("Re-initialised: std of an initializer within", "a share of it"),
    "group_share": ("A group's verdict covers", "a share of its elements"),
}


class ThresholdsDialog(QDialog):
    """Asks for Thresholds. chosen: they are to be used from now on."""

    chosen = Signal(object)

    def __init__(self, thresholds: Thresholds, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Thresholds of verdicts")
        self._thresholds = thresholds
        self.edits: dict[str, QLineEdit] = {}
        form = QFormLayout()
        for name, (label, help_) in _WORDS.items():
            edit = QLineEdit(f"{getattr(thresholds, name):g}")
            edit.setToolTip(help_)
            edit.setAccessibleName(label)
            edit.setFixedWidth(110)
            self.edits[name] = edit
            form.addRow(label, edit)
        self.problem = wrapped_label("", "error")
        self.problem.hide()
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok
            | QDialogButtonBox.StandardButton.Cancel
            | QDialogButtonBox.StandardButton.RestoreDefaults
        )
        primary_ok(buttons)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        restore = buttons.button(QDialogButtonBox.StandardButton.RestoreDefaults)
        restore.clicked.connect(lambda: self._show(Thresholds()))
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(14)
        column.addLayout(form)
        column.addWidget(self.problem)
        column.addWidget(buttons)

    def accept(self) -> None:
        """Take what was typed; a number that makes no sense is told, and nothing changes."""
        try:
            changes = {name: float(edit.text()) for name, edit in self.edits.items()}
            made = replace(self._thresholds, **changes)
        except ValueError as error:
            self.problem.setText(
                error.what if isinstance(error, InvalidSettingError) else "That is no number."
            )
            self.problem.show()
            return
        self.chosen.emit(made)
        super().accept()

    def _show(self, thresholds: Thresholds) -> None:
        for name, edit in self.edits.items():
            edit.setText(f"{getattr(thresholds, name):g}")
