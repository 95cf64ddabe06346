"""Opening a tensor bundle: index to variables, with findings for what is damaged or missing."""

from __future__ import annotations

import os
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ckptviewer.checkpoint.collector import collection_paused
from ckptviewer.checkpoint.errors import (
    COPY_CHECKPOINT,
    CkptviewerError,
    DamagedFileError,
    PathNotFoundError,
)
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.roles import Columns
from ckptviewer.checkpoint.text import natural_keys, plural, size_text
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.bundle_checkpoint import BundleCheckpoint, BundleContents, shard_path
from ckptviewer.formats.bundle_description import describe_bundle
from ckptviewer.formats.bundle_index import Header, parse_entries, parse_header
from ckptviewer.formats.ordered_code import encode_slice_key
from ckptviewer.formats.sstable import Entry, Table
from ckptviewer.storage.byte_source import LocalFile

if TYPE_CHECKING:
    import numpy as np

_MOST_NAMED = 20


def open_bundle(index: str) -> BundleCheckpoint:
    """Open the bundle whose index file is `index`, as far as it can be opened.

    Damaged blocks of the index and missing or truncated data files become findings. Raises
    PathNotFoundError, DamagedFileError where nothing can be shown.
    """
    with collection_paused():
        findings: list[Finding] = []
        source = LocalFile(index)
        try:
            contents = _read_index(source, findings)
        finally:
            source.release()
        sources = _check_data(contents, findings)
        described, facts, written_by = describe_bundle(contents, findings)
        data_bytes = sum(each.size for each in sources.values())
        facts["Data files"] = f"{contents.header.shards}, {size_text(data_bytes)}"
        facts["Index"] = size_text(source.size)
        if contents.header.big_endian:
            facts["Byte order"] = "big-endian"
        return BundleCheckpoint(
            contents,
            variables=_variables(contents, described),
            written_by=written_by,
            findings=findings,
            facts=facts,
            sources=sources,
        )


def _read_index(source: LocalFile, findings: list[Finding]) -> BundleContents:
    prefix = source.name.removesuffix(".index")
    pairs = _read_pairs(Table(source), findings)
    try:
        if pairs and pairs[0][0] == b"":
            header = parse_header(pairs.pop(0)[1])
        else:
            header = _guess_header(prefix, findings, source)
            pairs = [pair for pair in pairs if pair[0]]
        parsed = parse_entries(pairs)
    except DamagedFileError as error:
        raise DamagedFileError(error.what, where=source.name, remedy=COPY_CHECKPOINT) from error
    raw = list(parsed)
    slice_rows = [row for row, key in enumerate(raw) if key[:1] == b"\0"]
    slices = parsed.arranged([raw[row] for row in slice_rows], slice_rows)
    # Slices come first, since their keys begin with a zero byte. Keys are bytes to TensorFlow: what
    # is no UTF-8 must survive the way there and back.
    first = len(slice_rows)
    keys = [key.decode("utf-8", "surrogateescape") for key in raw[first:]]
    sortable = natural_keys(keys)
    order = sorted(range(len(keys)), key=sortable.__getitem__)
    entries = parsed.arranged([keys[row] for row in order], [row + first for row in order])
    return BundleContents(prefix=prefix, header=header, entries=entries, slices=slices)


def _read_pairs(table: Table, findings: list[Finding]) -> list[Entry]:
    """All keys and values of the index; a damaged block becomes a finding and is left out."""
    pairs: list[Entry] = []
    for handle in table.handles():
        try:
            pairs += table.entries(handle)
        except DamagedFileError as error:
            findings.append(
                Finding(
                    code="damaged-index",
                    severity=Severity.ERROR,
                    message=f"{error.where or table.source.name}: {error.what}; "
                    "the variables that it lists are not shown",
                    remedy=COPY_CHECKPOINT,
                )
            )
    if not pairs and findings:
        raise DamagedFileError(
            "no block of this index is intact", where=table.source.name, remedy=COPY_CHECKPOINT
        )
    return pairs


def _guess_header(prefix: str, findings: list[Finding], source: LocalFile) -> Header:
    """A header where the index has lost its own: data files are counted by their names."""
    directory, base = os.path.split(prefix)
    counts = [
        int(name[-5:])
        for name in os.listdir(directory or ".")
        if name.startswith(f"{base}.data-") and name[-5:].isdigit()
    ]
    if not findings:
        findings.append(
            Finding(
                code="damaged-index",
                severity=Severity.ERROR,
                message=f"{source.name}: its header is missing; little-endian values are assumed",
                remedy=COPY_CHECKPOINT,
            )
        )
    return Header(shards=max(counts, default=1), big_endian=False, version=0)


def _check_data(contents: BundleContents, findings: list[Finding]) -> dict[int, LocalFile]:
    """The data files that are there, closed again; findings for what is missing or cut short.

    They are remembered as they were on opening, so that what another save replaces is noticed.
    """
    sources: dict[int, LocalFile] = {}
    problems: dict[int, _Problem] = {}
    stored = _Stored.of(contents)
    for shard, end in stored.needed_bytes().items():
        path = shard_path(contents.prefix, shard, contents.header.shards)
        name = os.path.basename(path)
        try:
            source = LocalFile(path)
        except PathNotFoundError:
            problems[shard] = _Problem("missing-shard", f"data file {name} is missing", -1)
            continue
        except CkptviewerError as error:
            what = f"data file {name} cannot be read: {error.what}"
            problems[shard] = _Problem("unreadable-shard", what, -1)
            continue
        source.release()
        sources[shard] = source
        if end > source.size:
            what = f"data file {name} ends at byte {source.size:,}, and the index needs {end:,}"
            problems[shard] = _Problem("truncated-shard", what, source.size)
    if problems:
        _report(problems, _lost_variables(contents, stored, problems), findings)
    return sources


class _Problem(NamedTuple):
    """What is wrong with a data file, and how many bytes of it can be read; -1 for none."""

    code: str
    what: str
    readable_bytes: int


class _Stored(NamedTuple):
    """Data file and end of everything that is stored: rows of the entries, then of the slices.

    What is stored in slices has no bytes of its own; its data file is -1.
    """

    shards: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, contents: BundleContents) -> _Stored:
        import numpy as np

        numbers = (contents.entries.numbers, contents.slices.numbers)
        shards = np.concatenate([each.shards for each in numbers])
        shards[[row for row, _, _ in contents.entries.sliced()]] = -1
        return cls(shards, np.concatenate([each.offsets + each.sizes for each in numbers]))

    def needed_bytes(self) -> dict[int, int]:
        """How long each data file has to be."""
        import numpy as np

        shards, places = np.unique(self.shards, return_inverse=True)
        ends = np.zeros(len(shards), np.int64)
        np.maximum.at(ends, places, self.ends)
        found = zip(shards.tolist(), ends.tolist(), strict=True)
        return {shard: end for shard, end in found if shard >= 0}


def _lost_variables(
    contents: BundleContents, stored: _Stored, problems: dict[int, _Problem]
) -> dict[str, list[int]]:
    """The variables that need bytes that cannot be read, and the data files to blame."""
    import numpy as np

    numbers = np.array(sorted(problems), np.int64)
    readable = np.array([problems[number].readable_bytes for number in numbers.tolist()], np.int64)
    at = np.minimum(np.searchsorted(numbers, stored.shards), len(numbers) - 1)
    rows = np.flatnonzero((numbers[at] == stored.shards) & (stored.ends > readable[at]))
    keys, slice_keys = list(contents.entries), list(contents.slices)
    lost: dict[str, list[int]] = {}
    lost_slices: dict[bytes, int] = {}
    for row, shard in zip(rows.tolist(), stored.shards[rows].tolist(), strict=True):
        if row < len(keys):
            lost[keys[row]] = [shard]
        else:
            lost_slices[slice_keys[row - len(keys)]] = shard
    if lost_slices:
        for _, key, entry in contents.entries.sliced():
            parts = (encode_slice_key(key, extents) for extents in entry.slices)
            blamed = {lost_slices[part] for part in parts if part in lost_slices}
            if blamed:
                lost[key] = sorted(blamed)
    return lost


def _report(
    problems: dict[int, _Problem], lost: dict[str, list[int]], findings: list[Finding]
) -> None:
    """A finding for each data file with a problem, and one for each variable that is lost."""
    counts = Counter(shard for shards in lost.values() for shard in shards)
    for number, (shard, problem) in enumerate(problems.items()):
        message = f"The {problem.what}; {plural(counts[shard], 'variable')} cannot be read."
        if number == _MOST_NAMED and len(problems) > number + 1:
            message = f"And {plural(len(problems) - number, 'data file')} more like these."
        findings.append(
            Finding(
                code=problem.code,
                severity=Severity.ERROR,
                message=message,
                remedy="Copy the data file again from where the checkpoint was saved.",
            )
        )
        if number == _MOST_NAMED:
            break
    for key, shards in lost.items():
        findings.append(
            Finding(
                code="unreadable-variable",
                severity=Severity.ERROR,
                message=f"{key} cannot be read: its {problems[shards[0]].what}.",
                remedy=COPY_CHECKPOINT,
                variable=key,
            )
        )


def _variables(contents: BundleContents, described: Columns) -> list[Variable]:
    table = contents.entries
    sizes, shards = table.numbers.sizes.tolist(), table.numbers.shards.tolist()
    for row, key, entry in table.sliced():
        parts = (contents.slices.get(encode_slice_key(key, extents)) for extents in entry.slices)
        sizes[row], shards[row] = sum(part.size for part in parts if part), -1
    if not table:
        return []
    dtypes, shapes = zip(*table.descriptions, strict=True)
    names, roles, owners, slots, trainable, paths = described
    columns = (table, names, dtypes, shapes, sizes, roles, owners, slots, trainable, paths, shards)
    # Made from the tuples of columns directly: a call a variable would take four times as long.
    return list(map(partial(tuple.__new__, Variable), zip(*columns, strict=True)))
