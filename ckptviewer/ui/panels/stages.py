"""How far a validation has come: its stages as they begin, with what each found and how long."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ckptviewer.checkpoint.text import count_text, number_text, plural
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.widgets import clear_layout, wrapped_label

if TYPE_CHECKING:
    from ckptviewer.validation.protocol import Event

_TICK_MS = 100
_RUNNING, _DONE, _ENDED = "\u25cf", "\u2713", "\u2013"


@dataclass(slots=True)
class _Stage:
    key: tuple[str, str]
    began: float
    mark: QLabel
    name: QLabel
    found: QLabel
    spent: QLabel
    over: bool = False


class Stages(QWidget):
    """Lists what was done, and what is being done. cancel_wanted: the user has had enough."""

    cancel_wanted = Signal()

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self._stages: list[_Stage] = []
        self._began = 0.0
        self._title = QLabel()
        self._title.setFont(appearance.title_font)
        self._elapsed = QLabel()
        self._elapsed.setObjectName("muted")
        self._elapsed.setFont(appearance.text_font)
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("End the model\u2019s process (Esc)")
        self.cancel.clicked.connect(lambda _=False: self.cancel_wanted.emit())
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName("Progress of the stage")
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(6)
        self._grid.setColumnStretch(2, 1)
        self._foot = wrapped_label("", "muted")
        head = QHBoxLayout()
        head.addWidget(self._title, 1)
        head.addWidget(self._elapsed)
        head.addSpacing(10)
        head.addWidget(self.cancel)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(14)
        column.addLayout(head)
        column.addWidget(self._bar)
        column.addLayout(self._grid)
        column.addSpacing(8)
        column.addWidget(self._foot)
        column.addStretch(1)
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self._tick)

    def begin(self, title: str, foot: str) -> None:
        """Start anew. foot: what else should be known, beneath."""
        clear_layout(self._grid)
        self._stages.clear()
        self._began = time.monotonic()
        self._title.setText(title)
        self._foot.setText(foot)
        self._foot.setAccessibleName(foot)
        self._bar.setRange(0, 0)
        self.cancel.setEnabled(True)
        self._open(("start", ""))
        self._tick()
        self._timer.start()

    def finish(self) -> None:
        """It is over, well or not."""
        self._timer.stop()
        if self._stages:
            self._close(self._stages[-1], _ENDED)

    def hear(self, event: Event) -> None:
        """Take what the worker tells."""
        from ckptviewer.validation import protocol

        if isinstance(event, protocol.StageProgress):
            key = (event.stage, event.checkpoint)
            if not self._stages or self._stages[-1].key != key:
                self._open(key)
            self._bar.setRange(0, event.total)
            self._bar.setValue(min(event.done, event.total))
            if event.total:
                units = {"run": "examples", "read-back": "variables", "impact": "groups"}
                done, total = count_text(event.done), count_text(event.total)
                self._tell(f"{done} of {total} {units.get(event.stage, '')}")
        elif isinstance(event, protocol.Libraries):
            keras = f", Keras {event.keras}" if event.keras else ""
            self._tell(f"TensorFlow {event.tensorflow}{keras}")
        elif isinstance(event, protocol.Hello):
            self._tell(f"Python {event.python}, process {event.pid}")
        elif isinstance(event, protocol.ModelInfo):
            self._tell(plural(len(event.variables), "variable"))
        elif isinstance(event, protocol.Restored):
            wrong = len(event.missing) + len(event.mismatched)
            told = f"{plural(len(event.bound), 'variable')} bound"
            self._tell(f"{told}, {wrong} not" if wrong else told)
        elif isinstance(event, protocol.ReadBack):
            equal = sum(each.equal is True for each in event.variables)
            self._tell(f"{equal} of {plural(len(event.variables), 'variable')} equal to the file")
        elif isinstance(event, protocol.Measurements):
            values = [f"{k} {number_text(v, 4)}" for k, v in event.values.items()]
            self._tell(", ".join([plural(event.examples, "example"), *values[:3]]))

    def say(self, label: str) -> None:
        """What is done outside of the worker ("Measuring B")."""
        key = (label, "")
        if not self._stages or self._stages[-1].key != key:
            self._open(key)
            self._bar.setRange(0, 0)

    def names(self) -> list[str]:
        """The stages that have begun, in words."""
        return [stage.name.text() for stage in self._stages]

    def _open(self, key: tuple[str, str]) -> None:
        from ckptviewer.validation.launcher import STAGES

        if self._stages:
            self._close(self._stages[-1], _DONE)
        name = STAGES.get(key[0], key[0]) + (f" {key[1].upper()}" if key[1] else "")
        stage = _Stage(key, time.monotonic(), QLabel(_RUNNING), QLabel(name), QLabel(), QLabel())
        stage.mark.setStyleSheet(f"color: {self._appearance.theme.accent};")
        stage.name.setFont(self._appearance.bold_font)
        for quiet in (stage.found, stage.spent):
            quiet.setObjectName("muted")
            quiet.setTextFormat(Qt.TextFormat.PlainText)
            quiet.setFont(self._appearance.text_font)
        row = len(self._stages)
        for column, label in enumerate((stage.mark, stage.name, stage.found, stage.spent)):
            right = Qt.AlignmentFlag.AlignRight if column == 3 else Qt.AlignmentFlag.AlignLeft
            self._grid.addWidget(label, row, column, right)
        self._stages.append(stage)

    def _close(self, stage: _Stage, mark: str) -> None:
        if stage.over:
            return
        stage.over = True
        stage.mark.setText(mark)
        colour = self._appearance.theme.good if mark == _DONE else self._appearance.theme.muted
        stage.mark.setStyleSheet(f"color: {colour}; font-weight: 700;")
        stage.name.setFont(self._appearance.text_font)
        stage.spent.setText(f"{time.monotonic() - stage.began:.1f} s")

    def _tell(self, text: str) -> None:
        if self._stages:
            self._stages[-1].found.setText(text)

    def _tick(self) -> None:
        now = time.monotonic()
        self._elapsed.setText(f"{now - self._began:.1f} s")
        if self._stages and not self._stages[-1].over:
            self._stages[-1].spent.setText(f"{now - self._stages[-1].began:.1f} s")
