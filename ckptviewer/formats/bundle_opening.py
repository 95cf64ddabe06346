"""Opening a tensor bundle: index to variables, with findings for what is damaged or missing."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from ckptviewer.checkpoint.collector import collection_paused
from ckptviewer.checkpoint.errors import (
    COPY_CHECKPOINT,
    CkptviewerError,
    DamagedFileError,
    PathNotFoundError,
)
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.text import plural, size_text
from ckptviewer.formats.bundle_checkpoint import BundleCheckpoint, BundleContents, shard_path
from ckptviewer.formats.bundle_description import describe_bundle
from ckptviewer.formats.bundle_index import Header, parse_header
from ckptviewer.formats.bundle_layout import LARGEST_REMEMBERED_BYTES, BundleLayout, read_records
from ckptviewer.formats.ordered_code import encode_slice_key
from ckptviewer.formats.sstable import Entry, Table
from ckptviewer.storage.byte_source import LocalFile, at_hand

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
            contents, layout = _read_index(source, findings)
        finally:
            source.release()
        sources = _check_data(contents, layout, findings)
        try:
            variables, facts, written_by = describe_bundle(contents, layout, sources, findings)
        finally:
            for each in sources.values():
                each.release()
        data_bytes = sum(each.size for each in sources.values())
        facts["Data files"] = f"{contents.header.shards}, {size_text(data_bytes)}"
        facts["Index"] = size_text(source.size)
        if contents.header.big_endian:
            facts["Byte order"] = "big-endian"
        return BundleCheckpoint(
            contents,
            variables=variables,
            written_by=written_by,
            findings=findings,
            facts=facts,
            sources=sources,
        )


def _read_index(source: LocalFile, findings: list[Finding]) -> tuple[BundleContents, BundleLayout]:
    prefix = source.name.removesuffix(".index")
    pairs = _read_pairs(Table(at_hand(source, LARGEST_REMEMBERED_BYTES)), findings)
    try:
        if pairs and pairs[0][0] == b"":
            header = parse_header(pairs.pop(0)[1])
        else:
            header = _guess_header(prefix, findings, source)
            pairs = [pair for pair in pairs if pair[0]]
        layout, checksums = read_records(pairs)
        entries, slices = layout.entries(checksums), layout.slices(checksums)
    except DamagedFileError as error:
        raise DamagedFileError(error.what, where=source.name, remedy=COPY_CHECKPOINT) from error
    return BundleContents(prefix=prefix, header=header, entries=entries, slices=slices), layout


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


def _check_data(
    contents: BundleContents, layout: BundleLayout, findings: list[Finding]
) -> dict[int, LocalFile]:
    """The data files that are there; findings for what is missing or cut short.

    They are remembered as they were on opening, so that what another save replaces is noticed. One
    that is alone is still open, as the object graph is in it; of many the handles would run out.
    """
    sources: dict[int, LocalFile] = {}
    problems: dict[int, _Problem] = {}
    for shard, end in layout.needed_bytes.items():
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
        if len(layout.needed_bytes) > 1:
            source.release()
        sources[shard] = source
        if end > source.size:
            what = f"data file {name} ends at byte {source.size:,}, and the index needs {end:,}"
            problems[shard] = _Problem("truncated-shard", what, source.size)
    if problems:
        _report(problems, _lost_variables(contents, problems), findings)
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


def _lost_variables(
    contents: BundleContents, problems: dict[int, _Problem]
) -> dict[str, list[int]]:
    """The variables that need bytes that cannot be read, and the data files to blame."""
    import numpy as np

    stored = _Stored.of(contents)
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
