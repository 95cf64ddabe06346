"""Statistics of a variable: one pass over its chunks, and exact histograms by a second one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from math import prod
from typing import TYPE_CHECKING

from ckptviewer.analysis.chunks import PART_ELEMENTS, boxes, segments
from ckptviewer.analysis.moments import exponent_for
from ckptviewer.analysis.summary import Statistics
from ckptviewer.checkpoint.dtypes import Kind, kind_of, numpy_dtype
from ckptviewer.checkpoint.progress import CancelToken, Progress

if TYPE_CHECKING:
    import numpy as np

    from ckptviewer.analysis.histogram import Histogram, Scale
    from ckptviewer.checkpoint.checkpoint import Checkpoint, Region
    from ckptviewer.checkpoint.variable import Variable

__all__ = ["Statistics", "exact_histogram", "histogram_of", "statistics_of", "statistics_of_array"]

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""The fractions that are shown unless others are asked for."""

_SMALL_BYTES = 1 << 20
_BUCKET_SHARE = 2.0**-7
"""The width of the widest bucket as a share of its value."""

Report = Callable[[Progress], None]


def statistics_of(
    checkpoint: Checkpoint,
    variable: Variable,
    *,
    cancel: CancelToken | None = None,
    progress: Report | None = None,
) -> Statistics:
    """All that one pass over the values of `variable` tells.

    Memory is a few megabytes whatever its size. The result does not depend on how the reader cuts
    the tensor. Raises what reading raises, OpaqueVariableError, and Cancelled.
    """
    from ckptviewer.analysis.tallies import takes_crc

    dtype = numpy_dtype(variable.dtype)
    sizes = partial(part_sizes, variable.shape)

    def read() -> Iterator[np.ndarray]:
        return _watched(checkpoint.chunks(variable), variable, cancel, progress)

    kind, count = kind_of(variable.dtype), variable.element_count
    checking = checkpoint.unverified_chunks(variable) if takes_crc(dtype, count) else None
    if checking is None:
        return _measure(read, dtype, kind, count, sizes)
    chunks, verify = checking
    first = _watched(chunks, variable, cancel, progress)
    total, crc = _one_pass(first, dtype, kind, count, sizes(), 0, 0)
    verify(crc or 0)
    exponent = exponent_for(total.min, total.max)
    return _one_pass(read(), dtype, kind, count, sizes(), exponent)[0] if exponent else total


def statistics_of_array(values: np.ndarray, dtype_name: str = "") -> Statistics:
    """The statistics of an array in memory; `dtype_name` where NumPy's dtype does not tell."""
    from ckptviewer.checkpoint.dtypes import name_of_numpy

    kind = kind_of(dtype_name or name_of_numpy(values.dtype))
    sizes = partial(part_sizes, values.shape)
    return _measure(lambda: iter((values.reshape(-1),)), values.dtype, kind, values.size, sizes)


def statistics_of_part(
    checkpoint: Checkpoint, variable: Variable, region: Region, *, cancel: CancelToken | None = None
) -> Statistics:
    """The statistics of one of the boxes that `part_regions` gives.

    Merging them in their order gives what `statistics_of` gives, to the last bit.
    """
    dtype = numpy_dtype(variable.dtype)
    shape = tuple(part.stop - part.start for part in region) + variable.shape[len(region) :]
    count = prod(shape)

    def read() -> Iterator[np.ndarray]:
        return _boxes_of(checkpoint, variable, region, shape, cancel)

    return _measure(read, dtype, kind_of(variable.dtype), variable.element_count, lambda: (count,))


def part_regions(variable: Variable) -> list[Region]:
    """The boxes in which a large variable may be worked on by several workers."""
    return list(boxes(variable.shape, PART_ELEMENTS))


def part_sizes(shape: tuple[int, ...]) -> Iterator[int]:
    """The elements of each of these boxes, in their order; a damaged shape may have very many."""
    if prod(shape) <= PART_ELEMENTS:
        yield prod(shape)
        return
    for box in boxes(shape, PART_ELEMENTS):
        yield prod(part.stop - part.start for part in box) * prod(shape[len(box) :])


def exact_histogram(
    checkpoint: Checkpoint,
    variable: Variable,
    edges: np.ndarray | Sequence[float],
    *,
    scale: Scale = "linear",
    cancel: CancelToken | None = None,
    progress: Report | None = None,
) -> Histogram:
    """Read `variable` once more and count its finite values between `edges`, exactly.

    edges: ascending, as `Buckets.edges` gives them. With scale "log", magnitudes are counted and
    zeros left out; complex numbers count by magnitude, strings by length. Raises as
    `statistics_of` does.
    """
    import numpy as np

    from ckptviewer.analysis.histogram import Histogram

    edges = np.asarray(edges, np.float64)
    kind = kind_of(variable.dtype)
    counts = np.zeros(len(edges) - 1, np.int64)
    for chunk in _watched(checkpoint.chunks(variable), variable, cancel, progress):
        values = as_float64(chunk, kind)
        if scale == "log":
            values = np.abs(values[values != 0])
        counts += count_between(values, edges)
    return Histogram(edges, counts, 0.0, scale)


def histogram_of(
    checkpoint: Checkpoint,
    variable: Variable,
    statistics: Statistics,
    *,
    bins: int = 64,
    lo: float | None = None,
    hi: float | None = None,
    scale: Scale = "linear",
    cancel: CancelToken | None = None,
) -> Histogram:
    """A histogram of `variable`, whose `statistics` are known; arguments as of `Buckets.rebin`.

    It is made from the fine buckets where these are finer than the bins; else, and where the
    variable is small, it is read again and counted exactly.
    """
    histogram = statistics.buckets.rebin(bins, lo, hi, scale)
    if needs_reading(histogram) or (not histogram.exact and variable.stored_bytes <= _SMALL_BYTES):
        return exact_histogram(checkpoint, variable, histogram.edges, scale=scale, cancel=cancel)
    return histogram


def needs_reading(histogram: Histogram) -> bool:
    """Whether a histogram made from buckets is blurred: a bucket takes half a bin or more.

    Bins are equal, on the axis of their scale.
    """
    if histogram.exact:
        return False
    edges = histogram.edges
    if histogram.scale == "log":  # buckets widen with the values, as the bins do
        return bool(edges[1] / edges[0] < 1 + 2 * _BUCKET_SHARE)
    return bool(2 * histogram.resolution >= edges[1] - edges[0])


def as_float64(values: np.ndarray, kind: Kind) -> np.ndarray:
    """The numbers that statistics speak of: magnitudes of complex ones, lengths of strings."""
    import numpy as np

    if kind is Kind.STRING:
        return np.fromiter(map(len, values.reshape(-1)), np.float64, values.size)
    if kind is Kind.COMPLEX:
        from ckptviewer.analysis.tallies import magnitudes

        return magnitudes(values)
    return values.astype(np.float64)


def count_between(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """What `np.histogram(values, edges)` counts, faster where the edges are equally spaced."""
    import numpy as np

    bins = len(edges) - 1
    lo, hi = float(edges[0]), float(edges[-1])
    with np.errstate(over="ignore", invalid="ignore"):
        even = math.isfinite(hi - lo) and (np.diff(edges) > 0).all()
        if even and np.array_equal(edges, np.linspace(lo, hi, bins + 1)):
            return np.histogram(values, bins, (lo, hi))[0]
        inside = values[(values >= lo) & (values <= hi)]
    return np.histogram(inside, edges)[0]


def _measure(
    read: Callable[[], Iterable[np.ndarray]],
    dtype: np.dtype,
    kind: Kind,
    count: int,
    sizes: Callable[[], Iterable[int]],
) -> Statistics:
    total, _ = _one_pass(read(), dtype, kind, count, sizes(), 0)
    exponent = exponent_for(total.min, total.max)
    return _one_pass(read(), dtype, kind, count, sizes(), exponent)[0] if exponent else total


def _one_pass(
    chunks: Iterable[np.ndarray],
    dtype: np.dtype,
    kind: Kind,
    count: int,
    sizes: Iterable[int],
    exponent: int,
    crc: int | None = None,
) -> tuple[Statistics, int | None]:
    """The statistics, and where `crc` is given what the crc32c after it is."""
    from ckptviewer.analysis.tallies import tally_for

    total = Statistics()
    for part in _parts(chunks, sizes):
        tally = tally_for(dtype, kind, count, exponent, crc)
        for values in segments(part):
            tally.add(values)
        crc = tally.crc if crc is not None else None
        total = total.merge(tally.result())
    return (total if total.count else tally_for(dtype, kind, count).result()), crc


def _parts(chunks: Iterable[np.ndarray], sizes: Iterable[int]) -> Iterator[Iterator[np.ndarray]]:
    """The stream of elements cut into streams of `sizes` elements; each must be used up first."""
    source = iter(chunks)
    rest: list[np.ndarray] = []
    ended = False

    def take(wanted: int) -> Iterator[np.ndarray]:
        nonlocal ended
        while wanted > 0:
            chunk = rest.pop() if rest else next(source, None)
            if chunk is None:
                ended = True
                return
            flat = chunk.reshape(-1)
            if flat.size > wanted:
                rest.append(flat[wanted:])
                flat = flat[:wanted]
            wanted -= flat.size
            yield flat

    for size in sizes:
        yield take(size)
        if ended:
            return
    # The reader checks the checksum once it has given everything: it has to come to its end.
    for _ in source:
        pass


def _boxes_of(
    checkpoint: Checkpoint,
    variable: Variable,
    region: Region,
    shape: tuple[int, ...],
    cancel: CancelToken | None,
) -> Iterator[np.ndarray]:
    for box in boxes(shape, 1 << 20):
        if cancel is not None:
            cancel.raise_if_cancelled()
        moved = tuple(
            slice(outer.start + inner.start, outer.start + inner.stop)
            for outer, inner in zip(region, box[: len(region)], strict=False)
        )
        moved += region[len(box) :] + box[len(region) :]
        yield checkpoint.read(variable, moved).reshape(-1)


def _watched(
    chunks: Iterable[np.ndarray],
    variable: Variable,
    cancel: CancelToken | None,
    progress: Report | None,
) -> Iterator[np.ndarray]:
    done = 0
    for chunk in chunks:
        if cancel is not None:
            cancel.raise_if_cancelled()
        yield chunk
        done += chunk.nbytes
        if progress is not None:
            progress(Progress(done=done, total=variable.stored_bytes, label=variable.key))
