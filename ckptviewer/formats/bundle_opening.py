"""Opening a tensor bundle: index to variables, with findings for what is damaged or missing."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from ckptviewer.checkpoint.errors import DamagedFileError
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.roles import Columns
from ckptviewer.checkpoint.text import natural_keys, plural, size_text
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.bundle_description import describe_bundle
from ckptviewer.formats.bundle_index import Header, parse_entries, parse_header
from ckptviewer.formats.ordered_code import encode_slice_key
from ckptviewer.formats.sstable import Entry, Table
from ckptviewer.formats.tf_bundle import BundleCheckpoint, BundleContents, shard_path
from ckptviewer.storage.byte_source import LocalFile

_COPY_AGAIN = "Copy the checkpoint again from where it was saved."


def open_bundle(index: str) -> BundleCheckpoint:
    """Open the bundle whose index file is `index`, as far as it can be opened.

    Damaged blocks of the index and missing or truncated data files become findings. Raises
    PathNotFoundError, DamagedFileError where nothing can be shown.
    """
    with _collection_paused():
        findings: list[Finding] = []
        source = LocalFile(index)
        try:
            contents = _read_index(source, findings)
        finally:
            source.release()
        data_bytes = _check_data(contents, findings)
        described, facts, written_by = describe_bundle(contents, findings)
        facts["Data files"] = f"{contents.header.shards}, {size_text(sum(data_bytes.values()))}"
        facts["Index"] = size_text(source.size)
        if contents.header.big_endian:
            facts["Byte order"] = "big-endian"
        return BundleCheckpoint(
            contents,
            variables=_variables(contents, described),
            written_by=written_by,
            findings=findings,
            facts=facts,
        )


@contextmanager
def _collection_paused() -> Iterator[None]:
    """Hold the cyclic garbage collector: it would go over each new entry again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _read_index(source: LocalFile, findings: list[Finding]) -> BundleContents:
    prefix = source.name.removesuffix(".index")
    pairs = _read_pairs(Table(source), findings)
    if pairs and pairs[0][0] == b"":
        header = parse_header(pairs.pop(0)[1])
    else:
        header = _guess_header(prefix, findings, source)
    try:
        parsed = parse_entries(pairs)
    except DamagedFileError as error:
        raise DamagedFileError(error.what, where=source.name, remedy=_COPY_AGAIN) from error
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
                    remedy=_COPY_AGAIN,
                )
            )
    if not pairs and findings:
        raise DamagedFileError(
            "no block of this index is intact", where=table.source.name, remedy=_COPY_AGAIN
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
                remedy=_COPY_AGAIN,
            )
        )
    return Header(shards=max(counts, default=1), big_endian=False, version=0)


def _check_data(contents: BundleContents, findings: list[Finding]) -> dict[int, int]:
    """The size of each data file that is there; findings for what is missing or cut short."""
    import numpy as np

    ends: dict[int, int] = {}
    for table in (contents.entries, contents.slices):
        shards, reached = table.numbers.shards, table.numbers.offsets + table.numbers.sizes
        for shard in np.unique(shards).tolist():
            ends[shard] = max(ends.get(shard, 0), int(reached[shards == shard].max()))
    sizes: dict[int, int] = {}
    for shard, end in sorted(ends.items()):
        path = shard_path(contents.prefix, shard, contents.header.shards)
        name = os.path.basename(path)
        try:
            sizes[shard] = size = os.stat(path).st_size
        except OSError:
            hit = _report_variables(
                contents, findings, shard, 0, f"its data file {name} is missing"
            )
            findings.append(
                Finding(
                    code="missing-shard",
                    severity=Severity.ERROR,
                    message=f"The data file {name} is missing; "
                    f"{plural(hit, 'variable')} cannot be read.",
                    remedy="Copy it from where the checkpoint was saved.",
                )
            )
            continue
        if end > size:
            hit = _report_variables(
                contents,
                findings,
                shard,
                size,
                f"{name} ends at byte {size:,}, before its values do",
            )
            findings.append(
                Finding(
                    code="truncated-shard",
                    severity=Severity.ERROR,
                    message=f"The data file {name} ends at byte {size:,}, and the index needs "
                    f"{end:,}; {plural(hit, 'variable')} cannot be read.",
                    remedy=_COPY_AGAIN,
                )
            )
    return sizes


def _report_variables(
    contents: BundleContents, findings: list[Finding], shard: int, size: int, why: str
) -> int:
    """A finding for each variable that needs bytes of `shard` behind `size`; their number."""
    hit = 0
    for key, entry in contents.entries.items():
        if entry.slices:
            parts = [
                part
                for extents in entry.slices
                if (part := contents.slices.get(encode_slice_key(key, extents)))
            ]
        else:
            parts = [entry]
        if any(part.shard == shard and part.offset + part.size > size for part in parts):
            hit += 1
            findings.append(
                Finding(
                    code="unreadable-variable",
                    severity=Severity.ERROR,
                    message=f"{key} cannot be read: {why}.",
                    remedy=_COPY_AGAIN,
                    variable=key,
                )
            )
    return hit


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
