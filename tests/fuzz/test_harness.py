"""The fuzzing itself: that it notices what it should, and that what it changes stays sealed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ckptviewer.checkpoint.errors import CkptviewerError, DamagedFileError
from ckptviewer.formats.sstable import Table, masked_crc32c
from ckptviewer.formats.sstable_writer import table_parts
from ckptviewer.storage.byte_source import MemoryBytes
from ckptviewer.validation.events import EVENTS
from ckptviewer.validation.protocol import decode_event
from ckptviewer.validation.tfrecords import read_records
from tests.fuzz import guard as guard_module
from tests.fuzz import model_review
from tests.fuzz.events_said import lines_said
from tests.fuzz.guard import Guard
from tests.fuzz.mutations import mutator
from tests.fuzz.parts import join_parts, split_parts
from tests.fuzz.targets import TARGETS, read_all


def test_errors_of_others_and_our_own_that_escape_are_findings(tmp_path: Path) -> None:
    def target(data: bytes) -> None:
        raise KeyError("x") if data == b"key" else DamagedFileError("x")

    guard = Guard(target, tmp_path)
    guard.run(b"key")
    guard.run(b"key")
    guard.run(b"own")
    assert sorted(guard.found.values()) == [1, 2]
    assert {name.split()[0] for name in guard.found} == {"KeyError", "DamagedFileError"}
    assert sorted(p.read_bytes() for p in tmp_path.iterdir() if not p.suffix) == [b"key", b"own"]


def test_what_does_not_end_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "LIMIT_SECONDS", 0.05)

    def target(_: bytes) -> None:
        while True:
            pass

    assert Guard(target, tmp_path).outcome(b"").startswith("Hang")


def test_memory_beyond_the_limit_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_module, "LIMIT_MB", 1)
    assert Guard(lambda _: None, tmp_path).outcome(b"").startswith("memory")


def test_minimising_keeps_what_is_needed(tmp_path: Path) -> None:
    def target(data: bytes) -> None:
        if b"ab" in data:
            raise KeyError

    assert Guard(target, tmp_path).minimised(b"x" * 50 + b"ab" + b"y" * 33) == b"ab"


def test_parts_are_split_as_they_were_joined() -> None:
    assert split_parts(join_parts([b"one", b"", b"three"]), 3) == [b"one", b"", b"three"]
    assert split_parts(b"\xff\xffab", 2) == [b"ab", b""]


def framed(*records: bytes) -> bytes:
    """A TFRecord file, framed by hand."""
    file = b""
    for record in records:
        length = len(record).to_bytes(8, "little")
        file += length + masked_crc32c(length).to_bytes(4, "little")
        file += record + masked_crc32c(record).to_bytes(4, "little")
    return file


def seeds() -> Iterator[tuple[str, bytes]]:
    yield "tf_v1", b"".join(table_parts((b"key%d" % n, b"\x0a\x03abc") for n in range(9)))
    yield "safetensors", b"\x02" + bytes(7) + b"{}"
    yield "checkpoint_state", b'model_checkpoint_path: "a"'
    yield "npz", b"\x93NUMPY\x01\0\x06\0{'a'}\n"
    yield "meta_graph", b"\x0a\x05\x0a\x03abc\x10\x05"
    yield "saved_comparison", b'{"a": {"path": "x"}, "rules": [{"pattern": "y"}], "atol": 0.5}'
    yield "worker_events", lines_said("ab")
    yield "model_review", b"\x12\x0c\x12\x0a\x0a\x08\x12\x06PyFunc"
    yield "model_review_text", b'meta_graphs { graph_def { node { name: "n" op: "PyFunc" } } }'
    yield "keras_review", b'{"class_name": "Lambda", "config": {"name": "x"}, "module": "keras"}'
    yield "tfrecords", framed(b"\x0a\x03abc", b"\x0a\x00")
    yield "keras_keys", join_parts([b"\x0a\x03abc\x10\x05", b"dense/kernel", b"{}"])
    yield "hdf5", b"\x89HDF\r\n\x1a\n" + bytes(88)


@pytest.mark.parametrize(("parser", "seed"), list(seeds()), ids=[name for name, _ in seeds()])
def test_mutations_vary_and_repeat(parser: str, seed: bytes) -> None:
    change = mutator(TARGETS[parser])
    made = [change(seed, 4096, number) for number in range(200)]
    assert len(set(made)) > 60
    assert made == [change(seed, 4096, number) for number in range(200)]
    assert max(map(len, made)) <= 4096


def test_parts_that_grow_still_fit_together() -> None:
    change = mutator(TARGETS["saved_model_pb"])
    data = join_parts([b"\x12" + b"\xac\x02" + b"x" * 300, b"y" * 9000, b"z"])
    for number in range(2000):
        data = change(data, 32768, number)
        assert len(data) <= 32768


def test_many_changed_tables_pass_their_checksums() -> None:
    seed = dict(seeds())["tf_v1"]
    change = mutator(TARGETS["tf_v1"])
    sound = 0
    for number in range(200):
        data = change(seed, 4096, number)
        try:
            sound += data != seed and len(list(Table(MemoryBytes(data)))) > 0
        except CkptviewerError:
            pass
    assert sound > 40


def test_many_changed_records_pass_their_checksums() -> None:
    seed = dict(seeds())["tfrecords"]
    change = mutator(TARGETS["tfrecords"])
    sound = 0
    for number in range(200):
        data = change(seed, 4096, number)
        try:
            sound += data != seed and bool(read_records(MemoryBytes(data)).count)
        except CkptviewerError:
            pass
    assert sound > 40


def test_many_changed_settings_are_json_still() -> None:
    seed = dict(seeds())["saved_comparison"]
    change = mutator(TARGETS["saved_comparison"])
    sound = 0
    for number in range(200):
        try:
            json.loads(change(seed, 4096, number))
            sound += 1
        except ValueError:
            pass
    assert sound > 80


@pytest.mark.parametrize(
    "parser",
    [
        "saved_comparison",
        "tfrecords",
        "keras_keys",
        "worker_events",
        "model_review",
        "model_review_text",
        "keras_review",
    ],
)
def test_what_is_no_checkpoint_is_taken_whatever_it_is(parser: str) -> None:
    change, data = mutator(TARGETS[parser]), dict(seeds())[parser]
    for number in range(50):
        TARGETS[parser].run(change(data, 8192, number))


def test_a_sound_run_of_the_worker_is_understood() -> None:
    """Else the fuzzing of what it says would stop at the first line."""
    told = [decode_event(line) for line in lines_said("a").split(b"\n")]
    told += [decode_event(line) for line in lines_said("ab").split(b"\n")]
    assert {type(event) for event in told} == set(EVENTS.values())


def test_a_review_that_hides_an_operation_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    node = b"\x12\x06PyFunc"
    model = b"\x12\x0c\x12\x0a\x0a\x08" + node
    for name in ("model_review", "model_review_text"):
        text = b'meta_graphs { graph_def { node { op: "PyFunc" } } }'
        data = model if name == "model_review" else text
        TARGETS[name].run(data)
        with monkeypatch.context() as patch:
            patch.setattr(model_review, "_told", lambda *_: set())
            with pytest.raises(AssertionError, match="hidden"):
                TARGETS[name].run(data)


def test_findings_of_the_targets_own_are_told_apart(tmp_path: Path) -> None:
    def target(data: bytes) -> None:
        assert data != b"1", "one"
        assert data != b"2", "another"

    guard = Guard(target, tmp_path)
    assert guard.outcome(b"1") != guard.outcome(b"2")


def test_parsers_take_what_is_sound(tmp_path: Path) -> None:
    from ckptviewer.formats.npz import NpzFormat

    np.savez(tmp_path / "x.npz", a=np.arange(3))
    with NpzFormat().open(tmp_path / "x.npz") as checkpoint:
        read_all(checkpoint)
    TARGETS["npz"].run((tmp_path / "x.npz").read_bytes())
