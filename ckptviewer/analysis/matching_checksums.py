"""Matching by content, as stored checksums tell it: unique on both sides, and not constant.

A tensor of zeros or ones is found in any checkpoint, so that its checksum says nothing. Whether a
tensor is constant shows without reading it: the checksum of one element repeated follows from the
checksum of the element.
"""

from __future__ import annotations

from collections.abc import Sequence

from ckptviewer.analysis.crc_arithmetic import crc_of_repeated
from ckptviewer.analysis.pairing import Pairing, Reason, class_of
from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.dtypes import BY_NAME, Kind, kind_of
from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.sstable import mask

_PEEK = 16

Content = tuple[int, str, tuple[int, ...], str]
"""Checksum, dtype, shape, class of role."""


def pair_by_checksum(pairing: Pairing) -> int:
    """Pair what has the same content under other keys; returns how many pairs were made.

    The checksum, with dtype and shape, has to be that of one variable alone on either side, those
    with partners included; constant tensors never qualify. Of tensors that a file repeats
    (`variables/3` of a SavedModel) the one that is not a list's entry stands for all.
    """
    wanted = {
        content
        for row in pairing.free_a()
        if (content := content_of(pairing.a, pairing.of_a[row])) is not None
    }
    if not wanted:
        return 0
    in_b = _only(pairing.b, pairing.of_b, wanted)
    in_a = _only(pairing.a, pairing.of_a, wanted & in_b.keys())
    count = 0
    for content, row_a in sorted(in_a.items(), key=lambda item: item[1]):
        row_b = in_b[content]
        if row_a < 0 or row_b < 0 or not pairing.both_free(row_a, row_b):
            continue
        # Names that end alike speak for it, too; else the checksum alone would have to.
        if _end_alike(pairing, row_a, row_b) or not is_constant(pairing.a, pairing.of_a[row_a]):
            why = "same checksum, dtype and shape, found once on either side"
            pairing.add(row_a, row_b, Reason.CHECKSUM, 0.97, why)
            count += 1
    return count


def _end_alike(pairing: Pairing, row_a: int, row_b: int) -> bool:
    name_a, name_b = pairing.of_a[row_a].name, pairing.of_b[row_b].name
    end = name_a.rsplit("/", 2)[-2:]
    return len(end) == 2 and end == name_b.rsplit("/", 2)[-2:] and not end[1].isdigit()


def content_of(checkpoint: Checkpoint, variable: Variable) -> Content | None:
    """What stands for the content of a variable; None where the file tells no checksum."""
    checksum = checkpoint.checksum(variable)
    if checksum is None:
        return None
    return checksum, variable.dtype, variable.shape, class_of(variable)


def _only(
    checkpoint: Checkpoint, variables: Sequence[Variable], wanted: set[Content]
) -> dict[Content, int]:
    """The row of each content that is wanted; -1 where several rows have it, none stands out."""
    from ckptviewer.analysis.known_renames import list_rank

    found: dict[Content, int] = {}
    ranks: dict[Content, int] = {}
    for row, variable in enumerate(variables):
        content = content_of(checkpoint, variable)
        if content is None or content not in wanted:
            continue
        rank = list_rank(variable.key)
        if content not in found or rank < ranks[content]:
            found[content], ranks[content] = row, rank
        elif rank == ranks[content]:
            found[content] = -1
    return found


def is_constant(checkpoint: Checkpoint, variable: Variable) -> bool:
    """Whether all elements are the same, as far as a peek and the stored checksum tell.

    Reads at most 16 elements. What differs there is not constant; what does not is held against
    the checksum of its first element repeated. Where neither decides (no such checksum, values
    that cannot be read) the answer is yes: a constant is what a checksum must not match.
    """
    count = variable.element_count
    dtype = BY_NAME.get(variable.dtype)
    if count <= 1 or dtype is None or dtype.kind is Kind.OPAQUE:
        return True
    try:
        values = checkpoint.read(variable, peek_region(variable.shape, _PEEK)).reshape(-1)
    except CkptviewerError:
        return True
    if kind_of(variable.dtype) is Kind.STRING:
        return count <= len(values) and len(set(values.tolist())) == 1
    first = values[:1].tobytes()
    if values.tobytes() != first * len(values):
        return False
    if count <= len(values):
        return True
    stored = checkpoint.checksum(variable)
    return stored is None or stored in (
        mask(crc_of_repeated(first, count)),
        mask(crc_of_repeated(first[::-1], count)),  # a big-endian bundle
    )


def peek_region(shape: tuple[int, ...], elements: int) -> tuple[slice, ...]:
    """A box of at most `elements` elements at the start of a tensor, contiguous in memory."""
    region = [slice(0, 1)] * len(shape)
    for axis in range(len(shape) - 1, -1, -1):
        size = min(shape[axis], max(1, elements))
        region[axis] = slice(0, size)
        if size < shape[axis]:
            break
        elements //= max(1, size)
    return tuple(region)
