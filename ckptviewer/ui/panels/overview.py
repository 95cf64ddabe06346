"""The overview of a checkpoint, or of a group in it: what it is, what takes the bytes, findings."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.text import (
    count_text,
    exact_size_text,
    number_text,
    plural,
    size_text,
)
from ckptviewer.checkpoint.variable import MODEL_ROLES, Role, Variable
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.widgets import (
    ElidedLabel,
    FactList,
    FindingCard,
    StackedBar,
    clear_layout,
    scrolled,
    section_label,
    wrapped_label,
)
from ckptviewer.ui.theme import role_colour

if TYPE_CHECKING:
    from ckptviewer.analysis.resume import TrainingState

FORMAT_TITLES = {
    "tf-bundle": "TensorFlow checkpoint, V2",
    "tf-v1": "TensorFlow checkpoint, V1",
    "saved-model": "SavedModel",
    "keras-archive": "Keras model (.keras)",
    "keras-weights-h5": "Keras weights (.weights.h5)",
    "keras-h5": "Keras HDF5",
    "safetensors": "safetensors",
    "npz": "NumPy arrays",
}
MOST_CARDS = 50
MOST_NAMED = 3
_SHADES = {
    Role.BIAS: 150,
    Role.MOVING_AVERAGE: 135,
    Role.OPTIMIZER_STATE: 140,
    Role.METRIC: 135,
    Role.METADATA: 120,
}
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


class OverviewPanel(QWidget):
    """What a checkpoint or a choice of its variables is, on one page."""

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        page = QWidget()
        outer.addWidget(scrolled(page, "Summary"))
        column = QVBoxLayout(page)
        column.setContentsMargins(20, 16, 20, 20)
        column.setSpacing(8)
        self._title = ElidedLabel()
        self._title.setFont(appearance.title_font)
        self._subtitle = wrapped_label("", "muted")
        self._roles_title = section_label("Bytes by role")
        self._roles = _RoleBreakdown(appearance)
        self._training_title = section_label("Could training resume?")
        self._training = QVBoxLayout()
        self._facts_title = section_label("File")
        self._facts = FactList(appearance)
        self._findings_title = section_label("Findings")
        self._findings = QVBoxLayout()
        self._findings.setSpacing(8)
        column.addWidget(self._title)
        column.addWidget(self._subtitle)
        column.addSpacing(6)
        column.addWidget(self._findings_title)
        column.addLayout(self._findings)
        column.addWidget(self._roles_title)
        column.addWidget(self._roles)
        column.addSpacing(8)
        column.addWidget(self._training_title)
        column.addLayout(self._training)
        column.addSpacing(8)
        column.addWidget(self._facts_title)
        column.addWidget(self._facts)
        column.addStretch(1)
        self._shown: tuple[Checkpoint, TrainingState | None] | None = None
        appearance.changed.connect(self._repaint_theme)

    def show_checkpoint(self, checkpoint: Checkpoint, training: TrainingState | None) -> None:
        """Show a whole checkpoint; `training` is None until it has been found out."""
        self._shown = (checkpoint, training)
        variables = checkpoint.variables
        title = os.path.basename(checkpoint.path.rstrip("/")) or checkpoint.path
        self._show_head(title, FORMAT_TITLES.get(checkpoint.format_name, ""), variables)
        self._show_findings(checkpoint.findings)
        self._show_training(training)
        facts = {"Path": os.path.abspath(checkpoint.path)}
        if checkpoint.written_by:
            facts["Written by"] = checkpoint.written_by
        self._facts.show_facts((facts | checkpoint.facts).items())
        self._facts_title.show()
        self._facts.show()

    def add_training(self, training: TrainingState) -> None:
        """Show what has been found out about the training, beside what is shown already."""
        if self._shown is not None:
            self._shown = (self._shown[0], training)
            self._show_training(training)

    def show_variables(
        self, title: str, variables: Sequence[Variable], findings: Iterable[Finding] = ()
    ) -> None:
        """Show some variables of a checkpoint: a group, or those that are selected."""
        self._shown = None
        self._show_head(title, "", variables)
        self._show_findings(tuple(findings))
        self._show_training(None)
        self._facts_title.hide()
        self._facts.hide()

    def _show_head(self, title: str, kind: str, variables: Sequence[Variable]) -> None:
        self._title.show_text(title)
        parameters = sum(v.element_count for v in variables if v.in_model and v.slot_of is None)
        total = sum(variable.stored_bytes for variable in variables)
        parts = [kind, plural(len(variables), "variable"), size_text(total)]
        parts.append(plural(parameters, "parameter"))
        self._subtitle.setText("  \u00b7  ".join(part for part in parts if part))
        self._roles.show_variables(variables)
        for widget in (self._roles_title, self._roles):
            widget.setVisible(bool(variables))

    def _show_findings(self, findings: Sequence[Finding]) -> None:
        clear_layout(self._findings)
        self._findings_title.setVisible(bool(findings))
        whole = [finding for finding in findings if finding.variable is None]
        shown = sorted(whole + _folded(findings), key=lambda finding: _RANK[finding.severity])
        for finding in shown[:MOST_CARDS]:
            self._findings.addWidget(FindingCard(finding, self._appearance))
        if len(shown) > MOST_CARDS:
            rest = plural(len(shown) - MOST_CARDS, "more finding")
            self._findings.addWidget(
                wrapped_label(f"{rest}: `ckptviewer list` prints all.", "muted")
            )

    def _show_training(self, training: TrainingState | None) -> None:
        clear_layout(self._training)
        self._training_title.setVisible(training is not None)
        if training is None:
            return
        self._training.addWidget(wrapped_label(training.explanation))
        facts: list[tuple[str, str]] = []
        if training.step is not None:
            facts.append(("Step", count_text(training.step)))
        if training.learning_rate is not None:
            facts.append(("Learning rate", number_text(training.learning_rate)))
        for name, slot in training.slots.items():
            lacking = (
                f", missing for {plural(len(slot.missing), 'variable')}" if slot.missing else ""
            )
            facts.append((f"Slot {name}", f"{plural(slot.have, 'variable')}{lacking}"))
        if facts:
            grid = FactList(self._appearance)
            grid.show_facts(facts)
            self._training.addSpacing(4)
            self._training.addWidget(grid)

    def _repaint_theme(self) -> None:
        if self._shown is not None:
            self.show_checkpoint(*self._shown)


def _folded(findings: Iterable[Finding]) -> list[Finding]:
    """Findings about single variables, those of one kind told as one; a lone one stays itself."""
    kinds: dict[tuple[str, Severity], list[Finding]] = defaultdict(list)
    for finding in findings:
        if finding.variable is not None:
            kinds[finding.code, finding.severity].append(finding)
    folded = []
    for (code, severity), alike in kinds.items():
        if len(alike) == 1:
            folded += alike
            continue
        names = ", ".join(finding.variable or "" for finding in alike[:MOST_NAMED])
        more = len(alike) - MOST_NAMED
        folded.append(
            Finding(
                code=code,
                severity=severity,
                message=f"{plural(len(alike), 'variable')}: {code.replace('-', ' ')}. {names}"
                + (f" and {count_text(more)} more" if more > 0 else ""),
                remedy=alike[0].remedy,
            )
        )
    return folded


class _RoleBreakdown(QWidget):
    """Bytes by role: a bar, and a line for each role."""

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self._variables: Sequence[Variable] = ()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 2, 0, 0)
        column.setSpacing(8)
        self._bar = StackedBar()
        self._lines = QVBoxLayout()
        column.addWidget(self._bar)
        column.addLayout(self._lines)
        appearance.changed.connect(self._repaint_theme)

    def _repaint_theme(self) -> None:
        self.show_variables(self._variables)

    def show_variables(self, variables: Sequence[Variable]) -> None:
        self._variables = variables
        sizes: dict[Role, int] = defaultdict(int)
        counts: dict[Role, int] = defaultdict(int)
        for variable in variables:
            sizes[variable.role] += variable.stored_bytes
            counts[variable.role] += 1
        total = max(1, sum(sizes.values()))
        in_order = sorted(sizes, key=lambda role: (role not in MODEL_ROLES, -sizes[role]))
        colours = {role: self._colour(role) for role in in_order}
        self._bar.show_shares([(sizes[role] / total, colours[role]) for role in in_order])
        self._bar.setToolTip(exact_size_text(sum(sizes.values())))
        clear_layout(self._lines)
        grid_widget = QWidget()
        grid = QGridLayout(grid_widget)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(5)
        grid.setColumnStretch(4, 1)
        for row, role in enumerate(in_order):
            swatch = QLabel()
            swatch.setFixedSize(10, 10)
            swatch.setStyleSheet(f"background: {colours[role].name()}; border-radius: 2px;")
            grid.addWidget(swatch, row, 0)
            grid.addWidget(QLabel(str(role)), row, 1)
            for place, text in (
                (2, size_text(sizes[role])),
                (3, _share_text(sizes[role] / total)),
                (4, plural(counts[role], "variable")),
            ):
                label = QLabel(text)
                label.setFont(self._appearance.text_font)
                if place == 4:
                    label.setObjectName("muted")
                else:
                    label.setAlignment(_RIGHT)
                grid.addWidget(label, row, place)
        self._lines.addWidget(grid_widget)

    def _colour(self, role: Role) -> QColor:
        """The role's colour, nearer to the ground so that roles of one hue can be told apart."""
        theme = self._appearance.theme
        colour, shade = role_colour(theme, role), _SHADES.get(role, 100)
        return colour.darker(shade) if theme.name == "dark" else colour.lighter(shade)


def _share_text(share: float) -> str:
    """A share in percent; what is there is not nothing."""
    return "< 0.1%" if 0 < share < 0.0005 else f"{share:.1%}"
