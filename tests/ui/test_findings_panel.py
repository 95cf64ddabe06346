"""The panel of findings, as a person uses it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QPushButton, QToolButton, QTreeWidget
from pytestqt.qtbot import QtBot

from ckptviewer.checkpoint.findings import Severity
from ckptviewer.checkpoint.tree import ViewBy
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Jobs
from ckptviewer.ui.panels.findings import FindingsPanel
from ckptviewer.ui.session import Session, open_session
from tests.builders import Bundle
from tests.ui.conftest import TIMEOUT_MS, Gate


@pytest.fixture
def jobs(qtbot: QtBot) -> Iterator[Jobs]:
    jobs = Jobs()
    yield jobs
    jobs.shut_down()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    rng = np.random.default_rng(4)
    bundle = Bundle.empty()
    for name in ("first", "second", "third"):
        bundle.add(f"{name}/kernel", rng.normal(size=(8, 8)).astype(np.float32))
    bundle.replace("second/kernel", np.zeros((8, 8), np.float32).tobytes())
    bundle.replace("third/kernel", np.full((8, 8), np.nan, np.float32).tobytes())
    session = open_session(str(bundle.write(tmp_path / "model.ckpt")), ViewBy.NAME)
    yield session
    session.close()


@pytest.fixture
def panel(jobs: Jobs, appearance: Appearance, session: Session, qtbot: QtBot) -> FindingsPanel:
    """The panel of a checkpoint, once what costs nothing has been looked at."""
    panel = FindingsPanel(jobs, appearance)
    qtbot.addWidget(panel)
    panel.resize(420, 500)
    panel.show()
    panel.show_session(session)
    qtbot.waitUntil(lambda: not jobs.running, timeout=TIMEOUT_MS)
    return panel


def listed(panel: FindingsPanel) -> list[str]:
    tree = panel.findChild(QTreeWidget)
    return [tree.topLevelItem(row).text(1) for row in range(tree.topLevelItemCount())]


def button(panel: FindingsPanel, text: str) -> QPushButton | QToolButton:
    buttons = [*panel.findChildren(QPushButton), *panel.findChildren(QToolButton)]
    (found,) = (each for each in buttons if text in each.text())
    return found


def examine(panel: FindingsPanel, jobs: Jobs, qtbot: QtBot) -> None:
    qtbot.mouseClick(button(panel, "Examine"), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not jobs.running, timeout=TIMEOUT_MS)


def test_what_costs_nothing_is_there_at_once(panel: FindingsPanel) -> None:
    assert [finding.code for finding in panel.findings] == ["name-based"]
    assert button(panel, "Examine").text() == "Examine all values"


def test_examining_lists_the_worst_first(panel: FindingsPanel, jobs: Jobs, qtbot: QtBot) -> None:
    with qtbot.waitSignal(panel.changed, timeout=TIMEOUT_MS):
        examine(panel, jobs, qtbot)
    assert [finding.code for finding in panel.findings] == ["nan", "all-zero", "name-based"]
    assert listed(panel) == [finding.message for finding in panel.findings]
    assert button(panel, "Examine").text() == "Examine again"
    examine(panel, jobs, qtbot)
    assert len(panel.findings) == 3


def test_a_click_chooses_the_variable(panel: FindingsPanel, jobs: Jobs, qtbot: QtBot) -> None:
    examine(panel, jobs, qtbot)
    tree = panel.findChild(QTreeWidget)
    place = tree.visualItemRect(tree.topLevelItem(1)).center()
    with qtbot.waitSignal(panel.chosen, timeout=TIMEOUT_MS) as told:
        qtbot.mouseClick(tree.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert told.args == ["second/kernel"]


def test_filter_by_severity(panel: FindingsPanel, jobs: Jobs, qtbot: QtBot) -> None:
    examine(panel, jobs, qtbot)
    qtbot.mouseClick(button(panel, "warning"), Qt.MouseButton.LeftButton)
    assert [finding.severity for finding in panel.shown()] == [Severity.ERROR, Severity.INFO]
    assert len(listed(panel)) == 2
    qtbot.mouseClick(button(panel, "warning"), Qt.MouseButton.LeftButton)
    assert len(listed(panel)) == 3


def test_copy(panel: FindingsPanel, jobs: Jobs, qtbot: QtBot) -> None:
    examine(panel, jobs, qtbot)
    qtbot.mouseClick(button(panel, "Copy"), Qt.MouseButton.LeftButton)
    lines = QGuiApplication.clipboard().text().splitlines()
    assert [line.split("\t")[:3] for line in lines] == [
        ["error", "nan", "third/kernel"],
        ["warning", "all-zero", "second/kernel"],
        ["info", "name-based", ""],
    ]


def test_stopping(
    panel: FindingsPanel, jobs: Jobs, gate: Gate, qtbot: QtBot, session: Session
) -> None:
    chunks = session.checkpoint.chunks

    def slow(*arguments: object) -> object:
        gate.hold()
        return chunks(*arguments)  # type: ignore[arg-type]

    session.checkpoint.chunks = slow  # type: ignore[method-assign, assignment]
    qtbot.mouseClick(button(panel, "Examine"), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(gate.entered.is_set, timeout=TIMEOUT_MS)
    qtbot.mouseClick(button(panel, "Stop"), Qt.MouseButton.LeftButton)
    assert not jobs.running
    assert button(panel, "Examine").text() == "Examine all values"
    gate.release()
    assert [finding.code for finding in panel.findings] == ["name-based"]


def test_nothing_open(panel: FindingsPanel, jobs: Jobs) -> None:
    panel.show_session(None)
    assert panel.findings == ()
    assert listed(panel) == []
    assert not button(panel, "Examine").isEnabled()
    assert not jobs.running
