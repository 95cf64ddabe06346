"""Every view and dialog for people who hear it, or who have no mouse."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QKeySequence
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QTabBar,
    QWidget,
)
from pytestqt.qtbot import QtBot

from ckptviewer.resources import demo_checkpoint
from ckptviewer.ui.dialogs.palette import Palette
from ckptviewer.ui.main_window import MainWindow
from ckptviewer.ui.models_at_hand import show_restore, show_validation
from ckptviewer.ui.panels.comparison_view import ComparisonView
from ckptviewer.ui.panels.confusion import ConfusionMatrix
from ckptviewer.ui.panels.delta_painting import STATUS_COLOURS
from ckptviewer.ui.panels.run_view import RunView
from ckptviewer.ui.panels.widgets import SEVERITY_MARKS
from ckptviewer.ui.theme import DARK, LIGHT, Theme, blended, ink_on, luminance
from tests.ui.conftest import TIMEOUT_MS, Open, idle

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
INTERACTIVE = (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTabBar,
)
KERNEL = "digits/hidden/kernel"


def contrast(one: QColor, other: QColor) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def is_qts_own(widget: QWidget) -> bool:
    """Whether Qt made it as a part of something that has a name itself."""
    parent = widget.parent()
    return (
        widget.objectName().startswith("qt_")
        or isinstance(parent, QTabBar | QLineEdit | QAbstractSpinBox | QComboBox)
        or isinstance(widget, QHeaderView)
        or (isinstance(parent, QAbstractItemView) and isinstance(widget, QAbstractButton))
    )


def words_of(widget: QWidget) -> str:
    """What is said of a widget that takes the keyboard."""
    text = widget.text() if isinstance(widget, QAbstractButton) else ""
    marks = "".join(SEVERITY_MARKS.values())
    return widget.accessibleName() or text.strip(f"\u25be\u25b8\u2026 {marks}&")


def in_sight(root: QWidget) -> Iterator[QWidget]:
    for widget in root.findChildren(QWidget):
        if widget.isVisibleTo(root) and not is_qts_own(widget):
            yield widget


def silent(root: QWidget) -> list[str]:
    """What takes the keyboard, and has no words."""
    buddies = {label.buddy() for label in root.findChildren(QLabel)}
    return [
        f"{type(widget).__name__} in {type(widget.parent()).__name__}"
        for widget in in_sight(root)
        if widget.focusPolicy() != Qt.FocusPolicy.NoFocus
        and not words_of(widget)
        and widget not in buddies
    ]


def out_of_reach(root: QWidget) -> list[str]:
    """What can be used by mouse, and not by Tab."""
    return [
        f"{type(widget).__name__} {words_of(widget)!r}"
        for widget in in_sight(root)
        if isinstance(widget, INTERACTIVE) and not widget.focusPolicy() & Qt.FocusPolicy.TabFocus
    ]


def traps(root: QWidget) -> list[str]:
    """What Tab leads into, and never out of."""
    return [
        f"{type(widget).__name__} {words_of(widget)!r}"
        for widget in in_sight(root)
        if (isinstance(widget, QAbstractItemView) and widget.tabKeyNavigation())
        or (isinstance(widget, QPlainTextEdit) and not widget.tabChangesFocus())
    ]


def shared_shortcuts(window: MainWindow) -> list[str]:
    """Keys that two actions of the menus have."""
    actions = {
        id(action): action
        for menu in window.menuBar().findChildren(QMenu)
        for action in menu.actions()
        if not action.isSeparator()
    }
    keys = [
        key.toString()
        for action in actions.values()
        if action.isVisible()
        for key in action.shortcuts()
        if key != QKeySequence()
    ]
    return sorted({key for key in keys if keys.count(key) > 1})


def check(root: QWidget, where: str) -> None:
    found = {"silent": silent(root), "out of reach": out_of_reach(root), "traps": traps(root)}
    if isinstance(root, MainWindow):
        found["shared"] = shared_shortcuts(root)
    assert not any(found.values()), f"{where}: {found}"


def check_tabs(window: MainWindow, where: str) -> None:
    """Check a view in the state of each tab that is in sight."""
    check(window, where)
    for bar in window.findChildren(QTabBar):
        for tab in range(bar.count()):
            if bar.isVisible() and bar.isTabVisible(tab):
                bar.setCurrentIndex(tab)
                check(window, f"{where}, {bar.tabText(tab)}")


def check_dialog(ask: Callable[[], object], where: str) -> None:
    before = set(QApplication.topLevelWidgets())
    ask()
    shown = [
        widget
        for widget in QApplication.topLevelWidgets()
        if widget not in before and isinstance(widget, QDialog) and widget.isVisible()
    ]
    assert len(shown) == 1, where
    assert shown[0].windowTitle(), where
    if isinstance(shown[0], Palette):  # arrows go from its line into its list
        assert silent(shown[0]) == []
    else:
        check(shown[0], where)
    shown[0].reject()


def test_what_is_there_before_a_checkpoint(window: MainWindow, qtbot: QtBot) -> None:
    check(window, "welcome")
    check_dialog(window.show_palette, "palette")
    check_dialog(window.show_settings, "settings")
    check_dialog(window.show_shortcuts, "keys")
    with qtbot.waitSignal(window.failed, timeout=TIMEOUT_MS):
        window.open_path("/nowhere/model.ckpt")
    check(window, "problem")


def test_checkpoint_and_what_is_done_with_it(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    check_tabs(window, "checkpoint")
    assert window.select_variable(KERNEL)
    idle(window, qtbot)
    check_tabs(window, "variable")
    window.export()
    idle(window, qtbot)
    check_tabs(window, "export")
    window.leave_view()
    show_validation(window)
    check_tabs(window, "validation")
    idle(window, qtbot)
    window.leave_view()
    show_restore(window, os.fspath(demo_checkpoint().parent / "digits.keras"))
    idle(window, qtbot)
    check_tabs(window, "restore")


def test_comparison_and_its_dialogs(opened: Open, qtbot: QtBot) -> None:
    window = opened()
    other = next(demo_checkpoint().parent.glob("*-40.index"))
    with qtbot.waitSignal(window.compared, timeout=TIMEOUT_MS):
        window.compare_with(str(other))
    check_tabs(window, "comparison")
    view = window.view
    assert isinstance(view, ComparisonView)
    assert window.select_variable(KERNEL)
    idle(window, qtbot)
    check_tabs(window, "comparison of a variable")
    assert view.compared is not None
    delta = view.compared.deltas[0]
    check_dialog(view.ask_for_rules, "rules")
    check_dialog(view.ask_for_thresholds, "thresholds")
    check_dialog(lambda: view.ask_for_match(delta), "match")
    idle(window, qtbot)


def test_run_and_its_dialogs(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    stem = str(demo_checkpoint()).removesuffix(".index")
    for step in (1, 2):
        for end in (".index", ".data-00000-of-00001"):
            shutil.copy(f"{stem}{end}", tmp_path / f"model.ckpt-{step}{end}")
    window.open_path(str(tmp_path))
    qtbot.waitUntil(lambda: isinstance(window.view, RunView), timeout=TIMEOUT_MS)
    view = window.view
    assert isinstance(view, RunView)
    qtbot.waitUntil(lambda: view.model.rowCount() == 2, timeout=TIMEOUT_MS)
    idle(window, qtbot)
    check_tabs(window, "run")
    check_dialog(view.clean_up, "clean up")
    check_dialog(view.average, "average")
    idle(window, qtbot)


def test_tools_of_the_bar_are_reached_from_left_to_right(opened: Open) -> None:
    window = opened()
    bar = window.top_bar
    chain: list[int] = []
    widget = bar.nextInFocusChain()
    while widget is not None and widget is not bar:
        if bar.isAncestorOf(widget) and widget.isVisible() and not is_qts_own(widget):
            chain.append(widget.mapTo(bar, widget.rect().topLeft()).x())
        widget = widget.nextInFocusChain()
    assert len(chain) > 3
    assert chain == sorted(chain)


@THEMES
def test_badges_of_a_status_can_be_read(theme: Theme) -> None:
    for colour in STATUS_COLOURS.values():
        assert contrast(QColor(theme.base), QColor(getattr(theme, colour))) >= 4.5


@THEMES
def test_sides_of_a_comparison_stand_out(theme: Theme) -> None:
    for side in (theme.bar, theme.side_b):
        assert contrast(QColor(side), QColor(theme.base)) >= 3
    assert contrast(QColor(theme.accent), QColor(theme.base)) >= 3  # the frame of the focus


@THEMES
def test_numbers_of_the_confusion_matrix_can_be_read(
    theme: Theme, appearance: object, qtbot: QtBot
) -> None:
    from ckptviewer.ui.appearance import Appearance

    assert isinstance(appearance, Appearance)
    appearance.choose(theme.name)
    matrix = ConfusionMatrix(appearance)
    qtbot.addWidget(matrix)
    for right in (True, False):
        for count in range(1, 101):
            ground = blended(matrix._shade(count, 100, right=right), QColor(theme.base))
            assert contrast(ink_on(ground), ground) >= 4.5


def test_ink_can_be_read_on_every_grey() -> None:
    for grey in range(256):
        ground = QColor(grey, grey, grey)
        assert contrast(ink_on(ground), ground) >= 4.5


@THEMES
def test_letters_of_the_heat_map_can_be_read(theme: Theme) -> None:
    assert contrast(QColor(theme.base), QColor(theme.error)) >= 4.5  # N
    assert contrast(QColor(theme.warning), QColor(theme.track)) >= 4.5  # !
    for ground in (theme.base, theme.raised):
        assert contrast(QColor(theme.muted), QColor(ground)) >= 4.5  # what is not there
