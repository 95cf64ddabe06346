"""Opening NumPy's files: from the archive's directory and the arrays' headers to variables."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ckptviewer.checkpoint.dtypes import BY_NAME
from ckptviewer.checkpoint.errors import (
    COPY_FILE,
    CkptviewerError,
    DamagedFileError,
    TruncatedFileError,
)
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.roles import describe_by_name
from ckptviewer.checkpoint.text import natural_sorted, plural
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.npy_header import MAGIC, NpyHeader, header_bytes, parse_header
from ckptviewer.formats.zip_members import data_offset, open_member
from ckptviewer.storage.byte_source import ByteSource, LocalFile
from ckptviewer.storage.zip_directory import (
    DEFLATED,
    LOCAL_BYTES,
    Member,
    read_directory,
    scan_members,
)

ONLY_KEY = "arr_0"
"""The key of a file's only array: what `numpy.savez` calls an array that was given no name."""

_FIRST_BYTES = 512  # enough for both headers of nearly all members
_UNKNOWN = NpyHeader("unknown", "", 0, False, (), 0)


class NpyEntry(NamedTuple):
    """One array: its header, the member that it is (None in an `.npy`), and what is wrong with it.

    start: where the member's bytes begin in the file. problem: why its values cannot be read.
    """

    header: NpyHeader
    member: Member | None
    start: int
    problem: CkptviewerError | None = None


Opened = tuple[dict[str, NpyEntry], Sequence[Variable], Sequence[Finding], Mapping[str, str]]
"""What a checkpoint is made of: entries by key, variables, findings, facts."""


def open_npy(source: LocalFile) -> Opened:
    """The array in an `.npy` file, under ONLY_KEY. Raises DamagedFileError."""
    length = header_bytes(source.read(0, min(12, source.size)))
    header = parse_header(source.read(0, length))
    entry = NpyEntry(header, None, 0, _size_problem(header, source.size))
    findings = []
    behind = source.size - header.data_offset - header.value_bytes
    if behind > 0 and entry.problem is None and header.stored:
        findings.append(
            Finding(
                code="unused-bytes",
                severity=Severity.INFO,
                message=f"{behind:,} bytes follow the array; what they hold is not shown.",
                remedy="Several arrays saved into one file are better saved with numpy.savez.",
            )
        )
    return _opened({ONLY_KEY: entry}, findings, {"Kind": "a single array (numpy.save)"})


def open_npz(source: LocalFile) -> Opened:
    """The arrays in an archive, by the names of their members without ".npy".

    Where the archive's directory is lost, what stands before the damage is found by the members'
    own headers. Raises DamagedFileError where nothing is found.
    """
    findings: list[Finding] = []
    try:
        members = read_directory(source)
    except DamagedFileError as error:
        members = scan_members(source)
        if not members:
            raise
        findings.append(
            _error(
                "damaged-directory",
                f"{error.what[0].upper()}{error.what[1:]}; {plural(len(members), 'member')} "
                "were found without it, and there may have been more.",
            )
        )
    shared = _overlapping(members)
    entries: dict[str, NpyEntry] = {}
    strangers = 0
    for member in members:
        if member.name.endswith("/"):
            continue
        try:
            entry = _entry(source, member)
        except CkptviewerError as error:
            entry = NpyEntry(_UNKNOWN, member, 0, error)
        if entry is None:
            strangers += 1
            continue
        if member in shared:
            problem = DamagedFileError("its bytes are also those of another member")
            entry = entry._replace(problem=problem)
        key = member.name.removesuffix(".npy")
        if key in entries:
            findings.append(
                Finding(
                    code="repeated-key",
                    severity=Severity.WARNING,
                    message=f"The archive has {key} more than once; the last one is shown.",
                    remedy="Save it again: NumPy reads only one of them.",
                    variable=key,
                )
            )
        entries[key] = entry
    if strangers:
        findings.append(_not_arrays(strangers))
    packed = sum(
        entry.member is not None and entry.member.method == DEFLATED for entry in entries.values()
    )
    facts = {"Kind": "an archive of arrays (numpy.savez)", "Compressed": plural(packed, "array")}
    return _opened(entries, findings, facts)


def _entry(source: ByteSource, member: Member) -> NpyEntry | None:
    """The entry for a member; None where it is no array. Raises as reading it does."""
    first = source.read(member.offset, min(_FIRST_BYTES, max(0, source.size - member.offset)))
    start = data_offset(source, member, first)
    inside = first[start - member.offset :][: member.packed_bytes]
    if member.method == DEFLATED:
        try:
            inside = zlib.decompressobj(-zlib.MAX_WBITS).decompress(inside, _FIRST_BYTES)
        except zlib.error as error:
            raise DamagedFileError("its packed bytes are damaged") from error
    if len(inside) < 12:
        inside = open_member(source, member, start).read(0, min(12, member.size))
    if not inside.startswith(MAGIC) and not member.name.endswith(".npy"):
        return None
    length = header_bytes(inside)
    if len(inside) < length:
        inside = open_member(source, member, start).read(0, length)
    header = parse_header(inside)
    return NpyEntry(header, member, start, _size_problem(header, member.size))


def _size_problem(header: NpyHeader, size: int) -> CkptviewerError | None:
    end = header.data_offset + header.value_bytes
    if end <= size:
        return None
    return TruncatedFileError(
        f"its values end at byte {end:,} of an array file that has {size:,}", remedy=COPY_FILE
    )


def _overlapping(members: Sequence[Member]) -> set[Member]:
    """Members that share bytes with another: so small archives are made to unpack to large ones."""
    shared: set[Member] = set()
    end, last = 0, None
    for member in sorted(members, key=lambda each: each.offset):
        if last is not None and member.offset < end:
            shared |= {member, last}
        if member.offset + LOCAL_BYTES + member.packed_bytes > end:
            end, last = member.offset + LOCAL_BYTES + member.packed_bytes, member
    return shared


def _opened(entries: dict[str, NpyEntry], findings: list[Finding], facts: dict[str, str]) -> Opened:
    """Variables in natural order, and a finding for each that cannot be read."""
    keys = natural_sorted(list(entries), key=str)
    headers = [entries[key].header for key in keys]
    described = describe_by_name(
        [(key, header.dtype, header.shape) for key, header in zip(keys, headers, strict=True)]
    )
    variables = []
    for key, header, about in zip(keys, headers, described, strict=True):
        entry = entries[key]
        packed = entry.member is not None and entry.member.method == DEFLATED
        stored = entry.member.packed_bytes if entry.member and packed else header.value_bytes
        variables.append(
            Variable(
                key,
                about.name,
                header.dtype,
                header.shape,
                stored,
                about.role,
                about.slot_of,
                about.slot_name,
                about.trainable,
                about.object_path,
            )
        )
        if entry.problem is not None:
            message = f"{key} cannot be read: {entry.problem.what}."
            findings.append(_error("unreadable-variable", message, key))
        elif header.dtype not in BY_NAME:
            findings.append(_without_values(key, header))
    return entries, variables, findings, facts


def _without_values(key: str, header: NpyHeader) -> Finding:
    if header.dtype == "object":
        return Finding(
            code="pickled-objects",
            severity=Severity.WARNING,
            message=f"{key} holds pickled Python objects; it is not read, since reading it could "
            "run code.",
            remedy="Save it as an array of plain numbers or texts.",
            variable=key,
        )
    return Finding(
        code="unsupported-dtype",
        severity=Severity.INFO,
        message=f"{key} is of dtype {header.dtype}, whose values are not shown.",
        remedy="Save it as an array of plain numbers or texts.",
        variable=key,
    )


def _not_arrays(count: int) -> Finding:
    return Finding(
        code="not-arrays",
        severity=Severity.INFO,
        message=f"{plural(count, 'member')} of the archive are no arrays and are not shown.",
    )


def _error(code: str, message: str, variable: str | None = None) -> Finding:
    return Finding(
        code=code,
        severity=Severity.ERROR,
        message=message,
        remedy=COPY_FILE,
        variable=variable,
    )
