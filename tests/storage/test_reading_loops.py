"""The functions that compiled loops read by do as the system's `pread` does."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ckptviewer.storage import positioned
from ckptviewer.storage.byte_source import LocalFile
from ckptviewer.storage.reading_loops import READ, address_of, by_seeking, read_function

DATA = bytes(range(256)) * 40


@pytest.fixture(params=[read_function, lambda: address_of(by_seeking())], ids=["pread", "seeking"])
def read(request: pytest.FixtureRequest) -> Callable[[int, int, int], bytes | int]:
    """Takes descriptor, number of bytes and offset; what was read, or a number below 1."""
    function = READ(request.param())

    def call(descriptor: int, count: int, offset: int) -> bytes | int:
        room = ctypes.create_string_buffer(max(count, 1))
        got = function(descriptor, ctypes.addressof(room), count, offset)
        return room.raw[:got] if got > 0 else int(got)

    return call


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "data"
    path.write_bytes(DATA)
    opened = os.open(path, os.O_RDONLY)
    yield opened
    os.close(opened)


def test_reads_what_is_there(read: Callable[..., bytes | int], descriptor: int) -> None:
    assert read(descriptor, 300, 17) == DATA[17:317]
    assert read(descriptor, 300, len(DATA) - 10) == DATA[-10:]
    assert read(descriptor, 300, len(DATA)) == 0
    assert read(descriptor, 0, 0) == 0


def test_tells_of_what_cannot_be_read(read: Callable[..., bytes | int], descriptor: int) -> None:
    assert read(descriptor, 10, -1) == -1
    assert read(987_654, 10, 0) == -1


def test_a_file_by_seeking_from_several_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(positioned, "_CAN_PREADV", False)
    path = tmp_path / "data"
    path.write_bytes(DATA)
    file = LocalFile(path)
    function = by_seeking()
    wrong: list[int] = []

    def native(start: int) -> None:
        room = ctypes.create_string_buffer(64)
        with file.lent(len(DATA)) as lent:
            for offset in range(start, len(DATA) - 64, 37):
                function(lent, ctypes.addressof(room), 64, offset)
                if room.raw[:64] != DATA[offset : offset + 64]:
                    wrong.append(offset)

    def python(start: int) -> None:
        for offset in range(start, len(DATA) - 64, 41):
            if file.read(offset, 64) != DATA[offset : offset + 64]:
                wrong.append(offset)

    threads = [
        threading.Thread(target=each, args=(n,)) for n in range(3) for each in (native, python)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    file.release()
