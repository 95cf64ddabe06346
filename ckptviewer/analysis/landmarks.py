"""Landmarks: where in a tensor the largest, the smallest, the first NaN or infinite value is."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

from ckptviewer.analysis.chunks import boxes
from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.errors import OpaqueVariableError
from ckptviewer.checkpoint.progress import CancelToken, Progress

if TYPE_CHECKING:
    import numpy as np

    from ckptviewer.checkpoint.checkpoint import Checkpoint
    from ckptviewer.checkpoint.variable import Variable

BOX_BYTES = 4 << 20
_MOST_REPORTS = 200


class Landmark(StrEnum):
    """What to look for. Largest and smallest are so among the finite values; of complex ones, by
    magnitude."""

    LARGEST = "largest"
    SMALLEST = "smallest"
    NAN = "NaN"
    INFINITE = "Inf"


def find(
    checkpoint: Checkpoint,
    variable: Variable,
    landmark: Landmark,
    *,
    cancel: CancelToken | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> tuple[int, ...] | None:
    """The index of the first of its kind, in C order; None where there is none.

    Reads the tensor box by box, for NaN and Inf up to the first. Raises as `Checkpoint.read` does,
    Cancelled, and OpaqueVariableError for what is not made of numbers.
    """
    import numpy as np

    if kind_of(variable.dtype) in (Kind.STRING, Kind.OPAQUE):
        raise OpaqueVariableError(f"values of dtype {variable.dtype} have no order")
    best: tuple[int, ...] | None = None
    best_value: np.generic | None = None
    done, told = 0, 0
    item_bytes = max(1, variable.stored_bytes // max(1, variable.element_count))
    for region in boxes(variable.shape, max(1, BOX_BYTES // item_bytes)):
        if cancel is not None:
            cancel.raise_if_cancelled()
        values = comparable(checkpoint.read(variable, region))
        flat = values.reshape(-1)
        done += flat.size
        at = _first(flat, landmark)
        if at is not None:
            value = flat[at]
            if best_value is None or _beats(value, best_value, landmark):
                inside = np.unravel_index(at, values.shape)
                best = tuple(
                    int(place) + (region[axis].start if axis < len(region) else 0)
                    for axis, place in enumerate(inside)
                )
                best_value = value
            if landmark in (Landmark.NAN, Landmark.INFINITE):
                return best
        if progress is not None and done - told >= variable.element_count / _MOST_REPORTS:
            told = done
            progress(
                Progress(
                    done=done, total=variable.element_count, unit="elements", label=variable.key
                )
            )
    return best


def comparable(values: np.ndarray) -> np.ndarray:
    """Numbers that NumPy can compare fast, in the same order: magnitudes of complex ones, float32
    for narrower floats, int8 for integers of less than a byte."""
    import numpy as np

    if values.dtype.kind == "c":
        from ckptviewer.analysis.tallies import magnitudes

        return magnitudes(values).reshape(values.shape)
    if values.dtype.kind in "iu" or values.dtype.name in ("float32", "float64"):
        return values
    if values.dtype.kind == "b":
        return values.view(np.uint8)
    if "int" in values.dtype.name:
        return values.astype(np.int8)
    return values.astype(np.float32)


def _first(flat: np.ndarray, landmark: Landmark) -> int | None:
    import numpy as np

    if landmark is Landmark.NAN or landmark is Landmark.INFINITE:
        if flat.dtype.kind != "f":
            return None
        is_it = np.isnan(flat) if landmark is Landmark.NAN else np.isinf(flat)
        at = int(is_it.argmax())
        return at if is_it[at] else None
    find_extreme = np.argmax if landmark is Landmark.LARGEST else np.argmin
    at = int(find_extreme(flat))
    if flat.dtype.kind != "f" or np.isfinite(flat[at]):
        return at
    finite = np.isfinite(flat)
    if not finite.any():
        return None
    worst = -np.inf if landmark is Landmark.LARGEST else np.inf
    return int(find_extreme(np.where(finite, flat, worst)))


def _beats(value: np.generic, best: np.generic, landmark: Landmark) -> bool:
    return bool(value > best if landmark is Landmark.LARGEST else value < best)  # type: ignore[operator]
