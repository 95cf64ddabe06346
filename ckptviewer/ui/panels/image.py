"""The image of a variable: a plane as a heat map, kernels and rows as tiles side by side."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import ceil, floor
from typing import Any

from PySide6.QtCore import QPointF, QRectF, QTimer, Signal
from PySide6.QtWidgets import QStackedLayout, QVBoxLayout, QWidget

from ckptviewer.analysis.colouring import colours_for
from ckptviewer.analysis.pictures import MOST_PIXELS_A_SIDE, Picture, read_plane
from ckptviewer.analysis.slicing import Plane, index_text, touched_bytes
from ckptviewer.analysis.tiles import Mosaic
from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.errors import ChangedFileError
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.text import count_text, number_text, plural
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.jobs import Job, Jobs, Report, failure_text
from ckptviewer.ui.models.values_model import exact_text
from ckptviewer.ui.panels.heat_map import ColourBar, HeatMap
from ckptviewer.ui.panels.image_controls import ImageControls
from ckptviewer.ui.panels.painted import Painted, area_of, element_of, painted_of
from ckptviewer.ui.panels.widgets import MessagePage, wrapped_label
from ckptviewer.ui.session import Session

DETAIL_BYTES = 1 << 27
"""A part in sight is read again, finer, if that costs no more than this."""

_SETTLE_MS = 120
_LEGIBLE_PIXELS = 3
"""On the screen, for each element of tiles that are too many to be seen at once."""


class ImagePanel(QWidget):
    """Shows one variable as a picture. file_changed: reading told that the file is another now."""

    file_changed = Signal()

    def __init__(self, jobs: Jobs, appearance: Appearance) -> None:
        super().__init__()
        self._jobs = jobs
        self._appearance = appearance
        self._session: Session | None = None
        self._variable: Variable | None = None
        self._plane: Plane | None = None
        self._mosaic: Mosaic | None = None
        self._coming: tuple[Plane | None, Mosaic | None] = (None, None)
        self._job: Job[Any] | None = None
        self._detail_job: Job[Any] | None = None
        self.painted: Painted | None = None
        self.detail: Painted | None = None
        self.map: HeatMap | None = None
        self.controls = ImageControls()
        self.bar = ColourBar(appearance)
        self.note = wrapped_label("", "muted")
        self.note.setFont(appearance.small_font)
        self._message = MessagePage()
        self._map_place = QVBoxLayout()
        self._lay_out()
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self._refine)
        self.controls.read_wanted.connect(self._read)
        self.controls.colours_wanted.connect(self._repaint)
        appearance.changed.connect(self._repaint)

    def show_variable(self, session: Session, variable: Variable) -> None:
        """Show a variable as a picture; it is read in the background."""
        if variable is self._variable and session is self._session:
            return
        self.clear()
        self._session, self._variable = session, variable
        kind = kind_of(variable.dtype)
        if kind is Kind.OPAQUE:
            self.show_message(
                f"Values of dtype {variable.dtype} are opaque: they can be copied, not shown."
            )
        elif kind is Kind.STRING:
            self.show_message("Strings have no picture. The tab Values shows them.")
        elif not variable.element_count:
            self.show_message("The tensor is empty: one of its axes has size 0.")
        elif variable.element_count == 1:
            self.show_message("A single number has no picture. The tab Values shows it.")
        else:
            self.controls.offer(variable.shape)
            self._read()

    def clear(self) -> None:
        """Show nothing, and want nothing any more."""
        self._stop()
        self._session = self._variable = self._plane = self._mosaic = None
        self._coming = (None, None)
        self.painted = self.detail = None
        self.show_message("")

    # Reading and painting.

    def _read(self) -> None:
        session, variable, plane = self._session, self._variable, self.controls.plane
        if session is None or variable is None or plane is None:
            return
        self._stop()
        mosaic, reduction = self.controls.mosaic(), self.controls.chosen_reduction
        self._coming = (plane, mosaic)
        side = self._side()
        colour = self._colouring()

        def read(cancel: CancelToken, report: Report) -> Painted:
            if mosaic is not None:
                return colour(mosaic.read(session.checkpoint, variable), None)
            return colour(
                read_plane(
                    session.checkpoint,
                    variable,
                    plane,
                    reduction=reduction,
                    side=side,
                    cancel=cancel,
                    progress=report,
                ),
                None,
            )

        if self.painted is None:
            self.show_message("Reading\u2026")
        self._follow(self._jobs.start("Image", read))

    def _repaint(self) -> None:
        """The same picture in other colours."""
        painted, colour = self.painted, self._colouring()
        if painted is None:
            return
        if self._job is not None:  # what is being read is to be in these colours too
            self._read()
            return
        self._stop()
        self._follow(self._jobs.start("Image", lambda _c, _r: colour(painted.picture, None)))

    def _colouring(self) -> Callable[[Picture, float | None], Painted]:
        """Colours a picture as is chosen now, in any thread; a limit, if given, as is given."""
        dark = self._appearance.theme.name == "dark"
        return partial(painted_of, share=self.controls.share, dark=dark)

    def _follow(self, job: Job[Any]) -> None:
        self._job = job
        job.succeeded.connect(lambda painted: self._show(job, painted))
        job.failed.connect(self._show_failure)
        job.cancelled.connect(lambda: self._show_cancelled(job))

    def _show(self, job: object, painted: Painted) -> None:
        if job is not self._job:
            return
        self._job = None
        self._plane, self._mosaic = self._coming
        self.painted, self.detail = painted, None
        heat_map = self._heat_map()
        self._stack.setCurrentIndex(1)
        self._dress(heat_map)
        picture, mosaic = painted.picture, self._mosaic
        heat_map.show_pixels(painted.pixels, area_of(picture), tiles=mosaic is not None)
        self._show_notes(painted)
        if mosaic is not None:
            QTimer.singleShot(0, partial(self._show_legibly, painted))
        self._settle.start()

    def _show_notes(self, painted: Painted) -> None:
        mosaic = self._mosaic
        kind = Kind.OPAQUE if self._variable is None else kind_of(self._variable.dtype)
        colours = colours_for(self._appearance.theme.name == "dark")
        unit = "|z|" if kind is Kind.COMPLEX else "value"
        count = painted.not_finite
        # A pixel of several elements tells that one of them is none, not how many are.
        told = count_text(count) if painted.picture.exact else f"in {plural(count, 'pixel')}"
        self.bar.show_scale(painted.limit, unit, told if count else "", colours)
        self.controls.reduction.setVisible(not painted.picture.exact)
        text = painted.picture.note if mosaic is None else mosaic.note
        self.note.setText(text)
        self.note.setAccessibleName(text)
        self.note.setVisible(bool(text))

    def _show_legibly(self, painted: Painted) -> None:
        """Begin with the first tiles where all of them would be too small to be seen."""
        heat_map = self.map
        if heat_map is None or painted is not self.painted:
            return
        if min(heat_map.pixels_a_cell()) < 1:
            size = heat_map.box.sceneBoundingRect().size() / _LEGIBLE_PIXELS
            heat_map.look_at(QRectF(-1, -1, size.width(), size.height()))
            text = f"{self.note.text()} Zoom out or drag to see the other tiles."
            self.note.setText(text.strip())
            self.note.setVisible(True)

    def _refine(self) -> None:
        """Read the part in sight again, finer, where its pixels stand for several elements."""
        painted, session, variable, plane = self.painted, self._session, self._variable, self._plane
        if painted is None or session is None or variable is None or plane is None:
            return
        if painted.picture.exact or self.map is None or self._job is not None:
            return
        seen = self.map.seen()
        rows = (max(0, floor(seen.top())), min(plane.rows, ceil(seen.bottom()) + 1))
        columns = (max(0, floor(seen.left())), min(plane.columns, ceil(seen.right()) + 1))
        if rows[0] >= rows[1] or columns[0] >= columns[1]:
            return
        side = self._side()
        finer = (
            ceil((rows[1] - rows[0]) / side) < painted.picture.down
            or ceil((columns[1] - columns[0]) / side) < painted.picture.across
        )
        item_bytes = max(1, variable.stored_bytes // max(1, variable.element_count))
        cost = touched_bytes(plane.shape, item_bytes, plane.region(rows, columns))
        if not finer or cost > DETAIL_BYTES:
            self._drop_detail()
            return
        colour, reduction = self._colouring(), painted.picture.reduction

        def read(cancel: CancelToken, _report: Report) -> Painted:
            picture = read_plane(
                session.checkpoint,
                variable,
                plane,
                rows=rows,
                columns=columns,
                reduction=reduction,
                side=side,
                cancel=cancel,
            )
            return colour(picture, painted.limit)

        self._drop_detail()
        job = self._jobs.start("Image", read)
        self._detail_job = job
        job.succeeded.connect(lambda detail: self._show_detail(job, painted, detail))
        job.failed.connect(self._show_failure)

    def _show_detail(self, job: object, painted: Painted, detail: Painted) -> None:
        if job is self._detail_job and painted is self.painted and self.map is not None:
            self._detail_job = None
            self.detail = detail
            self.map.show_detail(detail.pixels, area_of(detail.picture))
            text = detail.picture.note or "In sight: a pixel is an element, exactly."
            self.note.setText(text)

    def _drop_detail(self) -> None:
        job, self._detail_job = self._detail_job, None
        if job is not None:
            job.cancel()
        if self.detail is not None and self.map is not None:
            self.detail = None
            self.map.hide_detail()
            if self.painted is not None:
                self._show_notes(self.painted)

    # Reading off.

    def value_at(self, row: int, column: int) -> tuple[str, float | None]:
        """Which element or elements a place of the picture is, in words, and its number."""
        painted, mosaic, plane = self.painted, self._mosaic, self._plane
        if painted is None or plane is None:
            return "", None
        if mosaic is not None:
            index = mosaic.index_of(row, column)
            return (
                ("", None)
                if index is None
                else (
                    index_text(index),
                    painted.picture.values[row, column],
                )
            )
        for shown in (self.detail, painted):
            found = shown and element_of(shown.picture, plane, row, column)
            if found:
                return found
        return "", None

    def _tell(self, at: tuple[int, int, QPointF] | None) -> None:
        heat_map = self.map
        if heat_map is None:
            return
        if at is None:
            heat_map.say("", QPointF())
            return
        column, row, place = at
        name, value = self.value_at(row, column)
        if value is None:
            heat_map.say("", place)
            return
        kind = Kind.OPAQUE if self._variable is None else kind_of(self._variable.dtype)
        if kind in (Kind.INTEGER, Kind.BOOL) and value == int(value):
            text = count_text(int(value))
        else:
            text = exact_text(value)
        heat_map.say(f"{name}\n{'|z| = ' if kind is Kind.COMPLEX else ''}{text}", place)

    def _text_of(self, row: int, column: int) -> tuple[str, bool] | None:
        """The number of a cell, and whether black is to be read on its colour; None for none."""
        painted = self.detail or self.painted
        _, value = self.value_at(row, column)
        if painted is None or value is None or not painted.picture.exact:
            return None
        y, x = row - painted.picture.rows[0], column - painted.picture.columns[0]
        if not (0 <= y < painted.pixels.shape[0] and 0 <= x < painted.pixels.shape[1]):
            return None
        red, green, blue = (int(part) for part in painted.pixels[y, x, :3])
        return number_text(float(value), 3), 0.3 * red + 0.59 * green + 0.11 * blue > 125

    # How it is made.

    def _dress(self, heat_map: HeatMap) -> None:
        mosaic, plane = self._mosaic, self._plane
        assert plane is not None
        if mosaic is None:
            heat_map.dress(
                f"axis {plane.column_axis}",
                f"axis {plane.row_axis}",
                lambda column: count_text(column) if 0 <= column < plane.columns else "",
                lambda row: count_text(row) if 0 <= row < plane.rows else "",
                (1, 1),
            )
            return
        pitch = (mosaic.width + 1, mosaic.height + 1)
        if not mosaic.wrapped:
            heat_map.dress(
                f"kernels along axis {mosaic.grid_axes[1]}",
                f"kernels along axis {mosaic.grid_axes[0]}",
                lambda tile: str(tile) if 0 <= tile < mosaic.across else "",
                lambda tile: str(tile) if 0 <= tile < mosaic.down else "",
                pitch,
            )
            return
        axis = " and ".join(f"axis {number}" for number in mosaic.grid_axes)
        axis = axis and f"tiles along {axis}"
        heat_map.dress(
            axis,
            "",
            lambda tile: f"+{tile}" if 0 <= tile < mosaic.across and axis else "",
            lambda line: str(line * mosaic.across) if 0 <= line < mosaic.down and axis else "",
            pitch,
        )

    def _heat_map(self) -> HeatMap:
        if self.map is None:
            self.map = HeatMap(self._appearance)
            self.map.text_of = self._text_of
            self.map.pointed.connect(self._tell)
            self.map.moved.connect(self._settle.start)
            self.controls.fit.clicked.connect(self.map.fit)
            self._map_place.addWidget(self.map)
        return self.map

    def _side(self) -> int:
        """Pixels a side: as many as there are on the screen, for all of them to be seen."""
        size = self.map.size() if self.map is not None else self.size()
        longest = int(max(size.width(), size.height()) * self.devicePixelRatioF())
        return min(MOST_PIXELS_A_SIDE, max(256, longest))

    def _stop(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.cancel()
        self._settle.stop()
        self._drop_detail()

    def _show_cancelled(self, job: object) -> None:
        if job is self._job:
            self._job = None
            if self.painted is None:
                self.show_message("Cancelled.")

    def _show_failure(self, error: BaseException) -> None:
        self.show_message(failure_text(error))
        if isinstance(error, ChangedFileError):
            self.file_changed.emit()

    def show_message(self, text: str) -> None:
        self._message.say(text)
        self._stack.setCurrentIndex(0)

    def _lay_out(self) -> None:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(20, 10, 20, 10)
        column.setSpacing(8)
        column.addWidget(self.controls)
        column.addLayout(self._map_place, 1)
        column.addWidget(self.bar)
        column.addWidget(self.note)
        self._stack = QStackedLayout(self)
        self._stack.setContentsMargins(0, 0, 0, 0)
        self._stack.addWidget(self._message)
        self._stack.addWidget(page)
