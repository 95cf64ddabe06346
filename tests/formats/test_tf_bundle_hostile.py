"""Damaged and hostile tensor bundles: a clear error or a finding, never a wrong value.

The damage is made around valid checksums where it can be, so that parsers meet it and not only the
checksum does.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import (
    ChecksumError,
    CkptviewerError,
    DamagedFileError,
    MissingShardError,
    PathNotFoundError,
    TruncatedFileError,
    UnreadableFileError,
)
from ckptviewer.formats.registry import Confidence
from ckptviewer.formats.tf_bundle import TensorBundleFormat
from tests import builders
from tests.builders import Bundle, cut, data_file, merge, save, save_slices, table_of, values_in
from tests.formats.contract import assert_same

FORMAT = TensorBundleFormat()


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Fail what hangs, instead of hanging with it."""

    def give_up(*_: object) -> None:
        raise AssertionError(f"it took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def index_of(prefix: Path) -> Path:
    return Path(f"{prefix}.index")


def check_all(checkpoint: Checkpoint, truth: Mapping[str, np.ndarray]) -> set[str]:
    """Read everything: each value is right or refused. The keys that were read.

    What is refused may be refused in whatever words; what is given must be true.
    """
    good = set()
    for variable in checkpoint.variables:
        checkpoint.details(variable)
        checkpoint.checksum(variable)
        assert variable.stored_bytes >= 0
        try:
            values = checkpoint.read(variable)
        except CkptviewerError as error:
            assert str(error)  # noqa: PT017
        else:
            if variable.key in truth:
                assert_same(values, truth[variable.key])
            good.add(variable.key)
        try:
            pieces = [piece.copy() for piece in checkpoint.chunks(variable, 16)]
        except CkptviewerError:
            assert variable.key not in good
        else:
            if variable.key in truth and pieces:
                assert_same(np.concatenate(pieces), truth[variable.key].reshape(-1))
    return good


def errors_of(checkpoint: Checkpoint) -> list:
    return [each for each in checkpoint.findings if each.severity == "error"]


def few(directory: Path) -> tuple[Bundle, dict[str, np.ndarray]]:
    """A small bundle with all that can be in one: plain, string, scalar, slices, two shards."""
    values = np.arange(8, dtype=np.float32).reshape(4, 2) + 0.5
    slices = cut("p", values, (3,))
    parts = [
        save(directory / "a", {"a": values[1], "s": tf.constant([b"xy", b""])}),
        save(directory / "b", {"n": np.int64(77)}),
        save_slices(directory / "c", slices[:1]),
        save_slices(directory / "d", slices[1:]),
    ]
    prefix = merge(directory / "few", parts)
    return Bundle.of(prefix), values_in(prefix)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, dict[str, np.ndarray]]:
    return few(tmp_path_factory.mktemp("few"))


# Every byte of a small one


@pytest.mark.parametrize("block_entries", [1000, 2])
def test_an_index_cut_at_every_length(
    small: tuple[Bundle, dict[str, np.ndarray]], tmp_path: Path, block_entries: int
) -> None:
    bundle, _ = small
    prefix = bundle.write(tmp_path / "x", block_entries=block_entries)
    whole = index_of(prefix).read_bytes()
    for length in range(len(whole)):
        index_of(prefix).write_bytes(whole[:length])
        assert FORMAT.probe(prefix).confidence is not Confidence.CERTAIN
        with pytest.raises(TruncatedFileError) as caught:
            FORMAT.open(index_of(prefix))
        assert caught.value.where == str(index_of(prefix))
        assert caught.value.remedy


@pytest.mark.parametrize("snappy", [False, True])
def test_an_index_with_a_bit_flipped_in_any_byte(
    small: tuple[Bundle, dict[str, np.ndarray]], tmp_path: Path, snappy: bool
) -> None:
    bundle, truth = small
    prefix = bundle.write(tmp_path / "x", block_entries=3, snappy=snappy)
    whole = index_of(prefix).read_bytes()
    opened = 0
    for position, bit in product(range(len(whole)), range(8)):
        if (position + bit) % 4:  # two bits of each byte are enough here
            continue
        broken = bytearray(whole)
        broken[position] ^= 1 << bit
        index_of(prefix).write_bytes(broken)
        FORMAT.probe(prefix)
        try:
            checkpoint = FORMAT.open(index_of(prefix))
        except CkptviewerError:
            continue
        with checkpoint:
            opened += 1
            assert check_all(checkpoint, truth) == truth.keys() or errors_of(checkpoint)
    assert opened > len(whole) / 2  # blocks that are whole are shown


def test_data_files_with_any_bit_flipped(
    small: tuple[Bundle, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    """Every byte of them belongs to a tensor, and every tensor has its checksum."""
    bundle, truth = small
    prefix = bundle.write(tmp_path / "x")
    for number, shard in enumerate(bundle.shards):
        file = data_file(prefix, number, len(bundle.shards))
        for position, bit in product(range(len(shard)), range(8)):
            broken = bytearray(shard)
            broken[position] ^= 1 << bit
            file.write_bytes(broken)
            with FORMAT.open(prefix) as checkpoint:
                assert len(truth.keys() - check_all(checkpoint, truth)) == 1, (number, position)
        file.write_bytes(shard)


@settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_records_changed_under_valid_checksums(
    small: tuple[Bundle, dict[str, np.ndarray]], tmp_path: Path, data: st.DataObject
) -> None:
    """Tensors are checksummed as well: an index that lies is refused, and nothing else escapes."""
    bundle, _ = small
    pairs = [[bytearray(key), bytearray(value)] for key, value in bundle.pairs()]
    for _ in range(data.draw(st.integers(1, 3))):
        record = data.draw(st.sampled_from([each for pair in pairs for each in pair if each]))
        place = data.draw(st.integers(0, len(record) - 1))
        match data.draw(st.sampled_from(["change", "insert", "cut"])):
            case "change":
                record[place] = data.draw(st.integers(0, 255))
            case "insert":
                record[place:place] = data.draw(st.binary(min_size=1, max_size=5))
            case "cut":
                del record[place : place + data.draw(st.integers(1, 4))]
    table = table_of([(bytes(key), bytes(value)) for key, value in pairs])
    prefix = bundle.write_with(tmp_path / "x", table)
    FORMAT.probe(prefix)
    try:
        checkpoint = FORMAT.open(prefix)
    except CkptviewerError as error:
        assert str(error)  # noqa: PT017
        return
    with checkpoint:
        for variable in checkpoint.variables:
            checkpoint.details(variable)
            for region in (None, (slice(0, 1),), (slice(0, 0),)):
                try:
                    checkpoint.read(variable, region if variable.shape else None)
                except CkptviewerError:
                    continue


# Empty, missing, not a file


def test_an_empty_index(tmp_path: Path) -> None:
    index_of(tmp_path / "x").touch()
    assert FORMAT.probe(tmp_path / "x").confidence is not Confidence.CERTAIN
    with pytest.raises(TruncatedFileError, match="0 bytes"):
        FORMAT.open(tmp_path / "x")


def test_a_directory_in_the_place_of_a_file(tmp_path: Path) -> None:
    index_of(tmp_path / "x").mkdir()
    assert FORMAT.probe(tmp_path / "x").confidence is Confidence.NO
    with pytest.raises(UnreadableFileError):
        FORMAT.open(tmp_path / "x")
    prefix = save(tmp_path / "y", {"v": np.arange(3.0)})
    data_file(prefix).unlink()
    data_file(prefix).mkdir()
    with FORMAT.open(prefix) as checkpoint:
        assert errors_of(checkpoint)
        with pytest.raises(CkptviewerError):
            checkpoint.read(checkpoint["v"])


def test_pipes_in_the_place_of_files(tmp_path: Path) -> None:
    os.mkfifo(index_of(tmp_path / "x"))
    with at_most(20):
        assert FORMAT.probe(tmp_path / "x").confidence is Confidence.NO
        with pytest.raises(UnreadableFileError):
            FORMAT.open(tmp_path / "x")
        prefix = save(tmp_path / "y", {"v": np.arange(3.0)})
        data_file(prefix).unlink()
        os.mkfifo(data_file(prefix))
        with FORMAT.open(prefix) as checkpoint:
            assert errors_of(checkpoint)
            with pytest.raises(CkptviewerError):
                checkpoint.read(checkpoint["v"])
        prefix = save(tmp_path / "z", {"v": np.arange(3.0)})
        os.mkfifo(tmp_path / "z.meta")
        with FORMAT.open(prefix) as checkpoint:
            assert checkpoint.read(checkpoint["v"]).tolist() == [0, 1, 2]


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    index_of(tmp_path / "x").symlink_to(tmp_path / "away")
    assert FORMAT.probe(tmp_path / "x").confidence is Confidence.NO
    with pytest.raises(PathNotFoundError):
        FORMAT.open(tmp_path / "x")


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    for name in ("nul\0inside", "x" * 5000, "\udcff\ud800"):
        assert FORMAT.probe(tmp_path / name).confidence is Confidence.NO
        with pytest.raises(CkptviewerError):
            FORMAT.open(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_without_permission(tmp_path: Path) -> None:
    prefix = save(tmp_path / "x", {"v": np.arange(3.0)})
    data_file(prefix).chmod(0)
    with FORMAT.open(prefix) as checkpoint, pytest.raises(UnreadableFileError):
        checkpoint.read(checkpoint["v"])
    index_of(prefix).chmod(0)
    assert FORMAT.probe(prefix).confidence is Confidence.NO
    with pytest.raises(UnreadableFileError):
        FORMAT.open(prefix)


# Shards


def two_shards(directory: Path) -> Path:
    (directory / "parts").mkdir()
    embedding = np.arange(12, dtype=np.float32)
    slices = cut("embedding", embedding, (8,))
    return merge(
        directory / "x",
        [
            save(directory / "parts/a", {"a": np.arange(4.0), "b": np.arange(3.0)}),
            save(directory / "parts/c", {"c": np.arange(5.0)}),
            save_slices(directory / "parts/d", slices[:1]),
            save_slices(directory / "parts/e", slices[1:]),
        ],
    )


@pytest.mark.parametrize(
    ("shard", "lost"),
    [(0, {"a", "b"}), (1, {"c"}), (2, {"embedding"}), (3, {"embedding"})],
)
def test_a_missing_shard_takes_its_own_variables_only(
    tmp_path: Path, shard: int, lost: set[str]
) -> None:
    prefix = two_shards(tmp_path)
    truth = values_in(prefix)
    data_file(prefix, shard, 4).unlink()
    with FORMAT.open(prefix) as checkpoint:
        assert {each.key for each in checkpoint.variables} == truth.keys()
        told = errors_of(checkpoint)
        assert {each.variable for each in told} == lost | {None}
        assert all(each.remedy for each in told)
        assert any(data_file(prefix, shard, 4).name in each.message for each in told)
        assert check_all(checkpoint, truth) == truth.keys() - lost
        for key in lost:
            with pytest.raises(MissingShardError) as caught:
                checkpoint.read(checkpoint[key])
            assert data_file(prefix, shard, 4).name in str(caught.value)


def test_a_missing_shard_in_the_way_of_slices_elsewhere(tmp_path: Path) -> None:
    """The full entry of a partitioned variable names shard 0, where nothing of it lies."""
    prefix = two_shards(tmp_path)
    data_file(prefix, 0, 4).unlink()
    with FORMAT.open(prefix) as checkpoint:
        assert checkpoint.read(checkpoint["embedding"]).tolist() == list(range(12))
        assert checkpoint.read(checkpoint["embedding"], (slice(7, 9),)).tolist() == [7, 8]


def test_all_shards_missing(tmp_path: Path) -> None:
    prefix = two_shards(tmp_path)
    for shard in range(4):
        data_file(prefix, shard, 4).unlink()
    with FORMAT.open(prefix) as checkpoint:
        assert len(checkpoint.variables) == 4
        named = {each.variable for each in errors_of(checkpoint)}
        assert named == {"a", "b", "c", "embedding", None}
        assert check_all(checkpoint, {}) == set()


def test_a_shard_cut_at_every_length(
    small: tuple[Bundle, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    bundle, truth = small
    prefix = bundle.write(tmp_path / "x")
    for number, shard in enumerate(bundle.shards):
        file = data_file(prefix, number, len(bundle.shards))
        for length in range(len(shard)):
            file.write_bytes(shard[:length])
            lost = set()
            for key, entry in bundle.entries.items():
                if entry.shard_id == number and entry.offset + entry.size > length:
                    lost.add("p" if key[:1] == b"\0" else key.decode())
            with FORMAT.open(prefix) as checkpoint:
                told = {each.variable for each in errors_of(checkpoint)}
                assert told == lost | {None}
                assert check_all(checkpoint, truth) == truth.keys() - lost
        file.write_bytes(shard)


def test_shards_of_another_save_do_not_fit(tmp_path: Path) -> None:
    """The index of one save beside the data of another: sizes fit, values do not."""
    prefix = save(tmp_path / "x", {"a": np.arange(4.0), "b": np.zeros(2)})
    other = save(tmp_path / "y", {"a": np.arange(4.0) + 1, "b": np.zeros(2)})
    data_file(other).replace(data_file(prefix))
    with FORMAT.open(prefix) as checkpoint:
        with pytest.raises(ChecksumError) as caught:
            checkpoint.read(checkpoint["a"])
        assert caught.value.where == "a"
        assert checkpoint.read(checkpoint["b"]).tolist() == [0, 0]


def test_an_entry_in_a_shard_beyond_the_last(tmp_path: Path) -> None:
    bundle = Bundle.empty()
    bundle.add("good", np.arange(3.0))
    bundle.add("bad", np.arange(3.0)).shard_id = 7
    bundle.add("negative", np.arange(3.0)).shard_id = -1
    try:
        checkpoint = FORMAT.open(bundle.write(tmp_path / "x"))
    except DamagedFileError as error:
        assert "negative" in str(error)  # noqa: PT017
        del bundle.entries[b"negative"]
        checkpoint = FORMAT.open(bundle.write(tmp_path / "x"))
    with checkpoint:
        assert "bad" in {each.variable for each in errors_of(checkpoint)}
        assert check_all(checkpoint, {"good": np.arange(3.0)}) == {"good"}


# Headers that lie


@pytest.mark.parametrize("shards", [10**9, 0, -1, (1 << 31) - 1])
def test_a_header_with_impossible_shards(tmp_path: Path, shards: int) -> None:
    bundle = Bundle.empty()
    bundle.add("v", np.arange(3.0))
    bundle.header.num_shards = shards
    prefix = bundle.write(tmp_path / "x")

    def work() -> None:
        with pytest.raises(DamagedFileError) as caught:
            FORMAT.open(prefix)
        assert caught.value.where == str(index_of(prefix))
        assert caught.value.remedy

    with at_most(20):
        assert peak_bytes(work) < 1 << 22


def test_a_header_with_many_shards_that_are_not_there(tmp_path: Path) -> None:
    bundle = Bundle.empty()
    bundle.add("v", np.arange(3.0))
    bundle.header.num_shards = 99_999
    with at_most(20), FORMAT.open(bundle.write(tmp_path / "x")) as checkpoint:
        assert {each.variable for each in errors_of(checkpoint)} == {"v", None}
        assert len(checkpoint.findings) == 2


def test_each_entry_in_a_shard_of_its_own(tmp_path: Path) -> None:
    """The work is that of the entries, not that of entries times shards."""
    bundle = Bundle.empty()
    count = 30_000
    for number in range(count):
        entry = bundle.add(f"v/{number}", b"")
        entry.shard_id, entry.size = number, 8
        entry.shape.dim.add(size=8)
    bundle.header.num_shards = count
    prefix = bundle.write(tmp_path / "x")
    with at_most(20), FORMAT.open(prefix) as checkpoint:
        assert len({each.variable for each in errors_of(checkpoint)}) == count + 1


def test_an_index_whose_header_is_lost(tmp_path: Path) -> None:
    bundle = Bundle.empty()
    bundle.add("v", np.arange(3.0))
    bundle.add("w", np.arange(2.0))
    prefix = bundle.write_with(tmp_path / "x", table_of(bundle.pairs()[1:]))
    with FORMAT.open(prefix) as checkpoint:
        assert any("header" in each.message for each in errors_of(checkpoint))
        truth = {"v": np.arange(3.0), "w": np.arange(2.0)}
        assert check_all(checkpoint, truth) == {"v", "w"}


def test_a_header_that_stands_elsewhere_is_no_variable(tmp_path: Path) -> None:
    bundle = Bundle.empty()
    bundle.add("v", np.arange(3.0))
    prefix = bundle.write_with(tmp_path / "x", table_of(bundle.pairs()[::-1]))
    try:
        checkpoint = FORMAT.open(prefix)
    except DamagedFileError:
        return
    with checkpoint:
        assert [each.key for each in checkpoint.variables] == ["v"]


# Entries that lie


SHAPES = {
    "2^62": [1 << 62],
    "2^62 bytes, no element": [0, 1 << 62],
    "a product of 2^124": [1 << 62, 1 << 62],
    "no element, overflowing": [1 << 62, 0, 1 << 62],
    "2^40": [1 << 20, 1 << 20],
    "one too many": [4],
    "one too few": [2],
    "300 axes": [1] * 300,
    "negative": [-3],
    "minus one": [-1],
    "smallest": [-(1 << 63)],
    "axes of nothing": [0] * 100,
}


@pytest.mark.parametrize("sizes", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("dtype", ["float64", "string", "bool", "complex128", "int4"])
def test_shapes_that_lie(tmp_path: Path, sizes: list[int], dtype: str) -> None:
    """No memory is taken for what the file cannot hold, whatever is asked of it."""
    number = tf.as_dtype(dtype).as_datatype_enum
    bundle = Bundle.empty()
    bundle.add("good", np.arange(3.0))
    entry = bundle.add("bad", bytes(24), number)
    for size in sizes:
        entry.shape.dim.add(size=size)
    prefix = bundle.write(tmp_path / "x")

    def work() -> None:
        try:
            checkpoint = FORMAT.open(prefix)
        except DamagedFileError as error:
            assert "bad" in str(error)  # noqa: PT017
            return
        with checkpoint:
            assert checkpoint.read(checkpoint["good"]).tolist() == [0, 1, 2]
            bad = checkpoint["bad"]
            for region in (None, (slice(0, 1),), (slice(0, 0),), (slice(5, 9),)):
                with pytest.raises(CkptviewerError):
                    checkpoint.read(bad, region)
            with pytest.raises(CkptviewerError):
                list(checkpoint.chunks(bad))
            checkpoint.details(bad)

    with at_most(20):
        work()
        assert peak_bytes(work) < 1 << 23


def test_a_sparse_file_is_not_believed_to_be_memory(tmp_path: Path) -> None:
    """A file may be large and take no disk: listing must not read it, regions read their own."""
    bundle = Bundle.empty()
    entry = bundle.add("huge", b"", 1)
    entry.size = 20 << 30
    for size in (5 << 20, 1 << 10):
        entry.shape.dim.add(size=size)
    prefix = bundle.write(tmp_path / "x")
    os.truncate(data_file(prefix), 20 << 30)

    def work() -> None:
        with FORMAT.open(prefix) as checkpoint:
            assert checkpoint.findings == ()
            corner = checkpoint.read(checkpoint["huge"], (slice(-2, None), slice(0, 3)))
            assert corner.tolist() == [[0, 0, 0], [0, 0, 0]]
            chunks = checkpoint.chunks(checkpoint["huge"])
            assert sum(next(chunks).size for _ in range(3)) <= 3 << 20

    assert peak_bytes(work) < 16 << 20


@pytest.mark.parametrize(
    ("offset", "size"),
    [
        (24, 24),
        (1, 24),
        (1 << 40, 24),
        (1 << 62, 24),
        ((1 << 63) - 1, 24),
        (-1, 24),
        (-(1 << 63), 24),
        (0, 1 << 62),
        (0, -24),
        (1 << 62, 1 << 62),
    ],
)
def test_offsets_and_sizes_beyond_the_file(tmp_path: Path, offset: int, size: int) -> None:
    bundle = Bundle.empty()
    entry = bundle.add("bad", np.arange(3.0))
    entry.offset, entry.size = offset, size
    prefix = bundle.write(tmp_path / "x")
    try:
        checkpoint = FORMAT.open(prefix)
    except DamagedFileError as error:
        assert "bad" in str(error)  # noqa: PT017
        return
    with checkpoint:
        assert "bad" in {each.variable for each in errors_of(checkpoint)}
        for region in (None, (slice(0, 1),), (slice(0, 0),)):
            with pytest.raises(CkptviewerError):
                checkpoint.read(checkpoint["bad"], region)
        with pytest.raises(CkptviewerError):
            list(checkpoint.chunks(checkpoint["bad"]))


def test_a_wrong_checksum_of_a_tensor(tmp_path: Path) -> None:
    bundle = Bundle.empty()
    bundle.add("bad", np.arange(3.0)).crc32c ^= 1
    bundle.add("good", np.arange(3.0))
    with FORMAT.open(bundle.write(tmp_path / "x")) as checkpoint:
        with pytest.raises(ChecksumError) as caught:
            checkpoint.read(checkpoint["bad"])
        assert caught.value.where == "bad"
        assert caught.value.remedy
        with pytest.raises(ChecksumError):
            list(checkpoint.chunks(checkpoint["bad"]))
        assert check_all(checkpoint, {"good": np.arange(3.0)}) == {"good"}


def test_a_key_that_stands_twice(tmp_path: Path) -> None:
    bundle = Bundle.empty()
    bundle.add("v", np.arange(3.0))
    bundle.add("w", np.arange(2.0))
    pairs = bundle.pairs()
    for twice in (pairs[1], (pairs[1][0], pairs[2][1])):
        prefix = bundle.write_with(tmp_path / "x", table_of([*pairs[:2], twice, *pairs[2:]]))
        with pytest.raises(DamagedFileError, match="more than once"):
            FORMAT.open(prefix)


def test_keys_out_of_order(tmp_path: Path) -> None:
    """TensorFlow would not find them; we need no order, and lose nothing."""
    bundle = Bundle.empty()
    truth = {name: np.arange(3.0) + n for n, name in enumerate("cab")}
    for name, value in truth.items():
        bundle.add(name, value)
    header, *rest = bundle.pairs()
    prefix = bundle.write_with(tmp_path / "x", table_of([header, *rest[::-1]], block_entries=2))
    with FORMAT.open(prefix) as checkpoint:
        assert [each.key for each in checkpoint.variables] == ["a", "b", "c"]
        assert check_all(checkpoint, truth) == truth.keys()


def test_an_entry_without_a_dtype(tmp_path: Path) -> None:
    bundle = Bundle.empty()
    bundle.add("bad", np.arange(3.0)).dtype = 0
    bundle.add("good", np.arange(3.0))
    try:
        checkpoint = FORMAT.open(bundle.write(tmp_path / "x"))
    except DamagedFileError as error:
        assert "bad" in str(error)  # noqa: PT017
        return
    with checkpoint:
        assert check_all(checkpoint, {}) == {"good"}


@pytest.mark.parametrize("value", [b"", b"\xff" * 20, b"\x0b\x0c", b"\x12\x7f", b"\x08"])
def test_entries_that_are_none(tmp_path: Path, value: bytes) -> None:
    pairs = [*Bundle.empty().pairs(), (b"bad", value)]
    prefix = Bundle.empty().write_with(tmp_path / "x", table_of(pairs))
    with pytest.raises(DamagedFileError, match="bad") as caught:
        FORMAT.open(prefix)
    assert caught.value.where == str(index_of(prefix))


# Slices that lie


def parted(bundle: Bundle, *, slices: list[tuple[int, int]], length: int = 4) -> None:
    """A variable `p` of `length` float32 elements, each slice filled with its own number."""
    entry = bundle.entries.setdefault(b"p", builders.Entry(dtype=1))
    entry.shape.dim.add(size=length)
    for number, (start, count) in enumerate(slices):
        extent = entry.slices.add().extent.add(start=start)
        extent.length = count
        key = builders.slice_key(b"p", [(start, count)])
        bundle.add(key, np.full(max(0, count), number, np.float32))


@pytest.mark.parametrize(
    "slices",
    [
        pytest.param([(0, 2), (1, 2)], id="overlap, and a gap"),
        pytest.param([(0, 2), (0, 2)], id="the same twice"),
        pytest.param([(0, 3), (1, 3)], id="overlap"),
        pytest.param([(0, 3)], id="too few"),
        pytest.param([(0, 2), (2, 3)], id="beyond the end"),
        pytest.param([(0, 2), (3, 1)], id="a gap"),
        pytest.param([(0, 0), (0, 0)], id="empty ones"),
        pytest.param([(-2, 2), (2, 2)], id="negative"),
        pytest.param([(0, 2), (1 << 62, 2)], id="far away"),
    ],
)
def test_slices_that_do_not_make_the_whole(tmp_path: Path, slices: list[tuple[int, int]]) -> None:
    """What no slice covers has no value; it must not be what memory held before."""
    bundle = Bundle.empty()
    if len(slices) > 1 and slices[0] == slices[1]:
        parted(bundle, slices=slices[:1])
        bundle.entries[b"p"].slices.append(bundle.entries[b"p"].slices[0])
    else:
        parted(bundle, slices=slices)
    with FORMAT.open(bundle.write(tmp_path / "x")) as checkpoint:
        for region in (None, (slice(0, 4),), (slice(0, 1),)):
            with pytest.raises(DamagedFileError):
                checkpoint.read(checkpoint["p"], region)
        with pytest.raises(DamagedFileError):
            list(checkpoint.chunks(checkpoint["p"]))


def test_slices_of_another_dtype_or_shape(tmp_path: Path) -> None:
    changes: list[Callable[[builders.Entry], object]] = [
        lambda entry: setattr(entry, "dtype", 3),
        lambda entry: setattr(entry, "dtype", 7),
        lambda entry: setattr(entry, "dtype", 21),
        lambda entry: setattr(entry, "dtype", 99),
        lambda entry: setattr(entry, "dtype", 2),
        lambda entry: setattr(entry.shape.dim[0], "size", 3),
        lambda entry: entry.shape.dim.add(size=1),
        lambda entry: entry.shape.Clear(),
        lambda entry: setattr(entry, "size", 4),
        lambda entry: entry.slices.add().extent.add(start=0),
    ]
    for change in changes:
        bundle = Bundle.empty()
        parted(bundle, slices=[(0, 2), (2, 2)])
        change(bundle.entries[builders.slice_key(b"p", [(0, 2)])])
        with FORMAT.open(bundle.write(tmp_path / "x")) as checkpoint:
            with pytest.raises(CkptviewerError):
                checkpoint.read(checkpoint["p"])
            with pytest.raises(CkptviewerError):
                checkpoint.read(checkpoint["p"], (slice(0, 1),))
            with pytest.raises(CkptviewerError):
                list(checkpoint.chunks(checkpoint["p"]))
            checkpoint.details(checkpoint["p"])


def test_slices_with_more_or_fewer_axes_than_the_whole(tmp_path: Path) -> None:
    for axes in (0, 2, 7):
        bundle = Bundle.empty()
        parted(bundle, slices=[(0, 4)])
        entry = bundle.entries[b"p"]
        del entry.slices[:]
        extents = entry.slices.add()
        for _ in range(axes):
            extents.extent.add(start=0, length=4)
        bundle.add(builders.slice_key(b"p", [(0, 4)] * axes), np.zeros(4, np.float32))
        with FORMAT.open(bundle.write(tmp_path / "x")) as checkpoint:
            with pytest.raises(DamagedFileError):
                checkpoint.read(checkpoint["p"])
            with pytest.raises(DamagedFileError):
                list(checkpoint.chunks(checkpoint["p"]))


def test_a_damaged_slice_is_noticed(tmp_path: Path) -> None:
    bundle = Bundle.empty()
    parted(bundle, slices=[(0, 2), (2, 2)])
    bundle.shards[0][9] ^= 4
    with FORMAT.open(bundle.write(tmp_path / "x")) as checkpoint:
        with pytest.raises(ChecksumError):
            checkpoint.read(checkpoint["p"])
        with pytest.raises(ChecksumError):
            list(checkpoint.chunks(checkpoint["p"]))


def test_many_slices_are_no_trap(tmp_path: Path) -> None:
    """Reading a variable of many slices, or listing it, takes time with their number only."""
    bundle = Bundle.empty()
    parted(bundle, slices=[(n, 1) for n in range(6000)], length=6000)
    with at_most(20), FORMAT.open(bundle.write(tmp_path / "x")) as checkpoint:
        assert checkpoint.read(checkpoint["p"]).tolist() == list(range(6000))
        assert checkpoint.details(checkpoint["p"])
        data_file(tmp_path / "x").unlink()
    with at_most(20), FORMAT.open(tmp_path / "x") as checkpoint:
        assert {each.variable for each in errors_of(checkpoint)} == {"p", None}


# The whole, in a process of its own


def test_hostile_files_leave_memory_alone(tmp_path: Path) -> None:
    """With the address space bounded, all of these are refused by name."""
    key = b"k" * (1 << 18)
    entries = builders.varint(0) + builders.varint(len(key)) + b"\0" + key
    entries += (builders.varint(len(key)) + b"\x01\0" + b"x") * 200_000
    block = entries + bytes(4) + (1).to_bytes(4, "little")
    index_of(tmp_path / "keys").write_bytes(builders.table_of_blocks([block]))
    index_of(tmp_path / "packed").write_bytes(builders.table_of_blocks([block], snappy=True))
    bundle = Bundle.empty()
    bundle.add("s", bytes(64), 7).shape.dim.add(size=1 << 40)
    bundle.write(tmp_path / "strings")
    bundle = Bundle.empty()
    bundle.add("f", bytes(64), 1).shape.dim.add(size=1 << 50)
    bundle.write(tmp_path / "floats")
    script = (
        "import sys; from pathlib import Path\n"
        "from ckptviewer.checkpoint.errors import CkptviewerError\n"
        "from ckptviewer.formats.tf_bundle import TensorBundleFormat\n"
        "for name in sys.argv[1:]:\n"
        "    TensorBundleFormat().probe(Path(name))\n"
        "    try:\n"
        "        with TensorBundleFormat().open(Path(name)) as checkpoint:\n"
        "            checkpoint.read(checkpoint.variables[0])\n"
        "    except CkptviewerError:\n"
        "        continue\n"
        "    sys.exit(name)\n"
    )

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    names = [str(tmp_path / name) for name in ("keys", "packed", "strings", "floats")]
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": root, "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-c", script, *names],
        check=True,
        timeout=60,
        env=environment,
        preexec_fn=bound,
    )
