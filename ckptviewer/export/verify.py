"""Proof that what was written is what it was made from: every kept tensor, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.errors import DamagedFileError, UnwritableFileError
from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.export.plan import ExportPlan
from ckptviewer.export.values import values_in_order

if TYPE_CHECKING:
    import numpy as np


def verify(
    source: Checkpoint,
    written: Checkpoint,
    plan: ExportPlan,
    step: Callable[[int, str], None],
) -> None:
    """Compare all that was written with its source, bit for bit.

    step: told how many bytes were compared, and of which variable, as this goes on.
    Raises UnwritableFileError that names what differs; ChangedFileError and DamagedFileError where
    the source can no longer be read.
    """
    expected = {each.key_written: source[each.key] for each in plan.kept}
    found = set(written.by_key)
    if found != expected.keys():
        odd = min(found ^ expected.keys())
        raise _different(odd, "is missing" if odd in expected else "was not asked for")
    if written.findings:
        raise _different(plan.source, written.findings[0].message)
    for key, variable in expected.items():
        copy = written.by_key[key]
        if (copy.dtype, copy.shape) != (variable.dtype, variable.shape):
            raise _different(key, "has another dtype or shape")
        try:
            same = _is_same(source, variable, written, copy, plan, step)
        except DamagedFileError as error:
            if error.where not in (key, copy.key) or variable.key != key:
                raise
            raise _different(key, error.what) from error
        if not same:
            raise _different(key, "has other content")


def _is_same(
    source: Checkpoint,
    variable: Variable,
    written: Checkpoint,
    copy: Variable,
    plan: ExportPlan,
    step: Callable[[int, str], None],
) -> bool:
    if variable.key == OBJECT_GRAPH_KEY and plan.object_graph is not None:
        return bool(written.read(copy).item() == plan.object_graph)
    ours, theirs = written.stored_chunks(copy), source.stored_chunks(variable)
    if ours is not None and theirs is not None:
        return _same_bytes(ours, theirs, step, variable.key)
    if kind_of(variable.dtype) is Kind.STRING:
        one, other = (
            [each for values in values_in_order(*pair) for each in values.tolist()]
            for pair in ((source, variable), (written, copy))
        )
        step(copy.stored_bytes, variable.key)
        return one == other
    return _same_bytes(
        _raw(values_in_order(written, copy)),
        _raw(values_in_order(source, variable)),
        step,
        variable.key,
    )


def _raw(pieces: Iterator[np.ndarray]) -> Iterator[memoryview]:
    import numpy as np

    for values in pieces:
        yield np.ascontiguousarray(values).reshape(-1).view(np.uint8).data


def _same_bytes(
    one: Iterator[memoryview],
    other: Iterator[memoryview],
    step: Callable[[int, str], None],
    key: str,
) -> bool:
    """Whether two sequences of pieces, cut differently perhaps, are the same bytes.

    Both are read to their ends, where they tell whether their checksums held.
    """
    same = True
    left = right = memoryview(b"")
    while True:
        if not left:
            left = next(filter(len, one), left)
        if not right:
            right = next(filter(len, other), right)
        size = min(len(left), len(right))
        if not size:
            break
        same = same and _equal(left[:size], right[:size])
        left, right = left[size:], right[size:]
        step(size, key)
    rest = [piece for pair in zip_longest(one, other) for piece in pair if piece]
    return same and not (left or right or rest)


def _equal(one: memoryview, other: memoryview) -> bool:
    """Whether two pieces of one length are the same bytes."""
    import numpy as np

    whole = len(one) // 8 * 8  # eight at a time: NumPy notes down each result
    a, b = (np.frombuffer(piece[:whole], np.uint64) for piece in (one, other))
    return bool(np.array_equal(a, b)) and bytes(one[whole:]) == bytes(other[whole:])


def _different(where: str, what: str) -> UnwritableFileError:
    return UnwritableFileError(
        f"what was written does not read back as its source: {what}",
        where=where,
        remedy="Check the disk and the memory of this machine; nothing was put in place.",
    )
