"""Zip members read in place, and what can be found of an archive that lost its directory."""

from __future__ import annotations

import io
import zipfile

import pytest

from ckptviewer.checkpoint.errors import (
    CkptviewerError,
    DamagedFileError,
    NotACheckpointError,
    TruncatedFileError,
)
from ckptviewer.storage.byte_source import MemoryBytes
from ckptviewer.storage.zip_member import ZipMember, open_member, read_archive

CONTENTS = {"a.json": b'{"a": 1}', "b/c.bin": bytes(range(256)) * 300, "empty": b""}


def packed(method: int = zipfile.ZIP_STORED, *, large_headers: bool = False) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, data in CONTENTS.items():
            with file.open(name, "w", force_zip64=large_headers) as member:
                member.write(data)
    return out.getvalue()


@pytest.mark.parametrize("large_headers", [False, True])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_reads_every_member(method: int, large_headers: bool) -> None:
    source = MemoryBytes(packed(method, large_headers=large_headers), "x.zip")
    archive = read_archive(source)
    assert archive.is_complete
    assert archive.members.keys() == CONTENTS.keys()
    for name, data in CONTENTS.items():
        member = open_member(source, archive.members[name])
        assert member.name == f"x.zip ({name})"
        assert member.size == len(data)
        assert member.read(0, member.size) == data
        assert (
            member.read(len(data) // 3, len(data) // 2) == data[len(data) // 3 :][: len(data) // 2]
        )
        with pytest.raises(TruncatedFileError):
            member.read(1, len(data))


def test_stored_members_are_not_copied() -> None:
    source = MemoryBytes(packed(), "x.zip")
    member = open_member(source, read_archive(source).members["b/c.bin"])
    assert isinstance(member, ZipMember)


@pytest.mark.parametrize("large_headers", [False, True])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_finds_members_without_a_directory(method: int, large_headers: bool) -> None:
    data = packed(method, large_headers=large_headers)
    source = MemoryBytes(data[: data.index(b"PK\1\2")])
    archive = read_archive(source)
    assert not archive.is_complete
    assert archive.members.keys() == CONTENTS.keys()
    for name, expected in CONTENTS.items():
        member = open_member(source, archive.members[name])
        assert member.read(0, member.size) == expected


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_that_was_cut_is_as_long_as_what_is_left(method: int) -> None:
    data = packed(method)
    source = MemoryBytes(data[: data.index(b"b/c.bin") + 100])
    member = open_member(source, read_archive(source).members["b/c.bin"])
    assert 0 < member.size < len(CONTENTS["b/c.bin"])
    assert member.read(0, member.size) == CONTENTS["b/c.bin"][: member.size]


def test_the_last_of_equal_names_counts_and_is_told() -> None:
    out = io.BytesIO(packed())
    with zipfile.ZipFile(out, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("a.json", b"later")
    source = MemoryBytes(out.getvalue())
    archive = read_archive(source)
    assert archive.repeated == ("a.json",)
    assert open_member(source, archive.members["a.json"]).read(0, 5) == b"later"


def test_what_is_no_archive_says_so() -> None:
    for data in (b"", b"PK", bytes(5000), b"\x89HDF\r\n\x1a\n" + bytes(100)):
        with pytest.raises(NotACheckpointError):
            read_archive(MemoryBytes(data))


def test_a_directory_that_leads_astray_is_damage() -> None:
    data = packed()
    at = data.index(b"PK\1\2") + 42
    source = MemoryBytes(data[:at] + (1000).to_bytes(4, "little") + data[at + 4 :])
    member = read_archive(source).members["a.json"]
    with pytest.raises(DamagedFileError, match="no member"):
        open_member(source, member)


def test_a_directory_of_many_members_is_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for index in range(20_000):
            file.writestr(f"{index:040}", b"")
    with pytest.raises(CkptviewerError, match="too long"):
        read_archive(MemoryBytes(out.getvalue()))


def test_nothing_but_a_header_is_damage() -> None:
    with pytest.raises(DamagedFileError):
        read_archive(MemoryBytes(b"PK\3\4" + b"\xff" * 60))
