"""The doctor: everything that a user should know of a checkpoint's soundness, as findings.

Cheap looks come first: at the files, and at what the index tells. Then one pass over all data
checks checksums and values together.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import replace

from ckptviewer.analysis.doctor_archives import archive_findings
from ckptviewer.analysis.doctor_content import (
    content_findings,
    duplicate_findings,
    looks_constant,
    may_be_duplicates,
    named_keys,
)
from ckptviewer.analysis.doctor_files import (
    bundle_prefix,
    failure_findings,
    half_written,
    listing_beside,
    pointer_finding,
    pointers,
    unused_bytes,
    unused_data_files,
)
from ckptviewer.analysis.doctor_pass import Reading, Report, readings
from ckptviewer.analysis.doctor_state import STATE_CODES, state_finding
from ckptviewer.analysis.doctor_values import Shares, value_findings
from ckptviewer.analysis.summary import Statistics
from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.dtypes import Kind, kind_of
from ckptviewer.checkpoint.errors import (
    COPY_CHECKPOINT,
    ChangedFileError,
    ChecksumError,
    CkptviewerError,
    OpaqueVariableError,
)
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.checkpoint.text import count_text, plural
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.nearby import Listing


def examine(
    target: str | os.PathLike[str] | Checkpoint,
    *,
    cancel: CancelToken | None = None,
    progress: Report | None = None,
    read_values: bool = True,
    executor: Executor | None = None,
    workers: int = 2,
) -> Iterator[Finding]:
    """The findings for a path or an open checkpoint, those first that cost least.

    read_values: whether to read all data, once, for checksums and values; without it, files and
    index alone are looked at. executor: of threads, that reads with so many `workers`; without one
    the caller's thread reads. What could not be opened, and why is plain (a Git LFS pointer, no
    index, an index without one sound block), is a finding, too; else raises what opening raises.
    Raises Cancelled.
    """
    cancel = cancel or CancelToken()
    if isinstance(target, Checkpoint):
        yield from _examined(target, cancel, progress, read_values, executor, workers)
        return
    from ckptviewer.formats.resolve import open_checkpoint

    try:
        checkpoint = open_checkpoint(target)
    except CkptviewerError as error:
        findings = list(failure_findings(os.fsdecode(target), error))
        if not findings:
            raise
        yield from findings
        return
    with checkpoint:
        yield from _examined(checkpoint, cancel, progress, read_values, executor, workers)


def is_healthy(findings: list[Finding]) -> bool:
    """Whether none of the findings is an error."""
    return all(finding.severity is not Severity.ERROR for finding in findings)


def _examined(
    checkpoint: Checkpoint,
    cancel: CancelToken,
    progress: Report | None,
    read_values: bool,
    executor: Executor | None,
    workers: int,
) -> Iterator[Finding]:
    prefix = bundle_prefix(checkpoint)
    listing = listing_beside(prefix or checkpoint.path)
    lost = pointers(prefix, listing) if prefix and listing else {}
    opened = list(_of_files(checkpoint, prefix, listing, lost))
    yield from opened
    yield from unused_bytes(checkpoint)
    cancel.raise_if_cancelled()
    yield from content_findings(checkpoint)
    known = {finding.variable for finding in opened if finding.variable is not None}
    if read_values:
        yield from archive_findings(checkpoint, cancel)
        found = _Pass(checkpoint, known, set(lost), cancel)
        yield from found.run(progress, executor, workers)
    else:
        stored = {
            variable.key: crc
            for variables in may_be_duplicates(checkpoint).values()
            for variable in variables
            if (crc := checkpoint.checksum(variable)) is not None
        }
        yield from duplicate_findings(
            checkpoint, stored, lambda variable: not looks_constant(checkpoint, variable)
        )


def _of_files(
    checkpoint: Checkpoint, prefix: str, listing: Listing | None, lost: Mapping[int, str]
) -> Iterator[Finding]:
    """What was noticed on opening, told better where more is known; and what lies beside.

    lost: number and name of the data files that are no data.
    """
    state = None
    if listing is not None and checkpoint.format_name in ("tf-bundle", "tf-v1"):
        state = state_finding(listing)
    for finding in checkpoint.findings:
        if state is not None and finding.code in STATE_CODES:
            continue
        if finding.variable is None and any(name in finding.message for name in lost.values()):
            continue  # cut short, says the reader, who took it for data
        if finding.code == "damaged-index":
            intact = plural(len(checkpoint.variables), "variable")
            finding = replace(
                finding,
                message=f"{finding.message.removesuffix('.')}.",
                remedy=f"{finding.remedy} Until then: {intact} of its intact blocks can be read.",
            )
        yield finding
    known = {finding.variable for finding in checkpoint.findings}
    for shard, name in lost.items():
        yield pointer_finding(name)
        for variable in checkpoint.variables:
            if variable.shard == shard and variable.key not in known:  # fits into the pointer
                yield _unreadable(variable.key, f"its data file {name} is a Git LFS pointer", "")
    if state is not None:
        yield state
    if listing is not None:
        yield from half_written(listing, prefix)
        yield from unused_data_files(checkpoint, prefix, listing)


class _Pass:
    """The pass over all data, and what comes of it once all is read."""

    def __init__(
        self, checkpoint: Checkpoint, known: set[str], lost: set[int], cancel: CancelToken
    ) -> None:
        """
        known: variables that something was said of already. lost: data files that are no data.
        """
        self._checkpoint = checkpoint
        self._known = known
        self._lost = lost
        self._cancel = cancel
        self._shares = Shares()
        self._damaged: dict[int, dict[str, ChecksumError]] = defaultdict(dict)
        self._read: dict[int, int] = defaultdict(int)
        self._contents: dict[str, object] = {}
        self._constant: set[str] = set()

    def run(
        self, progress: Report | None, executor: Executor | None, workers: int
    ) -> Iterator[Finding]:
        checkpoint = self._checkpoint
        alike = [v for group in may_be_duplicates(checkpoint).values() for v in group]
        digests = {v.key for v in alike if checkpoint.checksum(v) is None}
        readable = [
            v
            for v in checkpoint.variables
            if kind_of(v.dtype) is not Kind.OPAQUE and v.shard not in self._lost
        ]
        for reading in readings(
            checkpoint,
            readable,
            digests=digests,
            executor=executor,
            workers=workers,
            cancel=self._cancel,
            progress=progress,
        ):
            if isinstance(reading.outcome, ChangedFileError):
                yield _changed(reading.outcome)
                return
            yield from self._take(checkpoint[reading.key], reading)
        for shard, damaged in self._damaged.items():
            yield from self._mismatches(shard, damaged)
        yield from duplicate_findings(
            checkpoint, self._contents, lambda variable: variable.key not in self._constant
        )
        yield from self._shares.findings()

    def _take(self, variable: Variable, reading: Reading) -> Iterator[Finding]:
        outcome = reading.outcome
        if isinstance(outcome, Statistics):
            self._read[variable.shard] += 1
            if outcome.constant or outcome.distinct == 1:
                self._constant.add(variable.key)
            crc = self._checkpoint.checksum(variable)
            if crc is not None:
                self._contents[variable.key] = crc
            elif reading.digest is not None:
                self._contents[variable.key] = (reading.digest, outcome.min, outcome.max)
            self._shares.add(variable, outcome)
            yield from value_findings(self._checkpoint, variable, outcome, self._cancel)
        elif isinstance(outcome, ChecksumError):
            self._damaged[variable.shard][variable.key] = outcome
        elif not isinstance(outcome, OpaqueVariableError) and variable.key not in self._known:
            yield _unreadable(variable.key, outcome.what, outcome.remedy)

    def _mismatches(self, shard: int, damaged: dict[str, ChecksumError]) -> Iterator[Finding]:
        """One finding for a data file most of which is wrong; else one for each variable."""
        right = self._read[shard]
        if shard >= 0 and len(damaged) >= 2 and len(damaged) > right:
            yield self._foreign(shard, list(damaged), len(damaged) + right)
            return
        for key, error in damaged.items():
            if key not in self._known:
                yield Finding(
                    code="checksum-mismatch",
                    severity=Severity.ERROR,
                    message=f"{key}: {error.what}.",
                    remedy=error.remedy or COPY_CHECKPOINT,
                    variable=key,
                )

    def _foreign(self, shard: int, keys: list[str], count: int) -> Finding:
        variable = self._checkpoint[keys[0]]
        name = self._checkpoint.details(variable).get("Data file", f"number {shard}")
        named = named_keys(keys)
        return Finding(
            code="foreign-shard",
            severity=Severity.ERROR,
            message=f"Data file {name} belongs to another save, or was overwritten: of "
            f"{plural(count, 'variable')} in it {count_text(len(keys))} do not match their "
            f"checksums ({named}).",
            remedy="Copy index and data files again, all from one save.",
        )


def _unreadable(key: str, what: str, remedy: str) -> Finding:
    return Finding(
        code="unreadable-variable",
        severity=Severity.ERROR,
        message=f"{key} cannot be read: {what}.",
        remedy=remedy or COPY_CHECKPOINT,
        variable=key,
    )


def _changed(error: ChangedFileError) -> Finding:
    return Finding(
        code="changed-while-read",
        severity=Severity.ERROR,
        message=f"{error.where}: {error.what}; what was found so far is of the old file.",
        remedy="Examine it again once it is no longer written to.",
    )
