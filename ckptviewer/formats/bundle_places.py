"""Where the variables of a tensor bundle lie in its data files, told of many at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ckptviewer.checkpoint.checkpoint import Places
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.bundle_index import EntryTable
from ckptviewer.formats.sstable import unmask


def places(entries: EntryTable[str], variables: Sequence[Variable]) -> Places | None:
    """As Checkpoint.places, of a little-endian bundle."""
    if not len(entries):
        return None
    rows = np.array(entries.rows(variable.key for variable in variables), np.intp)
    described = entries.descriptions
    as_listed = [  # else it was listed from an earlier file of this name
        described[row] == (variable.dtype, variable.shape)
        for row, variable in zip(rows.tolist(), variables, strict=True)
    ]
    there = (rows >= 0) & entries.plain[rows] & np.array(as_listed, bool)
    shards, offsets, sizes, checksums = (column[rows] for column in entries.numbers)
    return Places(np.where(there, shards, -1), offsets, sizes, unmask(checksums))
