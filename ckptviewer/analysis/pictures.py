"""Pictures of tensors: planes, reduced where they are huge, and tiles side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Literal

from ckptviewer.analysis.landmarks import comparable
from ckptviewer.analysis.slicing import Plane, Span, touched_bytes
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.checkpoint.text import count_text

if TYPE_CHECKING:
    import numpy as np

    from ckptviewer.checkpoint.checkpoint import Checkpoint
    from ckptviewer.checkpoint.variable import Variable

Reduction = Literal["largest |x|", "mean"]
Report = Callable[[Progress], None]

MOST_PIXELS_A_SIDE = 1536
READ_ALL_BYTES = 1 << 29
"""Of a plane for which more must be read than this, some rows stand for their neighbours."""
_PIECE_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """Numbers to be painted, a pixel each.

    values: float32 or float64, of shape (height, width).
    rows, columns: the part of the plane that it shows, or of the canvas of tiles.
    gaps: which pixels are between tiles and stand for nothing; None where all stand for something.
    down, across: how many rows and columns a pixel stands for.
    sampled_rows, sampled_columns: of every `down` rows, or `across` columns, only so many were
        read; 0: all were.
    reduction: how a pixel came from its elements, where there are several.
    """

    values: np.ndarray
    rows: Span
    columns: Span
    gaps: np.ndarray | None = None
    down: int = 1
    across: int = 1
    sampled_rows: int = 0
    sampled_columns: int = 0
    reduction: Reduction = "largest |x|"

    @property
    def exact(self) -> bool:
        """Whether each pixel is one element."""
        return self.down == self.across == 1

    @property
    def note(self) -> str:
        """What a pixel stands for, in words; empty where that is one element."""
        if self.exact:
            return ""
        size = f"{count_text(self.down)} \u00d7 {count_text(self.across)}"
        text = f"A pixel is the {self.reduction} of {size} elements."
        for read, factor, name in (
            (self.sampled_rows, self.down, "row"),
            (self.sampled_columns, self.across, "column"),
        ):
            if read == 1:
                text += f" Sampled: every {count_text(factor)}th {name} was read."
            elif read:
                text += f" Sampled: {read} {name}s of every {count_text(factor)} were read."
        return text


def read_plane(
    checkpoint: Checkpoint,
    variable: Variable,
    plane: Plane,
    *,
    rows: Span | None = None,
    columns: Span | None = None,
    reduction: Reduction = "largest |x|",
    side: int = MOST_PIXELS_A_SIDE,
    read_all_bytes: int = READ_ALL_BYTES,
    cancel: CancelToken | None = None,
    progress: Report | None = None,
) -> Picture:
    """A picture of a plane, or of some of its rows and columns, of at most `side` pixels a side.

    Read in the order of the memory, in pieces: memory is bounded by the picture's. A pixel that
    stands for several elements of which one is NaN is NaN. Raises as `Checkpoint.read` does, and
    Cancelled.
    """
    rows, columns = rows or (0, plane.rows), columns or (0, plane.columns)
    turned = (
        plane.row_axis is not None
        and plane.column_axis is not None
        and plane.column_axis < plane.row_axis
    )
    view = plane.turned() if turned else plane
    major, minor = (columns, rows) if turned else (rows, columns)
    down = max(1, ceil((major[1] - major[0]) / side))
    across = max(1, ceil((minor[1] - minor[0]) / side))
    item_bytes = max(1, variable.stored_bytes // max(1, variable.element_count))
    # Outer rows that lie apart cost what one costs, each.
    one_row = touched_bytes(plane.shape, item_bytes, view.region((0, 1), minor))
    every_row = touched_bytes(plane.shape, item_bytes, view.region(major, minor))
    row_bytes = max(1, one_row, every_row // max(1, major[1] - major[0]))
    total = row_bytes * (major[1] - major[0])
    sampled = 0
    if down > 1 and total > read_all_bytes:
        sampled = max(1, down * read_all_bytes // total)
    canvas = _Canvas(major, minor, down, across, reduction)
    step = max(1, _PIECE_BYTES // row_bytes)
    done, to_do = 0, (total * sampled // down if sampled else total)
    for first, stop in _row_pieces(major, down, sampled, step):
        for low, high in _column_pieces(minor, across, item_bytes):
            if cancel is not None:
                cancel.raise_if_cancelled()
            box = view.region((first, stop), (low, high))
            canvas.add(first, low, view.arrange(as_pixels(checkpoint.read(variable, box))))
        done += row_bytes * (stop - first)
        if progress is not None:
            progress(Progress(done=min(done, to_do), total=to_do, label=variable.key))
    values = canvas.values()
    return Picture(
        values=values.T if turned else values,
        rows=rows,
        columns=columns,
        down=across if turned else down,
        across=down if turned else across,
        sampled_rows=0 if turned else sampled,
        sampled_columns=sampled if turned else 0,
        reduction=reduction,
    )


def as_pixels(values: np.ndarray) -> np.ndarray:
    """Numbers as float32 or, where that would round them, as float64; complex ones' magnitudes.

    Integers above 2**53 are rounded: a picture has few colours.
    """
    import numpy as np

    values = comparable(values)
    is_float = values.dtype.kind == "f"
    narrow = values.dtype.itemsize <= (4 if is_float else 2)
    return values.astype(np.float32 if narrow else np.float64, copy=False)


def _row_pieces(rows: Span, down: int, sampled: int, step: int) -> Iterator[Span]:
    """Rows to read at once; with `sampled`, the first so many of every `down`."""
    if not sampled:
        if step > down:
            step -= step % down
        for first in range(*rows, step):
            yield first, min(first + step, rows[1])
        return
    for block in range(*rows, down):
        end = min(block + sampled, rows[1])
        for first in range(block, end, step):
            yield first, min(first + step, end)


def _column_pieces(columns: Span, across: int, item_bytes: int) -> Iterator[Span]:
    step = max(1, _PIECE_BYTES // (item_bytes * across)) * across
    for first in range(*columns, step):
        yield first, min(first + step, columns[1])


class _Canvas:
    """The pixels of a plane while its pieces arrive."""

    def __init__(
        self, rows: Span, columns: Span, down: int, across: int, reduction: Reduction
    ) -> None:
        self._origin = (rows[0], columns[0])
        self._factors = (down, across)
        self._shape = (ceil((rows[1] - rows[0]) / down), ceil((columns[1] - columns[0]) / across))
        self._reduction = reduction
        self._pixels: list[np.ndarray] = []

    def add(self, row: int, column: int, values: np.ndarray) -> None:
        """Take in values whose first stands at this row and column of the plane."""
        import numpy as np

        starts, places = [], []
        for first, size, origin, factor in zip(
            (row, column), values.shape, self._origin, self._factors, strict=True
        ):
            at = first - origin
            edges = np.arange(at // factor * factor, at + size, factor) - at
            starts.append(np.maximum(edges, 0))
            places.append(slice(at // factor, at // factor + len(edges)))
        target = tuple(places)
        if self._factors == (1, 1):
            (pixels,) = self._layers(values.dtype, [0])
            pixels[target] = values
        elif self._reduction == "mean":
            total, count = self._layers(np.dtype(np.float64), [0, 0])
            total[target] += _reduced(np.add, values.astype(np.float64, copy=False), starts)
            ends = [np.append(s[1:], n) for s, n in zip(starts, values.shape, strict=True)]
            count[target] += np.outer(ends[0] - starts[0], ends[1] - starts[1])
        else:
            high, low = self._layers(values.dtype, [-np.inf, np.inf])
            with np.errstate(invalid="ignore"):
                high[target] = np.maximum(high[target], _reduced(np.maximum, values, starts))
                low[target] = np.minimum(low[target], _reduced(np.minimum, values, starts))

    def values(self) -> np.ndarray:
        """The pixels, once all pieces are in."""
        import numpy as np

        if not self._pixels:
            return np.zeros(self._shape, np.float32)
        if self._factors == (1, 1):
            return self._pixels[0]
        if self._reduction == "mean":
            mean: np.ndarray = self._pixels[0] / self._pixels[1]
            return mean
        high, low = self._pixels
        return np.where(-low > high, low, high)

    def _layers(self, dtype: np.dtype, fill: list[float]) -> list[np.ndarray]:
        import numpy as np

        if not self._pixels:
            self._pixels = [np.full(self._shape, value, dtype) for value in fill]
        return self._pixels


def _reduced(ufunc: np.ufunc, values: np.ndarray, starts: list[np.ndarray]) -> np.ndarray:
    import numpy as np

    with np.errstate(invalid="ignore", over="ignore"):
        down: np.ndarray = ufunc.reduceat(values, starts[0], axis=0)
        across: np.ndarray = ufunc.reduceat(down, starts[1], axis=1)
    return across
