"""A checkpoint in memory whose variables are described: names, roles, owners, checksums."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from crc32c import crc32c

from ckptviewer.checkpoint.roles import describe_by_name
from ckptviewer.checkpoint.text import natural_sorted
from tests.analysis.memory_checkpoint import MemoryCheckpoint
from tests.builders import masked


def described(
    arrays: Mapping[str, np.ndarray],
    fields: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    checksums: bool = True,
) -> MemoryCheckpoint:
    """The arrays by key, in natural order, with `fields` of their variables replaced.

    With `checksums` they are those that a tensor bundle stores.
    """
    sums = {
        key: masked(crc32c(np.ascontiguousarray(value).tobytes())) for key, value in arrays.items()
    }
    checkpoint = MemoryCheckpoint(arrays, checksums=sums if checksums else None)
    told = describe_by_name([(v.key, v.dtype, v.shape) for v in checkpoint.variables])
    variables = [
        variable._replace(**about._asdict())._replace(**dict((fields or {}).get(variable.key, {})))
        for variable, about in zip(checkpoint.variables, told, strict=True)
    ]
    checkpoint.variables = natural_sorted(variables, lambda variable: variable.key)
    return checkpoint
