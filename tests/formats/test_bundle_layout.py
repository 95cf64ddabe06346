"""Indexes that differ from one read before in checksums alone, and those that differ in more."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import DamagedFileError
from ckptviewer.checkpoint.roles import OBJECT_GRAPH_KEY
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats import bundle_layout, object_graph
from ckptviewer.formats.bundle_index import parse_entries
from ckptviewer.formats.bundle_layout import Records, read_records
from ckptviewer.formats.resolve import open_checkpoint
from tests.builders import Bundle, Entry, save, save_slices, string_bytes

Pairs = list[tuple[bytes, bytes]]


def index_of(
    count: int = 5, *, checksum: int = 7, shape: tuple[int, ...] = (3, 4), **changed: int
) -> Pairs:
    """The records of an index; `changed`, fields of the last one."""
    pairs = []
    for number in range(count):
        entry = Entry(dtype=1, shard_id=0, offset=100 * number, size=48, crc32c=checksum + number)
        for size in shape:
            entry.shape.dim.add(size=size)
        if number == count - 1:
            for name, value in changed.items():
                setattr(entry, name, value)
        pairs.append((b"key%d" % number, entry.SerializeToString()))
    return pairs


def assert_as_parsed(records: Records, pairs: Pairs) -> None:
    """All of them as if nothing had been read before."""
    parsed = parse_entries(pairs)
    entries = records.layout.entries(records.checksums)
    slices = records.layout.slices(records.checksums)
    assert len(entries) + len(slices) == len(parsed)
    for key, entry in parsed.items():
        assert (slices if key[:1] == b"\0" else entries)[
            key if key[:1] == b"\0" else key.decode()
        ] == entry
    ends: dict[int, int] = {}
    for entry in parsed.values():
        if not entry.slices:
            ends[entry.shard] = max(ends.get(entry.shard, 0), entry.offset + entry.size)
    assert records.layout.needed_bytes == ends


def test_other_checksums_alone_are_another_save_of_the_same_layout() -> None:
    first = read_records(index_of())
    pairs = index_of(checksum=0xFFFF0000)
    second = read_records(pairs)
    assert second.layout is first.layout
    assert_as_parsed(second, pairs)
    assert_as_parsed(first, index_of())  # what was given away before has not changed


@pytest.mark.parametrize(
    "pairs",
    [
        index_of(6),
        index_of(shape=(4, 3)),
        index_of(dtype=2),
        index_of(offset=401),
        index_of(size=49),
        index_of(shard_id=1),
        index_of(crc32c=0),  # proto3 leaves a zero out: the record is shorter
        [(b"Key0", index_of()[0][1]), *index_of()[1:]],
        [*index_of()[:-1], (b"key4", index_of()[4][1][:-5] + b"\x3a" + index_of()[4][1][-4:])],
    ],
)
def test_whatever_else_differs_is_another_layout(pairs: Pairs) -> None:
    known = read_records(index_of())
    try:
        records = read_records(pairs)
    except DamagedFileError:
        with pytest.raises(DamagedFileError):
            parse_entries(pairs)
        return
    assert records.layout is not known.layout
    assert_as_parsed(records, pairs)


def test_bytes_like_a_checksum_where_another_field_ends() -> None:
    """What follows the checksum is no checksum, even if it looks like one."""
    value = index_of(1)[0][1]
    unknown = b"\x7a\x05\x35" + value[-4:]  # field 15, whose content ends like a record
    first, second = value + unknown, value + unknown[:-4] + b"\1\2\3\4"
    records = [read_records([(b"k", each)]) for each in (first, second)]
    assert records[0].layout is not records[1].layout
    for each, bytes_ in zip(records, (first, second), strict=True):
        assert_as_parsed(each, [(b"k", bytes_)])
        assert each.checksums.tolist() == [7]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_no_byte_is_passed_over(data: st.DataObject) -> None:
    """After an index was read, one with some bytes changed is read as if it were the first."""
    original = index_of(4)
    read_records(original)
    values = [bytearray(value) for _, value in original]
    for _ in range(data.draw(st.integers(1, 3))):
        value = data.draw(st.sampled_from(values))
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    pairs = [(key, bytes(value)) for (key, _), value in zip(original, values, strict=True)]
    try:
        parse_entries(pairs)
    except DamagedFileError:
        with pytest.raises(DamagedFileError):
            read_records(pairs)
        return
    assert_as_parsed(read_records(pairs), pairs)


def test_partitioned_variables_again(tmp_path: Path) -> None:
    for step in (1, 2):
        rows = np.full((6, 2), step, np.float32)
        slices = [("w", "6 2 0,4:0,2", rows[:4]), ("w", "6 2 4,2:0,2", rows[4:])]
        save_slices(tmp_path / f"m-{step}", slices)
    read = [open_checkpoint(tmp_path / f"m-{step}.index") for step in (1, 2)]
    for step, checkpoint in zip((1, 2), read, strict=True):
        assert checkpoint.read(checkpoint["w"]).tolist() == [[step, step]] * 6
        assert checkpoint["w"].stored_bytes == 48


def test_of_several_runs_each_is_remembered() -> None:
    runs = [index_of(count) for count in range(1, 5)]
    layouts = [read_records(pairs).layout for pairs in runs]
    for _ in range(2):
        assert [read_records(pairs).layout for pairs in runs] == layouts


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    old = weakref.ref(read_records(index_of(30)).layout)
    for count in range(1, 10):
        read_records(index_of(count))
    gc.collect()
    assert old() is None
    for bound, value in (("LARGEST_REMEMBERED_BYTES", 500), ("_MOST_RECORDS", 29)):
        with monkeypatch.context() as patched:
            patched.setattr(bundle_layout, bound, value)
            large = weakref.ref(read_records(index_of(30)).layout)
            gc.collect()
            assert large() is None
            records = read_records(index_of(31))
            assert_as_parsed(records, index_of(31))


# Object graphs


def save_objects(prefix: Path, value: float) -> Path:
    """A checkpoint of two variables, which its graph calls `alpha` and `gamma`."""
    first = tf.Variable(tf.fill([2, 3], value), name="alpha")
    second = tf.Variable(tf.fill([2, 3], value + 1), name="gamma")
    tf.train.Checkpoint(first=first, second=second).write(str(prefix))
    return prefix


def with_graph(source: Path, target: Path, change: Callable[[bytes], bytes]) -> Path:
    """The same checkpoint with another object graph of the same length."""
    bundle = Bundle.of(source)
    with open_checkpoint(f"{source}.index") as checkpoint:
        graph = bytes(checkpoint.read(checkpoint[OBJECT_GRAPH_KEY]).item())
    data, crc = string_bytes([change(graph)])
    entry = bundle.entries[OBJECT_GRAPH_KEY.encode()]
    assert len(data) == entry.size
    bundle.shards[0][entry.offset : entry.offset + entry.size] = data
    entry.crc32c = crc
    return bundle.write(target)


def names_in(checkpoint: Checkpoint) -> list[str]:
    return [variable.name for variable in checkpoint.variables if variable.dtype == "float32"]


def opened(prefix: Path) -> Checkpoint:
    return open_checkpoint(f"{prefix}.index")


def test_graph_of_the_same_length_tells_other_names(tmp_path: Path) -> None:
    save_objects(tmp_path / "a", 1.0)
    with_graph(
        tmp_path / "a",
        tmp_path / "b",
        lambda graph: graph.replace(b"alpha", b"omega").replace(b"gamma", b"kappa"),
    )
    for _ in range(2):
        assert names_in(opened(tmp_path / "a")) == ["alpha", "gamma"]
        assert names_in(opened(tmp_path / "b")) == ["omega", "kappa"]


def test_equal_graphs_are_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    real = object_graph.columns_of_object_graph

    def noted(*arguments):  # type: ignore[no-untyped-def]
        told.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(object_graph, "columns_of_object_graph", noted)
    checkpoints = [opened(save_objects(tmp_path / f"m-{n}", float(n))) for n in range(3)]
    assert len(told) <= 1  # none where another test has opened such a one
    tables = [list(checkpoint.variables) for checkpoint in checkpoints]
    assert tables[0] == tables[1] == tables[2]
    for number, checkpoint in enumerate(checkpoints):
        first = next(v for v in checkpoint.variables if v.name == "alpha")
        assert checkpoint.read(first).tolist() == [[number] * 3] * 2
    sums = [{c.checksum(v) for v in c.variables if v.name == "alpha"} for c in checkpoints]
    assert len(set.union(*sums)) == 3


def test_damaged_graph_is_noticed_where_it_was_told_before(tmp_path: Path) -> None:
    save_objects(tmp_path / "a", 1.0)
    bundle = Bundle.of(tmp_path / "a")
    entry = bundle.entries[OBJECT_GRAPH_KEY.encode()]
    bundle.shards[0][entry.offset + entry.size - 1] ^= 1
    bundle.write(tmp_path / "b")
    assert not opened(tmp_path / "a").findings
    found = opened(tmp_path / "b")
    assert [finding.code for finding in found.findings] == ["damaged-object-graph"]
    assert "alpha" not in names_in(found)
    assert names_in(opened(tmp_path / "a")) == ["alpha", "gamma"]


def test_large_graphs_are_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_objects(tmp_path / "a", 1.0)
    opened(tmp_path / "a")
    layout = bundle_layout._recent.patterns[0].layout
    layout.told = None
    monkeypatch.setattr(bundle_layout, "LARGEST_REMEMBERED_BYTES", 10)
    assert names_in(opened(tmp_path / "a")) == ["alpha", "gamma"]
    assert layout.told is None


def test_meta_file_that_comes_and_goes(tmp_path: Path) -> None:
    """What names alone tell is not what the graph beside them tells."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.get_variable("w", initializer=tf.zeros([2]))
        session.run(tf.compat.v1.global_variables_initializer())
        prefix = Path(tf.compat.v1.train.Saver().save(session, str(tmp_path / "m")))
    meta = Path(f"{prefix}.meta")
    kept = meta.read_bytes()
    for _ in range(2):
        meta.write_bytes(kept)
        assert [variable.trainable for variable in opened(prefix).variables] == [True]
        meta.unlink()
        assert [variable.trainable for variable in opened(prefix).variables] == [None]


def test_threads_open_checkpoints_of_several_layouts(tmp_path: Path) -> None:
    prefixes = []
    for number in range(6):
        save_objects(tmp_path / f"o-{number}", float(number))
        prefixes.append(tmp_path / f"o-{number}")
        sizes = {f"v{each}": np.full(each + 1, number, np.float32) for each in range(number)}
        prefixes.append(save(tmp_path / f"n-{number}", {**sizes, "last": [float(number)]}))
    with_graph(prefixes[0], tmp_path / "p", lambda graph: graph.replace(b"alpha", b"omega"))
    prefixes.append(tmp_path / "p")

    def everything(prefix: Path) -> list[tuple[Variable, int | None, list]]:
        with opened(prefix) as checkpoint:
            return [
                (variable, checkpoint.checksum(variable), checkpoint.read(variable).tolist())
                for variable in checkpoint.variables
            ]

    expected = [everything(prefix) for prefix in prefixes]
    assert len({variables[0][0].name for variables in expected}) > 1
    with ThreadPoolExecutor(4) as executor:
        for _ in range(10):
            assert list(executor.map(everything, prefixes)) == expected
