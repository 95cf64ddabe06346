"""Tables and the parsers of what stands in a bundle's index: round trips, TensorFlow, and noise."""

from __future__ import annotations

import tracemalloc
from itertools import product
from pathlib import Path

import cramjam
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ckptviewer.checkpoint.dtypes import BY_NUMBER
from ckptviewer.checkpoint.errors import (
    ChecksumError,
    CkptviewerError,
    DamagedFileError,
    TruncatedFileError,
)
from ckptviewer.formats.bundle_index import parse_entries, parse_header
from ckptviewer.formats.bundle_strings import split_strings
from ckptviewer.formats.ordered_code import encode_slice_key
from ckptviewer.formats.sstable import BlockHandle, Table, decode_block, is_table, read_varint
from ckptviewer.storage.byte_source import MemoryBytes
from tests.builders import (
    Bundle,
    Entry,
    Header,
    block_of,
    finished,
    footer,
    handle,
    pairs_in,
    save,
    save_slices,
    sealed,
    string_bytes,
    table_of,
    table_of_blocks,
    varint,
)

unhurried = settings(max_examples=200, deadline=None, derandomize=True)

keys = st.binary(max_size=12) | st.text("ab/0", max_size=40).map(str.encode)
contents = st.dictionaries(keys, st.binary(max_size=200), max_size=60).map(
    lambda pairs: sorted(pairs.items())
)


def table(data: bytes) -> Table:
    return Table(MemoryBytes(data, "table"))


# What is well made


@unhurried
@given(contents, st.integers(1, 20), st.booleans())
def test_reads_every_table_in_order(
    pairs: list[tuple[bytes, bytes]], block_entries: int, snappy: bool
) -> None:
    data = table_of(pairs, block_entries=block_entries, snappy=snappy)
    assert is_table(MemoryBytes(data))
    assert list(table(data)) == pairs
    assert len(table(data).handles()) == -(-len(pairs) // block_entries)


@pytest.mark.parametrize("interval", [1, 2, 16, 1000])
def test_restart_points_do_not_matter(interval: int) -> None:
    pairs = [(b"a/%04d" % number, b"%d" % number) for number in range(100)]
    assert decode_block(block_of(pairs, interval), "block") == pairs


def test_lengths_of_more_than_seven_bits() -> None:
    pairs = [(b"k" * size + b"%d" % size, b"v" * size) for size in (1, 127, 128, 300, 70_000)]
    assert decode_block(block_of(sorted(pairs)), "block") == sorted(pairs)


def test_reads_what_tensorflow_writes(tmp_path: Path) -> None:
    prefix = save(tmp_path / "x", {f"scope/name_{n}": np.float32(n) for n in range(300)})
    data = (tmp_path / "x.index").read_bytes()
    assert list(table(data)) == pairs_in(data) == Bundle.of(prefix).pairs()


@given(st.integers(0, (1 << 64) - 1), st.binary(max_size=3))
@unhurried
def test_varints(value: int, before: bytes) -> None:
    data = before + varint(value) + b"\xff"
    assert read_varint(data, len(before)) == (value, len(data) - 1)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 9, b"\xff" * 11, b"\x80" * 20 + b"\x01"])
def test_numbers_without_end(data: bytes) -> None:
    with pytest.raises(DamagedFileError):
        read_varint(data, 0)


# What is not


def small() -> bytes:
    return table_of([(b"a", b"1"), (b"ab", b"2"), (b"b", b"3")], block_entries=2)


def test_truncation_at_every_length_is_an_error() -> None:
    data = small()
    for length in range(len(data)):
        with pytest.raises(TruncatedFileError):
            list(table(data[:length]))
        assert not is_table(MemoryBytes(data[:length]))


def test_flips_of_every_bit_are_errors_or_harmless() -> None:
    """Not looked at are the metaindex, which holds nothing, and the footer's unused bytes."""
    data = small()
    truth = list(table(data))
    metaindex = data.find(sealed(block_of([])))
    unused = {*range(metaindex, metaindex + 13), *range(len(data) - 48, len(data) - 8)}
    for position, bit in product(range(len(data)), range(8)):
        broken = bytearray(data)
        broken[position] ^= 1 << bit
        try:
            assert list(table(bytes(broken))) == truth, (position, bit)
        except CkptviewerError:
            continue
        assert position in unused


def test_wrong_checksum_names_the_block() -> None:
    data = bytearray(small())
    data[3] ^= 1
    with pytest.raises(ChecksumError, match="byte 0"):
        list(table(bytes(data)))


def test_unknown_compression() -> None:
    with pytest.raises(DamagedFileError, match="compression"):
        list(table(table_of_blocks([block_of([(b"a", b"b")])], kind=7)))


@pytest.mark.parametrize(
    "handles",
    [
        pytest.param([handle(0, 20), handle(0, 20)], id="the same block twice"),
        pytest.param([handle(10, 10), handle(0, 5)], id="backwards"),
        pytest.param([handle(0, 20), handle(10, 20)], id="overlapping"),
        pytest.param([handle(0, 1 << 40)], id="beyond the file"),
        pytest.param([handle(1 << 40, 1)], id="starting beyond the file"),
        pytest.param([handle(1 << 63, 1 << 63)], id="more than 64 bits together"),
        pytest.param([handle(0, (1 << 64) - 5)], id="wrapping around"),
        pytest.param([b""], id="no handle"),
        pytest.param([b"\x05"], id="half a handle"),
        pytest.param([b"\xff" * 30], id="a handle without end"),
        pytest.param([handle(7, 3)], id="in the middle of a block"),
    ],
)
def test_handles_that_lie(handles: list[bytes]) -> None:
    data = sealed(block_of([(b"a%02d" % number, b"v") for number in range(20)]))
    lying = finished(data, [(b"%d" % number, each) for number, each in enumerate(handles)])
    with pytest.raises(DamagedFileError):
        list(table(lying))


def test_an_index_block_that_points_to_itself_ends() -> None:
    """The handle of the index is its own only entry: reading gives that entry, once."""
    for offset in range(40):
        size = len(block_of([(b"k", handle(offset, 17))], 1))
        index = sealed(block_of([(b"k", handle(offset, size))], 1))
        data = bytes(offset) + index
        data += footer(handle(0, 0), handle(offset, size))
        found = list(table(data))
        assert found == [(b"k", handle(offset, size))]


@pytest.mark.parametrize("claimed", [1 << 20, 1 << 32, 1 << 50, (1 << 64) - 1])
def test_a_snappy_bomb_takes_no_memory(claimed: int) -> None:
    honest = bytes(cramjam.snappy.compress_raw(b"x" * 100))
    bomb = varint(claimed) + honest[1:] + b"\x01"
    stored = bomb + sealed(bomb[:-1], kind=1)[-4:]
    data = finished(stored, [(b"k", handle(0, len(stored) - 5))])

    def work() -> None:
        with pytest.raises(DamagedFileError, match="grow"):
            list(table(data))

    assert peak_bytes(work) < 1 << 20


def test_honest_compression_of_any_ratio_is_read() -> None:
    """Snappy's best: a run of one byte, 3 bytes for 64."""
    for size in (0, 1, 100, 10_000, 1 << 20):
        pairs = [(b"k", b"\0" * size)]
        assert list(table(table_of(pairs, snappy=True))) == pairs


def test_snappy_noise() -> None:
    rng = np.random.default_rng(3)
    for _ in range(300):
        noise = varint(int(rng.integers(0, 2000))) + rng.bytes(int(rng.integers(0, 200)))
        stored = sealed(noise, kind=1)
        with pytest.raises(DamagedFileError):
            list(table(finished(stored, [(b"k", handle(0, len(noise)))])))


def test_a_key_cannot_be_multiplied_without_end() -> None:
    """Shared prefixes let five bytes stand for a key of a megabyte; no writer does that."""
    key = b"k" * (1 << 17)
    entries = varint(0) + varint(len(key)) + b"\0" + key
    entries += (varint(len(key)) + b"\x01\0" + b"x") * 3000
    block = entries + bytes(4) + (1).to_bytes(4, "little")
    data = table_of_blocks([block])

    def work() -> None:
        with pytest.raises(DamagedFileError, match="memory"):
            list(table(data))

    assert peak_bytes(work) < 100 * len(data)


def test_long_names_in_deep_scopes_are_honest() -> None:
    scope = b"/".join(b"a_rather_long_scope_name_%d" % depth for depth in range(40))
    rng = np.random.default_rng(6)
    pairs = [(scope + b"/%06d" % number, rng.bytes(12)) for number in range(2000)]
    for block_entries, snappy in product((100, 100_000), (False, True)):
        assert list(table(table_of(pairs, block_entries=block_entries, snappy=snappy))) == pairs


def peak_bytes(work) -> int:
    """The most memory that Python took during the work."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0\0\0", id="shorter than a count"),
        pytest.param(b"\1\0\0\0", id="a restart point that is not there"),
        pytest.param(b"\xff\xff\xff\xff", id="four billion restart points"),
        pytest.param(b"\1\0\0" + bytes(4) + b"\1\0\0\0", id="shares with no key"),
        pytest.param(b"\0\x7f\0" + bytes(4) + b"\1\0\0\0", id="a key beyond the block"),
        pytest.param(b"\0\1\x7fk" + bytes(4) + b"\1\0\0\0", id="a value beyond the block"),
        pytest.param(b"\0\1\1kv\0" + bytes(4) + b"\1\0\0\0", id="half an entry"),
        pytest.param(b"\x80" * 12 + bytes(4) + b"\1\0\0\0", id="a number without end"),
        pytest.param(b"\0\1\1kv\2\0\0\0", id="no room for its restart points"),
    ],
)
def test_blocks_that_are_not(block: bytes) -> None:
    with pytest.raises(DamagedFileError) as caught:
        decode_block(block, "the block")
    assert str(caught.value)


@unhurried
@given(contents, st.booleans())
def test_the_first_record(pairs: list[tuple[bytes, bytes]], snappy: bool) -> None:
    data = table_of(pairs, block_entries=7, snappy=snappy)
    assert table(data).first() == (pairs[0] if pairs else None)


# Noise


@unhurried
@given(st.binary(max_size=60) | st.binary(max_size=40).map(lambda data: data + bytes(4)))
def test_noise_as_a_first_block(data: bytes) -> None:
    """Where the whole block can be read, the first record is its first."""
    noise = table(table_of_blocks([data]))
    try:
        first = noise.first()
    except CkptviewerError:
        with pytest.raises(CkptviewerError):
            list(noise)
        return
    try:
        assert first == next(iter(list(noise)), None)
    except CkptviewerError:
        pass


@unhurried
@given(st.binary(max_size=120))
def test_noise_as_a_block(data: bytes) -> None:
    try:
        entries = decode_block(data, "noise")
    except CkptviewerError:
        return
    assert sum(len(value) for _, value in entries) <= len(data)


@unhurried
@given(st.binary(max_size=150), st.integers(0, 200), st.integers(0, 200))
def test_noise_as_a_table(data: bytes, offset: int, size: int) -> None:
    noise = data + footer(handle(size, offset), handle(offset, size))
    try:
        list(table(noise))
    except CkptviewerError:
        pass


@unhurried
@given(st.binary(max_size=80), st.booleans())
def test_noise_as_a_sealed_block_of_handles(data: bytes, snappy: bool) -> None:
    stored = sealed(data, snappy)
    whole = stored + footer(handle(0, 0), handle(0, len(stored) - 5))
    try:
        for each in table(whole).handles():
            assert isinstance(each, BlockHandle)
            assert each.offset + each.size <= len(whole)
    except CkptviewerError:
        pass


@unhurried
@given(contents, st.data())
def test_tables_with_bytes_changed(pairs: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    whole = bytearray(table_of(pairs, block_entries=5))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = list(table(bytes(whole)))
    except CkptviewerError:
        return
    assert found == pairs


# Headers and entries


@given(st.integers(1, 99_999), st.booleans(), st.integers(0, 1 << 20))
@unhurried
def test_headers(shards: int, big: bool, version: int) -> None:
    message = Header(num_shards=shards, endianness=int(big))
    message.version.producer = version
    assert parse_header(message.SerializeToString()) == (shards, big, version)


@pytest.mark.parametrize("shards", [0, -1, 10**9, (1 << 31) - 1, 100_000])
def test_headers_with_impossible_shards(shards: int) -> None:
    with pytest.raises(DamagedFileError, match="data files"):
        parse_header(Header(num_shards=shards).SerializeToString())


numbers = st.sampled_from([0, 1, 127, 128, 300, 16384, 1 << 31, 1 << 40, (1 << 55) - 1])
extents = st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(1, 1 << 40)), max_size=3)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    entry = Entry(
        dtype=draw(st.sampled_from(sorted(BY_NUMBER))),
        shard_id=draw(st.integers(0, (1 << 31) - 1)),
        offset=draw(numbers),
        size=draw(numbers),
        crc32c=draw(st.integers(0, (1 << 32) - 1)),
    )
    for size in draw(st.lists(numbers, max_size=5)):
        entry.shape.dim.add(size=size)
    for each in draw(st.lists(extents, max_size=2)):
        slice_ = entry.slices.add()
        for start, length in each:
            slice_.extent.add(start=start, length=length)
    return entry


def expected_of(entry: Entry) -> tuple:
    slices = tuple(
        tuple((e.start, e.length if e.HasField("length") else -1) for e in each.extent)
        for each in entry.slices
    )
    shape = tuple(dim.size for dim in entry.shape.dim)
    name = BY_NUMBER[entry.dtype].name
    return name, shape, entry.shard_id, entry.offset, entry.size, entry.crc32c, slices


@unhurried
@given(st.lists(entries(), max_size=8))
def test_entries_are_what_protobuf_reads(several: list[Entry]) -> None:
    pairs = [(b"%d" % n, entry.SerializeToString()) for n, entry in enumerate(several)]
    parsed = parse_entries(pairs)
    assert len(parsed) == len(several)
    for (key, _), entry in zip(pairs, several, strict=True):
        assert parsed[key] == expected_of(entry)


@unhurried
@given(st.lists(entries(), min_size=1, max_size=4), st.data())
def test_entries_with_bytes_changed(several: list[Entry], data: st.DataObject) -> None:
    """Where both parsers take the bytes, they agree; nothing but our own error escapes."""
    values = [bytearray(entry.SerializeToString()) for entry in several]
    victim = data.draw(st.sampled_from(values))
    victim[data.draw(st.integers(0, len(victim) - 1))] = data.draw(st.integers(0, 255))
    pairs = [(b"%d" % number, bytes(value)) for number, value in enumerate(values)]
    try:
        parsed = parse_entries(pairs)
    except CkptviewerError:
        return
    for key, value in pairs:
        try:
            entry = Entry.FromString(value)
        except Exception:
            continue
        assume(entry.dtype in BY_NUMBER and not entry.shape.unknown_rank)
        if entry.SerializeToString(deterministic=True) == value:
            assert parsed[key] == expected_of(entry)


@unhurried
@given(st.lists(st.binary(max_size=40), max_size=5))
def test_noise_as_entries(values: list[bytes]) -> None:
    pairs = [(b"%d" % number, value) for number, value in enumerate(values)]
    try:
        parsed = parse_entries(pairs)
    except CkptviewerError:
        return
    for entry in parsed.values():
        assert min(entry.shape, default=0) >= 0
        assert min(entry.shard, entry.offset, entry.size) >= 0


@unhurried
@given(st.binary(max_size=40))
def test_noise_as_a_header(value: bytes) -> None:
    try:
        header = parse_header(value)
    except CkptviewerError:
        return
    assert 1 <= header.shards < 100_000


def test_messages_nested_without_end() -> None:
    value = b""
    for _ in range(5000):
        value = b"\x12" + varint(len(value)) + value
    for parse in (parse_header, lambda data: parse_entries([(b"k", b"\x08\x01" + data)])):
        try:
            parse(value)
        except CkptviewerError:
            pass


# Strings


@unhurried
@given(st.lists(st.binary(max_size=300), max_size=20))
def test_strings(strings: list[bytes]) -> None:
    data, checksum = string_bytes(strings)
    assert split_strings(data, len(strings), checksum, False) == strings


@unhurried
@given(st.lists(st.binary(max_size=20), max_size=6), st.data())
def test_strings_with_bytes_changed(strings: list[bytes], data: st.DataObject) -> None:
    stored, checksum = string_bytes(strings)
    changed = bytearray(stored)
    changed[data.draw(st.integers(0, len(stored) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = split_strings(bytes(changed), len(strings), checksum, False)
    except CkptviewerError:
        return
    assert found == strings  # a length written in more bytes than it needs is harmless


@unhurried
@given(st.binary(max_size=60), st.integers(0, 10), st.integers(0, (1 << 32) - 1), st.booleans())
def test_noise_as_strings(data: bytes, count: int, checksum: int, big: bool) -> None:
    with pytest.raises(DamagedFileError):
        split_strings(data, count, checksum, big)


@pytest.mark.parametrize("count", [10**6, 1 << 40, 1 << 62])
def test_strings_that_cannot_be_there(count: int) -> None:
    data, checksum = string_bytes([b"a", b"b"])

    def work() -> None:
        with pytest.raises(DamagedFileError, match="cannot lie"):
            split_strings(data, count, checksum, False)

    assert peak_bytes(work) < 1 << 20


def test_a_string_of_impossible_length() -> None:
    for length in (1 << 31, 1 << 33, (1 << 64) - 1):
        with pytest.raises(DamagedFileError):
            split_strings(varint(length) + b"1234text", 1, 0, False)


# Keys of slices


def test_keys_of_slices_are_tensorflows(tmp_path: Path) -> None:
    """Numbers of all widths, and bytes in names that the encoding escapes."""
    edges = sorted({0} | {(1 << bits) + add for bits in range(5, 31) for add in (-1, 0, 1)})
    names = [
        b"name",
        b"a/b\xff\xfe",
        b"zero\x00\x00",
        b"\xff\x00\x01\xff",
        b"\x01",
        "\u6f22".encode(),
    ]
    slices = []
    expected = {}
    for number, start in enumerate(edges):
        name, length = names[number % len(names)], 1 + number % 200
        slices.append((name, f"2000000000 {start},{length}", np.zeros(length, np.int8)))
        key = encode_slice_key(name.decode("utf-8", "surrogateescape"), [(start, length)])
        expected[key] = start
    cube = np.zeros((1, 2, 300), np.int8)
    slices.append(("cube", "9 2 70000 8,1:-:69000,300", cube))
    expected[encode_slice_key("cube", [(8, 1), (0, -1), (69000, 300)])] = -1
    prefix = save_slices(tmp_path / "x", slices)
    found = {key for key in Bundle.of(prefix).entries if key[:1] == b"\0"}
    assert found == set(expected)
