"""A heat map that is zoomed by wheel and keys, dragged, and read by hovering; its colour bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from ckptviewer.analysis.colouring import Colours, paint
from ckptviewer.checkpoint.text import number_text
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.panels.plots import make_plain

if TYPE_CHECKING:
    import numpy as np

MOST_TEXTS = 600
_STRETCHED_FROM = 4.0
"""A picture that is so many times longer one way than the other is stretched to be seen."""

Ticks = Callable[[int], str]


class HeatMap(QWidget):
    """Shows pixels on axes whose whole numbers are the pixels' middles; the first row is on top.

    pointed: where the pointer is, as column and row; None: nowhere. moved: another part is shown.
    """

    pointed = Signal(object)
    moved = Signal()

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        import pyqtgraph

        self._appearance = appearance
        self._view = pyqtgraph.PlotWidget(background=None, enableMenu=False)
        make_plain(self._view, "Heat map")
        self._view.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._view.viewport().setAcceptDrops(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Heat map")
        self.setMinimumHeight(160)
        self.box = self._view.getPlotItem().getViewBox()
        self.box.invertY(True)
        self._whole = QRectF()
        self.image = pyqtgraph.ImageItem(axisOrder="row-major")
        self.detail = pyqtgraph.ImageItem(axisOrder="row-major")
        self.detail.setZValue(1)
        for item in (self.image, self.detail):
            self._view.addItem(item)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._view)
        self._texts = CellTexts(self)
        self.text_of: Callable[[int, int], tuple[str, bool] | None] | None = None
        self._hover = QLabel(self)
        self._hover.setObjectName("card")
        self._hover.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._hover.setMargin(6)
        self._hover.hide()
        self._view.scene().sigMouseMoved.connect(self._point)
        self.box.sigRangeChanged.connect(self._note_move)

    def show_pixels(self, pixels: np.ndarray, area: QRectF, *, tiles: bool) -> None:
        """Show RGBA bytes on an area in columns and rows. tiles: never stretched."""
        self.hide_detail()
        self.image.setImage(pixels, autoLevels=False, levels=None)
        self.image.setRect(area)
        if area == self._whole:
            return
        self._whole = area
        sides = sorted((max(area.width(), 1e-9), max(area.height(), 1e-9)))
        self.box.setAspectLocked(tiles or sides[1] / sides[0] < _STRETCHED_FROM)
        longest = sides[1]
        self.box.setLimits(minXRange=2, minYRange=2, maxXRange=3 * longest, maxYRange=3 * longest)
        self.fit()

    def show_detail(self, pixels: np.ndarray, area: QRectF) -> None:
        """Lay finer pixels over a part of the picture."""
        self.detail.setImage(pixels, autoLevels=False, levels=None)
        self.detail.setRect(area)
        self.detail.setVisible(True)
        self._texts.update()

    def hide_detail(self) -> None:
        """Show the picture alone."""
        self.detail.setVisible(False)

    def fit(self) -> None:
        """Show all of it."""
        self.box.setRange(self._whole, padding=0.02)

    def look_at(self, area: QRectF) -> None:
        """Show a part of it."""
        self.box.setRange(area, padding=0)

    def seen(self) -> QRectF:
        """The part that is in sight, in columns and rows."""
        return self.box.viewRect().intersected(self._whole)

    def pixels_a_cell(self) -> tuple[float, float]:
        """Width and height on the screen of one column and row."""
        rect, view = self.box.sceneBoundingRect(), self.box.viewRect()
        if view.width() <= 0 or view.height() <= 0:
            return 0.0, 0.0
        return rect.width() / view.width(), rect.height() / view.height()

    def scene_point(self, column: float, row: float) -> QPointF:
        """Where a place lies in this widget."""
        place = self.box.mapViewToScene(QPointF(column, row))
        return QPointF(self._view.mapFromScene(place)) + QPointF(self._view.pos())

    def picture_area(self) -> QRectF:
        """Where between the axes the picture is, in this widget."""
        rect = self.box.sceneBoundingRect()
        return rect.translated(QPointF(self._view.mapFromScene(QPointF(0, 0))))

    def dress(
        self, across: str, down: str, column_tick: Ticks, row_tick: Ticks, pitch: tuple[int, int]
    ) -> None:
        """Label the axes. pitch: columns and rows from one tick's place to the next, at least."""
        theme, font = self._appearance.theme, self._appearance.small_font
        self._view.setBackground(theme.base)
        for name, label, tick, step in (
            ("bottom", across, column_tick, pitch[0]),
            ("left", down, row_tick, pitch[1]),
        ):
            axis = self._view.getPlotItem().getAxis(name)
            axis.setPen(QColor(theme.line))
            axis.setTextPen(QColor(theme.muted))
            axis.setTickFont(font)
            axis.setStyle(tickLength=-4, autoExpandTextSpace=True)
            axis.enableAutoSIPrefix(False)
            axis.setLabel(label, color=theme.muted)
            _number(axis, tick, step)

    def say(self, text: str, at: QPointF) -> None:
        """Show a text beside a point of the widget; nothing for an empty one."""
        self._hover.setText(text)
        self._hover.setVisible(bool(text))
        if text:
            self._hover.adjustSize()
            size = self._hover.size()
            x = min(int(at.x()) + 14, self.width() - size.width() - 4)
            y = int(at.y()) - size.height() - 8
            self._hover.move(max(0, x), y if y >= 0 else int(at.y()) + 16)

    def leaveEvent(self, event: Any) -> None:
        self._hover.hide()
        self.pointed.emit(None)
        super().leaveEvent(event)

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._texts.setGeometry(self.rect())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        view = self.box.viewRect()
        steps = {
            Qt.Key.Key_Left: (-0.15, 0.0),
            Qt.Key.Key_Right: (0.15, 0.0),
            Qt.Key.Key_Up: (0.0, -0.15),
            Qt.Key.Key_Down: (0.0, 0.15),
        }
        if key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.box.scaleBy((0.7, 0.7))
        elif key == Qt.Key.Key_Minus:
            self.box.scaleBy((1 / 0.7, 1 / 0.7))
        elif key in (Qt.Key.Key_0, Qt.Key.Key_Home):
            self.fit()
        elif key in steps:
            x, y = steps[Qt.Key(key)]
            self.box.translateBy((x * view.width(), y * view.height()))
        else:
            super().keyPressEvent(event)

    def _point(self, position: QPointF) -> None:
        if not self.box.sceneBoundingRect().contains(position):
            self._hover.hide()
            self.pointed.emit(None)
            return
        at = self.box.mapSceneToView(position)
        place = QPointF(self._view.mapFromScene(position)) + QPointF(self._view.pos())
        self.pointed.emit((floor(at.x() + 0.5), floor(at.y() + 0.5), place))

    def _note_move(self, *_: object) -> None:
        self._texts.update()
        self.moved.emit()


class CellTexts(QWidget):
    """The numbers of the cells, once these are large enough to hold them."""

    def __init__(self, heat_map: HeatMap) -> None:
        super().__init__(heat_map)
        self._map = heat_map
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)

    def paintEvent(self, _event: QPaintEvent) -> None:
        text_of = self._map.text_of
        width, height = self._map.pixels_a_cell()
        metrics = self.fontMetrics()
        if (
            text_of is None
            or height < metrics.height() + 2
            or width < 4 * metrics.averageCharWidth()
        ):
            return
        seen = self._map.seen()
        columns = range(ceil(seen.left()), floor(seen.right()) + 1)
        rows = range(ceil(seen.top()), floor(seen.bottom()) + 1)
        if len(columns) * len(rows) > MOST_TEXTS:
            return
        painter = QPainter(self)
        painter.setClipRect(self._map.picture_area())
        for row in rows:
            for column in columns:
                found = text_of(row, column)
                if found is None or metrics.horizontalAdvance(found[0]) > width - 4:
                    continue
                painter.setPen(QColor("#000000" if found[1] else "#ffffff"))
                middle = self._map.scene_point(column, row)
                cell = QRectF(middle.x() - width / 2, middle.y() - height / 2, width, height)
                painter.drawText(cell, Qt.AlignmentFlag.AlignCenter, found[0])


class ColourBar(QWidget):
    """The scale of colours with its numbers, and how many are no numbers."""

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self._limit = 0.0
        self._unit = ""
        self._not_finite = ""
        self._colours: Colours | None = None
        self.setFont(appearance.small_font)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_scale(self, limit: float, unit: str, not_finite: str, colours: Colours) -> None:
        """Show a scale from -limit to limit.

        unit: what the numbers are. not_finite: how many are none, in words; empty where all are.
        """
        self._limit, self._unit = limit, unit
        self._not_finite, self._colours = not_finite, colours
        words = (
            f"{unit} from {number_text(-limit, 3)} to {number_text(limit, 3)}, zero in the middle"
        )
        if not_finite:
            words += f"; NaN or Inf: {not_finite}"
        self.setAccessibleName(f"Colours: {words}")
        self.setToolTip(words)
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(200, 14 + self.fontMetrics().height() + 4)

    def minimumSizeHint(self) -> QSize:
        return QSize(120, self.sizeHint().height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        import numpy as np

        if self._colours is None:
            return
        theme = self._appearance.theme
        painter = QPainter(self)
        metrics = self.fontMetrics()
        legend = f"NaN, Inf: {self._not_finite}" if self._not_finite else ""
        right = metrics.horizontalAdvance(legend) + 34 if legend else 0
        bar = QRectF(0.5, 0.5, self.width() - right - 1, 12)
        pixels = np.ascontiguousarray(paint(np.linspace(-1, 1, 257)[None], 1, self._colours))
        strip = QImage(pixels.data, 257, 1, 257 * 4, QImage.Format.Format_RGBA8888)
        painter.drawImage(bar, strip)
        painter.setPen(QColor(theme.line))
        painter.drawRect(bar)
        painter.setPen(QColor(theme.muted))
        line = QRectF(0, 14, bar.width(), metrics.height() + 2)
        for text, side in (
            (number_text(-self._limit, 3), Qt.AlignmentFlag.AlignLeft),
            (f"0  {self._unit}", Qt.AlignmentFlag.AlignHCenter),
            (number_text(self._limit, 3), Qt.AlignmentFlag.AlignRight),
        ):
            painter.drawText(line, side, text)
        if legend:
            swatch = QRectF(self.width() - right + 12, 0.5, 12, 12)
            painter.fillRect(swatch, QColor(self._colours.not_finite))
            painter.setPen(QColor(theme.line))
            painter.drawRect(swatch)
            painter.setPen(QColor(theme.text))
            painter.drawText(
                QRectF(swatch.right() + 6, -1, right, metrics.height() + 2),
                Qt.AlignmentFlag.AlignLeft,
                legend,
            )


def _number(axis: Any, tick: Ticks, pitch: int) -> None:
    """Have an axis put its ticks on whole steps of `pitch`, in the middle of each."""
    middle = (pitch - 2) / 2 if pitch > 1 else 0.0

    def values(low: float, high: float, size: float) -> list[tuple[float, Sequence[float]]]:
        low, high = min(low, high), max(low, high)
        room = max(1.0, size / (44.0 if axis.orientation == "bottom" else 28.0))
        step = _round_step((high - low) / pitch / room)
        first = ceil((low - middle) / pitch / step) * step
        last = floor((high - middle) / pitch / step) * step
        steps = [number for number in range(first, last + 1, step) if tick(number)]
        return [(step * pitch, [number * pitch + middle for number in steps])]

    def strings(places: Sequence[float], _scale: float, _spacing: float) -> list[str]:
        return [tick(round((place - middle) / pitch)) for place in places]

    axis.tickValues = values
    axis.tickStrings = strings
    axis.picture = None
    axis.update()


def _round_step(least: float) -> int:
    """The least of 1, 2, 5, 10, 20... that is not less."""
    if least <= 1:
        return 1
    power = 10 ** floor(log10(least))
    return next(int(step * power) for step in (1, 2, 5, 10) if step * power >= least)
