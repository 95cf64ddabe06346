"""Before a model is loaded: what will run, what was found in it, and the question."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.checkpoint.text import plural
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.tick_box import TickBox
from ckptviewer.ui.panels.widgets import FactList, scrolled, section_label, wrapped_label

if TYPE_CHECKING:
    from ckptviewer.ui.validation_work import Consent
    from ckptviewer.validation.risks import Risk

_LEVELS = {
    "code": ("error", "\u25b2", "runs code"),
    "files": ("warning", "\u25b2", "files and network"),
    "unknown": ("warning", "?", "not known"),
    "usual": ("muted", "\u2022", "usual"),
}
_TALL = 260


class ApprovalDialog(QDialog):
    """Tells what will run, and asks. agreed: it may; whether that is to be remembered."""

    agreed = Signal(bool)

    def __init__(self, consent: Consent, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Run this model?")
        self._appearance = appearance
        review = consent.review
        title = QLabel("Run this model\u2019s code?")
        title.setFont(appearance.title_font)
        facts = FactList(appearance)
        facts.show_facts(
            [
                ("Model", consent.task.recipe.model.path),
                ("Python", consent.python or "none is chosen yet"),
                *(("Also runs", path) for path in review.files[1:] if path.endswith(".py")),
            ]
        )
        self.remember = TickBox("Do not ask again for this very content", appearance)
        self.remember.setToolTip("Any change to these files asks again")
        self.remember.setEnabled(bool(review.digest))
        self.remember.setChecked(bool(review.digest) and not review.is_risky)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.run = buttons.addButton("Run it", QDialogButtonBox.ButtonRole.AcceptRole)
        self.run.setObjectName("" if review.is_risky else "primary")
        cancel = buttons.button(QDialogButtonBox.StandardButton.Cancel)
        cancel.setDefault(review.is_risky)
        self.run.setDefault(not review.is_risky)
        self._first = cancel if review.is_risky else self.run
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 16)
        column.setSpacing(12)
        for widget in (title, wrapped_label(review.what_runs), facts):
            column.addWidget(widget)
        column.addWidget(section_label("What was found in it"))
        column.addWidget(self._risks(review.risks))
        column.addWidget(
            wrapped_label(
                "Run only what you trust. Finding nothing is no promise: Keras\u2019 safe mode was "
                "bypassed more than once, and a process of its own is no sandbox.",
                "muted",
            )
        )
        column.addWidget(self.remember)
        column.addWidget(buttons)
        self.setMinimumWidth(560)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._first.setFocus()

    def accept(self) -> None:
        """Say that it may run."""
        self.agreed.emit(self.remember.isChecked() and self.remember.isEnabled())
        super().accept()

    def _risks(self, risks: tuple[Risk, ...]) -> QWidget:
        if not risks:
            return wrapped_label(
                "No operation that runs Python, or reads or writes files.", "muted"
            )
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        for risk in risks:
            column.addWidget(self._card(risk))
        if len(risks) <= 3:
            return page
        area = scrolled(page, "What was found")
        area.setFixedHeight(_TALL)
        return area

    def _card(self, risk: Risk) -> QFrame:
        colour, sign, level = _LEVELS[risk.level.value]
        card = QFrame()
        card.setObjectName("card")
        row = QHBoxLayout(card)
        row.setContentsMargins(12, 8, 12, 8)
        row.setSpacing(10)
        mark = QLabel(sign)
        mark.setToolTip(level)
        mark.setAccessibleName(level)
        shade = getattr(self._appearance.theme, colour)
        mark.setStyleSheet(f"color: {shade}; font-weight: 700;")
        row.addWidget(mark, 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(wrapped_label(risk.message))
        if risk.places:
            more = risk.count - len(risk.places)
            told = ", ".join(os.path.normpath(place) for place in risk.places)
            if more > 0:
                told += f" and {plural(more, 'more', 'more')}"
            words.addWidget(wrapped_label(told, "muted"))
        row.addLayout(words, 1)
        return card
