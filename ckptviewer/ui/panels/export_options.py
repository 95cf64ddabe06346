"""The options of an export: what is kept, how it is changed, as what it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import BadRuleError
from ckptviewer.checkpoint.findings import Finding
from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY
from ckptviewer.checkpoint.text import count_text, elide_middle, plural
from ckptviewer.checkpoint.variable import Role
from ckptviewer.export.choices import CAST_ROLES, CastRule, Choices, Preset
from ckptviewer.export.writers import FORMATS
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.buttons import chip_button, flat_button, menu_button
from ckptviewer.ui.panels.cast_prediction import CastPrediction
from ckptviewer.ui.panels.export_form import (
    Choice,
    Form,
    cards_column,
    pattern_field,
    rules_edit,
)
from ckptviewer.ui.panels.flow_row import FlowRow
from ckptviewer.ui.panels.note import Note
from ckptviewer.ui.panels.overview import FORMAT_TITLES
from ckptviewer.ui.panels.ready_made_rules import ReadyMadeRules
from ckptviewer.ui.panels.tick_box import TickBox
from ckptviewer.ui.panels.widgets import FindingCard, clear_layout, section_label
from ckptviewer.ui.planned import Planned, short_names
from ckptviewer.ui.proposals import has_object_graph, parse_patterns, roles_in

if TYPE_CHECKING:
    from ckptviewer.checkpoint.renaming import RenameRule
    from ckptviewer.ui.theme import Theme

SETTLE_MS = 200
AS_STORED = "as stored"
ONE_FILE = "one"
MOST_RENAMED_SHOWN = 4
MOST_TOLD = 320

_PRESETS = {
    Preset.INFERENCE: ("Inference", "The model and its moving statistics, no state of training."),
    Preset.TRAINABLE: ("Trainable", "What is trained, as far as the file says so; else by role."),
    Preset.ALL: ("Everything", "All that the checkpoint has."),
    Preset.SELECTED: ("Selected", "What was selected in the tree, and what you tick."),
}  # fmt: skip
_SCOPES = {
    "all that has floating point": CAST_ROLES,
    "weights and biases": frozenset({Role.WEIGHT, Role.BIAS}),
    "weights": frozenset({Role.WEIGHT}),
}
_SHARDS = {ONE_FILE: None, "up to 500 MB each": 500_000_000, "up to 2 GB each": 2_000_000_000,
           "up to 5 GB each": 5_000_000_000}  # fmt: skip
_PLACES = {
    "cast": "cast",
    "averages-kept": "averages",
    "no-average": "averages",
    "renamed-object-keys": "rename",
    "unwritable-variables": "format",
    "save-counter-added": "format",
}
"""Beside which option a finding stands, by its code; all others stand at the top."""

_SAID_ELSEWHERE = frozenset({"nothing-renamed"})
_REMEDIES = {
    "averages-kept": "The box above writes them in the place of the weights.",
    "others-dropped": "Tick those that the model needs.",
    "cast": "Copy that Python once it is exported; the receipt has it, too.",
    "unwritable-variables": "The tree says why; a TensorFlow checkpoint holds all of them.",
}
"""What the window says in the place of remedies that speak of the command line."""

_TITLES = {name: FORMAT_TITLES[name] for name in FORMATS}


class ExportOptions(QWidget):
    """Asks for all choices but ticks, on one page.

    changed: `choices()` are others. preset_chosen: a preset was, and ticks begin anew.
    ticks_forgotten: the user's own ticks are to go.
    """

    changed = Signal()
    preset_chosen = Signal(object)
    ticks_forgotten = Signal()

    def __init__(self, appearance: Appearance, checkpoint: Checkpoint, choices: Choices) -> None:
        super().__init__()
        self.setObjectName("page")
        self._appearance = appearance
        self._first = choices
        self._rules: tuple[RenameRule, ...] = ()
        self._has_graph = has_object_graph(checkpoint)
        has_averages = Role.MOVING_AVERAGE in roles_in(checkpoint)
        self._shown: tuple[tuple[Finding, ...], Theme] | None = None
        self.preset = choices.preset
        self.presets = QButtonGroup(self)
        self._preset_note = Note()
        self.ticks = QLabel()
        self.forget = flat_button("Undo them", "Go by the preset and the patterns again")
        self.cards = {place: cards_column() for place in ("", *_PLACES.values())}
        self.confirm = TickBox("Go by role where the file does not say", appearance)
        self.keep_only = pattern_field("Keep only", "all:  encoder/*  role:weight  /layer_[0-3]/")
        self.leave_out = pattern_field("Leave out", "nothing:  head/*  /^ema_/")
        self.patterns_problem = Note()
        self.cast = Choice("Cast", [AS_STORED, "float16", "bfloat16", "float32", "float64"])
        self.cast_scope = Choice("What is cast", list(_SCOPES))
        self.prediction = CastPrediction(appearance)
        self.use_ema = TickBox("Moving averages in the place of the weights", appearance)
        self.use_ema.setVisible(has_averages)
        self.rename = rules_edit(appearance)
        self.ready_made = ReadyMadeRules(self)
        self.rename_note = Note()
        self.renamed = QLabel()
        self.format = Choice("Format", list(_TITLES.values()), _TITLES[choices.format])
        self.shards = Choice("Data files", list(_SHARDS))
        self.name_based = TickBox("By names alone, without the object graph", appearance)
        self._lay_out()
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self._take_texts)
        self._connect()
        self._show_what_applies()

    def choices(self) -> Choices:
        """What is chosen, without ticks. What is typed and wrong is left out."""
        dtype, scope = self.cast.choice, _SCOPES[self.cast_scope.choice]
        chosen = replace(
            self._first,
            preset=self.preset,
            cast=None if dtype == AS_STORED else CastRule(dtype=dtype, roles=scope),
            use_ema=self.use_ema.isChecked() and not self.use_ema.isHidden(),
            renames=self._rules,
            format=self.format_name,
            shard_bytes=_SHARDS[self.shards.choice] if self.format_name == "tf-bundle" else None,
            name_based=self.name_based.isChecked() and not self.name_based.isHidden(),
        )
        if self.preset is Preset.SELECTED:
            return chosen
        try:
            patterns = parse_patterns(self.keep_only.text(), self.leave_out.text())
        except BadRuleError:
            return chosen
        return replace(
            chosen,
            include=patterns.include,
            exclude=patterns.exclude,
            include_regex=patterns.include_regex,
            exclude_regex=patterns.exclude_regex,
            roles=patterns.roles,
            dtypes=patterns.dtypes,
        )

    @property
    def format_name(self) -> str:
        """The name of the format that is chosen."""
        return next(name for name, title in _TITLES.items() if title == self.format.choice)

    @property
    def problem(self) -> str:
        """What is typed and wrong; empty where all can be used."""
        return self.patterns_problem.said or self._rename_problem()

    def add_rule(self, rule: RenameRule) -> None:
        """Put another rename rule below those that are there."""
        self._add_rules([str(rule)])

    def _add_rules(self, rules: Sequence[str]) -> None:
        lines = [line for line in self.rename.toPlainText().splitlines() if line.strip()]
        self.rename.setPlainText("\n".join([*lines, *rules]))

    def finish_typing(self) -> None:
        """Take what is typed at once."""
        if self._settle.isActive():
            self._settle.stop()
            self._take_texts()

    def choose_format(self, name: str) -> None:
        """Choose a format by its name."""
        self.format.choose(_TITLES[name])

    def choose_preset(self, preset: Preset) -> None:
        """Begin anew from a preset."""
        self.preset = preset
        self._show_what_applies()
        self.preset_chosen.emit(preset)

    def show_findings(self, findings: Sequence[Finding], *, needs_confirmation: bool) -> None:
        """Show what to know before it is written, each beside what it comes from."""
        self.confirm.setVisible(needs_confirmation)
        shown_now = (tuple(findings), self._appearance.theme)
        if shown_now == self._shown:  # cards that are made anew flicker
            return
        self._shown = shown_now
        for cards in self.cards.values():
            clear_layout(cards)
        for finding in findings:
            if finding.code not in _SAID_ELSEWHERE:
                shown = replace(finding, remedy=_REMEDIES.get(finding.code, finding.remedy))
                place = self.cards[_PLACES.get(finding.code, "")]
                place.addWidget(FindingCard(shown, self._appearance))

    def show_ticks(self, count: int) -> None:
        """Say how many ticks are the user's own."""
        self.ticks.setText(f"{plural(count, 'tick')} of your own")
        for widget in (self.ticks, self.forget):
            widget.setVisible(count > 0)

    def show_renamed(self, planned: Planned) -> None:
        """Show what the rules make of what is kept."""
        typed = bool(self.rename.toPlainText().strip())
        pairs = planned.renamed if typed else ()
        if not self._rename_problem():
            note = f"{plural(len(pairs), 'key')} of what is kept renamed:" if typed else ""
            if typed and not pairs:
                kept = (each.key for each in planned.plan.kept if each.key != OBJECT_GRAPH_KEY)
                key = next(kept, "")
                such = f", such as {key}" if key else ""
                note = f"The rules rename none of what is kept. They go by keys{such}."
            self.rename_note.say(note)
        shown = [
            f"{elide_middle(old, 30)}  \u2192  {elide_middle(new, 30)}"
            for old, new in map(short_names, pairs[:MOST_RENAMED_SHOWN])
        ]
        if len(pairs) > len(shown):
            shown.append(f"and {count_text(len(pairs) - len(shown))} more: the tree shows all")
        self.renamed.setText("\n".join(shown))
        self.renamed.setVisible(bool(shown))

    def show_rename_problem(self, text: str) -> None:
        """Say why the rules cannot be used."""
        self.rename_note.say(elide_middle(text, MOST_TOLD), error=True)
        self.renamed.hide()

    # How it goes on.

    def _rename_problem(self) -> str:
        return self.rename_note.said if self.rename_note.is_error else ""

    def _take_texts(self) -> None:
        from ckptviewer.analysis.rename_preview import parse_rules

        try:
            parse_patterns(self.keep_only.text(), self.leave_out.text())
            self.patterns_problem.say("")
        except BadRuleError as error:
            self.patterns_problem.say(_sentence(error), error=True)
        rules, problems = parse_rules(self.rename.toPlainText().splitlines())
        problem = next(filter(None, problems), "")
        self.rename_note.say(problem, error=bool(problem))
        if problem:
            self.renamed.hide()
        self._rules = tuple(rule for rule in rules if rule is not None)
        self.changed.emit()

    def _show_what_applies(self) -> None:
        for button in self.presets.buttons():
            button.setChecked(button.text() == _PRESETS[self.preset][0])
        self._preset_note.say(_PRESETS[self.preset][1])
        for widget in self._patterns:
            widget.setVisible(self.preset is not Preset.SELECTED)
        is_bundle = self.format_name == "tf-bundle"
        self.name_based.setVisible(is_bundle and self._has_graph)
        for widget in self._shard_row:
            widget.setVisible(is_bundle)
        casts = self.cast.choice != AS_STORED
        for widget in self._scope_row:
            widget.setVisible(casts)

    def _change(self) -> None:
        self._show_what_applies()
        self.changed.emit()

    def _connect(self) -> None:
        for edit in (self.keep_only, self.leave_out, self.rename):
            edit.textChanged.connect(self._settle.start)
        for choice in (self.cast, self.cast_scope, self.format, self.shards):
            choice.chosen.connect(self._change)
        for box in (self.use_ema, self.name_based):
            box.toggled.connect(self._change)
        self.forget.clicked.connect(self.ticks_forgotten)

    # How it is made.

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 14, 20, 18)
        column.setSpacing(8)
        presets = FlowRow(6)
        for preset, (title, tip) in _PRESETS.items():
            button = chip_button(title, tip)
            button.clicked.connect(lambda _=False, preset=preset: self.choose_preset(preset))
            self.presets.addButton(button)
            presets.addWidget(button)
        column.addLayout(presets)
        column.addWidget(self._preset_note)
        self.ticks.setObjectName("muted")
        row = QHBoxLayout()
        row.addWidget(self.ticks)
        row.addWidget(self.forget)
        row.addStretch(1)
        column.addLayout(row)
        column.addLayout(self.cards[""])
        self.confirm.hide()
        column.addWidget(self.confirm)
        grid = Form()
        self._patterns = [
            *grid.add("Keep only", self.keep_only),
            *grid.add("Leave out", self.leave_out),
        ]
        column.addSpacing(4)
        column.addLayout(grid)
        column.addWidget(self.patterns_problem)
        self._lay_out_changes(column)
        self._lay_out_format(column)
        column.addStretch(1)

    def _lay_out_changes(self, column: QVBoxLayout) -> None:
        column.addSpacing(6)
        column.addWidget(section_label("Changed on the way"))
        grid = Form()
        grid.add("Cast to", self.cast)
        self._scope_row = grid.add("of", self.cast_scope)
        column.addLayout(grid)
        column.addWidget(self.prediction)
        column.addLayout(self.cards["cast"])
        column.addWidget(self.use_ema)
        column.addLayout(self.cards["averages"])
        grid = Form()
        grid.add("Rename", self.rename)
        below_label = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom
        grid.addWidget(self._ready_made_button(), grid.rowCount() - 1, 0, below_label)
        column.addLayout(grid)
        self.renamed.setFont(self._appearance.small_font)
        self.renamed.setTextFormat(Qt.TextFormat.PlainText)
        self.renamed.hide()
        column.addWidget(self.rename_note)
        column.addWidget(self.renamed)
        column.addLayout(self.cards["rename"])

    def _ready_made_button(self) -> QToolButton:
        button = menu_button("Rules", "Add ready-made rename rules", menu=self.ready_made)
        button.setStyleSheet("padding-left: 0; padding-right: 0;")
        self.ready_made.chosen.connect(self._add_rules)
        return button

    def _lay_out_format(self, column: QVBoxLayout) -> None:
        column.addSpacing(6)
        column.addWidget(section_label("Written as"))
        grid = Form()
        grid.add("Format", self.format)
        self._shard_row = grid.add("Data files", self.shards)
        column.addLayout(grid)
        column.addWidget(self.name_based)
        column.addLayout(self.cards["format"])


def _sentence(error: BadRuleError) -> str:
    where = f"{error.where}: " if error.where else ""
    return f"{where}{error.what}. {error.remedy}".strip()
