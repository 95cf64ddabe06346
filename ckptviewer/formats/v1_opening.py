"""Opening V1 checkpoints: the files that belong together, and the slices that make a tensor."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import NamedTuple

from ckptviewer.checkpoint.errors import (
    COPY_CHECKPOINT,
    CkptviewerError,
    PathNotFoundError,
    UnreadableFileError,
)
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.roles import Description, describe_by_name
from ckptviewer.checkpoint.text import natural_sorted, plural
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.ordered_code import Extent, encode_slice_key
from ckptviewer.formats.v1_tables import Place, TensorMeta, V1Table, read_table
from ckptviewer.storage.byte_source import LocalFile

_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})", re.DOTALL)
_MOST_SLICES = 2048  # of a tensor that is cut along several axes at once


class V1Part(NamedTuple):
    """One slice of a tensor: where it lies in the tensor and where in a file.

    extents: start and length along each axis. key: of its record.
    """

    source: LocalFile
    shard: int
    key: bytes
    place: Place
    extents: tuple[Extent, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the slice's axes."""
        return tuple(length for _, length in self.extents)


class V1Tensor(NamedTuple):
    """A tensor with its parts. problem: why its values cannot be had; empty where they can."""

    dtype: str
    shape: tuple[int, ...]
    parts: tuple[V1Part, ...]
    problem: str = ""


Opened = tuple[
    str,
    Mapping[str, V1Tensor],
    Sequence[Variable],
    str | None,
    Sequence[Finding],
    Mapping[str, str],
]
"""What a checkpoint is made of: path, tensors, variables, who wrote it, findings, facts."""


def shard_files(path: str) -> dict[int, str]:
    """The files of the sharded checkpoint that `path`, a shard or the prefix, belongs to.

    Shard number to path; of several sets under one prefix the one that `path` is of, else the
    largest. Empty where `path` is a file of its own, or nothing is there.
    """
    named = _SHARD.fullmatch(path)
    if not named and os.path.isfile(path):
        return {}
    prefix = named[1] if named else path
    directory, base = os.path.split(prefix)
    sets: dict[str, dict[int, str]] = {}
    try:
        names = os.listdir(directory or ".")
    except OSError:
        return {}
    for name in names:
        found = _SHARD.fullmatch(name)
        if found and found[1] == base and int(found[2]) < int(found[3]):
            sets.setdefault(found[3], {})[int(found[2])] = os.path.join(directory, name)
    if named and named[3] in sets:
        return sets[named[3]]
    return max(sets.values(), key=len, default={})


def open_v1(path: str) -> Opened:
    """Open the checkpoint at `path`: a file, a shard, or the prefix of a sharded one.

    Raises PathNotFoundError, DamagedFileError where nothing can be shown.
    """
    files = shard_files(path)
    sharded = bool(files)
    findings: list[Finding] = []
    prefix = path
    if sharded:
        found = _SHARD.fullmatch(next(iter(files.values())))
        assert found is not None  # shard_files gives no others
        prefix = found[1]
        findings += _missing_shards(prefix, files, int(found[3]))
    tables = _read_tables(files or {-1: path}, findings)
    metas, parts = _gathered(tables)
    keys = natural_sorted(list(metas), key=str)
    tensors = {key: _tensor(metas[key], parts.get(key, {})) for key in keys}
    findings += [
        _error("unreadable-variable", f"{key} cannot be read: {tensor.problem}.", key)
        for key, tensor in tensors.items()
        if tensor.problem
    ]
    facts = {"Kind": "name-based (tf.train.Saver, V1)"}
    if sharded:
        facts["Data files"] = str(len(files))
    producer = max((table.producer for table in tables.values()), default=0)
    if producer > 1:
        facts["Graph version of the writer"] = str(producer)
    described, written_by = _described(prefix, tensors, facts, findings)
    variables = _variables(tensors, described)
    return prefix, tensors, variables, written_by, findings, facts


def _read_tables(files: Mapping[int, str], findings: list[Finding]) -> dict[int, V1Table]:
    """The tables of all files that can be read. Raises the first error where none can."""
    tables: dict[int, V1Table] = {}
    errors: list[CkptviewerError] = []
    for shard, path in sorted(files.items()):
        try:
            source = LocalFile(path)
        except (PathNotFoundError, UnreadableFileError) as error:
            errors.append(error)
            continue
        try:
            table = read_table(source)
        except CkptviewerError as error:
            errors.append(error)
            continue
        finally:
            source.release()
        tables[shard] = table
        findings += table.findings
    if not tables:
        raise errors[0]
    findings += [_error("damaged-shard", f"A data file cannot be read: {e}") for e in errors]
    return tables


def _gathered(
    tables: Mapping[int, V1Table],
) -> tuple[dict[str, TensorMeta], dict[str, dict[tuple[Extent, ...], V1Part | None]]]:
    """The tensors of all files, and the parts of each by extents (None: without its values)."""
    metas: dict[str, TensorMeta] = {}
    parts: dict[str, dict[tuple[Extent, ...], V1Part | None]] = {}
    for shard, table in tables.items():
        assert isinstance(table.source, LocalFile)
        for meta in table.tensors:
            known = metas.setdefault(meta.name, meta)
            if (known.dtype, known.shape) != (meta.dtype, meta.shape) and not known.problem:
                why = "its data files disagree on its shape or dtype"
                metas[meta.name] = known._replace(problem=why)
                continue
            of_tensor = parts.setdefault(meta.name, {})
            for extents in meta.slices:
                key = encode_slice_key(meta.name, extents)
                place = table.places.get(key)
                full = _within(extents, meta.shape)
                if place is not None and full is not None:
                    of_tensor[extents] = V1Part(table.source, shard, key, place, full)
                else:
                    of_tensor.setdefault(extents, None)
    return metas, parts


def _within(extents: Sequence[Extent], shape: Sequence[int]) -> tuple[Extent, ...] | None:
    """The extents with their lengths told; None where they do not lie within the shape."""
    if len(extents) != len(shape):
        return None
    full = tuple(
        (start, size - start if length < 0 else length)
        for (start, length), size in zip(extents, shape, strict=True)
    )
    fits = all(
        0 <= start and 0 <= length and start + length <= size
        for (start, length), size in zip(full, shape, strict=True)
    )
    return full if fits else None


def _tensor(meta: TensorMeta, parts: Mapping[tuple[Extent, ...], V1Part | None]) -> V1Tensor:
    problem = meta.problem
    there = [part for part in parts.values() if part is not None]
    lost = len(parts) - len(there)
    if not problem and lost:
        problem = f"the values of {plural(lost, 'slice')} are not in the file"
    if not problem and any(part.place.size < prod(part.shape) for part in there):
        problem = "its shape has more elements than its record has bytes"
    if not problem:
        problem = _cover_problem(there, meta.shape)
    return V1Tensor(meta.dtype, meta.shape, tuple(there), problem)


def _cover_problem(parts: Sequence[V1Part], shape: tuple[int, ...]) -> str:
    """Why the parts are not exactly the whole tensor; empty where they are."""
    stored, needed = sum(prod(part.shape) for part in parts), prod(shape)
    if not parts or stored < needed:
        return f"its slices have {stored:,} of its {needed:,} elements; a data file may be missing"
    if stored > needed or not _disjoint(parts, shape):
        return "its slices overlap"
    return ""


def _disjoint(parts: Sequence[V1Part], shape: tuple[int, ...]) -> bool:
    """Whether no two parts share an element."""
    cut = [
        axis
        for axis, size in enumerate(shape)
        if any(part.extents[axis] != (0, size) for part in parts)
    ]
    if not cut:
        return len(parts) == 1 or not prod(shape)
    boxes = sorted(part.extents for part in parts if prod(part.shape))
    if len(cut) == 1:
        ends = sorted((box[cut[0]][0], box[cut[0]][0] + box[cut[0]][1]) for box in boxes)
        return all(one[1] <= other[0] for one, other in pairwise(ends))
    if len(boxes) > _MOST_SLICES:
        return False
    return not any(
        all(a[0] < b[0] + b[1] and b[0] < a[0] + a[1] for a, b in zip(one, other, strict=True))
        for number, one in enumerate(boxes)
        for other in boxes[number + 1 :]
    )


def _missing_shards(prefix: str, files: Mapping[int, str], count: int) -> list[Finding]:
    missing = [number for number in range(count) if number not in files]
    names = [f"{os.path.basename(prefix)}-{n:05d}-of-{count:05d}" for n in missing]
    if len(names) > 10:
        names = [*names[:10], f"{len(names) - 10} more"]
    return (
        [_error("missing-shard", f"Data files are missing: {', '.join(names)}.")] if names else []
    )


def _described(
    prefix: str, tensors: Mapping[str, V1Tensor], facts: dict[str, str], findings: list[Finding]
) -> tuple[list[Description], str | None]:
    """What names tell, and the graph beside the checkpoint; and the version that wrote it."""
    entries = [(key, tensor.dtype, tensor.shape) for key, tensor in tensors.items()]
    path = f"{prefix}.meta"
    if not os.path.isfile(path):
        return describe_by_name(entries), None
    from ckptviewer.formats.graph_def import meta_beside

    meta = meta_beside(path, findings)
    if meta is None:
        return describe_by_name(entries), None
    facts["Graph"] = os.path.basename(path)
    described = describe_by_name(
        entries,
        trainable=meta.trainable,
        all_variables=meta.all_variables,
        moving_averages=meta.moving_averages,
    )
    version = meta.tensorflow_version
    return described, f"TensorFlow {version}" if version else None


def _variables(tensors: Mapping[str, V1Tensor], described: Sequence[Description]) -> list[Variable]:
    variables = []
    for (key, tensor), about in zip(tensors.items(), described, strict=True):
        shards = {part.shard for part in tensor.parts}
        variables.append(
            Variable(
                key,
                about.name,
                tensor.dtype,
                tensor.shape,
                sum(part.place.size for part in tensor.parts),
                about.role,
                about.slot_of,
                about.slot_name,
                about.trainable,
                about.object_path,
                shards.pop() if len(shards) == 1 else -1,
            )
        )
    return variables


def _error(code: str, message: str, variable: str | None = None) -> Finding:
    return Finding(
        code=code,
        severity=Severity.ERROR,
        message=message,
        remedy=COPY_CHECKPOINT,
        variable=variable,
    )
