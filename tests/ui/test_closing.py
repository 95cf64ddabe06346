"""What is closed is gone: no window, page or model stays behind."""

from __future__ import annotations

import gc
import weakref
from collections import Counter

import pytest
from PySide6.QtCore import SIGNAL, QCoreApplication, QEvent, Qt
from PySide6.QtWidgets import (
    QAbstractScrollArea,
    QApplication,
    QComboBox,
    QDoubleSpinBox,
    QFrame,
    QLineEdit,
    QScrollArea,
    QSpinBox,
    QTreeWidget,
    QVBoxLayout,
    QWidget,
)
from pytestqt.qtbot import QtBot

from ckptviewer.resources import demo_checkpoint
from ckptviewer.ui import main_window
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.collecting import Collecting
from ckptviewer.ui.panels.histogram_plot import HistogramPlot
from ckptviewer.ui.panels.widgets import clear_layout
from ckptviewer.ui.style_memory import forget_with
from ckptviewer.ui.windows import Windows
from tests.ui.conftest import TIMEOUT_MS, idle

EARLY = demo_checkpoint().with_name("digits.ckpt-40")


def _destroy_now(collecting: Collecting) -> None:
    for _ in range(3):
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        QCoreApplication.processEvents()
        collecting.let_go()
        gc.collect()


def _ours() -> Counter[str]:
    """How many there are of each class of the window's, in Python and in Qt."""
    kinds = [type(each) for each in gc.get_objects()]
    found = Counter(kind.__name__ for kind in kinds if kind.__module__.startswith("ckptviewer.ui"))
    found.update(f"Qt: {type(each).__name__}" for each in QApplication.allWidgets())
    return found


def test_a_window_that_was_closed_leaves_nothing_behind(
    windows: Windows, collecting: Collecting, qtbot: QtBot
) -> None:
    def look_and_close() -> list[weakref.ref[object]]:
        window = windows.make()
        window.show()
        with qtbot.waitSignal(window.opened, timeout=TIMEOUT_MS):
            window.open_path(str(demo_checkpoint()))
        window.select_variable("digits/hidden/kernel")
        with qtbot.waitSignal(window.compared, timeout=TIMEOUT_MS):
            window.compare_with(str(EARLY))
        window.select_variable("digits/hidden/kernel")
        idle(window, qtbot)
        seen = (window, window.view, window.session, window.browser.table.rows_model())
        window.close()
        return [weakref.ref(each) for each in seen]

    counted = []
    for _ in range(3):
        seen = look_and_close()
        _destroy_now(collecting)
        assert [each() for each in seen] == [None] * 4
        counted.append(_ours())
    # What is made once and kept, such as the plots' icons, is there after the first.
    assert counted[2] == counted[1]


def _parts(owner: QWidget) -> list[QWidget]:
    """What in a widget looks as its owner does."""
    if isinstance(owner, QAbstractScrollArea):
        return [owner.viewport()]
    if isinstance(owner, QComboBox):
        owner.setEditable(True)
        owner.view()  # has the frame of its list made
    frames = owner.findChildren(QFrame, options=Qt.FindChildOption.FindDirectChildrenOnly)
    return [*owner.findChildren(QLineEdit), *frames]


@pytest.mark.parametrize("kind", [QSpinBox, QDoubleSpinBox, QComboBox, QTreeWidget, QScrollArea])
@pytest.mark.parametrize("inside", [True, False])
def test_qt_hears_of_the_end_of_what_looks_as_its_owner_does(
    appearance: Appearance, qtbot: QtBot, kind: type[QWidget], inside: bool
) -> None:
    """Else it keeps their style for good; `appearance` has dressed the application."""
    page = QWidget()
    qtbot.addWidget(page)
    owner = kind(page)
    parts = _parts(owner)
    assert parts
    before = [(part.parentWidget(), part.windowFlags()) for part in parts]
    forget_with(page if inside else owner)
    assert all(part.receivers(SIGNAL("destroyed(QObject*)")) for part in parts)
    assert [(part.parentWidget(), part.windowFlags()) for part in parts] == before


def test_qt_is_made_to_forget_what_is_closed_left_or_cleared(
    windows: Windows, collecting: Collecting, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[object] = []
    monkeypatch.setattr(main_window, "forget_with", lambda each: forgotten.append(each.jobs))
    window = windows.make()
    jobs = window.jobs
    window.close()
    assert not forgotten  # it is still in sight
    del window
    _destroy_now(collecting)
    assert forgotten == [jobs]


def test_a_layout_that_is_cleared_hands_its_widgets_over(
    collecting: Collecting, qtbot: QtBot
) -> None:
    page = QWidget()
    qtbot.addWidget(page)
    column = QVBoxLayout(page)
    column.addWidget(QSpinBox())
    column.addStretch(1)
    inner = QVBoxLayout()
    inner.addWidget(QLineEdit())
    column.addLayout(inner)
    clear_layout(column)
    assert column.count() == 0
    _destroy_now(collecting)
    assert page.findChildren(QWidget) == []


def test_a_plot_makes_no_menu_that_nobody_sees(appearance: Appearance, qtbot: QtBot) -> None:
    plot = HistogramPlot(appearance)
    qtbot.addWidget(plot)
    item = plot.view.getPlotItem()
    assert item.getViewBox().menu is None
    assert not item.menuEnabled()
    hidden = item.ctrl.downsampleSpin.lineEdit()
    assert hidden.receivers(SIGNAL("destroyed(QObject*)"))
