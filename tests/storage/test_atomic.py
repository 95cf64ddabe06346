"""Files that get their names when they are whole, on systems that refuse at every step."""

from __future__ import annotations

import errno
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from ckptviewer.checkpoint.errors import TargetExistsError, UnwritableFileError
from ckptviewer.storage import atomic
from ckptviewer.storage.atomic import PARTIAL_SUFFIX, NewFile, Staging, told_by_library


def staged(staging: Staging, **contents: bytes) -> list[str]:
    """Files written in `staging`: their paths, as `publish` takes them."""
    paths = []
    for name, content in contents.items():
        path = os.path.join(staging.path, name)
        with NewFile(path) as file:
            file.write(content)
            file.flush()
        paths.append(path)
    return paths


def contents_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def partial_directories(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if path.name.endswith(PARTIAL_SUFFIX)]


def test_files_get_their_names_and_nothing_else_stays(tmp_path: Path) -> None:
    with Staging(str(tmp_path / "m")) as staging:
        paths = staged(staging, data=b"12", index=b"3")
        assert contents_of(tmp_path) == {}
        assert partial_directories(tmp_path) == [Path(staging.path)]
        staging.publish(paths, replace_last=False)
    assert contents_of(tmp_path) == {"data": b"12", "index": b"3"}
    assert partial_directories(tmp_path) == []


def test_what_is_not_published_is_gone(tmp_path: Path) -> None:
    def interrupted() -> None:
        with Staging(str(tmp_path / "m")) as staging:
            staged(staging, data=b"12")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
@pytest.mark.parametrize("taken", ["data", "index"])
def test_nothing_is_replaced_unasked(
    taken: str, links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        _refuse_links(monkeypatch)
    with Staging(str(tmp_path / "m")) as staging:
        paths = staged(staging, data=b"12", index=b"3")
        (tmp_path / taken).write_bytes(b"old")
        with pytest.raises(TargetExistsError):
            staging.publish(paths, replace_last=False)
    assert contents_of(tmp_path) == {taken: b"old"}


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_the_last_may_replace_but_not_the_others(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        _refuse_links(monkeypatch)
    (tmp_path / "index").write_bytes(b"old")
    with Staging(str(tmp_path / "m")) as staging:
        staging.publish(staged(staging, data=b"12", index=b"3"), replace_last=True)
    assert contents_of(tmp_path) == {"data": b"12", "index": b"3"}
    with Staging(str(tmp_path / "m")) as staging, pytest.raises(TargetExistsError):
        staging.publish(staged(staging, data=b"45", index=b"6"), replace_last=True)
    assert contents_of(tmp_path) == {"data": b"12", "index": b"3"}


def _refuse_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links on this file system")

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.parametrize("name", ["link", "replace"])
def test_a_refused_commit_leaves_what_was_there(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "index").write_bytes(b"old")
    real = getattr(os, name)

    def refuse(source: str, target: str) -> None:
        if name == "replace" or target.endswith("more"):
            raise OSError(errno.EIO, "input/output error")
        real(source, target)

    monkeypatch.setattr(os, name, refuse)
    with Staging(str(tmp_path / "m")) as staging:
        paths = staged(staging, data=b"12", more=b"4", index=b"3")
        with pytest.raises(UnwritableFileError, match="input/output"):
            staging.publish(paths, replace_last=True)
    assert contents_of(tmp_path) == {"index": b"old"}


def test_an_interruption_after_the_commit_takes_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def link(source: str, target: str) -> None:
        real(source, target)
        if target.endswith("index"):
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", link)
    with Staging(str(tmp_path / "m")) as staging:
        paths = staged(staging, data=b"12", index=b"3")
        with pytest.raises(KeyboardInterrupt):
            staging.publish(paths, replace_last=False)
    assert contents_of(tmp_path) == {"data": b"12", "index": b"3"}


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, bytes(data[:3])))
    with NewFile(str(tmp_path / "a")) as file:
        file.write(b"0123456789")
        file.write(memoryview(b"abcd"))
        file.write(b"")
        assert file.size == 14
    assert (tmp_path / "a").read_bytes() == b"0123456789abcd"


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "disk is full"), (errno.EIO, "writing failed")]
)
def test_the_system_refuses_a_write(
    number: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    file = NewFile(str(tmp_path / "a"))
    monkeypatch.setattr(os, "write", refuse)
    with file, pytest.raises(UnwritableFileError, match=words) as caught:
        file.write(b"x")
    assert caught.value.where == str(tmp_path / "a")


def test_a_new_file_is_new(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    with pytest.raises(UnwritableFileError):
        NewFile(str(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == b"mine"


def test_room_is_asked_for_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1000, 900, 100))
    with Staging(str(tmp_path / "m")) as staging:
        staging.require_space(100)
        with pytest.raises(UnwritableFileError, match="101 B are needed there, and 100 B are free"):
            staging.require_space(101)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locks that tell")
def test_what_killed_processes_left_is_removed_and_no_more(tmp_path: Path) -> None:
    abandoned = tmp_path / f".m.abcd_123{PARTIAL_SUFFIX}"
    abandoned.mkdir()
    (abandoned / "data").write_bytes(b"half")
    others = [tmp_path / f".n.abcd_123{PARTIAL_SUFFIX}", tmp_path / ".m.mine"]
    for other in others:
        other.mkdir()
    with Staging(str(tmp_path / "m")) as running:
        assert not abandoned.exists()
        with Staging(str(tmp_path / "m")):
            assert Path(running.path).is_dir()
    assert sorted(tmp_path.iterdir()) == sorted(others)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locks that tell")
@pytest.mark.parametrize("committed", [False, True])
def test_what_a_killed_process_had_put_in_place(committed: bool, tmp_path: Path) -> None:
    """Before its commit point it is taken back; after it, it stands."""
    abandoned = tmp_path / f".m.abcd_123{PARTIAL_SUFFIX}"
    abandoned.mkdir()
    for name in ("first", "second", "index"):
        (abandoned / name).write_bytes(name.encode())
    os.link(abandoned / "first", tmp_path / "first")
    (tmp_path / "second").write_bytes(b"of somebody else")
    if committed:
        os.replace(abandoned / "second", tmp_path / "second")
        os.replace(abandoned / "index", tmp_path / "index")
    with Staging(str(tmp_path / "m")):
        pass
    assert contents_of(tmp_path) == (
        {"first": b"first", "second": b"second", "index": b"index"}
        if committed
        else {"second": b"of somebody else"}
    )


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(UnwritableFileError):
        Staging(str(tmp_path / "none" / "m"))


def test_files_that_cannot_be_removed_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").mkdir()
    atomic.remove_files([str(tmp_path / name) for name in ("none", "b", "a")])
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_bytes_are_written_again_in_their_place_only(tmp_path: Path) -> None:
    with NewFile(str(tmp_path / "a")) as file:
        file.write(b"0123456789")
        file.write_again(2, b"ab")
        for offset, data in ((9, b"xy"), (-1, b"x"), (11, b"")):
            with pytest.raises(ValueError, match=f"at {offset} of 10"):
                file.write_again(offset, data)
        file.write(b"!")
        assert file.size == 11
    assert (tmp_path / "a").read_bytes() == b"01ab456789!"


def test_a_file_that_a_library_began_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"01234")
    with NewFile.begun(str(tmp_path / "a")) as file:
        file.write_again(1, b"ab")
        file.write(b"5")
    assert (tmp_path / "a").read_bytes() == b"0ab345"
    with pytest.raises(UnwritableFileError):
        NewFile.begun(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("Can't write (errno = 28, error message = 'No space')"), "disk is full"),
        (OSError(errno.ENOSPC, "full"), "disk is full"),
        (OSError("Can't flush"), "writing failed"),
    ],
)
def test_a_library_tells_why_it_cannot_write(error: Exception, words: str) -> None:
    with pytest.raises(UnwritableFileError, match=words) as caught, told_by_library("there"):
        raise error
    assert caught.value.where == "there"
