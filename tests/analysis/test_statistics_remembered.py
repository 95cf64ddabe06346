"""Remembered statistics: at once for the same bytes, never for others."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ckptviewer.analysis import remembered
from ckptviewer.analysis.remembered import Remembered, decode, encode
from ckptviewer.analysis.statistics import statistics_of
from ckptviewer.storage import cache as cache_module
from ckptviewer.storage.cache import Cache
from tests.analysis.memory_checkpoint import MemoryCheckpoint


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with Cache(tmp_path / "cache" / "results.sqlite") as cache:
        yield cache


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled although the test has just written them."""
    monkeypatch.setattr(cache_module, "_SETTLE_SECONDS", -1.0)


def checkpoint_at(path: Path, values: np.ndarray, checksum: int = 1) -> MemoryCheckpoint:
    checkpoint = MemoryCheckpoint({"x": values}, checksums={"x": checksum})
    checkpoint.path = str(path)
    if not path.exists():
        path.write_bytes(values.tobytes())
    return checkpoint


@pytest.mark.usefixtures("settled")
def test_the_same_bytes_are_known(tmp_path: Path, cache: Cache) -> None:
    checkpoint = checkpoint_at(tmp_path / "file", np.arange(1000.0))
    found = statistics_of(checkpoint, checkpoint["x"])
    Remembered(checkpoint, cache).keep({"x": found})
    again = Remembered(checkpoint_at(tmp_path / "file", np.arange(1000.0)), cache)
    known = again.known(["x"])
    assert encode(known["x"]) == encode(found)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("change", ["file", "checksum", "shape", "dtype", "version"])
def test_other_bytes_are_not(
    tmp_path: Path, cache: Cache, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    values = np.arange(1000.0)
    checkpoint = checkpoint_at(path, values)
    Remembered(checkpoint, cache).keep({"x": statistics_of(checkpoint, checkpoint["x"])})
    checksum = 1
    if change == "file":
        path.write_bytes(b"other")
    elif change == "checksum":
        checksum = 2
    elif change == "version":
        monkeypatch.setattr(remembered, "VERSION", 99)
    else:
        values = values.reshape(10, 100) if change == "shape" else values.astype(np.float32)
    assert Remembered(checkpoint_at(path, values, checksum), cache).known(["x"]) == {}


@pytest.mark.usefixtures("settled")
def test_what_changed_while_it_was_measured_is_not_kept(tmp_path: Path, cache: Cache) -> None:
    path = tmp_path / "file"
    checkpoint = checkpoint_at(path, np.arange(9.0))
    memory = Remembered(checkpoint, cache)
    path.write_bytes(b"rewritten")
    memory.keep({"x": statistics_of(checkpoint, checkpoint["x"])})
    assert memory.known(["x"]) == {}
    assert Remembered(checkpoint, cache).known(["x"]) == {}


def test_what_has_just_been_written_is_not_kept(tmp_path: Path, cache: Cache) -> None:
    checkpoint = checkpoint_at(tmp_path / "file", np.arange(9.0))
    memory = Remembered(checkpoint, cache)
    memory.keep({"x": statistics_of(checkpoint, checkpoint["x"])})
    assert memory.known(["x"]) == {}


@pytest.mark.parametrize("field", ["count", "exponent", "state", "range", "mark"])
def test_what_is_no_statistics_is_not_there(field: str) -> None:
    checkpoint = MemoryCheckpoint({"x": np.arange(5.0)})
    raw = zlib.decompress(encode(statistics_of(checkpoint, checkpoint["x"])))
    (length,) = struct.unpack_from("<I", raw)
    head = json.loads(raw[4 : 4 + length])
    assert decode(zlib.compress(raw)) is not None
    head[field] = {"state": ["0x1p99999"] * 7, "range": ["0x1p99999"] * 2}.get(field, float("inf"))
    text = json.dumps(head).encode() if field != "mark" else b"[" * 100_000
    again = struct.pack("<I", len(text)) + text + raw[4 + length :]
    assert decode(zlib.compress(again)) is None
