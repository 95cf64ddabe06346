"""ByteSource: exact ranges, and files that change while they are read."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ckptviewer.checkpoint.errors import (
    ChangedFileError,
    CkptviewerError,
    PathNotFoundError,
    TruncatedFileError,
    UnreadableFileError,
)
from ckptviewer.storage import positioned
from ckptviewer.storage.byte_source import ByteSource, LocalFile, MemoryBytes, at_hand
from tests.open_files import open_files

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "file"
    file.write_bytes(CONTENT)
    return file


@pytest.fixture(params=["preadv", "seek and read", "memory"])
def source(
    request: pytest.FixtureRequest, path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ByteSource]:
    if request.param == "memory":
        yield MemoryBytes(CONTENT, "memory")
        return
    if request.param == "seek and read":  # as where the system has no positioned read
        monkeypatch.setattr(positioned, "_CAN_PREADV", False)
    file = LocalFile(path)
    yield file
    file.release()


def rewrite(path: Path, content: bytes) -> None:
    """In place, as another program does; its time moves on even where the clock is coarse."""
    before = path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def replace(path: Path, content: bytes) -> None:
    other = path.with_name("other")
    other.write_bytes(content)
    other.replace(path)


def descriptors(path: Path) -> int:
    return open_files().count(str(path))


needs_proc = pytest.mark.skipif(
    not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc"
)

# Ranges


def test_reads_exact_ranges(source: ByteSource) -> None:
    assert source.size == len(CONTENT)
    for offset, length in ((0, 0), (0, 1), (0, 10240), (255, 3), (10239, 1), (10240, 0)):
        assert source.read(offset, length) == CONTENT[offset : offset + length]
        buffer = bytearray(length)
        source.read_into(buffer, offset)
        assert buffer == CONTENT[offset : offset + length]


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 10241), (10240, 1), (10241, 0), (-1, 1), (-1, 0), (5, -1), (1 << 62, 1), (0, 1 << 62)],
)
def test_refuses_ranges_that_are_not_there(source: ByteSource, offset: int, length: int) -> None:
    with pytest.raises(TruncatedFileError) as caught:
        source.read(offset, length)
    assert caught.value.where == source.name
    assert caught.value.remedy


@pytest.mark.parametrize("offset", [10200, 10240, 1 << 40, -1, -10, 1 << 63, 1 << 70])
def test_refuses_to_fill_a_buffer_beyond_the_end(source: ByteSource, offset: int) -> None:
    with pytest.raises(TruncatedFileError):
        source.read_into(bytearray(100), offset)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (7,), (3, 5), (2, 3, 4)])
def test_fills_buffers_of_numpy(source: ByteSource, shape: tuple[int, ...]) -> None:
    array = np.zeros(shape, np.float32)
    source.read_into(array.data, 8)
    assert array.tobytes() == CONTENT[8 : 8 + array.nbytes]


def test_threads_read_at_once(source: ByteSource) -> None:
    def check(number: int) -> None:
        offset = number * 37 % 9000
        assert source.read(offset, 1000) == CONTENT[offset : offset + 1000]
        if number % 5 == 0:
            source.release()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(check, range(400)))


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    source = LocalFile(tmp_path / "empty")
    assert source.size == 0
    assert source.read(0, 0) == b""
    with pytest.raises(TruncatedFileError):
        source.read(0, 1)
    source.release()


# What cannot be opened


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PathNotFoundError) as caught:
        LocalFile(tmp_path / "missing")
    assert str(tmp_path / "missing") in str(caught.value)


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "loop", Path(os.devnull)):
        with pytest.raises(UnreadableFileError) as caught:
            LocalFile(path)
        assert str(path) in str(caught.value)
    if before:
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("name", ["nul\0inside", "x" * 5000, "file/below a file", "\udcff"])
def test_names_that_no_file_can_have(path: Path, name: str) -> None:
    with pytest.raises(CkptviewerError):
        LocalFile(path.parent / name)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(path: Path) -> None:
    path.chmod(0)
    with pytest.raises(UnreadableFileError, match=r"[Pp]ermission"):
        LocalFile(path)


# Files that change

CHANGES: dict[str, Callable[[Path], object]] = {
    "rewritten": lambda path: rewrite(path, CONTENT[::-1]),
    "replaced": lambda path: replace(path, CONTENT),
    "longer": lambda path: rewrite(path, CONTENT * 2),
    "cut": lambda path: os.truncate(path, 100),
    "emptied": lambda path: os.truncate(path, 0),
    "deleted": Path.unlink,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_noticed_after_release(path: Path, change: Callable[[Path], object]) -> None:
    source = LocalFile(path)
    source.read(0, 10)
    source.release()
    change(path)
    for _ in range(2):
        with pytest.raises(ChangedFileError) as caught:
            source.read(0, 10)
        assert caught.value.where == str(path)
        assert caught.value.remedy


@pytest.mark.parametrize("name", ["rewritten", "longer", "cut", "emptied"])
def test_a_change_in_place_is_noticed_while_it_is_open(path: Path, name: str) -> None:
    source = LocalFile(path)
    source.read(0, 10)
    CHANGES[name](path)
    for offset in (0, 5000):
        with pytest.raises(ChangedFileError):
            source.read(offset, 10)
    source.release()


@pytest.mark.parametrize("name", ["replaced", "deleted"])
def test_an_open_file_outlives_its_name(path: Path, name: str) -> None:
    source = LocalFile(path)
    CHANGES[name](path)
    assert source.read(0, 300) == CONTENT[:300]
    source.release()


def test_an_unchanged_file_is_opened_again(path: Path) -> None:
    source = LocalFile(path)
    for _ in range(3):
        assert source.read(5, 5) == CONTENT[5:10]
        source.release()
        source.release()


def test_reading_by_others_is_no_change(path: Path) -> None:
    source = LocalFile(path)
    source.release()
    path.read_bytes()
    path.chmod(0o600)
    os.link(path, path.with_name("link"))
    assert source.read(0, 4) == CONTENT[:4]
    source.release()


# Handles


@needs_proc
def test_gives_its_handle_back(path: Path) -> None:
    source = LocalFile(path)
    source.read(0, 1)
    assert descriptors(path) == 1
    source.release()
    assert descriptors(path) == 0
    source.read(0, 1)
    assert descriptors(path) == 1
    del source
    gc.collect()
    assert descriptors(path) == 0


@needs_proc
def test_a_failed_read_keeps_no_handle_after_release(path: Path) -> None:
    source = LocalFile(path)
    os.truncate(path, 10)
    with pytest.raises(ChangedFileError):
        source.read(0, 100)
    source.release()
    assert descriptors(path) == 0


def test_never_writes(path: Path) -> None:
    path.chmod(0o400)
    before = path.stat()
    source = LocalFile(path)
    source.read(0, 100)
    source.release()
    after = path.stat()
    assert (after.st_mtime_ns, after.st_ctime_ns, after.st_size) == (
        before.st_mtime_ns,
        before.st_ctime_ns,
        before.st_size,
    )
    assert path.read_bytes() == CONTENT


def test_few_bytes_are_at_hand(path: Path) -> None:
    file = LocalFile(path)
    small = at_hand(file, len(CONTENT))
    rewrite(path, bytes(len(CONTENT)))
    assert (small.name, small.size) == (file.name, file.size)
    assert small.read(0, small.size) == CONTENT  # as it was
    with pytest.raises(ChangedFileError):
        at_hand(file, len(CONTENT))
    assert at_hand(file, len(CONTENT) - 1) is file
