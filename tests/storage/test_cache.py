"""The cache: keeps, forgets what is oldest, never shows what is stale or damaged, never raises."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ckptviewer.storage import cache as cache_module
from ckptviewer.storage import database
from ckptviewer.storage.cache import Cache, files_of, has_settled, identity_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "results.sqlite"


def test_what_was_put_is_there_for_the_next_window(path: Path) -> None:
    with Cache(path) as cache:
        cache.put_many("a", {"x": b"1", "y": b"\0\xff" * 500})
        cache.put_many("a", {"x": b"2"})
        cache.put_many("b", {"x": b"3"})
    with Cache(path) as cache:
        assert cache.get_many("a", ["x", "y", "z"]) == {"x": b"2", "y": b"\0\xff" * 500}
        assert cache.get_many("b", ["x", "y"]) == {"x": b"3"}
        assert cache.get_many("c", ["x"]) == {}
        assert cache.trouble == ""


def test_what_is_kept_is_safe_from_a_power_cut(path: Path) -> None:
    for _ in range(2):  # a new one, and one that is there
        with Cache(path) as cache:
            assert cache.ask(lambda c: c.execute("PRAGMA synchronous").fetchone()) == (1,)
            assert cache.ask(lambda c: c.execute("PRAGMA journal_mode").fetchone()) == ("wal",)


def test_thousands_of_keys_and_keys_that_are_no_utf8(path: Path) -> None:
    values = {f"layer/{number}": str(number).encode() for number in range(3000)}
    values[os.fsdecode(b"bad\xff")] = b"bytes"
    with Cache(path) as cache:
        cache.put_many("a", values)
        assert cache.get_many("a", values) == values


def test_all_that_is_small_can_be_asked_for_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "_KEYS_AT_ONCE", 2)
    with Cache(path) as cache:
        cache.put_many("a", {"x": b"1", "y": b"2"})
        cache.put_many("b", {"x": bytes(1000)})
        cache.put_many("c", {"x": bytes(1001)})
        found = cache.get_all(["a", "b", "c", "d", "a"], 1000)
        assert found == {"a": {"x": b"1", "y": b"2"}, "b": {"x": bytes(1000)}, "d": {}}
        assert cache.get_all([], 1000) == {}
        assert cache.trouble == ""


def test_what_was_asked_for_at_once_was_used(path: Path) -> None:
    with Cache(path, limit_bytes=3000) as cache:
        for name in "abc":
            cache.put_many(name, {"x": bytes(1000)})
        assert cache.get_all(["a", "z"], 1000)
        cache.put_many("d", {"x": bytes(1000)})
        assert [name for name in "abcd" if cache.get_many(name, ["x"])] == ["a", "c", "d"]


def test_the_identity_used_longest_ago_goes_first(path: Path) -> None:
    with Cache(path, limit_bytes=3000) as cache:
        for name in "abc":
            cache.put_many(name, {"x": bytes(1000)})
        assert cache.get_many("a", ["x"])  # used just now
        cache.put_many("d", {"x": bytes(1000)})
        there = [name for name in "abcd" if cache.get_many(name, ["x"])]
    assert there == ["a", "c", "d"]


def age(path: Path, seconds: float) -> None:
    """As if all had been used so long ago."""
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE owner SET used = used - ?", (seconds,))
    connection.close()


def test_what_was_used_is_known_the_next_time(path: Path) -> None:
    with Cache(path, limit_bytes=3000) as cache:
        for name in "abc":
            cache.put_many(name, {"x": bytes(1000)})
    age(path, 7200)
    with Cache(path, limit_bytes=3000) as cache:
        assert cache.get_many("a", ["x"])
    with Cache(path, limit_bytes=3000) as cache:
        cache.put_many("d", {"x": bytes(1000)})
        assert [name for name in "abcd" if cache.get_many(name, ["x"])] == ["a", "c", "d"]


def test_who_only_reads_writes_once_an_hour(path: Path) -> None:
    with Cache(path) as cache:
        cache.put_many("a", {"x": b"1"})
    for seconds, writes in ((0, False), (1800, False), (7200, True), (0, False)):
        age(path, seconds)
        before = path.read_bytes()
        with Cache(path) as cache:
            assert cache.get_many("a", ["x"]) == {"x": b"1"}
        assert (path.read_bytes() != before) is writes


def test_uses_are_noted_before_there_are_too_many(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "_MOST_USES", 3)
    with Cache(path, limit_bytes=3000) as cache, Cache(path, limit_bytes=3000) as other:
        for name in "abc":
            cache.put_many(name, {"x": bytes(1000)})
        age(path, 7200)
        for name in "cba":
            assert cache.get_many(name, ["x"])
        other.put_many("d", {"x": bytes(1000)})
        assert [name for name in "abcd" if other.get_many(name, ["x"])] == ["a", "b", "d"]


def test_a_reader_waits_for_no_writer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.01)
    with Cache(path) as cache:
        cache.put_many("a", {"x": b"1"})
        writer = sqlite3.connect(path, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        assert cache.get_many("a", ["x"]) == {"x": b"1"}
        assert not cache.trouble
        cache.close()  # what was used cannot be noted now: nothing is raised
        assert "locked" in cache.trouble
        writer.execute("ROLLBACK")
        writer.close()


def test_threads_that_read_and_write(path: Path) -> None:
    names = [f"n{number}" for number in range(200)]
    with Cache(path) as cache:
        cache.put_all({name: {"x": name.encode()} for name in names})

        def read(_: int) -> bool:
            return all(cache.get_many(name, ["x"]) == {"x": name.encode()} for name in names)

        def write(number: int) -> None:
            for count in range(30):
                cache.put_many(f"w{number}", {f"k{count}": b"1"})

        with ThreadPoolExecutor(4) as executor:
            readers = executor.map(read, range(3))
            writers = executor.map(write, range(3))
            assert all(readers)
            assert list(writers) == [None] * 3
        assert not cache.trouble


def test_several_identities_are_kept_together(path: Path) -> None:
    with Cache(path, limit_bytes=2500) as cache:
        cache.put_all({"a": {"x": b"1", "y": b"2"}, "b": {"x": b"3"}, "none": {}})
        assert cache.get_many("a", ["x", "y"]) == {"x": b"1", "y": b"2"}
        assert cache.get_many("b", ["x"]) == {"x": b"3"}
        cache.put_all({"large": {"x": bytes(2501)}, "c": {"x": b"4"}})
        assert cache.get_many("large", ["x"]) == {}
        assert cache.get_many("c", ["x"]) == {"x": b"4"}


def test_what_is_there_is_not_written_again(path: Path) -> None:
    with Cache(path) as cache:
        cache.put_many("a", {"x": b"1" * 5000, "y": b"2"})
        log = Path(f"{path}-wal")
        before = log.stat().st_size
        for _ in range(50):
            cache.put_many("a", {"x": b"1" * 5000})
        assert log.stat().st_size - before < 50 * 5000
        cache.put_many("a", {"x": b"3"})
        assert cache.get_many("a", ["x", "y"]) == {"x": b"3", "y": b"2"}
        with sqlite3.connect(path) as connection:
            assert connection.execute("SELECT bytes FROM owner").fetchall() == [(2,)]
        connection.close()


def test_one_that_is_larger_than_all_room_is_not_kept(path: Path) -> None:
    with Cache(path, limit_bytes=1000) as cache:
        cache.put_many("a", {"x": bytes(900)})
        cache.put_many("b", {"x": bytes(1001)})
        assert cache.get_many("a", ["x"])
        cache.put_many("c", {"x": bytes(600)})
        cache.put_many("c", {"y": bytes(600)})
        assert not cache.get_many("c", ["x", "y"])


@pytest.mark.parametrize("damage", ["rubbish", "cut", "page", "tables gone", "other schema"])
def test_a_damaged_cache_is_dropped_and_begun_anew(path: Path, damage: str) -> None:
    with Cache(path) as cache:
        values = {f"k{number}": os.urandom(3000) for number in range(50)}
        cache.put_many("a", values)
    data = path.read_bytes()
    if damage == "rubbish":
        path.write_bytes(b"this is no database" * 1000)
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "page":
        path.write_bytes(data[:4096] + b"\xa5" * 4096 + data[8192:])
    else:
        with sqlite3.connect(path) as connection:
            connection.execute(
                "DROP TABLE entry" if damage == "tables gone" else "PRAGMA user_version = 99"
            )
        connection.close()
    with Cache(path) as cache:
        found = cache.get_many("a", values)
        # Of one page of owners that is lost nothing may be noticed before something is written.
        assert found == (values if found and damage == "page" else {})
        cache.put_many("b", {"x": b"1"})
        cache.put_many("b", {"x": b"1"})
        assert cache.get_many("b", ["x"]) == {"x": b"1"}


def test_a_value_that_was_tampered_with_is_never_shown(path: Path) -> None:
    with Cache(path) as cache:
        cache.put_many("a", {"x": b"right", "y": b"other"})
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE entry SET value = ? WHERE key = 'x'", (b"wrong",))
    connection.close()
    with Cache(path) as cache:
        assert cache.get_all(["a"], 1000) == {}
        assert "checksum" in cache.trouble
        assert cache.get_many("a", ["x"]) == {}
        assert cache.get_many("a", ["y"]) == {}
        cache.put_many("a", {"x": b"right"})
        assert cache.get_many("a", ["x"]) == {"x": b"right"}


def test_where_it_cannot_be_it_is_empty_and_nothing_is_raised(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with Cache(tmp_path / "file" / "results.sqlite") as cache:
        cache.put_many("a", {"x": b"1"})
        assert cache.get_many("a", ["x"]) == {}
        assert cache.get_all(["a"], 1000) == {}
        assert cache.trouble
        cache.clear()


def test_a_locked_one_is_left_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.01)
    with Cache(path) as cache:
        cache.put_many("a", {"x": b"1"})
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        cache.put_many("a", {"x": b"2"})
        assert "locked" in cache.trouble
        other.execute("ROLLBACK")
        other.close()
        assert cache.get_many("a", ["x"]) == {"x": b"1"}


def test_clearing_and_closing(path: Path) -> None:
    cache = Cache(path)
    cache.put_many("a", {"x": b"1"})
    cache.clear()
    assert cache.get_many("a", ["x"]) == {}
    cache.close()
    cache.close()
    cache.put_many("a", {"x": b"1"})
    assert cache.get_many("a", ["x"]) == {}


_WRITER = """
import sys
from pathlib import Path
from ckptviewer.storage.cache import Cache
name = sys.argv[2]
with Cache(Path(sys.argv[1])) as cache:
    for number in range(100):
        cache.put_many(f"{name}{number % 5}", {f"k{number}": name.encode() * 100})
    assert not cache.trouble, cache.trouble
"""


def test_two_processes_and_several_threads_write_at_once(path: Path) -> None:
    root = str(Path(cache_module.__file__).parents[2])
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(path), name], cwd=root)
        for name in ("left", "right")
    ]
    with Cache(path) as cache:

        def write(name: str) -> None:
            for number in range(50):
                cache.put_many(name, {f"k{number}": name.encode()})

        threads = [threading.Thread(target=write, args=(name,)) for name in ("t1", "t2")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [writer.wait(60) for writer in writers] == [0, 0]
        for name, count in (("left0", 20), ("right4", 20), ("t1", 50), ("t2", 50)):
            assert len(cache.get_many(name, [f"k{number}" for number in range(100)])) == count
        assert cache.trouble == ""


def test_the_files_of_a_checkpoint(tmp_path: Path) -> None:
    for name in (
        "m.ckpt-1.index",
        "m.ckpt-1.data-00000-of-00002",
        "m.ckpt-1.data-00001-of-00002",
        "m.ckpt-1.meta",
        "m.ckpt-10.index",
        "export-00000-of-00001",
        "big.weights.json",
        "big_00000.weights.h5",
    ):
        (tmp_path / name).write_text(name)
    names = [file.name for file in files_of(tmp_path / "m.ckpt-1")]
    assert len(names) == 4
    assert "m.ckpt-10.index" not in names
    assert files_of(tmp_path / "m.ckpt-1.index") == files_of(tmp_path / "m.ckpt-1")
    assert [file.name for file in files_of(tmp_path / "export-?????-of-00001")] == [
        "export-00000-of-00001"
    ]
    assert len(files_of(tmp_path / "big.weights.json")) == 2
    assert len(files_of(tmp_path)) == 8


def test_any_change_of_any_file_gives_another_identity(tmp_path: Path) -> None:
    index, data = tmp_path / "m.index", tmp_path / "m.data-00000-of-00001"
    index.write_text("index")
    data.write_text("data")
    prefix = tmp_path / "m"
    seen = {identity_of(prefix)}
    assert identity_of(prefix) in seen
    times = (data.stat().st_atime_ns, data.stat().st_mtime_ns)

    def changed() -> bool:
        before = len(seen)
        seen.add(identity_of(prefix))
        return len(seen) > before

    data.write_text("longer data")
    assert changed()
    os.utime(data, ns=(times[0], times[1] + 1))
    assert changed()
    data.write_text("other  data")  # as long as before, and the time set back
    os.utime(data, ns=(times[0], times[1] + 1))
    assert changed()
    replacement = tmp_path / "replacement"
    replacement.write_text("index")
    replacement.replace(index)
    assert changed()
    (tmp_path / "m.data-00001-of-00002").write_text("")
    assert changed()
    data.unlink()
    assert changed()


def test_files_that_were_just_written_have_not_settled(tmp_path: Path) -> None:
    file = tmp_path / "m.index"
    file.write_text("index")
    assert not has_settled(tmp_path / "m")


def test_files_settle_with_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.index").write_text("index")
    monkeypatch.setattr(cache_module, "_SETTLE_SECONDS", -1.0)
    assert has_settled(tmp_path / "m")
