"""The inspector of one variable: head, Distribution, Values, Image, Details."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QTabWidget, QVBoxLayout, QWidget

from ckptviewer.analysis.snippets import python_to_read
from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.text import count_text, exact_size_text, plural, shape_text, size_text
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Jobs
from ckptviewer.ui.panels.distribution import DistributionPanel
from ckptviewer.ui.panels.image import ImagePanel
from ckptviewer.ui.panels.values import ValuesPanel
from ckptviewer.ui.panels.widgets import (
    ElidedLabel,
    FactList,
    FindingCard,
    clear_layout,
    name_tabs,
    scrolled,
    section_label,
    wrapped_label,
)
from ckptviewer.ui.session import Session

_SELECTABLE = (
    Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
)
_TRAINABLE = {True: "trainable", False: "not trainable", None: ""}


class VariablePanel(QWidget):
    """Shows one variable. copied: what was put on the clipboard, or into a file, in words.

    file_changed: reading told that the file is another one now.
    """

    copied = Signal(str)
    file_changed = Signal()

    def __init__(self, jobs: Jobs, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self._shown: tuple[Session, Variable] | None = None
        self._title = ElidedLabel()
        self._title.setFont(appearance.title_font)
        self._subtitle = wrapped_label("", "muted")
        self._findings = QVBoxLayout()
        head = QVBoxLayout()
        head.setContentsMargins(20, 16, 20, 8)
        head.setSpacing(4)
        head.addWidget(self._title)
        head.addWidget(self._subtitle)
        head.addLayout(self._findings)
        self.distribution = DistributionPanel(appearance)
        self.values = ValuesPanel(jobs, appearance)
        self.image = ImagePanel(jobs, appearance)
        self.values.copied.connect(self.copied)
        self.distribution.saved.connect(self.copied)
        for panel in (self.values, self.image):
            panel.file_changed.connect(self.file_changed)
        self._details = FactList(appearance)
        self._snippet = QLabel()
        self._snippet.setTextFormat(Qt.TextFormat.PlainText)
        self._snippet.setObjectName("code")
        self._snippet.setAccessibleName("In Python")
        self._snippet.setFont(appearance.fixed_font)
        self._snippet.setTextInteractionFlags(_SELECTABLE)
        self._snippet.setWordWrap(True)
        self._copy = QPushButton("Copy as Python")
        self._copy.setToolTip("Put the lines that read this variable on the clipboard")
        self._copy.clicked.connect(self.copy_as_python)
        self.tabs = QTabWidget()
        name_tabs(self.tabs, "Views of the variable")
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(self.distribution, "Distribution")
        self.tabs.addTab(self.values, "Values")
        self.tabs.addTab(self.image, "Image")
        self.tabs.addTab(scrolled(self._details_page(), "Details"), "Details")
        self.tabs.currentChanged.connect(lambda _tab: self._fill_tab())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self.tabs, 1)

    def show_variable(self, session: Session, variable: Variable) -> None:
        """Show what is known of a variable without reading its values."""
        checkpoint = session.checkpoint
        self._title.show_text(variable.name.replace("/", " / "))
        slots = session.slots_of(variable)
        owner = checkpoint.by_key.get(variable.slot_of or "")
        parts = [
            f"{shape_text(variable.shape)} {variable.dtype}",
            plural(variable.element_count, "value"),
            size_text(variable.stored_bytes),
            str(variable.role),
            _TRAINABLE[variable.trainable],
            f"slots: {', '.join(slot.slot_name for slot in slots)}" if slots else "",
            f"of {owner.name}" if owner else "",
        ]
        self._subtitle.setText("  \u00b7  ".join(part for part in parts if part))
        clear_layout(self._findings)
        for finding in checkpoint.findings:
            if finding.variable == variable.key:
                self._findings.addWidget(FindingCard(finding, self._appearance))
        self._details.show_facts(_details(checkpoint, variable, slots).items())
        self._snippet.setText(python_to_read(checkpoint, variable).rstrip())
        self._shown = (session, variable)
        for panel in (self.values, self.image):
            if panel is not self.tabs.currentWidget():
                panel.clear()
        self._fill_tab()

    def clear(self) -> None:
        """Let go of what is shown; what is still being read of it is not wanted any more."""
        self._shown = None
        self.values.clear()
        self.image.clear()

    def _fill_tab(self) -> None:
        """Show the variable in the tab in sight; what nobody looks at is not read."""
        panel = self.tabs.currentWidget()
        if self._shown is not None and (panel is self.values or panel is self.image):
            panel.show_variable(*self._shown)

    def copy_as_python(self) -> None:
        """Put the Python that reads the variable in sight on the clipboard."""
        if self.isVisible() and self._snippet.text():
            QGuiApplication.clipboard().setText(self._snippet.text() + "\n")
            self.copied.emit("Copied the Python that reads this variable")

    def _details_page(self) -> QWidget:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(20, 14, 20, 16)
        column.setSpacing(10)
        column.addWidget(self._details)
        column.addSpacing(6)
        row = QHBoxLayout()
        row.addWidget(section_label("In Python"))
        row.addStretch(1)
        row.addWidget(self._copy)
        column.addLayout(row)
        column.addWidget(self._snippet)
        column.addStretch(1)
        return page


def _details(
    checkpoint: Checkpoint, variable: Variable, slots: Sequence[Variable]
) -> dict[str, str]:
    details = {"Key": variable.key}
    if variable.name != variable.key:
        details["Name"] = variable.name
    if variable.object_path:
        details["Object path"] = variable.object_path
    details["Shape"] = shape_text(variable.shape)
    details["Dtype"] = variable.dtype
    details["Elements"] = count_text(variable.element_count)
    details["Stored"] = exact_size_text(variable.stored_bytes)
    details["Role"] = str(variable.role)
    details["Trainable"] = {True: "yes", False: "no", None: "the file does not say"}[
        variable.trainable
    ]
    if variable.slot_of:
        details["Slot of"] = variable.slot_of
        details["Slot"] = variable.slot_name
    for slot in slots:
        details[f"Has slot {slot.slot_name}"] = slot.key
    return details | checkpoint.details(variable)
