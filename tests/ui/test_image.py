"""The tab Image: the colour of each pixel is that of the value it stands for."""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from ckptviewer.analysis.colouring import ON_DARK, ON_LIGHT, paint
from ckptviewer.checkpoint.errors import TruncatedFileError
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Jobs
from ckptviewer.ui.panels.heat_map import HeatMap
from ckptviewer.ui.panels.image import ImagePanel
from ckptviewer.ui.panels.image_controls import COLUMNS, KERNELS, PLANE, ROWS
from tests.analysis.memory_checkpoint import MemoryCheckpoint
from tests.ui.conftest import TIMEOUT_MS, Gate, Open, idle
from tests.ui.test_values import Watched, session_of

RNG = np.random.default_rng(9)


@pytest.fixture
def panel(jobs: Jobs, appearance: Appearance, qtbot: QtBot) -> ImagePanel:
    panel = ImagePanel(jobs, appearance)
    qtbot.addWidget(panel)
    panel.resize(520, 640)
    panel.show()
    qtbot.waitExposed(panel)
    return panel


Show = Callable[[np.ndarray], Watched]


@pytest.fixture
def show(panel: ImagePanel, qtbot: QtBot) -> Show:
    """Shows an array in the panel, and waits until the picture is complete."""

    def show_(values: np.ndarray) -> Watched:
        checkpoint = Watched({"x": values})
        panel.show_variable(session_of(checkpoint), checkpoint["x"])
        settle(panel, qtbot)
        return checkpoint

    return show_


def settle(panel: ImagePanel, qtbot: QtBot) -> None:
    """Wait until nothing runs, and what follows from looking elsewhere has been done."""
    qtbot.waitUntil(
        lambda: not panel._jobs.running and not panel._settle.isActive(), timeout=TIMEOUT_MS
    )


def heat_map(panel: ImagePanel) -> HeatMap:
    assert panel.map is not None
    return panel.map


def colour_at(panel: ImagePanel, column: float, row: float) -> str:
    """The colour on the screen of a place in the picture."""
    place = heat_map(panel).scene_point(column, row).toPoint()
    return QColor(heat_map(panel).grab().toImage().pixel(place)).name()


def expected_colour(value: float, limit: float, dark: bool = False) -> str:
    pixel = paint(np.array([[value]]), limit, ON_DARK if dark else ON_LIGHT)[0, 0]
    return "#" + pixel[:3].tobytes().hex()


def message(panel: ImagePanel) -> str:
    label = panel._message.label
    assert isinstance(label, QLabel)
    return label.text().replace("\u200b", "") if label.isVisible() else ""


def hover(panel: ImagePanel, column: float, row: float) -> str:
    """What is said of the place under the pointer."""
    shown = heat_map(panel)
    place = shown.box.mapViewToScene(QPointF(column, row))
    shown._point(place)
    return shown._hover.text() if shown._hover.isVisible() else ""


# Colours


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_on_the_screen_are_those_of_the_values(
    theme: str, panel: ImagePanel, show: Show, appearance: Appearance, qtbot: QtBot
) -> None:
    values = RNG.normal(size=(9, 12)).astype(np.float32)
    values[2, 3], values[5, 7], values[0, 0] = np.nan, 0, -8
    show(values)
    appearance.choose(theme)
    settle(panel, qtbot)
    heat_map(panel).text_of = None
    for row, column in ((0, 0), (2, 3), (5, 7), (8, 11), (3, 1)):
        expected = expected_colour(values[row, column], 8, dark=theme == "dark")
        assert colour_at(panel, column + 0.2, row - 0.2) == expected, (row, column)
    colours = ON_DARK if theme == "dark" else ON_LIGHT
    assert colour_at(panel, 3.2, 1.8) == colours.not_finite
    assert "NaN or Inf: 1" in panel.bar.toolTip()
    assert "from \u22128 to 8" in panel.bar.toolTip()


def test_range_leaves_out_what_sticks_out(panel: ImagePanel, show: Show, qtbot: QtBot) -> None:
    values = np.ones((40, 50), np.float32)
    values[0, 0] = 1000
    checkpoint = show(values)
    assert panel.painted is not None
    assert panel.painted.limit == 1000
    checkpoint.elements = 0
    panel.controls.range.choose("99 %")
    settle(panel, qtbot)
    assert panel.painted.limit == 1
    assert colour_at(panel, 20, 20) == ON_LIGHT.anchors[-1]
    assert checkpoint.elements == 0  # painted anew, not read anew


@pytest.mark.parametrize("dtype", ["bool", "int4", "int64", "float16", "bfloat16", "float8_e5m2"])
def test_numbers_of_every_kind_have_a_picture(dtype: str, panel: ImagePanel, show: Show) -> None:
    values = np.array([[0, 1, 1], [1, 0, 1]]).astype(getattr(ml_dtypes, dtype, dtype))
    show(values)
    assert panel.painted is not None
    np.testing.assert_array_equal(panel.painted.picture.values, [[0, 1, 1], [1, 0, 1]])
    assert hover(panel, 2, 0).startswith("[0, 2]\n1")


def test_complex_numbers_show_their_magnitude(panel: ImagePanel, show: Show) -> None:
    show(np.array([[3 + 4j, 0]], np.complex64))
    assert hover(panel, 0, 0) == "[0, 0]\n|z| = 5.0"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.array([b"a", b"b"], object), "Strings have no picture"),
        (np.zeros((3, 0)), "empty"),
        (np.array(4.0), "A single number"),
    ],
)
def test_what_has_no_picture_says_why(
    values: np.ndarray, told: str, panel: ImagePanel, show: Show
) -> None:
    checkpoint = show(values)
    assert told in message(panel)
    assert not checkpoint.reads


# Layouts


def test_slices_are_chosen(panel: ImagePanel, show: Show, qtbot: QtBot) -> None:
    values = RNG.normal(size=(300, 400, 3)).astype(np.float32)
    show(values)
    assert panel.painted is not None
    np.testing.assert_array_equal(panel.painted.picture.values, values[0])
    picker = panel.controls.picker
    assert picker.columns is not None
    picker.columns.choose("axis 0 (300)")
    settle(panel, qtbot)
    picker.places[2].setValue(2)
    settle(panel, qtbot)
    assert panel.painted.picture.values.shape == (400, 300)
    np.testing.assert_array_equal(panel.painted.picture.values, values[:, :, 2].T)
    assert hover(panel, 250, 31) == f"[250, 31, 2]\n{values[250, 31, 2]!s}"


def test_kernels_come_first_and_are_a_grid(panel: ImagePanel, show: Show) -> None:
    values = RNG.normal(size=(3, 3, 4, 6)).astype(np.float32)
    show(values)
    assert panel.controls.layout_choice.choice == KERNELS
    assert not panel.controls.picker.isVisible()
    limit = float(np.abs(values).max())
    heat_map(panel).text_of = None
    for index in ((0, 0, 0, 0), (2, 1, 3, 5), (1, 2, 0, 4)):
        column, row = index[3] * 4 + index[1], index[2] * 4 + index[0]
        assert colour_at(panel, column, row) == expected_colour(values[index], limit)
        assert hover(panel, column, row) == f"{list(index)}\n{values[index]!s}"
    assert hover(panel, 3, 0) == ""  # between two kernels


def test_rows_and_columns_as_tiles(panel: ImagePanel, show: Show, qtbot: QtBot) -> None:
    values = RNG.normal(size=(784, 30)).astype(np.float32)
    show(values)
    assert panel.controls.layout_choice.choice == PLANE
    panel.controls.layout_choice.choose(COLUMNS)
    settle(panel, qtbot)
    assert panel.controls.tile_width.value() == 28
    assert panel.painted is not None
    np.testing.assert_array_equal(
        panel.painted.picture.values[:28, :28], values[:, 0].reshape(28, 28)
    )
    panel.controls.tile_width.setValue(14)
    settle(panel, qtbot)
    np.testing.assert_array_equal(
        panel.painted.picture.values[:56, 15:29], values[:, 1].reshape(56, 14)
    )
    panel.controls.layout_choice.choose(ROWS)
    settle(panel, qtbot)
    assert panel.controls.tile_width.value() == 6
    np.testing.assert_array_equal(panel.painted.picture.values[:5, :6], values[0].reshape(5, 6))


# Huge ones, and zooming


def test_huge_plane_is_reduced_says_so_and_is_exact_when_zoomed(
    panel: ImagePanel, show: Show, qtbot: QtBot
) -> None:
    values = RNG.normal(size=(3000, 2500)).astype(np.float32)
    values[1234, 2345] = 50
    values[7, 0:3] = np.nan
    checkpoint = show(values)
    assert panel.painted is not None
    picture = panel.painted.picture
    assert picture.down > 1
    assert max(picture.values.shape) <= 1536
    assert f"largest |x| of {picture.down} \u00d7 {picture.across}" in panel.note.text()
    assert picture.values[1234 // picture.down, 2345 // picture.across] == 50
    assert "\u2026" in hover(panel, 2345, 1234)
    assert "50.0" in hover(panel, 2345, 1234)
    pixels = int(np.isnan(picture.values).sum())
    assert 0 < pixels <= 3
    assert f"NaN or Inf: in {pixels} pixel" in panel.bar.toolTip()
    checkpoint.elements = 0
    heat_map(panel).look_at(QRectF(2300, 1200, 60, 60))
    settle(panel, qtbot)
    assert panel.detail is not None
    assert panel.detail.picture.exact
    assert "exactly" in panel.note.text()
    assert 0 < checkpoint.elements < 20_000
    assert hover(panel, 2345, 1234) == "[1234, 2345]\n50.0"
    assert hover(panel, 2310, 1210) == f"[1210, 2310]\n{values[1210, 2310]!s}"
    assert colour_at(panel, 2345, 1234) == expected_colour(50, panel.painted.limit)
    heat_map(panel).fit()
    settle(panel, qtbot)
    assert panel.detail is None
    assert "largest |x|" in panel.note.text()


def test_mean_instead_of_the_largest(panel: ImagePanel, show: Show, qtbot: QtBot) -> None:
    values = np.ones((2000, 2000), np.float32)
    values[:, ::2] = -3
    show(values)
    assert panel.controls.reduction.isVisible()
    panel.controls.reduction.choose("mean")
    settle(panel, qtbot)
    assert panel.painted is not None
    across = panel.painted.picture.across
    assert panel.painted.picture.values[0, 0] == pytest.approx(values[0, :across].mean())
    assert "mean" in panel.note.text()


def test_wheel_and_keys_zoom(panel: ImagePanel, show: Show, qtbot: QtBot) -> None:
    show(RNG.normal(size=(50, 60)))
    shown = heat_map(panel)
    whole = shown.seen().width()
    qtbot.keyClick(shown, Qt.Key.Key_Plus)
    zoomed = shown.seen()
    assert zoomed.width() < 0.9 * whole
    qtbot.keyClick(shown, Qt.Key.Key_Right)
    assert shown.seen().left() > zoomed.left()
    qtbot.keyClick(shown, Qt.Key.Key_Home)
    assert shown.seen().width() == pytest.approx(whole)
    qtbot.keyClick(shown, Qt.Key.Key_Plus)
    panel.controls.fit.click()
    assert shown.seen().width() == pytest.approx(whole)


def test_numbers_appear_in_large_cells(panel: ImagePanel, show: Show) -> None:
    values = np.zeros((50, 60), np.float32)
    show(values)
    shown = heat_map(panel)
    area = QRectF(10, 10, 4, 4)

    def ink() -> int:
        """Pixels of another colour than zero's around a cell's middle."""
        middle = shown.scene_point(12, 12).toPoint()
        image = shown.grab().toImage()
        ground = QColor(ON_LIGHT.anchors[2])
        around = [middle + QPoint(x, y) for x in range(-6, 7) for y in range(-6, 7)]
        return sum(image.pixelColor(place) != ground for place in around)

    shown.fit()
    assert ink() == 0
    shown.look_at(area)
    assert ink() > 4


# What goes wrong, and what is late


def test_damaged_variable_says_what_where_and_the_remedy(panel: ImagePanel, qtbot: QtBot) -> None:
    error = TruncatedFileError("it ends too early", where="x.data", remedy="Copy it again.")
    checkpoint = MemoryCheckpoint({"x": np.zeros((3, 3))}, damaged={"x": error})
    panel.show_variable(session_of(checkpoint), checkpoint["x"])
    qtbot.waitUntil(lambda: "It ends too early" in message(panel), timeout=TIMEOUT_MS)
    assert "x.data" in message(panel)
    assert "Copy it again." in message(panel)


def test_late_picture_is_not_shown(panel: ImagePanel, qtbot: QtBot, gate: Gate) -> None:
    slow = Watched({"x": np.full((5, 5), 1.0)})
    slow.gate = gate
    panel.show_variable(session_of(slow), slow["x"])
    qtbot.waitUntil(gate.entered.is_set, timeout=TIMEOUT_MS)
    assert "Reading" in message(panel)
    quick = Watched({"x": np.full((5, 5), 2.0)})
    panel.show_variable(session_of(quick), quick["x"])
    settle(panel, qtbot)
    gate.release()
    qtbot.waitUntil(gate.passed.is_set, timeout=TIMEOUT_MS)
    after = panel._jobs.start("After", lambda _c, _r: None)
    with qtbot.waitSignal(after.ended, timeout=TIMEOUT_MS):
        pass
    assert panel.painted is not None
    assert panel.painted.limit == 2
    assert hover(panel, 1, 1) == "[1, 1]\n2.0"


def test_tabs_read_when_they_are_looked_at(
    opened: Open, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = opened()
    assert window.session is not None
    checkpoint = window.session.checkpoint
    (variable,) = [v for v in checkpoint.variables if v.name.endswith("conv/kernel")]
    (other,) = [v for v in checkpoint.variables if v.name.endswith("hidden/kernel")]
    reads: list[str] = []
    real = type(checkpoint).read

    def read(self: object, v: object, region: object = None) -> np.ndarray:
        if region is not None:
            reads.append(v.key)  # type: ignore[attr-defined]
        return real(self, v, region)  # type: ignore[arg-type]

    monkeypatch.setattr(type(checkpoint), "read", read)
    window.browser.select_variable(variable.key)
    idle(window, qtbot)
    assert reads == []
    panel = window.browser.inspector.variable_panel
    names = [panel.tabs.tabText(number) for number in range(panel.tabs.count())]
    assert names == ["Distribution", "Values", "Image", "Details"]
    panel.tabs.setCurrentWidget(panel.image)
    idle(window, qtbot)
    settle(panel.image, qtbot)
    assert set(reads) == {variable.key}
    assert panel.image.controls.layout_choice.choice == KERNELS
    window.browser.select_variable(other.key)
    idle(window, qtbot)
    settle(panel.image, qtbot)
    assert panel.image.painted is not None
    np.testing.assert_array_equal(panel.image.painted.picture.values, checkpoint.read(other))
