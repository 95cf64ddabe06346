"""Shapes as files state them, checked before anything is made of them."""

from __future__ import annotations

from collections.abc import Sequence

from ckptviewer.checkpoint.errors import DamagedFileError

_LARGEST_RANK = 64  # NumPy's own limit
_LARGEST_ARRAY = (1 << 63) - 1


def checked_shape(sizes: Sequence[object], item_bytes: int = 1) -> tuple[int, ...]:
    """The shape, if an array of it can exist at all. Raises DamagedFileError.

    Sizes must be integers from 0 on. Even the shape of an empty array is limited: its other axes
    must not multiply to more bytes than an address can name.
    """
    if len(sizes) > _LARGEST_RANK:
        raise DamagedFileError(f"its shape has {len(sizes)} axes")
    total = max(1, item_bytes)
    shape: list[int] = []
    for size in sizes:
        if type(size) is not int or size < 0:
            raise DamagedFileError("its shape has an axis whose size is no natural number")
        total *= max(1, size)
        if total > _LARGEST_ARRAY:
            raise DamagedFileError("its shape is larger than any memory")
        shape.append(size)
    return tuple(shape)
