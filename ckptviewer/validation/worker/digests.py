"""A tensor's content in a few words: a digest of its bytes, and its moments."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np

_PIECE = 1 << 17
_DIGEST_BYTES = 16


def digest(values: Any, like: dict[str, Any] | None = None) -> dict[str, Any]:
    """The protocol's Digest of an array. like: one that may be the same, so that it need not be
    computed again.

    Moments are population moments over finite values, in float64; kurtosis is excess kurtosis.
    Complex numbers, strings and the like have none.
    """
    array = np.asarray(values)
    content = _bytes_digest(array)
    if like is not None and like["digest"] == content and like["count"] == array.size:
        return like
    result: dict[str, Any] = {
        "digest": content,
        "count": int(array.size),
        "nonfinite": 0,
        "mean": None,
        "std": None,
        "skewness": None,
        "kurtosis": None,
    }
    if _is_real(array.dtype) and array.size:
        result.update(_moments(array.reshape(-1)))
    return result


def _bytes_digest(array: Any) -> str:
    state = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    if array.dtype.hasobject:
        for each in array.reshape(-1).tolist():
            data = each if isinstance(each, bytes) else str(each).encode("utf-8", "replace")
            state.update(len(data).to_bytes(8, "little"))
            state.update(data)
        return state.hexdigest()
    flat = np.ascontiguousarray(array).reshape(-1)
    for start in range(0, flat.size, _PIECE):
        state.update(flat[start : start + _PIECE].view(np.uint8).data)
    return state.hexdigest()


def _is_real(dtype: Any) -> bool:
    if dtype.kind in "biuf":
        return True
    # bfloat16 and the float8s are of kind V, and convert all the same.
    return dtype.kind == "V" and dtype.names is None and dtype.name.startswith(("bfloat", "float"))


def _moments(flat: Any) -> dict[str, float | None]:
    total, finite, nonfinite = 0.0, 0, 0
    for piece in _pieces(flat):
        kept = piece[np.isfinite(piece)]
        total += float(kept.sum())
        finite += kept.size
        nonfinite += piece.size - kept.size
    if not finite:
        return {"nonfinite": nonfinite}
    mean = total / finite
    # A second pass about a rounded mean: the remainder is taken off as the first moment.
    sums = np.zeros(4)
    for piece in _pieces(flat):
        apart = piece[np.isfinite(piece)] - mean
        square = apart * apart
        sums += (apart.sum(), square.sum(), (square * apart).sum(), (square * square).sum())
    m1, m2, m3, m4 = (float(each) / finite for each in sums)
    variance = max(m2 - m1 * m1, 0.0)
    result = {
        "nonfinite": nonfinite,
        "mean": mean + m1,
        "std": math.sqrt(variance),
        "skewness": None,
        "kurtosis": None,
    }
    if variance > (abs(mean) * 1e-15) ** 2 and variance > 0:
        third = m3 - 3 * m1 * m2 + 2 * m1**3
        fourth = m4 - 4 * m1 * m3 + 6 * m1 * m1 * m2 - 3 * m1**4
        result["skewness"] = third / variance**1.5
        result["kurtosis"] = fourth / (variance * variance) - 3.0
    return result


def _pieces(flat: Any) -> Any:
    with np.errstate(all="ignore"):
        for start in range(0, flat.size, _PIECE):
            yield flat[start : start + _PIECE].astype(np.float64)
